/*
 * PCI bus 0: the functions on it and the two ways by which a guest reaches
 * their configuration space, ECAM (PCI Express 5.0, 7.2.2) and, on a PC, the
 * ports CONFIG_ADDRESS and CONFIG_DATA (PCI Local Bus 3.0, 3.2.2.3.2), between
 * which lies the chipset's reset control register. The guest writes whatever
 * it likes to all of them.
 */
#ifndef PCI_BUS_H
#define PCI_BUS_H

#include <stdint.h>

#include "pci/device.h"
#include "vmm/base/device.h"
#include "vmm/base/host.h"

#define PCI_BUS_SLOTS	  32
#define PCI_BUS_FUNCTIONS 8

/* 4 KiB for each function. */
#define PCI_BUS_ECAM_SIZE (UINT64_C(4096) * PCI_BUS_SLOTS * PCI_BUS_FUNCTIONS)
/* CONFIG_ADDRESS, with the reset control register in it, and CONFIG_DATA. */
#define PCI_BUS_PORTS 8

/* The reset control register, by its offset from CONFIG_ADDRESS. RST_CPU going
 * from 0 to 1 with SYS_RST set is a reset; RESET_CONTROL_VALUE does it. */
#define PCI_BUS_RESET_CONTROL	    1
#define PCI_BUS_RESET_CONTROL_VALUE 6

struct pci_bus;

/* Addresses that the host bridge hands on. A BAR elsewhere is not decoded, so
 * that no guest can put one over RAM or over what is not PCI. */
struct pci_window {
	uint64_t base, size; /* size 0: there is none */
};

struct pci_bus_config {
	uint64_t ecam; /* guest physical, PCI_BUS_ECAM_SIZE bytes */
	uint16_t port; /* CONFIG_ADDRESS, PCI_BUS_PORTS; 0: there is none */
	struct pci_window io, mem32, mem64;
	/* INTx: pin p (0: INTA) of slot s is gsi + (s + p) % 4, level. */
	unsigned int gsi;
};

/**
 * pci_bus_new() - Make the bus with its host bridge at slot 0 and map it.
 * @out: freed by pci_bus_device_ops, after the devices on it
 * @host: borrowed
 * @config: copied
 *
 * Return: 0, -ENOMEM or what host's map says.
 */
int pci_bus_new(struct pci_bus **out, struct host *host,
		const struct pci_bus_config *config);

/**
 * pci_bus_add() - Put a function on the bus.
 * @device: borrowed until the bus is freed
 *
 * A slot's functions above 0 are looked for only if function 0 says
 * multifunction. Main thread. Return: 0, -EINVAL for a slot or function that
 * no bus has, or -EEXIST if it is taken.
 */
int pci_bus_add(struct pci_bus *bus, unsigned int slot, unsigned int function,
		struct pci_device *device);

/* Take it off again: its BARs are not mapped after that. Main thread. */
void pci_bus_remove(struct pci_bus *bus, struct pci_device *device);

/**
 * pci_bus_assign() - Do what firmware would: give each BAR a place in its
 * window, the largest first, and let every function with BARs decode them.
 *
 * After a reset, before a direct boot; main thread, no vCPU running. A second
 * call without a reset changes nothing. Return: 0, or -ENOSPC, @err naming the
 * device that does not fit.
 */
int pci_bus_assign(struct pci_bus *bus, struct error *err);

/**
 * pci_bus_set_intx() - Set the level of a function's interrupt pin.
 *
 * Functions share four lines: a line is high while one of its pins is, whose
 * function has not set Interrupt Disable. Any thread, also with the bus's lock
 * held.
 */
void pci_bus_set_intx(struct pci_bus *bus, struct pci_device *device,
		      bool level);

/* For struct device; self is the struct pci_bus. Speaks for the configuration
 * space of all functions on it. */
extern const struct device_ops pci_bus_device_ops;

#endif
