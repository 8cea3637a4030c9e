/* The virtio device object: each state with each operation, defaults, kicks,
 * sleep, failures, snapshots. */
#include "virtio/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/mock_device.h"
#include "tests/unit/support/virtio_board.h"
#include "vmm/base/log.h"

#define VERSION	 (UINT64_C(1) << VIRTIO_F_VERSION_1)
#define PACKED	 (UINT64_C(1) << VIRTIO_F_RING_PACKED)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct loop *loop;
static struct virtio_guest guest;
static struct mock_device mock;
static struct virtio_resources resources;
static struct virtio_device *device;
static struct error err;
static unsigned int config_changes, reset_needs;

static void on_config_changed(void *ctx)
{
	ck_assert_ptr_eq(ctx, &mock);
	config_changes++;
}

static void on_needs_reset(void *ctx)
{
	ck_assert_ptr_eq(ctx, &mock);
	reset_needs++;
}

static const struct virtio_device_events events = {
	.config_changed = on_config_changed,
	.needs_reset = on_needs_reset,
};

static void make(const struct virtio_device_ops *ops)
{
	struct virtio_device_config config =
		mock_device_config(loop, guest.mem, &resources);

	config.ops = ops;
	ck_assert_int_eq(virtio_device_new(&device, &config, &err), 0);
	virtio_device_set_events_locked(device, &events, &mock);
	memset(mock.calls, 0, sizeof(mock.calls));
	mock.all = 0;
}

static void setup_mock(void)
{
	ck_assert_int_eq(loop_new(&loop), 0);
	virtio_guest_init(&guest);
	mock_device_init(&mock);
	mock_device_resources(&mock, &resources);
}

static void setup(void)
{
	setup_mock();
	make(&mock_device_ops);
}

static void drop(void)
{
	virtio_device_free(device);
	device = NULL;
	virtio_guest_free_rings(&guest);
}

static void teardown(void)
{
	drop();
	virtio_resources_fini(&resources);
	virtio_guest_fini(&guest);
	loop_free(loop);
}

static void on_stop(void *ctx)
{
	(void)ctx;
	loop_stop(loop);
}

/* Call all that is ready. */
static void turn(void)
{
	struct loop_timer *timer;

	ck_assert_int_eq(loop_timer_add(loop, &timer, on_stop, NULL), 0);
	loop_timer_set(timer, 0);
	ck_assert_int_eq(loop_run(loop), 0);
	loop_timer_remove(timer);
}

static enum virtio_device_state state(void)
{
	return virtio_device_state_locked(device);
}

/* --- A driver --------------------------------------------------------------
 */

static bool packed;

static struct virtqueue_config queue_config(unsigned int index)
{
	struct virtqueue_config config =
		virtio_guest_ring(&guest, index, packed);

	config.index = index;
	/* The device knows better. */
	config.packed = !packed;
	return config;
}

/* Of queues 0 and 2, as a driver might. */
static int activate(void)
{
	struct virtqueue_config configs[2];

	virtio_device_ack_features_locked(device,
					  VERSION | (packed ? PACKED : 0));
	configs[0] = queue_config(0);
	configs[1] = queue_config(2);
	return virtio_device_activate_locked(device, configs, 2);
}

static void kick(unsigned int index)
{
	ck_assert_int_eq(eventfd_write(virtio_device_kick_fd(device, index), 1),
			 0);
}

static bool called(unsigned int index)
{
	eventfd_t count;

	return eventfd_read(virtio_device_call_fd(device, index), &count) == 0;
}

/* --- Each state with each operation ----------------------------------------
 */

/* How to get there from new; all but the last have succeeded. */
static void go(enum virtio_device_state target)
{
	switch (target) {
	case VIRTIO_DEVICE_NEW:
		break;
	case VIRTIO_DEVICE_ACTIVE:
		ck_assert_int_eq(activate(), 0);
		break;
	case VIRTIO_DEVICE_INACTIVE:
		go(VIRTIO_DEVICE_ACTIVE);
		ck_assert_int_eq(virtio_device_reset_locked(device), 0);
		break;
	case VIRTIO_DEVICE_FAILED:
		go(VIRTIO_DEVICE_ACTIVE);
		virtio_device_needs_reset(device);
		break;
	case VIRTIO_DEVICE_ASLEEP_NEW:
		ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
		break;
	case VIRTIO_DEVICE_ASLEEP_ACTIVE:
		go(VIRTIO_DEVICE_ACTIVE);
		ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
		break;
	case VIRTIO_DEVICE_ASLEEP_INACTIVE:
		go(VIRTIO_DEVICE_INACTIVE);
		ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
		break;
	case VIRTIO_DEVICE_STATES:
		ck_abort();
	}
	ck_assert_int_eq(state(), target);
	memset(mock.calls, 0, sizeof(mock.calls));
	mock.all = 0;
}

/* Each of these returns what the operation did, or 0 or -EBUSY by whether the
 * model saw it. */
static int seen(enum mock_call call)
{
	return mock.calls[call] ? 0 : -EBUSY;
}

static int do_ack_features(void)
{
	virtio_device_ack_features_locked(device, VERSION);
	return seen(MOCK_ACK_FEATURES);
}

static int do_write_config(void)
{
	virtio_device_write_config_locked(device, 0, "x", 1);
	return seen(MOCK_WRITE_CONFIG);
}

static int do_activate(void)
{
	struct virtqueue_config configs[] = {queue_config(0), queue_config(2)};

	return virtio_device_activate_locked(device, configs, COUNT(configs));
}

static int do_kick(void)
{
	kick(0);
	turn();
	return seen(MOCK_QUEUE_READY);
}

static int do_queue_reset(void)
{
	return virtio_device_queue_reset_locked(device, 0);
}

/* Queue 1, which no driver has enabled. */
static int do_queue_enable(void)
{
	struct virtqueue_config config = queue_config(1);

	return virtio_device_queue_enable_locked(device, &config);
}

static int do_fail(void)
{
	unsigned int before = reset_needs;

	virtio_device_needs_reset(device);
	return reset_needs > before ? 0 : -EBUSY;
}

