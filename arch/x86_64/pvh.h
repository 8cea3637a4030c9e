/*
 * The PVH boot ABI: a flat 32-bit entry that an ELF note names, and struct
 * hvm_start_info. Linux, FreeBSD, unikernels and test kernels have it.
 */
#ifndef ARCH_X86_64_PVH_H
#define ARCH_X86_64_PVH_H

#include <stdint.h>

#include "arch/x86_64/kernel.h"
#include "vmm/base/boot_mem.h"
#include "vmm/base/error.h"
#include "vmm/base/image.h"

/**
 * pvh_setup() - Write hvm_start_info, version 1, at LAYOUT_BOOT_INFO.
 * @bm: with all that the kernel uses claimed
 * @initrd: the only module, or NULL
 * @rsdp: guest physical address
 *
 * May block on the initrd. Return: 0 or a negative errno.
 */
int pvh_setup(struct boot_mem *bm, const char *cmdline,
	      const struct image *initrd, uint64_t rsdp, struct error *err);

/* The register state at the entry of the note, @ip. */
void pvh_entry(struct boot_entry *entry, uint64_t ip);

#endif
