/*
 * The console device (virtio 1.3, 5.3): one to eight ports, each a text console
 * (hvc0) or a named stream of bytes (/dev/virtio-ports/NAME).
 *
 * Each port has a stream socket to main, see vmm/console.h. What the guest
 * prints goes in as far as the socket takes it, the rest stays where it is, in
 * the guest's buffer; input is read only when the guest has given a buffer. So
 * nothing is stored here, and nothing is lost over sleep and restore.
 *
 * A device with one console and nothing else does not offer
 * VIRTIO_CONSOLE_F_MULTIPORT: its size is then told through the configuration
 * space. In VIRTIO_CONSOLE_RESIZE messages, Linux before 6.16 reads rows and
 * columns the other way round than 5.3.6.2 has them.
 *
 * Command "size", {"port": 0, "cols": 80, "rows": 25}: the terminal behind a
 * console has this size now. "port" may be left out for port 0. 0 columns or
 * rows: not known.
 */
#ifndef VIRTIO_CONSOLE_H
#define VIRTIO_CONSOLE_H

#include "virtio/device.h"

#define VIRTIO_CONSOLE_NAME_MAX 64 /* bytes of a port's name */

/* Options: struct virtio_console_options. */
extern const struct virtio_device_ops virtio_console_ops;

#endif
