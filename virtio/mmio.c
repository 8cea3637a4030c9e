/*
 * Registers are read and written on vCPU threads, under the device's lock.
 * The doorbell is an ioeventfd a queue, told apart by the value written. Each
 * interrupt goes by the line: InterruptStatus needs a write of this process.
 */
#include "virtio/mmio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "virtio/transport.h"

#define MAGIC	  0x74726976 /* "virt" */
#define VERSION	  2
#define VENDOR_ID 0x1af4

/* Since virtio 1.2. */
#ifndef VIRTIO_MMIO_QUEUE_RESET
#define VIRTIO_MMIO_QUEUE_RESET 0x0c0
#endif

struct virtio_mmio {
	struct host *host;   /* borrowed */
	struct irq_pin *pin; /* borrowed */
	unsigned int source;
	uint64_t base;
	struct virtio_transport transport;
};

static void virtio_mmio_set_line(void *ctx, bool level)
{
	struct virtio_mmio *mmio = ctx;

	irq_pin_set(mmio->pin, mmio->source, level);
}

static bool virtio_mmio_doorbell(const void *ctx, unsigned int index,
				 struct host_doorbell *out)
{
	const struct virtio_mmio *mmio = ctx;

	*out = (struct host_doorbell){
		.bus = BUS_MMIO,
		.addr = mmio->base + VIRTIO_MMIO_QUEUE_NOTIFY,
		.size = 4,
		.match = true,
		.value = index,
		.fd = virtio_device_kick_fd(mmio->transport.device, index),
	};
	return true;
}

static const struct virtio_transport_ops virtio_mmio_transport_ops = {
	.set_line = virtio_mmio_set_line,
	.doorbell = virtio_mmio_doorbell,
};

/* --- Registers (4.2.2) ----------------------------------------------------
 */

static uint32_t virtio_mmio_read_queue(struct virtio_mmio *mmio,
				       uint64_t offset)
{
	const struct virtio_transport_queue *queue =
		virtio_transport_selected(&mmio->transport);

	if (!queue)
		return 0;
	if (offset == VIRTIO_MMIO_QUEUE_READY)
		return queue->enabled;
	return virtio_device_queue_max(mmio->transport.device, queue->index);
}

static uint32_t virtio_mmio_read_register(struct virtio_mmio *mmio,
					  uint64_t offset)
{
	struct virtio_transport *transport = &mmio->transport;

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return virtio_device_ops(transport->device)->device_id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR_ID;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return virtio_transport_device_features(transport);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
	case VIRTIO_MMIO_QUEUE_READY:
		return virtio_mmio_read_queue(mmio, offset);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return transport->regs.isr;
	case VIRTIO_MMIO_STATUS:
		return transport->regs.status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		/* No region of any id: there is no place for one. */
		return UINT32_MAX;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return transport->regs.config_generation;
	default:
		/* Write-only, not there, or QueueReset: always complete. */
		return 0;
	}
}

