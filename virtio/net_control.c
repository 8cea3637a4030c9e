/*
 * The control queue (virtio 1.3, 5.1.6.5). A command is two bytes, class and
 * command, and what it needs; the answer is one byte. Whatever a command's
 * data is, the answer is VIRTIO_NET_OK or VIRTIO_NET_ERR, and an error changes
 * nothing.
 */
#include "virtio/net_private.h"

#include <errno.h>
#include <string.h>

#include <sys/param.h>

#define NET_CONTROL_HEAD 2 /* class and command */
/* Of what net_control_request.data holds. */
#define NET_CONTROL_DATA 8

struct net_control_request {
	struct net *net;
	const struct virtqueue_chain *chain;
	uint8_t class, command;
	uint64_t len;			/* of the data, without the head */
	uint8_t data[NET_CONTROL_DATA]; /* its start */
};

/* One kind of command. min, max: bytes of data. Return: whether it is done. */
struct net_control_row {
	uint8_t class, first, last; /* commands */
	uint64_t feature;	    /* that the driver must have accepted */
	uint64_t min, max;
	bool (*handle)(const struct net_control_request *request);
};

/* Classes 5.1.6.5.1: VIRTIO_NET_CTRL_RX. */
static bool net_control_rx(const struct net_control_request *request)
{
	struct net_state *state = &request->net->state;
	bool *const modes[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = &state->promisc,
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = &state->allmulti,
		[VIRTIO_NET_CTRL_RX_ALLUNI] = &state->alluni,
		[VIRTIO_NET_CTRL_RX_NOMULTI] = &state->nomulti,
		[VIRTIO_NET_CTRL_RX_NOUNI] = &state->nouni,
		[VIRTIO_NET_CTRL_RX_NOBCAST] = &state->nobcast,
	};

	if (request->data[0] > 1)
		return false;
	*modes[request->command] = request->data[0];
	return true;
}

struct net_control_table {
	uint8_t macs[NET_FILTER_MACS][NET_MAC_SIZE];
	uint8_t count;
	bool all; /* there were more */
};

/*
 * One struct virtio_net_ctrl_mac at @offset of the data, which is moved behind
 * it. Return: whether it is all there.
 */
static bool net_control_macs(const struct net_control_request *request,
			     uint64_t *offset, struct net_control_table *table)
{
	uint64_t at = *offset + NET_CONTROL_HEAD, bytes;
	le32 entries;

	if (virtqueue_chain_read(request->chain, at, &entries,
				 sizeof(entries)) < sizeof(entries))
		return false;
	at += sizeof(entries);
	bytes = (uint64_t)le32_get(entries) * NET_MAC_SIZE;
	*offset += sizeof(entries) + bytes;
	if (*offset > request->len)
		return false;
	memset(table, 0, sizeof(*table));
	if (bytes > sizeof(table->macs)) {
		table->all = true;
		return true;
	}
	table->count = (uint8_t)le32_get(entries);
	return virtqueue_chain_read(request->chain, at, table->macs, bytes) ==
	       bytes;
}

/* VIRTIO_NET_CTRL_MAC_TABLE_SET: unicast addresses, then multicast ones. */
static bool net_control_mac_table(const struct net_control_request *request)
{
	struct net_state *state = &request->net->state;
	struct net_control_table unicast, multicast;
	uint64_t offset = 0;

	if (!net_control_macs(request, &offset, &unicast) ||
	    !net_control_macs(request, &offset, &multicast) ||
	    offset != request->len)
		return false;
	memcpy(state->unicast, unicast.macs, sizeof(state->unicast));
	state->unicast_count = unicast.count;
	state->unicast_all = unicast.all;
	memcpy(state->multicast, multicast.macs, sizeof(state->multicast));
	state->multicast_count = multicast.count;
	state->multicast_all = multicast.all;
	return true;
}

static bool net_control_mac_addr(const struct net_control_request *request)
{
	struct net *net = request->net;

	if (request->data[0] & 1)
		return false;
	memcpy(net->state.mac, request->data, NET_MAC_SIZE);
	virtio_device_config_changed(net->device);
	return true;
}

static uint16_t net_control_le16(const struct net_control_request *request)
{
	le16 value;

	memcpy(&value, request->data, sizeof(value));
	return le16_get(value);
}

static bool net_control_vlan(const struct net_control_request *request)
{
	uint16_t id = net_control_le16(request);
	uint8_t *byte, bit;

	if (id >= NET_VLANS)
		return false;
	byte = &request->net->state.vlans[id / 8];
	bit = (uint8_t)(1 << id % 8);
	if (request->command == VIRTIO_NET_CTRL_VLAN_ADD)
		*byte |= bit;
	else
		*byte &= (uint8_t)~bit;
	return true;
}

static bool net_control_announce(const struct net_control_request *request)
{
	struct net *net = request->net;

	if (!net->state.announce)
		return true;
	net->state.announce = false;
	virtio_device_config_changed(net->device);
	return true;
}

