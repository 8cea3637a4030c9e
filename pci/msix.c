/*
 * MSI-X. Table, pending bits and Message Control are the guest's to read and
 * write at any time, on any vCPU, while the device signals on threads of its
 * own or in the kernel; so the device never asks whether a vector is masked. It
 * writes to an eventfd, and only whether KVM listens to it changes here.
 *
 * A vector is open while MSI-X is enabled, neither the function nor the vector
 * is masked, and KVM has taken its route. KVM listens to the eventfds of open
 * vectors. Why no interrupt is lost and none comes twice:
 *
 * - A signal adds to the eventfd's counter and wakes who waits, both under the
 *   lock of its wait queue. While KVM waits there, it raises the interrupt, or
 *   lets a work queue do so, in that very call.
 * - Closing, KVM_IRQFD with DEASSIGN leaves the wait queue and zeroes the
 *   counter under the same lock, then waits for injections that are under way,
 *   all before the ioctl returns. So each signal was either before that, and
 *   has been delivered by the old route, or is after, and stays in the
 *   counter. The guest's write of the mask bit returns after both.
 * - While closed nobody reads the eventfd. That its counter is not 0 is the
 *   pending bit, which thus needs no bookkeeping: poll(2) tells. Signals of
 *   that time count once, as those of a pending bit do.
 * - Opening sets the route first. KVM then joins the wait queue, and looks
 *   whether the counter is not 0 already; if so it injects once. A signal that
 *   comes in between finds KVM in the queue. The counter that it looked at is
 *   zeroed by closing, at the latest, so that it is not pending once more.
 *
 * This lock is held over all of that, so that two vCPUs that mask and unmask
 * one vector cannot leave it half-way; the device's signals take no lock.
 *
 * Routes are given to KVM when a vector with an eventfd opens or, while it is
 * open, changes; Linux masks a vector, writes three fields and unmasks it,
 * which then costs one call and not four. The interrupts themselves are taken
 * from the host when the device is made: a guest cannot be told later that
 * there are none left, and a user can be told now.
 */
#include "pci/msix.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <sys/eventfd.h>

#include "pci/msix_private.h"
#include "vmm/base/log.h"

#define ENTRY_SIZE	 PCI_MSIX_ENTRY_SIZE
#define CONTROL_WRITABLE (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL)

/* --- The table's fields -----------------------------------------------------
 */

static uint32_t pci_msix_field(const struct pci_msix *msix, unsigned int vector,
			       unsigned int offset)
{
	const uint8_t *at = &msix->table[vector * ENTRY_SIZE + offset];

	return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[1] << 8 | at[0];
}

