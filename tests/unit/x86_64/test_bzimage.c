/* bzImage: header, payload, own entry points, and the zero page. */
#include "arch/x86_64/bzimage.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/x86_64/layout.h"
#include "arch/x86_64/linux_boot.h"
#include "tests/unit/x86_64/support/kernel_image.h"

#define LOAD	    UINT64_C(0x1000000) /* pref_address of blob_bzimage() */
#define HDR(member) (0x1f1 + offsetof(struct setup_header, member))

static void make(struct blob *b, bool is64, bool gzip)
{
	struct blob elf = {0};

	blob_simple_elf(&elf, is64, LOAD, 0x30000);
	blob_bzimage(b, &elf, gzip);
	blob_free(&elf);
}

static struct boot_params get_params(const struct test_machine *m)
{
	struct boot_params bp;

	ck_assert_uint_eq(m->entry.si, LAYOUT_ZERO_PAGE);
	ck_assert_int_eq(guest_mem_read(m->mem, m->entry.si, &bp, sizeof(bp)),
			 0);
	return bp;
}

static int parse(const struct blob *b, size_t len, struct bzimage *bz,
		 struct error *err)
{
	struct image image = {
		.option = "--kernel", .path = "FILE", .fd = -1, .size = len};

	err->text[0] = '\0';
	return bzimage_parse(bz, &image, b->data, len, err);
}

START_TEST(bzimage_is_needs_both_magics)
{
	struct blob b = {0};

	make(&b, true, true);
	ck_assert(bzimage_is(b.data, b.len));
	ck_assert(bzimage_is(b.data, 0x206));
	ck_assert(!bzimage_is(b.data, 0x205));
	b.data[0x1fe] ^= 1;
	ck_assert(!bzimage_is(b.data, b.len));
	b.data[0x1fe] ^= 1;
	b.data[0x202] ^= 1;
	ck_assert(!bzimage_is(b.data, b.len));
	blob_free(&b);
}
END_TEST

START_TEST(bzimage_parse_fields_beyond_the_header_are_zero)
{
	struct bzimage bz;
	struct blob b = {0};
	struct error err;

	make(&b, true, true);
	/* The header ends before init_size. */
	b.data[0x201] = HDR(init_size) - 0x202;
	ck_assert_int_eq(parse(&b, b.len, &bz, &err), 0);
	ck_assert_uint_eq(bz.hdr.pref_address, LOAD);
	ck_assert_uint_eq(bz.hdr.init_size, 0);
	ck_assert_uint_eq(bz.kernel_offset, BLOB_SETUP_SIZE);
	ck_assert_uint_eq(bz.kernel_size, b.len - BLOB_SETUP_SIZE);
	blob_free(&b);
}
END_TEST

static const struct {
	size_t offset;
	unsigned int size;
	uint32_t value;
	const char *says;
} bad_headers[] = {
	{HDR(version), 2, 0x0201, "2.01"},
	{HDR(version), 2, 0, "0.00"},
	{HDR(loadflags), 1, 0, "zImage"},
	{HDR(setup_sects), 1, 255, "it is cut"},
	{HDR(syssize), 4, 0xffffffff, "it is cut"},
};

START_TEST(bzimage_parse_bad_field_is_named)
{
	struct bzimage bz;
	struct blob b = {0};
	struct error err;

	make(&b, true, true);
	blob_put(&b, bad_headers[_i].offset, &bad_headers[_i].value,
		 bad_headers[_i].size);
	ck_assert_int_eq(parse(&b, b.len, &bz, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, bad_headers[_i].says), "%s", err.text);
	blob_free(&b);
}
END_TEST

START_TEST(bzimage_parse_any_cut_is_error)
{
	struct bzimage bz;
	struct blob b = {0};
	struct error err;

	make(&b, true, true);
	for (size_t len = 0x206; len < b.len; len++) {
		struct blob cut = {0};

		blob_put(&cut, 0, b.data, len);
		ck_assert_int_eq(parse(&cut, len, &bz, &err), -EINVAL);
		blob_free(&cut);
	}
	ck_assert_int_eq(parse(&b, b.len, &bz, &err), 0);
	blob_free(&b);
}
END_TEST

