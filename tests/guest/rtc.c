/*
 * The clock: MC146818 registers with a plausible time that can be set, and the
 * CMOS bytes behind them.
 */
#include "lib/guest.h"

#define RTC_INDEX 0x70
#define RTC_DATA  0x71

#define RTC_SECONDS 0x00
#define RTC_MINUTES 0x02
#define RTC_HOURS   0x04
#define RTC_WEEKDAY 0x06
#define RTC_DAY	    0x07
#define RTC_MONTH   0x08
#define RTC_YEAR    0x09
#define RTC_REG_A   0x0a
#define RTC_REG_B   0x0b
#define RTC_REG_D   0x0d
#define RTC_CENTURY 0x32

#define REG_A_UIP 0x80
#define REG_B_24H 0x02
#define REG_B_DM  0x04
#define REG_D_VRT 0x80

static uint8_t rtc_read(uint8_t index)
{
	out8(RTC_INDEX, index);
	return in8(RTC_DATA);
}

static void rtc_write(uint8_t index, uint8_t value)
{
	out8(RTC_INDEX, index);
	out8(RTC_DATA, value);
}

static unsigned int rtc_number(uint8_t index)
{
	uint8_t value = rtc_read(index);

	if (rtc_read(RTC_REG_B) & REG_B_DM)
		return value;
	check((value & 0xf) < 10 && (value >> 4) < 10);
	return (value >> 4) * 10u + (value & 0xf);
}

int guest_main(void)
{
	unsigned int year, month, day, hour, minute, second;

	check(rtc_read(RTC_REG_D) & REG_D_VRT);
	check(rtc_read(RTC_REG_B) & REG_B_24H);
	while (rtc_read(RTC_REG_A) & REG_A_UIP)
		;
	second = rtc_number(RTC_SECONDS);
	minute = rtc_number(RTC_MINUTES);
	hour = rtc_number(RTC_HOURS);
	day = rtc_number(RTC_DAY);
	month = rtc_number(RTC_MONTH);
	year = rtc_number(RTC_YEAR) + 100 * rtc_number(RTC_CENTURY);
	check(second < 60 && minute < 60 && hour < 24);
	check(day >= 1 && day <= 31 && month >= 1 && month <= 12);
	check(year >= 2024 && year < 2100);
	print("time: %u-%u-%u %u:%u\n", year, month, day, hour, minute);

	/* Free CMOS bytes keep what is written, all eight bits. */
	rtc_write(0x40, 0xa5);
	rtc_write(0x41, 0x5a);
	check_eq(rtc_read(0x40), 0xa5);
	check_eq(rtc_read(0x41), 0x5a);
	/* The time can be set. */
	rtc_write(RTC_REG_B, rtc_read(RTC_REG_B) | 0x80);
	rtc_write(RTC_MINUTES, rtc_read(RTC_REG_B) & REG_B_DM ? 59 : 0x59);
	rtc_write(RTC_SECONDS, 0);
	rtc_write(RTC_REG_B, rtc_read(RTC_REG_B) & 0x7f);
	check_eq(rtc_number(RTC_MINUTES), 59);
	return 0;
}
