/*
 * What Linux is told at its entry: struct boot_params (the zero page), with
 * the memory map, command line, initrd and ACPI tables; and the register state
 * of its 64-bit and 32-bit boot protocols.
 */
#ifndef ARCH_X86_64_LINUX_BOOT_H
#define ARCH_X86_64_LINUX_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include <asm/bootparam.h>

#include "arch/x86_64/kernel.h"
#include "vmm/base/boot_mem.h"
#include "vmm/base/error.h"
#include "vmm/base/image.h"

/* setup_header.header */
#define LINUX_HEADER_MAGIC UINT32_C(0x53726448) /* "HdrS" */
#define LINUX_BOOT_FLAG	   0xaa55

/**
 * linux_boot_header() - The setup header of a kernel that brings none.
 * @hdr: out: what a vmlinux would have in its bzImage
 * @is64: it is entered in long mode
 */
void linux_boot_header(struct setup_header *hdr, bool is64);

/* Characters that the kernel takes in its command line, without the NUL. */
uint64_t linux_boot_cmdline_max(const struct setup_header *hdr);

/**
 * linux_boot_setup() - Write the zero page and all that it points to.
 * @bm: with all that the kernel uses claimed
 * @hdr: of the kernel
 * @is64: entered in long mode
 * @initrd: or NULL
 * @rsdp: guest physical address
 *
 * May block on the initrd. Return: 0 or a negative errno.
 */
int linux_boot_setup(struct boot_mem *bm, const struct setup_header *hdr,
		     bool is64, const char *cmdline, const struct image *initrd,
		     uint64_t rsdp, struct error *err);

/* The register state of the 64-bit or the 32-bit boot protocol at @ip. */
void linux_boot_entry(struct boot_entry *entry, bool is64, uint64_t ip);

#endif
