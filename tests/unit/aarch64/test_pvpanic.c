/*
 * The page of pvpanic and debug exit: what ends the machine, and what does
 * nothing.
 */
#include "arch/aarch64/pvpanic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/aarch64/layout.h"
#include "tests/unit/support/fake_host.h"

static struct fake_host fake;
static struct pvpanic *pvpanic;

static void setup(void)
{
	fake_host_init(&fake);
	ck_assert_int_eq(pvpanic_new(&pvpanic, &fake.host, LAYOUT_PVPANIC), 0);
}

static void teardown(void)
{
	pvpanic_device_ops.free(pvpanic);
	ck_assert_uint_eq(fake_host_ranges(&fake), 0);
}

static uint64_t get(uint64_t offset, unsigned int size)
{
	return fake_host_read(&fake, BUS_MMIO, LAYOUT_PVPANIC + offset, size);
}

static void put(uint64_t offset, unsigned int size, uint64_t value)
{
	fake_host_write(&fake, BUS_MMIO, LAYOUT_PVPANIC + offset, size, value);
}

static unsigned int notices(void)
{
	unsigned int sum = 0;

	for (unsigned int i = 0; i < HOST_NOTICES; i++)
		sum += fake.notices[i];
	return sum;
}

START_TEST(new_place_taken_fails)
{
	struct pvpanic *second;

	ck_assert_int_eq(pvpanic_new(&second, &fake.host, LAYOUT_PVPANIC),
			 -EEXIST);
	ck_assert_uint_eq(fake_host_ranges(&fake), 1);
}
END_TEST

START_TEST(read_shows_the_events_and_nothing_else)
{
	ck_assert_uint_eq(get(0, 1), 3);
	ck_assert_uint_eq(get(1, 1), 0);
	ck_assert_uint_eq(get(0xff8, 4), 0);
	ck_assert_uint_eq(get(PVPANIC_DEBUG_EXIT, 4), UINT32_MAX);
}
END_TEST

START_TEST(write_notices_a_panic_and_nothing_else)
{
	unsigned int want = 0;

	for (unsigned int events = 0; events < 0x100; events++) {
		put(0, 1, events);
		want += events & 1;
		ck_assert_uint_eq(fake.notices[HOST_PANIC], want);
	}
	ck_assert_uint_eq(notices(), want);
}
END_TEST

START_TEST(write_debug_exit_hands_the_status_over)
{
	static const struct {
		uint32_t value;
		unsigned int want;
	} cases[] = {
		{0, 0},	    {1, 1},	  {42, 42},	     {255, 255},
		{256, 255}, {0x12a, 255}, {UINT32_MAX, 255},
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		put(PVPANIC_DEBUG_EXIT, 4, cases[i].value);
		ck_assert_uint_eq(fake.notices[HOST_DEBUG_EXIT], i + 1);
		ck_assert_uint_eq(fake.notice_values[HOST_DEBUG_EXIT],
				  cases[i].want);
		ck_assert_uint_eq(notices(), i + 1);
	}
}
END_TEST

START_TEST(write_elsewhere_or_in_parts_does_nothing)
{
	put(1, 1, 1);
	put(4, 4, 1);
	put(0xff8, 4, 1);
	put(PVPANIC_DEBUG_EXIT, 1, 1);
	put(PVPANIC_DEBUG_EXIT, 2, 1);
	put(PVPANIC_DEBUG_EXIT + 3, 1, 1);
	ck_assert_uint_eq(notices(), 0);
}
END_TEST

START_TEST(restore_takes_what_was_saved_and_nothing_else)
{
	struct error err = {.text = ""};
	json_t *first, *second;

	ck_assert_int_eq(pvpanic_device_ops.save(pvpanic, &first), 0);
	pvpanic_device_ops.reset(pvpanic);
	ck_assert_int_eq(pvpanic_device_ops.restore(pvpanic, first, &err), 0);
	ck_assert_int_eq(pvpanic_device_ops.save(pvpanic, &second), 0);
	ck_assert(json_equal(first, second));
	json_object_set_new(first, "surplus", json_true());
	ck_assert_int_eq(pvpanic_device_ops.restore(pvpanic, first, &err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "surplus"));
	ck_assert_uint_eq(notices(), 0);
	json_decref(first);
	json_decref(second);
}
END_TEST

static Suite *pvpanic_suite(void)
{
	Suite *suite = suite_create("pvpanic");
	TCase *tc = tcase_create("pvpanic");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, new_place_taken_fails);
	tcase_add_test(tc, read_shows_the_events_and_nothing_else);
	tcase_add_test(tc, write_notices_a_panic_and_nothing_else);
	tcase_add_test(tc, write_debug_exit_hands_the_status_over);
	tcase_add_test(tc, write_elsewhere_or_in_parts_does_nothing);
	tcase_add_test(tc, restore_takes_what_was_saved_and_nothing_else);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(pvpanic_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
