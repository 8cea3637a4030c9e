/*
 * Multiboot 1: kernels with a Multiboot header, flat or ELF, and the
 * information structure that they are handed. Hobby and test kernels use it.
 *
 * The command line is the user's text alone, with no file name before it, as
 * GRUB 2 does it. The initrd is the only module, at the first page above the
 * kernel, where kernels that have mapped only the first megabytes reach it;
 * its string is the name that the user gave it.
 */
#ifndef ARCH_X86_64_MULTIBOOT_H
#define ARCH_X86_64_MULTIBOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86_64/kernel.h"
#include "vmm/base/boot_mem.h"
#include "vmm/base/error.h"
#include "vmm/base/image.h"

/* The header lies wholly in this many bytes of the file. */
#define MULTIBOOT_SEARCH 8192

/* What a Multiboot header says. */
struct multiboot {
	bool is_flat; /* has address fields; else it is loaded as ELF */

	/* Of a flat image: */
	uint64_t offset; /* in the file */
	uint64_t size;	 /* bytes to read from there */
	uint64_t base;	 /* guest physical address */
	uint64_t memsz;	 /* bytes of memory from there, bss included */
	uint64_t entry;
};

/* Is there a Multiboot header in the file that begins with @head? */
bool multiboot_is(const uint8_t *head, size_t len);

/**
 * multiboot_parse() - Read the header and check it against the file.
 * @mb: out
 * @head, @len: MULTIBOOT_SEARCH bytes of the file or more, or all of it
 *
 * Return: 0, -ENOENT without a header, -ENOTSUP if it requires what this
 * machine has not (a video mode: there is no display), or -EINVAL.
 */
int multiboot_parse(struct multiboot *mb, const struct image *image,
		    const uint8_t *head, size_t len, struct error *err);

/**
 * multiboot_load() - Read a flat image to where its header says.
 *
 * May block. Return: 0, what boot_mem_take() says, or what pread(2) says.
 */
int multiboot_load(const struct multiboot *mb, const struct image *image,
		   struct boot_mem *bm, struct error *err);

/**
 * multiboot_setup() - Write the Multiboot information at LAYOUT_BOOT_INFO.
 * @bm: with all that the kernel uses claimed
 * @initrd: the only module, or NULL
 *
 * May block on the initrd. Return: 0 or a negative errno.
 */
int multiboot_setup(struct boot_mem *bm, const char *cmdline,
		    const struct image *initrd, struct error *err);

/* The register state at the entry @ip. */
void multiboot_entry(struct boot_entry *entry, uint64_t ip);

#endif
