/*
 * What the vhost-user frontend tells a backend when rings start and stop, and
 * the device's state, which it gets and gives.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "virtio/vhost_frontend_private.h"
#include "vmm/base/json.h"

#define STATE_PIECE 65536

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

static int vhost_frontend_send_features(struct vhost_frontend *frontend)
{
	return vhost_frontend_tell(
		frontend, VHOST_USER_SET_FEATURES,
		virtio_device_acked(frontend->device) |
			UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES);
}

static int vhost_frontend_send_status(struct vhost_frontend *frontend,
				      unsigned int status)
{
	if (!vhost_frontend_has(frontend, VHOST_USER_PROTOCOL(STATUS)))
		return 0;
	return vhost_frontend_tell(frontend, VHOST_USER_SET_STATUS, status);
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

/* Where the backend can, and the rings are such that it is worth it. */
static int vhost_frontend_send_inflight(struct vhost_frontend *frontend)
{
	struct vhost_user_message message = {
		.request = VHOST_USER_SET_INFLIGHT_FD,
		.size = VHOST_USER_INFLIGHT_SIZE,
		.fd_count = 1,
	};
	int ret = 0;

	if (!vhost_frontend_has(frontend,
				VHOST_USER_PROTOCOL(INFLIGHT_SHMFD)) ||
	    vhost_frontend_packed(frontend))
		return 0;
	if (frontend->inflight_fd < 0)
		ret = vhost_frontend_get_inflight(frontend);
	/* It may have nothing to keep. */
	if (ret < 0 || frontend->inflight_fd < 0)
		return ret;
	message.payload.inflight = frontend->inflight;
	message.fds[0] = frontend->inflight_fd;
	return vhost_frontend_ask(frontend, &message, NULL);
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

int vhost_frontend_start_ring(struct vhost_frontend *frontend,
			      unsigned int index)
{
	struct virtqueue_position position;
	const struct virtqueue_config *config =
		virtio_device_ring(frontend->device, index, &position);
	int ret;

	if (!config)
		return 0;
	ret = vhost_frontend_tell_ring(frontend, VHOST_USER_SET_VRING_NUM,
				       index, config->size);
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
	if (ret == 0)
		ret = vhost_frontend_send_eventfd(frontend,
						  VHOST_USER_SET_VRING_KICK,
						  index, config->kick_fd);
	if (ret == 0)
		ret = vhost_frontend_tell_ring(
			frontend, VHOST_USER_SET_VRING_ENABLE, index, 1);
	/* Buffers that were there before; and what a backend may have used
	 * before it stopped, without an interrupt. */
	if (ret == 0)
		(void)eventfd_write(config->kick_fd, 1);
	return ret;
}

int vhost_frontend_start(struct vhost_frontend *frontend, bool again)
{
	int ret = 0;

	vhost_frontend_begin(frontend);
	/* What was loaded is of a driver that is no more. */
	if (frontend->restored && !again &&
	    vhost_frontend_has(frontend, VHOST_USER_PROTOCOL(RESET_DEVICE))) {
		const struct vhost_user_message reset = {
			.request = VHOST_USER_RESET_DEVICE,
		};

		ret = vhost_frontend_ask(frontend, &reset, NULL);
	}
	frontend->restored = false;
	if (ret == 0)
		ret = vhost_frontend_send_features(frontend);
	if (ret == 0)
		ret = vhost_frontend_send_status(frontend, FRONTEND_STATUS);
	if (ret == 0)
		ret = vhost_frontend_send_memory(frontend);
	if (ret == 0)
		ret = vhost_frontend_send_inflight(frontend);
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
			     unsigned int index)
{
	const struct vhost_user_message message = {
		.request = VHOST_USER_GET_VRING_BASE,
		.size = sizeof(struct vhost_user_vring_state),
		.payload.state = {.index = le32_of(index)},
	};
	struct virtqueue_position position;
	const struct virtqueue_config *config =
		virtio_device_ring(frontend->device, index, &position);
	struct vhost_user_message reply = {.size = 0};
	int ret;

	if (!config)
		return 0;
	ret = vhost_frontend_ask(frontend, &message, &reply);
	if (ret < 0)
		return ret;
	return vhost_frontend_note(frontend, index,
				   le32_get(reply.payload.state.num), config);
}

int vhost_frontend_stop(struct vhost_frontend *frontend)
{
	int ret = 0;

	vhost_frontend_begin(frontend);
	for (unsigned int i = 0; ret == 0 && i < frontend->queue_count; i++)
		ret = vhost_frontend_stop_ring(frontend, i);
	return ret;
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
	if (frontend->lost)
		ret = 0;
	else if (vhost_frontend_has(frontend,
				    VHOST_USER_PROTOCOL(RESET_DEVICE)))
		ret = vhost_frontend_ask(frontend, &message, NULL);
	else
		ret = vhost_frontend_stop(frontend);
	/* Its own status is no more either. */
	if (ret == 0 && !frontend->lost)
		ret = vhost_frontend_send_status(frontend, 0);
	/* A device that is not reset may go on writing to memory. */
	if (ret < 0)
		vhost_frontend_lose(frontend, "it refuses to be reset");
	vhost_frontend_drop_inflight(frontend);
	frontend->restored = false;
	frontend->resetting = false;
}

/* --- State ----------------------------------------------------------------
 */

static int vhost_frontend_wait(const struct vhost_frontend *frontend, int fd,
			       short events)
{
	struct pollfd pollfd = {.fd = fd, .events = events};
	const int64_t left = frontend->deadline - loop_now();

	if (left <= 0)
		return -ETIMEDOUT;
	if (poll(&pollfd, 1, (int)(left / 1000000) + 1) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

/* All that comes until the end. Return: 0 or a negative errno. */
static int vhost_frontend_read_state(const struct vhost_frontend *frontend,
				     int fd, char **text, size_t *len)
{
	for (;;) {
		char *more;
		ssize_t n;
		int ret;

		if (*len + STATE_PIECE > VHOST_FRONTEND_STATE_MAX)
			return -EFBIG;
		more = realloc(*text, *len + STATE_PIECE);
		if (!more)
			return -ENOMEM;
		*text = more;
		n = read(fd, more + *len, STATE_PIECE);
		if (n == 0)
			return 0;
		if (n > 0) {
			*len += (size_t)n;
			continue;
		}
		ret = errno == EAGAIN
			      ? vhost_frontend_wait(frontend, fd, POLLIN)
			      : -errno;
		if (ret < 0)
			return ret;
	}
}

static int vhost_frontend_write_state(const struct vhost_frontend *frontend,
				      int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);
		int ret;

		if (n > 0) {
			text += n;
			len -= (size_t)n;
			continue;
		}
		ret = errno == EAGAIN
			      ? vhost_frontend_wait(frontend, fd, POLLOUT)
			      : -errno;
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Give the backend one end of a pipe. Return: the other, or -errno. */
static int vhost_frontend_open_state(struct vhost_frontend *frontend,
				     enum vhost_user_transfer direction)
{
	const bool save = direction == VHOST_USER_TRANSFER_SAVE;
	struct vhost_user_message message = {
		.request = VHOST_USER_SET_DEVICE_STATE_FD,
		.size = sizeof(struct vhost_user_state_transfer),
		.payload.transfer = {.direction = le32_of(direction)},
		.fd_count = 1,
	};
	struct vhost_user_message reply = {.size = 0};
	int fds[2], theirs, ret;
	uint64_t value;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	message.fds[0] = fds[save];
	ret = vhost_frontend_ask(frontend, &message, &reply);
	close(fds[save]);
	if (ret < 0) {
		close(fds[!save]);
		return ret;
	}
	value = le64_get(reply.payload.u64);
	theirs = vhost_user_message_take_fd(&reply, 0);
	if (!(value & VHOST_USER_STATE_ERROR_MASK) && theirs < 0)
		return fds[!save];
	close(fds[!save]);
	if (theirs < 0)
		return -EREMOTEIO;
	/*
	 * It would rather have its own. That one's file description is shared,
	 * so it could let us wait for ever by making it blocking again.
	 */
	close(theirs);
	return -EOPNOTSUPP;
}

static int vhost_frontend_check_state(struct vhost_frontend *frontend)
{
	uint64_t result = 0;
	int ret = vhost_frontend_get(frontend, VHOST_USER_CHECK_DEVICE_STATE,
				     &result);

	return ret == 0 && result ? -EREMOTEIO : ret;
}

static int vhost_frontend_fetch(struct vhost_frontend *frontend, char **text,
				size_t *len)
{
	int fd, ret;

	vhost_frontend_begin(frontend);
	fd = vhost_frontend_open_state(frontend, VHOST_USER_TRANSFER_SAVE);
	if (fd < 0)
		return fd;
	ret = vhost_frontend_read_state(frontend, fd, text, len);
	close(fd);
	return ret < 0 ? ret : vhost_frontend_check_state(frontend);
}

/* A whole device's state is what its model saves anywhere; another backend's
 * means something to itself alone. */
int vhost_frontend_snapshot(void *self, json_t **out)
{
	struct vhost_frontend *frontend = self;
	char *text = NULL;
	size_t len = 0;
	int ret;

	if (!vhost_frontend_has(frontend, VHOST_USER_PROTOCOL(DEVICE_STATE))) {
		log_error("%s: the vhost-user backend lacks "
			  "VHOST_USER_PROTOCOL_F_DEVICE_STATE, so there is no "
			  "snapshot of it",
			  virtio_device_label(frontend->device));
		return -EOPNOTSUPP;
	}
	ret = vhost_frontend_fetch(frontend, &text, &len);
	if (ret == 0)
		*out = frontend->whole ? json_loadb(text, len,
						    JSON_REJECT_DUPLICATES |
							    JSON_DECODE_ANY,
						    NULL)
				       : json_pack("{s:I, s:o}", "length",
						   (json_int_t)len, "backend",
						   json_blob(text, len));
	if (ret == 0 && !*out)
		ret = -EPROTO;
	free(text);
	return ret;
}

/* The bytes of what snapshot() made; free() them. NULL: it is no such thing. */
static char *vhost_frontend_state_text(const struct vhost_frontend *frontend,
				       const json_t *state, size_t *len)
{
	const json_t *length = json_object_get(state, "length");
	char *text;

	if (frontend->whole) {
		text = json_dumps(state, JSON_COMPACT | JSON_ENCODE_ANY);
		*len = text ? strlen(text) : 0;
		return text;
	}
	if (json_object_size(state) != 2 || !json_is_integer(length) ||
	    json_integer_value(length) < 0 ||
	    (uint64_t)json_integer_value(length) > VHOST_FRONTEND_STATE_MAX)
		return NULL;
	*len = (size_t)json_integer_value(length);
	text = malloc(*len + 1);
	if (text &&
	    json_blob_get(json_object_get(state, "backend"), text, *len) == 0)
		return text;
	free(text);
	return NULL;
}

static int vhost_frontend_load(struct vhost_frontend *frontend,
			       const char *text, size_t len)
{
	int fd, ret;

	vhost_frontend_begin(frontend);
	ret = virtio_device_acked(frontend->device)
		      ? vhost_frontend_send_features(frontend)
		      : 0;
	if (ret < 0)
		return ret;
	fd = vhost_frontend_open_state(frontend, VHOST_USER_TRANSFER_LOAD);
	if (fd < 0)
		return fd;
	ret = vhost_frontend_write_state(frontend, fd, text, len);
	close(fd);
	if (ret == 0)
		ret = vhost_frontend_check_state(frontend);
	/* The configuration is part of it. */
	if (ret == 0 && vhost_frontend_config_is_there(frontend))
		ret = vhost_frontend_read_config(frontend);
	return ret < 0 ? ret : 0;
}

int vhost_frontend_restore(void *self, const json_t *state, struct error *err)
{
	struct vhost_frontend *frontend = self;
	const char *label = virtio_device_label(frontend->device);
	size_t len = 0;
	char *text;
	int ret;

	if (!vhost_frontend_has(frontend, VHOST_USER_PROTOCOL(DEVICE_STATE)))
		return error_set(err, EOPNOTSUPP,
				 "%s: the vhost-user backend lacks "
				 "VHOST_USER_PROTOCOL_F_DEVICE_STATE, and "
				 "takes no state",
				 label);
	text = vhost_frontend_state_text(frontend, state, &len);
	if (!text)
		return error_set(err, EINVAL,
				 "%s: expected the state of a vhost-user "
				 "backend",
				 label);
	ret = vhost_frontend_load(frontend, text, len);
	free(text);
	if (ret < 0)
		return error_set(err, -ret,
				 "%s: the vhost-user backend does not take "
				 "the state",
				 label);
	frontend->restored = true;
	return 0;
}
