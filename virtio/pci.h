/*
 * The modern virtio PCI transport (virtio 1.3, 4.1): a function with one
 * 64-bit BAR that holds common configuration, ISR, device configuration,
 * notification area, MSI-X table and pending bits, each 4 KiB or a multiple
 * from the next.
 */
#ifndef VIRTIO_PCI_H
#define VIRTIO_PCI_H

#include "virtio/device.h"
#include "vmm/base/device.h"
#include "vmm/base/host.h"
#include "vmm/base/loop.h"

struct pci_bus;
struct virtio_pci;

struct virtio_pci_config {
	struct virtio_device *device; /* owned from success on */
	struct host *host;	      /* borrowed, as are these */
	struct pci_bus *bus;
	struct loop *loop; /* main's: INTx goes through it */
	unsigned int slot; /* 1 to 31 */
};

/**
 * virtio_pci_new() - Put the device on the bus.
 * @out: for virtio_pci_device_ops.free, which frees the device, too
 *
 * Main thread. Return: 0 or a negative errno, @err set: a slot that is taken,
 * no interrupts left, ...
 */
int virtio_pci_new(struct virtio_pci **out,
		   const struct virtio_pci_config *config, struct error *err);

/* reset, save and restore of registers and device; save and restore want the
 * device asleep. */
extern const struct device_ops virtio_pci_device_ops;

#endif
