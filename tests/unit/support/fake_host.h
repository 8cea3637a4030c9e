/*
 * A machine without KVM, for the unit tests of device models: it keeps the
 * ranges that devices map, carries guest accesses to them as the real bus
 * does, and records interrupt lines and notices for the test to look at.
 *
 * One thread at a time, except that irq_set may come from any thread as long
 * as no two threads drive one GSI at once.
 */
#ifndef TESTS_UNIT_SUPPORT_FAKE_HOST_H
#define TESTS_UNIT_SUPPORT_FAKE_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/host.h"

#define FAKE_HOST_RANGES_MAX 64
#define FAKE_HOST_GSIS	     64

struct fake_range {
	uint64_t base;
	uint64_t size;
	const struct bus_ops *ops;
	void *ctx;
	const char *name;
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
};

/* Nothing mapped, all lines low, no notices. There is nothing to undo. */
void fake_host_init(struct fake_host *fake);

/* Lines and notices as after fake_host_init(); the ranges stay. */
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
 */
uint64_t fake_host_read(struct fake_host *fake, enum bus_kind bus,
			uint64_t addr, unsigned int size);

void fake_host_write(struct fake_host *fake, enum bus_kind bus, uint64_t addr,
		     unsigned int size, uint64_t value);

#endif
