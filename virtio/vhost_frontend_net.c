/*
 * What of a network card is the vhost-user frontend's (vhost_type.h): its
 * address and the rest of its configuration, and, with more than one pair of
 * queues, the control queue behind them. By that the driver says how many pairs
 * it uses (virtio 1.3, 5.1.6.5.5), and the backend is told which of its rings
 * are enabled. The guest writes the commands.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include <linux/virtio_net.h>
#include <sys/eventfd.h>

#include "virtio/net_commands.h"
#include "virtio/vhost_frontend_private.h"

#define NET(name) (UINT64_C(1) << VIRTIO_NET_F_##name)

/* Commands in one turn of the loop. */
#define CONTROL_BUDGET 16

/* struct virtio_net_config (5.1.4), as far as it is the frontend's. */
struct vhost_frontend_net {
	uint8_t mac[NET_MAC_SIZE];
	le16 status, max_virtqueue_pairs;
};

static_assert(sizeof(struct vhost_frontend_net) == 10, "5.1.4");

unsigned int vhost_frontend_pairs(const struct vhost_frontend *frontend)
{
	return frontend->has_control
		       ? frontend->queue_count / frontend->type->per_unit
		       : 1;
}

void vhost_frontend_make_net(struct vhost_frontend *frontend)
{
	struct vhost_frontend_net config = {
		.status = le16_of(VIRTIO_NET_S_LINK_UP),
		.max_virtqueue_pairs =
			le16_of((uint16_t)vhost_frontend_pairs(frontend)),
	};

	memcpy(config.mac, frontend->mac, sizeof(config.mac));
	memcpy(frontend->config, &config, sizeof(config));
	frontend->features |= NET(MAC) | NET(STATUS);
	if (frontend->has_control)
		frontend->features |= NET(CTRL_VQ);
}

/* --- Which rings there are ------------------------------------------------
 */

bool vhost_frontend_is_control(const struct vhost_frontend *frontend,
			       unsigned int index)
{
	return frontend->has_control && index == frontend->queue_count;
}

/*
 * Without VIRTIO_NET_F_MQ the driver has its control queue behind the first
 * pair (5.1.2). That ring is never enabled, and nobody serves it: there is no
 * command for a driver that has not accepted this.
 */
int vhost_frontend_enable_ring(struct vhost_frontend *frontend,
			       const struct virtqueue_config *config)
{
	const bool used =
		!frontend->has_control ||
		config->index < frontend->pairs * frontend->type->per_unit;
	int ret = vhost_frontend_tell_ring(
		frontend, VHOST_USER_SET_VRING_ENABLE, config->index, used);

	/* Buffers that were there before. */
	if (ret == 0 && used)
		(void)eventfd_write(config->kick_fd, 1);
	return ret;
}

/* --- The control queue ----------------------------------------------------
 */

/* Return: whether it is so, or will be with the next backend. */
static bool vhost_frontend_use_pairs(struct vhost_frontend *frontend,
				     unsigned int pairs)
{
	int ret = 0;

	vhost_frontend_begin(frontend);
	frontend->pairs = pairs;
	for (unsigned int i = 0; ret == 0 && i < frontend->queue_count; i++) {
		struct virtqueue_position position;
		const struct virtqueue_config *config =
			virtio_device_ring(frontend->device, i, &position);

		if (config)
			ret = vhost_frontend_enable_ring(frontend, config);
	}
	/* Now it is neither as it was nor as the driver wants it. */
	if (ret == -EREMOTEIO)
		vhost_frontend_lose(frontend, "it refuses to enable a ring");
	return ret == 0 || frontend->waiting;
}

static bool vhost_frontend_obey(void *ctx, const struct net_command *command)
{
	struct vhost_frontend *frontend = ctx;
	const uint16_t pairs = net_command_le16(command);

	return virtio_device_acked(frontend->device) & NET(MQ) &&
	       command->class == VIRTIO_NET_CTRL_MQ &&
	       command->command == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET &&
	       command->len == sizeof(le16) &&
	       pairs >= VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN &&
	       pairs <= vhost_frontend_pairs(frontend) &&
	       vhost_frontend_use_pairs(frontend, pairs);
}

void vhost_frontend_take_control(struct vhost_frontend *frontend,
				 struct virtqueue *const *queues)
{
	frontend->control = NULL;
	if (frontend->has_control)
		frontend->control = queues[frontend->queue_count];
}

void vhost_frontend_run_control(struct vhost_frontend *frontend)
{
	const char *why;
	int ret;

	if (!frontend->control)
		return;
	ret = net_commands_run(frontend->control, CONTROL_BUDGET,
			       vhost_frontend_obey, frontend, &why);
	if (ret < 0) {
		log_limited(&frontend->log, LOG_WARN,
			    "%s: the guest made %s; until it resets the "
			    "device, there is no network",
			    virtio_device_label(frontend->device), why);
		frontend->control = NULL;
		virtio_device_needs_reset(frontend->device);
	} else if (ret > 0) {
		/* By the doorbell, so that others have their turn before. */
		(void)eventfd_write(
			virtio_device_kick_fd(frontend->device,
					      frontend->queue_count),
			1);
	}
}
