/*
 * MSI-X (PCI Local Bus 3.0, 6.8.2): the capability, the table and the pending
 * bits of one function. Each vector has a global system interrupt with a route
 * of its own; what raises it is any number of eventfds that are attached to
 * it, which KVM listens to while the vector is not masked. A masked vector
 * keeps its eventfds, and what they hold is its pending bit. The guest writes
 * whatever it likes to table, pending bits and Message Control.
 *
 * Locking: a leaf lock of its own; any thread.
 */
#ifndef PCI_MSIX_H
#define PCI_MSIX_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "pci/device.h"
#include "vmm/base/error.h"
#include "vmm/base/host.h"

#define PCI_MSIX_VECTORS_MAX 2048
#define PCI_MSIX_NO_VECTOR   0xffff

struct pci_msix;

struct pci_msix_config {
	unsigned int vectors; /* 1 to PCI_MSIX_VECTORS_MAX */
	/* Where the table (16 bytes a vector) and the pending bits (8 bytes a
	 * 64 vectors) lie: the BAR, and their offsets in it. */
	uint8_t bar;
	uint32_t table, pba;
	uint32_t requester_id; /* bus 0: slot << 3 | function */
	/* After a change of a mask; NULL if of no interest. vector: -1 for
	 * all. Without locks of this module, so that two vCPUs that mask and
	 * unmask at once may call in any order. */
	void (*masked)(void *ctx, int vector, bool masked);
	void *ctx;
};

/**
 * pci_msix_new() - Add the capability to @device, all vectors masked.
 * @host, @device: borrowed
 *
 * Return: 0, -ENOMEM, or -ENOSPC when there are no interrupts left.
 */
int pci_msix_new(struct pci_msix **out, struct host *host,
		 struct pci_device *device,
		 const struct pci_msix_config *config);
void pci_msix_free(struct pci_msix *msix);

/* Offset of the capability in the configuration space: 12 bytes. Its registers
 * are set up; config_written has to lead to pci_msix_config_written(). */
unsigned int pci_msix_cap(const struct pci_msix *msix);

/*
 * The device's BAR leads accesses to the table and the pending bits here.
 * offset: from the start of the one or the other, any; size: 1, 2, 4 or 8.
 */
uint64_t pci_msix_table_read(struct pci_msix *msix, uint64_t offset,
			     unsigned int size);
void pci_msix_table_write(struct pci_msix *msix, uint64_t offset,
			  unsigned int size, uint64_t value);
uint64_t pci_msix_pba_read(struct pci_msix *msix, uint64_t offset,
			   unsigned int size);

/* The guest has written the capability: look at Message Control anew. With the
 * bus's lock held. */
void pci_msix_config_written(struct pci_msix *msix);

/* Whether interrupts go this way, and not as INTx. */
bool pci_msix_enabled(const struct pci_msix *msix);

/**
 * pci_msix_attach() - Signals of @fd raise vector @vector from now on.
 * @fd: an eventfd, borrowed until detached; in one vector at a time
 *
 * While MSI-X is disabled nobody listens to it. Nor if the guest gave a route
 * that KVM does not take, which is logged. Return: 0, -EINVAL for a vector that
 * there is not, -EEXIST if it is attached already, -ENOMEM, or what the host
 * says; it is not attached then.
 */
int pci_msix_attach(struct pci_msix *msix, int fd, unsigned int vector);
/* Nothing to do if it is not attached. When it returns, each signal from before
 * has been delivered, or is in the eventfd still if the vector was masked. */
void pci_msix_detach(struct pci_msix *msix, int fd);

/* As after pci_msix_new(); nothing attached, nothing pending. */
void pci_msix_reset(struct pci_msix *msix);

/* Table and pending bits; Message Control is of the configuration space,
 * attachments are of who attached. Saving leaves all as it is; interrupts that
 * are not pending are in the vCPUs' local APICs after it, which are to be saved
 * later than this. Restoring: behind the bus and before anything is attached;
 * what was pending then comes again. Main thread, vCPUs stopped. */
int pci_msix_save(struct pci_msix *msix, json_t **out);
int pci_msix_restore(struct pci_msix *msix, const json_t *state,
		     struct error *err);

#endif
