/*
 * The keyboard controller's commands and the two ways to reset a PC by port.
 */
#include "arch/x86_64/i8042.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "tests/unit/support/fake_host.h"

#define DATA	0x60
#define COMMAND 0x64
#define PORT_A	0x92

#define STATUS_OBF 0x01

static struct fake_host fake;
static struct i8042 *i8042;

static void setup(void)
{
	fake_host_init(&fake);
	ck_assert_int_eq(i8042_new(&i8042, &fake.host), 0);
}

static void teardown(void)
{
	i8042_device_ops.free(i8042);
	ck_assert_uint_eq(fake_host_ranges(&fake), 0);
}

static uint8_t in(uint16_t port)
{
	return fake_host_read(&fake, BUS_PIO, port, 1);
}

static void out(uint16_t port, uint8_t value)
{
	fake_host_write(&fake, BUS_PIO, port, 1, value);
}

static unsigned int resets(void)
{
	return fake.notices[HOST_RESET];
}

static void check_answer(uint8_t want)
{
	ck_assert_uint_eq(in(COMMAND)&STATUS_OBF, STATUS_OBF);
	ck_assert_uint_eq(in(DATA), want);
	ck_assert_uint_eq(in(COMMAND)&STATUS_OBF, 0);
}

START_TEST(new_is_empty_and_leaves_port_b_free)
{
	ck_assert_uint_eq(in(COMMAND), 0x14);
	ck_assert_uint_eq(in(PORT_A), 0x02);
	ck_assert_ptr_null(fake_host_find(&fake, BUS_PIO, 0x61));
	ck_assert_uint_eq(fake_host_ranges(&fake), 3);
}
END_TEST

static const uint16_t taken[] = {DATA, COMMAND, PORT_A};

START_TEST(new_port_taken_fails_and_leaves_nothing)
{
	static const struct bus_ops ops = {.max_size = 1};
	struct fake_host busy;
	struct i8042 *second;

	fake_host_init(&busy);
	ck_assert_int_eq(busy.host.ops->map(&busy.host, BUS_PIO, taken[_i], 1,
					    &ops, NULL, "other"),
			 0);
	ck_assert_int_eq(i8042_new(&second, &busy.host), -EEXIST);
	ck_assert_uint_eq(fake_host_ranges(&busy), 1);
}
END_TEST

START_TEST(command_self_test_answers_55)
{
	out(COMMAND, 0xaa);
	check_answer(0x55);
	ck_assert_uint_eq(resets(), 0);
}
END_TEST

START_TEST(command_config_writes_and_reads_back)
{
	out(COMMAND, 0x20);
	check_answer(0x34);
	out(COMMAND, 0x60);
	ck_assert_uint_eq(in(COMMAND)&STATUS_OBF, 0);
	out(DATA, 0x65);
	/* The second byte is the keyboard's, and there is none. */
	out(DATA, 0xff);
	out(COMMAND, 0x20);
	check_answer(0x65);
}
END_TEST

START_TEST(command_between_takes_the_place_of_the_pending_one)
{
	out(COMMAND, 0xd1);
	out(COMMAND, 0xaa);
	out(DATA, 0x00);
	ck_assert_uint_eq(resets(), 0);
	check_answer(0x55);
}
END_TEST

START_TEST(command_a20_is_taken)
{
	out(COMMAND, 0xdd);
	out(COMMAND, 0xdf);
	out(COMMAND, 0xd0);
	check_answer(0x03);
	out(COMMAND, 0xd1);
	out(DATA, 0xdf);
	out(COMMAND, 0xff);
	ck_assert_uint_eq(resets(), 0);
}
END_TEST

START_TEST(command_any_resets_only_where_line_is_pulsed)
{
	unsigned int want = 0;

	for (unsigned int command = 0; command < 0x100; command++) {
		out(COMMAND, (uint8_t)command);
		if (command >= 0xf0 && command % 2 == 0)
			want++;
		ck_assert_uint_eq(resets(), want);
	}
	ck_assert_uint_eq(want, 8);
}
END_TEST

