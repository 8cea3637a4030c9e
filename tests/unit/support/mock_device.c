#include "tests/unit/support/mock_device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>
#include <sys/epoll.h>
#include <unistd.h>

void mock_device_init(struct mock_device *mock)
{
	*mock = (struct mock_device){
		.queue_count = MOCK_DEVICE_QUEUES,
		.features = MOCK_DEVICE_FEATURES,
		.config_size = MOCK_DEVICE_CONFIG,
		.interrupts = MOCK_DEVICE_QUEUES,
		.watch_fd = -1,
		.value = 0x1234,
	};
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
		mock->sizes[i] = MOCK_DEVICE_SIZE;
	for (unsigned int i = 0; i < sizeof(mock->config); i++)
		mock->config[i] = (uint8_t)(0xa0 + i);
}

static int mock_device_call(struct mock_device *mock, enum mock_call call)
{
	mock->calls[call]++;
	mock->all++;
	return mock->fails[call];
}

static int mock_device_open(const struct virtio_open *open,
			    struct virtio_resources *out, struct error *err)
{
	/* The test's own; nobody else may have it. */
	struct mock_device *mock =
		(struct mock_device *)(uintptr_t)open->options;
	int ret = mock_device_call(mock, MOCK_OPEN);

	if (ret < 0)
		return error_set(err, -ret, "%s: as the test wants it",
				 open->option);
	*out = (struct virtio_resources){0};
	out->description =
		json_pack("{s:I}", "mock", (json_int_t)(uintptr_t)mock);
	ck_assert_ptr_nonnull(out->description);
	return 0;
}

void mock_device_resources(struct mock_device *mock,
			   struct virtio_resources *out)
{
	const struct virtio_open open = {.option = "--mock", .options = mock};

	ck_assert_int_eq(mock_device_open(&open, out, NULL), 0);
}

static void mock_device_watched(void *self, uint32_t events)
{
	struct mock_device *mock = self;

	mock->watch_events = events;
	mock_device_call(mock, MOCK_WATCH);
}

static void mock_device_timed(void *self)
{
	mock_device_call(self, MOCK_TIMER);
}

static int mock_device_create(void **self, struct virtio_device *device,
			      const struct virtio_resources *resources,
			      struct error *err)
{
	struct mock_device *mock =
		(struct mock_device *)(uintptr_t)json_integer_value(
			json_object_get(resources->description, "mock"));
	int ret = mock_device_call(mock, MOCK_CREATE);

	mock->device = device;
	ck_assert_int_eq(virtio_device_timer(device, &mock->timer,
					     mock_device_timed, mock),
			 0);
	if (mock->watch_fd >= 0)
		ck_assert_int_eq(virtio_device_watch(device, &mock->watch,
						     mock->watch_fd, EPOLLIN,
						     mock_device_watched, mock),
				 0);
	if (ret < 0)
		return error_set(err, -ret, "mock: as the test wants it");
	*self = mock;
	return 0;
}

static void mock_device_destroy(void *self)
{
	struct mock_device *mock = self;

	ck_assert(!mock->active);
	mock_device_call(mock, MOCK_DESTROY);
}

static unsigned int mock_device_keep_fds(void *self, int *fds)
{
	struct mock_device *mock = self;

	if (mock->watch_fd < 0)
		return 0;
	fds[0] = mock->watch_fd;
	return 1;
}

static unsigned int mock_device_queue_max_sizes(void *self, uint16_t *sizes)
{
	struct mock_device *mock = self;

	memcpy(sizes, mock->sizes, sizeof(mock->sizes));
	return mock->queue_count;
}

static unsigned int mock_device_num_interrupts(void *self)
{
	return ((struct mock_device *)self)->interrupts;
}

static uint64_t mock_device_features(void *self)
{
	return ((struct mock_device *)self)->features;
}

static void mock_device_ack_features(void *self, uint64_t features)
{
	struct mock_device *mock = self;

	mock->acked = features;
	mock_device_call(mock, MOCK_ACK_FEATURES);
}

