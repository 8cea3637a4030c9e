/*
 * As much of UEFI as Linux on Arm wants to see before it takes ACPI tables: a
 * system table that names them and a memory map, as its EFI stub would hand
 * them over (UEFI 2.10, 4.3, 4.6 and 7.2; Linux's Documentation/arch/arm/
 * uefi.rst). No code is behind it. The input is bantam's own.
 */
#ifndef ARCH_AARCH64_EFI_H
#define ARCH_AARCH64_EFI_H

#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"

/* What the device tree's /chosen tells: guest physical addresses and sizes. */
struct efi_handoff {
	uint64_t system_table;
	uint64_t mmap;
	uint32_t mmap_size;
	uint32_t desc_size;
	uint32_t desc_version;
};

/* Bytes at the beginning of the area that efi_build() takes for itself. */
#define EFI_SIZE UINT64_C(0x20000)

/**
 * efi_build() - Write system table and memory map.
 * @mem: its regions are the RAM
 * @base, @size: the area in it that is not free: EFI_SIZE bytes for what is
 *               written here and behind them, up to @size, ACPI tables; both
 *               multiples of 64 KiB, the largest page size
 * @rsdp: guest physical address of the RSDP
 * @out: for the device tree
 *
 * Return: 0, or -EFAULT if there is no RAM, @err set.
 */
int efi_build(struct guest_mem *mem, uint64_t base, uint64_t size,
	      uint64_t rsdp, struct efi_handoff *out, struct error *err);

#endif
