/*
 * The block device (virtio 1.3, 5.2): a raw image or a block device of the
 * host as the guest's disk.
 *
 * Its commands: "resize", with {"size": BYTES} for a regular file that is to
 * be cut or grown ("shrink": true allows the former), or without for an image
 * whose size has changed already.
 *
 * What open() hands to create() is struct block_description, as JSON, and the
 * descriptors of enum block_file_fd in their order.
 */
#ifndef VIRTIO_BLOCK_H
#define VIRTIO_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <linux/virtio_blk.h>

#include "virtio/device.h"
#include "virtio/options.h"

#define BLOCK_QUEUES_MAX     16
#define BLOCK_BLOCK_SIZE_MAX 4096

extern const struct virtio_device_ops virtio_block_ops;

/* All that is known of a disk before it runs. */
struct block_description {
	uint64_t size; /* bytes */
	bool device, ro, ephemeral, direct;
	bool discard;	       /* the host may be told */
	uint64_t mem_align;    /* for O_DIRECT, bytes; 1 without */
	uint64_t offset_align; /* likewise */
	uint64_t block_size;   /* logical, bytes: 512 to 4096 */
	uint64_t physical_exp; /* log2 of the logical blocks in a physical */
	uint64_t alignment_offset; /* in logical blocks */
	uint64_t min_io, opt_io;   /* in logical blocks; 0 for none */
	uint64_t discard_align;	   /* in sectors */
	uint64_t queues;
	uint64_t bootindex;
	uint64_t engine; /* enum block_engine */
	char serial[VIRTIO_BLK_ID_BYTES];
};

/* To JSON: a new reference, or NULL without memory. */
json_t *block_description_save(const struct block_description *description);

/* And back, with each number in its range. Return: 0, or -EINVAL. */
int block_description_load(struct block_description *description,
			   const json_t *value, struct error *err);

/* virtio_block_ops.open */
int block_open(const struct virtio_open *open, struct virtio_resources *out,
	       struct error *err);

#endif
