#include "tests/unit/support/model_driver.h"

#include <string.h>

#include <sys/eventfd.h>

#include <check.h>

#define MODEL_RINGS  UINT64_C(0x10000)	/* where the rings begin */
#define MODEL_MEMORY UINT64_C(0x800000) /* and the buffers */
#define MODEL_TURNS  40

#define MODEL_VERSION_1 (UINT64_C(1) << 32)
#define MODEL_WAIT	INT64_C(10000000000)

static void model_driver_config_changed(void *ctx)
{
	struct model_driver *guest = ctx;

	guest->config_changes++;
}

static void model_driver_needs_reset(void *ctx)
{
	struct model_driver *guest = ctx;

	guest->needs_resets++;
}

static const struct virtio_device_events model_driver_events = {
	.config_changed = model_driver_config_changed,
	.needs_reset = model_driver_needs_reset,
};

static void model_driver_stop(void *ctx)
{
	struct model_driver *guest = ctx;

	loop_stop(guest->loop);
}

static void model_driver_make(struct model_driver *guest)
{
	const struct virtio_device_config config = {
		.ops = guest->ops,
		.label = "model0",
		.loop = guest->loop,
		.mem = guest->mem,
		.resources = &guest->resources,
		.packed = true,
	};
	struct error err = {""};

	ck_assert_msg(virtio_device_new(&guest->device, &config, &err) == 0,
		      "%s", err.text);
	virtio_device_lock(guest->device);
	virtio_device_set_events_locked(guest->device, &model_driver_events,
					guest);
	virtio_device_unlock(guest->device);
}

void model_driver_init(struct model_driver *guest,
		       const struct virtio_device_ops *ops, const void *options)
{
	const struct virtio_open args = {.option = "--model",
					 .options = options};
	struct error err = {""};

	memset(guest, 0, sizeof(*guest));
	guest->ops = ops;
	guest->next = MODEL_MEMORY;
	ck_assert_int_eq(loop_new(&guest->loop), 0);
	ck_assert_int_eq(loop_timer_add(guest->loop, &guest->turn,
					model_driver_stop, guest),
			 0);
	guest->mem = ring_driver_mem(MODEL_DRIVER_MIB);
	ck_assert_msg(ops->open(&args, &guest->resources, &err) == 0, "%s",
		      err.text);
	model_driver_make(guest);
}

static void model_driver_free_rings(struct model_driver *guest)
{
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		ring_driver_free(guest->rings[i]);
		guest->rings[i] = NULL;
	}
}

void model_driver_fini(struct model_driver *guest)
{
	virtio_device_free(guest->device);
	model_driver_free_rings(guest);
	virtio_resources_fini(&guest->resources);
	guest_mem_free(guest->mem);
	loop_free(guest->loop);
}

void model_driver_replace(struct model_driver *guest)
{
	virtio_device_free(guest->device);
	model_driver_make(guest);
}

void model_driver_start(struct model_driver *guest, uint64_t features)
{
	struct virtqueue_config configs[VIRTIO_QUEUES_MAX];
	unsigned int count = virtio_device_queues(guest->device);
	uint64_t base = MODEL_RINGS;
	uint64_t packed = UINT64_C(1) << 34; /* VIRTIO_F_RING_PACKED */

	features |= MODEL_VERSION_1;
	features &= virtio_device_features(guest->device);
	if (!guest->packed)
		features &= ~packed;
	model_driver_free_rings(guest);
	for (unsigned int i = 0; i < count; i++) {
		const struct ring_driver_options options = {
			.base = base,
			.size = virtio_device_queue_max(guest->device, i),
			.packed = features & packed,
			.indirect = features >> 28 & 1,
			.event_idx = features >> 29 & 1,
		};

		guest->rings[i] = ring_driver_new(guest->mem, &options);
		base += ring_driver_footprint(&options);
		ck_assert_uint_le(base, MODEL_MEMORY);
		ring_driver_config(guest->rings[i], &configs[i]);
		configs[i].index = i;
	}
	virtio_device_lock(guest->device);
	virtio_device_ack_features_locked(guest->device, features);
	ck_assert_int_eq(
		virtio_device_activate_locked(guest->device, configs, count),
		0);
	virtio_device_unlock(guest->device);
}

void model_driver_reset(struct model_driver *guest)
{
	virtio_device_lock(guest->device);
	ck_assert_int_eq(virtio_device_reset_locked(guest->device), 0);
	virtio_device_unlock(guest->device);
}

