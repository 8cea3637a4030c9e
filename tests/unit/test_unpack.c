/*
 * Every format with good, cut, damaged and lying input. Most cases loop over
 * the kinds of stream that pack.h makes.
 */
#include "vmm/base/unpack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>

#include <check.h>
#include <lz4.h>
#include <lzma.h>

#include "tests/unit/support/pack.h"
#include "vmm/base/bytes.h"

#define MIB	 ((size_t)1 << 20)
#define NO_LIMIT UINT64_MAX

/* --- Data ---------------------------------------------------------------- */

static uint32_t random_next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void data_fill_text(uint8_t *data, size_t len, uint32_t *seed)
{
	static const char words[8][8] = {"guest ", "queue ",  "ring\n",
					 "page ",  "vector ", "bridge ",
					 "of ",	   "the "};

	for (size_t i = 0; i < len;) {
		const char *word = words[random_next(seed) % 8];

		for (; *word != '\0' && i < len; word++)
			data[i++] = (uint8_t)*word;
	}
}

static void data_fill_random(uint8_t *data, size_t len, uint32_t *seed)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)random_next(seed);
}

/* Text, noise and zeros by turns: streams with blocks of every sort. */
static uint8_t *data_new(size_t len)
{
	uint8_t *data = calloc(1, len + 1);
	uint32_t seed = 0x2545f491;

	ck_assert_ptr_nonnull(data);
	for (size_t i = 0, turn = 0; i < len; turn++) {
		size_t part = 1 + random_next(&seed) % (len / 8 + 1);

		if (part > len - i)
			part = len - i;
		if (turn % 3 == 0)
			data_fill_text(data + i, part, &seed);
		else if (turn % 3 == 1)
			data_fill_random(data + i, part, &seed);
		i += part;
	}
	return data;
}

/* Several pieces for the sink, and for the legacy frame several blocks. */
static size_t large_size(enum pack_kind kind)
{
	if (kind == PACK_LZ4_LEGACY)
		return 20 * MIB;
	return pack_infos[kind].slow ? MIB / 2 : MIB;
}

/* --- Running unpack() ---------------------------------------------------- */

/* A stream in a file, what it must unpack to, and what came of it. */
struct run {
	struct image image;
	enum unpack_format format;
	uint64_t offset;
	uint64_t len;
	uint64_t bound;
	size_t trailing;

	const uint8_t *want; /* borrowed; NULL to accept anything */
	size_t want_len;
	unsigned int fail_at; /* this call of the sink fails; 0: none */

	size_t got;
	bool differs;
	unsigned int calls;
	struct error err;
};

static void run_init(struct run *run, enum unpack_format format,
		     const void *stream, size_t len)
{
	*run = (struct run){
		.image = {.option = "--kernel",
			  .path = "a-test-kernel",
			  .fd = memfd_create("stream", MFD_CLOEXEC),
			  .size = len},
		.format = format,
		.len = len,
		.bound = NO_LIMIT,
	};
	ck_assert_int_ge(run->image.fd, 0);
	ck_assert_int_eq(write(run->image.fd, stream, len), (ssize_t)len);
}

/* A packed stream of @want. */
static void run_init_packed(struct run *run, enum pack_kind kind,
			    const uint8_t *want, size_t want_len)
{
	size_t len;
	uint8_t *stream = pack_new(kind, want, want_len, &len);

	run_init(run, pack_infos[kind].format, stream, len);
	run->want = want;
	run->want_len = want_len;
	free(stream);
}

static void run_fini(struct run *run)
{
	close(run->image.fd);
}

static void run_patch(struct run *run, uint64_t at, const void *bytes,
		      size_t len)
{
	ck_assert_int_eq(pwrite(run->image.fd, bytes, len, (off_t)at),
			 (ssize_t)len);
}

static void run_append(struct run *run, const void *bytes, size_t len)
{
	run_patch(run, run->image.size, bytes, len);
	run->image.size += len;
	run->len += len;
}

static int run_sink(void *ctx, const uint8_t *data, size_t len)
{
	struct run *run = ctx;

	ck_assert_uint_gt(len, 0);
	if (++run->calls == run->fail_at)
		return error_set(&run->err, ENOSPC, "the sink is full");
	if (run->want && (run->differs || len > run->want_len - run->got ||
			  memcmp(data, run->want + run->got, len) != 0))
		run->differs = true;
	run->got += len;
	return 0;
}

