/* The guest's CPUID, made from what made-up hosts of both vendors support. */
#include "arch/x86_64/cpuid.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <check.h>

#include "tests/unit/support/kvm.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define INDEXED		KVM_CPUID_FLAG_SIGNIFCANT_INDEX

/* A host with 16 cores of two threads, whose APIC ID 5 answered. */
static const struct kvm_cpuid_entry2 intel[] = {
	{.function = 0,
	 .eax = 0x1f,
	 .ebx = 0x756e6547,
	 .ecx = 0x6c65746e,
	 .edx = 0x49656e69},
	{.function = 1,
	 .ebx = 0x05200800,
	 .ecx = 0x0000803d,
	 .edx = 0x10200001},
	{.function = 4,
	 .index = 0,
	 .flags = INDEXED,
	 .eax = 0x3c004121,
	 .ebx = 0x01c0003f,
	 .ecx = 0x3f},
	{.function = 4, .index = 1, .flags = INDEXED, .eax = 0x3c004122},
	{.function = 4, .index = 2, .flags = INDEXED, .eax = 0x3c004143},
	{.function = 4, .index = 3, .flags = INDEXED, .eax = 0x3c07c163},
	{.function = 4, .index = 4, .flags = INDEXED},
	{.function = 7,
	 .index = 0,
	 .flags = INDEXED,
	 .ebx = 0x00000005,
	 .ecx = 0x40000001,
	 .edx = 0x00080002},
	{.function = 7, .index = 1, .flags = INDEXED, .ebx = 0x00000004},
	{.function = 0xa, .eax = 0x07300805},
	{.function = 0xb,
	 .index = 0,
	 .flags = INDEXED,
	 .eax = 1,
	 .ebx = 2,
	 .ecx = 0x100,
	 .edx = 5},
	{.function = 0xb,
	 .index = 1,
	 .flags = INDEXED,
	 .eax = 5,
	 .ebx = 32,
	 .ecx = 0x201,
	 .edx = 5},
	{.function = 0xd,
	 .index = 0,
	 .flags = INDEXED,
	 .eax = 0xe7,
	 .ebx = 0xa80,
	 .ecx = 0xa80},
	{.function = 0x12, .index = 0, .flags = INDEXED, .eax = 1},
	{.function = 0x1f, .index = 0, .flags = INDEXED, .edx = 5},
	{.function = 0x80000000, .eax = 0x80000008},
	{.function = 0x80000001, .ecx = 0x00000123},
	{.function = 0x80000008, .eax = 0x3030},
	{.function = 0x40000000,
	 .eax = 0x40000001,
	 .ebx = 0x4b4d564b,
	 .ecx = 0x564b4d56,
	 .edx = 0x4d},
	{.function = 0x40000001, .eax = 0x01007efb},
};

static const struct kvm_cpuid_entry2 amd[] = {
	{.function = 0,
	 .eax = 0x10,
	 .ebx = 0x68747541,
	 .ecx = 0x444d4163,
	 .edx = 0x69746e65},
	{.function = 1,
	 .ebx = 0x05200800,
	 .ecx = 0x00000001,
	 .edx = 0x10000001},
	{.function = 4, .index = 0, .flags = INDEXED},
	{.function = 0x80000000, .eax = 0x80000022},
	{.function = 0x80000001, .ecx = 0x11c00006},
	{.function = 0x80000008, .eax = 0x3030, .ecx = 0x0000501f},
	{.function = 0x8000000a, .eax = 1},
	{.function = 0x8000001d,
	 .index = 0,
	 .flags = INDEXED,
	 .eax = 0x00004121},
	{.function = 0x8000001d,
	 .index = 1,
	 .flags = INDEXED,
	 .eax = 0x00004122},
	{.function = 0x8000001d,
	 .index = 2,
	 .flags = INDEXED,
	 .eax = 0x00004143},
	{.function = 0x8000001d,
	 .index = 3,
	 .flags = INDEXED,
	 .eax = 0x0003c163},
	{.function = 0x8000001d, .index = 4, .flags = INDEXED},
	{.function = 0x8000001e, .eax = 5, .ebx = 0x0102, .ecx = 0x0301},
	{.function = 0x80000022, .eax = 1},
};

