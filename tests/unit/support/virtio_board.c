#include "tests/unit/support/virtio_board.h"

#include <stdlib.h>
#include <string.h>

#include <check.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>

#include "virtio/transport.h"

#define MMIO_QUEUE_RESET 0x0c0

/* Of queue 0; the next one's are further on. */
#define RINGS	     0x10000
#define RINGS_STEP   0x10000
#define BUFFERS	     0x80000
#define BUFFERS_STEP 0x1000
#define ANSWER	     0x800

void virtio_guest_init(struct virtio_guest *guest)
{
	*guest = (struct virtio_guest){.mem = ring_driver_mem(2)};
}

void virtio_guest_fini(struct virtio_guest *guest)
{
	virtio_guest_free_rings(guest);
	guest_mem_free(guest->mem);
}

struct virtqueue_config virtio_guest_ring(struct virtio_guest *guest,
					  unsigned int index, bool packed)
{
	const struct ring_driver_options options = {
		.base = RINGS + RINGS_STEP * index,
		.size = 16,
		.packed = packed,
	};
	struct virtqueue_config config;

	if (!guest->rings[index])
		guest->rings[index] = ring_driver_new(guest->mem, &options);
	ring_driver_config(guest->rings[index], &config);
	return config;
}

void virtio_guest_free_ring(struct virtio_guest *guest, unsigned int index)
{
	ring_driver_free(guest->rings[index]);
	guest->rings[index] = NULL;
}

void virtio_guest_free_rings(struct virtio_guest *guest)
{
	for (unsigned int i = 0; i < MOCK_DEVICE_QUEUES; i++)
		virtio_guest_free_ring(guest, i);
}

void virtio_guest_ask(struct virtio_guest *guest, unsigned int index,
		      const char *text)
{
	const uint64_t at = BUFFERS + BUFFERS_STEP * index;
	const struct ring_driver_chain chain = {
		.readable = {{at, (uint32_t)strlen(text)}},
		.readable_count = 1,
		.writable = {{at + ANSWER, 64}},
		.writable_count = 1,
	};

	ck_assert_int_eq(guest_mem_write(guest->mem, at, text, strlen(text)),
			 0);
	ck_assert_int_ge(ring_driver_add(guest->rings[index], &chain), 0);
	ring_driver_publish(guest->rings[index]);
}

bool virtio_guest_answered(struct virtio_guest *guest, unsigned int index,
			   const char *text)
{
	const uint64_t at = BUFFERS + BUFFERS_STEP * index + ANSWER;
	struct ring_driver_used used;
	char answer[64] = "";

	if (ring_driver_collect(guest->rings[index], &used) != 1)
		return false;
	ck_assert_uint_eq(used.len, strlen(text));
	ck_assert_int_eq(guest_mem_read(guest->mem, at, answer, used.len), 0);
	ck_assert_str_eq(answer, text);
	return true;
}

void virtio_board_init(struct virtio_board *board, enum virtio_board_kind kind,
		       struct virtio_guest *guest)
{
	const struct pci_bus_config bus = {
		.ecam = VIRTIO_BOARD_ECAM,
		.mem32 = {0xc0000000, 0x20000000},
		.mem64 = {UINT64_C(0x1000000000), UINT64_C(0x1000000000)},
		.gsi = VIRTIO_BOARD_INTX,
	};

	board->kind = kind;
	board->guest = guest;
	board->self = NULL;
	board->device = NULL;
	fake_host_init(&board->fake);
	ck_assert_int_eq(loop_new(&board->loop), 0);
	ck_assert_int_eq(pci_bus_new(&board->bus, &board->fake.host, &bus), 0);
	irq_pin_init(&board->pin, &board->fake.host, VIRTIO_BOARD_PIN);
	mock_device_init(&board->mock);
	mock_device_resources(&board->mock, &board->resources);
}

static void virtio_board_make(struct virtio_board *board)
{
	const struct virtio_device_config config = mock_device_config(
		board->loop, board->guest->mem, &board->resources);

	ck_assert_int_eq(virtio_device_new(&board->device, &config, NULL), 0);
}

