/*
 * A virtio device in the course of its life: what its driver and its model do
 * with it, and what becomes of the queues at activation, reset of all or of
 * one, sleep and wake. What is allowed when, device.c's table says.
 */
#include <errno.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "virtio/device_private.h"

/* --- Features, configuration, failure -------------------------------------
 */

void virtio_device_set_events_locked(struct virtio_device *device,
				     const struct virtio_device_events *events,
				     void *ctx)
{
	device->events = events;
	device->events_ctx = ctx;
}

enum virtio_device_state
virtio_device_state_locked(const struct virtio_device *device)
{
	return device->state;
}

uint64_t virtio_device_acked(const struct virtio_device *device)
{
	return device->acked;
}

void virtio_device_ack(struct virtio_device *device, uint64_t features)
{
	device->acked = features;
	if (device->ops->ack_features)
		device->ops->ack_features(device->self, features);
}

void virtio_device_ack_features_locked(struct virtio_device *device,
				       uint64_t features)
{
	if (virtio_device_step(device, VIRTIO_STEP_ACK_FEATURES))
		virtio_device_ack(device, features);
}

/* How much of [offset, offset + len) there is. */
static size_t virtio_device_config_clip(const struct virtio_device *device,
					uint64_t offset, size_t len)
{
	if (offset >= device->config_size)
		return 0;
	return len < device->config_size - offset
		       ? len
		       : device->config_size - (size_t)offset;
}

void virtio_device_read_config_locked(struct virtio_device *device,
				      uint64_t offset, void *data, size_t len)
{
	size_t there = virtio_device_config_clip(device, offset, len);

	memset(data, 0, len);
	if (there)
		device->ops->read_config(device->self, (size_t)offset, data,
					 there);
}

void virtio_device_write_config_locked(struct virtio_device *device,
				       uint64_t offset, const void *data,
				       size_t len)
{
	size_t there = virtio_device_config_clip(device, offset, len);

	if (there && device->ops->write_config &&
	    virtio_device_step(device, VIRTIO_STEP_WRITE_CONFIG))
		device->ops->write_config(device->self, (size_t)offset, data,
					  there);
}

void virtio_device_config_changed(struct virtio_device *device)
{
	if (device->events)
		device->events->config_changed(device->events_ctx);
}

void virtio_device_state_changed(struct virtio_device *device)
{
	if (device->events && device->events->state_changed)
		device->events->state_changed(device->events_ctx);
}

void virtio_device_needs_reset(struct virtio_device *device)
{
	if (!virtio_device_step(device, VIRTIO_STEP_FAIL))
		return;
	log_limited(&device->failures, LOG_WARN,
		    "%s: failed until its driver resets it", device->label);
	if (device->events)
		device->events->needs_reset(device->events_ctx);
}

/* --- Queues --------------------------------------------------------------
 */

static void virtio_device_drop_queue(struct virtio_device *device,
				     unsigned int index)
{
	virtqueue_free(device->active[index]);
	device->active[index] = NULL;
	device->queues[index].enabled = false;
}

static void virtio_device_drop_queues(struct virtio_device *device)
{
	for (unsigned int i = 0; i < device->queue_count; i++)
		virtio_device_drop_queue(device, i);
}

/* Make the queue of a config, which a driver set up as it liked. */
static int virtio_device_take_queue(struct virtio_device *device,
				    const struct virtqueue_config *given,
				    const struct virtqueue_position *position)
{
	/* What is given may be the queue's own. */
	const struct virtqueue_position from = *position;
	struct virtqueue_config config = *given;
	struct virtio_device_queue *queue;
	int ret;

	if (config.index >= device->queue_count)
		return -EINVAL;
	queue = &device->queues[config.index];
	if (device->active[config.index] || config.size > queue->max)
		return -EINVAL;
	config.packed = device->acked >> VIRTIO_F_RING_PACKED & 1;
	config.indirect = device->acked >> VIRTIO_RING_F_INDIRECT_DESC & 1;
	config.event_idx = device->acked >> VIRTIO_RING_F_EVENT_IDX & 1;
	config.kick_fd = queue->kick_fd;
	config.call_fd = queue->call_fd;
	if (queue->elsewhere)
		ret = virtqueue_check(device->mem, &config, &from);
	else
		ret = virtqueue_new(&device->active[config.index], device->mem,
				    &config, &from);
	if (ret < 0)
		return ret;
	queue->enabled = true;
	queue->config = config;
	queue->position = from;
	return 0;
}

