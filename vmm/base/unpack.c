/*
 * One driver, unpack_run(), reads the file, bounds the output and judges how
 * the stream ended; below it a table has one line for each kind of stream,
 * with the three operations in which the distribution's libraries differ.
 *
 * The input is a file that the user named and may lie in every byte. What a
 * header can ask for is limited before the library allocates it: windows to
 * UNPACK_WINDOW_MAX, LZ4 legacy blocks to the size that the format gives.
 *
 * gzip: RFC 1952. xz: The .xz File Format 1.2. LZMA: lzma-file-format.txt of
 * XZ Utils. LZ4: LZ4 Frame Format 1.6, with its section "Legacy frame". zstd:
 * RFC 8878. One stream (member, frame) is unpacked; another one behind it
 * counts as trailing bytes. Only a legacy LZ4 frame does not say where it
 * ends: see unpack_legacy_step().
 */
#include "vmm/base/unpack.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <sys/mman.h>

#include <bzlib.h>
#include <lz4.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "vmm/base/bytes.h"

#define MIB (UINT32_C(1) << 20)

#define UNPACK_CHUNK	  (128 * 1024) /* of input and of output */
#define UNPACK_WINDOW_LOG 27
#define UNPACK_WINDOW_MAX (UINT32_C(1) << UNPACK_WINDOW_LOG)

/* LZ4 Frame Format, "Legacy frame" */
#define LZ4_LEGACY_MAGIC     UINT32_C(0x184c2102)
#define LZ4_LEGACY_BLOCK_MAX (8 * MIB)
#define LZ4_LEGACY_SIZE_MAX  LZ4_COMPRESSBOUND(LZ4_LEGACY_BLOCK_MAX)

#define UNPACK_MAGIC_MAX 6

static_assert(UNPACK_WINDOW_MAX == 128 * MIB, "messages and unpack.h say so");

enum unpack_state {
	UNPACK_ON,  /* step: call again, with more input if nothing moved */
	UNPACK_END, /* the stream is complete */
	/* What follows ends the unpacking. */
	UNPACK_CUT,
	UNPACK_DAMAGED, /* detail may say how */
	UNPACK_WINDOW,	/* asks for more than UNPACK_WINDOW_MAX */
	UNPACK_NOMEM,
};

struct unpack_stream {
	enum unpack_format format;
	const struct unpack_codec *codec;
	const struct image *image; /* borrowed */
	uint64_t start;		   /* offset of the stream in the file */
	uint64_t next;		   /* offset of the bytes to read next */
	uint64_t unread;	   /* bytes of the input from there on */
	size_t trailing;	   /* bytes allowed behind the stream */
	uint64_t room;		   /* bytes of output still allowed */

	uint8_t *in;	/* owned, codec->in_size */
	size_t in_pos;	/* up to here the codec has used it */
	size_t in_len;	/* up to here it is filled */
	size_t in_want; /* bytes that the codec needs in one piece, or 0 */

	uint8_t *out;	/* owned, codec->out_size */
	size_t out_len; /* bytes that the last step made */

	const char *detail; /* the library's words on what is wrong, or NULL */

	union {
		z_stream zlib;
		lzma_stream lzma;
		bz_stream bzip2;
		LZ4F_dctx *lz4;	 /* owned */
		ZSTD_DCtx *zstd; /* owned */
	} lib;
};

/*
 * open and step return an unpack_state. A step takes input from in_pos up to
 * in_len, advances in_pos, and fills out from its beginning.
 */
struct unpack_codec {
	enum unpack_format format;
	uint8_t magic[UNPACK_MAGIC_MAX];
	uint8_t magic_len;
	size_t in_size;
	size_t out_size;
	enum unpack_state (*open)(struct unpack_stream *s);
	enum unpack_state (*step)(struct unpack_stream *s);
	void (*close)(struct unpack_stream *s); /* NULL: nothing to free */
};

/* --- gzip ---------------------------------------------------------------- */

static enum unpack_state unpack_gzip_open(struct unpack_stream *s)
{
	s->lib.zlib = (z_stream){.zalloc = Z_NULL};

	/* 16: expect a gzip header, and no other */
	return inflateInit2(&s->lib.zlib, 16 + MAX_WBITS) == Z_OK
		       ? UNPACK_ON
		       : UNPACK_NOMEM;
}

