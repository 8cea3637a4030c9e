/*
 * A vhost-user backend that dies, and another in its place: a guest's driver
 * over the frontend, backends in processes that are killed, and a keeper that
 * brings them when the test says so.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_console.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/disk.h"
#include "tests/unit/support/model_driver.h"
#include "tests/unit/support/net_driver.h"
#include "tests/unit/support/vhost_child.h"
#include "virtio/block.h"
#include "virtio/console.h"
#include "virtio/options.h"
#include "virtio/vhost_frontend.h"
#include "virtio/vhost_user.h"

#define REQUESTS 64

static struct vhost_child child;
static struct model_driver guest;
static struct virtio_resources served;
static const struct virtio_device_ops *served_ops;

/* --- A model that answers when it is told to --------------------------- */

/* Of all processes that serve it. */
struct holder_shared {
	volatile unsigned int hold; /* odd requests wait for ever */
	volatile unsigned int taken[REQUESTS];
	volatile uint64_t features;
	volatile unsigned int queues;
	volatile uint8_t config;
};

static struct holder_shared *shared;

struct holder {
	struct virtqueue *queues[2];
	struct virtqueue_chain *held[REQUESTS];
	unsigned int held_count;
};

static int holder_open(const struct virtio_open *open,
		       struct virtio_resources *out, struct error *err)
{
	(void)open;
	(void)out;
	(void)err;
	return 0;
}

static int holder_create(void **self, struct virtio_device *device,
			 const struct virtio_resources *resources,
			 struct error *err)
{
	(void)device;
	(void)resources;
	(void)err;
	*self = calloc(1, sizeof(struct holder));
	return 0;
}

static void holder_destroy(void *self)
{
	free(self);
}

static unsigned int holder_keep_fds(void *self, int *fds)
{
	(void)self;
	(void)fds;
	return 0;
}

static unsigned int holder_queue_max_sizes(void *self, uint16_t *sizes)
{
	(void)self;
	sizes[0] = sizes[1] = 256;
	return shared->queues;
}

static uint64_t holder_features(void *self)
{
	(void)self;
	return shared->features;
}

static size_t holder_config_size(void *self)
{
	(void)self;
	return 60;
}

static void holder_read_config(void *self, size_t offset, void *data,
			       size_t len)
{
	(void)self;
	(void)offset;
	memset(data, shared->config, len);
}

static int holder_activate(void *self, struct virtqueue *const *queues)
{
	struct holder *holder = self;

	for (unsigned int i = 0; i < shared->queues; i++)
		holder->queues[i] = queues[i];
	return 0;
}

static void holder_answer(struct virtqueue *queue,
			  struct virtqueue_chain *chain, uint32_t id)
{
	const uint32_t answer = id ^ UINT32_MAX;

	virtqueue_chain_write(chain, 0, &answer, sizeof(answer));
	virtqueue_put(queue, chain, sizeof(answer));
}

static void holder_drain(struct holder *holder, struct virtqueue *queue)
{
	struct virtqueue_chain *chain;

	while (virtqueue_pop(queue, &chain) == 1) {
		uint32_t id = 0;

		virtqueue_chain_read(chain, 0, &id, sizeof(id));
		if (id >= REQUESTS)
			_exit(1);
		shared->taken[id]++;
		if (shared->hold && id % 2)
			holder->held[holder->held_count++] = chain;
		else
			holder_answer(queue, chain, id);
	}
}

static void holder_queue_ready(void *self, unsigned int index)
{
	struct holder *holder = self;
	struct virtqueue *queue = holder->queues[index];

	if (!queue)
		return;
	do {
		holder_drain(holder, queue);
	} while (virtqueue_set_kicks(queue, true));
	virtqueue_publish(queue);
}

static void holder_reset(void *self)
{
	struct holder *holder = self;

	for (unsigned int i = 0; i < holder->held_count; i++)
		virtqueue_chain_free(holder->held[i]);
	memset(holder, 0, sizeof(*holder));
}

static void holder_queue_reset(void *self, unsigned int index)
{
	struct holder *holder = self;

	holder_reset(holder);
	holder->queues[index] = NULL;
}

