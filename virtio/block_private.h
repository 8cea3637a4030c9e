/*
 * What virtio/block.c (the device) and virtio/block_request.c (its requests)
 * share.
 */
#ifndef VIRTIO_BLOCK_PRIVATE_H
#define VIRTIO_BLOCK_PRIVATE_H

#include "virtio/block.h"
#include "virtio/block_file.h"
#include "vmm/base/bytes.h"
#include "vmm/base/log.h"

#define BLOCK_QUEUE_SIZE 256
#define BLOCK_SEG_MAX	 (BLOCK_QUEUE_SIZE - 2) /* header and status */
/* Of one discard or write-zeroes request: ranges, and sectors in each. */
#define BLOCK_RANGES_MAX	  16
#define BLOCK_DISCARD_SECTORS_MAX (UINT32_C(1) << 21)
#define BLOCK_ZEROES_SECTORS_MAX  (UINT32_C(1) << 19)

struct block_queue {
	struct virtqueue *ring; /* the device's; NULL if it is not enabled */
	bool ready;		/* there may be something in it */
	bool off;		/* it was empty, and kicks are off */
	bool put;		/* something is put and not published */
};

struct block {
	struct virtio_device *device; /* borrowed */
	struct block_file *file;      /* owned */
	struct virtio_watch *watch;   /* the device's, as the next */
	struct virtio_watch *ring_watch;
	struct block_description description;

	struct block_queue queues[BLOCK_QUEUES_MAX];
	unsigned int next_queue; /* whose turn it is */
	unsigned int in_flight;	 /* requests */
	bool failed;		 /* take no more */
	bool dropping;		 /* all that ends is dropped, not put */
	struct block_queue *dropping_queue; /* likewise, of this one */

	bool wce;	/* the driver's: write back, not through */
	bool wce_dirty; /* it was on, and no sync has come since */
	struct log_limit errors, breaks;
};

static inline bool block_acked(const struct block *block, unsigned int bit)
{
	return virtio_device_acked(block->device) >> bit & 1;
}

/* Take and finish requests until there is nothing to do at the moment; called
 * again when there is. Return: whether there was something. */
bool block_requests_run(struct block *block);

/* A virtio_look_fn. */
bool block_requests_look(void *self, bool sleeps);

/* Show the driver what is done. Return: whether there was something. */
bool block_requests_publish(struct block *block);

#endif
