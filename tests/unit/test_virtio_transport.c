/* What both transports have in common: status, features, queues, line
 * interrupts, resets and state. Each case runs on PCI, then on MMIO. */
#include "virtio/transport.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>

#include <check.h>

#include "tests/unit/support/virtio_board.h"
#include "vmm/base/log.h"

#define BIT(n)	 (UINT64_C(1) << (n))
#define VERSION	 BIT(VIRTIO_F_VERSION_1)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define ACKNOWLEDGE VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER	    VIRTIO_CONFIG_S_DRIVER
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define ALIVE	    (ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)

static struct virtio_board board;
static struct virtio_guest guest;

static void setup_pci(void)
{
	virtio_board_open(&board, VIRTIO_BOARD_PCI, &guest);
}

static void setup_mmio(void)
{
	virtio_board_open(&board, VIRTIO_BOARD_MMIO, &guest);
}

static void teardown(void)
{
	virtio_board_close(&board);
}

/* --- Features and status ---------------------------------------------------
 */

START_TEST(transport_driver_sequence_works)
{
	virtio_board_start_plain(&board);
	ck_assert_uint_eq(board.mock.calls[MOCK_ACTIVATE], 1);
	ck_assert_uint_eq(board.mock.acked, VERSION);
	for (unsigned int i = 0; i < 40; i++) {
		virtio_board_exchange(&board, 0, "one");
		virtio_board_exchange(&board, 2, "two");
	}
}
END_TEST

START_TEST(transport_driver_sequence_packed_works)
{
	virtio_board_start(&board, VERSION | BIT(VIRTIO_F_RING_PACKED));
	for (unsigned int i = 0; i < 40; i++)
		virtio_board_exchange(&board, 2, "packed");
}
END_TEST

START_TEST(transport_features_are_the_devices)
{
	ck_assert_uint_eq(virtio_board_offered(&board, 0),
			  MOCK_DEVICE_FEATURES |
				  BIT(VIRTIO_RING_F_INDIRECT_DESC) |
				  BIT(VIRTIO_RING_F_EVENT_IDX));
	ck_assert_uint_eq(virtio_board_offered(&board, 1),
			  (VERSION | BIT(VIRTIO_F_RING_PACKED) |
			   BIT(VIRTIO_F_RING_RESET)) >>
				  32);
}
END_TEST

/* HOSTILE.md, 18. */
START_TEST(transport_features_select_out_of_range_is_nothing)
{
	static const uint32_t selects[] = {
		2, 3, 32, 0xffff, 0x10000, 0x80000000, 0xffffffff};

	for (size_t i = 0; i < COUNT(selects); i++) {
		ck_assert_uint_eq(virtio_board_offered(&board, selects[i]), 0);
		virtio_board_accept(&board, selects[i], 0xffffffff);
	}
	virtio_board_expect_works(&board);
}
END_TEST

static const uint64_t bad_features[] = {
	0,
	MOCK_DEVICE_FEATURES,
	VERSION | BIT(1),
	VERSION | BIT(63),
	VERSION | BIT(VIRTIO_F_IN_ORDER),
	VERSION | BIT(38) /* NOTIFICATION_DATA */,
	UINT64_MAX,
};

/* 20. */
START_TEST(transport_features_not_offered_do_not_stick)
{
	for (size_t i = 0; i < COUNT(bad_features); i++) {
		virtio_board_negotiate(&board, bad_features[i]);
		ck_assert_uint_eq(virtio_board_status(&board),
				  ACKNOWLEDGE | DRIVER);
		/* And without them, nothing starts. */
		virtio_board_drive(&board);
		ck_assert_uint_eq(virtio_board_status(&board),
				  ACKNOWLEDGE | DRIVER);
	}
	ck_assert_uint_eq(board.mock.calls[MOCK_ACK_FEATURES], 0);
	ck_assert_uint_eq(board.mock.calls[MOCK_ACTIVATE], 0);
	virtio_board_expect_works(&board);
}
END_TEST

