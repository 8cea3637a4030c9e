/*
 * The virtio device object: the states and what is allowed in each, and the
 * defaults of all operations that a model leaves out. What happens to its
 * queues in these states is in device_life.c.
 */
#include "virtio/device.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <unistd.h>

#include "virtio/device_private.h"
#include "vmm/base/starter.h"

#define RING_FEATURES                                 \
	(UINT64_C(1) << VIRTIO_F_VERSION_1 |          \
	 UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC | \
	 UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

/* --- The state machine ----------------------------------------------------
 */

struct virtio_device_move {
	bool allowed;
	enum virtio_device_state next;
};

#define TO(state)                           \
	{                                   \
		true, VIRTIO_DEVICE_##state \
	}

/* What does not stand here is refused, and changes nothing. */
static const struct virtio_device_move virtio_device_moves[][VIRTIO_STEPS] = {
	[VIRTIO_DEVICE_NEW] =
		{
			[VIRTIO_STEP_ACK_FEATURES] = TO(NEW),
			[VIRTIO_STEP_WRITE_CONFIG] = TO(NEW),
			[VIRTIO_STEP_ACTIVATE] = TO(ACTIVE),
			[VIRTIO_STEP_FAIL] = TO(FAILED),
			[VIRTIO_STEP_RESET] = TO(NEW),
			[VIRTIO_STEP_COMMAND] = TO(NEW),
			[VIRTIO_STEP_CALLBACK] = TO(NEW),
			[VIRTIO_STEP_SLEEP] = TO(ASLEEP_NEW),
		},
	[VIRTIO_DEVICE_ACTIVE] =
		{
			[VIRTIO_STEP_WRITE_CONFIG] = TO(ACTIVE),
			[VIRTIO_STEP_QUEUE_READY] = TO(ACTIVE),
			[VIRTIO_STEP_QUEUE_RESET] = TO(ACTIVE),
			[VIRTIO_STEP_QUEUE_ENABLE] = TO(ACTIVE),
			[VIRTIO_STEP_FAIL] = TO(FAILED),
			[VIRTIO_STEP_RESET] = TO(INACTIVE),
			[VIRTIO_STEP_COMMAND] = TO(ACTIVE),
			[VIRTIO_STEP_CALLBACK] = TO(ACTIVE),
			[VIRTIO_STEP_SLEEP] = TO(ASLEEP_ACTIVE),
		},
	[VIRTIO_DEVICE_INACTIVE] =
		{
			[VIRTIO_STEP_ACK_FEATURES] = TO(INACTIVE),
			[VIRTIO_STEP_WRITE_CONFIG] = TO(INACTIVE),
			[VIRTIO_STEP_ACTIVATE] = TO(ACTIVE),
			[VIRTIO_STEP_FAIL] = TO(FAILED),
			[VIRTIO_STEP_RESET] = TO(INACTIVE),
			[VIRTIO_STEP_COMMAND] = TO(INACTIVE),
			[VIRTIO_STEP_CALLBACK] = TO(INACTIVE),
			[VIRTIO_STEP_SLEEP] = TO(ASLEEP_INACTIVE),
		},
	[VIRTIO_DEVICE_FAILED] =
		{
			[VIRTIO_STEP_ACK_FEATURES] = TO(FAILED),
			[VIRTIO_STEP_WRITE_CONFIG] = TO(FAILED),
			[VIRTIO_STEP_RESET] = TO(INACTIVE),
			[VIRTIO_STEP_COMMAND] = TO(FAILED),
			[VIRTIO_STEP_CALLBACK] = TO(FAILED),
		},
	[VIRTIO_DEVICE_ASLEEP_NEW] =
		{
			[VIRTIO_STEP_WAKE] = TO(NEW),
			[VIRTIO_STEP_SNAPSHOT] = TO(ASLEEP_NEW),
			[VIRTIO_STEP_RESTORE_NEW] = TO(ASLEEP_NEW),
			[VIRTIO_STEP_RESTORE_ACTIVE] = TO(ASLEEP_ACTIVE),
			[VIRTIO_STEP_RESTORE_INACTIVE] = TO(ASLEEP_INACTIVE),
		},
	[VIRTIO_DEVICE_ASLEEP_ACTIVE] =
		{
			[VIRTIO_STEP_WAKE] = TO(ACTIVE),
			[VIRTIO_STEP_SNAPSHOT] = TO(ASLEEP_ACTIVE),
		},
	[VIRTIO_DEVICE_ASLEEP_INACTIVE] =
		{
			[VIRTIO_STEP_WAKE] = TO(INACTIVE),
			[VIRTIO_STEP_SNAPSHOT] = TO(ASLEEP_INACTIVE),
		},
};

static_assert(sizeof(virtio_device_moves) / sizeof(virtio_device_moves[0]) ==
		      VIRTIO_DEVICE_STATES,
	      "a row for each state");

bool virtio_device_may(const struct virtio_device *device,
		       enum virtio_device_step step)
{
	return virtio_device_moves[device->state][step].allowed;
}

bool virtio_device_step(struct virtio_device *device,
			enum virtio_device_step step)
{
	const struct virtio_device_move *move =
		&virtio_device_moves[device->state][step];

	if (move->allowed)
		device->state = move->next;
	return move->allowed;
}

/* --- Making and freeing ---------------------------------------------------
 */

void virtio_resources_fini(struct virtio_resources *resources)
{
	for (unsigned int i = 0; i < resources->fd_count; i++) {
		if (resources->fds[i] >= 0)
			close(resources->fds[i]);
	}
	json_decref(resources->description);
	starter_free(resources->starter);
	*resources = (struct virtio_resources){0};
}

void virtio_resources_settle(struct virtio_resources *resources)
{
	starter_free(resources->starter);
	resources->starter = NULL;
}

static void virtio_device_check_ops(const struct virtio_device_ops *ops)
{
	assert(ops->type && ops->open && ops->create && ops->destroy);
	assert(ops->keep_fds && ops->queue_max_sizes && ops->activate);
	assert(ops->queue_ready && ops->reset && ops->snapshot && ops->restore);
	assert(!ops->queue_reset == !ops->queue_enable);
	assert(!ops->config_size == !ops->read_config);
}

static uint64_t virtio_device_offer(const struct virtio_device *device,
				    bool packed)
{
	const struct virtio_device_ops *ops = device->ops;
	uint64_t features = ops->features ? ops->features(device->self) : 0;

	if (ops->queue_elsewhere)
		return features;
	features |= RING_FEATURES;
	if (packed)
		features |= UINT64_C(1) << VIRTIO_F_RING_PACKED;
	if (ops->queue_reset)
		features |= UINT64_C(1) << VIRTIO_F_RING_RESET;
	return features;
}

/* What the model says once and for all. */
static void virtio_device_ask(struct virtio_device *device, bool packed)
{
	const struct virtio_device_ops *ops = device->ops;
	uint16_t sizes[VIRTIO_QUEUES_MAX] = {0};

	device->queue_count = ops->queue_max_sizes(device->self, sizes);
	assert(device->queue_count <= VIRTIO_QUEUES_MAX);
	for (unsigned int i = 0; i < device->queue_count; i++) {
		assert(sizes[i] && sizes[i] <= VIRTQUEUE_SIZE_MAX &&
		       !(sizes[i] & (sizes[i] - 1)));
		device->queues[i].max = sizes[i];
		device->queues[i].elsewhere =
			ops->queue_elsewhere &&
			ops->queue_elsewhere(device->self, i);
	}
	device->features = virtio_device_offer(device, packed);
	device->interrupts = ops->num_interrupts
				     ? ops->num_interrupts(device->self)
				     : device->queue_count;
	device->config_size =
		ops->config_size ? ops->config_size(device->self) : 0;
}

static struct virtio_device *
virtio_device_alloc(const struct virtio_device_config *config)
{
	struct virtio_device *device = calloc(1, sizeof(*device));

	if (!device)
		return NULL;
	device->ops = config->ops;
	device->loop = config->loop;
	device->mem = config->mem;
	snprintf(device->label, sizeof(device->label), "%s", config->label);
	pthread_mutex_init(&device->lock, NULL);
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		device->queues[i] = (struct virtio_device_queue){
			.device = device,
			.index = i,
			.kick_fd = -1,
			.call_fd = -1,
		};
	}
	return device;
}

