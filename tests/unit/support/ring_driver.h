/*
 * The driver's side of a virtqueue, split or packed, in a guest's memory: for
 * tests of whatever has the device's side. Written against the specification
 * and <linux/virtio_ring.h>, not against virtio/queue.c, which it tests.
 *
 *	struct guest_mem *mem = ring_driver_mem(16);
 *	struct ring_driver *driver = ring_driver_new(mem,
 *		&(struct ring_driver_options){.base = 0x10000, .size = 8});
 *	struct virtqueue_config config;
 *	ring_driver_config(driver, &config);	 rings for virtqueue_new(), or
 *						 for a transport's registers
 *	ring_driver_add(driver, &(struct ring_driver_chain){
 *		.readable = {{header, 16}}, .readable_count = 1,
 *		.writable = {{status, 1}}, .writable_count = 1,
 *		.token = request});
 *	if (ring_driver_publish(driver))	 the device wants a kick
 *		eventfd_write(kick_fd, 1);
 *	...
 *	while (ring_driver_collect(driver, &used) == 1)
 *		used.token, used.len
 *
 * One thread at a time, which may be another than that of the device: both
 * sides meet in guest memory alone. Whatever cannot go wrong in a test ends it.
 */
#ifndef TESTS_UNIT_SUPPORT_RING_DRIVER_H
#define TESTS_UNIT_SUPPORT_RING_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

#include "virtio/queue.h"
#include "vmm/base/guest_mem.h"

/* Descriptors of each kind in a struct ring_driver_chain. */
#define RING_DRIVER_BUFFERS_MAX 64

struct ring_driver;

struct ring_driver_options {
	uint64_t base; /* where the rings begin; a multiple of 4096 */
	uint16_t size; /* entries */
	bool packed, indirect, event_idx;
	/* Entries of an indirect table, at most; 0: 16, or size if less. */
	uint16_t table_entries;
	/* Where both sides begin, used like avail; NULL: virtqueue_start. */
	const struct virtqueue_position *start;
};

struct ring_driver_buffer {
	uint64_t gpa;
	uint32_t len; /* bytes; 0 is allowed */
};

struct ring_driver_chain {
	struct ring_driver_buffer readable[RING_DRIVER_BUFFERS_MAX];
	struct ring_driver_buffer writable[RING_DRIVER_BUFFERS_MAX];
	unsigned int readable_count, writable_count; /* together at least 1 */
	bool indirect; /* all of them in a table */
	void *token;   /* the caller's, for ring_driver_collect() */
};

struct ring_driver_used {
	uint16_t id;  /* as ring_driver_add() returned it */
	uint32_t len; /* bytes written, says the device */
	void *token;
};

/* A guest's memory of @mib MiB at 0, for guest_mem_free(). */
struct guest_mem *ring_driver_mem(unsigned int mib);

/* Bytes from base on that the rings and tables take, a multiple of 4096. */
uint64_t ring_driver_footprint(const struct ring_driver_options *options);

/* Lay the rings out as a driver does before DRIVER_OK; mem is borrowed. */
struct ring_driver *ring_driver_new(struct guest_mem *mem,
				    const struct ring_driver_options *options);
/* NULL is nothing to do. */
void ring_driver_free(struct ring_driver *driver);

/* All of @out: index 0, no eventfds. */
void ring_driver_config(const struct ring_driver *driver,
			struct virtqueue_config *out);

/**
 * ring_driver_add() - Put a buffer in the ring; the device does not see it yet.
 *
 * Return: its id (split: the head), or -ENOSPC without room for it.
 */
int ring_driver_add(struct ring_driver *driver,
		    const struct ring_driver_chain *chain);

/* Entries of the ring that are free. */
unsigned int ring_driver_room(const struct ring_driver *driver);
/* Buffers added, and not collected. */
unsigned int ring_driver_outstanding(const struct ring_driver *driver);

/* Make all that was added available. Return: whether the device wants a kick
 * for it. */
bool ring_driver_publish(struct ring_driver *driver);

/**
 * ring_driver_collect() - Take one buffer that the device has used.
 *
 * Return: 1; 0 if there is none; -EPROTO if the device did something wrong: an
 * id that is not out, more written than there is room.
 */
int ring_driver_collect(struct ring_driver *driver,
			struct ring_driver_used *out);

/**
 * ring_driver_set_interrupts() - An interrupt for each buffer, or for none.
 *
 * On in a new one, and then renewed by each ring_driver_collect().
 * Return: whether a used buffer is there already.
 */
bool ring_driver_set_interrupts(struct ring_driver *driver, bool wanted);

/* With event_idx: one interrupt, for the buffer @ahead from now (packed: for
 * the entry). 0 is the next. Return: as above. */
bool ring_driver_set_event(struct ring_driver *driver, uint16_t ahead);

/* --- Raw, for tests that lie. Little-endian, in guest memory. --------------
 */

struct vring_desc *ring_driver_split_desc(struct ring_driver *driver,
					  unsigned int index);
struct vring_avail *ring_driver_avail(struct ring_driver *driver);
struct vring_used *ring_driver_used(struct ring_driver *driver);
struct vring_packed_desc *ring_driver_packed_desc(struct ring_driver *driver,
						  unsigned int index);
/* Event suppression of a packed ring. */
struct vring_packed_desc_event *
ring_driver_driver_event(struct ring_driver *driver);
struct vring_packed_desc_event *
ring_driver_device_event(struct ring_driver *driver);
/* The indirect table of a buffer; packed tables have the same layout, with id
 * and flags for flags and next. */
struct vring_desc *ring_driver_table(struct ring_driver *driver,
				     unsigned int id);
uint64_t ring_driver_table_gpa(const struct ring_driver *driver,
			       unsigned int id);

#endif
