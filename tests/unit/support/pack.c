/*
 * Encoders for the decompression tests. Fast presets: what is tested is the
 * decoder, and its input's size hardly matters.
 */
#include "tests/unit/support/pack.h"

#include <stdlib.h>
#include <string.h>

#include <bzlib.h>
#include <check.h>
#include <lz4.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "vmm/base/bytes.h"

#define LZ4_LEGACY_MAGIC UINT32_C(0x184c2102)
#define LZ4_LEGACY_BLOCK ((size_t)8 << 20)

const struct pack_info pack_infos[PACK_KINDS] = {
	[PACK_GZIP] = {"gzip", UNPACK_GZIP, 3, true, false},
	[PACK_XZ] = {"xz", UNPACK_XZ, 6, true, true},
	[PACK_LZMA] = {"LZMA", UNPACK_LZMA, 3, false, true},
	[PACK_LZ4] = {"LZ4", UNPACK_LZ4, 4, true, false},
	[PACK_LZ4_LEGACY] = {"LZ4 legacy", UNPACK_LZ4, 4, false, false},
	[PACK_ZSTD] = {"zstd", UNPACK_ZSTD, 4, true, false},
	[PACK_BZIP2] = {"bzip2", UNPACK_BZIP2, 3, true, true},
};

/* Enough for what no encoder here can shrink, and its frame. */
static size_t pack_bound(size_t len)
{
	return len + len / 50 + 64 * 1024;
}

static size_t pack_gzip(const uint8_t *data, size_t len, uint8_t *out,
			size_t room)
{
	z_stream z = {.zalloc = Z_NULL};

	ck_assert_int_eq(deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8,
				      Z_DEFAULT_STRATEGY),
			 Z_OK);
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)len;
	z.next_out = out;
	z.avail_out = (uInt)room;
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return room - z.avail_out;
}

static size_t pack_lzma_run(lzma_stream *z, const uint8_t *data, size_t len,
			    size_t first, uint8_t *out, size_t room)
{
	lzma_ret ret;

	z->next_in = data;
	z->next_out = out;
	z->avail_out = room;
	if (first > 0) {
		z->avail_in = first;
		ret = lzma_code(z, LZMA_FULL_FLUSH);
		ck_assert_int_eq(ret, LZMA_STREAM_END);
	}
	z->avail_in = len - first;
	ret = lzma_code(z, LZMA_FINISH);
	ck_assert_int_eq(ret, LZMA_STREAM_END);
	lzma_end(z);
	return room - z->avail_out;
}

static size_t pack_xz(const uint8_t *data, size_t len, uint8_t *out,
		      size_t room)
{
	lzma_stream z = LZMA_STREAM_INIT;
	size_t first = len > 1 << 20 ? len / 3 : 0;

	ck_assert_int_eq(lzma_easy_encoder(&z, 0, LZMA_CHECK_CRC32), LZMA_OK);
	return pack_lzma_run(&z, data, len, first, out, room);
}

static size_t pack_lzma(const uint8_t *data, size_t len, uint8_t *out,
			size_t room)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_options_lzma options;

	ck_assert(!lzma_lzma_preset(&options, 0));
	ck_assert_int_eq(lzma_alone_encoder(&z, &options), LZMA_OK);
	return pack_lzma_run(&z, data, len, 0, out, room);
}

static size_t pack_lz4(const uint8_t *data, size_t len, uint8_t *out,
		       size_t room)
{
	static const LZ4F_preferences_t prefs = {
		.frameInfo = {.blockSizeID = LZ4F_max4MB,
			      .contentChecksumFlag =
				      LZ4F_contentChecksumEnabled},
	};
	size_t ret = LZ4F_compressFrame(out, room, data, len, &prefs);

	ck_assert(!LZ4F_isError(ret));
	return ret;
}

static size_t pack_lz4_legacy(const uint8_t *data, size_t len, uint8_t *out,
			      size_t room)
{
	le32 word = le32_of(LZ4_LEGACY_MAGIC);
	size_t at = sizeof(word);

	memcpy(out, &word, sizeof(word));
	while (len > 0) {
		size_t part = len < LZ4_LEGACY_BLOCK ? len : LZ4_LEGACY_BLOCK;
		int size;

		size = LZ4_compress_default(
			(const char *)data, (char *)out + at + sizeof(word),
			(int)part, (int)(room - at - sizeof(word)));
		ck_assert_int_gt(size, 0);
		word = le32_of((uint32_t)size);
		memcpy(out + at, &word, sizeof(word));
		at += sizeof(word) + (size_t)size;
		data += part;
		len -= part;
	}
	return at;
}

static size_t pack_zstd(const uint8_t *data, size_t len, uint8_t *out,
			size_t room)
{
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	size_t ret;

	ck_assert_ptr_nonnull(zstd);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, 1);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
	ret = ZSTD_compress2(zstd, out, room, data, len);
	ck_assert(!ZSTD_isError(ret));
	ZSTD_freeCCtx(zstd);
	return ret;
}

static size_t pack_bzip2(const uint8_t *data, size_t len, uint8_t *out,
			 size_t room)
{
	bz_stream z = {.bzalloc = NULL};

	ck_assert_int_eq(BZ2_bzCompressInit(&z, 1, 0, 0), BZ_OK);
	z.next_in = (char *)(uintptr_t)data;
	z.avail_in = (unsigned int)len;
	z.next_out = (char *)out;
	z.avail_out = (unsigned int)room;
	ck_assert_int_eq(BZ2_bzCompress(&z, BZ_FINISH), BZ_STREAM_END);
	BZ2_bzCompressEnd(&z);
	return room - z.avail_out;
}

uint8_t *pack_new(enum pack_kind kind, const uint8_t *data, size_t len,
		  size_t *packed_len)
{
	static size_t (*const encoders[])(const uint8_t *data, size_t len,
					  uint8_t *out, size_t room) = {
		[PACK_GZIP] = pack_gzip,
		[PACK_XZ] = pack_xz,
		[PACK_LZMA] = pack_lzma,
		[PACK_LZ4] = pack_lz4,
		[PACK_LZ4_LEGACY] = pack_lz4_legacy,
		[PACK_ZSTD] = pack_zstd,
		[PACK_BZIP2] = pack_bzip2,
	};
	size_t room = pack_bound(len);
	uint8_t *out = malloc(room);

	ck_assert_ptr_nonnull(out);
	*packed_len = encoders[kind](data, len, out, room);
	return out;
}
