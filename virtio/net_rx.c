/*
 * Frames to the guest (virtio 1.3, 5.1.6.3 and 5.1.6.4).
 *
 * Theory of operation. A frame's length is known only once it has been read,
 * so buffers for one as long as the last are gathered first and the frame is
 * read right into them; those that it does not need are there for the next one.
 * Buffers for the longest, some 45 of Linux's, would make each call copy and
 * check as many iovecs for a frame that mostly needs one. Its head
 * goes to a buffer of ours instead, is looked at and then copied, so that the
 * guest cannot change what was checked. The guest may see a rejected frame's
 * bytes in buffers that it has not got back; they mean nothing there.
 *
 * When a frame is longer than what was gathered, its end goes to rx->spill, and
 * from there to further buffers. Where the ring has too few it waits until the
 * driver has put more, for a time: a ring may be smaller than a frame. Without
 * any buffer the end is left alone for a moment (net_pace.c), then until the
 * driver kicks.
 */
#include "virtio/net_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <sys/param.h>

/* Gathering stops where one more chain could be too many for readv(2). */
#define NET_RX_IOVECS 1024
#define NET_RX_GATHER (NET_RX_IOVECS - 2 - NET_QUEUE_SIZE)
/* A driver that runs refills its ring far sooner. */
#define NET_RX_WAIT_NS UINT64_C(100000000)

static bool net_rx_merges(const struct net *net)
{
	return virtio_device_acked(net->device) & NET_FEATURE(MRG_RXBUF);
}

/* Bytes that the next frame takes: as many as the last one, or the MTU. A
 * longer one goes through rx->spill, one copy more. */
static uint64_t net_rx_wanted(const struct net_pair *pair)
{
	uint64_t mtu = MAX(pair->net->config.mtu, NET_MTU_STANDARD);

	return MAX(NET_HEAD_SIZE + mtu, pair->rx.last);
}

/* Forget the oldest chains; whoever calls has put or freed them. */
static void net_rx_consume(struct net_rx *rx, unsigned int count)
{
	rx->count -= count;
	/* NOLINTBEGIN(bugprone-sizeof-expression): pointers they are */
	memmove(rx->chains, rx->chains + count,
		rx->count * sizeof(rx->chains[0]));
	/* NOLINTEND(bugprone-sizeof-expression) */
	rx->iovecs = 0;
	rx->space = 0;
	for (unsigned int i = 0; i < rx->count; i++) {
		rx->iovecs += rx->chains[i]->writable_count;
		rx->space += rx->chains[i]->writable_len;
	}
}

void net_rx_drop(struct net_rx *rx)
{
	for (unsigned int i = 0; i < rx->count; i++)
		virtqueue_chain_free(rx->chains[i]);
	net_rx_consume(rx, rx->count);
	rx->frame = 0;
	rx->last = 0;
	rx->starved = false;
	rx->resting = false;
}

/* Take one chain more. Return: 1, 0 if there is none, -errno: failed. */
static int net_rx_pop(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;
	struct virtqueue_chain *chain;
	int ret = virtqueue_pop(rx->queue, &chain);

	if (ret == -ENOMEM)
		return 0;
	if (ret < 0) {
		net_fail(pair->net, "a broken receive queue");
		return ret;
	}
	if (ret == 0)
		return 0;
	if (chain->readable_count ||
	    chain->writable_len < sizeof(struct net_header)) {
		virtqueue_chain_free(chain);
		net_fail(pair->net, "a receive buffer that takes no frame");
		return -EPROTO;
	}
	rx->chains[rx->count++] = chain;
	rx->iovecs += chain->writable_count;
	rx->space += chain->writable_len;
	return 1;
}

/* Whether the chains are enough to read a frame into. */
static bool net_rx_ready(const struct net_pair *pair, uint64_t wanted)
{
	const struct net_rx *rx = &pair->rx;

	if (!net_rx_merges(pair->net))
		return rx->count == 1;
	return rx->space >= wanted;
}

/*
 * Gather chains for a frame of @wanted bytes, as far as there are any.
 * Return: 0, or -errno: failed, there is no queue any more.
 */
