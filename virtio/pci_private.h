/*
 * What virtio/pci.c, pci_bar.c, pci_config.c and pci_state.c share. Nobody else
 * includes this.
 */
#ifndef VIRTIO_PCI_PRIVATE_H
#define VIRTIO_PCI_PRIVATE_H

#include "pci/bus.h"
#include "pci/device.h"
#include "pci/msix.h"
#include "virtio/pci.h"
#include "virtio/transport.h"

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

struct virtio_pci {
	struct host *host;   /* borrowed */
	struct pci_bus *bus; /* borrowed */
	struct pci_device pci;
	struct pci_msix *msix; /* owned */
	int config_fd;	       /* owned: signalled for config_vector */
	unsigned int access;   /* offset of the PCI_CFG capability */

	/* Guarded by the device's lock. */
	bool decoded;  /* the BAR */
	uint64_t base; /* then */
	uint16_t config_vector;
	struct virtio_transport transport;
};

/* pci.c: lead an eventfd to a vector, or to none. With the device's lock. */
void virtio_pci_lead_config(struct virtio_pci *pci, uint16_t vector);
void virtio_pci_lead_queue(struct virtio_pci *pci,
			   struct virtio_transport_queue *queue,
			   uint16_t vector);
/* MSI-X may have been enabled or disabled. Without the device's lock. */
void virtio_pci_update_lined(struct virtio_pci *pci);

/* pci_bar.c: bytes of the common configuration, and what is behind the BAR;
 * ctx is the struct virtio_pci. */
#define VIRTIO_PCI_COMMON_SIZE 64
extern const struct bus_ops virtio_pci_bar_ops;

/* pci_config.c; ctx likewise. */
extern const struct pci_device_ops virtio_pci_config_ops;
/* Offset of the 4 bytes of data of the PCI_CFG capability. */
unsigned int virtio_pci_access_data(const struct virtio_pci *pci);

/* pci_state.c, of virtio_pci_device_ops. */
int virtio_pci_save(void *self, json_t **out);
int virtio_pci_restore(void *self, const json_t *state, struct error *err);

#endif