START_TEST(transport_features_after_features_ok_are_fixed)
{
	virtio_board_negotiate(&board, VERSION | 1);
	virtio_board_accept(&board, 0, 0xffffffff);
	virtio_board_set_status(&board, ALIVE & ~DRIVER_OK);
	ck_assert_uint_eq(board.mock.acked, VERSION | 1);
	ck_assert_uint_eq(board.mock.calls[MOCK_ACK_FEATURES], 1);
}
END_TEST

START_TEST(transport_status_bits_are_never_cleared)
{
	virtio_board_start_plain(&board);
	virtio_board_set_status(&board, ACKNOWLEDGE);
	ck_assert_uint_eq(virtio_board_status(&board), ALIVE);
	virtio_board_set_status(&board, DRIVER_OK);
	virtio_board_set_status(&board, ALIVE);
	ck_assert_uint_eq(board.mock.calls[MOCK_ACTIVATE], 1);
	virtio_board_exchange(&board, 0, "alive");
}
END_TEST

START_TEST(transport_status_bits_of_the_device_stay_its_own)
{
	virtio_board_set_status(&board, 0x10 | 0x20 | NEEDS_RESET);
	ck_assert_uint_eq(virtio_board_status(&board), 0);
	virtio_board_set_status(&board, VIRTIO_CONFIG_S_FAILED);
	ck_assert_uint_eq(virtio_board_status(&board), VIRTIO_CONFIG_S_FAILED);
	virtio_board_expect_works(&board);
}
END_TEST

START_TEST(transport_status_out_of_order_is_harmless)
{
	virtio_board_set_status(&board, DRIVER_OK);
	virtio_board_set_status(&board, FEATURES_OK | DRIVER_OK);
	ck_assert_uint_eq(virtio_board_status(&board), 0);
	virtio_board_accept(&board, 1, (uint32_t)(VERSION >> 32));
	/* All at once, and no queue. */
	virtio_board_set_status(&board, FEATURES_OK | DRIVER_OK);
	ck_assert_uint_eq(virtio_board_status(&board), FEATURES_OK | DRIVER_OK);
	ck_assert_uint_eq(board.mock.calls[MOCK_ACTIVATE], 1);
	virtio_board_notify(&board, 0);
	virtio_board_turn(&board);
	virtio_board_expect_works(&board);
}
END_TEST

/* --- Reset -----------------------------------------------------------------
 */

START_TEST(transport_reset_is_complete_at_once)
{
	virtio_board_start_plain(&board);
	board.mock.hold = true;
	virtio_guest_ask(&guest, 0, "in flight");
	virtio_board_notify(&board, 0);
	virtio_board_turn(&board);
	ck_assert_uint_eq(board.mock.held_count, 1);
	virtio_board_set_status(&board, 0);
	ck_assert_uint_eq(virtio_board_status(&board), 0);
	ck_assert_uint_eq(board.mock.held_count, 0);
	ck_assert(!board.mock.active);
	ck_assert_uint_eq(board.mock.calls[MOCK_RESET], 1);
	for (unsigned int i = 0; i < MOCK_DEVICE_QUEUES; i++) {
		virtio_board_select(&board, i);
		ck_assert_uint_eq(virtio_board_max(&board), MOCK_DEVICE_SIZE);
		ck_assert(!virtio_board_enabled(&board));
	}
	/* Nothing more of it. */
	virtio_board_notify(&board, 0);
	virtio_board_turn(&board);
	ck_assert(!virtio_guest_answered(&guest, 0, "in flight"));
	board.mock.hold = false;
	virtio_board_expect_works(&board);
}
END_TEST

START_TEST(transport_reset_takes_interrupts_back)
{
	virtio_board_start_plain(&board);
	virtio_guest_ask(&guest, 0, "raised");
	virtio_board_notify(&board, 0);
	virtio_board_turn(&board);
	ck_assert(virtio_board_line(&board));
	virtio_board_set_status(&board, 0);
	ck_assert(!virtio_board_line(&board));
	ck_assert_uint_eq(virtio_board_isr(&board), 0);

	/* One that was on its way is not for the next driver. */
	virtio_guest_free_rings(&guest);
	virtio_board_start_plain(&board);
	ck_assert_int_eq(
		eventfd_write(virtio_device_call_fd(board.device, 0), 1), 0);
	virtio_board_set_status(&board, 0);
	virtio_board_turn(&board);
	ck_assert(!virtio_board_line(&board));
}
END_TEST

