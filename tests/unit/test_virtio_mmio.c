/* The MMIO transport: what it does not have in common with PCI, which is in
 * test_virtio_transport.c. */
#include "virtio/mmio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <sys/eventfd.h>

#include <check.h>

#include "tests/unit/support/virtio_board.h"
#include "vmm/base/log.h"

#define BIT(n)	(UINT64_C(1) << (n))
#define VERSION BIT(VIRTIO_F_VERSION_1)
#define NOTIFY	VIRTIO_MMIO_QUEUE_NOTIFY

static struct virtio_board board, other;
static struct virtio_guest guest;

static void setup(void)
{
	virtio_board_open(&board, VIRTIO_BOARD_MMIO, &guest);
}

static void teardown(void)
{
	virtio_board_close(&board);
}

static uint32_t get(uint64_t offset)
{
	return (uint32_t)virtio_board_get(&board, offset, 4);
}

static void put(uint64_t offset, uint32_t value)
{
	virtio_board_set(&board, offset, 4, value);
}

START_TEST(mmio_identity_is_version_2)
{
	ck_assert_uint_eq(get(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	ck_assert_uint_eq(get(VIRTIO_MMIO_VERSION), 2);
	ck_assert_uint_eq(get(VIRTIO_MMIO_DEVICE_ID), MOCK_DEVICE_ID);
	ck_assert_uint_eq(get(VIRTIO_MMIO_VENDOR_ID), 0x1af4);
}
END_TEST

START_TEST(mmio_new_range_is_taken)
{
	static const struct bus_ops nothing = {.max_size = 4};
	struct error err = {""};

	virtio_board_init(&other, VIRTIO_BOARD_MMIO, &guest);
	ck_assert_int_eq(
		other.fake.host.ops->map(&other.fake.host, BUS_MMIO,
					 VIRTIO_BOARD_MMIO_BASE + 0x800, 16,
					 &nothing, NULL, "other"),
		0);
	ck_assert_int_eq(virtio_board_try(&other, &err), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.text,
				     "mock0: cannot make its registers at "
				     "0xfeb00000"));
	other.fake.host.ops->unmap(&other.fake.host, BUS_MMIO,
				   VIRTIO_BOARD_MMIO_BASE + 0x800);
	virtio_board_fini(&other);
}
END_TEST

START_TEST(mmio_doorbell_refused_works_without)
{
	board.fake.doorbell_add_error = -ENOSPC;
	virtio_board_start(&board, VERSION);
	ck_assert_uint_eq(board.fake.doorbell_count, 0);
	virtio_board_exchange(&board, 2, "slow");
	board.fake.doorbell_add_error = 0;
}
END_TEST

/* Those of the queues that virtio_board_start() enables. */
START_TEST(mmio_doorbells_are_told_apart_by_value)
{
	virtio_board_start(&board, VERSION);
	for (unsigned int i = 0; i <= MOCK_DEVICE_QUEUES; i++) {
		const struct host_doorbell *d =
			fake_host_doorbell(&board.fake, BUS_MMIO,
					   VIRTIO_BOARD_MMIO_BASE + NOTIFY, i);

		if (i != 0 && i != 2) {
			ck_assert_ptr_null(d);
			continue;
		}
		ck_assert_ptr_nonnull(d);
		ck_assert_uint_eq(d->size, 4);
		ck_assert(d->match);
		ck_assert_int_eq(d->fd, virtio_device_kick_fd(board.device, i));
	}
}
END_TEST

START_TEST(mmio_notify_of_other_width_kicks_too)
{
	virtio_board_start(&board, VERSION);
	for (unsigned int size = 1; size <= 2; size++) {
		virtio_guest_ask(&guest, 2, "narrow");
		virtio_board_set(&board, NOTIFY, size, 2);
		virtio_board_turn(&board);
		ck_assert(virtio_guest_answered(&guest, 2, "narrow"));
	}
	put(NOTIFY, 0xffffffff);
	put(NOTIFY, 0x10000);
	virtio_board_turn(&board);
	ck_assert_uint_eq(board.mock.ready[0], 1);
	ck_assert_uint_eq(get(NOTIFY), 0);
}
END_TEST

START_TEST(mmio_interrupt_ack_clears_those_bits)
{
	virtio_board_start(&board, VERSION);
	virtio_device_lock(board.device);
	virtio_device_config_changed(board.device);
	virtio_device_unlock(board.device);
	ck_assert_int_eq(
		eventfd_write(virtio_device_call_fd(board.device, 0), 1), 0);
	virtio_board_turn(&board);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	/* Reading does not clear. */
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	put(VIRTIO_MMIO_INTERRUPT_ACK, 1);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 2);
	ck_assert(virtio_board_line(&board));
	put(VIRTIO_MMIO_INTERRUPT_ACK, 0xfffffffd);
	ck_assert(virtio_board_line(&board));
	put(VIRTIO_MMIO_INTERRUPT_ACK, 2);
	ck_assert(!virtio_board_line(&board));
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}
END_TEST

