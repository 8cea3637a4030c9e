/*
 * When which ring of a vhost-user backend runs. All that decides is what the
 * frontend has said, at any time and in any order; the device sees sleep, wake,
 * activate and reset.
 */
#include <errno.h>

#include <linux/virtio_config.h>

#include "virtio/vhost_backend_private.h"

static bool vhost_backend_has(const struct vhost_backend *backend,
			      unsigned int feature)
{
	return backend->features >> feature & 1;
}

bool vhost_backend_packed(const struct vhost_backend *backend)
{
	return vhost_backend_has(backend, VIRTIO_F_RING_PACKED);
}

/* --- Where a ring stands --------------------------------------------------
 */

/* The base of a packed ring: both indices, each with its wrap counter. */
#define BASE_INDEX 0x7fffu
#define BASE_WRAP  0x8000u
#define BASE_SHIFT 16

static uint32_t vhost_backend_half(uint16_t index, bool wrap)
{
	return (index & BASE_INDEX) | (wrap ? BASE_WRAP : 0);
}

uint32_t vhost_backend_base(const struct vhost_backend *backend,
			    unsigned int index)
{
	const struct vhost_backend_ring *ring = &backend->rings[index];

	if (!ring->known)
		return ring->base;
	if (!vhost_backend_packed(backend))
		return ring->at.avail;
	return vhost_backend_half(ring->at.avail, ring->at.avail_wrap) |
	       vhost_backend_half(ring->at.used, ring->at.used_wrap)
		       << BASE_SHIFT;
}

/* From what the frontend said; of a split ring, the used ring has the rest. */
static int vhost_backend_position(const struct vhost_backend *backend,
				  const struct vhost_backend_ring *ring,
				  const struct virtqueue_config *config,
				  struct virtqueue_position *out)
{
	const uint32_t used = ring->base >> BASE_SHIFT;

	if (ring->known) {
		*out = ring->at;
		return 0;
	}
	if (!config->packed) {
		*out = virtqueue_start;
		out->avail = (uint16_t)ring->base;
		return virtqueue_read_used(backend->config.mem, config,
					   &out->used);
	}
	out->avail = ring->base & BASE_INDEX;
	out->avail_wrap = ring->base & BASE_WRAP;
	out->used = used & BASE_INDEX;
	out->used_wrap = used & BASE_WRAP;
	return 0;
}

/* --- What is to run -------------------------------------------------------
 */

/* Guest physical address of one of the frontend's. */
static bool vhost_backend_translate(const struct vhost_backend *backend,
				    uint64_t user, uint64_t *out)
{
	for (unsigned int i = 0; i < backend->region_count; i++) {
		const struct vhost_backend_region *region =
			&backend->regions[i];
		/* Below it, it wraps and is past any size. */
		uint64_t offset = user - region->user;

		if (offset >= region->guest.size)
			continue;
		*out = region->guest.base + offset;
		return true;
	}
	return false;
}

/* Whether it has all that a ring needs; then out is filled in. */
static bool vhost_backend_ring_config(struct vhost_backend *backend,
				      unsigned int index,
				      struct virtqueue_config *out,
				      struct virtqueue_position *position)
{
	const struct vhost_backend_ring *ring = &backend->rings[index];

	*out = (struct virtqueue_config){
		.index = index,
		.size = ring->num,
		.packed = vhost_backend_packed(backend),
		.inflight = vhost_backend_inflight_of(backend, index),
		.log = vhost_backend_has(backend, VHOST_F_LOG_ALL)
			       ? backend->log
			       : NULL,
		.log_ring = ring->log,
		.log_device = ring->log_address,
	};
	if (vhost_backend_translate(backend, ring->desc, &out->desc) &&
	    vhost_backend_translate(backend, ring->available, &out->driver) &&
	    vhost_backend_translate(backend, ring->used, &out->device) &&
	    vhost_backend_position(backend, ring, out, position) == 0)
		return true;
	/* Memory may come and go piece by piece, so that it is no error yet. */
	log_limited(&backend->misfits, LOG_INFO,
		    "%s: ring %u is not in the memory that the frontend shares",
		    virtio_device_label(backend->device), index);
	return false;
}

/*
 * Whether the frontend wants the ring to run. One that begins to tell the
 * driver's status tells its end as well; QEMU says nothing but FEATURES_OK of
 * some devices.
 */