/* How many bits number that many cores, for the sizes that are tested. */
static const struct {
	unsigned int cpus, bits;
} sizes[] = {{1, 0}, {2, 1}, {3, 2}, {8, 3}, {64, 6}};

static struct cpuid *cpuid_intel(unsigned int cpus, bool tsc_deadline)
{
	struct cpuid *cpuid;

	ck_assert_int_eq(cpuid_new_from(&cpuid, intel, COUNT_OF(intel), cpus,
					tsc_deadline),
			 0);
	return cpuid;
}

static struct cpuid *cpuid_amd(unsigned int cpus)
{
	struct cpuid *cpuid;

	ck_assert_int_eq(cpuid_new_from(&cpuid, amd, COUNT_OF(amd), cpus, true),
			 0);
	return cpuid;
}

/* The entry of a leaf, NULL if there is none; none is there twice. */
static const struct kvm_cpuid_entry2 *leaf(const struct kvm_cpuid2 *table,
					   uint32_t function, uint32_t index)
{
	const struct kvm_cpuid_entry2 *found = NULL;

	for (unsigned int i = 0; i < table->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &table->entries[i];

		if (e->function != function || e->index != index)
			continue;
		ck_assert_ptr_null(found);
		found = e;
	}
	return found;
}

START_TEST(for_on_intel_counts_cores_in_leaf_1)
{
	unsigned int cpus = sizes[_i].cpus;
	struct cpuid *cpuid = cpuid_intel(cpus, true);
	const struct kvm_cpuid_entry2 *e;

	for (unsigned int i = 0; i < cpus; i++) {
		e = leaf(cpuid_for(cpuid, i), 1, 0);
		ck_assert_uint_eq(e->ebx, i << 24 | cpus << 16 | 0x0800);
		ck_assert_uint_eq(e->edx >> 28 & 1, cpus > 1);
	}
	cpuid_free(cpuid);
}
END_TEST

START_TEST(for_on_intel_shares_third_cache_level)
{
	unsigned int ids = 1u << sizes[_i].bits;
	struct cpuid *cpuid = cpuid_intel(sizes[_i].cpus, true);
	const struct kvm_cpuid2 *table = cpuid_for(cpuid, 0);
	uint32_t cores = (ids - 1) << 26;

	ck_assert_uint_eq(leaf(table, 4, 0)->eax, cores | 0x121);
	ck_assert_uint_eq(leaf(table, 4, 0)->ebx, 0x01c0003f);
	ck_assert_uint_eq(leaf(table, 4, 1)->eax, cores | 0x122);
	ck_assert_uint_eq(leaf(table, 4, 2)->eax, cores | 0x143);
	ck_assert_uint_eq(leaf(table, 4, 3)->eax,
			  cores | (ids - 1) << 14 | 0x163);
	ck_assert_uint_eq(leaf(table, 4, 4)->eax, 0);
	cpuid_free(cpuid);
}
END_TEST

static void check_topology(const struct kvm_cpuid2 *table, uint32_t function,
			   unsigned int cpus, unsigned int bits,
			   unsigned int id)
{
	const struct kvm_cpuid_entry2 *thread = leaf(table, function, 0);
	const struct kvm_cpuid_entry2 *core = leaf(table, function, 1);
	const struct kvm_cpuid_entry2 *end = leaf(table, function, 2);

	ck_assert_uint_eq(thread->flags, INDEXED);
	ck_assert_uint_eq(thread->eax, 0);
	ck_assert_uint_eq(thread->ebx, 1);
	ck_assert_uint_eq(thread->ecx, 0x100);
	ck_assert_uint_eq(thread->edx, id);
	ck_assert_uint_eq(core->flags, INDEXED);
	ck_assert_uint_eq(core->eax, bits);
	ck_assert_uint_eq(core->ebx, cpus);
	ck_assert_uint_eq(core->ecx, 0x201);
	ck_assert_uint_eq(core->edx, id);
	ck_assert_uint_eq(end->eax, 0);
	ck_assert_uint_eq(end->ebx, 0);
	ck_assert_uint_eq(end->ecx, 2);
	ck_assert_uint_eq(end->edx, id);
}

