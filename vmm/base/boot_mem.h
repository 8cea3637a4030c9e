/*
 * The memory that a kernel is loaded into: guest memory with its map, and what
 * of it is in use already. Every range that a file asks for is checked here
 * before a byte is copied, and room for the initrd is found here. What differs
 * between architectures is in struct boot_layout.
 */
#ifndef VMM_BASE_BOOT_MEM_H
#define VMM_BASE_BOOT_MEM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"
#include "vmm/base/image.h"

#define BOOT_PAGE_SIZE	   UINT64_C(0x1000)
#define BOOT_MEM_TAKEN_MAX 48

/* One line of the memory map (e820's numbers, which PVH and Multiboot share).
 */
enum memmap_type {
	MEMMAP_RAM = 1,
	MEMMAP_RESERVED = 2,
	MEMMAP_ACPI = 3,
};

struct memmap_entry {
	uint64_t base;
	uint64_t size;
	enum memmap_type type;
};

/* A place in RAM that is not for kernels. */
struct boot_area {
	uint64_t base;
	uint64_t end;	  /* first byte behind */
	const char *what; /* for messages */
};

/* Where an architecture has its RAM and what it keeps of it. */
struct boot_layout {
	const struct boot_area *areas; /* ascending */
	unsigned int area_count;
	uint64_t lowest; /* from here on RAM is free for kernel and initrd */
	uint64_t high;	 /* where RAM goes on behind a hole; 0: nowhere */
	/* The least --memory, in bytes, with RAM at [base, end); 0 if none
	 * has. */
	uint64_t (*needed)(uint64_t base, uint64_t end);
};

struct boot_range {
	uint64_t base;
	uint64_t end; /* first byte behind */
	char what[24];
};

/* Lives on the stack of kernel_load(); set the first four members. */
struct boot_mem {
	const struct boot_layout *layout; /* borrowed */
	struct guest_mem *mem;		  /* borrowed */
	const struct memmap_entry *map;	  /* borrowed, ascending */
	unsigned int map_count;

	struct boot_range taken[BOOT_MEM_TAKEN_MAX];
	unsigned int taken_count;
};

/**
 * boot_error() - error_set() with the option and name of @image in front.
 *
 * Return: -@errnum.
 */
int boot_error(const struct image *image, struct error *err, int errnum,
	       const char *fmt, ...)
	__attribute__((format(printf, 4, 5), cold));

/**
 * boot_mem_take() - Claim [@base, @base + @size) for a part of @image.
 * @what: names the part in messages
 * @err: says what is in the way, or which -m would do
 *
 * The range must be RAM, and clear of the boot data and of all that was
 * claimed before. An empty range is fine anywhere.
 * Return: 0, -EINVAL, -ENOMEM or -E2BIG.
 */
int boot_mem_take(struct boot_mem *bm, const struct image *image,
		  const char *what, uint64_t base, uint64_t size,
		  struct error *err);

/**
 * boot_mem_reserve() - Keep the initrd out of [@base, @base + @size).
 *
 * Unlike boot_mem_take() it may overlap anything: it is what a kernel will use
 * later, around what is loaded. Return: 0, -EINVAL if it wraps, or -E2BIG.
 */
int boot_mem_reserve(struct boot_mem *bm, const struct image *image,
		     const char *what, uint64_t base, uint64_t size,
		     struct error *err);

/**
 * boot_mem_check() - Is [@base, @base + @size) RAM, and clear of boot data?
 *
 * Return: 0, -EINVAL, or -ENOMEM with @err saying which -m would do.
 */
int boot_mem_check(const struct boot_mem *bm, const struct image *image,
		   const char *what, uint64_t base, uint64_t size,
		   struct error *err);

/* Where boot_mem_initrd() looks for room. */
enum boot_place {
	BOOT_PLACE_TOP,	  /* as high as possible: out of the kernel's way */
	BOOT_PLACE_ABOVE, /* as low as possible above all that is claimed */
};

/**
 * boot_mem_initrd() - Find room for @initrd, page aligned, and read it there.
 * @limit: first address that it must not reach
 * @base: out: where it is
 *
 * May block on the file. Return: 0, -ENOMEM with @err saying which -m would
 * do, or what pread(2) says.
 */
int boot_mem_initrd(struct boot_mem *bm, const struct image *initrd,
		    enum boot_place place, uint64_t limit, uint64_t *base,
		    struct error *err);

/**
 * boot_mem_write() - Write boot data that the layout has a place for.
 * @what: names it in the message
 *
 * Return: 0, or -EFAULT without RAM there.
 */
int boot_mem_write(struct boot_mem *bm, const char *what, uint64_t gpa,
		   const void *data, uint64_t len, struct error *err);

#endif
