/*
 * libFuzzer target for unpack(). The first byte picks the format and how many
 * trailing bytes are allowed, the rest is the stream. Any error is fine; a
 * crash, a leak, output past the bound or a failure without a message is not.
 *
 * clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -I. \
 *	tests/fuzz/fuzz_unpack.c vmm/base/{unpack,image,error}.c \
 *	-llz4 -lzstd -llzma -lz -lbz2
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/mman.h>

#include "vmm/base/unpack.h"

#define FUZZ_BOUND (UINT64_C(1) << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int fuzz_sink(void *ctx, const uint8_t *data, size_t len)
{
	uint64_t *total = ctx;
	volatile uint8_t touched;

	/* Both ends must be readable. */
	touched = data[0];
	touched = data[len - 1];
	(void)touched;
	*total += len;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct image image = {
		.option = "--kernel",
		.path = "fuzz",
		.fd = -1,
	};
	struct error err = {""};
	uint64_t total = 0;
	int ret;

	if (len == 0)
		return 0;
	image.fd = memfd_create("fuzz", MFD_CLOEXEC);
	image.size = len - 1;
	if (image.fd < 0 ||
	    write(image.fd, data + 1, len - 1) != (ssize_t)(len - 1))
		abort();

	ret = unpack(&image, 0, image.size,
		     (enum unpack_format)(data[0] % UNPACK_FORMATS), FUZZ_BOUND,
		     data[0] / UNPACK_FORMATS % 8, fuzz_sink, &total, &err);
	close(image.fd);

	if (total > FUZZ_BOUND)
		abort();
	if (ret != 0 && ret != -EBADMSG && ret != -EFBIG && ret != -ENOMEM)
		abort();
	if (ret != 0 && err.text[0] == '\0')
		abort();
	return 0;
}