static int do_reset(void)
{
	return virtio_device_reset_locked(device);
}

static int do_command(void)
{
	json_t *reply;
	int ret =
		virtio_device_command_locked(device, "nod", NULL, &reply, &err);

	json_decref(reply);
	return ret;
}

static int do_timer(void)
{
	virtio_timer_set(mock.timer, 1);
	while (state() < VIRTIO_DEVICE_ASLEEP_NEW && !mock.calls[MOCK_TIMER])
		turn();
	turn();
	return seen(MOCK_TIMER);
}

static int do_sleep(void)
{
	return virtio_device_sleep_locked(device);
}

static int do_wake(void)
{
	return virtio_device_wake_locked(device);
}

static int do_snapshot(void)
{
	json_t *saved = NULL;
	int ret = virtio_device_snapshot_locked(device, &saved);

	json_decref(saved);
	return ret;
}

/* What another device in that state would save. */
static json_t *saved_state(enum virtio_device_state wanted)
{
	struct virtio_device *kept = device;
	json_t *saved;

	make(&mock_device_ops);
	go(wanted);
	ck_assert_int_eq(virtio_device_snapshot_locked(device, &saved), 0);
	virtio_device_free(device);
	device = kept;
	mock.device = device;
	memset(mock.calls, 0, sizeof(mock.calls));
	mock.all = 0;
	return saved;
}

static json_t *saved[VIRTIO_DEVICE_STATES];

static int do_restore(enum virtio_device_state which)
{
	return virtio_device_restore_locked(device, saved[which], &err);
}

static int do_restore_new(void)
{
	return do_restore(VIRTIO_DEVICE_ASLEEP_NEW);
}

static int do_restore_active(void)
{
	return do_restore(VIRTIO_DEVICE_ASLEEP_ACTIVE);
}

static int do_restore_inactive(void)
{
	return do_restore(VIRTIO_DEVICE_ASLEEP_INACTIVE);
}

#define NEW  VIRTIO_DEVICE_NEW
#define ACT  VIRTIO_DEVICE_ACTIVE
#define INA  VIRTIO_DEVICE_INACTIVE
#define FAI  VIRTIO_DEVICE_FAILED
#define ZNEW VIRTIO_DEVICE_ASLEEP_NEW
#define ZACT VIRTIO_DEVICE_ASLEEP_ACTIVE
#define ZINA VIRTIO_DEVICE_ASLEEP_INACTIVE
#define NO   (-1) /* refused, and nothing happened */

/* DEVICES.md, "States", said again. */
static const struct walk {
	const char *name;
	int (*act)(void);
	int next[VIRTIO_DEVICE_STATES];
} walks[] = {
	/*			       from: NEW   ACT   INA   FAI  ZNEW  ZACT
	 * ZINA
	 */
	{"ack_features", do_ack_features, {NEW, NO, INA, FAI, NO, NO, NO}},
	{"write_config", do_write_config, {NEW, ACT, INA, FAI, NO, NO, NO}},
	{"activate", do_activate, {ACT, NO, ACT, NO, NO, NO, NO}},
	{"kick", do_kick, {NO, ACT, NO, NO, NO, NO, NO}},
	{"queue_reset", do_queue_reset, {NO, ACT, NO, NO, NO, NO, NO}},
	{"queue_enable", do_queue_enable, {NO, ACT, NO, NO, NO, NO, NO}},
	{"fail", do_fail, {FAI, FAI, FAI, NO, NO, NO, NO}},
	{"reset", do_reset, {NEW, INA, INA, INA, NO, NO, NO}},
	{"command", do_command, {NEW, ACT, INA, FAI, NO, NO, NO}},
	{"timer", do_timer, {NEW, ACT, INA, FAI, NO, NO, NO}},
	{"sleep", do_sleep, {ZNEW, ZACT, ZINA, NO, NO, NO, NO}},
	{"wake", do_wake, {NO, NO, NO, NO, NEW, ACT, INA}},
	{"snapshot", do_snapshot, {NO, NO, NO, NO, ZNEW, ZACT, ZINA}},
	{"restore_new", do_restore_new, {NO, NO, NO, NO, ZNEW, NO, NO}},
	{"restore_active", do_restore_active, {NO, NO, NO, NO, ZACT, NO, NO}},
	{"restore_inactive",
	 do_restore_inactive,
	 {NO, NO, NO, NO, ZINA, NO, NO}},
};

static void walk_one(enum virtio_device_state from, const struct walk *walk)
{
	int expected = walk->next[from];
	int ret;

	make(&mock_device_ops);
	go(from);
	ret = walk->act();
	if (expected == NO) {
		ck_assert_msg(ret == -EBUSY, "%s in state %d: %d", walk->name,
			      from, ret);
		ck_assert_msg(mock.all == 0, "%s in state %d: the model saw it",
			      walk->name, from);
		expected = (int)from;
	} else {
		ck_assert_msg(ret == 0, "%s in state %d: %d", walk->name, from,
			      ret);
	}
	ck_assert_msg((int)state() == expected, "%s in state %d: now %d",
		      walk->name, from, state());
	drop();
}

START_TEST(device_each_state_each_operation_as_the_table_says)
{
	for (unsigned int i = VIRTIO_DEVICE_ASLEEP_NEW;
	     i < VIRTIO_DEVICE_STATES; i++) {
		saved[i] = saved_state((enum virtio_device_state)i);
		virtio_guest_free_rings(&guest);
	}
	drop();
	for (unsigned int i = 0; i < VIRTIO_DEVICE_STATES; i++) {
		for (size_t j = 0; j < COUNT(walks); j++)
			walk_one((enum virtio_device_state)i, &walks[j]);
	}
	for (unsigned int i = 0; i < VIRTIO_DEVICE_STATES; i++)
		json_decref(saved[i]);
}
END_TEST

/* --- What does not change --------------------------------------------------
 */

