/*
 * A device whose model runs in a process of its own: starting that, what is
 * said to it beside vhost-user, and its end.
 *
 * Theory of operation. Main has what open() acquired, and hands duplicates of
 * it to the process, with one end of a vhost-user connection; the process makes
 * the device, closes its jail behind itself and says that it is ready. From
 * then on main's device is a vhost-user frontend like any other, made from
 * child_resources(). Logs, commands and last words travel on a side channel
 * (vmm/base/side_channel.h).
 *
 * The process may be in the hands of its guest: what it says is checked, and
 * one that breaks the rules, floods main or does not answer is killed.
 *
 * Main thread, all of it.
 */
#ifndef VIRTIO_CHILD_H
#define VIRTIO_CHILD_H

#include <stdbool.h>

#include <jansson.h>

#include "virtio/device.h"
#include "virtio/options.h"
#include "vmm/base/error.h"
#include "vmm/base/loop.h"

/* ns that a command may take. */
#define CHILD_DEADLINE INT64_C(1000000000)
/* ns until a process has to be ready: a host may be busy. */
#define CHILD_START_DEADLINE INT64_C(10000000000)

/*
 * A process that dies is replaced: at once, then after CHILD_BACK_OFF, which
 * doubles, while each dies within CHILD_SOON. After CHILD_TRIES of those in a
 * row the device fails.
 */
#define CHILD_BACK_OFF INT64_C(100000000)  /* ns */
#define CHILD_SOON     INT64_C(1000000000) /* ns */
#define CHILD_TRIES    5

enum child_event {
	CHILD_DIED,
	CHILD_RESTARTED, /* the device goes on */
	CHILD_FAILED,	 /* it does not: NEEDS_RESET, for good */
};

struct child;
struct spawner; /* jail/spawner.h */

struct child_config {
	struct spawner *spawner; /* borrowed, as is all of this */
	struct loop *loop;
	const struct virtio_device_ops *ops; /* the table's row */
	const struct virtio_open *open;	     /* of its open(), for reopen() */
	struct virtio_resources *resources;  /* that it yielded */
	const char *label;
	bool packed;
	unsigned int sandbox; /* VIRTIO_SANDBOX_ON or _LOG */
	bool restart;
	/* Something happened to the process; NULL: nobody wants to know. */
	void (*event)(void *ctx, enum child_event event, const char *why);
	void *ctx;
};

/**
 * child_new() - Start the process, and do not wait for it.
 * @out: for child_free()
 * @config: copied; what it borrows stays until then
 *
 * Return: 0 or a negative errno, @err set: of the spawner, too.
 */
int child_new(struct child **out, const struct child_config *config,
	      struct error *err);

/* Have the process end, and do not wait for it: several end at once. The device
 * is freed already. NULL is nothing to do. */
void child_end(struct child *child);

/* The same, and wait for its end, for CHILD_DEADLINE from child_end() on at
 * most, and for that of its requests, which is as long again. */
void child_free(struct child *child);

/**
 * child_wait() - Wait until it is ready, CHILD_START_DEADLINE at most.
 *
 * Return: 0 or a negative errno, @err says what became of it.
 */
int child_wait(struct child *child, struct error *err);

/* What vhost_frontend_ops()'s create() takes; borrowed. */
const struct virtio_resources *child_resources(const struct child *child);

/* The frontend that was made of them. Before anything happens to it. */
void child_attach(struct child *child, struct virtio_device *device);

/**
 * child_command() - Hand a command to the model. Without the device's lock: a
 * vCPU that needs it waits for nobody here.
 *
 * Return: as virtio_device_ops.command; -ENODEV without a process; -ETIMEDOUT,
 * and the process is killed.
 */
int child_command(struct child *child, const char *name, const json_t *args,
		  json_t **reply, struct error *err);

/* Add "pid" (null if there is none), "sandbox" and "restarts" to an object.
 * Return: 0 or -ENOMEM. */
int child_describe(const struct child *child, json_t *object);

#endif
