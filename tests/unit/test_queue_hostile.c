/*
 * Virtqueues and drivers that lie: what docs/THREATS.md lists of queues. The
 * numbers are those of its list.
 *
 * After each attack the queue is broken and stays so, nothing comes out and
 * nothing goes in. A queue made anew, as after a reset, works again.
 */
#include "virtio/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "tests/unit/support/queue_pair.h"
#include "vmm/base/log.h"

#define SIZE	 8
#define MIB	 UINT64_C(0x100000)
#define RAM_SIZE (32 * MIB) /* of a queue pair's guest, from 0 on */

static struct queue_pair pair;

static void setup_with(unsigned int features)
{
	queue_pair_init(&pair, SIZE, features, NULL);
}

/* Overwrite an entry of a ring or a table, after it was made available.
 * link: next if split; ignored if packed. */
static void poke(struct vring_desc *desc, uint64_t addr, uint32_t len,
		 uint16_t flags, uint16_t link)
{
	struct vring_packed_desc *packed = (void *)desc;

	desc->addr = addr;
	desc->len = len;
	if (pair.config.packed) {
		packed->flags = flags | 1 << VRING_PACKED_DESC_F_AVAIL;
	} else {
		desc->flags = flags;
		desc->next = link;
	}
}

static void poke_ring(unsigned int index, uint64_t addr, uint32_t len,
		      uint16_t flags, uint16_t link)
{
	poke(pair.config.packed
		     ? (void *)ring_driver_packed_desc(pair.driver, index)
		     : ring_driver_split_desc(pair.driver, index),
	     addr, len, flags, link);
}

/* The next pop finds the attack, and all is over. */
static void expect_broken(void)
{
	struct virtqueue_chain *chain = NULL;
	struct ring_driver_used used;

	ck_assert(!virtqueue_broken(pair.queue));
	/* A device that is about to sleep must not miss it. */
	ck_assert(virtqueue_set_kicks(pair.queue, true));
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(virtqueue_pop(pair.queue, &chain), -EPROTO);
		ck_assert_ptr_null(chain);
		ck_assert(virtqueue_broken(pair.queue));
		ck_assert(!virtqueue_set_kicks(pair.queue, true));
	}
	virtqueue_publish(pair.queue);
	ck_assert_uint_eq(queue_pair_interrupts(&pair), 0);
	ck_assert_int_eq(ring_driver_collect(pair.driver, &used), 0);
	queue_pair_fini(&pair);
}

/* One buffer, available: entry 0, in a table if asked. */
static void one_buffer(unsigned int features, bool indirect)
{
	setup_with(features);
	queue_pair_add(&pair, 1, 0, indirect);
	ring_driver_publish(pair.driver);
}

START_TEST(pop_of_a_loop_breaks_the_queue) /* 1 */
{
	setup_with((unsigned int)_i);
	for (unsigned int i = 0; i < SIZE / 2; i++)
		queue_pair_add(&pair, 1, 1, false);
	ring_driver_publish(pair.driver);
	/* A packed ring is a loop of itself. */
	for (uint16_t i = 0; i < SIZE; i++)
		poke_ring(i, 0, 1, VRING_DESC_F_NEXT, (i + 1) % 3);
	expect_broken();
}
END_TEST

START_TEST(pop_of_a_loop_in_a_table_breaks_the_queue) /* 1 */
{
	struct vring_desc *table;

	setup_with((unsigned int)_i | QUEUE_PAIR_INDIRECT);
	queue_pair_add(&pair, 1, 1, true);
	ring_driver_publish(pair.driver);
	table = ring_driver_table(pair.driver, 0);
	poke(&table[0], 0, 0, VRING_DESC_F_NEXT, 1);
	poke(&table[1], 0, 0, VRING_DESC_F_NEXT, 1);
	expect_broken();
}
END_TEST

