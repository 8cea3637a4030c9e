/* ACPI fixed hardware: event and control blocks, timer, and their state. */
#include "acpi/pm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>
#include <jansson.h>

#include "tests/unit/support/fake_host.h"

#define PORT 0x600
#define GSI  9

#define STATUS	PM_PM1A_EVT_BLK
#define ENABLE	(PM_PM1A_EVT_BLK + 2)
#define CONTROL PM_PM1A_CNT_BLK
#define TIMER	PM_TMR_BLK

#define TMR_STS	   0x0001
#define GBL_EN	   0x0020
#define PWRBTN_STS 0x0100
#define PWRBTN_EN  0x0100
#define RTC_EN	   0x0400
#define SCI_EN	   0x0001
#define S5	   (5 << 10)
#define SLP_EN	   0x2000

#define SECOND INT64_C(1000000000)

static struct fake_host fake;
static struct pm *pm;
static int64_t clock_ns;

static int64_t test_now(void)
{
	return clock_ns;
}

static void setup(void)
{
	fake_host_init(&fake);
	clock_ns = 77 * SECOND;
	ck_assert_int_eq(pm_new(&pm, &fake.host, PORT, GSI, test_now), 0);
}

static void teardown(void)
{
	pm_device_ops.free(pm);
	ck_assert_uint_eq(fake_host_ranges(&fake), 0);
}

static uint64_t get(unsigned int offset, unsigned int size)
{
	return fake_host_read(&fake, BUS_PIO, PORT + offset, size);
}

static void put(unsigned int offset, unsigned int size, uint64_t value)
{
	fake_host_write(&fake, BUS_PIO, PORT + offset, size, value);
}

START_TEST(pm_new_ports_are_taken)
{
	struct pm *other;

	ck_assert_int_eq(pm_new(&other, &fake.host, PORT + 8, GSI, test_now),
			 -EEXIST);
	ck_assert_uint_eq(fake_host_ranges(&fake), 1);
}
END_TEST

START_TEST(pm_power_button_disabled_only_sets_status)
{
	pm_power_button(pm);
	ck_assert_uint_eq(get(STATUS, 2), PWRBTN_STS);
	ck_assert(!fake.irq_level[GSI]);
	put(ENABLE, 2, PWRBTN_EN);
	ck_assert(fake.irq_level[GSI]);
}
END_TEST

START_TEST(pm_power_button_enabled_raises_until_cleared)
{
	put(ENABLE, 2, PWRBTN_EN);
	ck_assert(!fake.irq_level[GSI]);
	pm_power_button(pm);
	ck_assert(fake.irq_level[GSI]);
	/* Only a 1 clears. */
	put(STATUS, 2, (uint16_t)~PWRBTN_STS);
	ck_assert(fake.irq_level[GSI]);
	put(STATUS, 2, PWRBTN_STS);
	ck_assert(!fake.irq_level[GSI]);
	ck_assert_uint_eq(get(STATUS, 2), 0);
}
END_TEST

START_TEST(pm_write_event_block_by_any_size)
{
	pm_power_button(pm);
	/* Both registers at once, as one dword. */
	put(STATUS, 4, (uint64_t)GBL_EN << 16);
	ck_assert_uint_eq(get(STATUS, 4), GBL_EN << 16 | PWRBTN_STS);
	put(ENABLE + 1, 1, PWRBTN_EN >> 8);
	ck_assert_uint_eq(get(ENABLE, 2), GBL_EN | PWRBTN_EN);
	ck_assert_uint_eq(get(ENABLE, 1), GBL_EN);
	ck_assert(fake.irq_level[GSI]);
	put(STATUS + 1, 1, PWRBTN_STS >> 8);
	ck_assert_uint_eq(get(STATUS + 1, 1), 0);
	ck_assert(!fake.irq_level[GSI]);
}
END_TEST

START_TEST(pm_write_enable_keeps_known_bits_only)
{
	put(ENABLE, 2, 0xffff);
	ck_assert_uint_eq(get(ENABLE, 2),
			  TMR_STS | GBL_EN | PWRBTN_EN | RTC_EN);
}
END_TEST

START_TEST(pm_read_control_has_sci_en)
{
	ck_assert_uint_eq(get(CONTROL, 2), SCI_EN);
	put(CONTROL, 2, 0);
	ck_assert_uint_eq(get(CONTROL, 2), SCI_EN);
	ck_assert_uint_eq(get(CONTROL + 2, 2), 0);
}
END_TEST

START_TEST(pm_write_control_s5_powers_off)
{
	put(CONTROL, 2, S5);
	ck_assert_uint_eq(fake.notices[HOST_POWEROFF], 0);
	ck_assert_uint_eq(get(CONTROL, 2), S5 | SCI_EN);
	if (_i == 0)
		put(CONTROL, 2, S5 | SLP_EN);
	else if (_i == 1)
		put(CONTROL + 1, 1, (S5 | SLP_EN) >> 8);
	else
		put(CONTROL, 4, S5 | SLP_EN);
	ck_assert_uint_eq(fake.notices[HOST_POWEROFF], 1);
	ck_assert_uint_eq(get(CONTROL, 2), S5 | SCI_EN);
}
END_TEST

START_TEST(pm_write_control_other_state_does_nothing)
{
	for (unsigned int type = 0; type < 8; type++) {
		if (type << 10 != S5)
			put(CONTROL, 2, type << 10 | SLP_EN);
	}
	put(CONTROL, 1, 0xff);
	put(TIMER + 1, 1, (S5 | SLP_EN) >> 8);
	for (unsigned int i = 0; i < HOST_NOTICES; i++)
		ck_assert_uint_eq(fake.notices[i], 0);
}
END_TEST

