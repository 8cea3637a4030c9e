/*
 * arm64 kernel images: which are taken, where they go, and what is said about
 * those that are not.
 */
#include "arch/aarch64/kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/aarch64/layout.h"
#include "tests/unit/support/blob.h"
#include "tests/unit/support/pack.h"

#define MIB    UINT64_C(0x100000)
#define MEMORY (64 * MIB)
#define RAM    LAYOUT_RAM

#define CODE_SIZE  UINT64_C(0x21234) /* of the test kernels' files */
#define IMAGE_SIZE UINT64_C(0x345000)

/* Offsets in the header */
#define TEXT_OFFSET   8
#define IMAGE_SIZE_AT 16
#define FLAGS	      24
#define MAGIC	      56

#define PAGE_4K	 2
#define PAGE_16K 4
#define PAGE_64K 6

/* ID_AA64MMFR0_EL1 by what it can do */
#define MMFR0_NONE     UINT64_C(0xff000000)
#define MMFR0_4K       UINT64_C(0x0f000000)
#define MMFR0_4K_LPA2  UINT64_C(0x1f000000)
#define MMFR0_16K      UINT64_C(0xff100000)
#define MMFR0_16K_LPA2 UINT64_C(0xff200000)
#define MMFR0_64K      UINT64_C(0xf0000000)

static struct guest_mem *mem;
static struct blob file; /* the kernel, to be changed by a test */
static struct kernel_place place;
static struct error err;

/* An Image of CODE_SIZE bytes that needs IMAGE_SIZE. */
static void make_image(struct blob *blob)
{
	blob_fill(blob, 0, CODE_SIZE);
	blob_put32(blob, 0, 0x91005a4d); /* MZ: it has an EFI stub */
	blob_put64(blob, TEXT_OFFSET, 0);
	blob_put64(blob, IMAGE_SIZE_AT, IMAGE_SIZE);
	blob_put64(blob, FLAGS, PAGE_4K | 8);
	blob_put32(blob, MAGIC, 0x644d5241);
}

/* An EFI zboot image around a packed kernel. */
static void make_zboot(struct blob *blob, const uint8_t *packed, size_t len,
		       const char *comp_type)
{
	const uint32_t at = 0x1000;

	blob_put(blob, 0, "MZ\0\0zimg", 8);
	blob_put32(blob, 8, at);
	blob_put32(blob, 12, (uint32_t)len);
	blob_put(blob, 24, comp_type, strlen(comp_type));
	blob_put32(blob, 56, 0x818223cd);
	blob_put(blob, at, packed, len);
	blob_fill(blob, blob->len, 0x345); /* the PE file goes on */
}

static void make_memory(uint64_t size)
{
	const struct guest_mem_region region = {RAM, size};

	guest_mem_free(mem);
	ck_assert_int_eq(guest_mem_new(&mem, &region, 1, 0, &err), 0);
}

static void setup(void)
{
	mem = NULL;
	file = (struct blob){0};
	make_memory(MEMORY);
	make_image(&file);
}

static void teardown(void)
{
	blob_free(&file);
	guest_mem_free(mem);
}

/* kernel_probe() and kernel_load(); checks that a failure has a message. */
static int boot_with(const struct blob *initrd, enum arch_entry entry,
		     const char *cmdline)
{
	struct image image, initrd_image;
	struct kernel *kernel = NULL;
	int ret;

	blob_image(&file, file.len, "--kernel", &image);
	if (initrd)
		blob_image(initrd, initrd->len, "--initrd", &initrd_image);
	err.text[0] = '\0';
	ret = kernel_probe(&kernel, &image, entry,
			   initrd ? &initrd_image : NULL, cmdline, &err);
	if (ret == 0)
		ret = kernel_load(kernel, mem, &place, &err);
	if (ret) {
		ck_assert_int_lt(ret, 0);
		ck_assert_uint_gt(strlen(err.text), 10);
		ck_assert_ptr_null(strchr(err.text, '\n'));
	}
	kernel_free(kernel);
	if (initrd)
		image_close(&initrd_image);
	image_close(&image);
	return ret;
}

static int boot(void)
{
	return boot_with(NULL, ARCH_ENTRY_AUTO, "");
}

static void expect_boot(void)
{
	ck_assert_msg(boot() == 0, "refused: %s", err.text);
}

