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
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

int jail_begin(int channel_fd)
{
	struct pollfd channel = {.fd = channel_fd};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	/* It may have died before that; its end of the channel then has. */
	if (poll(&channel, 1, 0) < 0)
		return -errno;
	return channel.revents & (POLLHUP | POLLNVAL) ? -ESRCH : 0;
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

/* --- All of it -------------------------------------------------------------
 */

static void jail_name(const char *label)
{
	char name[16] = "bantam-"; /* what the kernel keeps */

	strncat(name, label, sizeof(name) - strlen(name) - 1);
	prctl(PR_SET_NAME, name);
}

int jail_enter(const struct jail_config *config, struct error *err)
{
	int ret = jail_close(config);

	if (ret < 0)
		return error_set(err, -ret,
				 "%s: jail: cannot close descriptors: %s",
				 config->label, strerror(-ret));
	jail_name(config->label);
	return 0;
}