static enum unpack_state unpack_gzip_step(struct unpack_stream *s)
{
	z_stream *z = &s->lib.zlib;
	int ret;

	z->next_in = s->in + s->in_pos;
	z->avail_in = s->in_len - s->in_pos;
	z->next_out = s->out;
	z->avail_out = UNPACK_CHUNK;
	ret = inflate(z, Z_NO_FLUSH);
	s->in_pos = s->in_len - z->avail_in;
	s->out_len = UNPACK_CHUNK - z->avail_out;

	switch (ret) {
	case Z_OK:
	case Z_BUF_ERROR: /* nothing moved */
		return UNPACK_ON;
	case Z_STREAM_END:
		return UNPACK_END;
	case Z_MEM_ERROR:
		return UNPACK_NOMEM;
	default:
		s->detail = z->msg;
		return UNPACK_DAMAGED;
	}
}

static void unpack_gzip_close(struct unpack_stream *s)
{
	inflateEnd(&s->lib.zlib);
}

/* --- xz and LZMA --------------------------------------------------------- */

/* The decoders count their own state, some 100 KiB, with the window. */
#define UNPACK_LZMA_MEMLIMIT (UNPACK_WINDOW_MAX + MIB)

static enum unpack_state unpack_xz_open(struct unpack_stream *s)
{
	s->lib.lzma = (lzma_stream)LZMA_STREAM_INIT;
	return lzma_stream_decoder(&s->lib.lzma, UNPACK_LZMA_MEMLIMIT, 0) ==
			       LZMA_OK
		       ? UNPACK_ON
		       : UNPACK_NOMEM;
}

static enum unpack_state unpack_lzma_open(struct unpack_stream *s)
{
	s->lib.lzma = (lzma_stream)LZMA_STREAM_INIT;
	return lzma_alone_decoder(&s->lib.lzma, UNPACK_LZMA_MEMLIMIT) == LZMA_OK
		       ? UNPACK_ON
		       : UNPACK_NOMEM;
}

static enum unpack_state unpack_lzma_step(struct unpack_stream *s)
{
	lzma_stream *z = &s->lib.lzma;
	int ret;

	z->next_in = s->in + s->in_pos;
	z->avail_in = s->in_len - s->in_pos;
	z->next_out = s->out;
	z->avail_out = UNPACK_CHUNK;
	ret = lzma_code(z, LZMA_RUN);
	s->in_pos = s->in_len - z->avail_in;
	s->out_len = UNPACK_CHUNK - z->avail_out;

	switch (ret) {
	case LZMA_OK:
	case LZMA_BUF_ERROR: /* nothing moved, twice */
		return UNPACK_ON;
	case LZMA_STREAM_END:
		return UNPACK_END;
	case LZMA_MEMLIMIT_ERROR:
		return UNPACK_WINDOW;
	case LZMA_MEM_ERROR:
		return UNPACK_NOMEM;
	case LZMA_OPTIONS_ERROR:
		s->detail = "unsupported options";
		return UNPACK_DAMAGED;
	default:
		return UNPACK_DAMAGED;
	}
}

static void unpack_lzma_close(struct unpack_stream *s)
{
	lzma_end(&s->lib.lzma);
}

/* --- LZ4 frame ----------------------------------------------------------- */

static enum unpack_state unpack_lz4_open(struct unpack_stream *s)
{
	return LZ4F_isError(LZ4F_createDecompressionContext(&s->lib.lz4,
							    LZ4F_VERSION))
		       ? UNPACK_NOMEM
		       : UNPACK_ON;
}

static enum unpack_state unpack_lz4_step(struct unpack_stream *s)
{
	size_t in_len = s->in_len - s->in_pos;
	size_t out_len = UNPACK_CHUNK;
	size_t ret;

	ret = LZ4F_decompress(s->lib.lz4, s->out, &out_len, s->in + s->in_pos,
			      &in_len, NULL);
	if (LZ4F_isError(ret)) {
		s->detail = LZ4F_getErrorName(ret);
		return UNPACK_DAMAGED;
	}
	s->in_pos += in_len;
	s->out_len = out_len;
	return ret == 0 ? UNPACK_END : UNPACK_ON;
}