START_TEST(pm_read_timer_counts_at_its_frequency)
{
	ck_assert_uint_eq(get(TIMER, 4), 0);
	clock_ns += SECOND;
	ck_assert_uint_eq(get(TIMER, 4), 3579545);
	ck_assert_uint_eq(get(TIMER, 2), 3579545 & 0xffff);
	clock_ns += SECOND / 2;
	ck_assert_uint_eq(get(TIMER, 4), 3579545 * 3 / 2);
	/* A day, and no drift. */
	clock_ns += 86400 * SECOND - SECOND / 2;
	ck_assert_uint_eq(get(TIMER, 4), UINT64_C(3579545) * 86401 % (1 << 24));
	put(TIMER, 4, 0);
	ck_assert_uint_eq(get(TIMER, 4), UINT64_C(3579545) * 86401 % (1 << 24));
}
END_TEST

START_TEST(pm_read_status_tells_of_the_timers_half)
{
	/* Bit 23 changes after 2.34 s. */
	clock_ns += 2 * SECOND;
	ck_assert_uint_eq(get(STATUS, 2), 0);
	clock_ns += SECOND;
	ck_assert_uint_eq(get(STATUS, 2), TMR_STS);
	put(STATUS, 2, TMR_STS);
	ck_assert_uint_eq(get(STATUS, 2), 0);
	put(ENABLE, 2, TMR_STS);
	clock_ns += 3 * SECOND;
	get(TIMER, 4);
	ck_assert(fake.irq_level[GSI]);
	ck_assert_uint_eq(get(STATUS, 2), TMR_STS);
}
END_TEST

START_TEST(pm_reset_lowers_and_clears)
{
	put(ENABLE, 2, PWRBTN_EN);
	put(CONTROL, 2, S5);
	pm_power_button(pm);
	clock_ns += SECOND;
	pm_device_ops.reset(pm);
	ck_assert(!fake.irq_level[GSI]);
	ck_assert_uint_eq(get(STATUS, 4), 0);
	ck_assert_uint_eq(get(CONTROL, 2), SCI_EN);
	ck_assert_uint_eq(get(TIMER, 4), 0);
}
END_TEST

START_TEST(pm_restore_saved_state_saves_the_same)
{
	struct pm *other;
	json_t *first, *second;
	struct error err;

	put(ENABLE, 2, PWRBTN_EN | GBL_EN);
	put(CONTROL, 2, S5);
	pm_power_button(pm);
	clock_ns += 5 * SECOND;
	ck_assert_int_eq(pm_device_ops.save(pm, &first), 0);

	/* Later, on a host whose clock shows less. */
	clock_ns = 3 * SECOND;
	ck_assert_int_eq(
		pm_new(&other, &fake.host, PORT + 16, GSI + 1, test_now), 0);
	ck_assert_int_eq(pm_device_ops.restore(other, first, &err), 0);
	ck_assert(fake.irq_level[GSI + 1]);
	ck_assert_int_eq(pm_device_ops.save(other, &second), 0);
	ck_assert(json_equal(first, second));
	/* The timer goes on from where it stood. */
	ck_assert_uint_eq(get(16 + TIMER, 4), 5 * 3579545 % (1 << 24));
	ck_assert_uint_eq(get(16 + STATUS, 2), PWRBTN_STS | TMR_STS);
	pm_device_ops.free(other);
	json_decref(first);
	json_decref(second);
}
END_TEST

static const struct {
	const char *member;
	const char *value;
} bad_members[] = {
	{"pm1_status", "0x2"},	   {"pm1_status", "0x8000"},
	{"pm1_enable", "0x2"},	   {"pm1_control", "0x1"},
	{"pm1_control", "0x2000"}, {"timer", "1"},
	{"unknown", "0x0"},
};

START_TEST(pm_restore_bad_state_is_refused_unchanged)
{
	json_t *before, *after, *state;
	struct error err = {0};

	put(ENABLE, 2, GBL_EN);
	ck_assert_int_eq(pm_device_ops.save(pm, &before), 0);
	state = json_deep_copy(before);
	json_object_set_new(state, bad_members[_i].member,
			    json_string(bad_members[_i].value));
	ck_assert_int_eq(pm_device_ops.restore(pm, state, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, bad_members[_i].member));
	ck_assert_int_eq(pm_device_ops.save(pm, &after), 0);
	ck_assert(json_equal(before, after));
	json_decref(before);
	json_decref(after);
	json_decref(state);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("pm");
	TCase *tc = tcase_create("registers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, pm_new_ports_are_taken);
	tcase_add_test(tc, pm_power_button_disabled_only_sets_status);
	tcase_add_test(tc, pm_power_button_enabled_raises_until_cleared);
	tcase_add_test(tc, pm_write_event_block_by_any_size);
	tcase_add_test(tc, pm_write_enable_keeps_known_bits_only);
	tcase_add_test(tc, pm_read_control_has_sci_en);
	tcase_add_loop_test(tc, pm_write_control_s5_powers_off, 0, 3);
	tcase_add_test(tc, pm_write_control_other_state_does_nothing);
	tcase_add_test(tc, pm_read_timer_counts_at_its_frequency);
	tcase_add_test(tc, pm_read_status_tells_of_the_timers_half);
	suite_add_tcase(s, tc);

	tc = tcase_create("state");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, pm_reset_lowers_and_clears);
	tcase_add_test(tc, pm_restore_saved_state_saves_the_same);
	tcase_add_loop_test(tc, pm_restore_bad_state_is_refused_unchanged, 0,
			    sizeof(bad_members) / sizeof(bad_members[0]));
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
