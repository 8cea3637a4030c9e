/*
 * Finding or making a tap, in main. The name is the user's; what cannot be is
 * refused with what to do about it.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "virtio/net_tap.h"
#include "virtio/net_tun.h"
#include "vmm/base/log.h"

#define NET_TAP_DEVICE "/dev/net/tun"

static_assert(IFNAMSIZ == 16, "messages say 15");

/* What stands behind a name. */
enum net_tap_found {
	NET_TAP_NONE,
	NET_TAP_TAP,
	NET_TAP_TUN,
	NET_TAP_OTHER, /* an interface that is neither */
};

/* --- Questions -------------------------------------------------------------
 */

static struct ifreq net_tap_request(const struct net_tap_options *options)
{
	struct ifreq ifr = {0};

	/* Checked by net_tap_check_name(). */
	memcpy(ifr.ifr_name, options->name, strlen(options->name));
	return ifr;
}

/* As the kernel's dev_valid_name(), and no pattern for it to fill in. */
static int net_tap_check_name(const struct net_tap_options *options,
			      struct error *err)
{
	const char *name = options->name;
	size_t len = strlen(name);

	if (len == 0 || len >= IFNAMSIZ)
		return error_set(err, EINVAL,
				 "%s: the name of an interface has 1 to 15 "
				 "bytes, this has %zu",
				 options->option, len);
	if (strpbrk(name, "/:% \t\n\v\f\r") || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return error_set(err, EINVAL,
				 "%s: an interface cannot have this name; "
				 "expected one such as tap0",
				 options->option);
	return 0;
}

/* One request about the interface. */
static int net_tap_ask(const struct net_tap_options *options,
		       unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;
	void *data = ifr->ifr_data;
	short flags = ifr->ifr_flags;
	int mtu = ifr->ifr_mtu;

	/* A host may have no IPv4. */
	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	*ifr = net_tap_request(options);
	if (request == SIOCETHTOOL)
		ifr->ifr_data = data;
	else if (request == SIOCSIFFLAGS)
		ifr->ifr_flags = flags;
	else if (request == SIOCSIFMTU)
		ifr->ifr_mtu = mtu;
	ret = ioctl(fd, request, ifr) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static enum net_tap_found net_tap_find(const struct net_tap_options *options)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq ifr = {.ifr_data = (void *)&info};
	int ret = net_tap_ask(options, SIOCETHTOOL, &ifr);

	if (ret == -ENODEV)
		return NET_TAP_NONE;
	if (ret < 0 || strcmp(info.driver, "tun") != 0)
		return NET_TAP_OTHER;
	return strcmp(info.bus_info, "tap") == 0 ? NET_TAP_TAP : NET_TAP_TUN;
}

static bool net_tap_may_make(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {{0}};

	return syscall(SYS_capget, &head, data) == 0 &&
	       (data[0].effective & 1U << CAP_NET_ADMIN);
}

/* --- Refusals --------------------------------------------------------------
 */

static int net_tap_refuse_device(const struct net_tap_options *options,
				 int errnum, struct error *err)
{
	if (errnum == ENOENT || errnum == ENODEV || errnum == ENXIO)
		return error_set(err, errnum,
				 "%s: this host has no " NET_TAP_DEVICE
				 "; as root, run: modprobe tun; or use "
				 "--net user",
				 options->option);
	if (errnum == EACCES || errnum == EPERM)
		return error_set(
			err, errnum,
			"%s: " NET_TAP_DEVICE
			" may not be opened; as root, run: chmod 0666 " NET_TAP_DEVICE
			"; or use --net user",
			options->option);
	return error_set(err, errnum, "%s: " NET_TAP_DEVICE ": %s",
			 options->option, strerror(errnum));
}

static int net_tap_refuse_permission(const struct net_tap_options *options,
				     enum net_tap_found found,
				     struct error *err)
{
	const char *queues = options->pairs > 1 ? " multi_queue" : "";

	if (found == NET_TAP_NONE)
		return error_set(err, EPERM,
				 "%s: there is no such tap, and only root may "
				 "make one; as root, run: ip tuntap add dev %s "
				 "mode tap user %u%s; or use --net user",
				 options->option, options->name, getuid(),
				 queues);
	return error_set(err, EPERM,
			 "%s: this tap is for another user; as root, make it "
			 "anew: ip tuntap del dev %s mode tap%s; ip tuntap add "
			 "dev %s mode tap user %u%s",
			 options->option, options->name, queues, options->name,
			 getuid(), queues);
}

/* EINVAL: something else has this name, or it was made for fewer queues. */
static int net_tap_refuse_kind(const struct net_tap_options *options,
			       enum net_tap_found found, struct error *err)
{
	if (found == NET_TAP_TUN)
		return error_set(
			err, EINVAL,
			"%s: is a tun, which has no Ethernet frames; "
			"expected a tap, as of: ip tuntap add dev NAME "
			"mode tap",
			options->option);
	if (found == NET_TAP_OTHER)
		return error_set(err, EINVAL,
				 "%s: is an interface but not a tap; expected "
				 "one of: ip tuntap add dev NAME mode tap",
				 options->option);
	return error_set(err, EINVAL,
			 "%s: queues=%u: this tap was made for one queue; make "
			 "it anew: ip tuntap add dev %s mode tap multi_queue",
			 options->option, options->pairs, options->name);
}

static int net_tap_refuse(const struct net_tap_options *options, int errnum,
			  struct error *err)
{
	enum net_tap_found found = net_tap_find(options);

