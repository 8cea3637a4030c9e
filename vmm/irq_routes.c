/*
 * The table stands here as KVM takes it, without holes: a route that goes is
 * replaced by the last one. struct irq_routes_msi says for each interrupt where
 * its entry is.
 */
#include "vmm/irq_routes.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/ioctl.h>

#include "vmm/base/log.h"

struct irq_routes_msi {
	bool used;
	unsigned int entry; /* in the table; 0, which is a pin's: none */
};

struct irq_routes {
	int vm_fd; /* borrowed */
	unsigned int first_gsi, pin_routes;
	bool has_devid;	     /* KVM_CAP_MSI_DEVID */
	bool has_any_length; /* KVM_CAP_IOEVENTFD_ANY_LENGTH */
	int (*msi_entry)(void *ctx, const struct host_msi *msi,
			 struct kvm_irq_routing_entry *entry);
	void *ctx; /* borrowed */

	pthread_mutex_t lock;
	/* Under it. */
	struct kvm_irq_routing *table; /* owned; room for all */
	struct irq_routes_msi *msis;   /* owned; of first_gsi + index */
	unsigned int msi_count;	       /* at most */
	unsigned int next;	       /* the first that may be unused */
	unsigned int updates;
};

/* 0 or a negative errno. */
static int irq_routes_ioctl(const struct irq_routes *routes,
			    unsigned long request, const void *arg)
{
	return ioctl(routes->vm_fd, request, arg) < 0 ? -errno : 0;
}

static bool irq_routes_has(const struct irq_routes *routes, unsigned long cap)
{
	return ioctl(routes->vm_fd, KVM_CHECK_EXTENSION, cap) > 0;
}

static int irq_routes_update_locked(struct irq_routes *routes)
{
	routes->updates++;
	return irq_routes_ioctl(routes, KVM_SET_GSI_ROUTING, routes->table);
}

/* --- Life -------------------------------------------------------------------
 */

static int irq_routes_init(struct irq_routes *routes,
			   const struct irq_routes_config *config,
			   unsigned int limit)
{
	unsigned int gsis = limit - config->first_gsi;

	/* Both the table and the numbers end at KVM's limit. */
	routes->msi_count = limit - config->pin_routes;
	if (routes->msi_count > gsis)
		routes->msi_count = gsis;
	routes->msis = calloc(routes->msi_count, sizeof(*routes->msis));
	routes->table =
		calloc(1, sizeof(*routes->table) +
				  limit * sizeof(routes->table->entries[0]));
	if (!routes->msis || !routes->table)
		return -ENOMEM;
	memcpy(routes->table->entries, config->pins,
	       config->pin_routes * sizeof(config->pins[0]));
	routes->table->nr = config->pin_routes;
	return 0;
}

int irq_routes_new(struct irq_routes **out,
		   const struct irq_routes_config *config, struct error *err)
{
	struct irq_routes *routes = calloc(1, sizeof(*routes));
	int limit, rc;

	assert(config->pin_routes);
	if (!routes)
		return error_set(err, ENOMEM, "out of memory");
	routes->vm_fd = config->vm_fd;
	routes->first_gsi = config->first_gsi;
	routes->pin_routes = config->pin_routes;
	routes->msi_entry = config->msi_entry;
	routes->ctx = config->ctx;
	pthread_mutex_init(&routes->lock, NULL);
	limit = ioctl(config->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING);
	if (limit <= (int)config->pin_routes || limit <= (int)config->first_gsi)
		rc = error_set(err, EOPNOTSUPP,
			       "KVM_CAP_IRQ_ROUTING: expected room for %u "
			       "routes of pins and those of devices, found %d",
			       config->pin_routes, limit);
	else
		rc = irq_routes_init(routes, config, (unsigned int)limit);
	if (rc == -ENOMEM)
		error_set(err, ENOMEM, "out of memory");
	if (!rc) {
		routes->has_devid = irq_routes_has(routes, KVM_CAP_MSI_DEVID);
		routes->has_any_length =
			irq_routes_has(routes, KVM_CAP_IOEVENTFD_ANY_LENGTH);
		rc = irq_routes_update_locked(routes);
		if (rc)
			error_set(err, -rc, "KVM_SET_GSI_ROUTING: %s",
				  strerror(-rc));
	}
	if (rc) {
		irq_routes_free(routes);
		return rc;
	}
	*out = routes;
	return 0;
}

