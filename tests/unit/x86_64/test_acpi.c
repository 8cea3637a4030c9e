/*
 * The PC's tables as a guest finds them: walked from the RSDP, and the DSDT
 * taken apart and put together again by iasl, which must be there.
 */
#include "arch/x86_64/acpi.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "acpi/ged.h"
#include "arch/x86_64/layout.h"
#include "tests/unit/support/iasl.h"

#define RSDP_SIZE   36
#define HEADER_SIZE 36
#define ENTRIES_MAX 8

static const struct guest_mem_region ram = {.base = 0, .size = 2 << 20};

static struct guest_mem *mem;
static struct error err;
static uint64_t rsdp;

/* What the XSDT lists. */
static const uint8_t *entries[ENTRIES_MAX];
static unsigned int entry_count;

static const struct x86_acpi_config lean = {
	.profile = ARCH_PROFILE_LEAN,
	.cpus = 2,
	.has_serial = true,
	.pci64_base = LAYOUT_PCI64_ALIGN,
	.pci64_size = LAYOUT_PCI64_SIZE,
};

static const struct x86_acpi_config legacy = {
	.profile = ARCH_PROFILE_LEGACY,
	.cpus = 2,
	.has_serial = true,
	.virtio_mmio = 1,
};

static const struct x86_acpi_config lean_64_cpus = {
	.profile = ARCH_PROFILE_LEAN,
	.cpus = ARCH_CPUS_MAX,
	.virtio_mmio = LAYOUT_VIRTIO_MMIO_MAX,
};

static const struct x86_acpi_config *const configs[] = {
	&lean,
	&legacy,
	&lean_64_cpus,
};

#define CONFIGS (sizeof(configs) / sizeof(configs[0]))

static uint64_t get(const uint8_t *table, size_t offset, unsigned int size)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < size; i++)
		value |= (uint64_t)table[offset + i] << 8 * i;
	return value;
}

static const uint8_t *at(uint64_t gpa, uint64_t len)
{
	const uint8_t *data = guest_mem_span(mem, gpa, len);

	ck_assert_ptr_nonnull(data);
	ck_assert_uint_ge(gpa, LAYOUT_ACPI);
	ck_assert_uint_le(gpa + len, LAYOUT_ACPI + LAYOUT_ACPI_SIZE);
	return data;
}

static void check_sum(const uint8_t *data, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + data[i]);
	ck_assert_uint_eq(sum, 0);
}

/* A whole table, its header checked. */
static const uint8_t *table_at(uint64_t gpa)
{
	uint64_t len = get(at(gpa, HEADER_SIZE), 4, 4);
	const uint8_t *table = at(gpa, len);

	check_sum(table, len);
	ck_assert_mem_eq(table + 10, "BANTAM", 6);
	return table;
}

static const uint8_t *table_named(const char *signature)
{
	for (unsigned int i = 0; i < entry_count; i++) {
		if (memcmp(entries[i], signature, 4) == 0)
			return entries[i];
	}
	ck_abort_msg("XSDT has no %s", signature);
	return NULL;
}

static const uint8_t *dsdt(void)
{
	return table_at(get(table_named("FACP"), 140, 8));
}

/* Build and walk; RSDT and XSDT have to agree. */
static void build(const struct x86_acpi_config *config)
{
	const uint8_t *root, *rsdt, *xsdt;

	ck_assert_int_eq(x86_acpi_build(mem, config, &rsdp, &err), 0);
	ck_assert_uint_eq(rsdp, LAYOUT_ACPI);
	root = at(rsdp, RSDP_SIZE);
	ck_assert_mem_eq(root, "RSD PTR ", 8);
	check_sum(root, 20);
	check_sum(root, RSDP_SIZE);
	ck_assert_uint_eq(root[15], 2);

	rsdt = table_at(get(root, 16, 4));
	xsdt = table_at(get(root, 24, 8));
	ck_assert_mem_eq(rsdt, "RSDT", 4);
	ck_assert_mem_eq(xsdt, "XSDT", 4);
	entry_count = (unsigned int)(get(xsdt, 4, 4) - HEADER_SIZE) / 8;
	ck_assert_uint_le(entry_count, ENTRIES_MAX);
	ck_assert_uint_eq((get(rsdt, 4, 4) - HEADER_SIZE) / 4, entry_count);
	for (unsigned int i = 0; i < entry_count; i++) {
		uint64_t gpa = get(xsdt, HEADER_SIZE + 8 * i, 8);

		ck_assert_uint_eq(get(rsdt, HEADER_SIZE + 4 * i, 4), gpa);
		entries[i] = table_at(gpa);
	}
}

