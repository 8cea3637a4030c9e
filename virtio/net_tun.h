/*
 * What <linux/if_tun.h> of older kernels lacks, and what both files of the tap
 * need of it.
 */
#ifndef VIRTIO_NET_TUN_H
#define VIRTIO_NET_TUN_H

#include <stdint.h>

#include <linux/if_tun.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* TUNSETOFFLOAD's flags for a subset of NET_GUEST_OFFLOADS. */
unsigned long net_tun_offloads(uint64_t offloads);

#endif
