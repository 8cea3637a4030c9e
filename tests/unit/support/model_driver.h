/*
 * A guest's driver for one device model, without a transport: it opens and
 * makes the device, negotiates, lays out a ring_driver for each queue, and
 * turns the loop. For tests of models through virtio_device_*(); whatever
 * cannot go wrong in a test ends it.
 *
 *	struct model_driver guest;
 *	model_driver_init(&guest, &virtio_rng_ops, &options);
 *	model_driver_start(&guest, MODEL_DRIVER_ALL);
 *	ring_driver_add(guest.rings[0], ...);
 *	model_driver_kick(&guest, 0);
 *	model_driver_settle(&guest);
 *	ring_driver_collect(guest.rings[0], &used);
 *	model_driver_fini(&guest);
 */
#ifndef TESTS_UNIT_SUPPORT_MODEL_DRIVER_H
#define TESTS_UNIT_SUPPORT_MODEL_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/support/ring_driver.h"
#include "virtio/device.h"

#define MODEL_DRIVER_MIB 32
#define MODEL_DRIVER_ALL UINT64_MAX /* all features that are offered */

struct model_driver {
	struct loop *loop;
	struct loop_timer *turn;
	struct guest_mem *mem;
	struct virtio_resources resources;
	const struct virtio_device_ops *ops;
	struct virtio_device *device;
	struct ring_driver *rings[VIRTIO_QUEUES_MAX]; /* once started */
	uint64_t next;				      /* free guest memory */
	bool packed;		     /* set before start: packed rings */
	unsigned int config_changes; /* how often the device said so */
	unsigned int needs_resets;
};

/* Open, with the model's options, and create. */
void model_driver_init(struct model_driver *guest,
		       const struct virtio_device_ops *ops,
		       const void *options);
void model_driver_fini(struct model_driver *guest);

/* A second device from the same resources in place of the first one, which is
 * freed: as in another process after a restore. The rings stay. */
void model_driver_replace(struct model_driver *guest);

/* Negotiate these, and VIRTIO_F_VERSION_1, and activate with all queues. Rings
 * are new. */
void model_driver_start(struct model_driver *guest, uint64_t features);
void model_driver_reset(struct model_driver *guest);

/* @len bytes of guest memory, zero; its guest physical address. */
uint64_t model_driver_alloc(struct model_driver *guest, uint64_t len);
void *model_driver_host(struct model_driver *guest, uint64_t gpa, uint64_t len);

/* Publish what was added to that queue, and kick if the device wants it. */
void model_driver_kick(struct model_driver *guest, unsigned int index);

/* Add a buffer of @len bytes at @gpa and kick. */
void model_driver_give(struct model_driver *guest, unsigned int index,
		       uint64_t gpa, uint32_t len, bool writable);

/* Add a buffer for the device to read, with these bytes in it, and kick. */
void model_driver_send(struct model_driver *guest, unsigned int index,
		       const void *data, uint32_t len);

/* Let the loop do what is ready by now, and what follows from it. */
void model_driver_settle(struct model_driver *guest);

/* Turn the loop until ready(ctx), 10 s at most. Return: whether it is. */
bool model_driver_wait(struct model_driver *guest, bool (*ready)(void *ctx),
		       void *ctx);

/* Collect one used buffer, waiting for it. Ends the test if none comes. */
struct ring_driver_used model_driver_collect(struct model_driver *guest,
					     unsigned int index);

void model_driver_sleep(struct model_driver *guest);
void model_driver_wake(struct model_driver *guest);
/* Asleep; json_decref() it. */
json_t *model_driver_snapshot(struct model_driver *guest);
/* Asleep and new. Return: as virtio_device_restore_locked(). */
int model_driver_restore(struct model_driver *guest, const json_t *state,
			 struct error *err);
int model_driver_command(struct model_driver *guest, const char *name,
			 json_t *args, struct error *err);

#endif