START_TEST(pop_of_too_long_a_chain_breaks_the_queue) /* 2 */
{
	unsigned int features = (unsigned int)_i | QUEUE_PAIR_INDIRECT;
	struct vring_desc *table;

	/* SIZE - 1 of them direct, and two in a table. */
	setup_with(features);
	queue_pair_add(&pair, SIZE, 0, false);
	ring_driver_publish(pair.driver);
	table = ring_driver_table(pair.driver, 0);
	poke(&table[0], 0, 0, VRING_DESC_F_NEXT, 1);
	poke(&table[1], 0, 0, 0, 0);
	poke_ring(SIZE - 1, ring_driver_table_gpa(pair.driver, 0), 32,
		  VRING_DESC_F_INDIRECT, 0);
	expect_broken();
}
END_TEST

START_TEST(pop_of_next_out_of_range_breaks_the_queue) /* 3 */
{
	static const uint16_t bad[] = {SIZE, SIZE + 1, 0x8000, 0xffff};

	one_buffer((unsigned int)_i << 1, false);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		poke_ring(0, 0, 1, VRING_DESC_F_NEXT, bad[i]);
		expect_broken();
		one_buffer((unsigned int)_i << 1, false);
	}
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(pop_of_next_out_of_table_breaks_the_queue) /* 3 */
{
	static const uint16_t bad[] = {1, SIZE, 0xffff};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		one_buffer(QUEUE_PAIR_INDIRECT | QUEUE_PAIR_EVENT_IDX, true);
		poke(ring_driver_table(pair.driver, 0), 0, 1, VRING_DESC_F_NEXT,
		     bad[i]);
		expect_broken();
	}
}
END_TEST

/* Spans that are not in the RAM of the guest: 4, 5, 6. */
static const struct {
	uint64_t addr;
	uint32_t len;
} not_ram[] = {
	{UINT64_MAX, 1},
	{UINT64_MAX, UINT32_MAX},
	{UINT64_MAX - 14, 16},
	{UINT64_MAX - 15, 16},
	{RAM_SIZE - 1, 2},
	{RAM_SIZE - 1, UINT32_MAX},
	{0, RAM_SIZE + 1},
	{RAM_SIZE, 1},
	{UINT64_C(0xe0000000), 4096},
	{UINT64_C(1) << 63, 16},
};
#define NOT_RAM (sizeof(not_ram) / sizeof(not_ram[0]))

START_TEST(pop_of_a_buffer_outside_ram_breaks_the_queue) /* 4, 5, 6 */
{
	for (size_t i = 0; i < NOT_RAM; i++) {
		one_buffer((unsigned int)_i, false);
		poke_ring(0, not_ram[i].addr, not_ram[i].len,
			  i & 1 ? VRING_DESC_F_WRITE : 0, 0);
		expect_broken();
		if (!((unsigned int)_i & QUEUE_PAIR_INDIRECT))
			continue;
		one_buffer((unsigned int)_i, true);
		poke(ring_driver_table(pair.driver, 0), not_ram[i].addr,
		     not_ram[i].len, i & 1 ? VRING_DESC_F_WRITE : 0, 0);
		expect_broken();
	}
}
END_TEST

START_TEST(pop_of_a_buffer_across_a_hole_breaks_the_queue) /* 5 */
{
	const struct guest_mem_region regions[] = {
		{0, 2 * MIB},
		{4 * MIB, 2 * MIB},
	};
	const struct ring_driver_options options = {
		.base = 0, .size = SIZE, .packed = _i};
	const struct ring_driver_chain across = {
		.readable = {{2 * MIB - 1, (uint32_t)(2 * MIB + 2)}},
		.readable_count = 1,
	};
	struct virtqueue_chain *chain;
	struct error err;

	ck_assert_int_eq(guest_mem_new(&pair.mem, regions, 2, 0, &err), 0);
	pair.driver = ring_driver_new(pair.mem, &options);
	ring_driver_config(pair.driver, &pair.config);
	ck_assert_int_eq(virtqueue_new(&pair.queue, pair.mem, &pair.config,
				       &virtqueue_start),
			 0);
	ck_assert_int_ge(ring_driver_add(pair.driver, &across), 0);
	ring_driver_publish(pair.driver);
	ck_assert_int_eq(virtqueue_pop(pair.queue, &chain), -EPROTO);
	virtqueue_free(pair.queue);
	ring_driver_free(pair.driver);
	guest_mem_free(pair.mem);
}
END_TEST

