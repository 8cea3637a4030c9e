/*
 * The network device (virtio 1.3, 5.1): its queues, configuration and life.
 * The frames' ways are in net_rx.c and net_tx.c, the driver's commands in
 * net_control.c, those of the user in net_state.c, what is on the host's side
 * in net_tap.c and net_user.c.
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

#include "virtio/net_private.h"
#include "virtio/net_tap.h"
#include "virtio/net_user.h"
#include "virtio/seccomp.h"

#define NET_DEVICE_ID  1	/* 5.1.1 */
#define NET_CLASS_CODE 0x020000 /* PCI: Ethernet controller */

/* struct virtio_net_config (5.1.4), as far as it is offered. */
struct net_layout {
	uint8_t mac[NET_MAC_SIZE];
	le16 status;
	le16 max_virtqueue_pairs;
	le16 mtu;
};

static_assert(sizeof(struct net_layout) == 12, "5.1.4");
static_assert(offsetof(struct net_layout, mtu) == 10, "5.1.4");

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
	/* A tap's queue that is not in use always has EPOLLERR. */
	uint32_t events = 0;

	if (net_pair_used(pair) && !pair->net->lost) {
		events = EPOLLERR | EPOLLHUP;
		if (rx->queue && !rx->starved && !rx->frame && !rx->resting)
			events |= EPOLLIN;
		if (tx->queue && (tx->chain || net_end_unsent(pair->net)))
			events |= EPOLLOUT;
	}
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

