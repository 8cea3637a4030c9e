/*
 * What the files of the vhost-user frontend share: vhost_frontend.c is the
 * type of device, vhost_frontend_link.c the connection, vhost_frontend_rings.c
 * sets memory and rings up, vhost_frontend_state.c moves state,
 * vhost_frontend_net.c is what of a network card the backend has not,
 * vhost_frontend_again.c is what becomes of it when a backend is lost, and
 * vhost_frontend_socket.c opens one at a socket and finds it again. Nobody else
 * includes this. All with the device's lock held.
 */
#ifndef VIRTIO_VHOST_FRONTEND_PRIVATE_H
#define VIRTIO_VHOST_FRONTEND_PRIVATE_H

#include <assert.h>

#include "virtio/net_mac.h"
#include "virtio/vhost_frontend.h"
#include "virtio/vhost_type.h"
#include "virtio/vhost_user.h"
#include "vmm/base/log.h"

/* Bytes of a backend's state that are taken. */
#define VHOST_FRONTEND_STATE_MAX ((size_t)64 << 20)

#define VHOST_FRONTEND_QUEUES_MAX 16 /* of requests, as an option */

/* Where a backend listens, for the next one. */
struct vhost_frontend_socket {
	char path[108]; /* "": nowhere; as in struct sockaddr_un */
	struct virtio_timer *timer;
	int64_t wait;  /* ns, until the next look */
	int64_t since; /* loop_now(): when losses was 0 */
	unsigned int losses;
};

struct vhost_frontend {
	struct virtio_device *device; /* borrowed */
	const struct vhost_type *type;
	bool whole;		   /* the backend owns all of it */
	char tag[36];		   /* fs */
	uint8_t mac[NET_MAC_SIZE]; /* net */

	int fd;		 /* borrowed: the connection */
	int own_fd;	 /* owned: the same, if it is not the first one; -1 */
	int request_fd;	 /* owned: the backend's requests; -1 */
	int inflight_fd; /* owned: of the last activation; -1 */
	struct vhost_user_inflight inflight; /* what it is */
	struct virtio_watch *watch, *request_watch;
	struct vhost_user_reader reader;     /* of requests */
	int64_t deadline;		     /* of the operation */
	bool made;			     /* create() has returned */
	bool lost;			     /* there is no backend */
	bool waiting;			     /* and another will come */
	struct vhost_frontend_keeper keeper; /* lost NULL: there is none */
	struct vhost_frontend_socket socket;
	struct log_limit log;

	/* What the backend said once and for all. */
	uint64_t features; /* of the device, those of the protocol left out */
	uint64_t promised; /* the backend's part of these */
	uint64_t agreed;   /* of the protocol, whatever backend it is */
	uint64_t protocol; /* those in use: agreed, once it has been greeted */
	unsigned int queue_count; /* that it serves */
	/* Its configuration, as last read. */
	uint8_t config[VHOST_USER_CONFIG_MAX];

	/* vhost_type.h, many: of a network card. */
	bool has_control;
	struct virtqueue *control; /* NULL: not active */
	unsigned int pairs;	   /* that the driver uses */

	bool resetting; /* it is being reset: who fails then, fails later */
	bool memory_sent;
	/* A state was loaded, and is nowhere but in the backend. */
	bool restored;
	bool session; /* vhost_type.h, and the driver has begun it */
	bool wrote;   /* the driver wrote to the type's own bytes */
	/* Rings, a bit each: a backend may have taken something out of it,
	 * since it was set up; and it was reset while there was no backend. */
	uint64_t ran, dropped;
};
static_assert(VIRTIO_QUEUES_MAX <= 64, "a bit each");

static inline bool vhost_frontend_has(const struct vhost_frontend *frontend,
				      uint64_t protocol)
{
	return frontend->protocol & protocol;
}

/* Whether the configuration is the backend's. */
static inline bool
vhost_frontend_config_is_there(const struct vhost_frontend *frontend)
{
	return frontend->type->config_size &&
	       (frontend->whole || !frontend->type->frontend_config);
}

/* --- vhost_frontend_link.c -------------------------------------------------
 */

/* An operation begins: VHOST_USER_DEADLINE from now. */
void vhost_frontend_begin(struct vhost_frontend *frontend);

