#include "virtio/transport.h"

#include <errno.h>

#include <linux/virtio_config.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/base/log.h"

/* --- Interrupts -----------------------------------------------------------
 */

static void virtio_transport_listen(struct virtio_transport *transport)
{
	for (unsigned int i = 0; i < virtio_device_queues(transport->device);
	     i++)
		loop_fd_set(transport->queues[i].source, EPOLLIN);
}

/* After each change of the ISR. */
static void virtio_transport_update_line(struct virtio_transport *transport)
{
	if (!transport->lined)
		return;
	transport->ops->set_line(transport->ctx, transport->regs.isr != 0);
	if (!(transport->regs.isr & VIRTIO_TRANSPORT_ISR_QUEUE))
		virtio_transport_listen(transport);
}

/* Return: whether the device has interrupted since. */
static bool virtio_transport_drain(const struct virtio_transport_queue *queue)
{
	int fd = virtio_device_call_fd(queue->transport->device, queue->index);
	uint64_t calls;

	return read(fd, &calls, sizeof(calls)) == sizeof(calls);
}

static void virtio_transport_take_call(struct virtio_transport_queue *queue)
{
	struct virtio_transport *transport = queue->transport;

	if (!virtio_transport_drain(queue))
		return;
	transport->regs.isr |= VIRTIO_TRANSPORT_ISR_QUEUE;
	virtio_transport_update_line(transport);
}

static void virtio_transport_called(void *ctx, uint32_t events)
{
	struct virtio_transport_queue *queue = ctx;
	struct virtio_transport *transport = queue->transport;

	(void)events;
	virtio_device_lock(transport->device);
	/*
	 * With MSI-X, enabled since the loop saw it, it is not for us. What the
	 * driver has not looked at yet cannot be raised once more: a driver
	 * that polls and never looks is not to wake us for each buffer.
	 */
	if (transport->lined &&
	    transport->regs.isr & VIRTIO_TRANSPORT_ISR_QUEUE)
		loop_fd_set(queue->source, 0);
	else if (transport->lined)
		virtio_transport_take_call(queue);
	virtio_device_unlock(transport->device);
}

void virtio_transport_settle(struct virtio_transport *transport)
{
	for (unsigned int i = 0;
	     transport->lined && i < virtio_device_queues(transport->device);
	     i++)
		virtio_transport_take_call(&transport->queues[i]);
}

uint8_t virtio_transport_ack(struct virtio_transport *transport, uint8_t bits)
{
	uint8_t isr = transport->regs.isr;

	transport->regs.isr &= (uint8_t)~bits;
	virtio_transport_update_line(transport);
	return isr;
}

void virtio_transport_set_lined(struct virtio_transport *transport, bool lined)
{
	if (lined == transport->lined)
		return;
	for (unsigned int i = 0; i < virtio_device_queues(transport->device);
	     i++)
		loop_fd_set(transport->queues[i].source, lined ? EPOLLIN : 0);
	if (!lined)
		transport->ops->set_line(transport->ctx, false);
	transport->lined = lined;
	virtio_transport_update_line(transport);
}

