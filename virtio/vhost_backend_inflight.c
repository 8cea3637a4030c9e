/*
 * What outlives a vhost-user backend, in memory that the frontend keeps: the
 * in-flight region. For each ring, in the specification's layout, what was
 * taken and not used yet (queue_inflight.h); and behind the rings, of a layout
 * of our own, what the driver has set of the model by commands and messages,
 * as the model's remember() says it. Who takes the device up after us goes on
 * with both.
 *
 * The frontend may write to it. The rings' parts are checked when they are
 * taken up, and the record is copied once and then is a state like any other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtio/queue_inflight.h"
#include "virtio/vhost_backend_private.h"

/* --- The rings ------------------------------------------------------------
 */

static size_t vhost_backend_inflight_size(const struct vhost_backend *backend,
					  uint16_t size)
{
	return vhost_backend_packed(backend) ? virtqueue_records_size(size)
					     : virtqueue_inflight_size(size);
}

void *vhost_backend_inflight_of(const struct vhost_backend *backend,
				unsigned int index)
{
	if (!backend->inflight || index >= backend->inflight_queues ||
	    backend->rings[index].num > backend->inflight_size ||
	    backend->inflight_packed != vhost_backend_packed(backend))
		return NULL;
	return backend->inflight +
	       index * vhost_backend_inflight_size(backend,
						   backend->inflight_size);
}

void vhost_backend_forget_inflight(struct vhost_backend *backend,
				   unsigned int index)
{
	void *region = vhost_backend_inflight_of(backend, index);

	if (region)
		memset(region, 0,
		       vhost_backend_inflight_size(backend,
						   backend->inflight_size));
}

/* --- The record -----------------------------------------------------------
 */

#define RECORD_MAGIC UINT64_C(0x64726f6365726d62) /* "bmrecord" */
#define RECORD_TEXT  16368

struct vhost_backend_slot {
	uint64_t features; /* that the driver had accepted */
	uint32_t len;
	uint32_t padding;
	char text[RECORD_TEXT];
};

/* One of two is valid, and the other is written. */
struct vhost_backend_record {
	uint64_t magic;
	uint32_t valid; /* 0: none; else the slot's number, from 1 */
	uint32_t padding;
	struct vhost_backend_slot slots[2];
};

/* Only models that remember something have a record. */
static size_t vhost_backend_record_size(const struct vhost_backend *backend)
{
	return virtio_device_ops(backend->device)->remember
		       ? sizeof(struct vhost_backend_record)
		       : 0;
}

static void vhost_backend_write_record(struct vhost_backend *backend,
				       const char *text)
{
	struct vhost_backend_record *record = backend->record;
	const size_t len = strlen(text);
	struct vhost_backend_slot *slot;
	uint32_t next;

	if (len > RECORD_TEXT) {
		log_limited(&backend->refusals, LOG_WARN,
			    "%s: what its driver has set is more than can be "
			    "kept",
			    virtio_device_label(backend->device));
		return;
	}
	next = __atomic_load_n(&record->valid, __ATOMIC_RELAXED) == 1 ? 2 : 1;
	slot = &record->slots[next - 1];
	slot->features = virtio_device_acked(backend->device);
	slot->len = (uint32_t)len;
	memcpy(slot->text, text, len);
	record->magic = RECORD_MAGIC;
	/* A kill before this leaves the one before. */
	__atomic_store_n(&record->valid, next, __ATOMIC_RELEASE);
}

void vhost_backend_remember(struct vhost_backend *backend)
{
	json_t *state = NULL;
	char *text;

	if (!backend->record ||
	    virtio_device_remember_locked(backend->device, &state) < 0)
		return;
	text = json_dumps(state, JSON_COMPACT);
	json_decref(state);
	if (text)
		vhost_backend_write_record(backend, text);
	free(text);
}

