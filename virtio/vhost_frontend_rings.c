/*
 * What the vhost-user frontend tells a backend when rings start and stop.
 */
#include <errno.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "virtio/vhost_frontend_private.h"

/* All rings are to begin at once, with the last message. */
#define FRONTEND_STATUS                                         \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
	 VIRTIO_CONFIG_S_FEATURES_OK)

/* The base of a packed ring: two halves, each an index and a wrap counter. */
#define BASE_INDEX 0x7fffu
#define BASE_WRAP  0x8000u
#define BASE_SHIFT 16

static bool vhost_frontend_packed(const struct vhost_frontend *frontend)
{
	return virtio_device_acked(frontend->device) >> VIRTIO_F_RING_PACKED &
	       1;
}

/* --- Memory, features, in flight ------------------------------------------
 */

/*
 * What the protocol calls the frontend's addresses are guest physical ones
 * here: where memory is mapped in this process is nobody's business.
 */
static int vhost_frontend_send_memory(struct vhost_frontend *frontend)
{
	struct guest_mem *mem = virtio_device_mem(frontend->device);
	const struct guest_mem_region *regions;
	const unsigned int count = guest_mem_regions(mem, &regions);
	struct vhost_user_message message = {
		.request = VHOST_USER_SET_MEM_TABLE,
		.size = sizeof(struct vhost_user_mem_table),
		.payload.table.count = le32_of(count),
		.fd_count = count,
	};
	uint64_t offset = 0;
	int ret;

	static_assert(GUEST_MEM_REGIONS_MAX <= VHOST_USER_REGIONS_MAX,
		      "one message");
	if (frontend->memory_sent)
		return 0;
	message.size =
		(uint32_t)offsetof(struct vhost_user_mem_table, regions[count]);
	for (unsigned int i = 0; i < count; i++) {
		message.payload.table.regions[i] = (struct vhost_user_region){
			.guest_address = le64_of(regions[i].base),
			.size = le64_of(regions[i].size),
			.user_address = le64_of(regions[i].base),
			.mmap_offset = le64_of(offset),
		};
		message.fds[i] = guest_mem_fd(mem);
		offset += regions[i].size;
	}
	ret = vhost_frontend_ask(frontend, &message, NULL);
	frontend->memory_sent = ret == 0;
	return ret;
}

/* Those of the driver's that are the backend's, too. */
int vhost_frontend_send_features(struct vhost_frontend *frontend)
{
	return vhost_frontend_tell(
		frontend, VHOST_USER_SET_FEATURES,
		(virtio_device_acked(frontend->device) & frontend->promised) |
			UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES);
}

static int vhost_frontend_send_status(struct vhost_frontend *frontend,
				      unsigned int status)
{
	if (!vhost_frontend_has(frontend, VHOST_USER_PROTOCOL(STATUS)))
		return 0;
	return vhost_frontend_tell(frontend, VHOST_USER_SET_STATUS, status);
}

/* What the driver wrote, to a backend that may not know. */
static int vhost_frontend_send_own(struct vhost_frontend *frontend)
{
	const struct vhost_type *type = frontend->type;
	int ret;

	if (!frontend->wrote || !vhost_frontend_config_is_there(frontend))
		return 0;
	ret = vhost_frontend_write_config(frontend, type->own,
					  frontend->config + type->own,
					  type->own_size);
	/* It may see it otherwise. */
	if (ret != -ENOLINK)
		ret = vhost_frontend_read_config(frontend);
	return ret == -ENOLINK ? ret : 0;
}

static void vhost_frontend_drop_inflight(struct vhost_frontend *frontend)
{
	if (frontend->inflight_fd >= 0)
		close(frontend->inflight_fd);
	frontend->inflight_fd = -1;
}

