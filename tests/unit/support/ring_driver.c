/*
 * The driver's side of a virtqueue. A buffer's id is what the device gives
 * back: the head's index in a split ring, a number from a stack of free ones
 * in a packed ring. All else of a buffer that is out is in entries[id].
 */
#include "tests/unit/support/ring_driver.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_ring.h>

#include <check.h>

#define PAGE UINT64_C(4096)
#define PACKED_BITS \
	(1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED)

struct entry {
	void *token;
	uint64_t writable_len;
	uint16_t descriptors; /* of the ring */
	bool out;
};

struct ring_driver {
	struct guest_mem *mem; /* borrowed */
	struct ring_driver_options options;
	uint64_t driver_gpa, device_gpa, tables_gpa;

	/* In guest memory. */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_packed_desc *ring;
	struct vring_packed_desc_event *driver_event, *device_event;
	struct vring_desc *tables;

	struct entry *entries; /* by id */
	uint16_t *free;	       /* split: descriptors; packed: ids */
	unsigned int free_count;
	unsigned int room, outstanding;
	bool interrupts;

	/* Split: free running; packed: below size, and the wrap counters. */
	uint16_t next_avail, next_used;
	bool avail_wrap, used_wrap;
	/* Of what was added, but not published. */
	uint16_t published;	     /* next_avail at that time */
	uint16_t pending;	     /* packed: entries since */
	uint16_t first, first_flags; /* packed: what is held back */
	bool first_wrap;
};

static uint16_t load16(const void *field)
{
	return le16toh(
		__atomic_load_n((const uint16_t *)field, __ATOMIC_ACQUIRE));
}

static void store16(void *field, uint16_t value)
{
	__atomic_store_n((uint16_t *)field, htole16(value), __ATOMIC_RELEASE);
}

/* Like smp_mb(): what a driver does between its index and the other's event. */
static void full_barrier(void)
{
	__sync_synchronize();
}

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

struct guest_mem *ring_driver_mem(unsigned int mib)
{
	const struct guest_mem_region region = {0, (uint64_t)mib << 20};
	struct guest_mem *mem;
	struct error err = {""};

	if (guest_mem_new(&mem, &region, 1, 0, &err) < 0)
		ck_abort_msg("%s", err.text);
	return mem;
}

static uint64_t table_bytes(const struct ring_driver_options *options)
{
	uint64_t entries = options->table_entries;

	if (entries == 0)
		entries = options->size < 16 ? options->size : 16;
	return options->indirect ? entries * sizeof(struct vring_desc) : 0;
}

/* Offsets of the driver's area, the device's and the tables from base. */
static void lay_out(const struct ring_driver_options *options,
		    uint64_t offsets[4])
{
	uint64_t size = options->size;

	offsets[0] = size * sizeof(struct vring_desc);
	if (options->packed) {
		offsets[1] = offsets[0] + 4;
		offsets[2] = offsets[1] + 4;
	} else {
		/* 2.7: with the event fields, negotiated or not. */
		offsets[1] = align_up(offsets[0] + 6 + 2 * size, 4);
		offsets[2] = offsets[1] + 6 + 8 * size;
	}
	offsets[2] = align_up(offsets[2], 16);
	offsets[3] = align_up(offsets[2] + size * table_bytes(options), PAGE);
}

uint64_t ring_driver_footprint(const struct ring_driver_options *options)
{
	uint64_t offsets[4];

	lay_out(options, offsets);
	return offsets[3];
}

/* An entry at or after the start was last used a lap ago, one before it in
 * this lap (2.8.1). */
static void init_packed(struct ring_driver *driver)
{
	for (unsigned int i = 0; i < driver->options.size; i++) {
		bool wrap = (i < driver->next_avail) == driver->avail_wrap;

		store16(&driver->ring[i].flags, wrap ? PACKED_BITS : 0);
	}
}

static void init_split(struct ring_driver *driver)
{
	store16(&driver->avail->idx, driver->next_avail);
	store16(&driver->used->idx, driver->next_used);
}