/* Whether an interrupt of queue 0 waits, after it was made to if so told. */
static bool call_waits(bool make)
{
	struct pollfd call = {
		.fd = virtio_device_call_fd(board.device, 0),
		.events = POLLIN,
	};

	if (make)
		ck_assert_int_eq(eventfd_write(call.fd, 1), 0);
	virtio_board_turn(&board);
	return poll(&call, 1, 0) == 1;
}

START_TEST(transport_interrupt_not_looked_at_is_not_taken_again)
{
	virtio_board_start_plain(&board);
	ck_assert(!call_waits(true));
	ck_assert(virtio_board_line(&board));
	/* The second time nobody listens any more. */
	ck_assert(call_waits(true));
	ck_assert(call_waits(true));
	ck_assert_uint_eq(virtio_board_isr(&board), 1);
	ck_assert(!virtio_board_line(&board));
	/* It may be for a buffer that the driver has not seen. */
	ck_assert(!call_waits(false));
	ck_assert(virtio_board_line(&board));
	ck_assert_uint_eq(virtio_board_isr(&board), 1);

	/* Nor does the next driver have to do with it. */
	ck_assert(!call_waits(true));
	ck_assert(call_waits(true));
	virtio_board_set_status(&board, 0);
	ck_assert(!call_waits(false));
	ck_assert(!virtio_board_line(&board));
	virtio_guest_free_rings(&guest);
	virtio_board_start_plain(&board);
	ck_assert(!call_waits(true));
	ck_assert(virtio_board_line(&board));
}
END_TEST

static const struct virtqueue_config *next_rings;

/* What a vCPU does in a storm of resets (21), and the loop beside it. */
static void *storm_vcpu(void *ctx)
{
	for (unsigned int i = 0; i < 300; i++) {
		virtio_board_negotiate(&board, VERSION);
		virtio_board_set_up(&board, 0, &next_rings[0]);
		virtio_board_set_up(&board, 2, &next_rings[2]);
		virtio_board_drive(&board);
		for (unsigned int j = 0; j < 4; j++) {
			virtio_board_notify(&board, 2 * (j & 1));
			virtio_board_isr(&board);
			virtio_board_config(&board, 0, 4);
		}
	}
	virtio_board_set_status(&board, 0);
	loop_wake_send(ctx);
	return NULL;
}

static void storm_end(void *ctx)
{
	loop_stop(ctx);
}

START_TEST(transport_reset_storm_with_requests_is_survived)
{
	struct virtqueue_config configs[MOCK_DEVICE_QUEUES];
	struct loop_wake *wake;
	pthread_t vcpu;

	configs[0] = virtio_guest_ring(&guest, 0, false);
	configs[2] = virtio_guest_ring(&guest, 2, false);
	next_rings = configs;
	/* Requests that are there anew after each reset. */
	for (unsigned int i = 0; i < 4; i++) {
		virtio_guest_ask(&guest, 0, "storm");
		virtio_guest_ask(&guest, 2, "storm");
	}
	ck_assert_int_eq(
		loop_wake_add(board.loop, &wake, storm_end, board.loop), 0);
	ck_assert_int_eq(pthread_create(&vcpu, NULL, storm_vcpu, wake), 0);
	ck_assert_int_eq(loop_run(board.loop), 0);
	pthread_join(vcpu, NULL);
	loop_wake_remove(wake);
	ck_assert_uint_eq(board.mock.calls[MOCK_ACTIVATE], 300);
	ck_assert_uint_eq(board.mock.calls[MOCK_RESET], 300);
	virtio_board_turn(&board);
	virtio_board_expect_works(&board);
}
END_TEST

