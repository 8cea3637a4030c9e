/*
 * The pvpanic port: which events it takes and which of them end the machine.
 */
#include "arch/x86_64/pvpanic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/x86_64/layout.h"
#include "tests/unit/support/fake_host.h"

static struct fake_host fake;
static struct pvpanic *pvpanic;

static void setup(void)
{
	fake_host_init(&fake);
	ck_assert_int_eq(pvpanic_new(&pvpanic, &fake.host), 0);
}

static void teardown(void)
{
	pvpanic_device_ops.free(pvpanic);
	ck_assert_uint_eq(fake_host_ranges(&fake), 0);
}

static void out(uint8_t events)
{
	fake_host_write(&fake, BUS_PIO, PORT_PVPANIC, 1, events);
}

START_TEST(new_port_taken_fails)
{
	struct pvpanic *second;

	ck_assert_int_eq(pvpanic_new(&second, &fake.host), -EEXIST);
	ck_assert_uint_eq(fake_host_ranges(&fake), 1);
}
END_TEST

START_TEST(read_shows_the_events)
{
	ck_assert_uint_eq(fake_host_read(&fake, BUS_PIO, PORT_PVPANIC, 1), 3);
}
END_TEST

START_TEST(write_notices_a_panic_and_nothing_else)
{
	unsigned int want = 0;

	for (unsigned int events = 0; events < 0x100; events++) {
		out((uint8_t)events);
		want += events & 1;
		ck_assert_uint_eq(fake.notices[HOST_PANIC], want);
	}
	ck_assert_uint_eq(fake.notices[HOST_RESET], 0);
	ck_assert_uint_eq(fake.notices[HOST_POWEROFF], 0);
	ck_assert_uint_eq(fake.notices[HOST_DEBUG_EXIT], 0);
}
END_TEST

START_TEST(restore_takes_what_was_saved_and_nothing_else)
{
	struct error err = {.text = ""};
	json_t *first, *second;

	out(1);
	ck_assert_int_eq(pvpanic_device_ops.save(pvpanic, &first), 0);
	pvpanic_device_ops.reset(pvpanic);
	ck_assert_int_eq(pvpanic_device_ops.restore(pvpanic, first, &err), 0);
	ck_assert_int_eq(pvpanic_device_ops.save(pvpanic, &second), 0);
	ck_assert(json_equal(first, second));
	json_object_set_new(first, "surplus", json_true());
	ck_assert_int_eq(pvpanic_device_ops.restore(pvpanic, first, &err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "surplus"));
	ck_assert_uint_eq(fake.notices[HOST_PANIC], 1);
	json_decref(first);
	json_decref(second);
}
END_TEST

static Suite *pvpanic_suite(void)
{
	Suite *suite = suite_create("pvpanic");
	TCase *tc = tcase_create("pvpanic");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, new_port_taken_fails);
	tcase_add_test(tc, read_shows_the_events);
	tcase_add_test(tc, write_notices_a_panic_and_nothing_else);
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
