/*
 * The type of device that a vhost-user backend serves: making it, and what the
 * device object asks. The guest writes the configuration.
 */
#include "virtio/vhost_frontend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "virtio/vhost_frontend_private.h"

#define FS_CONFIG_QUEUES 36 /* 5.11.4 */

/* --- Making and freeing ---------------------------------------------------
 */

static void vhost_frontend_close(struct vhost_frontend *frontend)
{
	vhost_user_reader_fini(&frontend->reader);
	if (frontend->own_fd >= 0)
		close(frontend->own_fd);
	if (frontend->request_fd >= 0)
		close(frontend->request_fd);
	if (frontend->inflight_fd >= 0)
		close(frontend->inflight_fd);
	free(frontend);
}

static int vhost_frontend_listen(struct vhost_frontend *frontend)
{
	int ret = virtio_device_watch(frontend->device, &frontend->watch,
				      frontend->fd, EPOLLIN,
				      vhost_frontend_heard, frontend);

	if (ret == 0 && frontend->request_fd >= 0)
		ret = virtio_device_watch(frontend->device,
					  &frontend->request_watch,
					  frontend->request_fd, EPOLLIN,
					  vhost_frontend_requested, frontend);
	return ret;
}

/* What of the configuration is the frontend's. */
static void vhost_frontend_own_config(struct vhost_frontend *frontend)
{
	const char *type = frontend->type->name;
	const le16 requests = le16_of(
		(uint16_t)(frontend->queue_count - frontend->type->fixed));

	if (frontend->whole)
		return;
	if (strcmp(type, "fs") == 0) {
		memcpy(frontend->config, frontend->tag, sizeof(frontend->tag));
		memcpy(frontend->config + FS_CONFIG_QUEUES, &requests,
		       sizeof(requests));
	} else if (strcmp(type, "net") == 0) {
		vhost_frontend_make_net(frontend);
	}
}

static int
vhost_frontend_load_description(struct vhost_frontend *frontend,
				const struct virtio_resources *resources,
				struct error *err)
{
	const char *tag, *socket = "", *mac = NULL;
	int queues, whole;

	if (resources->fd_count != 1 ||
	    json_unpack(resources->description, "{s:s, s:i, s:b, s?s, s?s}",
			"tag", &tag, "queues", &queues, "whole", &whole,
			"socket", &socket, "mac", &mac) < 0 ||
	    (mac && net_mac_parse(mac, frontend->mac) < 0) ||
	    strlen(socket) >= sizeof(frontend->socket.path) ||
	    strlen(tag) > sizeof(frontend->tag) || queues < 0 ||
	    queues > VHOST_FRONTEND_QUEUES_MAX)
		return error_set(err, EINVAL, "a bad description");
	memcpy(frontend->tag, tag, strlen(tag));
	memcpy(frontend->socket.path, socket, strlen(socket));
	frontend->fd = resources->fds[0];
	frontend->queue_count = (unsigned int)queues;
	frontend->whole = whole;
	frontend->has_control = !whole && frontend->type->many && queues > 1;
	return 0;
}

static int vhost_frontend_create(void **self, struct virtio_device *device,
				 const struct virtio_resources *resources,
				 struct error *err)
{
	struct vhost_frontend *frontend = calloc(1, sizeof(*frontend));
	int ret;

	if (!frontend)
		return error_set(err, ENOMEM, "no memory");
	frontend->device = device;
	frontend->type = vhost_type_find(virtio_device_ops(device)->type);
	frontend->own_fd = frontend->request_fd = frontend->inflight_fd = -1;
	frontend->pairs = 1;
	ret = vhost_frontend_load_description(frontend, resources, err);
	if (ret == 0)
		ret = vhost_frontend_greet(frontend, err);
	if (ret < 0)
		goto err_close;
	vhost_frontend_own_config(frontend);
	ret = vhost_frontend_listen(frontend);
	if (ret == 0)
		ret = vhost_frontend_keep_socket(frontend);
	if (ret < 0) {
		error_set(err, -ret, "%s", strerror(-ret));
		goto err_close;
	}
	frontend->made = true;
	*self = frontend;
	return 0;

err_close:
	vhost_frontend_close(frontend);
	return ret;
}

