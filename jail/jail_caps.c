/*
 * Capabilities (capabilities(7)): none in a jail, in the user namespace of that
 * process's own; none in main but those that it may need to start passt again.
 */
#include <errno.h>
#include <stdint.h>

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/jail_private.h"

/* Root is nobody special any more, not even after an exec; and for good. */
#define JAIL_SECUREBITS                                                  \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | \
	 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |       \
	 SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

#define JAIL_CAP(number) (UINT64_C(1) << (number))

/* This thread's. */
static int jail_caps_get(uint64_t *effective, uint64_t *permitted)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	*effective = (uint64_t)data[1].effective << 32 | data[0].effective;
	*permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

/* caps, effective and permitted, and none that is inheritable. */
static int jail_caps_set(uint64_t caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{.effective = (uint32_t)caps, .permitted = (uint32_t)caps},
		{.effective = (uint32_t)(caps >> 32),
		 .permitted = (uint32_t)(caps >> 32)},
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* The bounding set, which takes CAP_SETPCAP. The kernel knows how many
 * capabilities there are. */
static int jail_caps_bound(uint64_t keep)
{
	for (int i = 0; i < 64; i++) {
		if (keep & JAIL_CAP(i))
			continue;
		if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			return errno == EINVAL ? 0 : -errno;
	}
	return 0;
}

int jail_caps_drop(const char **what)
{
	int ret;

	*what = "secure bits";
	if (prctl(PR_SET_SECUREBITS, JAIL_SECUREBITS) < 0)
		return -errno;
	*what = "ambient capabilities";
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	*what = "the bounding set";
	ret = jail_caps_bound(0);
	if (ret < 0)
		return ret;
	*what = "capabilities";
	return jail_caps_set(0);
}

int jail_rights_drop(bool keep_users, const char **what)
{
	uint64_t effective = 0, permitted = 0, keep = 0;
	int ret;

	*what = "ambient capabilities";
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	*what = "capabilities";
	ret = jail_caps_get(&effective, &permitted);
	if (ret < 0)
		return ret;
	if (keep_users)
		keep = permitted &
		       (JAIL_CAP(CAP_SETUID) | JAIL_CAP(CAP_SETGID) |
			JAIL_CAP(CAP_SETPCAP));
	/* Without this one, nobody can touch the bounding set. */
	if (effective & JAIL_CAP(CAP_SETPCAP))
		ret = jail_caps_bound(keep);
	return ret < 0 ? ret : jail_caps_set(keep);
}
