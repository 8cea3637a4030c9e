/*
 * What the commands of the control queue do (virtio 1.3, 5.1.6.5). One that is
 * answered with an error changes nothing.
 */
#include "virtio/net_private.h"

#include <string.h>

#include "virtio/net_commands.h"

/* One kind of command. min, max: bytes of data. Return: whether it is done. */
struct net_control_row {
	uint8_t class, first, last; /* commands */
	uint64_t feature;	    /* that the driver must have accepted */
	uint64_t min, max;
	bool (*handle)(struct net *net, const struct net_command *command);
};

/* Classes 5.1.6.5.1: VIRTIO_NET_CTRL_RX. */
static bool net_control_rx(struct net *net, const struct net_command *command)
{
	struct net_state *state = &net->state;
	bool *const modes[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = &state->promisc,
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = &state->allmulti,
		[VIRTIO_NET_CTRL_RX_ALLUNI] = &state->alluni,
		[VIRTIO_NET_CTRL_RX_NOMULTI] = &state->nomulti,
		[VIRTIO_NET_CTRL_RX_NOUNI] = &state->nouni,
		[VIRTIO_NET_CTRL_RX_NOBCAST] = &state->nobcast,
	};

	if (command->data[0] > 1)
		return false;
	*modes[command->command] = command->data[0];
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
static bool net_control_macs(const struct net_command *command,
			     uint64_t *offset, struct net_control_table *table)
{
	uint64_t at = *offset + NET_COMMAND_HEAD, bytes;
	le32 entries;

	if (virtqueue_chain_read(command->chain, at, &entries,
				 sizeof(entries)) < sizeof(entries))
		return false;
	at += sizeof(entries);
	bytes = (uint64_t)le32_get(entries) * NET_MAC_SIZE;
	*offset += sizeof(entries) + bytes;
	if (*offset > command->len)
		return false;
	memset(table, 0, sizeof(*table));
	if (bytes > sizeof(table->macs)) {
		table->all = true;
		return true;
	}
	table->count = (uint8_t)le32_get(entries);
	return virtqueue_chain_read(command->chain, at, table->macs, bytes) ==
	       bytes;
}

/* VIRTIO_NET_CTRL_MAC_TABLE_SET: unicast addresses, then multicast ones. */
static bool net_control_mac_table(struct net *net,
				  const struct net_command *command)
{
	struct net_state *state = &net->state;
	struct net_control_table unicast, multicast;
	uint64_t offset = 0;

	if (!net_control_macs(command, &offset, &unicast) ||
	    !net_control_macs(command, &offset, &multicast) ||
	    offset != command->len)
		return false;
	memcpy(state->unicast, unicast.macs, sizeof(state->unicast));
	state->unicast_count = unicast.count;
	state->unicast_all = unicast.all;
	memcpy(state->multicast, multicast.macs, sizeof(state->multicast));
	state->multicast_count = multicast.count;
	state->multicast_all = multicast.all;
	return true;
}

static bool net_control_mac_addr(struct net *net,
				 const struct net_command *command)
{
	if (command->data[0] & 1)
		return false;
	memcpy(net->state.mac, command->data, NET_MAC_SIZE);
	virtio_device_config_changed(net->device);
	return true;
}

static bool net_control_vlan(struct net *net, const struct net_command *command)
{
	uint16_t id = net_command_le16(command);
	uint8_t *byte, bit;

	if (id >= NET_VLANS)
		return false;
	byte = &net->state.vlans[id / 8];
	bit = (uint8_t)(1 << id % 8);
	if (command->command == VIRTIO_NET_CTRL_VLAN_ADD)
		*byte |= bit;
	else
		*byte &= (uint8_t)~bit;
	return true;
}

static bool net_control_announce(struct net *net,
				 const struct net_command *command)
{
	(void)command;
	if (!net->state.announce)
		return true;
	net->state.announce = false;
	virtio_device_config_changed(net->device);
	return true;
}

static bool net_control_mq(struct net *net, const struct net_command *command)
{
	uint16_t pairs = net_command_le16(command), before = net->state.pairs;

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

static bool net_control_offloads(struct net *net,
				 const struct net_command *command)
{
	uint64_t offloads;
	le64 value;

	memcpy(&value, command->data, sizeof(value));
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

static bool net_control_handle(struct net *net,
			       const struct net_command *command)
{
	uint64_t acked = virtio_device_acked(net->device);

	for (size_t i = 0;
	     i < sizeof(net_control_rows) / sizeof(net_control_rows[0]); i++) {
		const struct net_control_row *row = &net_control_rows[i];

		if (row->class == command->class &&
		    command->command >= row->first &&
		    command->command <= row->last)
			return (acked & row->feature) &&
			       command->len >= row->min &&
			       command->len <= row->max &&
			       row->handle(net, command);
	}
	return false;
}

static bool net_control_obey(void *ctx, const struct net_command *command)
{
	struct net *net = ctx;

	if (!net_control_handle(net, command))
		return false;
	virtio_device_state_changed(net->device);
	return true;
}

void net_control_run(struct net *net)
{
	const char *why;
	int ret;

	if (!net->control)
		return;
	ret = net_commands_run(net->control, NET_BUDGET, net_control_obey, net,
			       &why);
	if (ret < 0)
		net_fail(net, why);
	else if (ret > 0)
		net_control_again(net);
}