static int virtio_board_plug_pci(struct virtio_board *board, struct error *err)
{
	const struct virtio_pci_config config = {
		.device = board->device,
		.host = &board->fake.host,
		.bus = board->bus,
		.loop = board->loop,
		.slot = VIRTIO_BOARD_SLOT,
	};
	struct virtio_pci *pci;
	int ret = virtio_pci_new(&pci, &config, err);

	if (ret < 0)
		return ret;
	board->self = pci;
	board->ops = &virtio_pci_device_ops;
	ck_assert_int_eq(pci_bus_assign(board->bus, NULL), 0);
	board->bar = virtio_board_pci_get(board, PCI_BASE_ADDRESS_0, 4) & ~15u;
	board->bar |=
		(uint64_t)virtio_board_pci_get(board, PCI_BASE_ADDRESS_1, 4)
		<< 32;
	return 0;
}

static int virtio_board_plug_mmio(struct virtio_board *board, struct error *err)
{
	const struct virtio_mmio_config config = {
		.device = board->device,
		.host = &board->fake.host,
		.loop = board->loop,
		.pin = &board->pin,
		.source = 5,
		.base = VIRTIO_BOARD_MMIO_BASE,
	};
	struct virtio_mmio *mmio;
	int ret = virtio_mmio_new(&mmio, &config, err);

	if (ret < 0)
		return ret;
	board->self = mmio;
	board->ops = &virtio_mmio_device_ops;
	board->bar = VIRTIO_BOARD_MMIO_BASE;
	return 0;
}

static int virtio_board_plug(struct virtio_board *board, struct error *err)
{
	virtio_board_make(board);
	return board->kind == VIRTIO_BOARD_PCI
		       ? virtio_board_plug_pci(board, err)
		       : virtio_board_plug_mmio(board, err);
}

void virtio_board_add(struct virtio_board *board)
{
	struct error err = {""};

	ck_assert_msg(virtio_board_plug(board, &err) == 0, "%s", err.text);
}

int virtio_board_try(struct virtio_board *board, struct error *err)
{
	int ret = virtio_board_plug(board, err);

	if (ret < 0)
		virtio_device_free(board->device);
	return ret;
}

void virtio_board_fini(struct virtio_board *board)
{
	if (board->self)
		board->ops->free(board->self);
	virtio_resources_fini(&board->resources);
	pci_bus_device_ops.free(board->bus);
	irq_pin_fini(&board->pin);
	loop_free(board->loop);
	ck_assert_uint_eq(fake_host_ranges(&board->fake), 0);
	ck_assert_uint_eq(board->fake.doorbell_count, 0);
	ck_assert_uint_eq(board->fake.irqfd_count, 0);
	ck_assert_uint_eq(board->fake.msi_count, 0);
	for (unsigned int i = 0; i < FAKE_HOST_GSIS; i++)
		ck_assert(!board->fake.irq_level[i]);
}

void virtio_board_open(struct virtio_board *board, enum virtio_board_kind kind,
		       struct virtio_guest *guest)
{
	virtio_guest_init(guest);
	virtio_board_init(board, kind, guest);
	virtio_board_add(board);
}

void virtio_board_close(struct virtio_board *board)
{
	virtio_board_fini(board);
	virtio_guest_fini(board->guest);
}

static void virtio_board_stop(void *ctx)
{
	loop_stop(ctx);
}

void virtio_board_turn(struct virtio_board *board)
{
	struct loop_timer *timer;

	ck_assert_int_eq(loop_timer_add(board->loop, &timer, virtio_board_stop,
					board->loop),
			 0);
	/* Kicks, and then the calls that they lead to. */
	for (unsigned int i = 0; i < 2; i++) {
		loop_timer_set(timer, 0);
		ck_assert_int_eq(loop_run(board->loop), 0);
	}
	loop_timer_remove(timer);
}

/* --- Configuration space ----------------------------------------------------
 */

static uint64_t virtio_board_ecam(unsigned int offset)
{
	return VIRTIO_BOARD_ECAM + (VIRTIO_BOARD_SLOT << 15) + offset;
}

uint32_t virtio_board_pci_get(struct virtio_board *board, unsigned int offset,
			      unsigned int size)
{
	return (uint32_t)fake_host_read(&board->fake, BUS_MMIO,
					virtio_board_ecam(offset), size);
}

void virtio_board_pci_set(struct virtio_board *board, unsigned int offset,
			  unsigned int size, uint32_t value)
{
	fake_host_write(&board->fake, BUS_MMIO, virtio_board_ecam(offset), size,
			value);
}