/* A guest of 2 GiB, most of it never touched. */
static void total_length(unsigned int packed, uint32_t last, int expected)
{
	const struct ring_driver_options options = {
		.base = 0, .size = SIZE, .packed = packed};
	const struct ring_driver_chain chain = {
		.readable = {{0, UINT32_C(1) << 31}},
		.readable_count = 1,
		.writable = {{0, (UINT32_C(1) << 31) - 16}, {0, last}},
		.writable_count = 2,
	};
	struct virtqueue_chain *out = NULL;

	pair.mem = ring_driver_mem(2048);
	pair.driver = ring_driver_new(pair.mem, &options);
	ring_driver_config(pair.driver, &pair.config);
	ck_assert_int_eq(virtqueue_new(&pair.queue, pair.mem, &pair.config,
				       &virtqueue_start),
			 0);
	ck_assert_int_ge(ring_driver_add(pair.driver, &chain), 0);
	ring_driver_publish(pair.driver);
	ck_assert_int_eq(virtqueue_pop(pair.queue, &out), expected);
	virtqueue_chain_free(out);
	virtqueue_free(pair.queue);
	ring_driver_free(pair.driver);
	guest_mem_free(pair.mem);
}

START_TEST(pop_of_4_gib_breaks_the_queue) /* 7 */
{
	total_length((unsigned int)_i, 15, 1);
	total_length((unsigned int)_i, 16, -EPROTO);
	total_length((unsigned int)_i, UINT32_C(1) << 31, -EPROTO);
}
END_TEST

START_TEST(pop_of_a_nested_table_breaks_the_queue) /* 8 */
{
	/* In a packed ring the flag means nothing there, see test_queue.c. */
	one_buffer((unsigned int)_i << 1 | QUEUE_PAIR_INDIRECT, true);
	poke(ring_driver_table(pair.driver, 0),
	     ring_driver_table_gpa(pair.driver, 0), 16, VRING_DESC_F_INDIRECT,
	     0);
	expect_broken();
}
END_TEST

START_TEST(pop_of_a_table_with_next_breaks_the_queue) /* 8 */
{
	setup_with((unsigned int)_i | QUEUE_PAIR_INDIRECT);
	queue_pair_add(&pair, 1, 0, true);
	queue_pair_add(&pair, 1, 0, false);
	ring_driver_publish(pair.driver);
	poke_ring(0, ring_driver_table_gpa(pair.driver, 0), 16,
		  VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1);
	expect_broken();
}
END_TEST

START_TEST(pop_packed_of_a_table_behind_another_breaks_the_queue) /* 8 */
{
	setup_with(QUEUE_PAIR_PACKED | QUEUE_PAIR_INDIRECT);
	queue_pair_add(&pair, 2, 0, false);
	ring_driver_publish(pair.driver);
	poke_ring(1, ring_driver_table_gpa(pair.driver, 0), 16,
		  VRING_DESC_F_INDIRECT, 0);
	expect_broken();
}
END_TEST

START_TEST(pop_of_a_table_not_negotiated_breaks_the_queue) /* 8 */
{
	one_buffer((unsigned int)_i & ~(unsigned int)QUEUE_PAIR_INDIRECT,
		   false);
	poke_ring(0, 0x1000, 16, VRING_DESC_F_INDIRECT, 0);
	expect_broken();
}
END_TEST