START_TEST(transport_power_on_is_as_new)
{
	json_t *fresh, *after;

	virtio_board_sleep(&board);
	fresh = virtio_board_save(&board);
	virtio_board_wake(&board);

	virtio_board_start_plain(&board);
	virtio_device_lock(board.device);
	virtio_device_config_changed(board.device);
	virtio_device_unlock(board.device);
	virtio_guest_ask(&guest, 0, "raised");
	virtio_board_notify(&board, 0);
	virtio_board_turn(&board);
	pci_bus_device_ops.reset(board.bus);
	board.ops->reset(board.self);
	ck_assert_int_eq(pci_bus_assign(board.bus, NULL), 0);
	ck_assert(!virtio_board_line(&board));
	ck_assert_uint_eq(virtio_board_status(&board), 0);
	virtio_board_sleep(&board);
	after = virtio_board_save(&board);
	virtio_board_wake(&board);
	/* But for the state's name. */
	json_object_del(
		json_object_get(json_object_get(fresh, "transport"), "device"),
		"state");
	json_object_del(
		json_object_get(json_object_get(after, "transport"), "device"),
		"state");
	json_object_del(json_object_get(fresh, "device"), "state");
	json_object_del(json_object_get(after, "device"), "state");
	ck_assert(json_equal(fresh, after));
	json_decref(fresh);
	json_decref(after);
	virtio_board_expect_works(&board);
}
END_TEST

/* --- Queues ----------------------------------------------------------------
 */

START_TEST(transport_queue_select_out_of_range_is_no_queue)
{
	static const uint32_t selects[] = {MOCK_DEVICE_QUEUES,
					   VIRTIO_QUEUES_MAX, 0x8000, 0xffff};
	struct virtqueue_config config;

	config = virtio_guest_ring(&guest, 0, false);
	virtio_board_negotiate(&board, VERSION);
	for (size_t i = 0; i < COUNT(selects); i++) {
		virtio_board_set_up(&board, selects[i], &config);
		ck_assert_uint_eq(virtio_board_max(&board), 0);
		ck_assert(!virtio_board_enabled(&board));
		virtio_board_reset_queue(&board);
	}
	virtio_board_drive(&board);
	ck_assert_uint_eq(virtio_board_status(&board), ALIVE);
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
		ck_assert_ptr_null(board.mock.queues[i]);
}
END_TEST

/* 16. */
START_TEST(transport_queue_written_after_driver_ok_is_unchanged)
{
	struct virtqueue_config config;

	virtio_board_start_plain(&board);
	config = virtio_guest_ring(&guest, 1, false);
	virtio_board_set_up(&board, 0, &config);
	virtio_board_set_up(&board, 1, &config);
	ck_assert(!virtio_board_enabled(&board));
	virtio_board_select(&board, 0);
	virtio_board_set_size(&board, 2);
	ck_assert(virtio_board_enabled(&board));
	virtio_board_exchange(&board, 0, "unchanged");
	/* Nor does a second DRIVER_OK take any of it. */
	virtio_board_drive(&board);
	virtio_board_exchange(&board, 0, "unchanged");
	ck_assert_uint_eq(virtqueue_config(board.mock.queues[0])->desc,
			  virtio_guest_ring(&guest, 0, false).desc);
}
END_TEST

static const struct bad_queue {
	const char *name;
	uint32_t size;
	uint64_t desc, driver, device; /* added to the right ones */
} bad_queues[] = {
	{"size 0", 0, 0, 0, 0},
	{"size 15", 15, 0, 0, 0},
	{"size above the limit", 2 * MOCK_DEVICE_SIZE, 0, 0, 0},
	{"size 32768", 32768, 0, 0, 0},
	{"size 65535", 65535, 0, 0, 0},
	{"desc misaligned", 16, 8, 0, 0},
	{"driver misaligned", 16, 0, 1, 0},
	{"device misaligned", 16, 0, 0, 2},
	{"desc above RAM", 16, 1 << 21, 0, 0},
	{"device in 64 bits", 16, 0, 0, BIT(63)},
	{"desc at the end", 16, UINT64_MAX - 0x1000f, 0, 0},
};

