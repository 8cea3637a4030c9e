/*
 * Saving and restoring a virtio PCI device: the transport's registers and the
 * device, the MSI-X table, and which vector is for configuration changes.
 */
#include <errno.h>
#include <string.h>

#include "virtio/pci_private.h"
#include "vmm/base/json.h"

struct virtio_pci_saved {
	uint16_t config_vector;
};

static const struct json_field virtio_pci_fields[] = {
	JSON_UINT(struct virtio_pci_saved, config_vector),
};

#define VIRTIO_PCI_FIELDS \
	(sizeof(virtio_pci_fields) / sizeof(virtio_pci_fields[0]))

int virtio_pci_save(void *self, json_t **out)
{
	struct virtio_pci *pci = self;
	json_t *registers = NULL, *transport = NULL, *msix = NULL;
	struct virtio_pci_saved saved;
	int ret;

	virtio_device_lock(pci->transport.device);
	saved.config_vector = pci->config_vector;
	ret = virtio_transport_save(&pci->transport, &transport);
	virtio_device_unlock(pci->transport.device);
	if (ret < 0)
		return ret;
	pci_msix_save(pci->msix, &msix);
	json_save(&saved, virtio_pci_fields, VIRTIO_PCI_FIELDS, &registers);
	/* Takes the references, and fails if one of them is NULL. */
	*out = json_pack("{s:o, s:o, s:o}", "pci", registers, "transport",
			 transport, "msix", msix);
	return *out ? 0 : -ENOMEM;
}

/* The vectors as they were saved; one that there is not is none. */
static void virtio_pci_lead_all(struct virtio_pci *pci, uint16_t config_vector)
{
	virtio_pci_lead_config(pci, config_vector);
	for (unsigned int i = 0;
	     i < virtio_device_queues(pci->transport.device); i++) {
		struct virtio_transport_queue *queue =
			&pci->transport.queues[i];

		virtio_pci_lead_queue(pci, queue, queue->vector);
	}
}

/* The table first, so that what was pending finds it; and back again if the
 * rest is refused. With the device's lock. */
static int virtio_pci_restore_both(struct virtio_pci *pci, const json_t *state,
				   const json_t *before, uint16_t config_vector,
				   struct error *err)
{
	int ret = pci_msix_restore(pci->msix, json_object_get(state, "msix"),
				   err);

	if (ret < 0) {
		error_prefix(err, "%s: msix: ",
			     virtio_device_label(pci->transport.device));
		return ret;
	}
	ret = virtio_transport_restore(
		&pci->transport, json_object_get(state, "transport"), err);
	if (ret < 0) {
		pci_msix_restore(pci->msix, before, NULL);
		config_vector = pci->config_vector;
	}
	virtio_pci_lead_all(pci, config_vector);
	return ret;
}

int virtio_pci_restore(void *self, const json_t *state, struct error *err)
{
	struct virtio_pci *pci = self;
	const char *label = virtio_device_label(pci->transport.device);
	struct virtio_pci_saved saved;
	json_t *before;
	int ret;

	if (json_object_size(state) != 3)
		return error_set(err, EINVAL,
				 "%s: expected pci, transport and msix", label);
	ret = json_load(&saved, virtio_pci_fields, VIRTIO_PCI_FIELDS,
			json_object_get(state, "pci"), err);
	if (ret < 0) {
		error_prefix(err, "%s: pci: ", label);
		return ret;
	}
	ret = pci_msix_save(pci->msix, &before);
	if (ret < 0)
		return error_set(err, -ret, "%s: msix: %s", label,
				 strerror(-ret));
	virtio_device_lock(pci->transport.device);
	ret = virtio_pci_restore_both(pci, state, before, saved.config_vector,
				      err);
	virtio_device_unlock(pci->transport.device);
	json_decref(before);
	if (ret == 0)
		virtio_pci_update_lined(pci);
	return ret;
}