START_TEST(bzimage_payload_is_entered_as_linux)
{
	struct blob elf = {0}, b = {0};
	struct test_machine m;

	blob_simple_elf(&elf, _i, LOAD, 0x30000);
	blob_bzimage(&b, &elf, true);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 0);
	ck_assert_int_eq(m.protocol, _i ? KERNEL_LINUX64 : KERNEL_LINUX32);
	ck_assert_int_eq(m.entry.long_mode, _i);
	ck_assert_uint_eq(m.entry.ip, LOAD);
	ck_assert_uint_eq(m.entry.cs, 0x10);
	ck_assert_uint_eq(m.entry.ds, 0x18);
	ck_assert(test_machine_has(&m, LOAD, &elf, 0x1000, 0x30000));
	ck_assert_uint_eq(test_machine_get32(&m, LOAD + 0x30000), 0);
	blob_free(&elf);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(bzimage_payload_zero_page_is_filled)
{
	struct blob b = {0}, initrd = {0};
	struct test_machine m;
	struct boot_params bp;
	char text[16];

	make(&b, true, true);
	blob_fill(&initrd, 0, 0x5432);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, &initrd,
					   "root=/dev/vda"),
			 0);
	bp = get_params(&m);
	/* Of the file: */
	ck_assert_uint_eq(bp.hdr.header, 0x53726448);
	ck_assert_uint_eq(bp.hdr.boot_flag, 0xaa55);
	ck_assert_uint_eq(bp.hdr.version, 0x020f);
	ck_assert_uint_eq(bp.hdr.kernel_alignment, 0x200000);
	ck_assert_uint_eq(bp.hdr.init_size, 0x400000);
	/* Of the boot loader: */
	ck_assert_uint_eq(bp.hdr.type_of_loader, 0xff);
	ck_assert_uint_eq(bp.hdr.loadflags, LOADED_HIGH);
	ck_assert_uint_eq(bp.hdr.vid_mode, 0xffff);
	ck_assert_uint_eq(bp.hdr.setup_data, 0);
	ck_assert_uint_eq(bp.sentinel, 0);
	ck_assert_uint_eq(bp.acpi_rsdp_addr, TEST_RSDP);
	ck_assert_uint_eq(bp.hdr.cmd_line_ptr, LAYOUT_CMDLINE);
	guest_mem_read(m.mem, LAYOUT_CMDLINE, text, sizeof(text));
	ck_assert_str_eq(text, "root=/dev/vda");
	ck_assert_uint_eq(bp.hdr.ramdisk_image, (32 << 20) - 0x6000);
	ck_assert_uint_eq(bp.hdr.ramdisk_size, 0x5432);
	ck_assert_uint_eq(bp.ext_ramdisk_image, 0);
	ck_assert(
		test_machine_has(&m, bp.hdr.ramdisk_image, &initrd, 0, 0x5432));
	ck_assert_uint_eq(bp.e820_entries, m.map_count);
	for (unsigned int i = 0; i < m.map_count; i++) {
		ck_assert_uint_eq(bp.e820_table[i].addr, m.map[i].base);
		ck_assert_uint_eq(bp.e820_table[i].size, m.map[i].size);
		ck_assert_uint_eq(bp.e820_table[i].type, m.map[i].type);
	}
	blob_free(&initrd);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

/*
 * Boot a bzImage with an initrd of @size in @memory; where the initrd is, and
 * the error in ERROR_TEXT_MAX bytes.
 */
static int boot_initrd(const struct blob *b, uint64_t memory, size_t size,
		       uint64_t *at, char *text)
{
	struct blob initrd = {0};
	struct test_machine m;
	struct boot_params bp;
	int ret;

	blob_grow(&initrd, size);
	test_machine_init(&m, memory);
	ret = test_machine_boot(&m, b, ARCH_ENTRY_AUTO, &initrd, "");
	if (ret == 0) {
		bp = get_params(&m);
		*at = bp.hdr.ramdisk_image | (uint64_t)bp.ext_ramdisk_image
						     << 32;
	}
	snprintf(text, ERROR_TEXT_MAX, "%s", m.err.text);
	blob_free(&initrd);
	test_machine_fini(&m);
	return ret;
}

START_TEST(bzimage_initrd_is_below_initrd_addr_max)
{
	char text[ERROR_TEXT_MAX];
	struct blob b = {0};
	uint64_t at;

	make(&b, true, true);
	blob_put32(&b, HDR(initrd_addr_max), 0x1ffffff);
	ck_assert_int_eq(boot_initrd(&b, 64 << 20, 0x1234, &at, text), 0);
	ck_assert_uint_eq(at, 0x2000000 - 0x2000);
	/* A kernel that says so takes it anywhere. */
	blob_put16(&b, HDR(xloadflags),
		   XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G);
	ck_assert_int_eq(boot_initrd(&b, 64 << 20, 0x1234, &at, text), 0);
	ck_assert_uint_eq(at, 0x4000000 - 0x2000);
	blob_free(&b);
}
END_TEST

