/*
 * What the files of the bus share: bus.c leads accesses to configuration
 * space and interrupt pins to lines, bus_bars.c decides where BARs are mapped,
 * bus_state.c saves and restores.
 */
#ifndef PCI_BUS_PRIVATE_H
#define PCI_BUS_PRIVATE_H

#include <pthread.h>
#include <stdint.h>

#include "pci/bus.h"

#define PCI_BUS_DEVFNS (PCI_BUS_SLOTS * PCI_BUS_FUNCTIONS)
#define PCI_BUS_LINES  4

/* The bits of CONFIG_ADDRESS that can be set. */
#define PCI_BUS_ADDRESS_MASK 0x80fffffcu

/* Reset control register. */
#define PCI_BUS_SYS_RST	 (1u << 1)
#define PCI_BUS_RST_CPU	 (1u << 2)
#define PCI_BUS_FULL_RST (1u << 3)
#define PCI_BUS_RESET_MASK \
	(PCI_BUS_SYS_RST | PCI_BUS_RST_CPU | PCI_BUS_FULL_RST)

struct pci_bus_registers {
	uint32_t config_address;
	uint8_t reset_control;
};

struct pci_bus {
	struct host *host; /* borrowed */
	struct pci_bus_config config;

	pthread_mutex_t lock;
	/* Under it. */
	struct pci_bus_registers registers;
	struct pci_device bridge;
	/* By slot * PCI_BUS_FUNCTIONS + function; borrowed, NULL where absent.
	 */
	struct pci_device *functions[PCI_BUS_DEVFNS];

	/* Behind lock, and behind those of devices. */
	pthread_mutex_t intx_lock;
	/* Under it, with each function's struct pci_intx: how many of the
	 * pins at a line are asserted. */
	unsigned int asserted[PCI_BUS_LINES];
};

/* A function's name, as lspci(8) would have it: "1f.0". */
struct pci_bus_name {
	char text[8];
};

struct pci_bus_name pci_bus_name(unsigned int devfn);

/* COMMAND of one function, or of all, may have changed: let its interrupt pin
 * follow. */
void pci_bus_follow_intx_locked(struct pci_bus *bus, struct pci_device *device);

/* BAR or COMMAND registers of any functions may have changed: let the mappings
 * follow. */
void pci_bus_follow_bars_locked(struct pci_bus *bus);

/* Unmap all BARs of one function, whatever its registers say. */
void pci_bus_unmap_bars_locked(struct pci_bus *bus, struct pci_device *device);

int pci_bus_save(void *self, json_t **out);
int pci_bus_restore(void *self, const json_t *state, struct error *err);

#endif
