/*
 * The entropy device (virtio 1.3, 5.4): random bytes from getrandom(2), or from
 * a file or character device of the host's.
 *
 * What is asked for is the guest's: a request gets at most VIRTIO_RNG_CHUNK
 * bytes, whatever its buffer holds, and all requests together
 * VIRTIO_RNG_RATE bytes a second once VIRTIO_RNG_BURST have been spent. The
 * used length says how many there are (5.4.6).
 */
#ifndef VIRTIO_RNG_H
#define VIRTIO_RNG_H

#include "virtio/device.h"

#define VIRTIO_RNG_QUEUE_SIZE 64
#define VIRTIO_RNG_CHUNK      65536	    /* bytes of one request */
#define VIRTIO_RNG_RATE	      (1u << 20)    /* bytes a second */
#define VIRTIO_RNG_BURST      (256u * 1024) /* bytes */
/* One request from a file: slow hardware makes its reader wait for each. */
#define VIRTIO_RNG_FILE_CHUNK 1024
/* What a request costs of the rate at least, however short it is. */
#define VIRTIO_RNG_COST 64

/* Options: struct virtio_rng_options. */
extern const struct virtio_device_ops virtio_rng_ops;

#endif
