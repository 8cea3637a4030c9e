/*
 * Compressed streams for the tests, made with the libraries' own encoders. A
 * test loops over the kinds, which are one more than unpack.h's formats: LZ4
 * has two frames.
 */
#ifndef TESTS_UNIT_SUPPORT_PACK_H
#define TESTS_UNIT_SUPPORT_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/unpack.h"

enum pack_kind {
	PACK_GZIP,
	PACK_XZ, /* above 1 MiB in two blocks */
	PACK_LZMA,
	PACK_LZ4,
	PACK_LZ4_LEGACY, /* without the size that a kernel's build appends */
	PACK_ZSTD,
	PACK_BZIP2,
	PACK_KINDS,
};

struct pack_info {
	const char *name;
	enum unpack_format format;
	size_t magic_len;
	bool checked; /* the stream has a checksum of its content */
	bool slow;    /* below some 50 MB/s either way */
};

extern const struct pack_info pack_infos[PACK_KINDS];

/**
 * pack_new() - Compress @len bytes of @data into one stream.
 * @packed_len: out: bytes of the stream
 *
 * Ends the test that calls it if an encoder fails. Return: the stream, to be
 * freed with free().
 */
uint8_t *pack_new(enum pack_kind kind, const uint8_t *data, size_t len,
		  size_t *packed_len);

#endif
