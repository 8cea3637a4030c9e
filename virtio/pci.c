/*
 * Theory of operation. The registers behind the BAR are read and written on
 * vCPU threads, under the device's lock, which comes after the bus's: the
 * capability for access by way of the configuration space (4.1.4.9) gets here
 * with the latter held. Notifications are ioeventfds, which follow the BAR.
 * With MSI-X the eventfds of queues and of configuration changes are attached
 * to vectors, and this process takes no part; without, struct virtio_transport
 * watches the former.
 */
#include "virtio/pci.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#define VIRTIO_PCI_NO_LEGACY
#include <linux/virtio_pci.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pci/bus.h"
#include "pci/device.h"
#include "pci/msix.h"
#include "virtio/transport.h"
#include "vmm/base/bytes.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"

/* As QEMU's modern devices call themselves. */
#define VENDOR_ID	    0x1af4
#define DEVICE_ID_BASE	    0x1040
#define REVISION_ID	    1
#define SUBSYSTEM_VENDOR_ID 0x1af4
#define SUBSYSTEM_ID	    0x1100

/* The BAR: 64-bit and prefetchable, as QEMU's, so that it may lie high. */
#define BAR	     0
#define BAR_SIZE     0x8000
#define REGION_SIZE  0x1000u
#define COMMON	     0x0000u
#define ISR	     0x1000u
#define DEVICE	     0x2000u
#define NOTIFY	     0x3000u
#define MSIX_TABLE   0x4000u
#define MSIX_PENDING 0x5000u
/* Bytes of the notification area for each queue. */
#define NOTIFY_MULTIPLIER 4u

#define SHM_BAR 2

#define MSIX_ENTRY_SIZE 16
#define MSIX_CAP_SIZE	12
#define VECTORS_MAX	(REGION_SIZE / MSIX_ENTRY_SIZE)

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

static_assert(sizeof(struct virtio_pci_common) == 64, "4.1.4.3");
static_assert(FIELD(device_status) == VIRTIO_PCI_COMMON_STATUS, "4.1.4.3");
static_assert(FIELD(queue_size) == VIRTIO_PCI_COMMON_Q_SIZE, "4.1.4.3");
static_assert(FIELD(queue_desc) == VIRTIO_PCI_COMMON_Q_DESCLO, "4.1.4.3");
static_assert(FIELD(queue_device) == VIRTIO_PCI_COMMON_Q_USEDLO, "4.1.4.3");
static_assert(FIELD(queue_reset) == 58, "4.1.4.3");
static_assert(VIRTIO_QUEUES_MAX * NOTIFY_MULTIPLIER <= REGION_SIZE, "fits");
static_assert(VIRTIO_TRANSPORT_NO_VECTOR == PCI_MSIX_NO_VECTOR, "4.1.5.1.2");

struct virtio_pci {
	struct host *host;   /* borrowed */
	struct pci_bus *bus; /* borrowed */
	struct pci_device pci;
	struct pci_msix *msix; /* owned */
	int config_fd;	       /* owned: signalled for config_vector */
	unsigned int access;   /* offset of the PCI_CFG capability */

	/* Guarded by the bus's lock. */
	uint64_t base;	    /* of the BAR, if there are doorbells */
	uint64_t doorbells; /* a bit for each queue whose was added */

	/* Guarded by the device's lock. */
	uint16_t config_vector;
	struct virtio_transport transport;

	struct log_limit limit;
};

/* --- Interrupts -----------------------------------------------------------
 */

/* Lead an eventfd to another vector. Return: what it has now. */
static uint16_t virtio_pci_lead(struct virtio_pci *pci, int fd, uint16_t vector)
{
	pci_msix_detach(pci->msix, fd);
	if (vector == PCI_MSIX_NO_VECTOR ||
	    pci_msix_attach(pci->msix, fd, vector) < 0)
		return PCI_MSIX_NO_VECTOR;
	return vector;
}

static void virtio_pci_lead_config(struct virtio_pci *pci, uint16_t vector)
{
	pci->config_vector = virtio_pci_lead(pci, pci->config_fd, vector);
}

static void virtio_pci_lead_queue(struct virtio_pci *pci,
				  struct virtio_transport_queue *queue,
				  uint16_t vector)
{
	queue->vector = virtio_pci_lead(
		pci, virtio_device_call_fd(pci->transport.device, queue->index),
		vector);
}

