/*
 * A machine's devices, saved and restored: the four models and both transports
 * as they are, on a fake host, each with a driver that has used it. Only what
 * would be a tap or a child process is a pair of sockets.
 */
#include "vmm/devices.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pci/bus.h"
#include "tests/unit/support/fake_host.h"
#include "tests/unit/support/ring_driver.h"
#include "virtio/mmio.h"
#include "virtio/net_passt.h"
#include "vmm/base/log.h"

#define ECAM	  UINT64_C(0xe0000000)
#define MMIO_BASE UINT64_C(0xfeb00000)
#define RINGS	  0x10000 /* of device 0, queue 0; 64 KiB for each queue */
#define BUFFER	  0x200000
#define DEVICES	  4 /* block0, net0, console0, rng0: slots 1 to 4 */
#define QUEUES	  6 /* at most, of these */
#define ALIVE                                                   \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)

/* A machine as far as devices see it. */
struct board {
	struct fake_host fake;
	struct loop *loop;
	struct pci_bus *bus;
	struct irq_pin pin;
	unsigned int mmio_count;
	struct devices *devices;
	int console[2];
	uint64_t at[DEVICES]; /* of the registers */
};

static struct guest_mem *mem; /* what both boards' guest is in */
static struct board boards[2];
static struct board *making;
static struct ring_driver *drivers[DEVICES][QUEUES];
static struct virtio_block_options disk;
static struct virtio_net_options net;
static struct options options;
static char path[] = "/tmp/test_devices_state.XXXXXX";
static char mac[] = "52:54:00:12:34:56";
static bool mmio;
static int passt_peer; /* of the present board's network */
static struct error err;

static const unsigned int queue_counts[DEVICES] = {1, 2, 2, 1};

/* --- In place of the machine -----------------------------------------------
 */

struct pci_bus *arch_pci(struct arch *arch)
{
	(void)arch;
	return making->bus;
}

int arch_mmio_add(struct arch *arch, struct arch_mmio *out)
{
	(void)arch;
	*out = (struct arch_mmio){
		.base = MMIO_BASE + VIRTIO_MMIO_SIZE * making->mmio_count,
		.pin = &making->pin,
		.source = making->mmio_count,
	};
	making->mmio_count++;
	return 0;
}

int net_passt_new(const struct net_passt_options *passt,
		  struct starter **starter, struct error *e)
{
	(void)passt;
	(void)starter;
	(void)e;
	return 0;
}

void net_passt_end(int pid_fd)
{
	(void)pid_fd;
}

int net_passt_start(const char *option, struct starter *starter,
		    int fds[NET_USER_FDS], struct error *e)
{
	int pair[2];

	(void)option;
	(void)starter;
	(void)e;
	/* The other ends stay open until the process does. */
	for (unsigned int i = 0; i < NET_USER_FDS; i++) {
		ck_assert_int_eq(
			socketpair(AF_UNIX,
				   SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
				   0, pair),
			0);
		fds[i] = pair[0];
		if (i == NET_USER_STREAM)
			passt_peer = pair[1];
	}
	return 0;
}

int net_passt_parse(const char *option, const char *text,
		    struct net_passt_forward *out, struct error *e)
{
	(void)option;
	(void)text;
	(void)out;
	return error_set(e, EINVAL, "no forwards here");
}

static uint64_t get(struct board *board, uint64_t at, unsigned int size)
{
	return fake_host_read(&board->fake, BUS_MMIO, at, size);
}

static void put(struct board *board, uint64_t at, unsigned int size,
		uint64_t value)
{
	fake_host_write(&board->fake, BUS_MMIO, at, size, value);
}

static void board_open(struct board *board)
{
	const struct pci_bus_config bus = {
		.ecam = ECAM,
		.mem32 = {0xc0000000, 0x20000000},
		.mem64 = {UINT64_C(0x1000000000), UINT64_C(0x1000000000)},
		.gsi = 16,
	};

	fake_host_init(&board->fake);
	ck_assert_int_eq(loop_new(&board->loop), 0);
	ck_assert_int_eq(pci_bus_new(&board->bus, &board->fake.host, &bus), 0);
	irq_pin_init(&board->pin, &board->fake.host, 2);
	ck_assert_int_eq(socketpair(AF_UNIX,
				    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
				    0, board->console),
			 0);
}

/* Where the guest finds its devices. */
static void board_look(struct board *board)
{
	for (unsigned int i = 0; i < DEVICES; i++) {
		uint64_t config = ECAM + ((uint64_t)(i + 1) << 15);

		board->at[i] = MMIO_BASE + VIRTIO_MMIO_SIZE * i;
		if (!mmio)
			board->at[i] =
				(get(board, config + PCI_BASE_ADDRESS_0, 4) &
				 ~15u) |
				get(board, config + PCI_BASE_ADDRESS_1, 4)
					<< 32;
	}
}

