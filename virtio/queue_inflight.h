/*
 * Which buffers of a split ring are taken and not used yet, in memory that
 * outlives the process that took them (vhost-user, "Inflight I/O tracking":
 * the layout for split rings). A process that takes the ring up after one that
 * died does what is written there first.
 *
 * The memory is shared with the frontend, which may write to it: it is read
 * once, when the queue is made, and checked. Nobody but virtio/queue_split.c
 * and queue.c calls this.
 */
#ifndef VIRTIO_QUEUE_INFLIGHT_H
#define VIRTIO_QUEUE_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

#endif
