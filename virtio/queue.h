/*
 * Virtqueues, the device's side (virtio 1.3: split rings 2.7, packed 2.8). The
 * only code that reads or writes a ring. The rings and all that is in them
 * belong to a guest that may write anything at any time: a descriptor chain is
 * copied out once, checked, and only then handed to a device, as host iovecs.
 *
 * A queue that the guest has broken stays so until it is freed: nothing more
 * comes out of it, and what is put into it goes nowhere. The device then says
 * DEVICE_NEEDS_RESET.
 *
 * One thread at a time: that of the device, or whoever holds its lock.
 */
#ifndef VIRTIO_QUEUE_H
#define VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/uio.h>

#include "vmm/base/guest_log.h"
#include "vmm/base/guest_mem.h"

#define VIRTQUEUE_SIZE_MAX 32768

struct virtqueue;

/* What the driver set up, fixed from DRIVER_OK on. */
struct virtqueue_config {
	unsigned int index; /* of the queue in its device */
	uint16_t size;	    /* entries: a power of two (any number if packed) */
	bool packed;	    /* VIRTIO_F_RING_PACKED */
	bool indirect;	    /* VIRTIO_F_INDIRECT_DESC */
	bool event_idx;	    /* VIRTIO_F_EVENT_IDX */
	/* Guest physical: descriptor table or ring, available ring or driver
	 * event suppression, used ring or device event suppression. */
	uint64_t desc, driver, device;
	/* Eventfds, borrowed; -1 for none. */
	int kick_fd; /* the driver's doorbell */
	int call_fd; /* written to interrupt the driver */
	/* Where what is taken and not used yet is written down, borrowed; see
	 * queue_inflight.h. What is in there is popped first. NULL: none */
	void *inflight;
	/* Where the pages of buffers that were written to are marked, borrowed;
	 * NULL: nowhere. What is written of the ring itself if log_ring is set,
	 * as of a device area at log_device. */
	struct guest_log *log;
	bool log_ring;
	uint64_t log_device;
};

/*
 * Where both sides stand when nothing is in flight. Split: indices modulo
 * 65536, the wrap counters are not used. Packed: indices below the size.
 */
struct virtqueue_position {
	uint16_t avail, used;
	bool avail_wrap, used_wrap;
};

/* The position of a queue that was never used. */
extern const struct virtqueue_position virtqueue_start;

/*
 * A buffer from the driver: what the device may read, then what it may write.
 * Empty descriptors are left out. The lengths do not change; the bytes may.
 */
struct virtqueue_chain {
	const struct iovec *readable, *writable;
	unsigned int readable_count, writable_count;
	uint64_t readable_len, writable_len; /* bytes; together below 4 GiB */
	uint16_t id;			     /* for the queue itself */
	uint16_t descriptors;		     /* likewise: entries of the ring */
	uint16_t place;			     /* likewise: in its records */
	struct iovec iov[];		     /* what the two above point to */
};

/**
 * virtqueue_new() - Take a queue up.
 * @out: for virtqueue_free()
 * @mem: borrowed
 * @config: copied; the guest's, and checked: size, alignment (2.7, 2.8.10),
 *	    each area all in RAM, none overlapping another
 * @position: where to begin; checked
 *
 * The driver's kicks are on (virtqueue_set_kicks()).
 * Return: 0, -EINVAL for what a driver may not set up, or -ENOMEM.
 */
int virtqueue_new(struct virtqueue **out, struct guest_mem *mem,
		  const struct virtqueue_config *config,
		  const struct virtqueue_position *position);

/* What virtqueue_new() would say of it, for a queue that another process takes
 * up. Return: 0 or -EINVAL. */
int virtqueue_check(const struct guest_mem *mem,
		    const struct virtqueue_config *config,
		    const struct virtqueue_position *position);

/* Split: the used ring's index, as it stands in memory: what a driver has seen
 * of a process that had this queue before. Return: 0 or -EINVAL. */
int virtqueue_read_used(const struct guest_mem *mem,
			const struct virtqueue_config *config, uint16_t *used);

/* Split: whether the driver has got back all that it made available. A ring
 * that is not there is not. */
bool virtqueue_is_idle(const struct guest_mem *mem,
		       const struct virtqueue_config *config);

/* Interrupt through another eventfd from now on; borrowed, -1 for none. */
void virtqueue_set_call(struct virtqueue *queue, int call_fd);

/* Chains that are out stay valid, for virtqueue_chain_free(). NULL is nothing
 * to do. */
void virtqueue_free(struct virtqueue *queue);

const struct virtqueue_config *virtqueue_config(const struct virtqueue *queue);

/* Where it stands; with chains out, as if they had not been taken yet, which
 * is of use only if those that were taken before them are back. Nothing is put
 * and not published. */
struct virtqueue_position virtqueue_position(const struct virtqueue *queue);

/* Chains that were popped and not put. */
unsigned int virtqueue_in_flight(const struct virtqueue *queue);

/**
 * virtqueue_pop() - The next buffer that the driver made available.
 * @out: owned by the caller until virtqueue_put() or virtqueue_chain_free()
 *
 * At most as many descriptors as the queue has entries (2.7.5.3.1).
 * Return: 1; 0 if there is none; -ENOMEM; or -EPROTO if the queue is broken,
 * now or before: a loop, too long a chain, an index or address out of range,
 * a wrong direction or indirect table, a head that is in flight, ... An
 * indirect table has no more entries than the queue, either. -ENOMEM changes
 * nothing; it may also mean that chains of over a million iovecs are out,
 * which takes a queue of over 1024 entries.
 */
int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain **out);

/**
 * virtqueue_put() - Give a buffer back to the driver, and free @chain.
 * @chain: popped from this @queue
 * @written: bytes written to its writable part, from the start; no more than
 *	     there is room for
 *
 * The driver sees it after virtqueue_publish(): several at once, as merged
 * receive buffers need it.
 */
void virtqueue_put(struct virtqueue *queue, struct virtqueue_chain *chain,
		   uint32_t written);

/* Show the driver what was put, and interrupt it unless it wants no
 * interrupt (2.7.7, 2.8.14). */
void virtqueue_publish(struct virtqueue *queue);

/**
 * virtqueue_set_kicks() - Does the device want to hear of new buffers?
 *
 * While it works on a queue it does not; before it goes to sleep it does.
 * Return: whether there is a buffer already, so that @wanted true and a return
 * of false is the only safe moment to go to sleep. On: a new queue.
 */
bool virtqueue_set_kicks(struct virtqueue *queue, bool wanted);

/* Whether the guest broke it. */
bool virtqueue_broken(const struct virtqueue *queue);

/* Drop a chain without giving it back: at a reset. NULL is nothing to do. */
void virtqueue_chain_free(struct virtqueue_chain *chain);

/**
 * virtqueue_chain_read() - Copy @len bytes out of the readable part, from
 * @offset on. Return: how many there were.
 */
size_t virtqueue_chain_read(const struct virtqueue_chain *chain,
			    uint64_t offset, void *buf, size_t len);

/* Copy into the writable part, likewise. */
size_t virtqueue_chain_write(const struct virtqueue_chain *chain,
			     uint64_t offset, const void *buf, size_t len);

/**
 * virtqueue_iov_slice() - The iovecs of [@offset, @offset + @len) of others.
 * @out: room for @count
 *
 * Return: how many; short if @iov ends before that.
 */
unsigned int virtqueue_iov_slice(const struct iovec *iov, unsigned int count,
				 uint64_t offset, uint64_t len,
				 struct iovec *out);

#endif
