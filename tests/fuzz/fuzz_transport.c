/*
 * libFuzzer target for what a guest can do to the virtio transports: the first
 * byte picks PCI or MMIO, the rest is a program of accesses to registers, BAR
 * and configuration space, of writes into rings, and of what the model and the
 * machine do meanwhile: interrupts, configuration changes, sleep, save and
 * restore, reset. A mock device sends back what it finds in the rings. At the
 * end a driver that keeps to the rules must find a device that works, and
 * nothing may be left.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <sys/eventfd.h>

#include "tests/fuzz/fuzz_check.h"
#include "tests/unit/support/virtio_board.h"
#include "vmm/base/log.h"

#define STEPS_MAX 256
#define VERSION	  (UINT64_C(1) << VIRTIO_F_VERSION_1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct fuzz {
	const uint8_t *data;
	size_t len;
	struct virtio_guest guest;
	struct virtio_board board;
};

static void fuzz_expect(bool ok)
{
	if (!ok)
		abort();
}

/* The next bytes of the program, 0 behind its end. */
static uint64_t fuzz_take(struct fuzz *fuzz, size_t size)
{
	uint64_t value = 0;

	if (size > fuzz->len)
		size = fuzz->len;
	memcpy(&value, fuzz->data, size);
	fuzz->data += size;
	fuzz->len -= size;
	return value;
}

static unsigned int fuzz_size(struct fuzz *fuzz)
{
	return 1u << fuzz_take(fuzz, 1) % 4;
}

/* Whether the registers are still where they were at first. */
static bool fuzz_mapped(const struct fuzz *fuzz)
{
	const struct fake_range *range =
		fake_host_find(&fuzz->board.fake, BUS_MMIO, fuzz->board.bar);

	return range && range->base == fuzz->board.bar;
}

/* --- Steps ------------------------------------------------------------------
 */

static void fuzz_access(struct fuzz *fuzz)
{
	uint64_t offset = fuzz_take(fuzz, 2) & 0x7fff;
	unsigned int size = fuzz_size(fuzz);

	if (fuzz_take(fuzz, 1) & 1)
		virtio_board_get(&fuzz->board, offset, size);
	else
		virtio_board_set(&fuzz->board, offset, size,
				 fuzz_take(fuzz, size));
}

/* The first 256 bytes, where most registers are. */
static void fuzz_write_low(struct fuzz *fuzz)
{
	uint64_t offset = fuzz_take(fuzz, 1);
	unsigned int size = fuzz_size(fuzz);

	virtio_board_set(&fuzz->board, offset, size, fuzz_take(fuzz, size));
}

static void fuzz_access_config(struct fuzz *fuzz)
{
	unsigned int offset = (unsigned int)fuzz_take(fuzz, 1);
	unsigned int size = fuzz_size(fuzz);

	if (fuzz_take(fuzz, 1) & 1)
		virtio_board_pci_get(&fuzz->board, offset, size);
	else
		virtio_board_pci_set(&fuzz->board, offset, size,
				     (uint32_t)fuzz_take(fuzz, 4));
}

/* By the capability for it. */
static void fuzz_access_by_config(struct fuzz *fuzz)
{
	unsigned int at;

	if (fuzz->board.kind != VIRTIO_BOARD_PCI)
		return;
	at = virtio_board_cap(&fuzz->board, 5);
	virtio_board_pci_set(&fuzz->board, at + 4, 1,
			     (uint32_t)fuzz_take(fuzz, 1) & 1);
	virtio_board_pci_set(&fuzz->board, at + 8, 4,
			     (uint32_t)fuzz_take(fuzz, 2));
	virtio_board_pci_set(&fuzz->board, at + 12, 4, fuzz_size(fuzz));
	virtio_board_pci_set(&fuzz->board, at + 16, 4,
			     (uint32_t)fuzz_take(fuzz, 4));
	virtio_board_pci_get(&fuzz->board, at + 16, 4);
}

static void fuzz_negotiate(struct fuzz *fuzz)
{
	uint64_t low = fuzz_take(fuzz, 1) & 5, high = fuzz_take(fuzz, 1);

	if (fuzz_mapped(fuzz))
		virtio_board_negotiate(&fuzz->board,
				       VERSION | low | high << 34);
}

/* A queue that is right but for a size or address, perhaps. */
static void fuzz_set_up(struct fuzz *fuzz)
{
	unsigned int index = (unsigned int)fuzz_take(fuzz, 1) % 4;
	struct virtqueue_config config =
		virtio_guest_ring(&fuzz->guest, index % MOCK_DEVICE_QUEUES,
				  fuzz_take(fuzz, 1) & 1);

	switch (fuzz_take(fuzz, 1) % 8) {
	case 0:
		config.size = (uint16_t)fuzz_take(fuzz, 2);
		break;
	case 1:
		config.desc ^= fuzz_take(fuzz, 8);
		break;
	case 2:
		config.driver ^= fuzz_take(fuzz, 8);
		break;
	case 3:
		config.device ^= fuzz_take(fuzz, 8);
		break;
	default:
		break;
	}
	virtio_board_set_up(&fuzz->board, index, &config);
}

static void fuzz_drive(struct fuzz *fuzz)
{
	virtio_board_drive(&fuzz->board);
}

static void fuzz_set_status(struct fuzz *fuzz)
{
	uint8_t status = (uint8_t)fuzz_take(fuzz, 1);

	virtio_board_set_status(&fuzz->board, status & 1 ? status : 0);
	if (!(status & 1) && fuzz_mapped(fuzz))
		fuzz_expect(virtio_board_status(&fuzz->board) == 0 &&
			    !fuzz->board.mock.active);
}

