/*
 * Opening inherited descriptors anew, through /proc.
 */
#include "vmm/reopen.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Not the master side of a pty, nor a device in general, where each open makes
 * something new.
 */
static bool reopen_gives_the_same(int fd)
{
	unsigned int number;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	if (S_ISFIFO(st.st_mode))
		return true;
	return S_ISCHR(st.st_mode) && isatty(fd) &&
	       ioctl(fd, TIOCGPTN, &number) < 0;
}

int reopen_nonblocking(int fd, int access)
{
	int flags = fcntl(fd, F_GETFL);
	char path[32];
	int own;

	if (flags < 0)
		return -errno;
	/* Opening a pipe anew gives either end of it, whichever fd is. */
	if ((flags & O_ACCMODE) != access && (flags & O_ACCMODE) != O_RDWR)
		return -EBADF;
	if (!reopen_gives_the_same(fd))
		return -EOPNOTSUPP;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return own < 0 ? -errno : own;
}
