#include "acpi/pm.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "acpi/dsdt.h"
#include "vmm/base/bytes.h"
#include "vmm/base/json.h"

/* PM1 status and enable (tables 4.11 and 4.12) */
#define TMR_STS	   (1u << 0)
#define GBL_STS	   (1u << 5)
#define PWRBTN_STS (1u << 8)
#define RTC_EN	   (1u << 10)
#define PM1_STATUS (TMR_STS | GBL_STS | PWRBTN_STS)
/* RTC_STS is never set, as the FADT says, but Linux insists on RTC_EN. */
#define PM1_ENABLE (PM1_STATUS | RTC_EN)

/* PM1 control (table 4.13); GBL_RLS and SLP_EN are write-only. */
#define SCI_EN	      (1u << 0)
#define BM_RLD	      (1u << 1)
#define SLP_TYP_SHIFT 10
#define SLP_TYP_MASK  (7u << SLP_TYP_SHIFT)
#define SLP_EN	      (1u << 13)
#define PM1_CONTROL   (BM_RLD | SLP_TYP_MASK)

/* The timer (4.8.2.1): TMR_STS tells that its highest bit has changed. */
#define PM_TIMER_HZ   UINT64_C(3579545)
#define PM_TIMER_BITS 24
#define PM_TIMER_MASK ((1u << PM_TIMER_BITS) - 1)
#define NS_PER_SEC    INT64_C(1000000000)

/* Guarded by struct pm's lock. */
struct pm_state {
	uint16_t pm1_status;
	uint16_t pm1_enable;
	uint16_t pm1_control;
	uint64_t timer; /* ticks at start, and more than 24 bits of them */
};

static const struct json_field pm_fields[] = {
	JSON_UINT_MAX(struct pm_state, pm1_status, PM1_STATUS),
	JSON_UINT_MAX(struct pm_state, pm1_enable, PM1_ENABLE),
	JSON_UINT_MAX(struct pm_state, pm1_control, PM1_CONTROL),
	JSON_UINT(struct pm_state, timer),
};

#define PM_FIELDS (sizeof(pm_fields) / sizeof(pm_fields[0]))

struct pm {
	struct host *host; /* borrowed */
	uint16_t port;
	unsigned int gsi;
	int64_t (*now)(void);

	pthread_mutex_t lock;
	struct pm_state state;
	int64_t start;	 /* clock when the timer stood at state.timer */
	uint64_t halves; /* of the timer's period, seen by TMR_STS */
};

/* The registers as the guest reads them. */
struct pm_image {
	le16 pm1_status;
	le16 pm1_enable;
	le16 pm1_control;
	le16 gap;
	le32 timer;
} __attribute__((packed));

static_assert(offsetof(struct pm_image, pm1_status) == PM_PM1A_EVT_BLK, "pm.h");
static_assert(offsetof(struct pm_image, pm1_control) == PM_PM1A_CNT_BLK,
	      "pm.h");
static_assert(offsetof(struct pm_image, timer) == PM_TMR_BLK, "pm.h");
static_assert(sizeof(struct pm_image) == PM_PORTS, "pm.h");

static uint64_t pm_ticks_locked(const struct pm *pm)
{
	uint64_t ns = (uint64_t)(pm->now() - pm->start);
	uint64_t seconds = ns / NS_PER_SEC;
	uint64_t rest = ns % NS_PER_SEC;

	return pm->state.timer + seconds * PM_TIMER_HZ +
	       rest * PM_TIMER_HZ / NS_PER_SEC;
}

static void pm_start_timer_locked(struct pm *pm)
{
	pm->start = pm->now();
	pm->halves = pm->state.timer >> (PM_TIMER_BITS - 1);
}

static void pm_update_sci_locked(struct pm *pm)
{
	bool level = pm->state.pm1_status & pm->state.pm1_enable;

	pm->host->ops->irq_set(pm->host, pm->gsi, level);
}

/*
 * Bring TMR_STS up to date. It is looked at when the guest looks and not by a
 * timer of ours, so that with TMR_EN the SCI comes late; no system that has
 * other clocks sets that.
 */
static uint64_t pm_update_timer_locked(struct pm *pm)
{
	uint64_t ticks = pm_ticks_locked(pm);
	uint64_t halves = ticks >> (PM_TIMER_BITS - 1);

	if (halves != pm->halves) {
		pm->halves = halves;
		pm->state.pm1_status |= TMR_STS;
		pm_update_sci_locked(pm);
	}
	return ticks;
}

static uint64_t pm_read(void *ctx, uint64_t offset, unsigned int size)
{
	struct pm *pm = ctx;
	struct pm_image image = {0};
	uint64_t ticks;
	le64 value = {0};

	pthread_mutex_lock(&pm->lock);
	ticks = pm_update_timer_locked(pm);
	image.pm1_status = le16_of(pm->state.pm1_status);
	image.pm1_enable = le16_of(pm->state.pm1_enable);
	image.pm1_control = le16_of(pm->state.pm1_control | SCI_EN);
	image.timer = le32_of((uint32_t)ticks & PM_TIMER_MASK);
	pthread_mutex_unlock(&pm->lock);

	memcpy(&value, (const uint8_t *)&image + offset, size);
	return le64_get(value);
}

/* Replace the bits of @mask in *@reg. */
static void pm_set_bits(uint16_t *reg, unsigned int mask, unsigned int value)
{
	*reg = (uint16_t)((*reg & ~mask) | (value & mask));
}

