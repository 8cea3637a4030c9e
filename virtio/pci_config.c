/*
 * The configuration space of a virtio PCI device, as far as it does something:
 * doorbells follow the BAR, MSI-X is switched on and off, and a capability
 * gives access to the BAR to a driver that cannot map it (4.1.4.9). All with
 * the bus's lock held, so that the BAR's registers are reached under it, too.
 */
#include <string.h>

#define VIRTIO_PCI_NO_LEGACY
#include <linux/virtio_pci.h>

#include "virtio/pci_private.h"

#define MSIX_CAP_SIZE 12

static void virtio_pci_bar_moved(void *ctx, unsigned int bar, bool mapped,
				 uint64_t base)
{
	struct virtio_pci *pci = ctx;

	virtio_device_lock(pci->transport.device);
	if (bar == BAR) {
		virtio_transport_remove_doorbells(&pci->transport);
		pci->decoded = mapped;
		pci->base = base;
		virtio_transport_add_doorbells(&pci->transport);
	} else if (bar == SHM_BAR && mapped) {
		virtio_device_set_shm_address_locked(pci->transport.device,
						     base);
	}
	virtio_device_unlock(pci->transport.device);
}

/* Whether [offset, offset + size) has bytes in [at, at + len). */
static bool virtio_pci_touches(unsigned int offset, unsigned int size,
			       unsigned int at, unsigned int len)
{
	return offset < at + len && at < offset + size;
}

unsigned int virtio_pci_access_data(const struct virtio_pci *pci)
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
			       (uint32_t)virtio_pci_bar_ops.read(pci, at, len));
}

static void virtio_pci_access_written(struct virtio_pci *pci)
{
	uint32_t at;
	unsigned int len = virtio_pci_access_at(pci, &at);

	if (len)
		virtio_pci_bar_ops.write(
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

const struct pci_device_ops virtio_pci_config_ops = {
	.bar_moved = virtio_pci_bar_moved,
	.config_read = virtio_pci_config_read,
	.config_written = virtio_pci_config_written,
};
