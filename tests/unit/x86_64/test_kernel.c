/* Which protocol a file gets, what is refused and how, and placement. */
#include "arch/x86_64/kernel.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/x86_64/boot_layout.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/linux_boot.h"
#include "tests/unit/x86_64/support/kernel_image.h"

#define PADDR  UINT64_C(0x200000)
#define MEMORY (32 << 20)

enum traits {
	LINUX_NOTE = 1,
	PVH_NOTE = 2,
	MULTIBOOT = 4,
};

static void make(struct blob *b, bool is64, uint16_t machine,
		 unsigned int traits)
{
	struct blob_segment s[] = {
		{PT_LOAD, 0x1000, 0, PADDR, 0x2000, 0x3000},
		{PT_NOTE, 0x800, 0, 0, 0, 0},
	};
	const uint64_t pvh = PADDR + 0x100;
	size_t at = 0x800;

	if (traits & LINUX_NOTE)
		at += blob_note(b, at, "Linux", 0x100, "", 0);
	if (traits & PVH_NOTE)
		at += blob_note(b, at, "Xen", 18, &pvh, 8);
	s[1].filesz = at - 0x800;
	blob_elf(b, is64, machine, PADDR, s, 2);
	blob_fill(b, 0x1000, 0x2000);
	if (traits & MULTIBOOT) {
		blob_put32(b, 0x1000, 0x1badb002);
		blob_put32(b, 0x1004, 3);
		blob_put32(b, 0x1008, -(0x1badb002u + 3));
	}
}

static const struct {
	bool is64;
	uint16_t machine;
	unsigned int traits;
	enum arch_entry entry;
	int ret;
	enum kernel_protocol protocol;
} choices[] = {
	{1, EM_X86_64, 0, ARCH_ENTRY_AUTO, 0, KERNEL_LINUX64},
	{1, EM_X86_64, LINUX_NOTE, ARCH_ENTRY_AUTO, 0, KERNEL_LINUX64},
	{1, EM_X86_64, 7, ARCH_ENTRY_AUTO, 0, KERNEL_LINUX64},
	{1, EM_X86_64, 6, ARCH_ENTRY_AUTO, 0, KERNEL_PVH},
	{1, EM_X86_64, MULTIBOOT, ARCH_ENTRY_AUTO, 0, KERNEL_MULTIBOOT},
	{0, EM_386, 0, ARCH_ENTRY_AUTO, 0, KERNEL_LINUX32},
	{0, EM_386, 3, ARCH_ENTRY_AUTO, 0, KERNEL_PVH},
	{0, EM_386, MULTIBOOT, ARCH_ENTRY_AUTO, 0, KERNEL_MULTIBOOT},
	{0, EM_X86_64, MULTIBOOT, ARCH_ENTRY_AUTO, 0, KERNEL_MULTIBOOT},
	{0, EM_X86_64, 0, ARCH_ENTRY_AUTO, -EINVAL, 0},
	{1, EM_X86_64, 7, ARCH_ENTRY_PVH, 0, KERNEL_PVH},
	{1, EM_X86_64, 7, ARCH_ENTRY_MULTIBOOT, 0, KERNEL_MULTIBOOT},
	{1, EM_X86_64, 5, ARCH_ENTRY_PVH, -EINVAL, 0},
	{1, EM_X86_64, 3, ARCH_ENTRY_MULTIBOOT, -ENOENT, 0},
	{1, EM_X86_64, 7, ARCH_ENTRY_BZIMAGE, -EINVAL, 0},
};

