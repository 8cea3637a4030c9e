/*
 * The backend's end of vhost-user: serves a device of the table to whoever is
 * at the other end of a socket, one frontend at a time.
 *
 * The frontend may be hostile: what it sends is checked against the table of
 * vhost_user.h, its memory is mapped by guest_mem_add(), and its rings are read
 * by virtio/queue.c as those of any guest. What it does wrong ends the
 * connection, with a line in the log; the device can serve the next one.
 *
 * All on the thread of the loop.
 */
#ifndef VIRTIO_VHOST_BACKEND_H
#define VIRTIO_VHOST_BACKEND_H

#include <stdbool.h>

#include "virtio/device.h"
#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"
#include "vmm/base/loop.h"

struct vhost_backend;

struct vhost_backend_config {
	struct virtio_device *device; /* borrowed; awake, and not active */
	struct guest_mem *mem;	      /* borrowed: the device's, and empty */
	struct loop *loop;	      /* borrowed: the device's */
	int fd;			      /* owned, also on failure: a connected
					 stream socket */
	bool whole;		      /* see vhost_type.h */
	/*
	 * The connection has ended, and the device is as it was before: why is
	 * "" if the frontend hung up between two messages. May free the
	 * backend; nothing is called any more.
	 */
	void (*ended)(void *ctx, const char *why);
	void *ctx;
};

/* Serve. Return: 0 or a negative errno, @err set. */
int vhost_backend_new(struct vhost_backend **out,
		      const struct vhost_backend_config *config,
		      struct error *err);

/* End the connection, without a call of ended(); NULL is nothing to do. Not
 * from a callback of the device's. */
void vhost_backend_free(struct vhost_backend *backend);

#endif
