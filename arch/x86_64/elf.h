/*
 * Kernels as ELF files: their headers, and their segments on the way into
 * guest memory, read from a file or streamed from a decompressor.
 */
#ifndef ARCH_X86_64_ELF_H
#define ARCH_X86_64_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/boot_mem.h"
#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"
#include "vmm/base/image.h"

/* The ELF header and all program headers must lie in this many bytes. */
#define ELF_HEAD_MAX 0x10000

/* Far more than any kernel has: Linux has 4 and 1. */
#define ELF_LOADS_MAX 32
#define ELF_NOTES_MAX 8

/* A program header, of either class. */
struct elf_segment {
	unsigned int index; /* in the program header table */
	uint64_t offset;
	uint64_t vaddr;
	uint64_t paddr;
	uint64_t filesz;
	uint64_t memsz;
	uint64_t align;
};

/* What elf_parse() found; everything lies within the file. */
struct elf {
	bool is64;    /* ELFCLASS64 */
	bool is_user; /* has an interpreter: a user space program */
	uint16_t machine;
	uint64_t entry;
	unsigned int load_count;
	struct elf_segment loads[ELF_LOADS_MAX]; /* PT_LOAD, not empty */
	unsigned int note_count;
	struct elf_segment notes[ELF_NOTES_MAX]; /* PT_NOTE */
};

/* Does it begin like an ELF file? */
bool elf_is(const uint8_t *head, size_t len);

/**
 * elf_parse() - Read the ELF header and the program headers.
 * @elf: out
 * @image: for messages
 * @head, @len: the beginning of the ELF file, ELF_HEAD_MAX bytes of it, or all
 *              if it is shorter
 * @size: bytes of the whole ELF file
 *
 * Return: 0, or -EINVAL with @err saying what a kernel would have there.
 */
int elf_parse(struct elf *elf, const struct image *image, const uint8_t *head,
	      size_t len, uint64_t size, struct error *err);

/**
 * elf_phys() - Where the byte that the file calls @addr is in guest memory.
 * @addr: physical, or virtual as linked (kernels are found with either in
 *        e_entry); physical goes first
 * @phys: out
 *
 * Return: 0, or -ENOENT if no segment has it.
 */
int elf_phys(const struct elf *elf, uint64_t addr, uint64_t *phys);

/* The notes that tell how a kernel may be entered. */
struct elf_notes {
	bool has_linux;	    /* any note with the name "Linux" */
	bool has_pvh;	    /* XEN_ELFNOTE_PHYS32_ENTRY */
	uint64_t pvh_entry; /* physical */
};

/**
 * elf_read_notes() - Look through the PT_NOTE segments of a file.
 *
 * May block. Return: 0 (also when there are none), or a negative errno.
 */
int elf_read_notes(const struct elf *elf, const struct image *image,
		   struct elf_notes *notes, struct error *err);

/**
 * elf_take() - Claim memory for all segments, at their physical addresses.
 *
 * Return: 0, or what boot_mem_take() says.
 */
int elf_take(const struct elf *elf, const struct image *image,
	     struct boot_mem *bm, struct error *err);

/**
 * elf_load() - Read the segments from @image into memory that elf_take() has
 * claimed. What a segment has beyond its bytes in the file is zero already.
 *
 * May block. Return: 0, -ENODATA, or what pread(2) says.
 */
int elf_load(const struct elf *elf, const struct image *image,
	     struct boot_mem *bm, struct error *err);

/* The same from a stream. Embedded by its user; set elf and mem, rest zero. */
struct elf_stream {
	const struct elf *elf; /* borrowed; segments claimed by elf_take() */
	struct guest_mem *mem; /* borrowed */
	uint64_t offset;       /* in the ELF file, of the next byte */
};

/* Take the next bytes of the ELF file; an unpack_sink_fn. */
int elf_stream_feed(void *ctx, const uint8_t *data, size_t len);

#endif
