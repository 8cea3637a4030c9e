/* The GED's page: events, sleep control, reset, and its state. */
#include "acpi/ged.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>
#include <jansson.h>

#include "tests/unit/support/fake_host.h"

#define BASE UINT64_C(0xfea00000)
#define GSI  9

#define SLP_EN (1 << 5)
#define S5     (5 << 2)
#define ALL32  UINT64_C(0xffffffff)

static struct fake_host fake;
static struct ged *ged;

static void setup(void)
{
	fake_host_init(&fake);
	ck_assert_int_eq(ged_new(&ged, &fake.host, BASE, GSI), 0);
}

static void teardown(void)
{
	ged_device_ops.free(ged);
	ck_assert_uint_eq(fake_host_ranges(&fake), 0);
}

static uint64_t get(uint64_t offset, unsigned int size)
{
	return fake_host_read(&fake, BUS_MMIO, BASE + offset, size);
}

static void put(uint64_t offset, unsigned int size, uint64_t value)
{
	fake_host_write(&fake, BUS_MMIO, BASE + offset, size, value);
}

static unsigned int notices(void)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < HOST_NOTICES; i++)
		count += fake.notices[i];
	return count;
}

START_TEST(ged_new_page_is_taken)
{
	struct ged *other;

	ck_assert_int_eq(ged_new(&other, &fake.host, BASE + 0x800, GSI),
			 -EEXIST);
	ck_assert_uint_eq(fake_host_ranges(&fake), 1);
}
END_TEST

START_TEST(ged_power_button_raises_until_read)
{
	ged_power_button(ged);
	ck_assert(fake.irq_level[GSI]);
	ck_assert_uint_eq(get(GED_EVENT, 4), GED_EVENT_POWER_BUTTON);
	ck_assert(!fake.irq_level[GSI]);
	ck_assert_uint_eq(get(GED_EVENT, 4), 0);
}
END_TEST

START_TEST(ged_power_button_twice_is_one_event)
{
	ged_power_button(ged);
	ged_power_button(ged);
	ck_assert_uint_eq(fake.irq_edges[GSI], 1);
	ck_assert_uint_eq(get(GED_EVENT, 4), GED_EVENT_POWER_BUTTON);
	ged_power_button(ged);
	ck_assert_uint_eq(fake.irq_edges[GSI], 2);
}
END_TEST

START_TEST(ged_read_odd_access_takes_no_event)
{
	ged_power_button(ged);
	ck_assert_uint_eq(get(GED_EVENT, 1), 0);
	ck_assert_uint_eq(get(GED_EVENT, 2), 0);
	ck_assert_uint_eq(get(GED_EVENT + 2, 4), 0);
	put(GED_EVENT, 4, ALL32);
	ck_assert(fake.irq_level[GSI]);
	/* The bus makes two reads of it, the first of the whole register. */
	ck_assert_uint_eq(get(GED_EVENT, 8), GED_EVENT_POWER_BUTTON);
}
END_TEST

START_TEST(ged_read_rest_of_page_is_zero)
{
	for (uint64_t offset = 0; offset < GED_SIZE; offset++) {
		for (unsigned int size = 1; size <= 8; size *= 2) {
			if (offset + size <= GED_SIZE)
				ck_assert_uint_eq(get(offset, size), 0);
		}
	}
}
END_TEST

START_TEST(ged_write_rest_of_page_does_nothing)
{
	for (uint64_t offset = 0; offset < GED_SIZE; offset++) {
		for (unsigned int size = 1; size <= 8; size *= 2) {
			if (offset + size <= GED_SIZE && size != 1)
				put(offset, size,
				    UINT64_C(0x4242424242424242) | SLP_EN | S5);
		}
		if (offset != GED_RESET && offset != GED_SLEEP_CONTROL) {
			put(offset, 1, GED_RESET_VALUE);
			put(offset, 1, SLP_EN | S5);
		}
	}
	ck_assert_uint_eq(notices(), 0);
	ck_assert_uint_eq(get(GED_SLEEP_CONTROL, 1), 0);
}
END_TEST

START_TEST(ged_write_sleep_control_s5_powers_off)
{
	put(GED_SLEEP_CONTROL, 1, S5);
	ck_assert_uint_eq(notices(), 0);
	put(GED_SLEEP_CONTROL, 1, S5 | SLP_EN);
	ck_assert_uint_eq(fake.notices[HOST_POWEROFF], 1);
	ck_assert_uint_eq(notices(), 1);
	/* SLP_EN is write-only. */
	ck_assert_uint_eq(get(GED_SLEEP_CONTROL, 1), S5);
}
END_TEST