static void unpack_lz4_close(struct unpack_stream *s)
{
	LZ4F_freeDecompressionContext(s->lib.lz4);
}

/* --- LZ4 legacy frame ---------------------------------------------------- */

static enum unpack_state unpack_legacy_open(struct unpack_stream *s)
{
	(void)s;
	return UNPACK_ON;
}

static uint32_t unpack_legacy_word(const struct unpack_stream *s)
{
	le32 word;

	memcpy(&word, s->in + s->in_pos, sizeof(word));
	return le32_get(word);
}

/*
 * Who wants only the head of a kernel does not wait for 8 MiB: one byte more
 * than there is room for is enough to see that.
 */
static int unpack_legacy_block(struct unpack_stream *s, uint32_t size)
{
	const char *in = (const char *)s->in + s->in_pos + sizeof(size);
	char *out = (char *)s->out;

	if (s->room >= LZ4_LEGACY_BLOCK_MAX)
		return LZ4_decompress_safe(in, out, size, LZ4_LEGACY_BLOCK_MAX);
	return LZ4_decompress_safe_partial(in, out, size, (int)s->room + 1,
					   LZ4_LEGACY_BLOCK_MAX);
}

/*
 * A legacy frame is a row of blocks, each behind its size, up to the end of
 * the input or to another magic. In a bzImage the end is not the frame's: the
 * unpacked size follows, and reads like one more block's size. What does not
 * hold a whole block is therefore the trailing bytes if so many are allowed.
 */
static enum unpack_state unpack_legacy_step(struct unpack_stream *s)
{
	size_t filled = s->in_len - s->in_pos;
	uint64_t left = filled + s->unread;
	uint32_t size;
	int made;

	if (left < sizeof(size))
		return UNPACK_END;
	s->in_want = sizeof(size);
	if (filled < s->in_want)
		return UNPACK_ON;

	size = unpack_legacy_word(s);
	if (size == LZ4_LEGACY_MAGIC) {
		s->in_pos += sizeof(size);
		return UNPACK_ON;
	}
	if (left <= s->trailing && (size == 0 || size > left - sizeof(size)))
		return UNPACK_END;
	if (size == 0 || size > LZ4_LEGACY_SIZE_MAX) {
		s->detail = "bad size of a block";
		return UNPACK_DAMAGED;
	}
	if (size > left - sizeof(size))
		return UNPACK_CUT;
	s->in_want += size;
	if (filled < s->in_want)
		return UNPACK_ON;

	made = unpack_legacy_block(s, size);
	if (made < 0)
		return UNPACK_DAMAGED;
	s->in_pos += s->in_want;
	s->out_len = made;
	return UNPACK_ON;
}

/* --- zstd ---------------------------------------------------------------- */

static enum unpack_state unpack_zstd_open(struct unpack_stream *s)
{
	s->lib.zstd = ZSTD_createDCtx();
	if (!s->lib.zstd)
		return UNPACK_NOMEM;
	ZSTD_DCtx_setParameter(s->lib.zstd, ZSTD_d_windowLogMax,
			       UNPACK_WINDOW_LOG);
	return UNPACK_ON;
}

static enum unpack_state unpack_zstd_step(struct unpack_stream *s)
{
	ZSTD_inBuffer in = {s->in, s->in_len, s->in_pos};
	ZSTD_outBuffer out = {s->out, UNPACK_CHUNK, 0};
	size_t ret = ZSTD_decompressStream(s->lib.zstd, &out, &in);

	s->in_pos = in.pos;
	s->out_len = out.pos;
	if (!ZSTD_isError(ret))
		return ret == 0 ? UNPACK_END : UNPACK_ON;

	switch ((int)ZSTD_getErrorCode(ret)) {
	case ZSTD_error_frameParameter_windowTooLarge:
		return UNPACK_WINDOW;
	case ZSTD_error_memory_allocation:
		return UNPACK_NOMEM;
	default:
		s->detail = ZSTD_getErrorName(ret);
		return UNPACK_DAMAGED;
	}
}

static void unpack_zstd_close(struct unpack_stream *s)
{
	ZSTD_freeDCtx(s->lib.zstd);
}

/* --- bzip2 --------------------------------------------------------------- */