static void find_rings(struct ring_driver *driver)
{
	uint64_t base = driver->options.base, size = driver->options.size;
	uint64_t offsets[4];
	uint8_t *host;

	lay_out(&driver->options, offsets);
	host = guest_mem_span(driver->mem, base, offsets[3]);
	if (!host)
		ck_abort_msg("the rings of %u entries need more memory",
			     (unsigned int)size);
	memset(host, 0, offsets[2]);
	driver->driver_gpa = base + offsets[0];
	driver->device_gpa = base + offsets[1];
	driver->tables_gpa = base + offsets[2];
	driver->desc = (void *)host;
	driver->ring = (void *)host;
	driver->avail = (void *)(host + offsets[0]);
	driver->driver_event = (void *)(host + offsets[0]);
	driver->used = (void *)(host + offsets[1]);
	driver->device_event = (void *)(host + offsets[1]);
	driver->tables = (void *)(host + offsets[2]);
}

struct ring_driver *ring_driver_new(struct guest_mem *mem,
				    const struct ring_driver_options *options)
{
	const struct virtqueue_position *start =
		options->start ? options->start : &virtqueue_start;
	struct ring_driver *driver = calloc(1, sizeof(*driver));
	unsigned int size = options->size;

	if (!driver)
		ck_abort_msg("out of memory");
	driver->mem = mem;
	driver->options = *options;
	driver->entries = calloc(size, sizeof(*driver->entries));
	driver->free = calloc(size, sizeof(*driver->free));
	if (!driver->entries || !driver->free)
		ck_abort_msg("out of memory");
	/* Lowest first. */
	for (unsigned int i = 0; i < size; i++)
		driver->free[i] = (uint16_t)(size - 1 - i);
	driver->free_count = size;
	driver->room = size;
	driver->next_avail = start->avail;
	driver->next_used = start->avail;
	driver->avail_wrap = start->avail_wrap;
	driver->used_wrap = start->avail_wrap;
	driver->published = driver->next_avail;
	find_rings(driver);
	if (options->packed)
		init_packed(driver);
	else
		init_split(driver);
	ring_driver_set_interrupts(driver, true);
	return driver;
}

void ring_driver_free(struct ring_driver *driver)
{
	if (!driver)
		return;
	free(driver->entries);
	free(driver->free);
	free(driver);
}

void ring_driver_config(const struct ring_driver *driver,
			struct virtqueue_config *out)
{
	*out = (struct virtqueue_config){
		.size = driver->options.size,
		.packed = driver->options.packed,
		.indirect = driver->options.indirect,
		.event_idx = driver->options.event_idx,
		.desc = driver->options.base,
		.driver = driver->driver_gpa,
		.device = driver->device_gpa,
		.kick_fd = -1,
		.call_fd = -1,
	};
}

unsigned int ring_driver_room(const struct ring_driver *driver)
{
	return driver->room;
}

unsigned int ring_driver_outstanding(const struct ring_driver *driver)
{
	return driver->outstanding;
}

/* --- Adding ----------------------------------------------------------------
 */

static const struct ring_driver_buffer *
chain_buffer(const struct ring_driver_chain *chain, unsigned int i)
{
	return i < chain->readable_count
		       ? &chain->readable[i]
		       : &chain->writable[i - chain->readable_count];
}

static void fill_split(struct vring_desc *desc,
		       const struct ring_driver_chain *chain, unsigned int i,
		       bool last, uint16_t next)
{
	const struct ring_driver_buffer *buffer = chain_buffer(chain, i);
	uint16_t flags = last ? 0 : VRING_DESC_F_NEXT;

	if (i >= chain->readable_count)
		flags |= VRING_DESC_F_WRITE;
	desc->addr = htole64(buffer->gpa);
	desc->len = htole32(buffer->len);
	desc->flags = htole16(flags);
	desc->next = htole16(last ? 0 : next);
}

