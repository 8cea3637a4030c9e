/*
 * The virtio devices of a machine: made in two halves, put on their transports,
 * and led together through its life.
 *
 * Main thread, all of it. Times at which vCPUs may run are named.
 */
#ifndef VMM_DEVICES_H
#define VMM_DEVICES_H

#include <jansson.h>

#include "virtio/options.h"
#include "vmm/arch.h"
#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"
#include "vmm/base/host.h"
#include "vmm/base/loop.h"
#include "vmm/options.h"

struct devices;

/**
 * devices_open() - Check what the user asked for and acquire it: images with
 * their locks, taps and so on.
 * @out: for devices_free()
 * @options: borrowed; with dry_run, everything is looked at and nothing changed
 * @console: borrowed; NULL if there is none
 * @err: names the option
 *
 * Needs no KVM. May block on files. Return: 0 or a negative errno.
 */
int devices_open(struct devices **out, const struct options *options,
		 const struct virtio_console_options *console,
		 struct error *err);

/* What devices_start() gets; borrowed until devices_free(). */
struct devices_watch {
	struct loop *loop;
	/* What became of the process of a device: "lost", "restarted",
	 * "failed"; reason NULL for none. */
	void (*changed)(void *ctx, const char *label, const char *state,
			const char *reason);
	void *ctx;
};

/**
 * devices_start() - Start the processes of those that have one, and do not wait
 * for them.
 * @watch: copied
 *
 * By main's thread, while it is the only one, before guest memory is there.
 * Return: 0 or a negative errno, @err names the option.
 */
int devices_start(struct devices *devices, const struct devices_watch *watch,
		  struct error *err);

/* What they are made in; all borrowed until devices_free(). */
struct devices_machine {
	struct arch *arch; /* past arch_vm_init() */
	struct host *host;
	struct loop *loop;
	struct guest_mem *mem;
};

/**
 * devices_create() - Make the devices of devices_open(), each on its transport.
 * @machine: copied
 *
 * Before the first arch_boot(), which tells the guest where they are.
 * Return: 0 or a negative errno, @err names the option.
 */
int devices_create(struct devices *devices,
		   const struct devices_machine *machine, struct error *err);

/* Free them, and then what devices_open() acquired. Before what they are made
 * in; no vCPU runs. NULL is nothing to do. */
void devices_free(struct devices *devices);

/* Take every device from its driver: nothing touches guest memory after that,
 * and all is as after devices_create(). No vCPU runs. */
void devices_reset(struct devices *devices);

/**
 * devices_sleep() - Put all of them to sleep. No vCPU runs.
 *
 * May wait for what is in flight. Return: 0, or a negative errno, @err naming
 * the device that would not, and all are awake.
 */
int devices_sleep(struct devices *devices, struct error *err);

/**
 * devices_wake() - Wake all of them. No vCPU runs.
 *
 * Return: 0, or the first negative errno, @err naming the device; the others
 * are awake nevertheless.
 */
int devices_wake(struct devices *devices, struct error *err);

/**
 * devices_save() - The state of all that sleep: an object, a member for each
 * label.
 * @out: a new reference
 *
 * Return: 0 or a negative errno, @err names the device.
 */
int devices_save(struct devices *devices, json_t **out, struct error *err);

/**
 * devices_restore() - Take such a state into devices that sleep and have had
 * no driver.
 *
 * Return: 0 or a negative errno, @err names the device and the member.
 */
int devices_restore(struct devices *devices, const json_t *state,
		    struct error *err);

/**
 * devices_command() - Hand a command to one device. vCPUs may run.
 * @label: of which
 * @name, @args: see virtio_device_ops.command
 * @reply: a new reference, or NULL
 *
 * Return: 0, -ENODEV when there is no such device, or what that says; @err set.
 */
int devices_command(struct devices *devices, const char *label,
		    const char *name, const json_t *args, json_t **reply,
		    struct error *err);

/**
 * devices_status() - What there is. vCPUs may run.
 * @out: a new reference: an array of objects with "label" ("block0"), "type"
 *	 ("block"), "transport" ("pci", "mmio"), "address" (its place: PCI
 *	 "00:01.0", or guest physical, "0xd0000000"), "state" ("new", "active",
 *	 "inactive", "failed", "asleep"), and of one with a process of its own
 *	 what child_describe() adds
 *
 * Return: 0 or -ENOMEM.
 */
int devices_status(struct devices *devices, json_t **out);

#endif