static enum unpack_state unpack_bzip2_open(struct unpack_stream *s)
{
	s->lib.bzip2 = (bz_stream){.bzalloc = NULL};
	return BZ2_bzDecompressInit(&s->lib.bzip2, 0, 0) == BZ_OK
		       ? UNPACK_ON
		       : UNPACK_NOMEM;
}

static enum unpack_state unpack_bzip2_step(struct unpack_stream *s)
{
	bz_stream *z = &s->lib.bzip2;
	int ret;

	z->next_in = (char *)s->in + s->in_pos;
	z->avail_in = s->in_len - s->in_pos;
	z->next_out = (char *)s->out;
	z->avail_out = UNPACK_CHUNK;
	ret = BZ2_bzDecompress(z);
	s->in_pos = s->in_len - z->avail_in;
	s->out_len = UNPACK_CHUNK - z->avail_out;

	switch (ret) {
	case BZ_OK:
		return UNPACK_ON;
	case BZ_STREAM_END:
		return UNPACK_END;
	case BZ_MEM_ERROR:
		return UNPACK_NOMEM;
	default:
		return UNPACK_DAMAGED;
	}
}

static void unpack_bzip2_close(struct unpack_stream *s)
{
	BZ2_bzDecompressEnd(&s->lib.bzip2);
}

/* --- The table ----------------------------------------------------------- */

/* No magic is the beginning of another, so that the order is free. */
static const struct unpack_codec unpack_codecs[] = {
	{
		.format = UNPACK_GZIP,
		.magic = {0x1f, 0x8b, 0x08}, /* ID1, ID2, CM = deflate */
		.magic_len = 3,
		.in_size = UNPACK_CHUNK,
		.out_size = UNPACK_CHUNK,
		.open = unpack_gzip_open,
		.step = unpack_gzip_step,
		.close = unpack_gzip_close,
	},
	{
		.format = UNPACK_XZ,
		.magic = {0xfd, '7', 'z', 'X', 'Z', 0x00},
		.magic_len = 6,
		.in_size = UNPACK_CHUNK,
		.out_size = UNPACK_CHUNK,
		.open = unpack_xz_open,
		.step = unpack_lzma_step,
		.close = unpack_lzma_close,
	},
	{
		.format = UNPACK_LZMA,
		/* lc = 3, lp = 0, pb = 2; the dictionary is n * 64 KiB */
		.magic = {0x5d, 0x00, 0x00},
		.magic_len = 3,
		.in_size = UNPACK_CHUNK,
		.out_size = UNPACK_CHUNK,
		.open = unpack_lzma_open,
		.step = unpack_lzma_step,
		.close = unpack_lzma_close,
	},
	{
		.format = UNPACK_LZ4,
		.magic = {0x04, 0x22, 0x4d, 0x18},
		.magic_len = 4,
		.in_size = UNPACK_CHUNK,
		.out_size = UNPACK_CHUNK,
		.open = unpack_lz4_open,
		.step = unpack_lz4_step,
		.close = unpack_lz4_close,
	},
	{
		.format = UNPACK_LZ4,
		.magic = {0x02, 0x21, 0x4c, 0x18},
		.magic_len = 4,
		/* Only the pages that a block fills are ever touched. */
		.in_size = sizeof(uint32_t) + LZ4_LEGACY_SIZE_MAX,
		.out_size = LZ4_LEGACY_BLOCK_MAX,
		.open = unpack_legacy_open,
		.step = unpack_legacy_step,
	},
	{
		.format = UNPACK_ZSTD,
		.magic = {0x28, 0xb5, 0x2f, 0xfd},
		.magic_len = 4,
		.in_size = UNPACK_CHUNK,
		.out_size = UNPACK_CHUNK,
		.open = unpack_zstd_open,
		.step = unpack_zstd_step,
		.close = unpack_zstd_close,
	},
	{
		.format = UNPACK_BZIP2,
		.magic = {'B', 'Z', 'h'},
		.magic_len = 3,
		.in_size = UNPACK_CHUNK,
		.out_size = UNPACK_CHUNK,
		.open = unpack_bzip2_open,
		.step = unpack_bzip2_step,
		.close = unpack_bzip2_close,
	},
};

#define UNPACK_CODECS (sizeof(unpack_codecs) / sizeof(unpack_codecs[0]))

