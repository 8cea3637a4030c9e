/*
 * Moving a device's state over vhost-user: the JSON text of what its model
 * saves, through a pipe of the frontend's. The text is the frontend's when it
 * is loaded, and bounded; the model checks it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "virtio/vhost_backend_private.h"

#define STATE_PIECE 65536

/* --- The model's state ----------------------------------------------------
 */

static bool vhost_backend_running(const struct vhost_backend *backend)
{
	for (unsigned int i = 0; i < backend->ring_count; i++) {
		if (backend->rings[i].running)
			return true;
	}
	return false;
}

/* All of the device's, asleep or not. Return: 0 or a negative errno. */
static int vhost_backend_snapshot(struct vhost_backend *backend, json_t **out)
{
	struct virtio_device *device = backend->device;
	const bool woken = virtio_device_sleep_locked(device) == 0;
	int ret = virtio_device_snapshot_locked(device, out);

	if (woken)
		virtio_device_wake_locked(device);
	return ret;
}

static int vhost_backend_save(struct vhost_backend *backend)
{
	struct vhost_backend_transfer *transfer = &backend->transfer;
	json_t *state;
	int ret = vhost_backend_snapshot(backend, &state);

	if (ret < 0)
		return ret;
	transfer->text =
		json_dumps(json_object_get(state, "model"), JSON_COMPACT);
	json_decref(state);
	if (!transfer->text)
		return -ENOMEM;
	transfer->len = strlen(transfer->text);
	return 0;
}

int vhost_backend_restore(struct vhost_backend *backend, json_t *model)
{
	struct virtio_device *device = backend->device;
	struct error err = {""};
	json_t *state = NULL;
	int ret;

	if (virtio_device_state_locked(device) != VIRTIO_DEVICE_NEW)
		return -EBUSY;
	ret = virtio_device_sleep_locked(device);
	if (ret == 0)
		ret = virtio_device_snapshot_locked(device, &state);
	if (ret < 0)
		return ret;
	json_object_set_new(state, "state", json_string("active"));
	json_object_set(state, "model", model);
	ret = virtio_device_restore_locked(device, state, &err);
	json_decref(state);
	if (ret < 0) {
		virtio_device_wake_locked(device);
		log_limited(&backend->refusals, LOG_WARN,
			    "%s: the state that the frontend has: %s",
			    virtio_device_label(device), err.text);
	}
	return ret;
}

static int vhost_backend_load(struct vhost_backend *backend)
{
	const struct vhost_backend_transfer *transfer = &backend->transfer;
	json_error_t at;
	json_t *model =
		json_loadb(transfer->text ? transfer->text : "", transfer->len,
			   JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &at);
	int ret;

	if (!model)
		return -EINVAL;
	ret = vhost_backend_restore(backend, model);
	json_decref(model);
	return ret;
}

/* --- The pipe -------------------------------------------------------------
 */

void vhost_backend_transfer_drop(struct vhost_backend *backend)
{
	struct vhost_backend_transfer *transfer = &backend->transfer;

	loop_fd_remove(transfer->source);
	if (transfer->fd >= 0)
		close(transfer->fd);
	free(transfer->text);
	*transfer = (struct vhost_backend_transfer){.fd = -1};
}

/* Return: 1 at the end; 0: later; or a negative errno. */
static int vhost_backend_read_state(struct vhost_backend_transfer *transfer)
{
	ssize_t n;
	char *text;

	if (transfer->len + STATE_PIECE > VHOST_BACKEND_STATE_MAX)
		return -EFBIG;
	text = realloc(transfer->text, transfer->len + STATE_PIECE);
	if (!text)
		return -ENOMEM;
	transfer->text = text;
	n = read(transfer->fd, text + transfer->len, STATE_PIECE);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	transfer->len += (size_t)n;
	return n == 0;
}

static int vhost_backend_write_state(struct vhost_backend_transfer *transfer)
{
	ssize_t n = write(transfer->fd, transfer->text + transfer->at,
			  transfer->len - transfer->at);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	transfer->at += (size_t)n;
	return transfer->at == transfer->len;
}

/* With the device's lock held. */
static void vhost_backend_transfer_step(struct vhost_backend *backend)
{
	struct vhost_backend_transfer *transfer = &backend->transfer;
	int ret = transfer->load ? vhost_backend_read_state(transfer)
				 : vhost_backend_write_state(transfer);

	if (ret == 0)
		return;
	if (ret > 0)
		ret = transfer->load ? vhost_backend_load(backend) : 0;
	vhost_backend_transfer_drop(backend);
	transfer->result = ret;
}

static void vhost_backend_transfer_ready(void *ctx, uint32_t events)
{
	struct vhost_backend *backend = ctx;

	(void)events;
	virtio_device_lock(backend->device);
	if (backend->transfer.fd >= 0)
		vhost_backend_transfer_step(backend);
	virtio_device_unlock(backend->device);
}

int vhost_backend_transfer_begin(struct vhost_backend *backend, int fd,
				 bool load)
{
	struct vhost_backend_transfer *transfer = &backend->transfer;
	const int flags = fcntl(fd, F_GETFL);
	int ret;

	vhost_backend_transfer_drop(backend);
	transfer->fd = fd;
	transfer->load = load;
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		ret = -errno;
	else if (vhost_backend_running(backend))
		ret = -EBUSY;
	else
		ret = load ? 0 : vhost_backend_save(backend);
	if (ret == 0)
		ret = loop_fd_add(backend->config.loop, &transfer->source, fd,
				  load ? EPOLLIN : EPOLLOUT,
				  vhost_backend_transfer_ready, backend);
	if (ret < 0) {
		vhost_backend_transfer_drop(backend);
		transfer->result = ret;
	}
	return ret;
}

int vhost_backend_transfer_check(struct vhost_backend *backend)
{
	const int64_t deadline = loop_now() + VHOST_USER_DEADLINE;
	struct vhost_backend_transfer *transfer = &backend->transfer;

	while (transfer->fd >= 0 &&
	       vhost_user_wait(transfer->fd, transfer->load ? POLLIN : POLLOUT,
			       deadline) == 0)
		vhost_backend_transfer_step(backend);
	if (transfer->fd < 0)
		return transfer->result;
	vhost_backend_transfer_drop(backend);
	return -ETIMEDOUT;
}