static int net_rx_gather(struct net_pair *pair, uint64_t wanted)
{
	struct net_rx *rx = &pair->rx;
	int ret = 1;

	while (ret > 0 && !net_rx_ready(pair, wanted) &&
	       rx->count < NET_QUEUE_SIZE && rx->iovecs < NET_RX_GATHER)
		ret = net_rx_pop(pair);
	return ret < 0 ? ret : 0;
}

/* Copy into the space of the chains, from @offset on. */
static void net_rx_write(struct net_rx *rx, uint64_t offset,
			 const uint8_t *data, size_t len)
{
	for (unsigned int i = 0; i < rx->count && len; i++) {
		size_t done =
			virtqueue_chain_write(rx->chains[i], offset, data, len);

		offset -= MIN(offset, rx->chains[i]->writable_len);
		data += done;
		len -= done;
	}
}

/* Give the guest the frame of @len bytes that is in the chains. */
static void net_rx_deliver(struct net_pair *pair, uint64_t len)
{
	struct net_counters *counters = &pair->net->counters;
	struct net_rx *rx = &pair->rx;
	struct net_header header;
	unsigned int count = 0;
	uint64_t covered = 0;

	while (covered < len)
		covered += rx->chains[count++]->writable_len;
	memcpy(&header, rx->head, sizeof(header));
	header.num_buffers = le16_of((uint16_t)count);
	memcpy(rx->head, &header, sizeof(header));
	net_rx_write(rx, 0, rx->head, MIN(len, NET_HEAD_SIZE));

	rx->given = true;
	counters->rx_frames++;
	counters->rx_bytes += len - sizeof(header);
	for (unsigned int i = 0; i < count; i++) {
		uint64_t part = MIN(len, rx->chains[i]->writable_len);

		virtqueue_put(rx->queue, rx->chains[i], (uint32_t)part);
		len -= part;
	}
	net_rx_consume(rx, count);
}

/*
 * Read a frame: its head to rx->head, what follows to the chains, what they
 * have no room for to rx->spill. Return: as net_end_ops.receive.
 */
static ssize_t net_rx_read(struct net_pair *pair)
{
	struct net *net = pair->net;
	struct net_rx *rx = &pair->rx;
	struct iovec iov[NET_RX_IOVECS];
	uint64_t skip = NET_HEAD_SIZE;
	unsigned int used = 1;

	iov[0] = (struct iovec){rx->head, NET_HEAD_SIZE};
	for (unsigned int i = 0; i < rx->count; i++) {
		const struct virtqueue_chain *chain = rx->chains[i];

		if (skip < chain->writable_len)
			used += virtqueue_iov_slice(
				chain->writable, chain->writable_count, skip,
				chain->writable_len - skip, iov + used);
		skip -= MIN(skip, chain->writable_len);
	}
	iov[used++] = (struct iovec){rx->spill, NET_SPILL_SIZE};
	return net->end.ops->receive(net->end.ctx, pair->index, iov, used);
}

/* Whether the guest is to have the frame of which rx->head is the head. */
static bool net_rx_accept(struct net_pair *pair, uint64_t len)
{
	struct net *net = pair->net;
	struct net_rx *rx = &pair->rx;
	struct net_header header;
	size_t head = MIN(len, NET_HEAD_SIZE);

	if (!net_link(net) || len < sizeof(header) + NET_ETH_SIZE ||
	    len > sizeof(header) + NET_FRAME_MAX) {
		net->counters.rx_dropped++;
		return false;
	}
	memcpy(&header, rx->head, sizeof(header));
	if (net_header_check_rx(&header, net->state.offloads) < 0) {
		net->counters.rx_dropped++;
		return false;
	}
	memcpy(rx->head, &header, sizeof(header));
	if (!net_filter_pass(&net->state, virtio_device_acked(net->device),
			     rx->head + sizeof(header),
			     head - sizeof(header))) {
		net->counters.rx_filtered++;
		return false;
	}
	return true;
}

/*
 * Wait for buffers. Return: whether the driver has put some in the meantime.
 */
static bool net_rx_starve(struct net_rx *rx)
{
	rx->starved = !virtqueue_set_kicks(rx->queue, true);
	if (!rx->starved)
		virtqueue_set_kicks(rx->queue, false);
	return !rx->starved;
}