static void expect_refusal(int errnum, const char *word)
{
	ck_assert_int_eq(boot(), -errnum);
	ck_assert_msg(strstr(err.text, word), "no \"%s\" in: %s", word,
		      err.text);
}

static bool has(uint64_t gpa, const struct blob *blob)
{
	const void *span = guest_mem_span(mem, gpa, blob->len);

	return span && memcmp(span, blob->data, blob->len) == 0;
}

static void expect_image_at(uint64_t gpa)
{
	struct blob want = {0};

	ck_assert_uint_eq(place.entry, gpa);
	make_image(&want);
	/* The header may differ from test to test. */
	ck_assert_mem_eq(guest_mem_span(mem, gpa + 64, CODE_SIZE - 64),
			 want.data + 64, CODE_SIZE - 64);
	blob_free(&want);
}

/* ---- What is taken, and where it goes ----------------------------------- */

START_TEST(load_image_goes_to_the_beginning_of_ram)
{
	expect_boot();
	expect_image_at(RAM);
	ck_assert(has(RAM, &file));
	ck_assert_uint_eq(place.initrd_size, 0);
	/* The block begins at the next 2 MiB, behind image_size. */
	ck_assert_uint_eq(place.fdt, RAM + 4 * MIB);
	ck_assert_uint_eq(place.fdt_size, MIB);
	ck_assert_uint_eq(place.tables, RAM + 5 * MIB);
	ck_assert_uint_eq(place.tables_size, MIB);
}
END_TEST

START_TEST(load_text_offset_is_honoured)
{
	blob_put64(&file, TEXT_OFFSET, 0x80000);
	expect_boot();
	expect_image_at(RAM + 0x80000);
	blob_put64(&file, IMAGE_SIZE_AT, 4 * MIB - 0x80000);
	expect_boot();
	ck_assert_uint_eq(place.fdt, RAM + 4 * MIB);
	blob_put64(&file, IMAGE_SIZE_AT, 4 * MIB - 0x80000 + 1);
	expect_boot();
	ck_assert_uint_eq(place.fdt, RAM + 6 * MIB);
}
END_TEST

START_TEST(load_text_offset_beyond_is_refused)
{
	blob_put64(&file, TEXT_OFFSET, 2 * MIB);
	expect_refusal(EINVAL, "text_offset");
	blob_put64(&file, TEXT_OFFSET, UINT64_MAX);
	expect_refusal(EINVAL, "text_offset");
}
END_TEST

START_TEST(load_file_longer_than_image_size_is_loaded_whole)
{
	blob_put64(&file, IMAGE_SIZE_AT, 0x1000);
	blob_fill(&file, CODE_SIZE, 5 * MIB);
	expect_boot();
	ck_assert(has(RAM, &file));
	ck_assert_uint_eq(place.fdt, RAM + 6 * MIB);
}
END_TEST

/* Before 3.17: the other fields are of an endianness that nobody knows. */
START_TEST(load_without_image_size_takes_the_old_text_offset)
{
	blob_put64(&file, IMAGE_SIZE_AT, 0);
	blob_put64(&file, TEXT_OFFSET, UINT64_C(0x0000080000000000));
	blob_put64(&file, FLAGS, 1);
	expect_boot();
	expect_image_at(RAM + 0x80000);
	ck_assert_uint_ge(place.fdt, RAM + 0x80000 + CODE_SIZE + 16 * MIB);
}
END_TEST

START_TEST(load_packed_is_the_image_inside)
{
	struct blob plain = file;
	uint8_t *packed;
	size_t len;

	file = (struct blob){0};
	packed = pack_new((enum pack_kind)_i, plain.data, plain.len, &len);
	blob_put(&file, 0, packed, len);
	expect_boot();
	ck_assert(has(RAM, &plain));
	ck_assert_uint_eq(place.fdt, RAM + 4 * MIB);
	free(packed);
	blob_free(&plain);
}
END_TEST

/* A branch that looks like LZMA's magic number; zstd's, where it leaves the
 * header's magic number in its place, is among the above. */
START_TEST(load_image_that_begins_like_lzma_is_an_image)
{
	blob_put32(&file, 0, 0x1400005d);
	expect_boot();
	ck_assert(has(RAM, &file));
}
END_TEST

