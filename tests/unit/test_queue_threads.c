/*
 * Virtqueues with the driver and the device on a thread each, which share
 * guest memory and two eventfds and nothing else: for ThreadSanitizer, and for
 * notifications that get lost, which would leave both sides asleep. It also
 * says how long a buffer takes, which is for reading, and not asserted.
 */
#include "virtio/queue.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/queue_pair.h"

#define SIZE	64
#define BUFFERS 20000
/* Longer than anything takes on a loaded host; only a lost wake-up gets
 * there. */
#define WAIT_MS 30000

struct meeting {
	struct queue_pair pair;
	const char *failed; /* of the driver's thread, read after its end */
};

/* Return: false if nobody woke us. */
static bool wait_for(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	eventfd_t count;

	if (poll(&poll_fd, 1, WAIT_MS) != 1)
		return false;
	return eventfd_read(fd, &count) == 0;
}

/* --- The driver ------------------------------------------------------------
 */

/* Two numbers for the device to read, and one for it to write their sum. */
static uint64_t slot_gpa(const struct meeting *meeting, uint64_t number)
{
	return meeting->pair.free + number % SIZE * 64;
}

static bool driver_add(struct meeting *meeting, uint64_t number)
{
	uint64_t gpa = slot_gpa(meeting, number);
	const struct ring_driver_chain chain = {
		.readable = {{gpa, 8}, {gpa + 8, 8}},
		.readable_count = 2,
		.writable = {{gpa + 16, 8}},
		.writable_count = 1,
		.indirect = meeting->pair.config.indirect && number % 3,
		.token = guest_mem_span(meeting->pair.mem, gpa, 64),
	};
	uint64_t *slot = chain.token;

	if (ring_driver_room(meeting->pair.driver) < 3)
		return false;
	/* A slot is free again when its buffer is back. */
	if (slot[3])
		return false;
	slot[0] = number;
	slot[1] = number * 7;
	slot[2] = 0;
	slot[3] = 1;
	return ring_driver_add(meeting->pair.driver, &chain) >= 0;
}

/* Return: how many came back, or -1. */
static int driver_collect(struct meeting *meeting)
{
	struct ring_driver_used used;
	int count = 0, ret;

	for (;;) {
		uint64_t *slot;

		ret = ring_driver_collect(meeting->pair.driver, &used);
		if (ret <= 0)
			return ret < 0 ? -1 : count;
		slot = used.token;
		if (used.len != 8 || slot[2] != slot[0] * 8)
			return -1;
		slot[3] = 0;
		count++;
	}
}

static void *driver_main(void *ctx)
{
	struct meeting *meeting = ctx;
	struct queue_pair *pair = &meeting->pair;
	uint64_t added = 0, collected = 0;

	while (collected < BUFFERS) {
		int count;

		while (added < BUFFERS && driver_add(meeting, added))
			added++;
		if (ring_driver_publish(pair->driver))
			eventfd_write(pair->config.kick_fd, 1);
		ring_driver_set_interrupts(pair->driver, false);
		count = driver_collect(meeting);
		if (count < 0) {
			meeting->failed = "a wrong buffer came back";
			return NULL;
		}
		collected += (uint64_t)count;
		if (count || ring_driver_set_interrupts(pair->driver, true))
			continue;
		if (!wait_for(pair->config.call_fd)) {
			meeting->failed = "no interrupt came";
			return NULL;
		}
	}
	return NULL;
}

/* --- The device ------------------------------------------------------------
 */

static bool device_serve(struct virtqueue *queue, struct virtqueue_chain *chain)
{
	uint64_t numbers[2], sum;

	if (virtqueue_chain_read(chain, 0, numbers, 16) != 16)
		return false;
	sum = numbers[0] + numbers[1];
	if (virtqueue_chain_write(chain, 0, &sum, 8) != 8)
		return false;
	virtqueue_put(queue, chain, 8);
	return true;
}

/* Return: what went wrong, or NULL. */
static const char *device_main(struct queue_pair *pair)
{
	uint64_t served = 0;

	while (served < BUFFERS) {
		struct virtqueue_chain *chain;
		int ret;

		virtqueue_set_kicks(pair->queue, false);
		while ((ret = virtqueue_pop(pair->queue, &chain)) == 1) {
			if (!device_serve(pair->queue, chain))
				return "a short chain";
			/* In batches of all lengths. */
			if (++served % 5 == 0 || served % 7 == 0)
				virtqueue_publish(pair->queue);
		}
		virtqueue_publish(pair->queue);
		if (ret < 0)
			return "the queue broke";
		if (served == BUFFERS || virtqueue_set_kicks(pair->queue, true))
			continue;
		if (!wait_for(pair->config.kick_fd))
			return "no kick came";
	}
	return NULL;
}

START_TEST(two_threads_lose_nothing)
{
	struct meeting meeting = {.failed = NULL};
	struct queue_pair *pair = &meeting.pair;
	const char *failed;
	pthread_t thread;

	queue_pair_init(pair, SIZE, (unsigned int)_i, NULL);
	pair->config.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(pair->config.kick_fd, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, driver_main, &meeting),
			 0);
	failed = device_main(pair);
	pthread_join(thread, NULL);
	ck_assert_msg(!failed, "device: %s", failed);
	ck_assert_msg(!meeting.failed, "driver: %s", meeting.failed);
	close(pair->config.kick_fd);
	queue_pair_fini(pair);
}
END_TEST

/* --- How long it takes -----------------------------------------------------
 */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

#define BENCH_ROUNDS 500

START_TEST(buffers_come_back_at_some_speed)
{
	struct queue_pair pair;
	uint64_t device_ns = 0;
	bool indirect = _i & QUEUE_PAIR_INDIRECT;
	unsigned int batch = SIZE / (indirect ? 1 : 4);

	queue_pair_init(&pair, SIZE, (unsigned int)_i, NULL);
	ring_driver_set_interrupts(pair.driver, false);
	for (unsigned int i = 0; i < BENCH_ROUNDS; i++) {
		struct virtqueue_chain *chains[SIZE] = {NULL};
		struct ring_driver_used used;
		uint64_t start;

		for (unsigned int j = 0; j < batch; j++)
			queue_pair_add(&pair, 2, 2, indirect);
		ring_driver_publish(pair.driver);
		start = now_ns();
		for (unsigned int j = 0; j < batch; j++)
			virtqueue_pop(pair.queue, &chains[j]);
		for (unsigned int j = 0; j < batch; j++)
			virtqueue_put(pair.queue, chains[j], 0);
		virtqueue_publish(pair.queue);
		device_ns += now_ns() - start;
		for (unsigned int j = 0; j < batch; j++)
			ck_assert_int_eq(
				ring_driver_collect(pair.driver, &used), 1);
	}
	printf("queue: %s, %s: %" PRIu64
	       " ns a buffer of 4 descriptors, device's side\n",
	       pair.config.packed ? "packed" : "split",
	       indirect ? "indirect" : "direct",
	       device_ns / BENCH_ROUNDS / batch);
	queue_pair_fini(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("queue_threads");
	TCase *tcase = tcase_create("queue_threads");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 2.0 * WAIT_MS / 1000);
	tcase_add_loop_test(tcase, two_threads_lose_nothing, 0,
			    QUEUE_PAIR_FEATURES);
	tcase_add_loop_test(tcase, buffers_come_back_at_some_speed, 0,
			    QUEUE_PAIR_EVENT_IDX);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