/* A GAS: space, width, address. */
static void check_gas(const uint8_t *table, size_t offset, unsigned int space,
		      unsigned int bits, uint64_t address)
{
	ck_assert_uint_eq(table[offset], space);
	ck_assert_uint_eq(table[offset + 1], bits);
	ck_assert_uint_eq(get(table, offset + 4, 8), address);
}

static void setup(void)
{
	ck_assert_int_eq(guest_mem_new(&mem, &ram, 1, 0, &err), 0);
}

static void teardown(void)
{
	guest_mem_free(mem);
}

START_TEST(x86_acpi_build_any_profile_lists_the_tables)
{
	build(configs[_i]);
	table_named("FACP");
	table_named("APIC");
	table_named("MCFG");
	ck_assert_uint_eq(entry_count, 3);
	ck_assert_mem_eq(dsdt(), "DSDT", 4);
	ck_assert_uint_eq(dsdt()[8], 2);
}
END_TEST

START_TEST(x86_acpi_build_twice_gives_the_same_bytes)
{
	static uint8_t before[LAYOUT_ACPI_SIZE];

	build(configs[_i]);
	memcpy(before, at(LAYOUT_ACPI, LAYOUT_ACPI_SIZE), sizeof(before));
	ck_assert_int_eq(guest_mem_discard(mem), 0);
	build(configs[_i]);
	ck_assert_mem_eq(at(LAYOUT_ACPI, LAYOUT_ACPI_SIZE), before,
			 sizeof(before));
}
END_TEST

START_TEST(x86_acpi_build_without_ram_names_the_place)
{
	static const struct guest_mem_region little = {.size = 64 << 10};
	struct guest_mem *small;

	ck_assert_int_eq(guest_mem_new(&small, &little, 1, 0, &err), 0);
	ck_assert_int_eq(x86_acpi_build(small, &lean, &rsdp, &err), -EFAULT);
	ck_assert_ptr_nonnull(strstr(err.text, "0xe0000"));
	guest_mem_free(small);
}
END_TEST

START_TEST(x86_acpi_build_lean_is_hardware_reduced)
{
	const uint8_t *fadt;

	build(&lean);
	fadt = table_named("FACP");
	ck_assert_uint_eq(get(fadt, 4, 4), 276);
	ck_assert_uint_eq(fadt[8], 6);
	/* HW_REDUCED_ACPI, RESET_REG_SUP, PWR_BUTTON */
	ck_assert_uint_eq(get(fadt, 112, 4) & (1 << 20 | 1 << 10 | 1 << 4),
			  1 << 20 | 1 << 10 | 1 << 4);
	/* No 8042, no VGA, but an RTC at its usual ports. */
	ck_assert_uint_eq(get(fadt, 109, 2), 1 << 2);
	check_gas(fadt, 116, 0, 8, LAYOUT_GED + GED_RESET);
	ck_assert_uint_eq(fadt[128], GED_RESET_VALUE);
	check_gas(fadt, 244, 0, 8, LAYOUT_GED + GED_SLEEP_CONTROL);
	check_gas(fadt, 256, 0, 8, LAYOUT_GED + GED_SLEEP_STATUS);
	ck_assert_uint_eq(get(fadt, 36, 4), 0);
	ck_assert_uint_eq(get(fadt, 56, 4), 0);
	ck_assert_uint_eq(get(fadt, 40, 4), get(fadt, 140, 8));
}
END_TEST