/* 15 and 17. */
START_TEST(transport_queue_bad_needs_reset)
{
	for (size_t i = 0; i < COUNT(bad_queues); i++) {
		struct virtqueue_config config =
			virtio_guest_ring(&guest, 0, false);

		virtio_board_negotiate(&board, VERSION);
		virtio_board_set_up(&board, 0, &config);
		config.desc += bad_queues[i].desc;
		config.driver += bad_queues[i].driver;
		config.device += bad_queues[i].device;
		virtio_board_set_rings(&board, &config);
		virtio_board_set_size(&board, bad_queues[i].size);
		virtio_board_drive(&board);
		ck_assert_msg(virtio_board_status(&board) ==
				      (ALIVE | NEEDS_RESET),
			      "%s: status 0x%x", bad_queues[i].name,
			      virtio_board_status(&board));
		/* And a configuration interrupt (2.1.2). */
		ck_assert(virtio_board_line(&board));
		ck_assert_uint_eq(virtio_board_isr(&board), 2);
		ck_assert_uint_eq(board.mock.calls[MOCK_ACTIVATE], i);
		virtio_board_expect_works(&board);
		virtio_guest_free_rings(&guest);
	}
}
END_TEST

START_TEST(transport_queue_mmio_size_of_more_bits_needs_reset)
{
	if (board.kind != VIRTIO_BOARD_MMIO)
		return;
	virtio_board_negotiate(&board, VERSION);
	virtio_board_set_up(&board, 0, &(struct virtqueue_config){0});
	virtio_board_set_size(&board, 0x10010);
	virtio_board_drive(&board);
	ck_assert_uint_eq(virtio_board_status(&board), ALIVE | NEEDS_RESET);
	virtio_board_expect_works(&board);
}
END_TEST

START_TEST(transport_queue_broken_needs_reset)
{
	virtio_board_start_plain(&board);
	ring_driver_avail(guest.rings[0])->ring[0] = 0x7fff;
	ring_driver_avail(guest.rings[0])->idx = 1;
	virtio_board_notify(&board, 0);
	virtio_board_turn(&board);
	ck_assert_uint_eq(virtio_board_status(&board), ALIVE | NEEDS_RESET);
	ck_assert(virtio_board_line(&board));
	ck_assert_uint_eq(virtio_board_isr(&board), 2);
	/* No status the driver writes but 0 helps. */
	virtio_board_set_status(&board, ALIVE);
	ck_assert_uint_eq(virtio_board_status(&board), ALIVE | NEEDS_RESET);
	virtio_board_expect_works(&board);
}
END_TEST

START_TEST(transport_activate_refused_needs_reset)
{
	board.mock.fails[MOCK_ACTIVATE] = -EIO;
	virtio_board_start(&board, VERSION);
	ck_assert_uint_eq(virtio_board_status(&board), ALIVE | NEEDS_RESET);
	ck_assert_uint_eq(virtio_board_isr(&board), 2);
	board.mock.fails[MOCK_ACTIVATE] = 0;
	virtio_board_expect_works(&board);
}
END_TEST

/* 19. */
START_TEST(transport_doorbells_are_from_driver_ok_to_reset)
{
	struct virtqueue_config config = virtio_guest_ring(&guest, 1, false);

	for (unsigned int i = 0; i < 2; i++) {
		virtio_board_negotiate(&board, VERSION);
		virtio_board_set_up(&board, 1, &config);
		virtio_board_notify(&board, 1);
		ck_assert_uint_eq(board.fake.doorbell_count, 0);
		virtio_board_drive(&board);
		ck_assert_uint_eq(board.fake.doorbell_count, 1);
		ck_assert_int_eq(board.fake.doorbells[0].fd,
				 virtio_device_kick_fd(board.device, 1));
		virtio_board_drive(&board);
		ck_assert_uint_eq(board.fake.doorbell_count, 1);
		virtio_board_set_status(&board, 0);
		ck_assert_uint_eq(board.fake.doorbell_count, 0);
	}
	virtio_board_turn(&board);
	virtio_board_expect_works(&board);
	board.ops->reset(board.self);
	ck_assert_uint_eq(board.fake.doorbell_count, 0);
}
END_TEST

/* Nobody would look. */
START_TEST(transport_doorbells_not_activated_are_none)
{
	virtio_board_negotiate(&board, VERSION);
	virtio_board_select(&board, 0);
	virtio_board_enable(&board);
	virtio_board_drive(&board);
	ck_assert_uint_eq(virtio_board_status(&board), ALIVE | NEEDS_RESET);
	ck_assert_uint_eq(board.fake.doorbell_count, 0);
	virtio_board_expect_works(&board);
}
END_TEST