	switch (errnum) {
	case EPERM:
	case EACCES:
		return net_tap_refuse_permission(options, found, err);
	case EBUSY:
		return error_set(err, EBUSY,
				 "%s: another program is attached to this tap; "
				 "end it, or use another one",
				 options->option);
	case EINVAL:
		return net_tap_refuse_kind(options, found, err);
	case E2BIG:
		return error_set(err, E2BIG,
				 "%s: queues=%u: this tap has other users, and "
				 "not so many queues left",
				 options->option, options->pairs);
	default:
		return error_set(err, errnum, "%s: cannot attach: %s",
				 options->option, strerror(errnum));
	}
}

/* --- Attaching -------------------------------------------------------------
 */

/* One queue. Return: its descriptor, or -errno; err is set for NET_TAP_DEVICE
 * alone. */
static int net_tap_attach(const struct net_tap_options *options, bool multi,
			  struct error *err)
{
	struct ifreq ifr = net_tap_request(options);
	int fd = open(NET_TAP_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return net_tap_refuse_device(options, errno, err);
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (multi)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

static void net_tap_close(int *fds, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		close(fds[i]);
}

/* Every pair's. */
static int net_tap_attach_all(const struct net_tap_options *options, int *fds,
			      struct error *err)
{
	bool multi = options->pairs > 1;
	unsigned int count = 0;

	err->text[0] = '\0';
	while (count < options->pairs) {
		int fd = net_tap_attach(options, multi, err);

		/* One queue of a tap with several. */
		if (fd == -EINVAL && !multi &&
		    net_tap_find(options) == NET_TAP_TAP) {
			multi = true;
			continue;
		}
		if (fd < 0) {
			net_tap_close(fds, count);
			return err->text[0] ? fd
					    : net_tap_refuse(options, -fd, err);
		}
		fds[count++] = fd;
	}
	return 0;
}

/* The header's length and byte order are the whole interface's. */
static int net_tap_set_up(const struct net_tap_options *options, int fd,
			  uint64_t *features, struct error *err)
{
	const uint64_t all = NET_HOST_OFFLOADS | NET_GUEST_OFFLOADS;
	const uint64_t uso = NET_FEATURE(HOST_USO) | NET_FEATURE(GUEST_USO4) |
			     NET_FEATURE(GUEST_USO6);
	int size = sizeof(struct net_header), little = 1;

	*features = all;
	if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 ||
	    ioctl(fd, TUNSETVNETLE, &little) < 0)
		goto err_refuse;
	if (ioctl(fd, TUNSETOFFLOAD, net_tun_offloads(all)) < 0) {
		/* UDP segmentation came with Linux 6.2. */
		*features = all & ~uso;
		if (ioctl(fd, TUNSETOFFLOAD, net_tun_offloads(*features)) < 0)
			goto err_refuse;
	}
	if (ioctl(fd, TUNSETOFFLOAD, 0) < 0)
		goto err_refuse;
	return 0;

err_refuse:
	return error_set(err, errno,
			 "%s: this kernel's taps cannot do what a network "
			 "device needs: %s",
			 options->option, strerror(errno));
}

/* A tap of ours: its MTU, and up. */
static int net_tap_raise(const struct net_tap_options *options,
			 struct error *err)
{
	struct ifreq ifr = {0};
	int ret = 0;

	if (options->mtu) {
		ifr.ifr_mtu = options->mtu;
		ret = net_tap_ask(options, SIOCSIFMTU, &ifr);
	}
	if (ret == 0)
		ret = net_tap_ask(options, SIOCGIFFLAGS, &ifr);
	if (ret == 0) {
		ifr.ifr_flags |= IFF_UP;
		ret = net_tap_ask(options, SIOCSIFFLAGS, &ifr);
	}
	if (ret < 0)
		return error_set(err, -ret, "%s: was made, but not set up: %s",
				 options->option, strerror(-ret));
	return 0;
}

static void net_tap_hint(const struct net_tap_options *options)
{
	struct ifreq ifr = {0};

	if (net_tap_ask(options, SIOCGIFFLAGS, &ifr) == 0 &&
	    !(ifr.ifr_flags & IFF_UP))
		log_warn("%s: this tap is down, nothing gets through; as root, "
			 "run: ip link set %s up",
			 options->option, options->name);
}

/* Nothing is changed: without a tap, whether one could be made. */
static int net_tap_check(const struct net_tap_options *options,
			 enum net_tap_found found, struct error *err)
{
	int fd = open(NET_TAP_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return net_tap_refuse_device(options, errno, err);
	close(fd);
	if (found == NET_TAP_NONE && !net_tap_may_make())
		return net_tap_refuse_permission(options, found, err);
	if (found == NET_TAP_TUN || found == NET_TAP_OTHER)
		return net_tap_refuse_kind(options, found, err);
	return 0;
}

int net_tap_open(const struct net_tap_options *options, int *fds,
		 uint64_t *features, struct error *err)
{
	enum net_tap_found found;
	int ret = net_tap_check_name(options, err);

	if (ret < 0)
		return ret;
	found = net_tap_find(options);
	if (options->dry_run) {
		*features = 0;
		ret = net_tap_check(options, found, err);
		if (ret < 0 || found == NET_TAP_NONE)
			return ret;
	}
	ret = net_tap_attach_all(options, fds, err);
	if (ret < 0)
		return ret;
	if (!options->dry_run)
		ret = net_tap_set_up(options, fds[0], features, err);
	if (ret == 0 && found == NET_TAP_NONE)
		ret = net_tap_raise(options, err);
	else if (ret == 0)
		net_tap_hint(options);
	if (ret < 0 || options->dry_run)
		net_tap_close(fds, options->pairs);
	return ret;
}
