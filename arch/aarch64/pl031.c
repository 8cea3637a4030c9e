/*
 * After Arm's PrimeCell Real Time Clock (PL031) Technical Reference Manual (DDI
 * 0224C), section 3.3. All accesses are the guest's.
 *
 * The counter is the clock that it follows and a difference, which is what a
 * guest sets: so a machine that is saved and restored later shows the time
 * that it is then. It runs from the start, as firmware would have it.
 *
 * A match is found when the guest looks next, not when it comes about: that
 * would need a timer on the main loop, for a thing by which guests wake from
 * sleep, which this machine's do not. Device tree and ACPI name no interrupt
 * for this clock, so that a guest does not wait for it.
 */
#include "arch/aarch64/pl031.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "arch/aarch64/primecell.h"
#include "vmm/base/json.h"

/* 3.2, "Summary of RTC registers", by offset */
enum pl031_reg {
	RTCDR = 0x00,
	RTCMR = 0x04,
	RTCLR = 0x08,
	RTCCR = 0x0c,
	RTCIMSC = 0x10,
	RTCRIS = 0x14,
	RTCMIS = 0x18,
	RTCICR = 0x1c,
};

/* RTCPeriphID0 to 3: part 0x031, designer 0x41, revision 0 */
#define PL031_PERIPH_ID UINT32_C(0x00041031)

#define RTCCR_START 1u
#define RTC_INTR    1u

#define PL031_SECOND INT64_C(1000000000)

/* As saved. */
struct pl031_state {
	uint32_t difference; /* of the counter to the clock, modulo 2^32 */
	uint32_t seen;	     /* the counter when it was last looked at */
	uint32_t mr;
	uint32_t lr;
	bool imsc;
	bool ris;
};

struct pl031 {
	struct host *host; /* borrowed */
	uint64_t base;
	unsigned int gsi;
	pl031_clock_fn *clock;

	pthread_mutex_t lock; /* the rest is under it */
	struct pl031_state state;
	bool irq_level;
};

static int64_t pl031_clock_realtime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * PL031_SECOND + ts.tv_nsec;
}

static uint32_t pl031_clock_seconds(const struct pl031 *pl031)
{
	return (uint32_t)(pl031->clock() / PL031_SECOND);
}

/*
 * Step to the present, and see whether the match value was on the way. The
 * host's clock may have been set back: then nothing was passed.
 */
static void pl031_advance(struct pl031 *pl031)
{
	struct pl031_state *s = &pl031->state;
	uint32_t now = pl031_clock_seconds(pl031) + s->difference;
	uint32_t passed = now - s->seen;

	if (passed <= INT32_MAX && s->mr - s->seen - 1 < passed)
		s->ris = true;
	s->seen = now;
}

static void pl031_update_locked(struct pl031 *pl031)
{
	bool level = pl031->state.imsc && pl031->state.ris;

	if (level == pl031->irq_level)
		return;
	pl031->irq_level = level;
	pl031->host->ops->irq_set(pl031->host, pl031->gsi, level);
}

static uint32_t pl031_read_reg(const struct pl031_state *s, uint64_t offset)
{
	switch ((enum pl031_reg)offset) {
	case RTCDR:
		return s->seen;
	case RTCMR:
		return s->mr;
	case RTCLR:
		return s->lr;
	case RTCCR:
		return RTCCR_START;
	case RTCIMSC:
		return s->imsc;
	case RTCRIS:
		return s->ris;
	case RTCMIS:
		return s->imsc && s->ris;
	case RTCICR:
		return 0; /* write-only */
	}
	return primecell_id(PL031_PERIPH_ID, offset);
}

static void pl031_write_reg(struct pl031_state *s, uint64_t offset,
			    uint32_t value)
{
	switch ((enum pl031_reg)offset) {
	case RTCMR:
		s->mr = value;
		break;
	case RTCLR:
		s->lr = value;
		s->difference += value - s->seen;
		s->seen = value;
		break;
	case RTCIMSC:
		s->imsc = value & RTC_INTR;
		break;
	case RTCICR:
		if (value & RTC_INTR)
			s->ris = false;
		break;
	case RTCCR: /* once it runs, only a reset stops it */
	case RTCDR:
	case RTCRIS:
	case RTCMIS:
		return;
	}
	/* The comparator's output is up all through the second that matches. */
	if ((offset == RTCMR || offset == RTCLR) && s->mr == s->seen)
		s->ris = true;
}

