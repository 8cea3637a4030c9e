/*
 * In-flight regions of packed rings (vhost-user, "Inflight I/O tracking":
 * struct DescStatePacked, struct QueueRegionPacked). See queue_inflight.h.
 *
 * Places that hold no entry are linked into a free list; a buffer's are linked
 * to each other, from its first one, the head. What makes a kill at any
 * instruction safe is that each field that counts has an old twin: buffers are
 * in flight if they are not in the list of old_free_head, and the ring stands
 * at old_used_idx, unless the driver can see the entry there as used: then what
 * was about to be is.
 *
 * The links are kept here as well, and those of the region are not read again.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/queue_inflight.h"
#include "virtio/queue_private.h"

#define RECORDS_VERSION 1
#define RECORDS_ALIGN	64

/* 2.8.1, of the flags in an entry's second half */
#define RECORDS_FLAGS_POS 48
#define RECORDS_AVAIL	  (1 << 7)
#define RECORDS_USED	  (1 << 15)

/* In the byte order of the host: both sides run on it. */
struct records_desc {
	uint8_t inflight;
	uint8_t padding;
	uint16_t next;
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};
static_assert(sizeof(struct records_desc) == 32, "DescStatePacked");

/* Each of these two is written whole, so that a kill leaves no half of it. */
struct records_heads {
	uint16_t free_head, old_free_head;
};

struct records_used {
	uint16_t used_idx, old_used_idx;
	uint8_t used_wrap_counter, old_used_wrap_counter;
	uint8_t padding[2];
};
static_assert(sizeof(struct records_used) == sizeof(uint64_t), "one store");

struct records_region {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint32_t heads; /* struct records_heads */
	uint64_t used;	/* struct records_used */
	uint8_t padding[5];
	struct records_desc desc[] __attribute__((aligned(8)));
};
static_assert(offsetof(struct records_region, used) == 16 &&
		      offsetof(struct records_region, desc) == 32,
	      "QueueRegionPacked");

struct virtqueue_records {
	struct records_region *region; /* borrowed; shared */
	uint16_t size;
	uint16_t free_head; /* size: none is free */
	uint16_t used;	    /* where the ring stands */
	bool used_wrap;
	uint64_t counter; /* of the next one */
	uint16_t *next;	  /* owned, room for size; size: the last */
	uint16_t *last;	  /* likewise: of a buffer, by its head */
	uint16_t *num;	  /* likewise: entries */
	uint16_t *batch;  /* likewise: put, and not published */
	uint16_t batch_count;
	struct virtqueue_found *found; /* likewise; by age */
	unsigned int found_count, found_next, found_entries;
};

/* Who shares the region may change it at any time: read once. */
#define RECORDS_LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
/* What was written before is there when this is. */
#define RECORDS_STORE(field, value) \
	__atomic_store_n(&(field), value, __ATOMIC_RELEASE)

size_t virtqueue_records_size(uint16_t size)
{
	size_t bytes = sizeof(struct records_region) +
		       size * sizeof(struct records_desc);

	return (bytes + RECORDS_ALIGN - 1) / RECORDS_ALIGN * RECORDS_ALIGN;
}

static void records_store_heads(struct records_region *region, uint16_t head,
				uint16_t old)
{
	const struct records_heads heads = {head, old};
	uint32_t raw;

	memcpy(&raw, &heads, sizeof(raw));
	RECORDS_STORE(region->heads, raw);
}

static struct records_heads records_load_heads(struct records_region *region)
{
	const uint32_t raw = RECORDS_LOAD(region->heads);
	struct records_heads heads;

	memcpy(&heads, &raw, sizeof(heads));
	return heads;
}

static void records_store_used(struct records_region *region,
			       const struct records_used *used)
{
	uint64_t raw;

	memcpy(&raw, used, sizeof(raw));
	RECORDS_STORE(region->used, raw);
}

static struct records_used records_load_used(struct records_region *region)
{
	const uint64_t raw = RECORDS_LOAD(region->used);
	struct records_used used;

	memcpy(&used, &raw, sizeof(used));
	return used;
}

/* What is new is old as well: nothing is about to be. */
static void records_settle(struct virtqueue_records *records)
{
	const struct records_used used = {
		.used_idx = records->used,
		.old_used_idx = records->used,
		.used_wrap_counter = records->used_wrap,
		.old_used_wrap_counter = records->used_wrap,
	};

	/*
	 * In this order: with the list old and the index new, what was used
	 * would be taken for lost; as it is, the entry in the ring decides
	 * until the last store.
	 */
	records_store_heads(records->region, records->free_head,
			    records->free_head);
	records_store_used(records->region, &used);
}

/* --- Taking a region up ----------------------------------------------------
 */

static void records_begin(struct virtqueue_records *records,
			  const struct virtqueue_position *position)
{
	struct records_region *region = records->region;

	memset(region, 0, virtqueue_records_size(records->size));
	region->desc_num = records->size;
	for (uint16_t i = 0; i < records->size; i++)
		region->desc[i].next = records->next[i] = (uint16_t)(i + 1);
	records->used = position->used;
	records->used_wrap = position->used_wrap;
	records_settle(records);
	RECORDS_STORE(region->version, RECORDS_VERSION);
}