START_TEST(load_zboot_is_the_image_inside)
{
	struct blob plain = file;
	uint8_t *packed;
	size_t len;

	file = (struct blob){0};
	packed = pack_new((enum pack_kind)_i, plain.data, plain.len, &len);
	make_zboot(&file, packed, len, pack_infos[_i].name);
	expect_boot();
	ck_assert(has(RAM, &plain));
	/* With the unpacked size behind the stream, counted in. */
	blob_put32(&file, 0x1000 + len, (uint32_t)plain.len);
	blob_put32(&file, 12, (uint32_t)len + 4);
	make_memory(MEMORY);
	expect_boot();
	ck_assert(has(RAM, &plain));
	free(packed);
	blob_free(&plain);
}
END_TEST

START_TEST(load_packed_old_image_is_bounded_too)
{
	struct blob plain = file;

	blob_put64(&plain, IMAGE_SIZE_AT, 0);
	file = (struct blob){0};
	blob_put_gzip(&file, 0, &plain);
	expect_boot();
	ck_assert(has(RAM + 0x80000, &plain));
	blob_grow(&plain, 40 * MIB);
	blob_free(&file);
	blob_put_gzip(&file, 0, &plain);
	ck_assert_int_eq(boot(), -EFBIG);
	blob_free(&plain);
}
END_TEST

START_TEST(load_packed_bomb_ends_at_image_size)
{
	struct blob plain = file;
	uint64_t after = 0;

	blob_fill(&plain, CODE_SIZE, IMAGE_SIZE + 1 - CODE_SIZE);
	file = (struct blob){0};
	blob_put_gzip(&file, 0, &plain);
	expect_refusal(EFBIG, "more than");
	ck_assert_int_eq(guest_mem_read(mem, RAM + IMAGE_SIZE, &after, 8), 0);
	ck_assert_uint_eq(after, 0);
	blob_free(&plain);
}
END_TEST

/* ---- initrd ------------------------------------------------------------- */

START_TEST(load_initrd_goes_behind_the_block)
{
	struct blob initrd = {0};

	blob_fill(&initrd, 0, 3 * MIB + 5);
	ck_assert_int_eq(boot_with(&initrd, ARCH_ENTRY_AUTO, ""), 0);
	ck_assert_uint_eq(place.initrd, RAM + 6 * MIB);
	ck_assert_uint_eq(place.initrd_size, initrd.len);
	ck_assert(has(place.initrd, &initrd));
	ck_assert(has(RAM, &file));
	blob_free(&initrd);
}
END_TEST

START_TEST(load_initrd_too_big_says_how_much_memory_would_do)
{
	struct blob initrd = {0};

	make_memory(8 * MIB);
	blob_fill(&initrd, 0, 2 * MIB);
	ck_assert_int_eq(boot_with(&initrd, ARCH_ENTRY_AUTO, ""), 0);
	blob_fill(&initrd, 0, 3 * MIB);
	make_memory(8 * MIB);
	ck_assert_int_eq(boot_with(&initrd, ARCH_ENTRY_AUTO, ""), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(err.text, "--initrd FILE"));
	ck_assert_ptr_nonnull(strstr(err.text, "at least 9M"));
	make_memory(9 * MIB);
	ck_assert_int_eq(boot_with(&initrd, ARCH_ENTRY_AUTO, ""), 0);
	blob_free(&initrd);
}
END_TEST

START_TEST(load_kernel_too_big_says_how_much_memory_would_do)
{
	blob_put64(&file, IMAGE_SIZE_AT, 100 * MIB);
	ck_assert_int_eq(boot(), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(err.text, "at least 100M"));
	make_memory(100 * MIB);
	ck_assert_int_eq(boot(), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(err.text, "at least 102M"));
	make_memory(102 * MIB);
	expect_boot();
}
END_TEST

START_TEST(load_image_size_absurd_is_refused)
{
	blob_put64(&file, IMAGE_SIZE_AT, UINT64_MAX - 0x1000);
	ck_assert_int_eq(boot(), -EINVAL);
	blob_put64(&file, IMAGE_SIZE_AT, UINT64_C(1) << 50);
	ck_assert_int_eq(boot(), -EINVAL);
}
END_TEST

/* ---- Page sizes --------------------------------------------------------- */

