/*
 * Real-time clock, after Motorola's MC146818A data sheet, with the PC's two
 * ports (index and data), 128 bytes of memory and century register. All
 * accesses are the guest's.
 *
 * As in the chip, the memory holds the time: it is stepped by the seconds that
 * have passed whenever the guest looks, unless the guest has stopped it to set
 * it. What a guest writes there is kept, whether or not it is a date, and the
 * next step makes a date of it.
 *
 * The clock has no interrupt. Alarm, periodic and update-ended interrupts
 * would each need a timer on the main loop, and what guests use them for today
 * is to wake from sleep, which this machine's guests do not. The ACPI
 * description says so by giving the clock no IRQ: Linux then polls for
 * the time and refuses alarms. (Where it finds a PIC, Linux takes IRQ 8 for
 * granted, and whoever waits there for an update or an alarm waits in vain.)
 * The alarm bytes are memory; register B's enable bits are kept; of C's flags
 * only UF, a second has passed, is ever seen.
 */
#include "arch/x86_64/rtc.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arch/x86_64/layout.h"
#include "vmm/base/json.h"

#define RTC_PORTS     2
#define RTC_CMOS_SIZE 128

/* Address map */
#define RTC_SECONDS	  0x00
#define RTC_MINUTES	  0x02
#define RTC_HOURS	  0x04
#define RTC_DAY_OF_WEEK	  0x06 /* Sunday is 1 */
#define RTC_DATE_OF_MONTH 0x07
#define RTC_MONTH	  0x08
#define RTC_YEAR	  0x09
#define RTC_REG_A	  0x0a
#define RTC_REG_B	  0x0b
#define RTC_REG_C	  0x0c
#define RTC_REG_D	  0x0d

#define RTC_HOURS_PM 0x80 /* in 12-hour mode */

/* Register A */
#define RTC_A_UIP	0x80
#define RTC_A_DV_RESET	0x60 /* DV2 and DV1: the divider is held in reset */
#define RTC_A_DV_32KHZ	0x20
#define RTC_A_RS_1024HZ 0x06

/* Register B */
#define RTC_B_SET 0x80
#define RTC_B_UIE 0x10
#define RTC_B_DM  0x04 /* binary, else BCD */
#define RTC_B_24H 0x02

/* Register C */
#define RTC_C_UF 0x10

/* Register D */
#define RTC_D_VRT 0x80 /* the battery is good */

#define RTC_SECOND INT64_C(1000000000)

/*
 * Table 6, 32.768 kHz: UIP is on during an update, 1984 us, and for the 244 us
 * before it. A guest that finds it off therefore has 244 us at the least to
 * read the time, more than eight reads take even where an exit costs 18 us.
 */
#define RTC_UIP_TIME (INT64_C(1984000) + INT64_C(244000))

/* As saved. */
struct rtc_state {
	uint8_t index;	 /* the CMOS address that the data port shows */
	uint64_t second; /* when the second that cmos shows began, ns */
	uint8_t cmos[RTC_CMOS_SIZE];
};

struct rtc {
	struct host *host; /* borrowed */
	rtc_clock_fn *clock;

	pthread_mutex_t lock; /* the rest is under it */
	struct rtc_state state;
};

static int64_t rtc_clock_realtime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * RTC_SECOND + ts.tv_nsec;
}

/* A number as register B's data mode has it in a byte. */
static uint8_t rtc_encode(const struct rtc_state *s, int value)
{
	if (s->cmos[RTC_REG_B] & RTC_B_DM)
		return value;
	return (value / 10) << 4 | value % 10;
}

/* At most 255, whatever the guest has written. */
static int rtc_decode(const struct rtc_state *s, uint8_t byte)
{
	if (s->cmos[RTC_REG_B] & RTC_B_DM)
		return byte;
	return (byte >> 4) * 10 + (byte & 0x0f);
}

static uint8_t rtc_encode_hours(const struct rtc_state *s, int hours)
{
	uint8_t pm = hours >= 12 ? RTC_HOURS_PM : 0;

	if (s->cmos[RTC_REG_B] & RTC_B_24H)
		return rtc_encode(s, hours);
	/* 12, 1, 2 to 11 */
	return rtc_encode(s, (hours + 11) % 12 + 1) | pm;
}

static int rtc_decode_hours(const struct rtc_state *s, uint8_t byte)
{
	int pm = byte & RTC_HOURS_PM ? 12 : 0;

	if (s->cmos[RTC_REG_B] & RTC_B_24H)
		return rtc_decode(s, byte);
	return rtc_decode(s, byte & ~RTC_HOURS_PM) % 12 + pm;
}

