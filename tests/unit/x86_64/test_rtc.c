/*
 * The real-time clock, with a host clock that stands where the test puts it.
 */
#include "arch/x86_64/rtc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <check.h>

#include "arch/x86_64/layout.h"
#include "tests/unit/support/fake_host.h"

#define REG_A 0x0a
#define REG_B 0x0b
#define REG_C 0x0c
#define REG_D 0x0d

#define A_UIP	   0x80
#define A_RUN	   0x26
#define A_DV_RESET 0x70
#define B_SET	   0x80
#define B_UIE	   0x10
#define B_BINARY   0x04
#define B_24H	   0x02

#define SECOND INT64_C(1000000000)

/* 2024-02-29 23:59:58 UTC, a Thursday */
#define LEAP_DAY (INT64_C(1709251198) * SECOND)

static struct fake_host fake;
static struct rtc *rtc;
static int64_t host_now;

static int64_t host_clock(void)
{
	return host_now;
}

static void setup(void)
{
	fake_host_init(&fake);
	host_now = LEAP_DAY;
	ck_assert_int_eq(rtc_new(&rtc, &fake.host, host_clock), 0);
}

static void teardown(void)
{
	rtc_device_ops.free(rtc);
	ck_assert_uint_eq(fake_host_ranges(&fake), 0);
}

static uint8_t get(uint8_t index)
{
	fake_host_write(&fake, BUS_PIO, PORT_RTC, 1, index);
	return fake_host_read(&fake, BUS_PIO, PORT_RTC + 1, 1);
}

static void put(uint8_t index, uint8_t value)
{
	fake_host_write(&fake, BUS_PIO, PORT_RTC, 1, index);
	fake_host_write(&fake, BUS_PIO, PORT_RTC + 1, 1, value);
}

/* Bytes as the registers hold them. */
struct shown {
	uint8_t century, year, month, date, day, hours, minutes, seconds;
};

static void check_shown(struct shown want)
{
	ck_assert_uint_eq(get(RTC_CENTURY), want.century);
	ck_assert_uint_eq(get(0x09), want.year);
	ck_assert_uint_eq(get(0x08), want.month);
	ck_assert_uint_eq(get(0x07), want.date);
	ck_assert_uint_eq(get(0x06), want.day);
	ck_assert_uint_eq(get(0x04), want.hours);
	ck_assert_uint_eq(get(0x02), want.minutes);
	ck_assert_uint_eq(get(0x00), want.seconds);
}

/* As Linux's mc146818_set_time() does, but for the day of the week. */
static void set_time(struct shown to)
{
	uint8_t b = get(REG_B), a = get(REG_A);

	put(REG_B, b | B_SET);
	put(REG_A, a | A_DV_RESET);
	put(0x09, to.year);
	put(0x08, to.month);
	put(0x07, to.date);
	put(0x04, to.hours);
	put(0x02, to.minutes);
	put(0x00, to.seconds);
	put(RTC_CENTURY, to.century);
	put(REG_B, b);
	put(REG_A, a);
}

START_TEST(new_shows_host_time_in_bcd_24h)
{
	check_shown(
		(struct shown){0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x58});
	ck_assert_uint_eq(get(REG_A), A_RUN);
	ck_assert_uint_eq(get(REG_B), B_24H);
	ck_assert_uint_eq(get(REG_C), 0);
	ck_assert_uint_eq(get(REG_D), 0x80);
}
END_TEST

START_TEST(new_without_clock_follows_the_host)
{
	struct fake_host host;
	struct rtc *real;
	time_t before, after;
	struct tm tm;
	uint8_t year;

	fake_host_init(&host);
	before = time(NULL);
	ck_assert_int_eq(rtc_new(&real, &host.host, NULL), 0);
	fake_host_write(&host, BUS_PIO, PORT_RTC, 1, 0x09);
	year = fake_host_read(&host, BUS_PIO, PORT_RTC + 1, 1);
	after = time(NULL);
	rtc_device_ops.free(real);
	gmtime_r(&before, &tm);
	if (year != (tm.tm_year % 100 / 10 << 4 | tm.tm_year % 10)) {
		gmtime_r(&after, &tm);
		ck_assert_uint_eq(year,
				  tm.tm_year % 100 / 10 << 4 | tm.tm_year % 10);
	}
}
END_TEST

START_TEST(new_ports_taken_fails)
{
	struct rtc *second;

	ck_assert_int_eq(rtc_new(&second, &fake.host, host_clock), -EEXIST);
	ck_assert_uint_eq(fake_host_ranges(&fake), 1);
}
END_TEST

