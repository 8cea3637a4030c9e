/* PCI configuration space, both ways in. PCI 3.0, 3.2.2.3.2; PCIe 7.2.2. */
#ifndef TESTS_GUEST_LIB_PCI_H
#define TESTS_GUEST_LIB_PCI_H

#include "lib/cpu.h"

#define PCI_CONFIG_ADDRESS 0xcf8
#define PCI_CONFIG_DATA	   0xcfc
#define PCI_CONFIG_ENABLE  (1u << 31)
#define PCI_ECAM	   0xe0000000ull
#define PCI_HOST_BRIDGE	   0x29c08086u

static inline void pci_select(unsigned int devfn, unsigned int reg)
{
	out32(PCI_CONFIG_ADDRESS, PCI_CONFIG_ENABLE | devfn << 8 | (reg & ~3u));
}

static inline uint64_t pci_ecam(unsigned int devfn, unsigned int reg)
{
	return PCI_ECAM + (devfn << 12) + reg;
}

/* By the ports, which a PC has wherever its ECAM is. */
static inline uint32_t pci_read32(unsigned int devfn, unsigned int reg)
{
	pci_select(devfn, reg);
	return in32(PCI_CONFIG_DATA);
}

static inline uint8_t pci_read8(unsigned int devfn, unsigned int reg)
{
	pci_select(devfn, reg);
	return in8(PCI_CONFIG_DATA + (reg & 3));
}

static inline void pci_write32(unsigned int devfn, unsigned int reg,
			       uint32_t value)
{
	pci_select(devfn, reg);
	out32(PCI_CONFIG_DATA, value);
}

#endif