/* The first capability that is that; cfg_type -1: any. */
static unsigned int virtio_board_find(struct virtio_board *board, uint8_t id,
				      int cfg_type)
{
	unsigned int at = virtio_board_pci_get(board, PCI_CAPABILITY_LIST, 1);

	while (at) {
		if (virtio_board_pci_get(board, at, 1) == id &&
		    (cfg_type < 0 ||
		     virtio_board_pci_get(board, at + VIRTIO_PCI_CAP_CFG_TYPE,
					  1) == (uint32_t)cfg_type))
			break;
		at = virtio_board_pci_get(board, at + PCI_CAP_LIST_NEXT, 1);
	}
	return at;
}

unsigned int virtio_board_cap(struct virtio_board *board, uint8_t cfg_type)
{
	return virtio_board_find(board, PCI_CAP_ID_VNDR, cfg_type);
}

unsigned int virtio_board_msix_cap(struct virtio_board *board)
{
	return virtio_board_find(board, PCI_CAP_ID_MSIX, -1);
}

/* --- Registers --------------------------------------------------------------
 */

uint64_t virtio_board_get(struct virtio_board *board, uint64_t offset,
			  unsigned int size)
{
	return fake_host_read(&board->fake, BUS_MMIO, board->bar + offset,
			      size);
}

void virtio_board_set(struct virtio_board *board, uint64_t offset,
		      unsigned int size, uint64_t value)
{
	fake_host_write(&board->fake, BUS_MMIO, board->bar + offset, size,
			value);
}

/* A register that both have, in widths of its own in each. */
struct virtio_board_register {
	uint64_t offset[VIRTIO_BOARD_KINDS];
	unsigned int size[VIRTIO_BOARD_KINDS];
};

#define REGISTER(pci, pci_size, mmio) \
	{                             \
		{(pci), (mmio)},      \
		{                     \
			(pci_size), 4 \
		}                     \
	}

static const struct virtio_board_register reg_status =
	REGISTER(VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_MMIO_STATUS);
static const struct virtio_board_register reg_offer_select = REGISTER(
	VIRTIO_PCI_COMMON_DFSELECT, 4, VIRTIO_MMIO_DEVICE_FEATURES_SEL);
static const struct virtio_board_register reg_offer =
	REGISTER(VIRTIO_PCI_COMMON_DF, 4, VIRTIO_MMIO_DEVICE_FEATURES);
static const struct virtio_board_register reg_accept_select = REGISTER(
	VIRTIO_PCI_COMMON_GFSELECT, 4, VIRTIO_MMIO_DRIVER_FEATURES_SEL);
static const struct virtio_board_register reg_accept =
	REGISTER(VIRTIO_PCI_COMMON_GF, 4, VIRTIO_MMIO_DRIVER_FEATURES);
static const struct virtio_board_register reg_select =
	REGISTER(VIRTIO_PCI_COMMON_Q_SELECT, 2, VIRTIO_MMIO_QUEUE_SEL);
static const struct virtio_board_register reg_max =
	REGISTER(VIRTIO_PCI_COMMON_Q_SIZE, 2, VIRTIO_MMIO_QUEUE_NUM_MAX);
static const struct virtio_board_register reg_size =
	REGISTER(VIRTIO_PCI_COMMON_Q_SIZE, 2, VIRTIO_MMIO_QUEUE_NUM);
static const struct virtio_board_register reg_enable =
	REGISTER(VIRTIO_PCI_COMMON_Q_ENABLE, 2, VIRTIO_MMIO_QUEUE_READY);
static const struct virtio_board_register reg_queue_reset =
	REGISTER(58, 2, MMIO_QUEUE_RESET);
static const struct virtio_board_register reg_generation = REGISTER(
	VIRTIO_PCI_COMMON_CFGGENERATION, 1, VIRTIO_MMIO_CONFIG_GENERATION);