START_TEST(pop_of_a_bad_table_breaks_the_queue) /* 9 */
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{0x1000, 0},
		{0x1000, 1},
		{0x1000, 15},
		{0x1000, 17},
		{0x1000, 16 * (SIZE + 1)},
		{0x1000, UINT32_MAX},
		{0x1000, UINT32_MAX - 15},
		{RAM_SIZE - 15, 16},
		{RAM_SIZE - 16, 32},
		{RAM_SIZE, 16},
		{UINT64_MAX, 16},
		{UINT64_MAX - 15, 16},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		one_buffer((unsigned int)_i | QUEUE_PAIR_INDIRECT, true);
		poke_ring(0, bad[i].addr, bad[i].len, VRING_DESC_F_INDIRECT, 0);
		expect_broken();
	}
}
END_TEST

START_TEST(pop_of_a_jumping_index_breaks_the_queue) /* 10 */
{
	/* From 1; the second and the fourth with one in flight. */
	static const uint16_t bad[] = {SIZE + 2, SIZE + 1, 0x8000, 0xffff, 0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct virtqueue_chain *chain;

		one_buffer((unsigned int)_i << 1, false);
		chain = queue_pair_pop(&pair);
		/* All but the index is in order. */
		for (unsigned int j = 1; j < SIZE; j++)
			queue_pair_add(&pair, 1, 0, false);
		ring_driver_avail(pair.driver)->idx = bad[i];
		if (i & 1)
			virtqueue_chain_free(chain);
		else
			virtqueue_put(pair.queue, chain, 0);
		expect_broken();
	}
}
END_TEST

START_TEST(pop_with_index_gone_back_while_buffers_wait_breaks_the_queue)
/* 10 */
{
	struct virtqueue_chain *chain;

	setup_with((unsigned int)_i << 1);
	for (unsigned int i = 0; i < 3; i++)
		queue_pair_add(&pair, 1, 0, false);
	ring_driver_publish(pair.driver);
	for (unsigned int i = 0; i < 3; i++) {
		chain = queue_pair_pop(&pair);
		/* What was seen once counts. */
		ring_driver_avail(pair.driver)->idx = 1;
		virtqueue_chain_free(chain);
	}
	expect_broken();
}
END_TEST

START_TEST(pop_of_a_head_out_of_range_breaks_the_queue) /* 11 */
{
	static const uint16_t bad[] = {SIZE, SIZE + 1, 0x8000, 0xffff};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		one_buffer((unsigned int)_i << 1, false);
		ring_driver_avail(pair.driver)->ring[0] = bad[i];
		expect_broken();
	}
}
END_TEST

START_TEST(pop_of_a_buffer_in_flight_breaks_the_queue) /* 12 */
{
	struct virtqueue_chain *chain;

	setup_with((unsigned int)_i);
	queue_pair_add(&pair, 1, 0, false);
	queue_pair_add(&pair, 1, 0, false);
	ring_driver_publish(pair.driver);
	chain = queue_pair_pop(&pair);
	if (pair.config.packed)
		ring_driver_packed_desc(pair.driver, 1)->id = chain->id;
	else
		ring_driver_avail(pair.driver)->ring[1] = chain->id;
	virtqueue_chain_free(chain);
	expect_broken();
}
END_TEST

START_TEST(pop_of_chains_that_share_descriptors_breaks_the_queue) /* 12 */
{
	/* All heads lead into one tail: SIZE chains of up to SIZE. */
	setup_with((unsigned int)_i << 1);
	for (unsigned int i = 0; i < SIZE; i++)
		queue_pair_add(&pair, 1, 0, false);
	ring_driver_publish(pair.driver);
	for (uint16_t i = 0; i < SIZE - 1; i++)
		poke_ring(i, 0, 1, VRING_DESC_F_NEXT, i + 1);
	virtqueue_chain_free(queue_pair_pop(&pair));
	expect_broken();
}
END_TEST

START_TEST(pop_packed_of_more_than_the_ring_breaks_the_queue) /* 10, 12 */
{
	struct virtqueue_chain *chain;
	struct vring_packed_desc *desc;

	setup_with(QUEUE_PAIR_PACKED | ((unsigned int)_i << 1));
	for (unsigned int i = 0; i < SIZE; i++)
		queue_pair_add(&pair, 1, 0, false);
	ring_driver_publish(pair.driver);
	for (unsigned int i = 0; i < SIZE; i++) {
		chain = queue_pair_pop(&pair);
		virtqueue_chain_free(chain);
	}
	/* The next lap, with a new id, and nothing was used. */
	desc = ring_driver_packed_desc(pair.driver, 0);
	desc->flags = 1 << VRING_PACKED_DESC_F_USED;
	desc->id = 1000;
	expect_broken();
}
END_TEST