static int run_unpack(struct run *run)
{
	run->got = 0;
	run->calls = 0;
	run->differs = false;
	run->err.text[0] = '\0';
	return unpack(&run->image, run->offset, run->len, run->format,
		      run->bound, run->trailing, run_sink, run, &run->err);
}

static void run_expect_success(struct run *run)
{
	int ret = run_unpack(run);

	ck_assert_msg(ret == 0, "%s (%d)", run->err.text, ret);
	ck_assert(!run->differs);
	ck_assert_uint_eq(run->got, run->want_len);
}

/* @words: what the message has to say besides the names, or NULL */
static void run_expect_failure(struct run *run, int want, const char *words)
{
	int ret = run_unpack(run);

	ck_assert_msg(ret == want, "got %d for len %zu (%s)", ret,
		      (size_t)run->len, run->err.text);
	ck_assert_msg(strstr(run->err.text, "--kernel a-test-kernel"),
		      "names no file: %s", run->err.text);
	ck_assert_msg(!words || strstr(run->err.text, words),
		      "does not say \"%s\": %s", words, run->err.text);
}

/* --- Names and magic ----------------------------------------------------- */

START_TEST(unpack_format_name_each_format_differs)
{
	for (int a = 0; a < UNPACK_FORMATS; a++) {
		const char *name = unpack_format_name((enum unpack_format)a);

		ck_assert_str_ne(name, "");
		for (int b = 0; b < a; b++)
			ck_assert_str_ne(name, unpack_format_name(
						       (enum unpack_format)b));
	}
}
END_TEST

START_TEST(unpack_probe_each_magic_is_found)
{
	const struct pack_info *info = &pack_infos[_i];
	size_t len;
	uint8_t *stream =
		pack_new((enum pack_kind)_i, (const uint8_t *)"x", 1, &len);

	ck_assert_uint_gt(len, info->magic_len);
	for (size_t i = 0; i <= len; i++)
		ck_assert_int_eq(unpack_probe(stream, i),
				 i < info->magic_len ? UNPACK_NONE
						     : info->format);
	for (size_t i = 0; i < info->magic_len; i++) {
		stream[i] ^= 0x10;
		ck_assert_int_eq(unpack_probe(stream, len), UNPACK_NONE);
		stream[i] ^= 0x10;
	}
	free(stream);
}
END_TEST

START_TEST(unpack_probe_rubbish_is_none)
{
	static const char *const heads[] = {
		"\177ELF\x02\x01\x01\0\0\0\0\0\0\0\0",
		"MZ\xea\x07\0\xc0\x07\x8c\xc8\x8e\xd8\x8e\xc0\x8e\xd0",
		"070701000002D1000",
		"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
	};

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		ck_assert_int_eq(unpack_probe((const uint8_t *)heads[i], 16),
				 UNPACK_NONE);
}
END_TEST

/* --- Good input ---------------------------------------------------------- */

/* The last one is more than a block of the legacy frame, and a quarter of it is
 * two of .xz's. */
static const size_t good_sizes[] = {0, 1, 100000, 8500003};

#define GOOD_SIZES (int)(sizeof(good_sizes) / sizeof(good_sizes[0]))

START_TEST(unpack_good_stream_yields_the_data)
{
	enum pack_kind kind = (enum pack_kind)(_i / GOOD_SIZES);
	size_t len = good_sizes[_i % GOOD_SIZES];
	uint8_t *want;
	struct run run;

	if (pack_infos[kind].slow && len > 4 * MIB)
		len /= 4;
	want = data_new(len);
	run_init_packed(&run, kind, want, len);
	run_expect_success(&run);

	/* The bound itself is allowed, and nothing past it. */
	run.bound = len;
	run_expect_success(&run);
	if (len > 0) {
		run.bound = len - 1;
		run_expect_failure(&run, -EFBIG, "more than");
	}
	run_fini(&run);
	free(want);
}
END_TEST

