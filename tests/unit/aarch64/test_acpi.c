/*
 * The Arm machine's tables as a guest finds them: walked from the RSDP, and
 * each taken apart and put together again by iasl, which must be there.
 */
#include "arch/aarch64/acpi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/aarch64/layout.h"
#include "tests/unit/support/iasl.h"
#include "vmm/arch.h"

#define RSDP_SIZE   36
#define HEADER_SIZE 36
#define ENTRIES_MAX 8
#define BASE	    (LAYOUT_RAM + 0x120000)
#define ROOM	    UINT64_C(0xe0000)

static const struct guest_mem_region ram = {LAYOUT_RAM, 2 << 20};

static struct guest_mem *mem;
static struct error err;
static uint64_t rsdp;
static uint64_t mpidr[ARCH_CPUS_MAX];

/* What the XSDT lists. */
static const uint8_t *entries[ENTRIES_MAX];
static unsigned int entry_count;

static const struct arm_acpi_config v3 = {
	.cpus = 2,
	.mpidr = mpidr,
	.gic_version = 3,
	.has_its = true,
	.virtio_mmio = 1,
	.pci64_base = UINT64_C(0x1000000000),
	.pci64_size = UINT64_C(0x1000000000),
};

static const struct arm_acpi_config v3_large = {
	.cpus = ARCH_CPUS_MAX,
	.mpidr = mpidr,
	.gic_version = 3,
	.virtio_mmio = LAYOUT_VIRTIO_MMIO_MAX,
};

static const struct arm_acpi_config v2 = {
	.cpus = 8,
	.mpidr = mpidr,
	.gic_version = 2,
};

static const struct arm_acpi_config *const configs[] = {&v3, &v3_large, &v2};

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
	ck_assert_uint_ge(gpa, BASE);
	ck_assert_uint_le(gpa + len, BASE + ROOM);
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

static const uint8_t *table_find(const char *signature)
{
	for (unsigned int i = 0; i < entry_count; i++) {
		if (memcmp(entries[i], signature, 4) == 0)
			return entries[i];
	}
	return NULL;
}

static const uint8_t *table_named(const char *signature)
{
	const uint8_t *table = table_find(signature);

	ck_assert_msg(table != NULL, "XSDT has no %s", signature);
	return table;
}

static const uint8_t *dsdt(void)
{
	return table_at(get(table_named("FACP"), 140, 8));
}

static bool dsdt_has(const void *bytes, size_t len)
{
	return memmem(dsdt(), get(dsdt(), 4, 4), bytes, len);
}

static void build(const struct arm_acpi_config *config)
{
	const uint8_t *root, *xsdt;

	ck_assert_msg(arm_acpi_build(mem, config, BASE, ROOM, &rsdp, &err) == 0,
		      "%s", err.text);
	root = at(rsdp, RSDP_SIZE);
	ck_assert_mem_eq(root, "RSD PTR ", 8);
	check_sum(root, RSDP_SIZE);
	xsdt = table_at(get(root, 24, 8));
	ck_assert_mem_eq(xsdt, "XSDT", 4);
	entry_count = (unsigned int)(get(xsdt, 4, 4) - HEADER_SIZE) / 8;
	ck_assert_uint_le(entry_count, ENTRIES_MAX);
	for (unsigned int i = 0; i < entry_count; i++)
		entries[i] = table_at(get(xsdt, HEADER_SIZE + 8 * i, 8));
}

static void setup(void)
{
	for (unsigned int i = 0; i < ARCH_CPUS_MAX; i++)
		mpidr[i] = (i & 0xf) | (i >> 4) << 8; /* as KVM counts */
	ck_assert_int_eq(guest_mem_new(&mem, &ram, 1, 0, &err), 0);
}

static void teardown(void)
{
	guest_mem_free(mem);
}

START_TEST(arm_acpi_build_lists_the_tables)
{
	build(configs[_i]);
	table_named("FACP");
	table_named("APIC");
	table_named("GTDT");
	table_named("MCFG");
	table_named("SPCR");
	ck_assert_int_eq(table_find("IORT") != NULL, configs[_i]->has_its);
	ck_assert_uint_eq(entry_count, configs[_i]->has_its ? 6 : 5);
	ck_assert_mem_eq(dsdt(), "DSDT", 4);
}
END_TEST

START_TEST(arm_acpi_build_without_ram_or_room_is_an_error)
{
	ck_assert_int_eq(arm_acpi_build(mem, &v3, 0x1000, ROOM, &rsdp, &err),
			 -EFAULT);
	ck_assert_int_eq(arm_acpi_build(mem, &v3, BASE, 0x400, &rsdp, &err),
			 -ENOSPC);
}
END_TEST

