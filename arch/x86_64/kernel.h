/*
 * Kernel images: what protocol one is entered by, and putting it with its
 * command line, initrd and boot information into guest memory. The files and
 * all that they say of themselves are the user's and may lie.
 */
#ifndef ARCH_X86_64_KERNEL_H
#define ARCH_X86_64_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/arch.h"
#include "vmm/base/boot_mem.h"
#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"
#include "vmm/base/image.h"

enum kernel_protocol {
	KERNEL_LINUX64,	  /* ELF64 vmlinux, Linux 64-bit boot protocol */
	KERNEL_LINUX32,	  /* ELF32 vmlinux, Linux 32-bit boot protocol */
	KERNEL_BZIMAGE64, /* bzImage through its own 64-bit entry */
	KERNEL_BZIMAGE32, /* bzImage through its own 32-bit entry */
	KERNEL_PVH,	  /* ELF with XEN_ELFNOTE_PHYS32_ENTRY */
	KERNEL_MULTIBOOT, /* Multiboot 1, ELF or flat */
	KERNEL_PROTOCOLS,
};

struct kernel; /* what kernel_probe() found out */

/**
 * kernel_probe() - Read the headers of @image and choose how to enter it.
 * @image, @initrd (or NULL): borrowed until kernel_free()
 * @cmdline: borrowed likewise
 *
 * A bzImage whose payload can be unpacked is KERNEL_LINUX64 or 32.
 * May block on the file. Return: 0 or a negative errno, @err set.
 */
int kernel_probe(struct kernel **out, const struct image *image,
		 enum arch_entry entry, const struct image *initrd,
		 const char *cmdline, struct error *err);

void kernel_free(struct kernel *kernel);

enum kernel_protocol kernel_protocol(const struct kernel *kernel);

/* How vCPU 0 enters the kernel. */
struct boot_entry {
	bool long_mode;	 /* else flat 32-bit protected mode, no paging */
	uint16_t cs, ds; /* GDT selectors that the protocol asks for; the GDT
			    has flat code at cs and flat data at ds */
	uint64_t ip;
	uint64_t ax, bx, si, sp;
};

/**
 * kernel_load() - Fill guest memory and say where to enter.
 * @mem: all zero
 * @map, @count: the machine's memory map, ascending
 * @rsdp: guest physical address of the ACPI RSDP
 * @entry: out
 *
 * May block on the files. Return: 0 or a negative errno, @err set: what does
 * not fit, and which -m would do.
 */
int kernel_load(const struct kernel *kernel, struct guest_mem *mem,
		const struct memmap_entry *map, unsigned int count,
		uint64_t rsdp, struct boot_entry *entry, struct error *err);

#endif