START_TEST(unpack_stream_inside_a_file_yields_the_data)
{
	uint8_t *want = data_new(300000);
	size_t len;
	uint8_t *stream = pack_new((enum pack_kind)_i, want, 300000, &len);
	uint8_t *file = malloc(len + 5000);
	struct run run;

	ck_assert_ptr_nonnull(file);
	memset(file, 0xa5, len + 5000);
	memcpy(file + 3001, stream, len);
	run_init(&run, pack_infos[_i].format, file, len + 5000);
	run.offset = 3001;
	run.len = len;
	run.want = want;
	run.want_len = 300000;
	run_expect_success(&run);

	run.len = len / 2;
	run_expect_failure(&run, -EBADMSG, "byte 3001 ");
	run_fini(&run);
	free(file);
	free(stream);
	free(want);
}
END_TEST

START_TEST(unpack_trailing_bytes_count)
{
	uint8_t *want = data_new(5000);
	struct run run;

	run_init_packed(&run, (enum pack_kind)_i, want, 5000);
	run.trailing = 4;
	run_expect_success(&run);
	for (size_t extra = 1; extra <= 4; extra++) {
		run_append(&run, "\x88", 1);
		run_expect_success(&run);
	}
	run.trailing = 3;
	run_expect_failure(&run, -EBADMSG, NULL);
	run.trailing = 4;
	run_append(&run, "\x13", 1);
	run_expect_failure(&run, -EBADMSG, NULL);
	run_fini(&run);
	free(want);
}
END_TEST

START_TEST(unpack_sink_error_ends_it)
{
	size_t len = large_size((enum pack_kind)_i);
	uint8_t *want = data_new(len);
	struct run run;

	run_init_packed(&run, (enum pack_kind)_i, want, len);
	for (unsigned int call = 1; call <= 3; call++) {
		run.fail_at = call;
		ck_assert_int_eq(run_unpack(&run), -ENOSPC);
		ck_assert_uint_eq(run.calls, call);
		ck_assert_str_eq(run.err.text, "the sink is full");
	}
	run_fini(&run);
	free(want);
}
END_TEST

/* --- Damaged input ------------------------------------------------------- */

/* A legacy LZ4 stream may end where a block ends, and nobody can tell. */
static bool stream_may_end(enum pack_kind kind, const struct run *run,
			   uint64_t cut)
{
	uint64_t at = 4;
	le32 size;

	if (kind != PACK_LZ4_LEGACY)
		return false;
	while (at < cut && at < run->image.size) {
		ck_assert_int_eq(pread(run->image.fd, &size, 4, (off_t)at), 4);
		at += 4 + le32_get(size);
	}
	return at == cut;
}

static void expect_cut_failure(struct run *run, enum pack_kind kind,
			       uint64_t cut)
{
	run->len = cut;
	if (stream_may_end(kind, run, cut)) {
		ck_assert_int_eq(run_unpack(run), 0);
		ck_assert_uint_lt(run->got, run->want_len);
	} else {
		/* Less than a magic, or than a legacy block's size, is no
		   stream at all, or lies behind one. */
		bool told = kind != PACK_LZ4_LEGACY &&
			    cut >= pack_infos[kind].magic_len;

		run_expect_failure(run, -EBADMSG, told ? "cut off" : NULL);
	}
	ck_assert(!run->differs);
}

START_TEST(unpack_small_stream_cut_anywhere_is_refused)
{
	uint8_t *want = data_new(700);
	struct run run;

	run_init_packed(&run, (enum pack_kind)_i, want, 700);
	for (uint64_t cut = 0; cut < run.image.size; cut++)
		expect_cut_failure(&run, (enum pack_kind)_i, cut);
	run_fini(&run);
	free(want);
}
END_TEST

START_TEST(unpack_large_stream_cut_at_20_places_is_refused)
{
	size_t len = large_size((enum pack_kind)_i);
	uint8_t *want = data_new(len);
	struct run run;

	run_init_packed(&run, (enum pack_kind)_i, want, len);
	for (uint64_t i = 0; i < 20; i++)
		expect_cut_failure(&run, (enum pack_kind)_i,
				   run.image.size * i / 20);
	run_fini(&run);
	free(want);
}
END_TEST

START_TEST(unpack_file_truncated_after_opening_is_refused)
{
	uint8_t *want = data_new(MIB);
	struct run run;

	run_init_packed(&run, (enum pack_kind)_i, want, MIB);
	ck_assert_uint_gt(run.image.size, 200000);
	ck_assert_int_eq(ftruncate(run.image.fd, 200000), 0);
	run_expect_failure(&run, -ENODATA, NULL);
	run_fini(&run);
	free(want);
}
END_TEST