/* A table's address and length. */
static void fill_table(struct ring_driver *driver, uint16_t id,
		       const struct ring_driver_chain *chain, uint64_t *gpa,
		       uint32_t *len)
{
	unsigned int count = chain->readable_count + chain->writable_count;
	struct vring_desc *table = ring_driver_table(driver, id);

	for (unsigned int i = 0; i < count; i++) {
		struct vring_packed_desc *packed = (void *)&table[i];

		/* A packed table is read in order (2.8.7). */
		if (!driver->options.packed) {
			fill_split(&table[i], chain, i, i + 1 == count,
				   (uint16_t)(i + 1));
			continue;
		}
		packed->addr = htole64(chain_buffer(chain, i)->gpa);
		packed->len = htole32(chain_buffer(chain, i)->len);
		packed->id = 0;
		packed->flags = htole16(
			i < chain->readable_count ? 0 : VRING_DESC_F_WRITE);
	}
	*gpa = ring_driver_table_gpa(driver, id);
	*len = (uint32_t)(count * sizeof(*table));
}

static uint16_t add_split(struct ring_driver *driver,
			  const struct ring_driver_chain *chain,
			  unsigned int descriptors)
{
	uint16_t head = driver->free[driver->free_count - 1];

	for (unsigned int i = 0; i < descriptors; i++) {
		uint16_t index = driver->free[--driver->free_count];
		struct vring_desc *desc = &driver->desc[index];
		bool last = i + 1 == descriptors;

		if (chain->indirect) {
			uint64_t gpa;
			uint32_t len;

			fill_table(driver, head, chain, &gpa, &len);
			desc->addr = htole64(gpa);
			desc->len = htole32(len);
			desc->flags = htole16(VRING_DESC_F_INDIRECT);
			desc->next = 0;
		} else {
			fill_split(desc, chain, i, last,
				   last ? 0
					: driver->free[driver->free_count - 1]);
		}
	}
	/* Nobody reads it before idx says so. */
	driver->avail->ring[driver->next_avail % driver->options.size] =
		htole16(head);
	driver->next_avail++;
	return head;
}

/* Write the entry at next_avail, and go on to the next one. */
static void push_packed(struct ring_driver *driver, uint64_t gpa, uint32_t len,
			uint16_t id, uint16_t flags)
{
	struct vring_packed_desc *desc = &driver->ring[driver->next_avail];

	flags |= driver->avail_wrap ? 1 << VRING_PACKED_DESC_F_AVAIL
				    : 1 << VRING_PACKED_DESC_F_USED;
	desc->addr = htole64(gpa);
	desc->len = htole32(len);
	desc->id = htole16(id);
	/* The first one's flags show all of them to the device. */
	if (driver->pending++ == 0) {
		driver->first = driver->next_avail;
		driver->first_flags = flags;
		driver->first_wrap = driver->avail_wrap;
	} else {
		store16(&desc->flags, flags);
	}
	if (++driver->next_avail == driver->options.size) {
		driver->next_avail = 0;
		driver->avail_wrap = !driver->avail_wrap;
	}
}

static uint16_t add_packed(struct ring_driver *driver,
			   const struct ring_driver_chain *chain,
			   unsigned int descriptors)
{
	uint16_t id = driver->free[--driver->free_count];

	for (unsigned int i = 0; i < descriptors; i++) {
		uint64_t gpa = chain_buffer(chain, i)->gpa;
		uint32_t len = chain_buffer(chain, i)->len;
		uint16_t flags = i + 1 == descriptors ? 0 : VRING_DESC_F_NEXT;

		if (chain->indirect) {
			fill_table(driver, id, chain, &gpa, &len);
			flags |= VRING_DESC_F_INDIRECT;
		} else if (i >= chain->readable_count) {
			flags |= VRING_DESC_F_WRITE;
		}
		push_packed(driver, gpa, len, id, flags);
	}
	return id;
}

static void check_chain(const struct ring_driver *driver,
			const struct ring_driver_chain *chain)
{
	unsigned int count = chain->readable_count + chain->writable_count;

	if (count == 0 || chain->readable_count > RING_DRIVER_BUFFERS_MAX ||
	    chain->writable_count > RING_DRIVER_BUFFERS_MAX)
		ck_abort_msg("a chain of %u descriptors", count);
	if (chain->indirect &&
	    count * sizeof(struct vring_desc) > table_bytes(&driver->options))
		ck_abort_msg("%u descriptors do not fit a table", count);
}

