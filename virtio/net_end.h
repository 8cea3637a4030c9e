/*
 * The host's end of a network device: what takes the guest's frames and gives
 * it those of others. A tap or the stream to passt; in tests a pair of sockets.
 *
 * Every frame has a struct net_header before it, as the guest sees it. All
 * functions with the device's lock held; none blocks.
 */
#ifndef VIRTIO_NET_END_H
#define VIRTIO_NET_END_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_net.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "vmm/base/bytes.h"

#define NET_PAIRS_MAX 8
/* 65535 bytes of IP, an Ethernet header and a VLAN tag. */
#define NET_FRAME_MAX 65553

/* Newer than some kernel's headers (5.1.3, 5.1.6). */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO	56
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define NET_FEATURE(name) (UINT64_C(1) << VIRTIO_NET_F_##name)

/* What the guest may leave to the device when it sends. */
#define NET_HOST_OFFLOADS                                                      \
	(NET_FEATURE(CSUM) | NET_FEATURE(HOST_TSO4) | NET_FEATURE(HOST_TSO6) | \
	 NET_FEATURE(HOST_ECN) | NET_FEATURE(HOST_USO))
/* What it takes from the device when it receives (5.1.6.5.6). */
#define NET_GUEST_OFFLOADS                                   \
	(NET_FEATURE(GUEST_CSUM) | NET_FEATURE(GUEST_TSO4) | \
	 NET_FEATURE(GUEST_TSO6) | NET_FEATURE(GUEST_ECN) |  \
	 NET_FEATURE(GUEST_USO4) | NET_FEATURE(GUEST_USO6))

/* struct virtio_net_hdr, with VIRTIO_F_VERSION_1 always this long (5.1.6). */
struct net_header {
	uint8_t flags;
	uint8_t gso_type;
	le16 hdr_len;
	le16 gso_size;
	le16 csum_start;
	le16 csum_offset;
	le16 num_buffers;
};

static_assert(sizeof(struct net_header) == 12, "5.1.6");

struct net_end_ops {
	/* Readable when there are frames, writable when it takes some. */
	int (*fd)(void *end, unsigned int pair);
	/*
	 * The next frame into iov, header first; num_buffers is left alone.
	 * iov has room for any. Return: bytes; -EAGAIN: none; other errors:
	 * the end is lost.
	 */
	ssize_t (*receive)(void *end, unsigned int pair,
			   const struct iovec *iov, unsigned int count);
	/*
	 * Take one frame; iov[0] is its header. Return: 0; -EAGAIN: not now;
	 * -EINVAL, -EMSGSIZE, -EIO: never this one; others: the end is lost.
	 */
	int (*send)(void *end, unsigned int pair, const struct iovec *iov,
		    unsigned int count);
	/* Send what is left of a frame that was taken: 0, or -EAGAIN while
	 * there is some. NULL: never any. */
	int (*flush)(void *end);
	/* It holds frames that its descriptor does not tell of. NULL: never. */
	bool (*buffered)(void *end);
	/* A subset of NET_GUEST_OFFLOADS. NULL: it has none. */
	int (*set_offloads)(void *end, uint64_t offloads);
	/* The first so many pairs are in use. NULL: it has one. */
	int (*set_pairs)(void *end, unsigned int pairs);
	/* The cable. NULL: it does not care. */
	void (*set_link)(void *end, bool up);
	/* All its descriptors. Return: how many. */
	unsigned int (*keep_fds)(void *end, int *fds);
	void (*free)(void *end);
};

/* Given away as a whole, ctx owned. */
struct net_end {
	const struct net_end_ops *ops;
	void *ctx;
	uint64_t features; /* of NET_HOST_OFFLOADS, NET_GUEST_OFFLOADS */
	unsigned int pairs;
};

#endif