static int holder_queue_enable(void *self, unsigned int index,
			       struct virtqueue *queue)
{
	struct holder *holder = self;

	holder->queues[index] = queue;
	return 0;
}

static int holder_sleep(void *self)
{
	struct holder *holder = self;

	/* Nothing is in flight, or it would never end. */
	return holder->held_count ? -EBUSY : 0;
}

static int holder_snapshot(void *self, json_t **out)
{
	(void)self;
	*out = json_object();
	return 0;
}

static int holder_restore(void *self, const json_t *state, struct error *err)
{
	(void)self;
	(void)state;
	(void)err;
	return 0;
}

static const struct virtio_device_ops holder_ops = {
	.type = "block",
	.device_id = 2,
	.open = holder_open,
	.create = holder_create,
	.destroy = holder_destroy,
	.keep_fds = holder_keep_fds,
	.queue_max_sizes = holder_queue_max_sizes,
	.features = holder_features,
	.config_size = holder_config_size,
	.read_config = holder_read_config,
	.activate = holder_activate,
	.queue_ready = holder_queue_ready,
	.reset = holder_reset,
	.queue_reset = holder_queue_reset,
	.queue_enable = holder_queue_enable,
	.sleep = holder_sleep,
	.snapshot = holder_snapshot,
	.restore = holder_restore,
};

/* --- The keeper -------------------------------------------------------- */

static struct {
	unsigned int losses, settles;
	bool refuses;
} keeper;

static bool keeper_lost(void *ctx, const char *why)
{
	(void)ctx;
	ck_assert(why[0]);
	keeper.losses++;
	return !keeper.refuses;
}

static void keeper_settle(void *ctx, int64_t deadline)
{
	(void)ctx;
	ck_assert_int_gt(deadline, 0);
	keeper.settles++;
}

static void keep(void)
{
	const struct vhost_frontend_keeper with = {
		.lost = keeper_lost,
		.settle = keeper_settle,
	};

	virtio_device_lock(guest.device);
	vhost_frontend_keep(vhost_child_frontend(), &with);
	virtio_device_unlock(guest.device);
}

/* A backend of that model, and a guest. */
static void start(const struct virtio_device_ops *ops, const char *type)
{
	memset(&keeper, 0, sizeof(keeper));
	served_ops = ops;
	vhost_child_start(&child, served_ops, &served);
	model_driver_init(&guest, vhost_child_ops(type, &child), NULL);
	keep();
}

static void start_holder(bool packed)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	shared->queues = 2;
	start(&holder_ops, "block");
	guest.packed = packed;
}

static void finish(void)
{
	model_driver_fini(&guest);
	vhost_child_kill(&child);
	virtio_resources_fini(&served);
	if (shared)
		munmap(shared, sizeof(*shared));
	shared = NULL;
}

static bool is_waiting(void *ctx)
{
	bool waiting;

	(void)ctx;
	virtio_device_lock(guest.device);
	waiting = vhost_frontend_is_waiting(vhost_child_frontend());
	virtio_device_unlock(guest.device);
	return waiting;
}

static bool has_failed(void *ctx)
{
	(void)ctx;
	return guest.needs_resets > 0;
}

static enum virtio_device_state device_state(void)
{
	enum virtio_device_state state;

	virtio_device_lock(guest.device);
	state = virtio_device_state_locked(guest.device);
	virtio_device_unlock(guest.device);
	return state;
}

/* Kill it, and let the frontend see that. */
static void lose(void)
{
	vhost_child_kill(&child);
	ck_assert(model_driver_wait(&guest, is_waiting, NULL));
	ck_assert_uint_eq(guest.needs_resets, 0);
}

static int reconnect_fd(int fd, struct error *err)
{
	int ret;

	err->text[0] = '\0';
	virtio_device_lock(guest.device);
	ret = vhost_frontend_reconnect(vhost_child_frontend(), fd, err);
	virtio_device_unlock(guest.device);
	return ret;
}

