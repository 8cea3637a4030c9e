/*
 * Virtqueues: random programs of a driver and a device that both keep to the
 * rules, against a reference of what is outstanding, where, and of which
 * notifications are due. With all that can be negotiated, and many sizes.
 */
#include "virtio/queue.h"

#include <errno.h>
#include <stdlib.h>

#include <check.h>

#include "tests/unit/support/queue_pair.h"

#define STEPS 4000

static const uint16_t sizes[] = {1, 2, 3, 7, 8, 64, 256, 1000, 1024, 32768};
/* Check notes each assertion in a file, and here are millions. */
#define check(condition)                                        \
	do {                                                    \
		if (!(condition))                               \
			ck_abort_msg("not so: %s", #condition); \
	} while (0)
#define SIZES ((int)(sizeof(sizes) / sizeof(sizes[0])))

/* A buffer from when it is added until it is collected. */
struct ref {
	struct iovec readable[16], writable[16]; /* empty ones left out */
	unsigned int readable_count, writable_count;
	uint64_t writable_len;
	unsigned int entries;
	int id;
	uint32_t written;
	uint64_t popped_as;	       /* the how many-eth it was */
	struct virtqueue_chain *chain; /* while it is in flight */
};

/* Which entry the other side wants to hear of; both count from 0 on and do
 * not wrap. Split: buffers; packed: entries. */
struct event {
	bool wanted; /* without event_idx, or with packed DISABLE */
	uint64_t at;
};

struct program {
	struct queue_pair pair;
	unsigned int size, table;
	bool packed, indirect, event_idx;
	uint64_t lap;	    /* after so many, an event is the same again */
	unsigned int state; /* of the random numbers */

	/* By number modulo size: no more can be outstanding. */
	struct ref **added, **used;
	uint64_t add_count, publish_count, pop_count;
	uint64_t put_count, show_count, collect_count;
	/* In units of events. */
	uint64_t add_place, publish_place, pop_place;
	uint64_t put_place, show_place, collect_place;
	struct ref **flight;
	unsigned int flight_count;
	struct event kick, interrupt;
	bool renew; /* the driver does, with each it collects */
};

static unsigned int pick(struct program *program, unsigned int below)
{
	/* Numerical Recipes' generator; the high bits are the good ones. */
	program->state = program->state * 1664525 + 1013904223;
	return (unsigned int)((uint64_t)program->state * below >> 32);
}

/* Does the event lie among [from, to), in any lap? */
static bool event_due(const struct program *program, const struct event *event,
		      uint64_t from, uint64_t to)
{
	uint64_t at = event->at;

	if (from == to || !event->wanted)
		return false;
	if (!program->event_idx)
		return true;
	/* The last of its laps that is not past the end. */
	if (at >= to)
		at -= (at - to) / program->lap * program->lap + program->lap;
	else
		at += (to - 1 - at) / program->lap * program->lap;
	return at >= from && at < to;
}

/* --- The driver ------------------------------------------------------------
 */

static void pick_buffer(struct program *program,
			struct ring_driver_buffer *buffer, struct iovec *iov,
			unsigned int *count)
{
	uint64_t gpa = program->pair.free + pick(program, 4096);
	uint32_t len = pick(program, 4) ? pick(program, 2000) : 0;

	*buffer = (struct ring_driver_buffer){.gpa = gpa, .len = len};
	if (len == 0)
		return;
	iov[*count].iov_base = guest_mem_span(program->pair.mem, gpa, len);
	iov[*count].iov_len = len;
	++*count;
}

static bool program_add(struct program *program)
{
	struct ring_driver_chain chain = {0};
	struct ref *ref = calloc(1, sizeof(*ref));
	unsigned int max = program->size, count;

	check(ref);
	chain.indirect = program->indirect && pick(program, 2);
	if (max > 16 || chain.indirect)
		max = program->table;
	count = 1 + pick(program, max);
	chain.readable_count = pick(program, count + 1);
	chain.writable_count = count - chain.readable_count;
	for (unsigned int i = 0; i < chain.readable_count; i++)
		pick_buffer(program, &chain.readable[i], ref->readable,
			    &ref->readable_count);
	for (unsigned int i = 0; i < chain.writable_count; i++) {
		pick_buffer(program, &chain.writable[i], ref->writable,
			    &ref->writable_count);
		ref->writable_len += chain.writable[i].len;
	}
	chain.token = ref;
	ref->entries = chain.indirect ? 1 : count;
	ref->id = ring_driver_add(program->pair.driver, &chain);
	if (ref->id < 0) {
		free(ref);
		return false;
	}
	program->added[program->add_count++ % program->size] = ref;
	program->add_place += program->packed ? ref->entries : 1;
	return true;
}

static void program_make_available(struct program *program)
{
	bool due = event_due(program, &program->kick, program->publish_place,
			     program->add_place);

	check(ring_driver_publish(program->pair.driver) == due);
	program->publish_count = program->add_count;
	program->publish_place = program->add_place;
}

static bool program_collect(struct program *program)
{
	struct ring_driver_used used;
	struct ref *ref;
	int ret = ring_driver_collect(program->pair.driver, &used);

	check(ret == (program->collect_count < program->show_count));
	if (ret == 0)
		return false;
	ref = program->used[program->collect_count++ % program->size];
	check(used.token == ref);
	check(used.id == ref->id);
	check(used.len == ref->written);
	program->collect_place += program->packed ? ref->entries : 1;
	if (program->renew)
		program->interrupt.at = program->collect_place;
	free(ref);
	return true;
}

static void program_change_interrupts(struct program *program)
{
	struct ring_driver *driver = program->pair.driver;
	bool waits = program->collect_count < program->show_count;
	bool wanted = pick(program, 2);
	unsigned int ahead;

	if (program->event_idx && pick(program, 2)) {
		ahead = pick(program, program->size);
		program->interrupt =
			(struct event){true, program->collect_place + ahead};
		program->renew = false;
		check(ring_driver_set_event(driver, (uint16_t)ahead) == waits);
		return;
	}
	program->interrupt = (struct event){wanted, program->collect_place};
	program->renew = wanted && program->event_idx;
	check(ring_driver_set_interrupts(driver, wanted) == waits);
}

/* --- The device ------------------------------------------------------------
 */

static void check_iovecs(const struct iovec *iov, unsigned int count,
			 const struct iovec *expected,
			 unsigned int expected_count)
{
	check(count == expected_count);
	for (unsigned int i = 0; i < count; i++) {
		check(iov[i].iov_base == expected[i].iov_base);
		check(iov[i].iov_len == expected[i].iov_len);
	}
}

static bool program_pop(struct program *program)
{
	struct virtqueue_chain *chain = NULL;
	struct ref *ref;
	int ret = virtqueue_pop(program->pair.queue, &chain);

	check(ret == (program->pop_count < program->publish_count));
	if (ret == 0)
		return false;
	ref = program->added[program->pop_count % program->size];
	ref->popped_as = program->pop_count++;
	ref->chain = chain;
	program->pop_place += program->packed ? ref->entries : 1;
	program->flight[program->flight_count++] = ref;
	check_iovecs(chain->readable, chain->readable_count, ref->readable,
		     ref->readable_count);
	check_iovecs(chain->writable, chain->writable_count, ref->writable,
		     ref->writable_count);
	check(chain->writable_len == ref->writable_len);
	return true;
}

static bool program_put(struct program *program)
{
	struct ref *ref;
	unsigned int i;

	if (program->flight_count == 0)
		return false;
	/* Half of them in order. */
	i = pick(program, 2) ? 0 : pick(program, program->flight_count);
	ref = program->flight[i];
	program->flight_count--;
	for (; i < program->flight_count; i++)
		program->flight[i] = program->flight[i + 1];
	ref->written = pick(program, (unsigned int)ref->writable_len + 1);
	virtqueue_put(program->pair.queue, ref->chain, ref->written);
	ref->chain = NULL;
	program->used[program->put_count++ % program->size] = ref;
	program->put_place += program->packed ? ref->entries : 1;
	return true;
}

static void program_show(struct program *program)
{
	bool due = event_due(program, &program->interrupt, program->show_place,
			     program->put_place);

	virtqueue_publish(program->pair.queue);
	check(queue_pair_interrupts(&program->pair) == due);
	program->show_count = program->put_count;
	program->show_place = program->put_place;
}

static void program_change_kicks(struct program *program)
{
	bool wanted = pick(program, 2);

	if (wanted)
		program->kick.at = program->pop_place;
	/* A split ring's event stays where it was. */
	if (wanted || program->packed || !program->event_idx)
		program->kick.wanted = wanted;
	check(virtqueue_set_kicks(program->pair.queue, wanted) ==
	      (program->pop_count < program->publish_count));
}

/* What is in flight must be what was popped last. */
static void program_resume(struct program *program)
{
	uint64_t first = program->pop_count - program->flight_count;

	for (unsigned int i = 0; i < program->flight_count; i++)
		if (program->flight[i]->popped_as < first)
			return;
	program_show(program);
	queue_pair_resume(&program->pair);
	for (unsigned int i = 0; i < program->flight_count; i++) {
		struct ref *ref = program->flight[i];

		virtqueue_chain_free(ref->chain);
		program->pop_place -= program->packed ? ref->entries : 1;
	}
	program->flight_count = 0;
	program->pop_count = first;
	program->kick = (struct event){true, program->pop_place};
}

/* --- Both ------------------------------------------------------------------
 */

static void program_step(struct program *program)
{
	/* Many at once, now and then, to fill and to drain the ring. */
	unsigned int times = pick(program, 3) ? 1 : 1 + pick(program, 300);

	switch (pick(program, 10)) {
	case 0:
	case 1:
		while (times-- && program_add(program))
			;
		break;
	case 2:
		program_make_available(program);
		break;
	case 3:
		while (times-- && program_collect(program))
			;
		break;
	case 4:
		program_change_interrupts(program);
		break;
	case 5:
		while (times-- && program_pop(program))
			;
		break;
	case 6:
		while (times-- && program_put(program))
			;
		break;
	case 7:
		program_show(program);
		break;
	case 8:
		program_change_kicks(program);
		break;
	default:
		if (pick(program, 20) == 0)
			program_resume(program);
		break;
	}
	check(virtqueue_in_flight(program->pair.queue) ==
	      program->flight_count);
	check(ring_driver_outstanding(program->pair.driver) ==
	      program->add_count - program->collect_count);
}

static void *some_refs(unsigned int size)
{
	void *refs = calloc(size, sizeof(struct ref *));

	ck_assert_ptr_nonnull(refs);
	return refs;
}

static void program_init(struct program *program, unsigned int size,
			 unsigned int features, unsigned int seed)
{
	struct virtqueue_position start;

	*program = (struct program){
		.size = size,
		.table = size < 16 ? size : 16,
		.packed = features & QUEUE_PAIR_PACKED,
		.indirect = features & QUEUE_PAIR_INDIRECT,
		.event_idx = features & QUEUE_PAIR_EVENT_IDX,
		.state = seed,
		.kick = {.wanted = true},
		.interrupt = {.wanted = true},
		.added = some_refs(size),
		.used = some_refs(size),
		.flight = some_refs(size),
	};
	program->lap = program->packed ? 2 * size : 65536;
	program->renew = program->event_idx;
	start.avail = (uint16_t)pick(program, program->packed ? size : 65536);
	start.avail_wrap = pick(program, 2);
	start.used = start.avail;
	start.used_wrap = start.avail_wrap;
	queue_pair_init(&program->pair, (uint16_t)size, features, &start);
}

static void program_fini(struct program *program)
{
	/* All that is anywhere comes back. */
	program_make_available(program);
	while (program_pop(program))
		;
	while (program_put(program))
		;
	program_show(program);
	while (program_collect(program))
		;
	check(ring_driver_room(program->pair.driver) == program->size);
	check(program->collect_count == program->add_count);
	queue_pair_fini(&program->pair);
	free(program->added);
	free(program->used);
	free(program->flight);
}

START_TEST(program_of_both_sides_agrees_with_the_reference)
{
	unsigned int size = sizes[_i / QUEUE_PAIR_FEATURES];
	unsigned int features = (unsigned int)_i % QUEUE_PAIR_FEATURES;

	if (!(features & QUEUE_PAIR_PACKED))
		while (size & (size - 1))
			size++;
	for (unsigned int seed = 1; seed <= 2; seed++) {
		struct program program;

		program_init(&program, size, features, seed);
		for (unsigned int i = 0; i < STEPS; i++)
			program_step(&program);
		program_fini(&program);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("queue_random");
	TCase *tcase = tcase_create("queue_random");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase,
			    program_of_both_sides_agrees_with_the_reference, 0,
			    SIZES * QUEUE_PAIR_FEATURES);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
