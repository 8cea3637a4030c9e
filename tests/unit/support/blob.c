#include "tests/unit/support/blob.h"

#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <unistd.h>

#include <check.h>
#include <zlib.h>

void blob_grow(struct blob *blob, size_t len)
{
	uint8_t *data;

	if (len <= blob->len)
		return;
	data = realloc(blob->data, len);
	ck_assert_ptr_nonnull(data);
	memset(data + blob->len, 0, len - blob->len);
	blob->data = data;
	blob->len = len;
}

void blob_put(struct blob *blob, size_t offset, const void *data, size_t len)
{
	if (len == 0)
		return;
	blob_grow(blob, offset + len);
	memcpy(blob->data + offset, data, len);
}

void blob_put16(struct blob *blob, size_t offset, uint16_t value)
{
	blob_put(blob, offset, &value, sizeof(value));
}

void blob_put32(struct blob *blob, size_t offset, uint32_t value)
{
	blob_put(blob, offset, &value, sizeof(value));
}

void blob_put64(struct blob *blob, size_t offset, uint64_t value)
{
	blob_put(blob, offset, &value, sizeof(value));
}

void blob_fill(struct blob *blob, size_t offset, size_t len)
{
	blob_grow(blob, offset + len);
	for (size_t i = offset; i < offset + len; i++)
		blob->data[i] = (uint8_t)(1 + i % 251);
}

void blob_free(struct blob *blob)
{
	free(blob->data);
	*blob = (struct blob){0};
}

void blob_image(const struct blob *blob, size_t len, const char *option,
		struct image *image)
{
	*image = (struct image){.option = option, .path = "FILE", .size = len};
	image->fd = memfd_create("test-image", MFD_CLOEXEC);
	ck_assert_int_ge(image->fd, 0);
	ck_assert_int_eq(write(image->fd, blob->data, len), len);
}

void blob_put_gzip(struct blob *blob, size_t offset, const struct blob *in)
{
	z_stream z = {.zalloc = Z_NULL};
	size_t max;

	/* 16: with a gzip header */
	ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8,
				      Z_DEFAULT_STRATEGY),
			 Z_OK);
	max = deflateBound(&z, in->len);
	blob_grow(blob, offset + max);
	z.next_in = in->data;
	z.avail_in = (unsigned int)in->len;
	z.next_out = blob->data + offset;
	z.avail_out = (unsigned int)max;
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	blob->len = offset + z.total_out;
	deflateEnd(&z);
}
