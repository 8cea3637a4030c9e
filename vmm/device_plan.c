/*
 * From options to a list of devices with a place each.
 */
#include "vmm/device_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "pci/bus.h"

/* --- The list ------------------------------------------------------------ */

/* Append one; there is room. index: among those of its type. */
static struct device_plan_entry *device_plan_add(struct device_plan *plan,
						 const char *type, size_t index)
{
	struct device_plan_entry *entry = &plan->entries[plan->count++];

	entry->type = type;
	snprintf(entry->label, sizeof(entry->label), "%s%zu", type, index);
	return entry;
}

static void device_plan_add_disk(struct device_plan *plan,
				 const struct virtio_block_options *disk,
				 size_t index)
{
	struct device_plan_entry *entry = device_plan_add(plan, "block", index);

	entry->options = disk;
	entry->common = &disk->common;
	snprintf(entry->option, sizeof(entry->option), "--disk %s", disk->file);
}

static void device_plan_add_net(struct device_plan *plan,
				const struct virtio_net_options *net,
				size_t index)
{
	struct device_plan_entry *entry = device_plan_add(plan, "net", index);

	entry->options = net;
	entry->common = &net->common;
	if (net->kind == VIRTIO_NET_TAP)
		snprintf(entry->option, sizeof(entry->option), "--net tap=%s",
			 net->tap);
	else
		snprintf(entry->option, sizeof(entry->option), "--net user");
}

static void
device_plan_add_console(struct device_plan *plan,
			const struct virtio_console_options *console)
{
	struct device_plan_entry *entry = device_plan_add(plan, "console", 0);

	entry->options = console;
	entry->common = &console->common;
	snprintf(entry->option, sizeof(entry->option), "--console");
}

static void device_plan_add_rng(struct device_plan *plan,
				const struct virtio_rng_options *rng)
{
	struct device_plan_entry *entry = device_plan_add(plan, "rng", 0);

	entry->options = rng;
	entry->common = &rng->common;
	snprintf(entry->option, sizeof(entry->option), "--rng");
}

/* Its label says what the guest sees, and that another program serves it. */
static void device_plan_add_vhost_user(struct device_plan *plan,
				       const struct virtio_vhost_options *vhost,
				       size_t index)
{
	struct device_plan_entry *entry =
		device_plan_add(plan, "vhost-user", index);

	entry->type = vhost->type;
	entry->vhost_user = true;
	entry->options = vhost;
	entry->common = &vhost->common;
	snprintf(entry->option, sizeof(entry->option), "--vhost-user %s",
		 vhost->type);
}

/* --- Places on the bus --------------------------------------------------- */

static bool device_plan_is_pci(const struct device_plan_entry *entry)
{
	return entry->common->transport == VIRTIO_TRANSPORT_PCI;
}

/* at: by slot, the device that has it. */
static int device_plan_grant(struct device_plan *plan,
			     struct device_plan_entry *at[PCI_BUS_SLOTS],
			     struct error *err)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct device_plan_entry *entry = &plan->entries[i];
		uint64_t wish = entry->wish;

		if (!device_plan_is_pci(entry) || !wish)
			continue;
		if (wish >= PCI_BUS_SLOTS)
			return error_set(err, EINVAL,
					 "%s: slot: expected 1 to %d, found "
					 "%llu",
					 entry->option, PCI_BUS_SLOTS - 1,
					 (unsigned long long)wish);
		if (at[wish])
			return error_set(err, EEXIST,
					 "%s: slot %llu is taken by %s; give "
					 "one of them another slot, or none",
					 entry->option,
					 (unsigned long long)wish,
					 at[wish]->option);
		entry->slot = (unsigned int)wish;
		at[wish] = entry;
	}
	return 0;
}

static int device_plan_fill(struct device_plan *plan,
			    struct device_plan_entry *at[PCI_BUS_SLOTS],
			    struct error *err)
{
	unsigned int slot = 1;

	for (size_t i = 0; i < plan->count; i++) {
		struct device_plan_entry *entry = &plan->entries[i];

		if (!device_plan_is_pci(entry) || entry->slot)
			continue;
		while (slot < PCI_BUS_SLOTS && at[slot])
			slot++;
		if (slot == PCI_BUS_SLOTS)
			return error_set(err, ENOSPC,
					 "%s: expected at most %d devices on "
					 "the PCI bus, found more; leave some "
					 "out, or give some transport=mmio",
					 entry->option, PCI_BUS_SLOTS - 1);
		entry->slot = slot;
		at[slot] = entry;
	}
	return 0;
}

int device_plan_place(struct device_plan *plan, struct error *err)
{
	struct device_plan_entry *at[PCI_BUS_SLOTS] = {NULL};
	int rc;

	for (size_t i = 0; i < plan->count; i++) {
		struct device_plan_entry *entry = &plan->entries[i];

		entry->slot = 0;
		if (!device_plan_is_pci(entry) && entry->wish)
			return error_set(err, EINVAL,
					 "%s: expected no slot with "
					 "transport=mmio, which has none, "
					 "found one",
					 entry->option);
	}
	rc = device_plan_grant(plan, at, err);
	return rc ? rc : device_plan_fill(plan, at, err);
}

/* --- Both ---------------------------------------------------------------- */

int device_plan_make(struct device_plan *plan, const struct options *options,
		     const struct virtio_console_options *console,
		     struct error *err)
{
	bool rng = options->rng_use == OPTIONS_RNG_ON;
	size_t room = options->disks.count + options->nets.count +
		      options->vhost_users.count + (console != NULL) + rng;

	*plan = (struct device_plan){.count = 0};
	if (!room)
		return 0;
	plan->entries = calloc(room, sizeof(*plan->entries));
	if (!plan->entries)
		return error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < options->disks.count; i++)
		device_plan_add_disk(plan, &options->disks.items[i], i);
	for (size_t i = 0; i < options->nets.count; i++)
		device_plan_add_net(plan, &options->nets.items[i], i);
	if (console)
		device_plan_add_console(plan, console);
	if (rng)
		device_plan_add_rng(plan, &options->rng);
	for (size_t i = 0; i < options->vhost_users.count; i++)
		device_plan_add_vhost_user(plan, &options->vhost_users.items[i],
					   i);
	for (size_t i = 0; i < plan->count; i++)
		plan->entries[i].wish = plan->entries[i].common->slot;
	return device_plan_place(plan, err);
}

void device_plan_fini(struct device_plan *plan)
{
	free(plan->entries);
	*plan = (struct device_plan){.count = 0};
}
