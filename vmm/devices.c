/*
 * The virtio devices of a machine. Each is an entry that is filled in from top
 * to bottom: the plan says what and where, open() gives its resources, then
 * come the device and the transport, which owns it.
 */
#include "vmm/devices.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/resource.h>

#include "jail/spawner.h"
#include "virtio/child.h"
#include "virtio/device.h"
#include "virtio/mmio.h"
#include "virtio/pci.h"
#include "virtio/table.h"
#include "virtio/vhost_frontend.h"
#include "vmm/base/device.h"
#include "vmm/device_plan.h"

/* Descriptors that a machine of 31 devices with many queues may need. */
#define DEVICES_FDS 8192

struct devices_entry {
	struct devices *devices;	     /* that it is one of */
	struct device_plan_entry *plan;	     /* borrowed from devices->plan */
	const struct virtio_device_ops *ops; /* the table's row */
	struct virtio_open open;	     /* what it was opened with */
	struct virtio_resources resources;   /* owned */
	struct child *child;	      /* owned; NULL if it runs in main */
	struct virtio_device *device; /* owned, and once there is one by: */
	struct device transport;      /* owned; self NULL: not made yet */
	uint64_t base;		      /* MMIO: guest physical */
};

struct devices {
	struct device_plan plan;       /* owned */
	struct devices_entry *entries; /* owned, plan.count of them */
	bool dry_run;
	unsigned int sandbox;	 /* of those that do not say */
	struct spawner *spawner; /* owned; NULL if none has a process */
	struct devices_watch watch;
	struct devices_machine machine;
};

/* --- Opening ------------------------------------------------------------- */

/* Each queue takes several; not getting them is an error where it matters. */
static void devices_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= DEVICES_FDS)
		return;
	limit.rlim_cur =
		limit.rlim_max < DEVICES_FDS ? limit.rlim_max : DEVICES_FDS;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int devices_open_entry(const struct devices *devices,
			      struct devices_entry *entry, struct error *err)
{
	entry->open = (struct virtio_open){
		.option = entry->plan->option,
		.options = entry->plan->options,
		.dry_run = devices->dry_run,
	};
	if (entry->plan->vhost_user && entry->plan->common->sandbox)
		return error_set(err, EINVAL,
				 "%s: sandbox: expected none, since another "
				 "program serves it, found one",
				 entry->plan->option);
	if (entry->plan->vhost_user)
		entry->ops = vhost_frontend_ops(entry->plan->type);
	else
		entry->ops = virtio_table_find(entry->plan->type);
	if (!entry->ops && entry->plan->vhost_user)
		return error_set(err, EINVAL,
				 "%s: expected block, console, fs, net or rng",
				 entry->plan->option);
	if (!entry->ops)
		return error_set(err, EOPNOTSUPP,
				 "%s: this bantam has no such device",
				 entry->plan->option);
	return entry->ops->open(&entry->open, &entry->resources, err);
}

static int devices_open_all(struct devices *devices, struct error *err)
{
	int rc = 0;

	devices->entries =
		calloc(devices->plan.count + 1, sizeof(*devices->entries));
	if (!devices->entries)
		return error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < devices->plan.count; i++)
		devices->entries[i] = (struct devices_entry){
			.devices = devices,
			.plan = &devices->plan.entries[i],
		};
	for (size_t i = 0; i < devices->plan.count && !rc; i++)
		rc = devices_open_entry(devices, &devices->entries[i], err);
	return rc;
}

/* enum virtio_sandbox, never UNSAID. */
static unsigned int devices_sandbox(const struct devices *devices,
				    const struct device_plan_entry *plan)
{
	if (plan->vhost_user)
		return VIRTIO_SANDBOX_OFF;
	return plan->common->sandbox ? plan->common->sandbox : devices->sandbox;
}

/* Its namespaces take a while, which opening devices takes, too. */
static int devices_make_spawner(struct devices *devices, struct error *err)
{
	bool any = false;

	for (size_t i = 0; i < devices->plan.count; i++)
		any |= devices_sandbox(devices, &devices->plan.entries[i]) !=
		       VIRTIO_SANDBOX_OFF;
	return any && !devices->dry_run ? spawner_new(&devices->spawner, err)
					: 0;
}

int devices_open(struct devices **out, const struct options *options,
		 const struct virtio_console_options *console,
		 struct error *err)
{
	struct devices *devices = calloc(1, sizeof(*devices));
	int rc;

