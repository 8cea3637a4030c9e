#include "tests/unit/support/fake_host.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

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

/* --- Message-signalled interrupts -------------------------------------------
 */

static struct fake_msi *fake_host_msi(struct fake_host *fake, unsigned int gsi)
{
	if (gsi < FAKE_HOST_GSIS || gsi - FAKE_HOST_GSIS >= FAKE_HOST_MSIS ||
	    !fake->msis[gsi - FAKE_HOST_GSIS].used)
		return NULL;
	return &fake->msis[gsi - FAKE_HOST_GSIS];
}

static int fake_host_msi_alloc(struct host *host, unsigned int *gsi)
{
	struct fake_host *fake = fake_host_of(host);
	int rc = -ENOSPC;

	pthread_mutex_lock(&fake->msi_lock);
	for (unsigned int i = 0;
	     i < FAKE_HOST_MSIS && fake->msi_count < fake->msi_limit && rc;
	     i++) {
		if (fake->msis[i].used)
			continue;
		fake->msis[i] = (struct fake_msi){.used = true};
		fake->msi_count++;
		*gsi = FAKE_HOST_GSIS + i;
		rc = 0;
	}
	pthread_mutex_unlock(&fake->msi_lock);
	return rc;
}

static void fake_host_msi_free(struct host *host, unsigned int gsi)
{
	struct fake_host *fake = fake_host_of(host);
	struct fake_msi *msi;

	pthread_mutex_lock(&fake->msi_lock);
	msi = fake_host_msi(fake, gsi);
	if (msi) {
		msi->used = false;
		fake->msi_count--;
	}
	pthread_mutex_unlock(&fake->msi_lock);
}

/* Deliver what was signalled. */
static void fake_host_hear_locked(struct fake_host *fake, unsigned int index)
{
	const struct fake_irqfd *irqfd = &fake->irqfds[index];
	struct fake_msi *msi = fake_host_msi(fake, irqfd->gsi);
	struct pollfd poll_fd = {.fd = irqfd->fd, .events = POLLIN};
	eventfd_t count;

	if (poll(&poll_fd, 1, 0) != 1 || eventfd_read(irqfd->fd, &count))
		return;
	if (!msi)
		return;
	msi->fires++;
	for (unsigned int i = 0; i < FAKE_HOST_MESSAGES; i++) {
		struct fake_message *m = &fake->messages[i];

		if (m->count && m->data != msi->route.data)
			continue;
		m->data = msi->route.data;
		m->count++;
		return;
	}
}

static void fake_host_hear_all_locked(struct fake_host *fake)
{
	for (unsigned int i = 0; i < fake->irqfd_count; i++)
		fake_host_hear_locked(fake, i);
}

static int fake_host_msi_route(struct host *host, unsigned int gsi,
			       const struct host_msi *route)
{
	struct fake_host *fake = fake_host_of(host);
	int rc = fake->msi_route_error;
	struct fake_msi *msi;

	pthread_mutex_lock(&fake->msi_lock);
	msi = fake_host_msi(fake, gsi);
	if (!rc && !msi)
		rc = -EINVAL;
	if (!rc) {
		/* What came before goes the former way. */
		fake_host_hear_all_locked(fake);
		msi->route = *route;
		msi->routed = true;
		msi->routes++;
	}
	pthread_mutex_unlock(&fake->msi_lock);
	return rc;
}

static int fake_host_irqfd_add_locked(struct fake_host *fake, unsigned int gsi,
				      int fd)
{
	const struct fake_msi *msi = fake_host_msi(fake, gsi);

	if (fake->irqfd_add_error)
		return fake->irqfd_add_error;
	/* KVM would deliver it to nowhere; here it is a mistake. */
	if (!msi || !msi->routed)
		return -EINVAL;
	for (unsigned int i = 0; i < fake->irqfd_count; i++) {
		if (fake->irqfds[i].fd == fd)
			return -EBUSY;
	}
	if (fake->irqfd_count == FAKE_HOST_IRQFDS)
		return -ENOMEM;
	fake->irqfds[fake->irqfd_count++] = (struct fake_irqfd){fd, gsi};
	fake_host_hear_locked(fake, fake->irqfd_count - 1);
	return 0;
}

static int fake_host_irqfd_add(struct host *host, unsigned int gsi, int fd)
{
	struct fake_host *fake = fake_host_of(host);
	int rc;

	pthread_mutex_lock(&fake->msi_lock);
	rc = fake_host_irqfd_add_locked(fake, gsi, fd);
	pthread_mutex_unlock(&fake->msi_lock);
	return rc;
}

static void fake_host_irqfd_remove(struct host *host, unsigned int gsi, int fd)
{
	struct fake_host *fake = fake_host_of(host);

	pthread_mutex_lock(&fake->msi_lock);
	for (unsigned int i = 0; i < fake->irqfd_count; i++) {
		if (fake->irqfds[i].fd != fd || fake->irqfds[i].gsi != gsi)
			continue;
		fake_host_hear_locked(fake, i);
		fake->irqfds[i] = fake->irqfds[--fake->irqfd_count];
		break;
	}
	pthread_mutex_unlock(&fake->msi_lock);
}

bool fake_host_listens(struct fake_host *fake, int fd)
{
	bool found = false;

	pthread_mutex_lock(&fake->msi_lock);
	for (unsigned int i = 0; i < fake->irqfd_count; i++)
		found |= fake->irqfds[i].fd == fd;
	pthread_mutex_unlock(&fake->msi_lock);
	return found;
}