START_TEST(read_time_passes_leap_day_and_century)
{
	host_now += 2 * SECOND;
	check_shown((struct shown){0x20, 0x24, 0x03, 0x01, 6, 0, 0, 0});
	set_time((struct shown){0x19, 0x99, 0x12, 0x31, 0, 0x23, 0x59, 0x59});
	host_now += SECOND;
	check_shown((struct shown){0x20, 0x00, 0x01, 0x01, 7, 0, 0, 0});
	set_time((struct shown){0x99, 0x99, 0x12, 0x31, 0, 0x23, 0x59, 0x59});
	host_now += SECOND;
	check_shown((struct shown){0x00, 0x00, 0x01, 0x01, 7, 0, 0, 0});
}
END_TEST

START_TEST(read_time_binary_shows_numbers)
{
	host_now += 3600 * SECOND;
	put(REG_B, B_SET | B_BINARY | B_24H);
	set_time((struct shown){19, 87, 11, 30, 0, 21, 45, 59});
	put(REG_B, B_BINARY | B_24H);
	host_now += SECOND;
	check_shown((struct shown){19, 87, 11, 30, 2, 21, 46, 0});
}
END_TEST

static const struct {
	uint8_t b;
	uint8_t before, at; /* the hour before and at the full hour */
} hours[] = {
	{0, 0x12, 0x01},	   /* 12 am to 1 am */
	{0, 0x11, 0x92},	   /* 11 am to 12 pm */
	{0, 0x92, 0x81},	   /* 12 pm to 1 pm */
	{0, 0x91, 0x12},	   /* 11 pm to 12 am */
	{B_BINARY, 11, 0x80 | 12}, /* likewise in binary */
	{B_BINARY, 0x80 | 11, 12}, {B_24H, 0x19, 0x20},
	{B_BINARY | B_24H, 23, 0},
};

START_TEST(read_time_hour_rolls_over)
{
	uint8_t tens = hours[_i].b & B_BINARY ? 59 : 0x59;

	put(REG_B, hours[_i].b);
	set_time((struct shown){1, 1, 1, 1, 0, hours[_i].before, tens, tens});
	ck_assert_uint_eq(get(0x04), hours[_i].before);
	host_now += SECOND;
	ck_assert_uint_eq(get(0x04), hours[_i].at);
	ck_assert_uint_eq(get(0x02), 0);
	ck_assert_uint_eq(get(0x00), 0);
}
END_TEST

START_TEST(write_set_stops_the_clock_and_clears_uie)
{
	put(REG_B, B_SET | B_UIE | B_24H);
	ck_assert_uint_eq(get(REG_B), B_SET | B_24H);
	host_now += 10 * SECOND + SECOND - 1;
	ck_assert_uint_eq(get(0x00), 0x58);
	ck_assert_uint_eq(get(REG_A) & A_UIP, 0);
	put(0x00, 0x11);
	ck_assert_uint_eq(get(0x00), 0x11);
	put(REG_B, B_24H);
	ck_assert_uint_eq(get(0x00), 0x11);
	/* The second that had begun goes on. */
	host_now += 1;
	ck_assert_uint_eq(get(0x00), 0x12);
}
END_TEST

START_TEST(write_divider_restart_updates_half_a_second_later)
{
	host_now += SECOND / 5;
	put(REG_A, A_DV_RESET);
	host_now += 3 * SECOND;
	ck_assert_uint_eq(get(0x00), 0x58);
	put(REG_A, A_RUN);
	host_now += SECOND / 2 - 1;
	ck_assert_uint_eq(get(0x00), 0x58);
	host_now += 1;
	ck_assert_uint_eq(get(0x00), 0x59);
	host_now += SECOND - 1;
	ck_assert_uint_eq(get(0x00), 0x59);
}
END_TEST

START_TEST(write_time_one_field_at_a_time_is_kept)
{
	/* February the 30th in between is nobody's business. */
	put(0x07, 0x30);
	put(0x08, 0x04);
	ck_assert_uint_eq(get(0x07), 0x30);
	host_now += SECOND;
	check_shown(
		(struct shown){0x20, 0x24, 0x04, 0x30, 3, 0x23, 0x59, 0x59});
}
END_TEST

