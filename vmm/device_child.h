/*
 * `bantam device TYPE --child`: the process that runs a device of a machine.
 * The spawner starts it (jail/spawner.h), with its side channel at descriptor
 * 3; virtio/child.h is the other end. It makes the device from what main sends,
 * closes its jail, and serves it over vhost-user until main hangs up.
 */
#ifndef VMM_DEVICE_CHILD_H
#define VMM_DEVICE_CHILD_H

/* Return: an exit status. */
int device_child(const char *type);

#endif
