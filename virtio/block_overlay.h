/*
 * Which clusters of an ephemeral disk are in its overlay file, and which still
 * in the image: a bit each, in a memfd, so that a process that takes the disk
 * over finds them, and so does main for a snapshot.
 */
#ifndef VIRTIO_BLOCK_OVERLAY_H
#define VIRTIO_BLOCK_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define BLOCK_CLUSTER_MIN     (UINT64_C(64) << 10)
#define BLOCK_OVERLAY_MAP_MAX (UINT64_C(1) << 20) /* bytes, of the bits */

struct block_overlay;

/* Bytes of a cluster of a disk of that size: so many that the bits of all of
 * them fit in BLOCK_OVERLAY_MAP_MAX. 0 if the disk is too large. */
uint64_t block_overlay_cluster(uint64_t disk_size);

/**
 * block_overlay_create_map() - Make the memfd, no cluster in the overlay.
 * Return: a descriptor, or a negative errno.
 */
int block_overlay_create_map(uint64_t disk_size);

/**
 * block_overlay_new() - Map it.
 * @map_fd: borrowed for the call; refused with -EINVAL unless it has the
 *	    right size and cannot be cut
 */
int block_overlay_new(struct block_overlay **out, int map_fd,
		      uint64_t disk_size);

/* NULL is nothing to do. */
void block_overlay_free(struct block_overlay *overlay);

uint64_t block_overlay_cluster_size(const struct block_overlay *overlay);

/* Where the byte at @offset is; *@len is cut to what lies there with it. */
bool block_overlay_has(const struct block_overlay *overlay, uint64_t offset,
		       uint64_t *len);

/* Whether all of [@offset, @offset + @len) is in the overlay. */
bool block_overlay_has_all(const struct block_overlay *overlay, uint64_t offset,
			   uint64_t len);

/* The clusters that touch the range are in the overlay from now on. */
void block_overlay_mark(struct block_overlay *overlay, uint64_t offset,
			uint64_t len);

/* The bits, for a snapshot. */
void *block_overlay_map(struct block_overlay *overlay, size_t *size);

#endif