START_TEST(device_new_says_what_the_model_said)
{
	const uint64_t ring_features =
		VERSION | PACKED | UINT64_C(1) << VIRTIO_F_RING_RESET |
		UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC |
		UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX;

	ck_assert_str_eq(virtio_device_label(device), "mock0");
	ck_assert_ptr_eq(virtio_device_ops(device), &mock_device_ops);
	ck_assert_ptr_eq(virtio_device_mem(device), guest.mem);
	ck_assert_uint_eq(virtio_device_queues(device), MOCK_DEVICE_QUEUES);
	ck_assert_uint_eq(virtio_device_queue_max(device, 2), MOCK_DEVICE_SIZE);
	ck_assert_uint_eq(virtio_device_queue_max(device, 3), 0);
	ck_assert_uint_eq(virtio_device_interrupts(device), MOCK_DEVICE_QUEUES);
	ck_assert_uint_eq(virtio_device_config_size(device),
			  MOCK_DEVICE_CONFIG);
	ck_assert_uint_eq(virtio_device_features(device),
			  MOCK_DEVICE_FEATURES | ring_features);
	ck_assert_int_ge(virtio_device_kick_fd(device, 2), 0);
	ck_assert_int_ge(virtio_device_call_fd(device, 2), 0);
	ck_assert_int_eq(virtio_device_kick_fd(device, 3), -1);
	ck_assert_int_eq(virtio_device_call_fd(device, 3), -1);
}
END_TEST

START_TEST(device_new_model_refuses_is_said)
{
	const struct virtio_device_config config = {
		.ops = &mock_device_ops,
		.label = "mock1",
		.loop = loop,
		.mem = guest.mem,
		.resources = &resources,
	};
	struct virtio_device *other = NULL;

	mock.fails[MOCK_CREATE] = -ENODEV;
	ck_assert_int_eq(virtio_device_new(&other, &config, &err), -ENODEV);
	ck_assert_str_eq(err.text, "mock: as the test wants it");
	ck_assert_ptr_null(other);
	ck_assert_uint_eq(mock.calls[MOCK_DESTROY], 0);
	mock.device = device;
}
END_TEST

START_TEST(device_keep_fds_has_all)
{
	int fds[VIRTIO_DEVICE_FDS_MAX];
	unsigned int count = virtio_device_keep_fds(device, fds);
	unsigned int found = 0;

	/* Kick and call of each queue, and the timer. */
	ck_assert_uint_eq(count, 2 * MOCK_DEVICE_QUEUES + 1);
	for (unsigned int i = 0; i < count; i++) {
		for (unsigned int q = 0; q < MOCK_DEVICE_QUEUES; q++)
			found += fds[i] == virtio_device_kick_fd(device, q) ||
				 fds[i] == virtio_device_call_fd(device, q);
	}
	ck_assert_uint_eq(found, 2 * MOCK_DEVICE_QUEUES);
}
END_TEST

/* --- Defaults --------------------------------------------------------------
 */

