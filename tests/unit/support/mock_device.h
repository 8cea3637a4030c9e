/*
 * A device model for the tests of virtio/device.c and the transports: it has
 * every operation, counts their calls, fails where the test wants it to, and
 * sends back in the writable part of each buffer what its readable part holds.
 *
 *	struct mock_device mock;
 *	mock_device_init(&mock);		 change what is to be different
 *	mock_device_resources(&mock, &resources);
 *	config = mock_device_config(loop, mem, &resources);
 *	virtio_device_new(&device, &config, &err);
 *
 * Under the device's lock, but for tests of a single thread.
 */
#ifndef TESTS_UNIT_SUPPORT_MOCK_DEVICE_H
#define TESTS_UNIT_SUPPORT_MOCK_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/device.h"

#define MOCK_DEVICE_ID	     42
#define MOCK_DEVICE_CLASS    0xff8042
#define MOCK_DEVICE_QUEUES   3
#define MOCK_DEVICE_SIZE     64		    /* of each queue, at most */
#define MOCK_DEVICE_CONFIG   13		    /* bytes: no multiple of anything */
#define MOCK_DEVICE_FEATURES UINT64_C(0x05) /* bits 0 and 2 */

enum mock_call {
	MOCK_OPEN,
	MOCK_CREATE,
	MOCK_DESTROY,
	MOCK_ACK_FEATURES,
	MOCK_READ_CONFIG,
	MOCK_WRITE_CONFIG,
	MOCK_ACTIVATE,
	MOCK_QUEUE_READY,
	MOCK_RESET,
	MOCK_QUEUE_RESET,
	MOCK_QUEUE_ENABLE,
	MOCK_SLEEP,
	MOCK_WAKE,
	MOCK_SNAPSHOT,
	MOCK_RESTORE,
	MOCK_COMMAND,
	MOCK_ON_SANDBOXED,
	MOCK_CONTROL_NOTIFY,
	MOCK_GENERATE_ACPI,
	MOCK_SET_SHM_MAPPER,
	MOCK_SET_SHM_ADDRESS,
	MOCK_WATCH, /* its descriptor was ready */
	MOCK_TIMER, /* its timer was due */
	MOCK_CALLS,
};

struct mock_device {
	/* What it is like; before virtio_device_new(). */
	unsigned int queue_count;
	uint16_t sizes[VIRTIO_QUEUES_MAX];
	uint64_t features;
	size_t config_size; /* at most sizeof(config) */
	unsigned int interrupts;
	uint64_t shm_length; /* 0: none */
	unsigned int more;   /* further BARs and capabilities, 0 or 1 */
	int watch_fd;	     /* -1: none */

	/* At any time: what the calls return, if not 0. */
	int fails[MOCK_CALLS];
	bool hold;	/* keep the buffers, do not send them back */
	bool fail_soon; /* activate, wake and queue_ready: needs_reset */

	/* For the test to look at. */
	unsigned int calls[MOCK_CALLS];
	unsigned int all; /* calls of all kinds, but for reads of config */
	struct virtio_device *device;
	bool active; /* has queues */
	struct virtqueue *queues[VIRTIO_QUEUES_MAX];
	unsigned int ready[VIRTIO_QUEUES_MAX]; /* queue_ready(), by queue */
	uint64_t acked;
	uint8_t config[64];
	uint64_t value; /* its state, to be saved and restored */
	struct virtio_msix_change change;
	uint64_t shm_address;
	uint32_t watch_events; /* the last ones */
	struct virtio_watch *watch;
	struct virtio_timer *timer;
	struct virtqueue_chain *held[VIRTIO_QUEUES_MAX * MOCK_DEVICE_SIZE];
	unsigned int held_queue[VIRTIO_QUEUES_MAX * MOCK_DEVICE_SIZE];
	unsigned int held_count;
};

/* All operations; and only those that are required. */
extern const struct virtio_device_ops mock_device_ops;
extern const struct virtio_device_ops mock_device_plain_ops;

/* As the constants above have it. */
void mock_device_init(struct mock_device *mock);

/* What its open() gives; for virtio_resources_fini(). mock is borrowed. */
void mock_device_resources(struct mock_device *mock,
			   struct virtio_resources *out);

/* For virtio_device_new(): mock_device_ops as "mock0", packed rings offered. */
struct virtio_device_config
mock_device_config(struct loop *loop, struct guest_mem *mem,
		   struct virtio_resources *resources);

/* Send back what was held. With the lock, if there are threads. */
void mock_device_finish(struct mock_device *mock);

#endif