START_TEST(pop_of_readable_behind_writable_breaks_the_queue)
{
	/* Empty ones are no excuse (2.7.4.2, 2.8.17). */
	for (uint32_t len = 0; len < 2; len++) {
		setup_with((unsigned int)_i);
		queue_pair_add(&pair, 2, 0, false);
		ring_driver_publish(pair.driver);
		poke_ring(0, 0, 1, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
		poke_ring(1, 0, len, 0, 0);
		expect_broken();
	}
}
END_TEST

START_TEST(chain_does_not_follow_what_the_guest_rewrites) /* 13 */
{
	bool indirect = (unsigned int)_i & QUEUE_PAIR_INDIRECT;
	struct ring_driver_used used;
	struct virtqueue_chain *chain;
	uint8_t *host;
	int id;

	setup_with((unsigned int)_i);
	host = guest_mem_span(pair.mem, pair.free, 32);
	id = queue_pair_add(&pair, 1, 1, indirect);
	ring_driver_publish(pair.driver);
	chain = queue_pair_pop(&pair);
	memset(guest_mem_span(pair.mem, pair.config.desc, 16), 0xff, 16);
	if (indirect)
		memset(ring_driver_table(pair.driver, 0), 0xff, 32);
	if (!pair.config.packed)
		ring_driver_avail(pair.driver)->ring[0] = 0xffff;
	ck_assert_ptr_eq(chain->readable[0].iov_base, host);
	ck_assert_ptr_eq(chain->writable[0].iov_base, host + 16);
	ck_assert_uint_eq(chain->writable[0].iov_len, 16);
	virtqueue_put(pair.queue, chain, 16);
	virtqueue_publish(pair.queue);
	ck_assert_int_eq(ring_driver_collect(pair.driver, &used), 1);
	ck_assert_int_eq(used.id, id);
	ck_assert_uint_eq(used.len, 16);
	queue_pair_fini(&pair);
}
END_TEST

/* Number 14, raced indices, is test_queue_threads.c. */

static int try_new(const struct virtqueue_config *config)
{
	struct virtqueue *queue = NULL;
	int ret = virtqueue_new(&queue, pair.mem, config, &virtqueue_start);

	if (ret < 0)
		ck_assert_ptr_null(queue);
	virtqueue_free(queue);
	return ret;
}

START_TEST(new_with_impossible_size_is_refused) /* 15 */
{
	static const struct {
		uint16_t size;
		bool split, packed;
	} sizes[] = {
		{0, false, false},     {1, true, true},
		{2, true, true},       {3, false, true},
		{255, false, true},    {256, true, true},
		{32767, false, true},  {32768, true, true},
		{32769, false, false}, {65535, false, false},
	};
	struct virtqueue_config config = {
		.desc = 0, .driver = 2 * MIB, .device = 4 * MIB, .call_fd = -1};

	pair.mem = ring_driver_mem(8);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		config.size = sizes[i].size;
		config.packed = false;
		ck_assert_int_eq(try_new(&config),
				 sizes[i].split ? 0 : -EINVAL);
		config.packed = true;
		ck_assert_int_eq(try_new(&config),
				 sizes[i].packed ? 0 : -EINVAL);
	}
	guest_mem_free(pair.mem);
}
END_TEST

