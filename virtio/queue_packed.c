/*
 * Packed virtqueues (virtio 1.3, 2.8). Both sides write to the one ring; the
 * driver may write to it what it likes at any time, so nothing that we wrote
 * is ever read back.
 *
 * The ring holds two laps at a time, told apart by the wrap counters. A chain
 * takes consecutive entries when it is available, and the first of as many
 * when it is used, which are other ones if chains are used out of order: then
 * descriptors of chains that are in flight are overwritten, which is why all
 * of a chain is copied when it is taken.
 */
#include <errno.h>

#include "virtio/queue_private.h"

/* 2.8.1 */
#define VIRTQ_DESC_F_AVAIL (1 << 7)
#define VIRTQ_DESC_F_USED  (1 << 15)

/* 2.8.10; 3 is reserved */
#define RING_EVENT_FLAGS_ENABLE	 0
#define RING_EVENT_FLAGS_DISABLE 1
#define RING_EVENT_FLAGS_DESC	 2
#define RING_EVENT_FLAGS_MASK	 3

#define RING_EVENT_OFF_MASK  0x7fff
#define RING_EVENT_WRAP	     (1 << 15)
#define RING_EVENT_FLAGS_POS 16 /* of flags, the two fields as one number */

/* 2.8.13, for writing */
struct pvirtq_desc {
	le64 addr;
	le32 len;
	le16 id;
	le16 flags;
};
static_assert(sizeof(struct pvirtq_desc) == sizeof(struct virtqueue_raw_desc),
	      "2.8.13");

static void virtqueue_packed_areas(uint16_t size, uint64_t len[3],
				   uint64_t align[3])
{
	len[0] = UINT64_C(16) * size;
	len[1] = 4;
	len[2] = 4;
	align[0] = 16;
	align[1] = 4;
	align[2] = 4;
}

/* Where an index is in the two laps: below twice the size. */
static unsigned int virtqueue_packed_place(unsigned int size,
					   unsigned int index, bool wrap)
{
	return wrap ? index : index + size;
}

/* Entries from one place on to another. */
static unsigned int
virtqueue_packed_distance(unsigned int size, unsigned int from, unsigned int to)
{
	return (to + 2 * size - from) % (2 * size);
}

static bool
virtqueue_packed_position_valid(uint16_t size,
				const struct virtqueue_position *position)
{
	unsigned int avail, used;

	if (position->avail >= size || position->used >= size)
		return false;
	avail = virtqueue_packed_place(size, position->avail,
				       position->avail_wrap);
	used = virtqueue_packed_place(size, position->used,
				      position->used_wrap);
	return virtqueue_packed_distance(size, used, avail) <= size;
}

/* Go on by some entries, at most size. */
static void virtqueue_packed_advance(unsigned int size, uint16_t *index,
				     bool *wrap, unsigned int entries)
{
	unsigned int next = *index + entries;

	if (next >= size) {
		next -= size;
		*wrap = !*wrap;
	}
	*index = (uint16_t)next;
}

static struct pvirtq_desc *virtqueue_packed_entry(const struct virtqueue *queue,
						  uint16_t index)
{
	return (struct pvirtq_desc *)(void *)&queue->desc[index];
}

static bool virtqueue_packed_waiting(const struct virtqueue *queue)
{
	uint16_t index = queue->next.avail;
	uint16_t flags;
	bool avail, used;

	if (queue->records && virtqueue_records_left(queue->records))
		return true;
	/* With the driver's barrier between a chain and its first flags
	 * (2.8.21.1). */
	flags = virtqueue_load_acquire(
		&virtqueue_packed_entry(queue, index)->flags);
	avail = flags & VIRTQ_DESC_F_AVAIL;
	used = flags & VIRTQ_DESC_F_USED;
	return avail != used && avail == queue->next.avail_wrap;
}

static void virtqueue_packed_desc(const struct virtqueue_raw_desc *raw,
				  struct virtqueue_desc *out)
{
	uint64_t rest = le64_get(raw->rest);

	out->addr = le64_get(raw->addr);
	out->len = (uint32_t)rest;
	out->link = (uint16_t)(rest >> 32);
	out->flags = (uint16_t)(rest >> 48);
}

/* All of an indirect table, in order; of its flags only WRITE means anything
 * (2.8.7). */
