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
#define VIRTIO_PCI_NO_LEGACY
#include <linux/virtio_pci.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "virtio/pci_private.h"

/* As QEMU's modern devices call themselves. */
#define VENDOR_ID	    0x1af4
#define DEVICE_ID_BASE	    0x1040
#define REVISION_ID	    1
#define SUBSYSTEM_VENDOR_ID 0x1af4
#define SUBSYSTEM_ID	    0x1100

#define MSIX_ENTRY_SIZE 16
#define VECTORS_MAX	(REGION_SIZE / MSIX_ENTRY_SIZE)

static_assert(VIRTIO_QUEUES_MAX * NOTIFY_MULTIPLIER <= REGION_SIZE, "fits");
static_assert(VIRTIO_TRANSPORT_NO_VECTOR == PCI_MSIX_NO_VECTOR, "4.1.5.1.2");

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

void virtio_pci_lead_config(struct virtio_pci *pci, uint16_t vector)
{
	pci->config_vector = virtio_pci_lead(pci, pci->config_fd, vector);
}

void virtio_pci_lead_queue(struct virtio_pci *pci,
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

static bool virtio_pci_doorbell(const void *ctx, unsigned int index,
				struct host_doorbell *out)
{
	const struct virtio_pci *pci = ctx;

	*out = (struct host_doorbell){
		.bus = BUS_MMIO,
		.addr = pci->base + NOTIFY + index * NOTIFY_MULTIPLIER,
		/* Of any size: KVM need not decode the instruction. */
		.size = 0,
		.fd = virtio_device_kick_fd(pci->transport.device, index),
	};
	return pci->decoded;
}

static const struct virtio_transport_ops virtio_pci_transport_ops = {
	.set_line = virtio_pci_set_line,
	.config_interrupt = virtio_pci_config_interrupt,
	.reset = virtio_pci_forget_vectors,
	.doorbell = virtio_pci_doorbell,
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

void virtio_pci_update_lined(struct virtio_pci *pci)
{
	virtio_device_lock(pci->transport.device);
	virtio_transport_set_lined(&pci->transport,
				   !pci_msix_enabled(pci->msix));
	virtio_device_unlock(pci->transport.device);
}

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
			      VIRTIO_PCI_COMMON_SIZE,
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
				    config->host, config->loop,
				    &virtio_pci_transport_ops, pci);
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
	virtio_device_lock(pci->transport.device);
	virtio_pci_forget_vectors(pci);
	virtio_device_unlock(pci->transport.device);
	pci_msix_free(pci->msix);
	virtio_transport_fini(&pci->transport);
	close(pci->config_fd);
	free(pci);
}

static void virtio_pci_reset(void *self)
{
	struct virtio_pci *pci = self;

	virtio_device_lock(pci->transport.device);
	virtio_transport_power_on(&pci->transport);
	virtio_device_unlock(pci->transport.device);
	pci_msix_reset(pci->msix);
	virtio_pci_update_lined(pci);
}

const struct device_ops virtio_pci_device_ops = {
	.free = virtio_pci_free,
	.reset = virtio_pci_reset,
	.save = virtio_pci_save,
	.restore = virtio_pci_restore,
};