static void vhost_frontend_destroy(void *self)
{
	struct vhost_frontend *frontend = self;

	vhost_frontend_close(frontend);
}

static unsigned int vhost_frontend_keep_fds(void *self, int *fds)
{
	const struct vhost_frontend *frontend = self;
	unsigned int count = 0;

	fds[count++] = frontend->fd;
	if (frontend->request_fd >= 0)
		fds[count++] = frontend->request_fd;
	if (frontend->inflight_fd >= 0)
		fds[count++] = frontend->inflight_fd;
	return count;
}

/* --- What does not change -------------------------------------------------
 */

static unsigned int vhost_frontend_queue_max_sizes(void *self, uint16_t *sizes)
{
	const struct vhost_frontend *frontend = self;
	const unsigned int count =
		frontend->queue_count + frontend->has_control;

	for (unsigned int i = 0; i < count; i++)
		sizes[i] = frontend->type->queue_size;
	return count;
}

static bool vhost_frontend_queue_elsewhere(void *self, unsigned int index)
{
	return !vhost_frontend_is_control(self, index);
}

static uint64_t vhost_frontend_features(void *self)
{
	return ((const struct vhost_frontend *)self)->features;
}

static size_t vhost_frontend_config_size(void *self)
{
	return ((const struct vhost_frontend *)self)->type->config_size;
}

static void vhost_frontend_config_read(void *self, size_t offset, void *data,
				       size_t len)
{
	const struct vhost_frontend *frontend = self;

	memcpy(data, frontend->config + offset, len);
}

/* What stays as the driver wrote it. */
static void vhost_frontend_note_own(struct vhost_frontend *frontend,
				    size_t offset, const uint8_t *data,
				    size_t len)
{
	const struct vhost_type *type = frontend->type;

	for (size_t i = 0; i < type->own_size; i++) {
		const size_t at = type->own + i;

		if (at < offset || at - offset >= len)
			continue;
		frontend->config[at] = data[at - offset];
		frontend->wrote = true;
	}
}

/* What it is now, the backend says. */
static void vhost_frontend_config_write(void *self, size_t offset,
					const void *data, size_t len)
{
	struct vhost_frontend *frontend = self;

	if (!vhost_frontend_config_is_there(frontend))
		return;
	vhost_frontend_note_own(frontend, offset, data, len);
	if (frontend->lost)
		return;
	vhost_frontend_begin(frontend);
	if (vhost_frontend_write_config(frontend, offset, data, len) == 0)
		(void)vhost_frontend_read_config(frontend);
}

/* --- Life -----------------------------------------------------------------
 */

/* What there is no backend for is done when the next one comes. */
static int vhost_frontend_later(const struct vhost_frontend *frontend, int ret)
{
	return ret == -ENOLINK && frontend->waiting ? 0 : ret;
}

static int vhost_frontend_activate(void *self, struct virtqueue *const *queues)
{
	vhost_frontend_take_control(self, queues);
	vhost_frontend_begin(self);
	return vhost_frontend_later(self, vhost_frontend_start(self, false));
}

static void vhost_frontend_queue_ready(void *self, unsigned int index)
{
	if (vhost_frontend_is_control(self, index))
		vhost_frontend_run_control(self);
}

static void vhost_frontend_queue_reset(void *self, unsigned int index)
{
	const uint64_t bit = UINT64_C(1) << index;
	struct vhost_frontend *frontend = self;
	uint32_t base;
	int ret;

	if (vhost_frontend_is_control(frontend, index)) {
		frontend->control = NULL;
		return;
	}
	vhost_frontend_begin(frontend);
	ret = vhost_frontend_stop_ring(frontend, index, &base);
	if (ret == 0)
		ret = vhost_frontend_tell_ring(
			frontend, VHOST_USER_SET_VRING_ENABLE, index, 0);
	if (ret < 0)
		vhost_frontend_lose(frontend, "it refuses to stop a ring");
	frontend->ran &= ~bit;
	if (!frontend->lost)
		return;
	frontend->dropped |= bit;
	vhost_frontend_settle(frontend);
}