	if (!devices)
		return error_set(err, ENOMEM, "out of memory");
	devices->dry_run = options->dry_run;
	devices->sandbox = options->sandbox;
	devices_raise_limit();
	rc = device_plan_make(&devices->plan, options, console, err);
	if (!rc)
		rc = devices_make_spawner(devices, err);
	if (!rc)
		rc = devices_open_all(devices, err);
	if (rc)
		devices_free(devices);
	else
		*out = devices;
	return rc;
}

/* Do it with each. */
static int devices_each(struct devices *devices,
			int (*step)(struct devices *devices,
				    struct devices_entry *entry,
				    struct error *err),
			struct error *err)
{
	for (size_t i = 0; i < devices->plan.count; i++) {
		struct devices_entry *entry = &devices->entries[i];
		int rc = step(devices, entry, err);

		if (rc) {
			error_prefix(err, "%s: ", entry->plan->option);
			return rc;
		}
	}
	return 0;
}

/* --- Processes ----------------------------------------------------------- */

static void devices_child_event(void *ctx, enum child_event event,
				const char *why)
{
	static const char *const states[] = {
		[CHILD_DIED] = "lost",
		[CHILD_RESTARTED] = "restarted",
		[CHILD_FAILED] = "failed",
	};
	const struct devices_entry *entry = ctx;
	const struct devices_watch *watch = &entry->devices->watch;

	watch->changed(watch->ctx, entry->plan->label, states[event], why);
}

static int devices_start_entry(struct devices *devices,
			       struct devices_entry *entry, struct error *err)
{
	const struct child_config config = {
		.spawner = devices->spawner,
		.loop = devices->watch.loop,
		.event = devices_child_event,
		.ctx = entry,
		.ops = entry->ops,
		.open = &entry->open,
		.resources = &entry->resources,
		.label = entry->plan->label,
		.packed = entry->plan->common->packed,
		.restart = entry->plan->common->restart,
		.sandbox = devices_sandbox(devices, entry->plan),
	};

	if (config.sandbox == VIRTIO_SANDBOX_OFF || !config.restart)
		virtio_resources_settle(&entry->resources);
	return config.sandbox == VIRTIO_SANDBOX_OFF
		       ? 0
		       : child_new(&entry->child, &config, err);
}

int devices_start(struct devices *devices, const struct devices_watch *watch,
		  struct error *err)
{
	devices->watch = *watch;
	return devices->dry_run
		       ? 0
		       : devices_each(devices, devices_start_entry, err);
}

/* --- Creating ------------------------------------------------------------ */

static int devices_put_on_pci(struct devices *devices,
			      struct devices_entry *entry, struct error *err)
{
	const struct virtio_pci_config config = {
		.device = entry->device,
		.host = devices->machine.host,
		.bus = arch_pci(devices->machine.arch),
		.loop = devices->machine.loop,
		.slot = entry->plan->slot,
	};
	struct virtio_pci *transport;
	int rc = virtio_pci_new(&transport, &config, err);

	if (rc)
		return rc;
	entry->transport.ops = &virtio_pci_device_ops;
	entry->transport.self = transport;
	return 0;
}

static int devices_put_on_mmio(struct devices *devices,
			       struct devices_entry *entry, struct error *err)
{
	struct virtio_mmio_config config = {
		.device = entry->device,
		.host = devices->machine.host,
		.loop = devices->machine.loop,
	};
	struct virtio_mmio *transport;
	struct arch_mmio place;
	int rc;

	if (arch_mmio_add(devices->machine.arch, &place))
		return error_set(err, ENOSPC,
				 "there is no room for so many with "
				 "transport=mmio; leave some out, or give some "
				 "transport=pci");
	config.base = entry->base = place.base;
	config.pin = place.pin;
	config.source = place.source;
	rc = virtio_mmio_new(&transport, &config, err);
	if (rc)
		return rc;
	entry->transport.ops = &virtio_mmio_device_ops;
	entry->transport.self = transport;
	return 0;
}

static int devices_make(struct devices *devices, struct devices_entry *entry,
			struct error *err)
{
	struct virtio_device_config config = {
		.ops = entry->ops,
		.label = entry->plan->label,
		.loop = devices->machine.loop,
		.mem = devices->machine.mem,
		.resources = &entry->resources,
		.packed = entry->plan->common->packed,
	};
	int rc = 0;

	if (entry->child) {
		rc = child_wait(entry->child, err);
		config.ops = vhost_frontend_ops(entry->plan->type);
		config.resources = child_resources(entry->child);
	}
	if (!rc)
		rc = virtio_device_new(&entry->device, &config, err);
	if (rc)
		return rc;
	if (entry->child)
		child_attach(entry->child, entry->device);
	virtio_device_lock(entry->device);
	rc = virtio_device_on_sandboxed_locked(entry->device);
	virtio_device_unlock(entry->device);
	return rc ? error_set(err, -rc, "cannot start it: %s", strerror(-rc))
		  : 0;
}

