/*
 * libFuzzer: the input is an arm64 kernel file; it is probed and loaded into a
 * guest of 32 MiB, and is its own initrd. On any architecture.
 */
#include <stdlib.h>

#include <sys/mman.h>
#include <unistd.h>

#include "arch/aarch64/kernel.h"
#include "arch/aarch64/layout.h"

#define FUZZ_MEMORY UINT64_C(0x2000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct guest_mem *fuzz_memory(void)
{
	static const struct guest_mem_region region = {LAYOUT_RAM, FUZZ_MEMORY};
	struct guest_mem *mem;

	if (guest_mem_new(&mem, &region, 1, 0, NULL) != 0)
		abort();
	return mem;
}

static void fuzz_load(const struct image *image, struct guest_mem *mem)
{
	struct kernel_place place;
	struct error err = {""};
	struct kernel *kernel;
	int ret;

	ret = kernel_probe(&kernel, image, ARCH_ENTRY_AUTO, image,
			   "console=ttyAMA0", &err);
	if (ret == 0) {
		(void)kernel_check_cpu(kernel, 0, &err);
		ret = kernel_load(kernel, mem, &place, &err);
		kernel_free(kernel);
	}
	/* A failure has a message, and nothing but a negative errno. */
	if (ret > 0 || (ret < 0 && err.text[0] == '\0'))
		abort();
	if (ret == 0 &&
	    (!guest_mem_span(mem, place.entry, 1) ||
	     !guest_mem_span(mem, place.fdt, place.fdt_size) ||
	     !guest_mem_span(mem, place.tables, place.tables_size) ||
	     !guest_mem_span(mem, place.initrd, place.initrd_size)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guest_mem *mem;
	struct image image = {.option = "--kernel", .path = "FUZZ"};

	if (size < 1)
		return 0;
	if (!mem)
		mem = fuzz_memory();
	image.size = size;
	image.fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (image.fd < 0 || write(image.fd, data, size) != (ssize_t)size)
		abort();
	fuzz_load(&image, mem);
	image_close(&image);
	if (guest_mem_discard(mem) != 0)
		abort();
	return 0;
}