/* Whether the driver can see the entry there as used, in that lap. */
static bool records_is_used(const struct virtqueue_raw_desc *ring,
			    uint16_t index, bool wrap)
{
	struct virtqueue_raw_desc raw;

	virtqueue_load_desc(&ring[index], &raw);
	return !!(le64_get(raw.rest) >> RECORDS_FLAGS_POS & RECORDS_USED) ==
	       wrap;
}

/*
 * Entries that may have been marked as used behind one that was not, which the
 * driver therefore does not look at: as they were, or it would see them once we
 * use that one.
 */
static void records_unmark(const struct virtqueue_records *records,
			   struct virtqueue_raw_desc *ring, uint16_t end)
{
	uint16_t index = records->used;
	bool wrap = records->used_wrap;

	for (uint16_t i = 0; i < records->size; i++) {
		le16 *flags = (le16 *)(void *)&ring[index].rest + 3;

		virtqueue_store(flags, wrap ? RECORDS_AVAIL : RECORDS_USED);
		if (++index == records->size) {
			index = 0;
			wrap = !wrap;
		}
		if (index == end)
			return;
	}
}

/* Of what was about to be: all or nothing. Return: 0 or -EINVAL. */
static int records_decide(struct virtqueue_records *records,
			  struct virtqueue_raw_desc *ring)
{
	const struct records_heads heads = records_load_heads(records->region);
	const struct records_used used = records_load_used(records->region);
	bool pending, done;

	if (used.old_used_idx >= records->size ||
	    used.used_idx >= records->size)
		return -EINVAL;
	pending = used.old_used_idx != used.used_idx ||
		  used.old_used_wrap_counter != used.used_wrap_counter;
	done = pending && records_is_used(ring, used.old_used_idx,
					  used.old_used_wrap_counter);
	records->free_head = done ? heads.free_head : heads.old_free_head;
	records->used = done ? used.used_idx : used.old_used_idx;
	records->used_wrap =
		done ? used.used_wrap_counter : used.old_used_wrap_counter;
	/* First, or it would not be known that they have to be. */
	if (pending && !done)
		records_unmark(records, ring, used.used_idx);
	records_settle(records);
	return 0;
}

/*
 * Walk @count places from one on, at most; each is in one list. seen: a byte a
 * place. last: of them. Return: how many, or -EINVAL.
 */
static int records_walk(struct virtqueue_records *records, uint16_t place,
			unsigned int count, uint8_t *seen, uint16_t *last)
{
	unsigned int walked = 0;

	while (walked < count && place < records->size) {
		if (seen[place])
			return -EINVAL;
		seen[place] = 1;
		*last = place;
		records->next[place] =
			RECORDS_LOAD(records->region->desc[place].next);
		place = records->next[place];
		walked++;
	}
	return (int)walked;
}

/* One that is not in the free list and says that it is a buffer's head. */
static int records_add(struct virtqueue_records *records, uint16_t head,
		       uint8_t *seen)
{
	const struct records_desc *desc = &records->region->desc[head];
	const uint16_t num = RECORDS_LOAD(desc->num);
	uint64_t counter = RECORDS_LOAD(desc->counter);

	if (num == 0 ||
	    records_walk(records, head, num, seen, &records->last[head]) != num)
		return -EINVAL;
	records->num[head] = num;
	records->found_entries += num;
	records->found[records->found_count++] =
		(struct virtqueue_found){counter, head};
	if (counter >= records->counter)
		records->counter = counter + 1;
	return 0;
}

static int records_find(struct virtqueue_records *records, uint8_t *seen)
{
	uint16_t end = records->size;
	int ret = records_walk(records, records->free_head, records->size, seen,
			       &end);

	for (uint16_t i = 0; ret >= 0 && i < records->size; i++) {
		struct records_desc *desc = &records->region->desc[i];

		if (seen[i])
			desc->inflight = 0;
	}
	/* Their other places are then seen, too. */
	for (uint16_t i = 0; ret >= 0 && i < records->size; i++) {
		if (!seen[i] && RECORDS_LOAD(records->region->desc[i].inflight))
			ret = records_add(records, i, seen);
	}
	if (ret < 0)
		return ret;
	for (uint16_t i = 0; i < records->size; i++) {
		if (!seen[i])
			return -EINVAL;
	}
	virtqueue_found_sort(records->found, records->found_count);
	return 0;
}

/* All between where it stands and here is in flight. */
static void records_place(const struct virtqueue_records *records,
			  struct virtqueue_position *position)
{
	unsigned int avail = records->used + records->found_entries;

	position->used = records->used;
	position->used_wrap = position->avail_wrap = records->used_wrap;
	if (avail >= records->size) {
		avail -= records->size;
		position->avail_wrap = !position->avail_wrap;
	}
	position->avail = (uint16_t)avail;
}

static int records_load(struct virtqueue_records *records,
			struct virtqueue_raw_desc *ring,
			struct virtqueue_position *position)
{
	const struct records_region *region = records->region;
	const uint16_t version = RECORDS_LOAD(region->version);
	uint8_t *seen;
	int ret;