START_TEST(bzimage_initrd_without_room_below_4g_is_above)
{
	struct blob b = {0}, initrd = {0};
	struct test_machine m;
	struct boot_params bp;

	make(&b, true, true);
	blob_fill(&initrd, 0, 0x1801);
	test_machine_init(&m, LAYOUT_LOW_RAM_MAX + 0x200000);
	/* Low RAM has room for the kernel alone. */
	m.map[2] = (struct memmap_entry){LOAD, 0x400000, MEMMAP_RAM};
	ck_assert_int_eq(
		test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, &initrd, ""),
		-ENOMEM);
	blob_put16(&b, HDR(xloadflags),
		   XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G);
	ck_assert_int_eq(
		test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, &initrd, ""), 0);
	bp = get_params(&m);
	ck_assert_uint_eq(bp.ext_ramdisk_image, 1);
	ck_assert_uint_eq(bp.hdr.ramdisk_image, 0x200000 - 0x2000);
	ck_assert_uint_eq(bp.hdr.ramdisk_size, 0x1801);
	ck_assert(test_machine_has(&m, LAYOUT_4G + bp.hdr.ramdisk_image,
				   &initrd, 0, 0x1801));
	blob_free(&initrd);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(bzimage_initrd_is_clear_of_init_size)
{
	char text[ERROR_TEXT_MAX];
	struct blob b = {0};
	uint64_t at;

	/* The kernel uses 0x1000000 to 0x2000000, the end of memory. */
	make(&b, true, true);
	blob_put32(&b, HDR(init_size), 0x1000000);
	ck_assert_int_eq(boot_initrd(&b, 32 << 20, 0x1000, &at, text), 0);
	ck_assert_uint_eq(at, LOAD - 0x1000);
	blob_free(&b);
}
END_TEST

START_TEST(bzimage_initrd_that_does_not_fit_names_the_memory)
{
	char text[ERROR_TEXT_MAX];
	struct blob b = {0};
	uint64_t at;

	make(&b, true, true); /* up to 0x1400000 with init_size */
	ck_assert_int_eq(boot_initrd(&b, 32 << 20, 20 << 20, &at, text),
			 -ENOMEM);
	ck_assert_msg(strstr(text, "--initrd") &&
			      strstr(text, "-m at least 40M"),
		      "%s", text);
	ck_assert_int_eq(boot_initrd(&b, 40 << 20, 20 << 20, &at, text), 0);
	/* Where the kernel's limit is what is in the way, no -m helps. */
	blob_put32(&b, HDR(initrd_addr_max), 0x1ffffff);
	ck_assert_int_eq(boot_initrd(&b, 64 << 20, 20 << 20, &at, text),
			 -ENOMEM);
	ck_assert_msg(strstr(text, "0x1ffffff") && !strstr(text, "-m"), "%s",
		      text);
	blob_free(&b);
}
END_TEST