/*
 * One byte, since a guest may write any number of them. Whether it asks for
 * S5: SLP_TYP and SLP_EN stand in the same byte.
 */
static bool pm_write_byte_locked(struct pm *pm, unsigned int offset,
				 uint8_t byte)
{
	unsigned int shift = 8 * (offset & 1);
	unsigned int lane = 0xffu << shift;
	unsigned int value = (unsigned int)byte << shift;

	switch (offset & ~1u) {
	case offsetof(struct pm_image, pm1_status):
		pm->state.pm1_status &= (uint16_t)~value;
		return false;
	case offsetof(struct pm_image, pm1_enable):
		pm_set_bits(&pm->state.pm1_enable, PM1_ENABLE & lane, value);
		return false;
	case offsetof(struct pm_image, pm1_control):
		pm_set_bits(&pm->state.pm1_control, PM1_CONTROL & lane, value);
		/* The DSDT has no sleeping state but \_S5. */
		return value & SLP_EN &&
		       (value & SLP_TYP_MASK) >> SLP_TYP_SHIFT ==
			       DSDT_SLP_TYP_S5;
	default:
		return false;
	}
}

static void pm_write(void *ctx, uint64_t offset, unsigned int size,
		     uint64_t value)
{
	struct pm *pm = ctx;
	bool off = false;

	pthread_mutex_lock(&pm->lock);
	pm_update_timer_locked(pm);
	for (unsigned int i = 0; i < size; i++)
		off |= pm_write_byte_locked(pm, (unsigned int)offset + i,
					    (uint8_t)(value >> 8 * i));
	pm_update_sci_locked(pm);
	pthread_mutex_unlock(&pm->lock);
	if (off)
		pm->host->ops->notice(pm->host, HOST_POWEROFF, 0);
}

static const struct bus_ops pm_bus_ops = {
	.read = pm_read,
	.write = pm_write,
	.max_size = 4,
};

int pm_new(struct pm **out, struct host *host, uint16_t port, unsigned int gsi,
	   int64_t (*now)(void))
{
	struct pm *pm = calloc(1, sizeof(*pm));
	int ret;

	if (!pm)
		return -ENOMEM;
	pm->host = host;
	pm->port = port;
	pm->gsi = gsi;
	pm->now = now;
	pthread_mutex_init(&pm->lock, NULL);
	pm_start_timer_locked(pm);
	ret = host->ops->map(host, BUS_PIO, port, PM_PORTS, &pm_bus_ops, pm,
			     "pm");
	if (ret < 0)
		goto err_free;
	*out = pm;
	return 0;

err_free:
	pthread_mutex_destroy(&pm->lock);
	free(pm);
	return ret;
}

void pm_power_button(struct pm *pm)
{
	pthread_mutex_lock(&pm->lock);
	pm->state.pm1_status |= PWRBTN_STS;
	pm_update_sci_locked(pm);
	pthread_mutex_unlock(&pm->lock);
}

static void pm_free(void *self)
{
	struct pm *pm = self;

	pm->host->ops->unmap(pm->host, BUS_PIO, pm->port);
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}

static void pm_reset(void *self)
{
	struct pm *pm = self;

	pthread_mutex_lock(&pm->lock);
	pm->state = (struct pm_state){0};
	pm_start_timer_locked(pm);
	pm_update_sci_locked(pm);
	pthread_mutex_unlock(&pm->lock);
}

static int pm_save(void *self, json_t **out)
{
	struct pm *pm = self;
	struct pm_state state;
	uint64_t ticks;

	pthread_mutex_lock(&pm->lock);
	/* Before the copy, since it may set TMR_STS. */
	ticks = pm_update_timer_locked(pm);
	state = pm->state;
	pthread_mutex_unlock(&pm->lock);
	state.timer = ticks;
	return json_save(&state, pm_fields, PM_FIELDS, out);
}

/* Whether a register has bits that a guest could not have set. */
static int pm_check_bits(const char *name, unsigned int value,
			 unsigned int allowed, struct error *err)
{
	if (!(value & ~allowed))
		return 0;
	return error_set(err, EINVAL,
			 "%s: 0x%x is not a value that the register can hold",
			 name, value);
}

static int pm_restore(void *self, const json_t *state, struct error *err)
{
	struct pm *pm = self;
	struct pm_state loaded;
	int ret;

	ret = json_load(&loaded, pm_fields, PM_FIELDS, state, err);
	if (ret < 0)
		return ret;
	ret = pm_check_bits("pm1_status", loaded.pm1_status, PM1_STATUS, err);
	if (ret < 0)
		return ret;
	ret = pm_check_bits("pm1_enable", loaded.pm1_enable, PM1_ENABLE, err);
	if (ret < 0)
		return ret;
	ret = pm_check_bits("pm1_control", loaded.pm1_control, PM1_CONTROL,
			    err);
	if (ret < 0)
		return ret;

	pthread_mutex_lock(&pm->lock);
	pm->state = loaded;
	pm_start_timer_locked(pm);
	pm_update_sci_locked(pm);
	pthread_mutex_unlock(&pm->lock);
	return 0;
}

const struct device_ops pm_device_ops = {
	.free = pm_free,
	.reset = pm_reset,
	.save = pm_save,
	.restore = pm_restore,
};