/* A wish of the model's own counts where the user has none. */
static bool devices_ask_place(struct devices_entry *entry)
{
	struct virtio_pci_address address;
	bool wishes;

	if (entry->plan->wish || !entry->plan->slot)
		return false;
	virtio_device_lock(entry->device);
	wishes = virtio_device_pci_address_locked(entry->device, &address);
	virtio_device_unlock(entry->device);
	if (wishes)
		entry->plan->wish = address.slot;
	return wishes;
}

static int devices_place(struct devices *devices, struct error *err)
{
	bool wishes = false;

	for (size_t i = 0; i < devices->plan.count; i++)
		wishes |= devices_ask_place(&devices->entries[i]);
	return wishes ? device_plan_place(&devices->plan, err) : 0;
}

static int devices_put(struct devices *devices, struct devices_entry *entry,
		       struct error *err)
{
	entry->transport.name = entry->plan->label;
	if (entry->plan->slot)
		return devices_put_on_pci(devices, entry, err);
	return devices_put_on_mmio(devices, entry, err);
}

int devices_create(struct devices *devices,
		   const struct devices_machine *machine, struct error *err)
{
	int rc;

	devices->machine = *machine;
	rc = devices_each(devices, devices_make, err);
	if (!rc)
		rc = devices_place(devices, err);
	return rc ? rc : devices_each(devices, devices_put, err);
}

static void devices_end_entry(struct devices_entry *entry)
{
	if (entry->transport.self)
		entry->transport.ops->free(entry->transport.self);
	else if (entry->device)
		virtio_device_free(entry->device);
	child_end(entry->child);
}

static void devices_free_entry(struct devices_entry *entry)
{
	child_free(entry->child);
	virtio_resources_fini(&entry->resources);
}

void devices_free(struct devices *devices)
{
	if (!devices)
		return;
	for (size_t i = devices->plan.count; devices->entries && i--;)
		devices_end_entry(&devices->entries[i]);
	for (size_t i = devices->plan.count; devices->entries && i--;)
		devices_free_entry(&devices->entries[i]);
	spawner_free(devices->spawner);
	free(devices->entries);
	device_plan_fini(&devices->plan);
	free(devices);
}

/* --- Life ---------------------------------------------------------------- */

void devices_reset(struct devices *devices)
{
	for (size_t i = 0; i < devices->plan.count; i++) {
		struct device *transport = &devices->entries[i].transport;

		transport->ops->reset(transport->self);
	}
}

static int devices_wake_entry(struct devices_entry *entry, struct error *err)
{
	int rc;

	virtio_device_lock(entry->device);
	rc = virtio_device_wake_locked(entry->device);
	virtio_device_unlock(entry->device);
	return rc ? error_set(err, -rc, "%s: cannot wake it: %s",
			      entry->plan->label, strerror(-rc))
		  : 0;
}

/* The first count of them. */
static int devices_wake_some(struct devices *devices, size_t count,
			     struct error *err)
{
	int first = 0;

	while (count--) {
		struct error other;
		int rc = devices_wake_entry(&devices->entries[count],
					    first ? &other : err);

		first = first ? first : rc;
	}
	return first;
}

int devices_sleep(struct devices *devices, struct error *err)
{
	struct error other;

	for (size_t i = 0; i < devices->plan.count; i++) {
		struct devices_entry *entry = &devices->entries[i];
		int rc;

		virtio_device_lock(entry->device);
		rc = virtio_device_sleep_locked(entry->device);
		virtio_device_unlock(entry->device);
		if (!rc)
			continue;
		error_set(err, -rc, "%s: cannot put it to sleep: %s",
			  entry->plan->label, strerror(-rc));
		devices_wake_some(devices, i, &other);
		return rc;
	}
	return 0;
}

int devices_wake(struct devices *devices, struct error *err)
{
	return devices_wake_some(devices, devices->plan.count, err);
}

/* --- State --------------------------------------------------------------- */

static int devices_save_entry(struct devices_entry *entry, json_t *all,
			      struct error *err)
{
	json_t *state = NULL;
	int rc;

	rc = entry->transport.ops->save(entry->transport.self, &state);
	if (!rc && json_object_set_new(all, entry->plan->label, state))
		rc = -ENOMEM;
	return rc ? error_set(err, -rc, "%s: cannot save it: %s",
			      entry->plan->label, strerror(-rc))
		  : 0;
}

