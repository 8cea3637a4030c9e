/*
 * From a list of system calls to a filter of them, by libseccomp; and what
 * happens to a call that is not in it.
 *
 * JAIL_ON: the kernel sends SIGSYS, whose handler tells the parent which call
 * it was, and then makes another one. The signal being blocked by then, that is
 * the end, by SIGSYS.
 *
 * JAIL_LOG: the call waits until whoever has the listening descriptor says that
 * it may go on. The parent gets that descriptor over the channel.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/seccomp.h>

#include "jail/jail_private.h"

/* --- The handler -----------------------------------------------------------
 */

#define JAIL_CALLS    512 /* that have a name */
#define JAIL_NAME_MAX 32

/* A signal's handler has nothing else to reach it by; written before the filter
 * is there, and never after. */
static char jail_names[JAIL_CALLS][JAIL_NAME_MAX];
static int jail_report_fd = -1;

static void jail_name_of(int number, char *out, size_t size)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);

	if (name)
		snprintf(out, size, "%s", name);
	else
		snprintf(out, size, "%d", number);
	free(name);
}

static size_t jail_append(char *text, size_t at, const char *more)
{
	while (*more)
		text[at++] = *more++;
	return at;
}

/* Only what is safe in a handler. */
static size_t jail_report_text(char text[128], int number)
{
	size_t at = jail_append(text, 0, "{\"violation\":{\"call\":\"");

	at = jail_append(text, at,
			 number >= 0 && number < JAIL_CALLS ? jail_names[number]
							    : "unknown");
	return jail_append(text, at, "\"}}");
}

static void jail_violated(int signal, siginfo_t *info, void *context)
{
	char text[128];
	size_t len = jail_report_text(text, info->si_syscall);

	(void)signal;
	(void)context;
	/* Nobody waits for a parent that does not listen. */
	send(jail_report_fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (;;)
		syscall(SYS_acct, NULL);
}

static int jail_handler_set(int report_fd)
{
	struct sigaction action = {
		.sa_sigaction = jail_violated,
		.sa_flags = SA_SIGINFO,
	};
	sigset_t set;

	for (int i = 0; i < JAIL_CALLS; i++)
		jail_name_of(i, jail_names[i], JAIL_NAME_MAX);
	jail_report_fd = report_fd;
	sigfillset(&action.sa_mask);
	if (sigaction(SIGSYS, &action, NULL) < 0)
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* --- The filter ------------------------------------------------------------
 */

static int jail_filter_rule(scmp_filter_ctx filter,
			    const struct syscall_rule *rule)
{
	const uint32_t action =
		rule->errnum ? SCMP_ACT_ERRNO(rule->errnum) : SCMP_ACT_ALLOW;
	struct scmp_arg_cmp args[SYSCALL_RULE_ARGS];
	unsigned int count = 0;

	for (unsigned int i = 0; i < SYSCALL_RULE_ARGS; i++) {
		const struct syscall_arg *arg = &rule->args[i];

		if (!arg->mask)
			continue;
		args[count++] = (struct scmp_arg_cmp){
			.arg = arg->index,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = arg->mask,
			.datum_b =
				arg->self ? (uint64_t)getpid() : arg->expected,
		};
	}
	return seccomp_rule_add_exact_array(filter, action, rule->number, count,
					    args);
}

static int jail_filter_add(scmp_filter_ctx filter,
			   const struct syscall_list *list)
{
	int ret = list->base ? jail_filter_add(filter, list->base) : 0;

	for (unsigned int i = 0; i < list->count && ret == 0; i++)
		ret = jail_filter_rule(filter, &list->rules[i]);
	return ret;
}

/* What is not a call of this architecture is no business of a handler. */
static int jail_filter_set_up(scmp_filter_ctx filter, bool all_threads)
{
	int ret = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
				   SCMP_ACT_KILL_PROCESS);

	if (ret == 0 && all_threads)
		ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	return ret;
}

int jail_filter_load(const struct jail_config *config, int *notify_fd)
{
	const bool log = config->mode == JAIL_LOG;
	scmp_filter_ctx filter =
		seccomp_init(log ? SCMP_ACT_NOTIFY : SCMP_ACT_TRAP);
	int ret;

	*notify_fd = -1;
	if (!filter)
		return -ENOMEM;
	/* A listener is for one thread's filter. */
	ret = jail_filter_set_up(filter, !log);
	if (ret == 0)
		ret = jail_filter_add(filter, config->calls);
	if (ret == 0 && !log)
		ret = jail_handler_set(config->report_fd);
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
	jail_name_of(notice.data.nr, call, size);
	return 0;
}