START_TEST(transport_notify_of_nothing_is_harmless)
{
	static const uint32_t queues[] = {1, MOCK_DEVICE_QUEUES, 63};

	for (unsigned int round = 0; round < 3; round++) {
		for (size_t i = 0; i < COUNT(queues); i++)
			virtio_board_notify(&board, queues[i]);
		virtio_board_notify(&board, round == 1 ? 1 : 0);
		virtio_board_turn(&board);
		ck_assert_uint_eq(board.mock.ready[0], round == 0 ? 0 : 1);
		if (round == 0)
			virtio_board_start_plain(&board);
		else if (round == 1)
			virtio_board_set_status(&board, 0);
	}
	ck_assert_uint_eq(board.mock.ready[1], 0);
	virtio_board_expect_works(&board);
}
END_TEST

/* --- Reset of one queue (2.6.1) --------------------------------------------
 */

START_TEST(transport_queue_reset_takes_up_again)
{
	struct virtqueue_config config;

	virtio_board_start(&board, VERSION | BIT(VIRTIO_F_RING_RESET));
	virtio_board_exchange(&board, 0, "before");
	ck_assert_uint_eq(board.fake.doorbell_count, 2);
	virtio_board_select(&board, 0);
	virtio_board_reset_queue(&board);
	ck_assert_uint_eq(board.fake.doorbell_count, 1);
	ck_assert(!virtio_board_enabled(&board));
	ck_assert_uint_eq(virtio_board_max(&board), MOCK_DEVICE_SIZE);
	ck_assert_ptr_null(board.mock.queues[0]);
	virtio_board_notify(&board, 0);
	virtio_board_turn(&board);
	virtio_board_exchange(&board, 2, "the other");

	virtio_guest_free_ring(&guest, 0);
	config = virtio_guest_ring(&guest, 0, false);
	virtio_board_set_up(&board, 0, &config);
	ck_assert(virtio_board_enabled(&board));
	ck_assert_uint_eq(board.fake.doorbell_count, 2);
	virtio_board_exchange(&board, 0, "after");
	/* Fixed again. */
	virtio_board_set_size(&board, 3);
	virtio_board_set_rings(&board, &(struct virtqueue_config){0});
	virtio_board_exchange(&board, 0, "after");
	ck_assert_uint_eq(virtio_board_status(&board), ALIVE);
}
END_TEST

START_TEST(transport_queue_reset_bad_queue_needs_reset)
{
	struct virtqueue_config config;

	virtio_board_start(&board, VERSION | BIT(VIRTIO_F_RING_RESET));
	virtio_board_select(&board, 0);
	virtio_board_reset_queue(&board);
	config = virtio_guest_ring(&guest, 0, false);
	config.size = 0;
	virtio_board_set_up(&board, 0, &config);
	ck_assert_uint_eq(virtio_board_status(&board), ALIVE | NEEDS_RESET);
	/* A failed device resets no queue. */
	virtio_board_reset_queue(&board);
	virtio_board_enable(&board);
	virtio_board_expect_works(&board);
}
END_TEST

START_TEST(transport_queue_reset_not_negotiated_is_ignored)
{
	virtio_board_start_plain(&board);
	virtio_board_select(&board, 0);
	virtio_board_reset_queue(&board);
	ck_assert(virtio_board_enabled(&board));
	ck_assert_uint_eq(board.mock.calls[MOCK_QUEUE_RESET], 0);
	virtio_board_exchange(&board, 0, "still");
}
END_TEST

/* --- Configuration space ---------------------------------------------------
 */