int devices_save(struct devices *devices, json_t **out, struct error *err)
{
	json_t *all = json_object();
	int rc = 0;

	if (!all)
		return error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < devices->plan.count && !rc; i++)
		rc = devices_save_entry(&devices->entries[i], all, err);
	if (rc)
		json_decref(all);
	else
		*out = all;
	return rc;
}

int devices_restore(struct devices *devices, const json_t *state,
		    struct error *err)
{
	if (!json_is_object(state) ||
	    json_object_size(state) != devices->plan.count)
		return error_set(err, EINVAL,
				 "expected the state of %zu devices, found %zu",
				 devices->plan.count, json_object_size(state));
	for (size_t i = 0; i < devices->plan.count; i++) {
		struct devices_entry *entry = &devices->entries[i];
		const json_t *value =
			json_object_get(state, entry->plan->label);
		int rc;

		if (!value)
			return error_set(err, EINVAL,
					 "%s: expected its state, found none",
					 entry->plan->label);
		rc = entry->transport.ops->restore(entry->transport.self, value,
						   err);
		if (rc) {
			error_prefix(err, "%s: ", entry->plan->label);
			return rc;
		}
	}
	return 0;
}

/* --- What a user asks ---------------------------------------------------- */

static int devices_unknown(const struct devices *devices, const char *label,
			   struct error *err)
{
	char labels[256] = "";
	size_t at = 0;

	for (size_t i = 0; i < devices->plan.count && at < sizeof(labels); i++)
		at += (size_t)snprintf(labels + at, sizeof(labels) - at, "%s%s",
				       at ? ", " : "",
				       devices->entries[i].plan->label);
	return error_set(err, ENODEV, "no device \"%.32s\"; there %s%s", label,
			 at ? "are " : "is none", labels);
}

static int devices_command_entry(struct devices_entry *entry, const char *name,
				 const json_t *args, json_t **reply,
				 struct error *err)
{
	int rc;

	if (entry->child)
		return child_command(entry->child, name, args, reply, err);
	virtio_device_lock(entry->device);
	rc = virtio_device_command_locked(entry->device, name, args, reply,
					  err);
	virtio_device_unlock(entry->device);
	return rc;
}

int devices_command(struct devices *devices, const char *label,
		    const char *name, const json_t *args, json_t **reply,
		    struct error *err)
{
	for (size_t i = 0; i < devices->plan.count; i++) {
		struct devices_entry *entry = &devices->entries[i];
		int rc;

		if (strcmp(entry->plan->label, label) != 0)
			continue;
		rc = devices_command_entry(entry, name, args, reply, err);
		if (rc)
			error_prefix(err, "%s: ", label);
		return rc;
	}
	return devices_unknown(devices, label, err);
}

static const char *const devices_state_names[] = {
	[VIRTIO_DEVICE_NEW] = "new",
	[VIRTIO_DEVICE_ACTIVE] = "active",
	[VIRTIO_DEVICE_INACTIVE] = "inactive",
	[VIRTIO_DEVICE_FAILED] = "failed",
	[VIRTIO_DEVICE_ASLEEP_NEW] = "asleep",
	[VIRTIO_DEVICE_ASLEEP_ACTIVE] = "asleep",
	[VIRTIO_DEVICE_ASLEEP_INACTIVE] = "asleep",
};

static_assert(sizeof(devices_state_names) / sizeof(devices_state_names[0]) ==
		      VIRTIO_DEVICE_STATES,
	      "a name for each state");

static json_t *devices_describe(const struct devices_entry *entry)
{
	enum virtio_device_state state;
	char address[24];
	json_t *object;

	virtio_device_lock(entry->device);
	state = virtio_device_state_locked(entry->device);
	virtio_device_unlock(entry->device);
	if (entry->plan->slot)
		snprintf(address, sizeof(address), "00:%02x.0",
			 entry->plan->slot);
	else
		snprintf(address, sizeof(address), "0x%" PRIx64, entry->base);
	object = json_pack("{s:s, s:s, s:s, s:s, s:s}", "label",
			   entry->plan->label, "type", entry->plan->type,
			   "transport", entry->plan->slot ? "pci" : "mmio",
			   "address", address, "state",
			   devices_state_names[state]);
	if (object && entry->child && child_describe(entry->child, object)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

int devices_status(struct devices *devices, json_t **out)
{
	json_t *all = json_array();

	for (size_t i = 0; all && i < devices->plan.count; i++) {
		if (!json_array_append_new(
			    all, devices_describe(&devices->entries[i])))
			continue;
		json_decref(all);
		return -ENOMEM;
	}
	*out = all;
	return all ? 0 : -ENOMEM;
}
