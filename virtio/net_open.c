/*
 * Opening a network device, in main: from the user's options to descriptors
 * and a description. It has
 *
 *   kind      "tap" or "user"
 *   mac       as text; where the user gave none, one that was made up here, so
 *             that a device that is made again has the same
 *   mtu       0: not said
 *   features  of the tap, see struct net_end
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <unistd.h>

#include "virtio/net_mac.h"
#include "virtio/net_passt.h"
#include "virtio/net_private.h"
#include "virtio/net_tap.h"
#include "virtio/options.h"

static int net_open_check(const char *option,
			  const struct virtio_net_options *options,
			  struct error *err)
{
	bool user = options->kind == VIRTIO_NET_USER;

	if (options->mtu &&
	    (options->mtu < NET_MTU_MIN || options->mtu > NET_MTU_MAX))
		return error_set(
			err, EINVAL, "%s: mtu=%" PRIu64 ": expected %d to %d",
			option, options->mtu, NET_MTU_MIN, NET_MTU_MAX);
	if (options->queues < 1 || options->queues > NET_PAIRS_MAX)
		return error_set(err, EINVAL,
				 "%s: queues=%" PRIu64 ": expected 1 to %d",
				 option, options->queues, NET_PAIRS_MAX);
	if (user && options->queues > 1)
		return error_set(err, EINVAL,
				 "%s: queues=%" PRIu64 ": passt has one queue; "
				 "several need tap=NAME",
				 option, options->queues);
	if (!user && options->fwd.count)
		return error_set(err, EINVAL,
				 "%s: fwd=%s: only --net user forwards ports; "
				 "a tap's guest has an address of its own",
				 option, options->fwd.items[0]);
	if (!user && !options->tap)
		return error_set(err, EINVAL, "%s: expected tap=NAME or user",
				 option);
	return 0;
}

static int net_open_tap(const struct virtio_open *open,
			struct virtio_resources *out, uint64_t *features,
			struct error *err)
{
	const struct virtio_net_options *options = open->options;
	const struct net_tap_options tap = {
		.option = open->option,
		.name = options->tap,
		.pairs = (unsigned int)options->queues,
		.mtu = (uint16_t)options->mtu,
		.dry_run = open->dry_run,
	};
	int ret = net_tap_open(&tap, out->fds, features, err);

	if (ret == 0 && !open->dry_run)
		out->fd_count = tap.pairs;
	return ret;
}

/* passt, from the starter. */
static int net_open_passt(const struct virtio_open *open,
			  struct virtio_resources *out, struct error *err)
{
	int ret = net_passt_start(open->option, out->starter, out->fds, err);

	if (ret == 0)
		out->fd_count = NET_USER_FDS;
	return ret;
}

static int net_open_user(const struct virtio_open *open,
			 struct virtio_resources *out, struct error *err)
{
	const struct virtio_net_options *options = open->options;
	const struct net_passt_options passt = {
		.option = open->option,
		.fwd = &options->fwd,
		.mtu = (uint16_t)options->mtu,
		.dry_run = open->dry_run,
	};
	int ret = net_passt_new(&passt, &out->starter, err);

	if (ret == 0 && !open->dry_run)
		ret = net_open_passt(open, out, err);
	if (ret < 0)
		virtio_resources_fini(out);
	return ret;
}

int net_helper(const struct virtio_resources *resources)
{
	const char *kind = json_string_value(
		json_object_get(resources->description, "kind"));

	return kind && strcmp(kind, "user") == 0 &&
			       resources->fd_count == NET_USER_FDS
		       ? resources->fds[NET_USER_PID]
		       : -1;
}

/* Its stream first, see net_passt_end(). */
static void net_close_passt(struct virtio_resources *resources)
{
	for (unsigned int i = 0; i < NET_USER_FDS; i++)
		if (i != NET_USER_PID)
			close(resources->fds[i]);
	net_passt_end(resources->fds[NET_USER_PID]);
	close(resources->fds[NET_USER_PID]);
	resources->fd_count = 0;
}

/* A stream that was cut in the middle of a frame is of no use to anybody; and
 * the ports that passt forwards are free when it is gone. */
int net_reopen(const struct virtio_open *open,
	       struct virtio_resources *resources, struct error *err)
{
	if (!resources->starter)
		return 0;
	if (resources->fd_count)
		net_close_passt(resources);
	return net_open_passt(open, resources, err);
}

int net_open(const struct virtio_open *open, struct virtio_resources *out,
	     struct error *err)
{
	const struct virtio_net_options *options = open->options;
	bool user = options->kind == VIRTIO_NET_USER;
	char text[NET_MAC_TEXT];
	uint8_t mac[NET_MAC_SIZE] = {0};
	uint64_t features = 0;
	int ret = net_open_check(open->option, options, err);

	if (ret == 0)
		ret = net_mac_choose(open->option, options->mac, mac, err);
	if (ret == 0)
		ret = user ? net_open_user(open, out, err)
			   : net_open_tap(open, out, &features, err);
	if (ret < 0)
		return ret;
	net_mac_print(mac, text);
	out->description =
		json_pack("{s:s, s:s, s:I, s:I}", "kind", user ? "user" : "tap",
			  "mac", text, "mtu", (json_int_t)options->mtu,
			  "features", (json_int_t)features);
	if (!out->description) {
		virtio_resources_fini(out);
		return error_set(err, ENOMEM, "%s: out of memory",
				 open->option);
	}
	return 0;
}
