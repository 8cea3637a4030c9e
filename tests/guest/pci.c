/*
 * Enumerates bus 0 through the ports and through ECAM: the host bridge is
 * there, nothing else (so bantam must be told --rng off), and both ways say the
 * same.
 */
#include "lib/pci.h"

#include "lib/guest.h"

#define PCI_FUNCTIONS 256

static void pci_check_bridge(void)
{
	check_eq(read32(pci_ecam(0, 0x00)), PCI_HOST_BRIDGE);
	check_eq(read32(pci_ecam(0, 0x08)) >> 16, 0x0600);
	check_eq(read8(pci_ecam(0, 0x0e)) & 0x7f, 0);
	for (unsigned int reg = 0; reg < 64; reg += 4) {
		pci_select(0, reg);
		check_eq(in32(PCI_CONFIG_DATA), read32(pci_ecam(0, reg)));
	}
	/* No BAR answers to being sized. */
	for (unsigned int reg = 0x10; reg < 0x28; reg += 4) {
		write32(pci_ecam(0, reg), ~0u);
		check_eq(read32(pci_ecam(0, reg)), 0);
	}
	/* Ids are read-only. */
	write32(pci_ecam(0, 0), 0x12345678);
	check_eq(read32(pci_ecam(0, 0)), PCI_HOST_BRIDGE);
}

int guest_main(void)
{
	unsigned int found = 0;

	for (unsigned int devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		uint32_t id;

		pci_select(devfn, 0);
		id = in32(PCI_CONFIG_DATA);
		check_eq(read32(pci_ecam(devfn, 0)), id);
		if ((uint16_t)id == 0xffff)
			continue;
		print("pci: 00:%x.%u %x\n", devfn >> 3, devfn & 7, id);
		check_eq(id, PCI_HOST_BRIDGE);
		check_eq(devfn, 0);
		found++;
	}
	check_eq(found, 1);
	pci_check_bridge();
	/* Without the enable bit it is not a configuration access. */
	out32(PCI_CONFIG_ADDRESS, 0);
	check_eq(in32(PCI_CONFIG_DATA), ~0u);
	/* A bus that is not there. */
	out32(PCI_CONFIG_ADDRESS, PCI_CONFIG_ENABLE | 1 << 16);
	check_eq(in32(PCI_CONFIG_DATA), ~0u);
	return 0;
}