static const char *const unpack_names[] = {
	[UNPACK_NONE] = "unknown", [UNPACK_GZIP] = "gzip",
	[UNPACK_XZ] = "xz",	   [UNPACK_LZMA] = "LZMA",
	[UNPACK_LZ4] = "LZ4",	   [UNPACK_ZSTD] = "zstd",
	[UNPACK_BZIP2] = "bzip2",
};

static_assert(sizeof(unpack_names) / sizeof(unpack_names[0]) == UNPACK_FORMATS,
	      "a name for every format");

const char *unpack_format_name(enum unpack_format format)
{
	return unpack_names[format];
}

static bool unpack_codec_matches(const struct unpack_codec *codec,
				 const uint8_t *head, size_t len)
{
	return len >= codec->magic_len &&
	       memcmp(head, codec->magic, codec->magic_len) == 0;
}

enum unpack_format unpack_probe(const uint8_t *head, size_t len)
{
	for (size_t i = 0; i < UNPACK_CODECS; i++) {
		if (unpack_codec_matches(&unpack_codecs[i], head, len))
			return unpack_codecs[i].format;
	}
	return UNPACK_NONE;
}

/* --- The driver ---------------------------------------------------------- */

/* Where in the file the codec stands. */
static uint64_t unpack_position(const struct unpack_stream *s)
{
	return s->next - (s->in_len - s->in_pos);
}

static int __attribute__((format(printf, 4, 5), cold))
unpack_fail(const struct unpack_stream *s, struct error *err, int errnum,
	    const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return error_set(err, errnum,
			 "%s %s: the %s data at byte %" PRIu64 " %s",
			 s->image->option, s->image->path,
			 unpack_format_name(s->format), s->start, text);
}

/* 0 when @state lets the unpacking go on or end well. */
static int unpack_judge(const struct unpack_stream *s, enum unpack_state state,
			struct error *err)
{
	switch (state) {
	case UNPACK_ON:
	case UNPACK_END:
		break;
	case UNPACK_CUT:
		return unpack_fail(s, err, EBADMSG,
				   "is cut off at byte %" PRIu64
				   ": the file is incomplete, get it again",
				   s->next + s->unread);
	case UNPACK_DAMAGED:
		return unpack_fail(s, err, EBADMSG,
				   "is damaged near byte %" PRIu64
				   " (%s): get the file again",
				   unpack_position(s),
				   s->detail ? s->detail : "invalid data");
	case UNPACK_WINDOW:
		return unpack_fail(s, err, EBADMSG,
				   "asks for a window too large, more than"
				   " 128 MiB: compress it with a smaller one");
	case UNPACK_NOMEM:
		return unpack_fail(s, err, ENOMEM,
				   "needs more memory than the host has free:"
				   " free some, or unpack the file beforehand");
	}
	return 0;
}

/*
 * malloc(3) would keep a freed block of some MiB for the next, which comes only
 * when the guest reboots.
 */
static uint8_t *unpack_map_buffer(size_t size)
{
	void *buffer = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return buffer == MAP_FAILED ? NULL : buffer;
}

static void unpack_unmap_buffer(uint8_t *buffer, size_t size)
{
	if (buffer)
		munmap(buffer, size);
}

/* Pick the codec by the format and the first bytes of the input. */
static int unpack_pick_codec(struct unpack_stream *s, struct error *err)
{
	uint8_t head[UNPACK_MAGIC_MAX];
	size_t len = s->unread < sizeof(head) ? s->unread : sizeof(head);
	int ret = image_read(s->image, s->start, head, len, err);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < UNPACK_CODECS; i++) {
		s->codec = &unpack_codecs[i];
		if (s->codec->format == s->format &&
		    unpack_codec_matches(s->codec, head, len))
			return 0;
	}
	return unpack_fail(s, err, EBADMSG,
			   "does not begin with that format's magic number:"
			   " get the file again");
}

