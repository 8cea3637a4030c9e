/*
 * What of a network device is saved and restored, and what the user may change
 * of it while it runs.
 */
#include <errno.h>
#include <string.h>

#include "virtio/net_private.h"
#include "vmm/base/json.h"

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

int net_snapshot(void *self, json_t **out)
{
	struct net *net = self;

	return json_save(&net->state, net_fields, NET_FIELDS, out);
}

int net_restore(void *self, const json_t *value, struct error *err)
{
	struct net *net = self;
	const char *label = virtio_device_label(net->device);
	uint64_t acked = virtio_device_acked(net->device);
	struct net_state state;
	int ret = json_load(&state, net_fields, NET_FIELDS, value, err);

	if (ret < 0) {
		error_prefix(err, "%s: ", label);
		return ret;
	}
	if (state.pairs < 1 || state.pairs > net->end.pairs)
		return error_set(err, EINVAL,
				 "%s: \"pairs\": expected 1 to %u, found %u",
				 label, net->end.pairs, state.pairs);
	if (state.offloads & ~(acked & NET_GUEST_OFFLOADS))
		return error_set(err, EINVAL,
				 "%s: \"offloads\": its driver did not accept "
				 "all of them",
				 label);
	if (state.mac[0] & 1)
		return error_set(err, EINVAL,
				 "%s: \"mac\": is a multicast address", label);
	net->state = state;
	net->restored = true;
	return 0;
}

/* --- Commands --------------------------------------------------------------
 */

static int net_command_link(struct net *net, const json_t *args,
			    struct error *err)
{
	const json_t *up = json_object_get(args, "up");

	if (!json_is_boolean(up))
		return error_set(err, EINVAL,
				 "link: \"up\": expected true or false");
	if (net->state.link == json_is_true(up))
		return 0;
	net->state.link = json_is_true(up);
	virtio_device_state_changed(net->device);
	if (net->end.ops->set_link)
		net->end.ops->set_link(net->end.ctx, net->state.link);
	virtio_device_config_changed(net->device);
	if (net_link(net))
		net_announce(net);
	/* What waits for room, or for buffers, is now dropped. */
	for (unsigned int i = 0; i < net->end.pairs; i++) {
		net_pair_again(&net->pairs[i], true);
		net_pair_again(&net->pairs[i], false);
	}
	return 0;
}

static int net_command_counters(const struct net *net, json_t **reply)
{
	const struct net_counters *c = &net->counters;

	*reply = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "rx_frames",
		(json_int_t)c->rx_frames, "rx_bytes", (json_int_t)c->rx_bytes,
		"rx_filtered", (json_int_t)c->rx_filtered, "rx_dropped",
		(json_int_t)c->rx_dropped, "tx_frames",
		(json_int_t)c->tx_frames, "tx_bytes", (json_int_t)c->tx_bytes,
		"tx_invalid", (json_int_t)c->tx_invalid, "tx_dropped",
		(json_int_t)c->tx_dropped);
	return *reply ? 0 : -ENOMEM;
}

int net_command(void *self, const char *name, const json_t *args,
		json_t **reply, struct error *err)
{
	struct net *net = self;

	if (strcmp(name, "link") == 0)
		return net_command_link(net, args, err);
	if (strcmp(name, "counters") == 0)
		return net_command_counters(net, reply);
	return error_set(err, EOPNOTSUPP,
			 "a network card knows no command \"%s\", only link "
			 "and counters",
			 name);
}