static int virtqueue_packed_gather_table(struct virtqueue *queue,
					 const struct virtqueue_desc *table)
{
	int count = virtqueue_gather_table(queue, table);
	int ret;

	for (int i = 0; i < count; i++) {
		struct virtqueue_desc desc;

		virtqueue_packed_desc(&queue->table[i], &desc);
		ret = virtqueue_gather(queue, &desc);
		if (ret < 0)
			return ret;
	}
	return count < 0 ? count : 0;
}

/* The at-th entry of a chain, from 0. Return: 0 or -EPROTO. */
static int virtqueue_packed_gather_entry(struct virtqueue *queue,
					 const struct virtqueue_desc *desc,
					 int at)
{
	if (!(desc->flags & VIRTQ_DESC_F_INDIRECT))
		return virtqueue_gather(queue, desc);
	if (at == 0)
		return virtqueue_packed_gather_table(queue, desc);
	/* 2.8.19: unlike in a split ring. */
	return virtqueue_break(queue, "an indirect descriptor in a chain");
}

/* Read a chain; the last one's id is the chain's (2.8.6). Return: entries of
 * the ring, or -EPROTO. */
static int virtqueue_packed_gather(struct virtqueue *queue, uint16_t *id)
{
	uint16_t index = queue->next.avail;
	struct virtqueue_desc desc;
	int entries = 0, ret;

	virtqueue_gather_begin(queue);
	do {
		struct virtqueue_raw_desc raw;

		virtqueue_load_desc(&queue->desc[index], &raw);
		virtqueue_packed_desc(&raw, &desc);
		/* As many as the queue has entries, or it is broken. */
		if (queue->entries && entries < queue->config.size)
			queue->entries[entries] = desc;
		ret = virtqueue_packed_gather_entry(queue, &desc, entries++);
		if (ret < 0)
			return ret;
		index = (uint16_t)((index + 1) % queue->config.size);
	} while (desc.flags & VIRTQ_DESC_F_NEXT);
	*id = desc.link;
	return entries;
}

/* One that a process before us took, and did not finish: from its records, as
 * the ring may say something else there by now. */
static int virtqueue_packed_pop_again(struct virtqueue *queue,
				      struct virtqueue_chain **out)
{
	const unsigned int count =
		virtqueue_records_read(queue->records, queue->entries);
	int ret;

	virtqueue_gather_begin(queue);
	for (unsigned int i = 0; i < count; i++) {
		ret = virtqueue_packed_gather_entry(queue, &queue->entries[i],
						    (int)i);
		if (ret < 0)
			return ret;
	}
	ret = virtqueue_gather_end(queue, queue->entries[count - 1].link, count,
				   out);
	if (ret > 0)
		(*out)->place = virtqueue_records_advance(queue->records);
	return ret;
}

static int virtqueue_packed_pop(struct virtqueue *queue,
				struct virtqueue_chain **out)
{
	int entries, ret;
	uint16_t id;

	if (queue->records && virtqueue_records_left(queue->records))
		return virtqueue_packed_pop_again(queue, out);
	if (!virtqueue_packed_waiting(queue))
		return 0;
	entries = virtqueue_packed_gather(queue, &id);
	if (entries < 0)
		return entries;
	/* What the driver has not seen used cannot be available again. */
	if (queue->records && (unsigned int)entries + queue->entries_in_flight +
					      queue->unpublished_entries >
				      queue->config.size)
		return virtqueue_break(queue, "more buffers than it has "
					      "entries");
	ret = virtqueue_gather_end(queue, id, (unsigned int)entries, out);
	if (ret <= 0)
		return ret;
	virtqueue_packed_advance(queue->config.size, &queue->next.avail,
				 &queue->next.avail_wrap,
				 (unsigned int)entries);
	if (queue->records)
		(*out)->place = virtqueue_records_take(
			queue->records, queue->entries, (unsigned int)entries);
	return ret;
}

static void virtqueue_packed_put(struct virtqueue *queue,
				 const struct virtqueue_chain *chain,
				 uint32_t written)
{
	uint16_t index = queue->next.used;
	struct pvirtq_desc *desc = virtqueue_packed_entry(queue, index);
	uint16_t flags = 0;

	if (queue->next.used_wrap)
		flags = VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED;
	if (written)
		flags |= VIRTQ_DESC_F_WRITE;
	desc->id = le16_of(chain->id);
	desc->len = le32_of(written);
	/* The driver looks at one entry only, the first of those that are not
	 * published; the others may say that they are used, unless we die and
	 * another process publishes other ones. */
	if (queue->records)
		queue->held[queue->unpublished] =
			(struct virtqueue_held){index, flags};
	if (queue->unpublished == 0) {
		queue->held_index = index;
		queue->held_flags = flags;
	} else if (!queue->records) {
		virtqueue_store(&desc->flags, flags);
	}
	if (queue->records)
		virtqueue_records_put(queue->records, chain->place);
	virtqueue_packed_advance(queue->config.size, &queue->next.used,
				 &queue->next.used_wrap, chain->descriptors);
}

