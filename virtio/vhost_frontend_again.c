/*
 * What becomes of a device when its vhost-user backend is lost, and how it gets
 * another.
 *
 * Theory of operation. What has to outlive a backend is not in it: rings and
 * their used indices are the guest's memory; the in-flight region, which has
 * what was taken and not used yet and what the driver has set of a model, is a
 * descriptor of the frontend's; kicks and calls are the device object's
 * eventfds. So a new backend is greeted as the first one was, may offer no less
 * than the driver was promised, and is told to go on from there. Of a ring that
 * a backend ran (frontend->ran) the driver's memory says where; of any other,
 * the device object does.
 *
 * In between, the device waits. Nothing blocks then: what a driver does to the
 * device changes the device object alone, which the next backend is set up by.
 */
#include <errno.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtio/vhost_frontend_private.h"

void vhost_frontend_keep(struct vhost_frontend *frontend,
			 const struct vhost_frontend_keeper *keeper)
{
	frontend->keeper = *keeper;
}

bool vhost_frontend_is_waiting(const struct vhost_frontend *frontend)
{
	return frontend->waiting;
}

void vhost_frontend_settle(struct vhost_frontend *frontend)
{
	if (frontend->keeper.settle)
		frontend->keeper.settle(frontend->keeper.ctx,
					frontend->deadline);
}

/* --- Loss -----------------------------------------------------------------
 */

/* The driver waits for nothing: no backend has taken anything. */
static bool vhost_frontend_is_idle(const struct vhost_frontend *frontend)
{
	for (unsigned int i = 0; i < frontend->queue_count; i++) {
		struct virtqueue_position position;
		const struct virtqueue_config *config =
			virtio_device_ring(frontend->device, i, &position);

		if (config && frontend->ran >> i & 1 &&
		    !virtqueue_is_idle(virtio_device_mem(frontend->device),
				       config))
			return false;
	}
	return true;
}

/* Why no other backend could go on, or NULL. */
static const char *
vhost_frontend_hindrance(const struct vhost_frontend *frontend)
{
	const bool packed =
		virtio_device_acked(frontend->device) >> VIRTIO_F_RING_PACKED &
		1;

	if (frontend->restored)
		return "the state that it was given is lost with it";
	if (frontend->session)
		return "what it has told the driver is lost with it";
	if (frontend->ran == 0 || frontend->inflight_fd >= 0)
		return NULL;
	if (packed)
		return "without VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD, nobody "
		       "knows where its packed rings stand";
	if (frontend->type->in_order || vhost_frontend_is_idle(frontend))
		return NULL;
	return "without VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD, nobody knows "
	       "what it had in flight";
}

/* Return: whether another will come. */
static bool vhost_frontend_call_keeper(struct vhost_frontend *frontend,
				       const char *why)
{
	const char *hindrance;

	if (!frontend->keeper.lost)
		return false;
	hindrance = vhost_frontend_hindrance(frontend);
	if (hindrance)
		log_limited(&frontend->log, LOG_ERROR,
			    "%s: no other backend can go on: %s",
			    virtio_device_label(frontend->device), hindrance);
	return !hindrance && frontend->keeper.lost(frontend->keeper.ctx, why);
}

void vhost_frontend_lose(struct vhost_frontend *frontend, const char *why)
{
	if (frontend->lost)
		return;
	frontend->lost = true;
	shutdown(frontend->fd, SHUT_RDWR);
	log_limited(&frontend->log, LOG_ERROR,
		    "%s: the vhost-user backend is lost: %s",
		    virtio_device_label(frontend->device), why);
	/* Whoever makes it, or brings it a backend, hears of that. */
	if (!frontend->made || frontend->waiting)
		return;
	virtio_watch_set(frontend->watch, 0);
	if (frontend->request_watch)
		virtio_watch_set(frontend->request_watch, 0);
	frontend->waiting = vhost_frontend_call_keeper(frontend, why);
	if (!frontend->waiting && !frontend->resetting)
		virtio_device_needs_reset(frontend->device);
}

void vhost_frontend_give_up(struct vhost_frontend *frontend, const char *why)
{
	if (!frontend->waiting)
		return;
	frontend->waiting = false;
	log_limited(&frontend->log, LOG_ERROR,
		    "%s: there will be no other vhost-user backend: %s",
		    virtio_device_label(frontend->device), why);
	virtio_device_needs_reset(frontend->device);
}