START_TEST(device_plain_model_constants_are_defaults)
{
	ck_assert_uint_eq(virtio_device_features(device),
			  VERSION | PACKED |
				  UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC |
				  UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
	ck_assert_uint_eq(virtio_device_interrupts(device), MOCK_DEVICE_QUEUES);
	ck_assert_uint_eq(virtio_device_config_size(device), 0);
}
END_TEST

START_TEST(device_plain_model_config_is_zero)
{
	uint8_t bytes[8];

	memset(bytes, 0xff, sizeof(bytes));
	virtio_device_read_config_locked(device, 0, bytes, sizeof(bytes));
	ck_assert_mem_eq(bytes, "\0\0\0\0\0\0\0", 8);
	virtio_device_write_config_locked(device, 0, "xx", 2);
}
END_TEST

START_TEST(device_plain_model_pci_and_shm_are_none)
{
	const struct virtio_pci_address address = {.slot = 3};
	const struct virtio_msix_change change = {.function = true};
	struct virtio_pci_address wish;
	struct virtio_shm_region region;
	struct virtio_bar bars[1];
	struct virtio_cap caps[1];
	char line[32];

	ck_assert_int_eq(virtio_device_on_sandboxed_locked(device), 0);
	ck_assert_uint_eq(virtio_device_pci_bars_locked(device, bars), 0);
	ck_assert_uint_eq(virtio_device_pci_caps_locked(device, caps), 0);
	virtio_device_control_notify_locked(device, &change);
	virtio_device_generate_acpi_locked(device, NULL, &address);
	ck_assert(!virtio_device_pci_address_locked(device, &wish));
	ck_assert(!virtio_device_shm_region_locked(device, &region));
	ck_assert(!virtio_device_shm_with_viommu_locked(device));
	virtio_device_set_shm_mapper_locked(device, NULL);
	virtio_device_set_shm_address_locked(device, 0);
	ck_assert_int_eq(virtio_device_shm_prepare_locked(device),
			 VIRTIO_SHM_DYNAMIC);
	ck_assert(!virtio_device_boot_order_locked(device, 3, line,
						   sizeof(line)));
	ck_assert_uint_eq(mock.all, 0);
}
END_TEST

START_TEST(device_plain_model_knows_no_command)
{
	json_t *reply;

	ck_assert_int_eq(virtio_device_command_locked(device, "resize", NULL,
						      &reply, &err),
			 -EOPNOTSUPP);
	ck_assert_ptr_null(reply);
	ck_assert_str_eq(err.text,
			 "mock0: a mock device knows no command \"resize\"");
}
END_TEST

START_TEST(device_plain_model_resets_no_queue)
{
	ck_assert_int_eq(activate(), 0);
	ck_assert_int_eq(do_queue_reset(), -ENOTSUP);
	ck_assert_int_eq(do_queue_enable(), -ENOTSUP);
	ck_assert_int_eq(state(), VIRTIO_DEVICE_ACTIVE);
}
END_TEST

START_TEST(device_plain_model_sleeps_and_wakes_by_activate)
{
	ck_assert_int_eq(activate(), 0);
	virtio_guest_ask(&guest, 0, "before");
	kick(0);
	turn();
	ck_assert(virtio_guest_answered(&guest, 0, "before"));
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	virtio_guest_ask(&guest, 0, "asleep");
	ck_assert_int_eq(virtio_device_wake_locked(device), 0);
	ck_assert_uint_eq(mock.calls[MOCK_ACTIVATE], 2);
	ck_assert(virtio_guest_answered(&guest, 0, "asleep"));
}
END_TEST

START_TEST(device_full_model_is_asked)
{
	const struct virtio_pci_address address = {.slot = 3};
	struct virtio_pci_address wish;
	struct virtio_shm_region region;
	json_t *reply;
	char line[32];

	mock.shm_length = 4096;
	ck_assert_int_eq(virtio_device_on_sandboxed_locked(device), 0);
	virtio_device_generate_acpi_locked(device, NULL, &address);
	ck_assert(virtio_device_pci_address_locked(device, &wish));
	ck_assert_uint_eq(wish.slot, 9);
	ck_assert(virtio_device_shm_region_locked(device, &region));
	ck_assert_uint_eq(region.length, 4096);
	ck_assert(virtio_device_shm_with_viommu_locked(device));
	virtio_device_set_shm_mapper_locked(device, NULL);
	virtio_device_set_shm_address_locked(device, 0x1000);
	ck_assert_int_eq(virtio_device_shm_prepare_locked(device),
			 VIRTIO_SHM_PREPARED);
	ck_assert(
		virtio_device_boot_order_locked(device, 3, line, sizeof(line)));
	ck_assert_str_eq(line, "/pci@i0cf8/mock@3");
	ck_assert_int_eq(
		virtio_device_command_locked(device, "nod", NULL, &reply, &err),
		0);
	ck_assert_str_eq(json_string_value(reply), "nod");
	json_decref(reply);
	ck_assert_uint_eq(mock.calls[MOCK_ON_SANDBOXED], 1);
	ck_assert_uint_eq(mock.calls[MOCK_GENERATE_ACPI], 1);
	ck_assert_uint_eq(mock.calls[MOCK_SET_SHM_MAPPER], 1);
	ck_assert_uint_eq(mock.shm_address, 0x1000);
}
END_TEST

/* --- Configuration space ---------------------------------------------------
 */

START_TEST(device_config_any_offset_is_clipped)
{
	static const uint64_t far[] = {MOCK_DEVICE_CONFIG, 0x1000, UINT32_MAX,
				       UINT64_MAX, UINT64_MAX - 3};
	uint8_t bytes[8];

	virtio_device_read_config_locked(device, 10, bytes, 8);
	ck_assert_mem_eq(bytes, "\xaa\xab\xac\0\0\0\0\0", 8);
	virtio_device_write_config_locked(device, 12, "1234", 4);
	ck_assert_mem_eq(&mock.config[11], "\xab\x31\xad", 3);
	memset(mock.calls, 0, sizeof(mock.calls));
	for (size_t i = 0; i < COUNT(far); i++) {
		memset(bytes, 0xff, 8);
		virtio_device_read_config_locked(device, far[i], bytes, 8);
		ck_assert_mem_eq(bytes, "\0\0\0\0\0\0\0", 8);
		virtio_device_write_config_locked(device, far[i], bytes, 8);
	}
	ck_assert_uint_eq(mock.calls[MOCK_READ_CONFIG], 0);
	ck_assert_uint_eq(mock.calls[MOCK_WRITE_CONFIG], 0);
}
END_TEST

START_TEST(device_config_changed_is_told)
{
	config_changes = 0;
	virtio_device_config_changed(device);
	ck_assert_uint_eq(config_changes, 1);
	virtio_device_set_events_locked(device, NULL, NULL);
	virtio_device_config_changed(device);
	virtio_device_needs_reset(device);
	ck_assert_uint_eq(config_changes, 1);
}
END_TEST

/* --- Kicks -----------------------------------------------------------------
 */

START_TEST(device_kick_makes_its_queue_ready)
{
	ck_assert_int_eq(activate(), 0);
	/* Activation looks at each enabled queue, unasked. */
	ck_assert_uint_eq(mock.ready[0], 1);
	ck_assert_uint_eq(mock.ready[1], 0);
	ck_assert_uint_eq(mock.ready[2], 1);
	ck_assert(!called(2));
	virtio_guest_ask(&guest, 2, "hello");
	kick(2);
	kick(2);
	turn();
	ck_assert_uint_eq(mock.ready[0], 1);
	ck_assert_uint_eq(mock.ready[2], 2);
	ck_assert(virtio_guest_answered(&guest, 2, "hello"));
	ck_assert(called(2));
	/* The kick was taken out of the eventfd. */
	turn();
	ck_assert_uint_eq(mock.ready[2], 2);
}
END_TEST

START_TEST(device_kick_of_queue_not_enabled_is_nothing)
{
	ck_assert_int_eq(activate(), 0);
	kick(1);
	turn();
	ck_assert_uint_eq(mock.ready[1], 0);
}
END_TEST

START_TEST(device_kick_before_activation_is_not_lost)
{
	struct virtqueue_config config = queue_config(0);

	virtio_device_ack_features_locked(device, VERSION);
	virtio_guest_ask(&guest, 0, "early");
	kick(0);
	turn();
	ck_assert_uint_eq(mock.ready[0], 0);
	ck_assert_int_eq(virtio_device_activate_locked(device, &config, 1), 0);
	ck_assert(virtio_guest_answered(&guest, 0, "early"));
}
END_TEST

START_TEST(device_kick_while_asleep_is_not_lost)
{
	ck_assert_int_eq(activate(), 0);
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	virtio_guest_ask(&guest, 0, "asleep");
	kick(0);
	turn();
	ck_assert_uint_eq(mock.ready[0], 1);
	ck_assert_int_eq(virtio_device_wake_locked(device), 0);
	ck_assert_uint_eq(mock.ready[0], 2);
	ck_assert(virtio_guest_answered(&guest, 0, "asleep"));
}
END_TEST

/* --- Sleep -----------------------------------------------------------------
 */

START_TEST(device_sleep_keeps_positions)
{
	packed = _i;
	ck_assert_int_eq(activate(), 0);
	/* More than the ring has entries: wrapped, too. */
	for (unsigned int i = 0; i < 41; i++) {
		virtio_guest_ask(&guest, 0, "round");
		kick(0);
		turn();
		ck_assert(virtio_guest_answered(&guest, 0, "round"));
		if (i % 3)
			continue;
		ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
		ck_assert(!mock.active);
		ck_assert_int_eq(virtio_device_wake_locked(device), 0);
	}
	ck_assert_uint_eq(mock.calls[MOCK_WAKE], 14);
	ck_assert_uint_eq(mock.calls[MOCK_ACTIVATE], 1);
	packed = false;
}
END_TEST

START_TEST(device_sleep_not_active_has_no_queues)
{
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	ck_assert_int_eq(virtio_device_wake_locked(device), 0);
	ck_assert(!mock.active);
	ck_assert_uint_eq(mock.calls[MOCK_SLEEP], 1);
	ck_assert_uint_eq(mock.calls[MOCK_WAKE], 1);
	ck_assert_uint_eq(mock.calls[MOCK_QUEUE_READY], 0);
}
END_TEST

START_TEST(device_sleep_model_refuses_stays_active)
{
	ck_assert_int_eq(activate(), 0);
	mock.fails[MOCK_SLEEP] = -EIO;
	ck_assert_int_eq(virtio_device_sleep_locked(device), -EIO);
	ck_assert_int_eq(state(), VIRTIO_DEVICE_ACTIVE);
	virtio_guest_ask(&guest, 0, "awake");
	kick(0);
	turn();
	ck_assert(virtio_guest_answered(&guest, 0, "awake"));
}
END_TEST

START_TEST(device_free_asleep_active_resets)
{
	ck_assert_int_eq(activate(), 0);
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	drop();
	ck_assert_uint_eq(mock.calls[MOCK_RESET], 1);
	ck_assert_uint_eq(mock.calls[MOCK_DESTROY], 1);
}
END_TEST

START_TEST(device_free_active_drops_chains)
{
	mock.hold = true;
	ck_assert_int_eq(activate(), 0);
	virtio_guest_ask(&guest, 0, "held");
	kick(0);
	turn();
	ck_assert_uint_eq(mock.held_count, 1);
	drop();
	ck_assert_uint_eq(mock.held_count, 0);
	ck_assert_uint_eq(mock.calls[MOCK_RESET], 1);
}
END_TEST

/* --- Failure ---------------------------------------------------------------
 */

/* Failed, and said so once; reset makes it work again. */
static void expect_failed(void)
{
	ck_assert_int_eq(state(), VIRTIO_DEVICE_FAILED);
	ck_assert_uint_eq(reset_needs, 1);
	virtio_device_needs_reset(device);
	ck_assert_uint_eq(reset_needs, 1);
	memset(mock.fails, 0, sizeof(mock.fails));
	mock.fail_soon = false;
	virtio_guest_free_rings(&guest);
	ck_assert_int_eq(virtio_device_reset_locked(device), 0);
	ck_assert(!mock.active);
	ck_assert_uint_eq(virtio_device_acked(device), 0);
	ck_assert_int_eq(activate(), 0);
	virtio_guest_ask(&guest, 0, "again");
	kick(0);
	turn();
	ck_assert(virtio_guest_answered(&guest, 0, "again"));
}

START_TEST(device_activate_model_refuses_fails)
{
	reset_needs = 0;
	mock.fails[MOCK_ACTIVATE] = -ENOMEM;
	ck_assert_int_eq(activate(), -ENOMEM);
	ck_assert_uint_eq(mock.calls[MOCK_QUEUE_READY], 0);
	expect_failed();
}
END_TEST

START_TEST(device_activate_model_fails_in_it_fails)
{
	reset_needs = 0;
	mock.fail_soon = true;
	ck_assert_int_eq(activate(), -EIO);
	ck_assert_uint_eq(mock.calls[MOCK_QUEUE_READY], 0);
	expect_failed();
}
END_TEST

static void break_index(struct virtqueue_config *config)
{
	config->index = MOCK_DEVICE_QUEUES;
}

static void break_index_more(struct virtqueue_config *config)
{
	config->index = UINT32_MAX;
}

static void break_twice(struct virtqueue_config *config)
{
	config->index = 2;
}

static void break_size_zero(struct virtqueue_config *config)
{
	config->size = 0;
}

static void break_size_odd(struct virtqueue_config *config)
{
	config->size = 15;
}

static void break_size_large(struct virtqueue_config *config)
{
	config->size = 2 * MOCK_DEVICE_SIZE;
}

static void break_alignment(struct virtqueue_config *config)
{
	config->desc += 8;
}

static void break_range(struct virtqueue_config *config)
{
	config->device = UINT64_C(1) << 40;
}

static void break_end(struct virtqueue_config *config)
{
	config->driver = (2 << 20) - 4;
}

static void break_wrap(struct virtqueue_config *config)
{
	config->desc = UINT64_MAX - 15;
}

static void break_overlap(struct virtqueue_config *config)
{
	config->device = config->desc;
}

/* Lines 15 and 17 of HOSTILE.md. */
static void (*const breaks[])(struct virtqueue_config *) = {
	break_index,	break_index_more, break_twice,	   break_size_zero,
	break_size_odd, break_size_large, break_alignment, break_range,
	break_end,	break_wrap,	  break_overlap,
};

START_TEST(device_activate_bad_queue_fails)
{
	struct virtqueue_config configs[] = {queue_config(2), queue_config(0)};

	reset_needs = 0;
	breaks[_i](&configs[1]);
	virtio_device_ack_features_locked(device, VERSION);
	ck_assert_int_eq(virtio_device_activate_locked(device, configs, 2),
			 -EINVAL);
	ck_assert_uint_eq(mock.calls[MOCK_ACTIVATE], 0);
	expect_failed();
}
END_TEST

START_TEST(device_queue_enable_bad_queue_fails)
{
	struct virtqueue_config config;

	reset_needs = 0;
	ck_assert_int_eq(activate(), 0);
	config = queue_config(1);
	config.size = 3;
	ck_assert_int_eq(virtio_device_queue_enable_locked(device, &config),
			 -EINVAL);
	expect_failed();
}
END_TEST

START_TEST(device_queue_enable_model_refuses_fails)
{
	reset_needs = 0;
	ck_assert_int_eq(activate(), 0);
	mock.fails[MOCK_QUEUE_ENABLE] = -ENOMEM;
	ck_assert_int_eq(do_queue_enable(), -ENOMEM);
	expect_failed();
}
END_TEST

START_TEST(device_wake_model_refuses_is_awake_and_failed)
{
	reset_needs = 0;
	ck_assert_int_eq(activate(), 0);
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	mock.fails[MOCK_WAKE] = -EIO;
	ck_assert_int_eq(virtio_device_wake_locked(device), -EIO);
	expect_failed();
}
END_TEST

START_TEST(device_wake_model_fails_in_it_is_failed)
{
	reset_needs = 0;
	ck_assert_int_eq(activate(), 0);
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	mock.fail_soon = true;
	ck_assert_int_eq(virtio_device_wake_locked(device), -EIO);
	expect_failed();
}
END_TEST

START_TEST(device_kick_of_broken_queue_fails)
{
	reset_needs = 0;
	ck_assert_int_eq(activate(), 0);
	/* A head that there is not. */
	ring_driver_avail(guest.rings[0])->ring[0] = 0xfff0;
	ring_driver_avail(guest.rings[0])->idx = 1;
	kick(0);
	turn();
	/* No more kicks come, of other queues either. */
	virtio_guest_ask(&guest, 2, "too late");
	kick(2);
	turn();
	ck_assert(!virtio_guest_answered(&guest, 2, "too late"));
	expect_failed();
}
END_TEST

START_TEST(device_snapshot_model_refuses_is_said)
{
	json_t *object = NULL;

	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	mock.fails[MOCK_SNAPSHOT] = -EIO;
	ck_assert_int_eq(virtio_device_snapshot_locked(device, &object), -EIO);
	ck_assert_ptr_null(object);
}
END_TEST

/* --- Ring reset ------------------------------------------------------------
 */

START_TEST(device_queue_reset_drops_and_takes_up_again)
{
	struct virtqueue_config config;

	mock.hold = true;
	ck_assert_int_eq(activate(), 0);
	virtio_guest_ask(&guest, 0, "dropped");
	virtio_guest_ask(&guest, 2, "kept");
	kick(0);
	kick(2);
	turn();
	ck_assert_uint_eq(mock.held_count, 2);
	ck_assert_int_eq(virtio_device_queue_reset_locked(device, 0), 0);
	ck_assert_uint_eq(mock.held_count, 1);
	kick(0);
	turn();
	ck_assert_uint_eq(mock.ready[0], 2);
	/* Once more is nothing. */
	ck_assert_int_eq(virtio_device_queue_reset_locked(device, 0), 0);
	ck_assert_uint_eq(mock.calls[MOCK_QUEUE_RESET], 1);

	mock.hold = false;
	virtio_guest_free_ring(&guest, 0);
	config = queue_config(0);
	virtio_guest_ask(&guest, 0, "anew");
	ck_assert_int_eq(virtio_device_queue_enable_locked(device, &config), 0);
	ck_assert(virtio_guest_answered(&guest, 0, "anew"));
	ck_assert_int_eq(virtio_device_queue_enable_locked(device, &config),
			 -EBUSY);
	mock_device_finish(&mock);
	ck_assert(virtio_guest_answered(&guest, 2, "kept"));
}
END_TEST

START_TEST(device_queue_reset_no_such_queue_is_refused)
{
	struct virtqueue_config config = queue_config(0);

	ck_assert_int_eq(activate(), 0);
	config.index = MOCK_DEVICE_QUEUES;
	ck_assert_int_eq(
		virtio_device_queue_reset_locked(device, MOCK_DEVICE_QUEUES),
		-EINVAL);
	ck_assert_int_eq(virtio_device_queue_enable_locked(device, &config),
			 -EINVAL);
	ck_assert_int_eq(state(), VIRTIO_DEVICE_ACTIVE);
}
END_TEST

START_TEST(device_queue_reset_stays_so_asleep)
{
	ck_assert_int_eq(activate(), 0);
	ck_assert_int_eq(virtio_device_queue_reset_locked(device, 0), 0);
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	ck_assert_int_eq(virtio_device_wake_locked(device), 0);
	ck_assert_ptr_null(mock.queues[0]);
	ck_assert_ptr_nonnull(mock.queues[2]);
}
END_TEST

/* --- Descriptors and timers ------------------------------------------------
 */

static int pair[2];

static void setup_watch(void)
{
	setup_mock();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	mock.watch_fd = pair[0];
	make(&mock_device_ops);
}

static void teardown_watch(void)
{
	teardown();
	close(pair[0]);
	if (pair[1] >= 0)
		close(pair[1]);
}

START_TEST(device_watch_calls_when_ready)
{
	turn();
	ck_assert_uint_eq(mock.calls[MOCK_WATCH], 0);
	ck_assert_int_eq(write(pair[1], "x", 1), 1);
	turn();
	ck_assert_uint_eq(mock.calls[MOCK_WATCH], 1);
	ck_assert_uint_eq(mock.watch_events, EPOLLIN);
	ck_assert_int_eq(virtio_watch_set(mock.watch, EPOLLOUT), 0);
	turn();
	ck_assert_uint_eq(mock.watch_events, EPOLLOUT);
	ck_assert_int_eq(virtio_watch_set(mock.watch, 0), 0);
	memset(mock.calls, 0, sizeof(mock.calls));
	turn();
	ck_assert_uint_eq(mock.calls[MOCK_WATCH], 0);
}
END_TEST

START_TEST(device_watch_of_nothing_hears_no_hangup)
{
	ck_assert_int_eq(virtio_watch_set(mock.watch, 0), 0);
	close(pair[1]);
	pair[1] = -1;
	turn();
	turn();
	ck_assert_uint_eq(mock.calls[MOCK_WATCH], 0);
	ck_assert_int_eq(virtio_watch_set(mock.watch, EPOLLIN), 0);
	turn();
	ck_assert(mock.watch_events & EPOLLHUP);
}
END_TEST

START_TEST(device_watch_asleep_waits)
{
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	ck_assert_int_eq(write(pair[1], "x", 1), 1);
	memset(mock.calls, 0, sizeof(mock.calls));
	turn();
	ck_assert_uint_eq(mock.calls[MOCK_WATCH], 0);
	ck_assert_int_eq(virtio_device_wake_locked(device), 0);
	turn();
	ck_assert_uint_eq(mock.calls[MOCK_WATCH], 1);
}
END_TEST

/* CPU time in ns of a loop that runs for 50 ms. */
static int64_t loop_effort(void)
{
	struct timespec before, after;
	struct loop_timer *timer;

	ck_assert_int_eq(loop_timer_add(loop, &timer, on_stop, NULL), 0);
	loop_timer_set(timer, 50000000);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	ck_assert_int_eq(loop_run(loop), 0);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	loop_timer_remove(timer);
	return (after.tv_sec - before.tv_sec) * INT64_C(1000000000) +
	       after.tv_nsec - before.tv_nsec;
}

/* What epoll(7) reports again and again. */
START_TEST(device_watch_quiet_lets_the_loop_rest)
{
	close(pair[1]);
	pair[1] = -1;
	if (_i)
		ck_assert_int_eq(virtio_watch_set(mock.watch, 0), 0);
	else
		ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	ck_assert_int_lt(loop_effort(), 5000000);
	ck_assert_uint_eq(mock.calls[MOCK_WATCH], 0);
}
END_TEST

START_TEST(device_timer_calls_once)
{
	virtio_timer_set(mock.timer, 1);
	while (mock.calls[MOCK_TIMER] == 0)
		turn();
	turn();
	ck_assert_uint_eq(mock.calls[MOCK_TIMER], 1);
	virtio_timer_set(mock.timer, 1);
	virtio_timer_set(mock.timer, 0);
	turn();
	ck_assert_uint_eq(mock.calls[MOCK_TIMER], 1);
}
END_TEST

START_TEST(device_timer_asleep_waits)
{
	virtio_timer_set(mock.timer, 1);
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	turn();
	ck_assert_uint_eq(mock.calls[MOCK_TIMER], 0);
	ck_assert_int_eq(virtio_device_wake_locked(device), 0);
	while (mock.calls[MOCK_TIMER] == 0)
		turn();
}
END_TEST

/* --- Snapshots -------------------------------------------------------------
 */

static json_t *snapshot(void)
{
	json_t *object = NULL;

	ck_assert_int_eq(virtio_device_snapshot_locked(device, &object), 0);
	return object;
}

START_TEST(device_restore_goes_on_where_it_was)
{
	json_t *first, *second;

	packed = _i;
	ck_assert_int_eq(activate(), 0);
	for (unsigned int i = 0; i < 21; i++) {
		virtio_guest_ask(&guest, 0, "before");
		kick(0);
		turn();
		ck_assert(virtio_guest_answered(&guest, 0, "before"));
	}
	mock.value = 77;
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	first = snapshot();
	virtio_device_free(device);

	mock_device_init(&mock);
	make(&mock_device_ops);
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	ck_assert_int_eq(virtio_device_restore_locked(device, first, &err), 0);
	ck_assert_int_eq(state(), VIRTIO_DEVICE_ASLEEP_ACTIVE);
	ck_assert_uint_eq(mock.value, 77);
	ck_assert_uint_eq(mock.acked, VERSION | (packed ? PACKED : 0));
	ck_assert_uint_eq(virtio_device_acked(device), mock.acked);
	second = snapshot();
	ck_assert(json_equal(first, second));
	virtio_guest_ask(&guest, 0, "after");
	ck_assert_int_eq(virtio_device_wake_locked(device), 0);
	ck_assert(virtio_guest_answered(&guest, 0, "after"));
	ck_assert_uint_eq(mock.calls[MOCK_ACTIVATE], 0);
	json_decref(first);
	json_decref(second);
	packed = false;
}
END_TEST

START_TEST(device_snapshot_changes_nothing)
{
	json_t *first, *second;

	ck_assert_int_eq(activate(), 0);
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	first = snapshot();
	second = snapshot();
	ck_assert(json_equal(first, second));
	json_decref(first);
	json_decref(second);
}
END_TEST

/* An edit of an active device's snapshot: the member to be replaced, by its
 * path, and with what ("" removes it); and what the message has to have. */
static const struct edit {
	const char *part, *member, *value, *says;
	int queue;
} edits[] = {
	{"", "state", "\"asleep\"", "expected state", -1},
	{"", "state", "7", "expected state", -1},
	{"", "state", "\"inactive\"", "queue 0 cannot be enabled", -1},
	{"", "queues", "[]", "expected an array of 3", -1},
	{"", "queues", "7", "expected an array of 3", -1},
	{"", "model", "{}", "expected a value", -1},
	{"", "model", "", "expected state", -1},
	{"", "more", "1", "expected state", -1},
	{"", "device", "[]", "device: expected an object", -1},
	{"device", "offered", "\"0x100000005\"", "was offered", -1},
	{"device", "acked", "\"0x0\"", "no driver can have", -1},
	{"device", "acked", "\"0x5\"", "no driver can have", -1},
	{"device", "acked", "\"0x8100000000\"", "no driver can have", -1},
	{"device", "acked", "-1", "acked", -1},
	{"device", "queue_count", "\"0x2\"", "it had 2 queues", -1},
	{"queues", "max", "\"0x80\"", "at most 128", 1},
	{"queues", "size", "\"0x0\"", "cannot be enabled with 0", 0},
	{"queues", "size", "\"0x80\"", "cannot be enabled with 128", 0},
	{"queues", "desc", "\"\"", "queue 0: \"desc\"", 0},
	{"queues", "avail", "\"0x10000\"", "queue 0: \"avail\"", 0},
	{"queues", "more", "true", "unknown member", 2},
};

static void edit_apply(json_t *object, const struct edit *edit)
{
	json_t *part =
		*edit->part ? json_object_get(object, edit->part) : object;

	if (edit->queue >= 0)
		part = json_array_get(part, (size_t)edit->queue);
	ck_assert_ptr_nonnull(part);
	if (*edit->value)
		ck_assert_int_eq(
			json_object_set_new(
				part, edit->member,
				json_loads(edit->value, JSON_DECODE_ANY, NULL)),
			0);
	else
		ck_assert_int_eq(json_object_del(part, edit->member), 0);
}

START_TEST(device_restore_edited_is_refused_unchanged)
{
	json_t *object = saved_state(VIRTIO_DEVICE_ASLEEP_ACTIVE);
	json_t *before, *after;

	edit_apply(object, &edits[_i]);
	mock.value = 99;
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	before = snapshot();
	memset(&err, 0, sizeof(err));
	ck_assert_int_eq(virtio_device_restore_locked(device, object, &err),
			 -EINVAL);
	ck_assert_msg(strstr(err.text, edits[_i].says), "%s", err.text);
	ck_assert_ptr_nonnull(strstr(err.text, "mock"));
	after = snapshot();
	ck_assert(json_equal(before, after));
	ck_assert_int_eq(state(), VIRTIO_DEVICE_ASLEEP_NEW);
	json_decref(before);
	json_decref(after);
	json_decref(object);
}
END_TEST

/* What only the queue can check shows when it wakes: as a guest's mistake. */
START_TEST(device_restore_bad_address_fails_awake)
{
	static const struct edit edit = {"queues", "desc", "\"0x10008\"", "",
					 0};
	json_t *object = saved_state(VIRTIO_DEVICE_ASLEEP_ACTIVE);

	reset_needs = 0;
	edit_apply(object, &edit);
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	ck_assert_int_eq(virtio_device_restore_locked(device, object, &err), 0);
	ck_assert_int_eq(virtio_device_wake_locked(device), -EINVAL);
	json_decref(object);
	expect_failed();
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = tcase_create("states");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, device_each_state_each_operation_as_the_table_says);
	tcase_add_test(tc, device_new_says_what_the_model_said);
	tcase_add_test(tc, device_new_model_refuses_is_said);
	tcase_add_test(tc, device_keep_fds_has_all);
	tcase_add_test(tc, device_full_model_is_asked);
	tcase_add_test(tc, device_config_any_offset_is_clipped);
	tcase_add_test(tc, device_config_changed_is_told);
	tcase_add_test(tc, device_kick_makes_its_queue_ready);
	tcase_add_test(tc, device_kick_of_queue_not_enabled_is_nothing);
	tcase_add_test(tc, device_kick_before_activation_is_not_lost);
	tcase_add_test(tc, device_kick_while_asleep_is_not_lost);
	tcase_add_loop_test(tc, device_sleep_keeps_positions, 0, 2);
	tcase_add_test(tc, device_sleep_not_active_has_no_queues);
	tcase_add_test(tc, device_sleep_model_refuses_stays_active);
	tcase_add_test(tc, device_free_asleep_active_resets);
	tcase_add_test(tc, device_free_active_drops_chains);
	suite_add_tcase(s, tc);

	tc = tcase_create("failures");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, device_activate_model_refuses_fails);
	tcase_add_test(tc, device_activate_model_fails_in_it_fails);
	tcase_add_loop_test(tc, device_activate_bad_queue_fails, 0,
			    COUNT(breaks));
	tcase_add_test(tc, device_queue_enable_bad_queue_fails);
	tcase_add_test(tc, device_queue_enable_model_refuses_fails);
	tcase_add_test(tc, device_wake_model_refuses_is_awake_and_failed);
	tcase_add_test(tc, device_wake_model_fails_in_it_is_failed);
	tcase_add_test(tc, device_kick_of_broken_queue_fails);
	tcase_add_test(tc, device_snapshot_model_refuses_is_said);
	tcase_add_test(tc, device_queue_reset_drops_and_takes_up_again);
	tcase_add_test(tc, device_queue_reset_no_such_queue_is_refused);
	tcase_add_test(tc, device_queue_reset_stays_so_asleep);
	suite_add_tcase(s, tc);

	tc = tcase_create("snapshots");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, device_restore_goes_on_where_it_was, 0, 2);
	tcase_add_test(tc, device_snapshot_changes_nothing);
	tcase_add_loop_test(tc, device_restore_edited_is_refused_unchanged, 0,
			    COUNT(edits));
	tcase_add_test(tc, device_restore_bad_address_fails_awake);
	suite_add_tcase(s, tc);
}