/* Return: a new reference to what the one before us remembered, or NULL. */
static json_t *vhost_backend_read_record(const struct vhost_backend *backend)
{
	const struct vhost_backend_record *record = backend->record;
	const uint32_t valid =
		__atomic_load_n(&record->valid, __ATOMIC_ACQUIRE);
	const struct vhost_backend_slot *slot;
	json_t *state;
	char *text;
	uint32_t len;

	if (record->magic != RECORD_MAGIC || valid < 1 || valid > 2)
		return NULL;
	slot = &record->slots[valid - 1];
	len = __atomic_load_n(&slot->len, __ATOMIC_RELAXED);
	if (len > RECORD_TEXT ||
	    slot->features != virtio_device_acked(backend->device))
		return NULL;
	text = malloc(len + 1);
	if (!text)
		return NULL;
	memcpy(text, slot->text, len);
	state = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	return state;
}

/* A device that nobody has used yet goes on with it; another one's is newer. */
static int vhost_backend_take_record(struct vhost_backend *backend)
{
	json_t *state;
	int ret;

	if (virtio_device_state_locked(backend->device) != VIRTIO_DEVICE_NEW) {
		vhost_backend_remember(backend);
		return 0;
	}
	state = vhost_backend_read_record(backend);
	if (!state)
		return 0;
	ret = vhost_backend_restore(backend, state);
	json_decref(state);
	return ret;
}

void vhost_backend_forget(struct vhost_backend *backend)
{
	for (unsigned int i = 0; i < backend->ring_count; i++)
		vhost_backend_forget_inflight(backend, i);
	if (backend->record)
		__atomic_store_n(&backend->record->valid, 0, __ATOMIC_RELEASE);
}

/* --- The region -----------------------------------------------------------
 */

void vhost_backend_drop_inflight(struct vhost_backend *backend)
{
	if (!backend->inflight)
		return;
	munmap(backend->inflight, backend->inflight_len);
	backend->inflight = NULL;
	backend->record = NULL;
}

/* Bytes of its rings, for those numbers, or 0 if they cannot be. */
static size_t
vhost_backend_inflight_bytes(const struct vhost_backend *backend,
			     const struct vhost_user_inflight *inflight)
{
	const uint16_t queues = le16_get(inflight->num_queues);
	const uint16_t size = le16_get(inflight->queue_size);

	if (queues == 0 || queues > backend->ring_count || size == 0 ||
	    size > VIRTQUEUE_SIZE_MAX)
		return 0;
	return queues * vhost_backend_inflight_size(backend, size);
}

int vhost_backend_get_inflight(struct vhost_backend *backend,
			       struct vhost_user_message *message,
			       struct vhost_user_message *reply)
{
	const struct vhost_user_inflight *given = &message->payload.inflight;
	size_t bytes = vhost_backend_inflight_bytes(backend, given);
	int fd;

	if (bytes == 0)
		return -EINVAL;
	bytes += vhost_backend_record_size(backend);
	fd = memfd_create("bantam-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
		    0) {
		close(fd);
		return -EIO;
	}
	reply->payload.inflight = (struct vhost_user_inflight){
		.mmap_size = le64_of(bytes),
		.num_queues = given->num_queues,
		.queue_size = given->queue_size,
	};
	reply->size = message->size;
	reply->fds[0] = fd;
	reply->fd_count = 1;
	return 0;
}

int vhost_backend_set_inflight(struct vhost_backend *backend,
			       struct vhost_user_message *message,
			       struct vhost_user_message *reply)
{
	const struct vhost_user_inflight *given = &message->payload.inflight;
	const size_t rings = vhost_backend_inflight_bytes(backend, given);
	size_t bytes = rings + vhost_backend_record_size(backend);
	uint8_t *map;

	(void)reply;
	if (rings == 0 || le64_get(given->mmap_size) < rings)
		return -EINVAL;
	/* Another's backend may have made it. */
	if (le64_get(given->mmap_size) < bytes)
		bytes = rings;
	map = guest_mem_map_sealed(message->fds[0],
				   le64_get(given->mmap_offset), bytes);
	if (!map)
		return -errno;
	vhost_backend_pause(backend);
	vhost_backend_drop_inflight(backend);
	backend->inflight = map;
	backend->inflight_len = bytes;
	backend->inflight_queues = le16_get(given->num_queues);
	backend->inflight_size = le16_get(given->queue_size);
	backend->inflight_packed = vhost_backend_packed(backend);
	if (bytes == rings)
		return 0;
	backend->record = (void *)(map + rings);
	return vhost_backend_take_record(backend);
}