static int virtio_device_take_queues(struct virtio_device *device,
				     const struct virtqueue_config *queues,
				     const struct virtqueue_position *positions,
				     unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		int ret = virtio_device_take_queue(
			device, &queues[i],
			positions ? &positions[i] : &virtqueue_start);

		if (ret < 0) {
			virtio_device_drop_queues(device);
			return ret;
		}
	}
	return 0;
}

/* The model has the queue now, if there is one. */
static void virtio_device_ready(struct virtio_device *device,
				unsigned int index)
{
	if (!device->active[index] ||
	    !virtio_device_step(device, VIRTIO_STEP_QUEUE_READY))
		return;
	device->ops->queue_ready(device->self, index);
	/* This may be a vCPU's thread: have the loop come by and look. */
	if (device->look)
		eventfd_write(device->queues[index].kick_fd, 1);
}

/* Return: 0, or -EIO if it has failed since. */
static int virtio_device_ready_all(struct virtio_device *device)
{
	for (unsigned int i = 0; i < device->queue_count; i++)
		virtio_device_ready(device, i);
	return device->state == VIRTIO_DEVICE_FAILED ? -EIO : 0;
}

int virtio_device_activate_locked(struct virtio_device *device,
				  const struct virtqueue_config *queues,
				  unsigned int count)
{
	return virtio_device_activate_at_locked(device, queues, NULL, count);
}

int virtio_device_activate_at_locked(struct virtio_device *device,
				     const struct virtqueue_config *queues,
				     const struct virtqueue_position *positions,
				     unsigned int count)
{
	int ret;

	/* First, so that the model can already fail. */
	if (!virtio_device_step(device, VIRTIO_STEP_ACTIVATE))
		return -EBUSY;
	ret = virtio_device_take_queues(device, queues, positions, count);
	if (ret == 0)
		ret = device->ops->activate(device->self, device->active);
	if (ret < 0) {
		virtio_device_needs_reset(device);
		return ret;
	}
	return virtio_device_ready_all(device);
}

int virtio_device_reset_locked(struct virtio_device *device)
{
	bool used = device->state == VIRTIO_DEVICE_ACTIVE ||
		    device->state == VIRTIO_DEVICE_FAILED;

	if (!virtio_device_step(device, VIRTIO_STEP_RESET))
		return -EBUSY;
	if (used)
		device->ops->reset(device->self);
	virtio_device_drop_queues(device);
	device->acked = 0;
	return 0;
}

int virtio_device_queue_reset_locked(struct virtio_device *device,
				     unsigned int index)
{
	if (index >= device->queue_count)
		return -EINVAL;
	if (!device->ops->queue_reset)
		return -ENOTSUP;
	if (!virtio_device_step(device, VIRTIO_STEP_QUEUE_RESET))
		return -EBUSY;
	if (!device->queues[index].enabled)
		return 0;
	device->ops->queue_reset(device->self, index);
	virtio_device_drop_queue(device, index);
	return 0;
}

int virtio_device_queue_enable_locked(struct virtio_device *device,
				      const struct virtqueue_config *queue)
{
	unsigned int index = queue->index;
	int ret;

	if (index >= device->queue_count)
		return -EINVAL;
	if (!device->ops->queue_enable)
		return -ENOTSUP;
	if (device->queues[index].enabled ||
	    !virtio_device_step(device, VIRTIO_STEP_QUEUE_ENABLE))
		return -EBUSY;
	ret = virtio_device_take_queue(device, queue, &virtqueue_start);
	if (ret == 0)
		ret = device->ops->queue_enable(device->self, index,
						device->active[index]);
	if (ret < 0) {
		virtio_device_needs_reset(device);
		return ret;
	}
	virtio_device_ready(device, index);
	return device->state == VIRTIO_DEVICE_FAILED ? -EIO : 0;
}