START_TEST(ged_write_sleep_control_other_state_does_nothing)
{
	for (unsigned int type = 0; type < 8; type++) {
		if (type << 2 != S5)
			put(GED_SLEEP_CONTROL, 1, type << 2 | SLP_EN | 0xc3);
	}
	ck_assert_uint_eq(notices(), 0);
	ck_assert_uint_eq(get(GED_SLEEP_CONTROL, 1), 7 << 2);
}
END_TEST

START_TEST(ged_write_reset_value_resets)
{
	put(GED_RESET, 1, GED_RESET_VALUE - 1);
	ck_assert_uint_eq(notices(), 0);
	put(GED_RESET, 1, GED_RESET_VALUE);
	ck_assert_uint_eq(fake.notices[HOST_RESET], 1);
	ck_assert_uint_eq(notices(), 1);
}
END_TEST

START_TEST(ged_reset_lowers_and_clears)
{
	ged_power_button(ged);
	put(GED_SLEEP_CONTROL, 1, S5);
	ged_device_ops.reset(ged);
	ck_assert(!fake.irq_level[GSI]);
	ck_assert_uint_eq(get(GED_EVENT, 4), 0);
	ck_assert_uint_eq(get(GED_SLEEP_CONTROL, 1), 0);
}
END_TEST

START_TEST(ged_restore_saved_state_saves_the_same)
{
	struct ged *other;
	json_t *first, *second;
	struct error err;

	ged_power_button(ged);
	put(GED_SLEEP_CONTROL, 1, S5);
	ck_assert_int_eq(ged_device_ops.save(ged, &first), 0);
	ck_assert(fake.irq_level[GSI]);

	ck_assert_int_eq(ged_new(&other, &fake.host, BASE + GED_SIZE, GSI + 1),
			 0);
	ck_assert_int_eq(ged_device_ops.restore(other, first, &err), 0);
	ck_assert(fake.irq_level[GSI + 1]);
	ck_assert_int_eq(ged_device_ops.save(other, &second), 0);
	ck_assert(json_equal(first, second));
	json_decref(second);
	ged_device_ops.reset(other);
	ck_assert_int_eq(ged_device_ops.save(other, &second), 0);
	ck_assert(!json_equal(first, second));
	ged_device_ops.free(other);
	json_decref(first);
	json_decref(second);
}
END_TEST

static const char *const bad_states[] = {
	"[]",
	"{}",
	"{\"event\": \"0x1\"}",
	"{\"event\": \"0x2\", \"sleep_control\": \"0x0\"}",
	"{\"event\": \"0x1\", \"sleep_control\": \"0x3\"}",
	"{\"event\": \"0x1\", \"sleep_control\": \"0x20\"}",
	"{\"event\": \"0x1\", \"sleep_control\": \"0x0\", \"more\": \"0x0\"}",
};

START_TEST(ged_restore_bad_state_is_refused_unchanged)
{
	json_t *before, *after;
	json_t *state = json_loads(bad_states[_i], 0, NULL);
	struct error err = {0};

	put(GED_SLEEP_CONTROL, 1, S5);
	ck_assert_int_eq(ged_device_ops.save(ged, &before), 0);
	ck_assert_int_eq(ged_device_ops.restore(ged, state, &err), -EINVAL);
	ck_assert_uint_gt(strlen(err.text), 0);
	ck_assert_int_eq(ged_device_ops.save(ged, &after), 0);
	ck_assert(json_equal(before, after));
	ck_assert(!fake.irq_level[GSI]);
	json_decref(before);
	json_decref(after);
	json_decref(state);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ged");
	TCase *tc = tcase_create("registers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, ged_new_page_is_taken);
	tcase_add_test(tc, ged_power_button_raises_until_read);
	tcase_add_test(tc, ged_power_button_twice_is_one_event);
	tcase_add_test(tc, ged_read_odd_access_takes_no_event);
	tcase_add_test(tc, ged_read_rest_of_page_is_zero);
	tcase_add_test(tc, ged_write_rest_of_page_does_nothing);
	tcase_add_test(tc, ged_write_sleep_control_s5_powers_off);
	tcase_add_test(tc, ged_write_sleep_control_other_state_does_nothing);
	tcase_add_test(tc, ged_write_reset_value_resets);
	suite_add_tcase(s, tc);

	tc = tcase_create("state");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, ged_reset_lowers_and_clears);
	tcase_add_test(tc, ged_restore_saved_state_saves_the_same);
	tcase_add_loop_test(tc, ged_restore_bad_state_is_refused_unchanged, 0,
			    sizeof(bad_states) / sizeof(bad_states[0]));
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
