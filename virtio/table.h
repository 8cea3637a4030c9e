/*
 * The table of device types.
 */
#ifndef VIRTIO_TABLE_H
#define VIRTIO_TABLE_H

#include <stddef.h>

#include "virtio/device.h"

extern const struct virtio_device_ops *const virtio_table[];
extern const size_t virtio_table_count;

/* The row of a type ("block", "net", "console", "rng"), or NULL. */
const struct virtio_device_ops *virtio_table_find(const char *type);

#endif
