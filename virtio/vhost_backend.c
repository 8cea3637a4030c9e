/*
 * The vhost-user backend's connection. What each message does is in
 * vhost_backend_messages.c, when a ring runs in vhost_backend_rings.c.
 */
#include "virtio/vhost_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "virtio/vhost_backend_private.h"

/* Messages in one turn of the loop. */
#define BACKEND_TURN 16

/* --- The connection -------------------------------------------------------
 */

/* Give everything of the frontend's back. */
static void vhost_backend_leave(struct vhost_backend *backend)
{
	struct virtio_device *device = backend->device;

	loop_fd_remove(backend->source);
	loop_timer_remove(backend->timer);
	vhost_user_reader_fini(&backend->reader);
	close(backend->fd);
	virtio_device_lock(device);
	virtio_device_set_events_locked(device, NULL, NULL);
	vhost_backend_transfer_drop(backend);
	vhost_backend_reset(backend, false);
	vhost_backend_drop_memory(backend);
	for (unsigned int i = 0; i < backend->ring_count; i++) {
		virtio_device_set_kick_locked(device, i, -1);
		virtio_device_set_call_locked(device, i, -1);
		if (backend->rings[i].err_fd >= 0)
			close(backend->rings[i].err_fd);
	}
	virtio_device_unlock(device);
	if (backend->request_fd >= 0)
		close(backend->request_fd);
	backend->fd = -1;
}

/* The backend may be gone when it returns. */
static void vhost_backend_end(struct vhost_backend *backend, const char *why)
{
	vhost_backend_leave(backend);
	backend->config.ended(backend->config.ctx, why);
}

/* Answer or acknowledge. Return: 0 or a negative errno. */
static int vhost_backend_reply(struct vhost_backend *backend,
			       const struct vhost_user_row *row,
			       const struct vhost_user_message *message,
			       struct vhost_user_message *reply, int result)
{
	const bool ack = message->flags & VHOST_USER_NEED_REPLY &&
			 backend->protocol & VHOST_USER_PROTOCOL(REPLY_ACK);

	if (row->reply.max == 0) {
		if (!ack)
			return result;
		vhost_backend_answer(reply, result < 0);
	} else if (result < 0) {
		return result;
	}
	reply->request = message->request;
	reply->flags = VHOST_USER_REPLY;
	return vhost_user_send(backend->fd, loop_now() + VHOST_USER_DEADLINE,
			       reply);
}

/* Return: NULL, or why the connection ends. */
static const char *vhost_backend_handle(struct vhost_backend *backend,
					struct vhost_user_message *message)
{
	struct vhost_user_message reply = {.size = 0};
	const struct vhost_user_row *row;
	const char *why = NULL;
	int ret;

	row = vhost_user_check(VHOST_USER_FRONTEND, message, backend->protocol,
			       backend->phase, &why);
	if (!row)
		return why;
	virtio_device_lock(backend->device);
	ret = vhost_backend_obey(backend, message, &reply);
	/* Also what a refused one has stopped goes on. */
	vhost_backend_settle(backend);
	virtio_device_unlock(backend->device);
	if (ret < 0)
		log_limited(&backend->refusals, LOG_WARN,
			    "%s: the frontend's %s: %s",
			    virtio_device_label(backend->device), row->name,
			    strerror(-ret));
	ret = vhost_backend_reply(backend, row, message, &reply, ret);
	vhost_user_message_fini(&reply);
	return ret < 0 ? strerror(-ret) : NULL;
}

/* Counted from its first byte, however few come at a time. */
static void vhost_backend_expect_rest(struct vhost_backend *backend)
{
	int64_t left = backend->reader.begun + VHOST_USER_DEADLINE - loop_now();

	loop_timer_set(backend->timer, left > 0 ? left : 0);
}

