/*
 * One byte of port, after QEMU's docs/specs/pvpanic: reading gives the events
 * that are taken, writing reports some. All accesses are the guest's.
 *
 * Nothing is kept, so there is nothing to lock, reset or save.
 */
#include "arch/x86_64/pvpanic.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include <misc/pvpanic.h>

#include "arch/x86_64/layout.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"

#define PVPANIC_EVENTS (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED)

struct pvpanic {
	struct host *host; /* borrowed */
	struct log_limit crash_loaded;
};

static uint64_t pvpanic_read(void *ctx, uint64_t offset, unsigned int size)
{
	(void)ctx;
	(void)offset;
	(void)size;
	return PVPANIC_EVENTS;
}

static void pvpanic_write(void *ctx, uint64_t offset, unsigned int size,
			  uint64_t value)
{
	struct pvpanic *pvpanic = ctx;

	(void)offset;
	(void)size;
	if (value & PVPANIC_PANICKED)
		pvpanic->host->ops->notice(pvpanic->host, HOST_PANIC, 0);
	else if (value & PVPANIC_CRASH_LOADED)
		log_limited(&pvpanic->crash_loaded, LOG_INFO,
			    "the guest panicked and goes on in its crash "
			    "kernel");
}

static const struct bus_ops pvpanic_bus_ops = {
	.read = pvpanic_read,
	.write = pvpanic_write,
	.max_size = 1,
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
	pvpanic->host->ops->unmap(pvpanic->host, BUS_PIO, PORT_PVPANIC);
	free(pvpanic);
}

const struct device_ops pvpanic_device_ops = {
	.free = pvpanic_free,
	.reset = pvpanic_reset,
	.save = pvpanic_save,
	.restore = pvpanic_restore,
};

int pvpanic_new(struct pvpanic **out, struct host *host)
{
	struct pvpanic *pvpanic = calloc(1, sizeof(*pvpanic));
	int rc;

	if (!pvpanic)
		return -ENOMEM;
	pvpanic->host = host;
	rc = host->ops->map(host, BUS_PIO, PORT_PVPANIC, 1, &pvpanic_bus_ops,
			    pvpanic, "pvpanic");
	if (rc)
		goto err_free;
	*out = pvpanic;
	return 0;

err_free:
	free(pvpanic);
	return rc;
}
