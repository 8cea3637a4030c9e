/*
 * What each vhost-user message does to a backend, and the table of it. The
 * frontend's numbers have the sizes of their rows in vhost_user.c when they get
 * here, and are otherwise unchecked.
 */
#include <assert.h>
#include <errno.h>

#include <fcntl.h>
#include <linux/virtio_config.h>
#include <unistd.h>

#include "virtio/vhost_backend_private.h"

#define BACKEND_PROTOCOL                                                     \
	(VHOST_USER_PROTOCOL(MQ) | VHOST_USER_PROTOCOL(LOG_SHMFD) |          \
	 VHOST_USER_PROTOCOL(REPLY_ACK) | VHOST_USER_PROTOCOL(BACKEND_REQ) | \
	 VHOST_USER_PROTOCOL(CONFIG) | VHOST_USER_PROTOCOL(INFLIGHT_SHMFD) | \
	 VHOST_USER_PROTOCOL(RESET_DEVICE) |                                 \
	 VHOST_USER_PROTOCOL(CONFIGURE_MEM_SLOTS) |                          \
	 VHOST_USER_PROTOCOL(STATUS) | VHOST_USER_PROTOCOL(DEVICE_STATE))

/* --- Features, owner, status ----------------------------------------------
 */

static uint64_t vhost_backend_offer(const struct vhost_backend *backend)
{
	uint64_t features = virtio_device_features(backend->device);

	if (!backend->config.whole)
		features &= ~backend->type->frontend_features;
	return features | UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES |
	       UINT64_C(1) << VHOST_F_LOG_ALL;
}

void vhost_backend_answer(struct vhost_user_message *reply, uint64_t value)
{
	reply->payload.u64 = le64_of(value);
	reply->size = sizeof(reply->payload.u64);
}

/* The driver has reset it: what it did before counts no more. */
static void vhost_backend_begin_anew(struct vhost_backend *backend,
				     bool keep_enabled)
{
	vhost_backend_reset(backend, keep_enabled);
	vhost_backend_forget(backend);
}

static int backend_get_features(struct vhost_backend *backend,
				struct vhost_user_message *message,
				struct vhost_user_message *reply)
{
	(void)message;
	vhost_backend_answer(reply, vhost_backend_offer(backend));
	return 0;
}

static int backend_set_features(struct vhost_backend *backend,
				struct vhost_user_message *message,
				struct vhost_user_message *reply)
{
	const uint64_t features = le64_get(message->payload.u64);
	const uint64_t changed = features ^ backend->features;

	(void)reply;
	if (features & ~vhost_backend_offer(backend))
		return -EINVAL;
	if (changed && backend->phase == VHOST_USER_PHASE_READY) {
		vhost_backend_pause(backend);
		/* Another driver: rings are set up anew, but QEMU has enabled
		 * those of a network card by now. Logging begins and ends in
		 * mid-life. */
		if (changed & ~(UINT64_C(1) << VHOST_F_LOG_ALL))
			vhost_backend_begin_anew(backend, true);
	}
	backend->features = features;
	backend->phase = VHOST_USER_PHASE_READY;
	virtio_device_ack_features_locked(
		backend->device,
		features & virtio_device_features(backend->device));
	return 0;
}

/* QEMU takes each pair of a network card for a backend of its own, and (7.2)
 * adds and removes regions of memory for each; a table it sends only once. */
static uint64_t vhost_backend_protocol(const struct vhost_backend *backend)
{
	if (!backend->config.whole && backend->type->many &&
	    backend->ring_count > backend->type->per_unit)
		return BACKEND_PROTOCOL &
		       ~VHOST_USER_PROTOCOL(CONFIGURE_MEM_SLOTS);
	return BACKEND_PROTOCOL;
}

static int backend_get_protocol_features(struct vhost_backend *backend,
					 struct vhost_user_message *message,
					 struct vhost_user_message *reply)
{
	(void)message;
	vhost_backend_answer(reply, vhost_backend_protocol(backend));
	return 0;
}

static int backend_set_protocol_features(struct vhost_backend *backend,
					 struct vhost_user_message *message,
					 struct vhost_user_message *reply)
{
	uint64_t features = le64_get(message->payload.u64);

	(void)reply;
	if (features & ~vhost_backend_protocol(backend))
		return -EINVAL;
	backend->protocol = features;
	return 0;
}

static int backend_set_owner(struct vhost_backend *backend,
			     struct vhost_user_message *message,
			     struct vhost_user_message *reply)
{
	(void)message;
	(void)reply;
	if (backend->phase == VHOST_USER_PHASE_ANY)
		backend->phase = VHOST_USER_PHASE_OWNED;
	return 0;
}

