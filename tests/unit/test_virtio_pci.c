/* The PCI transport: identity, capabilities, MSI-X, doorbells that follow the
 * BAR, access by way of the configuration space. What it has in common with
 * MMIO is in test_virtio_transport.c. */
#include "virtio/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <sys/eventfd.h>

#include <check.h>

#include "tests/unit/support/virtio_board.h"
#include "vmm/base/log.h"

#define BIT(n)	 (UINT64_C(1) << (n))
#define VERSION	 BIT(VIRTIO_F_VERSION_1)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define STATUS	      VIRTIO_PCI_COMMON_STATUS
#define CONFIG_VECTOR VIRTIO_PCI_COMMON_MSIX
#define QUEUE_VECTOR  VIRTIO_PCI_COMMON_Q_MSIX
#define NO_VECTOR     0xffff
#define VECTORS	      (MOCK_DEVICE_QUEUES + 1)
#define MESSAGE	      0x4000 /* of vector 0; then one more each */

static struct virtio_board board, other;
static struct virtio_guest guest;

static void setup(void)
{
	virtio_board_open(&board, VIRTIO_BOARD_PCI, &guest);
}

static void teardown(void)
{
	virtio_board_close(&board);
}

static uint32_t get32(unsigned int offset)
{
	return virtio_board_pci_get(&board, offset, 4);
}

static uint32_t get16(unsigned int offset)
{
	return virtio_board_pci_get(&board, offset, 2);
}

static uint32_t get8(unsigned int offset)
{
	return virtio_board_pci_get(&board, offset, 1);
}

/* --- Configuration space ---------------------------------------------------
 */

START_TEST(pci_identity_is_a_modern_device)
{
	ck_assert_uint_eq(get16(PCI_VENDOR_ID), 0x1af4);
	ck_assert_uint_eq(get16(PCI_DEVICE_ID), 0x1040 + MOCK_DEVICE_ID);
	ck_assert_uint_eq(get8(PCI_REVISION_ID), 1);
	ck_assert_uint_eq(get32(PCI_CLASS_REVISION) >> 8, MOCK_DEVICE_CLASS);
	ck_assert_uint_eq(get16(PCI_SUBSYSTEM_VENDOR_ID), 0x1af4);
	ck_assert_uint_eq(get16(PCI_SUBSYSTEM_ID), 0x1100);
	ck_assert_uint_eq(get8(PCI_INTERRUPT_PIN), 1);
	/* 64-bit, prefetchable memory. */
	ck_assert_uint_eq(get32(PCI_BASE_ADDRESS_0) & 15, 0xc);
}
END_TEST

static const struct cap {
	uint8_t cfg_type;
	uint32_t size, offset, length;
} caps[] = {
	{VIRTIO_PCI_CAP_COMMON_CFG, 16, VIRTIO_BOARD_COMMON, 64},
	{VIRTIO_PCI_CAP_ISR_CFG, 16, VIRTIO_BOARD_ISR, 1},
	{VIRTIO_PCI_CAP_DEVICE_CFG, 16, VIRTIO_BOARD_CONFIG,
	 MOCK_DEVICE_CONFIG},
	{VIRTIO_PCI_CAP_NOTIFY_CFG, 20, VIRTIO_BOARD_NOTIFY,
	 4 * MOCK_DEVICE_QUEUES},
	{VIRTIO_PCI_CAP_PCI_CFG, 20, 0, 0},
};

START_TEST(pci_capabilities_say_where_things_are)
{
	unsigned int notify =
		virtio_board_cap(&board, VIRTIO_PCI_CAP_NOTIFY_CFG);
	unsigned int msix = virtio_board_msix_cap(&board);

	for (size_t i = 0; i < COUNT(caps); i++) {
		unsigned int at = virtio_board_cap(&board, caps[i].cfg_type);

		ck_assert_uint_ne(at, 0);
		ck_assert_uint_eq(get8(at + VIRTIO_PCI_CAP_LEN), caps[i].size);
		ck_assert_uint_eq(get8(at + VIRTIO_PCI_CAP_BAR), 0);
		ck_assert_uint_eq(get32(at + VIRTIO_PCI_CAP_OFFSET),
				  caps[i].offset);
		ck_assert_uint_eq(get32(at + VIRTIO_PCI_CAP_LENGTH),
				  caps[i].length);
	}
	ck_assert_uint_eq(get32(notify + VIRTIO_PCI_NOTIFY_CAP_MULT), 4);
	ck_assert_uint_eq(get16(msix + PCI_MSIX_FLAGS), VECTORS - 1);
	ck_assert_uint_eq(get32(msix + PCI_MSIX_TABLE), VIRTIO_BOARD_TABLE);
	ck_assert_uint_eq(get32(msix + PCI_MSIX_PBA), VIRTIO_BOARD_PENDING);
	ck_assert_uint_eq(
		virtio_board_cap(&board, VIRTIO_PCI_CAP_SHARED_MEMORY_CFG), 0);
}
END_TEST

