/*
 * The network device (virtio 1.3, 5.1): its queues, configuration and life.
 * The frames' ways are in net_rx.c and net_tx.c, commands in net_control.c,
 * what is on the host's side in net_tap.c and net_user.c.
 *
 * Queues: receive and transmit of pair 0, of pair 1, ..., and control, whose
 * place depends on VIRTIO_NET_F_MQ (5.1.2).
 */
#include "virtio/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "virtio/net_passt.h"
#include "virtio/net_private.h"
#include "virtio/net_tap.h"
#include "virtio/net_user.h"
#include "vmm/base/json.h"

#define NET_CLASS 0x020000 /* Ethernet controller */
/* With this the descriptor is out of the loop after one last event, if any:
 * epoll reports EPOLLERR and EPOLLHUP to those that wait for nothing. */
#define NET_EVENTS_NONE EPOLLONESHOT

/* struct virtio_net_config (5.1.4), as far as it is offered. */
struct net_layout {
	uint8_t mac[NET_MAC_SIZE];
	le16 status;
	le16 max_virtqueue_pairs;
	le16 mtu;
};

static_assert(sizeof(struct net_layout) == 12, "5.1.4");
static_assert(offsetof(struct net_layout, mtu) == 10, "5.1.4");

static const struct json_field net_fields[] = {
	JSON_BLOB(struct net_state, mac),
	JSON_BOOL(struct net_state, link),
	JSON_BOOL(struct net_state, announce),
	JSON_UINT_MAX(struct net_state, pairs, NET_PAIRS_MAX),
	JSON_UINT(struct net_state, offloads),
	JSON_BOOL(struct net_state, promisc),
	JSON_BOOL(struct net_state, allmulti),
	JSON_BOOL(struct net_state, alluni),
	JSON_BOOL(struct net_state, nomulti),
	JSON_BOOL(struct net_state, nouni),
	JSON_BOOL(struct net_state, nobcast),
	JSON_UINT_MAX(struct net_state, unicast_count, NET_FILTER_MACS),
	JSON_UINT_MAX(struct net_state, multicast_count, NET_FILTER_MACS),
	JSON_BLOB(struct net_state, unicast),
	JSON_BLOB(struct net_state, multicast),
	JSON_BOOL(struct net_state, unicast_all),
	JSON_BOOL(struct net_state, multicast_all),
	JSON_BLOB(struct net_state, vlans),
};

#define NET_FIELDS (sizeof(net_fields) / sizeof(net_fields[0]))

bool net_link(const struct net *net)
{
	return net->state.link && !net->lost;
}

bool net_pair_used(const struct net_pair *pair)
{
	return pair->index < pair->net->state.pairs;
}

static bool net_end_unsent(const struct net *net)
{
	return net->end.ops->flush &&
	       net->end.ops->flush(net->end.ctx) == -EAGAIN;
}

void net_pair_rearm(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;
	struct net_tx *tx = &pair->tx;
	uint32_t events = 0;

	if (net_pair_used(pair) && !pair->net->lost) {
		if (rx->queue && !rx->starved && !rx->frame)
			events |= EPOLLIN;
		if (tx->queue && (tx->chain || net_end_unsent(pair->net)))
			events |= EPOLLOUT;
	}
	if (!events)
		events = NET_EVENTS_NONE;
	if (events == pair->events)
		return;
	pair->events = events;
	virtio_watch_set(pair->watch, events);
}

/* Through the doorbell, so that others have their turn before. */
static void net_again(struct net *net, unsigned int index)
{
	eventfd_write(virtio_device_kick_fd(net->device, index), 1);
}

void net_pair_again(struct net_pair *pair, bool rx)
{
	net_again(pair->net, 2 * pair->index + !rx);
}

static unsigned int net_control_index(const struct net *net)
{
	return virtio_device_acked(net->device) & NET_FEATURE(MQ)
		       ? 2 * net->end.pairs
		       : 2;
}

void net_control_again(struct net *net)
{
	net_again(net, net_control_index(net));
}

void net_lose(struct net *net, int error)
{
	if (net->lost)
		return;
	net->lost = true;
	log_warn("%s: the network is gone (%s), the link is down",
		 virtio_device_label(net->device), strerror(error));
	for (unsigned int i = 0; i < net->end.pairs; i++) {
		/* Nobody will say any more that there is room. */
		if (net->pairs[i].tx.chain)
			net_pair_again(&net->pairs[i], false);
		net_pair_rearm(&net->pairs[i]);
	}
	virtio_device_config_changed(net->device);
}

/* Drop all chains, forget all queues. */
static void net_stop(struct net *net)
{
	virtio_timer_set(net->timer, 0);
	net->control = NULL;
	for (unsigned int i = 0; i < net->end.pairs; i++) {
		struct net_pair *pair = &net->pairs[i];

		net_rx_drop(&pair->rx);
		net_tx_drop(&pair->tx);
		pair->rx.queue = NULL;
		pair->tx.queue = NULL;
		net_pair_rearm(pair);
	}
}

void net_fail(struct net *net, const char *why)
{
	log_limited(&net->log, LOG_WARN, "%s: the guest made %s; until it "
		    "resets the device, there is no network",
		    virtio_device_label(net->device), why);
	net_stop(net);
	virtio_device_needs_reset(net->device);
}

void net_announce(struct net *net)
{
	if (!(virtio_device_acked(net->device) & NET_FEATURE(GUEST_ANNOUNCE)))
		return;
	net->state.announce = true;
	virtio_device_config_changed(net->device);
}

void net_apply(struct net *net)
{
	const struct net_end_ops *ops = net->end.ops;
	int ret = 0;

	if (net->lost)
		return;
	if (ops->set_offloads)
		ret = ops->set_offloads(net->end.ctx, net->state.offloads);
	if (ret == 0 && ops->set_pairs)
		ret = ops->set_pairs(net->end.ctx, net->state.pairs);
	if (ret < 0)
		net_lose(net, -ret);
}

/* A descriptor of the end's is ready. */
static void net_pair_event(void *self, uint32_t events)
{
	struct net_pair *pair = self;

	/* An event that disarmed itself. */
	if (pair->events == NET_EVENTS_NONE && !net_pair_used(pair))
		return;
	if (events & (EPOLLERR | EPOLLHUP)) {
		net_lose(pair->net, ENODEV);
		return;
	}
	if (events & EPOLLOUT)
		net_tx_run(pair);
	if (events & EPOLLIN)
		net_rx_run(pair);
}
