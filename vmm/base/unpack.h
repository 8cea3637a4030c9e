/*
 * Streaming decompression of kernel payloads. The input is a part of a file
 * that the user named and may lie in every byte; the output goes in pieces to
 * a sink and is bounded.
 */
#ifndef VMM_BASE_UNPACK_H
#define VMM_BASE_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/image.h"

enum unpack_format {
	UNPACK_NONE, /* no known magic */
	UNPACK_GZIP, /* RFC 1952 */
	UNPACK_XZ,
	UNPACK_LZMA, /* the .lzma "alone" format */
	UNPACK_LZ4,  /* the frame format, and the legacy frame of Linux */
	UNPACK_ZSTD, /* RFC 8878; windows up to 128 MiB */
	UNPACK_BZIP2,
	UNPACK_FORMATS,
};

/* For messages: "gzip", "LZ4" and so on. */
const char *unpack_format_name(enum unpack_format format);

/* Name the format by its magic. @len: 16 bytes are enough for all. */
enum unpack_format unpack_probe(const uint8_t *head, size_t len);

/*
 * Takes the output piece by piece, in order. A negative errno ends the
 * unpacking and is returned; the sink sets the message itself.
 */
typedef int unpack_sink_fn(void *ctx, const uint8_t *data, size_t len);

/**
 * unpack() - Decompress [@offset, @offset + @len) of @image into @sink.
 * @format: not UNPACK_NONE
 * @bound: bytes of output allowed; so many reach @sink before -EFBIG
 * @trailing: bytes allowed behind the compressed stream (a bzImage's
 *            payload ends with its unpacked size, 4 bytes)
 * @err: names the file and says what is wrong
 *
 * One stream is unpacked, not several in a row. A legacy LZ4 frame does not
 * say where it ends: cut between two blocks, it unpacks to less.
 *
 * May block on the file. Memory: the format's window and 256 KiB; for a legacy
 * LZ4 frame a block in and out, 16 MiB at most.
 * Return: 0, -EBADMSG for damaged or cut input, -EFBIG past @bound, -ENOMEM,
 * or what the sink or pread(2) said.
 */
int unpack(const struct image *image, uint64_t offset, uint64_t len,
	   enum unpack_format format, uint64_t bound, size_t trailing,
	   unpack_sink_fn *sink, void *ctx, struct error *err);

/**
 * unpack_head() - The first bytes that a stream unpacks to.
 * @buf: out, room for @max bytes, at least 1
 * @got: out: how many there are; fewer than @max only if there are no more
 *
 * The other arguments, what it blocks on and what it returns are unpack()'s;
 * what is wrong with the stream further on goes unseen.
 */
int unpack_head(const struct image *image, uint64_t offset, uint64_t len,
		enum unpack_format format, size_t trailing, uint8_t *buf,
		size_t max, size_t *got, struct error *err);

#endif
