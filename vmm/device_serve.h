/*
 * A device as a vhost-user backend, for one frontend after another: what
 * `bantam device` is once its options are read, and what a device child is once
 * it has its resources. Each connection gets a device of its own, made from the
 * resources anew.
 *
 * All on the loop's thread.
 */
#ifndef VMM_DEVICE_SERVE_H
#define VMM_DEVICE_SERVE_H

#include <stdbool.h>

#include "virtio/device.h"
#include "vmm/base/error.h"
#include "vmm/base/loop.h"

struct device_serve;

struct device_serve_config {
	struct loop *loop; /* borrowed, as is all of this */
	const struct virtio_device_ops *ops;
	const struct virtio_resources *resources;
	const char *label;
	bool packed; /* offer VIRTIO_F_RING_PACKED */
	bool whole;  /* see virtio/vhost_type.h */
	/* One of them, -1 for the other: a socket that listens, non-blocking;
	 * or one that is connected, which is closed in the end. */
	int listen_fd, fd;
	/* The device is made, and nothing of it has run: all that is left is
	 * on_sandboxed(). NULL: nothing to do. 0 or a negative errno. */
	int (*made)(void *ctx, struct virtio_device *device, struct error *err);
	/* The connection of fd has ended. NULL with listen_fd. */
	void (*done)(void *ctx);
	void *ctx;
};

/* Return: 0 or a negative errno, @err set. */
int device_serve_new(struct device_serve **out,
		     const struct device_serve_config *config,
		     struct error *err);

/**
 * device_serve_command() - Hand a command to the device.
 *
 * Return: as virtio_device_ops.command; -ENODEV without a connection.
 */
int device_serve_command(struct device_serve *serve, const char *name,
			 const json_t *args, json_t **reply, struct error *err);

/* End the connection, if there is one. NULL is nothing to do. */
void device_serve_free(struct device_serve *serve);

#endif
