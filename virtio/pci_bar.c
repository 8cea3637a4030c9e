/*
 * The registers behind the BAR of a virtio PCI device (4.1.4): common
 * configuration, ISR status, device configuration, notifications, and the way
 * to the MSI-X table. Any vCPU thread.
 */
#include <assert.h>

#include <linux/virtio_config.h>
#define VIRTIO_PCI_NO_LEGACY
#include <linux/virtio_pci.h>

#include "virtio/pci_private.h"
#include "vmm/base/bytes.h"

/* 4.1.4.3, up to version 1.3. */
struct virtio_pci_common {
	le32 device_feature_select;
	le32 device_feature;
	le32 driver_feature_select;
	le32 driver_feature;
	le16 config_msix_vector;
	le16 num_queues;
	uint8_t device_status;
	uint8_t config_generation;
	le16 queue_select;
	le16 queue_size;
	le16 queue_msix_vector;
	le16 queue_enable;
	le16 queue_notify_off;
	le64 queue_desc;
	le64 queue_driver;
	le64 queue_device;
	/* Only with VIRTIO_F_NOTIF_CONFIG_DATA, which is never offered. */
	le16 queue_notif_config_data;
	le16 queue_reset;
	/* Only with VIRTIO_F_ADMIN_VQ, likewise. */
	le16 admin_queue_index;
	le16 admin_queue_num;
};

#define FIELD(member) offsetof(struct virtio_pci_common, member)

static_assert(sizeof(struct virtio_pci_common) == VIRTIO_PCI_COMMON_SIZE,
	      "4.1.4.3");
static_assert(FIELD(device_status) == VIRTIO_PCI_COMMON_STATUS, "4.1.4.3");
static_assert(FIELD(queue_size) == VIRTIO_PCI_COMMON_Q_SIZE, "4.1.4.3");
static_assert(FIELD(queue_desc) == VIRTIO_PCI_COMMON_Q_DESCLO, "4.1.4.3");
static_assert(FIELD(queue_device) == VIRTIO_PCI_COMMON_Q_USEDLO, "4.1.4.3");
static_assert(FIELD(queue_reset) == 58, "4.1.4.3");

/* --- Common configuration (4.1.4.3) ---------------------------------------
 */

static void virtio_pci_show_queue(const struct virtio_transport_queue *queue,
				  struct virtio_pci_common *out)
{
	out->queue_size = le16_of(queue->size);
	out->queue_msix_vector = le16_of(queue->vector);
	out->queue_enable = le16_of(queue->enabled);
	out->queue_notify_off = le16_of((uint16_t)queue->index);
	out->queue_desc = le64_of(queue->desc);
	out->queue_driver = le64_of(queue->driver);
	out->queue_device = le64_of(queue->device);
}

/* All of it as the driver sees it; a read changes nothing. queue_reset is 0:
 * a reset is complete when the write of it is. */
static void virtio_pci_show_common(struct virtio_pci *pci,
				   struct virtio_pci_common *out)
{
	struct virtio_transport *transport = &pci->transport;
	const struct virtio_transport_registers *regs = &transport->regs;
	const struct virtio_transport_queue *queue =
		virtio_transport_selected(transport);

	*out = (struct virtio_pci_common){
		.device_feature_select = le32_of(regs->device_feature_select),
		.device_feature =
			le32_of(virtio_transport_device_features(transport)),
		.driver_feature_select = le32_of(regs->driver_feature_select),
		.driver_feature =
			le32_of(virtio_transport_driver_features(transport)),
		.config_msix_vector = le16_of(pci->config_vector),
		.num_queues = le16_of(
			(uint16_t)virtio_device_queues(transport->device)),
		.device_status = regs->status,
		.config_generation = (uint8_t)regs->config_generation,
		.queue_select = le16_of((uint16_t)regs->queue_select),
		.queue_msix_vector = le16_of(PCI_MSIX_NO_VECTOR),
	};
	if (queue)
		virtio_pci_show_queue(queue, out);
}

static uint64_t virtio_pci_from_bytes(const uint8_t *bytes, unsigned int size)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << 8 * i;
	return value;
}

static uint64_t virtio_pci_read_common(struct virtio_pci *pci, uint64_t offset,
				       unsigned int size)
{
	struct virtio_pci_common common;

	if (offset >= sizeof(common) || size > sizeof(common) - offset)
		return 0;
	virtio_pci_show_common(pci, &common);
	return virtio_pci_from_bytes((const uint8_t *)&common + offset, size);
}

static void virtio_pci_write_status(struct virtio_pci *pci, uint8_t value)
{
	virtio_transport_write_status(&pci->transport, value);
}

static void virtio_pci_reset_queue(struct virtio_pci *pci, uint16_t value)
{
	struct virtio_transport *transport = &pci->transport;

	if (value != 1 ||
	    !(virtio_device_acked(transport->device) >> VIRTIO_F_RING_RESET &
	      1))
		return;
	/* While it is still known which vector has its eventfd. */
	if (virtio_transport_reset_queue(transport))
		virtio_pci_lead_queue(pci, virtio_transport_selected(transport),
				      PCI_MSIX_NO_VECTOR);
}