static void virtio_device_dealloc(struct virtio_device *device)
{
	virtio_device_fini_fds(device);
	pthread_mutex_destroy(&device->lock);
	free(device);
}

int virtio_device_new(struct virtio_device **out,
		      const struct virtio_device_config *config,
		      struct error *err)
{
	struct virtio_device *device;
	int ret;

	virtio_device_check_ops(config->ops);
	device = virtio_device_alloc(config);
	if (!device)
		return error_set(err, ENOMEM, "%s: out of memory",
				 config->label);
	virtio_device_lock(device);
	ret = config->ops->create(&device->self, device, config->resources,
				  err);
	if (ret < 0)
		goto err_dealloc;
	virtio_device_ask(device, config->packed);
	ret = virtio_device_init_fds(device);
	if (ret < 0) {
		error_set(err, -ret, "%s: cannot make its eventfds: %s",
			  device->label, strerror(-ret));
		goto err_destroy;
	}
	virtio_device_unlock(device);
	*out = device;
	return 0;

err_destroy:
	virtio_device_leave_loop(device);
	config->ops->destroy(device->self);
	virtio_device_unlock(device);
	virtio_device_dealloc(device);
	return ret;
err_dealloc:
	virtio_device_leave_loop(device);
	virtio_device_unlock(device);
	virtio_device_dealloc(device);
	return ret;
}

