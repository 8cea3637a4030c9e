/*
 * Which virtio devices a machine has, by its options: their labels, and where
 * on the PCI bus each of them is. Nothing is opened yet.
 */
#ifndef VMM_DEVICE_PLAN_H
#define VMM_DEVICE_PLAN_H

#include <stddef.h>

#include "virtio/device.h"
#include "virtio/options.h"
#include "vmm/base/error.h"
#include "vmm/options.h"

#define DEVICE_PLAN_OPTION_MAX 160 /* bytes of text for messages */

struct device_plan_entry {
	const char *type;		     /* of virtio_table_find() */
	bool vhost_user;		     /* or of vhost_frontend_ops() */
	char label[VIRTIO_LABEL_MAX];	     /* "block0" */
	char option[DEVICE_PLAN_OPTION_MAX]; /* "--disk a.img", cut if long */
	const void *options;		     /* the type's; borrowed */
	const struct virtio_common_options *common; /* in there */
	uint64_t wish;				    /* for a slot; 0: none */
	unsigned int slot; /* 1 to 31; 0 if it is not on the PCI bus */
};

struct device_plan {
	struct device_plan_entry *entries; /* owned */
	size_t count;
};

/**
 * device_plan_make() - Plan them: disks, then nets, the console, the rng.
 * @plan: for device_plan_fini(), also after a failure
 * @options: borrowed, as long as the plan is
 * @console: likewise; NULL if there is none
 * @err: names the option, and of two that clash both
 *
 * Those that wish for a slot get it, the others the lowest that are free.
 * Return: 0, -EEXIST when two wish for one slot, -ENOSPC when there are more
 * than the bus takes, -ENOMEM.
 */
int device_plan_make(struct device_plan *plan, const struct options *options,
		     const struct virtio_console_options *console,
		     struct error *err);

/**
 * device_plan_place() - Give out the slots anew, after a change of a wish.
 *
 * Return: as device_plan_make().
 */
int device_plan_place(struct device_plan *plan, struct error *err);

/* Safe on a zeroed one. */
void device_plan_fini(struct device_plan *plan);

#endif
