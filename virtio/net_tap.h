/*
 * A tap of the host's as the end of a network device
 * (Documentation/networking/tuntap.rst): a descriptor for each pair of queues.
 */
#ifndef VIRTIO_NET_TAP_H
#define VIRTIO_NET_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/device.h"
#include "virtio/net_end.h"
#include "vmm/base/error.h"

struct net_tap_options {
	const char *option; /* for messages: "--net tap=tap0" */
	const char *name;
	unsigned int pairs; /* 1 to NET_PAIRS_MAX */
	uint16_t mtu;	    /* of one that is made; 0: the kernel's default */
	bool dry_run;
};

/**
 * net_tap_open() - Attach to a tap, or make one where that is allowed.
 * @fds: room for NET_PAIRS_MAX; owned by the caller. With dry_run none is left
 * @features: what it can do, of struct net_end's
 *
 * One that was made is up, and gone when the last descriptor is. In main.
 * Return: 0 or a negative errno, @err set.
 */
int net_tap_open(const struct net_tap_options *options, int *fds,
		 uint64_t *features, struct error *err);

/* From what net_open() made of it. Return: 0 or a negative errno, @err set. */
int net_tap_end(struct net_end *out, const struct virtio_resources *resources,
		struct error *err);

#endif
