/*
 * Address dispatch: which device answers an I/O port or a guest physical
 * address. One bus for each address space. Any thread may use it at any time.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <stdint.h>

#include "vmm/base/host.h"

struct bus;

/**
 * bus_new() - Make a bus with nothing on it.
 * @out: for bus_free()
 * @limit: its last address
 *
 * Return: 0 or -ENOMEM.
 */
int bus_new(struct bus **out, uint64_t limit);

/* NULL is nothing to do. */
void bus_free(struct bus *bus);

/* As struct host_ops says of map and unmap. */
int bus_map(struct bus *bus, uint64_t base, uint64_t size,
	    const struct bus_ops *ops, void *ctx, const char *name);
int bus_unmap(struct bus *bus, uint64_t base);

/**
 * bus_read() - A guest's load or IN.
 * @data: @len bytes, in guest byte order; 0xff where no device answers
 * @len: 1 to 8, odd ones too
 *
 * O(log n) in the number of ranges. The handlers run on this thread, with the
 * bus not locked, so that they may map and unmap.
 */
void bus_read(struct bus *bus, uint64_t addr, uint8_t *data, unsigned int len);

/* A guest's store or OUT; dropped where no device answers. Likewise. */
void bus_write(struct bus *bus, uint64_t addr, const uint8_t *data,
	       unsigned int len);

#endif
