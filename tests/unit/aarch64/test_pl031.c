/*
 * The real-time clock, with a host clock that stands where the test puts it.
 */
#include "arch/aarch64/pl031.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/aarch64/layout.h"
#include "tests/unit/support/fake_host.h"

#define DR   0x00
#define MR   0x04
#define LR   0x08
#define CR   0x0c
#define IMSC 0x10
#define RIS  0x14
#define MIS  0x18
#define ICR  0x1c

#define SECOND INT64_C(1000000000)
#define START  UINT32_C(1709251198)

static struct fake_host fake;
static struct pl031 *pl031;
static int64_t host_now;

static int64_t host_clock(void)
{
	return host_now;
}

static void setup(void)
{
	fake_host_init(&fake);
	host_now = START * SECOND + SECOND / 2;
	ck_assert_int_eq(
		pl031_new(&pl031, &fake.host, LAYOUT_RTC, SPI_RTC, host_clock),
		0);
}

static void teardown(void)
{
	pl031_device_ops.free(pl031);
	ck_assert_uint_eq(fake_host_ranges(&fake), 0);
}

static uint32_t get(unsigned int reg)
{
	return (uint32_t)fake_host_read(&fake, BUS_MMIO, LAYOUT_RTC + reg, 4);
}

static void put(unsigned int reg, uint32_t value)
{
	fake_host_write(&fake, BUS_MMIO, LAYOUT_RTC + reg, 4, value);
}

static bool line(void)
{
	return fake.irq_level[SPI_RTC];
}

START_TEST(new_place_taken_fails)
{
	struct pl031 *second;

	ck_assert_int_eq(
		pl031_new(&second, &fake.host, LAYOUT_RTC, SPI_RTC, host_clock),
		-EEXIST);
	ck_assert_uint_eq(fake_host_ranges(&fake), 1);
}
END_TEST

START_TEST(new_without_clock_follows_the_host)
{
	struct pl031 *other;
	uint32_t value;

	ck_assert_int_eq(
		pl031_new(&other, &fake.host, LAYOUT_UART, SPI_RTC, NULL), 0);
	value = (uint32_t)fake_host_read(&fake, BUS_MMIO, LAYOUT_UART, 4);
	ck_assert_uint_gt(value, START);
	pl031_device_ops.free(other);
}
END_TEST

START_TEST(read_id_registers_say_pl031)
{
	static const uint8_t want[] = {0x31, 0x10, 0x04, 0x00,
				       0x0d, 0xf0, 0x05, 0xb1};

	for (unsigned int i = 0; i < sizeof(want); i++)
		ck_assert_uint_eq(get(0xfe0 + i * 4), want[i]);
}
END_TEST

START_TEST(read_dr_counts_the_hosts_seconds)
{
	ck_assert_uint_eq(get(CR), 1);
	ck_assert_uint_eq(get(DR), START);
	host_now += SECOND / 2 - 1;
	ck_assert_uint_eq(get(DR), START);
	host_now += 1;
	ck_assert_uint_eq(get(DR), START + 1);
	host_now += 86400 * SECOND;
	ck_assert_uint_eq(get(DR), START + 86401);
}
END_TEST

START_TEST(write_lr_sets_the_time)
{
	put(LR, 100);
	ck_assert_uint_eq(get(LR), 100);
	ck_assert_uint_eq(get(DR), 100);
	host_now += 7 * SECOND;
	ck_assert_uint_eq(get(DR), 107);
	put(LR, UINT32_MAX);
	host_now += 2 * SECOND;
	ck_assert_uint_eq(get(DR), 1);
}
END_TEST

START_TEST(write_read_only_or_part_changes_nothing)
{
	put(DR, 5);
	put(CR, 0);
	put(RIS, 1);
	put(MIS, 1);
	fake_host_write(&fake, BUS_MMIO, LAYOUT_RTC + LR, 2, 5);
	fake_host_write(&fake, BUS_MMIO, LAYOUT_RTC + MR, 1, 5);
	ck_assert_uint_eq(get(DR), START);
	ck_assert_uint_eq(get(CR), 1);
	ck_assert_uint_eq(get(RIS), 0);
	ck_assert_uint_eq(get(MR), 0);
}
END_TEST

START_TEST(match_is_seen_from_its_second_on)
{
	put(MR, START + 3);
	put(IMSC, 1);
	host_now += 2 * SECOND;
	ck_assert_uint_eq(get(RIS), 0);
	ck_assert(!line());
	host_now += SECOND;
	ck_assert_uint_eq(get(RIS), 1);
	ck_assert(line());
	put(ICR, 0);
	ck_assert(line());
	put(ICR, 1);
	ck_assert(!line());
	host_now += SECOND;
	ck_assert_uint_eq(get(RIS), 0);
}
END_TEST