START_TEST(for_on_intel_has_both_topology_leaves)
{
	unsigned int cpus = sizes[_i].cpus;
	struct cpuid *cpuid = cpuid_intel(cpus, true);

	for (unsigned int i = 0; i < cpus; i++) {
		const struct kvm_cpuid2 *table = cpuid_for(cpuid, i);

		check_topology(table, 0xb, cpus, sizes[_i].bits, i);
		check_topology(table, 0x1f, cpus, sizes[_i].bits, i);
	}
	cpuid_free(cpuid);
}
END_TEST

START_TEST(for_on_intel_leaves_amd_fields_clear)
{
	struct cpuid *cpuid = cpuid_intel(8, true);
	const struct kvm_cpuid2 *table = cpuid_for(cpuid, 1);

	/* CmpLegacy (bit 1) was set above. */
	ck_assert_uint_eq(leaf(table, 0x80000001, 0)->ecx, 0x121);
	ck_assert_uint_eq(leaf(table, 0x80000008, 0)->ecx, 0);
	ck_assert_ptr_null(leaf(table, 0x8000001e, 0));
	cpuid_free(cpuid);
}
END_TEST

START_TEST(for_on_amd_counts_cores)
{
	unsigned int cpus = sizes[_i].cpus;
	struct cpuid *cpuid = cpuid_amd(cpus);

	for (unsigned int i = 0; i < cpus; i++) {
		const struct kvm_cpuid2 *table = cpuid_for(cpuid, i);
		const struct kvm_cpuid_entry2 *e = leaf(table, 1, 0);

		ck_assert_uint_eq(e->ebx, i << 24 | cpus << 16 | 0x0800);
		ck_assert_uint_eq(e->edx >> 28 & 1, cpus > 1);
		e = leaf(table, 0x80000001, 0);
		ck_assert_uint_eq(e->ecx >> 1 & 1, cpus > 1);
		e = leaf(table, 0x80000008, 0);
		ck_assert_uint_eq(e->ecx, sizes[_i].bits << 12 | (cpus - 1));
		e = leaf(table, 0x8000001e, 0);
		ck_assert_uint_eq(e->eax, i);
		ck_assert_uint_eq(e->ebx, i);
		ck_assert_uint_eq(e->ecx, 0);
		check_topology(table, 0xb, cpus, sizes[_i].bits, i);
	}
	cpuid_free(cpuid);
}
END_TEST

START_TEST(for_on_amd_shares_third_cache_level)
{
	unsigned int cpus = sizes[_i].cpus;
	struct cpuid *cpuid = cpuid_amd(cpus);
	const struct kvm_cpuid2 *table = cpuid_for(cpuid, 0);

	ck_assert_uint_eq(leaf(table, 0x8000001d, 0)->eax, 0x121);
	ck_assert_uint_eq(leaf(table, 0x8000001d, 1)->eax, 0x122);
	ck_assert_uint_eq(leaf(table, 0x8000001d, 2)->eax, 0x143);
	ck_assert_uint_eq(leaf(table, 0x8000001d, 3)->eax,
			  (cpus - 1) << 14 | 0x163);
	ck_assert_uint_eq(leaf(table, 0x8000001d, 4)->eax, 0);
	/* Not AMD's. */
	ck_assert_uint_eq(leaf(table, 4, 0)->eax, 0);
	cpuid_free(cpuid);
}
END_TEST

START_TEST(for_on_amd_without_topology_extensions_leaves_leaf_clear)
{
	struct kvm_cpuid_entry2 old[COUNT_OF(amd)];
	struct cpuid *cpuid;

	for (size_t i = 0; i < COUNT_OF(amd); i++) {
		old[i] = amd[i];
		if (old[i].function == 0x80000001)
			old[i].ecx &= ~0x00400000u;
		if (old[i].function == 0x8000001e)
			old[i].eax = old[i].ebx = old[i].ecx = 0;
	}
	ck_assert_int_eq(cpuid_new_from(&cpuid, old, COUNT_OF(old), 8, true),
			 0);
	ck_assert_uint_eq(leaf(cpuid_for(cpuid, 3), 0x8000001e, 0)->eax, 0);
	cpuid_free(cpuid);
}
END_TEST