/**
 * vhost_frontend_ask() - Send a request, and wait for its answer or, where
 * REPLY_ACK is agreed upon, its acknowledgement.
 * @request: its descriptors stay the caller's
 * @reply: the answer, with its descriptors; NULL: nobody wants it
 *
 * Return: 0; -EREMOTEIO if the backend refuses; -ENOLINK if it is lost, now or
 * before.
 */
int vhost_frontend_ask(struct vhost_frontend *frontend,
		       const struct vhost_user_message *request,
		       struct vhost_user_message *reply);

/* Shorter ones: with a u64, and for one; with a ring's index and a number. */
int vhost_frontend_tell(struct vhost_frontend *frontend, uint32_t request,
			uint64_t value);
int vhost_frontend_get(struct vhost_frontend *frontend, uint32_t request,
		       uint64_t *value);
int vhost_frontend_tell_ring(struct vhost_frontend *frontend, uint32_t request,
			     unsigned int index, uint32_t num);

/* All of the handshake, from create() or with another backend: then it may
 * promise no less. The configuration is read. Return: 0 or a negative errno. */
int vhost_frontend_greet(struct vhost_frontend *frontend, struct error *err);
/* Read the configuration. Return: 1 if it is another now, 0, or as ask(). */
int vhost_frontend_read_config(struct vhost_frontend *frontend);
/* Write some of it. Return: as ask(). */
int vhost_frontend_write_config(struct vhost_frontend *frontend, size_t offset,
				const void *data, size_t len);

/* The callbacks of watch and request_watch. */
void vhost_frontend_heard(void *self, uint32_t events);
void vhost_frontend_requested(void *self, uint32_t events);

/* --- vhost_frontend_rings.c ------------------------------------------------
 */

/* All rings that are enabled, from where they stand; @again: a device that
 * wakes. Within the operation that has begun. */
int vhost_frontend_start(struct vhost_frontend *frontend, bool again);
int vhost_frontend_start_ring(struct vhost_frontend *frontend,
			      unsigned int index);
/* Stop them, and note where they stand. */
int vhost_frontend_stop(struct vhost_frontend *frontend);
/* Stop one that there is. Return: as ask(). */
int vhost_frontend_stop_ring(struct vhost_frontend *frontend,
			     unsigned int index, uint32_t *base);
/* Nothing of the device is used any more. */
void vhost_frontend_reset(void *self);
int vhost_frontend_send_features(struct vhost_frontend *frontend);
/* The region that says what is in flight, if the backend can have one. */
int vhost_frontend_send_inflight(struct vhost_frontend *frontend);

/* --- vhost_frontend_net.c --------------------------------------------------
 */

/* The configuration and the features that are the frontend's. */
void vhost_frontend_make_net(struct vhost_frontend *frontend);
/* Pairs that there are to use; 1 if it is no network card. */
unsigned int vhost_frontend_pairs(const struct vhost_frontend *frontend);
/* Whether that is the control queue. */
bool vhost_frontend_is_control(const struct vhost_frontend *frontend,
			       unsigned int index);
/* Tell the backend whether the driver uses that ring, and, if so, to look at
 * it. Return: as ask(). */
int vhost_frontend_enable_ring(struct vhost_frontend *frontend,
			       const struct virtqueue_config *config);
/* queues: as activate() has them. */
void vhost_frontend_take_control(struct vhost_frontend *frontend,
				 struct virtqueue *const *queues);
void vhost_frontend_run_control(struct vhost_frontend *frontend);

/* --- vhost_frontend_again.c ------------------------------------------------
 */

/* Nothing of a lost backend's is under way, if its keeper can tell. Within the
 * operation that has begun. */
void vhost_frontend_settle(struct vhost_frontend *frontend);

/* --- vhost_frontend_socket.c -----------------------------------------------
 */

int vhost_frontend_open(const struct virtio_open *open,
			struct virtio_resources *out, struct error *err);
/* Its own keeper, if it has a path. From create(). */
int vhost_frontend_keep_socket(struct vhost_frontend *frontend);

/* --- vhost_frontend_state.c ------------------------------------------------
 */

int vhost_frontend_snapshot(void *self, json_t **out);
int vhost_frontend_restore(void *self, const json_t *state, struct error *err);

#endif
