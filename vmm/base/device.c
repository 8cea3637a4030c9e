#include "vmm/base/device.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

void device_set_add(struct device_set *set, const char *name,
		    const struct device_ops *ops, void *self)
{
	assert(set->count < DEVICE_SET_MAX);
	set->devices[set->count++] =
		(struct device){.name = name, .ops = ops, .self = self};
}

void device_set_free(struct device_set *set)
{
	while (set->count) {
		struct device *device = &set->devices[--set->count];

		device->ops->free(device->self);
	}
}

void device_set_reset(struct device_set *set)
{
	for (unsigned int i = 0; i < set->count; i++)
		set->devices[i].ops->reset(set->devices[i].self);
}

int device_set_save(const struct device_set *set, json_t **out,
		    struct error *err)
{
	json_t *object = json_object();
	int rc = object ? 0 : -ENOMEM;

	*out = NULL;
	error_set(err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < set->count && !rc; i++) {
		const struct device *device = &set->devices[i];
		json_t *state = NULL;

		rc = device->ops->save(device->self, &state);
		if (!rc && json_object_set_new(object, device->name, state))
			rc = -ENOMEM;
		if (rc)
			error_set(err, -rc, "%s: %s", device->name,
				  strerror(-rc));
	}
	if (rc)
		json_decref(object);
	else
		*out = object;
	return rc;
}

int device_set_restore(const struct device_set *set, const json_t *state,
		       struct error *err)
{
	int rc = 0;

	if (json_object_size(state) != set->count)
		return error_set(err, EINVAL,
				 "devices: expected %u of them, found %zu",
				 set->count, json_object_size(state));
	for (unsigned int i = 0; i < set->count && !rc; i++) {
		const struct device *device = &set->devices[i];

		rc = device->ops->restore(device->self,
					  json_object_get(state, device->name),
					  err);
		if (rc)
			error_prefix(err, "%s: ", device->name);
	}
	return rc;
}