START_TEST(x86_acpi_build_legacy_has_fixed_hardware)
{
	const uint8_t *fadt, *facs;

	build(&legacy);
	fadt = table_named("FACP");
	/* Neither hardware-reduced nor a control method power button. */
	ck_assert_uint_eq(get(fadt, 112, 4) & (1 << 20 | 1 << 4), 0);
	ck_assert_uint_eq(get(fadt, 46, 2), GSI_SCI);
	ck_assert_uint_eq(get(fadt, 48, 4), 0);
	ck_assert_uint_eq(get(fadt, 56, 4), PORT_PM1);
	ck_assert_uint_eq(get(fadt, 64, 4), PORT_PM1 + 4);
	ck_assert_uint_eq(get(fadt, 76, 4), PORT_PM1 + 8);
	ck_assert_uint_eq(fadt[88], 4);
	ck_assert_uint_eq(fadt[89], 2);
	ck_assert_uint_eq(fadt[91], 4);
	check_gas(fadt, 148, 1, 32, PORT_PM1);
	check_gas(fadt, 172, 1, 16, PORT_PM1 + 4);
	check_gas(fadt, 208, 1, 32, PORT_PM1 + 8);
	check_gas(fadt, 116, 1, 8, 0xcf9);
	ck_assert_uint_eq(fadt[128], 6);

	facs = at(get(fadt, 36, 4), 64);
	ck_assert_mem_eq(facs, "FACS", 4);
	ck_assert_uint_eq(get(facs, 4, 4), 64);
	ck_assert_uint_eq(get(fadt, 36, 4) % 64, 0);
}
END_TEST

START_TEST(x86_acpi_build_lean_madt_has_processors_and_one_io_apic)
{
	static const uint8_t expected[] = {
		0x00, 0x00, 0xe0, 0xfe, 0,    0,    0,	  0, /* LAPIC, no
								PCAT_COMPAT */
		0,    8,    0,	  0,	1,    0,    0,	  0, /* processor 0 */
		0,    8,    1,	  1,	1,    0,    0,	  0, /* processor 1 */
		1,    12,   0,	  0,	0x00, 0x00, 0xc0, 0xfe, 0,
		0,    0,    0,			 /* IO-APIC */
		4,    6,    0xff, 0,	0,    1, /* NMI */
	};
	const uint8_t *madt;

	build(&lean);
	madt = table_named("APIC");
	ck_assert_uint_eq(get(madt, 4, 4), HEADER_SIZE + sizeof(expected));
	ck_assert_mem_eq(madt + HEADER_SIZE, expected, sizeof(expected));
}
END_TEST

START_TEST(x86_acpi_build_legacy_madt_has_8259_and_overrides)
{
	static const uint8_t expected[] = {
		2, 10, 0,    0, 2, 0,
		0, 0,  0,    0, /* IRQ 0 is GSI 2 */
		2, 10, 0,    9, 9, 0,
		0, 0,  0x0d, 0, /* SCI: level, active high */
		4, 6,  0xff, 0, 0, 1,
	};
	const uint8_t *madt;

	build(&legacy);
	madt = table_named("APIC");
	ck_assert_uint_eq(get(madt, 40, 4), 1);
	ck_assert_uint_eq(get(madt, 4, 4), 72 + sizeof(expected));
	ck_assert_mem_eq(madt + 72, expected, sizeof(expected));
}
END_TEST

START_TEST(x86_acpi_build_mcfg_has_bus_0)
{
	const uint8_t *mcfg;

	build(configs[_i]);
	mcfg = table_named("MCFG");
	ck_assert_uint_eq(get(mcfg, 4, 4), 60);
	ck_assert_uint_eq(get(mcfg, 44, 8), LAYOUT_ECAM);
	ck_assert_uint_eq(get(mcfg, 52, 8), 0);
}
END_TEST

/* Whether the DSDT has these bytes somewhere. */
static bool dsdt_has(const void *bytes, size_t len)
{
	const uint8_t *table = dsdt();

	return memmem(table, get(table, 4, 4), bytes, len) != NULL;
}

