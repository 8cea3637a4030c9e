/* The collection of ACPI tables: layout, links, checksums, refusals. */
#include "acpi/tables.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "acpi/fadt.h"
#include "acpi/madt.h"

#define RAM_SIZE (UINT64_C(1) << 20)
#define BASE	 UINT64_C(0xe0000)
#define ROOM	 UINT64_C(0x20000)

static struct guest_mem *mem;
static struct acpi_tables *tables;
static struct error err;
static uint64_t rsdp;

static void setup(void)
{
	static const struct guest_mem_region ram = {.size = RAM_SIZE};

	ck_assert_int_eq(guest_mem_new(&mem, &ram, 1, 0, &err), 0);
	ck_assert_int_eq(acpi_tables_new(&tables), 0);
}

static void teardown(void)
{
	acpi_tables_free(tables);
	guest_mem_free(mem);
}

static int place(uint64_t base, uint64_t size)
{
	return acpi_tables_place(tables, mem, base, size, &rsdp, &err);
}

static const uint8_t *at(uint64_t gpa, uint64_t len)
{
	const uint8_t *data = guest_mem_span(mem, gpa, len);

	ck_assert_ptr_nonnull(data);
	return data;
}

static uint64_t get(uint64_t gpa, unsigned int size)
{
	le64 value = {0};

	memcpy(&value, at(gpa, size), size);
	return le64_get(value);
}

static unsigned int sum(uint64_t gpa, uint64_t len)
{
	const uint8_t *data = at(gpa, len);
	uint8_t total = 0;

	for (uint64_t i = 0; i < len; i++)
		total = (uint8_t)(total + data[i]);
	return total;
}

/* Where the XSDT's nth table is. */
static uint64_t listed(unsigned int n)
{
	return get(get(rsdp + 24, 8) + 36 + 8 * n, 8);
}

START_TEST(acpi_tables_place_nothing_gives_empty_roots)
{
	ck_assert_int_eq(place(BASE, ROOM), 0);
	ck_assert_uint_eq(rsdp, BASE);
	ck_assert_mem_eq(at(rsdp, 8), "RSD PTR ", 8);
	ck_assert_mem_eq(at(rsdp + 9, 6), "BANTAM", 6);
	ck_assert_uint_eq(get(rsdp + 15, 1), 2);
	ck_assert_uint_eq(get(rsdp + 20, 4), 36);
	ck_assert_uint_eq(sum(rsdp, 20), 0);
	ck_assert_uint_eq(sum(rsdp, 36), 0);
	ck_assert_uint_eq(get(get(rsdp + 16, 4) + 4, 4), 36);
	ck_assert_uint_eq(get(get(rsdp + 24, 8) + 4, 4), 36);
}
END_TEST

START_TEST(acpi_tables_place_unaligned_base_aligns_the_rsdp)
{
	ck_assert_int_eq(place(BASE + 1, ROOM), 0);
	ck_assert_uint_eq(rsdp, BASE + 16);
}
END_TEST

START_TEST(acpi_table_begin_is_listed_in_both_roots)
{
	uint64_t rsdt, gpa;

	acpi_table_begin(tables, "AAAA", 3);
	acpi_table_append(tables, "12345", 5);
	acpi_table_begin(tables, "BBBB", 1);
	ck_assert_int_eq(place(BASE, ROOM), 0);

	rsdt = get(rsdp + 16, 4);
	ck_assert_mem_eq(at(rsdt, 4), "RSDT", 4);
	ck_assert_uint_eq(get(rsdt + 4, 4), 36 + 2 * 4);
	ck_assert_uint_eq(sum(rsdt, 36 + 2 * 4), 0);
	ck_assert_uint_eq(get(rsdt + 36, 4), listed(0));
	ck_assert_uint_eq(get(rsdt + 40, 4), listed(1));

	gpa = listed(0);
	ck_assert_mem_eq(at(gpa, 4), "AAAA", 4);
	ck_assert_uint_eq(get(gpa + 4, 4), 41);
	ck_assert_uint_eq(get(gpa + 8, 1), 3);
	ck_assert_mem_eq(at(gpa + 10, 6), "BANTAM", 6);
	ck_assert_mem_eq(at(gpa + 36, 5), "12345", 5);
	ck_assert_uint_eq(sum(gpa, 41), 0);
	ck_assert_mem_eq(at(listed(1), 4), "BBBB", 4);
	ck_assert_uint_eq(sum(listed(1), 36), 0);
}
END_TEST

START_TEST(acpi_table_point_field_gets_the_address)
{
	acpi_table_id dsdt;
	struct aml aml;

	aml_init(&aml);
	aml_name(&aml, "ABCD", AML_INT(1));
	dsdt = acpi_tables_add_dsdt(tables, &aml);
	aml_fini(&aml);
	acpi_table_begin(tables, "AAAA", 1);
	acpi_table_append(tables, "000011111111", 12);
	acpi_table_point(tables, 36, 4, dsdt);
	acpi_table_point(tables, 40, 8, dsdt);
	ck_assert_int_eq(place(BASE, ROOM), 0);

	/* The DSDT itself is not listed. */
	ck_assert_mem_eq(at(listed(0), 4), "AAAA", 4);
	ck_assert_uint_eq(get(get(rsdp + 24, 8) + 4, 4), 36 + 8);
	ck_assert_uint_eq(get(listed(0) + 36, 4), get(listed(0) + 40, 8));
	ck_assert_mem_eq(at(get(listed(0) + 36, 4), 4), "DSDT", 4);
	ck_assert_uint_eq(get(get(listed(0) + 36, 4) + 4, 4), 36 + 6);
	ck_assert_uint_eq(sum(listed(0), 48), 0);
}
END_TEST

