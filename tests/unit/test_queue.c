/* Virtqueues and drivers that keep to the rules; most of it with all that can
 * be negotiated, _i says what. */
#include "virtio/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/eventfd.h>

#include <check.h>

#include "tests/unit/support/queue_pair.h"

#define SIZE 8

static struct queue_pair pair;

static void setup_with(unsigned int features)
{
	queue_pair_init(&pair, SIZE, features, NULL);
}

static bool indirect(unsigned int features)
{
	return features & QUEUE_PAIR_INDIRECT;
}

/* Give one back and take it in on the other side. */
static void put_and_collect(struct virtqueue_chain *chain, int id,
			    uint32_t written)
{
	struct ring_driver_used used;

	virtqueue_put(pair.queue, chain, written);
	virtqueue_publish(pair.queue);
	ck_assert_int_eq(ring_driver_collect(pair.driver, &used), 1);
	ck_assert_uint_eq(used.id, (unsigned int)id);
	ck_assert_uint_eq(used.len, written);
}

/* A buffer all the way, @count times. */
static void go_round(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		int id = queue_pair_add(&pair, 1, 1, false);

		ring_driver_publish(pair.driver);
		put_and_collect(queue_pair_pop(&pair), id, 16);
	}
}

/* --- Making ----------------------------------------------------------------
 */

