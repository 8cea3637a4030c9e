/* A virtqueue and its driver. */
#include "tests/unit/support/queue_pair.h"

#include <stdlib.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include <check.h>

#define BASE UINT64_C(0x10000)
#define MIB  32

void queue_pair_init(struct queue_pair *pair, uint16_t size,
		     unsigned int features,
		     const struct virtqueue_position *start)
{
	struct ring_driver_options options = {
		.base = BASE,
		.size = size,
		.packed = features & QUEUE_PAIR_PACKED,
		.indirect = features & QUEUE_PAIR_INDIRECT,
		.event_idx = features & QUEUE_PAIR_EVENT_IDX,
		.start = start,
	};

	pair->mem = ring_driver_mem(MIB);
	pair->driver = ring_driver_new(pair->mem, &options);
	pair->free = BASE + ring_driver_footprint(&options);
	ring_driver_config(pair->driver, &pair->config);
	pair->config.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(pair->config.call_fd, 0);
	ck_assert_int_eq(virtqueue_new(&pair->queue, pair->mem, &pair->config,
				       start ? start : &virtqueue_start),
			 0);
}

void queue_pair_fini(struct queue_pair *pair)
{
	virtqueue_free(pair->queue);
	ring_driver_free(pair->driver);
	guest_mem_free(pair->mem);
	close(pair->config.call_fd);
}

void queue_pair_resume(struct queue_pair *pair)
{
	struct virtqueue_position position = virtqueue_position(pair->queue);

	virtqueue_free(pair->queue);
	ck_assert_int_eq(virtqueue_new(&pair->queue, pair->mem, &pair->config,
				       &position),
			 0);
}

unsigned int queue_pair_interrupts(struct queue_pair *pair)
{
	eventfd_t count = 0;

	return eventfd_read(pair->config.call_fd, &count) == 0
		       ? (unsigned int)count
		       : 0;
}

int queue_pair_add(struct queue_pair *pair, unsigned int readable,
		   unsigned int writable, bool indirect)
{
	struct ring_driver_chain chain = {
		.readable_count = readable,
		.writable_count = writable,
		.indirect = indirect,
	};
	int id;

	for (unsigned int i = 0; i < readable; i++)
		chain.readable[i] = (struct ring_driver_buffer){
			.gpa = pair->free + i * UINT64_C(16), .len = 16};
	for (unsigned int i = 0; i < writable; i++)
		chain.writable[i] = (struct ring_driver_buffer){
			.gpa = pair->free + (readable + i) * UINT64_C(16),
			.len = 16};
	id = ring_driver_add(pair->driver, &chain);
	ck_assert_int_ge(id, 0);
	return id;
}

struct virtqueue_chain *queue_pair_pop(struct queue_pair *pair)
{
	struct virtqueue_chain *chain = NULL;

	ck_assert_int_eq(virtqueue_pop(pair->queue, &chain), 1);
	ck_assert_ptr_nonnull(chain);
	return chain;
}