START_TEST(new_at_impossible_position_is_refused)
{
	static const struct virtqueue_position split[] = {
		{.avail = SIZE + 1},
		{.used = 1},
		{.avail = 0x8000, .used = 5},
	};
	static const struct virtqueue_position packed[] = {
		{.avail = SIZE, .used = 0},
		{.avail = 0, .used = SIZE},
		{.avail = 65535, .used = 65535},
		{.avail = 1, .used = 2, .avail_wrap = 1, .used_wrap = 1},
		{.avail = 2, .used = 1, .avail_wrap = 1, .used_wrap = 0},
		{.avail = 2, .used = 1, .avail_wrap = 0, .used_wrap = 1},
	};
	struct virtqueue *queue = NULL;

	setup_with(0);
	for (size_t i = 0; i < sizeof(split) / sizeof(split[0]); i++)
		ck_assert_int_eq(virtqueue_new(&queue, pair.mem, &pair.config,
					       &split[i]),
				 -EINVAL);
	pair.config.packed = true;
	for (size_t i = 0; i < sizeof(packed) / sizeof(packed[0]); i++)
		ck_assert_int_eq(virtqueue_new(&queue, pair.mem, &pair.config,
					       &packed[i]),
				 -EINVAL);
	ck_assert_ptr_null(queue);
	queue_pair_fini(&pair);
}
END_TEST

/* One area at a time, the others where they are fine. */
static void refuse_area(uint64_t *area, uint64_t gpa)
{
	uint64_t good = *area;

	*area = gpa;
	ck_assert_int_eq(try_new(&pair.config), -EINVAL);
	*area = good;
	ck_assert_int_eq(try_new(&pair.config), 0);
}

