/*
 * A guest's driver for the network device, and the network that it is on: a
 * pair of sockets for each pair of queues, a packet of which is a frame with
 * its struct net_header, as a tap has it.
 */
#ifndef TESTS_UNIT_SUPPORT_NET_DRIVER_H
#define TESTS_UNIT_SUPPORT_NET_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/support/model_driver.h"
#include "virtio/net_private.h"

struct net_driver {
	struct model_driver guest;
	struct net *net;	  /* the model; owned by the device */
	int peers[NET_PAIRS_MAX]; /* the other ends, owned */
};

/* What the device asked of its end last, on its loop's thread. */
struct net_driver_asked {
	uint64_t offloads;
	_Atomic unsigned int pairs;
	int link; /* -1: nothing yet */
};

extern struct net_driver_asked net_driver_asked;

/* What virtio_net_ops is but for its end. */
const struct virtio_device_ops *net_driver_ops(void);

/* features: of the end, as in struct net_end. One at a time. */
void net_driver_init(struct net_driver *driver, unsigned int pairs,
		     uint64_t features, uint16_t mtu);
void net_driver_fini(struct net_driver *driver);

/* Its own address, as the description has it. */
extern const uint8_t net_driver_mac[NET_MAC_SIZE];

/* @len bytes to that address, ethertype 0x88b5, then counting from @seed. */
void net_driver_frame(uint8_t *frame, size_t len, uint8_t seed);

/* A frame from the network; header may be NULL for none. */
void net_driver_from_peer(struct net_driver *driver, unsigned int pair,
			  const struct net_header *header, const void *frame,
			  size_t len);
/* The next frame that came to the network, -1 if there is none. */
ssize_t net_driver_to_peer(struct net_driver *driver, unsigned int pair,
			   struct net_header *header, void *frame, size_t len);

/* Give @count receive buffers of @len bytes each, and kick. */
void net_driver_give(struct net_driver *driver, unsigned int pair,
		     unsigned int count, uint32_t len);
/*
 * Collect a received frame from its buffers, of @len bytes each.
 * Return: its length without the header; -1 if there is none.
 */
ssize_t net_driver_received(struct net_driver *driver, unsigned int pair,
			    struct net_header *header, void *frame,
			    size_t size);
/* Send a frame; header may be NULL. Does not turn the loop. */
void net_driver_send(struct net_driver *driver, unsigned int pair,
		     const struct net_header *header, const void *frame,
		     size_t len);
/* One command. Return: the answer; -1: none came. */
int net_driver_control(struct net_driver *driver, unsigned int class,
		       unsigned int command, const void *data, size_t len);

/* A counter by name, as the command "counters" has it. */
uint64_t net_driver_counter(struct net_driver *driver, const char *name);
/* VIRTIO_NET_S_* */
uint16_t net_driver_status(struct net_driver *driver);

#endif