/* A new region, which outlives the backend that made it. */
static int vhost_frontend_get_inflight(struct vhost_frontend *frontend)
{
	struct vhost_user_message message = {
		.request = VHOST_USER_GET_INFLIGHT_FD,
		.size = VHOST_USER_INFLIGHT_SIZE,
		.payload.inflight =
			{
				.num_queues = le16_of(
					(uint16_t)frontend->queue_count),
				.queue_size =
					le16_of(frontend->type->queue_size),
			},
	};
	struct vhost_user_message reply = {.size = 0};
	int ret = vhost_frontend_ask(frontend, &message, &reply);

	if (ret < 0)
		return ret;
	frontend->inflight = reply.payload.inflight;
	frontend->inflight_fd = vhost_user_message_take_fd(&reply, 0);
	vhost_user_message_fini(&reply);
	return 0;
}

/* Rings that were reset while there was no backend: nothing of them is in
 * flight, and it forgets what is when it is asked where they stand. */
static int vhost_frontend_clear_dropped(struct vhost_frontend *frontend)
{
	for (unsigned int i = 0; i < frontend->queue_count; i++) {
		struct vhost_user_message message = {
			.request = VHOST_USER_GET_VRING_BASE,
			.size = sizeof(struct vhost_user_vring_state),
			.payload.state = {.index = le32_of(i)},
		};
		int ret;

		if (!(frontend->dropped >> i & 1))
			continue;
		ret = vhost_frontend_ask(frontend, &message, NULL);
		if (ret < 0)
			return ret;
		frontend->dropped &= ~(UINT64_C(1) << i);
	}
	return 0;
}

int vhost_frontend_send_inflight(struct vhost_frontend *frontend)
{
	struct vhost_user_message message = {
		.request = VHOST_USER_SET_INFLIGHT_FD,
		.size = VHOST_USER_INFLIGHT_SIZE,
		.fd_count = 1,
	};
	int ret = 0;

	if (!vhost_frontend_has(frontend, VHOST_USER_PROTOCOL(INFLIGHT_SHMFD)))
		return 0;
	if (frontend->inflight_fd < 0)
		ret = vhost_frontend_get_inflight(frontend);
	/* It may have nothing to keep. */
	if (ret < 0 || frontend->inflight_fd < 0)
		return ret;
	message.payload.inflight = frontend->inflight;
	message.fds[0] = frontend->inflight_fd;
	ret = vhost_frontend_ask(frontend, &message, NULL);
	return ret < 0 ? ret : vhost_frontend_clear_dropped(frontend);
}

/* --- Rings ----------------------------------------------------------------
 */

static uint32_t vhost_frontend_half(uint16_t index, bool wrap)
{
	return (index & BASE_INDEX) | (wrap ? BASE_WRAP : 0);
}

static uint32_t vhost_frontend_base(const struct vhost_frontend *frontend,
				    const struct virtqueue_position *position)
{
	if (!vhost_frontend_packed(frontend))
		return position->avail;
	return vhost_frontend_half(position->avail, position->avail_wrap) |
	       vhost_frontend_half(position->used, position->used_wrap)
		       << BASE_SHIFT;
}

static int vhost_frontend_send_addr(struct vhost_frontend *frontend,
				    const struct virtqueue_config *config)
{
	const struct vhost_user_message message = {
		.request = VHOST_USER_SET_VRING_ADDR,
		.size = sizeof(struct vhost_user_vring_addr),
		.payload.addr =
			{
				.index = le32_of(config->index),
				.descriptor = le64_of(config->desc),
				.used = le64_of(config->device),
				.available = le64_of(config->driver),
			},
	};

	return vhost_frontend_ask(frontend, &message, NULL);
}

static int vhost_frontend_send_eventfd(struct vhost_frontend *frontend,
				       uint32_t request, unsigned int index,
				       int fd)
{
	const struct vhost_user_message message = {
		.request = request,
		.size = sizeof(le64),
		.payload.u64 = le64_of(index),
		.fds = {fd},
		.fd_count = 1,
	};

	return vhost_frontend_ask(frontend, &message, NULL);
}

/*
 * Where a ring stands that a lost backend had: what the driver has seen used,
 * and all behind that is to be looked at again; the in-flight region, if there
 * is one, says more. Of a packed ring, it says all.
 */