START_TEST(write_time_garbage_becomes_some_date)
{
	for (unsigned int b = 0; b < 8; b++) {
		put(REG_B, b);
		for (unsigned int i = 0; i < 10; i++)
			put(i, 0xff);
		put(RTC_CENTURY, 0xff);
		host_now += SECOND;
		(void)get(0x00);
		for (unsigned int i = 0; i < 10; i++)
			put(i, 0);
		put(RTC_CENTURY, 0);
		/* Backwards beyond the year 0. */
		host_now -= INT64_C(40000000) * SECOND;
		ck_assert_uint_eq(get(RTC_CENTURY), b & B_BINARY ? 99 : 0x99);
		host_now += INT64_C(40000000) * SECOND;
		(void)get(0x00);
		ck_assert_uint_le(get(0x00), 0x59);
		ck_assert_uint_ge(get(0x08), 1);
		ck_assert_uint_le(get(0x08), 0x12);
	}
}
END_TEST

START_TEST(read_time_host_set_back_is_followed)
{
	host_now -= 59 * SECOND - 1;
	check_shown(
		(struct shown){0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x58, 0x59});
}
END_TEST

START_TEST(read_uip_is_on_just_before_the_update)
{
	host_now += SECOND - 2228001;
	ck_assert_uint_eq(get(REG_A) & A_UIP, 0);
	host_now += 1;
	ck_assert_uint_eq(get(REG_A) & A_UIP, A_UIP);
	host_now += 2227999;
	ck_assert_uint_eq(get(REG_A) & A_UIP, A_UIP);
	ck_assert_uint_eq(get(0x00), 0x58);
	host_now += 1;
	ck_assert_uint_eq(get(REG_A) & A_UIP, 0);
	ck_assert_uint_eq(get(0x00), 0x59);
}
END_TEST

START_TEST(read_reg_c_shows_update_once)
{
	host_now += 3 * SECOND;
	ck_assert_uint_eq(get(REG_C), 0x10);
	ck_assert_uint_eq(get(REG_C), 0);
	put(REG_C, 0xff);
	put(REG_D, 0);
	ck_assert_uint_eq(get(REG_C), 0);
	ck_assert_uint_eq(get(REG_D), 0x80);
}
END_TEST

START_TEST(write_memory_is_kept_at_128_addresses)
{
	for (unsigned int i = 0x0e; i < 0x80; i++)
		if (i != RTC_CENTURY)
			put(i, (uint8_t)~i);
	put(0x01, 0xc0); /* the alarm is memory, too */
	host_now += SECOND;
	for (unsigned int i = 0x0e; i < 0x80; i++)
		if (i != RTC_CENTURY)
			ck_assert_uint_eq(get(i), (uint8_t)~i);
	ck_assert_uint_eq(get(0x01), 0xc0);
	/* Index bit 7 is the NMI mask. */
	ck_assert_uint_eq(get(0x80 | 0x40), (uint8_t)~0x40);
}
END_TEST

START_TEST(access_wide_is_index_then_data)
{
	fake_host_write(&fake, BUS_PIO, PORT_RTC, 2, 0x5540);
	ck_assert_uint_eq(get(0x40), 0x55);
	ck_assert_uint_eq(fake_host_read(&fake, BUS_PIO, PORT_RTC, 2), 0x55ff);
}
END_TEST

START_TEST(reset_keeps_time_and_memory_and_resets_control)
{
	struct shown want = {0x19, 0x99, 0x12, 0x31, 6, 0x12, 0x30, 0x15};

	set_time(want);
	put(0x40, 0x5a);
	put(REG_B, B_SET | B_24H);
	rtc_device_ops.reset(rtc);
	ck_assert_uint_eq(get(0x40), 0x5a);
	ck_assert_uint_eq(get(REG_A), A_RUN);
	ck_assert_uint_eq(get(REG_B), B_24H);
	ck_assert_uint_eq(get(REG_C), 0);
	check_shown(want);
}
END_TEST

START_TEST(restore_into_fresh_one_continues_and_saves_the_same)
{
	struct error err = {.text = ""};
	json_t *first, *second;
	struct fake_host host;
	struct rtc *saved = rtc;

	set_time((struct shown){0x19, 0x70, 0x01, 0x01, 0, 0, 0, 0x10});
	put(0x40, 0x77);
	host_now += SECOND / 2;
	(void)get(0x00);
	put(REG_B, B_BINARY | B_24H);
	fake_host_write(&fake, BUS_PIO, PORT_RTC, 1, 0x40);
	ck_assert_int_eq(rtc_device_ops.save(rtc, &first), 0);

	/* It lay on the disk for a day. */
	host_now += 86400 * SECOND;
	fake_host_init(&host);
	ck_assert_int_eq(rtc_new(&rtc, &host.host, host_clock), 0);
	ck_assert_int_eq(rtc_device_ops.restore(rtc, first, &err), 0);
	ck_assert_int_eq(rtc_device_ops.save(rtc, &second), 0);
	ck_assert(json_equal(first, second));
	ck_assert_uint_eq(fake_host_read(&host, BUS_PIO, PORT_RTC + 1, 1),
			  0x77);
	fake_host_write(&host, BUS_PIO, PORT_RTC, 1, 0x07);
	ck_assert_uint_eq(fake_host_read(&host, BUS_PIO, PORT_RTC + 1, 1), 2);
	rtc_device_ops.free(rtc);
	rtc = saved;
	json_decref(first);
	json_decref(second);
}
END_TEST