START_TEST(acpi_tables_place_again_moves_the_links)
{
	acpi_table_begin(tables, "AAAA", 1);
	ck_assert_int_eq(place(BASE, ROOM), 0);
	ck_assert_int_eq(place(0x1000, ROOM), 0);
	ck_assert_uint_eq(rsdp, 0x1000);
	ck_assert_uint_eq(sum(rsdp, 36), 0);
	ck_assert_uint_lt(listed(0), BASE);
	ck_assert_mem_eq(at(listed(0), 4), "AAAA", 4);
	ck_assert_uint_eq(sum(listed(0), 36), 0);
}
END_TEST

START_TEST(acpi_tables_place_in_exactly_enough_room_fits)
{
	static const uint8_t data[1000];
	uint64_t need;

	acpi_table_begin(tables, "AAAA", 1);
	acpi_table_append(tables, data, sizeof(data));
	ck_assert_int_eq(place(BASE, ROOM), 0);
	need = listed(0) + 36 + sizeof(data) - BASE;
	ck_assert_int_eq(place(BASE, need), 0);
	ck_assert_int_eq(place(BASE, need - 1), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.text, "there is room for"));
}
END_TEST

START_TEST(acpi_tables_place_outside_ram_is_refused)
{
	ck_assert_int_eq(place(RAM_SIZE - 16, ROOM), -EFAULT);
	ck_assert_int_eq(place(UINT64_C(1) << 32, ROOM), -ERANGE);
}
END_TEST

START_TEST(acpi_tables_place_bad_aml_is_reported)
{
	struct aml aml;

	aml_init(&aml);
	aml_device_begin(&aml, "OPEN");
	acpi_tables_add_dsdt(tables, &aml);
	aml_fini(&aml);
	ck_assert_int_eq(place(BASE, ROOM), -EINVAL);
}
END_TEST

START_TEST(acpi_table_begin_too_many_is_reported)
{
	for (unsigned int i = 0; i < 100; i++)
		acpi_table_begin(tables, "AAAA", 1);
	ck_assert_int_eq(place(BASE, ROOM), -EINVAL);
}
END_TEST

START_TEST(acpi_table_point_outside_the_table_is_reported)
{
	acpi_table_begin(tables, "AAAA", 1);
	acpi_table_append(tables, "1234567", 7);
	acpi_table_point(tables, 36, 8, 1);
	ck_assert_int_eq(place(BASE, ROOM), -EINVAL);
}
END_TEST

START_TEST(acpi_fadt_add_memory_blocks_have_no_port)
{
	const struct acpi_fadt fadt = {
		.pm1a_evt_blk = acpi_gas_of(ACPI_SYSTEM_MEMORY, 0x1234, 32, 0),
		.pm_tmr_blk = acpi_gas_of(ACPI_SYSTEM_IO, 0x608, 32, 0),
		.arm_boot_arch = 0xabcd,
	};

	acpi_fadt_add(tables, &fadt);
	ck_assert_int_eq(place(BASE, ROOM), 0);
	ck_assert_uint_eq(get(listed(0) + 56, 4), 0);
	ck_assert_uint_eq(get(listed(0) + 76, 4), 0x608);
	ck_assert_uint_eq(get(listed(0) + 129, 2), 0xabcd);
	ck_assert_uint_eq(get(listed(0) + 131, 1), 5);
	ck_assert_uint_eq(get(listed(0) + 152, 8), 0x1234);
	ck_assert_mem_eq(at(listed(0) + 268, 6), "BANTAM", 6);
}
END_TEST

START_TEST(acpi_madt_local_apic_large_id_is_x2apic)
{
	static const uint8_t expected[] = {
		0, 8,  254, 254, 1,    0, 0, 0,			  /* APIC */
		9, 16, 0,   0,	 0xff, 0, 0, 0, 1, 0, 0, 0, 0xff, /* x2APIC */
		0, 0,  0,
	};

	acpi_madt_begin(tables, 0xfee00000, 0);
	acpi_madt_local_apic(tables, 254, 254);
	acpi_madt_local_apic(tables, 255, 255);
	ck_assert_int_eq(place(BASE, ROOM), 0);
	ck_assert_uint_eq(get(listed(0) + 4, 4), 44 + sizeof(expected));
	ck_assert_mem_eq(at(listed(0) + 44, sizeof(expected)), expected,
			 sizeof(expected));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("acpi_tables");
	TCase *tc = tcase_create("place");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, acpi_tables_place_nothing_gives_empty_roots);
	tcase_add_test(tc, acpi_tables_place_unaligned_base_aligns_the_rsdp);
	tcase_add_test(tc, acpi_table_begin_is_listed_in_both_roots);
	tcase_add_test(tc, acpi_table_point_field_gets_the_address);
	tcase_add_test(tc, acpi_tables_place_again_moves_the_links);
	tcase_add_test(tc, acpi_tables_place_in_exactly_enough_room_fits);
	tcase_add_test(tc, acpi_fadt_add_memory_blocks_have_no_port);
	tcase_add_test(tc, acpi_madt_local_apic_large_id_is_x2apic);
	suite_add_tcase(s, tc);

	tc = tcase_create("refusals");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, acpi_tables_place_outside_ram_is_refused);
	tcase_add_test(tc, acpi_tables_place_bad_aml_is_reported);
	tcase_add_test(tc, acpi_table_begin_too_many_is_reported);
	tcase_add_test(tc, acpi_table_point_outside_the_table_is_reported);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