static bool vhost_backend_wanted(const struct vhost_backend *backend,
				 unsigned int index)
{
	const struct vhost_backend_ring *ring = &backend->rings[index];
	return ring->started && ring->num && ring->placed &&
	       (ring->enabled ||
		!vhost_backend_has(backend, VHOST_USER_F_PROTOCOL_FEATURES)) &&
	       vhost_backend_has(backend, VIRTIO_F_VERSION_1) &&
	       (!(backend->status & VIRTIO_CONFIG_S_ACKNOWLEDGE) ||
		backend->status & VIRTIO_CONFIG_S_DRIVER_OK);
}

/* --- Stopping and going on ------------------------------------------------
 */

static void vhost_backend_note(struct vhost_backend *backend)
{
	for (unsigned int i = 0; i < backend->ring_count; i++) {
		struct vhost_backend_ring *ring = &backend->rings[i];

		if (!ring->running)
			continue;
		ring->at = virtio_device_position_locked(backend->device, i);
		ring->known = true;
		ring->running = false;
	}
}

void vhost_backend_pause(struct vhost_backend *backend)
{
	enum virtio_device_state state =
		virtio_device_state_locked(backend->device);

	if (state == VIRTIO_DEVICE_ACTIVE &&
	    virtio_device_sleep_locked(backend->device) < 0) {
		/* Something is in flight for good: nothing may be, though. */
		vhost_backend_note(backend);
		virtio_device_reset_locked(backend->device);
		return;
	}
	vhost_backend_note(backend);
}

/* Asleep: exactly these. */
static void vhost_backend_wake(struct vhost_backend *backend,
			       const struct virtqueue_config *configs,
			       const struct virtqueue_position *positions,
			       unsigned int count)
{
	unsigned int at = 0;

	for (unsigned int i = 0; i < backend->ring_count; i++) {
		bool there = configs && at < count && configs[at].index == i;

		virtio_device_set_queue_locked(backend->device, i,
					       there ? &configs[at] : NULL,
					       there ? &positions[at] : NULL);
		at += there;
	}
	virtio_device_wake_locked(backend->device);
}

static void vhost_backend_start(struct vhost_backend *backend,
				const struct virtqueue_config *configs,
				const struct virtqueue_position *positions,
				unsigned int count)
{
	struct virtio_device *device = backend->device;

	for (unsigned int i = 0; i < count; i++)
		backend->rings[configs[i].index].running = true;
	if (virtio_device_state_locked(device) == VIRTIO_DEVICE_ASLEEP_ACTIVE) {
		vhost_backend_wake(backend, configs, positions, count);
		return;
	}
	virtio_device_ack_features_locked(
		device, backend->features & virtio_device_features(device));
	/* What goes wrong is said as NEEDS_RESET. */
	virtio_device_activate_at_locked(device, configs, positions, count);
}

static bool vhost_backend_any_started(const struct vhost_backend *backend)
{
	for (unsigned int i = 0; i < backend->ring_count; i++) {
		if (backend->rings[i].started)
			return true;
	}
	return false;
}

void vhost_backend_settle(struct vhost_backend *backend)
{
	struct virtqueue_position positions[VIRTIO_QUEUES_MAX];
	struct virtqueue_config configs[VIRTIO_QUEUES_MAX];
	unsigned int count = 0;
	bool same = true;

	if (virtio_device_state_locked(backend->device) ==
	    VIRTIO_DEVICE_FAILED) {
		/* A frontend that knows no reset stops all rings instead. */
		if (!vhost_backend_any_started(backend))
			virtio_device_reset_locked(backend->device);
		return;
	}
	for (unsigned int i = 0; i < backend->ring_count; i++)
		same = same && vhost_backend_wanted(backend, i) ==
				       backend->rings[i].running;
	if (same)
		return;
	vhost_backend_pause(backend);
	for (unsigned int i = 0; i < backend->ring_count; i++) {
		if (vhost_backend_wanted(backend, i) &&
		    vhost_backend_ring_config(backend, i, &configs[count],
					      &positions[count]))
			count++;
	}
	if (count)
		vhost_backend_start(backend, configs, positions, count);
}

void vhost_backend_reset(struct vhost_backend *backend, bool keep_enabled)
{
	for (unsigned int i = 0; i < backend->ring_count; i++) {
		struct vhost_backend_ring *ring = &backend->rings[i];

		*ring = (struct vhost_backend_ring){
			.err_fd = ring->err_fd,
			.enabled = keep_enabled && ring->enabled,
		};
	}
	/* Without a queue, it wakes to nothing. */
	if (virtio_device_state_locked(backend->device) ==
	    VIRTIO_DEVICE_ASLEEP_ACTIVE)
		vhost_backend_wake(backend, NULL, NULL, 0);
	virtio_device_reset_locked(backend->device);
	backend->status = 0;
}