static void virtio_pci_write_common16(struct virtio_pci *pci, uint64_t offset,
				      uint16_t value)
{
	struct virtio_transport *transport = &pci->transport;
	struct virtio_transport_queue *queue =
		virtio_transport_selected(transport);

	switch (offset) {
	case FIELD(config_msix_vector):
		virtio_pci_lead_config(pci, value);
		break;
	case FIELD(queue_select):
		transport->regs.queue_select = value;
		break;
	case FIELD(queue_size):
		virtio_transport_set_size(transport, value);
		break;
	case FIELD(queue_msix_vector):
		if (queue)
			virtio_pci_lead_queue(pci, queue, value);
		break;
	case FIELD(queue_enable):
		/* A driver may not write 0 (4.1.4.3.2). */
		if (value == 1)
			virtio_transport_enable_queue(transport);
		break;
	case FIELD(queue_reset):
		virtio_pci_reset_queue(pci, value);
		break;
	default:
		break;
	}
}

static void virtio_pci_write_address(struct virtio_pci *pci, uint64_t offset,
				     uint32_t value)
{
	static const enum virtio_transport_area areas[] = {
		VIRTIO_TRANSPORT_DESC,
		VIRTIO_TRANSPORT_DRIVER,
		VIRTIO_TRANSPORT_DEVICE,
	};
	uint64_t from = offset - FIELD(queue_desc);

	virtio_transport_set_address(&pci->transport, areas[from / 8],
				     from % 8 != 0, value);
}

static void virtio_pci_write_common32(struct virtio_pci *pci, uint64_t offset,
				      uint32_t value)
{
	struct virtio_transport *transport = &pci->transport;

	switch (offset) {
	case FIELD(device_feature_select):
		transport->regs.device_feature_select = value;
		break;
	case FIELD(driver_feature_select):
		transport->regs.driver_feature_select = value;
		break;
	case FIELD(driver_feature):
		virtio_transport_write_features(transport, value);
		break;
	default:
		if (offset >= FIELD(queue_desc) &&
		    offset < FIELD(queue_notif_config_data))
			virtio_pci_write_address(pci, offset, value);
		break;
	}
}

/* Each field in its own width; 64 bits come as two halves (4.1.3.1). */
static void virtio_pci_write_common(struct virtio_pci *pci, uint64_t offset,
				    unsigned int size, uint64_t value)
{
	if (size == 4)
		virtio_pci_write_common32(pci, offset, (uint32_t)value);
	else if (size == 2)
		virtio_pci_write_common16(pci, offset, (uint16_t)value);
	else if (offset == FIELD(device_status))
		virtio_pci_write_status(pci, (uint8_t)value);
}

/* --- The BAR --------------------------------------------------------------
 */

static uint64_t virtio_pci_read_config(struct virtio_pci *pci, uint64_t offset,
				       unsigned int size)
{
	uint8_t bytes[8];

	virtio_device_read_config_locked(pci->transport.device, offset, bytes,
					 size);
	return virtio_pci_from_bytes(bytes, size);
}

static void virtio_pci_write_config(struct virtio_pci *pci, uint64_t offset,
				    unsigned int size, uint64_t value)
{
	uint8_t bytes[8];

	for (unsigned int i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
	virtio_device_write_config_locked(pci->transport.device, offset, bytes,
					  size);
}

static uint64_t virtio_pci_read_registers(struct virtio_pci *pci,
					  uint64_t region, uint64_t offset,
					  unsigned int size)
{
	uint64_t value = 0;

	virtio_device_lock(pci->transport.device);
	if (region == COMMON)
		value = virtio_pci_read_common(pci, offset, size);
	else if (region == ISR && offset == 0)
		/* Reading it is what clears it (4.1.4.5). */
		value = virtio_transport_ack(&pci->transport, UINT8_MAX);
	else if (region == DEVICE)
		value = virtio_pci_read_config(pci, offset, size);
	virtio_device_unlock(pci->transport.device);
	return value;
}

static uint64_t virtio_pci_bar_read(void *ctx, uint64_t at, unsigned int size)
{
	struct virtio_pci *pci = ctx;
	uint64_t offset = at % REGION_SIZE;

	switch (at - offset) {
	case MSIX_TABLE:
		return pci_msix_table_read(pci->msix, offset, size);
	case MSIX_PENDING:
		return pci_msix_pba_read(pci->msix, offset, size);
	default:
		return virtio_pci_read_registers(pci, at - offset, offset,
						 size);
	}
}

static void virtio_pci_bar_write(void *ctx, uint64_t at, unsigned int size,
				 uint64_t value)
{
	struct virtio_pci *pci = ctx;
	uint64_t offset = at % REGION_SIZE;

	switch (at - offset) {
	case COMMON:
		virtio_device_lock(pci->transport.device);
		virtio_pci_write_common(pci, offset, size, value);
		virtio_device_unlock(pci->transport.device);
		break;
	case DEVICE:
		virtio_device_lock(pci->transport.device);
		virtio_pci_write_config(pci, offset, size, value);
		virtio_device_unlock(pci->transport.device);
		break;
	case NOTIFY:
		virtio_transport_kick(&pci->transport,
				      offset / NOTIFY_MULTIPLIER);
		break;
	case MSIX_TABLE:
		pci_msix_table_write(pci->msix, offset, size, value);
		break;
	default:
		break;
	}
}

const struct bus_ops virtio_pci_bar_ops = {
	.read = virtio_pci_bar_read,
	.write = virtio_pci_bar_write,
	.max_size = 4,
};