static const struct {
	uint64_t flags, mmfr0;
	const char *lacks; /* NULL: it can */
} pages[] = {
	{0, MMFR0_NONE, NULL},
	{PAGE_4K, MMFR0_4K, NULL},
	{PAGE_4K, MMFR0_4K_LPA2, NULL},
	{PAGE_4K, MMFR0_NONE, "4 KiB"},
	{PAGE_4K, MMFR0_16K, "4 KiB"},
	{PAGE_16K, MMFR0_16K, NULL},
	{PAGE_16K, MMFR0_16K_LPA2, NULL},
	{PAGE_16K, MMFR0_4K, "16 KiB"},
	{PAGE_16K, MMFR0_NONE, "16 KiB"},
	{PAGE_64K, MMFR0_64K, NULL},
	{PAGE_64K, MMFR0_4K, "64 KiB"},
};

START_TEST(check_cpu_names_the_page_size_that_it_lacks)
{
	struct kernel *kernel;
	struct image image;
	int ret;

	blob_put64(&file, FLAGS, pages[_i].flags);
	blob_image(&file, file.len, "--kernel", &image);
	ck_assert_int_eq(
		kernel_probe(&kernel, &image, ARCH_ENTRY_AUTO, NULL, "", &err),
		0);
	ret = kernel_check_cpu(kernel, pages[_i].mmfr0, &err);
	if (pages[_i].lacks) {
		ck_assert_int_eq(ret, -ENOTSUP);
		ck_assert_ptr_nonnull(strstr(err.text, pages[_i].lacks));
	} else {
		ck_assert_int_eq(ret, 0);
	}
	kernel_free(kernel);
	image_close(&image);
}
END_TEST

/* ---- What is refused ---------------------------------------------------- */

START_TEST(probe_big_endian_is_refused)
{
	blob_put64(&file, FLAGS, PAGE_4K | 1);
	expect_refusal(ENOTSUP, "big-endian");
}
END_TEST

static const struct {
	size_t offset, len;
	const char *bytes, *word;
} strangers[] = {
	{0x24, 4, "\x18\x28\x6f\x01", "32-bit Arm zImage"},
	{0x24, 4, "\x01\x6f\x28\x18", "32-bit Arm zImage"},
	{0x202, 4, "HdrS", "x86 bzImage"},
	{56, 4, "RSC\x05", "RISC-V"},
	{0, 4,
	 "\x7f"
	 "ELF",
	 "vmlinux"},
	{0, 4, "\x27\x05\x19\x56", "uImage"},
	{0, 4, "\xd0\x0d\xfe\xed", "device tree"},
	{0, 6, "070701", "cpio"},
	{0, 2, "MZ", "EFI"},
	{1, 1, "x", "no kernel"},
};

#define STRANGERS (sizeof(strangers) / sizeof(*strangers))

START_TEST(probe_stranger_is_named)
{
	struct blob plain = {0};

	blob_free(&file);
	blob_put(&plain, 0, "nothing that is known", 21);
	blob_grow(&plain, 0x1000);
	blob_put(&plain, strangers[_i].offset, strangers[_i].bytes,
		 strangers[_i].len);
	blob_put(&file, 0, plain.data, plain.len);
	expect_refusal(EINVAL, strangers[_i].word);
	/* Not what gzip is told about, but what is in it. */
	blob_free(&file);
	blob_put_gzip(&file, 0, &plain);
	expect_refusal(EINVAL, strangers[_i].word);
	ck_assert_ptr_nonnull(strstr(err.text, "contains"));
	blob_free(&plain);
}
END_TEST

START_TEST(probe_cut_header_is_refused)
{
	for (size_t len = 1; len < 64; len++) {
		file.len = len;
		ck_assert_int_eq(boot(), -EINVAL);
	}
	file.len = 64;
	expect_boot();
}
END_TEST

START_TEST(probe_zboot_lying_header_is_refused)
{
	static const struct {
		uint32_t offset, size;
	} lies[] = {
		{0x1000, 0x7fffffff},
		{0x7fffffff, 0x100},
		{UINT32_MAX, UINT32_MAX},
		{0x1000, 0},
		{0x1000, 15},
	};
	struct blob plain = file, packed = {0};

	file = (struct blob){0};
	blob_put_gzip(&packed, 0, &plain);
	make_zboot(&file, packed.data, packed.len, "gzip");
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		blob_put32(&file, 8, lies[i].offset);
		blob_put32(&file, 12, lies[i].size);
		expect_refusal(EINVAL, "cut or damaged");
	}
	/* Too short a stream. */
	blob_put32(&file, 8, 0x1000);
	blob_put32(&file, 12, (uint32_t)packed.len - 100);
	ck_assert_int_eq(boot(), -EBADMSG);
	blob_free(&plain);
	blob_free(&packed);
}
END_TEST