START_TEST(pci_more_of_the_model_is_there)
{
	const uint64_t length = (UINT64_C(5) << 32) + 0x1000;
	unsigned int at;
	uint64_t bar;

	virtio_board_init(&other, VIRTIO_BOARD_PCI, &guest);
	other.mock.more = 1;
	other.mock.shm_length = length;
	virtio_board_add(&other);
	at = virtio_board_cap(&other, 0x42);
	ck_assert_uint_eq(
		virtio_board_pci_get(&other, at + VIRTIO_PCI_CAP_BAR, 2),
		0x0705);
	ck_assert_uint_eq(
		virtio_board_pci_get(&other, at + VIRTIO_PCI_CAP_OFFSET, 4),
		0x100);
	bar = virtio_board_pci_get(&other, PCI_BASE_ADDRESS_5, 4);
	ck_assert_uint_eq(fake_host_read(&other.fake, BUS_MMIO, bar + 0x12, 2),
			  0x1202);
	fake_host_write(&other.fake, BUS_MMIO, bar, 4, 0xfeed);
	ck_assert_uint_eq(other.mock.value, 0xfeed);

	at = virtio_board_cap(&other, VIRTIO_PCI_CAP_SHARED_MEMORY_CFG);
	ck_assert_uint_eq(
		virtio_board_pci_get(&other, at + VIRTIO_PCI_CAP_LEN, 1), 24);
	ck_assert_uint_eq(
		virtio_board_pci_get(&other, at + VIRTIO_PCI_CAP_BAR, 2),
		0x0302);
	ck_assert_uint_eq(
		virtio_board_pci_get(&other, at + VIRTIO_PCI_CAP_LENGTH, 4),
		0x1000);
	ck_assert_uint_eq(virtio_board_pci_get(&other, at + 20, 4), 5);
	bar = virtio_board_pci_get(&other, PCI_BASE_ADDRESS_2, 4) & ~15u;
	bar |= (uint64_t)virtio_board_pci_get(&other, PCI_BASE_ADDRESS_3, 4)
	       << 32;
	ck_assert_uint_eq(other.mock.shm_address, bar);
	/* Nothing is mapped there. */
	ck_assert_uint_eq(fake_host_read(&other.fake, BUS_MMIO, bar, 8),
			  UINT64_MAX);
	fake_host_write(&other.fake, BUS_MMIO, bar, 8, 0);
	virtio_board_fini(&other);
}
END_TEST

START_TEST(pci_new_slot_is_taken)
{
	static struct pci_device nic;
	struct error err = {""};

	virtio_board_init(&other, VIRTIO_BOARD_PCI, &guest);
	ck_assert_int_eq(pci_bus_add(other.bus, VIRTIO_BOARD_SLOT, 0, &nic), 0);
	ck_assert_int_eq(virtio_board_try(&other, &err), -EEXIST);
	ck_assert_str_eq(err.text, "mock0: PCI slot 3 is taken");
	ck_assert_uint_eq(other.mock.calls[MOCK_DESTROY], 1);
	virtio_board_fini(&other);
}
END_TEST

START_TEST(pci_new_no_interrupts_left_is_said)
{
	struct error err = {""};

	virtio_board_init(&other, VIRTIO_BOARD_PCI, &guest);
	other.fake.msi_limit = 2;
	ck_assert_int_eq(virtio_board_try(&other, &err), -ENOSPC);
	ck_assert_ptr_nonnull(
		strstr(err.text, "mock0: no interrupts for 4 vectors"));
	virtio_board_fini(&other);
}
END_TEST

/* --- Common configuration --------------------------------------------------
 */

START_TEST(pci_common_any_read_is_bytes_of_it)
{
	uint8_t all[64];

	virtio_board_start(&board, VERSION);
	for (unsigned int i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)virtio_board_get(&board, i, 1);
	for (unsigned int size = 2; size <= 8; size *= 2) {
		for (unsigned int at = 0; at + size <= sizeof(all);
		     at += size) {
			uint64_t value = virtio_board_get(&board, at, size);

			ck_assert_mem_eq(&value, &all[at], size);
		}
	}
	ck_assert_uint_eq(virtio_board_get(&board, VIRTIO_PCI_COMMON_NUMQ, 2),
			  MOCK_DEVICE_QUEUES);
	virtio_board_select(&board, 2);
	ck_assert_uint_eq(virtio_board_get(&board, VIRTIO_PCI_COMMON_Q_NOFF, 2),
			  2);
	/* queue_notif_config_data to admin_queue_num. */
	ck_assert_uint_eq(virtio_board_get(&board, 56, 8), 0);
	/* Behind it there is nothing. */
	for (unsigned int at = 64; at < 0x1000; at += 8)
		ck_assert_uint_eq(virtio_board_get(&board, at, 8), 0);
}
END_TEST