/*
 * Flip one bit. A stream with a checksum is refused or, where the bit means
 * nothing (a time stamp), still right; the others stay within the bound.
 */
static void expect_flip_harmless(struct run *run, enum pack_kind kind,
				 uint64_t at, unsigned int bit)
{
	uint8_t good, bad;
	int ret;

	ck_assert_int_eq(pread(run->image.fd, &good, 1, (off_t)at), 1);
	bad = (uint8_t)(good ^ 1U << bit);
	run_patch(run, at, &bad, 1);
	ret = run_unpack(run);
	run_patch(run, at, &good, 1);

	if (ret == 0 && pack_infos[kind].checked) {
		ck_assert_msg(!run->differs, "%s byte %zu bit %u",
			      pack_infos[kind].name, (size_t)at, bit);
		ck_assert_uint_eq(run->got, run->want_len);
	} else if (ret < 0) {
		ck_assert_msg(ret == -EBADMSG || ret == -EFBIG,
			      "%d at byte %zu bit %u (%s)", ret, (size_t)at,
			      bit, run->err.text);
		ck_assert_str_ne(run->err.text, "");
	}
}

START_TEST(unpack_small_stream_with_any_flipped_bit_is_harmless)
{
	uint8_t *want = data_new(250);
	struct run run;

	run_init_packed(&run, (enum pack_kind)_i, want, 250);
	run.bound = 1000;
	for (uint64_t at = 0; at < run.image.size; at++) {
		for (unsigned int bit = 0; bit < 8; bit++)
			expect_flip_harmless(&run, (enum pack_kind)_i, at, bit);
	}
	run_fini(&run);
	free(want);
}
END_TEST

START_TEST(unpack_large_stream_with_flipped_bits_is_harmless)
{
	size_t len = large_size((enum pack_kind)_i);
	uint8_t *want = data_new(len);
	uint32_t seed = 7;
	struct run run;

	run_init_packed(&run, (enum pack_kind)_i, want, len);
	run.bound = len;
	for (int i = 0; i < 20; i++)
		expect_flip_harmless(&run, (enum pack_kind)_i,
				     random_next(&seed) % run.image.size,
				     random_next(&seed) % 8);
	run_fini(&run);
	free(want);
}
END_TEST

START_TEST(unpack_other_format_is_refused)
{
	uint8_t *want = data_new(100);
	struct run run;

	run_init_packed(&run, (enum pack_kind)_i, want, 100);
	for (int other = 0; other < UNPACK_FORMATS; other++) {
		if (other == (int)pack_infos[_i].format)
			continue;
		run.format = (enum unpack_format)other;
		run_expect_failure(&run, -EBADMSG, "magic");
	}
	run_fini(&run);
	free(want);
}
END_TEST

/* --- Bombs --------------------------------------------------------------- */

static size_t peak_rss_kib(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];
	size_t kib = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "VmHWM: %zu", &kib) == 1)
			break;
	}
	fclose(file);
	return kib;
}