/* Seconds since 1970 that the memory shows; what is no date runs over. */
static int64_t rtc_get_time(const struct rtc_state *s)
{
	const uint8_t *cmos = s->cmos;
	int year = rtc_decode(s, cmos[RTC_CENTURY]) * 100 +
		   rtc_decode(s, cmos[RTC_YEAR]);
	struct tm tm = {
		.tm_sec = rtc_decode(s, cmos[RTC_SECONDS]),
		.tm_min = rtc_decode(s, cmos[RTC_MINUTES]),
		.tm_hour = rtc_decode_hours(s, cmos[RTC_HOURS]),
		.tm_mday = rtc_decode(s, cmos[RTC_DATE_OF_MONTH]),
		.tm_mon = rtc_decode(s, cmos[RTC_MONTH]) - 1,
		.tm_year = year - 1900,
	};

	return timegm(&tm);
}

static void rtc_set_time(struct rtc_state *s, int64_t seconds)
{
	uint8_t *cmos = s->cmos;
	time_t time = seconds;
	int year;
	struct tm tm;

	if (!gmtime_r(&time, &tm))
		return;
	/* What four digits cannot say wraps. */
	year = (tm.tm_year + 1900) % 10000;
	if (year < 0)
		year += 10000;
	cmos[RTC_SECONDS] = rtc_encode(s, tm.tm_sec);
	cmos[RTC_MINUTES] = rtc_encode(s, tm.tm_min);
	cmos[RTC_HOURS] = rtc_encode_hours(s, tm.tm_hour);
	cmos[RTC_DAY_OF_WEEK] = rtc_encode(s, tm.tm_wday + 1);
	cmos[RTC_DATE_OF_MONTH] = rtc_encode(s, tm.tm_mday);
	cmos[RTC_MONTH] = rtc_encode(s, tm.tm_mon + 1);
	cmos[RTC_YEAR] = rtc_encode(s, year % 100);
	cmos[RTC_CENTURY] = rtc_encode(s, year / 100);
}

/* Does the guest keep the clock from being updated? */
static bool rtc_is_stopped(const struct rtc_state *s)
{
	return (s->cmos[RTC_REG_B] & RTC_B_SET) ||
	       (s->cmos[RTC_REG_A] & RTC_A_DV_RESET) == RTC_A_DV_RESET;
}

/*
 * Step to the present. The host's clock may have been set, back too, and a
 * restored state may be from another year: the difference is counted anyhow.
 * A stopped clock lets the seconds pass without counting them.
 */
static void rtc_advance(struct rtc_state *s, int64_t now)
{
	int64_t passed = now - (int64_t)s->second;
	int64_t seconds = passed / RTC_SECOND;
	int64_t part = passed % RTC_SECOND;

	if (part < 0) {
		part += RTC_SECOND;
		seconds--;
	}
	if (!seconds)
		return;
	s->second = (uint64_t)(now - part);
	if (rtc_is_stopped(s))
		return;
	rtc_set_time(s, rtc_get_time(s) + seconds);
	s->cmos[RTC_REG_C] |= RTC_C_UF;
}

static uint8_t rtc_read_cmos(struct rtc_state *s, int64_t now)
{
	uint8_t value = s->cmos[s->index];

	if (s->index == RTC_REG_A && !rtc_is_stopped(s) &&
	    now - (int64_t)s->second >= RTC_SECOND - RTC_UIP_TIME)
		value |= RTC_A_UIP;
	if (s->index == RTC_REG_C)
		s->cmos[RTC_REG_C] = 0;
	return value;
}

static void rtc_write_reg_a(struct rtc_state *s, uint8_t value, int64_t now)
{
	uint8_t before = s->cmos[RTC_REG_A] & RTC_A_DV_RESET;

	s->cmos[RTC_REG_A] = value & ~RTC_A_UIP;
	/* The first update comes half a second after the divider starts. */
	if (before == RTC_A_DV_RESET &&
	    (value & RTC_A_DV_RESET) != RTC_A_DV_RESET)
		s->second = (uint64_t)(now - RTC_SECOND / 2);
}

static void rtc_write_cmos(struct rtc_state *s, uint8_t value, int64_t now)
{
	switch (s->index) {
	case RTC_REG_A:
		rtc_write_reg_a(s, value, now);
		break;
	case RTC_REG_B:
		if (value & RTC_B_SET)
			value &= ~RTC_B_UIE;
		s->cmos[RTC_REG_B] = value;
		break;
	case RTC_REG_C:
	case RTC_REG_D:
		break; /* read-only */
	default:
		s->cmos[s->index] = value;
		break;
	}
}

static uint64_t rtc_read(void *ctx, uint64_t offset, unsigned int size)
{
	struct rtc *rtc = ctx;
	int64_t now;
	uint8_t value;

	(void)size;
	/* The index cannot be read back on a PC. */
	if (offset == 0)
		return 0xff;
	pthread_mutex_lock(&rtc->lock);
	now = rtc->clock();
	rtc_advance(&rtc->state, now);
	value = rtc_read_cmos(&rtc->state, now);
	pthread_mutex_unlock(&rtc->lock);
	return value;
}

