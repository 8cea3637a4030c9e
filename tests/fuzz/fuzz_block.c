/*
 * libFuzzer: the input is what a driver asks of a disk, up to 32 requests of
 * any header, length and framing. Each of them has to be answered with a
 * status, unless one broke the device; and the image keeps its size.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/support/ring_driver.h"
#include "virtio/block.h"
#include "virtio/block_file.h"
#include "vmm/base/log.h"
#include "vmm/base/loop.h"

#define REQUESTS    32
#define SLOT_BASE   0x100000
#define SLOT_SIZE   0x4000
#define DISK_SIZE   65536
#define STATUS_NONE 0xee

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct guest_mem *mem;
static struct virtio_device *device;
static int image;
static bool failed;

static void on_event(void *ctx)
{
	(void)ctx;
}

static void on_needs_reset(void *ctx)
{
	(void)ctx;
	failed = true;
}

static const struct virtio_device_events events = {
	.config_changed = on_event,
	.needs_reset = on_needs_reset,
};

static void check(bool good)
{
	if (!good)
		abort();
}

static void set_up(void)
{
	static const struct block_description description = {
		.size = DISK_SIZE,
		.discard = true,
		.mem_align = 1,
		.offset_align = 1,
		.block_size = 512,
		.queues = 1,
		.engine = BLOCK_ENGINE_AUTO,
		.serial = "fuzz",
	};
	static struct virtio_resources resources;
	struct virtio_device_config config = {
		.ops = &virtio_block_ops,
		.label = "block0",
		.resources = &resources,
	};
	struct error err;

	/* Thousands of complaints a second say nothing. */
	log_set_level(LOG_ERROR);
	image = memfd_create("image", MFD_CLOEXEC);
	check(image >= 0 && ftruncate(image, DISK_SIZE) == 0);
	check(loop_new(&loop) == 0);
	mem = ring_driver_mem(4);
	resources.description = block_description_save(&description);
	resources.fds[0] = image;
	resources.fd_count = 1;
	config.loop = loop;
	config.mem = mem;
	check(virtio_device_new(&device, &config, &err) == 0);
	virtio_device_lock(device);
	check(virtio_device_on_sandboxed_locked(device) == 0);
	virtio_device_set_events_locked(device, &events, NULL);
	virtio_device_unlock(device);
}

/* What is left of the input. */
struct input {
	const uint8_t *data;
	size_t size;
};

static unsigned int take(struct input *input, unsigned int bytes)
{
	unsigned int value = 0;

	while (bytes-- && input->size) {
		value = value << 8 | *input->data++;
		input->size--;
	}
	return value;
}

static unsigned int describe(struct ring_driver_buffer *out, uint64_t gpa,
			     unsigned int len, unsigned int cut)
{
	unsigned int count = 0, n;

	while (len && count < RING_DRIVER_BUFFERS_MAX / 4) {
		n = count + 1 == RING_DRIVER_BUFFERS_MAX / 4 || len < cut ? len
									  : cut;
		out[count++] = (struct ring_driver_buffer){gpa, n};
		gpa += n;
		len -= n;
	}
	return count;
}

/* Return: whether it is in the ring. */
static bool add(struct ring_driver *driver, struct input *input,
		unsigned int slot)
{
	const uint64_t gpa = SLOT_BASE + (uint64_t)slot * SLOT_SIZE;
	struct ring_driver_chain chain = {.indirect = true};
	const unsigned int flags = take(input, 1);
	unsigned int readable, writable, cut, n;
	uint8_t *ram = guest_mem_span(mem, gpa, SLOT_SIZE);

	memset(ram, 0, 16);
	memset(ram + SLOT_SIZE / 2, STATUS_NONE, SLOT_SIZE / 2);
	n = flags & 1 ? 17 : 4 + 4 * (flags >> 1 & 3);
	for (unsigned int i = 0; i < n; i++)
		ram[i * (flags & 8 ? 1 : 4) % 64] = (uint8_t)take(input, 1);
	readable = flags & 16 ? take(input, 2) % (SLOT_SIZE / 2)
			      : 16 + 16 * (take(input, 1) % 64);
	writable = flags & 32 ? take(input, 2) % (SLOT_SIZE / 2)
			      : 1 + 512 * (take(input, 1) % 4);
	cut = flags & 64 ? 1 + take(input, 1) : 16;
	chain.readable_count = describe(chain.readable, gpa, readable, cut);
	chain.writable_count =
		describe(chain.writable, gpa + SLOT_SIZE / 2, writable, cut);
	return chain.readable_count + chain.writable_count &&
	       ring_driver_add(driver, &chain) >= 0;
}

static void collect(struct ring_driver *driver)
{
	struct ring_driver_used used;
	struct stat st;

	while (ring_driver_collect(driver, &used) == 1)
		;
	/* Each was answered; a device that failed owes nothing. */
	check(failed || ring_driver_outstanding(driver) == 0);
	check(fstat(image, &st) == 0 && st.st_size == DISK_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ring_driver_options options = {
		.size = 64, .indirect = true, .table_entries = 64};
	struct input input = {data, size};
	struct virtqueue_config config;
	struct ring_driver *driver;

	if (!device)
		set_up();
	failed = false;
	driver = ring_driver_new(mem, &options);
	for (unsigned int i = 0; i < REQUESTS && input.size; i++)
		add(driver, &input, i);
	ring_driver_publish(driver);
	ring_driver_config(driver, &config);
	virtio_device_lock(device);
	virtio_device_ack_features_locked(device,
					  virtio_device_features(device));
	virtio_device_activate_locked(device, &config, 1);
	/* It sleeps when all is done; one that has failed does not. */
	if (virtio_device_sleep_locked(device) == 0)
		check(virtio_device_wake_locked(device) == 0);
	collect(driver);
	check(virtio_device_reset_locked(device) == 0);
	virtio_device_unlock(device);
	ring_driver_free(driver);
	return 0;
}