/* Another one. */
static void bring(void)
{
	struct error err;

	vhost_child_start(&child, served_ops, &served);
	ck_assert_msg(reconnect_fd(child.fd, &err) == 0, "%s", err.text);
	ck_assert(!is_waiting(NULL));
}

/* --- Requests ---------------------------------------------------------- */

static struct {
	uint64_t gpa;
	unsigned int answers;
} requests[REQUESTS];

static void ask_for(unsigned int queue, uint32_t id)
{
	const uint64_t gpa = model_driver_alloc(&guest, 4096);
	/* Of more than one entry, so that indices and heads differ. */
	const struct ring_driver_chain chain = {
		.readable = {{gpa, 2}, {gpa + 2, 2}},
		.readable_count = id % 3 == 0 ? 2 : 1,
		.writable = {{gpa + 16, 4}},
		.writable_count = 1,
		.indirect = id % 3 == 1,
		.token = &requests[id],
	};
	struct ring_driver_chain one = chain;

	if (one.readable_count == 1)
		one.readable[0].len = 4;
	memcpy(model_driver_host(&guest, gpa, 4), &id, sizeof(id));
	requests[id].gpa = gpa;
	ck_assert_int_ge(ring_driver_add(guest.rings[queue], &one), 0);
	model_driver_kick(&guest, queue);
}

static void take_answer(unsigned int queue)
{
	struct ring_driver_used used = model_driver_collect(&guest, queue);
	size_t id = (size_t)((uint8_t *)used.token - (uint8_t *)requests) /
		    sizeof(requests[0]);
	uint32_t answer;

	ck_assert_uint_lt(id, REQUESTS);
	ck_assert_uint_eq(used.len, 4);
	memcpy(&answer, model_driver_host(&guest, requests[id].gpa + 16, 4), 4);
	ck_assert_uint_eq(answer, (uint32_t)id ^ UINT32_MAX);
	requests[id].answers++;
	ck_assert_uint_eq(requests[id].answers, 1);
}

static void take_answers(unsigned int queue, unsigned int count)
{
	while (count--)
		take_answer(queue);
	ck_assert_uint_eq(ring_driver_outstanding(guest.rings[queue]), 0);
}

static void begin(bool packed)
{
	memset(requests, 0, sizeof(requests));
	start_holder(packed);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
}

static bool is_taken(void *ctx)
{
	return shared->taken[*(const uint32_t *)ctx] > 0;
}

/* It is in flight for as long as they are held. */
static void await_taken(uint32_t id)
{
	ck_assert(model_driver_wait(&guest, is_taken, &id));
}

static void check_works(uint32_t id)
{
	ask_for(0, id);
	take_answers(0, 1);
}

/* --- Rings ------------------------------------------------------------- */

/* Even ones are answered, odd ones are in flight when it dies; some come while
 * there is nobody. Each is answered once, and none that was is done again. */
START_TEST(reconnect_requests_in_flight_are_done)
{
	begin(_i % 2);
	shared->hold = 1;
	for (uint32_t i = 0; i < 40; i++)
		ask_for(0, i);
	for (unsigned int i = 0; i < 20; i++)
		take_answer(0);
	await_taken(39);
	lose();
	for (uint32_t i = 40; i < 50; i++)
		ask_for(0, i);
	shared->hold = 0;
	bring();
	take_answers(0, 30);
	for (unsigned int i = 0; i < 40; i++)
		ck_assert_uint_eq(shared->taken[i], 1 + i % 2);
	for (unsigned int i = 40; i < 50; i++)
		ck_assert_uint_eq(shared->taken[i], 1);
	check_works(60);
	ck_assert_uint_eq(keeper.losses, 1);
	finish();
}
END_TEST

/* The second one dies before it has done any of them, the third does. */
START_TEST(reconnect_twice_requests_in_flight_are_done)
{
	begin(_i % 2);
	shared->hold = 1;
	for (unsigned int round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < 10; i++)
			ask_for(i % 2, round * 10 + i);
		for (unsigned int i = 0; i < 5; i++)
			take_answer(0);
		lose();
		bring();
	}
	lose();
	shared->hold = 0;
	bring();
	take_answers(0, 0);
	take_answers(1, 20);
	check_works(60);
	ck_assert_uint_eq(keeper.losses, 5);
	finish();
}
END_TEST