static void virtio_pci_set_line(void *ctx, bool level)
{
	struct virtio_pci *pci = ctx;

	pci_bus_set_intx(pci->bus, &pci->pci, level);
}

static void virtio_pci_config_interrupt(void *ctx)
{
	struct virtio_pci *pci = ctx;
	const uint64_t one = 1;
	ssize_t n;

	if (pci->config_vector == PCI_MSIX_NO_VECTOR)
		return;
	/* Fails only when 2^64 - 2 signals wait. */
	n = write(pci->config_fd, &one, sizeof(one));
	(void)n;
}

static void virtio_pci_forget_vectors(void *ctx)
{
	struct virtio_pci *pci = ctx;
	uint64_t signals;
	ssize_t n;

	for (unsigned int i = 0;
	     i < virtio_device_queues(pci->transport.device); i++)
		virtio_pci_lead_queue(pci, &pci->transport.queues[i],
				      PCI_MSIX_NO_VECTOR);
	virtio_pci_lead_config(pci, PCI_MSIX_NO_VECTOR);
	/* Whatever is pending is not for the next driver. */
	n = read(pci->config_fd, &signals, sizeof(signals));
	(void)n;
}

static const struct virtio_transport_ops virtio_pci_transport_ops = {
	.set_line = virtio_pci_set_line,
	.config_interrupt = virtio_pci_config_interrupt,
	.reset = virtio_pci_forget_vectors,
};

static void virtio_pci_masked(void *ctx, int vector, bool masked)
{
	struct virtio_pci *pci = ctx;
	const struct virtio_msix_change change = {
		.function = vector < 0,
		.vector = vector < 0 ? 0 : (unsigned int)vector,
		.masked = masked,
	};

	virtio_device_lock(pci->transport.device);
	virtio_device_control_notify_locked(pci->transport.device, &change);
	virtio_device_unlock(pci->transport.device);
}

static void virtio_pci_update_lined(struct virtio_pci *pci)
{
	virtio_device_lock(pci->transport.device);
	virtio_transport_set_lined(&pci->transport,
				   !pci_msix_enabled(pci->msix));
	virtio_device_unlock(pci->transport.device);
}

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

static const struct bus_ops virtio_pci_bar_ops = {
	.read = virtio_pci_bar_read,
	.write = virtio_pci_bar_write,
	.max_size = 4,
};

/* A shared-memory region without a mapping. */
static uint64_t virtio_pci_shm_read(void *ctx, uint64_t offset,
				    unsigned int size)
{
	(void)ctx;
	(void)offset;
	(void)size;
	return UINT64_MAX;
}

static void virtio_pci_shm_write(void *ctx, uint64_t offset, unsigned int size,
				 uint64_t value)
{
	(void)ctx;
	(void)offset;
	(void)size;
	(void)value;
}

static const struct bus_ops virtio_pci_shm_ops = {
	.read = virtio_pci_shm_read,
	.write = virtio_pci_shm_write,
	.max_size = 8,
};

/* --- Configuration space, with the bus's lock held ------------------------
 */

static struct host_doorbell virtio_pci_doorbell(const struct virtio_pci *pci,
						unsigned int index)
{
	return (struct host_doorbell){
		.bus = BUS_MMIO,
		.addr = pci->base + NOTIFY + index * NOTIFY_MULTIPLIER,
		/* Of any size: KVM need not decode the instruction. */
		.size = 0,
		.fd = virtio_device_kick_fd(pci->transport.device, index),
	};
}

static void virtio_pci_remove_doorbells(struct virtio_pci *pci)
{
	for (unsigned int i = 0; pci->doorbells >> i; i++) {
		const struct host_doorbell doorbell =
			virtio_pci_doorbell(pci, i);

		if (pci->doorbells >> i & 1)
			pci->host->ops->doorbell_remove(pci->host, &doorbell);
		if (i == VIRTIO_QUEUES_MAX - 1)
			break;
	}
	pci->doorbells = 0;
}

static void virtio_pci_add_doorbells(struct virtio_pci *pci, uint64_t base)
{
	pci->base = base;
	for (unsigned int i = 0;
	     i < virtio_device_queues(pci->transport.device); i++) {
		const struct host_doorbell doorbell =
			virtio_pci_doorbell(pci, i);
		int ret = pci->host->ops->doorbell_add(pci->host, &doorbell);

		if (ret == 0)
			pci->doorbells |= UINT64_C(1) << i;
		else
			/* It works without one, slowly. */
			log_limited(&pci->limit, LOG_WARN,
				    "%s: queue %u has no doorbell: %s",
				    virtio_device_label(pci->transport.device),
				    i, strerror(-ret));
	}
}