START_TEST(match_passed_unseen_is_found_later)
{
	put(MR, START + 3);
	host_now += 1000 * SECOND;
	ck_assert_uint_eq(get(RIS), 1);
	ck_assert_uint_eq(get(MIS), 0);
	ck_assert(!line());
	put(IMSC, 1);
	ck_assert_uint_eq(get(MIS), 1);
	ck_assert(line());
}
END_TEST

START_TEST(match_at_once_where_it_equals)
{
	put(MR, START);
	ck_assert_uint_eq(get(RIS), 1);
	put(ICR, 1);
	put(MR, 500);
	ck_assert_uint_eq(get(RIS), 0);
	put(LR, 500);
	ck_assert_uint_eq(get(RIS), 1);
}
END_TEST

START_TEST(match_clock_set_back_passes_nothing)
{
	put(MR, START + 100);
	host_now -= 3600 * SECOND;
	ck_assert_uint_eq(get(DR), START - 3600);
	ck_assert_uint_eq(get(RIS), 0);
	put(MR, START - 10);
	host_now += 3600 * SECOND;
	ck_assert_uint_eq(get(RIS), 1);
}
END_TEST

START_TEST(reset_keeps_the_time_alone)
{
	put(LR, 1000);
	put(MR, 1000);
	put(IMSC, 1);
	ck_assert(line());
	host_now += 5 * SECOND;
	pl031_device_ops.reset(pl031);
	ck_assert(!line());
	ck_assert_uint_eq(get(DR), 1005);
	ck_assert_uint_eq(get(MR), 0);
	ck_assert_uint_eq(get(LR), 0);
	ck_assert_uint_eq(get(IMSC), 0);
	ck_assert_uint_eq(get(RIS), 0);
}
END_TEST

static json_t *save(struct pl031 *from)
{
	json_t *state = NULL;

	ck_assert_int_eq(pl031_device_ops.save(from, &state), 0);
	ck_assert_ptr_nonnull(state);
	return state;
}

START_TEST(restore_later_shows_the_time_of_then)
{
	struct error err = {.text = ""};
	json_t *first, *second;

	put(LR, 1000);
	put(MR, 2000);
	put(IMSC, 1);
	first = save(pl031);
	pl031_device_ops.free(pl031);
	host_now += 5000 * SECOND;
	ck_assert_int_eq(
		pl031_new(&pl031, &fake.host, LAYOUT_RTC, SPI_RTC, host_clock),
		0);
	ck_assert_int_eq(pl031_device_ops.restore(pl031, first, &err), 0);
	second = save(pl031);
	ck_assert(json_equal(first, second));
	ck_assert_uint_eq(get(DR), 6000);
	/* It came while the machine was away. */
	ck_assert_uint_eq(get(RIS), 1);
	ck_assert(line());
	json_decref(first);
	json_decref(second);
}
END_TEST

START_TEST(restore_drives_the_line)
{
	json_t *quiet = save(pl031), *loud;

	put(MR, START);
	put(IMSC, 1);
	loud = save(pl031);
	ck_assert_int_eq(pl031_device_ops.restore(pl031, quiet, NULL), 0);
	ck_assert(!line());
	ck_assert_int_eq(pl031_device_ops.restore(pl031, loud, NULL), 0);
	ck_assert(line());
	json_decref(quiet);
	json_decref(loud);
}
END_TEST

START_TEST(restore_bad_value_is_refused_by_name)
{
	static const char *const members[] = {"difference", "seen", "mr", "lr"};
	struct error err = {.text = ""};
	json_t *before = save(pl031), *after;

	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		json_t *lie = json_deep_copy(before);

		json_object_set_new(lie, members[i],
				    json_string("0x100000000"));
		ck_assert_int_eq(pl031_device_ops.restore(pl031, lie, &err),
				 -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, members[i]));
		json_decref(lie);
	}
	after = save(pl031);
	ck_assert(json_equal(before, after));
	json_decref(before);
	json_decref(after);
}
END_TEST

static Suite *pl031_suite(void)
{
	Suite *suite = suite_create("pl031");
	TCase *tc = tcase_create("pl031");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, new_place_taken_fails);
	tcase_add_test(tc, new_without_clock_follows_the_host);
	tcase_add_test(tc, read_id_registers_say_pl031);
	tcase_add_test(tc, read_dr_counts_the_hosts_seconds);
	tcase_add_test(tc, write_lr_sets_the_time);
	tcase_add_test(tc, write_read_only_or_part_changes_nothing);
	tcase_add_test(tc, match_is_seen_from_its_second_on);
	tcase_add_test(tc, match_passed_unseen_is_found_later);
	tcase_add_test(tc, match_at_once_where_it_equals);
	tcase_add_test(tc, match_clock_set_back_passes_nothing);
	tcase_add_test(tc, reset_keeps_the_time_alone);
	tcase_add_test(tc, restore_later_shows_the_time_of_then);
	tcase_add_test(tc, restore_drives_the_line);
	tcase_add_test(tc, restore_bad_value_is_refused_by_name);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(pl031_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