static void setup_plain(void)
{
	setup_mock();
	make(&mock_device_plain_ops);
}

static Suite *suite(void)
{
	Suite *s = suite_create("device");
	TCase *tc;

	add_tests(s);
	tc = tcase_create("defaults");
	tcase_add_checked_fixture(tc, setup_plain, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, device_plain_model_constants_are_defaults);
	tcase_add_test(tc, device_plain_model_config_is_zero);
	tcase_add_test(tc, device_plain_model_pci_and_shm_are_none);
	tcase_add_test(tc, device_plain_model_knows_no_command);
	tcase_add_test(tc, device_plain_model_resets_no_queue);
	tcase_add_test(tc, device_plain_model_sleeps_and_wakes_by_activate);
	suite_add_tcase(s, tc);

	tc = tcase_create("loop");
	tcase_add_checked_fixture(tc, setup_watch, teardown_watch);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, device_watch_calls_when_ready);
	tcase_add_test(tc, device_watch_of_nothing_hears_no_hangup);
	tcase_add_test(tc, device_watch_asleep_waits);
	tcase_add_loop_test(tc, device_watch_quiet_lets_the_loop_rest, 0, 2);
	tcase_add_test(tc, device_timer_calls_once);
	tcase_add_test(tc, device_timer_asleep_waits);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	/* Each failure of the device is a warning. */
	log_set_level(LOG_ERROR);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