static size_t mock_device_config_size(void *self)
{
	return ((struct mock_device *)self)->config_size;
}

static void mock_device_read_config(void *self, size_t offset, void *data,
				    size_t len)
{
	struct mock_device *mock = self;

	ck_assert(len > 0 && offset + len <= mock->config_size);
	mock->calls[MOCK_READ_CONFIG]++;
	memcpy(data, &mock->config[offset], len);
}

static void mock_device_write_config(void *self, size_t offset,
				     const void *data, size_t len)
{
	struct mock_device *mock = self;

	ck_assert(len > 0 && offset + len <= mock->config_size);
	mock_device_call(mock, MOCK_WRITE_CONFIG);
	memcpy(&mock->config[offset], data, len);
}

static void mock_device_take(struct mock_device *mock,
			     struct virtqueue *const *queues)
{
	memcpy(mock->queues, queues, sizeof(mock->queues));
	mock->active = true;
}

static void mock_device_forget(struct mock_device *mock)
{
	memset(mock->queues, 0, sizeof(mock->queues));
	mock->active = false;
}

static int mock_device_activate(void *self, struct virtqueue *const *queues)
{
	struct mock_device *mock = self;
	int ret = mock_device_call(mock, MOCK_ACTIVATE);

	if (ret < 0)
		return ret;
	mock_device_take(mock, queues);
	if (mock->fail_soon)
		virtio_device_needs_reset(mock->device);
	return 0;
}

static void mock_device_echo(struct mock_device *mock, unsigned int index,
			     struct virtqueue_chain *chain)
{
	uint8_t bytes[4096];
	size_t len = virtqueue_chain_read(chain, 0, bytes, sizeof(bytes));

	len = virtqueue_chain_write(chain, 0, bytes, len);
	virtqueue_put(mock->queues[index], chain, (uint32_t)len);
}

static void mock_device_handle(struct mock_device *mock, unsigned int index,
			       struct virtqueue_chain *chain)
{
	if (!mock->hold) {
		mock_device_echo(mock, index, chain);
		return;
	}
	ck_assert_uint_lt(mock->held_count,
			  sizeof(mock->held) / sizeof(mock->held[0]));
	mock->held_queue[mock->held_count] = index;
	mock->held[mock->held_count++] = chain;
}

static void mock_device_queue_ready(void *self, unsigned int index)
{
	struct mock_device *mock = self;
	struct virtqueue_chain *chain;
	int ret;

	ck_assert_ptr_nonnull(mock->queues[index]);
	mock_device_call(mock, MOCK_QUEUE_READY);
	mock->ready[index]++;
	do {
		virtqueue_set_kicks(mock->queues[index], false);
		while ((ret = virtqueue_pop(mock->queues[index], &chain)) == 1)
			mock_device_handle(mock, index, chain);
		virtqueue_publish(mock->queues[index]);
	} while (ret == 0 && virtqueue_set_kicks(mock->queues[index], true));
	if (ret < 0 || mock->fail_soon)
		virtio_device_needs_reset(mock->device);
}

void mock_device_finish(struct mock_device *mock)
{
	for (unsigned int i = 0; i < mock->held_count; i++)
		mock_device_echo(mock, mock->held_queue[i], mock->held[i]);
	mock->held_count = 0;
	for (unsigned int i = 0; i < mock->queue_count; i++) {
		if (mock->queues[i])
			virtqueue_publish(mock->queues[i]);
	}
}

/* Of one queue, or (index -1) of all. */
static void mock_device_drop(struct mock_device *mock, int index)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < mock->held_count; i++) {
		if (index < 0 || mock->held_queue[i] == (unsigned int)index) {
			virtqueue_chain_free(mock->held[i]);
			continue;
		}
		mock->held_queue[kept] = mock->held_queue[i];
		mock->held[kept++] = mock->held[i];
	}
	mock->held_count = kept;
}

