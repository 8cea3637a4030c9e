/*
 * The block device (virtio 1.3, 5.2): its life, configuration and state. Its
 * requests are in block_request.c. The guest controls the configuration
 * writes; snapshots and commands come from a user.
 */
#include "virtio/block.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>

#include "virtio/block_private.h"
#include "virtio/seccomp.h"
#include "vmm/base/json.h"

#define BLOCK_CLASS_CODE 0x010000 /* mass storage, SCSI */

/* 5.2.4, up to what belongs to the features that are offered */
struct block_config {
	le64 capacity; /* sectors */
	le32 size_max;
	le32 seg_max;
	le16 cylinders;
	uint8_t heads, sectors;
	le32 blk_size;
	uint8_t physical_block_exp, alignment_offset;
	le16 min_io_size;
	le32 opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	le16 num_queues;
	le32 max_discard_sectors;
	le32 max_discard_seg;
	le32 discard_sector_alignment;
	le32 max_write_zeroes_sectors;
	le32 max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
};

_Static_assert(sizeof(struct block_config) == 60, "5.2.4");
_Static_assert(offsetof(struct block_config, writeback) == 32, "5.2.4");

/* --- Making and freeing -------------------------------------------------- */

static void block_on_event(void *self, uint32_t events)
{
	(void)events;
	(void)block_requests_run(self);
}

static int block_watch(struct block *block)
{
	const int ring_fd = block_file_ring_fd(block->file);
	int ret = virtio_device_watch(block->device, &block->watch,
				      block_file_event_fd(block->file),
				      EPOLLIN | EPOLLET, block_on_event, block);

	if (ret < 0 || ring_fd < 0)
		return ret;
	return virtio_device_watch(block->device, &block->ring_watch, ring_fd,
				   EPOLLIN, block_on_event, block);
}

static int block_create_file(struct block *block,
			     const struct virtio_resources *resources,
			     struct error *err)
{
	const struct block_description *d = &block->description;
	const unsigned int count = d->ephemeral ? BLOCK_FDS_MAX : 1;
	struct block_file_config config = {
		.fds = {-1, -1, -1},
		.size = d->size,
		.device = d->device,
		.ro = d->ro,
		.direct = d->direct,
		.mem_align = (uint32_t)d->mem_align,
		.offset_align = (uint32_t)d->offset_align,
		.engine = (enum block_engine)d->engine,
		.life_fd = resources->life_fd,
	};

	if (resources->fd_count != count)
		return error_set(err, EINVAL, "%u descriptors, expected %u",
				 resources->fd_count, count);
	for (unsigned int i = 0; i < count; i++)
		config.fds[i] = resources->fds[i];
	return block_file_new(&block->file, &config, err);
}

static int block_create(void **self, struct virtio_device *device,
			const struct virtio_resources *resources,
			struct error *err)
{
	struct block *block = calloc(1, sizeof(*block));
	int ret;

	if (!block)
		return error_set(err, ENOMEM, "no memory");
	block->device = device;
	block->wce = true;
	ret = block_description_load(&block->description,
				     resources->description, err);
	if (ret < 0)
		goto err_free;
	ret = block_create_file(block, resources, err);
	if (ret < 0)
		goto err_free;
	ret = block_watch(block);
	if (ret == 0)
		ret = virtio_device_look(device, block_requests_look);
	if (ret < 0) {
		error_set(err, -ret, "epoll: %s", strerror(-ret));
		goto err_file;
	}
	*self = block;
	return 0;

err_file:
	block_file_free(block->file);
err_free:
	free(block);
	return ret;
}

static void block_destroy(void *self)
{
	struct block *block = self;

	block_file_free(block->file);
	free(block);
}

static int block_on_sandboxed(void *self)
{
	struct block *block = self;

	return block_file_start(block->file);
}

static unsigned int block_keep_fds(void *self, int *fds)
{
	const struct block *block = self;

	return block_file_fds(block->file, fds);
}

/* --- Features and configuration ------------------------------------------ */

