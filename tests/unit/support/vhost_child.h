/*
 * A device as a vhost-user backend in a process of its own, which a test may
 * kill at any time, and the frontend's ops for it. The backend owns the whole
 * device (virtio/vhost_type.h).
 *
 *	struct vhost_child child;
 *	vhost_child_start(&child, &ops, &resources);
 *	model_driver_init(&guest, vhost_child_ops("block", &child), NULL);
 *	vhost_child_kill(&child);
 *	vhost_child_start(&child, &ops, &resources);
 *	vhost_frontend_reconnect(vhost_child_frontend(), child.fd, &err);
 */
#ifndef TESTS_UNIT_SUPPORT_VHOST_CHILD_H
#define TESTS_UNIT_SUPPORT_VHOST_CHILD_H

#include <sys/types.h>

#include "virtio/device.h"
#include "virtio/vhost_frontend.h"

struct vhost_child {
	pid_t pid; /* 0: none */
	int fd;	   /* the frontend's end; whoever connects takes it */
};

/* resources: borrowed. The device dies with the test, whatever happens. */
void vhost_child_start(struct vhost_child *child,
		       const struct virtio_device_ops *ops,
		       const struct virtio_resources *resources);
/* SIGKILL, and wait for its end; twice is nothing to do. */
void vhost_child_kill(struct vhost_child *child);

/* The frontend's ops of a type; open() takes that child's connection. One at a
 * time. */
const struct virtio_device_ops *vhost_child_ops(const char *type,
						struct vhost_child *child);
/* What they made last. */
struct vhost_frontend *vhost_child_frontend(void);

#endif