START_TEST(for_with_short_range_adds_no_leaves)
{
	struct kvm_cpuid_entry2 old[2] = {intel[0], intel[1]};
	struct cpuid *cpuid;

	old[0].eax = 0xa;
	ck_assert_int_eq(cpuid_new_from(&cpuid, old, 2, 8, true), 0);
	ck_assert_uint_eq(cpuid_for(cpuid, 0)->nent, 2);
	cpuid_free(cpuid);
	old[0].eax = 0x1e;
	ck_assert_int_eq(cpuid_new_from(&cpuid, old, 2, 8, true), 0);
	ck_assert_ptr_nonnull(leaf(cpuid_for(cpuid, 0), 0xb, 0));
	ck_assert_ptr_null(leaf(cpuid_for(cpuid, 0), 0x1f, 0));
	cpuid_free(cpuid);
}
END_TEST

START_TEST(for_without_entries_is_empty)
{
	struct cpuid *cpuid;

	ck_assert_int_eq(cpuid_new_from(&cpuid, intel, 0, 1, true), 0);
	ck_assert_uint_eq(cpuid_for(cpuid, 0)->nent, 0);
	cpuid_free(cpuid);
}
END_TEST

START_TEST(for_on_any_host_sets_hypervisor_and_x2apic)
{
	struct cpuid *cpuid = _i ? cpuid_intel(1, true) : cpuid_amd(1);
	uint32_t ecx = leaf(cpuid_for(cpuid, 0), 1, 0)->ecx;

	ck_assert_uint_eq(ecx >> 31 & 1, 1);
	ck_assert_uint_eq(ecx >> 21 & 1, 1);
	cpuid_free(cpuid);
}
END_TEST

START_TEST(for_with_tsc_deadline_follows_kvm)
{
	struct cpuid *cpuid = cpuid_intel(1, _i);

	ck_assert_int_eq(leaf(cpuid_for(cpuid, 0), 1, 0)->ecx >> 24 & 1, _i);
	cpuid_free(cpuid);
}
END_TEST

START_TEST(for_on_any_host_drops_what_is_not_offered)
{
	struct cpuid *cpuid = cpuid_intel(2, true);
	const struct kvm_cpuid2 *table = cpuid_for(cpuid, 0);

	/* DTES64, DS-CPL, VMX, PDCM; DS */
	ck_assert_uint_eq(leaf(table, 1, 0)->ecx & 0x00008034, 0);
	ck_assert_uint_eq(leaf(table, 1, 0)->ecx & 0x9, 0x9);
	ck_assert_uint_eq(leaf(table, 1, 0)->edx, 0x10000001);
	/* SGX; SGX_LC; SGX-KEYS, architectural LBR */
	ck_assert_uint_eq(leaf(table, 7, 0)->ebx, 0x1);
	ck_assert_uint_eq(leaf(table, 7, 0)->ecx, 0x1);
	ck_assert_uint_eq(leaf(table, 7, 0)->edx, 0);
	ck_assert_uint_eq(leaf(table, 7, 1)->ebx, 0x4);
	ck_assert_ptr_null(leaf(table, 0xa, 0));
	ck_assert_ptr_null(leaf(table, 0x12, 0));
	cpuid_free(cpuid);
	cpuid = cpuid_amd(2);
	table = cpuid_for(cpuid, 0);
	/* SVM, PerfCtrExtCore, -NB, -LLC gone; CmpLegacy, TOPOEXT there */
	ck_assert_uint_eq(leaf(table, 0x80000001, 0)->ecx, 0x00400002);
	ck_assert_ptr_null(leaf(table, 0x8000000a, 0));
	ck_assert_ptr_null(leaf(table, 0x80000022, 0));
	cpuid_free(cpuid);
}
END_TEST