START_TEST(bzimage_own_entry_is_used_for_unknown_payload)
{
	struct blob junk = {0}, b = {0};
	struct test_machine m;
	struct boot_params bp;

	blob_fill(&junk, 0, 0x5000);
	blob_bzimage(&b, &junk, false);
	if (!_i)
		blob_put16(&b, HDR(xloadflags), 0);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 0);
	ck_assert_int_eq(m.protocol, _i ? KERNEL_BZIMAGE64 : KERNEL_BZIMAGE32);
	ck_assert_int_eq(m.entry.long_mode, _i);
	ck_assert_uint_eq(m.entry.ip, _i ? LOAD + 0x200 : LOAD);
	ck_assert(test_machine_has(&m, LOAD, &b, BLOB_SETUP_SIZE,
				   b.len - BLOB_SETUP_SIZE));
	bp = get_params(&m);
	ck_assert_uint_eq(bp.hdr.code32_start, LOAD);
	blob_free(&junk);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(bzimage_own_entry_is_used_for_payload_that_is_no_elf)
{
	struct blob junk = {0}, b = {0};
	struct test_machine m;

	blob_fill(&junk, 0, 0x5000);
	blob_bzimage(&b, &junk, true);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 0);
	ck_assert_int_eq(m.protocol, KERNEL_BZIMAGE64);
	blob_free(&junk);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(bzimage_own_entry_is_used_for_old_protocol)
{
	struct test_machine m;
	struct boot_params bp;
	struct blob b = {0};

	make(&b, true, true);
	blob_put16(&b, HDR(version), 0x0204); /* not relocatable, no pref */
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 0);
	ck_assert_int_eq(m.protocol, KERNEL_BZIMAGE32);
	ck_assert_uint_eq(m.entry.ip, 0x100000);
	bp = get_params(&m);
	ck_assert_uint_eq(bp.hdr.code32_start, 0x100000);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(bzimage_load_place_follows_the_header)
{
	static const struct {
		uint64_t pref;
		uint32_t align;
		uint8_t relocatable;
		uint64_t load;
	} cases[] = {
		{LOAD, 0x200000, 1, LOAD},
		{LOAD + 1, 0x200000, 1, LOAD + 0x200000},
		{0x100000, 0x1000000, 1, 0x1000000},
		{LOAD, 0x200000, 0, 0x100000},
		{0x100000, 1, 1, 0x100000},
	};
	struct test_machine m;
	struct blob b = {0};

	make(&b, true, true);
	blob_put64(&b, HDR(pref_address), cases[_i].pref);
	blob_put32(&b, HDR(kernel_alignment), cases[_i].align);
	blob_put(&b, HDR(relocatable_kernel), &cases[_i].relocatable, 1);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(
		test_machine_boot(&m, &b, ARCH_ENTRY_BZIMAGE, NULL, ""), 0);
	ck_assert_uint_eq(m.entry.ip, cases[_i].load + 0x200);
	ck_assert(test_machine_has(&m, cases[_i].load, &b, BLOB_SETUP_SIZE,
				   b.len - BLOB_SETUP_SIZE));
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

static const struct {
	size_t offset;
	unsigned int size;
	uint64_t value;
	const char *says;
} bad_places[] = {
	{HDR(kernel_alignment), 4, 0, "power of two"},
	{HDR(kernel_alignment), 4, 0x300000, "power of two"},
	{HDR(pref_address), 8, UINT64_MAX, "address space"},
	{HDR(pref_address), 8, 0xffffffffffe00000, "above 4 GiB"},
	{HDR(pref_address), 8, 0x2000000, "-m at least 33M"},
	{HDR(pref_address), 8, 0xe0000000, "no memory size"},
	{HDR(init_size), 4, 0x1000001, "-m at least 33M"},
	{HDR(init_size), 4, 0xffffffff, "no memory size"},
};

START_TEST(bzimage_load_bad_place_is_named)
{
	struct test_machine m;
	struct blob b = {0};

	make(&b, true, true);
	blob_put(&b, bad_places[_i].offset, &bad_places[_i].value,
		 bad_places[_i].size);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_lt(
		test_machine_boot(&m, &b, ARCH_ENTRY_BZIMAGE, NULL, ""), 0);
	ck_assert_msg(strstr(m.err.text, bad_places[_i].says), "%s",
		      m.err.text);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

/*
 * Flip one bit at each of many places of the payload: an error, not a fall-back
 * to the image's own entry. (But where the first bytes come out as something
 * that is no ELF header, the rest is not looked at, and the image's own
 * decompressor will find the bad checksum.)
 */
START_TEST(bzimage_payload_damaged_is_error)
{
	struct bzimage bz;
	struct blob b = {0};
	struct error err;
	unsigned int damaged = 0;
	size_t start, end;
	int ret;

	make(&b, true, true);
	ck_assert_int_eq(parse(&b, b.len, &bz, &err), 0);
	start = BLOB_SETUP_SIZE + bz.hdr.payload_offset;
	end = start + bz.hdr.payload_length;
	/* The deflate stream and the CRC behind it; what comes after that is
	 * the size. */
	for (size_t i = start + 10; i < end - 4; i += 1 + (end - start) / 60) {
		struct test_machine m;

		test_machine_init(&m, 32 << 20);
		b.data[i] ^= 0x10;
		ret = test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, "");
		if (ret == 0)
			ck_assert_int_eq(m.protocol, KERNEL_BZIMAGE64);
		else
			ck_assert_int_eq(ret, -EBADMSG);
		damaged += ret != 0;
		b.data[i] ^= 0x10;
		test_machine_fini(&m);
	}
	ck_assert_uint_gt(damaged, 40);
	blob_free(&b);
}
END_TEST

/* The last four bytes say how much it unpacks to. */
START_TEST(bzimage_payload_with_wrong_size_is_error)
{
	static const int ret[] = {-EFBIG, 0, -EBADMSG};
	struct blob elf = {0}, payload = {0}, b = {0};
	struct test_machine m;

	blob_simple_elf(&elf, true, LOAD, 0x30000);
	blob_grow(&elf, elf.len + 0x1000); /* no segment has the end */
	blob_put_gzip(&payload, 0, &elf);
	blob_put32(&payload, payload.len, (uint32_t)elf.len - 1 + _i);
	blob_bzimage(&b, &payload, false);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 ret[_i]);
	blob_free(&b);
	blob_free(&payload);
	blob_free(&elf);
	test_machine_fini(&m);
}
END_TEST

