/*
 * One byte of port: writing v asks for the machine to end with status v. Who
 * gets the notice makes an exit status of it. All accesses are the guest's.
 *
 * Nothing is kept, so there is nothing to lock, reset or save.
 */
#include "arch/x86_64/debug_exit.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "arch/x86_64/layout.h"
#include "vmm/base/json.h"

struct debug_exit {
	struct host *host; /* borrowed */
};

/*
 * Nothing drives the bus, as where there is no device: a guest that probes by
 * reading learns nothing that it could come to rely on.
 */
static uint64_t debug_exit_read(void *ctx, uint64_t offset, unsigned int size)
{
	(void)ctx;
	(void)offset;
	(void)size;
	return 0xff;
}

static void debug_exit_write(void *ctx, uint64_t offset, unsigned int size,
			     uint64_t value)
{
	struct debug_exit *debug_exit = ctx;
	struct host *host = debug_exit->host;

	(void)offset;
	(void)size;
	host->ops->notice(host, HOST_DEBUG_EXIT, (uint8_t)value);
}

static const struct bus_ops debug_exit_bus_ops = {
	.read = debug_exit_read,
	.write = debug_exit_write,
	.max_size = 1,
};

static void debug_exit_reset(void *self)
{
	(void)self;
}

static int debug_exit_save(void *self, json_t **out)
{
	return json_save(self, NULL, 0, out);
}

static int debug_exit_restore(void *self, const json_t *value,
			      struct error *err)
{
	return json_load(self, NULL, 0, value, err);
}

static void debug_exit_free(void *self)
{
	struct debug_exit *debug_exit = self;

	if (!debug_exit)
		return;
	debug_exit->host->ops->unmap(debug_exit->host, BUS_PIO,
				     PORT_DEBUG_EXIT);
	free(debug_exit);
}

const struct device_ops debug_exit_device_ops = {
	.free = debug_exit_free,
	.reset = debug_exit_reset,
	.save = debug_exit_save,
	.restore = debug_exit_restore,
};

int debug_exit_new(struct debug_exit **out, struct host *host)
{
	struct debug_exit *debug_exit = calloc(1, sizeof(*debug_exit));
	int rc;

	if (!debug_exit)
		return -ENOMEM;
	debug_exit->host = host;
	rc = host->ops->map(host, BUS_PIO, PORT_DEBUG_EXIT, 1,
			    &debug_exit_bus_ops, debug_exit, "debug exit");
	if (rc)
		goto err_free;
	*out = debug_exit;
	return 0;

err_free:
	free(debug_exit);
	return rc;
}
