/*
 * Closing the door. The order matters: descriptors first, then what needs
 * capabilities, then these, and the filter last, since it allows none of it.
 */
#include "jail/jail.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "jail/jail_private.h"
#include "vmm/base/fd_passing.h"

int jail_begin(int channel_fd)
{
	struct pollfd channel = {.fd = channel_fd};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	/* It may have died before that; its end of the channel then has. */
	if (poll(&channel, 1, 0) < 0)
		return -errno;
	return (channel.revents & (POLLHUP | POLLNVAL)) ? -ESRCH : 0;
}

/* --- Descriptors -----------------------------------------------------------
 */

static int jail_compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Those between two neighbours, both of which stay. */
static int jail_close_between(int below, int above)
{
	if (above - below < 2)
		return 0;
	return close_range((unsigned int)below + 1, (unsigned int)above - 1,
			   0) < 0
		       ? -errno
		       : 0;
}

/* keep is sorted. */
static int jail_close_others(const int *keep, unsigned int count)
{
	int below = STDERR_FILENO;
	int ret = 0;

	for (unsigned int i = 0; i < count && ret == 0; i++) {
		if (keep[i] <= below)
			continue;
		ret = jail_close_between(below, keep[i]);
		below = keep[i];
	}
	if (ret == 0)
		ret = jail_close_between(below, INT_MAX);
	return ret;
}

/* 0 to 2 are never free, or what a peer sends would be logged into. */
static int jail_standard(const int *keep, unsigned int count)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		if (bsearch(&fd, keep, count, sizeof(fd), jail_compare))
			continue;
		if (fd != null && dup2(null, fd) < 0)
			return -errno;
	}
	return 0;
}

static int jail_close(const struct jail_config *config)
{
	const size_t size = config->keep_count * sizeof(*config->keep_fds);
	int *keep = malloc(size ? size : 1);
	int ret;

	if (!keep)
		return -ENOMEM;
	if (size)
		memcpy(keep, config->keep_fds, size);
	qsort(keep, config->keep_count, sizeof(*keep), jail_compare);
	ret = jail_standard(keep, config->keep_count);
	if (ret == 0)
		ret = jail_close_others(keep, config->keep_count);
	free(keep);
	return ret;
}

/* --- Limits ----------------------------------------------------------------
 */

/* Descriptors that a frontend may give: memory, queues, channels. */
#define JAIL_FILES 1024

static int jail_limit(__rlimit_resource_t resource, rlim_t most)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return -errno;
	if (limit.rlim_max > most)
		limit.rlim_max = most;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

static int jail_limits(const struct syscall_list *calls)
{
	/* A dump would have guest memory in it. */
	int ret = jail_limit(RLIMIT_CORE, 0);

	if (ret == 0)
		ret = jail_limit(RLIMIT_NOFILE, JAIL_FILES);
	if (ret == 0 && calls->file_size)
		ret = jail_limit(RLIMIT_FSIZE, calls->file_size);
	/* The kernel counts its own workers, too: those of io_uring. */
	if (ret == 0 && !calls->threads)
		ret = jail_limit(RLIMIT_NPROC, 1);
	if (ret == 0)
		ret = jail_limit(RLIMIT_MSGQUEUE, 0);
	return ret;
}

/* --- All of it -------------------------------------------------------------
 */

static void jail_name(const char *label)
{
	char name[16] = "bantam-"; /* what the kernel keeps */

	strncat(name, label, sizeof(name) - strlen(name) - 1);
	prctl(PR_SET_NAME, name);
}

bool jail_has_filter(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return false;
#else
	return true;
#endif
}

/* A packet of the side channel, with the kernel's listener. */
static int jail_report(int report_fd, int notify_fd)
{
	char text[] = "{\"notify\":true}";
	struct iovec part = {.iov_base = text, .iov_len = strlen(text)};
	ssize_t n = fd_passing_send(report_fd, &part, 1, &notify_fd, 1, 0);

	return n < 0 ? (int)n : 0;
}

static int jail_filter(const struct jail_config *config, const char **what)
{
	int notify_fd, ret;

	/* cppcheck-suppress knownConditionTrueFalse; by the build */
	if (!jail_has_filter())
		return 0;
	*what = "the filter of system calls";
	ret = jail_filter_load(config, &notify_fd);
	if (ret < 0 || notify_fd < 0)
		return ret;
	*what = "the listener for system calls";
	ret = jail_report(config->report_fd, notify_fd);
	close(notify_fd);
	return ret;
}

static int jail_close_door(const struct jail_config *config, const char **what)
{
	int ret;

	/* A thread's first malloc() would look for the number of CPUs in /sys,
	 * to know how many arenas to make: one. */
	mallopt(M_ARENA_MAX, 1);
	ret = jail_root_enter(what);
	if (ret == 0)
		ret = jail_caps_drop(what);
	if (ret < 0)
		return ret;
	*what = "limits";
	ret = jail_limits(config->calls);
	if (ret < 0)
		return ret;
	*what = "no_new_privs";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return jail_filter(config, what);
}

int jail_enter(const struct jail_config *config, struct error *err)
{
	const char *what = "closing descriptors";
	int ret = jail_close(config);

	jail_name(config->label);
	if (ret == 0 && config->mode != JAIL_OFF)
		ret = jail_close_door(config, &what);
	return ret < 0 ? error_set(err, -ret,
				   "%s: its jail cannot be closed: %s: %s; "
				   "--sandbox off runs devices without",
				   config->label, what, strerror(-ret))
		       : 0;
}