static void mock_device_reset(void *self)
{
	struct mock_device *mock = self;

	mock_device_call(mock, MOCK_RESET);
	mock_device_drop(mock, -1);
	mock_device_forget(mock);
}

static void mock_device_queue_reset(void *self, unsigned int index)
{
	struct mock_device *mock = self;

	mock_device_call(mock, MOCK_QUEUE_RESET);
	mock_device_drop(mock, (int)index);
	mock->queues[index] = NULL;
}

static int mock_device_queue_enable(void *self, unsigned int index,
				    struct virtqueue *queue)
{
	struct mock_device *mock = self;
	int ret = mock_device_call(mock, MOCK_QUEUE_ENABLE);

	ck_assert_ptr_null(mock->queues[index]);
	if (ret == 0)
		mock->queues[index] = queue;
	return ret;
}

static int mock_device_sleep(void *self)
{
	struct mock_device *mock = self;
	int ret = mock_device_call(mock, MOCK_SLEEP);

	if (ret < 0)
		return ret;
	mock_device_finish(mock);
	mock_device_forget(mock);
	return 0;
}

static int mock_device_wake(void *self, struct virtqueue *const *queues)
{
	struct mock_device *mock = self;
	int ret = mock_device_call(mock, MOCK_WAKE);

	if (ret < 0)
		return ret;
	if (queues)
		mock_device_take(mock, queues);
	if (mock->fail_soon)
		virtio_device_needs_reset(mock->device);
	return 0;
}

static int mock_device_snapshot(void *self, json_t **out)
{
	struct mock_device *mock = self;
	int ret = mock_device_call(mock, MOCK_SNAPSHOT);

	if (ret < 0)
		return ret;
	*out = json_pack("{s:I}", "value", (json_int_t)mock->value);
	return *out ? 0 : -ENOMEM;
}

static int mock_device_restore(void *self, const json_t *state,
			       struct error *err)
{
	struct mock_device *mock = self;
	const json_t *value = json_object_get(state, "value");
	int ret = mock_device_call(mock, MOCK_RESTORE);

	if (ret == 0 && !json_is_integer(value))
		ret = -EINVAL;
	if (ret < 0)
		return error_set(err, -ret, "mock: expected a value");
	mock->value = (uint64_t)json_integer_value(value);
	return 0;
}

static int mock_device_command(void *self, const char *name, const json_t *args,
			       json_t **reply, struct error *err)
{
	struct mock_device *mock = self;
	int ret = mock_device_call(mock, MOCK_COMMAND);

	(void)args;
	if (ret < 0)
		return error_set(err, -ret, "mock: no %s", name);
	*reply = json_string(name);
	return 0;
}

static int mock_device_on_sandboxed(void *self)
{
	return mock_device_call(self, MOCK_ON_SANDBOXED);
}

static uint64_t mock_device_bar_read(void *ctx, uint64_t offset,
				     unsigned int size)
{
	(void)ctx;
	return offset << 8 | size;
}

static void mock_device_bar_write(void *ctx, uint64_t offset, unsigned int size,
				  uint64_t value)
{
	struct mock_device *mock = ctx;

	(void)offset;
	(void)size;
	mock->value = value;
}

static const struct bus_ops mock_device_bar_ops = {
	.read = mock_device_bar_read,
	.write = mock_device_bar_write,
	.max_size = 4,
};

static unsigned int mock_device_pci_bars(void *self, struct virtio_bar *bars)
{
	struct mock_device *mock = self;

	bars[0] = (struct virtio_bar){
		.index = 5,
		.size = 4096,
		.ops = &mock_device_bar_ops,
		.ctx = mock,
	};
	return mock->more;
}

static unsigned int mock_device_pci_caps(void *self, struct virtio_cap *caps)
{
	caps[0] = (struct virtio_cap){
		.cfg_type = 0x42,
		.bar = 5,
		.id = 7,
		.offset = 0x100,
		.length = 0x200,
	};
	return ((struct mock_device *)self)->more;
}