/* Killed at any moment of a load; each request is answered once. */
START_TEST(reconnect_at_any_moment_loses_nothing)
{
	unsigned int out = 0, rounds = 0;
	struct ring_driver_used used;
	uint32_t id = 0;

	begin(_i % 2);
	while (rounds < 20) {
		while (out < 16) {
			/* Those in flight are the last ones before that. */
			if (guest.next > (MODEL_DRIVER_MIB - 1) << 20)
				guest.next = 0x800000;
			requests[id].answers = 0;
			ask_for(0, id);
			id = (id + 1) % REQUESTS;
			out++;
		}
		if (ring_driver_collect(guest.rings[0], &used) == 1) {
			out--;
			continue;
		}
		vhost_child_kill(&child);
		ck_assert(model_driver_wait(&guest, is_waiting, NULL));
		bring();
		rounds++;
	}
	while (out--)
		model_driver_collect(&guest, 0);
	ck_assert_uint_eq(ring_driver_outstanding(guest.rings[0]), 0);
	ck_assert_uint_eq(guest.needs_resets, 0);
	finish();
}
END_TEST

/* What the lost one used just before may have had no interrupt; what came in
 * between, no kick. */
START_TEST(reconnect_kicks_and_interrupts_each_ring)
{
	eventfd_t count;

	begin(_i);
	check_works(1);
	for (unsigned int i = 0; i < 2; i++)
		(void)eventfd_read(virtio_device_call_fd(guest.device, i),
				   &count);
	lose();
	bring();
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(
			eventfd_read(virtio_device_call_fd(guest.device, i),
				     &count),
			0);
	finish();
}
END_TEST

/* --- While it waits ---------------------------------------------------- */

START_TEST(reset_while_waiting_begins_anew_with_the_next_backend)
{
	int64_t begun;

	begin(_i % 2);
	shared->hold = 1;
	for (uint32_t i = 0; i < 8; i++)
		ask_for(0, i);
	await_taken(7);
	lose();
	begun = loop_now();
	model_driver_reset(&guest);
	ck_assert_uint_eq(keeper.settles, 1);
	memset(requests, 0, sizeof(requests));
	if (_i >= 2)
		guest.packed = !guest.packed;
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	ck_assert_int_lt(loop_now() - begun, VHOST_USER_DEADLINE / 2);
	ck_assert_int_eq(device_state(), VIRTIO_DEVICE_ACTIVE);
	ask_for(0, 20);
	shared->hold = 0;
	bring();
	take_answers(0, 1);
	check_works(21);
	ck_assert_uint_eq(shared->taken[1], 1);
	ck_assert_uint_eq(guest.needs_resets, 0);
	finish();
}
END_TEST

START_TEST(activate_while_waiting_is_done_with_the_next_backend)
{
	memset(requests, 0, sizeof(requests));
	start_holder(_i % 2);
	lose();
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	ask_for(1, 3);
	bring();
	take_answers(1, 1);
	finish();
}
END_TEST

static void renew_ring(unsigned int index)
{
	struct virtqueue_config config;

	virtio_device_lock(guest.device);
	ck_assert_int_eq(virtio_device_queue_reset_locked(guest.device, index),
			 0);
	virtio_device_unlock(guest.device);
	ring_driver_free(guest.rings[index]);
	guest.rings[index] =
		ring_driver_new(guest.mem, &(struct ring_driver_options){
						   .base = 0x400000,
						   .size = 64,
						   .packed = guest.packed,
						   .indirect = true,
						   .event_idx = true,
					   });
	ring_driver_config(guest.rings[index], &config);
	config.index = index;
	virtio_device_lock(guest.device);
	ck_assert_int_eq(
		virtio_device_queue_enable_locked(guest.device, &config), 0);
	virtio_device_unlock(guest.device);
}

