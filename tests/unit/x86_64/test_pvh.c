/* PVH: hvm_start_info as its ABI describes it, byte by byte. */
#include "arch/x86_64/pvh.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/x86_64/layout.h"
#include "tests/unit/x86_64/support/kernel_image.h"

#define PADDR UINT64_C(0x100000)

/* A kernel with a PVH note that names PADDR + 0x10. */
static void make_kernel(struct blob *b, bool is64, uint64_t entry)
{
	struct blob_segment s[] = {
		{PT_LOAD, 0x1000, 0, PADDR, 0x2000, 0x3000},
		{PT_NOTE, 0x800, 0, 0, 0, 0},
	};
	size_t size = blob_note(b, 0x800, "Xen", 18, &entry, is64 ? 8 : 4);

	s[1].filesz = size;
	blob_elf(b, is64, is64 ? EM_X86_64 : EM_386, PADDR, s, 2);
	blob_fill(b, 0x1000, 0x2000);
}

START_TEST(pvh_setup_without_initrd_fills_start_info)
{
	struct test_machine m;
	struct blob b = {0};
	uint64_t map;
	char text[16];

	make_kernel(&b, _i, PADDR + 0x10);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(
		test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, "console=x"),
		0);
	ck_assert_int_eq(m.protocol, KERNEL_PVH);
	ck_assert(!m.entry.long_mode);
	ck_assert_uint_eq(m.entry.ip, PADDR + 0x10);
	ck_assert_uint_eq(m.entry.cs, 0x10);
	ck_assert_uint_eq(m.entry.ds, 0x18);
	ck_assert_uint_eq(m.entry.bx, LAYOUT_BOOT_INFO);
	ck_assert(test_machine_has(&m, PADDR, &b, 0x1000, 0x2000));

	ck_assert_uint_eq(test_machine_get32(&m, m.entry.bx), 0x336ec578);
	ck_assert_uint_eq(test_machine_get32(&m, m.entry.bx + 4), 1);
	ck_assert_uint_eq(test_machine_get32(&m, m.entry.bx + 8), 0);
	ck_assert_uint_eq(test_machine_get32(&m, m.entry.bx + 12), 0);
	ck_assert_uint_eq(test_machine_get64(&m, m.entry.bx + 16), 0);
	ck_assert_uint_eq(test_machine_get64(&m, m.entry.bx + 24),
			  LAYOUT_CMDLINE);
	guest_mem_read(m.mem, LAYOUT_CMDLINE, text, sizeof(text));
	ck_assert_str_eq(text, "console=x");
	ck_assert_uint_eq(test_machine_get64(&m, m.entry.bx + 32), TEST_RSDP);
	ck_assert_uint_eq(test_machine_get32(&m, m.entry.bx + 48), m.map_count);
	map = test_machine_get64(&m, m.entry.bx + 40);
	for (unsigned int i = 0; i < m.map_count; i++, map += 24) {
		ck_assert_uint_eq(test_machine_get64(&m, map), m.map[i].base);
		ck_assert_uint_eq(test_machine_get64(&m, map + 8),
				  m.map[i].size);
		ck_assert_uint_eq(test_machine_get32(&m, map + 16),
				  m.map[i].type);
		ck_assert_uint_eq(test_machine_get32(&m, map + 20), 0);
	}
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(pvh_setup_initrd_is_the_module)
{
	struct blob b = {0}, initrd = {0};
	struct test_machine m;
	uint64_t list, at;

	make_kernel(&b, true, PADDR);
	blob_fill(&initrd, 0, 0x12345);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_PVH, &initrd, ""),
			 0);
	ck_assert_uint_eq(test_machine_get32(&m, m.entry.bx + 12), 1);
	list = test_machine_get64(&m, m.entry.bx + 16);
	at = test_machine_get64(&m, list);
	ck_assert_uint_eq(at, (32 << 20) - 0x13000);
	ck_assert_uint_eq(test_machine_get64(&m, list + 8), 0x12345);
	ck_assert_uint_eq(test_machine_get64(&m, list + 16), 0);
	ck_assert(test_machine_has(&m, at, &initrd, 0, 0x12345));
	blob_free(&initrd);
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(pvh_entry_outside_of_segments_is_error)
{
	static const uint64_t entries[] = {0, PADDR - 1, PADDR + 0x3000,
					   UINT64_MAX};
	struct test_machine m;
	struct blob b = {0};

	make_kernel(&b, true, entries[_i]);
	test_machine_init(&m, 32 << 20);
	ck_assert_int_eq(test_machine_boot(&m, &b, ARCH_ENTRY_AUTO, NULL, ""),
			 _i == 0 ? 0 : -EINVAL);
	if (_i)
		ck_assert_ptr_nonnull(strstr(m.err.text, "none of its"));
	blob_free(&b);
	test_machine_fini(&m);
}
END_TEST

START_TEST(pvh_setup_map_too_long_is_error)
{
	struct memmap_entry map[129] = {{0, 0x9fc00, MEMMAP_RAM}};
	struct boot_mem bm = {.map = map, .map_count = 129};
	struct test_machine m;

	test_machine_init(&m, 32 << 20);
	bm.mem = m.mem;
	ck_assert_int_eq(pvh_setup(&bm, "", NULL, 0, &m.err), -E2BIG);
	bm.map_count = 128;
	ck_assert_int_eq(pvh_setup(&bm, "", NULL, 0, &m.err), 0);
	test_machine_fini(&m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pvh");
	TCase *tc = tcase_create("pvh");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, pvh_setup_without_initrd_fills_start_info, 0,
			    2);
	tcase_add_test(tc, pvh_setup_initrd_is_the_module);
	tcase_add_loop_test(tc, pvh_entry_outside_of_segments_is_error, 0, 4);
	tcase_add_test(tc, pvh_setup_map_too_long_is_error);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