/* --- Return ---------------------------------------------------------------
 */

/* Nothing of the connection before is left. */
static void vhost_frontend_hang_up(struct vhost_frontend *frontend)
{
	virtio_watch_move(frontend->watch, -1, 0);
	if (frontend->request_watch)
		virtio_watch_move(frontend->request_watch, -1, 0);
	vhost_user_reader_fini(&frontend->reader);
	memset(&frontend->reader, 0, sizeof(frontend->reader));
	if (frontend->request_fd >= 0)
		close(frontend->request_fd);
	if (frontend->own_fd >= 0)
		close(frontend->own_fd);
	frontend->request_fd = frontend->own_fd = -1;
	frontend->fd = -1;
	frontend->memory_sent = false;
	frontend->protocol = 0;
}

static int vhost_frontend_listen_again(struct vhost_frontend *frontend)
{
	int ret = virtio_watch_move(frontend->watch, frontend->fd, EPOLLIN);

	/* What was agreed upon is the same, so both are there or none. */
	if (ret == 0 && frontend->request_watch)
		ret = virtio_watch_move(frontend->request_watch,
					frontend->request_fd, EPOLLIN);
	return ret;
}

/* Where the device is by now. */
static int vhost_frontend_resume(struct vhost_frontend *frontend)
{
	enum virtio_device_state state =
		virtio_device_state_locked(frontend->device);
	int ret = 0;

	if (state == VIRTIO_DEVICE_ACTIVE)
		return vhost_frontend_start(frontend, false);
	/* It may be asked for its state before it wakes. */
	if (state == VIRTIO_DEVICE_ASLEEP_ACTIVE)
		ret = vhost_frontend_send_features(frontend);
	if (ret == 0 && state == VIRTIO_DEVICE_ASLEEP_ACTIVE)
		ret = vhost_frontend_send_inflight(frontend);
	return ret;
}

/* What the driver wrote is its own, and no backend's. */
static void vhost_frontend_keep_own(struct vhost_frontend *frontend,
				    const uint8_t *before)
{
	const struct vhost_type *type = frontend->type;

	if (frontend->wrote)
		memcpy(frontend->config + type->own, before + type->own,
		       type->own_size);
}

static int vhost_frontend_set_up(struct vhost_frontend *frontend,
				 struct error *err)
{
	int ret = vhost_frontend_resume(frontend);

	/* What it was given is part of what it says. */
	if (ret == 0 && vhost_frontend_config_is_there(frontend))
		ret = vhost_frontend_read_config(frontend);
	if (ret >= 0)
		ret = vhost_frontend_listen_again(frontend);
	if (ret == 0)
		return 0;
	return error_set(err, -ret,
			 ret == -ENOLINK
				 ? "it was lost again"
				 : "it does not take the device up where it "
				   "stands: %s",
			 strerror(-ret));
}

static int vhost_frontend_join(struct vhost_frontend *frontend,
			       struct error *err)
{
	uint8_t before[VHOST_USER_CONFIG_MAX];
	int ret;

	memcpy(before, frontend->config, sizeof(before));
	ret = vhost_frontend_greet(frontend, err);
	vhost_frontend_keep_own(frontend, before);
	if (ret == 0)
		ret = vhost_frontend_set_up(frontend, err);
	if (ret < 0)
		return ret;
	if (memcmp(before, frontend->config, sizeof(before)) != 0)
		virtio_device_config_changed(frontend->device);
	return 0;
}

int vhost_frontend_reconnect(struct vhost_frontend *frontend, int fd,
			     struct error *err)
{
	const bool waiting = frontend->waiting;
	int ret;

	if (!frontend->lost) {
		close(fd);
		return error_set(err, EBUSY, "the vhost-user backend is there");
	}
	vhost_frontend_hang_up(frontend);
	frontend->fd = frontend->own_fd = fd;
	frontend->lost = false;
	/* Of a loss from here on, who called is told. */
	frontend->waiting = true;
	ret = vhost_frontend_join(frontend, err);
	frontend->waiting = ret < 0 && waiting;
	if (ret == 0)
		return 0;
	shutdown(fd, SHUT_RDWR);
	frontend->lost = true;
	virtio_watch_set(frontend->watch, 0);
	if (frontend->request_watch)
		virtio_watch_set(frontend->request_watch, 0);
	return ret;
}
