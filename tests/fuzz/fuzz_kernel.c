/*
 * libFuzzer: the input is a kernel file; it is probed and loaded into a guest
 * of 32 MiB. The first byte is the choice of entry=, the rest the file.
 */
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <unistd.h>

#include "arch/x86_64/kernel.h"
#include "arch/x86_64/layout.h"

#define FUZZ_MEMORY UINT64_C(0x2000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct memmap_entry fuzz_map[] = {
	{0, LAYOUT_EBDA, MEMMAP_RAM},
	{LAYOUT_EBDA, LAYOUT_HIGH_RAM - LAYOUT_EBDA, MEMMAP_RESERVED},
	{LAYOUT_HIGH_RAM, FUZZ_MEMORY - LAYOUT_HIGH_RAM, MEMMAP_RAM},
};

static struct guest_mem *fuzz_memory(void)
{
	static const struct guest_mem_region region = {0, FUZZ_MEMORY};
	struct guest_mem *mem;

	if (guest_mem_new(&mem, &region, 1, 0, NULL) != 0)
		abort();
	return mem;
}

static void fuzz_load(const struct image *image, enum arch_entry entry,
		      struct guest_mem *mem)
{
	struct error err = {""};
	struct boot_entry boot;
	struct kernel *kernel;
	int ret;

	/* The file is its own initrd. */
	ret = kernel_probe(&kernel, image, entry, image, "console=ttyS0", &err);
	if (ret == 0) {
		ret = kernel_load(kernel, mem, fuzz_map,
				  sizeof(fuzz_map) / sizeof(*fuzz_map),
				  LAYOUT_ACPI, &boot, &err);
		kernel_free(kernel);
	}
	/* A failure has a message, and nothing but a negative errno. */
	if (ret > 0 || (ret < 0 && err.text[0] == '\0'))
		abort();
	if (ret == 0 && !guest_mem_span(mem, boot.ip, 1))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guest_mem *mem;
	struct image image = {.option = "--kernel", .path = "FUZZ"};
	enum arch_entry entry;

	if (size < 2)
		return 0;
	if (!mem)
		mem = fuzz_memory();
	entry = data[0] % (ARCH_ENTRY_MULTIBOOT + 1);
	image.size = size - 1;
	image.fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (image.fd < 0 ||
	    write(image.fd, data + 1, size - 1) != (ssize_t)(size - 1))
		abort();
	fuzz_load(&image, entry, mem);
	image_close(&image);
	if (guest_mem_discard(mem) != 0)
		abort();
	return 0;
}