static uint64_t pl031_read(void *ctx, uint64_t offset, unsigned int size)
{
	struct pl031 *pl031 = ctx;
	uint32_t value;

	(void)size;
	pthread_mutex_lock(&pl031->lock);
	pl031_advance(pl031);
	value = pl031_read_reg(&pl031->state, offset);
	pl031_update_locked(pl031);
	pthread_mutex_unlock(&pl031->lock);
	return value;
}

/* A part of a register alone is not written: these are of 32 bits. */
static void pl031_write(void *ctx, uint64_t offset, unsigned int size,
			uint64_t value)
{
	struct pl031 *pl031 = ctx;

	if (size != PRIMECELL_REG_SIZE)
		return;
	pthread_mutex_lock(&pl031->lock);
	pl031_advance(pl031);
	pl031_write_reg(&pl031->state, offset, (uint32_t)value);
	pl031_update_locked(pl031);
	pthread_mutex_unlock(&pl031->lock);
}

static const struct bus_ops pl031_bus_ops = {
	.read = pl031_read,
	.write = pl031_write,
	.max_size = PRIMECELL_REG_SIZE,
};

static void pl031_reset(void *self)
{
	struct pl031 *pl031 = self;

	pthread_mutex_lock(&pl031->lock);
	pl031_advance(pl031);
	pl031->state = (struct pl031_state){
		.difference = pl031->state.difference,
		.seen = pl031->state.seen,
	};
	pl031_update_locked(pl031);
	pthread_mutex_unlock(&pl031->lock);
}

static const struct json_field pl031_fields[] = {
	JSON_UINT(struct pl031_state, difference),
	JSON_UINT(struct pl031_state, seen),
	JSON_UINT(struct pl031_state, mr),
	JSON_UINT(struct pl031_state, lr),
	JSON_BOOL(struct pl031_state, imsc),
	JSON_BOOL(struct pl031_state, ris),
};

#define PL031_FIELDS (sizeof(pl031_fields) / sizeof(pl031_fields[0]))

static int pl031_save(void *self, json_t **out)
{
	struct pl031 *pl031 = self;
	int rc;

	pthread_mutex_lock(&pl031->lock);
	rc = json_save(&pl031->state, pl031_fields, PL031_FIELDS, out);
	pthread_mutex_unlock(&pl031->lock);
	return rc;
}

static int pl031_restore(void *self, const json_t *value, struct error *err)
{
	struct pl031_state state = {.mr = 0};
	struct pl031 *pl031 = self;
	int rc;

	rc = json_load(&state, pl031_fields, PL031_FIELDS, value, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&pl031->lock);
	pl031->state = state;
	pl031_update_locked(pl031);
	pthread_mutex_unlock(&pl031->lock);
	return 0;
}

static void pl031_free(void *self)
{
	struct pl031 *pl031 = self;

	if (!pl031)
		return;
	pl031->host->ops->unmap(pl031->host, BUS_MMIO, pl031->base);
	pthread_mutex_destroy(&pl031->lock);
	free(pl031);
}

const struct device_ops pl031_device_ops = {
	.free = pl031_free,
	.reset = pl031_reset,
	.save = pl031_save,
	.restore = pl031_restore,
};

int pl031_new(struct pl031 **out, struct host *host, uint64_t base,
	      unsigned int gsi, pl031_clock_fn *clock)
{
	struct pl031 *pl031 = calloc(1, sizeof(*pl031));
	int rc;

	if (!pl031)
		return -ENOMEM;
	pl031->host = host;
	pl031->base = base;
	pl031->gsi = gsi;
	pl031->clock = clock ? clock : pl031_clock_realtime;
	pthread_mutex_init(&pl031->lock, NULL);
	pl031->state.seen = pl031_clock_seconds(pl031);
	rc = host->ops->map(host, BUS_MMIO, base, PL031_SIZE, &pl031_bus_ops,
			    pl031, "pl031");
	if (rc)
		goto err_free;
	*out = pl031;
	return 0;

err_free:
	pthread_mutex_destroy(&pl031->lock);
	free(pl031);
	return rc;
}