static const struct {
	const char *member;
	const char *value;
	int cmos_index; /* or else this byte of cmos ... */
	uint8_t cmos_value;
} lies[] = {
	{"index", "0x80", -1, 0},    {"second", "0x8000000000000000", -1, 0},
	{"cmos", "00", -1, 0},	     {"surplus", "0x0", -1, 0},
	{"cmos", NULL, REG_A, 0xa6}, {"cmos", NULL, REG_C, 0x40},
	{"cmos", NULL, REG_D, 0x00},
};

START_TEST(restore_bad_value_is_refused_by_name)
{
	struct error err = {.text = ""};
	json_t *before, *lie, *after;

	ck_assert_int_eq(rtc_device_ops.save(rtc, &before), 0);
	lie = json_deep_copy(before);
	if (lies[_i].value) {
		json_object_set_new(lie, lies[_i].member,
				    json_string(lies[_i].value));
	} else {
		const char *cmos =
			json_string_value(json_object_get(lie, "cmos"));
		char hex[3], text[2 * 128 + 1];

		ck_assert_uint_eq(strlen(cmos), 2 * 128);
		memcpy(text, cmos, sizeof(text));
		snprintf(hex, sizeof(hex), "%02x", lies[_i].cmos_value);
		memcpy(text + 2 * lies[_i].cmos_index, hex, 2);
		json_object_set_new(lie, "cmos", json_string(text));
	}
	ck_assert_int_eq(rtc_device_ops.restore(rtc, lie, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, lies[_i].member));
	ck_assert_int_eq(rtc_device_ops.save(rtc, &after), 0);
	ck_assert(json_equal(before, after));
	json_decref(before);
	json_decref(lie);
	json_decref(after);
}
END_TEST

START_TEST(restore_any_second_then_read_is_safe)
{
	static const char *const values[] = {"0x0", "0x7fffffffffffffff"};
	static const int64_t clocks[] = {0, INT64_MAX};
	json_t *state;

	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_int_eq(rtc_device_ops.save(rtc, &state), 0);
		json_object_set_new(state, "second",
				    json_string(values[i / 2]));
		ck_assert_int_eq(rtc_device_ops.restore(rtc, state, NULL), 0);
		json_decref(state);
		host_now = clocks[i % 2];
		ck_assert_uint_le(get(0x00), 0x59);
		host_now = LEAP_DAY;
		ck_assert_uint_le(get(0x00), 0x59);
	}
}
END_TEST

static Suite *rtc_suite(void)
{
	Suite *suite = suite_create("rtc");
	TCase *tc = tcase_create("rtc");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, new_shows_host_time_in_bcd_24h);
	tcase_add_test(tc, new_without_clock_follows_the_host);
	tcase_add_test(tc, new_ports_taken_fails);
	tcase_add_test(tc, read_time_passes_leap_day_and_century);
	tcase_add_test(tc, read_time_binary_shows_numbers);
	tcase_add_loop_test(tc, read_time_hour_rolls_over, 0,
			    sizeof(hours) / sizeof(hours[0]));
	tcase_add_test(tc, write_set_stops_the_clock_and_clears_uie);
	tcase_add_test(tc, write_divider_restart_updates_half_a_second_later);
	tcase_add_test(tc, write_time_one_field_at_a_time_is_kept);
	tcase_add_test(tc, write_time_garbage_becomes_some_date);
	tcase_add_test(tc, read_time_host_set_back_is_followed);
	tcase_add_test(tc, read_uip_is_on_just_before_the_update);
	tcase_add_test(tc, read_reg_c_shows_update_once);
	tcase_add_test(tc, write_memory_is_kept_at_128_addresses);
	tcase_add_test(tc, access_wide_is_index_then_data);
	tcase_add_test(tc, reset_keeps_time_and_memory_and_resets_control);
	tcase_add_test(tc, restore_into_fresh_one_continues_and_saves_the_same);
	tcase_add_loop_test(tc, restore_bad_value_is_refused_by_name, 0,
			    sizeof(lies) / sizeof(lies[0]));
	tcase_add_test(tc, restore_any_second_then_read_is_safe);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(rtc_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
