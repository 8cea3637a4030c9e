/*
 * The page's first byte is pvpanic, after QEMU's docs/specs/pvpanic: reading
 * gives the events that are taken, writing reports some. Its last word is the
 * debug exit, where writing v asks for the machine to end with status v; who
 * gets the notice makes an exit status of it. The rest reads as 0. All accesses
 * are the guest's.
 *
 * Nothing is kept, so there is nothing to lock, reset or save.
 */
#include "arch/aarch64/pvpanic.h"

#include <errno.h>
#include <stdlib.h>

#include <misc/pvpanic.h>

#include "vmm/base/json.h"
#include "vmm/base/log.h"

#define PVPANIC_TAKEN (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED)

#define DEBUG_EXIT_SIZE 4
#define DEBUG_EXIT_MAX	0xff

struct pvpanic {
	struct host *host; /* borrowed */
	uint64_t base;
	struct log_limit crash_loaded;
};

/* The debug exit reads as nothing does: a guest that probes by reading learns
 * nothing that it could come to rely on. */
static uint64_t pvpanic_read(void *ctx, uint64_t offset, unsigned int size)
{
	(void)ctx;
	(void)size;
	if (offset == PVPANIC_EVENTS)
		return PVPANIC_TAKEN;
	return offset >= PVPANIC_DEBUG_EXIT ? UINT32_MAX : 0;
}

static void pvpanic_write_events(struct pvpanic *pvpanic, uint64_t events)
{
	if (events & PVPANIC_PANICKED)
		pvpanic->host->ops->notice(pvpanic->host, HOST_PANIC, 0);
	else if (events & PVPANIC_CRASH_LOADED)
		log_limited(&pvpanic->crash_loaded, LOG_INFO,
			    "the guest panicked and goes on in its crash "
			    "kernel");
}

static void pvpanic_write(void *ctx, uint64_t offset, unsigned int size,
			  uint64_t value)
{
	struct pvpanic *pvpanic = ctx;
	struct host *host = pvpanic->host;

	if (offset == PVPANIC_EVENTS)
		pvpanic_write_events(pvpanic, value);
	else if (offset == PVPANIC_DEBUG_EXIT && size == DEBUG_EXIT_SIZE)
		host->ops->notice(host, HOST_DEBUG_EXIT,
				  value < DEBUG_EXIT_MAX ? (unsigned int)value
							 : DEBUG_EXIT_MAX);
}

static const struct bus_ops pvpanic_bus_ops = {
	.read = pvpanic_read,
	.write = pvpanic_write,
	.max_size = DEBUG_EXIT_SIZE,
};

static void pvpanic_reset(void *self)
{
	(void)self;
}

static int pvpanic_save(void *self, json_t **out)
{
	return json_save(self, NULL, 0, out);
}

static int pvpanic_restore(void *self, const json_t *value, struct error *err)
{
	return json_load(self, NULL, 0, value, err);
}

static void pvpanic_free(void *self)
{
	struct pvpanic *pvpanic = self;

	if (!pvpanic)
		return;
	pvpanic->host->ops->unmap(pvpanic->host, BUS_MMIO, pvpanic->base);
	free(pvpanic);
}

const struct device_ops pvpanic_device_ops = {
	.free = pvpanic_free,
	.reset = pvpanic_reset,
	.save = pvpanic_save,
	.restore = pvpanic_restore,
};

int pvpanic_new(struct pvpanic **out, struct host *host, uint64_t base)
{
	struct pvpanic *pvpanic = calloc(1, sizeof(*pvpanic));
	int rc;

	if (!pvpanic)
		return -ENOMEM;
	pvpanic->host = host;
	pvpanic->base = base;
	rc = host->ops->map(host, BUS_MMIO, base, PVPANIC_SIZE,
			    &pvpanic_bus_ops, pvpanic, "pvpanic");
	if (rc)
		goto err_free;
	*out = pvpanic;
	return 0;

err_free:
	free(pvpanic);
	return rc;
}
