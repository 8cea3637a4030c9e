/*
 * The stream to passt as the end of a network device: each frame behind its
 * length, four bytes in network order; no header, no offloads.
 */
#ifndef VIRTIO_NET_USER_H
#define VIRTIO_NET_USER_H

#include "virtio/device.h"
#include "virtio/net_end.h"
#include "vmm/base/error.h"

/* Where net_open() puts what. */
enum net_user_fd {
	NET_USER_STREAM, /* a stream socket, non-blocking */
	NET_USER_PID,	 /* pidfd_open(2) of passt */
	NET_USER_LOG,	 /* its stderr, a pipe, non-blocking */
	NET_USER_FDS,
};

/* From what net_open() made of it; from create(). Return: 0 or a negative
 * errno, @err set. */
int net_user_end(struct net_end *out, struct virtio_device *device,
		 const struct virtio_resources *resources, struct error *err);

#endif