static bool net_control_mq(const struct net_control_request *request)
{
	struct net *net = request->net;
	uint16_t pairs = net_control_le16(request), before = net->state.pairs;

	if (pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > net->end.pairs)
		return false;
	net->state.pairs = pairs;
	net_apply(net);
	for (uint16_t i = pairs; i < before; i++) {
		net_tx_discard(&net->pairs[i]);
		net_pair_rearm(&net->pairs[i]);
	}
	/* Kicks that came before were for nobody. */
	for (uint16_t i = before; i < pairs; i++) {
		net_pair_again(&net->pairs[i], true);
		net_pair_again(&net->pairs[i], false);
	}
	return true;
}

static bool net_control_offloads(const struct net_control_request *request)
{
	struct net *net = request->net;
	uint64_t offloads;
	le64 value;

	memcpy(&value, request->data, sizeof(value));
	offloads = le64_get(value);
	if (offloads & ~(virtio_device_acked(net->device) & NET_GUEST_OFFLOADS))
		return false;
	net->state.offloads = offloads;
	net_apply(net);
	return true;
}

static const struct net_control_row net_control_rows[] = {
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC,
	 VIRTIO_NET_CTRL_RX_ALLMULTI, NET_FEATURE(CTRL_RX), 1, 1,
	 net_control_rx},
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLUNI,
	 VIRTIO_NET_CTRL_RX_NOBCAST, NET_FEATURE(CTRL_RX_EXTRA), 1, 1,
	 net_control_rx},
	{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET,
	 VIRTIO_NET_CTRL_MAC_TABLE_SET, NET_FEATURE(CTRL_RX), 2 * sizeof(le32),
	 UINT32_MAX, net_control_mac_table},
	{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET,
	 VIRTIO_NET_CTRL_MAC_ADDR_SET, NET_FEATURE(CTRL_MAC_ADDR), NET_MAC_SIZE,
	 NET_MAC_SIZE, net_control_mac_addr},
	{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD,
	 VIRTIO_NET_CTRL_VLAN_DEL, NET_FEATURE(CTRL_VLAN), sizeof(le16),
	 sizeof(le16), net_control_vlan},
	{VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK,
	 VIRTIO_NET_CTRL_ANNOUNCE_ACK, NET_FEATURE(GUEST_ANNOUNCE), 0, 0,
	 net_control_announce},
	{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
	 VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, NET_FEATURE(MQ), sizeof(le16),
	 sizeof(le16), net_control_mq},
	{VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
	 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, NET_FEATURE(CTRL_GUEST_OFFLOADS),
	 sizeof(le64), sizeof(le64), net_control_offloads},
};

static bool net_control_handle(const struct net_control_request *request)
{
	uint64_t acked = virtio_device_acked(request->net->device);

	for (size_t i = 0;
	     i < sizeof(net_control_rows) / sizeof(net_control_rows[0]); i++) {
		const struct net_control_row *row = &net_control_rows[i];

		if (row->class == request->class &&
		    request->command >= row->first &&
		    request->command <= row->last)
			return (acked & row->feature) &&
			       request->len >= row->min &&
			       request->len <= row->max && row->handle(request);
	}
	return false;
}

/* Return: the answer. */
static uint8_t net_control_answer(struct net *net,
				  const struct virtqueue_chain *chain)
{
	struct net_control_request request = {.net = net, .chain = chain};
	uint8_t head[NET_CONTROL_HEAD];

	if (virtqueue_chain_read(chain, 0, head, sizeof(head)) < sizeof(head))
		return VIRTIO_NET_ERR;
	request.class = head[0];
	request.command = head[1];
	request.len = chain->readable_len - sizeof(head);
	virtqueue_chain_read(chain, sizeof(head), request.data,
			     MIN(request.len, sizeof(request.data)));
	return net_control_handle(&request) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
}

/* One command. Return: 1; 0: no more at present; -errno: failed. */
static int net_control_one(struct net *net)
{
	struct virtqueue_chain *chain;
	int ret = virtqueue_pop(net->control, &chain);
	uint8_t answer;

	if (ret == -ENOMEM)
		return 0;
	if (ret < 0) {
		net_fail(net, "a broken control queue");
		return ret;
	}
	if (ret == 0) {
		if (!virtqueue_set_kicks(net->control, true))
			return 0;
		virtqueue_set_kicks(net->control, false);
		return 1;
	}
	if (!chain->writable_len) {
		virtqueue_chain_free(chain);
		net_fail(net, "a command without room for the answer");
		return -EPROTO;
	}
	answer = net_control_answer(net, chain);
	if (answer == VIRTIO_NET_OK)
		virtio_device_state_changed(net->device);
	virtqueue_chain_write(chain, 0, &answer, sizeof(answer));
	virtqueue_put(net->control, chain, sizeof(answer));
	return 1;
}

void net_control_run(struct net *net)
{
	unsigned int left = NET_BUDGET;
	int ret = 1;

	if (!net->control)
		return;
	virtqueue_set_kicks(net->control, false);
	while (left && ret > 0) {
		ret = net_control_one(net);
		left--;
	}
	if (!net->control)
		return;
	virtqueue_publish(net->control);
	if (ret > 0)
		net_control_again(net);
}