void virtio_device_free(struct virtio_device *device)
{
	if (!device)
		return;
	virtio_device_lock(device);
	device->events = NULL;
	virtio_device_leave_loop(device);
	if (device->state == VIRTIO_DEVICE_ASLEEP_ACTIVE)
		device->ops->reset(device->self);
	else
		virtio_device_reset_locked(device);
	device->ops->destroy(device->self);
	virtio_device_unlock(device);
	virtio_device_dealloc(device);
}

void virtio_device_lock(struct virtio_device *device)
{
	pthread_mutex_lock(&device->lock);
}

void virtio_device_unlock(struct virtio_device *device)
{
	pthread_mutex_unlock(&device->lock);
}

/* --- What does not change -------------------------------------------------
 */

const char *virtio_device_label(const struct virtio_device *device)
{
	return device->label;
}

const struct virtio_device_ops *
virtio_device_ops(const struct virtio_device *device)
{
	return device->ops;
}

void *virtio_device_model(const struct virtio_device *device)
{
	return device->self;
}

unsigned int virtio_device_queues(const struct virtio_device *device)
{
	return device->queue_count;
}

uint16_t virtio_device_queue_max(const struct virtio_device *device,
				 unsigned int index)
{
	return index < device->queue_count ? device->queues[index].max : 0;
}

unsigned int virtio_device_interrupts(const struct virtio_device *device)
{
	return device->interrupts;
}

uint64_t virtio_device_features(const struct virtio_device *device)
{
	return device->features;
}

size_t virtio_device_config_size(const struct virtio_device *device)
{
	return device->config_size;
}

int virtio_device_kick_fd(const struct virtio_device *device,
			  unsigned int index)
{
	return index < device->queue_count ? device->queues[index].kick_fd : -1;
}

int virtio_device_call_fd(const struct virtio_device *device,
			  unsigned int index)
{
	return index < device->queue_count ? device->queues[index].call_fd : -1;
}