START_TEST(kernel_probe_elf_chooses_by_its_traits)
{
	struct test_machine m;
	struct blob b = {0};

	make(&b, choices[_i].is64, choices[_i].machine, choices[_i].traits);
	test_machine_init(&m, MEMORY);
	ck_assert_int_eq(test_machine_boot(&m, &b, choices[_i].entry, NULL, ""),
			 choices[_i].ret);
	if (choices[_i].ret == 0)
		ck_assert_int_eq(m.protocol, choices[_i].protocol);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(kernel_load_vmlinux_has_a_made_up_header)
{
	struct blob b = {0}, initrd = {0};
	struct test_machine m;
	struct boot_params bp;

	make(&b, _i, _i ? EM_X86_64 : EM_386, 0);
	blob_fill(&initrd, 0, 0x1001);
	test_machine_init(&m, UINT64_C(1) << 31);
	ck_assert_int_eq(
		test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, &initrd, "quiet"),
		0);
	ck_assert_int_eq(m.entry.long_mode, _i);
	ck_assert_uint_eq(m.entry.ip, PADDR);
	ck_assert_uint_eq(m.entry.si, LAYOUT_ZERO_PAGE);
	guest_mem_read(m.mem, LAYOUT_ZERO_PAGE, &bp, sizeof(bp));
	ck_assert_uint_eq(bp.hdr.header, 0x53726448);
	ck_assert_uint_eq(bp.hdr.boot_flag, 0xaa55);
	ck_assert_uint_ge(bp.hdr.version, 0x020c);
	ck_assert_uint_eq(bp.hdr.type_of_loader, 0xff);
	ck_assert_uint_eq(bp.hdr.ramdisk_image,
			  _i ? 0x80000000 - 0x2000 : 0x38000000 - 0x2000);
	ck_assert(test_machine_has(&m, PADDR, &b, 0x1000, 0x2000));
	blob_free(&initrd);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(kernel_probe_virtual_entry_is_translated)
{
	struct blob_segment s = {PT_LOAD, 0x1000, 0xffffffff80000000,
				 PADDR,	  0x1000, 0x1000};
	struct test_machine m;
	struct blob b = {0};

	blob_elf(&b, true, EM_X86_64, s.vaddr + 0x40, &s, 1);
	blob_fill(&b, 0x1000, 0x1000);
	test_machine_init(&m, MEMORY);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 0);
	ck_assert_uint_eq(m.entry.ip, PADDR + 0x40);
	blob_put64(&b, offsetof(Elf64_Ehdr, e_entry), PADDR + 0x1000);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(m.err.text, "entry at 0x201000"));
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

