/*
 * Packed rings that another process takes up: what the one before had taken and
 * not finished is done first, and nothing is done twice, wherever it was
 * killed. And regions that lie, or change while they are read.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "tests/unit/support/ring_driver.h"
#include "virtio/queue.h"
#include "virtio/queue_inflight.h"

#define SIZE	12 /* no power of two: a packed ring may have any */
#define BUFFERS 4096

/* As the protocol has it. */
struct region {
	uint64_t features;
	uint16_t version, desc_num;
	uint16_t free_head, old_free_head, used_idx, old_used_idx;
	uint8_t used_wrap_counter, old_used_wrap_counter, padding[7];
	struct {
		uint8_t inflight, padding;
		uint16_t next, last, num;
		uint64_t counter;
		uint16_t id, flags;
		uint32_t len;
		uint64_t addr;
	} desc[SIZE];
};

union shared {
	struct region region;
	uint8_t bytes[1024];
};

static struct guest_mem *mem;
static struct ring_driver *driver;
static struct virtqueue *queue;
static union shared shared;
static unsigned int answers[BUFFERS], given;
static struct vring_packed_desc *ring;

static int take_up(void)
{
	/* The frontend knows nothing. */
	const struct virtqueue_position position = virtqueue_start;
	struct virtqueue_config config;

	virtqueue_free(queue);
	queue = NULL;
	ring_driver_config(driver, &config);
	config.kick_fd = config.call_fd = -1;
	config.inflight = shared.bytes;
	return virtqueue_new(&queue, mem, &config, &position);
}

static void setup(void)
{
	mem = ring_driver_mem(4);
	driver = ring_driver_new(mem, &(struct ring_driver_options){
					      .size = SIZE,
					      .packed = true,
				      });
	ring = ring_driver_packed_desc(driver, 0);
	memset(&shared, 0, sizeof(shared));
	memset(answers, 0, sizeof(answers));
	given = 0;
	ck_assert_uint_le(virtqueue_records_size(SIZE), sizeof(shared));
	ck_assert_int_eq(take_up(), 0);
}

static void teardown(void)
{
	virtqueue_free(queue);
	queue = NULL;
	ring_driver_free(driver);
	guest_mem_free(mem);
}

/* A buffer of so many entries, which has its number in it. Return: whether
 * there was room. */
static bool give(unsigned int entries)
{
	const uint64_t gpa = 0x10000 + given * UINT64_C(64);
	struct ring_driver_chain chain = {
		.readable = {{gpa, 4}},
		.readable_count = 1,
		.writable_count = entries - 1,
		.token = &answers[given],
	};

	for (unsigned int i = 0; i + 1 < entries; i++)
		chain.writable[i] = (struct ring_driver_buffer){gpa + 16, 4};
	ck_assert_uint_lt(given, BUFFERS);
	ck_assert_int_eq(guest_mem_write(mem, gpa, &given, sizeof(given)), 0);
	if (ring_driver_add(driver, &chain) < 0)
		return false;
	ring_driver_publish(driver);
	given++;
	return true;
}

/* Return: the number of the next, whose chain is in out; -1: none. */
static int pop(struct virtqueue_chain **out)
{
	unsigned int number = BUFFERS;
	int ret = virtqueue_pop(queue, out);

	ck_assert_int_ge(ret, 0);
	if (ret == 0)
		return -1;
	ck_assert_uint_eq(
		virtqueue_chain_read(*out, 0, &number, sizeof(number)),
		sizeof(number));
	return (int)number;
}

static struct virtqueue_chain *pop_number(int number)
{
	struct virtqueue_chain *chain;

	ck_assert_int_eq(pop(&chain), number);
	return chain;
}

static void collect(void)
{
	struct ring_driver_used used;
	int ret;

	while ((ret = ring_driver_collect(driver, &used)) == 1) {
		unsigned int *answer = used.token;

		(*answer)++;
		ck_assert_uint_eq(*answer, 1);
	}
	ck_assert_int_eq(ret, 0);
}

START_TEST(pop_after_a_death_begins_with_the_oldest)
{
	struct virtqueue_chain *chains[4];

	/* 1, 2, 3 and 4 entries. */
	for (int i = 0; i < 4; i++) {
		ck_assert(give((unsigned int)i + 1));
		chains[i] = pop_number(i);
	}
	/* The last is done first, and overwrites the first one's entry. */
	virtqueue_put(queue, chains[3], 0);
	virtqueue_publish(queue);
	for (unsigned int i = 0; i < 3; i++)
		virtqueue_chain_free(chains[i]);
	collect();
	ck_assert_int_eq(take_up(), 0);
	ck_assert(give(1));
	ck_assert(virtqueue_set_kicks(queue, true));
	virtqueue_put(queue, pop_number(0), 0);
	virtqueue_put(queue, pop_number(1), 0);
	virtqueue_publish(queue);
	/* And dies once more, with two done. */
	ck_assert_int_eq(take_up(), 0);
	virtqueue_put(queue, pop_number(2), 0);
	virtqueue_put(queue, pop_number(4), 0);
	virtqueue_publish(queue);
	collect();
	ck_assert_uint_eq(ring_driver_outstanding(driver), 0);
	ck_assert(!virtqueue_set_kicks(queue, true));
}
END_TEST

