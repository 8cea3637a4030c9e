/*
 * The ACPI tables of a PC, for either profile. Their input is bantam's own.
 */
#ifndef ARCH_X86_64_ACPI_H
#define ARCH_X86_64_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/arch.h"
#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"

struct x86_acpi_config {
	enum arch_profile profile; /* LEAN or LEGACY */
	unsigned int cpus;	   /* 1 to ARCH_CPUS_MAX; APIC ID = index */
	bool has_serial;	   /* there is a COM1 */
	unsigned int virtio_mmio;  /* devices, 0 to LAYOUT_VIRTIO_MMIO_MAX */
	uint64_t pci64_base;	   /* window of 64-bit BARs */
	uint64_t pci64_size;	   /* bytes; 0 for none */
};

/**
 * x86_acpi_build() - Write RSDP and tables to LAYOUT_ACPI.
 * @mem: has RAM there
 * @rsdp: guest physical address of the RSDP
 *
 * Return: 0, or what acpi_tables_place() says, with @err set.
 */
int x86_acpi_build(struct guest_mem *mem, const struct x86_acpi_config *config,
		   uint64_t *rsdp, struct error *err);

#endif
