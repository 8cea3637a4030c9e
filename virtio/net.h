/*
 * The network device (virtio 1.3, 5.1): a tap of the host's, or passt, which
 * needs no privilege. `--net`, struct virtio_net_options.
 *
 * Commands on the control socket:
 *   link {"up": bool}   what the guest sees of its cable
 *   counters            frames and why some were dropped
 */
#ifndef VIRTIO_NET_H
#define VIRTIO_NET_H

#include "virtio/device.h"

extern const struct virtio_device_ops virtio_net_ops;

#endif