static void virtio_pci_bar_moved(void *ctx, unsigned int bar, bool mapped,
				 uint64_t base)
{
	struct virtio_pci *pci = ctx;

	if (bar == BAR) {
		virtio_pci_remove_doorbells(pci);
		if (mapped)
			virtio_pci_add_doorbells(pci, base);
	} else if (bar == SHM_BAR && mapped) {
		virtio_device_lock(pci->transport.device);
		virtio_device_set_shm_address_locked(pci->transport.device,
						     base);
		virtio_device_unlock(pci->transport.device);
	}
}

/* Whether [offset, offset + size) has bytes in [at, at + len). */
static bool virtio_pci_touches(unsigned int offset, unsigned int size,
			       unsigned int at, unsigned int len)
{
	return offset < at + len && at < offset + size;
}

static unsigned int virtio_pci_access_data(const struct virtio_pci *pci)
{
	return pci->access + (unsigned int)sizeof(struct virtio_pci_cap);
}

/* Where that capability points to. Return: bytes; 0 if nowhere. */
static unsigned int virtio_pci_access_at(const struct virtio_pci *pci,
					 uint32_t *at)
{
	uint32_t bar =
		pci_device_read(&pci->pci, pci->access + VIRTIO_PCI_CAP_BAR, 1);
	uint32_t len = pci_device_read(&pci->pci,
				       pci->access + VIRTIO_PCI_CAP_LENGTH, 4);

	*at = pci_device_read(&pci->pci, pci->access + VIRTIO_PCI_CAP_OFFSET,
			      4);
	if (bar != BAR || (len != 1 && len != 2 && len != 4) || *at % len ||
	    *at >= BAR_SIZE)
		return 0;
	return len;
}

static void virtio_pci_config_read(void *ctx, unsigned int offset,
				   unsigned int size)
{
	struct virtio_pci *pci = ctx;
	unsigned int data = virtio_pci_access_data(pci);
	unsigned int len;
	uint32_t at;

	if (!virtio_pci_touches(offset, size, data, 4))
		return;
	len = virtio_pci_access_at(pci, &at);
	if (len)
		pci_device_set(&pci->pci, data, len,
			       (uint32_t)virtio_pci_bar_read(pci, at, len));
}

static void virtio_pci_access_written(struct virtio_pci *pci)
{
	uint32_t at;
	unsigned int len = virtio_pci_access_at(pci, &at);

	if (len)
		virtio_pci_bar_write(
			pci, at, len,
			pci_device_read(&pci->pci, virtio_pci_access_data(pci),
					len));
}

static void virtio_pci_config_written(void *ctx, unsigned int offset,
				      unsigned int size)
{
	struct virtio_pci *pci = ctx;

	if (virtio_pci_touches(offset, size, pci_msix_cap(pci->msix),
			       MSIX_CAP_SIZE)) {
		pci_msix_config_written(pci->msix);
		virtio_pci_update_lined(pci);
	}
	/* A restored configuration space is no access. */
	if (size <= 4 &&
	    virtio_pci_touches(offset, size, virtio_pci_access_data(pci), 4))
		virtio_pci_access_written(pci);
}

static const struct pci_device_ops virtio_pci_config_ops = {
	.bar_moved = virtio_pci_bar_moved,
	.config_read = virtio_pci_config_read,
	.config_written = virtio_pci_config_written,
};

/* --- Making and freeing ---------------------------------------------------
 */

static unsigned int virtio_pci_add_cap(struct virtio_pci *pci,
				       const struct virtio_cap *cap,
				       unsigned int size)
{
	struct pci_device *device = &pci->pci;
	unsigned int at = pci_device_add_cap(device, PCI_CAP_ID_VNDR, size);

	pci_device_set(device, at + VIRTIO_PCI_CAP_LEN, 1, size);
	pci_device_set(device, at + VIRTIO_PCI_CAP_CFG_TYPE, 1, cap->cfg_type);
	pci_device_set(device, at + VIRTIO_PCI_CAP_BAR, 1, cap->bar);
	pci_device_set(device, at + offsetof(struct virtio_pci_cap, id), 1,
		       cap->id);
	pci_device_set(device, at + VIRTIO_PCI_CAP_OFFSET, 4,
		       (uint32_t)cap->offset);
	pci_device_set(device, at + VIRTIO_PCI_CAP_LENGTH, 4,
		       (uint32_t)cap->length);
	return at;
}

