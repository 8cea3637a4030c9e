/*
 * Address dispatch. Addresses, lengths and data are the guest's.
 */
#include "vmm/bus.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/log.h"

struct bus_range {
	uint64_t base;
	uint64_t last; /* inclusive, so that the top of the space has a name */
	const struct bus_ops *ops;
	void *ctx;	  /* borrowed */
	const char *name; /* borrowed */
};

struct bus {
	uint64_t limit;

	pthread_rwlock_t lock;	  /* the rest is under it */
	struct bus_range *ranges; /* owned; ascending, not overlapping */
	size_t count;
};

int bus_new(struct bus **out, uint64_t limit)
{
	struct bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return -ENOMEM;
	bus->limit = limit;
	pthread_rwlock_init(&bus->lock, NULL);
	*out = bus;
	return 0;
}

void bus_free(struct bus *bus)
{
	if (!bus)
		return;
	pthread_rwlock_destroy(&bus->lock);
	free(bus->ranges);
	free(bus);
}

/* Index of the first range that ends at or behind addr. */
static size_t bus_search_locked(const struct bus *bus, uint64_t addr)
{
	size_t low = 0, high = bus->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (bus->ranges[middle].last < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int bus_insert_locked(struct bus *bus, const struct bus_range *range)
{
	size_t at = bus_search_locked(bus, range->base);
	struct bus_range *ranges;

	if (at < bus->count && bus->ranges[at].base <= range->last)
		return -EEXIST;
	ranges = reallocarray(bus->ranges, bus->count + 1, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	memmove(&ranges[at + 1], &ranges[at],
		(bus->count - at) * sizeof(*ranges));
	ranges[at] = *range;
	bus->ranges = ranges;
	bus->count++;
	return 0;
}

int bus_map(struct bus *bus, uint64_t base, uint64_t size,
	    const struct bus_ops *ops, void *ctx, const char *name)
{
	struct bus_range range = {
		.base = base,
		.ops = ops,
		.ctx = ctx,
		.name = name,
	};
	int rc;

	if (!size || __builtin_add_overflow(base, size - 1, &range.last) ||
	    range.last > bus->limit)
		return -EINVAL;
	pthread_rwlock_wrlock(&bus->lock);
	rc = bus_insert_locked(bus, &range);
	pthread_rwlock_unlock(&bus->lock);
	log_debug("bus: %s at 0x%llx to 0x%llx: %s", name,
		  (unsigned long long)base, (unsigned long long)range.last,
		  rc ? "refused" : "mapped");
	return rc;
}

int bus_unmap(struct bus *bus, uint64_t base)
{
	int rc = -ENOENT;
	size_t at;

	pthread_rwlock_wrlock(&bus->lock);
	at = bus_search_locked(bus, base);
	if (at < bus->count && bus->ranges[at].base == base) {
		bus->count--;
		memmove(&bus->ranges[at], &bus->ranges[at + 1],
			(bus->count - at) * sizeof(*bus->ranges));
		rc = 0;
	}
	pthread_rwlock_unlock(&bus->lock);
	return rc;
}

static bool bus_find(struct bus *bus, uint64_t addr, struct bus_range *range)
{
	bool found = false;
	size_t at;

	pthread_rwlock_rdlock(&bus->lock);
	at = bus_search_locked(bus, addr);
	if (at < bus->count && bus->ranges[at].base <= addr) {
		*range = bus->ranges[at];
		found = true;
	}
	pthread_rwlock_unlock(&bus->lock);
	return found;
}

/*
 * The widest piece at addr that the device takes: a power of two, naturally
 * aligned, inside the range and inside the access.
 */
static unsigned int bus_piece(const struct bus_range *range, uint64_t addr,
			      unsigned int len)
{
	unsigned int size = range->ops->max_size;

	while (size > 1 && (size > len || (addr & (size - 1)) ||
			    range->last - addr < size - 1))
		size /= 2;
	return size;
}

void bus_read(struct bus *bus, uint64_t addr, uint8_t *data, unsigned int len)
{
	struct bus_range range = {.last = 0};
	bool found = false;

	while (len) {
		unsigned int size = 1;

		if (!found || addr > range.last)
			found = bus_find(bus, addr, &range);
		if (found) {
			uint64_t value;

			size = bus_piece(&range, addr, len);
			value = htole64(range.ops->read(
				range.ctx, addr - range.base, size));
			memcpy(data, &value, size);
		} else {
			*data = 0xff;
		}
		addr += size;
		data += size;
		len -= size;
	}
}

void bus_write(struct bus *bus, uint64_t addr, const uint8_t *data,
	       unsigned int len)
{
	struct bus_range range = {.last = 0};
	bool found = false;

	while (len) {
		unsigned int size = 1;

		if (!found || addr > range.last)
			found = bus_find(bus, addr, &range);
		if (found) {
			uint64_t value = 0;

			size = bus_piece(&range, addr, len);
			memcpy(&value, data, size);
			range.ops->write(range.ctx, addr - range.base, size,
					 le64toh(value));
		}
		addr += size;
		data += size;
		len -= size;
	}
}
