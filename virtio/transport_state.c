/*
 * Saving and restoring what both transports have in common.
 */
#include <errno.h>
#include <string.h>

#include <linux/virtio_config.h>

#include "virtio/transport.h"
#include "vmm/base/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct json_field virtio_transport_fields[] = {
	JSON_UINT(struct virtio_transport_registers, device_feature_select),
	JSON_UINT(struct virtio_transport_registers, driver_feature_select),
	JSON_UINT(struct virtio_transport_registers, driver_features),
	JSON_UINT(struct virtio_transport_registers, queue_select),
	JSON_UINT(struct virtio_transport_registers, config_generation),
	JSON_UINT_MAX(struct virtio_transport_registers, status,
		      VIRTIO_TRANSPORT_DRIVER_STATUS),
	JSON_UINT_MAX(struct virtio_transport_registers, isr,
		      VIRTIO_TRANSPORT_ISR_QUEUE | VIRTIO_TRANSPORT_ISR_CONFIG),
};

static const struct json_field virtio_transport_queue_fields[] = {
	JSON_UINT(struct virtio_transport_queue, size),
	JSON_UINT(struct virtio_transport_queue, vector),
	JSON_BOOL(struct virtio_transport_queue, enabled),
	JSON_BOOL(struct virtio_transport_queue, reset),
	JSON_UINT(struct virtio_transport_queue, desc),
	JSON_UINT(struct virtio_transport_queue, driver),
	JSON_UINT(struct virtio_transport_queue, device),
};

static json_t *
virtio_transport_save_queues(const struct virtio_transport *transport)
{
	json_t *array = json_array();

	for (unsigned int i = 0;
	     array && i < virtio_device_queues(transport->device); i++) {
		json_t *queue = NULL;

		json_save(&transport->queues[i], virtio_transport_queue_fields,
			  COUNT(virtio_transport_queue_fields), &queue);
		/* Takes the reference, and refuses NULL. */
		if (json_array_append_new(array, queue) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

int virtio_transport_save(struct virtio_transport *transport, json_t **out)
{
	json_t *device = NULL, *registers = NULL;
	int ret;

	virtio_transport_settle(transport);
	ret = virtio_device_snapshot_locked(transport->device, &device);
	if (ret < 0)
		return ret;
	json_save(&transport->regs, virtio_transport_fields,
		  COUNT(virtio_transport_fields), &registers);
	/* Takes the references, and fails if one of them is NULL. */
	*out = json_pack("{s:o, s:o, s:o}", "registers", registers, "queues",
			 virtio_transport_save_queues(transport), "device",
			 device);
	return *out ? 0 : -ENOMEM;
}

/* Whether status is one that a device of that state can have. */
static int virtio_transport_check(const struct virtio_transport *transport,
				  const struct virtio_transport_registers *regs,
				  const json_t *device, struct error *err)
{
	const char *state = json_string_value(json_object_get(device, "state"));
	bool active = state && strcmp(state, "active") == 0;

	if (regs->status & ~VIRTIO_TRANSPORT_DRIVER_STATUS ||
	    active != !!(regs->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return error_set(err, EINVAL,
				 "%s: status 0x%x does not go with a device "
				 "that is %s",
				 virtio_device_label(transport->device),
				 regs->status,
				 active ? "active" : "not active");
	return 0;
}

/* queues: room for VIRTIO_QUEUES_MAX, as they are at present. */
static int virtio_transport_load_queues(
	const struct virtio_transport *transport, const json_t *array,
	struct virtio_transport_queue *queues, struct error *err)
{
	unsigned int count = virtio_device_queues(transport->device);

	if (!json_is_array(array) || json_array_size(array) != count)
		return error_set(err, EINVAL,
				 "%s: queues: expected an array of %u",
				 virtio_device_label(transport->device), count);
	for (unsigned int i = 0; i < count; i++) {
		int ret = json_load(&queues[i], virtio_transport_queue_fields,
				    COUNT(virtio_transport_queue_fields),
				    json_array_get(array, i), err);

		if (ret < 0) {
			error_prefix(err, "%s: queue %u: ",
				     virtio_device_label(transport->device), i);
			return ret;
		}
	}
	return 0;
}

int virtio_transport_restore(struct virtio_transport *transport,
			     const json_t *state, struct error *err)
{
	const json_t *device = json_object_get(state, "device");
	struct virtio_transport_queue queues[VIRTIO_QUEUES_MAX];
	struct virtio_transport_registers regs;
	int ret;

	if (json_object_size(state) != 3)
		return error_set(err, EINVAL,
				 "%s: expected registers, queues and device",
				 virtio_device_label(transport->device));
	ret = json_load(&regs, virtio_transport_fields,
			COUNT(virtio_transport_fields),
			json_object_get(state, "registers"), err);
	if (ret < 0) {
		error_prefix(err, "%s: registers: ",
			     virtio_device_label(transport->device));
		return ret;
	}
	memcpy(queues, transport->queues, sizeof(queues));
	ret = virtio_transport_check(transport, &regs, device, err);
	if (ret == 0)
		ret = virtio_transport_load_queues(
			transport, json_object_get(state, "queues"), queues,
			err);
	if (ret == 0)
		ret = virtio_device_restore_locked(transport->device, device,
						   err);
	if (ret < 0)
		return ret;
	transport->regs = regs;
	memcpy(transport->queues, queues, sizeof(queues));
	virtio_transport_add_doorbells(transport);
	virtio_transport_ack(transport, 0);
	return 0;
}
