/*
 * Which buffers of a ring are taken and not used yet, in memory that outlives
 * the process that took them (vhost-user, "Inflight I/O tracking"). A process
 * that takes the ring up after one that died does what is written there first.
 *
 * The memory is shared with the frontend, which may write to it: it is read
 * once, when the queue is made, and checked. Nobody but virtio/queue_split.c,
 * queue_packed.c and queue.c calls this; a backend asks for the sizes.
 */
#ifndef VIRTIO_QUEUE_INFLIGHT_H
#define VIRTIO_QUEUE_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/queue.h"

/* A buffer that was found in a region. */
struct virtqueue_found {
	uint64_t counter;
	uint16_t head;
};

/* By age. */
void virtqueue_found_sort(struct virtqueue_found *found, unsigned int count);

/* --- Split rings -----------------------------------------------------------
 */

struct virtqueue_inflight;

/* Bytes of the region of a queue with @size entries; a multiple of 64. */
size_t virtqueue_inflight_size(uint16_t size);

/**
 * virtqueue_inflight_new() - Take a region up.
 * @region: borrowed, virtqueue_inflight_size() bytes; all zero if it is new
 * @size: entries of the queue
 * @used: index of the used ring
 *
 * Return: 0, -EINVAL if the region cannot be one of this queue, -ENOMEM.
 */
int virtqueue_inflight_new(struct virtqueue_inflight **out, void *region,
			   uint16_t size, uint16_t used);
/* NULL is nothing to do. */
void virtqueue_inflight_free(struct virtqueue_inflight *inflight);

/* How many the process before took, did not finish, and are still to be
 * taken again; the head of the oldest of them; and that it has been. */
unsigned int virtqueue_inflight_left(const struct virtqueue_inflight *inflight);
uint16_t virtqueue_inflight_peek(const struct virtqueue_inflight *inflight);
void virtqueue_inflight_advance(struct virtqueue_inflight *inflight);

/* A head was taken from the available ring; is in the used ring but not
 * published; all of those are published, up to that index. */
void virtqueue_inflight_take(struct virtqueue_inflight *inflight,
			     uint16_t head);
void virtqueue_inflight_put(struct virtqueue_inflight *inflight, uint16_t head);
void virtqueue_inflight_publish(struct virtqueue_inflight *inflight,
				uint16_t used);

/* --- Packed rings ----------------------------------------------------------
 *
 * Used entries overwrite those of buffers that are in flight, so the region has
 * copies of all that were taken. A buffer is known by its place there.
 */

struct virtqueue_desc;
struct virtqueue_raw_desc;
struct virtqueue_records;

/* Bytes of the region of a queue with @size entries; a multiple of 64. */
size_t virtqueue_records_size(uint16_t size);

/**
 * virtqueue_records_new() - Take a region up.
 * @region: borrowed, virtqueue_records_size() bytes; all zero if it is new
 * @size: entries of the queue
 * @ring: borrowed, during the call: the descriptor ring
 * @position: where the ring stands; if the region is not new, it says that
 *
 * Return: 0, -EINVAL if the region cannot be one of this queue, -ENOMEM.
 */
int virtqueue_records_new(struct virtqueue_records **out, void *region,
			  uint16_t size, struct virtqueue_raw_desc *ring,
			  struct virtqueue_position *position);
/* NULL is nothing to do. */
void virtqueue_records_free(struct virtqueue_records *records);

/* How many the process before took, did not finish, and are still to be taken
 * again; how many entries of the ring these are. */
unsigned int virtqueue_records_left(const struct virtqueue_records *records);
unsigned int virtqueue_records_entries(const struct virtqueue_records *records);
/* The oldest of them: its entries, room for the size of the queue. Return: how
 * many. And that it has been taken. Return: its place. */
unsigned int virtqueue_records_read(const struct virtqueue_records *records,
				    struct virtqueue_desc *out);
uint16_t virtqueue_records_advance(struct virtqueue_records *records);

/* Those entries were taken from the ring, at least one and no more than there
 * are free. Return: the place. */
uint16_t virtqueue_records_take(struct virtqueue_records *records,
				const struct virtqueue_desc *desc,
				unsigned int count);
/* That one is in the ring but not published; all of those are about to be, and
 * the ring will stand there; they are. */
void virtqueue_records_put(struct virtqueue_records *records, uint16_t place);
void virtqueue_records_prepare(struct virtqueue_records *records, uint16_t used,
			       bool used_wrap);
void virtqueue_records_finish(struct virtqueue_records *records);

#endif