/* 22. */
START_TEST(transport_config_any_access_is_safe)
{
	for (uint64_t offset = 0; offset < 24; offset++) {
		for (unsigned int size = 1; size <= 8; size *= 2) {
			uint64_t expected = 0;

			if (offset % size)
				continue;
			for (unsigned int i = 0; i < size; i++) {
				if (offset + i < MOCK_DEVICE_CONFIG)
					expected |= (0xa0 + offset + i)
						    << 8 * i;
			}
			ck_assert_uint_eq(
				virtio_board_config(&board, offset, size),
				expected);
			virtio_board_set_config(&board, offset, size, expected);
		}
	}
	virtio_board_set_config(&board, 4, 4, 0x11223344);
	virtio_board_set_config(&board, 12, 4, 0x55667788);
	ck_assert_uint_eq(virtio_board_config(&board, 4, 8),
			  UINT64_C(0xabaaa9a811223344));
	ck_assert_uint_eq(virtio_board_config(&board, 12, 4), 0x88);
	/* What follows is as it was. */
	ck_assert_uint_eq(board.mock.config[13], 0xad);
	ck_assert_uint_eq(virtio_board_config(&board, 0xef8, 8), 0);
	virtio_board_set_config(&board, 0xef8, 8, UINT64_MAX);
}
END_TEST

START_TEST(transport_config_changed_interrupts)
{
	uint32_t before;

	before = virtio_board_generation(&board);
	/* Without a driver that could want it, only the generation. */
	virtio_board_change_config(&board);
	ck_assert_uint_eq(virtio_board_generation(&board), before + 1);
	ck_assert(!virtio_board_line(&board));
	virtio_board_start_plain(&board);
	virtio_board_change_config(&board);
	virtio_board_change_config(&board);
	ck_assert_uint_eq(virtio_board_generation(&board), before + 3);
	ck_assert(virtio_board_line(&board));
	virtio_guest_ask(&guest, 0, "both");
	virtio_board_notify(&board, 0);
	virtio_board_turn(&board);
	ck_assert_uint_eq(virtio_board_isr(&board), 3);
	ck_assert(!virtio_board_line(&board));
	/* A reset does not take it back: it is not what it was. */
	virtio_board_set_status(&board, 0);
	ck_assert_uint_eq(virtio_board_generation(&board), before + 3);
}
END_TEST

/* All cases, on one transport. */
static void add_cases(Suite *s, const char *name, SFun set_up)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, set_up, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, transport_driver_sequence_works);
	tcase_add_test(tc, transport_driver_sequence_packed_works);
	tcase_add_test(tc, transport_features_are_the_devices);
	tcase_add_test(tc, transport_features_select_out_of_range_is_nothing);
	tcase_add_test(tc, transport_features_not_offered_do_not_stick);
	tcase_add_test(tc, transport_features_after_features_ok_are_fixed);
	tcase_add_test(tc, transport_status_bits_are_never_cleared);
	tcase_add_test(tc, transport_status_bits_of_the_device_stay_its_own);
	tcase_add_test(tc, transport_status_out_of_order_is_harmless);
	tcase_add_test(tc, transport_reset_is_complete_at_once);
	tcase_add_test(tc, transport_reset_takes_interrupts_back);
	tcase_add_test(tc,
		       transport_interrupt_not_looked_at_is_not_taken_again);
	tcase_add_test(tc, transport_reset_storm_with_requests_is_survived);
	tcase_add_test(tc, transport_power_on_is_as_new);
	tcase_add_test(tc, transport_queue_select_out_of_range_is_no_queue);
	tcase_add_test(tc,
		       transport_queue_written_after_driver_ok_is_unchanged);
	tcase_add_test(tc, transport_queue_bad_needs_reset);
	tcase_add_test(tc, transport_queue_mmio_size_of_more_bits_needs_reset);
	tcase_add_test(tc, transport_queue_broken_needs_reset);
	tcase_add_test(tc, transport_activate_refused_needs_reset);
	tcase_add_test(tc, transport_doorbells_are_from_driver_ok_to_reset);
	tcase_add_test(tc, transport_doorbells_not_activated_are_none);
	tcase_add_test(tc, transport_notify_of_nothing_is_harmless);
	tcase_add_test(tc, transport_queue_reset_takes_up_again);
	tcase_add_test(tc, transport_queue_reset_bad_queue_needs_reset);
	tcase_add_test(tc, transport_queue_reset_not_negotiated_is_ignored);
	tcase_add_test(tc, transport_config_any_access_is_safe);
	tcase_add_test(tc, transport_config_changed_interrupts);
	suite_add_tcase(s, tc);
}

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_transport");

	add_cases(s, "pci", setup_pci);
	add_cases(s, "mmio", setup_mmio);
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