uint64_t model_driver_alloc(struct model_driver *guest, uint64_t len)
{
	uint64_t gpa = guest->next;

	guest->next += (len + 15) & ~UINT64_C(15);
	ck_assert_uint_le(guest->next, (uint64_t)MODEL_DRIVER_MIB << 20);
	ck_assert_int_eq(guest_mem_zero(guest->mem, gpa, len), 0);
	return gpa;
}

void *model_driver_host(struct model_driver *guest, uint64_t gpa, uint64_t len)
{
	void *host = guest_mem_span(guest->mem, gpa, len);

	ck_assert_ptr_nonnull(host);
	return host;
}

void model_driver_kick(struct model_driver *guest, unsigned int index)
{
	if (ring_driver_publish(guest->rings[index]))
		eventfd_write(virtio_device_kick_fd(guest->device, index), 1);
}

void model_driver_give(struct model_driver *guest, unsigned int index,
		       uint64_t gpa, uint32_t len, bool writable)
{
	struct ring_driver_chain chain = {.readable_count = !writable,
					  .writable_count = writable};

	*(writable ? chain.writable : chain.readable) =
		(struct ring_driver_buffer){gpa, len};
	ck_assert_int_ge(ring_driver_add(guest->rings[index], &chain), 0);
	model_driver_kick(guest, index);
}

void model_driver_send(struct model_driver *guest, unsigned int index,
		       const void *data, uint32_t len)
{
	uint64_t gpa = model_driver_alloc(guest, len);

	ck_assert_int_eq(guest_mem_write(guest->mem, gpa, data, len), 0);
	model_driver_give(guest, index, gpa, len, false);
}

static void model_driver_turn(struct model_driver *guest, int64_t ns)
{
	loop_timer_set(guest->turn, ns);
	ck_assert_int_eq(loop_run(guest->loop), 0);
}

void model_driver_settle(struct model_driver *guest)
{
	for (unsigned int i = 0; i < MODEL_TURNS; i++)
		model_driver_turn(guest, 0);
}

bool model_driver_wait(struct model_driver *guest, bool (*ready)(void *ctx),
		       void *ctx)
{
	const int64_t end = loop_now() + MODEL_WAIT;

	while (!ready(ctx)) {
		if (loop_now() > end)
			return false;
		model_driver_turn(guest, 1000000);
	}
	return true;
}

struct ring_driver_used model_driver_collect(struct model_driver *guest,
					     unsigned int index)
{
	const int64_t end = loop_now() + MODEL_WAIT;
	struct ring_driver_used used;
	int rc;

	for (;;) {
		rc = ring_driver_collect(guest->rings[index], &used);
		ck_assert_int_ge(rc, 0);
		if (rc)
			return used;
		ck_assert_msg(loop_now() < end, "queue %u: nothing used",
			      index);
		model_driver_turn(guest, 1000000);
	}
}

void model_driver_sleep(struct model_driver *guest)
{
	virtio_device_lock(guest->device);
	ck_assert_int_eq(virtio_device_sleep_locked(guest->device), 0);
	virtio_device_unlock(guest->device);
}

void model_driver_wake(struct model_driver *guest)
{
	virtio_device_lock(guest->device);
	ck_assert_int_eq(virtio_device_wake_locked(guest->device), 0);
	virtio_device_unlock(guest->device);
}

json_t *model_driver_snapshot(struct model_driver *guest)
{
	json_t *state = NULL;

	virtio_device_lock(guest->device);
	ck_assert_int_eq(virtio_device_snapshot_locked(guest->device, &state),
			 0);
	virtio_device_unlock(guest->device);
	return state;
}

int model_driver_restore(struct model_driver *guest, const json_t *state,
			 struct error *err)
{
	int rc;

	virtio_device_lock(guest->device);
	rc = virtio_device_restore_locked(guest->device, state, err);
	virtio_device_unlock(guest->device);
	return rc;
}

int model_driver_command(struct model_driver *guest, const char *name,
			 json_t *args, struct error *err)
{
	json_t *reply = NULL;
	int rc;

	virtio_device_lock(guest->device);
	rc = virtio_device_command_locked(guest->device, name, args, &reply,
					  err);
	virtio_device_unlock(guest->device);
	json_decref(reply);
	json_decref(args);
	return rc;
}
