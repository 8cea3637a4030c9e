/*
 * What virtio/queue.c shares with the two formats of rings. Nobody else
 * includes this.
 *
 * queue.c has what both have in common: which chains are out, and the making
 * of a chain from descriptors. A format reads and writes its rings and nothing
 * else does; it calls virtqueue_gather() and so on for each descriptor.
 */
#ifndef VIRTIO_QUEUE_PRIVATE_H
#define VIRTIO_QUEUE_PRIVATE_H

#include <assert.h>

#include "virtio/queue.h"
#include "virtio/queue_inflight.h"
#include "vmm/base/bytes.h"

/* 2.7.5, 2.8.5, 2.8.6: the same in both formats; the rest is ignored. */
#define VIRTQ_DESC_F_NEXT     1
#define VIRTQ_DESC_F_WRITE    2
#define VIRTQ_DESC_F_INDIRECT 4

/* A descriptor of either format, copied with two loads. */
struct virtqueue_raw_desc {
	le64 addr;
	le64 rest; /* split: len, flags, next; packed: len, id, flags */
};
static_assert(sizeof(struct virtqueue_raw_desc) == 16, "2.7.5, 2.8.13");

/* One that was copied out of guest memory. */
struct virtqueue_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t link; /* split: next; packed: id */
};

/* A format. The queue is whole: not broken. */
struct virtqueue_ops {
	/* Bytes of the three areas, and what each is aligned to. */
	void (*areas)(uint16_t size, uint64_t len[3], uint64_t align[3]);
	/* Where a process before left it, and the driver; NULL: nobody can
	 * tell. Both or none. */
	uint16_t (*used)(const void *device_area);
	uint16_t (*available)(const void *driver_area);
	/* Whether both indices can be those of a queue. */
	bool (*position_valid)(uint16_t size,
			       const struct virtqueue_position *position);
	/* As virtqueue_pop(). */
	int (*pop)(struct virtqueue *queue, struct virtqueue_chain **out);
	/* Write it down where the driver does not look yet. */
	void (*put)(struct virtqueue *queue,
		    const struct virtqueue_chain *chain, uint32_t written);
	/* Show it, queue->unpublished of them. Return: whether to interrupt
	 * the driver. */
	bool (*publish)(struct virtqueue *queue);
	void (*set_kicks)(struct virtqueue *queue, bool wanted);
	/* Whether pop would find something, or break the queue. */
	bool (*waiting)(const struct virtqueue *queue);
	/* avail without what is in flight. */
	struct virtqueue_position (*position)(const struct virtqueue *queue);
};

extern const struct virtqueue_ops virtqueue_split_ops;
extern const struct virtqueue_ops virtqueue_packed_ops;

struct virtqueue {
	struct guest_mem *mem; /* borrowed */
	struct virtqueue_config config;
	const struct virtqueue_ops *ops;
	bool broken;

	/* In guest memory, each area in one region of it, and aligned. */
	struct virtqueue_raw_desc *desc;
	void *driver_area;
	void *device_area;

	/* Split: modulo 65536. Packed: below the size, the wraps are ours. */
	struct virtqueue_position next;
	uint16_t avail_seen; /* split: avail.idx, as last read and checked */

	/* Split; packed. Owned; NULL: not kept. */
	struct virtqueue_inflight *inflight;
	struct virtqueue_records *records;

	/* Put, not published: chains, and entries of the ring. */
	unsigned int unpublished;
	uint16_t unpublished_entries;
	/* Packed: the entry that shows them, and its flags. */
	uint16_t held_index, held_flags;
	/* With records: of all of them, as none may be half shown. */
	struct virtqueue_held {
		uint16_t index, flags;
	} * held; /* owned, room for size */

	/* Popped, not put. */
	unsigned int in_flight;
	unsigned int entries_in_flight; /* of the ring; never above the size */
	uint64_t iovs_in_flight;
	uint64_t *busy; /* bitmap of their ids */

	/* The chain that is being read. */
	struct iovec *iov;		  /* room for size */
	struct virtqueue_raw_desc *table; /* likewise; NULL: not negotiated */
	struct virtqueue_desc *entries;	  /* likewise; NULL: no records */
	unsigned int gathered;		  /* descriptors, empty ones too */
	unsigned int readable_count, writable_count;
	uint64_t readable_len, writable_len;
	bool writing; /* there was a writable one */
};

/* The guest did what no driver may. Return: -EPROTO. */
int virtqueue_break(struct virtqueue *queue, const char *why);

/* --- Making a chain: begin, then the descriptors in order, then end --------
 */

void virtqueue_gather_begin(struct virtqueue *queue);

/* One buffer. Return: 0 or -EPROTO. */
int virtqueue_gather(struct virtqueue *queue,
		     const struct virtqueue_desc *desc);

/* Copy the whole table that @desc refers to into queue->table, unless it is
 * one that may not be there. Return: how many entries, or -EPROTO. */
int virtqueue_gather_table(struct virtqueue *queue,
			   const struct virtqueue_desc *desc);

/**
 * virtqueue_gather_end() - All of it is there: count it as in flight.
 * @id: what the driver knows it by
 * @entries: of the ring
 *
 * Return: 1; -ENOMEM, and nothing has changed; or -EPROTO.
 */
int virtqueue_gather_end(struct virtqueue *queue, uint16_t id,
			 unsigned int entries, struct virtqueue_chain **out);

/* --- Access to rings -------------------------------------------------------
 *
 * The other side may write at the same time; each access is one load or store
 * of an aligned field.
 */

static inline uint16_t virtqueue_load(const le16 *field)
{
	return le16toh(__atomic_load_n((const uint16_t *)(const void *)field,
				       __ATOMIC_RELAXED));
}

/* What the driver wrote before it wrote this is seen by what follows. */
static inline uint16_t virtqueue_load_acquire(const le16 *field)
{
	return le16toh(__atomic_load_n((const uint16_t *)(const void *)field,
				       __ATOMIC_ACQUIRE));
}

static inline void virtqueue_store(le16 *field, uint16_t value)
{
	__atomic_store_n((uint16_t *)(void *)field, htole16(value),
			 __ATOMIC_RELAXED);
}

/* Whoever sees this sees what we wrote before. */
static inline void virtqueue_store_release(le16 *field, uint16_t value)
{
	__atomic_store_n((uint16_t *)(void *)field, htole16(value),
			 __ATOMIC_RELEASE);
}

/* Copy an entry of the ring; the compiler may not read any of it twice. */
static inline void virtqueue_load_desc(const struct virtqueue_raw_desc *desc,
				       struct virtqueue_raw_desc *out)
{
	const uint64_t *raw = (const uint64_t *)(const void *)desc;

	out->addr.raw = __atomic_load_n(&raw[0], __ATOMIC_RELAXED);
	out->rest.raw = __atomic_load_n(&raw[1], __ATOMIC_RELAXED);
}

/*
 * What we wrote before is seen before what we read after: of two sides that
 * both write theirs and then read the other's, at least one sees the other.
 * Not C11's fence, which ThreadSanitizer refuses.
 */
static inline void virtqueue_full_barrier(void)
{
	__sync_synchronize();
}

#endif