/* What was in flight in it is nobody's any more, and the other ring's is. */
START_TEST(queue_reset_while_waiting_forgets_that_ring_alone)
{
	begin(_i % 2);
	shared->hold = 1;
	for (uint32_t i = 0; i < 20; i++)
		ask_for(i % 4 == 1, i);
	for (unsigned int i = 0; i < 10; i++)
		take_answer(0);
	await_taken(17);
	await_taken(19);
	lose();
	renew_ring(1);
	ck_assert_uint_eq(keeper.settles, 1);
	shared->hold = 0;
	bring();
	take_answers(0, 5);
	for (unsigned int i = 1; i < 20; i += 4)
		ck_assert_uint_eq(shared->taken[i], 1);
	ask_for(1, 50);
	take_answers(1, 1);
	finish();
}
END_TEST

START_TEST(sleep_while_waiting_is_refused)
{
	begin(false);
	lose();
	virtio_device_lock(guest.device);
	ck_assert_int_eq(virtio_device_sleep_locked(guest.device), -EAGAIN);
	virtio_device_unlock(guest.device);
	bring();
	check_works(1);
	model_driver_sleep(&guest);
	model_driver_wake(&guest);
	check_works(2);
	finish();
}
END_TEST

/* It dies while the device sleeps: found out when it wakes. */
START_TEST(wake_with_a_dead_backend_waits)
{
	begin(_i % 2);
	check_works(1);
	model_driver_sleep(&guest);
	vhost_child_kill(&child);
	model_driver_wake(&guest);
	ck_assert(is_waiting(NULL));
	ask_for(0, 2);
	bring();
	take_answers(0, 1);
	finish();
}
END_TEST

/* Or its keeper knows, and brings another before. */
START_TEST(reconnect_while_asleep_snapshots_and_wakes)
{
	json_t *state;

	begin(_i % 2);
	check_works(1);
	model_driver_sleep(&guest);
	vhost_child_kill(&child);
	virtio_device_lock(guest.device);
	vhost_frontend_lose(vhost_child_frontend(), "killed");
	virtio_device_unlock(guest.device);
	bring();
	state = model_driver_snapshot(&guest);
	ck_assert_ptr_nonnull(state);
	json_decref(state);
	model_driver_wake(&guest);
	check_works(2);
	finish();
}
END_TEST

/* --- Backends that are not the same ------------------------------------ */

START_TEST(reconnect_to_less_is_refused_by_name)
{
	static const char *const says[] = {"features: the driver was offered",
					   "queues: expected at least 2"};
	struct error err;

	memset(requests, 0, sizeof(requests));
	start_holder(false);
	vhost_child_kill(&child);
	ck_assert(model_driver_wait(&guest, is_waiting, NULL));
	model_driver_fini(&guest);
	/* Now with a feature to lose. */
	shared->features = 1 << VIRTIO_BLK_F_RO;
	start(&holder_ops, "block");
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	check_works(1);
	lose();
	shared->features = _i ? 1 << VIRTIO_BLK_F_RO : 0;
	shared->queues = _i ? 1 : 2;
	vhost_child_start(&child, &holder_ops, &served);
	ck_assert_int_eq(reconnect_fd(child.fd, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, says[_i]) != NULL, "%s", err.text);
	ck_assert(is_waiting(NULL));
	vhost_child_kill(&child);
	/* The next one may be right. */
	shared->features = 1 << VIRTIO_BLK_F_RO | 1 << VIRTIO_BLK_F_FLUSH;
	shared->queues = 2;
	bring();
	check_works(2);
	finish();
}
END_TEST

START_TEST(reconnect_other_configuration_is_told)
{
	uint8_t byte = 0;

	begin(false);
	lose();
	bring();
	ck_assert_uint_eq(guest.config_changes, 0);
	lose();
	shared->config = 7;
	bring();
	ck_assert_uint_eq(guest.config_changes, 1);
	virtio_device_lock(guest.device);
	virtio_device_read_config_locked(guest.device, 3, &byte, 1);
	virtio_device_unlock(guest.device);
	ck_assert_uint_eq(byte, 7);
	finish();
}
END_TEST

static unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* Nobody answers: one deadline, and it goes on waiting. */
START_TEST(reconnect_silent_backend_is_given_its_deadline)
{
	struct error err;
	int64_t begun;
	int pair[2];

	begin(false);
	lose();
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	begun = loop_now();
	ck_assert_int_eq(reconnect_fd(pair[0], &err), -ENOLINK);
	ck_assert_int_lt(loop_now() - begun, 3 * VHOST_USER_DEADLINE / 2);
	close(pair[1]);
	ck_assert(is_waiting(NULL));
	ck_assert_uint_eq(keeper.losses, 1);
	bring();
	check_works(1);
	finish();
}
END_TEST

/* One after another that hangs up, now and when all is said. */
START_TEST(reconnect_flood_of_dead_backends_leaves_nothing)
{
	unsigned int before;
	struct error err;
	int pair[2];

	begin(false);
	lose();
	bring();
	lose();
	before = count_fds();
	for (unsigned int i = 0; i < 50; i++) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
					    0, pair),
				 0);
		close(pair[1]);
		ck_assert_int_eq(reconnect_fd(pair[0], &err), -ENOLINK);
	}
	ck_assert_uint_eq(keeper.losses, 2);
	for (unsigned int i = 0; i < 10; i++) {
		bring();
		lose();
	}
	ck_assert_uint_le(count_fds(), before);
	bring();
	check_works(1);
	finish();
}
END_TEST

START_TEST(reconnect_while_it_is_there_is_refused)
{
	struct error err;
	int pair[2];

	begin(false);
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(reconnect_fd(pair[0], &err), -EBUSY);
	close(pair[1]);
	check_works(1);
	finish();
}
END_TEST

START_TEST(give_up_while_waiting_needs_reset)
{
	begin(false);
	lose();
	virtio_device_lock(guest.device);
	vhost_frontend_give_up(vhost_child_frontend(), "enough of it");
	virtio_device_unlock(guest.device);
	ck_assert_uint_eq(guest.needs_resets, 1);
	ck_assert_int_eq(device_state(), VIRTIO_DEVICE_FAILED);
	/* Should one come after all, the driver's reset finds it. */
	bring();
	model_driver_reset(&guest);
	memset(requests, 0, sizeof(requests));
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	check_works(1);
	finish();
}
END_TEST

START_TEST(lost_keeper_that_refuses_needs_reset)
{
	begin(false);
	keeper.refuses = true;
	vhost_child_kill(&child);
	ck_assert(model_driver_wait(&guest, has_failed, NULL));
	ck_assert(!is_waiting(NULL));
	finish();
}
END_TEST

/* --- What the driver has set ------------------------------------------- */

static void disk_begin(char *path, size_t size, char *dir, size_t dir_size)
{
	struct virtio_block_options options = {.queues = 1};
	const struct virtio_open args = {.option = "--disk",
					 .options = &options};
	struct error err = {""};

	disk_make_dir(dir, dir_size, NULL);
	snprintf(path, size, "%s/image", dir);
	disk_make_image(path, 1 << 20);
	options.file = path;
	ck_assert_msg(virtio_block_ops.open(&args, &served, &err) == 0, "%s",
		      err.text);
	start(&virtio_block_ops, "block");
	model_driver_start(&guest, MODEL_DRIVER_ALL);
}

static uint8_t writeback(void)
{
	uint8_t value;

	virtio_device_lock(guest.device);
	virtio_device_read_config_locked(guest.device, 32, &value, 1);
	virtio_device_unlock(guest.device);
	return value;
}

static void set_writeback(uint8_t value)
{
	virtio_device_lock(guest.device);
	virtio_device_write_config_locked(guest.device, 32, &value, 1);
	virtio_device_unlock(guest.device);
}

/* What the backend itself says, after a sleep that reads its state. */
static bool backend_writes_back(void)
{
	json_t *state;
	bool value;

	model_driver_sleep(&guest);
	state = model_driver_snapshot(&guest);
	model_driver_wake(&guest);
	value = json_is_true(json_object_get(
		json_object_get(json_object_get(state, "model"), "disk"),
		"wce"));
	json_decref(state);
	return value;
}

