/* A virtqueue and the driver it belongs to, for the tests of virtio/queue.c. */
#ifndef TESTS_UNIT_SUPPORT_QUEUE_PAIR_H
#define TESTS_UNIT_SUPPORT_QUEUE_PAIR_H

#include "tests/unit/support/ring_driver.h"

/* All combinations of what may be negotiated: 0 to 7. */
#define QUEUE_PAIR_FEATURES  8
#define QUEUE_PAIR_PACKED    1
#define QUEUE_PAIR_INDIRECT  2
#define QUEUE_PAIR_EVENT_IDX 4

struct queue_pair {
	struct guest_mem *mem;
	struct ring_driver *driver;
	struct virtqueue *queue;
	struct virtqueue_config config;
	uint64_t free; /* guest memory from here on is nobody's */
};

/* @start NULL: virtqueue_start. Whatever goes wrong ends the test. */
void queue_pair_init(struct queue_pair *pair, uint16_t size,
		     unsigned int features,
		     const struct virtqueue_position *start);
void queue_pair_fini(struct queue_pair *pair);

/* Free the queue, and make another where it stood. */
void queue_pair_resume(struct queue_pair *pair);

/* Interrupts since the last call. */
unsigned int queue_pair_interrupts(struct queue_pair *pair);

/* Add a chain of some 16-byte buffers; they lie one behind the other from
 * pair->free on. Return: its id. */
int queue_pair_add(struct queue_pair *pair, unsigned int readable,
		   unsigned int writable, bool indirect);

/* Pop one that must be there. */
struct virtqueue_chain *queue_pair_pop(struct queue_pair *pair);

#endif