static uint64_t virtio_mmio_read_config(struct virtio_mmio *mmio,
					uint64_t offset, unsigned int size)
{
	uint8_t bytes[8];
	uint64_t value = 0;

	virtio_device_read_config_locked(mmio->transport.device, offset, bytes,
					 size);
	for (unsigned int i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << 8 * i;
	return value;
}

static uint64_t virtio_mmio_read(void *ctx, uint64_t offset, unsigned int size)
{
	struct virtio_mmio *mmio = ctx;
	uint64_t value = 0;

	virtio_device_lock(mmio->transport.device);
	if (offset >= VIRTIO_MMIO_CONFIG)
		value = virtio_mmio_read_config(
			mmio, offset - VIRTIO_MMIO_CONFIG, size);
	else if (size == 4)
		value = virtio_mmio_read_register(mmio, offset);
	virtio_device_unlock(mmio->transport.device);
	return value;
}

/* QueueReady 0 before DRIVER_OK takes the queue back; after it, stops the
 * device's use of it, if the model can (4.2.2.2). */
static void virtio_mmio_write_ready(struct virtio_transport *transport,
				    uint32_t value)
{
	if (value & 1)
		virtio_transport_enable_queue(transport);
	else if (transport->regs.status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_transport_reset_queue(transport);
	else
		virtio_transport_disable_queue(transport);
}

static bool virtio_mmio_can_reset(const struct virtio_transport *transport)
{
	return virtio_device_acked(transport->device) >> VIRTIO_F_RING_RESET &
	       1;
}

/* Return: whether it was one of a queue's. */
static bool virtio_mmio_write_queue(struct virtio_transport *transport,
				    uint64_t offset, uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_SEL:
		transport->regs.queue_select = value;
		return true;
	case VIRTIO_MMIO_QUEUE_NUM:
		virtio_transport_set_size(transport, value);
		return true;
	case VIRTIO_MMIO_QUEUE_READY:
		virtio_mmio_write_ready(transport, value);
		return true;
	case VIRTIO_MMIO_QUEUE_RESET:
		if (value & 1 && virtio_mmio_can_reset(transport))
			virtio_transport_reset_queue(transport);
		return true;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		virtio_transport_set_address(
			transport, VIRTIO_TRANSPORT_DESC,
			offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
		return true;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		virtio_transport_set_address(
			transport, VIRTIO_TRANSPORT_DRIVER,
			offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
		return true;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		virtio_transport_set_address(
			transport, VIRTIO_TRANSPORT_DEVICE,
			offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
		return true;
	default:
		return false;
	}
}

static void virtio_mmio_write_register(struct virtio_transport *transport,
				       uint64_t offset, uint32_t value)
{
	if (virtio_mmio_write_queue(transport, offset, value))
		return;
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		transport->regs.device_feature_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		transport->regs.driver_feature_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_transport_write_features(transport, value);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		virtio_transport_ack(transport, (uint8_t)value);
		break;
	case VIRTIO_MMIO_STATUS:
		/* Bits that no status has do not make it 0. */
		if (value == 0 || value & 0xff)
			virtio_transport_write_status(transport,
						      (uint8_t)value);
		break;
	default:
		break;
	}
}

static void virtio_mmio_write_config(struct virtio_mmio *mmio, uint64_t offset,
				     unsigned int size, uint64_t value)
{
	uint8_t bytes[8];

	for (unsigned int i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
	virtio_device_write_config_locked(mmio->transport.device, offset, bytes,
					  size);
}

static void virtio_mmio_write(void *ctx, uint64_t offset, unsigned int size,
			      uint64_t value)
{
	struct virtio_mmio *mmio = ctx;

	/* The eventfd is enough. What is no doorbell's: of another width, or
	 * of a queue that is not in use. */
	if (offset == VIRTIO_MMIO_QUEUE_NOTIFY) {
		virtio_transport_kick(&mmio->transport, value);
		return;
	}
	virtio_device_lock(mmio->transport.device);
	if (offset >= VIRTIO_MMIO_CONFIG)
		virtio_mmio_write_config(mmio, offset - VIRTIO_MMIO_CONFIG,
					 size, value);
	else if (size == 4)
		virtio_mmio_write_register(&mmio->transport, offset,
					   (uint32_t)value);
	virtio_device_unlock(mmio->transport.device);
}

static const struct bus_ops virtio_mmio_bus_ops = {
	.read = virtio_mmio_read,
	.write = virtio_mmio_write,
	.max_size = 4,
};

/* --- Making and freeing ---------------------------------------------------
 */

int virtio_mmio_new(struct virtio_mmio **out,
		    const struct virtio_mmio_config *config, struct error *err)
{
	struct virtio_mmio *mmio = calloc(1, sizeof(*mmio));
	const char *label = virtio_device_label(config->device);
	int ret;

	if (!mmio)
		return error_set(err, ENOMEM, "%s: out of memory", label);
	mmio->host = config->host;
	mmio->pin = config->pin;
	mmio->source = config->source;
	mmio->base = config->base;
	mmio->transport.device = config->device;
	ret = mmio->host->ops->map(mmio->host, BUS_MMIO, mmio->base,
				   VIRTIO_MMIO_SIZE, &virtio_mmio_bus_ops, mmio,
				   label);
	if (ret < 0)
		goto err_free;
	ret = virtio_transport_init(&mmio->transport, config->device,
				    config->host, config->loop,
				    &virtio_mmio_transport_ops, mmio);
	if (ret < 0)
		goto err_unmap;
	*out = mmio;
	return 0;

err_unmap:
	mmio->host->ops->unmap(mmio->host, BUS_MMIO, mmio->base);
err_free:
	free(mmio);
	return error_set(err, -ret,
			 "%s: cannot make its registers at 0x%llx: %s", label,
			 (unsigned long long)config->base, strerror(-ret));
}

static void virtio_mmio_free(void *self)
{
	struct virtio_mmio *mmio = self;

	mmio->host->ops->unmap(mmio->host, BUS_MMIO, mmio->base);
	virtio_transport_fini(&mmio->transport);
	irq_pin_set(mmio->pin, mmio->source, false);
	free(mmio);
}

static void virtio_mmio_reset(void *self)
{
	struct virtio_mmio *mmio = self;

	virtio_device_lock(mmio->transport.device);
	virtio_transport_power_on(&mmio->transport);
	virtio_device_unlock(mmio->transport.device);
}

static int virtio_mmio_save(void *self, json_t **out)
{
	struct virtio_mmio *mmio = self;
	int ret;

	virtio_device_lock(mmio->transport.device);
	ret = virtio_transport_save(&mmio->transport, out);
	virtio_device_unlock(mmio->transport.device);
	return ret;
}

static int virtio_mmio_restore(void *self, const json_t *state,
			       struct error *err)
{
	struct virtio_mmio *mmio = self;
	int ret;

	virtio_device_lock(mmio->transport.device);
	ret = virtio_transport_restore(&mmio->transport, state, err);
	virtio_device_unlock(mmio->transport.device);
	return ret;
}

const struct device_ops virtio_mmio_device_ops = {
	.free = virtio_mmio_free,
	.reset = virtio_mmio_reset,
	.save = virtio_mmio_save,
	.restore = virtio_mmio_restore,
};