/* 5.1.2 */
static unsigned int net_control_index(const struct net *net)
{
	bool mq = virtio_device_acked(net->device) & NET_FEATURE(MQ);

	return mq ? 2 * net->end.pairs : 2;
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
	net_pace_stop(net);
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
	log_limited(&net->log, LOG_WARN,
		    "%s: the guest made %s; until it "
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

	if (events & (EPOLLERR | EPOLLHUP)) {
		net_lose(pair->net, ENODEV);
		return;
	}
	if (events & EPOLLOUT)
		net_tx_run(pair);
	if (events & EPOLLIN)
		net_rx_run(pair);
}

/* --- Making ----------------------------------------------------------------
 */

void net_free(struct net *net)
{
	for (unsigned int i = 0; i < net->end.pairs; i++)
		free(net->pairs[i].rx.spill);
	net->end.ops->free(net->end.ctx);
	free(net);
}

static int net_init_pair(struct net *net, unsigned int index)
{
	struct net_pair *pair = &net->pairs[index];

	pair->net = net;
	pair->index = index;
	pair->rx.spill = malloc(NET_SPILL_SIZE);
	if (!pair->rx.spill)
		return -ENOMEM;
	return virtio_device_watch(net->device, &pair->watch,
				   net->end.ops->fd(net->end.ctx, index), 0,
				   net_pair_event, pair);
}

int net_new(struct net **out, struct virtio_device *device,
	    const struct net_config *config, const struct net_end *end,
	    struct error *err)
{
	struct net *net = calloc(1, sizeof(*net));
	int ret;

	if (!net) {
		end->ops->free(end->ctx);
		return error_set(err, ENOMEM, "%s: out of memory",
				 virtio_device_label(device));
	}
	net->device = device;
	net->end = *end;
	net->config = *config;
	net->state.link = true;
	net_filter_reset(&net->state);
	memcpy(net->state.mac, config->mac, NET_MAC_SIZE);
	ret = virtio_device_timer(device, &net->timer, net_rx_timeout, net);
	if (ret == 0)
		ret = net_pace_init(net);
	for (unsigned int i = 0; ret == 0 && i < end->pairs; i++)
		ret = net_init_pair(net, i);
	if (ret < 0) {
		net_free(net);
		return error_set(err, -ret, "%s: %s",
				 virtio_device_label(device), strerror(-ret));
	}
	net_apply(net);
	for (unsigned int i = 0; i < end->pairs; i++)
		net_pair_rearm(&net->pairs[i]);
	*out = net;
	return 0;
}

static int net_create(void **self, struct virtio_device *device,
		      const struct virtio_resources *resources,
		      struct error *err)
{
	const char *label = virtio_device_label(device);
	struct net_config config = {0};
	struct net_end end;
	const char *kind, *mac;
	int mtu, ret;
	struct net *net = NULL;

	if (json_unpack(resources->description, "{s:s, s:s, s:i}", "kind",
			&kind, "mac", &mac, "mtu", &mtu) < 0 ||
	    net_mac_parse(mac, config.mac) < 0 || mtu < 0 || mtu > NET_MTU_MAX)
		return error_set(err, EINVAL, "%s: a bad description", label);
	config.mtu = (uint16_t)mtu;
	if (strcmp(kind, "tap") == 0)
		ret = net_tap_end(&end, resources, err);
	else
		ret = net_user_end(&end, device, resources, err);
	if (ret < 0)
		return ret;
	ret = net_new(&net, device, &config, &end, err);
	if (ret == 0)
		*self = net;
	return ret;
}

static void net_destroy(void *self)
{
	net_free(self);
}

static unsigned int net_keep_fds(void *self, int *fds)
{
	struct net *net = self;

	return net->end.ops->keep_fds(net->end.ctx, fds);
}

/* --- What does not change --------------------------------------------------
 */

static unsigned int net_queue_max_sizes(void *self, uint16_t *sizes)
{
	struct net *net = self;
	unsigned int count = 2 * net->end.pairs + 1;

	for (unsigned int i = 0; i < count; i++)
		sizes[i] = NET_QUEUE_SIZE;
	return count;
}

static uint64_t net_features(void *self)
{
	struct net *net = self;
	uint64_t features =
		net->end.features | NET_FEATURE(MAC) | NET_FEATURE(STATUS) |
		NET_FEATURE(MRG_RXBUF) | NET_FEATURE(CTRL_VQ) |
		NET_FEATURE(CTRL_RX) | NET_FEATURE(CTRL_RX_EXTRA) |
		NET_FEATURE(CTRL_VLAN) | NET_FEATURE(CTRL_MAC_ADDR) |
		NET_FEATURE(GUEST_ANNOUNCE);

	if (net->end.features & NET_GUEST_OFFLOADS)
		features |= NET_FEATURE(CTRL_GUEST_OFFLOADS);
	if (net->config.mtu)
		features |= NET_FEATURE(MTU);
	if (net->end.pairs > 1)
		features |= NET_FEATURE(MQ);
	return features;
}

static size_t net_config_size(void *self)
{
	(void)self;
	return sizeof(struct net_layout);
}

static void net_read_config(void *self, size_t offset, void *data, size_t len)
{
	const struct net *net = self;
	uint16_t status = net_link(net) ? VIRTIO_NET_S_LINK_UP : 0;
	struct net_layout layout;

	if (net->state.announce)
		status |= VIRTIO_NET_S_ANNOUNCE;
	memcpy(layout.mac, net->state.mac, NET_MAC_SIZE);
	layout.status = le16_of(status);
	layout.max_virtqueue_pairs = le16_of((uint16_t)net->end.pairs);
	layout.mtu = le16_of(net->config.mtu);
	memcpy(data, (const uint8_t *)&layout + offset, len);
}

/* --- The course of its life ------------------------------------------------
 */

/* Without a control queue, whoever has it gives us the queues of those pairs
 * that the driver uses, and takes them away: a vhost-user frontend. */
static uint16_t net_pairs_given(const struct net *net)
{
	uint16_t pairs = 0;

	while (pairs < net->end.pairs && net->pairs[pairs].rx.queue &&
	       net->pairs[pairs].tx.queue)
		pairs++;
	return pairs ? pairs : 1;
}

/* The queues: all are the device's now. */
static void net_take(struct net *net, struct virtqueue *const *queues)
{
	for (unsigned int i = 0; i < net->end.pairs; i++) {
		if (2 * i == net_control_index(net))
			break;
		net->pairs[i].rx.queue = queues[2 * i];
		net->pairs[i].tx.queue = queues[2 * i + 1];
	}
	if (virtio_device_acked(net->device) & NET_FEATURE(CTRL_VQ))
		net->control = queues[net_control_index(net)];
	else
		net->state.pairs = net_pairs_given(net);
	net_apply(net);
	for (unsigned int i = 0; i < net->end.pairs; i++)
		net_pair_rearm(&net->pairs[i]);
}

static int net_activate(void *self, struct virtqueue *const *queues)
{
	struct net *net = self;

	net->state.offloads =
		virtio_device_acked(net->device) & NET_GUEST_OFFLOADS;
	net_take(net, queues);
	return 0;
}

static void net_queue_ready(void *self, unsigned int index)
{
	struct net *net = self;

	if (index == net_control_index(net))
		net_control_run(net);
	else if (index >= 2 * net->end.pairs)
		return;
	else if (index % 2 == 0)
		net_rx_run(&net->pairs[index / 2]);
	else
		net_tx_run(&net->pairs[index / 2]);
}

static void net_reset(void *self)
{
	struct net *net = self;

	net_stop(net);
	net_filter_reset(&net->state);
	memcpy(net->state.mac, net->config.mac, NET_MAC_SIZE);
	net_apply(net);
	for (unsigned int i = 0; i < net->end.pairs; i++)
		net_pair_rearm(&net->pairs[i]);
}

static void net_queue_reset(void *self, unsigned int index)
{
	struct net *net = self;
	struct net_pair *pair = &net->pairs[index / 2];

	if (index == net_control_index(net)) {
		net->control = NULL;
		return;
	}
	if (index >= 2 * net->end.pairs)
		return;
	if (index % 2 == 0) {
		net_rx_drop(&pair->rx);
		pair->rx.queue = NULL;
	} else {
		net_tx_drop(&pair->tx);
		pair->tx.queue = NULL;
	}
	net_pair_rearm(pair);
}

static int net_queue_enable(void *self, unsigned int index,
			    struct virtqueue *queue)
{
	struct net *net = self;
	struct net_pair *pair = &net->pairs[index / 2];

	if (index == net_control_index(net)) {
		net->control = queue;
		return 0;
	}
	if (index >= 2 * net->end.pairs)
		return 0;
	if (index % 2 == 0)
		pair->rx.queue = queue;
	else
		pair->tx.queue = queue;
	net_pair_rearm(pair);
	return 0;
}

static int net_sleep(void *self)
{
	/* What is not sent is in the queue again. */
	net_stop(self);
	return 0;
}

static int net_wake(void *self, struct virtqueue *const *queues)
{
	struct net *net = self;

	if (queues)
		net_take(net, queues);
	if (net->end.ops->set_link)
		net->end.ops->set_link(net->end.ctx, net->state.link);
	if (queues && net->restored)
		net_announce(net);
	net->restored = false;
	return 0;
}

const struct virtio_device_ops virtio_net_ops = {
	.type = "net",
	.device_id = NET_DEVICE_ID,
	.class_code = NET_CLASS_CODE,
	.seccomp = &virtio_seccomp_net,
	.open = net_open,
	.reopen = net_reopen,
	.helper = net_helper,
	.helper_name = "passt",
	.create = net_create,
	.destroy = net_destroy,
	.keep_fds = net_keep_fds,
	.queue_max_sizes = net_queue_max_sizes,
	.features = net_features,
	.config_size = net_config_size,
	.read_config = net_read_config,
	.activate = net_activate,
	.queue_ready = net_queue_ready,
	.reset = net_reset,
	.queue_reset = net_queue_reset,
	.queue_enable = net_queue_enable,
	.sleep = net_sleep,
	.wake = net_wake,
	.snapshot = net_snapshot,
	.restore = net_restore,
	.remember = net_snapshot,
	.command = net_command,
};