START_TEST(reconnect_block_writes_through_as_before)
{
	char dir[64], path[96];

	disk_begin(path, sizeof(path), dir, sizeof(dir));
	ck_assert(backend_writes_back());
	set_writeback(0);
	lose();
	ck_assert_uint_eq(writeback(), 0);
	bring();
	ck_assert_uint_eq(writeback(), 0);
	ck_assert(!backend_writes_back());
	/* And while there is nobody. */
	lose();
	set_writeback(1);
	ck_assert_uint_eq(writeback(), 1);
	bring();
	ck_assert(backend_writes_back());
	set_writeback(0);
	lose();
	model_driver_reset(&guest);
	bring();
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	ck_assert(backend_writes_back());
	finish();
	disk_remove_dir(dir);
}
END_TEST

/* The model's state, as it is saved. */
static json_t *model_state(void)
{
	json_t *state, *model;

	model_driver_sleep(&guest);
	state = model_driver_snapshot(&guest);
	model_driver_wake(&guest);
	model = json_incref(json_object_get(state, "model"));
	json_decref(state);
	return model;
}

static struct net_driver net;

/* A command of one byte or more. */
static void net_command_is_done(uint8_t class, uint8_t command,
				const void *data, uint32_t len)
{
	const uint64_t gpa = model_driver_alloc(&guest, 256);
	uint8_t *host = model_driver_host(&guest, gpa, 256);
	const struct ring_driver_chain chain = {
		.readable = {{gpa, 2 + len}},
		.readable_count = 1,
		.writable = {{gpa + 128, 1}},
		.writable_count = 1,
	};

	host[0] = class;
	host[1] = command;
	memcpy(host + 2, data, len);
	host[128] = 0xee;
	ck_assert_int_ge(ring_driver_add(guest.rings[2], &chain), 0);
	model_driver_kick(&guest, 2);
	model_driver_collect(&guest, 2);
	ck_assert_uint_eq(host[128], VIRTIO_NET_OK);
}

/* Killed as soon as the driver knows that it is done. */
START_TEST(reconnect_net_has_what_the_driver_set)
{
	static const uint8_t mac[6] = {2, 0, 0, 9, 9, 9}, on = 1,
			     vlan[2] = {7, 0};
	const struct virtio_open args = {.option = "--net"};
	struct error err = {""};
	json_t *before, *after;
	uint8_t seen[6];

	net_driver_init(&net, 1, 0, 0);
	/* Its peer stays. */
	net_driver_fini(&net);
	ck_assert_int_eq(net_driver_ops()->open(&args, &served, &err), 0);
	start(net_driver_ops(), "net");
	guest.packed = _i;
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	net_command_is_done(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET,
			    mac, sizeof(mac));
	net_command_is_done(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI,
			    &on, 1);
	before = model_state();
	net_command_is_done(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD,
			    vlan, sizeof(vlan));
	lose();
	bring();
	virtio_device_lock(guest.device);
	virtio_device_read_config_locked(guest.device, 0, seen, sizeof(seen));
	virtio_device_unlock(guest.device);
	ck_assert_mem_eq(seen, mac, sizeof(mac));
	after = model_state();
	ck_assert(json_is_true(json_object_get(after, "allmulti")));
	ck_assert(json_equal(json_object_get(before, "mac"),
			     json_object_get(after, "mac")));
	ck_assert(!json_equal(json_object_get(before, "vlans"),
			      json_object_get(after, "vlans")));
	json_decref(before);
	json_decref(after);
	/* A reset takes all of it away, also from the one after. */
	model_driver_reset(&guest);
	virtio_device_lock(guest.device);
	virtio_device_read_config_locked(guest.device, 0, seen, sizeof(seen));
	virtio_device_unlock(guest.device);
	ck_assert_mem_eq(seen, net_driver_mac, sizeof(seen));
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	lose();
	bring();
	after = model_state();
	ck_assert(!json_is_true(json_object_get(after, "allmulti")));
	json_decref(after);
	finish();
}
END_TEST

