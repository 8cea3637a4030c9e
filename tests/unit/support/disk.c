/* A block device with its driver, see disk.h. */
#include "tests/unit/support/disk.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <linux/virtio_config.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#define DISK_RINGS     ((uint64_t)256 << 10) /* a queue's, from 0 on */
#define DISK_SLOT_BASE ((uint64_t)16 << 20)
#define DISK_HEADER    16
#define DISK_PAGE      4096
#define DISK_DEADLINE  (INT64_C(20) * 1000000000)

uint8_t disk_fill(uint64_t offset)
{
	return (uint8_t)(offset / 512 * 7 + offset % 512 * 3 + 1);
}

/*
 * A byte is three more than the one before it in its sector, so all sectors are
 * pieces of one row; 171 is the inverse of 3.
 */
void disk_fill_bytes(uint8_t *bytes, uint64_t offset, size_t len)
{
	uint8_t row[256 + 512];

	for (unsigned int i = 0; i < sizeof(row); i++)
		row[i] = (uint8_t)(3 * i);
	while (len > 0) {
		size_t piece = 512 - offset % 512;

		if (piece > len)
			piece = len;
		memcpy(bytes, row + (uint8_t)(disk_fill(offset) * 171), piece);
		bytes += piece;
		offset += piece;
		len -= piece;
	}
}