static void mock_device_control_notify(void *self,
				       const struct virtio_msix_change *change)
{
	struct mock_device *mock = self;

	mock->change = *change;
	mock_device_call(mock, MOCK_CONTROL_NOTIFY);
}

static void mock_device_generate_acpi(void *self, struct aml *aml,
				      const struct virtio_pci_address *address)
{
	(void)aml;
	(void)address;
	mock_device_call(self, MOCK_GENERATE_ACPI);
}

static bool mock_device_pci_address(void *self, struct virtio_pci_address *out)
{
	(void)self;
	*out = (struct virtio_pci_address){.slot = 9};
	return true;
}

static bool mock_device_shm_region(void *self, struct virtio_shm_region *out)
{
	struct mock_device *mock = self;

	*out = (struct virtio_shm_region){.id = 3, .length = mock->shm_length};
	return mock->shm_length != 0;
}

static bool mock_device_shm_with_viommu(void *self)
{
	(void)self;
	return true;
}

static void mock_device_set_shm_mapper(void *self,
				       const struct virtio_shm_mapper *mapper)
{
	(void)mapper;
	mock_device_call(self, MOCK_SET_SHM_MAPPER);
}

static void mock_device_set_shm_address(void *self, uint64_t address)
{
	struct mock_device *mock = self;

	mock->shm_address = address;
	mock_device_call(mock, MOCK_SET_SHM_ADDRESS);
}

static enum virtio_shm_prepare mock_device_shm_prepare(void *self)
{
	(void)self;
	return VIRTIO_SHM_PREPARED;
}

static bool mock_device_boot_order(void *self, unsigned int slot, char *line,
				   size_t size)
{
	(void)self;
	snprintf(line, size, "/pci@i0cf8/mock@%x", slot);
	return true;
}

#define MOCK_REQUIRED                                                       \
	.type = "mock", .device_id = MOCK_DEVICE_ID,                        \
	.class_code = MOCK_DEVICE_CLASS, .open = mock_device_open,          \
	.create = mock_device_create, .destroy = mock_device_destroy,       \
	.keep_fds = mock_device_keep_fds,                                   \
	.queue_max_sizes = mock_device_queue_max_sizes,                     \
	.activate = mock_device_activate,                                   \
	.queue_ready = mock_device_queue_ready, .reset = mock_device_reset, \
	.snapshot = mock_device_snapshot, .restore = mock_device_restore

const struct virtio_device_ops mock_device_ops = {
	MOCK_REQUIRED,
	.num_interrupts = mock_device_num_interrupts,
	.features = mock_device_features,
	.ack_features = mock_device_ack_features,
	.config_size = mock_device_config_size,
	.read_config = mock_device_read_config,
	.write_config = mock_device_write_config,
	.queue_reset = mock_device_queue_reset,
	.queue_enable = mock_device_queue_enable,
	.sleep = mock_device_sleep,
	.wake = mock_device_wake,
	.command = mock_device_command,
	.on_sandboxed = mock_device_on_sandboxed,
	.pci_bars = mock_device_pci_bars,
	.pci_caps = mock_device_pci_caps,
	.control_notify = mock_device_control_notify,
	.generate_acpi = mock_device_generate_acpi,
	.pci_address = mock_device_pci_address,
	.shm_region = mock_device_shm_region,
	.shm_with_viommu = mock_device_shm_with_viommu,
	.set_shm_mapper = mock_device_set_shm_mapper,
	.set_shm_address = mock_device_set_shm_address,
	.shm_prepare = mock_device_shm_prepare,
	.boot_order = mock_device_boot_order,
};

const struct virtio_device_ops mock_device_plain_ops = {
	MOCK_REQUIRED,
};

struct virtio_device_config
mock_device_config(struct loop *loop, struct guest_mem *mem,
		   struct virtio_resources *resources)
{
	return (struct virtio_device_config){
		.ops = &mock_device_ops,
		.label = "mock0",
		.loop = loop,
		.mem = mem,
		.resources = resources,
		.packed = true,
	};
}