static int vhost_frontend_queue_enable(void *self, unsigned int index,
				       struct virtqueue *queue)
{
	struct vhost_frontend *frontend = self;

	if (vhost_frontend_is_control(frontend, index)) {
		frontend->control = queue;
		return 0;
	}
	vhost_frontend_begin(self);
	return vhost_frontend_later(self,
				    vhost_frontend_start_ring(self, index));
}

static int vhost_frontend_sleep(void *self)
{
	struct vhost_frontend *frontend = self;
	int ret = 0;

	/* Rings that are not enabled stand nowhere. */
	if (!frontend->waiting)
		ret = vhost_frontend_stop(frontend);
	if (!frontend->waiting && ret == 0)
		frontend->control = NULL;
	if (!frontend->waiting)
		return ret;
	log_error("%s: its vhost-user backend is lost, and another is not "
		  "there yet: try again",
		  virtio_device_label(frontend->device));
	return -EAGAIN;
}

static int vhost_frontend_wake(void *self, struct virtqueue *const *queues)
{
	if (!queues)
		return 0;
	vhost_frontend_take_control(self, queues);
	vhost_frontend_begin(self);
	return vhost_frontend_later(self, vhost_frontend_start(self, true));
}

static int vhost_frontend_command(void *self, const char *name,
				  const json_t *args, json_t **reply,
				  struct error *err)
{
	(void)self;
	(void)args;
	(void)reply;
	return error_set(err, EOPNOTSUPP,
			 "a vhost-user backend takes no command, not \"%s\"",
			 name);
}

#define FRONTEND_OPS(name, id, code)                                          \
	{                                                                     \
		.type = (name), .device_id = (id), .class_code = (code),      \
		.open = vhost_frontend_open, .create = vhost_frontend_create, \
		.destroy = vhost_frontend_destroy,                            \
		.keep_fds = vhost_frontend_keep_fds,                          \
		.queue_max_sizes = vhost_frontend_queue_max_sizes,            \
		.features = vhost_frontend_features,                          \
		.queue_elsewhere = vhost_frontend_queue_elsewhere,            \
		.config_size = vhost_frontend_config_size,                    \
		.read_config = vhost_frontend_config_read,                    \
		.write_config = vhost_frontend_config_write,                  \
		.activate = vhost_frontend_activate,                          \
		.queue_ready = vhost_frontend_queue_ready,                    \
		.reset = vhost_frontend_reset,                                \
		.queue_reset = vhost_frontend_queue_reset,                    \
		.queue_enable = vhost_frontend_queue_enable,                  \
		.sleep = vhost_frontend_sleep, .wake = vhost_frontend_wake,   \
		.snapshot = vhost_frontend_snapshot,                          \
		.restore = vhost_frontend_restore,                            \
		.command = vhost_frontend_command,                            \
	}

/* Device ids and PCI class codes, as those of the models. */
static const struct virtio_device_ops vhost_frontend_types[] = {
	FRONTEND_OPS("block", VIRTIO_ID_BLOCK, 0x010000),
	FRONTEND_OPS("console", VIRTIO_ID_CONSOLE, 0x078000),
	FRONTEND_OPS("fs", VIRTIO_ID_FS, 0x018000),
	FRONTEND_OPS("net", VIRTIO_ID_NET, 0x020000),
	FRONTEND_OPS("rng", VIRTIO_ID_RNG, 0x00ff00),
};

const struct virtio_device_ops *vhost_frontend_ops(const char *type)
{
	for (size_t i = 0;
	     i < sizeof(vhost_frontend_types) / sizeof(vhost_frontend_types[0]);
	     i++) {
		if (strcmp(vhost_frontend_types[i].type, type) == 0)
			return &vhost_frontend_types[i];
	}
	return NULL;
}

struct vhost_frontend *vhost_frontend_of(struct virtio_device *device)
{
	return virtio_device_model(device);
}