/* Return: NULL, or why the connection ends; "" for a hang-up. */
static const char *vhost_backend_turn(struct vhost_backend *backend)
{
	struct vhost_user_message message;

	for (unsigned int i = 0; i < BACKEND_TURN; i++) {
		int ret = vhost_user_read(&backend->reader, backend->fd,
					  &message);
		const char *why;

		if (ret == -ECONNRESET && backend->reader.got == 0)
			return "";
		if (ret == -EPROTO)
			return "what is no message";
		if (ret < 0)
			return strerror(-ret);
		if (ret == 0)
			break;
		why = vhost_backend_handle(backend, &message);
		vhost_user_message_fini(&message);
		if (why)
			return why;
	}
	if (backend->reader.got)
		vhost_backend_expect_rest(backend);
	else
		loop_timer_cancel(backend->timer);
	return NULL;
}

static void vhost_backend_ready(void *ctx, uint32_t events)
{
	struct vhost_backend *backend = ctx;
	const char *why = vhost_backend_turn(backend);

	(void)events;
	if (why)
		vhost_backend_end(backend, why);
}

static void vhost_backend_late(void *ctx)
{
	vhost_backend_end(ctx, "half a message, and no more of it");
}

/* --- What the device says -------------------------------------------------
 */

static void vhost_backend_config_changed(void *ctx)
{
	struct vhost_backend *backend = ctx;
	const struct vhost_user_message message = {
		.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
	};

	if (backend->request_fd < 0 ||
	    !(backend->protocol & VHOST_USER_PROTOCOL(CONFIG)))
		return;
	/* One that does not fit is one that waits there already. */
	(void)vhost_user_send(backend->request_fd, 0, &message);
}

static void vhost_backend_state_changed(void *ctx)
{
	vhost_backend_remember(ctx);
}

/* The status, and who watches the rings' errors. */
static void vhost_backend_needs_reset(void *ctx)
{
	struct vhost_backend *backend = ctx;

	for (unsigned int i = 0; i < backend->ring_count; i++) {
		if (backend->rings[i].err_fd >= 0)
			(void)eventfd_write(backend->rings[i].err_fd, 1);
	}
	vhost_backend_config_changed(ctx);
}

static const struct virtio_device_events vhost_backend_events = {
	.config_changed = vhost_backend_config_changed,
	.needs_reset = vhost_backend_needs_reset,
	.state_changed = vhost_backend_state_changed,
};

/* --- Making and freeing ---------------------------------------------------
 */

static int vhost_backend_join_loop(struct vhost_backend *backend)
{
	struct loop *loop = backend->config.loop;
	int ret = loop_timer_add(loop, &backend->timer, vhost_backend_late,
				 backend);

	if (ret < 0)
		return ret;
	ret = loop_fd_add(loop, &backend->source, backend->fd, EPOLLIN,
			  vhost_backend_ready, backend);
	if (ret < 0)
		loop_timer_remove(backend->timer);
	return ret;
}

int vhost_backend_new(struct vhost_backend **out,
		      const struct vhost_backend_config *config,
		      struct error *err)
{
	struct vhost_backend *backend = calloc(1, sizeof(*backend));
	const char *type = virtio_device_ops(config->device)->type;
	int ret = -ENOMEM;

	if (!backend)
		goto err_close;
	backend->config = *config;
	backend->device = config->device;
	backend->type = vhost_type_find(type);
	backend->fd = config->fd;
	backend->request_fd = -1;
	backend->transfer.fd = -1;
	ret = backend->type ? 0 : -EOPNOTSUPP;
	if (ret == 0)
		ret = vhost_backend_join_loop(backend);
	if (ret < 0)
		goto err_free;
	backend->ring_count = virtio_device_queues(config->device);
	/* What is no whole unit is the control queue, and the frontend's. */
	if (!config->whole)
		backend->ring_count -=
			backend->ring_count % backend->type->per_unit;
	for (unsigned int i = 0; i < backend->ring_count; i++)
		backend->rings[i].err_fd = -1;
	virtio_device_lock(config->device);
	virtio_device_set_events_locked(config->device, &vhost_backend_events,
					backend);
	virtio_device_unlock(config->device);
	*out = backend;
	return 0;

err_free:
	free(backend);
err_close:
	close(config->fd);
	return error_set(err, -ret, "%s: cannot serve a %s: %s",
			 virtio_device_label(config->device), type,
			 strerror(-ret));
}

void vhost_backend_free(struct vhost_backend *backend)
{
	if (!backend)
		return;
	if (backend->fd >= 0)
		vhost_backend_leave(backend);
	free(backend);
}