int ring_driver_add(struct ring_driver *driver,
		    const struct ring_driver_chain *chain)
{
	unsigned int count = chain->readable_count + chain->writable_count;
	unsigned int descriptors = chain->indirect ? 1 : count;
	struct entry *entry;
	uint16_t id;

	check_chain(driver, chain);
	if (descriptors > driver->room)
		return -ENOSPC;
	if (driver->options.packed)
		id = add_packed(driver, chain, descriptors);
	else
		id = add_split(driver, chain, descriptors);
	entry = &driver->entries[id];
	*entry = (struct entry){
		.token = chain->token,
		.descriptors = (uint16_t)descriptors,
		.out = true,
	};
	for (unsigned int i = 0; i < chain->writable_count; i++)
		entry->writable_len += chain->writable[i].len;
	driver->room -= descriptors;
	driver->outstanding++;
	return id;
}

/* --- Kicks -----------------------------------------------------------------
 */

/* Is entry @event among the @count from @from on? Entries of two laps. */
static bool packed_event_hit(const struct ring_driver *driver,
			     uint16_t off_wrap, uint16_t from, bool from_wrap,
			     uint16_t count)
{
	unsigned int size = driver->options.size;
	unsigned int event = off_wrap & 0x7fff;
	unsigned int start = from;

	if (!(off_wrap & 1 << VRING_PACKED_EVENT_F_WRAP_CTR))
		event += size;
	if (!from_wrap)
		start += size;
	return (event + 2 * size - start) % (2 * size) < count;
}

static bool publish_split(struct ring_driver *driver)
{
	uint16_t old = driver->published, size = driver->options.size;
	uint16_t now = driver->next_avail;

	store16(&driver->avail->idx, now);
	driver->published = now;
	full_barrier();
	if (!driver->options.event_idx)
		return !(load16(&driver->used->flags) & VRING_USED_F_NO_NOTIFY);
	return vring_need_event(load16(&driver->used->ring[size]), now, old);
}

