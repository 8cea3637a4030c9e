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

#define DEVICE_SET_MAX 16

/*
 * The parts of a machine, in the order in which they are reset and restored:
 * interrupt controllers before what raises interrupts. Embedded in who owns
 * them; begins as all zero. Main thread with no vCPU running.
 */
struct device_set {
	struct device devices[DEVICE_SET_MAX];
	unsigned int count;
};

/* name is borrowed. At most DEVICE_SET_MAX. */
void device_set_add(struct device_set *set, const char *name,
		    const struct device_ops *ops, void *self);

/* Free all, the last one first. */
void device_set_free(struct device_set *set);

void device_set_reset(struct device_set *set);

/**
 * device_set_save() - A member for each.
 * @out: a new reference; NULL after a failure
 *
 * Return: 0, or what the part says with @err naming it.
 */
int device_set_save(const struct device_set *set, json_t **out,
		    struct error *err);

/**
 * device_set_restore() - Take what device_set_save() of a set of the same
 * parts gave.
 *
 * Return: 0; -EINVAL if it is of other ones; or what the part says with @err
 * naming it, and those before it are restored then.
 */
int device_set_restore(const struct device_set *set, const json_t *state,
		       struct error *err);

#endif
