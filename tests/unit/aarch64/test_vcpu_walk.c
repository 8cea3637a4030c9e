/* Stage 1 tables as Linux has them, and as a guest gone wrong may. */
#include "arch/aarch64/vcpu_walk.h"

#include <errno.h>
#include <stdlib.h>

#include <check.h>

#include "vmm/base/bytes.h"

#define BASE  UINT64_C(0x40000000)
#define TABLE 3u /* or, in the last level, a page */
#define BLOCK 1u

#define HIGH UINT64_C(0xffff000000000000) /* of 48 bits */

/* TCR_EL1: 48 bits in both halves */
#define TCR_4K	(UINT64_C(16) | 16 << 16 | UINT64_C(2) << 30)
#define TCR_64K (UINT64_C(16) | 1 << 14 | 16 << 16 | UINT64_C(3) << 30)

static const struct guest_mem_region ram = {BASE, 2 << 20};
static struct guest_mem *mem;

static void put(uint64_t table, unsigned int index, uint64_t desc)
{
	le64 raw = le64_of(desc);

	ck_assert_int_eq(
		guest_mem_write(mem, table + 8 * index, &raw, sizeof(raw)), 0);
}

/* Tables at BASE + 0x10000 * level; all of the index 1. */
static void setup(void)
{
	ck_assert_int_eq(guest_mem_new(&mem, &ram, 1, 0, NULL), 0);
	for (unsigned int i = 0; i < 3; i++)
		put(BASE + 0x10000 * i, 1, (BASE + 0x10000 * (i + 1)) | TABLE);
}

static void teardown(void)
{
	guest_mem_free(mem);
}

static struct vcpu_walk walk_of(uint64_t tcr)
{
	return (struct vcpu_walk){
		.sctlr = 1,
		.tcr = tcr,
		.ttbr0 = BASE,
		.ttbr1 = BASE,
	};
}

static int at(uint64_t tcr, uint64_t va, uint64_t *pa)
{
	struct vcpu_walk walk = walk_of(tcr);

	return vcpu_walk(&walk, mem, va, pa);
}

#define VA_4K (UINT64_C(1) << 39 | 1 << 30 | 1 << 21 | 1 << 12 | 0x234)

START_TEST(vcpu_walk_with_mmu_off_is_flat)
{
	struct vcpu_walk walk = {.sctlr = 0};
	uint64_t pa;

	ck_assert_int_eq(vcpu_walk(&walk, mem, 0x1234, &pa), 0);
	ck_assert_uint_eq(pa, 0x1234);
}
END_TEST

START_TEST(vcpu_walk_of_page_takes_four_levels)
{
	uint64_t pa;

	put(BASE + 0x30000, 1, UINT64_C(0x7654000) | TABLE);
	ck_assert_int_eq(at(TCR_4K, VA_4K, &pa), 0);
	ck_assert_uint_eq(pa, 0x7654234);
	ck_assert_int_eq(at(TCR_4K, HIGH | VA_4K, &pa), 0);
	ck_assert_uint_eq(pa, 0x7654234);
	/* The top byte is a tag. */
	ck_assert_int_eq(at(TCR_4K, UINT64_C(0x5a) << 56 | VA_4K, &pa), 0);
	ck_assert_uint_eq(pa, 0x7654234);
}
END_TEST

START_TEST(vcpu_walk_of_block_ends_early)
{
	uint64_t pa;

	put(BASE + 0x20000, 1, UINT64_C(0x7600000) | BLOCK);
	ck_assert_int_eq(at(TCR_4K, VA_4K, &pa), 0);
	ck_assert_uint_eq(pa, 0x7601234);
}
END_TEST

START_TEST(vcpu_walk_with_64k_granule_takes_three_levels)
{
	uint64_t pa;

	put(BASE + 0x20000, 1, UINT64_C(0x7650000) | TABLE);
	ck_assert_int_eq(at(TCR_64K,
			    UINT64_C(1) << 42 | 1 << 29 | 1 << 16 | 0x2345,
			    &pa),
			 0);
	ck_assert_uint_eq(pa, 0x7652345);
}
END_TEST

static const struct {
	uint64_t tcr, va;
	unsigned int level; /* 1 to 3: what is at its index 1 */
	uint64_t desc;
} unmapped[] = {
	{TCR_4K, VA_4K, 3, 0},			       /* invalid */
	{TCR_4K, VA_4K, 3, 0x7654000 | BLOCK},	       /* no block there */
	{TCR_4K, VA_4K, 1, UINT64_C(1) << 46 | TABLE}, /* no RAM */
	{TCR_4K, UINT64_C(1) << 48 | VA_4K, 3, TABLE}, /* in neither half */
	{TCR_4K | UINT64_C(3) << 14, VA_4K, 3, TABLE}, /* no such granule */
	{TCR_4K & ~UINT64_C(0x3f), VA_4K, 3, TABLE},   /* 64 bits */
	{TCR_4K | 0x3f, 0, 3, TABLE},		       /* 1 bit */
};
#define UNMAPPED ((int)(sizeof(unmapped) / sizeof(unmapped[0])))

START_TEST(vcpu_walk_of_what_is_not_mapped_fails)
{
	uint64_t pa;

	put(BASE + 0x10000 * unmapped[_i].level, 1, unmapped[_i].desc);
	ck_assert_int_eq(at(unmapped[_i].tcr, unmapped[_i].va, &pa), -EFAULT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vcpu_walk");
	TCase *tcase = tcase_create("vcpu_walk");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, vcpu_walk_with_mmu_off_is_flat);
	tcase_add_test(tcase, vcpu_walk_of_page_takes_four_levels);
	tcase_add_test(tcase, vcpu_walk_of_block_ends_early);
	tcase_add_test(tcase, vcpu_walk_with_64k_granule_takes_three_levels);
	tcase_add_loop_test(tcase, vcpu_walk_of_what_is_not_mapped_fails, 0,
			    UNMAPPED);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