/* Is the entry that the driver waits for one of those just used? */
static bool virtqueue_packed_event(const struct virtqueue *queue,
				   uint16_t off_wrap)
{
	unsigned int size = queue->config.size;
	unsigned int event, now;

	event = virtqueue_packed_place(size, off_wrap & RING_EVENT_OFF_MASK,
				       off_wrap & RING_EVENT_WRAP);
	now = virtqueue_packed_place(size, queue->next.used,
				     queue->next.used_wrap);
	/* An offset beyond the ring is somewhere in it, that is all. */
	event %= 2 * size;
	return virtqueue_packed_distance(size, event, now) - 1 <
	       queue->unpublished_entries;
}

/* The records say what is about to be; then all but the first entry do. */
static void virtqueue_packed_prepare(struct virtqueue *queue)
{
	virtqueue_records_prepare(queue->records, queue->next.used,
				  queue->next.used_wrap);
	for (unsigned int i = 1; i < queue->unpublished; i++)
		virtqueue_store(
			&virtqueue_packed_entry(queue, queue->held[i].index)
				 ->flags,
			queue->held[i].flags);
}

static bool virtqueue_packed_publish(struct virtqueue *queue)
{
	const uint32_t *driver = queue->driver_area;
	uint32_t event;

	if (queue->records)
		virtqueue_packed_prepare(queue);
	/* With the driver's barrier between flags and the rest of the entry
	 * (2.8.22), and behind all other entries. */
	virtqueue_store_release(
		&virtqueue_packed_entry(queue, queue->held_index)->flags,
		queue->held_flags);
	if (queue->records)
		virtqueue_records_finish(queue->records);
	/*
	 * With the driver's barrier between its event suppression and its look
	 * at flags (2.8.22): it sees these buffers, or we see that it waits.
	 */
	virtqueue_full_barrier();
	/* Both fields at once: a pair that the driver wrote. */
	event = le32toh(__atomic_load_n(driver, __ATOMIC_RELAXED));
	switch (event >> RING_EVENT_FLAGS_POS & RING_EVENT_FLAGS_MASK) {
	case RING_EVENT_FLAGS_DISABLE:
		return false;
	case RING_EVENT_FLAGS_DESC:
		return !queue->config.event_idx ||
		       virtqueue_packed_event(queue, (uint16_t)event);
	default:
		return true;
	}
}

static void virtqueue_packed_set_kicks(struct virtqueue *queue, bool wanted)
{
	uint32_t flags = RING_EVENT_FLAGS_DISABLE, off_wrap = 0;
	uint32_t *device = queue->device_area;

	if (wanted && queue->config.event_idx) {
		flags = RING_EVENT_FLAGS_DESC;
		off_wrap = queue->next.avail;
		if (queue->next.avail_wrap)
			off_wrap |= RING_EVENT_WRAP;
	} else if (wanted) {
		flags = RING_EVENT_FLAGS_ENABLE;
	}
	/* Both fields at once, so that no order is needed. */
	__atomic_store_n(device,
			 htole32(flags << RING_EVENT_FLAGS_POS | off_wrap),
			 __ATOMIC_RELAXED);
}

static struct virtqueue_position
virtqueue_packed_position(const struct virtqueue *queue)
{
	struct virtqueue_position position = queue->next;
	unsigned int size = queue->config.size;
	unsigned int place = virtqueue_packed_place(size, position.avail,
						    position.avail_wrap);
	unsigned int out = queue->entries_in_flight;

	if (queue->records)
		out += virtqueue_records_entries(queue->records);
	place = (place + 2 * size - out) % (2 * size);
	position.avail = (uint16_t)(place % size);
	position.avail_wrap = place < size;
	return position;
}

const struct virtqueue_ops virtqueue_packed_ops = {
	.areas = virtqueue_packed_areas,
	.position_valid = virtqueue_packed_position_valid,
	.pop = virtqueue_packed_pop,
	.put = virtqueue_packed_put,
	.publish = virtqueue_packed_publish,
	.set_kicks = virtqueue_packed_set_kicks,
	.waiting = virtqueue_packed_waiting,
	.position = virtqueue_packed_position,
};
