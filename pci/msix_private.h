/*
 * What the files of MSI-X share: msix.c is how it works, msix_state.c saves and
 * restores.
 */
#ifndef PCI_MSIX_PRIVATE_H
#define PCI_MSIX_PRIVATE_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/pci_regs.h>

#include "pci/msix.h"

struct pci_msix_vector {
	unsigned int gsi;
	bool routed;
	struct host_msi route; /* what the host was told last, if routed */
	bool restored;	       /* pending in a saved state, not come yet */
};

/* An eventfd at a vector. */
struct pci_msix_line {
	int fd; /* borrowed */
	unsigned int vector;
	bool heard; /* the host listens */
};

struct pci_msix {
	struct host *host;	   /* borrowed */
	struct pci_device *device; /* borrowed */
	struct pci_msix_config config;
	unsigned int cap;

	pthread_mutex_t lock;
	/* Under it. */
	_Atomic bool enabled; /* also read without */
	bool function_masked;
	uint8_t *table; /* owned: PCI_MSIX_ENTRY_SIZE bytes a vector */
	struct pci_msix_vector *vectors; /* owned */
	struct pci_msix_line *lines;	 /* owned */
	struct pollfd *polls;		 /* owned, as many */
	unsigned int line_count, line_room;
	int replay_fd; /* owned: an eventfd for what was restored, or -1 */
};

/* Bytes of the table. */
static inline size_t pci_msix_table_bytes(const struct pci_msix *msix)
{
	return (size_t)msix->config.vectors * PCI_MSIX_ENTRY_SIZE;
}

/* Bits of a byte of an entry that the guest may change. */
uint8_t pci_msix_writable(unsigned int offset);

/* The pending bits of vectors [first, first + count), at most 64. */
uint64_t pci_msix_pending_locked(struct pci_msix *msix, unsigned int first,
				 unsigned int count);

/* Let the host listen, or not any more. What the host says. */
int pci_msix_hear_locked(struct pci_msix *msix, struct pci_msix_line *line,
			 bool open);

/* Read Message Control. */
void pci_msix_take_control_locked(struct pci_msix *msix);

/* Everything may have changed: let it follow. */
void pci_msix_follow_all_locked(struct pci_msix *msix);

void pci_msix_reset_locked(struct pci_msix *msix);

#endif