/* Low and high halves of the addresses. */
static const struct virtio_board_register reg_rings[] = {
	REGISTER(VIRTIO_PCI_COMMON_Q_DESCLO, 4, VIRTIO_MMIO_QUEUE_DESC_LOW),
	REGISTER(VIRTIO_PCI_COMMON_Q_DESCHI, 4, VIRTIO_MMIO_QUEUE_DESC_HIGH),
	REGISTER(VIRTIO_PCI_COMMON_Q_AVAILLO, 4, VIRTIO_MMIO_QUEUE_AVAIL_LOW),
	REGISTER(VIRTIO_PCI_COMMON_Q_AVAILHI, 4, VIRTIO_MMIO_QUEUE_AVAIL_HIGH),
	REGISTER(VIRTIO_PCI_COMMON_Q_USEDLO, 4, VIRTIO_MMIO_QUEUE_USED_LOW),
	REGISTER(VIRTIO_PCI_COMMON_Q_USEDHI, 4, VIRTIO_MMIO_QUEUE_USED_HIGH),
};

static uint32_t virtio_board_read(struct virtio_board *board,
				  const struct virtio_board_register *reg)
{
	return (uint32_t)virtio_board_get(board, reg->offset[board->kind],
					  reg->size[board->kind]);
}

static void virtio_board_write(struct virtio_board *board,
			       const struct virtio_board_register *reg,
			       uint32_t value)
{
	virtio_board_set(board, reg->offset[board->kind],
			 reg->size[board->kind], value);
}

uint8_t virtio_board_status(struct virtio_board *board)
{
	return (uint8_t)virtio_board_read(board, &reg_status);
}

void virtio_board_set_status(struct virtio_board *board, uint8_t status)
{
	virtio_board_write(board, &reg_status, status);
}

uint32_t virtio_board_offered(struct virtio_board *board, uint32_t select)
{
	virtio_board_write(board, &reg_offer_select, select);
	return virtio_board_read(board, &reg_offer);
}

void virtio_board_accept(struct virtio_board *board, uint32_t select,
			 uint32_t features)
{
	virtio_board_write(board, &reg_accept_select, select);
	virtio_board_write(board, &reg_accept, features);
}

void virtio_board_select(struct virtio_board *board, uint32_t queue)
{
	virtio_board_write(board, &reg_select, queue);
}

uint32_t virtio_board_max(struct virtio_board *board)
{
	return virtio_board_read(board, &reg_max);
}

bool virtio_board_enabled(struct virtio_board *board)
{
	return virtio_board_read(board, &reg_enable);
}

void virtio_board_set_size(struct virtio_board *board, uint32_t size)
{
	virtio_board_write(board, &reg_size, size);
}

void virtio_board_set_rings(struct virtio_board *board,
			    const struct virtqueue_config *config)
{
	const uint64_t areas[] = {config->desc, config->driver, config->device};

	for (unsigned int i = 0; i < 6; i++)
		virtio_board_write(board, &reg_rings[i],
				   (uint32_t)(areas[i / 2] >> 32 * (i % 2)));
}

void virtio_board_enable(struct virtio_board *board)
{
	virtio_board_write(board, &reg_enable, 1);
}

void virtio_board_reset_queue(struct virtio_board *board)
{
	virtio_board_write(board, &reg_queue_reset, 1);
	ck_assert_uint_eq(virtio_board_read(board, &reg_queue_reset), 0);
}

void virtio_board_notify(struct virtio_board *board, uint32_t queue)
{
	if (board->kind == VIRTIO_BOARD_PCI)
		virtio_board_set(board,
				 VIRTIO_BOARD_NOTIFY + UINT64_C(4) * queue, 2,
				 queue);
	else
		virtio_board_set(board, VIRTIO_MMIO_QUEUE_NOTIFY, 4, queue);
}

uint32_t virtio_board_generation(struct virtio_board *board)
{
	return virtio_board_read(board, &reg_generation);
}

static uint64_t virtio_board_config_at(const struct virtio_board *board)
{
	return board->kind == VIRTIO_BOARD_PCI ? VIRTIO_BOARD_CONFIG
					       : VIRTIO_MMIO_CONFIG;
}

uint64_t virtio_board_config(struct virtio_board *board, uint64_t offset,
			     unsigned int size)
{
	return virtio_board_get(board, virtio_board_config_at(board) + offset,
				size);
}

void virtio_board_set_config(struct virtio_board *board, uint64_t offset,
			     unsigned int size, uint64_t value)
{
	virtio_board_set(board, virtio_board_config_at(board) + offset, size,
			 value);
}

