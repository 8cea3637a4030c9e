/*
 * The frontend's end of vhost-user: a device whose rings another process
 * serves. To the device object and to transports it is a type of device like
 * any other.
 *
 * The backend may be hostile. It is asked for features and configuration when
 * the device is made, and both are kept, so that reading them waits for nobody;
 * everything else ends within VHOST_USER_DEADLINE. A backend that hangs up, is
 * silent or talks nonsense is lost: the device says DEVICE_NEEDS_RESET and
 * cannot be activated again.
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

#endif
