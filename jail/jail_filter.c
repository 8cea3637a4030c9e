/*
 * The filter of a process in its jail, and what happens to a call that is not
 * in it.
 *
 * JAIL_ON: the kernel sends SIGSYS, whose handler tells the parent which call
 * it was, and then makes another one. The signal being blocked by then, that is
 * the end, by SIGSYS.
 *
 * JAIL_LOG: the call waits until whoever has the listening descriptor says that
 * it may go on. The parent gets that descriptor over the channel.
 */
#include <errno.h>

#include <linux/seccomp.h>
#include <sys/ioctl.h>

#include "jail/filter_private.h"
#include "jail/jail_private.h"

int jail_filter_load(const struct jail_config *config, int *notify_fd)
{
	const bool log = config->mode == JAIL_LOG;
	const struct filter_report report = {
		.fd = config->report_fd,
		.socket = true,
		.before = "{\"violation\":{\"call\":",
		.after = "}}",
	};
	scmp_filter_ctx filter;
	int ret = filter_start(&filter, log ? SCMP_ACT_NOTIFY : SCMP_ACT_TRAP);

	*notify_fd = -1;
	if (ret < 0)
		return ret;
	/* A listener is for one thread's filter. */
	if (!log)
		ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (ret == 0)
		ret = filter_add(filter, config->calls);
	if (ret == 0 && !log)
		ret = filter_handler_set(&report);
	if (ret == 0)
		ret = seccomp_load(filter);
	if (ret == 0 && log)
		*notify_fd = seccomp_notify_fd(filter);
	seccomp_release(filter);
	return ret;
}

/* --- The parent's side of JAIL_LOG -----------------------------------------
 */

int jail_notice(int notify_fd, char *call, size_t size)
{
	struct seccomp_notif notice = {.id = 0};
	struct seccomp_notif_resp answer = {
		.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

	if (ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_RECV, &notice) < 0)
		return -errno;
	answer.id = notice.id;
	if (ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &answer) < 0)
		return -errno;
	jail_call_name(notice.data.nr, call, size);
	return 0;
}
