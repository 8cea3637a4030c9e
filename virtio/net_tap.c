/*
 * The tap as an end: a frame a call, with struct net_header before it, as
 * TUNSETVNETHDRSZ has asked for. What comes from it is the host's kernel's; the
 * frames are anybody's.
 */
#include "virtio/net_tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "virtio/net_private.h"
#include "virtio/net_tun.h"

struct net_tap {
	int fds[NET_PAIRS_MAX]; /* borrowed from the resources */
	unsigned int pairs;
};

static int net_tap_fd(void *end, unsigned int pair)
{
	struct net_tap *tap = end;

	return tap->fds[pair];
}

static ssize_t net_tap_receive(void *end, unsigned int pair,
			       const struct iovec *iov, unsigned int count)
{
	struct net_tap *tap = end;
	ssize_t len;

	do {
		len = readv(tap->fds[pair], iov, (int)count);
	} while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : len;
}

/* What writev(2) said, as net_end_ops.send has it. */
static int net_tap_error(int errnum)
{
	switch (errnum) {
	case EAGAIN:
		return -EAGAIN;
	case EBADFD: /* the interface was deleted */
	case ENODEV:
		return -ENODEV;
	default: /* it is down, or does not like the frame */
		return -EIO;
	}
}

static int net_tap_send(void *end, unsigned int pair, const struct iovec *iov,
			unsigned int count)
{
	struct net_tap *tap = end;
	ssize_t len;

	do {
		len = writev(tap->fds[pair], iov, (int)count);
	} while (len < 0 && errno == EINTR);
	return len < 0 ? net_tap_error(errno) : 0;
}

/* The kernel knows TUN_F_USO4 and TUN_F_USO6 only together, and each but
 * TUN_F_CSUM only with that. */
unsigned long net_tun_offloads(uint64_t offloads)
{
	const uint64_t uso = NET_FEATURE(GUEST_USO4) | NET_FEATURE(GUEST_USO6);
	const uint64_t tso = NET_FEATURE(GUEST_TSO4) | NET_FEATURE(GUEST_TSO6);
	unsigned long flags = TUN_F_CSUM;

	if (!(offloads & NET_FEATURE(GUEST_CSUM)))
		return 0;
	if (offloads & NET_FEATURE(GUEST_TSO4))
		flags |= TUN_F_TSO4;
	if (offloads & NET_FEATURE(GUEST_TSO6))
		flags |= TUN_F_TSO6;
	if ((offloads & tso) && (offloads & NET_FEATURE(GUEST_ECN)))
		flags |= TUN_F_TSO_ECN;
	if ((offloads & uso) == uso)
		flags |= TUN_F_USO4 | TUN_F_USO6;
	return flags;
}

static int net_tap_set_offloads(void *end, uint64_t offloads)
{
	struct net_tap *tap = end;

	if (ioctl(tap->fds[0], TUNSETOFFLOAD, net_tun_offloads(offloads)) < 0)
		return -errno;
	return 0;
}

/* A queue that nobody reads must not get its share of the frames. */
static int net_tap_set_pairs(void *end, unsigned int pairs)
{
	struct net_tap *tap = end;

	for (unsigned int i = 1; i < tap->pairs; i++) {
		struct ifreq ifr = {
			.ifr_flags =
				i < pairs ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE,
		};

		/* EINVAL: it is so already. */
		if (ioctl(tap->fds[i], TUNSETQUEUE, &ifr) < 0 &&
		    errno != EINVAL)
			return -errno;
	}
	return 0;
}

/* For whoever looks from the host; older kernels have no such call. */
static void net_tap_set_link(void *end, bool up)
{
	struct net_tap *tap = end;
	int carrier = up;

	ioctl(tap->fds[0], TUNSETCARRIER, &carrier);
}

static unsigned int net_tap_keep_fds(void *end, int *fds)
{
	struct net_tap *tap = end;

	memcpy(fds, tap->fds, tap->pairs * sizeof(fds[0]));
	return tap->pairs;
}

static void net_tap_free(void *end)
{
	free(end);
}

static const struct net_end_ops net_tap_ops = {
	.fd = net_tap_fd,
	.receive = net_tap_receive,
	.send = net_tap_send,
	.set_offloads = net_tap_set_offloads,
	.set_pairs = net_tap_set_pairs,
	.set_link = net_tap_set_link,
	.keep_fds = net_tap_keep_fds,
	.free = net_tap_free,
};

int net_tap_end(struct net_end *out, const struct virtio_resources *resources,
		struct error *err)
{
	json_int_t features;
	struct net_tap *tap;

	if (json_unpack(resources->description, "{s:I}", "features",
			&features) < 0 ||
	    features & ~(json_int_t)(NET_HOST_OFFLOADS | NET_GUEST_OFFLOADS) ||
	    resources->fd_count < 1 || resources->fd_count > NET_PAIRS_MAX)
		return error_set(err, EINVAL, "a bad description of a tap");
	tap = calloc(1, sizeof(*tap));
	if (!tap)
		return error_set(err, ENOMEM, "out of memory");
	tap->pairs = resources->fd_count;
	memcpy(tap->fds, resources->fds, tap->pairs * sizeof(tap->fds[0]));
	*out = (struct net_end){
		.ops = &net_tap_ops,
		.ctx = tap,
		.features = (uint64_t)features,
		.pairs = tap->pairs,
	};
	return 0;
}