/* RESET_OWNER, which no frontend means; SET_LOG_FD: the log is read when the
 * frontend likes, and nobody has to be told of a bit. */
static int backend_ignore(struct vhost_backend *backend,
			  struct vhost_user_message *message,
			  struct vhost_user_message *reply)
{
	(void)backend;
	(void)message;
	(void)reply;
	return 0;
}

static int backend_get_queue_num(struct vhost_backend *backend,
				 struct vhost_user_message *message,
				 struct vhost_user_message *reply)
{
	unsigned int count = backend->ring_count;

	(void)message;
	if (!backend->config.whole)
		count /= backend->type->per_unit;
	vhost_backend_answer(reply, count);
	return 0;
}

static int backend_reset_device(struct vhost_backend *backend,
				struct vhost_user_message *message,
				struct vhost_user_message *reply)
{
	(void)message;
	(void)reply;
	vhost_backend_begin_anew(backend, false);
	return 0;
}

static int backend_set_status(struct vhost_backend *backend,
			      struct vhost_user_message *message,
			      struct vhost_user_message *reply)
{
	uint64_t status = le64_get(message->payload.u64);

	(void)reply;
	if (status > UINT8_MAX)
		return -EINVAL;
	if (status == 0)
		vhost_backend_begin_anew(backend, false);
	backend->status = (uint8_t)status;
	return 0;
}

static int backend_get_status(struct vhost_backend *backend,
			      struct vhost_user_message *message,
			      struct vhost_user_message *reply)
{
	uint64_t status = backend->status;

	(void)message;
	if (virtio_device_state_locked(backend->device) == VIRTIO_DEVICE_FAILED)
		status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	vhost_backend_answer(reply, status);
	return 0;
}

/* --- Memory ---------------------------------------------------------------
 */

static int vhost_backend_add_region(struct vhost_backend *backend,
				    const struct vhost_user_region *given,
				    int fd)
{
	const struct vhost_backend_region region = {
		.guest = {le64_get(given->guest_address),
			  le64_get(given->size)},
		.user = le64_get(given->user_address),
	};
	struct error err;
	int ret = guest_mem_add(backend->config.mem, &region.guest, fd,
				le64_get(given->mmap_offset), &err);

	if (ret < 0) {
		log_limited(&backend->refusals, LOG_WARN,
			    "%s: the frontend's memory: %s",
			    virtio_device_label(backend->device), err.text);
		return ret;
	}
	/* No more than the memory has. */
	backend->regions[backend->region_count++] = region;
	return 0;
}

static void vhost_backend_remove_region(struct vhost_backend *backend,
					unsigned int index)
{
	guest_mem_remove(backend->config.mem, &backend->regions[index].guest);
	backend->regions[index] = backend->regions[--backend->region_count];
}

static void vhost_backend_remove_regions(struct vhost_backend *backend)
{
	while (backend->region_count)
		vhost_backend_remove_region(backend, 0);
}

static int backend_set_mem_table(struct vhost_backend *backend,
				 struct vhost_user_message *message,
				 struct vhost_user_message *reply)
{
	const struct vhost_user_mem_table *table = &message->payload.table;
	const uint32_t count = le32_get(table->count);