START_TEST(x86_acpi_build_dsdt_has_what_the_profile_has)
{
	static const uint8_t uart[] = {0x41, 0xd0, 0x05, 0x01};
	static const uint8_t button[] = {0x41, 0xd0, 0x0c, 0x0c};
	static const uint8_t pic[] = {0x08, '_',  'H',	'I',
				      'D',  0x0b, 0x41, 0xd0};
	static const uint8_t s5[] = {0x08, '_', 'S',  '5', '_',	 0x12,
				     0x08, 4,	0x0a, 5,   0x0a, 5};

	build(configs[_i]);
	ck_assert(dsdt_has(s5, sizeof(s5)));
	ck_assert(dsdt_has("QEMU0001", 8));
	ck_assert_int_eq(dsdt_has(uart, sizeof(uart)), configs[_i]->has_serial);
	ck_assert_int_eq(dsdt_has("ACPI0013", 8), configs[_i] != &legacy);
	ck_assert_int_eq(dsdt_has(button, 4), configs[_i] != &legacy);
	ck_assert_int_eq(dsdt_has(pic, sizeof(pic)), configs[_i] == &legacy);
}
END_TEST

/* All there are, each at its place and with its interrupt, and no more. */
START_TEST(x86_acpi_build_dsdt_has_virtio_mmio)
{
	for (unsigned int i = 0; i <= LAYOUT_VIRTIO_MMIO_MAX; i++) {
		uint32_t base = 0xfeb00000 + i * 0x1000;
		const uint8_t resources[] = {
			/* Memory32Fixed */
			0x86, 9, 0, 1, (uint8_t)base, (uint8_t)(base >> 8),
			(uint8_t)(base >> 16), (uint8_t)(base >> 24), 0, 0x10,
			0, 0,
			/* Interrupt: level, high, shared */
			0x89, 6, 0, 0x09, 1, (uint8_t)(20 + i % 4), 0, 0, 0};

		build(configs[_i]);
		ck_assert_int_eq(dsdt_has(resources, sizeof(resources)),
				 i < configs[_i]->virtio_mmio);
	}
	ck_assert_int_eq(dsdt_has("LNRO0005", 8), configs[_i]->virtio_mmio > 0);
	ck_assert_int_eq(dsdt_has("VR1F", 4), configs[_i]->virtio_mmio == 32);
}
END_TEST

START_TEST(x86_acpi_build_any_profile_survives_iasl)
{
	const uint8_t *table;

	build(configs[_i]);
	table = dsdt();
	iasl_check(&table, 1);
	iasl_check(entries, entry_count);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("x86_acpi");
	TCase *build_case = tcase_create("build");
	TCase *iasl_case = tcase_create("iasl");

	tcase_add_checked_fixture(build_case, setup, teardown);
	tcase_add_loop_test(build_case,
			    x86_acpi_build_any_profile_lists_the_tables, 0,
			    CONFIGS);
	tcase_add_loop_test(build_case,
			    x86_acpi_build_twice_gives_the_same_bytes, 0,
			    CONFIGS);
	tcase_add_test(build_case, x86_acpi_build_without_ram_names_the_place);
	tcase_add_test(build_case, x86_acpi_build_lean_is_hardware_reduced);
	tcase_add_test(build_case, x86_acpi_build_legacy_has_fixed_hardware);
	tcase_add_test(build_case,
		       x86_acpi_build_lean_madt_has_processors_and_one_io_apic);
	tcase_add_test(build_case,
		       x86_acpi_build_legacy_madt_has_8259_and_overrides);
	tcase_add_loop_test(build_case, x86_acpi_build_mcfg_has_bus_0, 0,
			    CONFIGS);
	tcase_add_loop_test(build_case,
			    x86_acpi_build_dsdt_has_what_the_profile_has, 0,
			    CONFIGS);
	tcase_add_loop_test(build_case, x86_acpi_build_dsdt_has_virtio_mmio, 0,
			    CONFIGS);
	suite_add_tcase(s, build_case);

	tcase_add_checked_fixture(iasl_case, setup, teardown);
	tcase_set_timeout(iasl_case, 60);
	tcase_add_loop_test(iasl_case, x86_acpi_build_any_profile_survives_iasl,
			    0, CONFIGS);
	suite_add_tcase(s, iasl_case);
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
