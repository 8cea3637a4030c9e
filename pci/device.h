/*
 * The configuration space of one PCI function (PCI Local Bus 3.0, chapter 6):
 * 256 bytes, of which the device says bit by bit what the guest may write. The
 * guest writes whatever it likes, wherever it likes.
 */
#ifndef PCI_DEVICE_H
#define PCI_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/host.h"

#define PCI_DEVICE_CONFIG_SIZE 256
#define PCI_DEVICE_BARS	       6

enum pci_bar_kind {
	PCI_BAR_NONE,
	PCI_BAR_MEM32,
	PCI_BAR_MEM64, /* takes the next BAR's register, too */
	PCI_BAR_IO,
};

/* A base address register (6.2.5.1). */
struct pci_bar {
	enum pci_bar_kind kind;
	bool prefetchable; /* memory only */
	uint64_t size;	   /* bytes: a power of two; memory from 4096, I/O
			      from 4 to 256 */
	const struct bus_ops *ops; /* of the whole BAR; called on any vCPU
				      thread without the bus's lock */
	void *ctx;		   /* borrowed */
	const char *name;	   /* borrowed, for messages */

	/* For the bus: where it is mapped, and the last place that it could
	 * not have (0: none). */
	bool mapped;
	uint64_t base;
	uint64_t refused;
};

/*
 * What a device does beside being registers. Each may be NULL; with the bus's
 * lock held, so that they must not call the bus. Any vCPU thread, and main.
 */
struct pci_device_ops {
	/* The BAR is decoded at base now, or (mapped false) not any more: what
	 * hangs on its address, such as doorbells, has to follow. A move is
	 * the one behind the other. */
	void (*bar_moved)(void *ctx, unsigned int bar, bool mapped,
			  uint64_t base);
	/* Bytes are about to be read; the device may set them anew. */
	void (*config_read)(void *ctx, unsigned int offset, unsigned int size);
	/* Bytes were written by the guest; BARs have moved already. */
	void (*config_written)(void *ctx, unsigned int offset,
			       unsigned int size);
};

/* For the bus, under its lock of interrupt lines. */
struct pci_intx {
	unsigned int line; /* of four */
	bool wired;	   /* on a bus, and with a pin */
	bool raised;	   /* the device asks for it: Interrupt Status */
	bool disabled;	   /* COMMAND, Interrupt Disable */
};

/*
 * Embedded in the device that it belongs to, which sets up its registers with
 * the functions below. Guarded by the bus's lock once it is on a bus. What the
 * guest can write is 0 after a reset.
 */
struct pci_device {
	uint8_t config[PCI_DEVICE_CONFIG_SIZE];
	uint8_t writable[PCI_DEVICE_CONFIG_SIZE]; /* bits that take a write */
	uint8_t w1c[PCI_DEVICE_CONFIG_SIZE];	  /* bits that a 1 clears */
	struct pci_bar bars[PCI_DEVICE_BARS];
	uint8_t caps_end;		  /* the next capability goes here */
	uint8_t last_cap;		  /* 0: none yet */
	const struct pci_device_ops *ops; /* NULL: registers and no more */
	void *ctx;			  /* borrowed */
	struct pci_intx intx;
};

/* What a type 0 header says of a function (6.2). */
struct pci_identity {
	uint16_t vendor_id;
	uint16_t device_id;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
	uint8_t revision_id;
	uint16_t subsystem_vendor_id;
	uint16_t subsystem_id;
	bool multifunction;    /* of function 0: there are others */
	uint8_t interrupt_pin; /* 1 to 4: INTA to INTD; 0: none */
};

/**
 * pci_device_init() - A type 0 header with COMMAND, STATUS, Cache Line Size
 * and Interrupt Line as writable as they have to be, and no BARs.
 */
void pci_device_init(struct pci_device *device,
		     const struct pci_identity *identity);

/*
 * For the device itself: give a register of @size bytes (1, 2 or 4, and inside
 * the configuration space) its value, the bits that the guest may write, or
 * those that it clears by writing 1.
 */
void pci_device_set(struct pci_device *device, unsigned int offset,
		    unsigned int size, uint32_t value);
void pci_device_set_writable(struct pci_device *device, unsigned int offset,
			     unsigned int size, uint32_t bits);
void pci_device_set_w1c(struct pci_device *device, unsigned int offset,
			unsigned int size, uint32_t bits);

/**
 * pci_device_add_bar() - Give it a base address register, before it is on a
 * bus.
 * @index: 0 to 5; 0 to 4 for PCI_BAR_MEM64
 * @bar: copied
 */
void pci_device_add_bar(struct pci_device *device, unsigned int index,
			const struct pci_bar *bar);

/**
 * pci_device_add_cap() - Append a capability (6.7), all zero and read-only.
 * @id: PCI_CAP_ID_*
 * @size: bytes, the header of 2 included
 *
 * Return: its offset, a multiple of 4; the caller sets it up with
 * pci_device_set() and its neighbours. Those of one device have to fit.
 */
unsigned int pci_device_add_cap(struct pci_device *device, uint8_t id,
				unsigned int size);

/**
 * pci_device_read() - A guest's read.
 * @offset: any; bytes past the configuration space are 0
 * @size: 1 to 4 bytes, aligned or not
 */
uint32_t pci_device_read(const struct pci_device *device, unsigned int offset,
			 unsigned int size);

/* A guest's write; likewise. */
void pci_device_write(struct pci_device *device, unsigned int offset,
		      unsigned int size, uint32_t value);

/**
 * pci_device_bar() - Where a BAR's registers put it.
 * @base: out, if it is decoded
 *
 * Return: whether COMMAND lets the function decode it; false where there is
 * no BAR.
 */
bool pci_device_bar(const struct pci_device *device, unsigned int index,
		    uint64_t *base);

/* Put it there, as a guest would: a multiple of its size that its registers
 * can hold. */
void pci_device_place_bar(struct pci_device *device, unsigned int index,
			  uint64_t base);

/* All that the guest can change is 0 again. */
void pci_device_reset(struct pci_device *device);

/**
 * pci_device_accepts() - Whether @config could be this function's.
 * @config: PCI_DEVICE_CONFIG_SIZE bytes of a saved state
 * @offset: the first byte that could not be, if so
 *
 * It could if it differs in bits that the guest can change, and no others.
 */
bool pci_device_accepts(const struct pci_device *device, const uint8_t *config,
			unsigned int *offset);

#endif