void irq_routes_free(struct irq_routes *routes)
{
	if (!routes)
		return;
	pthread_mutex_destroy(&routes->lock);
	free(routes->table);
	free(routes->msis);
	free(routes);
}

unsigned int irq_routes_updates(struct irq_routes *routes)
{
	unsigned int updates;

	pthread_mutex_lock(&routes->lock);
	updates = routes->updates;
	pthread_mutex_unlock(&routes->lock);
	return updates;
}

/* --- Routes -----------------------------------------------------------------
 */

int irq_routes_msi_alloc(struct irq_routes *routes, unsigned int *gsi)
{
	int rc = -ENOSPC;

	pthread_mutex_lock(&routes->lock);
	while (routes->next < routes->msi_count &&
	       routes->msis[routes->next].used)
		routes->next++;
	if (routes->next < routes->msi_count) {
		routes->msis[routes->next].used = true;
		*gsi = routes->first_gsi + routes->next++;
		rc = 0;
	}
	pthread_mutex_unlock(&routes->lock);
	return rc;
}

static struct irq_routes_msi *irq_routes_find_locked(struct irq_routes *routes,
						     unsigned int gsi)
{
	unsigned int index = gsi - routes->first_gsi;

	if (gsi < routes->first_gsi || index >= routes->msi_count ||
	    !routes->msis[index].used)
		return NULL;
	return &routes->msis[index];
}

/* Take its entry out of the table. */
static void irq_routes_drop_locked(struct irq_routes *routes,
				   struct irq_routes_msi *msi)
{
	struct kvm_irq_routing *table = routes->table;
	const struct kvm_irq_routing_entry *last;

	if (!msi->entry)
		return;
	last = &table->entries[--table->nr];
	routes->msis[last->gsi - routes->first_gsi].entry = msi->entry;
	table->entries[msi->entry] = *last;
	msi->entry = 0;
}

void irq_routes_msi_free(struct irq_routes *routes, unsigned int gsi)
{
	struct irq_routes_msi *msi;

	pthread_mutex_lock(&routes->lock);
	msi = irq_routes_find_locked(routes, gsi);
	if (msi) {
		irq_routes_drop_locked(routes, msi);
		msi->used = false;
		if (routes->next > gsi - routes->first_gsi)
			routes->next = gsi - routes->first_gsi;
	}
	pthread_mutex_unlock(&routes->lock);
}

static int irq_routes_entry(const struct irq_routes *routes, unsigned int gsi,
			    const struct host_msi *msi,
			    struct kvm_irq_routing_entry *entry)
{
	/* Entries are compared as bytes. */
	memset(entry, 0, sizeof(*entry));
	entry->gsi = gsi;
	entry->type = KVM_IRQ_ROUTING_MSI;
	entry->u.msi.address_lo = (uint32_t)msi->address;
	entry->u.msi.address_hi = (uint32_t)(msi->address >> 32);
	entry->u.msi.data = msi->data;
	if (routes->has_devid) {
		entry->flags = KVM_MSI_VALID_DEVID;
		entry->u.msi.devid = msi->device_id;
	}
	return routes->msi_entry ? routes->msi_entry(routes->ctx, msi, entry)
				 : 0;
}

static int irq_routes_add_locked(struct irq_routes *routes,
				 struct irq_routes_msi *msi,
				 const struct kvm_irq_routing_entry *entry)
{
	struct kvm_irq_routing *table = routes->table;
	int rc;

	/* As many as there can be interrupts: there is room. */
	msi->entry = table->nr++;
	table->entries[msi->entry] = *entry;
	rc = irq_routes_update_locked(routes);
	if (rc)
		irq_routes_drop_locked(routes, msi);
	return rc;
}

/* What KVM refuses must not stay, or it would refuse all that follows. */
static int irq_routes_change_locked(struct irq_routes *routes,
				    const struct irq_routes_msi *msi,
				    const struct kvm_irq_routing_entry *entry)
{
	struct kvm_irq_routing_entry *at = &routes->table->entries[msi->entry];
	struct kvm_irq_routing_entry former = *at;
	int rc;

	/* NOLINTNEXTLINE(*-comparison,cert-exp42-c,cert-flp37-c): cleared */
	if (memcmp(&former, entry, sizeof(former)) == 0)
		return 0;
	*at = *entry;
	rc = irq_routes_update_locked(routes);
	if (rc)
		*at = former;
	return rc;
}