struct guest_mem *virtio_device_mem(struct virtio_device *device)
{
	return device->mem;
}

/* --- What a model that has not the operation does ------------------------
 */

int virtio_device_ask_sleep(struct virtio_device *device)
{
	return device->ops->sleep ? device->ops->sleep(device->self) : 0;
}

int virtio_device_ask_wake(struct virtio_device *device,
			   struct virtqueue *const *queues)
{
	if (device->ops->wake)
		return device->ops->wake(device->self, queues);
	return queues ? device->ops->activate(device->self, queues) : 0;
}

int virtio_device_remember_locked(struct virtio_device *device, json_t **out)
{
	return device->ops->remember ? device->ops->remember(device->self, out)
				     : -EOPNOTSUPP;
}

int virtio_device_command_locked(struct virtio_device *device, const char *name,
				 const json_t *args, json_t **reply,
				 struct error *err)
{
	*reply = NULL;
	if (!virtio_device_step(device, VIRTIO_STEP_COMMAND))
		return error_set(err, EBUSY, "%s: it sleeps, resume it first",
				 device->label);
	if (!device->ops->command)
		return error_set(err, EOPNOTSUPP,
				 "%s: a %s device knows no command \"%s\"",
				 device->label, device->ops->type, name);
	return device->ops->command(device->self, name, args, reply, err);
}

int virtio_device_on_sandboxed_locked(struct virtio_device *device)
{
	return device->ops->on_sandboxed
		       ? device->ops->on_sandboxed(device->self)
		       : 0;
}

unsigned int virtio_device_pci_bars_locked(struct virtio_device *device,
					   struct virtio_bar *bars)
{
	return device->ops->pci_bars ? device->ops->pci_bars(device->self, bars)
				     : 0;
}

unsigned int virtio_device_pci_caps_locked(struct virtio_device *device,
					   struct virtio_cap *caps)
{
	return device->ops->pci_caps ? device->ops->pci_caps(device->self, caps)
				     : 0;
}

void virtio_device_control_notify_locked(
	struct virtio_device *device, const struct virtio_msix_change *change)
{
	if (device->ops->control_notify)
		device->ops->control_notify(device->self, change);
}

void virtio_device_generate_acpi_locked(
	struct virtio_device *device, struct aml *aml,
	const struct virtio_pci_address *address)
{
	if (device->ops->generate_acpi)
		device->ops->generate_acpi(device->self, aml, address);
}

bool virtio_device_pci_address_locked(struct virtio_device *device,
				      struct virtio_pci_address *out)
{
	return device->ops->pci_address &&
	       device->ops->pci_address(device->self, out);
}

bool virtio_device_shm_region_locked(struct virtio_device *device,
				     struct virtio_shm_region *out)
{
	return device->ops->shm_region &&
	       device->ops->shm_region(device->self, out);
}

bool virtio_device_shm_with_viommu_locked(struct virtio_device *device)
{
	return device->ops->shm_with_viommu &&
	       device->ops->shm_with_viommu(device->self);
}

void virtio_device_set_shm_mapper_locked(struct virtio_device *device,
					 const struct virtio_shm_mapper *mapper)
{
	if (device->ops->set_shm_mapper)
		device->ops->set_shm_mapper(device->self, mapper);
}

void virtio_device_set_shm_address_locked(struct virtio_device *device,
					  uint64_t address)
{
	if (device->ops->set_shm_address)
		device->ops->set_shm_address(device->self, address);
}

enum virtio_shm_prepare
virtio_device_shm_prepare_locked(struct virtio_device *device)
{
	return device->ops->shm_prepare ? device->ops->shm_prepare(device->self)
					: VIRTIO_SHM_DYNAMIC;
}

bool virtio_device_boot_order_locked(struct virtio_device *device,
				     unsigned int slot, char *line, size_t size)
{
	return device->ops->boot_order &&
	       device->ops->boot_order(device->self, slot, line, size);
}