uint8_t virtio_board_isr(struct virtio_board *board)
{
	uint8_t isr;

	if (board->kind == VIRTIO_BOARD_PCI)
		return (uint8_t)virtio_board_get(board, VIRTIO_BOARD_ISR, 1);
	isr = (uint8_t)virtio_board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS, 4);
	virtio_board_set(board, VIRTIO_MMIO_INTERRUPT_ACK, 4, isr);
	return isr;
}

bool virtio_board_line(const struct virtio_board *board)
{
	unsigned int gsi = VIRTIO_BOARD_PIN;

	if (board->kind == VIRTIO_BOARD_PCI)
		gsi = VIRTIO_BOARD_INTX + VIRTIO_BOARD_SLOT % 4;
	return board->fake.irq_level[gsi];
}

/* --- A driver ---------------------------------------------------------------
 */

static void virtio_board_add_status(struct virtio_board *board, uint8_t bits)
{
	virtio_board_set_status(board, virtio_board_status(board) | bits);
}

void virtio_board_negotiate(struct virtio_board *board, uint64_t features)
{
	virtio_board_set_status(board, 0);
	ck_assert_uint_eq(virtio_board_status(board), 0);
	virtio_board_add_status(board, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_board_add_status(board, VIRTIO_CONFIG_S_DRIVER);
	virtio_board_accept(board, 0, (uint32_t)features);
	virtio_board_accept(board, 1, (uint32_t)(features >> 32));
	virtio_board_add_status(board, VIRTIO_CONFIG_S_FEATURES_OK);
}

void virtio_board_set_up(struct virtio_board *board, uint32_t queue,
			 const struct virtqueue_config *config)
{
	virtio_board_select(board, queue);
	virtio_board_set_size(board, config->size);
	virtio_board_set_rings(board, config);
	virtio_board_enable(board);
}

void virtio_board_drive(struct virtio_board *board)
{
	virtio_board_add_status(board, VIRTIO_CONFIG_S_DRIVER_OK);
}

void virtio_board_start(struct virtio_board *board, uint64_t features)
{
	bool packed = features >> VIRTIO_F_RING_PACKED & 1;
	struct virtqueue_config config;

	virtio_board_negotiate(board, features);
	for (unsigned int i = 0; i < MOCK_DEVICE_QUEUES; i += 2) {
		config = virtio_guest_ring(board->guest, i, packed);
		virtio_board_set_up(board, i, &config);
	}
	virtio_board_drive(board);
}

void virtio_board_start_plain(struct virtio_board *board)
{
	virtio_board_start(board, UINT64_C(1) << VIRTIO_F_VERSION_1);
	ck_assert_uint_eq(virtio_board_status(board),
			  VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				  VIRTIO_CONFIG_S_FEATURES_OK |
				  VIRTIO_CONFIG_S_DRIVER_OK);
}

void virtio_board_exchange(struct virtio_board *board, unsigned int index,
			   const char *text)
{
	virtio_guest_ask(board->guest, index, text);
	virtio_board_notify(board, index);
	virtio_board_turn(board);
	ck_assert(virtio_guest_answered(board->guest, index, text));
	ck_assert(virtio_board_line(board));
	ck_assert_uint_eq(virtio_board_isr(board), 1);
	ck_assert(!virtio_board_line(board));
}

void virtio_board_expect_works(struct virtio_board *board)
{
	virtio_guest_free_rings(board->guest);
	virtio_board_start_plain(board);
	virtio_board_exchange(board, 0, "works");
}

void virtio_board_change_config(struct virtio_board *board)
{
	virtio_device_lock(board->device);
	virtio_device_config_changed(board->device);
	virtio_device_unlock(board->device);
}

void virtio_board_sleep(struct virtio_board *board)
{
	virtio_device_lock(board->device);
	ck_assert_int_eq(virtio_device_sleep_locked(board->device), 0);
	virtio_device_unlock(board->device);
}

void virtio_board_wake(struct virtio_board *board)
{
	virtio_device_lock(board->device);
	ck_assert_int_eq(virtio_device_wake_locked(board->device), 0);
	virtio_device_unlock(board->device);
}

json_t *virtio_board_save(struct virtio_board *board)
{
	json_t *state = NULL;

	ck_assert_int_eq(board->ops->save(board->self, &state), 0);
	return state;
}