START_TEST(probe_zboot_unknown_compression_is_named)
{
	blob_free(&file);
	make_zboot(&file, (const uint8_t *)"\x89LZO 0123456789abcdef", 20,
		   "lzo");
	expect_refusal(ENOTSUP, "\"lzo\"");
	/* As long as the field is, without a NUL. */
	blob_put(&file, 24, "abcdefghijklmnopqrstuvwxyz012345", 32);
	expect_refusal(ENOTSUP, "\"abcdefghijklmnopqrstuvwxyz012345\"");
}
END_TEST

START_TEST(probe_packed_damaged_is_refused)
{
	struct blob plain = file;

	file = (struct blob){0};
	blob_put_gzip(&file, 0, &plain);
	file.len -= 100;
	ck_assert_int_eq(boot(), -EBADMSG);
	blob_free(&plain);
}
END_TEST

START_TEST(probe_entry_of_a_pc_is_refused)
{
	for (int entry = ARCH_ENTRY_AUTO + 1; entry <= ARCH_ENTRY_MULTIBOOT;
	     entry++) {
		ck_assert_int_eq(boot_with(NULL, (enum arch_entry)entry, ""),
				 -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, "entry="));
	}
}
END_TEST

START_TEST(probe_cmdline_too_long_is_refused)
{
	char cmdline[2049];

	memset(cmdline, 'x', sizeof(cmdline));
	cmdline[2048] = '\0';
	ck_assert_int_eq(boot_with(NULL, ARCH_ENTRY_AUTO, cmdline), -E2BIG);
	ck_assert_ptr_nonnull(strstr(err.text, "--append"));
	cmdline[2047] = '\0';
	ck_assert_int_eq(boot_with(NULL, ARCH_ENTRY_AUTO, cmdline), 0);
}
END_TEST

static Suite *kernel_suite(void)
{
	Suite *suite = suite_create("kernel");
	TCase *tc = tcase_create("kernel");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, load_image_goes_to_the_beginning_of_ram);
	tcase_add_test(tc, load_text_offset_is_honoured);
	tcase_add_test(tc, load_text_offset_beyond_is_refused);
	tcase_add_test(tc, load_file_longer_than_image_size_is_loaded_whole);
	tcase_add_test(tc, load_without_image_size_takes_the_old_text_offset);
	tcase_add_loop_test(tc, load_packed_is_the_image_inside, 0, PACK_KINDS);
	tcase_add_test(tc, load_image_that_begins_like_lzma_is_an_image);
	tcase_add_loop_test(tc, load_zboot_is_the_image_inside, 0, PACK_KINDS);
	tcase_add_test(tc, load_packed_old_image_is_bounded_too);
	tcase_add_test(tc, load_packed_bomb_ends_at_image_size);
	tcase_add_test(tc, load_initrd_goes_behind_the_block);
	tcase_add_test(tc, load_initrd_too_big_says_how_much_memory_would_do);
	tcase_add_test(tc, load_kernel_too_big_says_how_much_memory_would_do);
	tcase_add_test(tc, load_image_size_absurd_is_refused);
	tcase_add_loop_test(tc, check_cpu_names_the_page_size_that_it_lacks, 0,
			    sizeof(pages) / sizeof(*pages));
	tcase_add_test(tc, probe_big_endian_is_refused);
	tcase_add_loop_test(tc, probe_stranger_is_named, 0, STRANGERS);
	tcase_add_test(tc, probe_cut_header_is_refused);
	tcase_add_test(tc, probe_zboot_lying_header_is_refused);
	tcase_add_test(tc, probe_zboot_unknown_compression_is_named);
	tcase_add_test(tc, probe_packed_damaged_is_refused);
	tcase_add_test(tc, probe_entry_of_a_pc_is_refused);
	tcase_add_test(tc, probe_cmdline_too_long_is_refused);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(kernel_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
