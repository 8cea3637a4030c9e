/*
 * What the files of the vhost-user backend share: vhost_backend.c has the
 * connection, vhost_backend_messages.c a handler for each message,
 * vhost_backend_rings.c says when which ring runs, vhost_backend_state.c moves
 * the device's state, vhost_backend_inflight.c keeps what is to outlive us.
 * Nobody else includes this. All with the device's lock held.
 */
#ifndef VIRTIO_VHOST_BACKEND_PRIVATE_H
#define VIRTIO_VHOST_BACKEND_PRIVATE_H

#include "virtio/vhost_backend.h"
#include "virtio/vhost_type.h"
#include "virtio/vhost_user.h"
#include "vmm/base/log.h"

/* Bytes of a device's state that may be moved. */
#define VHOST_BACKEND_STATE_MAX ((size_t)64 << 20)

struct vhost_backend_ring {
	uint16_t num;			/* entries; 0: not said */
	bool placed;			/* the addresses are there: */
	uint64_t desc, used, available; /* the frontend's */
	bool log;	      /* what is written of the ring is to be logged, */
	uint64_t log_address; /* as of a used ring there, guest physical */
	uint32_t base;	      /* as in the messages */
	/* Where it stood when it was stopped; false: base says that. */
	bool known;
	struct virtqueue_position at;
	bool started; /* its kick was given, and not its base asked for */
	bool enabled; /* SET_VRING_ENABLE */
	bool running; /* the device has it */
	int err_fd;   /* owned; -1: none */
};

/* Where a region is for the frontend. */
struct vhost_backend_region {
	struct guest_mem_region guest;
	uint64_t user;
};

/* A transfer of state, while it is under way. */
struct vhost_backend_transfer {
	int fd; /* owned; -1: none */
	bool load;
	char *text;	/* owned */
	size_t len, at; /* bytes of it, and that were moved (save) */
	struct loop_fd *source;
	int result; /* of the last one: 0, or a negative errno */
};

struct vhost_backend {
	struct vhost_backend_config config;
	const struct vhost_type *type;
	struct virtio_device *device; /* config's */
	int fd, request_fd;	      /* owned; -1: none */
	struct loop_fd *source;
	struct loop_timer *timer; /* for the rest of a message */
	struct vhost_user_reader reader;

	enum vhost_user_phase phase;
	uint64_t protocol; /* features that were agreed upon */
	uint64_t features; /* of SET_FEATURES, those of the protocol included */
	uint8_t status;

	struct vhost_backend_region regions[GUEST_MEM_SLOTS_MAX];
	unsigned int region_count;
	struct vhost_backend_ring rings[VIRTIO_QUEUES_MAX];
	unsigned int ring_count;

	struct guest_log *log; /* owned; NULL: none */

	uint8_t *inflight; /* mapped; NULL: none */
	size_t inflight_len;
	uint16_t inflight_queues, inflight_size; /* entries of a queue */
	bool inflight_packed;			 /* its layout */
	struct vhost_backend_record *record;	 /* in it; NULL: none */

	struct vhost_backend_transfer transfer;
	struct log_limit refusals, misfits;
};

/* A message that vhost_user_check() has passed, and where the answer that it
 * always has is put. */
typedef int vhost_backend_handler(struct vhost_backend *backend,
				  struct vhost_user_message *message,
				  struct vhost_user_message *reply);

/* --- vhost_backend_messages.c ----------------------------------------------
 */

/**
 * vhost_backend_obey() - Do what a message says.
 * @message: vhost_user_check() has passed it; descriptors may be taken out
 * @reply: where the answer that it always has is put
 *
 * Return: 0, or a negative errno, with which the connection ends unless an
 * acknowledgement can say it.
 */
int vhost_backend_obey(struct vhost_backend *backend,
		       struct vhost_user_message *message,
		       struct vhost_user_message *reply);
/* An answer of one number. */
void vhost_backend_answer(struct vhost_user_message *reply, uint64_t value);
/* Unmap all of the frontend's. No ring runs. */
void vhost_backend_drop_memory(struct vhost_backend *backend);

/* --- vhost_backend_rings.c -------------------------------------------------
 */

/* No ring runs when it returns: what is in flight is done. */
void vhost_backend_pause(struct vhost_backend *backend);
/* Those rings run that are to. After a pause, or after a change that may have
 * made one ready. */
void vhost_backend_settle(struct vhost_backend *backend);
/* The device as no driver has seen it, no ring; but maybe those that are
 * enabled stay so. */
void vhost_backend_reset(struct vhost_backend *backend, bool keep_enabled);
/* The base that is to be told for a ring that does not run. */
uint32_t vhost_backend_base(const struct vhost_backend *backend,
			    unsigned int index);

/* Whether rings are packed. */
bool vhost_backend_packed(const struct vhost_backend *backend);

/* --- vhost_backend_inflight.c ----------------------------------------------
 */

vhost_backend_handler vhost_backend_get_inflight, vhost_backend_set_inflight;
/* The ring's part, or NULL. */
void *vhost_backend_inflight_of(const struct vhost_backend *backend,
				unsigned int index);
/* Nothing of that ring is in flight any more: it was stopped, and its base
 * told, or is another's. */
void vhost_backend_forget_inflight(struct vhost_backend *backend,
				   unsigned int index);
/* Write down what the driver has set by now; that it has reset all. */
void vhost_backend_remember(struct vhost_backend *backend);
void vhost_backend_forget(struct vhost_backend *backend);
void vhost_backend_drop_inflight(struct vhost_backend *backend);

/* --- vhost_backend_state.c -------------------------------------------------
 */

/* The model's state, of a device that no driver has used yet: as of one that
 * was active with the frontend's features. If its rings start next, its model
 * wakes with them. */
int vhost_backend_restore(struct vhost_backend *backend, json_t *model);
/* Take descriptor and direction; the rest goes by the loop. */
int vhost_backend_transfer_begin(struct vhost_backend *backend, int fd,
				 bool load);
/* Its result, waiting for the end if it is under way. */
int vhost_backend_transfer_check(struct vhost_backend *backend);
void vhost_backend_transfer_drop(struct vhost_backend *backend);

#endif