/* Go on with the frame in rx->spill. Return: whether it is gone. */
static bool net_rx_spilled(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;
	bool more;

	do {
		if (net_rx_gather(pair, rx->frame) < 0)
			return false;
		more = rx->space < rx->frame && rx->count < NET_QUEUE_SIZE &&
		       rx->iovecs < NET_RX_GATHER && net_rx_starve(rx);
	} while (more);
	if (rx->space < rx->frame)
		return false;
	net_rx_write(rx, rx->filled, rx->spill, rx->frame - rx->filled);
	net_rx_deliver(pair, rx->frame);
	rx->frame = 0;
	return true;
}

/* A frame of @len bytes was read. */
static void net_rx_frame(struct net_pair *pair, uint64_t len)
{
	struct net_rx *rx = &pair->rx;

	rx->last = len;
	pair->net->pace.balance++;
	if (!net_rx_accept(pair, len))
		return;
	if (len <= rx->space) {
		net_rx_deliver(pair, len);
		return;
	}
	if (!net_rx_merges(pair->net)) {
		pair->net->counters.rx_dropped++;
		return;
	}
	rx->frame = len;
	rx->filled = rx->space;
	if (!net_rx_spilled(pair) && rx->frame)
		virtio_timer_set(pair->net->timer, NET_RX_WAIT_NS);
}

/*
 * One frame. Return: 1; 0: no more at present; -errno: there is no queue any
 * more.
 */
static int net_rx_one(struct net_pair *pair)
{
	struct net *net = pair->net;
	struct net_rx *rx = &pair->rx;
	uint64_t least = net_rx_merges(net) ? NET_HEAD_SIZE : 1;
	ssize_t len;

	if (rx->frame)
		return rx->queue && net_rx_spilled(pair);
	if (net_rx_gather(pair, net_rx_wanted(pair)) < 0)
		return -EPROTO;
	if (net_link(net) && rx->space < least) {
		/* With all of them in its hands it would kick for the first. */
		rx->resting = rx->given;
		return !rx->given && net_rx_starve(rx);
	}
	len = net_rx_read(pair);
	if (len >= 0) {
		net_rx_frame(pair, (uint64_t)len);
		return rx->queue ? 1 : -EPROTO;
	}
	if (len != -EAGAIN)
		net_lose(net, (int)-len);
	return 0;
}

/* A turn is over. more: but for the budget it would have gone on. */
static void net_rx_pause(struct net_pair *pair, bool more)
{
	struct net_rx *rx = &pair->rx;

	net_pace_measure(&pair->net->pace, loop_now());
	if (pair->net->pace.receives && !more && !rx->starved && !rx->frame)
		rx->resting = true;
	if (rx->resting)
		net_pace_rest(pair->net);
}

void net_rx_run(struct net_pair *pair)
{
	struct net_rx *rx = &pair->rx;
	unsigned int left = NET_BUDGET;
	int ret = 1;

	rx->resting = false;
	if (!rx->queue || !net_pair_used(pair) || pair->net->lost)
		return;
	rx->starved = false;
	rx->given = false;
	virtqueue_set_kicks(rx->queue, false);
	while (left && ret > 0) {
		ret = net_rx_one(pair);
		if (--left % NET_PUBLISH == 0 && rx->queue)
			virtqueue_publish(rx->queue);
	}
	/* A queue that was broken is gone. */
	if (!rx->queue)
		return;
	virtqueue_publish(rx->queue);
	if (ret > 0 && pair->net->end.ops->buffered &&
	    pair->net->end.ops->buffered(pair->net->end.ctx))
		net_pair_again(pair, true);
	net_rx_pause(pair, ret > 0);
	net_pair_rearm(pair);
}

void net_rx_timeout(void *self)
{
	struct net *net = self;

	for (unsigned int i = 0; i < net->end.pairs; i++) {
		struct net_pair *pair = &net->pairs[i];

		if (!pair->rx.frame)
			continue;
		pair->rx.frame = 0;
		net->counters.rx_dropped++;
		net_rx_run(pair);
	}
}
