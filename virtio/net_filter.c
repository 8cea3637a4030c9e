/*
 * Which frames a guest gets (virtio 1.3, 5.1.6.5.1 to 5.1.6.5.3): by the
 * receive mode, its own address, the tables of addresses and of VLANs.
 */
#include "virtio/net_private.h"

#include <string.h>

#define NET_ETHERTYPE_VLAN 0x8100
#define NET_VLAN_ID(tci)   ((tci)&0xfff)

void net_filter_reset(struct net_state *state)
{
	bool link = state->link;

	memset(state, 0, sizeof(*state));
	state->link = link;
	state->pairs = 1;
	/* Until a driver says otherwise: many never do. */
	state->promisc = true;
}

static bool net_filter_listed(const uint8_t table[][NET_MAC_SIZE],
			      unsigned int count, const uint8_t *mac)
{
	for (unsigned int i = 0; i < count; i++) {
		if (memcmp(table[i], mac, NET_MAC_SIZE) == 0)
			return true;
	}
	return false;
}

static bool net_filter_mac(const struct net_state *state, const uint8_t *mac)
{
	static const uint8_t broadcast[NET_MAC_SIZE] = {0xff, 0xff, 0xff,
							0xff, 0xff, 0xff};

	if (memcmp(mac, broadcast, NET_MAC_SIZE) == 0)
		return !state->nobcast;
	if (mac[0] & 1)
		return !state->nomulti &&
		       (state->allmulti || state->multicast_all ||
			net_filter_listed(state->multicast,
					  state->multicast_count, mac));
	if (state->nouni)
		return false;
	return state->alluni || state->unicast_all ||
	       memcmp(mac, state->mac, NET_MAC_SIZE) == 0 ||
	       net_filter_listed(state->unicast, state->unicast_count, mac);
}

/* A tag with VLAN 0 only gives a priority (802.1Q). */
static bool net_filter_vlan(const struct net_state *state, const uint8_t *frame,
			    size_t len)
{
	unsigned int id;

	if (len < NET_ETH_SIZE + 2 ||
	    (frame[12] << 8 | frame[13]) != NET_ETHERTYPE_VLAN)
		return true;
	id = NET_VLAN_ID((unsigned int)(frame[14] << 8 | frame[15]));
	return id == 0 || (state->vlans[id / 8] & 1 << id % 8);
}

bool net_filter_pass(const struct net_state *state, uint64_t features,
		     const uint8_t *frame, size_t len)
{
	if (len < NET_ETH_SIZE)
		return false;
	if (state->promisc)
		return true;
	if ((features & NET_FEATURE(CTRL_VLAN)) &&
	    !net_filter_vlan(state, frame, len))
		return false;
	return net_filter_mac(state, frame);
}