static unsigned int block_queue_max_sizes(void *self, uint16_t *sizes)
{
	const struct block *block = self;

	for (unsigned int i = 0; i < block->description.queues; i++)
		sizes[i] = BLOCK_QUEUE_SIZE;
	return (unsigned int)block->description.queues;
}

static uint64_t block_features(void *self)
{
	const struct block_description *d =
		&((const struct block *)self)->description;
	uint64_t features = UINT64_C(1) << VIRTIO_BLK_F_SEG_MAX |
			    UINT64_C(1) << VIRTIO_BLK_F_BLK_SIZE |
			    UINT64_C(1) << VIRTIO_BLK_F_TOPOLOGY;

	if (d->queues > 1)
		features |= UINT64_C(1) << VIRTIO_BLK_F_MQ;
	if (d->ro)
		return features | UINT64_C(1) << VIRTIO_BLK_F_RO;
	features |= UINT64_C(1) << VIRTIO_BLK_F_FLUSH |
		    UINT64_C(1) << VIRTIO_BLK_F_CONFIG_WCE |
		    UINT64_C(1) << VIRTIO_BLK_F_WRITE_ZEROES;
	if (d->discard)
		features |= UINT64_C(1) << VIRTIO_BLK_F_DISCARD;
	return features;
}

static size_t block_config_size(void *self)
{
	(void)self;
	return sizeof(struct block_config);
}

static void block_read_config(void *self, size_t offset, void *data, size_t len)
{
	const struct block *block = self;
	const struct block_description *d = &block->description;
	const struct block_config config = {
		.capacity =
			le64_of(block_file_size(block->file) / BLOCK_SECTOR),
		.seg_max = le32_of(BLOCK_SEG_MAX),
		.blk_size = le32_of((uint32_t)d->block_size),
		.physical_block_exp = (uint8_t)d->physical_exp,
		.alignment_offset = (uint8_t)d->alignment_offset,
		.min_io_size = le16_of((uint16_t)d->min_io),
		.opt_io_size = le32_of((uint32_t)d->opt_io),
		.writeback = block->wce,
		.num_queues = le16_of((uint16_t)d->queues),
		.max_discard_sectors = le32_of(BLOCK_DISCARD_SECTORS_MAX),
		.max_discard_seg = le32_of(BLOCK_RANGES_MAX),
		.discard_sector_alignment = le32_of((uint32_t)d->discard_align),
		.max_write_zeroes_sectors = le32_of(BLOCK_ZEROES_SECTORS_MAX),
		.max_write_zeroes_seg = le32_of(BLOCK_RANGES_MAX),
		.write_zeroes_may_unmap = 1,
	};

	memcpy(data, (const uint8_t *)&config + offset, len);
}