static void board_init(struct board *board)
{
	const struct devices_machine machine = {
		.host = &board->fake.host,
		.loop = board->loop,
		.mem = mem,
	};
	const struct virtio_console_port port = {.fd = board->console[0]};
	const struct virtio_console_options console = {
		.common = disk.common,
		.ports = &port,
		.port_count = 1,
	};

	ck_assert_msg(devices_open(&board->devices, &options, &console, &err) ==
			      0,
		      "%s", err.text);
	making = board;
	ck_assert_msg(devices_create(board->devices, &machine, &err) == 0, "%s",
		      err.text);
}

static void board_fini(struct board *board)
{
	devices_free(board->devices);
	pci_bus_device_ops.free(board->bus);
	irq_pin_fini(&board->pin);
	loop_free(board->loop);
	ck_assert_uint_eq(fake_host_ranges(&board->fake), 0);
	ck_assert_uint_eq(board->fake.doorbell_count, 0);
	close(board->console[0]);
	close(board->console[1]);
}

/* --- A driver --------------------------------------------------------------
 */

struct reg {
	uint64_t pci;
	unsigned int size;
	uint64_t mmio;
};

static const struct reg reg_status = {VIRTIO_PCI_COMMON_STATUS, 1,
				      VIRTIO_MMIO_STATUS};
static const struct reg reg_accept_select = {VIRTIO_PCI_COMMON_GFSELECT, 4,
					     VIRTIO_MMIO_DRIVER_FEATURES_SEL};
static const struct reg reg_accept = {VIRTIO_PCI_COMMON_GF, 4,
				      VIRTIO_MMIO_DRIVER_FEATURES};
static const struct reg reg_select = {VIRTIO_PCI_COMMON_Q_SELECT, 2,
				      VIRTIO_MMIO_QUEUE_SEL};
static const struct reg reg_size = {VIRTIO_PCI_COMMON_Q_SIZE, 2,
				    VIRTIO_MMIO_QUEUE_NUM};
static const struct reg reg_desc = {VIRTIO_PCI_COMMON_Q_DESCLO, 4,
				    VIRTIO_MMIO_QUEUE_DESC_LOW};
static const struct reg reg_driver = {VIRTIO_PCI_COMMON_Q_AVAILLO, 4,
				      VIRTIO_MMIO_QUEUE_AVAIL_LOW};
static const struct reg reg_device = {VIRTIO_PCI_COMMON_Q_USEDLO, 4,
				      VIRTIO_MMIO_QUEUE_USED_LOW};
static const struct reg reg_enable = {VIRTIO_PCI_COMMON_Q_ENABLE, 2,
				      VIRTIO_MMIO_QUEUE_READY};

static void reg_write(struct board *board, unsigned int device,
		      const struct reg *reg, uint32_t value)
{
	put(board, board->at[device] + (mmio ? reg->mmio : reg->pci),
	    mmio ? 4 : reg->size, value);
}

static uint32_t status(struct board *board, unsigned int device)
{
	return (uint32_t)get(board,
			     board->at[device] +
				     (mmio ? reg_status.mmio : reg_status.pci),
			     mmio ? 4 : 1);
}

static void drive_queue(struct board *board, unsigned int device,
			unsigned int queue)
{
	const struct ring_driver_options ring = {
		.base = RINGS + 0x10000 * (2 * device + queue),
		.size = 16,
	};
	struct virtqueue_config config;

	drivers[device][queue] = ring_driver_new(mem, &ring);
	ring_driver_config(drivers[device][queue], &config);
	reg_write(board, device, &reg_select, queue);
	reg_write(board, device, &reg_size, config.size);
	/* All of it is below 4 GiB. */
	reg_write(board, device, &reg_desc, (uint32_t)config.desc);
	reg_write(board, device, &reg_driver, (uint32_t)config.driver);
	reg_write(board, device, &reg_device, (uint32_t)config.device);
	reg_write(board, device, &reg_enable, 1);
}