START_TEST(command_output_port_with_reset_low_resets)
{
	out(COMMAND, 0xd1);
	out(DATA, 0x02);
	ck_assert_uint_eq(resets(), 1);
	out(DATA, 0x00);
	ck_assert_uint_eq(resets(), 1);
}
END_TEST

START_TEST(port_a_resets_when_bit_0_goes_on)
{
	out(PORT_A, 0x00);
	out(PORT_A, 0x02);
	ck_assert_uint_eq(in(PORT_A), 0x02);
	ck_assert_uint_eq(resets(), 0);
	out(PORT_A, 0x03);
	ck_assert_uint_eq(resets(), 1);
	out(PORT_A, 0x01);
	ck_assert_uint_eq(resets(), 1);
	out(PORT_A, 0x02);
	out(PORT_A, 0x01);
	ck_assert_uint_eq(resets(), 2);
}
END_TEST

START_TEST(restore_into_fresh_one_continues_and_saves_the_same)
{
	struct error err = {.text = ""};
	json_t *first, *second;

	out(COMMAND, 0x60);
	out(DATA, 0x12);
	out(COMMAND, 0xaa);
	out(PORT_A, 0x80);
	out(COMMAND, 0xd1);
	ck_assert_int_eq(i8042_device_ops.save(i8042, &first), 0);
	teardown();
	setup();
	ck_assert_int_eq(i8042_device_ops.restore(i8042, first, &err), 0);
	ck_assert_int_eq(i8042_device_ops.save(i8042, &second), 0);
	ck_assert(json_equal(first, second));
	ck_assert_uint_eq(in(PORT_A), 0x80);
	out(DATA, 0x02);
	ck_assert_uint_eq(resets(), 1);
	check_answer(0x55);
	json_decref(first);
	json_decref(second);
}
END_TEST

START_TEST(restore_bad_value_is_refused_by_name)
{
	static const char *const lies[][2] = {
		{"pending", "0xaa"},
		{"config", "0x100"},
		{"full", "0x1"},
	};
	json_t *before, *lie, *after;

	ck_assert_int_eq(i8042_device_ops.save(i8042, &before), 0);
	for (unsigned int i = 0; i < 3; i++) {
		struct error err = {.text = ""};

		lie = json_deep_copy(before);
		json_object_set_new(lie, lies[i][0], json_string(lies[i][1]));
		ck_assert_int_eq(i8042_device_ops.restore(i8042, lie, &err),
				 -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, lies[i][0]));
		ck_assert_int_eq(i8042_device_ops.save(i8042, &after), 0);
		ck_assert(json_equal(before, after));
		json_decref(after);
		json_decref(lie);
	}
	json_decref(before);
}
END_TEST

START_TEST(reset_is_as_new)
{
	json_t *fresh, *again;

	ck_assert_int_eq(i8042_device_ops.save(i8042, &fresh), 0);
	out(COMMAND, 0xaa);
	out(COMMAND, 0x60);
	out(PORT_A, 0xfe);
	i8042_device_ops.reset(i8042);
	ck_assert_int_eq(i8042_device_ops.save(i8042, &again), 0);
	ck_assert(json_equal(fresh, again));
	json_decref(fresh);
	json_decref(again);
}
END_TEST

static Suite *i8042_suite(void)
{
	Suite *suite = suite_create("i8042");
	TCase *tc = tcase_create("i8042");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, new_is_empty_and_leaves_port_b_free);
	tcase_add_loop_test(tc, new_port_taken_fails_and_leaves_nothing, 0, 3);
	tcase_add_test(tc, command_self_test_answers_55);
	tcase_add_test(tc, command_config_writes_and_reads_back);
	tcase_add_test(tc, command_between_takes_the_place_of_the_pending_one);
	tcase_add_test(tc, command_a20_is_taken);
	tcase_add_test(tc, command_any_resets_only_where_line_is_pulsed);
	tcase_add_test(tc, command_output_port_with_reset_low_resets);
	tcase_add_test(tc, port_a_resets_when_bit_0_goes_on);
	tcase_add_test(tc, restore_into_fresh_one_continues_and_saves_the_same);
	tcase_add_test(tc, restore_bad_value_is_refused_by_name);
	tcase_add_test(tc, reset_is_as_new);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(i8042_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