static unsigned int virtio_pci_add_region(struct virtio_pci *pci,
					  uint8_t cfg_type, uint32_t offset,
					  size_t length, unsigned int size)
{
	const struct virtio_cap cap = {
		.cfg_type = cfg_type,
		.bar = BAR,
		.offset = offset,
		.length = length,
	};

	return virtio_pci_add_cap(pci, &cap, size);
}

/* The driver writes where, and then the data (4.1.4.9). */
static void virtio_pci_add_access(struct virtio_pci *pci)
{
	struct pci_device *device = &pci->pci;

	pci->access = virtio_pci_add_region(pci, VIRTIO_PCI_CAP_PCI_CFG, 0, 0,
					    sizeof(struct virtio_pci_cfg_cap));
	pci_device_set_writable(device, pci->access + VIRTIO_PCI_CAP_BAR, 1,
				UINT8_MAX);
	pci_device_set_writable(device, pci->access + VIRTIO_PCI_CAP_OFFSET, 4,
				UINT32_MAX);
	pci_device_set_writable(device, pci->access + VIRTIO_PCI_CAP_LENGTH, 4,
				UINT32_MAX);
	pci_device_set_writable(device, virtio_pci_access_data(pci), 4,
				UINT32_MAX);
}

static void virtio_pci_add_regions(struct virtio_pci *pci)
{
	struct virtio_device *device = pci->transport.device;
	size_t config_size = virtio_device_config_size(device);
	unsigned int notify;

	virtio_pci_add_region(pci, VIRTIO_PCI_CAP_COMMON_CFG, COMMON,
			      sizeof(struct virtio_pci_common),
			      sizeof(struct virtio_pci_cap));
	virtio_pci_add_region(pci, VIRTIO_PCI_CAP_ISR_CFG, ISR, 1,
			      sizeof(struct virtio_pci_cap));
	if (config_size)
		virtio_pci_add_region(pci, VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE,
				      config_size,
				      sizeof(struct virtio_pci_cap));
	notify = virtio_pci_add_region(pci, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY,
				       virtio_device_queues(device) *
					       NOTIFY_MULTIPLIER,
				       sizeof(struct virtio_pci_notify_cap));
	pci_device_set(&pci->pci, notify + VIRTIO_PCI_NOTIFY_CAP_MULT, 4,
		       NOTIFY_MULTIPLIER);
}

/* 4.1.4.7; the driver reads 64-bit offset and length of it. */
static void virtio_pci_add_shm(struct virtio_pci *pci)
{
	struct virtio_device *device = pci->transport.device;
	struct virtio_shm_region region;
	struct pci_bar bar = {
		.kind = PCI_BAR_MEM64,
		.prefetchable = true,
		.size = 4096,
		.ops = &virtio_pci_shm_ops,
		.ctx = pci,
		.name = virtio_device_label(device),
	};
	struct virtio_cap cap = {
		.cfg_type = VIRTIO_PCI_CAP_SHARED_MEMORY_CFG,
		.bar = SHM_BAR,
	};
	unsigned int at;

	if (!virtio_device_shm_region_locked(device, &region))
		return;
	while (bar.size < region.length)
		bar.size *= 2;
	pci_device_add_bar(&pci->pci, SHM_BAR, &bar);
	cap.id = region.id;
	cap.length = region.length;
	at = virtio_pci_add_cap(pci, &cap, sizeof(struct virtio_pci_cap64));
	pci_device_set(&pci->pci,
		       at + offsetof(struct virtio_pci_cap64, length_hi), 4,
		       (uint32_t)(region.length >> 32));
}

/* What the model has beside that. */
static void virtio_pci_add_more(struct virtio_pci *pci)
{
	struct virtio_device *device = pci->transport.device;
	struct virtio_bar bars[PCI_DEVICE_BARS];
	struct virtio_cap
		caps[PCI_DEVICE_CONFIG_SIZE / sizeof(struct virtio_pci_cap)];
	unsigned int count = virtio_device_pci_bars_locked(device, bars);

	for (unsigned int i = 0; i < count; i++) {
		const struct pci_bar bar = {
			.kind = bars[i].prefetchable ? PCI_BAR_MEM64
						     : PCI_BAR_MEM32,
			.prefetchable = bars[i].prefetchable,
			.size = bars[i].size,
			.ops = bars[i].ops,
			.ctx = bars[i].ctx,
			.name = virtio_device_label(device),
		};

		pci_device_add_bar(&pci->pci, bars[i].index, &bar);
	}
	count = virtio_device_pci_caps_locked(device, caps);
	for (unsigned int i = 0; i < count; i++)
		virtio_pci_add_cap(pci, &caps[i],
				   sizeof(struct virtio_pci_cap));
}