int virtio_device_sleep_locked(struct virtio_device *device)
{
	int ret;

	if (!virtio_device_may(device, VIRTIO_STEP_SLEEP))
		return -EBUSY;
	ret = virtio_device_ask_sleep(device);
	if (ret < 0)
		return ret;
	/* What it finished may have shown that the guest broke it. */
	if (!virtio_device_step(device, VIRTIO_STEP_SLEEP))
		return -EIO;
	virtio_device_quiet(device, true);
	for (unsigned int i = 0; i < device->queue_count; i++) {
		if (!device->active[i])
			continue;
		device->queues[i].position =
			virtqueue_position(device->active[i]);
		virtqueue_free(device->active[i]);
		device->active[i] = NULL;
	}
	return 0;
}

/* The queues again, where they were. */
static int virtio_device_retake_queues(struct virtio_device *device)
{
	for (unsigned int i = 0; i < device->queue_count; i++) {
		struct virtio_device_queue *queue = &device->queues[i];
		int ret;

		if (!queue->enabled)
			continue;
		ret = virtio_device_take_queue(device, &queue->config,
					       &queue->position);
		if (ret < 0) {
			virtio_device_drop_queues(device);
			return ret;
		}
	}
	return 0;
}

/* The model of an active device gets its queues again. */
static int virtio_device_wake_model(struct virtio_device *device)
{
	int ret;

	if (device->state != VIRTIO_DEVICE_ACTIVE)
		return virtio_device_ask_wake(device, NULL);
	ret = virtio_device_retake_queues(device);
	if (ret < 0)
		return ret;
	return virtio_device_ask_wake(device, device->active);
}

int virtio_device_wake_locked(struct virtio_device *device)
{
	int ret;

	if (!virtio_device_step(device, VIRTIO_STEP_WAKE))
		return -EBUSY;
	virtio_device_quiet(device, false);
	ret = virtio_device_wake_model(device);
	if (ret < 0) {
		virtio_device_needs_reset(device);
		return ret;
	}
	/* Kicks that came meanwhile have told nobody. */
	return virtio_device_ready_all(device);
}

/* --- Queues of which another process knows more ---------------------------
 */

int virtio_device_set_queue_locked(struct virtio_device *device,
				   unsigned int index,
				   const struct virtqueue_config *queue,
				   const struct virtqueue_position *position)
{
	struct virtio_device_queue *own;

	if (device->state != VIRTIO_DEVICE_ASLEEP_ACTIVE)
		return -EBUSY;
	if (index >= device->queue_count)
		return -EINVAL;
	own = &device->queues[index];
	own->enabled = queue != NULL;
	if (!queue)
		return 0;
	own->config = *queue;
	own->position = *position;
	return 0;
}

struct virtqueue_position
virtio_device_position_locked(const struct virtio_device *device,
			      unsigned int index)
{
	if (index >= device->queue_count || !device->queues[index].enabled)
		return virtqueue_start;
	return device->active[index] ? virtqueue_position(device->active[index])
				     : device->queues[index].position;
}

const struct virtqueue_config *
virtio_device_ring(const struct virtio_device *device, unsigned int index,
		   struct virtqueue_position *position)
{
	const struct virtio_device_queue *queue;

	if (index >= device->queue_count)
		return NULL;
	queue = &device->queues[index];
	if (!queue->enabled || !queue->elsewhere)
		return NULL;
	*position = queue->position;
	return &queue->config;
}

void virtio_device_set_ring_position(struct virtio_device *device,
				     unsigned int index,
				     const struct virtqueue_position *position)
{
	if (index < device->queue_count)
		device->queues[index].position = *position;
}

int virtio_device_set_kick_locked(struct virtio_device *device,
				  unsigned int index, int fd)
{
	struct virtio_device_queue *queue = &device->queues[index];

	loop_fd_remove(queue->source);
	queue->source = NULL;
	if (queue->kick_fd >= 0)
		close(queue->kick_fd);
	queue->kick_fd = fd;
	return fd >= 0 ? virtio_device_watch_kick(queue) : 0;
}

void virtio_device_set_call_locked(struct virtio_device *device,
				   unsigned int index, int fd)
{
	struct virtio_device_queue *queue = &device->queues[index];

	if (device->active[index])
		virtqueue_set_call(device->active[index], fd);
	if (queue->call_fd >= 0)
		close(queue->call_fd);
	queue->call_fd = fd;
}