	(void)reply;
	if (count > VHOST_USER_REGIONS_MAX || count != message->fd_count ||
	    message->size <
		    offsetof(struct vhost_user_mem_table, regions[count]))
		return -EINVAL;
	vhost_backend_pause(backend);
	vhost_backend_remove_regions(backend);
	for (uint32_t i = 0; i < count; i++) {
		int ret = vhost_backend_add_region(backend, &table->regions[i],
						   message->fds[i]);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static int backend_add_mem_reg(struct vhost_backend *backend,
			       struct vhost_user_message *message,
			       struct vhost_user_message *reply)
{
	(void)reply;
	return vhost_backend_add_region(
		backend, &message->payload.region.region, message->fds[0]);
}

static int backend_rem_mem_reg(struct vhost_backend *backend,
			       struct vhost_user_message *message,
			       struct vhost_user_message *reply)
{
	const struct vhost_user_region *given = &message->payload.region.region;

	(void)reply;
	for (unsigned int i = 0; i < backend->region_count; i++) {
		const struct vhost_backend_region *region =
			&backend->regions[i];

		if (region->guest.base != le64_get(given->guest_address) ||
		    region->guest.size != le64_get(given->size) ||
		    region->user != le64_get(given->user_address))
			continue;
		vhost_backend_pause(backend);
		vhost_backend_remove_region(backend, i);
		return 0;
	}
	return -ENOENT;
}

static int backend_get_max_mem_slots(struct vhost_backend *backend,
				     struct vhost_user_message *message,
				     struct vhost_user_message *reply)
{
	(void)backend;
	(void)message;
	vhost_backend_answer(reply, GUEST_MEM_SLOTS_MAX);
	return 0;
}

static int backend_set_log_base(struct vhost_backend *backend,
				struct vhost_user_message *message,
				struct vhost_user_message *reply)
{
	const struct vhost_user_log *given = &message->payload.log;
	struct guest_log *log;
	int ret = guest_log_new(&log, message->fds[0], le64_get(given->offset),
				le64_get(given->size));

	if (ret < 0)
		return ret;
	vhost_backend_pause(backend);
	guest_log_free(backend->log);
	backend->log = log;
	vhost_backend_answer(reply, 0);
	return 0;
}

/* --- Rings ----------------------------------------------------------------
 */

/* The ring of that index, or NULL. */
static struct vhost_backend_ring *
vhost_backend_ring_of(struct vhost_backend *backend, uint64_t index)
{
	return index < backend->ring_count ? &backend->rings[index] : NULL;
}

static struct vhost_backend_ring *
vhost_backend_state_ring(struct vhost_backend *backend,
			 const struct vhost_user_message *message)
{
	return vhost_backend_ring_of(backend,
				     le32_get(message->payload.state.index));
}

static int backend_set_vring_num(struct vhost_backend *backend,
				 struct vhost_user_message *message,
				 struct vhost_user_message *reply)
{
	const uint32_t num = le32_get(message->payload.state.num);
	const uint32_t index = le32_get(message->payload.state.index);
	struct vhost_backend_ring *ring = vhost_backend_ring_of(backend, index);

	(void)reply;
	if (!ring || num == 0 ||
	    num > virtio_device_queue_max(backend->device, index))
		return -EINVAL;
	if (ring->running && ring->num != num)
		vhost_backend_pause(backend);
	ring->num = (uint16_t)num;
	return 0;
}

static int backend_set_vring_addr(struct vhost_backend *backend,
				  struct vhost_user_message *message,
				  struct vhost_user_message *reply)
{
	const struct vhost_user_vring_addr *addr = &message->payload.addr;
	struct vhost_backend_ring *ring =
		vhost_backend_ring_of(backend, le32_get(addr->index));

	(void)reply;
	if (!ring || le32_get(addr->flags) & ~VHOST_VRING_F_LOG)
		return -EINVAL;
	if (ring->running)
		vhost_backend_pause(backend);
	ring->desc = le64_get(addr->descriptor);
	ring->used = le64_get(addr->used);
	ring->available = le64_get(addr->available);
	ring->log = le32_get(addr->flags) & VHOST_VRING_F_LOG;
	ring->log_address = le64_get(addr->log);
	ring->placed = true;
	return 0;
}

static int backend_set_vring_base(struct vhost_backend *backend,
				  struct vhost_user_message *message,
				  struct vhost_user_message *reply)
{
	struct vhost_backend_ring *ring =
		vhost_backend_state_ring(backend, message);

	(void)reply;
	if (!ring)
		return -EINVAL;
	if (ring->running)
		vhost_backend_pause(backend);
	ring->base = le32_get(message->payload.state.num);
	ring->known = false;
	return 0;
}

static int backend_get_vring_base(struct vhost_backend *backend,
				  struct vhost_user_message *message,
				  struct vhost_user_message *reply)
{
	const uint32_t index = le32_get(message->payload.state.index);
	struct vhost_backend_ring *ring = vhost_backend_ring_of(backend, index);

	if (!ring)
		return -EINVAL;
	if (ring->running)
		vhost_backend_pause(backend);
	vhost_backend_forget_inflight(backend, index);
	ring->base = vhost_backend_base(backend, index);
	ring->known = false;
	ring->started = false;
	virtio_device_set_kick_locked(backend->device, index, -1);
	reply->payload.state.index = le32_of(index);
	reply->payload.state.num = le32_of(ring->base);
	reply->size = sizeof(reply->payload.state);
	return 0;
}

static int backend_set_vring_enable(struct vhost_backend *backend,
				    struct vhost_user_message *message,
				    struct vhost_user_message *reply)
{
	struct vhost_backend_ring *ring =
		vhost_backend_state_ring(backend, message);
	const uint32_t on = le32_get(message->payload.state.num);

	(void)reply;
	if (!ring || on > 1)
		return -EINVAL;
	ring->enabled = on;
	return 0;
}

/*
 * The queue of a descriptor, and the descriptor, -1 for none. Nobody waits for
 * it, so it must not make us wait.
 */
static int vhost_backend_take_eventfd(struct vhost_backend *backend,
				      struct vhost_user_message *message,
				      unsigned int *index, int *fd)
{
	const uint64_t value = le64_get(message->payload.u64);
	const bool none = value & VHOST_USER_VRING_NOFD;
	int flags;

	*index = (unsigned int)(value & VHOST_USER_VRING_INDEX_MASK);
	if (value & ~(VHOST_USER_VRING_INDEX_MASK | VHOST_USER_VRING_NOFD) ||
	    !vhost_backend_ring_of(backend, *index) ||
	    none != (message->fd_count == 0))
		return -EINVAL;
	*fd = vhost_user_message_take_fd(message, 0);
	if (*fd < 0)
		return 0;
	flags = fcntl(*fd, F_GETFL);
	if (flags >= 0 && fcntl(*fd, F_SETFL, flags | O_NONBLOCK) >= 0)
		return 0;
	close(*fd);
	return -EBADF;
}

static int backend_set_vring_kick(struct vhost_backend *backend,
				  struct vhost_user_message *message,
				  struct vhost_user_message *reply)
{
	unsigned int index;
	int fd, ret;

	(void)reply;
	ret = vhost_backend_take_eventfd(backend, message, &index, &fd);
	if (ret < 0)
		return ret;
	/* Without one we would have to look at the ring all the time. */
	if (fd < 0)
		return -EOPNOTSUPP;
	ret = virtio_device_set_kick_locked(backend->device, index, fd);
	if (ret < 0)
		return ret;
	backend->rings[index].started = true;
	return 0;
}

static int backend_set_vring_call(struct vhost_backend *backend,
				  struct vhost_user_message *message,
				  struct vhost_user_message *reply)
{
	unsigned int index;
	int fd, ret;

	(void)reply;
	ret = vhost_backend_take_eventfd(backend, message, &index, &fd);
	if (ret < 0)
		return ret;
	virtio_device_set_call_locked(backend->device, index, fd);
	return 0;
}

static int backend_set_vring_err(struct vhost_backend *backend,
				 struct vhost_user_message *message,
				 struct vhost_user_message *reply)
{
	unsigned int index;
	int fd, ret;

	(void)reply;
	ret = vhost_backend_take_eventfd(backend, message, &index, &fd);
	if (ret < 0)
		return ret;
	if (backend->rings[index].err_fd >= 0)
		close(backend->rings[index].err_fd);
	backend->rings[index].err_fd = fd;
	return 0;
}

/* --- Configuration --------------------------------------------------------
 */

static int backend_get_config(struct vhost_backend *backend,
			      struct vhost_user_message *message,
			      struct vhost_user_message *reply)
{
	struct vhost_user_config *config = &reply->payload.config;
	const uint32_t size = le32_get(message->payload.config.size);

	*config = (struct vhost_user_config){
		.offset = message->payload.config.offset,
		.size = le32_of(size),
		.flags = message->payload.config.flags,
	};
	/* No payload says that it cannot be read. */
	if (size > VHOST_USER_CONFIG_MAX)
		return 0;
	virtio_device_read_config_locked(
		backend->device, le32_get(config->offset), config->data, size);
	reply->size = VHOST_USER_CONFIG_HEAD + size;
	return 0;
}

static int backend_set_config(struct vhost_backend *backend,
			      struct vhost_user_message *message,
			      struct vhost_user_message *reply)
{
	const struct vhost_user_config *config = &message->payload.config;
	const uint32_t size = le32_get(config->size);

	(void)reply;
	if (size > VHOST_USER_CONFIG_MAX ||
	    message->size < VHOST_USER_CONFIG_HEAD + size)
		return -EINVAL;
	virtio_device_write_config_locked(
		backend->device, le32_get(config->offset), config->data, size);
	return 0;
}

static int backend_set_request_fd(struct vhost_backend *backend,
				  struct vhost_user_message *message,
				  struct vhost_user_message *reply)
{
	(void)reply;
	if (backend->request_fd >= 0)
		close(backend->request_fd);
	backend->request_fd = vhost_user_message_take_fd(message, 0);
	return 0;
}

void vhost_backend_drop_memory(struct vhost_backend *backend)
{
	vhost_backend_remove_regions(backend);
	vhost_backend_drop_inflight(backend);
	guest_log_free(backend->log);
	backend->log = NULL;
}

/* --- State ----------------------------------------------------------------
 */

static int backend_set_device_state_fd(struct vhost_backend *backend,
				       struct vhost_user_message *message,
				       struct vhost_user_message *reply)
{
	const struct vhost_user_state_transfer *given =
		&message->payload.transfer;
	const uint32_t direction = le32_get(given->direction);
	int ret = -EINVAL;

	if (direction <= VHOST_USER_TRANSFER_LOAD &&
	    le32_get(given->phase) == 0)
		ret = vhost_backend_transfer_begin(
			backend, vhost_user_message_take_fd(message, 0),
			direction == VHOST_USER_TRANSFER_LOAD);
	vhost_backend_answer(reply,
			     VHOST_USER_STATE_NOFD | (uint64_t)(ret < 0));
	return 0;
}

static int backend_check_device_state(struct vhost_backend *backend,
				      struct vhost_user_message *message,
				      struct vhost_user_message *reply)
{
	(void)message;
	vhost_backend_answer(reply, vhost_backend_transfer_check(backend) < 0);
	return 0;
}

/* --- The table ------------------------------------------------------------
 */

/* A place for each row of the table that we can be asked for. */
static vhost_backend_handler *const vhost_backend_handlers[] = {
	[VHOST_USER_GET_FEATURES] = backend_get_features,
	[VHOST_USER_SET_FEATURES] = backend_set_features,
	[VHOST_USER_SET_OWNER] = backend_set_owner,
	[VHOST_USER_RESET_OWNER] = backend_ignore,
	[VHOST_USER_SET_MEM_TABLE] = backend_set_mem_table,
	[VHOST_USER_SET_LOG_BASE] = backend_set_log_base,
	[VHOST_USER_SET_LOG_FD] = backend_ignore,
	[VHOST_USER_SET_VRING_NUM] = backend_set_vring_num,
	[VHOST_USER_SET_VRING_ADDR] = backend_set_vring_addr,
	[VHOST_USER_SET_VRING_BASE] = backend_set_vring_base,
	[VHOST_USER_GET_VRING_BASE] = backend_get_vring_base,
	[VHOST_USER_SET_VRING_KICK] = backend_set_vring_kick,
	[VHOST_USER_SET_VRING_CALL] = backend_set_vring_call,
	[VHOST_USER_SET_VRING_ERR] = backend_set_vring_err,
	[VHOST_USER_GET_PROTOCOL_FEATURES] = backend_get_protocol_features,
	[VHOST_USER_SET_PROTOCOL_FEATURES] = backend_set_protocol_features,
	[VHOST_USER_GET_QUEUE_NUM] = backend_get_queue_num,
	[VHOST_USER_SET_VRING_ENABLE] = backend_set_vring_enable,
	[VHOST_USER_SET_BACKEND_REQ_FD] = backend_set_request_fd,
	[VHOST_USER_GET_CONFIG] = backend_get_config,
	[VHOST_USER_SET_CONFIG] = backend_set_config,
	[VHOST_USER_GET_INFLIGHT_FD] = vhost_backend_get_inflight,
	[VHOST_USER_SET_INFLIGHT_FD] = vhost_backend_set_inflight,
	[VHOST_USER_RESET_DEVICE] = backend_reset_device,
	[VHOST_USER_GET_MAX_MEM_SLOTS] = backend_get_max_mem_slots,
	[VHOST_USER_ADD_MEM_REG] = backend_add_mem_reg,
	[VHOST_USER_REM_MEM_REG] = backend_rem_mem_reg,
	[VHOST_USER_SET_STATUS] = backend_set_status,
	[VHOST_USER_GET_STATUS] = backend_get_status,
	[VHOST_USER_SET_DEVICE_STATE_FD] = backend_set_device_state_fd,
	[VHOST_USER_CHECK_DEVICE_STATE] = backend_check_device_state,
};

static_assert(sizeof(vhost_backend_handlers) /
			      sizeof(vhost_backend_handlers[0]) ==
		      VHOST_USER_REQUESTS,
	      "a place for each request");

int vhost_backend_obey(struct vhost_backend *backend,
		       struct vhost_user_message *message,
		       struct vhost_user_message *reply)
{
	/* A row of a feature that is never offered has none, and was refused.
	 */
	return vhost_backend_handlers[message->request](backend, message,
							reply);
}