static void virtio_pci_init_function(struct virtio_pci *pci)
{
	struct virtio_device *device = pci->transport.device;
	const struct virtio_device_ops *ops = virtio_device_ops(device);
	const struct pci_identity identity = {
		.vendor_id = VENDOR_ID,
		.device_id = (uint16_t)(DEVICE_ID_BASE + ops->device_id),
		.class_code = ops->class_code,
		.revision_id = REVISION_ID,
		.subsystem_vendor_id = SUBSYSTEM_VENDOR_ID,
		.subsystem_id = SUBSYSTEM_ID,
		.interrupt_pin = 1,
	};
	const struct pci_bar bar = {
		.kind = PCI_BAR_MEM64,
		.prefetchable = true,
		.size = BAR_SIZE,
		.ops = &virtio_pci_bar_ops,
		.ctx = pci,
		.name = virtio_device_label(device),
	};

	pci_device_init(&pci->pci, &identity);
	pci_device_add_bar(&pci->pci, BAR, &bar);
	virtio_pci_add_regions(pci);
	virtio_pci_add_access(pci);
	virtio_device_lock(device);
	virtio_pci_add_shm(pci);
	virtio_pci_add_more(pci);
	virtio_device_unlock(device);
	pci->pci.ops = &virtio_pci_config_ops;
	pci->pci.ctx = pci;
}

static int virtio_pci_init_interrupts(struct virtio_pci *pci, unsigned int slot)
{
	const struct pci_msix_config msix = {
		.vectors = virtio_device_interrupts(pci->transport.device) + 1,
		.bar = BAR,
		.table = MSIX_TABLE,
		.pba = MSIX_PENDING,
		.requester_id = slot << 3,
		.masked = virtio_pci_masked,
		.ctx = pci,
	};
	int ret;

	pci->config_vector = PCI_MSIX_NO_VECTOR;
	pci->config_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pci->config_fd < 0)
		return -errno;
	ret = pci_msix_new(&pci->msix, pci->host, &pci->pci, &msix);
	if (ret < 0)
		close(pci->config_fd);
	return ret;
}

int virtio_pci_new(struct virtio_pci **out,
		   const struct virtio_pci_config *config, struct error *err)
{
	const char *label = virtio_device_label(config->device);
	struct virtio_pci *pci = calloc(1, sizeof(*pci));
	int ret;

	if (!pci)
		return error_set(err, ENOMEM, "%s: out of memory", label);
	assert(virtio_device_config_size(config->device) <= REGION_SIZE);
	assert(virtio_device_interrupts(config->device) < VECTORS_MAX);
	pci->host = config->host;
	pci->bus = config->bus;
	pci->transport.device = config->device;
	virtio_pci_init_function(pci);
	ret = virtio_pci_init_interrupts(pci, config->slot);
	if (ret < 0) {
		error_set(err, -ret, "%s: no interrupts for %u vectors: %s",
			  label, virtio_device_interrupts(config->device) + 1,
			  strerror(-ret));
		goto err_free;
	}
	ret = pci_bus_add(pci->bus, config->slot, 0, &pci->pci);
	if (ret < 0) {
		error_set(err, -ret, "%s: PCI slot %u %s", label, config->slot,
			  ret == -EEXIST ? "is taken" : "is none of the bus");
		goto err_msix;
	}
	ret = virtio_transport_init(&pci->transport, config->device,
				    config->loop, &virtio_pci_transport_ops,
				    pci);
	if (ret < 0) {
		error_set(err, -ret, "%s: cannot watch its interrupts: %s",
			  label, strerror(-ret));
		goto err_remove;
	}
	*out = pci;
	return 0;

err_remove:
	pci_bus_remove(pci->bus, &pci->pci);
err_msix:
	pci_msix_free(pci->msix);
	close(pci->config_fd);
err_free:
	free(pci);
	return ret;
}

