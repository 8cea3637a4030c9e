#include "acpi/ged.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "acpi/dsdt.h"
#include "vmm/base/json.h"

/* SLEEP_CONTROL (4.8.3.7); SLP_EN is write-only. */
#define SLP_TYP_SHIFT 2
#define SLP_TYP_MASK  (7u << SLP_TYP_SHIFT)
#define SLP_EN	      (1u << 5)

/* Guarded by struct ged's lock. */
struct ged_state {
	uint32_t event;
	uint8_t sleep_control;
};

static const struct json_field ged_fields[] = {
	JSON_UINT_MAX(struct ged_state, event, GED_EVENT_POWER_BUTTON),
	JSON_UINT_MAX(struct ged_state, sleep_control, SLP_TYP_MASK),
};

#define GED_FIELDS (sizeof(ged_fields) / sizeof(ged_fields[0]))

struct ged {
	struct host *host; /* borrowed */
	uint64_t base;
	unsigned int gsi;

	pthread_mutex_t lock;
	struct ged_state state;
};

static void ged_update_line_locked(struct ged *ged)
{
	ged->host->ops->irq_set(ged->host, ged->gsi, ged->state.event != 0);
}

static uint32_t ged_take_events(struct ged *ged)
{
	uint32_t event;

	pthread_mutex_lock(&ged->lock);
	event = ged->state.event;
	ged->state.event = 0;
	ged_update_line_locked(ged);
	pthread_mutex_unlock(&ged->lock);
	return event;
}

static uint64_t ged_read(void *ctx, uint64_t offset, unsigned int size)
{
	struct ged *ged = ctx;
	uint8_t value;

	if (offset == GED_EVENT && size == 4)
		return ged_take_events(ged);
	if (offset != GED_SLEEP_CONTROL || size != 1)
		return 0;
	pthread_mutex_lock(&ged->lock);
	value = ged->state.sleep_control;
	pthread_mutex_unlock(&ged->lock);
	return value;
}

static void ged_write_sleep_control(struct ged *ged, uint8_t value)
{
	pthread_mutex_lock(&ged->lock);
	ged->state.sleep_control = value & SLP_TYP_MASK;
	pthread_mutex_unlock(&ged->lock);
	/* The DSDT has no sleeping state but \_S5. */
	if (value & SLP_EN &&
	    (value & SLP_TYP_MASK) >> SLP_TYP_SHIFT == DSDT_SLP_TYP_S5)
		ged->host->ops->notice(ged->host, HOST_POWEROFF, 0);
}

static void ged_write(void *ctx, uint64_t offset, unsigned int size,
		      uint64_t value)
{
	struct ged *ged = ctx;

	if (size != 1)
		return;
	/* SLEEP_STATUS has WAK_STS alone, which clears what is never set. */
	if (offset == GED_SLEEP_CONTROL)
		ged_write_sleep_control(ged, (uint8_t)value);
	else if (offset == GED_RESET && value == GED_RESET_VALUE)
		ged->host->ops->notice(ged->host, HOST_RESET, 0);
}

static const struct bus_ops ged_bus_ops = {
	.read = ged_read,
	.write = ged_write,
	.max_size = 4,
};

int ged_new(struct ged **out, struct host *host, uint64_t base,
	    unsigned int gsi)
{
	struct ged *ged = calloc(1, sizeof(*ged));
	int ret;

	if (!ged)
		return -ENOMEM;
	ged->host = host;
	ged->base = base;
	ged->gsi = gsi;
	pthread_mutex_init(&ged->lock, NULL);
	ret = host->ops->map(host, BUS_MMIO, base, GED_SIZE, &ged_bus_ops, ged,
			     "ged");
	if (ret < 0)
		goto err_free;
	*out = ged;
	return 0;

err_free:
	pthread_mutex_destroy(&ged->lock);
	free(ged);
	return ret;
}

void ged_power_button(struct ged *ged)
{
	pthread_mutex_lock(&ged->lock);
	ged->state.event |= GED_EVENT_POWER_BUTTON;
	ged_update_line_locked(ged);
	pthread_mutex_unlock(&ged->lock);
}

static void ged_free(void *self)
{
	struct ged *ged = self;

	ged->host->ops->unmap(ged->host, BUS_MMIO, ged->base);
	pthread_mutex_destroy(&ged->lock);
	free(ged);
}

static void ged_reset(void *self)
{
	struct ged *ged = self;

	pthread_mutex_lock(&ged->lock);
	ged->state = (struct ged_state){0};
	ged_update_line_locked(ged);
	pthread_mutex_unlock(&ged->lock);
}

static int ged_save(void *self, json_t **out)
{
	struct ged *ged = self;
	int ret;

	pthread_mutex_lock(&ged->lock);
	ret = json_save(&ged->state, ged_fields, GED_FIELDS, out);
	pthread_mutex_unlock(&ged->lock);
	return ret;
}

static int ged_restore(void *self, const json_t *state, struct error *err)
{
	struct ged *ged = self;
	struct ged_state loaded;
	int ret;

	ret = json_load(&loaded, ged_fields, GED_FIELDS, state, err);
	if (ret < 0)
		return ret;
	if (loaded.sleep_control & ~SLP_TYP_MASK)
		return error_set(err, EINVAL,
				 "sleep_control: 0x%x is not a value that the "
				 "register can hold",
				 loaded.sleep_control);
	pthread_mutex_lock(&ged->lock);
	ged->state = loaded;
	ged_update_line_locked(ged);
	pthread_mutex_unlock(&ged->lock);
	return 0;
}

const struct device_ops ged_device_ops = {
	.free = ged_free,
	.reset = ged_reset,
	.save = ged_save,
	.restore = ged_restore,
};