static int vhost_frontend_find(struct vhost_frontend *frontend,
			       const struct virtqueue_config *config,
			       struct virtqueue_position *position)
{
	int ret;

	if (vhost_frontend_packed(frontend))
		return 0;
	ret = virtqueue_read_used(virtio_device_mem(frontend->device), config,
				  &position->used);
	position->avail = position->used;
	return ret;
}

int vhost_frontend_start_ring(struct vhost_frontend *frontend,
			      unsigned int index)
{
	const uint64_t bit = UINT64_C(1) << index;
	const bool again = frontend->ran & bit;
	struct virtqueue_position position;
	const struct virtqueue_config *config =
		virtio_device_ring(frontend->device, index, &position);
	int ret = 0;

	if (!config)
		return 0;
	if (again)
		ret = vhost_frontend_find(frontend, config, &position);
	if (ret == 0)
		ret = vhost_frontend_tell_ring(frontend,
					       VHOST_USER_SET_VRING_NUM, index,
					       config->size);
	if (ret == 0)
		ret = vhost_frontend_tell_ring(
			frontend, VHOST_USER_SET_VRING_BASE, index,
			vhost_frontend_base(frontend, &position));
	if (ret == 0)
		ret = vhost_frontend_send_addr(frontend, config);
	if (ret == 0)
		ret = vhost_frontend_send_eventfd(frontend,
						  VHOST_USER_SET_VRING_CALL,
						  index, config->call_fd);
	/* From here on it may take something out. */
	if (ret == 0) {
		frontend->ran |= bit;
		ret = vhost_frontend_send_eventfd(frontend,
						  VHOST_USER_SET_VRING_KICK,
						  index, config->kick_fd);
	}
	if (ret == 0)
		ret = vhost_frontend_enable_ring(frontend, config);
	/* What a lost backend may have used without coming to the interrupt. */
	if (ret == 0 && again)
		(void)eventfd_write(config->call_fd, 1);
	return ret;
}

int vhost_frontend_start(struct vhost_frontend *frontend, bool again)
{
	int ret = 0;

	/* What was loaded is of a driver that is no more. */
	if (frontend->restored && !again &&
	    vhost_frontend_has(frontend, VHOST_USER_PROTOCOL(RESET_DEVICE))) {
		const struct vhost_user_message reset = {
			.request = VHOST_USER_RESET_DEVICE,
		};

		ret = vhost_frontend_ask(frontend, &reset, NULL);
	}
	frontend->session = frontend->type->session;
	if (ret == 0)
		ret = vhost_frontend_send_features(frontend);
	if (ret == 0)
		ret = vhost_frontend_send_own(frontend);
	if (ret == 0)
		ret = vhost_frontend_send_status(frontend, FRONTEND_STATUS);
	if (ret == 0)
		ret = vhost_frontend_send_memory(frontend);
	if (ret == 0)
		ret = vhost_frontend_send_inflight(frontend);
	/* Now the region has it as well. */
	if (ret == 0)
		frontend->restored = false;
	for (unsigned int i = 0; ret == 0 && i < frontend->queue_count; i++)
		ret = vhost_frontend_start_ring(frontend, i);
	if (ret == 0)
		ret = vhost_frontend_send_status(
			frontend, FRONTEND_STATUS | VIRTIO_CONFIG_S_DRIVER_OK);
	if (ret == -EREMOTEIO)
		log_limited(&frontend->log, LOG_ERROR,
			    "%s: the vhost-user backend refuses what the "
			    "driver has set up",
			    virtio_device_label(frontend->device));
	return ret;
}

/* --- Stopping -------------------------------------------------------------
 */