/* When, between the first and the last store of an operation, it is killed. */
enum kill {
	KILL_BETWEEN,	   /* two operations */
	KILL_PREPARED,	   /* before the driver sees it */
	KILL_SHOWING,	   /* likewise, and all but the first entry is shown */
	KILL_PUBLISHED,	   /* when it does, and the region is behind */
	KILL_HALF_SETTLED, /* the list is not any more, the index is */
	KILLS,
};

/* Publish, and be killed within. */
static void publish_and_die(enum kill when)
{
	struct vring_packed_desc before[SIZE];
	const union shared old = shared;

	memcpy(before, ring, sizeof(before));
	virtqueue_publish(queue);
	if (when == KILL_BETWEEN)
		return;
	shared.region.old_used_idx = old.region.old_used_idx;
	shared.region.old_used_wrap_counter = old.region.old_used_wrap_counter;
	if (when != KILL_HALF_SETTLED)
		shared.region.old_free_head = old.region.old_free_head;
	for (unsigned int i = 0; i < SIZE; i++)
		shared.region.desc[i].inflight = old.region.desc[i].inflight;
	/* The driver has seen none of it. */
	if (when == KILL_PREPARED)
		memcpy(ring, before, sizeof(before));
	if (when == KILL_SHOWING)
		ring[old.region.used_idx].flags =
			before[old.region.used_idx].flags;
}

/* At random, with deaths of all kinds: everything is answered once, in the
 * end. */
START_TEST(new_after_a_death_anywhere_does_each_once)
{
	struct virtqueue_chain *chains[SIZE];
	unsigned int count = 0;

	srand((unsigned int)_i);
	while (given < BUFFERS - 1) {
		if (rand() % 2)
			give((unsigned int)rand() % 4 + 1);
		if (rand() % 2 && pop(&chains[count]) >= 0)
			count++;
		if (count && rand() % 3 == 0) {
			unsigned int at = (unsigned int)rand() % count;
			unsigned int more = (unsigned int)rand() % count;

			virtqueue_put(queue, chains[at], 0);
			chains[at] = chains[--count];
			for (; more && count; more--)
				virtqueue_put(queue, chains[--count], 0);
			if (rand() % 4) {
				virtqueue_publish(queue);
				collect();
				continue;
			}
			publish_and_die((enum kill)(rand() % KILLS));
		} else if (rand() % 16) {
			continue;
		}
		while (count)
			virtqueue_chain_free(chains[--count]);
		ck_assert_int_eq(take_up(), 0);
		collect();
	}
	while (count)
		virtqueue_put(queue, chains[--count], 0);
	while (pop(&chains[0]) >= 0)
		virtqueue_put(queue, chains[0], 0);
	virtqueue_publish(queue);
	collect();
	ck_assert_uint_eq(ring_driver_outstanding(driver), 0);
	for (unsigned int i = 0; i < given; i++)
		ck_assert_uint_eq(answers[i], 1);
}
END_TEST

START_TEST(position_is_without_what_is_to_be_done_again)
{
	struct virtqueue_chain *chain;

	ck_assert(give(3));
	ck_assert(give(2));
	virtqueue_chain_free(pop_number(0));
	virtqueue_chain_free(pop_number(1));
	ck_assert_int_eq(take_up(), 0);
	ck_assert_uint_eq(virtqueue_position(queue).avail, 0);
	ck_assert_uint_eq(virtqueue_position(queue).used, 0);
	ck_assert_int_eq(pop(&chain), 0);
	ck_assert_uint_eq(virtqueue_position(queue).avail, 0);
	virtqueue_chain_free(chain);
}
END_TEST

/* Who shares the region may write to it what he likes. */
START_TEST(new_with_an_impossible_region_is_refused)
{
	struct region *region = &shared.region;

	ck_assert(give(2));
	ck_assert(give(2));
	virtqueue_chain_free(pop_number(0));
	virtqueue_chain_free(pop_number(1));
	switch (_i) {
	case 0:
		region->version = 7;
		break;
	case 1:
		region->desc_num = SIZE * 2;
		break;
	case 2:
		region->old_used_idx = SIZE;
		break;
	case 3: /* more entries than it has */
		region->desc[0].num = SIZE + 1;
		break;
	case 4:
		region->desc[0].num = 0;
		break;
	case 5: /* into the other's */
		region->desc[0].num = 3;
		break;
	case 6: /* the free list goes in circles */
		region->desc[SIZE - 1].next = 4;
		break;
	case 7: /* and into a buffer */
		region->old_free_head = 1;
		break;
	default: /* some are nowhere */
		region->desc[2].inflight = 0;
		break;
	}
	ck_assert_int_eq(take_up(), -EINVAL);
}
END_TEST

