/*
 * A machine without KVM, for the unit tests of device models: it keeps the
 * ranges that devices map, carries guest accesses to them as the real bus
 * does, and records interrupt lines and notices for the test to look at.
 *
 * One thread at a time, except that irq_set may come from any thread as long
 * as no two threads drive one GSI at once, and that anybody may signal eventfds
 * and call those operations that have to do with them.
 *
 * Message-signalled interrupts behave as KVM's do: while an eventfd is attached
 * each signal is delivered, at the latest when it is taken off, which leaves
 * its counter at 0. Nobody waits for it here, though: what was signalled is
 * found by the functions below that count, and several signals until then are
 * one interrupt.
 */
#ifndef TESTS_UNIT_SUPPORT_FAKE_HOST_H
#define TESTS_UNIT_SUPPORT_FAKE_HOST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/host.h"

#define FAKE_HOST_RANGES_MAX 64
#define FAKE_HOST_GSIS	     64 /* of pins; those of MSIs follow */
#define FAKE_HOST_MSIS	     2304
#define FAKE_HOST_IRQFDS     2304
#define FAKE_HOST_DOORBELLS  512

struct fake_range {
	uint64_t base;
	uint64_t size;
	const struct bus_ops *ops;
	void *ctx;
	const char *name;
};

/* The interrupt FAKE_HOST_GSIS + its index. */
struct fake_msi {
	bool used, routed;
	struct host_msi route; /* the last one */
	unsigned int routes;   /* how often it was set */
	unsigned int fires;    /* see fake_host_fires() */
};

#define FAKE_HOST_MESSAGES 64

/* How often a message came: the first FAKE_HOST_MESSAGES different ones. */
struct fake_message {
	uint32_t data;
	unsigned int count;
};

struct fake_irqfd {
	int fd;
	unsigned int gsi;
};

struct fake_host {
	struct host host; /* what the device gets */

	/* The mapped ranges, in the order in which they were mapped. */
	struct fake_range ranges[BUS_KINDS][FAKE_HOST_RANGES_MAX];
	unsigned int range_count[BUS_KINDS];

	/* By GSI: the line's level, and how often it went from low to high. */
	bool irq_level[FAKE_HOST_GSIS];
	unsigned int irq_edges[FAKE_HOST_GSIS];

	/* How often each notice came, and the value of the last of its kind. */
	unsigned int notices[HOST_NOTICES];
	unsigned int notice_values[HOST_NOTICES];

	pthread_mutex_t msi_lock;
	/* Under it, but for a test without other threads. */
	struct fake_msi msis[FAKE_HOST_MSIS];
	unsigned int msi_limit; /* so many can be used: FAKE_HOST_MSIS */
	unsigned int msi_count; /* are used */
	struct fake_irqfd irqfds[FAKE_HOST_IRQFDS];
	unsigned int irqfd_count;
	struct fake_message messages[FAKE_HOST_MESSAGES];
	struct host_doorbell doorbells[FAKE_HOST_DOORBELLS];
	unsigned int doorbell_count;
	/* What the operation says from now on, if not 0. */
	int msi_route_error, irqfd_add_error, doorbell_add_error;
};

/* Nothing mapped, all lines low, no notices. There is nothing to undo. */
void fake_host_init(struct fake_host *fake);

/* Lines, notices and counts of interrupts as after fake_host_init(); the ranges
 * stay. */
void fake_host_forget(struct fake_host *fake);

/* The range that holds @addr, or NULL. */
const struct fake_range *fake_host_find(const struct fake_host *fake,
					enum bus_kind bus, uint64_t addr);

/* Ranges that are mapped on both buses: 0 once all devices are freed. */
unsigned int fake_host_ranges(const struct fake_host *fake);

/**
 * fake_host_read() - One guest access.
 * @size: 1, 2, 4 or 8
 *
 * Split where it is wider than the range takes; whatever is not in one range
 * as a whole reads as all ones. Values that pass @size are cut off, as the
 * bus does, so that a device may not rely on more.
 *
 * A write that a doorbell is for signals its eventfd and does not get to the
 * range.
 */
uint64_t fake_host_read(struct fake_host *fake, enum bus_kind bus,
			uint64_t addr, unsigned int size);

void fake_host_write(struct fake_host *fake, enum bus_kind bus, uint64_t addr,
		     unsigned int size, uint64_t value);

/* Whether signals of @fd raise an interrupt at present. */
bool fake_host_listens(struct fake_host *fake, int fd);

/* How often the interrupt came so far. */
unsigned int fake_host_fires(struct fake_host *fake, unsigned int gsi);

/* Likewise, of all interrupts whose message is data (to whatever address) by
 * the route that they had then. */
unsigned int fake_host_messages(struct fake_host *fake, uint32_t data);

/* The doorbell at that address and of that value (any, if it matches none), or
 * NULL. */
const struct host_doorbell *fake_host_doorbell(const struct fake_host *fake,
					       enum bus_kind bus, uint64_t addr,
					       uint64_t value);

#endif
