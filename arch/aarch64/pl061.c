/*
 * After Arm's PrimeCell General Purpose Input/Output (PL061) Technical
 * Reference Manual (DDI 0190B), section 3.3. All accesses are the guest's.
 *
 * Of the eight lines only the power button's has something behind it; what
 * the guest drives on the others leads nowhere, and as inputs they are low.
 *
 * The button stays down until the guest has seen it, that is until a read of
 * GPIODATA has shown the line high, and no time is involved: a driver that
 * waits for the contacts to settle before it looks (Linux's gpio-keys) sees
 * the press however late it looks, and so does one that is loaded later.
 */
#include "arch/aarch64/pl061.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "arch/aarch64/primecell.h"
#include "vmm/base/json.h"

/* 3.2, "Summary of registers", by offset; GPIODATA is up to the first, and
 * bits 9 to 2 of its address say which lines are meant. */
enum pl061_reg {
	GPIODIR = 0x400, /* 1: output */
	GPIOIS = 0x404,	 /* interrupt sense, 1: level */
	GPIOIBE = 0x408, /* 1: both edges */
	GPIOIEV = 0x40c, /* 1: rising edge or high level */
	GPIOIE = 0x410,
	GPIORIS = 0x414,
	GPIOMIS = 0x418,
	GPIOIC = 0x41c,
	GPIOAFSEL = 0x420,
};

#define GPIODATA_SIZE	    0x400
#define GPIODATA_MASK_SHIFT 2

/* GPIOPeriphID0 to 3: part 0x061, designer 0x41, revision 0 */
#define PL061_PERIPH_ID UINT32_C(0x00041061)

#define PL061_BUTTON (1u << PL061_POWER_BUTTON)

/* The registers, as saved. */
struct pl061_state {
	uint8_t data; /* what the guest drives, where it does */
	uint8_t dir;
	uint8_t is;
	uint8_t ibe;
	uint8_t iev;
	uint8_t ie;
	uint8_t edges; /* that were seen and not cleared */
	uint8_t afsel;
	bool pressed;
};

struct pl061 {
	struct host *host; /* borrowed */
	uint64_t base;
	unsigned int gsi;

	pthread_mutex_t lock; /* the rest is under it */
	struct pl061_state state;
	bool irq_level;
};

/* The lines as they are. */
static uint8_t pl061_lines(const struct pl061_state *s)
{
	uint8_t inputs = s->pressed ? PL061_BUTTON : 0;

	return (s->data & s->dir) | (inputs & ~s->dir);
}

/* GPIORIS: edges are kept until GPIOIC, levels are what they are. */
static uint8_t pl061_raw(const struct pl061_state *s)
{
	uint8_t active = ~(pl061_lines(s) ^ s->iev);

	return (s->edges & ~s->is) | (active & s->is & ~s->dir);
}

/* Note the edges of lines that were as @before says. */
static void pl061_detect(struct pl061_state *s, uint8_t before)
{
	uint8_t now = pl061_lines(s);
	uint8_t wanted = s->ibe | ~(now ^ s->iev);

	s->edges |= (before ^ now) & wanted & ~s->is & ~s->dir;
}

static void pl061_update_locked(struct pl061 *pl061)
{
	bool level = pl061_raw(&pl061->state) & pl061->state.ie;

	if (level == pl061->irq_level)
		return;
	pl061->irq_level = level;
	pl061->host->ops->irq_set(pl061->host, pl061->gsi, level);
}

static uint8_t pl061_read_data(struct pl061_state *s, uint64_t offset)
{
	uint8_t lines = pl061_lines(s);
	uint8_t value = lines & (uint8_t)(offset >> GPIODATA_MASK_SHIFT);

	/* The guest has seen it: the button is let go. */
	if ((value & ~s->dir & PL061_BUTTON) && s->pressed) {
		s->pressed = false;
		pl061_detect(s, lines);
	}
	return value;
}

static uint32_t pl061_read_reg(struct pl061_state *s, uint64_t offset)
{
	if (offset < GPIODATA_SIZE)
		return pl061_read_data(s, offset);
	switch ((enum pl061_reg)offset) {
	case GPIODIR:
		return s->dir;
	case GPIOIS:
		return s->is;
	case GPIOIBE:
		return s->ibe;
	case GPIOIEV:
		return s->iev;
	case GPIOIE:
		return s->ie;
	case GPIORIS:
		return pl061_raw(s);
	case GPIOMIS:
		return pl061_raw(s) & s->ie;
	case GPIOIC:
		return 0; /* write-only */
	case GPIOAFSEL:
		return s->afsel;
	}
	return primecell_id(PL061_PERIPH_ID, offset);
}

static void pl061_write_data(struct pl061_state *s, uint64_t offset,
			     uint8_t value)
{
	uint8_t mask = (uint8_t)(offset >> GPIODATA_MASK_SHIFT) & s->dir;

	s->data = (s->data & ~mask) | (value & mask);
}