/* Linux refuses anything else. */
START_TEST(arm_acpi_build_fadt_is_reduced_and_has_psci)
{
	const uint8_t *fadt;

	build(configs[_i]);
	fadt = table_named("FACP");
	ck_assert_uint_ge(fadt[8], 6);
	ck_assert_uint_ne(get(fadt, 112, 4) & 1u << 20, 0);
	ck_assert_uint_eq(get(fadt, 129, 2), 3);     /* PSCI, by HVC */
	ck_assert_uint_eq(get(fadt, 244 + 4, 8), 0); /* no sleep registers */
}
END_TEST

/* The nth structure of that type in the MADT, or NULL. */
static const uint8_t *madt_entry(unsigned int type, unsigned int n)
{
	const uint8_t *madt = table_named("APIC");
	size_t len = get(madt, 4, 4);

	for (size_t i = 44; i < len; i += madt[i + 1]) {
		ck_assert_uint_ne(madt[i + 1], 0);
		if (madt[i] == type && n-- == 0)
			return madt + i;
	}
	return NULL;
}

START_TEST(arm_acpi_build_madt_has_a_gicc_for_each_cpu)
{
	const struct arm_acpi_config *config = configs[_i];

	build(config);
	for (unsigned int i = 0; i <= config->cpus; i++) {
		const uint8_t *gicc = madt_entry(0xb, i);

		if (i == config->cpus) {
			ck_assert_ptr_null(gicc);
			break;
		}
		ck_assert_ptr_nonnull(gicc);
		ck_assert_uint_eq(gicc[1], 80);
		ck_assert_uint_eq(get(gicc, 4, 4), i);
		ck_assert_uint_eq(get(gicc, 8, 4), i);
		ck_assert_uint_eq(get(gicc, 12, 4), 1);
		ck_assert_uint_eq(get(gicc, 32, 8),
				  config->gic_version == 2 ? 0x8010000 : 0);
		ck_assert_uint_eq(get(gicc, 60, 8), 0);
		ck_assert_uint_eq(get(gicc, 68, 8), mpidr[i]);
	}
}
END_TEST

START_TEST(arm_acpi_build_madt_of_gic_v3)
{
	const uint8_t *entry;

	build(&v3);
	entry = madt_entry(0xc, 0);
	ck_assert_uint_eq(get(entry, 8, 8), 0x8000000);
	ck_assert_uint_eq(entry[20], 3);
	entry = madt_entry(0xe, 0);
	ck_assert_uint_eq(get(entry, 4, 8), 0x80a0000);
	ck_assert_uint_eq(get(entry, 12, 4), 0xf60000);
	entry = madt_entry(0xf, 0);
	ck_assert_uint_eq(get(entry, 4, 4), 0);
	ck_assert_uint_eq(get(entry, 8, 8), 0x8080000);
	ck_assert_ptr_null(madt_entry(0xd, 0));
	build(&v3_large);
	ck_assert_ptr_null(madt_entry(0xf, 0));
}
END_TEST

START_TEST(arm_acpi_build_madt_of_gic_v2)
{
	const uint8_t *entry;

	build(&v2);
	entry = madt_entry(0xc, 0);
	ck_assert_uint_eq(entry[20], 2);
	entry = madt_entry(0xd, 0);
	ck_assert_uint_eq(get(entry, 8, 8), 0x8020000);
	ck_assert_uint_eq(get(entry, 16, 4), 1);
	ck_assert_uint_eq(get(entry, 20, 2), 64);
	ck_assert_uint_eq(get(entry, 22, 2), 80);
	ck_assert_ptr_null(madt_entry(0xe, 0));
	ck_assert_ptr_null(madt_entry(0xf, 0));
}
END_TEST

START_TEST(arm_acpi_build_gtdt_has_the_timers)
{
	static const uint32_t want[] = {29, 30, 27, 26};
	const uint8_t *gtdt;

	build(&v3);
	gtdt = table_named("GTDT");
	ck_assert_uint_eq(get(gtdt, 36, 8), UINT64_MAX);
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_uint_eq(get(gtdt, 48 + 8 * i, 4), want[i]);
		ck_assert_uint_eq(get(gtdt, 52 + 8 * i, 4), 4);
	}
	ck_assert_uint_eq(get(gtdt, 88, 4), 0);
}
END_TEST

START_TEST(arm_acpi_build_spcr_names_the_uart)
{
	const uint8_t *spcr;

	build(&v3);
	spcr = table_named("SPCR");
	ck_assert_uint_eq(spcr[36], 3);
	ck_assert_uint_eq(get(spcr, 44, 8), 0x9000000);
	ck_assert_uint_eq(get(spcr, 54, 4), 33);
}
END_TEST

