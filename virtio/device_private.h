/*
 * What virtio/device.c, device_life.c, device_watch.c and
 * device_state.c share: the object
 * itself. Nobody else includes this.
 */
#ifndef VIRTIO_DEVICE_PRIVATE_H
#define VIRTIO_DEVICE_PRIVATE_H

#include <pthread.h>

#include "virtio/device.h"
#include "vmm/base/log.h"

/* What may happen to a device; which of it in which state, and what comes of
 * it, stands in device.c's table. */
enum virtio_device_step {
	VIRTIO_STEP_ACK_FEATURES,
	VIRTIO_STEP_WRITE_CONFIG,
	VIRTIO_STEP_ACTIVATE,
	VIRTIO_STEP_QUEUE_READY,
	VIRTIO_STEP_QUEUE_RESET,
	VIRTIO_STEP_QUEUE_ENABLE,
	VIRTIO_STEP_FAIL,
	VIRTIO_STEP_RESET,
	VIRTIO_STEP_COMMAND,
	VIRTIO_STEP_CALLBACK, /* of a descriptor or timer */
	VIRTIO_STEP_SLEEP,
	VIRTIO_STEP_WAKE,
	VIRTIO_STEP_SNAPSHOT,
	VIRTIO_STEP_RESTORE_NEW, /* by what was saved */
	VIRTIO_STEP_RESTORE_ACTIVE,
	VIRTIO_STEP_RESTORE_INACTIVE,
	VIRTIO_STEPS,
};

struct virtio_device_queue {
	struct virtio_device *device; /* borrowed: for the kick's callback */
	unsigned int index;
	uint16_t max;
	bool elsewhere;		/* another process has its rings */
	int kick_fd, call_fd;	/* owned, eventfds */
	struct loop_fd *source; /* owned, of the kick */

	/* Guarded by the device's lock. */
	bool enabled;
	struct virtqueue_config config; /* if enabled */
	/* Likewise: where it was taken up, or went to sleep. */
	struct virtqueue_position position;
};

struct virtio_device {
	const struct virtio_device_ops *ops;
	char label[VIRTIO_LABEL_MAX];
	struct loop *loop;     /* borrowed */
	struct guest_mem *mem; /* borrowed */
	uint64_t features;
	size_t config_size;
	unsigned int interrupts;
	unsigned int queue_count;
	struct virtio_device_queue queues[VIRTIO_QUEUES_MAX];

	pthread_mutex_t lock;
	/* Guarded by it. */
	void *self; /* owned: the model */
	enum virtio_device_state state;
	uint64_t acked;
	const struct virtio_device_events *events; /* NULL: nobody listens */
	void *events_ctx;
	/* Owned; NULL where not enabled, and all while it sleeps. */
	struct virtqueue *active[VIRTIO_QUEUES_MAX];
	struct virtio_watch *watches; /* those of timers, too */
	struct virtio_timer *timers;
	unsigned int timer_count;
	struct loop_look *look; /* owned; NULL: the model has none */
	virtio_look_fn *look_fn;

	struct log_limit failures;
};

/* Whether that may happen now; and let it happen, if so. */
bool virtio_device_may(const struct virtio_device *device,
		       enum virtio_device_step step);
bool virtio_device_step(struct virtio_device *device,
			enum virtio_device_step step);
void virtio_device_ack(struct virtio_device *device, uint64_t features);
/* The model's operation or its default. queues: NULL unless active. */
int virtio_device_ask_sleep(struct virtio_device *device);
int virtio_device_ask_wake(struct virtio_device *device,
			   struct virtqueue *const *queues);

/* device_watch.c: make eventfds and kick watches; take them, the model's
 * watches and timers off the loop; free all of them. */
int virtio_device_init_fds(struct virtio_device *device);
void virtio_device_leave_loop(struct virtio_device *device);
void virtio_device_fini_fds(struct virtio_device *device);
/* Wait for kicks of the queue's eventfd. */
int virtio_device_watch_kick(struct virtio_device_queue *queue);
/* No callback from now on, or those that are due again. */
void virtio_device_quiet(struct virtio_device *device, bool quiet);

#endif