START_TEST(for_on_any_host_keeps_the_rest)
{
	struct cpuid *cpuid = cpuid_intel(2, true);
	const struct kvm_cpuid2 *table = cpuid_for(cpuid, 1);

	ck_assert_uint_eq(leaf(table, 0xd, 0)->eax, 0xe7);
	ck_assert_uint_eq(leaf(table, 0xd, 0)->ebx, 0xa80);
	ck_assert_uint_eq(leaf(table, 0x40000000, 0)->ebx, 0x4b4d564b);
	ck_assert_uint_eq(leaf(table, 0x40000001, 0)->eax, 0x01007efb);
	cpuid_free(cpuid);
}
END_TEST

START_TEST(address_bits_follow_leaf_80000008)
{
	static const struct {
		struct kvm_cpuid_entry2 entry;
		unsigned int bits;
	} rows[] = {
		{{.function = 0x80000008, .eax = 0x3030}, 48},
		{{.function = 0x80000008, .eax = 0x273030}, 39},
		{{.function = 0x80000007}, 36},
	};
	struct cpuid *c;

	ck_assert_int_eq(cpuid_new_from(&c, &rows[_i].entry, 1, 1, false), 0);
	ck_assert_uint_eq(cpuid_address_bits(c), rows[_i].bits);
	cpuid_free(c);
}
END_TEST

START_TEST(set_on_kvm_is_taken_for_each_vcpu)
{
	struct kvm_cpuid2 *got = NULL;
	struct kvm_test vm;
	struct cpuid *cpuid;
	struct error err;

	got = calloc(1, sizeof(*got) + 256 * sizeof(got->entries[0]));
	kvm_test_init(&vm);
	kvm_test_add_vcpus(&vm);
	ck_assert_msg(cpuid_new(&cpuid, vm.kvm_fd, KVM_TEST_CPUS, &err) == 0,
		      "%s", err.text);
	for (unsigned int i = 0; i < KVM_TEST_CPUS; i++) {
		ck_assert_msg(cpuid_set(cpuid, vm.vcpu_fds[i], i, &err) == 0,
			      "%s", err.text);
		got->nent = 256;
		ck_assert_int_eq(ioctl(vm.vcpu_fds[i], KVM_GET_CPUID2, got), 0);
		check_topology(got, 0xb, KVM_TEST_CPUS, 1, i);
	}
	cpuid_free(cpuid);
	kvm_test_fini(&vm);
	free(got);
}
END_TEST

START_TEST(set_on_no_vcpu_says_so)
{
	struct cpuid *cpuid = cpuid_intel(4, true);
	struct error err;

	ck_assert_int_lt(cpuid_set(cpuid, -1, 3, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "vCPU 3"));
	cpuid_free(cpuid);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cpuid");
	TCase *tcase = tcase_create("cpuid");
	SRunner *runner = srunner_create(suite);
	int all = COUNT_OF(sizes);
	int failed;

	tcase_add_loop_test(tcase, for_on_intel_counts_cores_in_leaf_1, 0, all);
	tcase_add_loop_test(tcase, for_on_intel_shares_third_cache_level, 0,
			    all);
	tcase_add_loop_test(tcase, for_on_intel_has_both_topology_leaves, 0,
			    all);
	tcase_add_test(tcase, for_on_intel_leaves_amd_fields_clear);
	tcase_add_loop_test(tcase, for_on_amd_counts_cores, 0, all);
	tcase_add_loop_test(tcase, for_on_amd_shares_third_cache_level, 0, all);
	tcase_add_test(
		tcase,
		for_on_amd_without_topology_extensions_leaves_leaf_clear);
	tcase_add_test(tcase, for_with_short_range_adds_no_leaves);
	tcase_add_test(tcase, for_without_entries_is_empty);
	tcase_add_loop_test(tcase, for_on_any_host_sets_hypervisor_and_x2apic,
			    0, 2);
	tcase_add_loop_test(tcase, for_with_tsc_deadline_follows_kvm, 0, 2);
	tcase_add_test(tcase, for_on_any_host_drops_what_is_not_offered);
	tcase_add_test(tcase, for_on_any_host_keeps_the_rest);
	tcase_add_loop_test(tcase, address_bits_follow_leaf_80000008, 0, 3);
	tcase_add_test(tcase, set_on_no_vcpu_says_so);
	if (kvm_test_available("test_cpuid"))
		tcase_add_test(tcase, set_on_kvm_is_taken_for_each_vcpu);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