/* Any bytes at all: refused, or no more buffers than the ring has entries. */
START_TEST(new_with_random_regions_stays_in_bounds)
{
	struct virtqueue_chain *chain;
	union shared good;

	srand(7);
	ck_assert(give(2));
	ck_assert(give(3));
	virtqueue_chain_free(pop_number(0));
	virtqueue_chain_free(pop_number(1));
	good = shared;
	for (unsigned int i = 0; i < 5000; i++) {
		unsigned int popped = 0;

		shared = good;
		for (int n = rand() % 6; n >= 0; n--)
			shared.bytes[(size_t)rand() % sizeof(shared.region)] =
				(uint8_t)(rand() % 4 ? rand() % 16 : rand());
		if (take_up() < 0)
			continue;
		while (virtqueue_pop(queue, &chain) == 1) {
			virtqueue_put(queue, chain, 0);
			popped++;
		}
		ck_assert_uint_le(popped, SIZE);
		virtqueue_publish(queue);
	}
}
END_TEST

/* --- A region that changes while it is read, of either format --------------
 */

static volatile bool racing;

static void *race_run(void *ctx)
{
	volatile uint8_t *bytes = ctx;
	unsigned int seed = 3;

	while (racing)
		bytes[(size_t)rand_r(&seed) % 512] = (uint8_t)rand_r(&seed);
	return NULL;
}

START_TEST(new_with_a_region_that_changes_stays_in_bounds)
{
	const struct ring_driver_options options = {
		.base = 0x200000, .size = 8, .packed = _i};
	struct ring_driver *other = ring_driver_new(mem, &options);
	uint8_t *region = calloc(1, 1024);
	struct virtqueue_config config;
	pthread_t thread;

	ring_driver_config(other, &config);
	config.kick_fd = config.call_fd = -1;
	config.inflight = region;
	racing = true;
	ck_assert_int_eq(pthread_create(&thread, NULL, race_run, region), 0);
	for (unsigned int i = 0; i < 3000; i++) {
		struct virtqueue_chain *chain;
		unsigned int popped = 0;

		/* The head of one that may be taken up. */
		((volatile uint16_t *)(void *)region)[4] = 1;
		((volatile uint16_t *)(void *)region)[5] = 8;
		virtqueue_free(queue);
		queue = NULL;
		if (virtqueue_new(&queue, mem, &config, &virtqueue_start) < 0)
			continue;
		while (virtqueue_pop(queue, &chain) == 1) {
			virtqueue_put(queue, chain, 0);
			popped++;
		}
		ck_assert_uint_le(popped, 8);
		virtqueue_publish(queue);
	}
	racing = false;
	pthread_join(thread, NULL);
	virtqueue_free(queue);
	queue = NULL;
	ring_driver_free(other);
	free(region);
}
END_TEST

/* A driver that does not wait: it makes available again what it has not seen
 * used. */
START_TEST(pop_of_a_driver_that_overtakes_breaks_the_queue)
{
	struct virtqueue_chain *chain;
	int ret = 1;

	for (unsigned int i = 0; i < 3 * SIZE && ret == 1; i++) {
		const bool wrap = i / SIZE % 2 == 0;

		ring[i % SIZE] = (struct vring_packed_desc){
			.addr = htole64(0x10000),
			.len = htole32(4),
			.id = htole16(i % SIZE),
			.flags = htole16(wrap ? 1 << 7 : 1 << 15),
		};
		ret = virtqueue_pop(queue, &chain);
		if (ret == 1)
			virtqueue_put(queue, chain, 0);
	}
	ck_assert_int_eq(ret, -EPROTO);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("queue_records");
	TCase *tcase = tcase_create("queue_records");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, pop_after_a_death_begins_with_the_oldest);
	tcase_add_loop_test(tcase, new_after_a_death_anywhere_does_each_once, 0,
			    8);
	tcase_add_test(tcase, position_is_without_what_is_to_be_done_again);
	tcase_add_loop_test(tcase, new_with_an_impossible_region_is_refused, 0,
			    9);
	tcase_add_test(tcase, new_with_random_regions_stays_in_bounds);
	tcase_add_loop_test(
		tcase, new_with_a_region_that_changes_stays_in_bounds, 0, 2);
	tcase_add_test(tcase, pop_of_a_driver_that_overtakes_breaks_the_queue);
	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 20);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
