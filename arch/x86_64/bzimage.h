/*
 * Linux's bzImage: the setup header, the compressed kernel inside, and the
 * image itself with its own entry points.
 */
#ifndef ARCH_X86_64_BZIMAGE_H
#define ARCH_X86_64_BZIMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <asm/bootparam.h>

#include "arch/x86_64/elf.h"
#include "vmm/base/boot_mem.h"
#include "vmm/base/error.h"
#include "vmm/base/image.h"
#include "vmm/base/unpack.h"

/* The setup header lies in this many bytes of a file. */
#define BZIMAGE_HEAD_MAX 0x400

struct bzimage {
	struct setup_header hdr; /* zero beyond what the file has */
	uint64_t kernel_offset;	 /* of the protected-mode part in the file */
	uint64_t kernel_size;	 /* of it, bytes */

	/* Set by bzimage_probe_payload(). */
	enum unpack_format format;
	uint64_t payload_offset; /* in the file */
	uint64_t payload_size;
	uint64_t unpacked_size;
};

/* Does it look like a bzImage (boot_flag and header)? */
bool bzimage_is(const uint8_t *head, size_t len);

/**
 * bzimage_parse() - Read the setup header and check it against the file.
 * @bz: out
 * @head, @len: BZIMAGE_HEAD_MAX bytes of the file or more, or all of it
 *
 * Return: 0, or -EINVAL with @err saying what is wrong.
 */
int bzimage_parse(struct bzimage *bz, const struct image *image,
		  const uint8_t *head, size_t len, struct error *err);

/* Has it a 64-bit entry of its own (XLF_KERNEL_64)? */
bool bzimage_has_entry64(const struct bzimage *bz);

/**
 * bzimage_probe_payload() - Unpack the beginning of the kernel inside.
 * @elf: out: its headers
 *
 * May block. Return: 0; -ENOTSUP with @err saying why this image is to be
 * entered by its own entry point instead; -EBADMSG or another errno when the
 * image is damaged or cannot be read.
 */
int bzimage_probe_payload(struct bzimage *bz, const struct image *image,
			  struct elf *elf, struct error *err);

/**
 * bzimage_load_payload() - Unpack the kernel inside to its place.
 * @elf: of bzimage_probe_payload()
 *
 * May block. Return: 0, -EBADMSG for a damaged payload, -ENOMEM, or what
 * boot_mem_take() and unpack() say.
 */
int bzimage_load_payload(const struct bzimage *bz, const struct image *image,
			 const struct elf *elf, struct boot_mem *bm,
			 struct error *err);

/**
 * bzimage_load() - Read the protected-mode part to where it wants to be.
 * @hdr: out: the setup header, with code32_start set
 * @load: out: the address, which is the 32-bit entry point
 *
 * May block. Return: 0, -EINVAL, -ENOMEM, or what pread(2) says.
 */
int bzimage_load(const struct bzimage *bz, const struct image *image,
		 struct boot_mem *bm, struct setup_header *hdr, uint64_t *load,
		 struct error *err);

#endif