	if (version == 0) {
		records_begin(records, position);
		return 0;
	}
	if (version != RECORDS_VERSION ||
	    RECORDS_LOAD(region->desc_num) != records->size)
		return -EINVAL;
	ret = records_decide(records, ring);
	if (ret < 0)
		return ret;
	seen = calloc(records->size, sizeof(*seen));
	if (!seen)
		return -ENOMEM;
	ret = records_find(records, seen);
	free(seen);
	if (ret == 0)
		records_place(records, position);
	return ret;
}

int virtqueue_records_new(struct virtqueue_records **out, void *region,
			  uint16_t size, struct virtqueue_raw_desc *ring,
			  struct virtqueue_position *position)
{
	struct virtqueue_records *records = calloc(1, sizeof(*records));
	int ret = -ENOMEM;

	if (!records)
		return -ENOMEM;
	records->region = region;
	records->size = size;
	records->next = calloc(size, sizeof(*records->next));
	records->last = calloc(size, sizeof(*records->last));
	records->num = calloc(size, sizeof(*records->num));
	records->batch = calloc(size, sizeof(*records->batch));
	records->found = calloc(size, sizeof(*records->found));
	if (records->next && records->last && records->num && records->batch &&
	    records->found)
		ret = records_load(records, ring, position);
	if (ret < 0) {
		virtqueue_records_free(records);
		return ret;
	}
	*out = records;
	return 0;
}

void virtqueue_records_free(struct virtqueue_records *records)
{
	if (!records)
		return;
	free(records->next);
	free(records->last);
	free(records->num);
	free(records->batch);
	free(records->found);
	free(records);
}

/* --- What was found --------------------------------------------------------
 */

unsigned int virtqueue_records_left(const struct virtqueue_records *records)
{
	return records->found_count - records->found_next;
}

unsigned int virtqueue_records_entries(const struct virtqueue_records *records)
{
	return records->found_entries;
}

unsigned int virtqueue_records_read(const struct virtqueue_records *records,
				    struct virtqueue_desc *out)
{
	uint16_t place = records->found[records->found_next].head;
	const unsigned int num = records->num[place];

	for (unsigned int i = 0; i < num; i++) {
		const struct records_desc *desc = &records->region->desc[place];

		out[i] = (struct virtqueue_desc){
			.addr = RECORDS_LOAD(desc->addr),
			.len = RECORDS_LOAD(desc->len),
			.flags = RECORDS_LOAD(desc->flags),
			.link = RECORDS_LOAD(desc->id),
		};
		place = records->next[place];
	}
	return num;
}

uint16_t virtqueue_records_advance(struct virtqueue_records *records)
{
	const uint16_t head = records->found[records->found_next].head;

	records->found_entries -= records->num[head];
	records->found_next++;
	return head;
}

/* --- Taking and giving back ------------------------------------------------
 */

uint16_t virtqueue_records_take(struct virtqueue_records *records,
				const struct virtqueue_desc *desc,
				unsigned int count)
{
	struct records_region *region = records->region;
	const uint16_t head = records->free_head;
	uint16_t place = head, last = head;

	for (unsigned int i = 0; i < count; i++) {
		struct records_desc *record = &region->desc[place];

		/* As many as entries, so there is one for each. */
		assert(place < records->size);
		record->addr = desc[i].addr;
		record->len = desc[i].len;
		record->flags = desc[i].flags;
		record->id = desc[i].link;
		last = place;
		place = records->next[place];
	}
	records->last[head] = last;
	records->num[head] = (uint16_t)count;
	records->free_head = place;
	region->desc[head].num = (uint16_t)count;
	region->desc[head].last = last;
	region->desc[head].counter = records->counter++;
	RECORDS_STORE(region->desc[head].inflight, 1);
	/* From here on it is in flight. */
	records_store_heads(region, place, place);
	return head;
}

void virtqueue_records_put(struct virtqueue_records *records, uint16_t place)
{
	records->batch[records->batch_count++] = place;
}

void virtqueue_records_prepare(struct virtqueue_records *records, uint16_t used,
			       bool used_wrap)
{
	struct records_region *region = records->region;
	const uint16_t old_head = records->free_head;
	const struct records_used new = {
		.used_idx = used,
		.old_used_idx = records->used,
		.used_wrap_counter = used_wrap,
		.old_used_wrap_counter = records->used_wrap,
	};

	for (uint16_t i = 0; i < records->batch_count; i++) {
		const uint16_t head = records->batch[i];
		const uint16_t last = records->last[head];

		records->next[last] = records->free_head;
		region->desc[last].next = records->free_head;
		records->free_head = head;
	}
	records->used = used;
	records->used_wrap = used_wrap;
	records_store_heads(region, records->free_head, old_head);
	records_store_used(region, &new);
}

void virtqueue_records_finish(struct virtqueue_records *records)
{
	struct records_region *region = records->region;

	for (uint16_t i = 0; i < records->batch_count; i++)
		RECORDS_STORE(region->desc[records->batch[i]].inflight, 0);
	records->batch_count = 0;
	records_settle(records);
}
