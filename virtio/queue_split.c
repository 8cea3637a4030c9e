/*
 * Split virtqueues (virtio 1.3, 2.7). All of the descriptor table and of the
 * available ring is the driver's and may say anything, at any time; of the
 * used ring we read nothing.
 */
#include <errno.h>

#include "virtio/queue_private.h"

/* 2.7.7, 2.7.10 */
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1
#define VIRTQ_USED_F_NO_NOTIFY	   1

/* 2.7.6; used_event (2.7.7) is behind the ring. */
struct virtq_avail {
	le16 flags;
	le16 idx;
	le16 ring[];
};

struct virtq_used_elem {
	le32 id;
	le32 len;
};
static_assert(sizeof(struct virtq_used_elem) == 8, "2.7.8");

/* 2.7.8; avail_event (2.7.10) is behind the ring. */
struct virtq_used {
	le16 flags;
	le16 idx;
	struct virtq_used_elem ring[];
};

/* 2.7; with room for the events, whether they were negotiated or not. */
static void virtqueue_split_areas(uint16_t size, uint64_t len[3],
				  uint64_t align[3])
{
	len[0] = UINT64_C(16) * size;
	len[1] = 6 + UINT64_C(2) * size;
	len[2] = 6 + UINT64_C(8) * size;
	align[0] = 16;
	align[1] = 2;
	align[2] = 4;
}

static uint16_t virtqueue_split_used_index(const void *device_area)
{
	return virtqueue_load(&((const struct virtq_used *)device_area)->idx);
}

static uint16_t virtqueue_split_avail_index(const void *driver_area)
{
	return virtqueue_load(&((const struct virtq_avail *)driver_area)->idx);
}

static bool
virtqueue_split_position_valid(uint16_t size,
			       const struct virtqueue_position *position)
{
	return (uint16_t)(position->avail - position->used) <= size;
}

static const struct virtq_avail *
virtqueue_split_avail(const struct virtqueue *queue)
{
	return queue->driver_area;
}

static struct virtq_used *virtqueue_split_used(const struct virtqueue *queue)
{
	return queue->device_area;
}

static void virtqueue_split_desc(const struct virtqueue_raw_desc *raw,
				 struct virtqueue_desc *out)
{
	uint64_t rest = le64_get(raw->rest);

	out->addr = le64_get(raw->addr);
	out->len = (uint32_t)rest;
	out->flags = (uint16_t)(rest >> 32);
	out->link = (uint16_t)(rest >> 48);
}

