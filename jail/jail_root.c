/*
 * An empty root. It is a file system of this process's own, so that it works
 * for any user and whatever the host has or lacks.
 */
#include <errno.h>

#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/jail_private.h"

/* A directory that is always there, /proc/self/exe having been opened. What is
 * in it here does not matter: it is covered, and then gone. */
#define JAIL_ROOT_PLACE "/proc"
#define JAIL_ROOT_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/*
 * The old root goes on top of the new one, from where it is taken away. The
 * root of an initramfs cannot go anywhere: there, the new one is moved over it,
 * and all else stays below, where no path leads.
 */
static int jail_root_change(const char **what)
{
	*what = "pivot_root";
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		*what = "umount of the old root";
		return umount2(".", MNT_DETACH) < 0 ? -errno : 0;
	}
	if (errno != EINVAL)
		return -errno;
	*what = "mount --move to /";
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0)
		return -errno;
	*what = "chroot";
	return chroot(".") < 0 ? -errno : 0;
}

int jail_root_enter(const char **what)
{
	int ret;

	*what = "mount --make-rslave /";
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return -errno;
	*what = "mount of a tmpfs";
	if (mount("bantam", JAIL_ROOT_PLACE, "tmpfs",
		  JAIL_ROOT_FLAGS | MS_RDONLY,
		  "mode=0555,size=4k,nr_inodes=1") < 0)
		return -errno;
	*what = "chdir";
	if (chdir(JAIL_ROOT_PLACE) < 0)
		return -errno;
	ret = jail_root_change(what);
	if (ret < 0)
		return ret;
	*what = "chdir";
	return chdir("/") < 0 ? -errno : 0;
}
