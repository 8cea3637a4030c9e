/*
 * Kernel images: what kind one is, whether this machine can run it, and putting
 * it with its initrd into guest memory. The files and all that they say of
 * themselves are the user's and may lie.
 */
#ifndef ARCH_AARCH64_KERNEL_H
#define ARCH_AARCH64_KERNEL_H

#include <stdint.h>

#include "vmm/arch.h"
#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"
#include "vmm/base/image.h"

struct kernel; /* what kernel_probe() found out */

/**
 * kernel_probe() - Read the headers of @image, unpacking its beginning.
 * @image, @initrd (or NULL): borrowed until kernel_free()
 * @entry: ARCH_ENTRY_AUTO; the others are a PC's, and refused
 * @cmdline: its length is checked
 *
 * Takes an arm64 Image, plain or compressed (gzip, zstd and whatever else
 * unpack() knows), and an EFI zboot image.
 * May block on the file. Return: 0 or a negative errno, @err set.
 */
int kernel_probe(struct kernel **out, const struct image *image,
		 enum arch_entry entry, const struct image *initrd,
		 const char *cmdline, struct error *err);

void kernel_free(struct kernel *kernel);

/**
 * kernel_check_cpu() - Can a CPU run it?
 * @mmfr0: the vCPU's ID_AA64MMFR0_EL1
 *
 * Return: 0, or -ENOTSUP with @err naming the page size that the CPU lacks.
 */
int kernel_check_cpu(const struct kernel *kernel, uint64_t mmfr0,
		     struct error *err);

/* Where kernel_load() has put what. */
struct kernel_place {
	uint64_t entry;	      /* vCPU 0's PC; x0 is fdt, x1 to x3 are 0 */
	uint64_t fdt;	      /* where the device tree is to go */
	uint64_t fdt_size;    /* bytes that it may have */
	uint64_t tables;      /* room for ACPI and EFI tables */
	uint64_t tables_size; /* bytes */
	uint64_t initrd;
	uint64_t initrd_size; /* bytes; 0: there is none */
};

/**
 * kernel_load() - Put kernel and initrd into guest memory.
 * @mem: all zero
 * @place: out
 *
 * May block on the files. Return: 0 or a negative errno, @err set: what does
 * not fit, and which -m would do.
 */
int kernel_load(const struct kernel *kernel, struct guest_mem *mem,
		struct kernel_place *place, struct error *err);

#endif
