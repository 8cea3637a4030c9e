/*
 * Files for tests, built byte by byte in memory.
 */
#ifndef TESTS_UNIT_SUPPORT_BLOB_H
#define TESTS_UNIT_SUPPORT_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/image.h"

/* A file that grows as it is written; zero-initialise. */
struct blob {
	uint8_t *data; /* owned */
	size_t len;
};

void blob_put(struct blob *blob, size_t offset, const void *data, size_t len);
void blob_put16(struct blob *blob, size_t offset, uint16_t value);
void blob_put32(struct blob *blob, size_t offset, uint32_t value);
void blob_put64(struct blob *blob, size_t offset, uint64_t value);
/* Fill with a pattern that depends on the position. */
void blob_fill(struct blob *blob, size_t offset, size_t len);
/* Make it that long, with zeros behind what is there. */
void blob_grow(struct blob *blob, size_t len);
/* Write @in, compressed with gzip; the blob ends there. */
void blob_put_gzip(struct blob *blob, size_t offset, const struct blob *in);
void blob_free(struct blob *blob);

/* An open image with the blob's first @len bytes, for image_close(). */
void blob_image(const struct blob *blob, size_t len, const char *option,
		struct image *image);

#endif