START_TEST(bzimage_payload_larger_than_memory_is_refused)
{
	struct blob elf = {0}, b = {0};
	struct test_machine m;

	/* A bomb: 48 MiB of zeros behind a small kernel. */
	blob_simple_elf(&elf, true, LOAD, 0x1000);
	blob_grow(&elf, 48 << 20);
	blob_bzimage(&b, &elf, true);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 -ENOMEM);
	ck_assert_msg(strstr(m.err.text, "-m at least 48M"), "%s", m.err.text);
	blob_free(&elf);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(bzimage_payload_segment_outside_of_memory_names_the_memory)
{
	struct blob elf = {0}, b = {0};
	struct test_machine m;

	blob_simple_elf(&elf, true, 48 << 20, 0x1000);
	blob_bzimage(&b, &elf, true);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 -ENOMEM);
	ck_assert_msg(strstr(m.err.text, "-m at least 49M"), "%s", m.err.text);
	blob_free(&elf);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

/* Every byte of the header at extremes: any answer but a crash. */
START_TEST(bzimage_header_lies_are_harmless)
{
	static const uint64_t extremes[] = {
		0, 1, 0x80, 0x7fffffff, 0xffffffff, 0xfffff000, UINT64_MAX};
	struct test_machine m;
	struct blob b = {0};
	uint64_t saved;

	make(&b, true, true);
	test_machine_init(&m, 32 << 20);
	for (size_t at = 0x1f1; at < 0x26c; at++) {
		memcpy(&saved, b.data + at, 8);
		for (unsigned int size = 1; size <= 8; size *= 2) {
			uint64_t v = extremes[(at + size) % 7];

			memcpy(b.data + at, &v, size);
			test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, "");
			test_machine_boot(&m, &b, ARCH_ENTRY_BZIMAGE, NULL, "");
			memcpy(b.data + at, &saved, 8);
		}
	}
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bzimage");
	TCase *tc = tcase_create("bzimage");
	SRunner *runner = srunner_create(suite);
	int failed;

	/* The sweeps take some seconds under sanitizers. */
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, bzimage_is_needs_both_magics);
	tcase_add_test(tc, bzimage_parse_fields_beyond_the_header_are_zero);
	tcase_add_loop_test(tc, bzimage_parse_bad_field_is_named, 0,
			    sizeof(bad_headers) / sizeof(*bad_headers));
	tcase_add_test(tc, bzimage_parse_any_cut_is_error);
	tcase_add_loop_test(tc, bzimage_payload_is_entered_as_linux, 0, 2);
	tcase_add_test(tc, bzimage_payload_zero_page_is_filled);
	tcase_add_test(tc, bzimage_initrd_is_below_initrd_addr_max);
	tcase_add_test(tc, bzimage_initrd_without_room_below_4g_is_above);
	tcase_add_test(tc, bzimage_initrd_is_clear_of_init_size);
	tcase_add_test(tc, bzimage_initrd_that_does_not_fit_names_the_memory);
	tcase_add_loop_test(tc, bzimage_own_entry_is_used_for_unknown_payload,
			    0, 2);
	tcase_add_test(tc,
		       bzimage_own_entry_is_used_for_payload_that_is_no_elf);
	tcase_add_test(tc, bzimage_own_entry_is_used_for_old_protocol);
	tcase_add_loop_test(tc, bzimage_load_place_follows_the_header, 0, 5);
	tcase_add_loop_test(tc, bzimage_load_bad_place_is_named, 0,
			    sizeof(bad_places) / sizeof(*bad_places));
	tcase_add_test(tc, bzimage_payload_damaged_is_error);
	tcase_add_loop_test(tc, bzimage_payload_with_wrong_size_is_error, 0, 3);
	tcase_add_test(tc, bzimage_payload_larger_than_memory_is_refused);
	tcase_add_test(
		tc, bzimage_payload_segment_outside_of_memory_names_the_memory);
	tcase_add_test(tc, bzimage_header_lies_are_harmless);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
