/*
 * In-flight regions of split rings. The order of the stores is what makes a
 * kill at any instruction safe: a head is marked before its request begins,
 * linked into the batch before the used index moves, and unmarked after; if
 * it died in between, the index tells how much of the batch the driver saw.
 */
#include "virtio/queue_inflight.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bytes.h"

#define INFLIGHT_VERSION 1
#define INFLIGHT_ALIGN	 64

/* vhost-user, struct DescStateSplit and QueueRegionSplit. In the byte order of
 * the host: both sides run on it. */
struct inflight_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;
	uint64_t counter;
};
static_assert(sizeof(struct inflight_desc) == 16, "DescStateSplit");

struct inflight_region {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_desc desc[];
};
static_assert(sizeof(struct inflight_region) == 16, "QueueRegionSplit");

struct virtqueue_inflight {
	struct inflight_region *region; /* borrowed; shared */
	uint16_t size;
	uint64_t counter; /* of the next one */
	/* What is put and not published: the region's own links are not read
	 * again. */
	uint16_t *batch; /* owned, room for size */
	uint16_t batch_count;
	struct virtqueue_found *found; /* owned, room for size; by age */
	unsigned int found_count, found_next;
};

size_t virtqueue_inflight_size(uint16_t size)
{
	size_t bytes = sizeof(struct inflight_region) +
		       size * sizeof(struct inflight_desc);

	return (bytes + INFLIGHT_ALIGN - 1) / INFLIGHT_ALIGN * INFLIGHT_ALIGN;
}

static void inflight_mark(struct virtqueue_inflight *inflight, uint16_t head,
			  bool on)
{
	__atomic_store_n(&inflight->region->desc[head].inflight, on,
			 __ATOMIC_RELEASE);
}

/* Who shares the region may change it at any time: read once. */
#define INFLIGHT_LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

static void inflight_finish(struct virtqueue_inflight *inflight)
{
	for (uint16_t i = 0; i < inflight->batch_count; i++)
		inflight_mark(inflight, inflight->batch[i], false);
	inflight->batch_count = 0;
}

/* Of the last batch, the driver saw that much: it is not in flight. */
static int inflight_finish_batch(struct virtqueue_inflight *inflight,
				 uint16_t used)
{
	struct inflight_region *region = inflight->region;
	uint16_t left = (uint16_t)(used - INFLIGHT_LOAD(region->used_idx));
	uint16_t head = INFLIGHT_LOAD(region->last_batch_head);

	if (left > inflight->size)
		return -EINVAL;
	while (left--) {
		if (head >= inflight->size)
			return -EINVAL;
		inflight_mark(inflight, head, false);
		head = INFLIGHT_LOAD(region->desc[head].next);
	}
	region->used_idx = used;
	return 0;
}

static int virtqueue_found_compare(const void *a, const void *b)
{
	const struct virtqueue_found *left = a, *right = b;

	return left->counter < right->counter ? -1
					      : left->counter > right->counter;
}

void virtqueue_found_sort(struct virtqueue_found *found, unsigned int count)
{
	qsort(found, count, sizeof(*found), virtqueue_found_compare);
}

static void inflight_find(struct virtqueue_inflight *inflight)
{
	const struct inflight_region *region = inflight->region;

	for (uint16_t head = 0; head < inflight->size; head++) {
		const struct inflight_desc *desc = &region->desc[head];
		uint64_t counter = INFLIGHT_LOAD(desc->counter);

		if (counter >= inflight->counter)
			inflight->counter = counter + 1;
		if (desc->inflight)
			inflight->found[inflight->found_count++] =
				(struct virtqueue_found){counter, head};
	}
	virtqueue_found_sort(inflight->found, inflight->found_count);
}

static int inflight_load(struct virtqueue_inflight *inflight, uint16_t used)
{
	struct inflight_region *region = inflight->region;
	int ret;

	if (region->version == 0) {
		memset(region, 0, virtqueue_inflight_size(inflight->size));
		region->desc_num = inflight->size;
		region->used_idx = used;
		region->version = INFLIGHT_VERSION;
		return 0;
	}
	if (region->version != INFLIGHT_VERSION ||
	    region->desc_num != inflight->size)
		return -EINVAL;
	ret = inflight_finish_batch(inflight, used);
	if (ret == 0)
		inflight_find(inflight);
	return ret;
}

int virtqueue_inflight_new(struct virtqueue_inflight **out, void *region,
			   uint16_t size, uint16_t used)
{
	struct virtqueue_inflight *inflight = calloc(1, sizeof(*inflight));
	int ret;

	if (!inflight)
		return -ENOMEM;
	inflight->region = region;
	inflight->size = size;
	inflight->batch = calloc(size, sizeof(*inflight->batch));
	inflight->found = calloc(size, sizeof(*inflight->found));
	ret = inflight->batch && inflight->found ? inflight_load(inflight, used)
						 : -ENOMEM;
	if (ret < 0) {
		virtqueue_inflight_free(inflight);
		return ret;
	}
	*out = inflight;
	return 0;
}

void virtqueue_inflight_free(struct virtqueue_inflight *inflight)
{
	if (!inflight)
		return;
	free(inflight->batch);
	free(inflight->found);
	free(inflight);
}

unsigned int virtqueue_inflight_left(const struct virtqueue_inflight *inflight)
{
	return inflight->found_count - inflight->found_next;
}

uint16_t virtqueue_inflight_peek(const struct virtqueue_inflight *inflight)
{
	return inflight->found[inflight->found_next].head;
}

void virtqueue_inflight_advance(struct virtqueue_inflight *inflight)
{
	inflight->found_next++;
}

void virtqueue_inflight_take(struct virtqueue_inflight *inflight, uint16_t head)
{
	inflight->region->desc[head].counter = inflight->counter++;
	inflight_mark(inflight, head, true);
}

void virtqueue_inflight_put(struct virtqueue_inflight *inflight, uint16_t head)
{
	struct inflight_region *region = inflight->region;
	uint16_t before = head; /* the last link of a batch is not followed */

	/* Only a driver that does not wait for what it gave is so far. */
	if (inflight->batch_count == inflight->size)
		inflight_finish(inflight);
	if (inflight->batch_count)
		before = inflight->batch[inflight->batch_count - 1];
	region->desc[head].next = before;
	__atomic_store_n(&region->last_batch_head, head, __ATOMIC_RELEASE);
	inflight->batch[inflight->batch_count++] = head;
}

void virtqueue_inflight_publish(struct virtqueue_inflight *inflight,
				uint16_t used)
{
	inflight_finish(inflight);
	__atomic_store_n(&inflight->region->used_idx, used, __ATOMIC_RELEASE);
}
