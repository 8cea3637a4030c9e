/*
 * The configuration space of one PCI function (PCI Local Bus 3.0, chapter 6):
 * 256 bytes, of which the device says bit by bit what the guest may write. The
 * guest writes whatever it likes, wherever it likes.
 */
#ifndef PCI_DEVICE_H
#define PCI_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#define PCI_DEVICE_CONFIG_SIZE 256

/*
 * Embedded in the device that it belongs to, which sets up its registers with
 * the functions below. Guarded by the bus's lock once it is on a bus. What the
 * guest can write is 0 after a reset.
 */
struct pci_device {
	uint8_t config[PCI_DEVICE_CONFIG_SIZE];
	uint8_t writable[PCI_DEVICE_CONFIG_SIZE]; /* bits that take a write */
	uint8_t w1c[PCI_DEVICE_CONFIG_SIZE];	  /* bits that a 1 clears */
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
 * pci_device_read() - A guest's read.
 * @offset: any; bytes past the configuration space are 0
 * @size: 1 to 4 bytes, aligned or not
 */
uint32_t pci_device_read(const struct pci_device *device, unsigned int offset,
			 unsigned int size);

/* A guest's write; likewise. */
void pci_device_write(struct pci_device *device, unsigned int offset,
		      unsigned int size, uint32_t value);

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