/* proc(5): writing 5 to clear_refs sets the peak to the present size. */
static void peak_rss_reset(void)
{
	FILE *file = fopen("/proc/self/clear_refs", "we");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs("5", file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

START_TEST(unpack_bomb_ends_at_the_bound)
{
	const size_t len = 32 * MIB; /* more than what it may take */
	uint8_t *zeros =
		mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct run run;
	size_t before;

	ck_assert_ptr_ne(zeros, MAP_FAILED);
	run_init_packed(&run, (enum pack_kind)_i, zeros, len);
	munmap(zeros, len);
	run.want = NULL;
	run.bound = MIB;

	peak_rss_reset();
	before = peak_rss_kib();
	run_expect_failure(&run, -EFBIG, "more than the 1048576 bytes");
	ck_assert_uint_le(run.got, MIB);
	ck_assert_uint_lt(peak_rss_kib() - before, 18 * 1024);
	run_fini(&run);
}
END_TEST

/* --- Lying headers ------------------------------------------------------- */

START_TEST(unpack_lzma_huge_dictionary_is_refused)
{
	uint8_t *want = data_new(100);
	struct run run;

	run_init_packed(&run, PACK_LZMA, want, 100);
	run_patch(&run, 1, "\0\0\0\x08", 4); /* 128 MiB */
	run_expect_success(&run);
	run_patch(&run, 1, "\0\0\0\xf0", 4);
	run_expect_failure(&run, -EBADMSG, "window too large");
	run_patch(&run, 1, "\xff\xff\xff\xff", 4);
	run_expect_failure(&run, -EBADMSG, NULL);
	run_fini(&run);
	free(want);
}
END_TEST

START_TEST(unpack_xz_huge_dictionary_is_refused)
{
	uint8_t *want = data_new(100);
	uint8_t head[8]; /* of the first block: .xz File Format, 3.1 */
	struct run run;
	le32 crc;

	run_init_packed(&run, PACK_XZ, want, 100);
	ck_assert_int_eq(pread(run.image.fd, head, 8, 12), 8);
	ck_assert_uint_eq(head[0], 2);	  /* 12 bytes with the CRC */
	ck_assert_uint_eq(head[2], 0x21); /* LZMA2 */

	head[4] = 40; /* 4 GiB - 1 */
	crc = le32_of(lzma_crc32(head, 8, 0));
	run_patch(&run, 12, head, 8);
	run_patch(&run, 20, &crc, 4);
	run_expect_failure(&run, -EBADMSG, "window too large");

	head[4] = 30; /* 128 MiB */
	crc = le32_of(lzma_crc32(head, 8, 0));
	run_patch(&run, 12, head, 8);
	run_patch(&run, 20, &crc, 4);
	run_expect_success(&run);
	run_fini(&run);
	free(want);
}
END_TEST

START_TEST(unpack_zstd_huge_window_is_refused)
{
	/* RFC 8878, 3.1.1: a window descriptor, then a raw last block "ok" */
	uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0,
			   0x11, 0x00, 0x00, 'o',  'k'};
	/* A single segment, the content size of 4 bytes is the window. */
	static const uint8_t segment[] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0,
					  0,	0,    0,    0x80, 0x11,
					  0x00, 0x00, 'o',  'k'};
	struct run run;

	run_init(&run, UNPACK_ZSTD, frame, sizeof(frame));
	run.want = (const uint8_t *)"ok";
	run.want_len = 2;
	frame[5] = (27 - 10) << 3; /* 128 MiB */
	run_patch(&run, 0, frame, sizeof(frame));
	run_expect_success(&run);
	frame[5] = (31 - 10) << 3; /* 2 GiB */
	run_patch(&run, 0, frame, sizeof(frame));
	run_expect_failure(&run, -EBADMSG, "window too large");
	run_fini(&run);

	run_init(&run, UNPACK_ZSTD, segment, sizeof(segment));
	run_expect_failure(&run, -EBADMSG, "window too large");
	run_fini(&run);
}
END_TEST

START_TEST(unpack_legacy_bad_block_size_is_refused)
{
	static const uint32_t sizes[] = {0, 1 << 24, INT32_MAX, UINT32_MAX};
	uint8_t *want = data_new(9 * MIB);
	struct run run;

	run_init_packed(&run, PACK_LZ4_LEGACY, want, 9 * MIB);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		le32 size = le32_of(sizes[i]);

		run_patch(&run, 4, &size, 4);
		run_expect_failure(&run, -EBADMSG, "size of a block");
		ck_assert_uint_eq(run.calls, 0);
	}
	run_fini(&run);
	free(want);
}
END_TEST

START_TEST(unpack_legacy_block_above_8_mib_is_refused)
{
	size_t len = 8 * MIB + 1;
	char *zeros = calloc(1, len);
	uint8_t *stream = malloc(len);
	struct run run;
	le32 size;

	ck_assert(zeros && stream);
	size = le32_of((uint32_t)LZ4_compress_default(zeros, (char *)stream + 8,
						      (int)len, (int)len - 8));
	memcpy(stream, "\x02\x21\x4c\x18", 4);
	memcpy(stream + 4, &size, 4);
	run_init(&run, UNPACK_LZ4, stream, 8 + le32_get(size));
	run_expect_failure(&run, -EBADMSG, "damaged");
	ck_assert_uint_eq(run.calls, 0);
	run_fini(&run);
	free(stream);
	free(zeros);
}
END_TEST

/* --- The legacy frame's end ---------------------------------------------- */