static void virtio_pci_free(void *self)
{
	struct virtio_pci *pci = self;

	pci_bus_set_intx(pci->bus, &pci->pci, false);
	pci_bus_remove(pci->bus, &pci->pci);
	virtio_pci_remove_doorbells(pci);
	virtio_device_lock(pci->transport.device);
	virtio_pci_forget_vectors(pci);
	virtio_device_unlock(pci->transport.device);
	pci_msix_free(pci->msix);
	virtio_transport_fini(&pci->transport);
	close(pci->config_fd);
	free(pci);
}

/* --- State ----------------------------------------------------------------
 */

static void virtio_pci_reset(void *self)
{
	struct virtio_pci *pci = self;

	virtio_device_lock(pci->transport.device);
	virtio_transport_power_on(&pci->transport);
	virtio_device_unlock(pci->transport.device);
	pci_msix_reset(pci->msix);
	virtio_pci_update_lined(pci);
}

struct virtio_pci_saved {
	uint16_t config_vector;
};

static const struct json_field virtio_pci_fields[] = {
	JSON_UINT(struct virtio_pci_saved, config_vector),
};

#define VIRTIO_PCI_FIELDS \
	(sizeof(virtio_pci_fields) / sizeof(virtio_pci_fields[0]))

static int virtio_pci_save(void *self, json_t **out)
{
	struct virtio_pci *pci = self;
	json_t *registers = NULL, *transport = NULL, *msix = NULL;
	struct virtio_pci_saved saved;
	int ret;

	virtio_device_lock(pci->transport.device);
	saved.config_vector = pci->config_vector;
	ret = virtio_transport_save(&pci->transport, &transport);
	virtio_device_unlock(pci->transport.device);
	if (ret < 0)
		return ret;
	pci_msix_save(pci->msix, &msix);
	json_save(&saved, virtio_pci_fields, VIRTIO_PCI_FIELDS, &registers);
	/* Takes the references, and fails if one of them is NULL. */
	*out = json_pack("{s:o, s:o, s:o}", "pci", registers, "transport",
			 transport, "msix", msix);
	return *out ? 0 : -ENOMEM;
}

/* The vectors as they were saved; one that there is not is none. */
static void virtio_pci_lead_all(struct virtio_pci *pci, uint16_t config_vector)
{
	virtio_pci_lead_config(pci, config_vector);
	for (unsigned int i = 0;
	     i < virtio_device_queues(pci->transport.device); i++) {
		struct virtio_transport_queue *queue =
			&pci->transport.queues[i];

		virtio_pci_lead_queue(pci, queue, queue->vector);
	}
}

static int virtio_pci_restore_transport(struct virtio_pci *pci,
					const json_t *state,
					uint16_t config_vector,
					struct error *err)
{
	int ret;

	virtio_device_lock(pci->transport.device);
	ret = virtio_transport_restore(&pci->transport, state, err);
	if (ret == 0)
		virtio_pci_lead_all(pci, config_vector);
	virtio_device_unlock(pci->transport.device);
	return ret;
}

static int virtio_pci_restore(void *self, const json_t *state,
			      struct error *err)
{
	struct virtio_pci *pci = self;
	struct virtio_pci_saved saved;
	json_t *before;
	int ret;

	if (json_object_size(state) != 3)
		return error_set(err, EINVAL,
				 "%s: expected pci, transport and msix",
				 virtio_device_label(pci->transport.device));
	ret = json_load(&saved, virtio_pci_fields, VIRTIO_PCI_FIELDS,
			json_object_get(state, "pci"), err);
	if (ret < 0)
		return ret;
	/* The table first, so that what was pending finds it; and back again
	 * if the rest is refused. */
	ret = pci_msix_save(pci->msix, &before);
	if (ret < 0)
		return error_set(err, -ret, "msix: %s", strerror(-ret));
	ret = pci_msix_restore(pci->msix, json_object_get(state, "msix"), err);
	if (ret == 0) {
		ret = virtio_pci_restore_transport(
			pci, json_object_get(state, "transport"),
			saved.config_vector, err);
		if (ret < 0)
			pci_msix_restore(pci->msix, before, NULL);
	}
	json_decref(before);
	if (ret == 0)
		virtio_pci_update_lined(pci);
	return ret;
}

const struct device_ops virtio_pci_device_ops = {
	.free = virtio_pci_free,
	.reset = virtio_pci_reset,
	.save = virtio_pci_save,
	.restore = virtio_pci_restore,
};