START_TEST(pci_common_write_of_other_width_is_ignored)
{
	uint64_t before[8];

	virtio_board_negotiate(&board, VERSION);
	virtio_board_select(&board, 1);
	for (unsigned int i = 0; i < 8; i++)
		before[i] = virtio_board_get(&board, 8 * i, 8);
	for (unsigned int at = 0; at < 0x1000; at++) {
		if (at != STATUS)
			virtio_board_set(&board, at, 1, 0x5a);
		if (at % 2 == 0 && (at < 16 || at >= 32) && at != 58)
			virtio_board_set(&board, at, 2, 0x5a5a);
		if (at % 4 == 0 && at >= 16 && (at < 32 || at >= 56))
			virtio_board_set(&board, at, 4, 0x5a5a5a5a);
	}
	for (unsigned int i = 0; i < 8; i++)
		ck_assert_uint_eq(virtio_board_get(&board, 8 * i, 8),
				  before[i]);
}
END_TEST

START_TEST(pci_common_addresses_take_eight_bytes_as_halves)
{
	const uint64_t address = UINT64_C(0x123456789abcd000);

	virtio_board_select(&board, 0);
	for (unsigned int at = 32; at < 56; at += 8) {
		virtio_board_set(&board, at, 8, address + at);
		ck_assert_uint_eq(virtio_board_get(&board, at, 8),
				  address + at);
		virtio_board_set(&board, at + 4, 4, 1);
		ck_assert_uint_eq(virtio_board_get(&board, at, 8),
				  BIT(32) | (uint32_t)(address + at));
	}
}
END_TEST