int irq_routes_msi_route(struct irq_routes *routes, unsigned int gsi,
			 const struct host_msi *message)
{
	struct kvm_irq_routing_entry entry;
	struct irq_routes_msi *msi;
	int rc = irq_routes_entry(routes, gsi, message, &entry);

	if (rc)
		return rc;
	rc = -EINVAL;
	pthread_mutex_lock(&routes->lock);
	msi = irq_routes_find_locked(routes, gsi);
	if (msi && msi->entry)
		rc = irq_routes_change_locked(routes, msi, &entry);
	else if (msi)
		rc = irq_routes_add_locked(routes, msi, &entry);
	pthread_mutex_unlock(&routes->lock);
	return rc;
}

/* --- Eventfds, which KVM keeps a list of itself -----------------------------
 */

int irq_routes_irqfd_add(struct irq_routes *routes, unsigned int gsi, int fd)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)fd, .gsi = gsi};

	return irq_routes_ioctl(routes, KVM_IRQFD, &irqfd);
}

void irq_routes_irqfd_remove(struct irq_routes *routes, unsigned int gsi,
			     int fd)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)fd,
		.gsi = gsi,
		.flags = KVM_IRQFD_FLAG_DEASSIGN,
	};
	static struct log_limit limit;
	int rc = irq_routes_ioctl(routes, KVM_IRQFD, &irqfd);

	if (rc)
		log_limited(&limit, LOG_ERROR, "interrupt %u: KVM_IRQFD: %s",
			    gsi, strerror(-rc));
}

/* @flags: beside those that the doorbell itself has. */
static int irq_routes_ring(const struct irq_routes *routes,
			   const struct host_doorbell *doorbell,
			   unsigned int size, uint32_t flags)
{
	struct kvm_ioeventfd ioeventfd = {
		.addr = doorbell->addr,
		.len = size,
		.fd = doorbell->fd,
		.flags = flags,
	};

	if (doorbell->bus == BUS_PIO)
		ioeventfd.flags |= KVM_IOEVENTFD_FLAG_PIO;
	if (doorbell->match) {
		ioeventfd.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
		ioeventfd.datamatch = doorbell->value;
	}
	return irq_routes_ioctl(routes, KVM_IOEVENTFD, &ioeventfd);
}

/*
 * Where KVM knows no doorbells of any size, those of 2 and 4 bytes do what they
 * are for: what a guest writes to a virtqueue's is as wide as that. Others
 * reach the handler.
 */
static bool irq_routes_in_two(const struct irq_routes *routes,
			      const struct host_doorbell *doorbell)
{
	return !doorbell->size && !routes->has_any_length;
}

int irq_routes_doorbell_add(struct irq_routes *routes,
			    const struct host_doorbell *doorbell)
{
	int rc;

	if (!irq_routes_in_two(routes, doorbell))
		return irq_routes_ring(routes, doorbell, doorbell->size, 0);
	rc = irq_routes_ring(routes, doorbell, 2, 0);
	if (rc)
		return rc;
	rc = irq_routes_ring(routes, doorbell, 4, 0);
	if (rc)
		irq_routes_ring(routes, doorbell, 2,
				KVM_IOEVENTFD_FLAG_DEASSIGN);
	return rc;
}

void irq_routes_doorbell_remove(struct irq_routes *routes,
				const struct host_doorbell *doorbell)
{
	bool in_two = irq_routes_in_two(routes, doorbell);
	static struct log_limit limit;
	int rc;

	rc = irq_routes_ring(routes, doorbell, in_two ? 2 : doorbell->size,
			     KVM_IOEVENTFD_FLAG_DEASSIGN);
	if (!rc && in_two)
		rc = irq_routes_ring(routes, doorbell, 4,
				     KVM_IOEVENTFD_FLAG_DEASSIGN);
	if (rc)
		log_limited(&limit, LOG_ERROR,
			    "doorbell at 0x%llx: KVM_IOEVENTFD: %s",
			    (unsigned long long)doorbell->addr, strerror(-rc));
}
