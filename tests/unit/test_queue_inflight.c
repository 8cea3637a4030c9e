/*
 * Split rings that another process takes up: what the one before had taken and
 * not finished is done first, and nothing is done twice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "tests/unit/support/ring_driver.h"
#include "virtio/queue.h"
#include "virtio/queue_inflight.h"

#define SIZE 8

/* As the protocol has it. */
struct region {
	uint64_t features;
	uint16_t version, desc_num, last_batch_head, used_idx;
	struct {
		uint8_t inflight, padding[5];
		uint16_t next;
		uint64_t counter;
	} desc[SIZE];
};

static struct guest_mem *mem;
static struct ring_driver *driver;
static struct virtqueue *queue;
static union {
	struct region region;
	uint8_t bytes[1024];
} shared;

/* Another process, that knows the index of the used ring alone. */
static int take_up(void)
{
	struct virtqueue_position position = virtqueue_start;
	struct virtqueue_config config;

	virtqueue_free(queue);
	queue = NULL;
	ring_driver_config(driver, &config);
	config.kick_fd = config.call_fd = -1;
	config.inflight = shared.bytes;
	ck_assert_int_eq(virtqueue_read_used(mem, &config, &position.used), 0);
	position.avail = position.used;
	return virtqueue_new(&queue, mem, &config, &position);
}

static void setup(void)
{
	mem = ring_driver_mem(4);
	driver = ring_driver_new(mem,
				 &(struct ring_driver_options){.size = SIZE});
	memset(&shared, 0, sizeof(shared));
	ck_assert_uint_le(virtqueue_inflight_size(SIZE), sizeof(shared));
	ck_assert_int_eq(take_up(), 0);
}

static void teardown(void)
{
	virtqueue_free(queue);
	queue = NULL;
	ring_driver_free(driver);
	guest_mem_free(mem);
}

static int give(void)
{
	int id = ring_driver_add(driver, &(struct ring_driver_chain){
						 .writable = {{0x10000, 16}},
						 .writable_count = 1,
					 });

	ck_assert_int_ge(id, 0);
	ring_driver_publish(driver);
	return id;
}

static struct virtqueue_chain *pop(int id)
{
	struct virtqueue_chain *chain = NULL;

	ck_assert_int_eq(virtqueue_pop(queue, &chain), 1);
	ck_assert_int_eq(chain->id, id);
	return chain;
}

static void check_empty(void)
{
	struct virtqueue_chain *chain;

	ck_assert_int_eq(virtqueue_pop(queue, &chain), 0);
	ck_assert(!virtqueue_set_kicks(queue, true));
}

static unsigned int collected(void)
{
	struct ring_driver_used used;
	unsigned int count = 0;

	while (ring_driver_collect(driver, &used) == 1)
		count++;
	return count;
}

START_TEST(pop_after_a_death_begins_with_the_oldest)
{
	struct virtqueue_chain *chains[4];
	int ids[5];

	for (unsigned int i = 0; i < 4; i++) {
		ids[i] = give();
		chains[i] = pop(ids[i]);
	}
	/* The second is done, out of order. */
	virtqueue_put(queue, chains[1], 0);
	virtqueue_publish(queue);
	virtqueue_chain_free(chains[0]);
	virtqueue_chain_free(chains[2]);
	virtqueue_chain_free(chains[3]);
	ck_assert_int_eq(take_up(), 0);
	ids[4] = give();
	ck_assert(virtqueue_set_kicks(queue, true));
	virtqueue_put(queue, pop(ids[0]), 0);
	virtqueue_put(queue, pop(ids[2]), 0);
	/* And dies once more, with two done and one left. */
	virtqueue_publish(queue);
	ck_assert_int_eq(take_up(), 0);
	virtqueue_put(queue, pop(ids[3]), 0);
	virtqueue_put(queue, pop(ids[4]), 0);
	virtqueue_publish(queue);
	check_empty();
	ck_assert_uint_eq(collected(), 5);
	ck_assert_uint_eq(ring_driver_outstanding(driver), 0);
}
END_TEST