static void fuzz_write_memory(struct fuzz *fuzz)
{
	uint64_t ring = 0x10000 * (1 + fuzz_take(fuzz, 1) % 3);
	uint64_t offset = fuzz_take(fuzz, 2) & 0x1fff;
	uint64_t value = fuzz_take(fuzz, 8);

	fuzz_expect(guest_mem_write(fuzz->guest.mem, ring + offset, &value,
				    fuzz_size(fuzz)) == 0);
}

/* A buffer as it should be. */
static void fuzz_ask(struct fuzz *fuzz)
{
	unsigned int index =
		(unsigned int)fuzz_take(fuzz, 1) % MOCK_DEVICE_QUEUES;

	if (fuzz->guest.rings[index] &&
	    ring_driver_room(fuzz->guest.rings[index]) >= 2)
		virtio_guest_ask(&fuzz->guest, index, "fuzz");
	virtio_board_notify(&fuzz->board, index);
}

static void fuzz_turn(struct fuzz *fuzz)
{
	virtio_board_turn(&fuzz->board);
}

static void fuzz_model(struct fuzz *fuzz)
{
	struct virtio_board *board = &fuzz->board;
	uint64_t what = fuzz_take(fuzz, 1);

	virtio_device_lock(board->device);
	switch (what % 6) {
	case 0:
		virtio_device_config_changed(board->device);
		break;
	case 1:
		virtio_device_needs_reset(board->device);
		break;
	case 2:
		eventfd_write(virtio_device_call_fd(board->device,
						    (unsigned int)what / 6 % 3),
			      1);
		break;
	case 3:
		board->mock.hold = what / 6 & 1;
		break;
	case 4:
		mock_device_finish(&board->mock);
		break;
	default:
		board->mock.fails[MOCK_ACTIVATE] = what / 6 & 1 ? -5 : 0;
		break;
	}
	virtio_device_unlock(board->device);
}

/* Return: whether it could. */
static bool fuzz_sleep(struct virtio_board *board)
{
	int ret;

	virtio_device_lock(board->device);
	ret = virtio_device_sleep_locked(board->device);
	virtio_device_unlock(board->device);
	return ret == 0;
}

static void fuzz_wake(struct virtio_board *board)
{
	virtio_device_lock(board->device);
	/* What the guest set up may not be there any more. */
	virtio_device_wake_locked(board->device);
	virtio_device_unlock(board->device);
}

/* Into a new machine, which goes on. */
static void fuzz_pass_on(struct fuzz *fuzz)
{
	struct virtio_board *board = &fuzz->board;
	enum virtio_board_kind kind = board->kind;
	uint64_t bar = board->bar;
	json_t *first, *second, *bus = NULL;

	if (!fuzz_sleep(board))
		return;
	first = virtio_board_save(board);
	fuzz_expect(!pci_bus_device_ops.save(board->bus, &bus));
	virtio_board_fini(board);
	virtio_board_init(board, kind, &fuzz->guest);
	virtio_board_add(board);
	board->bar = bar;
	fuzz_expect(fuzz_sleep(board));
	fuzz_expect(!pci_bus_device_ops.restore(board->bus, bus, NULL));
	fuzz_expect(!board->ops->restore(board->self, first, NULL));
	second = virtio_board_save(board);
	fuzz_expect(json_equal(first, second));
	json_decref(first);
	json_decref(second);
	json_decref(bus);
	fuzz_wake(board);
}

static void fuzz_power_on(struct fuzz *fuzz)
{
	struct virtio_board *board = &fuzz->board;

	pci_bus_device_ops.reset(board->bus);
	board->ops->reset(board->self);
	fuzz_expect(!pci_bus_assign(board->bus, NULL));
	if (board->kind == VIRTIO_BOARD_PCI)
		board->bar =
			virtio_board_pci_get(board, PCI_BASE_ADDRESS_0, 4) &
			~15u;
	fuzz_expect(virtio_board_status(board) == 0);
	fuzz_expect(!virtio_board_line(board));
	fuzz_expect(!board->mock.active && board->mock.held_count == 0);
}

static void (*const fuzz_steps[])(struct fuzz *) = {
	fuzz_access,	 fuzz_write_low,     fuzz_write_low,
	fuzz_negotiate,	 fuzz_set_up,	     fuzz_drive,
	fuzz_turn,	 fuzz_ask,	     fuzz_write_memory,
	fuzz_model,	 fuzz_access_config, fuzz_access_by_config,
	fuzz_set_status, fuzz_pass_on,	     fuzz_power_on,
};

/* A driver that keeps to the rules, after all that. */
static void fuzz_works(struct fuzz *fuzz)
{
	fuzz->board.mock.hold = false;
	memset(fuzz->board.mock.fails, 0, sizeof(fuzz->board.mock.fails));
	virtio_guest_free_rings(&fuzz->guest);
	virtio_board_start(&fuzz->board, VERSION);
	virtio_board_exchange(&fuzz->board, 0, "works");
	virtio_board_exchange(&fuzz->board, 2, "works");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct fuzz fuzz;

	log_set_level(LOG_ERROR);
	fuzz.data = data;
	fuzz.len = len;
	virtio_guest_init(&fuzz.guest);
	virtio_board_init(&fuzz.board, fuzz_take(&fuzz, 1) % VIRTIO_BOARD_KINDS,
			  &fuzz.guest);
	virtio_board_add(&fuzz.board);
	for (unsigned int i = 0; fuzz.len && i < STEPS_MAX; i++)
		fuzz_steps[fuzz_take(&fuzz, 1) %
			   (sizeof(fuzz_steps) / sizeof(fuzz_steps[0]))](&fuzz);
	fuzz_power_on(&fuzz);
	fuzz_works(&fuzz);
	virtio_board_fini(&fuzz.board);
	virtio_guest_fini(&fuzz.guest);
	return 0;
}
