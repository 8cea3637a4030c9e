/*
 * Snapshots of a virtio device: which state it is in, what the driver
 * negotiated and set up, and what the model itself adds. Anybody may have
 * edited what is restored; it is checked as a whole, then taken.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <linux/virtio_config.h>

#include "virtio/device_private.h"
#include "vmm/base/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct virtio_device_saved {
	uint64_t offered, acked;
	uint32_t queue_count;
};

static const struct json_field virtio_device_fields[] = {
	JSON_UINT(struct virtio_device_saved, offered),
	JSON_UINT(struct virtio_device_saved, acked),
	JSON_UINT(struct virtio_device_saved, queue_count),
};

struct virtio_queue_saved {
	uint16_t max;
	bool enabled;
	uint16_t size;
	uint64_t desc, driver, device;
	uint16_t avail, used;
	bool avail_wrap, used_wrap;
};

static const struct json_field virtio_queue_fields[] = {
	JSON_UINT(struct virtio_queue_saved, max),
	JSON_BOOL(struct virtio_queue_saved, enabled),
	JSON_UINT(struct virtio_queue_saved, size),
	JSON_UINT(struct virtio_queue_saved, desc),
	JSON_UINT(struct virtio_queue_saved, driver),
	JSON_UINT(struct virtio_queue_saved, device),
	JSON_UINT(struct virtio_queue_saved, avail),
	JSON_UINT(struct virtio_queue_saved, used),
	JSON_BOOL(struct virtio_queue_saved, avail_wrap),
	JSON_BOOL(struct virtio_queue_saved, used_wrap),
};

/* The states that a snapshot may be of, by name. */
static const struct virtio_device_kind {
	const char *name;
	enum virtio_device_state state;
	enum virtio_device_step restore;
} virtio_device_kinds[] = {
	{"new", VIRTIO_DEVICE_ASLEEP_NEW, VIRTIO_STEP_RESTORE_NEW},
	{"active", VIRTIO_DEVICE_ASLEEP_ACTIVE, VIRTIO_STEP_RESTORE_ACTIVE},
	{"inactive", VIRTIO_DEVICE_ASLEEP_INACTIVE,
	 VIRTIO_STEP_RESTORE_INACTIVE},
};

static const struct virtio_device_kind *
virtio_device_kind_of(enum virtio_device_state state)
{
	for (size_t i = 0; i < COUNT(virtio_device_kinds); i++) {
		if (virtio_device_kinds[i].state == state)
			return &virtio_device_kinds[i];
	}
	return NULL;
}

static const struct virtio_device_kind *
virtio_device_kind_named(const json_t *name)
{
	for (size_t i = 0; i < COUNT(virtio_device_kinds); i++) {
		if (json_is_string(name) &&
		    strcmp(virtio_device_kinds[i].name,
			   json_string_value(name)) == 0)
			return &virtio_device_kinds[i];
	}
	return NULL;
}

/* A queue that is not enabled has nothing but its limit. */
static json_t *virtio_device_save_queue(const struct virtio_device_queue *queue)
{
	struct virtio_queue_saved saved = {.max = queue->max};
	json_t *object = NULL;

	if (queue->enabled) {
		saved.enabled = true;
		saved.size = queue->config.size;
		saved.desc = queue->config.desc;
		saved.driver = queue->config.driver;
		saved.device = queue->config.device;
		saved.avail = queue->position.avail;
		saved.used = queue->position.used;
		saved.avail_wrap = queue->position.avail_wrap;
		saved.used_wrap = queue->position.used_wrap;
	}
	json_save(&saved, virtio_queue_fields, COUNT(virtio_queue_fields),
		  &object);
	return object;
}