/* Not before DRIVER_OK: nobody would know what it is about. */
static void virtio_transport_interrupt(struct virtio_transport *transport)
{
	if (!(transport->regs.status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	transport->regs.isr |= VIRTIO_TRANSPORT_ISR_CONFIG;
	if (transport->lined)
		virtio_transport_update_line(transport);
	else
		transport->ops->config_interrupt(transport->ctx);
}

static void virtio_transport_config_changed(void *ctx)
{
	struct virtio_transport *transport = ctx;

	transport->regs.config_generation++;
	virtio_transport_interrupt(transport);
}

static void virtio_transport_needs_reset(void *ctx)
{
	struct virtio_transport *transport = ctx;

	transport->regs.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	virtio_transport_interrupt(transport);
}

static const struct virtio_device_events virtio_transport_events = {
	.config_changed = virtio_transport_config_changed,
	.needs_reset = virtio_transport_needs_reset,
};

/* --- Features and status --------------------------------------------------
 */

/* A half of a feature word; there are no features from 64 on. */
static uint32_t virtio_transport_half(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> 32 * select) : 0;
}

uint32_t
virtio_transport_device_features(const struct virtio_transport *transport)
{
	return virtio_transport_half(virtio_device_features(transport->device),
				     transport->regs.device_feature_select);
}

uint32_t
virtio_transport_driver_features(const struct virtio_transport *transport)
{
	return virtio_transport_half(transport->regs.driver_features,
				     transport->regs.driver_feature_select);
}

void virtio_transport_write_features(struct virtio_transport *transport,
				     uint32_t value)
{
	struct virtio_transport_registers *regs = &transport->regs;
	unsigned int shift = 32 * (regs->driver_feature_select & 1);

	if (regs->driver_feature_select > 1 ||
	    regs->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	regs->driver_features &= ~(UINT64_C(0xffffffff) << shift);
	regs->driver_features |= (uint64_t)value << shift;
}

/* Return: whether FEATURES_OK sticks (2.2.2, 6.2). */
static bool virtio_transport_accept(struct virtio_transport *transport)
{
	uint64_t features = transport->regs.driver_features;

	if (features & ~virtio_device_features(transport->device) ||
	    !(features >> VIRTIO_F_VERSION_1 & 1))
		return false;
	virtio_device_ack_features_locked(transport->device, features);
	return true;
}

static struct virtqueue_config
virtio_transport_config(const struct virtio_transport_queue *queue)
{
	return (struct virtqueue_config){
		.index = queue->index,
		.size = queue->size,
		.desc = queue->desc,
		.driver = queue->driver,
		.device = queue->device,
	};
}

static void virtio_transport_activate(struct virtio_transport *transport)
{
	struct virtqueue_config configs[VIRTIO_QUEUES_MAX];
	unsigned int count = 0;

	for (unsigned int i = 0; i < virtio_device_queues(transport->device);
	     i++) {
		if (transport->queues[i].enabled)
			configs[count++] =
				virtio_transport_config(&transport->queues[i]);
	}
	/* What goes wrong is in NEEDS_RESET. */
	virtio_device_activate_locked(transport->device, configs, count);
	virtio_transport_add_doorbells(transport);
}

static void virtio_transport_default_queue(struct virtio_transport_queue *queue)
{
	queue->size =
		virtio_device_queue_max(queue->transport->device, queue->index);
	queue->vector = VIRTIO_TRANSPORT_NO_VECTOR;
	queue->enabled = false;
	queue->reset = false;
	queue->desc = queue->driver = queue->device = 0;
}

/* Return: 0, or -EBUSY if it sleeps, and nothing has changed. */
static int virtio_transport_reset(struct virtio_transport *transport)
{
	struct virtio_transport_registers *regs = &transport->regs;
	int ret = virtio_device_reset_locked(transport->device);

	if (ret < 0)
		return ret;
	virtio_transport_remove_doorbells(transport);
	if (transport->ops->reset)
		transport->ops->reset(transport->ctx);
	*regs = (struct virtio_transport_registers){
		.config_generation = regs->config_generation,
	};
	for (unsigned int i = 0; i < virtio_device_queues(transport->device);
	     i++) {
		virtio_transport_default_queue(&transport->queues[i]);
		/* No interrupt for the next driver. */
		virtio_transport_drain(&transport->queues[i]);
	}
	virtio_transport_update_line(transport);
	return 0;
}

void virtio_transport_write_status(struct virtio_transport *transport,
				   uint8_t value)
{
	struct virtio_transport_registers *regs = &transport->regs;
	unsigned int set =
		value & ~regs->status & VIRTIO_TRANSPORT_DRIVER_STATUS;

	if (value == 0) {
		virtio_transport_reset(transport);
		return;
	}
	if (set & VIRTIO_CONFIG_S_FEATURES_OK &&
	    !virtio_transport_accept(transport))
		set &= ~(unsigned int)VIRTIO_CONFIG_S_FEATURES_OK;
	/* 3.1.1: not before features have been agreed upon. */
	if (!((regs->status | set) & VIRTIO_CONFIG_S_FEATURES_OK))
		set &= ~(unsigned int)VIRTIO_CONFIG_S_DRIVER_OK;
	regs->status |= (uint8_t)set;
	if (set & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_transport_activate(transport);
}

/* --- Queues ---------------------------------------------------------------
 */

void virtio_transport_kick(const struct virtio_transport *transport,
			   uint64_t index)
{
	const uint64_t one = 1;
	ssize_t n;

	if (index >= virtio_device_queues(transport->device))
		return;
	/* Fails only when 2^64 - 2 kicks wait, and then the device looks. */
	n = write(virtio_device_kick_fd(transport->device, (unsigned int)index),
		  &one, sizeof(one));
	(void)n;
}

struct virtio_transport_queue *
virtio_transport_selected(struct virtio_transport *transport)
{
	uint32_t index = transport->regs.queue_select;

	return index < virtio_device_queues(transport->device)
		       ? &transport->queues[index]
		       : NULL;
}

/* The selected queue, if the driver may set it up. */
static struct virtio_transport_queue *
virtio_transport_open_queue(struct virtio_transport *transport)
{
	struct virtio_transport_queue *queue =
		virtio_transport_selected(transport);

	if (!queue || (transport->regs.status & VIRTIO_CONFIG_S_DRIVER_OK &&
		       !queue->reset))
		return NULL;
	return queue;
}

void virtio_transport_set_size(struct virtio_transport *transport,
			       uint32_t size)
{
	struct virtio_transport_queue *queue =
		virtio_transport_open_queue(transport);

	/* Too large is kept as what cannot be, so that activation fails. */
	if (queue)
		queue->size = size <= UINT16_MAX ? (uint16_t)size : 0;
}

void virtio_transport_set_address(struct virtio_transport *transport,
				  enum virtio_transport_area area, bool high,
				  uint32_t value)
{
	struct virtio_transport_queue *queue =
		virtio_transport_open_queue(transport);
	uint64_t *address;

	if (!queue)
		return;
	address = area == VIRTIO_TRANSPORT_DESC	    ? &queue->desc
		  : area == VIRTIO_TRANSPORT_DRIVER ? &queue->driver
						    : &queue->device;
	if (high)
		*address = (uint32_t)*address | (uint64_t)value << 32;
	else
		*address = (*address & ~UINT64_C(0xffffffff)) | value;
}

void virtio_transport_enable_queue(struct virtio_transport *transport)
{
	struct virtio_transport_queue *queue =
		virtio_transport_open_queue(transport);
	struct virtqueue_config config;

	if (!queue || queue->enabled)
		return;
	queue->enabled = true;
	if (!(transport->regs.status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	queue->reset = false;
	config = virtio_transport_config(queue);
	/* What goes wrong is in NEEDS_RESET. */
	virtio_device_queue_enable_locked(transport->device, &config);
	virtio_transport_add_doorbells(transport);
}

void virtio_transport_disable_queue(struct virtio_transport *transport)
{
	struct virtio_transport_queue *queue =
		virtio_transport_open_queue(transport);

	if (queue)
		queue->enabled = false;
}

bool virtio_transport_reset_queue(struct virtio_transport *transport)
{
	struct virtio_transport_queue *queue =
		virtio_transport_selected(transport);

	if (!queue || !queue->enabled ||
	    virtio_device_queue_reset_locked(transport->device, queue->index) <
		    0)
		return false;
	virtio_transport_remove_doorbell(transport, queue->index);
	virtio_transport_default_queue(queue);
	queue->reset = true;
	virtio_transport_drain(queue);
	return true;
}

/* --- Making and freeing ---------------------------------------------------
 */

static void virtio_transport_leave_loop(struct virtio_transport *transport)
{
	for (unsigned int i = 0; i < virtio_device_queues(transport->device);
	     i++)
		loop_fd_remove(transport->queues[i].source);
}

static int virtio_transport_join_loop(struct virtio_transport *transport,
				      struct loop *loop)
{
	for (unsigned int i = 0; i < virtio_device_queues(transport->device);
	     i++) {
		struct virtio_transport_queue *queue = &transport->queues[i];
		int ret;

		queue->transport = transport;
		queue->index = i;
		virtio_transport_default_queue(queue);
		ret = loop_fd_add(loop, &queue->source,
				  virtio_device_call_fd(transport->device, i),
				  EPOLLIN, virtio_transport_called, queue);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int virtio_transport_init(struct virtio_transport *transport,
			  struct virtio_device *device, struct host *host,
			  struct loop *loop,
			  const struct virtio_transport_ops *ops, void *ctx)
{
	int ret;

	*transport = (struct virtio_transport){
		.device = device,
		.host = host,
		.ops = ops,
		.ctx = ctx,
		.lined = true,
	};
	ret = virtio_transport_join_loop(transport, loop);
	if (ret < 0) {
		virtio_transport_leave_loop(transport);
		return ret;
	}
	virtio_device_lock(device);
	virtio_device_set_events_locked(device, &virtio_transport_events,
					transport);
	virtio_device_unlock(device);
	return 0;
}

void virtio_transport_fini(struct virtio_transport *transport)
{
	virtio_device_lock(transport->device);
	virtio_transport_remove_doorbells(transport);
	virtio_device_unlock(transport->device);
	virtio_transport_leave_loop(transport);
	virtio_device_free(transport->device);
}

void virtio_transport_power_on(struct virtio_transport *transport)
{
	if (virtio_transport_reset(transport) < 0) {
		log_error("%s: reset while it sleeps",
			  virtio_device_label(transport->device));
		return;
	}
	transport->regs.config_generation = 0;
}
