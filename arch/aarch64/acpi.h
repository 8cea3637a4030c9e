/*
 * The ACPI tables of an Arm machine, for --machine acpi. Their input is
 * bantam's own.
 */
#ifndef ARCH_AARCH64_ACPI_H
#define ARCH_AARCH64_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"

struct arm_acpi_config {
	unsigned int cpus;     /* 1 to ARCH_CPUS_MAX */
	const uint64_t *mpidr; /* of each: the affinity fields alone */

	unsigned int gic_version; /* 3, or 2 with GICv2m */
	bool has_its;		  /* with version 3 */

	unsigned int virtio_mmio; /* devices, 0 to LAYOUT_VIRTIO_MMIO_MAX */
	uint64_t pci64_base;	  /* window of 64-bit BARs */
	uint64_t pci64_size;	  /* bytes; 0 for none */
};

/**
 * arm_acpi_build() - Write RSDP and tables.
 * @base, @size: guest physical address, below 4 GiB, and bytes that may be used
 * @rsdp: out: guest physical address of the RSDP
 *
 * Return: 0, or what acpi_tables_place() says, with @err set.
 */
int arm_acpi_build(struct guest_mem *mem, const struct arm_acpi_config *config,
		   uint64_t base, uint64_t size, uint64_t *rsdp,
		   struct error *err);

#endif
