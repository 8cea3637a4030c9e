/*
 * What the DSDTs of all architectures are made of: functions that append one
 * device each, to be called where the device shall be (in Scope (\_SB), but
 * for dsdt_add_s5()). Their input is bantam's own.
 */
#ifndef ACPI_DSDT_H
#define ACPI_DSDT_H

#include <stdbool.h>
#include <stdint.h>

#include "acpi/aml.h"

/* The SLP_TYP that \_S5 gives, and that the registers act on. */
#define DSDT_SLP_TYP_S5 5

/* Slots of bus 0, and pins of each, that _PRT names. */
#define DSDT_PCI_SLOTS 32
#define DSDT_PCI_PINS  4

/* A PCI Express host bridge with bus 0 alone. */
struct dsdt_pci_host {
	uint16_t config_port; /* CONFIG_ADDRESS, 8 ports; 0: there is none */
	uint16_t io_base;     /* window of I/O ports */
	uint32_t io_size;     /* 0: there is none */
	uint32_t mem32_base;
	uint32_t mem32_size;
	uint64_t mem64_base;
	uint64_t mem64_size; /* 0: there is none */
	/* INTx pin p (0: INTA) of slot s is gsi + (s + p) % DSDT_PCI_PINS. */
	uint32_t gsi;
	bool says_coherent; /* DMA is, which on Arm has to be said (_CCA) */
};

/* \_SB.PCI0, PNP0A08. */
void dsdt_add_pci_host(struct aml *aml, const struct dsdt_pci_host *host);

/* PNP0C02 that claims the ECAM window: without it Linux does not use MCFG. */
void dsdt_add_ecam(struct aml *aml, uint32_t base, uint32_t size);

/* Serial port, PNP0501, at 8 ports; edge-triggered. @name: such as "COM1" */
void dsdt_add_uart(struct aml *aml, const char *name, unsigned int uid,
		   uint16_t port, uint32_t gsi);

/* PL011, ARMH0011, of which Linux expects that firmware has set it up, in
 * @size bytes of memory; level-triggered. */
void dsdt_add_pl011(struct aml *aml, const char *name, unsigned int uid,
		    uint32_t base, uint32_t size, uint32_t gsi);

/* Real-time clock, PNP0B00, at 2 ports; without an interrupt, so that a guest
 * waits for none. */
void dsdt_add_rtc(struct aml *aml, uint16_t port);

/* QEMU0001, as QEMU's docs/specs/pvpanic.rst has it. */
void dsdt_add_pvpanic(struct aml *aml, uint16_t port);

/* Likewise, with its byte in memory, as Linux's pvpanic-mmio takes it. */
void dsdt_add_pvpanic_mmio(struct aml *aml, uint32_t base);

/* Generic Event Device over the registers of acpi/ged.h at @base, and the
 * power button that it speaks for. */
void dsdt_add_ged(struct aml *aml, uint64_t base, uint32_t gsi);

/* Virtio over MMIO, LNRO0005: \_SB.VR00 and on, @uid 0 to 255. Its interrupt is
 * level-triggered and shared. */
void dsdt_add_virtio_mmio(struct aml *aml, unsigned int uid, uint32_t base,
			  uint32_t size, uint32_t gsi);

/* @count processors with _UID 0 to @count - 1; at most 4096. */
void dsdt_add_processors(struct aml *aml, unsigned int count);

/* \_S5, at the root. */
void dsdt_add_s5(struct aml *aml);

#endif