unsigned int fake_host_fires(struct fake_host *fake, unsigned int gsi)
{
	const struct fake_msi *msi;
	unsigned int fires;

	pthread_mutex_lock(&fake->msi_lock);
	fake_host_hear_all_locked(fake);
	msi = fake_host_msi(fake, gsi);
	fires = msi ? msi->fires : 0;
	pthread_mutex_unlock(&fake->msi_lock);
	return fires;
}

unsigned int fake_host_messages(struct fake_host *fake, uint32_t data)
{
	unsigned int count = 0;

	pthread_mutex_lock(&fake->msi_lock);
	fake_host_hear_all_locked(fake);
	for (unsigned int i = 0; i < FAKE_HOST_MESSAGES; i++) {
		if (fake->messages[i].data == data)
			count += fake->messages[i].count;
	}
	pthread_mutex_unlock(&fake->msi_lock);
	return count;
}

/* --- Doorbells --------------------------------------------------------------
 */

/* As KVM sees it: whether a write could be for both. */
static bool fake_host_doorbells_meet(const struct host_doorbell *a,
				     const struct host_doorbell *b)
{
	return a->bus == b->bus && a->addr == b->addr &&
	       (!a->size || !b->size ||
		(a->size == b->size &&
		 (!a->match || !b->match || a->value == b->value)));
}

static int fake_host_doorbell_add(struct host *host,
				  const struct host_doorbell *doorbell)
{
	struct fake_host *fake = fake_host_of(host);
	int rc = fake->doorbell_add_error;

	pthread_mutex_lock(&fake->msi_lock);
	for (unsigned int i = 0; i < fake->doorbell_count && !rc; i++) {
		if (fake_host_doorbells_meet(&fake->doorbells[i], doorbell))
			rc = -EEXIST;
	}
	if (!rc && fake->doorbell_count == FAKE_HOST_DOORBELLS)
		rc = -ENOSPC;
	if (!rc)
		fake->doorbells[fake->doorbell_count++] = *doorbell;
	pthread_mutex_unlock(&fake->msi_lock);
	return rc;
}

static bool fake_host_doorbells_equal(const struct host_doorbell *a,
				      const struct host_doorbell *b)
{
	return a->bus == b->bus && a->addr == b->addr && a->size == b->size &&
	       a->match == b->match && (!a->match || a->value == b->value) &&
	       a->fd == b->fd;
}

static void fake_host_doorbell_remove(struct host *host,
				      const struct host_doorbell *doorbell)
{
	struct fake_host *fake = fake_host_of(host);

	pthread_mutex_lock(&fake->msi_lock);
	for (unsigned int i = 0; i < fake->doorbell_count; i++) {
		if (!fake_host_doorbells_equal(&fake->doorbells[i], doorbell))
			continue;
		fake->doorbells[i] = fake->doorbells[--fake->doorbell_count];
		break;
	}
	pthread_mutex_unlock(&fake->msi_lock);
}

const struct host_doorbell *fake_host_doorbell(const struct fake_host *fake,
					       enum bus_kind bus, uint64_t addr,
					       uint64_t value)
{
	for (unsigned int i = 0; i < fake->doorbell_count; i++) {
		const struct host_doorbell *d = &fake->doorbells[i];

		if (d->bus == bus && d->addr == addr &&
		    (!d->match || d->value == value))
			return d;
	}
	return NULL;
}

/* Whether a doorbell took the write. */
static bool fake_host_ring(struct fake_host *fake, enum bus_kind bus,
			   uint64_t addr, unsigned int size, uint64_t value)
{
	const struct host_doorbell *d;
	bool rung = false;

	pthread_mutex_lock(&fake->msi_lock);
	for (unsigned int i = 0; i < fake->doorbell_count && !rung; i++) {
		d = &fake->doorbells[i];
		if (d->bus != bus || d->addr != addr ||
		    (d->size && d->size != size) ||
		    (d->match && d->value != value))
			continue;
		eventfd_write(d->fd, 1);
		rung = true;
	}
	pthread_mutex_unlock(&fake->msi_lock);
	return rung;
}

static const struct host_ops fake_host_ops = {
	.map = fake_host_map,
	.unmap = fake_host_unmap,
	.irq_set = fake_host_irq_set,
	.notice = fake_host_notice,
	.msi_alloc = fake_host_msi_alloc,
	.msi_free = fake_host_msi_free,
	.msi_route = fake_host_msi_route,
	.irqfd_add = fake_host_irqfd_add,
	.irqfd_remove = fake_host_irqfd_remove,
	.doorbell_add = fake_host_doorbell_add,
	.doorbell_remove = fake_host_doorbell_remove,
};

void fake_host_init(struct fake_host *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->host.ops = &fake_host_ops;
	fake->msi_limit = FAKE_HOST_MSIS;
	pthread_mutex_init(&fake->msi_lock, NULL);
}

void fake_host_forget(struct fake_host *fake)
{
	memset(fake->irq_level, 0, sizeof(fake->irq_level));
	memset(fake->irq_edges, 0, sizeof(fake->irq_edges));
	memset(fake->notices, 0, sizeof(fake->notices));
	memset(fake->notice_values, 0, sizeof(fake->notice_values));
	for (unsigned int i = 0; i < FAKE_HOST_MSIS; i++)
		fake->msis[i].fires = 0;
	memset(fake->messages, 0, sizeof(fake->messages));
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

	if (fake_host_ring(fake, bus, addr, size, value & fake_host_mask(size)))
		return;
	if (!r || !r->ops->write)
		return;
	step = size < r->ops->max_size ? size : r->ops->max_size;
	for (unsigned int i = 0; i < size; i += step)
		r->ops->write(r->ctx, addr - r->base + i, step,
			      value >> 8 * i & fake_host_mask(step));
}