/* Read the next chunk, or as much as the codec wants in one piece. */
static int unpack_refill(struct unpack_stream *s, struct error *err)
{
	size_t kept = s->in_len - s->in_pos;
	size_t len = s->in_want > UNPACK_CHUNK ? s->in_want : UNPACK_CHUNK;
	int ret;

	assert(kept <= len);
	len -= kept;
	if (len > s->unread)
		len = s->unread;
	if (len == 0)
		return unpack_judge(s, UNPACK_CUT, err);

	memmove(s->in, s->in + s->in_pos, kept);
	s->in_pos = 0;
	s->in_len = kept;
	ret = image_read(s->image, s->next, s->in + kept, len, err);
	if (ret < 0)
		return ret;
	s->in_len += len;
	s->next += len;
	s->unread -= len;
	return 0;
}

static int unpack_check_trailing(const struct unpack_stream *s,
				 struct error *err)
{
	uint64_t left = s->in_len - s->in_pos + s->unread;

	if (left <= s->trailing)
		return 0;
	return unpack_fail(s, err, EBADMSG,
			   "ends at byte %" PRIu64 " with %" PRIu64
			   " bytes behind it, expected at most %zu:"
			   " get the file again",
			   unpack_position(s), left, s->trailing);
}

/*
 * Each turn uses up input, makes output or reads on, and all three are
 * bounded; a turn that does none of them finds the input cut.
 */
static int unpack_run(struct unpack_stream *s, uint64_t bound,
		      unpack_sink_fn *sink, void *ctx, struct error *err)
{
	s->room = bound;
	for (;;) {
		size_t in_pos = s->in_pos;
		enum unpack_state state;
		size_t len;
		int ret;

		s->out_len = 0;
		state = s->codec->step(s);
		ret = unpack_judge(s, state, err);
		if (ret < 0)
			return ret;

		len = s->out_len < s->room ? s->out_len : (size_t)s->room;
		if (len > 0)
			ret = sink(ctx, s->out, len);
		else if (s->out_len == 0 && state == UNPACK_ON &&
			 s->in_pos == in_pos)
			ret = unpack_refill(s, err);
		if (ret < 0)
			return ret;
		if (s->out_len > len)
			return unpack_fail(s, err, EFBIG,
					   "unpacks to more than the %" PRIu64
					   " bytes that there is room for",
					   bound);
		s->room -= len;
		if (state == UNPACK_END)
			return unpack_check_trailing(s, err);
	}
}

int unpack(const struct image *image, uint64_t offset, uint64_t len,
	   enum unpack_format format, uint64_t bound, size_t trailing,
	   unpack_sink_fn *sink, void *ctx, struct error *err)
{
	struct unpack_stream s = {
		.format = format,
		.image = image,
		.start = offset,
		.next = offset,
		.unread = len,
		.trailing = trailing,
	};
	enum unpack_state state;
	int ret;

	ret = unpack_pick_codec(&s, err);
	if (ret < 0)
		return ret;

	s.in = unpack_map_buffer(s.codec->in_size);
	s.out = unpack_map_buffer(s.codec->out_size);
	state = s.in && s.out ? s.codec->open(&s) : UNPACK_NOMEM;
	ret = unpack_judge(&s, state, err);
	if (ret < 0)
		goto err_buffers;

	ret = unpack_run(&s, bound, sink, ctx, err);

	if (s.codec->close)
		s.codec->close(&s);
err_buffers:
	unpack_unmap_buffer(s.out, s.codec->out_size);
	unpack_unmap_buffer(s.in, s.codec->in_size);
	return ret;
}

/* --- The beginning alone ------------------------------------------------- */

/* What the sink says when it has enough; not an error that unpack() has. */
#define UNPACK_ENOUGH (-ECANCELED)

struct unpack_collector {
	uint8_t *buf;
	size_t len;
	size_t max;
};

static int unpack_collect(void *ctx, const uint8_t *data, size_t len)
{
	struct unpack_collector *c = ctx;

	if (len > c->max - c->len)
		len = c->max - c->len;
	memcpy(c->buf + c->len, data, len);
	c->len += len;
	return c->len == c->max ? UNPACK_ENOUGH : 0;
}

int unpack_head(const struct image *image, uint64_t offset, uint64_t len,
		enum unpack_format format, size_t trailing, uint8_t *buf,
		size_t max, size_t *got, struct error *err)
{
	struct unpack_collector c = {.buf = buf, .max = max};
	int ret;

	ret = unpack(image, offset, len, format, max, trailing, unpack_collect,
		     &c, err);
	*got = c.len;
	return ret == UNPACK_ENOUGH ? 0 : ret;
}