START_TEST(arm_acpi_build_iort_leads_to_the_its)
{
	const uint8_t *iort, *group, *root;

	build(&v3);
	iort = table_named("IORT");
	ck_assert_uint_eq(get(iort, 36, 4), 2);
	group = iort + get(iort, 40, 4);
	ck_assert_uint_eq(group[0], 0);
	ck_assert_uint_eq(get(group, 16, 4), 1);
	ck_assert_uint_eq(get(group, 20, 4), 0);
	root = group + get(group, 1, 2);
	ck_assert_uint_eq(root[0], 2);
	ck_assert_uint_eq(get(root, 16, 4), 1); /* coherent */
	root += get(root, 12, 4);		/* its mapping */
	ck_assert_uint_eq(get(root, 0, 4), 0);
	ck_assert_uint_eq(get(root, 4, 4), 0xffff);
	ck_assert_uint_eq(get(root, 8, 4), 0);
	ck_assert_ptr_eq(iort + get(root, 12, 4), group);
}
END_TEST

START_TEST(arm_acpi_build_dsdt_has_the_devices)
{
	static const uint8_t uart[] = {
		0x86, 9, 0, 1,	  0, 0,	 0, 9, 0,
		0x10, 0, 0,			   /* Memory32Fixed */
		0x89, 6, 0, 0x01, 1, 33, 0, 0, 0}; /* level, high */
	static const uint8_t cca[] = {8, '_', 'C', 'C', 'A', 1};

	build(&v3);
	ck_assert(dsdt_has("ARMH0011", 8));
	ck_assert(dsdt_has(uart, sizeof(uart)));
	ck_assert(dsdt_has("QEMU0001", 8));
	ck_assert(dsdt_has("ACPI0013", 8));
	ck_assert(dsdt_has("PWRB", 4));
	ck_assert(dsdt_has("PCI0", 4));
	ck_assert(dsdt_has(cca, sizeof(cca)));
	ck_assert(!dsdt_has("_S5_", 4));
}
END_TEST

START_TEST(arm_acpi_build_dsdt_has_virtio_mmio)
{
	build(configs[_i]);
	for (unsigned int i = 0; i < LAYOUT_VIRTIO_MMIO_MAX; i++) {
		const uint8_t resources[] = {0x86,
					     9,
					     0,
					     1,
					     0,
					     (uint8_t)(i << 4),
					     (uint8_t)(i >> 4),
					     0xa,
					     0,
					     0x10,
					     0,
					     0,
					     0x89,
					     6,
					     0,
					     0x09,
					     1,
					     (uint8_t)(48 + i),
					     0,
					     0,
					     0};

		ck_assert_int_eq(dsdt_has(resources, sizeof(resources)),
				 i < configs[_i]->virtio_mmio);
	}
}
END_TEST

START_TEST(arm_acpi_build_any_machine_survives_iasl)
{
	const uint8_t *table;

	build(configs[_i]);
	table = dsdt();
	iasl_check(&table, 1);
	iasl_check(entries, entry_count);
}
END_TEST

static Suite *acpi_suite(void)
{
	Suite *suite = suite_create("acpi");
	TCase *tc = tcase_create("acpi");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60); /* of iasl, under an emulator */
	tcase_add_loop_test(tc, arm_acpi_build_lists_the_tables, 0, CONFIGS);
	tcase_add_test(tc, arm_acpi_build_without_ram_or_room_is_an_error);
	tcase_add_loop_test(tc, arm_acpi_build_fadt_is_reduced_and_has_psci, 0,
			    CONFIGS);
	tcase_add_loop_test(tc, arm_acpi_build_madt_has_a_gicc_for_each_cpu, 0,
			    CONFIGS);
	tcase_add_test(tc, arm_acpi_build_madt_of_gic_v3);
	tcase_add_test(tc, arm_acpi_build_madt_of_gic_v2);
	tcase_add_test(tc, arm_acpi_build_gtdt_has_the_timers);
	tcase_add_test(tc, arm_acpi_build_spcr_names_the_uart);
	tcase_add_test(tc, arm_acpi_build_iort_leads_to_the_its);
	tcase_add_test(tc, arm_acpi_build_dsdt_has_the_devices);
	tcase_add_loop_test(tc, arm_acpi_build_dsdt_has_virtio_mmio, 0,
			    CONFIGS);
	tcase_add_loop_test(tc, arm_acpi_build_any_machine_survives_iasl, 0,
			    CONFIGS);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(acpi_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
