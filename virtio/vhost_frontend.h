/*
 * The frontend's end of vhost-user: a device whose rings another process
 * serves. To the device object and to transports it is a type of device like
 * any other.
 *
 * The backend may be hostile. It is asked for features and configuration when
 * the device is made, and both are kept, so that reading them waits for nobody;
 * everything else ends within VHOST_USER_DEADLINE. A backend that hangs up, is
 * silent or talks nonsense is lost. Then a keeper may bring another, which
 * takes the device up where it stands, and the driver sees that it took longer.
 * If there is no keeper, or it gives up, or another one could not know what was
 * in flight, the device says DEVICE_NEEDS_RESET and cannot be activated again.
 *
 * What a backend lacks is refused when it is asked for: a snapshot without
 * DEVICE_STATE, a configuration without CONFIG.
 */
#ifndef VIRTIO_VHOST_FRONTEND_H
#define VIRTIO_VHOST_FRONTEND_H

#include "virtio/device.h"

/*
 * The ops of a type ("block"), or NULL if there is none over vhost-user.
 *
 * Options: struct virtio_vhost_options; open() connects. create() wants one
 * descriptor, a connected stream socket, and the description of
 * vhost_frontend_describe(); so a device manager that has a child of its own
 * makes these itself.
 */
const struct virtio_device_ops *vhost_frontend_ops(const char *type);

/**
 * vhost_frontend_describe() - What create() wants to know.
 * @tag: of fs, else NULL
 * @queues: of requests, whatever else there is; 0 if @whole
 * @whole: the backend owns all of the device, see vhost_type.h
 *
 * Return: a new reference, or NULL without memory.
 */
json_t *vhost_frontend_describe(const char *tag, unsigned int queues,
				bool whole);

/*
 * What create() made, for whoever brings it a backend when one is lost. All
 * with the device's lock held.
 *
 * While it waits, the device answers what it knows; activation, reset, and
 * enabling or resetting a queue are done with the next backend; the driver's
 * kicks are kept. It cannot be put to sleep.
 */
struct vhost_frontend;

/* Of such a device; no lock needed. */
struct vhost_frontend *vhost_frontend_of(struct virtio_device *device);

struct vhost_frontend_keeper {
	/*
	 * The backend is lost. Return: whether another will come, by
	 * vhost_frontend_reconnect(), or else vhost_frontend_give_up(). Any
	 * thread; may call nothing of the frontend's.
	 */
	bool (*lost)(void *ctx, const char *why);
	/*
	 * Guest memory is the driver's again: wait until nothing of the lost
	 * backend's can be written to it any more, until loop_now() is
	 * deadline. Any thread. NULL: nobody can tell.
	 */
	void (*settle)(void *ctx, int64_t deadline);
	void *ctx;
};

/* keeper: copied. */
void vhost_frontend_keep(struct vhost_frontend *frontend,
			 const struct vhost_frontend_keeper *keeper);

/* The keeper knows that the backend is no more. */
void vhost_frontend_lose(struct vhost_frontend *frontend, const char *why);

/* Whether it waits for a backend. */
bool vhost_frontend_is_waiting(const struct vhost_frontend *frontend);

/**
 * vhost_frontend_reconnect() - Take another backend in the lost one's place.
 * @fd: owned, also on failure: a connected stream socket
 *
 * Nothing of the lost one's may be under way any more. Whatever the state of
 * the device: rings that ran go on where they stand, a device that was reset
 * meanwhile begins anew. Loop's thread, VHOST_USER_DEADLINE at most.
 *
 * Return: 0; -EBUSY if none is lost; -ENOLINK if it was lost, too: bring
 * another; or why it cannot be this one, which will not be otherwise the next
 * time: -EINVAL, what it offers is less than the driver was promised;
 * -EREMOTEIO, it refuses. The device goes on waiting. @err set.
 */
int vhost_frontend_reconnect(struct vhost_frontend *frontend, int fd,
			     struct error *err);

/* No backend comes any more: if it waits, the device fails. */
void vhost_frontend_give_up(struct vhost_frontend *frontend, const char *why);

#endif
