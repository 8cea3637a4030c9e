/*
 * The system table and the memory map, as Linux's efi_init() reads them.
 */
#include "arch/aarch64/efi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>
#include <zlib.h>

#include "arch/aarch64/layout.h"

#define MIB  UINT64_C(0x100000)
#define BASE (LAYOUT_RAM + 3 * MIB)
#define SIZE MIB
#define RSDP (BASE + EFI_SIZE + 0x40)

static const struct guest_mem_region ram = {LAYOUT_RAM, 16 * MIB};

static struct guest_mem *mem;
static struct efi_handoff efi;
static struct error err;

static void setup(void)
{
	ck_assert_int_eq(guest_mem_new(&mem, &ram, 1, 0, &err), 0);
}

static void teardown(void)
{
	guest_mem_free(mem);
}

static void build(void)
{
	ck_assert_msg(efi_build(mem, BASE, SIZE, RSDP, &efi, &err) == 0, "%s",
		      err.text);
}

static const uint8_t *at(uint64_t gpa, uint64_t len)
{
	const uint8_t *data = guest_mem_span(mem, gpa, len);

	ck_assert_ptr_nonnull(data);
	return data;
}

static uint64_t get(uint64_t gpa, unsigned int size)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < size; i++)
		value |= (uint64_t)at(gpa + i, 1)[0] << 8 * i;
	return value;
}

/* Where the table of that GUID is. */
static uint64_t config_table(const uint8_t *guid)
{
	uint64_t count = get(efi.system_table + 104, 8);
	uint64_t tables = get(efi.system_table + 112, 8);

	ck_assert_uint_le(count, 8);
	for (uint64_t i = 0; i < count; i++) {
		if (memcmp(at(tables + 24 * i, 24), guid, 16) == 0)
			return get(tables + 24 * i + 16, 8);
	}
	ck_abort_msg("no such table");
	return 0;
}

START_TEST(efi_build_system_table_is_whole)
{
	uint8_t table[120];

	build();
	ck_assert_uint_eq(efi.system_table, BASE);
	memcpy(table, at(BASE, sizeof(table)), sizeof(table));
	ck_assert_mem_eq(table, "IBI SYST", 8);
	ck_assert_uint_ge(get(BASE + 8, 4), 2 << 16);
	ck_assert_uint_eq(get(BASE + 12, 4), sizeof(table));
	memset(table + 16, 0, 4);
	ck_assert_uint_eq(crc32(0, table, sizeof(table)), get(BASE + 16, 4));
	ck_assert_mem_eq(at(get(BASE + 24, 8), 14), "b\0a\0n\0t\0a\0m\0\0", 14);
	/* Neither consoles nor services. */
	for (unsigned int i = 40; i < 104; i += 8)
		ck_assert_uint_eq(get(BASE + i, 8), 0);
}
END_TEST

START_TEST(efi_build_tables_are_named_by_guid)
{
	static const uint8_t acpi[16] = {0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4,
					 0xd3, 0x11, 0xbc, 0x22, 0x00, 0x80,
					 0xc7, 0x3c, 0x88, 0x81};
	static const uint8_t rt[16] = {0x8a, 0x91, 0x66, 0xeb, 0xef, 0x7e,
				       0x2a, 0x40, 0x84, 0x2e, 0x93, 0x1d,
				       0x21, 0xc3, 0x8a, 0xe9};
	static const uint8_t reserve[16] = {0xc6, 0xb0, 0x8e, 0x88, 0xde, 0x8e,
					    0xf5, 0x4f, 0xa8, 0xf0, 0x9a, 0xee,
					    0x5c, 0xb9, 0x77, 0xc2};
	uint64_t gpa;

	build();
	ck_assert_uint_eq(config_table(acpi), RSDP);
	gpa = config_table(rt);
	ck_assert_uint_eq(get(gpa, 2), 1);
	ck_assert_uint_eq(get(gpa + 2, 2), 8);
	ck_assert_uint_eq(get(gpa + 4, 4), 0);
	gpa = config_table(reserve);
	for (unsigned int i = 0; i < 16; i++)
		ck_assert_uint_eq(get(gpa + i, 1), 0);
	/* Linux writes to it: not among what is not mapped. */
	ck_assert_uint_ge(gpa, BASE + 0x10000);
	ck_assert_uint_lt(gpa, BASE + EFI_SIZE);
	ck_assert_uint_ge(gpa, efi.mmap + efi.mmap_size);
}
END_TEST

START_TEST(efi_build_map_covers_ram_once)
{
	static const struct {
		uint32_t type;
		uint64_t start, pages, attribute, virtual;
	} want[] = {
		{7, LAYOUT_RAM, 0x300, 0xf, 0},
		{6, BASE, 0x10, UINT64_C(0x800000000000000f), UINT64_MAX},
		{9, BASE + 0x10000, 0xf0, 0xf, 0},
		{7, BASE + SIZE, 0xc00, 0xf, 0},
	};
	uint64_t gpa;

	build();
	ck_assert_uint_eq(efi.desc_version, 1);
	ck_assert_uint_eq(efi.desc_size, 40);
	ck_assert_uint_eq(efi.mmap_size, 4 * 40);
	gpa = efi.mmap;
	for (unsigned int i = 0; i < 4; i++, gpa += efi.desc_size) {
		ck_assert_uint_eq(get(gpa, 4), want[i].type);
		ck_assert_uint_eq(get(gpa + 8, 8), want[i].start);
		ck_assert_uint_eq(get(gpa + 16, 8), want[i].virtual);
		ck_assert_uint_eq(get(gpa + 24, 8), want[i].pages);
		ck_assert_uint_eq(get(gpa + 32, 8), want[i].attribute);
	}
}
END_TEST

/* The area at RAM's very end, and RAM in two pieces. */
START_TEST(efi_build_map_of_other_shapes)
{
	static const struct guest_mem_region two[] = {
		{LAYOUT_RAM, 4 * MIB},
		{LAYOUT_RAM + 64 * MIB, 8 * MIB},
	};

	guest_mem_free(mem);
	ck_assert_int_eq(guest_mem_new(&mem, two, 2, 0, &err), 0);
	build();
	ck_assert_uint_eq(efi.mmap_size, 4 * 40);
	ck_assert_uint_eq(get(efi.mmap + 3 * 40 + 8, 8), two[1].base);
	ck_assert_uint_eq(get(efi.mmap + 3 * 40 + 24, 8), 0x800);
}
END_TEST

START_TEST(efi_build_without_ram_is_an_error)
{
	ck_assert_int_eq(efi_build(mem, LAYOUT_RAM + 15 * MIB + 0x10000, SIZE,
				   RSDP, &efi, &err),
			 -EFAULT);
	ck_assert_ptr_nonnull(strstr(err.text, "--memory"));
}
END_TEST

static Suite *efi_suite(void)
{
	Suite *suite = suite_create("efi");
	TCase *tc = tcase_create("efi");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, efi_build_system_table_is_whole);
	tcase_add_test(tc, efi_build_tables_are_named_by_guid);
	tcase_add_test(tc, efi_build_map_covers_ram_once);
	tcase_add_test(tc, efi_build_map_of_other_shapes);
	tcase_add_test(tc, efi_build_without_ram_is_an_error);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(efi_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