START_TEST(mmio_line_is_shared)
{
	virtio_board_start(&board, VERSION);
	irq_pin_set(&board.pin, 0, true);
	ck_assert_int_eq(
		eventfd_write(virtio_device_call_fd(board.device, 0), 1), 0);
	virtio_board_turn(&board);
	ck_assert_uint_eq(virtio_board_isr(&board), 1);
	ck_assert(virtio_board_line(&board));
	irq_pin_set(&board.pin, 0, false);
	ck_assert(!virtio_board_line(&board));
}
END_TEST

START_TEST(mmio_queue_ready_of_zero_takes_it_back)
{
	struct virtqueue_config config = virtio_guest_ring(&guest, 0, false);

	virtio_board_negotiate(&board, VERSION);
	virtio_board_set_up(&board, 0, &config);
	ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 1);
	put(VIRTIO_MMIO_QUEUE_READY, 0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 0);
	virtio_board_drive(&board);
	ck_assert_ptr_null(board.mock.queues[0]);
}
END_TEST

/* 4.2.2.2: QueueReady 0 stops the use of it, whatever was negotiated. */
START_TEST(mmio_queue_ready_of_zero_in_use_stops_it)
{
	struct virtqueue_config config;

	virtio_board_start(&board, VERSION);
	virtio_board_select(&board, 0);
	put(VIRTIO_MMIO_QUEUE_READY, 0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 0);
	ck_assert_ptr_null(board.mock.queues[0]);
	virtio_board_exchange(&board, 2, "the other");
	virtio_guest_free_ring(&guest, 0);
	config = virtio_guest_ring(&guest, 0, false);
	virtio_board_set_up(&board, 0, &config);
	virtio_board_exchange(&board, 0, "again");
}
END_TEST

START_TEST(mmio_shared_memory_is_none)
{
	for (uint32_t id = 0; id < 3; id++) {
		put(VIRTIO_MMIO_SHM_SEL, id);
		for (uint64_t at = VIRTIO_MMIO_SHM_LEN_LOW;
		     at <= VIRTIO_MMIO_SHM_BASE_HIGH; at += 4)
			ck_assert_uint_eq(get(at), UINT32_MAX);
	}
}
END_TEST

START_TEST(mmio_status_of_more_bits_is_no_reset)
{
	virtio_board_start(&board, VERSION);
	put(VIRTIO_MMIO_STATUS, 0x100);
	put(VIRTIO_MMIO_STATUS, 0xffffff00);
	ck_assert_uint_eq(get(VIRTIO_MMIO_STATUS), 0xf);
	virtio_board_exchange(&board, 0, "no reset");
}
END_TEST

/* HOSTILE.md, 22: the registers are 32 bits wide, and nothing else. */
START_TEST(mmio_register_of_other_width_is_nothing)
{
	virtio_board_start(&board, VERSION);
	for (uint64_t at = 0; at < VIRTIO_MMIO_CONFIG; at++) {
		for (unsigned int size = 1; size <= 2; size++) {
			if (at % size || at == NOTIFY)
				continue;
			ck_assert_uint_eq(virtio_board_get(&board, at, size),
					  0);
			virtio_board_set(&board, at, size, 0);
		}
	}
	/* Those that are not there, or legacy. */
	for (uint64_t at = 0; at < VIRTIO_MMIO_CONFIG; at += 4) {
		if (at == 0x28 || at == 0x3c || at == 0x40 || at > 0xc0)
			put(at, UINT32_MAX);
	}
	ck_assert_uint_eq(get(VIRTIO_MMIO_STATUS), 0xf);
	virtio_board_exchange(&board, 0, "nothing");
}
END_TEST

START_TEST(mmio_register_of_eight_bytes_is_two)
{
	virtio_board_select(&board, 0);
	/* QueueNum is write-only, QueueDescLow and High, too. */
	ck_assert_uint_eq(virtio_board_get(&board, 0, 8),
			  UINT64_C(0x274726976));
	virtio_board_set(&board, VIRTIO_MMIO_QUEUE_DESC_LOW, 8, UINT64_MAX);
	ck_assert_uint_eq(
		virtio_board_get(&board, VIRTIO_MMIO_QUEUE_DESC_LOW, 8), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_mmio");
	TCase *tc = tcase_create("registers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, mmio_identity_is_version_2);
	tcase_add_test(tc, mmio_new_range_is_taken);
	tcase_add_test(tc, mmio_doorbell_refused_works_without);
	tcase_add_test(tc, mmio_doorbells_are_told_apart_by_value);
	tcase_add_test(tc, mmio_notify_of_other_width_kicks_too);
	tcase_add_test(tc, mmio_interrupt_ack_clears_those_bits);
	tcase_add_test(tc, mmio_line_is_shared);
	tcase_add_test(tc, mmio_queue_ready_of_zero_takes_it_back);
	tcase_add_test(tc, mmio_queue_ready_of_zero_in_use_stops_it);
	tcase_add_test(tc, mmio_shared_memory_is_none);
	tcase_add_test(tc, mmio_status_of_more_bits_is_no_reset);
	tcase_add_test(tc, mmio_register_of_other_width_is_nothing);
	tcase_add_test(tc, mmio_register_of_eight_bytes_is_two);
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