static void console_tell(uint16_t event)
{
	const struct virtio_console_control message = {.event = htole16(event),
						       .value = htole16(1)};

	model_driver_send(&guest, 3, &message, sizeof(message));
	model_driver_collect(&guest, 3);
}

static bool console_port_is(const char *member)
{
	json_t *state = model_state();
	bool is = json_is_true(json_object_get(
		json_array_get(json_object_get(state, "ports"), 0), member));

	json_decref(state);
	return is;
}

START_TEST(reconnect_console_has_its_ports_open)
{
	struct virtio_console_port ports[2] = {{.name = NULL},
					       {.name = "other"}};
	const struct virtio_console_options options = {.ports = ports,
						       .port_count = 2};
	const struct virtio_open args = {.option = "--console",
					 .options = &options};
	struct error err = {""};
	uint8_t byte;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX,
				    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
				    0, pair),
			 0);
	ports[0].fd = pair[1];
	ports[1].fd = pair[0];
	ck_assert_msg(virtio_console_ops.open(&args, &served, &err) == 0, "%s",
		      err.text);
	start(&virtio_console_ops, "console");
	guest.packed = _i;
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	for (unsigned int i = 0; i < 8; i++)
		model_driver_give(&guest, 2, model_driver_alloc(&guest, 64), 64,
				  true);
	console_tell(VIRTIO_CONSOLE_DEVICE_READY);
	model_driver_collect(&guest, 2);
	console_tell(VIRTIO_CONSOLE_PORT_READY);
	console_tell(VIRTIO_CONSOLE_PORT_OPEN);
	lose();
	bring();
	ck_assert(console_port_is("ready"));
	ck_assert(console_port_is("open"));
	model_driver_send(&guest, 1, "!", 1);
	model_driver_collect(&guest, 1);
	ck_assert_int_eq(recv(pair[0], &byte, 1, 0), 1);
	ck_assert_uint_eq(byte, '!');
	finish();
	close(pair[0]);
	close(pair[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_again");
	TCase *rings = tcase_create("rings"), *other = tcase_create("other");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(rings, reconnect_requests_in_flight_are_done, 0, 2);
	tcase_add_loop_test(rings, reconnect_twice_requests_in_flight_are_done,
			    0, 2);
	tcase_add_loop_test(rings, reconnect_at_any_moment_loses_nothing, 0, 2);
	tcase_add_loop_test(
		rings, reset_while_waiting_begins_anew_with_the_next_backend, 0,
		4);
	tcase_add_loop_test(
		rings, activate_while_waiting_is_done_with_the_next_backend, 0,
		2);
	tcase_add_loop_test(
		rings, queue_reset_while_waiting_forgets_that_ring_alone, 0, 2);
	tcase_add_test(rings, sleep_while_waiting_is_refused);
	tcase_add_loop_test(rings, wake_with_a_dead_backend_waits, 0, 2);
	tcase_add_loop_test(rings, reconnect_while_asleep_snapshots_and_wakes,
			    0, 2);
	tcase_add_loop_test(rings, reconnect_kicks_and_interrupts_each_ring, 0,
			    2);
	suite_add_tcase(suite, rings);
	tcase_add_loop_test(other, reconnect_to_less_is_refused_by_name, 0, 2);
	tcase_add_test(other, reconnect_other_configuration_is_told);
	tcase_add_test(other, reconnect_silent_backend_is_given_its_deadline);
	tcase_add_test(other, reconnect_flood_of_dead_backends_leaves_nothing);
	tcase_add_test(other, reconnect_while_it_is_there_is_refused);
	tcase_add_test(other, give_up_while_waiting_needs_reset);
	tcase_add_test(other, lost_keeper_that_refuses_needs_reset);
	tcase_add_test(other, reconnect_block_writes_through_as_before);
	tcase_add_loop_test(other, reconnect_net_has_what_the_driver_set, 0, 2);
	tcase_add_loop_test(other, reconnect_console_has_its_ports_open, 0, 2);
	suite_add_tcase(suite, other);
	tcase_set_timeout(rings, 30);
	tcase_set_timeout(other, 30);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
