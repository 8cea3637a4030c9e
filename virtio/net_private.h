/*
 * What the files of the network device share. Nobody else includes it but
 * their tests.
 */
#ifndef VIRTIO_NET_PRIVATE_H
#define VIRTIO_NET_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/device.h"
#include "virtio/net_end.h"
#include "virtio/net_mac.h"
#include "virtio/queue.h"
#include "vmm/base/log.h"

#define NET_QUEUE_SIZE	 256
#define NET_ETH_SIZE	 14
#define NET_MTU_MIN	 68 /* 5.1.4.1 */
#define NET_MTU_MAX	 65535
#define NET_MTU_STANDARD 1500
/* Addresses of each kind that are told apart; with more, all pass. */
#define NET_FILTER_MACS 64
#define NET_VLANS	4096
/* Header, Ethernet header, VLAN tag: what the device itself reads. */
#define NET_HEAD_SIZE 30
/* Frames that one queue may have in one turn of the loop. */
#define NET_BUDGET 128
/* After so many of them the driver sees those, and works on them while the
 * device goes on; more often would be an interrupt each time. */
#define NET_PUBLISH 16

/* What the driver has set up, and the cable: saved and restored. */
struct net_state {
	uint8_t mac[NET_MAC_SIZE];
	bool link;     /* as the user wants it */
	bool announce; /* VIRTIO_NET_S_ANNOUNCE */
	uint16_t pairs;
	uint64_t offloads; /* of NET_GUEST_OFFLOADS */
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	uint8_t unicast_count, multicast_count;
	uint8_t unicast[NET_FILTER_MACS][NET_MAC_SIZE];
	uint8_t multicast[NET_FILTER_MACS][NET_MAC_SIZE];
	bool unicast_all, multicast_all; /* the table was too long */
	uint8_t vlans[NET_VLANS / 8];
};

struct net_rx {
	struct virtqueue *queue; /* NULL: not active */
	/* Gathered ahead, oldest first. */
	struct virtqueue_chain *chains[NET_QUEUE_SIZE];
	unsigned int count, iovecs;
	uint64_t space; /* bytes in them */
	bool starved;	/* waits for a kick */
	bool resting;	/* waits for net_pace.timer */
	bool given;	/* the driver got some in this turn */
	/* A frame that is longer than space: its first bytes are in the
	 * chains, the rest in spill. */
	uint64_t frame; /* bytes with the header; 0: none */
	uint64_t filled;
	uint64_t last; /* bytes of the last frame, with the header */
	uint8_t head[NET_HEAD_SIZE];
	uint8_t *spill; /* owned, NET_SPILL_SIZE */
};

#define NET_SPILL_SIZE (sizeof(struct net_header) + NET_FRAME_MAX + 1)

struct net_tx {
	struct virtqueue *queue;
	struct virtqueue_chain *chain; /* the end did not take it yet */
};

struct net;

struct net_pair {
	struct net *net;
	unsigned int index;
	struct net_rx rx;
	struct net_tx tx;
	struct virtio_watch *watch;
	uint32_t events; /* that it waits for */
};

struct net_counters {
	uint64_t rx_frames, rx_bytes;
	uint64_t rx_filtered; /* not for this guest */
	uint64_t rx_dropped;  /* no room, or nothing that it takes */
	uint64_t tx_frames, tx_bytes;
	uint64_t tx_invalid; /* the guest's header or length is wrong */
	uint64_t tx_dropped; /* the link is down, or the end refused */
};

/* How often the device looks for frames: see net_pace.c. */
struct net_pace {
	struct virtio_timer *timer;
	bool set;	 /* the timer is */
	bool receives;	 /* many more frames come than go */
	int64_t balance; /* frames that came less those that went, since ... */
	int64_t since;	 /* ... then: as loop_now() */
};

struct net_config {
	uint8_t mac[NET_MAC_SIZE];
	uint16_t mtu; /* 0: not said */
};

struct net {
	struct virtio_device *device; /* borrowed */
	struct net_end end;	      /* owned */
	struct net_config config;
	struct net_state state;
	bool lost;     /* the end is gone for good */
	bool restored; /* tell the neighbours at the next wake */
	struct net_pair pairs[NET_PAIRS_MAX];
	struct virtqueue *control;
	struct virtio_timer *timer; /* for frames in net_rx.spill */
	struct net_pace pace;
	struct net_counters counters;
	struct log_limit log;
};

