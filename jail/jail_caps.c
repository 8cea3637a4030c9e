/* Capabilities, in the user namespace of this process's own: none. */
#include <errno.h>

#include <cap-ng.h>
#include <linux/securebits.h>
#include <sys/prctl.h>

#include "jail/jail_private.h"

/* Root is nobody special any more, not even after an exec; and for good. */
#define JAIL_SECUREBITS                                                  \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | \
	 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |       \
	 SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

int jail_caps_drop(const char **what)
{
	*what = "secure bits";
	if (prctl(PR_SET_SECUREBITS, JAIL_SECUREBITS) < 0)
		return -errno;
	*what = "ambient capabilities";
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	*what = "capabilities";
	capng_clear(CAPNG_SELECT_ALL);
	/* The bounding set first, which takes one. */
	return capng_apply(CAPNG_SELECT_ALL) < 0 ? -EPERM : 0;
}

int jail_rights_drop(const char **what)
{
	capng_select_t sets = CAPNG_SELECT_CAPS;

	*what = "ambient capabilities";
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	*what = "capabilities";
	if (capng_get_caps_process() < 0)
		return -EPERM;
	/* Without this one, nobody can touch the bounding set. */
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
		sets = CAPNG_SELECT_BOTH;
	capng_clear(CAPNG_SELECT_BOTH);
	return capng_apply(sets) < 0 ? -EPERM : 0;
}