START_TEST(pci_queue_enable_of_zero_is_ignored)
{
	virtio_board_start(&board, VERSION);
	virtio_board_select(&board, 0);
	virtio_board_set(&board, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	ck_assert(virtio_board_enabled(&board));
	virtio_board_exchange(&board, 0, "enabled");
	virtio_board_set_status(&board, 0);
	virtio_board_set(&board, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 2);
	ck_assert(!virtio_board_enabled(&board));
}
END_TEST

START_TEST(pci_isr_is_cleared_by_its_read_alone)
{
	virtio_board_start(&board, VERSION);
	ck_assert_int_eq(
		eventfd_write(virtio_device_call_fd(board.device, 0), 1), 0);
	virtio_board_turn(&board);
	virtio_board_set(&board, VIRTIO_BOARD_ISR, 1, 0);
	virtio_board_get(&board, VIRTIO_BOARD_ISR + 1, 1);
	virtio_board_get(&board, VIRTIO_BOARD_ISR + 4, 4);
	ck_assert(virtio_board_line(&board));
	ck_assert_uint_ne(get16(PCI_STATUS) & PCI_STATUS_INTERRUPT, 0);
	ck_assert_uint_eq(virtio_board_get(&board, VIRTIO_BOARD_ISR, 4), 1);
	ck_assert(!virtio_board_line(&board));
	ck_assert_uint_eq(virtio_board_get(&board, VIRTIO_BOARD_ISR, 1), 0);
}
END_TEST

/* --- Notifications ---------------------------------------------------------
 */

static const struct host_doorbell *doorbell(uint64_t base, unsigned int queue)
{
	return fake_host_doorbell(&board.fake, BUS_MMIO,
				  base + VIRTIO_BOARD_NOTIFY + 4 * queue, 0);
}

/* HOSTILE.md, 24. */
START_TEST(pci_doorbells_follow_the_bar)
{
	const uint64_t first = board.bar, second = first + 0x100000;

	virtio_board_start(&board, VERSION);
	for (unsigned int i = 0; i < MOCK_DEVICE_QUEUES; i += 2)
		ck_assert_int_eq(doorbell(first, i)->fd,
				 virtio_device_kick_fd(board.device, i));
	ck_assert_uint_eq(board.fake.doorbell_count, 2);
	virtio_board_pci_set(&board, PCI_BASE_ADDRESS_0, 4, (uint32_t)second);
	ck_assert_ptr_null(doorbell(first, 0));
	ck_assert_ptr_nonnull(doorbell(second, 0));
	board.bar = second;
	virtio_board_exchange(&board, 0, "moved");

	/* Into RAM, and off. */
	virtio_board_pci_set(&board, PCI_BASE_ADDRESS_0, 4, 0x100000);
	ck_assert_uint_eq(board.fake.doorbell_count, 0);
	virtio_board_pci_set(&board, PCI_BASE_ADDRESS_0, 4, (uint32_t)first);
	virtio_board_pci_set(&board, PCI_COMMAND, 2, 0);
	ck_assert_uint_eq(board.fake.doorbell_count, 0);
	virtio_board_pci_set(&board, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	board.bar = first;
	virtio_board_exchange(&board, 0, "back");
	ck_assert_uint_eq(board.fake.doorbell_count, 2);
}
END_TEST

/* Whatever the BAR does meanwhile. */
START_TEST(pci_doorbells_without_a_driver_are_none)
{
	const uint64_t second = board.bar + 0x100000;
	struct virtqueue_config config = virtio_guest_ring(&guest, 0, false);

	virtio_board_negotiate(&board, VERSION);
	virtio_board_set_up(&board, 0, &config);
	virtio_board_pci_set(&board, PCI_BASE_ADDRESS_0, 4, (uint32_t)second);
	ck_assert_uint_eq(board.fake.doorbell_count, 0);
	board.bar = second;
	virtio_board_start(&board, VERSION);
	ck_assert_ptr_nonnull(doorbell(second, 0));
	virtio_board_pci_set(&board, PCI_COMMAND, 2, 0);
	virtio_board_pci_set(&board, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(board.fake.doorbell_count, 2);
	virtio_board_set_status(&board, 0);
	virtio_board_pci_set(&board, PCI_COMMAND, 2, 0);
	virtio_board_pci_set(&board, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(board.fake.doorbell_count, 0);
}
END_TEST

/* DRIVER_OK while nothing is decoded, as by PCI configuration access. */
START_TEST(pci_doorbells_come_with_the_bar_after_the_driver)
{
	virtio_board_start(&board, VERSION);
	virtio_board_pci_set(&board, PCI_COMMAND, 2, 0);
	ck_assert_uint_eq(board.fake.doorbell_count, 0);
	virtio_board_pci_set(&board, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(board.fake.doorbell_count, 2);
	virtio_board_exchange(&board, 2, "late");
}
END_TEST

START_TEST(pci_doorbell_refused_works_without)
{
	board.fake.doorbell_add_error = -ENOSPC;
	virtio_board_start(&board, VERSION);
	ck_assert_uint_eq(board.fake.doorbell_count, 0);
	virtio_board_exchange(&board, 2, "slow");
	board.fake.doorbell_add_error = 0;
}
END_TEST

/* All of the region that reaches this process; 19. */
START_TEST(pci_notify_anywhere_is_harmless)
{
	virtio_board_start(&board, VERSION);
	for (unsigned int at = 0; at < 0x1000; at++) {
		for (unsigned int size = 1; size <= 8; size *= 2) {
			if (at % size == 0)
				virtio_board_set(&board,
						 VIRTIO_BOARD_NOTIFY + at, size,
						 UINT64_MAX);
		}
	}
	ck_assert_uint_eq(virtio_board_get(&board, VIRTIO_BOARD_NOTIFY, 4), 0);
	virtio_board_turn(&board);
	virtio_board_exchange(&board, 0, "harmless");
}
END_TEST

/* --- MSI-X -----------------------------------------------------------------
 */

static void set_msix(bool enabled, bool masked)
{
	virtio_board_pci_set(&board,
			     virtio_board_msix_cap(&board) + PCI_MSIX_FLAGS, 2,
			     (enabled ? PCI_MSIX_FLAGS_ENABLE : 0) |
				     (masked ? PCI_MSIX_FLAGS_MASKALL : 0));
}

static void set_masked(unsigned int vector, bool masked)
{
	virtio_board_set(&board, VIRTIO_BOARD_TABLE + 16 * vector + 12, 4,
			 masked);
}

/* Enable it, each vector with a message of its own. */
static void open_vectors(void)
{
	set_msix(true, false);
	for (unsigned int i = 0; i < VECTORS; i++) {
		const uint64_t at = VIRTIO_BOARD_TABLE + 16 * i;

		virtio_board_set(&board, at, 8, 0xfee00000);
		virtio_board_set(&board, at + 8, 4, MESSAGE + i);
		set_masked(i, false);
	}
}

/* Return: what it reads back as. */
static uint64_t lead_queue(unsigned int queue, uint16_t vector)
{
	virtio_board_select(&board, queue);
	virtio_board_set(&board, QUEUE_VECTOR, 2, vector);
	return virtio_board_get(&board, QUEUE_VECTOR, 2);
}

static uint64_t lead_config(uint16_t vector)
{
	virtio_board_set(&board, CONFIG_VECTOR, 2, vector);
	return virtio_board_get(&board, CONFIG_VECTOR, 2);
}

static unsigned int messages(unsigned int vector)
{
	return fake_host_messages(&board.fake, MESSAGE + vector);
}

static void ask(unsigned int queue, const char *text)
{
	virtio_guest_ask(&guest, queue, text);
	virtio_board_notify(&board, queue);
	virtio_board_turn(&board);
	ck_assert(virtio_guest_answered(&guest, queue, text));
	ck_assert(!virtio_board_line(&board));
}

static void start_with_vectors(void)
{
	virtio_board_start(&board, VERSION);
	open_vectors();
	ck_assert_uint_eq(lead_config(0), 0);
	ck_assert_uint_eq(lead_queue(0, 1), 1);
	ck_assert_uint_eq(lead_queue(2, 3), 3);
}

START_TEST(pci_msix_interrupts_go_by_their_vectors)
{
	start_with_vectors();
	ask(0, "one");
	ck_assert_uint_eq(messages(1), 1);
	ask(2, "two");
	ck_assert_uint_eq(messages(3), 1);
	ask(2, "three");
	ck_assert_uint_eq(messages(3), 2);
	ck_assert_uint_eq(messages(1), 1);
	ck_assert_uint_eq(messages(0), 0);
	/* Neither is the ISR of any use. */
	ck_assert_uint_eq(virtio_board_isr(&board), 0);
}
END_TEST

START_TEST(pci_msix_config_change_has_its_vector)
{
	start_with_vectors();
	virtio_device_lock(board.device);
	virtio_device_config_changed(board.device);
	virtio_device_unlock(board.device);
	ck_assert_uint_eq(messages(0), 1);
	ck_assert(!virtio_board_line(&board));
	/* The bit is set nevertheless (4.1.4.5.1). */
	ck_assert_uint_eq(virtio_board_isr(&board), 2);
	virtio_device_lock(board.device);
	virtio_device_needs_reset(board.device);
	virtio_device_unlock(board.device);
	ck_assert_uint_eq(messages(0), 2);
}
END_TEST

START_TEST(pci_msix_no_config_vector_loses_the_interrupt)
{
	start_with_vectors();
	ck_assert_uint_eq(lead_config(NO_VECTOR), NO_VECTOR);
	virtio_device_lock(board.device);
	virtio_device_config_changed(board.device);
	virtio_device_unlock(board.device);
	ck_assert_uint_eq(lead_config(0), 0);
	ck_assert_uint_eq(messages(0), 0);
}
END_TEST

/* 25. */
START_TEST(pci_msix_vector_that_is_not_there_reads_back_none)
{
	static const uint16_t bad[] = {VECTORS, VECTORS + 1, 0x7ff,
				       0x800,	0xfffe,	     NO_VECTOR};

	start_with_vectors();
	for (size_t i = 0; i < COUNT(bad); i++) {
		ck_assert_uint_eq(lead_queue(0, 1), 1);
		ck_assert_uint_eq(lead_queue(0, bad[i]), NO_VECTOR);
		ck_assert_uint_eq(lead_config(0), 0);
		ck_assert_uint_eq(lead_config(bad[i]), NO_VECTOR);
	}
	/* Of a queue that there is not, either. */
	ck_assert_uint_eq(lead_queue(MOCK_DEVICE_QUEUES, 1), NO_VECTOR);
	ck_assert_uint_eq(lead_queue(0xffff, 1), NO_VECTOR);
	ask(0, "nobody hears");
	ck_assert_uint_eq(messages(1), 0);
	ck_assert_uint_eq(lead_queue(0, 1), 1);
	ask(0, "somebody hears");
	ck_assert_uint_ge(messages(1), 1);
}
END_TEST

START_TEST(pci_msix_host_refuses_reads_back_none)
{
	virtio_board_start(&board, VERSION);
	open_vectors();
	board.fake.irqfd_add_error = -ENOMEM;
	ck_assert_uint_eq(lead_queue(0, 1), NO_VECTOR);
	ck_assert_uint_eq(lead_config(1), NO_VECTOR);
	board.fake.irqfd_add_error = 0;
	ck_assert_uint_eq(lead_queue(0, 1), 1);
	ask(0, "heard");
	ck_assert_uint_eq(messages(1), 1);
}
END_TEST

START_TEST(pci_msix_many_may_share_a_vector)
{
	start_with_vectors();
	ck_assert_uint_eq(lead_queue(0, 0), 0);
	ck_assert_uint_eq(lead_queue(2, 0), 0);
	ask(0, "shared");
	ck_assert_uint_eq(messages(0), 1);
	ask(2, "shared");
	ck_assert_uint_eq(messages(0), 2);
}
END_TEST

START_TEST(pci_msix_masked_is_pending)
{
	start_with_vectors();
	set_masked(1, true);
	ask(0, "masked");
	ck_assert_uint_eq(messages(1), 0);
	ck_assert_uint_eq(virtio_board_get(&board, VIRTIO_BOARD_PENDING, 8), 2);
	set_masked(1, false);
	ck_assert_uint_eq(messages(1), 1);
	ck_assert_uint_eq(virtio_board_get(&board, VIRTIO_BOARD_PENDING, 8), 0);
}
END_TEST

static void on_stop(void *ctx)
{
	loop_stop(ctx);
}

/* What is pending is of no interest to main's loop, which must not turn for
 * it: CPU time of 50 ms of it. */
START_TEST(pci_msix_masked_lets_the_loop_rest)
{
	struct timespec before, after;
	struct loop_timer *timer;

	start_with_vectors();
	set_masked(1, true);
	ask(0, "masked");
	ck_assert_int_eq(
		loop_timer_add(board.loop, &timer, on_stop, board.loop), 0);
	loop_timer_set(timer, 50000000);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	ck_assert_int_eq(loop_run(board.loop), 0);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	loop_timer_remove(timer);
	ck_assert_int_lt((after.tv_sec - before.tv_sec) * 1000000000 +
				 after.tv_nsec - before.tv_nsec,
			 5000000);
	ck_assert_uint_eq(virtio_board_get(&board, VIRTIO_BOARD_PENDING, 8), 2);
}
END_TEST

START_TEST(pci_msix_masks_are_told_to_the_model)
{
	start_with_vectors();
	set_masked(2, true);
	ck_assert(!board.mock.change.function);
	ck_assert_uint_eq(board.mock.change.vector, 2);
	ck_assert(board.mock.change.masked);
	set_msix(true, true);
	ck_assert(board.mock.change.function);
	ck_assert(board.mock.change.masked);
	set_msix(true, false);
	ck_assert(board.mock.change.function);
	ck_assert(!board.mock.change.masked);
}
END_TEST

/* An interrupt that is on its way changes over, too. */
START_TEST(pci_msix_switched_on_and_off_loses_nothing)
{
	start_with_vectors();
	set_msix(false, false);
	ck_assert_int_eq(
		eventfd_write(virtio_device_call_fd(board.device, 0), 1), 0);
	set_msix(true, false);
	virtio_board_turn(&board);
	ck_assert(!virtio_board_line(&board));
	ck_assert_uint_eq(messages(1), 1);

	set_msix(true, true);
	ck_assert_int_eq(
		eventfd_write(virtio_device_call_fd(board.device, 0), 1), 0);
	set_msix(false, false);
	virtio_board_turn(&board);
	ck_assert(virtio_board_line(&board));
	ck_assert_uint_eq(messages(1), 1);
	/* Raised, and then not any more. */
	set_msix(true, false);
	ck_assert(!virtio_board_line(&board));
	set_msix(false, false);
	ck_assert(virtio_board_line(&board));
	ck_assert_uint_eq(virtio_board_isr(&board), 1);
	virtio_board_exchange(&board, 0, "by the line");
}
END_TEST

START_TEST(pci_msix_reset_takes_vectors_back)
{
	start_with_vectors();
	set_masked(1, true);
	ask(0, "pending");
	virtio_board_set_status(&board, 0);
	ck_assert_uint_eq(virtio_board_get(&board, CONFIG_VECTOR, 2),
			  NO_VECTOR);
	virtio_board_select(&board, 0);
	ck_assert_uint_eq(virtio_board_get(&board, QUEUE_VECTOR, 2), NO_VECTOR);
	ck_assert_uint_eq(board.fake.irqfd_count, 0);
	/* It is not for the next driver, whose table this still is. */
	set_masked(1, false);
	ck_assert_uint_eq(lead_queue(0, 1), 1);
	ck_assert_uint_eq(messages(1), 0);
}
END_TEST

START_TEST(pci_msix_queue_reset_takes_its_vector_back)
{
	virtio_board_start(&board, VERSION | BIT(VIRTIO_F_RING_RESET));
	open_vectors();
	ck_assert_uint_eq(lead_queue(0, 1), 1);
	ck_assert_uint_eq(lead_queue(2, 2), 2);
	virtio_board_select(&board, 0);
	virtio_board_reset_queue(&board);
	ck_assert_uint_eq(virtio_board_get(&board, QUEUE_VECTOR, 2), NO_VECTOR);
	ck_assert(!fake_host_listens(&board.fake,
				     virtio_device_call_fd(board.device, 0)));
	ask(2, "the other");
	ck_assert_uint_eq(messages(2), 1);
}
END_TEST

/* Vectors, masks and what is pending survive. */
START_TEST(pci_restore_msix_goes_on)
{
	json_t *bus, *first, *second;
	struct error err = {""};

	start_with_vectors();
	set_masked(1, true);
	ask(0, "pending");
	virtio_board_sleep(&board);
	first = virtio_board_save(&board);
	ck_assert_int_eq(pci_bus_device_ops.save(board.bus, &bus), 0);
	virtio_board_fini(&board);

	virtio_board_init(&board, VIRTIO_BOARD_PCI, &guest);
	virtio_board_add(&board);
	virtio_board_sleep(&board);
	ck_assert_int_eq(pci_bus_device_ops.restore(board.bus, bus, &err), 0);
	ck_assert_msg(board.ops->restore(board.self, first, &err) == 0, "%s",
		      err.text);
	second = virtio_board_save(&board);
	ck_assert(json_equal(first, second));
	virtio_board_wake(&board);
	ck_assert_uint_eq(messages(1), 0);
	set_masked(1, false);
	ck_assert_uint_eq(messages(1), 1);
	ask(2, "goes on");
	ck_assert_uint_eq(messages(3), 1);
	json_decref(first);
	json_decref(second);
	json_decref(bus);
}
END_TEST

START_TEST(pci_restore_edited_is_refused_unchanged)
{
	json_t *before, *state, *after;
	struct error err = {""};

	start_with_vectors();
	virtio_board_sleep(&board);
	state = virtio_board_save(&board);
	virtio_board_init(&other, VIRTIO_BOARD_PCI, &guest);
	virtio_board_add(&other);
	virtio_board_sleep(&other);
	before = virtio_board_save(&other);
	/* The last part that is looked at: the rest is taken by then. */
	json_object_del(
		json_object_get(json_object_get(state, "transport"), "device"),
		"model");
	ck_assert_int_eq(other.ops->restore(other.self, state, &err), -EINVAL);
	after = virtio_board_save(&other);
	ck_assert(json_equal(before, after));
	json_decref(after);
	json_object_set_new(state, "msix", json_object());
	ck_assert_int_eq(other.ops->restore(other.self, state, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "mock0: msix: "));
	json_object_set_new(state, "pci", json_object());
	ck_assert_int_eq(other.ops->restore(other.self, state, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "mock0: pci: "));
	json_object_del(state, "pci");
	ck_assert_int_eq(other.ops->restore(other.self, state, &err), -EINVAL);
	after = virtio_board_save(&other);
	ck_assert(json_equal(before, after));
	json_decref(before);
	json_decref(after);
	json_decref(state);
	virtio_board_fini(&other);
}
END_TEST

/* --- Access by way of the configuration space (4.1.4.9) --------------------
 */

static unsigned int access_cap;

static void point(uint8_t bar, uint32_t offset, uint32_t length)
{
	access_cap = virtio_board_cap(&board, VIRTIO_PCI_CAP_PCI_CFG);
	virtio_board_pci_set(&board, access_cap + VIRTIO_PCI_CAP_BAR, 1, bar);
	virtio_board_pci_set(&board, access_cap + VIRTIO_PCI_CAP_OFFSET, 4,
			     offset);
	virtio_board_pci_set(&board, access_cap + VIRTIO_PCI_CAP_LENGTH, 4,
			     length);
}

static uint32_t peek(uint32_t offset, uint32_t length)
{
	point(0, offset, length);
	return virtio_board_pci_get(&board, access_cap + 16, length);
}

static void poke(uint32_t offset, uint32_t length, uint32_t value)
{
	point(0, offset, length);
	virtio_board_pci_set(&board, access_cap + 16, length, value);
}

START_TEST(pci_access_drives_the_device)
{
	/* As firmware does that cannot reach the BAR. */
	virtio_board_pci_set(&board, PCI_COMMAND, 2, 0);
	poke(STATUS, 1, 3);
	ck_assert_uint_eq(peek(STATUS, 1), 3);
	poke(VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	poke(VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(VERSION >> 32));
	poke(STATUS, 1, 0xb);
	poke(STATUS, 1, 0xf);
	ck_assert_uint_eq(peek(STATUS, 1), 0xf);
	ck_assert_uint_eq(board.mock.calls[MOCK_ACTIVATE], 1);
	ck_assert_uint_eq(peek(VIRTIO_PCI_COMMON_NUMQ, 2), MOCK_DEVICE_QUEUES);
	ck_assert_uint_eq(peek(VIRTIO_BOARD_CONFIG, 4), 0xa3a2a1a0);
	poke(VIRTIO_BOARD_CONFIG, 2, 0x1234);
	ck_assert_uint_eq(board.mock.config[1], 0x12);
	/* The table, with the locks of the bus held all the way. */
	poke(VIRTIO_BOARD_TABLE + 12, 4, 0);
	ck_assert(!board.mock.change.masked);
	ck_assert_uint_eq(peek(VIRTIO_BOARD_PENDING, 4), 0);
	poke(STATUS, 1, 0);
	ck_assert_uint_eq(peek(STATUS, 1), 0);
}
END_TEST

START_TEST(pci_access_notifies_and_reads_the_isr)
{
	virtio_board_start(&board, VERSION);
	virtio_guest_ask(&guest, 0, "poked");
	poke(VIRTIO_BOARD_NOTIFY, 2, 0);
	virtio_board_turn(&board);
	ck_assert(virtio_guest_answered(&guest, 0, "poked"));
	ck_assert(virtio_board_line(&board));
	ck_assert_uint_eq(peek(VIRTIO_BOARD_ISR, 1), 1);
	ck_assert(!virtio_board_line(&board));
}
END_TEST

static const struct bad_access {
	uint8_t bar;
	uint32_t offset, length;
} bad_accesses[] = {
	{1, STATUS, 1},
	{5, STATUS, 1},
	{0xff, STATUS, 1},
	{0, STATUS, 0},
	{0, STATUS, 3},
	{0, 16, 8},
	{0, STATUS, 0xffffffff},
	{0, 17, 4},
	{0, 18, 4},
	{0, 0x8000, 1},
	{0, 0x7ffe, 4},
	{0, 0xffffffff, 1},
	{0, 0xfffffffc, 4},
	{0, 0x80000000, 0x80000000},
};

/* 23. */
START_TEST(pci_access_bad_is_nothing)
{
	virtio_board_start(&board, VERSION);
	for (size_t i = 0; i < COUNT(bad_accesses); i++) {
		const struct bad_access *bad = &bad_accesses[i];

		point(bad->bar, bad->offset, bad->length);
		for (unsigned int size = 1; size <= 4; size *= 2) {
			virtio_board_pci_set(&board, access_cap + 16, size, 0);
			virtio_board_pci_get(&board, access_cap + 16, size);
		}
		ck_assert_uint_eq(virtio_board_status(&board), 0xf);
	}
	virtio_board_exchange(&board, 0, "nothing");
	/* Not aligned to its length, where the device would not mind. */
	poke(VIRTIO_BOARD_CONFIG + 1, 2, 0xffff);
	poke(VIRTIO_BOARD_CONFIG + 2, 4, 0xffffffff);
	ck_assert_uint_eq(virtio_board_config(&board, 0, 8),
			  UINT64_C(0xa7a6a5a4a3a2a1a0));
}
END_TEST

START_TEST(pci_access_unaligned_to_its_data_touches_it)
{
	point(0, STATUS, 1);
	/* The last byte of length and the first three of data: none of these
	 * is an access that a bus makes as one; each part is harmless. */
	virtio_board_pci_set(&board, access_cap + 12, 4, 1);
	ck_assert_uint_eq(virtio_board_status(&board), 0);
	virtio_board_pci_set(&board, access_cap + 19, 1, 0xff);
	ck_assert_uint_eq(virtio_board_status(&board), 0);
	virtio_board_pci_set(&board, access_cap + 16, 1, 1);
	ck_assert_uint_eq(virtio_board_status(&board), 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_pci");
	TCase *tc = tcase_create("registers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, pci_identity_is_a_modern_device);
	tcase_add_test(tc, pci_capabilities_say_where_things_are);
	tcase_add_test(tc, pci_more_of_the_model_is_there);
	tcase_add_test(tc, pci_new_slot_is_taken);
	tcase_add_test(tc, pci_new_no_interrupts_left_is_said);
	tcase_add_test(tc, pci_common_any_read_is_bytes_of_it);
	tcase_add_test(tc, pci_common_write_of_other_width_is_ignored);
	tcase_add_test(tc, pci_common_addresses_take_eight_bytes_as_halves);
	tcase_add_test(tc, pci_queue_enable_of_zero_is_ignored);
	tcase_add_test(tc, pci_isr_is_cleared_by_its_read_alone);
	tcase_add_test(tc, pci_doorbells_follow_the_bar);
	tcase_add_test(tc, pci_doorbells_without_a_driver_are_none);
	tcase_add_test(tc, pci_doorbells_come_with_the_bar_after_the_driver);
	tcase_add_test(tc, pci_doorbell_refused_works_without);
	tcase_add_test(tc, pci_notify_anywhere_is_harmless);
	suite_add_tcase(s, tc);

	tc = tcase_create("msix");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, pci_msix_interrupts_go_by_their_vectors);
	tcase_add_test(tc, pci_msix_config_change_has_its_vector);
	tcase_add_test(tc, pci_msix_no_config_vector_loses_the_interrupt);
	tcase_add_test(tc, pci_msix_vector_that_is_not_there_reads_back_none);
	tcase_add_test(tc, pci_msix_host_refuses_reads_back_none);
	tcase_add_test(tc, pci_msix_many_may_share_a_vector);
	tcase_add_test(tc, pci_msix_masked_is_pending);
	tcase_add_test(tc, pci_msix_masked_lets_the_loop_rest);
	tcase_add_test(tc, pci_msix_masks_are_told_to_the_model);
	tcase_add_test(tc, pci_msix_switched_on_and_off_loses_nothing);
	tcase_add_test(tc, pci_msix_reset_takes_vectors_back);
	tcase_add_test(tc, pci_msix_queue_reset_takes_its_vector_back);
	tcase_add_test(tc, pci_restore_msix_goes_on);
	tcase_add_test(tc, pci_restore_edited_is_refused_unchanged);
	suite_add_tcase(s, tc);

	tc = tcase_create("access");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, pci_access_drives_the_device);
	tcase_add_test(tc, pci_access_notifies_and_reads_the_isr);
	tcase_add_test(tc, pci_access_bad_is_nothing);
	tcase_add_test(tc, pci_access_unaligned_to_its_data_touches_it);
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