/* Killed between the used index and what follows: the driver has seen it. */
START_TEST(new_after_a_death_behind_the_index_does_nothing_twice)
{
	int ids[3];

	for (unsigned int i = 0; i < 3; i++)
		ids[i] = give();
	for (unsigned int i = 0; i < 2; i++)
		virtqueue_put(queue, pop(ids[i]), 0);
	virtqueue_publish(queue);
	virtqueue_chain_free(pop(ids[2]));
	shared.region.desc[ids[0]].inflight = 1;
	shared.region.desc[ids[1]].inflight = 1;
	shared.region.used_idx -= 2;
	ck_assert_int_eq(take_up(), 0);
	virtqueue_put(queue, pop(ids[2]), 0);
	virtqueue_publish(queue);
	check_empty();
	ck_assert_uint_eq(collected(), 3);
}
END_TEST

/* Killed before the used index: the driver has not. */
START_TEST(new_after_a_death_before_the_index_does_it_again)
{
	int id = give();

	virtqueue_put(queue, pop(id), 0);
	ck_assert_int_eq(take_up(), 0);
	virtqueue_put(queue, pop(id), 0);
	virtqueue_publish(queue);
	check_empty();
	ck_assert_uint_eq(collected(), 1);
}
END_TEST

START_TEST(position_is_without_what_is_to_be_done_again)
{
	virtqueue_chain_free(pop(give()));
	virtqueue_chain_free(pop(give()));
	ck_assert_int_eq(take_up(), 0);
	ck_assert_uint_eq(virtqueue_position(queue).avail, 0);
	ck_assert_uint_eq(virtqueue_position(queue).used, 0);
}
END_TEST

/* The frontend may write to the region what it likes. */
START_TEST(new_with_an_impossible_region_is_refused)
{
	struct region *region = &shared.region;

	virtqueue_put(queue, pop(give()), 0);
	virtqueue_publish(queue);
	switch (_i) {
	case 0:
		region->version = 7;
		break;
	case 1:
		region->desc_num = SIZE * 2;
		break;
	case 2: /* a batch that is longer than the queue */
		region->used_idx -= SIZE + 1;
		break;
	case 3:
		region->used_idx--;
		region->last_batch_head = SIZE;
		break;
	default:
		region->used_idx -= 2;
		region->desc[region->last_batch_head].next = 0xffff;
		break;
	}
	ck_assert_int_eq(take_up(), -EINVAL);
}
END_TEST

/* A driver that does not wait: more is put than the queue has entries before
 * anything is shown. */
START_TEST(put_of_a_driver_that_overtakes_stays_in_bounds)
{
	struct virtqueue_chain *chain;
	struct vring_avail *avail = ring_driver_avail(driver);

	give();
	for (unsigned int i = 0; i < 5 * SIZE; i++) {
		avail->idx = (uint16_t)(i + 1);
		if (virtqueue_pop(queue, &chain) != 1)
			break;
		virtqueue_put(queue, chain, 0);
	}
	virtqueue_publish(queue);
	ck_assert_uint_eq(shared.region.desc[0].inflight, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("queue_inflight");
	TCase *tcase = tcase_create("queue_inflight");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, pop_after_a_death_begins_with_the_oldest);
	tcase_add_test(tcase,
		       new_after_a_death_behind_the_index_does_nothing_twice);
	tcase_add_test(tcase, new_after_a_death_before_the_index_does_it_again);
	tcase_add_test(tcase, position_is_without_what_is_to_be_done_again);
	tcase_add_loop_test(tcase, new_with_an_impossible_region_is_refused, 0,
			    5);
	tcase_add_test(tcase, put_of_a_driver_that_overtakes_stays_in_bounds);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
