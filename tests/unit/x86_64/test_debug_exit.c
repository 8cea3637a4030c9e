/*
 * The debug-exit port: the byte that a guest writes reaches the machine.
 */
#include "arch/x86_64/debug_exit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/x86_64/layout.h"
#include "tests/unit/support/fake_host.h"

static struct fake_host fake;
static struct debug_exit *debug_exit;

static void setup(void)
{
	fake_host_init(&fake);
	ck_assert_int_eq(debug_exit_new(&debug_exit, &fake.host), 0);
}

static void teardown(void)
{
	debug_exit_device_ops.free(debug_exit);
	ck_assert_uint_eq(fake_host_ranges(&fake), 0);
}

START_TEST(new_port_taken_fails)
{
	struct debug_exit *second;

	ck_assert_int_eq(debug_exit_new(&second, &fake.host), -EEXIST);
	ck_assert_uint_eq(fake_host_ranges(&fake), 1);
}
END_TEST

START_TEST(write_hands_over_every_value)
{
	for (unsigned int value = 0; value < 0x100; value++) {
		fake_host_write(&fake, BUS_PIO, PORT_DEBUG_EXIT, 1, value);
		ck_assert_uint_eq(fake.notices[HOST_DEBUG_EXIT], value + 1);
		ck_assert_uint_eq(fake.notice_values[HOST_DEBUG_EXIT], value);
	}
}
END_TEST

START_TEST(read_is_all_ones_and_harmless)
{
	ck_assert_uint_eq(fake_host_read(&fake, BUS_PIO, PORT_DEBUG_EXIT, 1),
			  0xff);
	ck_assert_uint_eq(fake.notices[HOST_DEBUG_EXIT], 0);
}
END_TEST

START_TEST(restore_takes_what_was_saved_and_nothing_else)
{
	struct error err = {.text = ""};
	json_t *first, *second;

	ck_assert_int_eq(debug_exit_device_ops.save(debug_exit, &first), 0);
	debug_exit_device_ops.reset(debug_exit);
	ck_assert_int_eq(debug_exit_device_ops.restore(debug_exit, first, &err),
			 0);
	ck_assert_int_eq(debug_exit_device_ops.save(debug_exit, &second), 0);
	ck_assert(json_equal(first, second));
	json_object_set_new(first, "surplus", json_true());
	ck_assert_int_eq(debug_exit_device_ops.restore(debug_exit, first, &err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "surplus"));
	ck_assert_uint_eq(fake.notices[HOST_DEBUG_EXIT], 0);
	json_decref(first);
	json_decref(second);
}
END_TEST

static Suite *debug_exit_suite(void)
{
	Suite *suite = suite_create("debug_exit");
	TCase *tc = tcase_create("debug_exit");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, new_port_taken_fails);
	tcase_add_test(tc, write_hands_over_every_value);
	tcase_add_test(tc, read_is_all_ones_and_harmless);
	tcase_add_test(tc, restore_takes_what_was_saved_and_nothing_else);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(debug_exit_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