static bool publish_packed(struct ring_driver *driver)
{
	uint16_t count = driver->pending, first = driver->first;
	uint16_t flags;

	store16(&driver->ring[first].flags, driver->first_flags);
	driver->pending = 0;
	full_barrier();
	flags = load16(&driver->device_event->flags);
	if (flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	return packed_event_hit(driver, load16(&driver->device_event->off_wrap),
				first, driver->first_wrap, count);
}

bool ring_driver_publish(struct ring_driver *driver)
{
	if (driver->options.packed)
		return driver->pending && publish_packed(driver);
	return driver->next_avail != driver->published && publish_split(driver);
}

/* --- Collecting ------------------------------------------------------------
 */

static bool used_waits(const struct ring_driver *driver)
{
	bool avail, used;
	uint16_t flags;

	if (!driver->options.packed)
		return load16(&driver->used->idx) != driver->next_used;
	flags = load16(&driver->ring[driver->next_used].flags);
	avail = flags & 1 << VRING_PACKED_DESC_F_AVAIL;
	used = flags & 1 << VRING_PACKED_DESC_F_USED;
	return avail == used && used == driver->used_wrap;
}

/* The descriptors of a split chain, back onto the stack. */
static void release_split(struct ring_driver *driver, uint16_t head,
			  unsigned int count)
{
	uint16_t index = head;

	for (unsigned int i = 0; i < count; i++) {
		driver->free[driver->free_count++] = index;
		index = le16toh(driver->desc[index].next) %
			driver->options.size;
	}
}

static void advance_used(struct ring_driver *driver, uint16_t descriptors)
{
	unsigned int next = driver->next_used;

	if (!driver->options.packed) {
		driver->next_used++;
		return;
	}
	next += descriptors;
	if (next >= driver->options.size) {
		next -= driver->options.size;
		driver->used_wrap = !driver->used_wrap;
	}
	driver->next_used = (uint16_t)next;
}

static void read_used(const struct ring_driver *driver, uint32_t *id,
		      uint32_t *len)
{
	uint16_t size = driver->options.size;

	if (driver->options.packed) {
		const struct vring_packed_desc *desc =
			&driver->ring[driver->next_used];

		*id = le16toh(desc->id);
		*len = le32toh(desc->len);
	} else {
		const struct vring_used_elem *elem =
			&driver->used->ring[driver->next_used % size];

		*id = le32toh(elem->id);
		*len = le32toh(elem->len);
	}
}

int ring_driver_collect(struct ring_driver *driver,
			struct ring_driver_used *out)
{
	struct entry *entry;
	uint32_t id, len;

	if (!used_waits(driver))
		return 0;
	read_used(driver, &id, &len);
	if (id >= driver->options.size || !driver->entries[id].out ||
	    len > driver->entries[id].writable_len)
		return -EPROTO;
	entry = &driver->entries[id];
	*out = (struct ring_driver_used){
		.id = (uint16_t)id, .len = len, .token = entry->token};
	entry->out = false;
	driver->room += entry->descriptors;
	driver->outstanding--;
	if (driver->options.packed)
		driver->free[driver->free_count++] = (uint16_t)id;
	else
		release_split(driver, (uint16_t)id, entry->descriptors);
	advance_used(driver, entry->descriptors);
	if (driver->interrupts && driver->options.event_idx)
		ring_driver_set_interrupts(driver, true);
	return 1;
}

/* --- Interrupts ------------------------------------------------------------
 */

static void set_split_event(struct ring_driver *driver, uint16_t ahead)
{
	uint16_t event = (uint16_t)(driver->next_used + ahead);

	store16(&driver->avail->ring[driver->options.size], event);
}

static void set_packed_event(struct ring_driver *driver, uint16_t ahead)
{
	unsigned int event = driver->next_used + ahead;
	bool wrap = driver->used_wrap;

	if (event >= driver->options.size) {
		event -= driver->options.size;
		wrap = !wrap;
	}
	event |= (unsigned int)wrap << VRING_PACKED_EVENT_F_WRAP_CTR;
	store16(&driver->driver_event->off_wrap, (uint16_t)event);
	store16(&driver->driver_event->flags, VRING_PACKED_EVENT_FLAG_DESC);
}

bool ring_driver_set_event(struct ring_driver *driver, uint16_t ahead)
{
	if (!driver->options.event_idx || ahead >= driver->options.size)
		ck_abort_msg("no event %u ahead", ahead);
	driver->interrupts = false;
	if (driver->options.packed)
		set_packed_event(driver, ahead);
	else
		set_split_event(driver, ahead);
	full_barrier();
	return used_waits(driver);
}

bool ring_driver_set_interrupts(struct ring_driver *driver, bool wanted)
{
	bool packed = driver->options.packed;

	driver->interrupts = wanted;
	if (driver->options.event_idx && wanted && packed)
		set_packed_event(driver, 0);
	else if (packed)
		store16(&driver->driver_event->flags,
			wanted ? VRING_PACKED_EVENT_FLAG_ENABLE
			       : VRING_PACKED_EVENT_FLAG_DISABLE);
	else if (driver->options.event_idx)
		/* Behind us is as far away as it gets. */
		set_split_event(driver, wanted ? 0 : UINT16_MAX);
	else
		store16(&driver->avail->flags,
			wanted ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
	full_barrier();
	return used_waits(driver);
}

/* --- Raw -------------------------------------------------------------------
 */

struct vring_desc *ring_driver_split_desc(struct ring_driver *driver,
					  unsigned int index)
{
	return &driver->desc[index];
}

struct vring_avail *ring_driver_avail(struct ring_driver *driver)
{
	return driver->avail;
}

struct vring_used *ring_driver_used(struct ring_driver *driver)
{
	return driver->used;
}

struct vring_packed_desc *ring_driver_packed_desc(struct ring_driver *driver,
						  unsigned int index)
{
	return &driver->ring[index];
}

struct vring_packed_desc_event *
ring_driver_driver_event(struct ring_driver *driver)
{
	return driver->driver_event;
}

struct vring_packed_desc_event *
ring_driver_device_event(struct ring_driver *driver)
{
	return driver->device_event;
}

uint64_t ring_driver_table_gpa(const struct ring_driver *driver,
			       unsigned int id)
{
	return driver->tables_gpa + id * table_bytes(&driver->options);
}

struct vring_desc *ring_driver_table(struct ring_driver *driver,
				     unsigned int id)
{
	return &driver->tables[id * (table_bytes(&driver->options) /
				     sizeof(struct vring_desc))];
}
