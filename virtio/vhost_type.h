/*
 * Who owns what of a device over vhost-user, by its type: the protocol leaves
 * that to each of them. One table, for both ends.
 *
 * A backend that is "whole" owns all of its device, whatever the type: that is
 * how bantam's own children are run, which have a frontend of bantam's.
 */
#ifndef VIRTIO_VHOST_TYPE_H
#define VIRTIO_VHOST_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vhost_type {
	const char *name;    /* "block"; NULL ends the table */
	uint16_t queue_size; /* of each queue, as the frontend offers it */
	/* The configuration space is the frontend's; else the backend's. */
	bool frontend_config;
	size_t config_size; /* bytes */
	/* Queues that the protocol counts as one: 2 for a pair. Those that
	 * are there in any case are not counted. */
	unsigned int per_unit, fixed;
	/* Features that are the frontend's affair: a backend offers none of
	 * them, or they are ignored. */
	uint64_t frontend_features;
	/* A feature that both have to have for more than one unit; then the
	 * frontend has a control queue behind them, by which the driver says
	 * how many it uses. 0: there is no such thing. */
	uint64_t many;
	/* Buffers are used in the order in which they are available, so that
	 * the used index alone says where a ring stands. */
	bool in_order;
	/* What the driver does with it is one long conversation, which no other
	 * backend can go on with. */
	bool session;
	/* What a driver sets in the configuration, and what stays as it set it
	 * until a reset: bytes [own, own + own_size). */
	size_t own, own_size;
};

/* The row of a type, or NULL. */
const struct vhost_type *vhost_type_find(const char *name);

#endif