START_TEST(new_with_misaligned_area_is_refused) /* 17 */
{
	setup_with((unsigned int)_i);
	pair.config.desc = MIB;
	pair.config.driver = 2 * MIB;
	pair.config.device = 3 * MIB;
	for (uint64_t i = 1; i < 16; i++)
		refuse_area(&pair.config.desc, MIB + i);
	for (uint64_t i = 1; i < 4; i++) {
		if (pair.config.packed || i % 2)
			refuse_area(&pair.config.driver, 2 * MIB + i);
		refuse_area(&pair.config.device, 3 * MIB + i);
	}
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(new_with_area_outside_ram_is_refused) /* 6, 17 */
{
	/* The first at which something of each area is missing. */
	const bool packed = _i & QUEUE_PAIR_PACKED;
	const uint64_t driver = packed ? 4 : 6 + 2 * SIZE;
	const uint64_t device = packed ? 4 : 6 + 8 * SIZE;

	setup_with((unsigned int)_i);
	for (size_t i = 0; i < NOT_RAM; i++) {
		uint64_t gpa = not_ram[i].addr & ~UINT64_C(15);

		if (gpa == 0 || gpa == RAM_SIZE - 16)
			continue;
		refuse_area(&pair.config.desc, gpa);
		refuse_area(&pair.config.driver, gpa);
		refuse_area(&pair.config.device, gpa);
	}
	refuse_area(&pair.config.desc, RAM_SIZE - 16 * SIZE + 16);
	refuse_area(&pair.config.driver, (RAM_SIZE - driver + 4) & ~3ULL);
	refuse_area(&pair.config.device, (RAM_SIZE - device + 4) & ~3ULL);
	/* Right up to the end is fine. */
	pair.config.device = (RAM_SIZE - device) & ~3ULL;
	ck_assert_int_eq(try_new(&pair.config), 0);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(new_with_overlapping_areas_is_refused) /* 17 */
{
	uint64_t desc;

	setup_with((unsigned int)_i);
	desc = pair.config.desc;
	refuse_area(&pair.config.driver, desc);
	refuse_area(&pair.config.device, desc);
	refuse_area(&pair.config.driver, desc + 16 * SIZE - 4);
	refuse_area(&pair.config.device, desc + 16 * SIZE - 4);
	refuse_area(&pair.config.driver, pair.config.device);
	refuse_area(&pair.config.desc, pair.config.device & ~UINT64_C(15));
	/* Side by side is what drivers do. */
	pair.config.driver = desc + 16 * SIZE;
	pair.config.device =
		pair.config.driver + (pair.config.packed ? 4 : 8 + 2 * SIZE);
	ck_assert_int_eq(try_new(&pair.config), 0);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(put_into_a_broken_queue_goes_nowhere)
{
	struct virtqueue_chain *first, *second, *none;
	struct ring_driver_used used;
	uint8_t before[256], *rings;

	setup_with((unsigned int)_i);
	rings = guest_mem_span(pair.mem, pair.config.desc, sizeof(before));
	ck_assert_uint_lt(pair.config.device,
			  pair.config.desc + sizeof(before) - 6 - 8 * SIZE);
	for (unsigned int i = 0; i < 3; i++)
		queue_pair_add(&pair, 1, 0, false);
	ring_driver_publish(pair.driver);
	first = queue_pair_pop(&pair);
	second = queue_pair_pop(&pair);
	virtqueue_put(pair.queue, first, 0);
	poke_ring(2, UINT64_MAX, 16, 0, 0);
	ck_assert_int_eq(virtqueue_pop(pair.queue, &none), -EPROTO);
	memcpy(before, rings, sizeof(before));
	virtqueue_put(pair.queue, second, 0);
	ck_assert_uint_eq(virtqueue_in_flight(pair.queue), 0);
	virtqueue_publish(pair.queue);
	ck_assert_mem_eq(rings, before, sizeof(before));
	ck_assert_uint_eq(queue_pair_interrupts(&pair), 0);
	ck_assert_int_eq(ring_driver_collect(pair.driver, &used), 0);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(pop_with_a_million_iovecs_out_says_so)
{
	const unsigned int size = 2048, fit = 512;
	struct ring_driver_options options = {
		.base = 0,
		.size = (uint16_t)size,
		.packed = _i,
		.indirect = true,
		.table_entries = (uint16_t)size,
	};
	const struct ring_driver_chain one = {
		.readable = {{0, 1}}, .readable_count = 1, .indirect = true};
	struct virtqueue_chain *chains[512], *more = NULL;
	struct vring_desc *table;

	pair.mem = ring_driver_mem(128);
	pair.driver = ring_driver_new(pair.mem, &options);
	ring_driver_config(pair.driver, &pair.config);
	/* All lead to one table, which is full. */
	for (unsigned int i = 0; i <= fit; i++)
		ck_assert_int_ge(ring_driver_add(pair.driver, &one), 0);
	table = ring_driver_table(pair.driver, 0);
	for (unsigned int i = 0; i < size; i++)
		poke(&table[i], 0, 1, i + 1 < size ? VRING_DESC_F_NEXT : 0,
		     (uint16_t)(i + 1));
	for (unsigned int i = 0; i <= fit; i++) {
		ring_driver_split_desc(pair.driver, i)->addr =
			ring_driver_table_gpa(pair.driver, 0);
		ring_driver_split_desc(pair.driver, i)->len = 16 * size;
	}
	ring_driver_publish(pair.driver);
	ck_assert_int_eq(virtqueue_new(&pair.queue, pair.mem, &pair.config,
				       &virtqueue_start),
			 0);
	for (unsigned int i = 0; i < fit; i++)
		chains[i] = queue_pair_pop(&pair);
	ck_assert_uint_eq(chains[0]->readable_count, size);
	/* As often as one likes, until one is back. */
	ck_assert_int_eq(virtqueue_pop(pair.queue, &more), -ENOMEM);
	ck_assert_int_eq(virtqueue_pop(pair.queue, &more), -ENOMEM);
	ck_assert(!virtqueue_broken(pair.queue));
	ck_assert_uint_eq(virtqueue_in_flight(pair.queue), fit);
	virtqueue_put(pair.queue, chains[0], 0);
	ck_assert_int_eq(virtqueue_pop(pair.queue, &more), 1);
	virtqueue_put(pair.queue, more, 0);
	for (unsigned int i = 1; i < fit; i++)
		virtqueue_put(pair.queue, chains[i], 0);
	virtqueue_free(pair.queue);
	ring_driver_free(pair.driver);
	guest_mem_free(pair.mem);
}
END_TEST

static void add_chain_cases(TCase *tcase)
{
	const int all = QUEUE_PAIR_FEATURES;

	tcase_add_loop_test(tcase, pop_of_a_loop_breaks_the_queue, 0, all);
	tcase_add_test(tcase, pop_of_a_loop_in_a_table_breaks_the_queue);
	tcase_add_test(tcase, pop_of_too_long_a_chain_breaks_the_queue);
	tcase_add_loop_test(tcase, pop_of_next_out_of_range_breaks_the_queue, 0,
			    all / 2);
	tcase_add_test(tcase, pop_of_next_out_of_table_breaks_the_queue);
	tcase_add_loop_test(tcase, pop_of_a_buffer_outside_ram_breaks_the_queue,
			    0, all);
	tcase_add_loop_test(
		tcase, pop_of_a_buffer_across_a_hole_breaks_the_queue, 0, 2);
	tcase_add_loop_test(tcase, pop_of_4_gib_breaks_the_queue, 0, 2);
	tcase_add_loop_test(tcase, pop_of_a_nested_table_breaks_the_queue, 0,
			    all / 2);
	tcase_add_loop_test(tcase, pop_of_a_table_with_next_breaks_the_queue, 0,
			    all);
	tcase_add_test(tcase,
		       pop_packed_of_a_table_behind_another_breaks_the_queue);
	tcase_add_loop_test(
		tcase, pop_of_a_table_not_negotiated_breaks_the_queue, 0, all);
	tcase_add_loop_test(tcase, pop_of_a_bad_table_breaks_the_queue, 0, all);
	tcase_add_loop_test(tcase,
			    pop_of_readable_behind_writable_breaks_the_queue, 0,
			    all);
	tcase_add_loop_test(
		tcase, chain_does_not_follow_what_the_guest_rewrites, 0, all);
}

static void add_ring_cases(TCase *tcase)
{
	const int all = QUEUE_PAIR_FEATURES;

	tcase_add_loop_test(tcase, pop_of_a_jumping_index_breaks_the_queue, 0,
			    all / 2);
	tcase_add_loop_test(
		tcase,
		pop_with_index_gone_back_while_buffers_wait_breaks_the_queue, 0,
		all / 2);
	tcase_add_loop_test(tcase, pop_of_a_head_out_of_range_breaks_the_queue,
			    0, all / 2);
	tcase_add_loop_test(tcase, pop_of_a_buffer_in_flight_breaks_the_queue,
			    0, all);
	tcase_add_loop_test(
		tcase, pop_of_chains_that_share_descriptors_breaks_the_queue, 0,
		all / 2);
	tcase_add_loop_test(tcase,
			    pop_packed_of_more_than_the_ring_breaks_the_queue,
			    0, all / 2);
	tcase_add_test(tcase, new_with_impossible_size_is_refused);
	tcase_add_test(tcase, new_at_impossible_position_is_refused);
	tcase_add_loop_test(tcase, new_with_misaligned_area_is_refused, 0, all);
	tcase_add_loop_test(tcase, new_with_area_outside_ram_is_refused, 0,
			    all);
	tcase_add_loop_test(tcase, new_with_overlapping_areas_is_refused, 0,
			    all);
	tcase_add_loop_test(tcase, put_into_a_broken_queue_goes_nowhere, 0,
			    all);
	tcase_add_loop_test(tcase, pop_with_a_million_iovecs_out_says_so, 0, 2);
}

int main(void)
{
	Suite *suite = suite_create("queue_hostile");
	TCase *chains = tcase_create("chains");
	TCase *rings = tcase_create("rings");
	SRunner *runner = srunner_create(suite);
	int failed;

	/* Each of these is worth a warning. */
	log_set_level(LOG_ERROR);
	/* ThreadSanitizer takes seconds for a guest of gigabytes. */
	tcase_set_timeout(chains, 60);
	add_chain_cases(chains);
	add_ring_cases(rings);
	suite_add_tcase(suite, chains);
	suite_add_tcase(suite, rings);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