static void rtc_write(void *ctx, uint64_t offset, unsigned int size,
		      uint64_t value)
{
	struct rtc *rtc = ctx;
	int64_t now;

	(void)size;
	pthread_mutex_lock(&rtc->lock);
	if (offset == 0) {
		/* Bit 7 masks the NMI, of which there is none. */
		rtc->state.index = value & (RTC_CMOS_SIZE - 1);
	} else {
		now = rtc->clock();
		rtc_advance(&rtc->state, now);
		rtc_write_cmos(&rtc->state, value, now);
	}
	pthread_mutex_unlock(&rtc->lock);
}

static const struct bus_ops rtc_bus_ops = {
	.read = rtc_read,
	.write = rtc_write,
	.max_size = 1,
};

/* The control registers as the machine comes up. */
static void rtc_init_control(struct rtc_state *s)
{
	s->index = 0;
	s->cmos[RTC_REG_A] = RTC_A_DV_32KHZ | RTC_A_RS_1024HZ;
	s->cmos[RTC_REG_B] = RTC_B_24H;
	s->cmos[RTC_REG_C] = 0;
	s->cmos[RTC_REG_D] = RTC_D_VRT;
}

/* A battery keeps time and memory through a reset of the machine. */
static void rtc_reset(void *self)
{
	struct rtc *rtc = self;
	int64_t seconds;

	pthread_mutex_lock(&rtc->lock);
	rtc_advance(&rtc->state, rtc->clock());
	seconds = rtc_get_time(&rtc->state);
	rtc_init_control(&rtc->state);
	/* Perhaps in another data mode than before. */
	rtc_set_time(&rtc->state, seconds);
	pthread_mutex_unlock(&rtc->lock);
}

static const struct json_field rtc_fields[] = {
	JSON_UINT_MAX(struct rtc_state, index, RTC_CMOS_SIZE - 1),
	JSON_UINT_MAX(struct rtc_state, second, INT64_MAX),
	JSON_BLOB(struct rtc_state, cmos),
};

#define RTC_FIELDS (sizeof(rtc_fields) / sizeof(rtc_fields[0]))

static int rtc_save(void *self, json_t **out)
{
	struct rtc *rtc = self;
	int rc;

	pthread_mutex_lock(&rtc->lock);
	rc = json_save(&rtc->state, rtc_fields, RTC_FIELDS, out);
	pthread_mutex_unlock(&rtc->lock);
	return rc;
}

/* The bits that no write can set. */
static int rtc_check(const struct rtc_state *s, struct error *err)
{
	if (s->cmos[RTC_REG_A] & RTC_A_UIP)
		return error_set(err, EINVAL,
				 "\"cmos\": expected register A without UIP "
				 "(0x80), found 0x%x",
				 s->cmos[RTC_REG_A]);
	if (s->cmos[RTC_REG_C] & ~RTC_C_UF)
		return error_set(err, EINVAL,
				 "\"cmos\": expected register C to be 0 or UF "
				 "(0x10), found 0x%x",
				 s->cmos[RTC_REG_C]);
	if (s->cmos[RTC_REG_D] != RTC_D_VRT)
		return error_set(
			err, EINVAL,
			"\"cmos\": expected register D to be VRT (0x80), "
			"found 0x%x",
			s->cmos[RTC_REG_D]);
	return 0;
}

static int rtc_restore(void *self, const json_t *value, struct error *err)
{
	struct rtc_state state = {.index = 0};
	struct rtc *rtc = self;
	int rc;

	rc = json_load(&state, rtc_fields, RTC_FIELDS, value, err);
	if (rc)
		return rc;
	rc = rtc_check(&state, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&rtc->lock);
	rtc->state = state;
	pthread_mutex_unlock(&rtc->lock);
	return 0;
}

static void rtc_free(void *self)
{
	struct rtc *rtc = self;

	if (!rtc)
		return;
	rtc->host->ops->unmap(rtc->host, BUS_PIO, PORT_RTC);
	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
}

const struct device_ops rtc_device_ops = {
	.free = rtc_free,
	.reset = rtc_reset,
	.save = rtc_save,
	.restore = rtc_restore,
};

int rtc_new(struct rtc **out, struct host *host, rtc_clock_fn *clock)
{
	struct rtc *rtc = calloc(1, sizeof(*rtc));
	int64_t seconds;
	int rc;

	if (!rtc)
		return -ENOMEM;
	rtc->host = host;
	rtc->clock = clock ? clock : rtc_clock_realtime;
	pthread_mutex_init(&rtc->lock, NULL);
	rtc_init_control(&rtc->state);
	/* In step with the host, so that both turn to a second together. */
	seconds = rtc->clock() / RTC_SECOND;
	rtc->state.second = (uint64_t)(seconds * RTC_SECOND);
	/*
	 * Also the first call of gmtime_r(3), which looks for the time zone's
	 * files: here on main, and not on a vCPU thread.
	 */
	rtc_set_time(&rtc->state, seconds);
	rc = host->ops->map(host, BUS_PIO, PORT_RTC, RTC_PORTS, &rtc_bus_ops,
			    rtc, "rtc");
	if (rc)
		goto err_free;
	*out = rtc;
	return 0;

err_free:
	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
	return rc;
}