static int vhost_frontend_note(struct vhost_frontend *frontend,
			       unsigned int index, uint32_t base,
			       const struct virtqueue_config *config)
{
	struct virtqueue_position position = virtqueue_start;
	int ret = 0;

	if (vhost_frontend_packed(frontend)) {
		position.avail = base & BASE_INDEX;
		position.avail_wrap = base & BASE_WRAP;
		position.used = base >> BASE_SHIFT & BASE_INDEX;
		position.used_wrap = base >> BASE_SHIFT & BASE_WRAP;
	} else {
		position.avail = (uint16_t)base;
		ret = virtqueue_read_used(virtio_device_mem(frontend->device),
					  config, &position.used);
	}
	/* Else nobody could take it up there. */
	if (ret == 0)
		ret = virtqueue_check(virtio_device_mem(frontend->device),
				      config, &position);
	if (ret == 0)
		virtio_device_set_ring_position(frontend->device, index,
						&position);
	else
		vhost_frontend_lose(frontend, "GET_VRING_BASE: a place where "
					      "the ring cannot stand");
	return ret < 0 ? -ENOLINK : 0;
}

int vhost_frontend_stop_ring(struct vhost_frontend *frontend,
			     unsigned int index, uint32_t *base)
{
	const struct vhost_user_message message = {
		.request = VHOST_USER_GET_VRING_BASE,
		.size = sizeof(struct vhost_user_vring_state),
		.payload.state = {.index = le32_of(index)},
	};
	struct vhost_user_message reply = {.size = 0};
	int ret = vhost_frontend_ask(frontend, &message, &reply);

	if (ret == 0)
		*base = le32_get(reply.payload.state.num);
	return ret;
}

int vhost_frontend_stop(struct vhost_frontend *frontend)
{
	int ret = 0;

	vhost_frontend_begin(frontend);
	for (unsigned int i = 0; ret == 0 && i < frontend->queue_count; i++) {
		struct virtqueue_position position;
		const struct virtqueue_config *config =
			virtio_device_ring(frontend->device, i, &position);
		uint32_t base;

		if (!config)
			continue;
		ret = vhost_frontend_stop_ring(frontend, i, &base);
		if (ret == 0)
			ret = vhost_frontend_note(frontend, i, base, config);
		if (ret == 0)
			frontend->ran &= ~(UINT64_C(1) << i);
	}
	return ret;
}

/* Where they stand, nobody will ask. */
static int vhost_frontend_stop_all(struct vhost_frontend *frontend)
{
	int ret = 0;

	for (unsigned int i = 0; ret == 0 && i < frontend->queue_count; i++) {
		struct virtqueue_position position;
		uint32_t base;

		if (virtio_device_ring(frontend->device, i, &position))
			ret = vhost_frontend_stop_ring(frontend, i, &base);
	}
	return ret;
}

/* Of what the driver did up to now. */
static void vhost_frontend_forget(struct vhost_frontend *frontend)
{
	vhost_frontend_drop_inflight(frontend);
	frontend->ran = frontend->dropped = 0;
	frontend->wrote = false;
	frontend->session = false;
	frontend->restored = false;
	frontend->control = NULL;
	frontend->pairs = 1;
}

void vhost_frontend_reset(void *self)
{
	struct vhost_frontend *frontend = self;
	const struct vhost_user_message message = {
		.request = VHOST_USER_RESET_DEVICE,
	};
	int ret = 0;

	/* The driver gets to know when it activates it again. */
	frontend->resetting = true;
	vhost_frontend_begin(frontend);
	vhost_frontend_forget(frontend);
	if (frontend->lost)
		ret = 0;
	else if (vhost_frontend_has(frontend,
				    VHOST_USER_PROTOCOL(RESET_DEVICE)))
		ret = vhost_frontend_ask(frontend, &message, NULL);
	else
		ret = vhost_frontend_stop_all(frontend);
	/* Its own status is no more either. */
	if (ret == 0 && !frontend->lost)
		ret = vhost_frontend_send_status(frontend, 0);
	/* What the driver had set is as it was before it. */
	if (ret == 0 && !frontend->lost &&
	    vhost_frontend_config_is_there(frontend) &&
	    vhost_frontend_read_config(frontend) == -ENOLINK)
		ret = -ENOLINK;
	/* A device that is not reset may go on writing to memory. */
	if (ret < 0)
		vhost_frontend_lose(frontend, "it refuses to be reset");
	if (frontend->lost)
		vhost_frontend_settle(frontend);
	frontend->resetting = false;
}