void disk_make_dir(char *dir, size_t size, const char *base)
{
	/* Not in a tmpfs, which can do less. */
	snprintf(dir, size, "%s/bantam-disk-XXXXXX", base ? base : "/var/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

void disk_remove_dir(const char *dir)
{
	DIR *stream = opendir(dir);
	const struct dirent *entry;

	ck_assert_ptr_nonnull(stream);
	while ((entry = readdir(stream)))
		unlinkat(dirfd(stream), entry->d_name, 0);
	closedir(stream);
	ck_assert_int_eq(rmdir(dir), 0);
}

void disk_make_image(const char *path, uint64_t size)
{
	uint8_t *data = malloc(size + 1);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_ptr_nonnull(data);
	disk_fill_bytes(data, 0, size);
	ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
	close(fd);
	free(data);
}

/* --- The device ---------------------------------------------------------- */

static void disk_on_config_changed(void *ctx)
{
	struct disk *disk = ctx;

	disk->config_changed++;
}

static void disk_on_needs_reset(void *ctx)
{
	struct disk *disk = ctx;

	disk->needs_reset++;
	loop_stop(disk->loop);
}

static const struct virtio_device_events disk_events = {
	.config_changed = disk_on_config_changed,
	.needs_reset = disk_on_needs_reset,
};

static void disk_collect(struct disk *disk, struct ring_driver *driver)
{
	struct ring_driver_used used;
	struct disk_request *request;
	uint64_t base;
	int ret;

	while ((ret = ring_driver_collect(driver, &used)) == 1) {
		request = used.token;
		base = DISK_SLOT_BASE + request->slot * DISK_SLOT_BYTES +
		       DISK_SLOT_BYTES / 2 + request->skew;
		request->done = true;
		request->used = used.len;
		if (request->in)
			guest_mem_read(disk->mem, base, request->in,
				       request->in_len);
		guest_mem_read(disk->mem, base + request->in_len,
			       &request->status, 1);
		disk->slots[request->slot] = NULL;
	}
	ck_assert_int_eq(ret, 0);
}

static bool disk_outstanding(const struct disk *disk)
{
	for (unsigned int i = 0; i < disk->options.queues; i++) {
		if (ring_driver_outstanding(disk->drivers[i]))
			return true;
	}
	return false;
}

static void disk_on_call(void *ctx, uint32_t events)
{
	struct disk *disk = ctx;
	eventfd_t count;

	(void)events;
	for (unsigned int i = 0; i < disk->options.queues; i++) {
		if (eventfd_read(virtio_device_call_fd(disk->device, i),
				 &count) == 0)
			disk->call_count++;
		disk_collect(disk, disk->drivers[i]);
	}
	if (!disk_outstanding(disk))
		loop_stop(disk->loop);
}

void disk_create(struct disk *disk)
{
	struct virtio_device_config config = {
		.ops = &virtio_block_ops,
		.label = "block0",
		.loop = disk->loop,
		.mem = disk->mem,
		.resources = &disk->resources,
		.packed = disk->options.packed,
	};
	struct error err = {0};

	ck_assert_msg(virtio_device_new(&disk->device, &config, &err) == 0,
		      "%s", err.text);
	virtio_device_lock(disk->device);
	ck_assert_int_eq(virtio_device_on_sandboxed_locked(disk->device), 0);
	virtio_device_set_events_locked(disk->device, &disk_events, disk);
	virtio_device_unlock(disk->device);
	for (unsigned int i = 0; i < disk->options.queues; i++)
		ck_assert_int_eq(
			loop_fd_add(disk->loop, &disk->calls[i],
				    virtio_device_call_fd(disk->device, i),
				    EPOLLIN, disk_on_call, disk),
			0);
}

static void disk_drop_drivers(struct disk *disk)
{
	for (unsigned int i = 0; i < BLOCK_QUEUES_MAX; i++) {
		ring_driver_free(disk->drivers[i]);
		disk->drivers[i] = NULL;
	}
	memset(disk->slots, 0, sizeof(disk->slots));
}

void disk_destroy(struct disk *disk)
{
	for (unsigned int i = 0; i < disk->options.queues; i++)
		loop_fd_remove(disk->calls[i]);
	virtio_device_free(disk->device);
	disk->device = NULL;
	disk_drop_drivers(disk);
}

int disk_activate(struct disk *disk)
{
	struct virtqueue_config configs[BLOCK_QUEUES_MAX];
	struct ring_driver_options options = {
		.size = 64,
		.packed = disk->options.packed,
		.indirect = disk->options.indirect,
		.event_idx = disk->options.event_idx,
		.table_entries = 64,
	};
	uint64_t features = virtio_device_features(disk->device);
	int ret;

	features &= ~disk->options.refuse;
	if (!disk->options.indirect)
		features &= ~(UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC);
	if (!disk->options.event_idx)
		features &= ~(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	disk_drop_drivers(disk);
	for (unsigned int i = 0; i < disk->options.queues; i++) {
		options.base = i * DISK_RINGS;
		ck_assert_uint_le(ring_driver_footprint(&options), DISK_RINGS);
		disk->drivers[i] = ring_driver_new(disk->mem, &options);
		ring_driver_config(disk->drivers[i], &configs[i]);
		configs[i].index = i;
	}
	virtio_device_lock(disk->device);
	virtio_device_ack_features_locked(disk->device, features);
	ret = virtio_device_activate_locked(disk->device, configs,
					    disk->options.queues);
	virtio_device_unlock(disk->device);
	return ret;
}

void disk_reset(struct disk *disk)
{
	virtio_device_lock(disk->device);
	ck_assert_int_eq(virtio_device_reset_locked(disk->device), 0);
	virtio_device_unlock(disk->device);
	disk->needs_reset = 0;
}

/* Another number in the description than open() found. */
static void disk_describe_number(struct disk *disk, const char *name,
				 unsigned int number)
{
	json_object_set_new(disk->resources.description, name,
			    json_sprintf("0x%x", number));
}

struct disk *disk_new(const struct disk_options *options)
{
	struct disk *disk = calloc(1, sizeof(*disk));
	struct virtio_block_options block = {0};
	struct virtio_open opening = {.option = "--disk", .options = &block};
	struct error err = {0};

	ck_assert_ptr_nonnull(disk);
	disk->options = *options;
	if (!disk->options.queues)
		disk->options.queues = 1;
	if (!disk->options.size)
		disk->options.size = (uint64_t)1 << 20;
	if (options->file) {
		snprintf(disk->path, sizeof(disk->path), "%s", options->file);
	} else {
		disk_make_dir(disk->dir, sizeof(disk->dir), options->base);
		snprintf(disk->path, sizeof(disk->path), "%s/disk", disk->dir);
		disk_make_image(disk->path, disk->options.size);
	}
	block.file = disk->path;
	block.ro = options->ro;
	block.ephemeral = options->ephemeral;
	block.direct = options->direct;
	block.queues = disk->options.queues;
	if (options->serial)
		block.serial = strdup(options->serial);
	ck_assert_msg(block_open(&opening, &disk->resources, &err) == 0, "%s",
		      err.text);
	free(block.serial);
	disk_describe_number(disk, "engine", options->engine);
	if (options->align) {
		disk_describe_number(disk, "mem_align", options->align);
		disk_describe_number(disk, "offset_align", options->align);
	}
	ck_assert_int_eq(loop_new(&disk->loop), 0);
	disk->mem = ring_driver_mem(64);
	disk_create(disk);
	ck_assert_int_eq(disk_activate(disk), 0);
	return disk;
}

void disk_free(struct disk *disk)
{
	disk_destroy(disk);
	loop_free(disk->loop);
	guest_mem_free(disk->mem);
	virtio_resources_fini(&disk->resources);
	if (disk->dir[0])
		disk_remove_dir(disk->dir);
	free(disk);
}

/* --- Requests ------------------------------------------------------------ */

static unsigned int disk_slot(struct disk *disk, struct disk_request *request)
{
	for (unsigned int i = 0; i < DISK_SLOTS; i++) {
		if (!disk->slots[i]) {
			disk->slots[i] = request;
			return i;
		}
	}
	ck_abort_msg("too many requests at a time");
	return 0;
}

/* Descriptors of @len bytes at @gpa: a first one of @head, or of cut each. */
static unsigned int disk_describe(struct ring_driver_buffer *out, uint64_t gpa,
				  size_t len, size_t head, size_t cut)
{
	unsigned int count = 0;
	size_t n;

	while (len) {
		n = cut ? cut : count == 0 && head ? head : len;
		if (n > len)
			n = len;
		ck_assert_uint_lt(count, RING_DRIVER_BUFFERS_MAX);
		out[count++] = (struct ring_driver_buffer){gpa, (uint32_t)n};
		gpa += n;
		len -= n;
	}
	return count;
}

void disk_add(struct disk *disk, struct disk_request *request)
{
	const struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header = {htole32(request->type), 0, htole64(request->sector)};
	struct ring_driver_chain chain = {0};
	const uint8_t status = 0xee;
	uint64_t out, in;

	ck_assert_uint_le(request->out_len + request->skew + 2 * DISK_PAGE,
			  DISK_SLOT_BYTES / 2);
	ck_assert_uint_le(request->in_len + request->skew + DISK_PAGE,
			  DISK_SLOT_BYTES / 2);
	request->done = false;
	request->status = status;
	request->slot = disk_slot(disk, request);
	out = DISK_SLOT_BASE + request->slot * DISK_SLOT_BYTES + DISK_PAGE +
	      request->skew;
	in = DISK_SLOT_BASE + request->slot * DISK_SLOT_BYTES +
	     DISK_SLOT_BYTES / 2 + request->skew;
	guest_mem_write(disk->mem, out - DISK_HEADER, &header, DISK_HEADER);
	guest_mem_write(disk->mem, out, request->out, request->out_len);
	guest_mem_write(disk->mem, in + request->in_len, &status, 1);
	if (!request->no_header)
		chain.readable_count =
			disk_describe(chain.readable, out - DISK_HEADER,
				      DISK_HEADER + request->out_len,
				      DISK_HEADER, request->cut);
	if (!request->no_status)
		chain.writable_count =
			disk_describe(chain.writable, in, request->in_len + 1,
				      request->in_len, request->cut);
	chain.indirect = disk->options.indirect;
	chain.token = request;
	ck_assert_int_ge(ring_driver_add(disk->drivers[request->queue], &chain),
			 0);
}

void disk_kick(struct disk *disk)
{
	for (unsigned int i = 0; i < disk->options.queues; i++) {
		if (ring_driver_publish(disk->drivers[i]))
			eventfd_write(virtio_device_kick_fd(disk->device, i),
				      1);
	}
}

static void disk_on_deadline(void *ctx)
{
	(void)ctx;
	ck_abort_msg("a request was not done in time");
}

void disk_wait(struct disk *disk)
{
	struct loop_timer *timer;

	ck_assert_int_eq(
		loop_timer_add(disk->loop, &timer, disk_on_deadline, NULL), 0);
	loop_timer_set(timer, DISK_DEADLINE);
	if (disk_outstanding(disk) && !disk->needs_reset)
		ck_assert_int_eq(loop_run(disk->loop), 0);
	loop_timer_remove(timer);
}

int disk_do(struct disk *disk, struct disk_request *request)
{
	disk_add(disk, request);
	disk_kick(disk);
	disk_wait(disk);
	return request->done ? request->status : -1;
}

int disk_read(struct disk *disk, uint64_t sector, void *data, size_t len)
{
	struct disk_request request = {
		.type = VIRTIO_BLK_T_IN,
		.sector = sector,
		.in = data,
		.in_len = len,
	};

	return disk_do(disk, &request);
}

int disk_write(struct disk *disk, uint64_t sector, const void *data, size_t len)
{
	struct disk_request request = {
		.type = VIRTIO_BLK_T_OUT,
		.sector = sector,
		.out = data,
		.out_len = len,
	};

	return disk_do(disk, &request);
}

int disk_flush(struct disk *disk)
{
	struct disk_request request = {.type = VIRTIO_BLK_T_FLUSH};

	return disk_do(disk, &request);
}

int disk_range(struct disk *disk, uint32_t type, uint64_t sector,
	       uint32_t sectors, uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes range = {
		htole64(sector), htole32(sectors), htole32(flags)};
	struct disk_request request = {
		.type = type,
		.out = &range,
		.out_len = sizeof(range),
	};

	return disk_do(disk, &request);
}

uint64_t disk_capacity(struct disk *disk)
{
	uint64_t capacity;

	virtio_device_lock(disk->device);
	virtio_device_read_config_locked(disk->device, 0, &capacity,
					 sizeof(capacity));
	virtio_device_unlock(disk->device);
	return le64toh(capacity);
}

void disk_host_read(const struct disk *disk, uint64_t offset, void *data,
		    size_t len)
{
	int fd = open(disk->path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, data, len, (off_t)offset), (ssize_t)len);
	close(fd);
}