/**
 * net_new() - Make the model around an end.
 * @end: taken, also on failure
 *
 * From virtio_device_ops.create. Return: 0 or a negative errno, @err set.
 */
int net_new(struct net **out, struct virtio_device *device,
	    const struct net_config *config, const struct net_end *end,
	    struct error *err);

/* What net_new() made, and the end. */
void net_free(struct net *net);

/* virtio_device_ops.open, in net_open.c. */
int net_open(const struct virtio_open *open, struct virtio_resources *out,
	     struct error *err);
/* virtio_device_ops.reopen and .helper: passt. */
int net_reopen(const struct virtio_open *open,
	       struct virtio_resources *resources, struct error *err);
int net_helper(const struct virtio_resources *resources);

/* --- net.c: what the parts need of the whole --------------------------------
 */

/* Link as the guest sees it. */
bool net_link(const struct net *net);
/* Wait for what the pair can use now. */
void net_pair_rearm(struct net_pair *pair);
/* Whether it is among those in use. */
bool net_pair_used(const struct net_pair *pair);
/* Have queue_ready() called in the loop's next turn. */
void net_pair_again(struct net_pair *pair, bool rx);
void net_control_again(struct net *net);
/* The end is gone: link down. */
void net_lose(struct net *net, int error);
/* The guest broke it: no queues are left after it. */
void net_fail(struct net *net, const char *why);
/* Tell the guest to tell its neighbours where it is (5.1.6.5.4). */
void net_announce(struct net *net);
/* Offloads and pairs of state, to the end. */
void net_apply(struct net *net);

/* --- net_rx.c, net_tx.c -----------------------------------------------------
 */

void net_rx_run(struct net_pair *pair);
/* Drop every chain and frame, keep the queue. */
void net_rx_drop(struct net_rx *rx);
/* Frames that wait for buffers waited long enough. */
void net_rx_timeout(void *self);
void net_tx_run(struct net_pair *pair);
/* Not sent and not given back: the queue has it as not taken. */
void net_tx_drop(struct net_tx *tx);
/* Give a frame back that will not be sent any more. */
void net_tx_discard(struct net_pair *pair);

/* --- net_pace.c -------------------------------------------------------------
 */

int net_pace_init(struct net *net);
/* A turn is over, now by loop_now(): see how things stand. */
void net_pace_measure(struct net_pace *pace, int64_t now);
/* Have net_rx_run() called for whoever rests, in a moment. */
void net_pace_rest(struct net *net);
void net_pace_stop(struct net *net);

/* --- net_header.c -----------------------------------------------------------
 */

/**
 * net_header_check_tx() - May a frame with this header go out?
 * @header: a copy; what means nothing is cleared in it
 * @len: bytes of the frame, without the header
 * @features: what the driver accepted
 *
 * Return: 0, or -EINVAL.
 */
int net_header_check_tx(struct net_header *header, uint64_t len,
			uint64_t features);
/* The same for one that the end gave; offloads: net_state.offloads. */
int net_header_check_rx(struct net_header *header, uint64_t offloads);

/* --- net_filter.c -----------------------------------------------------------
 */

/* State of a device that no driver has set up. Keeps link. */
void net_filter_reset(struct net_state *state);
/**
 * net_filter_pass() - Is the frame for this guest (5.1.6.5.1 to 5.1.6.5.3)?
 * @frame: its first bytes, @len of them: an Ethernet header and, if there is
 *	   more, what follows
 */
bool net_filter_pass(const struct net_state *state, uint64_t features,
		     const uint8_t *frame, size_t len);

/* --- net_control.c ----------------------------------------------------------
 */

void net_control_run(struct net *net);

/* --- net_state.c: virtio_device_ops' ---------------------------------------
 */

int net_snapshot(void *self, json_t **out);
int net_restore(void *self, const json_t *value, struct error *err);
int net_command(void *self, const char *name, const json_t *args,
		json_t **reply, struct error *err);

#endif
