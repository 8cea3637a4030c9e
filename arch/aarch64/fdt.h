/*
 * The flattened device tree of a machine: what is where (layout.h), and what
 * the kernel is to do (/chosen). Its input is bantam's own but for the command
 * line.
 */
#ifndef ARCH_AARCH64_FDT_H
#define ARCH_AARCH64_FDT_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/aarch64/efi.h"
#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"

struct fdt_config {
	unsigned int cpus;     /* 1 to ARCH_CPUS_MAX */
	const uint64_t *mpidr; /* of each: the affinity fields alone */

	unsigned int gic_version; /* 3, or 2 with GICv2m */
	bool has_its;		  /* with version 3 */

	unsigned int virtio_mmio; /* devices, 0 to LAYOUT_VIRTIO_MMIO_MAX */
	uint64_t pci64_base;	  /* window of 64-bit BARs */
	uint64_t pci64_size;	  /* bytes; 0 for none */

	const char *cmdline;
	uint64_t initrd;
	uint64_t initrd_size; /* bytes; 0: there is none */

	/* Borrowed; NULL: the tree describes the machine. With it, ACPI does,
	 * and the tree has /chosen alone, which says where that begins. */
	const struct efi_handoff *efi;
};

/**
 * fdt_build() - Write the device tree into guest memory.
 * @mem: its regions become the memory nodes
 * @gpa: guest physical address, a multiple of 8
 * @size: bytes that may be used from @gpa
 *
 * The seeds for KASLR and the random number generator differ each time.
 * Return: 0, -ENOSPC if it does not fit, -ENOMEM, -EFAULT without RAM there,
 * or what getrandom(2) says; @err set.
 */
int fdt_build(const struct fdt_config *config, struct guest_mem *mem,
	      uint64_t gpa, uint64_t size, struct error *err);

#endif