/* "writeback" alone is the driver's (5.2.5.1). */
static void block_write_config(void *self, size_t offset, const void *data,
			       size_t len)
{
	const size_t at = offsetof(struct block_config, writeback);
	struct block *block = self;
	bool wce;

	if (offset > at || at - offset >= len ||
	    !block_acked(block, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	wce = ((const uint8_t *)data)[at - offset] != 0;
	if (block->wce && !wce) {
		/* What ends from now on is thought to be safe. */
		block_file_drain(block->file);
		block_requests_publish(block);
		block->wce_dirty = true;
	}
	block->wce = wce;
}

/* --- Queues -------------------------------------------------------------- */

static int block_activate(void *self, struct virtqueue *const *queues)
{
	struct block *block = self;

	for (unsigned int i = 0; i < block->description.queues; i++)
		block->queues[i] = (struct block_queue){.ring = queues[i]};
	return 0;
}

static void block_queue_ready(void *self, unsigned int index)
{
	struct block *block = self;
	struct block_queue *queue = &block->queues[index];

	if (block->failed || !queue->ring)
		return;
	queue->ready = true;
	virtqueue_set_kicks(queue->ring, false);
	(void)block_requests_run(block);
}

static void block_reset(void *self)
{
	struct block *block = self;

	block->dropping = true;
	block_file_cancel(block->file);
	block->dropping = false;
	block_file_forget_errors(block->file);
	memset(block->queues, 0, sizeof(block->queues));
	block->failed = false;
	block->wce = true;
	block->wce_dirty = false;
}

static void block_queue_reset(void *self, unsigned int index)
{
	struct block *block = self;

	block->dropping_queue = &block->queues[index];
	block_file_drain(block->file);
	block->dropping_queue = NULL;
	block->queues[index] = (struct block_queue){0};
	block_requests_publish(block);
	/* There is room again for what the others have. */
	block_file_notify(block->file);
}

static int block_queue_enable(void *self, unsigned int index,
			      struct virtqueue *queue)
{
	struct block *block = self;

	block->queues[index] = (struct block_queue){.ring = queue};
	return 0;
}

static int block_sleep(void *self)
{
	struct block *block = self;

	block_file_drain(block->file);
	block_requests_publish(block);
	memset(block->queues, 0, sizeof(block->queues));
	return 0;
}

/* --- State --------------------------------------------------------------- */

struct block_state {
	uint64_t capacity; /* sectors */
	bool wce, wce_dirty;
	char serial[VIRTIO_BLK_ID_BYTES];
};

static const struct json_field block_state_fields[] = {
	JSON_UINT(struct block_state, capacity),
	JSON_BOOL(struct block_state, wce),
	JSON_BOOL(struct block_state, wce_dirty),
	JSON_BLOB(struct block_state, serial),
};

#define BLOCK_STATE_FIELDS \
	(sizeof(block_state_fields) / sizeof(block_state_fields[0]))

static struct block_state block_state(struct block *block)
{
	struct block_state state = {
		.capacity = block_file_size(block->file) / BLOCK_SECTOR,
		.wce = block->wce,
		.wce_dirty = block->wce_dirty,
	};

	memcpy(state.serial, block->description.serial, sizeof(state.serial));
	return state;
}

/*
 * {"disk": ..., "overlay": BITS}: the latter with an ephemeral disk only, a bit
 * for each cluster that is in the overlay file. Who makes the snapshot copies
 * that file (BLOCK_FD_OVERLAY of the resources), with its holes.
 */
static int block_snapshot(void *self, json_t **out)
{
	struct block *block = self;
	const struct block_state state = block_state(block);
	json_t *object = json_object(), *disk = NULL;
	size_t size;
	void *map = block_file_overlay_map(block->file, &size);

	if (json_save(&state, block_state_fields, BLOCK_STATE_FIELDS, &disk) <
		    0 ||
	    json_object_set_new(object, "disk", disk) < 0 ||
	    (map && json_object_set_new(object, "overlay",
					json_blob(map, size)) < 0)) {
		json_decref(object);
		return -ENOMEM;
	}
	*out = object;
	return 0;
}

static int block_restore_check(struct block *block,
			       const struct block_state *state,
			       struct error *err)
{
	const struct block_state now = block_state(block);

	if (state->capacity != now.capacity)
		return error_set(err, EINVAL,
				 "the disk has %" PRIu64
				 " sectors, the saved one had %" PRIu64,
				 now.capacity, state->capacity);
	if (memcmp(state->serial, now.serial, sizeof(now.serial)) != 0)
		return error_set(err, EINVAL,
				 "the saved disk had another serial");
	return 0;
}

/* Into a copy first: a refusal changes nothing. */
static int block_restore_overlay(struct block *block, const json_t *value,
				 struct error *err)
{
	size_t size;
	void *map = block_file_overlay_map(block->file, &size), *copy;
	int ret;

	if (!map && !value)
		return 0;
	if (!map || !value)
		return error_set(err, EINVAL,
				 map ? "the saved disk was not ephemeral"
				     : "the saved disk was ephemeral");
	copy = malloc(size);
	if (!copy)
		return error_set(err, ENOMEM, "no memory");
	ret = json_blob_get(value, copy, size);
	if (ret < 0)
		error_set(err, EINVAL, "overlay: expected %zu bytes", size);
	else
		memcpy(map, copy, size);
	free(copy);
	return ret;
}

static int block_restore(void *self, const json_t *value, struct error *err)
{
	struct block *block = self;
	const json_t *overlay = json_object_get(value, "overlay");
	struct block_state state = {0};
	int ret;

	if (json_object_size(value) != (overlay ? 2 : 1))
		return error_set(err, EINVAL,
				 "a disk's state: expected the members disk "
				 "and, if it is ephemeral, overlay");
	ret = json_load(&state, block_state_fields, BLOCK_STATE_FIELDS,
			json_object_get(value, "disk"), err);
	if (!ret)
		ret = block_restore_check(block, &state, err);
	if (!ret)
		ret = block_restore_overlay(block, overlay, err);
	if (ret < 0)
		return ret;
	block->wce = state.wce;
	block->wce_dirty = state.wce_dirty;
	return 0;
}

/* --- Commands ------------------------------------------------------------ */

/* {"size": BYTES, "shrink": BOOL}, both optional. */
static int block_resize_args(const json_t *args, uint64_t *size, bool *shrink,
			     struct error *err)
{
	const json_t *number = json_object_get(args, "size");
	const json_t *flag = json_object_get(args, "shrink");

	*size = 0;
	*shrink = json_is_true(flag);
	if (args && !json_is_null(args) &&
	    (!json_is_object(args) ||
	     json_object_size(args) !=
		     (size_t)(number != NULL) + (size_t)(flag != NULL)))
		return error_set(err, EINVAL,
				 "resize: expected size (bytes) and shrink "
				 "(true or false), both optional");
	if (flag && !json_is_boolean(flag))
		return error_set(err, EINVAL,
				 "resize: shrink: expected true or false");
	if (!number)
		return 0;
	if (!json_is_integer(number) || json_integer_value(number) <= 0)
		return error_set(err, EINVAL,
				 "resize: size: expected bytes, above 0");
	*size = (uint64_t)json_integer_value(number);
	return 0;
}

static int block_resize(struct block *block, const json_t *args, json_t **reply,
			struct error *err)
{
	const uint64_t before = block_file_size(block->file);
	uint64_t size;
	bool shrink;
	int ret = block_resize_args(args, &size, &shrink, err);

	if (ret < 0)
		return ret;
	ret = block_file_resize(block->file, size, shrink, err);
	/* It has finished what was in flight. */
	block_requests_publish(block);
	block_file_notify(block->file);
	if (ret < 0) {
		error_prefix(err, "resize: ");
		return ret;
	}
	size = block_file_size(block->file);
	if (size != before)
		virtio_device_config_changed(block->device);
	*reply = json_pack("{s:I}", "size", (json_int_t)size);
	return 0;
}

static int block_command(void *self, const char *name, const json_t *args,
			 json_t **reply, struct error *err)
{
	if (strcmp(name, "resize") == 0)
		return block_resize(self, args, reply, err);
	return error_set(err, EOPNOTSUPP,
			 "a block device knows no command \"%s\", only resize",
			 name);
}

/* --- Firmware ------------------------------------------------------------ */

/* As SeaBIOS and OVMF read it: an Open Firmware path. */
static bool block_boot_order(void *self, unsigned int slot, char *line,
			     size_t size)
{
	const struct block *block = self;

	if (block->description.bootindex == 0)
		return false;
	snprintf(line, size, "/pci@i0cf8/scsi@%x/disk@0,0", slot);
	return true;
}

const struct virtio_device_ops virtio_block_ops = {
	.type = "block",
	.device_id = VIRTIO_ID_BLOCK,
	.class_code = BLOCK_CLASS_CODE,
	.seccomp = &virtio_seccomp_block,
	.open = block_open,
	.create = block_create,
	.destroy = block_destroy,
	.keep_fds = block_keep_fds,
	.queue_max_sizes = block_queue_max_sizes,
	.features = block_features,
	.config_size = block_config_size,
	.read_config = block_read_config,
	.write_config = block_write_config,
	.activate = block_activate,
	.queue_ready = block_queue_ready,
	.reset = block_reset,
	.queue_reset = block_queue_reset,
	.queue_enable = block_queue_enable,
	.sleep = block_sleep,
	.snapshot = block_snapshot,
	.restore = block_restore,
	.command = block_command,
	.on_sandboxed = block_on_sandboxed,
	.boot_order = block_boot_order,
};