/* 32-bit code cannot be there, and 64-bit code finds 4 GiB mapped. */
START_TEST(kernel_probe_entry_above_4g_is_refused)
{
	const uint64_t high = UINT64_C(0x100000000);
	const uint64_t pvh = high + 0x100;
	const struct blob_segment s[] = {
		{PT_LOAD, 0x1000, 0, high, 0x1000, 0x1000},
		{PT_NOTE, 0x800, 0, 0, 0x18, 0},
	};
	struct test_machine m;
	struct blob b = {0};

	blob_elf(&b, true, EM_X86_64, high, s, 2);
	if (_i == ARCH_ENTRY_PVH)
		blob_note(&b, 0x800, "Xen", 18, &pvh, 8);
	blob_fill(&b, 0x1000, 0x1000);
	blob_put32(&b, 0x1000, 0x1badb002);
	blob_put32(&b, 0x1004, 0);
	blob_put32(&b, 0x1008, -0x1badb002u);
	test_machine_init(&m, LAYOUT_LOW_RAM_MAX + 0x100000);
	ck_assert_int_eq(
		test_machine_boot(&m, &b, (enum arch_entry)_i, NULL, ""),
		-EINVAL);
	ck_assert_msg(strstr(m.err.text, "above 4 GiB"), "%s", m.err.text);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

static const struct {
	size_t offset;
	const char *bytes;
	size_t len;
	const char *says;
} strangers[] = {
	{0, "#!/bin/sh\n", 10, "a script"},
	{0, "\x1f\x8b\x08\0\0\0\0\0\0\x03", 10, "compressed with gzip"},
	{0, "\x28\xb5\x2f\xfd\0\0\0\0", 8, "compressed with zstd"},
	{56, "ARM\x64", 4, "an arm64 Image"},
	{56, "RSC\x05", 4, "a RISC-V Image"},
	{0, "MZ\x90", 3, "an EFI or Windows program"},
	{0, "070701", 6, "a cpio archive"},
	{0, "QFI\xfb", 4, "a qcow2 disk image"},
	{510, "\x55\xaa", 2, "a boot sector"},
	{0, "hello", 5, "is not a kernel"},
	{0, "h", 1, "is not a kernel, or is cut (1 bytes)"},
	{0,
	 "\x7f"
	 "ELF\x02\x01",
	 6, "is an ELF file of class"},
};

START_TEST(kernel_probe_stranger_is_named)
{
	struct test_machine m;
	struct blob b = {0};

	/* An arm64 Image begins like an EFI program. */
	if (strangers[_i].offset == 56)
		blob_put(&b, 0, "MZ", 2);
	blob_put(&b, strangers[_i].offset, strangers[_i].bytes,
		 strangers[_i].len);
	test_machine_init(&m, MEMORY);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 -EINVAL);
	if (strangers[_i].bytes[0] != 0x7f) {
		ck_assert_msg(strstr(m.err.text, strangers[_i].says), "%s",
			      m.err.text);
		ck_assert_ptr_nonnull(strstr(m.err.text, "expected a bzImage"));
	}
	ck_assert_ptr_eq(strstr(m.err.text, "--kernel FILE: "), m.err.text);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(kernel_probe_user_program_is_refused)
{
	struct blob_segment s[] = {
		{PT_INTERP, 0x800, 0, 0, 1, 1},
		{PT_LOAD, 0x1000, 0, PADDR, 0x1000, 0x1000},
	};
	struct test_machine m;
	struct blob b = {0};

	blob_elf(&b, true, EM_X86_64, PADDR, s, 2);
	blob_fill(&b, 0x1000, 0x1000);
	test_machine_init(&m, MEMORY);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(m.err.text, "program for Linux"));
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(kernel_probe_flat_header_without_addresses_is_refused)
{
	struct test_machine m;
	struct blob b = {0};

	blob_fill(&b, 0, 0x1000);
	blob_put32(&b, 0, 0x1badb002);
	blob_put32(&b, 4, 0);
	blob_put32(&b, 8, -0x1badb002u);
	test_machine_init(&m, MEMORY);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(m.err.text, "bit 16"));
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

/* Boot with a command line of @len characters. */
static int boot_cmdline(struct test_machine *m, const struct blob *b,
			size_t len)
{
	char *text = malloc(len + 1);
	int ret;

	ck_assert_ptr_nonnull(text);
	memset(text, 'x', len);
	text[len] = '\0';
	ret = test_machine_boot(m, b, ARCH_ENTRY_AUTO, NULL, text);
	free(text);
	return ret;
}

START_TEST(kernel_probe_long_command_line_names_both_numbers)
{
	struct test_machine m;
	struct blob b = {0};

	make(&b, true, EM_X86_64, 0);
	test_machine_init(&m, MEMORY);
	ck_assert_int_eq(boot_cmdline(&m, &b, 2047), 0);
	ck_assert_int_eq(boot_cmdline(&m, &b, 2048), -E2BIG);
	ck_assert_msg(strstr(m.err.text, "2048") && strstr(m.err.text, "2047"),
		      "%s", m.err.text);
	blob_free(&b);
	make(&b, true, EM_X86_64, PVH_NOTE);
	ck_assert_int_eq(boot_cmdline(&m, &b, 65535), 0);
	ck_assert_int_eq(boot_cmdline(&m, &b, 65536), -E2BIG);
	ck_assert_ptr_nonnull(strstr(m.err.text, "65535"));
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(kernel_probe_command_line_limit_is_the_headers)
{
	struct setup_header hdr = {.version = 0x0205, .cmdline_size = 9};

	ck_assert_uint_eq(linux_boot_cmdline_max(&hdr), 255);
	hdr.version = 0x0206;
	ck_assert_uint_eq(linux_boot_cmdline_max(&hdr), 9);
	hdr.cmdline_size = 0xffffffff;
	ck_assert_uint_eq(linux_boot_cmdline_max(&hdr), 0xffff);
}
END_TEST

static const struct {
	uint64_t paddr;
	uint64_t memsz;
	int ret;
	const char *says;
} places[] = {
	{0x100000, 0x1000, 0, ""},
	{0xc000, 0x1000, 0, ""}, /* low, and free */
	{0x30000, 0x40000, 0, ""},
	{MEMORY - 0x1000, 0x1000, 0, ""},
	{0, 0x1000, -EINVAL, "boot GDT"},
	{0x6fff, 0x1000, -EINVAL, "page tables"},
	{0x7000, 0x1000, -EINVAL, "zero page"},
	{0xb000, 0x2000, -EINVAL, "boot information"},
	{0x1f000, 0x20000, -EINVAL, "command line"},
	{0x7f000, 0x1000, -EINVAL, "boot stack"},
	{0x9f000, 0x1000, -EINVAL, "EBDA"},
	{0xb8000, 0x1000, -EINVAL, "VGA"},
	{0xff000, 0x1000, -EINVAL, "ACPI"},
	{0xc000, 0x100000000, -EINVAL, "boot information|command line"},
	{MEMORY - 0x1000, 0x1001, -ENOMEM, "-m at least 33M"},
	{0x10000000, 0x1000, -ENOMEM, "-m at least 257M"},
	{0xbffff000, 0x1000, -ENOMEM, "-m at least 3072M"},
	{0xbffff000, 0x1001, -EINVAL, "no memory size"},
	{0xfee00000, 0x1000, -EINVAL, "no memory size"},
	{0x100000000, 0x1000, -ENOMEM, "-m at least 3073M"},
	{0x8000000000000000, 0x1000, -EINVAL, "no memory size"},
	{0xfffffffffffff000, 0x1000, -EINVAL, "address space"},
	{0xffffffffffffffff, 0x1000, -EINVAL, "address space"},
	{PADDR, UINT64_MAX, -EINVAL, "address space"},
};

START_TEST(kernel_load_segment_place_is_checked)
{
	struct blob_segment s[] = {
		{PT_LOAD, 0x1000, 0, 0x400000, 0x1000, 0x1000},
		{PT_LOAD, 0x1000, 0, places[_i].paddr, 0x800, places[_i].memsz},
	};
	struct test_machine m;
	struct blob b = {0};
	const char *says = places[_i].says;

	blob_elf(&b, true, EM_X86_64, 0x400000, s, 2);
	blob_fill(&b, 0x1000, 0x1000);
	test_machine_init(&m, MEMORY);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 places[_i].ret);
	if (places[_i].ret == 0) {
		ck_assert(test_machine_has(&m, places[_i].paddr, &b, 0x1000,
					   0x800));
	} else if (!strchr(says, '|')) {
		ck_assert_msg(strstr(m.err.text, says), "%s", m.err.text);
		ck_assert_ptr_nonnull(strstr(m.err.text, "segment 1"));
	}
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(kernel_load_memory_above_4g_is_usable)
{
	struct blob_segment s[] = {
		{PT_LOAD, 0x1000, 0, 0x400000, 0x1000, 0x1000},
		{PT_LOAD, 0x1000, 0, 0x100000000, 0x1000, 0x100000},
	};
	struct test_machine m;
	struct blob b = {0};

	blob_elf(&b, true, EM_X86_64, 0x400000, s, 2);
	blob_fill(&b, 0x1000, 0x1000);
	test_machine_init(&m, LAYOUT_LOW_RAM_MAX + 0x100000);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 0);
	ck_assert(test_machine_has(&m, 0x100000000, &b, 0x1000, 0x1000));
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(kernel_load_overlapping_segments_are_refused)
{
	struct blob_segment s[] = {
		{PT_LOAD, 0x1000, 0, 0x400000, 0x1000, 0x1000},
		{PT_LOAD, 0x1000, 0, 0x3ff801, 0x10, 0x800},
	};
	struct test_machine m;
	struct blob b = {0};

	blob_elf(&b, true, EM_X86_64, 0x400000, s, 2);
	blob_fill(&b, 0x1000, 0x1000);
	test_machine_init(&m, MEMORY);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 -EINVAL);
	ck_assert_msg(strstr(m.err.text, "segment 1 at") &&
			      strstr(m.err.text, "overlaps segment 0"),
		      "%s", m.err.text);
	s[1].paddr = 0x3ff800;
	blob_elf(&b, true, EM_X86_64, 0x400000, s, 2);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 0);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(boot_mem_initrd_goes_around_what_is_taken)
{
	struct test_machine m;
	struct blob file = {0};
	struct image initrd;
	uint64_t base;

	test_machine_init(&m, MEMORY);
	blob_fill(&file, 0, 0x3000);
	blob_image(&file, file.len, "--initrd", &initrd);
	struct boot_mem bm = {.layout = &boot_layout,
			      .mem = m.mem,
			      .map = m.map,
			      .map_count = m.map_count};
	/* A gap of two pages at the top, one of three below. */
	ck_assert_int_eq(boot_mem_take(&bm, &initrd, "a", MEMORY - 0x3800,
				       0x1800, &m.err),
			 0);
	ck_assert_int_eq(boot_mem_take(&bm, &initrd, "b", MEMORY - 0x8000,
				       0x1000, &m.err),
			 0);
	ck_assert_int_eq(boot_mem_initrd(&bm, &initrd, BOOT_PLACE_TOP,
					 LAYOUT_4G, &base, &m.err),
			 0);
	ck_assert_uint_eq(base, MEMORY - 0x7000);
	ck_assert_int_eq(boot_mem_initrd(&bm, &initrd, BOOT_PLACE_TOP,
					 LAYOUT_4G, &base, &m.err),
			 0);
	ck_assert_uint_eq(base, MEMORY - 0xb000);
	/* Never below 1 MiB. */
	ck_assert_int_eq(boot_mem_initrd(&bm, &initrd, BOOT_PLACE_TOP, 0x102fff,
					 &base, &m.err),
			 -ENOMEM);
	ck_assert_int_eq(boot_mem_initrd(&bm, &initrd, BOOT_PLACE_TOP, 0x103000,
					 &base, &m.err),
			 0);
	ck_assert_uint_eq(base, 0x100000);
	image_close(&initrd);
	blob_free(&file);
	test_machine_fini(&m);
}
END_TEST

START_TEST(boot_mem_initrd_shrunk_file_is_error)
{
	struct test_machine m;
	struct blob file = {0};
	struct image initrd;
	uint64_t base;

	test_machine_init(&m, MEMORY);
	blob_fill(&file, 0, 0x3000);
	blob_image(&file, file.len, "--initrd", &initrd);
	initrd.size++;
	struct boot_mem bm = {.layout = &boot_layout,
			      .mem = m.mem,
			      .map = m.map,
			      .map_count = m.map_count};
	ck_assert_int_eq(boot_mem_initrd(&bm, &initrd, BOOT_PLACE_TOP,
					 LAYOUT_4G, &base, &m.err),
			 -ENODATA);
	ck_assert_ptr_nonnull(strstr(m.err.text, "shorter"));
	image_close(&initrd);
	blob_free(&file);
	test_machine_fini(&m);
}
END_TEST

/* Every place of the ELF headers and notes at extremes, for each protocol:
 * any answer but a crash. */
START_TEST(kernel_load_header_lies_are_harmless)
{
	static const uint64_t extremes[] = {
		0, 1, 0x80, 0x7fffffff, 0xffffffff, 0xfffff000, UINT64_MAX};
	struct test_machine m;
	struct blob b = {0};
	uint64_t saved;

	make(&b, _i & 1, _i & 1 ? EM_X86_64 : EM_386,
	     _i & 2 ? PVH_NOTE : MULTIBOOT);
	test_machine_init(&m, MEMORY);
	for (size_t at = 0; at < 0x1010; at++) {
		if (at == 0xc0)
			at = 0x800; /* behind the headers come the notes */
		if (at == 0x830)
			at = 0x1000; /* and the Multiboot header */
		memcpy(&saved, b.data + at, 8);
		for (unsigned int size = 1; size <= 8; size *= 2) {
			uint64_t v = extremes[(at + size) % 7];

			memcpy(b.data + at, &v, size);
			test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, "");
			memcpy(b.data + at, &saved, 8);
		}
	}
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

static TCase *make_probe_tests(void)
{
	TCase *tc = tcase_create("probe");

	tcase_add_loop_test(tc, kernel_probe_elf_chooses_by_its_traits, 0,
			    sizeof(choices) / sizeof(*choices));
	tcase_add_test(tc, kernel_probe_virtual_entry_is_translated);
	tcase_add_loop_test(tc, kernel_probe_entry_above_4g_is_refused,
			    ARCH_ENTRY_PVH, ARCH_ENTRY_MULTIBOOT + 1);
	tcase_add_loop_test(tc, kernel_probe_entry_above_4g_is_refused,
			    ARCH_ENTRY_AUTO, ARCH_ENTRY_AUTO + 1);
	tcase_add_loop_test(tc, kernel_probe_stranger_is_named, 0,
			    sizeof(strangers) / sizeof(*strangers));
	tcase_add_test(tc, kernel_probe_user_program_is_refused);
	tcase_add_test(tc,
		       kernel_probe_flat_header_without_addresses_is_refused);
	tcase_add_test(tc, kernel_probe_long_command_line_names_both_numbers);
	tcase_add_test(tc, kernel_probe_command_line_limit_is_the_headers);
	return tc;
}

static TCase *make_load_tests(void)
{
	TCase *tc = tcase_create("load");

	/* The sweeps take some seconds under sanitizers. */
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, kernel_load_vmlinux_has_a_made_up_header, 0, 2);
	tcase_add_loop_test(tc, kernel_load_segment_place_is_checked, 0,
			    sizeof(places) / sizeof(*places));
	tcase_add_test(tc, kernel_load_memory_above_4g_is_usable);
	tcase_add_test(tc, kernel_load_overlapping_segments_are_refused);
	tcase_add_test(tc, boot_mem_initrd_goes_around_what_is_taken);
	tcase_add_test(tc, boot_mem_initrd_shrunk_file_is_error);
	tcase_add_loop_test(tc, kernel_load_header_lies_are_harmless, 0, 4);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("kernel");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, make_probe_tests());
	suite_add_tcase(suite, make_load_tests());
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