/* Walk an indirect table; it ends the chain (2.7.5.3). */
static int virtqueue_split_gather_table(struct virtqueue *queue,
					const struct virtqueue_desc *table)
{
	int count = virtqueue_gather_table(queue, table);
	struct virtqueue_desc desc = {.flags = VIRTQ_DESC_F_NEXT};
	int ret;

	if (count < 0)
		return count;
	while (desc.flags & VIRTQ_DESC_F_NEXT) {
		if (desc.link >= count)
			return virtqueue_break(queue, "a next that is not in "
						      "the indirect table");
		virtqueue_split_desc(&queue->table[desc.link], &desc);
		if (desc.flags & VIRTQ_DESC_F_INDIRECT)
			return virtqueue_break(queue, "an indirect descriptor "
						      "in an indirect table");
		ret = virtqueue_gather(queue, &desc);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Walk a chain. Return: entries of the ring, or -EPROTO. */
static int virtqueue_split_gather(struct virtqueue *queue, uint16_t head)
{
	struct virtqueue_desc desc = {.flags = VIRTQ_DESC_F_NEXT, .link = head};
	int entries = 0, ret;

	virtqueue_gather_begin(queue);
	while (desc.flags & VIRTQ_DESC_F_NEXT) {
		struct virtqueue_raw_desc raw;

		if (desc.link >= queue->config.size)
			return virtqueue_break(queue, "a descriptor that is "
						      "not in the queue");
		virtqueue_load_desc(&queue->desc[desc.link], &raw);
		virtqueue_split_desc(&raw, &desc);
		entries++;
		if (desc.flags & VIRTQ_DESC_F_INDIRECT)
			ret = virtqueue_split_gather_table(queue, &desc);
		else
			ret = virtqueue_gather(queue, &desc);
		if (ret < 0)
			return ret;
	}
	return entries;
}

/* Look for more heads. Return: 0 or -EPROTO. */
static int virtqueue_split_look(struct virtqueue *queue)
{
	uint16_t avail = queue->next.avail;
	uint16_t out = (uint16_t)(avail - queue->next.used);
	uint16_t idx;

	/* With the driver's barrier between descriptors and idx (2.7.13.3). */
	idx = virtqueue_load_acquire(&virtqueue_split_avail(queue)->idx);
	if ((uint16_t)(idx - avail) > queue->config.size - out)
		return virtqueue_break(queue, "an available index with more "
					      "buffers than the queue has "
					      "entries");
	queue->avail_seen = idx;
	return 0;
}

/* One that a process before us took, and did not finish. */
static int virtqueue_split_pop_again(struct virtqueue *queue,
				     struct virtqueue_chain **out)
{
	uint16_t head = virtqueue_inflight_peek(queue->inflight);
	int entries = virtqueue_split_gather(queue, head), ret;

	if (entries < 0)
		return entries;
	ret = virtqueue_gather_end(queue, head, (unsigned int)entries, out);
	if (ret > 0)
		virtqueue_inflight_advance(queue->inflight);
	return ret;
}

static int virtqueue_split_pop(struct virtqueue *queue,
			       struct virtqueue_chain **out)
{
	const struct virtq_avail *avail = virtqueue_split_avail(queue);
	int entries, ret;
	uint16_t head;

	if (queue->inflight && virtqueue_inflight_left(queue->inflight))
		return virtqueue_split_pop_again(queue, out);
	if (queue->avail_seen == queue->next.avail) {
		ret = virtqueue_split_look(queue);
		if (ret < 0)
			return ret;
		if (queue->avail_seen == queue->next.avail)
			return 0;
	}
	head = virtqueue_load(
		&avail->ring[queue->next.avail % queue->config.size]);
	entries = virtqueue_split_gather(queue, head);
	if (entries < 0)
		return entries;
	ret = virtqueue_gather_end(queue, head, (unsigned int)entries, out);
	if (ret <= 0)
		return ret;
	queue->next.avail++;
	if (queue->inflight)
		virtqueue_inflight_take(queue->inflight, head);
	return ret;
}

static void virtqueue_split_put(struct virtqueue *queue,
				const struct virtqueue_chain *chain,
				uint32_t written)
{
	struct virtq_used *used = virtqueue_split_used(queue);
	uint16_t slot = queue->next.used % queue->config.size;

	used->ring[slot].id = le32_of(chain->id);
	used->ring[slot].len = le32_of(written);
	if (queue->inflight)
		virtqueue_inflight_put(queue->inflight, chain->id);
	queue->next.used++;
}

static bool virtqueue_split_publish(struct virtqueue *queue)
{
	const struct virtq_avail *avail = virtqueue_split_avail(queue);
	uint16_t now = queue->next.used, event;

	/* With the driver's barrier between idx and the ring (2.7.14). */
	virtqueue_store_release(&virtqueue_split_used(queue)->idx, now);
	if (queue->inflight)
		virtqueue_inflight_publish(queue->inflight, now);
	/*
	 * With the driver's barrier between its events and its look at idx
	 * (2.7.14): it sees these buffers, or we see that it waits.
	 */
	virtqueue_full_barrier();
	if (!queue->config.event_idx)
		return !(virtqueue_load(&avail->flags) &
			 VIRTQ_AVAIL_F_NO_INTERRUPT);
	event = virtqueue_load(&avail->ring[queue->config.size]);
	/* Is it one of those that were just shown? */
	return (uint16_t)(now - event - 1) < queue->unpublished;
}

static void virtqueue_split_set_kicks(struct virtqueue *queue, bool wanted)
{
	struct virtq_used *used = virtqueue_split_used(queue);
	le16 *avail_event = (void *)&used->ring[queue->config.size];

	if (!queue->config.event_idx) {
		virtqueue_store(&used->flags,
				wanted ? 0 : VIRTQ_USED_F_NO_NOTIFY);
		return;
	}
	virtqueue_store(&used->flags, 0);
	/* Unmoved it stays behind, and asks for nothing. */
	if (wanted)
		virtqueue_store(avail_event, queue->next.avail);
}

static bool virtqueue_split_waiting(const struct virtqueue *queue)
{
	if (queue->inflight && virtqueue_inflight_left(queue->inflight))
		return true;
	return virtqueue_load(&virtqueue_split_avail(queue)->idx) !=
	       queue->next.avail;
}

static struct virtqueue_position
virtqueue_split_position(const struct virtqueue *queue)
{
	struct virtqueue_position position = queue->next;

	position.avail = (uint16_t)(position.avail - queue->in_flight);
	if (queue->inflight)
		position.avail -=
			(uint16_t)virtqueue_inflight_left(queue->inflight);
	return position;
}

const struct virtqueue_ops virtqueue_split_ops = {
	.areas = virtqueue_split_areas,
	.used = virtqueue_split_used_index,
	.available = virtqueue_split_avail_index,
	.position_valid = virtqueue_split_position_valid,
	.pop = virtqueue_split_pop,
	.put = virtqueue_split_put,
	.publish = virtqueue_split_publish,
	.set_kicks = virtqueue_split_set_kicks,
	.waiting = virtqueue_split_waiting,
	.position = virtqueue_split_position,
};
