/*
 * Kernel images for tests, built byte by byte in memory: ELF files, bzImages,
 * flat files, and a small machine to load them into.
 */
#ifndef TESTS_UNIT_X86_64_SUPPORT_KERNEL_IMAGE_H
#define TESTS_UNIT_X86_64_SUPPORT_KERNEL_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86_64/kernel.h"
#include "tests/unit/support/blob.h"
#include "vmm/base/guest_mem.h"

/* A program header; blob_elf() takes them as they are. */
struct blob_segment {
	uint32_t type;
	uint64_t offset;
	uint64_t vaddr;
	uint64_t paddr;
	uint64_t filesz;
	uint64_t memsz;
};

#define BLOB_EHDR64_SIZE 64
#define BLOB_PHDR64_SIZE 56

/* Write an ELF header and @count program headers, right behind it. */
void blob_elf(struct blob *blob, bool is64, uint16_t machine, uint64_t entry,
	      const struct blob_segment *segments, unsigned int count);

/* Write an ELF note, 4-byte aligned. Return: its size. */
size_t blob_note(struct blob *blob, size_t offset, const char *name,
		 uint32_t type, const void *desc, uint32_t desc_size);

/* A one-segment kernel of @size bytes at @paddr, entered there; blob_fill() at
 * 0x1000 in the file. */
void blob_simple_elf(struct blob *blob, bool is64, uint64_t paddr, size_t size);

#define BLOB_SETUP_SIZE 0x400 /* of a blob_bzimage(): one setup sector */

/*
 * A bzImage of protocol 2.15 around @payload, gzipped if @gzip: 64-bit,
 * relocatable, pref_address 0x1000000, aligned to 2 MiB, init_size 0x400000.
 */
void blob_bzimage(struct blob *blob, const struct blob *payload, bool gzip);

/* Memory with its map, and a place to load into. */
struct test_machine {
	struct guest_mem *mem; /* owned */
	struct memmap_entry map[4];
	unsigned int map_count;
	struct boot_entry entry;
	enum kernel_protocol protocol;
	struct error err;
};

#define TEST_RSDP UINT64_C(0xe0000)

void test_machine_init(struct test_machine *m, uint64_t size);
void test_machine_fini(struct test_machine *m);

/* kernel_probe() and kernel_load(); checks that a failure has a message. */
int test_machine_boot(struct test_machine *m, const struct blob *kernel,
		      enum arch_entry entry, const struct blob *initrd,
		      const char *cmdline);

/* Does guest memory hold the blob's [offset, offset + len) at gpa? */
bool test_machine_has(const struct test_machine *m, uint64_t gpa,
		      const struct blob *blob, size_t offset, size_t len);

uint32_t test_machine_get32(const struct test_machine *m, uint64_t gpa);
uint64_t test_machine_get64(const struct test_machine *m, uint64_t gpa);

#endif