static bool pci_msix_masked_locked(const struct pci_msix *msix,
				   unsigned int vector)
{
	return pci_msix_field(msix, vector, PCI_MSIX_ENTRY_VECTOR_CTRL) &
	       PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

static struct host_msi pci_msix_message_locked(const struct pci_msix *msix,
					       unsigned int vector)
{
	return (struct host_msi){
		.address =
			(uint64_t)pci_msix_field(msix, vector,
						 PCI_MSIX_ENTRY_UPPER_ADDR)
				<< 32 |
			pci_msix_field(msix, vector, PCI_MSIX_ENTRY_LOWER_ADDR),
		.data = pci_msix_field(msix, vector, PCI_MSIX_ENTRY_DATA),
		.device_id = msix->config.requester_id,
	};
}

/* Bits of a byte of an entry that the guest may change. */
uint8_t pci_msix_writable(unsigned int offset)
{
	if (offset == PCI_MSIX_ENTRY_LOWER_ADDR)
		return 0xfc;
	if (offset == PCI_MSIX_ENTRY_VECTOR_CTRL)
		return PCI_MSIX_ENTRY_CTRL_MASKBIT;
	return offset > PCI_MSIX_ENTRY_VECTOR_CTRL ? 0 : 0xff;
}

/* --- Opening and closing ----------------------------------------------------
 */

static void pci_msix_complain(const struct pci_msix *msix, unsigned int vector,
			      const char *what, int rc)
{
	static struct log_limit limit;

	log_limited(&limit, LOG_WARN,
		    "pci %02x.%u: MSI-X vector %u does not work: %s: %s",
		    msix->config.requester_id >> 3 & 0x1f,
		    msix->config.requester_id & 7, vector, what, strerror(-rc));
}

/* Let the host know where the vector goes. False: it goes nowhere. */
static bool pci_msix_route_locked(struct pci_msix *msix, unsigned int vector)
{
	struct host_msi message = pci_msix_message_locked(msix, vector);
	struct pci_msix_vector *v = &msix->vectors[vector];
	int rc;

	if (v->routed && v->route.address == message.address &&
	    v->route.data == message.data)
		return true;
	rc = msix->host->ops->msi_route(msix->host, v->gsi, &message);
	v->routed = !rc;
	v->route = message;
	if (rc)
		pci_msix_complain(msix, vector, "its route", rc);
	return !rc;
}

/* Whether somebody may want to raise it; no calls of KVM for the others. */
static bool pci_msix_used_locked(const struct pci_msix *msix,
				 unsigned int vector)
{
	if (msix->vectors[vector].restored)
		return true;
	for (unsigned int i = 0; i < msix->line_count; i++) {
		if (msix->lines[i].vector == vector)
			return true;
	}
	return false;
}

/* Whether it is open; its route is set then. */
static bool pci_msix_open_locked(struct pci_msix *msix, unsigned int vector)
{
	return msix->enabled && !msix->function_masked &&
	       !pci_msix_masked_locked(msix, vector) &&
	       pci_msix_used_locked(msix, vector) &&
	       pci_msix_route_locked(msix, vector);
}

int pci_msix_hear_locked(struct pci_msix *msix, struct pci_msix_line *line,
			 bool open)
{
	unsigned int gsi = msix->vectors[line->vector].gsi;
	int rc;

	if (line->heard == open)
		return 0;
	if (!open) {
		msix->host->ops->irqfd_remove(msix->host, gsi, line->fd);
		line->heard = false;
		return 0;
	}
	rc = msix->host->ops->irqfd_add(msix->host, gsi, line->fd);
	line->heard = !rc;
	if (rc)
		pci_msix_complain(msix, line->vector, "its eventfd", rc);
	return rc;
}

/* Let what was pending in the saved state come, once. */
static void pci_msix_replay_locked(struct pci_msix *msix, unsigned int vector)
{
	struct pci_msix_vector *v = &msix->vectors[vector];
	int rc;

	/* The host delivers what it finds in the eventfd, and empties it. */
	eventfd_write(msix->replay_fd, 1);
	rc = msix->host->ops->irqfd_add(msix->host, v->gsi, msix->replay_fd);
	if (rc) {
		pci_msix_complain(msix, vector, "its eventfd", rc);
		return;
	}
	msix->host->ops->irqfd_remove(msix->host, v->gsi, msix->replay_fd);
	v->restored = false;
}

/* Table or Message Control may have changed: let everything follow. */
static void pci_msix_follow_locked(struct pci_msix *msix, unsigned int vector)
{
	bool open = pci_msix_open_locked(msix, vector);

	for (unsigned int i = 0; i < msix->line_count; i++) {
		if (msix->lines[i].vector == vector)
			pci_msix_hear_locked(msix, &msix->lines[i], open);
	}
	if (open && msix->vectors[vector].restored)
		pci_msix_replay_locked(msix, vector);
}

void pci_msix_follow_all_locked(struct pci_msix *msix)
{
	for (unsigned int i = 0; i < msix->config.vectors; i++)
		pci_msix_follow_locked(msix, i);
}

/* --- Accesses ---------------------------------------------------------------
 */

uint64_t pci_msix_table_read(struct pci_msix *msix, uint64_t offset,
			     unsigned int size)
{
	uint64_t value = 0, end = pci_msix_table_bytes(msix);

	pthread_mutex_lock(&msix->lock);
	for (unsigned int i = 0; i < size; i++) {
		if (offset < end && i < end - offset)
			value |= (uint64_t)msix->table[offset + i] << 8 * i;
	}
	pthread_mutex_unlock(&msix->lock);
	return value;
}

/* Returns whether the vector's mask bit changed. */
static bool pci_msix_entry_write_locked(struct pci_msix *msix,
					unsigned int vector,
					unsigned int offset, uint8_t byte)
{
	uint8_t *at = &msix->table[vector * ENTRY_SIZE + offset];
	uint8_t writable = pci_msix_writable(offset);
	uint8_t before = *at;

	*at = (before & (uint8_t)~writable) | (byte & writable);
	return offset == PCI_MSIX_ENTRY_VECTOR_CTRL && *at != before;
}

static void pci_msix_tell_masked(struct pci_msix *msix, int vector, bool masked)
{
	if (msix->config.masked)
		msix->config.masked(msix->config.ctx, vector, masked);
}

/* A write to one entry: offset in it, size inside it. */
static void pci_msix_write_entry(struct pci_msix *msix, unsigned int vector,
				 unsigned int offset, unsigned int size,
				 uint64_t value)
{
	bool changed = false, masked;

	pthread_mutex_lock(&msix->lock);
	for (unsigned int i = 0; i < size; i++)
		changed |= pci_msix_entry_write_locked(
			msix, vector, offset + i, (uint8_t)(value >> 8 * i));
	pci_msix_follow_locked(msix, vector);
	masked = pci_msix_masked_locked(msix, vector);
	pthread_mutex_unlock(&msix->lock);
	if (changed)
		pci_msix_tell_masked(msix, (int)vector, masked);
}

void pci_msix_table_write(struct pci_msix *msix, uint64_t offset,
			  unsigned int size, uint64_t value)
{
	uint64_t end = pci_msix_table_bytes(msix);

	while (size && offset < end) {
		unsigned int at = (unsigned int)offset % ENTRY_SIZE;
		unsigned int len = ENTRY_SIZE - at;

		if (len > size)
			len = size;
		pci_msix_write_entry(msix, (unsigned int)(offset / ENTRY_SIZE),
				     at, len, value);
		offset += len;
		size -= len;
		if (size)
			value >>= 8 * len;
	}
}

/*
 * The bits of vectors [first, first + count), at most 64. What the host
 * listens to is delivered, not pending.
 */
uint64_t pci_msix_pending_locked(struct pci_msix *msix, unsigned int first,
				 unsigned int count)
{
	uint64_t bits = 0;

	for (unsigned int i = 0; i < count; i++) {
		if (msix->vectors[first + i].restored)
			bits |= UINT64_C(1) << i;
	}
	for (unsigned int i = 0; i < msix->line_count; i++) {
		const struct pci_msix_line *line = &msix->lines[i];
		bool wanted = !line->heard && line->vector >= first &&
			      line->vector - first < count;

		/* poll(2) passes over negative ones. */
		msix->polls[i] = (struct pollfd){
			.fd = wanted ? line->fd : -1,
			.events = POLLIN,
		};
	}
	if (poll(msix->polls, msix->line_count, 0) <= 0)
		return bits;
	for (unsigned int i = 0; i < msix->line_count; i++) {
		if (msix->polls[i].revents & POLLIN)
			bits |= UINT64_C(1) << (msix->lines[i].vector - first);
	}
	return bits;
}

uint64_t pci_msix_pba_read(struct pci_msix *msix, uint64_t offset,
			   unsigned int size)
{
	unsigned int first, count = 8 * size;
	uint64_t bits;

	if (offset >= msix->config.vectors / 8 + 1)
		return 0;
	first = (unsigned int)offset * 8;
	if (first >= msix->config.vectors)
		return 0;
	if (count > msix->config.vectors - first)
		count = msix->config.vectors - first;
	pthread_mutex_lock(&msix->lock);
	bits = pci_msix_pending_locked(msix, first, count);
	pthread_mutex_unlock(&msix->lock);
	return bits;
}

void pci_msix_take_control_locked(struct pci_msix *msix)
{
	uint32_t control =
		pci_device_read(msix->device, msix->cap + PCI_MSIX_FLAGS, 2);

	msix->enabled = control & PCI_MSIX_FLAGS_ENABLE;
	msix->function_masked = control & PCI_MSIX_FLAGS_MASKALL;
}

void pci_msix_config_written(struct pci_msix *msix)
{
	bool before, after;

	pthread_mutex_lock(&msix->lock);
	before = !msix->enabled || msix->function_masked;
	pci_msix_take_control_locked(msix);
	after = !msix->enabled || msix->function_masked;
	if (before != after)
		pci_msix_follow_all_locked(msix);
	pthread_mutex_unlock(&msix->lock);
	if (before != after)
		pci_msix_tell_masked(msix, -1, after);
}

bool pci_msix_enabled(const struct pci_msix *msix)
{
	return msix->enabled;
}

/* --- Attachments ------------------------------------------------------------
 */

static int pci_msix_grow_locked(struct pci_msix *msix)
{
	unsigned int room = msix->line_room ? 2 * msix->line_room : 8;
	struct pci_msix_line *lines;
	struct pollfd *polls;

	if (msix->line_count < msix->line_room)
		return 0;
	lines = reallocarray(msix->lines, room, sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	msix->lines = lines;
	polls = reallocarray(msix->polls, room, sizeof(*polls));
	if (!polls)
		return -ENOMEM;
	msix->polls = polls;
	msix->line_room = room;
	return 0;
}

static int pci_msix_attach_locked(struct pci_msix *msix, int fd,
				  unsigned int vector)
{
	struct pci_msix_line *line;
	int rc;

	for (unsigned int i = 0; i < msix->line_count; i++) {
		if (msix->lines[i].fd == fd)
			return -EEXIST;
	}
	rc = pci_msix_grow_locked(msix);
	if (rc)
		return rc;
	line = &msix->lines[msix->line_count++];
	*line = (struct pci_msix_line){.fd = fd, .vector = vector};
	rc = pci_msix_hear_locked(msix, line,
				  pci_msix_open_locked(msix, vector));
	if (rc)
		msix->line_count--;
	return rc;
}

int pci_msix_attach(struct pci_msix *msix, int fd, unsigned int vector)
{
	int rc;

	if (vector >= msix->config.vectors)
		return -EINVAL;
	pthread_mutex_lock(&msix->lock);
	rc = pci_msix_attach_locked(msix, fd, vector);
	pthread_mutex_unlock(&msix->lock);
	return rc;
}

static void pci_msix_drop_locked(struct pci_msix *msix, unsigned int index)
{
	pci_msix_hear_locked(msix, &msix->lines[index], false);
	msix->lines[index] = msix->lines[--msix->line_count];
}

void pci_msix_detach(struct pci_msix *msix, int fd)
{
	pthread_mutex_lock(&msix->lock);
	for (unsigned int i = msix->line_count; i-- > 0;) {
		if (msix->lines[i].fd == fd)
			pci_msix_drop_locked(msix, i);
	}
	pthread_mutex_unlock(&msix->lock);
}

/* --- Life -------------------------------------------------------------------
 */

void pci_msix_reset_locked(struct pci_msix *msix)
{
	while (msix->line_count)
		pci_msix_drop_locked(msix, msix->line_count - 1);
	msix->enabled = false;
	msix->function_masked = false;
	memset(msix->table, 0, pci_msix_table_bytes(msix));
	for (unsigned int i = 0; i < msix->config.vectors; i++) {
		msix->table[i * ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL] =
			PCI_MSIX_ENTRY_CTRL_MASKBIT;
		msix->vectors[i].restored = false;
	}
}

void pci_msix_reset(struct pci_msix *msix)
{
	pthread_mutex_lock(&msix->lock);
	pci_msix_reset_locked(msix);
	pthread_mutex_unlock(&msix->lock);
}

static void pci_msix_add_cap(struct pci_msix *msix)
{
	const struct pci_msix_config *config = &msix->config;
	struct pci_device *device = msix->device;

	msix->cap = pci_device_add_cap(device, PCI_CAP_ID_MSIX,
				       PCI_CAP_MSIX_SIZEOF);
	pci_device_set(device, msix->cap + PCI_MSIX_FLAGS, 2,
		       config->vectors - 1);
	pci_device_set_writable(device, msix->cap + PCI_MSIX_FLAGS, 2,
				CONTROL_WRITABLE);
	pci_device_set(device, msix->cap + PCI_MSIX_TABLE, 4,
		       config->table | config->bar);
	pci_device_set(device, msix->cap + PCI_MSIX_PBA, 4,
		       config->pba | config->bar);
}

static void pci_msix_free_gsis(struct pci_msix *msix, unsigned int count)
{
	while (count)
		msix->host->ops->msi_free(msix->host,
					  msix->vectors[--count].gsi);
}

static int pci_msix_alloc_gsis(struct pci_msix *msix)
{
	for (unsigned int i = 0; i < msix->config.vectors; i++) {
		int rc = msix->host->ops->msi_alloc(msix->host,
						    &msix->vectors[i].gsi);

		if (rc) {
			pci_msix_free_gsis(msix, i);
			return rc;
		}
	}
	return 0;
}

int pci_msix_new(struct pci_msix **out, struct host *host,
		 struct pci_device *device,
		 const struct pci_msix_config *config)
{
	struct pci_msix *msix = calloc(1, sizeof(*msix));
	int rc = -ENOMEM;

	assert(config->vectors && config->vectors <= PCI_MSIX_VECTORS_MAX);
	assert(!(config->table & PCI_MSIX_TABLE_BIR) &&
	       !(config->pba & PCI_MSIX_PBA_BIR));
	if (!msix)
		return -ENOMEM;
	msix->host = host;
	msix->device = device;
	msix->config = *config;
	msix->replay_fd = -1;
	msix->table = calloc(config->vectors, ENTRY_SIZE);
	msix->vectors = calloc(config->vectors, sizeof(*msix->vectors));
	if (!msix->table || !msix->vectors)
		goto err_free;
	rc = pci_msix_alloc_gsis(msix);
	if (rc)
		goto err_free;
	pthread_mutex_init(&msix->lock, NULL);
	pci_msix_reset_locked(msix);
	pci_msix_add_cap(msix);
	*out = msix;
	return 0;

err_free:
	free(msix->vectors);
	free(msix->table);
	free(msix);
	return rc;
}

void pci_msix_free(struct pci_msix *msix)
{
	if (!msix)
		return;
	pci_msix_reset(msix);
	pci_msix_free_gsis(msix, msix->config.vectors);
	if (msix->replay_fd >= 0)
		close(msix->replay_fd);
	pthread_mutex_destroy(&msix->lock);
	free(msix->polls);
	free(msix->lines);
	free(msix->vectors);
	free(msix->table);
	free(msix);
}

unsigned int pci_msix_cap(const struct pci_msix *msix)
{
	return msix->cap;
}