static void pl061_write_reg(struct pl061_state *s, uint64_t offset,
			    uint8_t value)
{
	uint8_t before = pl061_lines(s);

	if (offset < GPIODATA_SIZE) {
		pl061_write_data(s, offset, value);
		return;
	}
	switch ((enum pl061_reg)offset) {
	case GPIODIR:
		s->dir = value;
		pl061_detect(s, before);
		break;
	case GPIOIS:
		s->is = value;
		break;
	case GPIOIBE:
		s->ibe = value;
		break;
	case GPIOIEV:
		s->iev = value;
		break;
	case GPIOIE:
		s->ie = value;
		break;
	case GPIOIC:
		s->edges &= ~value;
		break;
	case GPIOAFSEL:
		s->afsel = value;
		break;
	case GPIORIS:
	case GPIOMIS:
		break;
	}
}

static uint64_t pl061_read(void *ctx, uint64_t offset, unsigned int size)
{
	struct pl061 *pl061 = ctx;
	uint32_t value;

	(void)size;
	if (offset % PRIMECELL_REG_SIZE)
		return 0;
	pthread_mutex_lock(&pl061->lock);
	value = pl061_read_reg(&pl061->state, offset);
	pl061_update_locked(pl061);
	pthread_mutex_unlock(&pl061->lock);
	return value;
}

static void pl061_write(void *ctx, uint64_t offset, unsigned int size,
			uint64_t value)
{
	struct pl061 *pl061 = ctx;

	(void)size;
	if (offset % PRIMECELL_REG_SIZE)
		return;
	pthread_mutex_lock(&pl061->lock);
	pl061_write_reg(&pl061->state, offset, (uint8_t)value);
	pl061_update_locked(pl061);
	pthread_mutex_unlock(&pl061->lock);
}

static const struct bus_ops pl061_bus_ops = {
	.read = pl061_read,
	.write = pl061_write,
	.max_size = PRIMECELL_REG_SIZE,
};

void pl061_press(struct pl061 *pl061)
{
	struct pl061_state *s = &pl061->state;
	uint8_t before;

	pthread_mutex_lock(&pl061->lock);
	before = pl061_lines(s);
	s->pressed = true;
	pl061_detect(s, before);
	pl061_update_locked(pl061);
	pthread_mutex_unlock(&pl061->lock);
}

static void pl061_set_state(struct pl061 *pl061,
			    const struct pl061_state *state)
{
	pthread_mutex_lock(&pl061->lock);
	pl061->state = *state;
	pl061_update_locked(pl061);
	pthread_mutex_unlock(&pl061->lock);
}

static void pl061_reset(void *self)
{
	pl061_set_state(self, &(struct pl061_state){.dir = 0});
}

static const struct json_field pl061_fields[] = {
	JSON_UINT(struct pl061_state, data),
	JSON_UINT(struct pl061_state, dir),
	JSON_UINT(struct pl061_state, is),
	JSON_UINT(struct pl061_state, ibe),
	JSON_UINT(struct pl061_state, iev),
	JSON_UINT(struct pl061_state, ie),
	JSON_UINT(struct pl061_state, edges),
	JSON_UINT(struct pl061_state, afsel),
	JSON_BOOL(struct pl061_state, pressed),
};

#define PL061_FIELDS (sizeof(pl061_fields) / sizeof(pl061_fields[0]))

static int pl061_save(void *self, json_t **out)
{
	struct pl061 *pl061 = self;
	int rc;

	pthread_mutex_lock(&pl061->lock);
	rc = json_save(&pl061->state, pl061_fields, PL061_FIELDS, out);
	pthread_mutex_unlock(&pl061->lock);
	return rc;
}

static int pl061_restore(void *self, const json_t *value, struct error *err)
{
	struct pl061_state state = {.dir = 0};
	int rc;

	rc = json_load(&state, pl061_fields, PL061_FIELDS, value, err);
	if (!rc)
		pl061_set_state(self, &state);
	return rc;
}

static void pl061_free(void *self)
{
	struct pl061 *pl061 = self;

	if (!pl061)
		return;
	pl061->host->ops->unmap(pl061->host, BUS_MMIO, pl061->base);
	pthread_mutex_destroy(&pl061->lock);
	free(pl061);
}

const struct device_ops pl061_device_ops = {
	.free = pl061_free,
	.reset = pl061_reset,
	.save = pl061_save,
	.restore = pl061_restore,
};

int pl061_new(struct pl061 **out, struct host *host, uint64_t base,
	      unsigned int gsi)
{
	struct pl061 *pl061 = calloc(1, sizeof(*pl061));
	int rc;

	if (!pl061)
		return -ENOMEM;
	pl061->host = host;
	pl061->base = base;
	pl061->gsi = gsi;
	pthread_mutex_init(&pl061->lock, NULL);
	rc = host->ops->map(host, BUS_MMIO, base, PL061_SIZE, &pl061_bus_ops,
			    pl061, "pl061");
	if (rc)
		goto err_free;
	*out = pl061;
	return 0;

err_free:
	pthread_mutex_destroy(&pl061->lock);
	free(pl061);
	return rc;
}
