#include "tests/unit/support/fake_host.h"

#include <errno.h>
#include <string.h>

static struct fake_host *fake_host_of(struct host *host)
{
	/* host is the first member. */
	return (struct fake_host *)host;
}

static int fake_host_map(struct host *host, enum bus_kind bus, uint64_t base,
			 uint64_t size, const struct bus_ops *ops, void *ctx,
			 const char *name)
{
	struct fake_host *fake = fake_host_of(host);
	uint64_t last;

	if (size == 0 || __builtin_add_overflow(base, size - 1, &last))
		return -EINVAL;
	for (unsigned int i = 0; i < fake->range_count[bus]; i++) {
		const struct fake_range *r = &fake->ranges[bus][i];

		if (base <= r->base + (r->size - 1) && r->base <= last)
			return -EEXIST;
	}
	if (fake->range_count[bus] == FAKE_HOST_RANGES_MAX)
		return -ENOMEM;
	fake->ranges[bus][fake->range_count[bus]++] = (struct fake_range){
		.base = base,
		.size = size,
		.ops = ops,
		.ctx = ctx,
		.name = name,
	};
	return 0;
}

static int fake_host_unmap(struct host *host, enum bus_kind bus, uint64_t base)
{
	struct fake_host *fake = fake_host_of(host);
	struct fake_range *ranges = fake->ranges[bus];

	for (unsigned int i = 0; i < fake->range_count[bus]; i++) {
		if (ranges[i].base != base)
			continue;
		fake->range_count[bus]--;
		memmove(&ranges[i], &ranges[i + 1],
			(fake->range_count[bus] - i) * sizeof(ranges[0]));
		return 0;
	}
	return -ENOENT;
}

static void fake_host_irq_set(struct host *host, unsigned int gsi, bool level)
{
	struct fake_host *fake = fake_host_of(host);

	if (gsi >= FAKE_HOST_GSIS)
		return;
	if (level && !fake->irq_level[gsi])
		fake->irq_edges[gsi]++;
	fake->irq_level[gsi] = level;
}

static void fake_host_notice(struct host *host, enum host_notice notice,
			     unsigned int value)
{
	struct fake_host *fake = fake_host_of(host);

	fake->notices[notice]++;
	fake->notice_values[notice] = value;
}

static const struct host_ops fake_host_ops = {
	.map = fake_host_map,
	.unmap = fake_host_unmap,
	.irq_set = fake_host_irq_set,
	.notice = fake_host_notice,
};

void fake_host_init(struct fake_host *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->host.ops = &fake_host_ops;
}

void fake_host_forget(struct fake_host *fake)
{
	memset(fake->irq_level, 0, sizeof(fake->irq_level));
	memset(fake->irq_edges, 0, sizeof(fake->irq_edges));
	memset(fake->notices, 0, sizeof(fake->notices));
	memset(fake->notice_values, 0, sizeof(fake->notice_values));
}

const struct fake_range *fake_host_find(const struct fake_host *fake,
					enum bus_kind bus, uint64_t addr)
{
	for (unsigned int i = 0; i < fake->range_count[bus]; i++) {
		const struct fake_range *r = &fake->ranges[bus][i];

		if (addr >= r->base && addr - r->base < r->size)
			return r;
	}
	return NULL;
}

unsigned int fake_host_ranges(const struct fake_host *fake)
{
	unsigned int count = 0;

	for (unsigned int bus = 0; bus < BUS_KINDS; bus++)
		count += fake->range_count[bus];
	return count;
}

static uint64_t fake_host_mask(unsigned int size)
{
	return size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
}

/* The range that holds all of the access, or NULL. */
static const struct fake_range *fake_host_hit(const struct fake_host *fake,
					      enum bus_kind bus, uint64_t addr,
					      unsigned int size)
{
	const struct fake_range *r = fake_host_find(fake, bus, addr);

	return r && r->size - (addr - r->base) >= size ? r : NULL;
}

uint64_t fake_host_read(struct fake_host *fake, enum bus_kind bus,
			uint64_t addr, unsigned int size)
{
	const struct fake_range *r = fake_host_hit(fake, bus, addr, size);
	uint64_t value = 0;
	unsigned int step;

	if (!r || !r->ops->read)
		return fake_host_mask(size);
	step = size < r->ops->max_size ? size : r->ops->max_size;
	for (unsigned int i = 0; i < size; i += step) {
		uint64_t part = r->ops->read(r->ctx, addr - r->base + i, step);

		value |= (part & fake_host_mask(step)) << 8 * i;
	}
	return value;
}

void fake_host_write(struct fake_host *fake, enum bus_kind bus, uint64_t addr,
		     unsigned int size, uint64_t value)
{
	const struct fake_range *r = fake_host_hit(fake, bus, addr, size);
	unsigned int step;

	if (!r || !r->ops->write)
		return;
	step = size < r->ops->max_size ? size : r->ops->max_size;
	for (unsigned int i = 0; i < size; i += step)
		r->ops->write(r->ctx, addr - r->base + i, step,
			      value >> 8 * i & fake_host_mask(step));
}