START_TEST(unpack_legacy_with_a_kernels_size_word_succeeds)
{
	/* Words that read like a block's size, a magic, and neither. */
	static const uint32_t words[] = {1,	     9 << 20,	 0x032c6e34,
					 0x184c2102, UINT32_MAX, 0};
	size_t len = 9 * MIB;
	uint8_t *want = data_new(len);
	struct run run;

	run_init_packed(&run, PACK_LZ4_LEGACY, want, len);
	run_append(&run, "size", 4);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		le32 word = le32_of(words[i]);

		run_patch(&run, run.image.size - 4, &word, 4);
		run.trailing = 4;
		run_expect_success(&run);
		run.trailing = 0;
		if (words[i] != 0x184c2102)
			run_expect_failure(&run, -EBADMSG, NULL);
	}
	run_fini(&run);
	free(want);
}
END_TEST

START_TEST(unpack_legacy_with_several_magics_succeeds)
{
	uint8_t *want = data_new(10 * MIB);
	size_t len;
	uint8_t *stream = pack_new(PACK_LZ4_LEGACY, want + 9 * MIB, MIB, &len);
	struct run run;

	run_init_packed(&run, PACK_LZ4_LEGACY, want, 9 * MIB);
	run_append(&run, stream, len);
	run.want_len = 10 * MIB;
	run_expect_success(&run);
	run_fini(&run);
	free(stream);
	free(want);
}
END_TEST

START_TEST(unpack_legacy_small_last_block_is_no_trailing)
{
	uint8_t *want = data_new(8 * MIB + 3);
	struct run run;

	run_init_packed(&run, PACK_LZ4_LEGACY, want, 8 * MIB + 3);
	run.trailing = 64; /* the last block takes 8 */
	run_expect_success(&run);
	run_fini(&run);
	free(want);
}
END_TEST

static Suite *unpack_suite(void)
{
	Suite *suite = suite_create("unpack");
	TCase *tc = tcase_create("unpack");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, unpack_format_name_each_format_differs);
	tcase_add_loop_test(tc, unpack_probe_each_magic_is_found, 0,
			    PACK_KINDS);
	tcase_add_test(tc, unpack_probe_rubbish_is_none);
	tcase_add_loop_test(tc, unpack_good_stream_yields_the_data, 0,
			    PACK_KINDS * GOOD_SIZES);
	tcase_add_loop_test(tc, unpack_stream_inside_a_file_yields_the_data, 0,
			    PACK_KINDS);
	tcase_add_loop_test(tc, unpack_trailing_bytes_count, 0, PACK_KINDS);
	tcase_add_loop_test(tc, unpack_sink_error_ends_it, 0, PACK_KINDS);
	tcase_add_loop_test(tc, unpack_small_stream_cut_anywhere_is_refused, 0,
			    PACK_KINDS);
	tcase_add_loop_test(tc, unpack_large_stream_cut_at_20_places_is_refused,
			    0, PACK_KINDS);
	tcase_add_loop_test(tc, unpack_file_truncated_after_opening_is_refused,
			    0, PACK_KINDS);
	tcase_add_loop_test(
		tc, unpack_small_stream_with_any_flipped_bit_is_harmless, 0,
		PACK_KINDS);
	tcase_add_loop_test(tc,
			    unpack_large_stream_with_flipped_bits_is_harmless,
			    0, PACK_KINDS);
	tcase_add_loop_test(tc, unpack_other_format_is_refused, 0, PACK_KINDS);
	tcase_add_loop_test(tc, unpack_bomb_ends_at_the_bound, 0, PACK_KINDS);
	tcase_add_test(tc, unpack_lzma_huge_dictionary_is_refused);
	tcase_add_test(tc, unpack_xz_huge_dictionary_is_refused);
	tcase_add_test(tc, unpack_zstd_huge_window_is_refused);
	tcase_add_test(tc, unpack_legacy_bad_block_size_is_refused);
	tcase_add_test(tc, unpack_legacy_block_above_8_mib_is_refused);
	tcase_add_test(tc, unpack_legacy_with_a_kernels_size_word_succeeds);
	tcase_add_test(tc, unpack_legacy_with_several_magics_succeeds);
	tcase_add_test(tc, unpack_legacy_small_last_block_is_no_trailing);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(unpack_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
