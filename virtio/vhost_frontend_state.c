/*
 * The state of a device that a vhost-user backend has: got from it, and given
 * to it, through a pipe. What it sends is bounded, and otherwise its own
 * affair.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "virtio/vhost_frontend_private.h"
#include "vmm/base/json.h"
#include "vmm/base/loop.h"

#define STATE_PIECE 65536

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
			      ? vhost_user_wait(fd, POLLIN, frontend->deadline)
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
			      ? vhost_user_wait(fd, POLLOUT, frontend->deadline)
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

/* Another backend's state means something to itself alone; beside it, what the
 * driver has told the frontend. */
static json_t *vhost_frontend_pack(const struct vhost_frontend *frontend,
				   const char *text, size_t len)
{
	return json_pack("{s:I, s:o, s:i}", "length", (json_int_t)len,
			 "backend", json_blob(text, len), "pairs",
			 (int)frontend->pairs);
}

/* A whole device's is what its model saves anywhere. */
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
		*out = frontend->whole
			       ? json_loadb(text, len,
					    JSON_REJECT_DUPLICATES |
						    JSON_DECODE_ANY,
					    NULL)
			       : vhost_frontend_pack(frontend, text, len);
	if (ret == 0 && !*out)
		ret = -EPROTO;
	free(text);
	return ret;
}

/* What snapshot() made: the bytes, free() them; and the pairs. NULL: it is no
 * such thing. */
static char *vhost_frontend_state_text(const struct vhost_frontend *frontend,
				       const json_t *state, size_t *len,
				       unsigned int *pairs)
{
	const json_t *length = json_object_get(state, "length");
	const json_int_t used =
		json_integer_value(json_object_get(state, "pairs"));
	char *text;

	*pairs = 1;

	if (frontend->whole) {
		text = json_dumps(state, JSON_COMPACT | JSON_ENCODE_ANY);
		*len = text ? strlen(text) : 0;
		return text;
	}
	if (json_object_size(state) != 3 || used < 1 ||
	    used > vhost_frontend_pairs(frontend) || !json_is_integer(length) ||
	    json_integer_value(length) < 0 ||
	    (uint64_t)json_integer_value(length) > VHOST_FRONTEND_STATE_MAX)
		return NULL;
	*pairs = (unsigned int)used;
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
	unsigned int pairs;
	size_t len = 0;
	char *text;
	int ret;

	if (!vhost_frontend_has(frontend, VHOST_USER_PROTOCOL(DEVICE_STATE)))
		return error_set(err, EOPNOTSUPP,
				 "%s: the vhost-user backend lacks "
				 "VHOST_USER_PROTOCOL_F_DEVICE_STATE, and "
				 "takes no state",
				 label);
	text = vhost_frontend_state_text(frontend, state, &len, &pairs);
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
	frontend->pairs = pairs;
	frontend->restored = true;
	return 0;
}
