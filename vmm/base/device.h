/*
 * What every register-holding part of a machine can do besides its work: go
 * back to its power-on state, be saved, be restored. The machine keeps its
 * parts in one array and walks it, so none is forgotten.
 */
#ifndef VMM_BASE_DEVICE_H
#define VMM_BASE_DEVICE_H

#include <jansson.h>

#include "vmm/base/error.h"

/* All on the main thread with no vCPU running; self is the part. */
struct device_ops {
	/* Unmap and free. */
	void (*free)(void *self);
	/*
	 * Everything as after the part was made, but for what a battery keeps;
	 * lowers its interrupt.
	 */
	void (*reset)(void *self);
	/* out: a new reference. 0, -ENOMEM, or what KVM says. */
	int (*save)(void *self, json_t **out);
	/*
	 * Take what save gave, into a part that may have any state, and drive
	 * the interrupt line accordingly. 0, or -EINVAL, err naming the
	 * member, and nothing changed; or what KVM says.
	 */
	int (*restore)(void *self, const json_t *state, struct error *err);
};

struct device {
	const char *name; /* the key of its state, such as "serial0" */
	const struct device_ops *ops;
	void *self; /* owned */
};

#endif
