/*
 * struct virtio_net_hdr, both ways (virtio 1.3, 5.1.6.2 and 5.1.6.4). What the
 * guest wrote is checked here before the host's kernel sees it; what the end
 * gave is checked against what the driver takes, since offloads may have
 * changed while the frame was queued.
 */
#include "virtio/net_private.h"

#include <errno.h>

/* The feature that a kind of segmentation needs, or 0. */
static uint64_t net_header_feature(uint8_t gso, bool tx)
{
	switch (gso) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return tx ? NET_FEATURE(HOST_TSO4) : NET_FEATURE(GUEST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return tx ? NET_FEATURE(HOST_TSO6) : NET_FEATURE(GUEST_TSO6);
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		/* The end has none of them, or all. */
		return tx ? NET_FEATURE(HOST_USO) : NET_FEATURE(GUEST_USO4);
	default:
		return 0;
	}
}

/* A segmented frame's fields. */
static int net_header_check_gso(const struct net_header *header, bool tx,
				uint64_t features)
{
	uint8_t gso = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	uint64_t ecn = tx ? NET_FEATURE(HOST_ECN) : NET_FEATURE(GUEST_ECN);

	if (!(net_header_feature(gso, tx) & features))
		return -EINVAL;
	if (header->gso_type != gso &&
	    (gso == VIRTIO_NET_HDR_GSO_UDP_L4 || !(features & ecn)))
		return -EINVAL;
	if (!le16_get(header->gso_size) ||
	    !(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return -EINVAL;
	return 0;
}

int net_header_check_tx(struct net_header *header, uint64_t len,
			uint64_t features)
{
	uint32_t sum_end = (uint32_t)le16_get(header->csum_start) +
			   le16_get(header->csum_offset) + 2;

	if (len < NET_ETH_SIZE || len > NET_FRAME_MAX)
		return -EINVAL;
	header->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header->num_buffers = le16_of(0);
	if (header->flags) {
		if (!(features & NET_FEATURE(CSUM)) || sum_end > len)
			return -EINVAL;
	} else {
		header->csum_start = le16_of(0);
		header->csum_offset = le16_of(0);
	}
	/* Only a hint without VIRTIO_NET_F_GUEST_HDRLEN. */
	if (le16_get(header->hdr_len) > len)
		header->hdr_len = le16_of(0);
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		header->hdr_len = le16_of(0);
		header->gso_size = le16_of(0);
		return 0;
	}
	return net_header_check_gso(header, true, features);
}

int net_header_check_rx(struct net_header *header, uint64_t offloads)
{
	header->flags &=
		VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	if (!(offloads & NET_FEATURE(GUEST_CSUM))) {
		if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			return -EINVAL;
		header->flags = 0;
	}
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return 0;
	return net_header_check_gso(header, false, offloads);
}