START_TEST(new_with_start_position_begins_there)
{
	struct virtqueue_position start = {
		.avail = 6,
		.used = 6,
		.avail_wrap = _i & 1,
		.used_wrap = _i & 1,
	};
	struct virtqueue_position position;

	queue_pair_init(&pair, SIZE, (unsigned int)_i >> 1, &start);
	position = virtqueue_position(pair.queue);
	ck_assert_uint_eq(position.avail, start.avail);
	ck_assert_uint_eq(position.used, start.used);
	ck_assert_uint_eq(position.avail_wrap, start.avail_wrap);
	ck_assert_uint_eq(position.used_wrap, start.used_wrap);
	go_round(3 * SIZE);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(new_split_at_the_last_index_goes_on_at_zero)
{
	static const struct virtqueue_position start = {.avail = 65534,
							.used = 65534};

	queue_pair_init(&pair, SIZE, (unsigned int)_i << 1, &start);
	go_round(4);
	ck_assert_uint_eq(virtqueue_position(pair.queue).avail, 2);
	ck_assert_uint_eq(virtqueue_position(pair.queue).used, 2);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(new_copies_the_config)
{
	setup_with((unsigned int)_i);
	pair.config.size = 1;
	pair.config.desc = 0;
	ck_assert_uint_eq(virtqueue_config(pair.queue)->size, SIZE);
	go_round(2 * SIZE);
	queue_pair_fini(&pair);
}
END_TEST

/* --- Taking ----------------------------------------------------------------
 */

START_TEST(pop_without_buffers_finds_none)
{
	struct virtqueue_chain *chain = NULL;

	setup_with((unsigned int)_i);
	ck_assert_int_eq(virtqueue_pop(pair.queue, &chain), 0);
	/* Added is not available. */
	queue_pair_add(&pair, 1, 0, false);
	ck_assert_int_eq(virtqueue_pop(pair.queue, &chain), 0);
	ck_assert_ptr_null(chain);
	ck_assert_uint_eq(virtqueue_in_flight(pair.queue), 0);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(pop_returns_the_buffers_of_the_driver)
{
	struct virtqueue_chain *chain;
	uint8_t *host;
	int id;

	setup_with((unsigned int)_i);
	host = guest_mem_span(pair.mem, pair.free, 4096);
	id = queue_pair_add(&pair, 2, 3, indirect((unsigned int)_i));
	ring_driver_publish(pair.driver);
	chain = queue_pair_pop(&pair);
	ck_assert_uint_eq(chain->readable_count, 2);
	ck_assert_uint_eq(chain->writable_count, 3);
	ck_assert_uint_eq(chain->readable_len, 32);
	ck_assert_uint_eq(chain->writable_len, 48);
	for (unsigned int i = 0; i < 5; i++) {
		const struct iovec *iov =
			i < 2 ? &chain->readable[i] : &chain->writable[i - 2];

		ck_assert_ptr_eq(iov->iov_base, host + 16 * i);
		ck_assert_uint_eq(iov->iov_len, 16);
	}
	ck_assert_uint_eq(virtqueue_in_flight(pair.queue), 1);
	put_and_collect(chain, id, 48);
	ck_assert_uint_eq(virtqueue_in_flight(pair.queue), 0);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(pop_leaves_empty_descriptors_out)
{
	/* An address that is nowhere does no harm if nothing is there. */
	struct ring_driver_chain wanted = {
		.readable = {{UINT64_MAX, 0}, {0x1000, 5}, {0, 0}},
		.readable_count = 3,
		.writable = {{0x2000, 0}, {0x3000, 7}, {UINT64_MAX, 0}},
		.writable_count = 3,
	};
	struct ring_driver_chain empty = {
		.readable = {{0, 0}},
		.readable_count = 1,
	};
	struct virtqueue_chain *chain;
	int id;

	setup_with((unsigned int)_i);
	wanted.indirect = empty.indirect = indirect((unsigned int)_i);
	id = ring_driver_add(pair.driver, &wanted);
	ring_driver_publish(pair.driver);
	chain = queue_pair_pop(&pair);
	ck_assert_uint_eq(chain->readable_count, 1);
	ck_assert_uint_eq(chain->writable_count, 1);
	ck_assert_uint_eq(chain->readable_len, 5);
	ck_assert_uint_eq(chain->writable_len, 7);
	put_and_collect(chain, id, 7);

	id = ring_driver_add(pair.driver, &empty);
	ring_driver_publish(pair.driver);
	chain = queue_pair_pop(&pair);
	ck_assert_uint_eq(chain->readable_count, 0);
	ck_assert_uint_eq(chain->writable_count, 0);
	put_and_collect(chain, id, 0);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(pop_takes_a_chain_as_long_as_the_queue)
{
	setup_with((unsigned int)_i);
	for (unsigned int i = 0; i < 3; i++) {
		int id = queue_pair_add(&pair, SIZE / 2, SIZE / 2,
					i == 1 && indirect((unsigned int)_i));

		ring_driver_publish(pair.driver);
		put_and_collect(queue_pair_pop(&pair), id, 1);
	}
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(pop_keeps_the_order_of_the_driver)
{
	struct virtqueue_chain *chains[SIZE];
	struct virtqueue_chain *none;
	int ids[SIZE];

	setup_with((unsigned int)_i);
	for (unsigned int i = 0; i < SIZE; i++)
		ids[i] = queue_pair_add(&pair, 0, 1, false);
	ring_driver_publish(pair.driver);
	for (unsigned int i = 0; i < SIZE; i++) {
		chains[i] = queue_pair_pop(&pair);
		ck_assert_int_eq(chains[i]->id, ids[i]);
	}
	ck_assert_int_eq(virtqueue_pop(pair.queue, &none), 0);
	ck_assert_uint_eq(virtqueue_in_flight(pair.queue), SIZE);
	/* Used in another. */
	for (unsigned int i = SIZE; i-- > 0;)
		put_and_collect(chains[i], ids[i], i);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(pop_split_follows_descriptors_with_an_indirect_one_behind)
{
	struct virtqueue_chain *chain;
	struct vring_desc *second;
	struct vring_desc *table;
	int id;

	setup_with(QUEUE_PAIR_INDIRECT);
	id = queue_pair_add(&pair, 2, 0, false);
	table = ring_driver_table(pair.driver, 0);
	table[0] = (struct vring_desc){
		.addr = pair.free + 64,
		.len = 3,
		.flags = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
		.next = 2,
	};
	table[2] = (struct vring_desc){
		.addr = pair.free + 128,
		.len = 4,
		.flags = VRING_DESC_F_WRITE,
	};
	second = ring_driver_split_desc(
		pair.driver, ring_driver_split_desc(pair.driver, 0)->next);
	/* 2.7.5.3.2: WRITE means nothing here. */
	*second = (struct vring_desc){
		.addr = ring_driver_table_gpa(pair.driver, 0),
		.len = 48,
		.flags = VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE,
	};
	ring_driver_publish(pair.driver);
	chain = queue_pair_pop(&pair);
	ck_assert_int_eq(chain->id, id);
	ck_assert_uint_eq(chain->descriptors, 2);
	ck_assert_uint_eq(chain->readable_len, 16);
	ck_assert_uint_eq(chain->writable_count, 2);
	ck_assert_uint_eq(chain->writable_len, 7);
	virtqueue_put(pair.queue, chain, 0);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(pop_ignores_reserved_flags)
{
	const uint16_t reserved = 0x7f78;
	struct virtqueue_chain *chain;

	setup_with((unsigned int)_i);
	queue_pair_add(&pair, 1, 1, false);
	ring_driver_publish(pair.driver);
	if (pair.config.packed)
		ring_driver_packed_desc(pair.driver, 0)->flags |= reserved;
	else
		ring_driver_split_desc(pair.driver, 0)->flags |= 0xfff8;
	chain = queue_pair_pop(&pair);
	ck_assert_uint_eq(chain->readable_len, 16);
	ck_assert_uint_eq(chain->writable_len, 16);
	virtqueue_put(pair.queue, chain, 0);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(pop_packed_ignores_all_but_write_in_a_table)
{
	struct vring_packed_desc *table;
	struct virtqueue_chain *chain;

	setup_with(QUEUE_PAIR_INDIRECT | QUEUE_PAIR_PACKED);
	queue_pair_add(&pair, 1, 1, true);
	table = (void *)ring_driver_table(pair.driver, 0);
	/* 2.8.7 */
	for (unsigned int i = 0; i < 2; i++) {
		table[i].flags |= (uint16_t)~VRING_DESC_F_WRITE;
		table[i].id = 0xffff;
	}
	ring_driver_packed_desc(pair.driver, 0)->flags |= VRING_DESC_F_WRITE;
	ring_driver_publish(pair.driver);
	chain = queue_pair_pop(&pair);
	ck_assert_uint_eq(chain->readable_len, 16);
	ck_assert_uint_eq(chain->writable_len, 16);
	virtqueue_put(pair.queue, chain, 0);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(pop_packed_takes_any_buffer_id)
{
	struct vring_packed_desc *desc;

	setup_with(QUEUE_PAIR_PACKED);
	queue_pair_add(&pair, 1, 0, false);
	desc = ring_driver_packed_desc(pair.driver, 0);
	desc->id = 0xffff;
	ring_driver_publish(pair.driver);
	virtqueue_put(pair.queue, queue_pair_pop(&pair), 0);
	virtqueue_publish(pair.queue);
	ck_assert_uint_eq(desc->id, 0xffff);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(pop_packed_of_a_used_entry_finds_none)
{
	struct virtqueue_chain *chain;

	setup_with(QUEUE_PAIR_PACKED);
	/* 2.8.1: used in this lap, which is what avail alone would tell. */
	ring_driver_packed_desc(pair.driver, 0)->flags =
		(uint16_t)(1 << VRING_PACKED_DESC_F_AVAIL |
			   1 << VRING_PACKED_DESC_F_USED);
	ck_assert_int_eq(virtqueue_pop(pair.queue, &chain), 0);
	ck_assert(!virtqueue_set_kicks(pair.queue, true));
	queue_pair_fini(&pair);
}
END_TEST

/* --- Giving back -----------------------------------------------------------
 */

START_TEST(put_without_publish_shows_nothing)
{
	struct virtqueue_chain *chains[3];
	struct ring_driver_used used;
	int ids[3];

	setup_with((unsigned int)_i);
	for (unsigned int i = 0; i < 3; i++)
		ids[i] = queue_pair_add(&pair, 1, 1, false);
	ring_driver_publish(pair.driver);
	for (unsigned int i = 0; i < 3; i++)
		chains[i] = queue_pair_pop(&pair);
	for (unsigned int i = 0; i < 3; i++) {
		virtqueue_put(pair.queue, chains[2 - i], i);
		ck_assert_int_eq(ring_driver_collect(pair.driver, &used), 0);
	}
	ck_assert_uint_eq(queue_pair_interrupts(&pair), 0);
	virtqueue_publish(pair.queue);
	ck_assert_uint_eq(queue_pair_interrupts(&pair), 1);
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_int_eq(ring_driver_collect(pair.driver, &used), 1);
		ck_assert_int_eq(used.id, ids[2 - i]);
		ck_assert_uint_eq(used.len, i);
	}
	ck_assert_int_eq(ring_driver_collect(pair.driver, &used), 0);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(put_packed_says_whether_something_was_written)
{
	struct vring_packed_desc *desc;

	setup_with(QUEUE_PAIR_PACKED);
	desc = ring_driver_packed_desc(pair.driver, 0);
	for (unsigned int i = 0; i < 2; i++) {
		queue_pair_add(&pair, 0, 1, false);
		ring_driver_publish(pair.driver);
		virtqueue_put(pair.queue, queue_pair_pop(&pair), i);
		virtqueue_publish(pair.queue);
		ck_assert_uint_eq(!!(desc[i].flags & VRING_DESC_F_WRITE), i);
	}
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(publish_without_put_does_nothing)
{
	setup_with((unsigned int)_i);
	virtqueue_publish(pair.queue);
	ck_assert_uint_eq(queue_pair_interrupts(&pair), 0);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(publish_without_interrupts_wanted_makes_none)
{
	setup_with((unsigned int)_i);
	ck_assert(!ring_driver_set_interrupts(pair.driver, false));
	go_round(2 * SIZE);
	ck_assert_uint_eq(queue_pair_interrupts(&pair), 0);
	ck_assert(!ring_driver_set_interrupts(pair.driver, true));
	go_round(2 * SIZE);
	ck_assert_uint_eq(queue_pair_interrupts(&pair), 2 * SIZE);
	queue_pair_fini(&pair);
}
END_TEST

/* One after the other, each of one entry. */
static void publish_some(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		queue_pair_add(&pair, 0, 1, false);
	ring_driver_publish(pair.driver);
	for (unsigned int i = 0; i < count; i++) {
		virtqueue_put(pair.queue, queue_pair_pop(&pair), 0);
		virtqueue_publish(pair.queue);
	}
}

START_TEST(publish_with_event_interrupts_once_at_it)
{
	struct ring_driver_used used;

	setup_with((unsigned int)_i | QUEUE_PAIR_EVENT_IDX);
	/* Also over the end of the ring. */
	for (unsigned int round = 0; round < 5; round++) {
		ck_assert(!ring_driver_set_event(pair.driver, 3));
		publish_some(3);
		ck_assert_uint_eq(queue_pair_interrupts(&pair), 0);
		publish_some(1);
		ck_assert_uint_eq(queue_pair_interrupts(&pair), 1);
		publish_some(2);
		ck_assert_uint_eq(queue_pair_interrupts(&pair), 0);
		/* It would not come again, so it says so. */
		ck_assert(ring_driver_set_event(pair.driver, 0));
		while (ring_driver_collect(pair.driver, &used) == 1)
			;
	}
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(publish_of_many_interrupts_if_the_event_is_among_them)
{
	struct virtqueue_chain *chains[4];
	struct ring_driver_used used;

	setup_with((unsigned int)_i | QUEUE_PAIR_EVENT_IDX);
	for (uint16_t ahead = 0; ahead < 6; ahead++) {
		ring_driver_set_event(pair.driver, ahead);
		for (unsigned int i = 0; i < 4; i++)
			queue_pair_add(&pair, 0, 1, false);
		ring_driver_publish(pair.driver);
		for (unsigned int i = 0; i < 4; i++)
			chains[i] = queue_pair_pop(&pair);
		for (unsigned int i = 0; i < 4; i++)
			virtqueue_put(pair.queue, chains[i], 0);
		virtqueue_publish(pair.queue);
		ck_assert_uint_eq(queue_pair_interrupts(&pair), ahead < 4);
		for (unsigned int i = 0; i < 4; i++)
			ck_assert_int_eq(
				ring_driver_collect(pair.driver, &used), 1);
	}
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(publish_packed_without_event_idx_takes_a_specific_one_for_all)
{
	struct vring_packed_desc_event *event;

	setup_with(QUEUE_PAIR_PACKED);
	event = ring_driver_driver_event(pair.driver);
	event->off_wrap = 5;
	event->flags = VRING_PACKED_EVENT_FLAG_DESC;
	go_round(3);
	event->flags = 3;
	go_round(3);
	ck_assert_uint_eq(queue_pair_interrupts(&pair), 6);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(publish_with_a_full_eventfd_goes_on)
{
	setup_with((unsigned int)_i);
	ck_assert_int_eq(eventfd_write(pair.config.call_fd, UINT64_MAX - 1), 0);
	go_round(3);
	queue_pair_fini(&pair);
}
END_TEST

/* --- Kicks -----------------------------------------------------------------
 */

START_TEST(set_kicks_tells_the_driver)
{
	setup_with((unsigned int)_i);
	/* A new queue wants them. */
	queue_pair_add(&pair, 1, 0, false);
	ck_assert(ring_driver_publish(pair.driver));
	ck_assert(virtqueue_set_kicks(pair.queue, false));
	for (unsigned int i = 0; i < 3; i++) {
		queue_pair_add(&pair, 1, 0, false);
		ck_assert(!ring_driver_publish(pair.driver));
	}
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert(virtqueue_set_kicks(pair.queue, true));
		virtqueue_put(pair.queue, queue_pair_pop(&pair), 0);
	}
	ck_assert(!virtqueue_set_kicks(pair.queue, true));
	queue_pair_add(&pair, 1, 0, false);
	queue_pair_add(&pair, 1, 0, false);
	ck_assert(ring_driver_publish(pair.driver));
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(set_kicks_with_event_idx_wants_the_next_one_only)
{
	setup_with((unsigned int)_i | QUEUE_PAIR_EVENT_IDX);
	for (unsigned int round = 0; round < 3 * SIZE; round++) {
		ck_assert(!virtqueue_set_kicks(pair.queue, true));
		queue_pair_add(&pair, 1, 1, false);
		ck_assert(ring_driver_publish(pair.driver));
		queue_pair_add(&pair, 1, 1, false);
		ck_assert(!ring_driver_publish(pair.driver));
		for (unsigned int i = 0; i < 2; i++) {
			struct ring_driver_used used;

			virtqueue_put(pair.queue, queue_pair_pop(&pair), 0);
			virtqueue_publish(pair.queue);
			ck_assert_int_eq(
				ring_driver_collect(pair.driver, &used), 1);
		}
	}
	queue_pair_fini(&pair);
}
END_TEST

/* --- Positions -------------------------------------------------------------
 */

START_TEST(position_with_chains_out_is_before_them)
{
	struct virtqueue_chain *first, *chain;
	int ids[3];

	setup_with((unsigned int)_i);
	/* The third goes over the end of the ring. */
	go_round(2);
	for (unsigned int i = 0; i < 3; i++)
		ids[i] = queue_pair_add(&pair, 1, i == 1 ? 2 : 0, false);
	ring_driver_publish(pair.driver);
	first = queue_pair_pop(&pair);
	chain = queue_pair_pop(&pair);
	put_and_collect(first, ids[0], 0);
	queue_pair_resume(&pair);
	virtqueue_chain_free(chain);
	ck_assert_uint_eq(virtqueue_in_flight(pair.queue), 0);
	for (unsigned int i = 1; i < 3; i++)
		put_and_collect(queue_pair_pop(&pair), ids[i], 0);
	go_round(2 * SIZE);
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(position_of_an_idle_queue_has_both_sides_equal)
{
	setup_with((unsigned int)_i);
	for (unsigned int i = 0; i < 3 * SIZE; i++) {
		struct virtqueue_position position;

		go_round(1);
		position = virtqueue_position(pair.queue);
		ck_assert_uint_eq(position.avail, position.used);
		ck_assert_uint_eq(position.avail_wrap, position.used_wrap);
		queue_pair_resume(&pair);
	}
	queue_pair_fini(&pair);
}
END_TEST

START_TEST(free_with_chains_out_leaves_them_valid)
{
	struct virtqueue_chain *chain;
	char text[16];

	setup_with((unsigned int)_i);
	queue_pair_add(&pair, 1, 1, indirect((unsigned int)_i));
	ring_driver_publish(pair.driver);
	chain = queue_pair_pop(&pair);
	virtqueue_free(pair.queue);
	pair.queue = NULL;
	ck_assert_uint_eq(virtqueue_chain_read(chain, 0, text, 99), 16);
	virtqueue_chain_free(chain);
	virtqueue_chain_free(NULL);
	queue_pair_fini(&pair);
}
END_TEST

/* --- Bytes of chains -------------------------------------------------------
 */

/* "abc", "defg", "" and "hi", or a part of it, as three iovecs. */
static unsigned int some_iovecs(char text[9], struct iovec iov[4])
{
	memcpy(text, "abcdefghi", 9);
	iov[0] = (struct iovec){text, 3};
	iov[1] = (struct iovec){text + 3, 4};
	iov[2] = (struct iovec){NULL, 0};
	iov[3] = (struct iovec){text + 7, 2};
	return 4;
}

START_TEST(chain_read_copies_what_there_is)
{
	struct virtqueue_chain chain = {.readable_len = 9};
	struct iovec iov[4];
	char text[9], out[12];

	chain.readable_count = some_iovecs(text, iov);
	chain.readable = iov;
	for (size_t offset = 0; offset <= 10; offset++) {
		for (size_t len = 0; len <= 10; len++) {
			size_t there = offset > 9 ? 0 : 9 - offset;
			size_t want = len < there ? len : there;

			memset(out, '-', sizeof(out));
			ck_assert_uint_eq(
				virtqueue_chain_read(&chain, offset, out, len),
				want);
			ck_assert_mem_eq(out, "abcdefghi" + (9 - there), want);
			ck_assert_int_eq(out[want], '-');
		}
	}
	ck_assert_uint_eq(virtqueue_chain_read(&chain, UINT64_MAX, out, 1), 0);
	/* Nothing is writable. */
	ck_assert_uint_eq(virtqueue_chain_write(&chain, 0, "x", 1), 0);
}
END_TEST

START_TEST(chain_write_copies_what_fits)
{
	struct virtqueue_chain chain = {.writable_len = 9};
	struct iovec iov[4];
	char text[9];

	chain.writable_count = some_iovecs(text, iov);
	chain.writable = iov;
	ck_assert_uint_eq(virtqueue_chain_write(&chain, 2, "XYZ", 3), 3);
	ck_assert_mem_eq(text, "abXYZfghi", 9);
	ck_assert_uint_eq(virtqueue_chain_write(&chain, 6, "123456", 6), 3);
	ck_assert_mem_eq(text, "abXYZf123", 9);
	ck_assert_uint_eq(virtqueue_chain_write(&chain, 9, "!", 1), 0);
	ck_assert_mem_eq(text, "abXYZf123", 9);
}
END_TEST

START_TEST(iov_slice_finds_the_bytes)
{
	struct iovec iov[4], out[4];
	char text[9];
	unsigned int count = some_iovecs(text, iov);

	for (uint64_t offset = 0; offset <= 10; offset++) {
		for (uint64_t len = 0; len <= 10; len++) {
			uint64_t at = offset, there = offset > 9 ? 0 : 9 - at;
			uint64_t left = len < there ? len : there;
			unsigned int made;

			made = virtqueue_iov_slice(iov, count, offset, len,
						   out);
			for (unsigned int i = 0; i < made; i++) {
				ck_assert_ptr_eq(out[i].iov_base, text + at);
				ck_assert_uint_gt(out[i].iov_len, 0);
				ck_assert_uint_le(out[i].iov_len, left);
				at += out[i].iov_len;
				left -= out[i].iov_len;
			}
			ck_assert_uint_eq(left, 0);
		}
	}
	ck_assert_uint_eq(virtqueue_iov_slice(iov, count, 8, UINT64_MAX, out),
			  1);
	ck_assert_uint_eq(virtqueue_iov_slice(iov, count, UINT64_MAX, 9, out),
			  0);
}
END_TEST

static void add_cases(TCase *tcase)
{
	const int all = QUEUE_PAIR_FEATURES;

	tcase_add_loop_test(tcase, new_with_start_position_begins_there, 0,
			    2 * all);
	tcase_add_loop_test(tcase, new_split_at_the_last_index_goes_on_at_zero,
			    0, all / 2);
	tcase_add_loop_test(tcase, new_copies_the_config, 0, all);
	tcase_add_loop_test(tcase, pop_without_buffers_finds_none, 0, all);
	tcase_add_loop_test(tcase, pop_returns_the_buffers_of_the_driver, 0,
			    all);
	tcase_add_loop_test(tcase, pop_leaves_empty_descriptors_out, 0, all);
	tcase_add_loop_test(tcase, pop_takes_a_chain_as_long_as_the_queue, 0,
			    all);
	tcase_add_loop_test(tcase, pop_keeps_the_order_of_the_driver, 0, all);
	tcase_add_test(
		tcase,
		pop_split_follows_descriptors_with_an_indirect_one_behind);
	tcase_add_loop_test(tcase, pop_ignores_reserved_flags, 0, all);
	tcase_add_test(tcase, pop_packed_ignores_all_but_write_in_a_table);
	tcase_add_test(tcase, pop_packed_takes_any_buffer_id);
	tcase_add_test(tcase, pop_packed_of_a_used_entry_finds_none);
	tcase_add_loop_test(tcase, put_without_publish_shows_nothing, 0, all);
	tcase_add_test(tcase, put_packed_says_whether_something_was_written);
	tcase_add_loop_test(tcase, publish_without_put_does_nothing, 0, all);
	tcase_add_loop_test(tcase, publish_without_interrupts_wanted_makes_none,
			    0, all);
	tcase_add_loop_test(tcase, publish_with_event_interrupts_once_at_it, 0,
			    QUEUE_PAIR_EVENT_IDX);
	tcase_add_loop_test(
		tcase, publish_of_many_interrupts_if_the_event_is_among_them, 0,
		QUEUE_PAIR_EVENT_IDX);
	tcase_add_test(
		tcase,
		publish_packed_without_event_idx_takes_a_specific_one_for_all);
	tcase_add_loop_test(tcase, publish_with_a_full_eventfd_goes_on, 0, all);
	tcase_add_loop_test(tcase, set_kicks_tells_the_driver, 0, all);
	tcase_add_loop_test(tcase,
			    set_kicks_with_event_idx_wants_the_next_one_only, 0,
			    QUEUE_PAIR_EVENT_IDX);
	tcase_add_loop_test(tcase, position_with_chains_out_is_before_them, 0,
			    all);
	tcase_add_loop_test(
		tcase, position_of_an_idle_queue_has_both_sides_equal, 0, all);
	tcase_add_loop_test(tcase, free_with_chains_out_leaves_them_valid, 0,
			    all);
	tcase_add_test(tcase, chain_read_copies_what_there_is);
	tcase_add_test(tcase, chain_write_copies_what_fits);
	tcase_add_test(tcase, iov_slice_finds_the_bytes);
}

int main(void)
{
	Suite *suite = suite_create("queue");
	TCase *tcase = tcase_create("queue");
	SRunner *runner = srunner_create(suite);
	int failed;

	add_cases(tcase);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