static json_t *virtio_device_save_queues(const struct virtio_device *device)
{
	json_t *array = json_array();

	for (unsigned int i = 0; array && i < device->queue_count; i++) {
		/* Takes the reference, and refuses NULL. */
		if (json_array_append_new(
			    array,
			    virtio_device_save_queue(&device->queues[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

int virtio_device_snapshot_locked(struct virtio_device *device, json_t **out)
{
	const struct virtio_device_saved saved = {
		.offered = device->features,
		.acked = device->acked,
		.queue_count = device->queue_count,
	};
	json_t *model = NULL, *object = NULL;
	const struct virtio_device_kind *kind;
	int ret;

	if (!virtio_device_step(device, VIRTIO_STEP_SNAPSHOT))
		return -EBUSY;
	kind = virtio_device_kind_of(device->state);
	ret = device->ops->snapshot(device->self, &model);
	if (ret < 0)
		return ret;
	json_save(&saved, virtio_device_fields, COUNT(virtio_device_fields),
		  &object);
	/* Takes the references, and fails if one of them is NULL. */
	*out = json_pack("{s:s, s:o, s:o, s:o}", "state", kind->name, "device",
			 object, "queues", virtio_device_save_queues(device),
			 "model", model);
	return *out ? 0 : -ENOMEM;
}

static int virtio_device_check_saved(const struct virtio_device *device,
				     const struct virtio_device_saved *saved,
				     bool active, struct error *err)
{
	if (saved->offered != device->features)
		return error_set(
			err, EINVAL,
			"%s: its driver was offered features 0x%" PRIx64
			", but this device offers 0x%" PRIx64,
			device->label, saved->offered, device->features);
	if (saved->acked & ~saved->offered ||
	    (!(saved->acked >> VIRTIO_F_VERSION_1 & 1) &&
	     (saved->acked || active)))
		return error_set(err, EINVAL,
				 "%s: no driver can have accepted features "
				 "0x%" PRIx64,
				 device->label, saved->acked);
	if (saved->queue_count != device->queue_count)
		return error_set(
			err, EINVAL,
			"%s: it had %" PRIu32 " queues, this device has %u",
			device->label, saved->queue_count, device->queue_count);
	return 0;
}

/* Addresses are for virtqueue_new(), when it wakes. */
static int virtio_device_check_queue(const struct virtio_device *device,
				     unsigned int index, bool active,
				     const struct virtio_queue_saved *saved,
				     struct error *err)
{
	if (saved->max != device->queues[index].max)
		return error_set(err, EINVAL,
				 "%s: queue %u had at most %u entries, this "
				 "device's has %u",
				 device->label, index, saved->max,
				 device->queues[index].max);
	if (saved->enabled &&
	    (!active || saved->size == 0 || saved->size > saved->max))
		return error_set(err, EINVAL,
				 "%s: queue %u cannot be enabled with %u "
				 "entries",
				 device->label, index, saved->size);
	return 0;
}

/* saved: room for VIRTIO_QUEUES_MAX. */
static int virtio_device_load_queues(const struct virtio_device *device,
				     const json_t *array, bool active,
				     struct virtio_queue_saved *saved,
				     struct error *err)
{
	if (!json_is_array(array) ||
	    json_array_size(array) != device->queue_count)
		return error_set(err, EINVAL,
				 "%s: queues: expected an array of %u",
				 device->label, device->queue_count);
	for (unsigned int i = 0; i < device->queue_count; i++) {
		int ret = json_load(&saved[i], virtio_queue_fields,
				    COUNT(virtio_queue_fields),
				    json_array_get(array, i), err);

		if (ret < 0) {
			error_prefix(err, "%s: queue %u: ", device->label, i);
			return ret;
		}
		ret = virtio_device_check_queue(device, i, active, &saved[i],
						err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static void virtio_device_set_queue(struct virtio_device_queue *queue,
				    const struct virtio_queue_saved *saved)
{
	queue->enabled = saved->enabled;
	queue->config = (struct virtqueue_config){
		.index = queue->index,
		.size = saved->size,
		.desc = saved->desc,
		.driver = saved->driver,
		.device = saved->device,
	};
	queue->position = (struct virtqueue_position){
		.avail = saved->avail,
		.used = saved->used,
		.avail_wrap = saved->avail_wrap,
		.used_wrap = saved->used_wrap,
	};
}

int virtio_device_restore_locked(struct virtio_device *device,
				 const json_t *state, struct error *err)
{
	const struct virtio_device_kind *kind =
		virtio_device_kind_named(json_object_get(state, "state"));
	struct virtio_queue_saved queues[VIRTIO_QUEUES_MAX] = {0};
	struct virtio_device_saved saved;
	uint64_t acked = device->acked;
	bool active;
	int ret;

	if (!kind || json_object_size(state) != 4)
		return error_set(err, EINVAL,
				 "%s: expected state (new, active or "
				 "inactive), device, queues and model",
				 device->label);
	if (!virtio_device_may(device, kind->restore))
		return error_set(err, EBUSY,
				 "%s: only a new device that sleeps takes a "
				 "state",
				 device->label);
	active = kind->state == VIRTIO_DEVICE_ASLEEP_ACTIVE;
	ret = json_load(&saved, virtio_device_fields,
			COUNT(virtio_device_fields),
			json_object_get(state, "device"), err);
	if (ret < 0) {
		error_prefix(err, "%s: device: ", device->label);
		return ret;
	}
	ret = virtio_device_check_saved(device, &saved, active, err);
	if (ret == 0)
		ret = virtio_device_load_queues(
			device, json_object_get(state, "queues"), active,
			queues, err);
	if (ret < 0)
		return ret;
	device->acked = saved.acked;
	ret = device->ops->restore(device->self,
				   json_object_get(state, "model"), err);
	if (ret < 0) {
		device->acked = acked;
		return ret;
	}
	virtio_device_step(device, kind->restore);
	if (saved.acked)
		virtio_device_ack(device, saved.acked);
	for (unsigned int i = 0; i < device->queue_count; i++)
		virtio_device_set_queue(&device->queues[i], &queues[i]);
	return 0;
}
