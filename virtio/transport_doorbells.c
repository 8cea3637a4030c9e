/*
 * The ioeventfds of a virtio device's queues.
 */
#include <assert.h>
#include <string.h>

#include <linux/virtio_config.h>

#include "virtio/transport.h"

static_assert(VIRTIO_QUEUES_MAX <= 64, "a bit for each");

/* Whether the device looks at it. */
static bool virtio_transport_used(const struct virtio_transport *transport,
				  unsigned int index)
{
	uint8_t status = transport->regs.status;

	return transport->queues[index].enabled &&
	       status & VIRTIO_CONFIG_S_DRIVER_OK &&
	       !(status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void virtio_transport_add_doorbell(struct virtio_transport *transport,
					  unsigned int index)
{
	struct host *host = transport->host;
	struct host_doorbell doorbell;
	int ret;

	if (!transport->ops->doorbell(transport->ctx, index, &doorbell))
		return;
	ret = host->ops->doorbell_add(host, &doorbell);
	if (ret == 0)
		transport->doorbells |= UINT64_C(1) << index;
	else
		/* It works without one, slowly. */
		log_limited(&transport->limit, LOG_WARN,
			    "%s: queue %u has no doorbell: %s",
			    virtio_device_label(transport->device), index,
			    strerror(-ret));
}

void virtio_transport_add_doorbells(struct virtio_transport *transport)
{
	for (unsigned int i = 0; i < virtio_device_queues(transport->device);
	     i++) {
		if (!(transport->doorbells >> i & 1) &&
		    virtio_transport_used(transport, i))
			virtio_transport_add_doorbell(transport, i);
	}
}

void virtio_transport_remove_doorbell(struct virtio_transport *transport,
				      unsigned int index)
{
	struct host *host = transport->host;
	struct host_doorbell doorbell;

	if (!(transport->doorbells >> index & 1))
		return;
	transport->ops->doorbell(transport->ctx, index, &doorbell);
	host->ops->doorbell_remove(host, &doorbell);
	transport->doorbells &= ~(UINT64_C(1) << index);
}

void virtio_transport_remove_doorbells(struct virtio_transport *transport)
{
	for (unsigned int i = 0; i < virtio_device_queues(transport->device);
	     i++)
		virtio_transport_remove_doorbell(transport, i);
}
