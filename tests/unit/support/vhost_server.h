/*
 * A device as a vhost-user backend in a thread of its own, at a socket in a
 * folder of its own, for tests that have the frontend on theirs.
 *
 *	struct vhost_server server;
 *	vhost_server_start(&server, &virtio_rng_ops, &options, false);
 *	... connect to server.path ...
 *	vhost_server_stop(&server);
 */
#ifndef TESTS_UNIT_SUPPORT_VHOST_SERVER_H
#define TESTS_UNIT_SUPPORT_VHOST_SERVER_H

#include <pthread.h>
#include <stdbool.h>

#include "virtio/device.h"
#include "virtio/options.h"
#include "vmm/device_serve.h"

struct vhost_server {
	char dir[32], path[48];
	struct virtio_resources resources;
	struct loop *loop;
	struct loop_wake *stop;
	struct device_serve *serve;
	int listen_fd;
	bool running;
	pthread_t thread;
};

/* whole: see virtio/vhost_type.h. */
void vhost_server_start(struct vhost_server *server,
			const struct virtio_device_ops *ops,
			const void *options, bool whole);
/* End all connections, and listen no more. */
void vhost_server_halt(struct vhost_server *server);
/* At the same place again, after that. */
void vhost_server_again(struct vhost_server *server,
			const struct virtio_device_ops *ops,
			const void *options, bool whole);
/* For good. Ends all connections. May be called twice. */
void vhost_server_stop(struct vhost_server *server);

/* A connection of a test's own. */
int vhost_server_connect(const struct vhost_server *server);

/* Options of a frontend for it. */
struct virtio_vhost_options
vhost_server_options(const struct vhost_server *server, const char *type);

/* The frontend's ops, but that open() says that the backend owns all of it.
 * One at a time. */
const struct virtio_device_ops *vhost_server_whole_ops(const char *type);

#endif