static void drive(struct board *board, unsigned int device)
{
	reg_write(board, device, &reg_status, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	reg_write(board, device, &reg_status,
		  VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	reg_write(board, device, &reg_accept_select, 1);
	reg_write(board, device, &reg_accept, 1u << (VIRTIO_F_VERSION_1 - 32));
	reg_write(board, device, &reg_status,
		  ALIVE & ~VIRTIO_CONFIG_S_DRIVER_OK);
	for (unsigned int i = 0; i < queue_counts[device]; i++)
		drive_queue(board, device, i);
	reg_write(board, device, &reg_status, ALIVE);
	ck_assert_uint_eq(status(board, device), ALIVE);
}

static void stop(void *ctx)
{
	loop_stop(ctx);
}

/* Let the loop call what is ready. */
static void turn(struct board *board)
{
	struct loop_timer *timer;

	ck_assert_int_eq(loop_timer_add(board->loop, &timer, stop, board->loop),
			 0);
	loop_timer_set(timer, 1000000);
	ck_assert_int_eq(loop_run(board->loop), 0);
	loop_timer_remove(timer);
}

static void offer(struct board *board, unsigned int device, unsigned int queue,
		  const struct ring_driver_chain *chain)
{
	const uint64_t notify =
		mmio ? VIRTIO_MMIO_QUEUE_NOTIFY : 0x3000 + 4 * queue;

	ck_assert_int_ge(ring_driver_add(drivers[device][queue], chain), 0);
	ring_driver_publish(drivers[device][queue]);
	put(board, board->at[device] + notify, mmio ? 4 : 2, queue);
}

/* Until one comes back; the case has a time limit. Return: what was written. */
static uint32_t await(struct board *board, unsigned int device,
		      unsigned int queue)
{
	struct ring_driver_used used;
	int ret;

	while ((ret = ring_driver_collect(drivers[device][queue], &used)) == 0)
		turn(board);
	ck_assert_int_eq(ret, 1);
	return used.len;
}

static void guest_write(uint64_t at, const void *data, size_t len)
{
	ck_assert_int_eq(guest_mem_write(mem, at, data, len), 0);
}

/* --- What it does with each ------------------------------------------------
 */

static void disk_do(struct board *board, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr header = {.type = type,
						 .sector = sector};
	const struct ring_driver_chain read = {
		.readable = {{BUFFER, sizeof(header)}},
		.readable_count = 1,
		.writable = {{BUFFER + 8192, 512}, {BUFFER + 12288, 1}},
		.writable_count = 2,
	};
	const struct ring_driver_chain write = {
		.readable = {{BUFFER, sizeof(header)}, {BUFFER + 4096, 512}},
		.readable_count = 2,
		.writable = {{BUFFER + 12288, 1}},
		.writable_count = 1,
	};
	uint8_t result = 0xee;

	guest_write(BUFFER, &header, sizeof(header));
	guest_write(BUFFER + 12288, &result, 1);
	offer(board, 0, 0, type == VIRTIO_BLK_T_OUT ? &write : &read);
	await(board, 0, 0);
	ck_assert_int_eq(guest_mem_read(mem, BUFFER + 12288, &result, 1), 0);
	ck_assert_uint_eq(result, VIRTIO_BLK_S_OK);
}

/* What one round writes, the next one reads. */
static void use_disk(struct board *board, uint64_t round)
{
	char text[512] = "", found[512];

	if (round > 0) {
		snprintf(text, sizeof(text), "round %d", (int)round - 1);
		disk_do(board, VIRTIO_BLK_T_IN, round - 1);
		ck_assert_int_eq(guest_mem_read(mem, BUFFER + 8192, found,
						sizeof(found)),
				 0);
		ck_assert_str_eq(found, text);
	}
	snprintf(text, sizeof(text), "round %d", (int)round);
	guest_write(BUFFER + 4096, text, sizeof(text));
	disk_do(board, VIRTIO_BLK_T_OUT, round);
}

/* A buffer waits for the frame that comes in the next round. */
static void use_net(struct board *board, uint64_t round)
{
	const struct ring_driver_chain in = {
		.writable = {{BUFFER + 0x10000, 2048}},
		.writable_count = 1,
	};
	const struct ring_driver_chain out = {
		.readable = {{BUFFER + 0x20000, 12 + 60}},
		.readable_count = 1,
	};
	/* To everybody, as passt frames it: the length first. */
	uint8_t frame[4 + 60] = {0,    0,    0,	   60,	 0xff,
				 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t found[64];

	if (round > 0) {
		frame[63] = (uint8_t)round;
		ck_assert_int_eq(send(passt_peer, frame, sizeof(frame), 0),
				 sizeof(frame));
		ck_assert_uint_eq(await(board, 1, 0), 12 + 60);
		ck_assert_int_eq(
			guest_mem_read(mem, BUFFER + 0x10000 + 12, found, 60),
			0);
		ck_assert_mem_eq(found, frame + 4, 60);
	}
	offer(board, 1, 0, &in);
	guest_write(BUFFER + 0x20000 + 12, frame + 4, 60);
	offer(board, 1, 1, &out);
	await(board, 1, 1);
	ck_assert_int_eq(recv(passt_peer, found, sizeof(found), 0), 64);
	ck_assert_mem_eq(found, frame, 64);
}

static void use_console(struct board *board, uint64_t round)
{
	const struct ring_driver_chain in = {
		.writable = {{BUFFER + 0x30000, 64}},
		.writable_count = 1,
	};
	const struct ring_driver_chain out = {
		.readable = {{BUFFER + 0x31000, 5}},
		.readable_count = 1,
	};
	char found[8] = "";

	if (round > 0) {
		ck_assert_int_eq(send(board->console[1], "typed", 5, 0), 5);
		ck_assert_uint_eq(await(board, 2, 0), 5);
		ck_assert_int_eq(
			guest_mem_read(mem, BUFFER + 0x30000, found, 5), 0);
		ck_assert_str_eq(found, "typed");
	}
	offer(board, 2, 0, &in);
	guest_write(BUFFER + 0x31000, "hello", 5);
	offer(board, 2, 1, &out);
	await(board, 2, 1);
	ck_assert_int_eq(recv(board->console[1], found, 5, 0), 5);
	ck_assert_str_eq(found, "hello");
}

static void use_rng(struct board *board)
{
	const struct ring_driver_chain in = {
		.writable = {{BUFFER + 0x40000, 32}},
		.writable_count = 1,
	};

	offer(board, 3, 0, &in);
	ck_assert_uint_eq(await(board, 3, 0), 32);
}

static void use(struct board *board, uint64_t round)
{
	use_disk(board, round);
	use_net(board, round);
	use_console(board, round);
	use_rng(board);
	for (unsigned int i = 0; i < DEVICES; i++)
		ck_assert_uint_eq(status(board, i), ALIVE);
}

/* --- Fixture ---------------------------------------------------------------
 */

static void setup(bool on_mmio)
{
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 65536), 0);
	close(fd);
	mmio = on_mmio;
	disk = (struct virtio_block_options){.file = path, .queues = 1};
	net = (struct virtio_net_options){
		.kind = VIRTIO_NET_USER,
		.mac = mac,
		.queues = 1,
	};
	options = (struct options){.rng_use = OPTIONS_RNG_ON};
	disk.common.transport = net.common.transport =
		options.rng.common.transport =
			mmio ? VIRTIO_TRANSPORT_MMIO : VIRTIO_TRANSPORT_PCI;
	options.disks.items = &disk;
	options.disks.count = 1;
	options.nets.items = &net;
	options.nets.count = 1;
	mem = ring_driver_mem(4);
}

static void setup_pci(void)
{
	setup(false);
}

static void setup_mmio(void)
{
	setup(true);
}

static void teardown(void)
{
	for (unsigned int i = 0; i < DEVICES; i++)
		for (unsigned int j = 0; j < queue_counts[i]; j++)
			ring_driver_free(drivers[i][j]);
	guest_mem_free(mem);
	unlink(path);
}

/* --- Cases -----------------------------------------------------------------
 */

static json_t *save(struct board *board)
{
	json_t *state = NULL;

	ck_assert_msg(devices_save(board->devices, &state, &err) == 0, "%s",
		      err.text);
	return state;
}

/* Another process in all but name: nothing but the guest's memory, the image
 * and the state passes. */
START_TEST(devices_restore_real_ones_go_on)
{
	struct board *from = &boards[0], *to = &boards[1];
	json_t *bus, *state, *again;

	board_open(from);
	board_init(from);
	ck_assert_int_eq(pci_bus_assign(from->bus, NULL), 0);
	board_look(from);
	for (unsigned int i = 0; i < DEVICES; i++)
		drive(from, i);
	for (uint64_t round = 0; round < 20; round++)
		use(from, round);
	ck_assert_msg(devices_sleep(from->devices, &err) == 0, "%s", err.text);
	state = save(from);
	ck_assert_uint_eq(json_object_size(state), DEVICES);
	ck_assert_int_eq(pci_bus_device_ops.save(from->bus, &bus), 0);
	board_fini(from);

	board_open(to);
	board_init(to);
	ck_assert_msg(devices_sleep(to->devices, &err) == 0, "%s", err.text);
	ck_assert_msg(pci_bus_device_ops.restore(to->bus, bus, &err) == 0, "%s",
		      err.text);
	ck_assert_msg(devices_restore(to->devices, state, &err) == 0, "%s",
		      err.text);
	again = save(to);
	ck_assert(json_equal(state, again));
	ck_assert_msg(devices_wake(to->devices, &err) == 0, "%s", err.text);
	board_look(to);
	for (uint64_t round = 20; round < 40; round++)
		use(to, round);
	board_fini(to);
	json_decref(state);
	json_decref(again);
	json_decref(bus);
}
END_TEST

static void add_cases(Suite *suite, const char *name, SFun set_up)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, set_up, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, devices_restore_real_ones_go_on);
	suite_add_tcase(suite, tcase);
}

int main(void)
{
	Suite *suite = suite_create("devices_state");
	SRunner *runner = srunner_create(suite);
	int failed;

	log_set_level(LOG_ERROR);
	add_cases(suite, "pci", setup_pci);
	add_cases(suite, "mmio", setup_mmio);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
