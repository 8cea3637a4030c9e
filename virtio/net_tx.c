/*
 * Frames from the guest (virtio 1.3, 5.1.6.2). Each is sent with one call,
 * straight from guest memory; its header is copied and checked before. What
 * the guest must not send is dropped and counted. A frame that the end does
 * not take now stays where it is, and all behind it.
 */
#include "virtio/net_private.h"

#include <errno.h>
#include <inttypes.h>

void net_tx_drop(struct net_tx *tx)
{
	virtqueue_chain_free(tx->chain);
	tx->chain = NULL;
}

static void net_tx_done(struct net_tx *tx)
{
	virtqueue_put(tx->queue, tx->chain, 0);
	tx->chain = NULL;
}

void net_tx_discard(struct net_pair *pair)
{
	struct net_tx *tx = &pair->tx;

	if (!tx->chain)
		return;
	pair->net->counters.tx_dropped++;
	net_tx_done(tx);
	virtqueue_publish(tx->queue);
}

/* Return: 0 when it is done with, -EAGAIN when the end has no room. */
static int net_tx_send(struct net_pair *pair)
{
	struct net *net = pair->net;
	const struct virtqueue_chain *chain = pair->tx.chain;
	struct net_header header;
	struct iovec iov[1 + NET_QUEUE_SIZE];
	uint64_t len = chain->readable_len - sizeof(header);
	unsigned int used = 1;
	int ret;

	if (virtqueue_chain_read(chain, 0, &header, sizeof(header)) <
		    sizeof(header) ||
	    chain->readable_count > NET_QUEUE_SIZE ||
	    net_header_check_tx(&header, len,
				virtio_device_acked(net->device)) < 0) {
		net->counters.tx_invalid++;
		log_limited(&net->log, LOG_DEBUG,
			    "%s: the guest sent a bad frame of %" PRIu64
			    " bytes, dropped",
			    virtio_device_label(net->device),
			    chain->readable_len);
		return 0;
	}
	if (!net_link(net)) {
		net->counters.tx_dropped++;
		return 0;
	}
	iov[0] = (struct iovec){&header, sizeof(header)};
	used += virtqueue_iov_slice(chain->readable, chain->readable_count,
				    sizeof(header), len, iov + used);
	ret = net->end.ops->send(net->end.ctx, pair->index, iov, used);
	if (ret == -EAGAIN)
		return ret;
	if (ret < 0) {
		net->counters.tx_dropped++;
		if (ret != -EINVAL && ret != -EMSGSIZE && ret != -EIO)
			net_lose(net, -ret);
		return 0;
	}
	net->pace.balance--;
	net->counters.tx_frames++;
	net->counters.tx_bytes += len;
	return 0;
}

/* Return: 1 with a chain in tx->chain, 0 without, -errno: failed. */
static int net_tx_pop(struct net_pair *pair)
{
	struct net_tx *tx = &pair->tx;
	int ret;

	if (tx->chain)
		return 1;
	ret = virtqueue_pop(tx->queue, &tx->chain);
	if (ret == -ENOMEM) {
		tx->chain = NULL;
		return 0;
	}
	if (ret < 0) {
		tx->chain = NULL;
		net_fail(pair->net, "a broken transmit queue");
		return ret;
	}
	if (ret > 0 && tx->chain->writable_count) {
		net_fail(pair->net,
			 "a transmit buffer for the device to write");
		return -EPROTO;
	}
	return ret;
}

/* One frame. Return: 1; 0: no more at present; -errno: failed. */
static int net_tx_one(struct net_pair *pair)
{
	struct net_tx *tx = &pair->tx;
	int ret = net_tx_pop(pair);

	if (ret < 0)
		return ret;
	if (ret == 0) {
		if (!virtqueue_set_kicks(tx->queue, true))
			return 0;
		virtqueue_set_kicks(tx->queue, false);
		return 1;
	}
	if (net_tx_send(pair) < 0)
		return 0;
	net_tx_done(tx);
	return 1;
}

void net_tx_run(struct net_pair *pair)
{
	struct net_tx *tx = &pair->tx;
	unsigned int left = NET_BUDGET;
	int ret = 1;

	if (!tx->queue || !net_pair_used(pair))
		return;
	virtqueue_set_kicks(tx->queue, false);
	while (left && ret > 0) {
		ret = net_tx_one(pair);
		if (--left % NET_PUBLISH == 0 && tx->queue)
			virtqueue_publish(tx->queue);
	}
	if (!tx->queue)
		return;
	virtqueue_publish(tx->queue);
	if (ret > 0)
		net_pair_again(pair, false);
	net_pair_rearm(pair);
}
