/*
 * The console device: bytes both ways, readers that stall, the control
 * protocol, and guests that get it wrong.
 */
#include "virtio/console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <check.h>

#include "tests/unit/support/model_driver.h"
#include "virtio/options.h"
#include "vmm/base/bytes.h"

#define RX	   0 /* of port 0 */
#define TX	   1
#define CONTROL_RX 2
#define CONTROL_TX 3
#define RX1	   4 /* of port 1 */
#define TX1	   5

#define F_SIZE	    (UINT64_C(1) << 0)
#define F_MULTIPORT (UINT64_C(1) << 1)
#define F_EMERG	    (UINT64_C(1) << 2)

#define MIB (1u << 20)

/* Events of 5.3.6.2. */
enum {
	DEVICE_READY,
	DEVICE_ADD,
	DEVICE_REMOVE,
	PORT_READY,
	CONSOLE_PORT,
	RESIZE,
	PORT_OPEN,
	PORT_NAME,
};

struct control {
	le32 id;
	le16 event, value;
};

static struct model_driver guest;
static struct virtio_console_port ports[VIRTIO_CONSOLE_PORTS_MAX];
static struct virtio_console_options options;
static int ends[VIRTIO_CONSOLE_PORTS_MAX]; /* main's */

/* A port for each name; NULL: a console. */
static void make(const char *const *names, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		int fds[2];

		ck_assert_int_eq(
			socketpair(AF_UNIX,
				   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
				   0, fds),
			0);
		ends[i] = fds[0];
		ports[i] = (struct virtio_console_port){fds[1], names[i]};
	}
	options = (struct virtio_console_options){.ports = ports,
						  .port_count = count};
	model_driver_init(&guest, &virtio_console_ops, &options);
	/* The device has its own. */
	for (unsigned int i = 0; i < count; i++)
		close(ports[i].fd);
}

static void make_lone(void)
{
	static const char *const names[] = {NULL};

	make(names, 1);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
}

/* hvc0, a port "agent", hvc1. */
static void make_three(void)
{
	static const char *const names[] = {NULL, "agent", NULL};

	make(names, 3);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
}

static void finish(void)
{
	model_driver_fini(&guest);
	for (size_t i = 0; i < options.port_count; i++)
		close(ends[i]);
}

static void type(unsigned int port, const char *text)
{
	ck_assert_int_eq(write(ends[port], text, strlen(text)), strlen(text));
	model_driver_settle(&guest);
}

/* What has arrived at main's end, as text. */
static const char *printed(unsigned int port)
{
	static char text[256];
	ssize_t len;

	model_driver_settle(&guest);
	len = read(ends[port], text, sizeof(text) - 1);
	ck_assert(len > 0 || (len < 0 && errno == EAGAIN));
	text[len > 0 ? len : 0] = '\0';
	return text;
}

/* A buffer for input; where it is. */
static uint64_t give(unsigned int queue, uint32_t len)
{
	uint64_t gpa = model_driver_alloc(&guest, len);

	model_driver_give(&guest, queue, gpa, len, true);
	model_driver_settle(&guest);
	return gpa;
}

static bool nothing_used(unsigned int queue)
{
	struct ring_driver_used used;

	model_driver_settle(&guest);
	return ring_driver_collect(guest.rings[queue], &used) == 0;
}

static void got(unsigned int queue, uint64_t gpa, const char *text)
{
	struct ring_driver_used used = model_driver_collect(&guest, queue);

	ck_assert_uint_eq(used.len, strlen(text));
	ck_assert_mem_eq(model_driver_host(&guest, gpa, used.len), text,
			 used.len);
}

/* --- Bytes ------------------------------------------------------------- */

static void echo(bool packed)
{
	static const char *const names[] = {NULL};
	uint64_t gpa;

	make(names, 1);
	guest.packed = packed;
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	model_driver_send(&guest, TX, "hello, ", 7);
	model_driver_send(&guest, TX, "world", 5);
	ck_assert_str_eq(printed(0), "hello, world");
	ck_assert_uint_eq(model_driver_collect(&guest, TX).len, 0);
	ck_assert_uint_eq(model_driver_collect(&guest, TX).len, 0);
	gpa = give(RX, 4096);
	ck_assert(nothing_used(RX));
	type(0, "ls\n");
	got(RX, gpa, "ls\n");
	finish();
}

START_TEST(queue_ready_both_ways_bytes_pass)
{
	echo(false);
}
END_TEST

START_TEST(queue_ready_packed_ring_bytes_pass)
{
	echo(true);
}
END_TEST

START_TEST(queue_ready_input_without_buffers_waits)
{
	uint64_t first, second;

	make_lone();
	type(0, "abcdefgh");
	first = give(RX, 3);
	got(RX, first, "abc");
	second = give(RX, 100);
	got(RX, second, "defgh");
	ck_assert(nothing_used(RX));
	finish();
}
END_TEST

START_TEST(queue_ready_empty_output_is_given_back)
{
	make_lone();
	model_driver_give(&guest, TX, model_driver_alloc(&guest, 16), 0, false);
	ck_assert_uint_eq(model_driver_collect(&guest, TX).len, 0);
	ck_assert_str_eq(printed(0), "");
	finish();
}
END_TEST

/* --- Large and slow ---------------------------------------------------- */

static uint8_t pattern(uint64_t offset)
{
	return (uint8_t)(offset * 7 + (offset >> 8) * 13 + (offset >> 16));
}

/* A chain for the device to read: count times the same bytes. */
static void print_pattern(uint32_t len, unsigned int count)
{
	struct ring_driver_chain chain = {.readable_count = count};
	uint64_t gpa = model_driver_alloc(&guest, len);
	uint8_t *host = model_driver_host(&guest, gpa, len);

	for (uint32_t i = 0; i < len; i++)
		host[i] = pattern(i);
	for (unsigned int i = 0; i < count; i++)
		chain.readable[i] = (struct ring_driver_buffer){gpa, len};
	ck_assert_int_ge(ring_driver_add(guest.rings[TX], &chain), 0);
	model_driver_kick(&guest, TX);
}

struct reader {
	uint32_t len;	  /* of one repetition */
	uint64_t at, end; /* bytes read, and to be read */
};

/* A model_driver_wait() condition: read what there is. */
static bool read_pattern(void *ctx)
{
	static uint8_t data[262144];
	struct reader *reader = ctx;
	ssize_t len;

	while ((len = read(ends[0], data, sizeof(data))) > 0) {
		bool same = true;

		/* Check makes a note of each assertion, which takes long. */
		for (ssize_t i = 0; i < len; i++)
			same &= data[i] == pattern((reader->at + (uint64_t)i) %
						   reader->len);
		ck_assert(same);
		reader->at += (uint64_t)len;
	}
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_uint_le(reader->at, reader->end);
	return reader->at == reader->end;
}

static void read_all(uint32_t len, unsigned int count, uint64_t from)
{
	struct reader reader = {len, from, (uint64_t)len * count};

	ck_assert(model_driver_wait(&guest, read_pattern, &reader));
	model_driver_settle(&guest);
	ck_assert(read_pattern(&reader)); /* and no more than that */
}

START_TEST(queue_ready_stalled_reader_gets_all_of_it_later)
{
	uint64_t gpa;

	make_lone();
	print_pattern(4 * MIB, 1);
	ck_assert(nothing_used(TX));
	/* Input goes on. */
	gpa = give(RX, 100);
	type(0, "still here");
	got(RX, gpa, "still here");
	ck_assert(nothing_used(TX));
	read_all(4 * MIB, 1, 0);
	ck_assert_uint_eq(model_driver_collect(&guest, TX).len, 0);
	finish();
}
END_TEST

/* Others get their turn, however much there is to print. */
START_TEST(queue_ready_one_turn_prints_so_much_and_no_more)
{
	int waiting = 0;

	make_lone();
	print_pattern(4 * MIB, 1);
	loop_timer_set(guest.turn, 0);
	ck_assert_int_eq(loop_run(guest.loop), 0);
	ck_assert_int_eq(ioctl(ends[0], FIONREAD, &waiting), 0);
	ck_assert_int_gt(waiting, 0);
	ck_assert_int_le(waiting, 65536);
	finish();
}
END_TEST

/* Hostile 30: 64 MiB in one buffer, to a reader that does read. */
START_TEST(queue_ready_huge_output_passes_in_pieces)
{
	make_lone();
	print_pattern(16 * MIB, 4);
	read_all(16 * MIB, 4, 0);
	ck_assert_uint_eq(model_driver_collect(&guest, TX).len, 0);
	finish();
}
END_TEST

/* Hostile 30: 1 GiB for input; and then room for a few bytes beside it. */
START_TEST(queue_ready_huge_input_buffer_gets_what_there_is)
{
	struct ring_driver_chain chain = {.writable_count = 64};
	uint64_t gpa;

	make_lone();
	gpa = model_driver_alloc(&guest, 16 * MIB);
	for (unsigned int i = 0; i < 64; i++)
		chain.writable[i] = (struct ring_driver_buffer){gpa, 16 * MIB};
	ck_assert_int_ge(ring_driver_add(guest.rings[RX], &chain), 0);
	model_driver_kick(&guest, RX);
	type(0, "little");
	got(RX, gpa, "little");
	finish();
}
END_TEST

/* Hostile 30: as many buffers as there is room for, and nobody reads. */
START_TEST(queue_ready_flood_without_reader_leaves_the_loop_alone)
{
	uint64_t gpa;
	unsigned int sent = 0;
	struct ring_driver_used used;
	clock_t cpu;

	make_lone();
	gpa = model_driver_alloc(&guest, 65536);
	while (ring_driver_room(guest.rings[TX])) {
		model_driver_give(&guest, TX, gpa, 65536, false);
		sent++;
	}
	model_driver_settle(&guest);
	while (ring_driver_collect(guest.rings[TX], &used) == 1)
		sent--;
	ck_assert_uint_gt(sent, 64); /* they wait, in the guest's memory */
	cpu = clock();
	loop_timer_set(guest.turn, 300 * 1000 * 1000);
	ck_assert_int_eq(loop_run(guest.loop), 0);
	ck_assert_int_lt(clock() - cpu, CLOCKS_PER_SEC / 10);
	finish();
}
END_TEST

START_TEST(queue_ready_reader_that_is_gone_holds_nothing_up)
{
	clock_t cpu;

	make_lone();
	print_pattern(4 * MIB, 1);
	ck_assert(nothing_used(TX));
	close(ends[0]);
	ends[0] = -1;
	ck_assert_uint_eq(model_driver_collect(&guest, TX).len, 0);
	give(RX, 100);
	ck_assert(nothing_used(RX));
	model_driver_send(&guest, TX, "x", 1);
	ck_assert_uint_eq(model_driver_collect(&guest, TX).len, 0);
	/* A hang-up is not reported again and again. */
	cpu = clock();
	loop_timer_set(guest.turn, 300 * 1000 * 1000);
	ck_assert_int_eq(loop_run(guest.loop), 0);
	ck_assert_int_lt(clock() - cpu, CLOCKS_PER_SEC / 10);
	ck_assert_uint_eq(guest.needs_resets, 0);
	finish();
}
END_TEST

/* --- A guest that gets it wrong ---------------------------------------- */

static void broken(unsigned int queue, uint32_t len, bool writable)
{
	static const char *const names[] = {NULL, "x"};
	uint64_t gpa;

	make(names, 2);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	model_driver_give(&guest, queue, model_driver_alloc(&guest, 16), len,
			  writable);
	type(0, "wake");
	model_driver_send(&guest, CONTROL_TX,
			  &(struct control){.value = le16_of(1)}, 8);
	model_driver_settle(&guest);
	ck_assert_uint_eq(guest.needs_resets, 1);
	/* It takes nothing more ... */
	model_driver_send(&guest, TX, "no", 2);
	ck_assert_str_eq(printed(0), "");
	/* ... and works again after a reset. */
	model_driver_reset(&guest);
	model_driver_start(&guest, F_SIZE);
	model_driver_send(&guest, TX, "yes", 3);
	ck_assert_str_eq(printed(0), "yes");
	gpa = give(RX, 16);
	got(RX, gpa, "wake");
	ck_assert_uint_eq(guest.needs_resets, 1);
	finish();
}

START_TEST(queue_ready_wrong_direction_needs_reset)
{
	broken(TX, 16, true);
	broken(CONTROL_TX, 16, true);
	broken(CONTROL_RX, 16, false);
	broken(CONTROL_RX, 0, true);
	broken(CONTROL_RX, 7, true);
	broken(TX1, 16, true);
}
END_TEST

START_TEST(queue_ready_input_queue_abused_needs_reset)
{
	for (unsigned int i = 0; i < 2; i++) {
		make_lone();
		model_driver_give(&guest, RX, model_driver_alloc(&guest, 16),
				  i ? 0 : 16, i);
		type(0, "x");
		ck_assert_uint_eq(guest.needs_resets, 1);
		finish();
	}
}
END_TEST

/* --- Configuration ----------------------------------------------------- */

static void config(unsigned int offset, void *data, size_t len)
{
	virtio_device_lock(guest.device);
	virtio_device_read_config_locked(guest.device, offset, data, len);
	virtio_device_unlock(guest.device);
}

static void set_config(unsigned int offset, const void *data, size_t len)
{
	virtio_device_lock(guest.device);
	virtio_device_write_config_locked(guest.device, offset, data, len);
	virtio_device_unlock(guest.device);
}

START_TEST(features_lone_console_is_without_multiport)
{
	make_lone();
	ck_assert_uint_eq(virtio_device_features(guest.device) & 7,
			  F_SIZE | F_EMERG);
	ck_assert_uint_eq(virtio_device_queues(guest.device), 2);
	finish();
	make_three();
	ck_assert_uint_eq(virtio_device_features(guest.device) & 7,
			  F_SIZE | F_EMERG | F_MULTIPORT);
	ck_assert_uint_eq(virtio_device_queues(guest.device), 8);
	finish();
}
END_TEST

START_TEST(write_config_emergency_goes_out_in_any_state)
{
	static const char *const names[] = {NULL};

	make(names, 1);
	set_config(8, "E\0\0", 4);
	ck_assert_str_eq(printed(0), "E");
	set_config(8, "f", 1);
	ck_assert_str_eq(printed(0), "f");
	set_config(0, "abcdefgh", 8);
	set_config(9, "abc", 3);
	set_config(12, "abcd", 4);
	ck_assert_str_eq(printed(0), "");
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	set_config(8, "g", 1);
	ck_assert_str_eq(printed(0), "g");
	finish();
}
END_TEST

static int resize(json_t *args, struct error *err)
{
	*err = (struct error){""};
	return model_driver_command(&guest, "size", args, err);
}

START_TEST(command_size_changes_configuration)
{
	uint8_t wanted[16] = {100, 0, 40, 0, 1};
	struct error err;
	uint8_t data[16];

	make_lone();
	ck_assert_int_eq(
		resize(json_pack("{s:i, s:i}", "cols", 100, "rows", 40), &err),
		0);
	ck_assert_uint_eq(guest.config_changes, 1);
	memset(data, 0xff, sizeof(data));
	config(0, data, sizeof(data));
	ck_assert_mem_eq(data, wanted, sizeof(data));
	/* The same again is no change. */
	ck_assert_int_eq(resize(json_pack("{s:i, s:i, s:i}", "port", 0, "cols",
					  100, "rows", 40),
				&err),
			 0);
	ck_assert_uint_eq(guest.config_changes, 1);
	finish();
}
END_TEST

/* How often a driver that prints for a while hears of the size. */
static unsigned int reminders(const char *const *names, unsigned int count,
			      int cols, uint64_t features)
{
	unsigned int before;
	struct error err;

	make(names, count);
	resize(json_pack("{s:i, s:i}", "cols", cols, "rows", 40), &err);
	before = guest.config_changes;
	model_driver_start(&guest, features);
	for (unsigned int i = 0; i < 20; i++) {
		model_driver_send(&guest, TX, "x", 1);
		model_driver_settle(&guest);
	}
	ck_assert_uint_eq(strlen(printed(0)), 20);
	before = guest.config_changes - before;
	finish();
	return before;
}

START_TEST(queue_ready_known_size_is_told_with_output)
{
	static const char *const names[] = {NULL, NULL};

	/* Right away; perhaps again, on a slow machine; never each time. */
	ck_assert_uint_ge(reminders(names, 1, 100, F_SIZE), 1);
	ck_assert_uint_le(reminders(names, 1, 100, F_SIZE), 10);
	ck_assert_uint_eq(reminders(names, 1, 0, F_SIZE), 0);
	ck_assert_uint_eq(reminders(names, 1, 100, F_EMERG), 0);
	ck_assert_uint_eq(reminders(names, 2, 100, MODEL_DRIVER_ALL), 0);
}
END_TEST

START_TEST(command_bad_arguments_are_refused)
{
	struct error err;

	make_three();
	ck_assert_int_eq(resize(json_pack("{s:i}", "cols", 1), &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "rows"));
	ck_assert_int_eq(
		resize(json_pack("{s:i, s:i}", "cols", 65536, "rows", 1), &err),
		-EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "cols"));
	ck_assert_int_eq(resize(json_pack("{s:i, s:i, s:i}", "cols", 1, "rows",
					  1, "port", 3),
				&err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "0 to 2"));
	ck_assert_int_eq(resize(json_pack("{s:i, s:i, s:i}", "cols", 1, "rows",
					  1, "port", 1),
				&err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "agent"));
	ck_assert_int_eq(resize(json_string("big"), &err), -EINVAL);
	ck_assert_int_eq(
		model_driver_command(&guest, "paint", json_object(), &err),
		-EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err.text, "paint"));
	ck_assert_uint_eq(guest.config_changes, 0);
	finish();
}
END_TEST

/* --- Ports ------------------------------------------------------------- */

static void say(uint32_t id, uint16_t event, uint16_t value)
{
	const struct control control = {le32_of(id), le16_of(event),
					le16_of(value)};

	model_driver_send(&guest, CONTROL_TX, &control, sizeof(control));
	ck_assert_uint_eq(model_driver_collect(&guest, CONTROL_TX).len, 0);
	model_driver_settle(&guest);
}

static uint64_t control_buffers[64];
static unsigned int control_next;

static void give_controls(unsigned int count)
{
	control_next = 0;
	for (unsigned int i = 0; i < count; i++)
		control_buffers[i] = give(CONTROL_RX, 128);
}

/* The next message is this one. */
static void hear(uint32_t id, uint16_t event, uint16_t value, const char *more,
		 size_t more_len)
{
	struct ring_driver_used used = model_driver_collect(&guest, CONTROL_RX);
	const uint8_t *data =
		model_driver_host(&guest, control_buffers[control_next++], 128);
	struct control control;

	memcpy(&control, data, sizeof(control));
	ck_assert_uint_eq(le32_get(control.id), id);
	ck_assert_uint_eq(le16_get(control.event), event);
	ck_assert_uint_eq(le16_get(control.value), value);
	ck_assert_uint_eq(used.len, sizeof(control) + more_len);
	if (more_len)
		ck_assert_mem_eq(data + sizeof(control), more, more_len);
}

START_TEST(control_handshake_announces_ports_in_order)
{
	struct error err;
	uint8_t data[4];

	make_three();
	config(4, data, 4);
	ck_assert_mem_eq(data, "\3\0\0\0", 4);
	ck_assert_int_eq(resize(json_pack("{s:i, s:i, s:i}", "port", 2, "cols",
					  132, "rows", 50),
				&err),
			 0);
	give_controls(32);
	ck_assert(nothing_used(CONTROL_RX));
	say(0, DEVICE_READY, 1);
	for (unsigned int i = 0; i < 3; i++)
		hear(i, DEVICE_ADD, 1, NULL, 0);
	say(0, PORT_READY, 1);
	hear(0, CONSOLE_PORT, 1, NULL, 0);
	hear(0, PORT_OPEN, 1, NULL, 0);
	say(1, PORT_READY, 1);
	hear(1, PORT_NAME, 1, "agent", 5);
	hear(1, PORT_OPEN, 1, NULL, 0);
	say(2, PORT_READY, 1);
	hear(2, CONSOLE_PORT, 1, NULL, 0);
	hear(2, RESIZE, 0, "\204\0\62\0", 4);
	hear(2, PORT_OPEN, 1, NULL, 0);
	/* A later change is told at once. */
	ck_assert_int_eq(
		resize(json_pack("{s:i, s:i}", "cols", 80, "rows", 25), &err),
		0);
	hear(0, RESIZE, 0, "\120\0\31\0", 4);
	ck_assert(nothing_used(CONTROL_RX));
	finish();
}
END_TEST

static void ready(void)
{
	give_controls(32);
	say(0, DEVICE_READY, 1);
	for (unsigned int i = 0; i < 3; i++)
		say(i, PORT_READY, 1);
}

START_TEST(control_input_waits_until_the_port_is_open)
{
	uint64_t gpa;

	make_three();
	ready();
	gpa = give(RX1, 64);
	type(1, "are you there");
	ck_assert(nothing_used(RX1));
	say(1, PORT_OPEN, 1);
	got(RX1, gpa, "are you there");
	/* And again once it is closed; output does not care. */
	say(1, PORT_OPEN, 0);
	gpa = give(RX1, 64);
	type(1, "gone");
	ck_assert(nothing_used(RX1));
	model_driver_send(&guest, TX1, "bye", 3);
	ck_assert_str_eq(printed(1), "bye");
	finish();
}
END_TEST

START_TEST(control_not_negotiated_port_0_works_alone)
{
	static const char *const names[] = {NULL, "agent"};
	uint64_t gpa;

	make(names, 2);
	model_driver_start(&guest, F_SIZE);
	give_controls(4);
	gpa = give(RX, 64);
	type(0, "in");
	got(RX, gpa, "in");
	model_driver_send(&guest, TX, "out", 3);
	ck_assert_str_eq(printed(0), "out");
	model_driver_send(&guest, TX1, "not a port", 10);
	ck_assert_str_eq(printed(1), "");
	ck_assert(nothing_used(CONTROL_RX));
	finish();
}
END_TEST

START_TEST(control_nonsense_changes_nothing)
{
	make_three();
	give_controls(32);
	say(0, PORT_READY, 1); /* before DEVICE_READY */
	say(1, PORT_OPEN, 1);
	say(0, DEVICE_READY, 0);
	model_driver_send(&guest, CONTROL_TX, "short", 5);
	model_driver_collect(&guest, CONTROL_TX);
	ck_assert(nothing_used(CONTROL_RX));
	say(0xffffffff, DEVICE_READY, 1); /* its id is not looked at */
	for (unsigned int i = 0; i < 3; i++)
		hear(i, DEVICE_ADD, 1, NULL, 0);
	say(3, PORT_READY, 1);
	say(0xffffffff, PORT_READY, 1);
	say(0x80000000, PORT_OPEN, 1);
	say(1, PORT_OPEN, 1); /* before PORT_READY */
	say(1, PORT_READY, 0);
	say(0, DEVICE_ADD, 1);
	say(0, DEVICE_REMOVE, 1);
	say(0, CONSOLE_PORT, 1);
	say(0, RESIZE, 1);
	say(0, PORT_NAME, 1);
	say(0, 8, 1);
	say(0, 0xffff, 0xffff);
	ck_assert(nothing_used(CONTROL_RX));
	ck_assert_uint_eq(guest.needs_resets, 0);
	say(1, PORT_READY, 1);
	hear(1, PORT_NAME, 1, "agent", 5);
	hear(1, PORT_OPEN, 1, NULL, 0);
	finish();
}
END_TEST

/* However often the guest asks, it is told once. */
START_TEST(control_flood_without_buffers_is_bounded)
{
	make_three();
	for (unsigned int i = 0; i < 100; i++)
		say(0, DEVICE_READY, 1);
	give_controls(3);
	for (unsigned int i = 0; i < 3; i++)
		hear(i, DEVICE_ADD, 1, NULL, 0);
	give_controls(3);
	say(0, DEVICE_READY, 1);
	ck_assert(nothing_used(CONTROL_RX));
	for (unsigned int i = 0; i < 300; i++)
		say(i % 3, PORT_READY, 1);
	for (unsigned int i = 3; i < 32; i++)
		control_buffers[i] = give(CONTROL_RX, 128);
	hear(0, CONSOLE_PORT, 1, NULL, 0);
	hear(0, PORT_OPEN, 1, NULL, 0);
	hear(1, PORT_NAME, 1, "agent", 5);
	hear(1, PORT_OPEN, 1, NULL, 0);
	hear(2, CONSOLE_PORT, 1, NULL, 0);
	hear(2, PORT_OPEN, 1, NULL, 0);
	ck_assert(nothing_used(CONTROL_RX));
	finish();
}
END_TEST

/* --- Opening ----------------------------------------------------------- */

static void refused(const char *const *names, size_t count, const char *text)
{
	const struct virtio_open args = {.option = "--console",
					 .options = &options};
	struct virtio_resources resources = {.fd_count = 0};
	struct error err = {""};

	for (size_t i = 0; i < count && i < VIRTIO_CONSOLE_PORTS_MAX; i++)
		ports[i] = (struct virtio_console_port){0, names[i]};
	options = (struct virtio_console_options){.ports = ports,
						  .port_count = count};
	ck_assert_int_lt(virtio_console_ops.open(&args, &resources, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, text));
	virtio_resources_fini(&resources);
}

START_TEST(open_unfit_names_are_refused)
{
	char long_name[VIRTIO_CONSOLE_NAME_MAX + 2];

	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	refused((const char *[]){"a/b"}, 1, "a/b");
	refused((const char *[]){".."}, 1, "dot");
	refused((const char *[]){""}, 1, "letters");
	refused((const char *[]){long_name}, 1, "letters");
	refused((const char *[]){"one", NULL, "one"}, 3, "two ports");
	refused(NULL, 0, "found 0");
	refused((const char *[9]){NULL}, 9, "found 9");
}
END_TEST

START_TEST(keep_fds_names_each_port)
{
	int fds[VIRTIO_DEVICE_FDS_MAX];
	unsigned int count;

	make_three();
	count = virtio_device_keep_fds(guest.device, fds);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(fds[count - 3 + i], guest.resources.fds[i]);
	finish();
}
END_TEST

/* --- Sleep, save, reset ------------------------------------------------ */

START_TEST(restore_half_printed_buffer_is_neither_lost_nor_doubled)
{
	struct reader reader = {4 * MIB, 0, 4 * MIB};
	struct error err = {""};
	json_t *first, *second;

	make_lone();
	print_pattern(4 * MIB, 1);
	model_driver_settle(&guest);
	ck_assert(!read_pattern(&reader));
	model_driver_settle(&guest);
	ck_assert_uint_gt(reader.at, 0);
	model_driver_sleep(&guest);
	first = model_driver_snapshot(&guest);
	model_driver_replace(&guest);
	model_driver_sleep(&guest);
	ck_assert_msg(model_driver_restore(&guest, first, &err) == 0, "%s",
		      err.text);
	second = model_driver_snapshot(&guest);
	ck_assert(json_equal(first, second));
	model_driver_wake(&guest);
	read_all(4 * MIB, 1, reader.at);
	ck_assert_uint_eq(model_driver_collect(&guest, TX).len, 0);
	/* The next one is printed from its beginning. */
	model_driver_send(&guest, TX, "next", 4);
	ck_assert_str_eq(printed(0), "next");
	json_decref(first);
	json_decref(second);
	finish();
}
END_TEST

START_TEST(sleep_nothing_moves_until_wake)
{
	uint64_t gpa;

	make_lone();
	gpa = give(RX, 64);
	model_driver_sleep(&guest);
	type(0, "early");
	model_driver_send(&guest, TX, "bird", 4);
	ck_assert_str_eq(printed(0), "");
	ck_assert(nothing_used(RX));
	model_driver_wake(&guest);
	got(RX, gpa, "early");
	ck_assert_str_eq(printed(0), "bird");
	finish();
}
END_TEST

START_TEST(restore_port_states_are_kept)
{
	struct error err = {""};
	json_t *state;
	uint64_t gpa;

	make_three();
	give_controls(4);
	say(0, DEVICE_READY, 1);
	say(1, PORT_READY, 1); /* its OPEN waits for a buffer */
	say(1, PORT_OPEN, 1);
	for (unsigned int i = 0; i < 3; i++)
		hear(i, DEVICE_ADD, 1, NULL, 0);
	hear(1, PORT_NAME, 1, "agent", 5);
	model_driver_sleep(&guest);
	state = model_driver_snapshot(&guest);
	model_driver_replace(&guest);
	model_driver_sleep(&guest);
	ck_assert_int_eq(model_driver_restore(&guest, state, &err), 0);
	model_driver_wake(&guest);
	give_controls(4);
	hear(1, PORT_OPEN, 1, NULL, 0);
	gpa = give(RX1, 64);
	type(1, "open still");
	got(RX1, gpa, "open still");
	json_decref(state);
	finish();
}
END_TEST

/* The model's part of a snapshot, edited. */
static void not_restored(const char *key, json_t *value, unsigned int port,
			 const char *text)
{
	struct error err = {""};
	json_t *state, *list, *after;

	make_three();
	ck_assert_int_eq(
		resize(json_pack("{s:i, s:i}", "cols", 80, "rows", 25), &err),
		0);
	model_driver_sleep(&guest);
	state = model_driver_snapshot(&guest);
	list = json_object_get(state, "model");
	ck_assert_ptr_nonnull(list);
	if (port < 3)
		list = json_array_get(json_object_get(list, "ports"), port);
	ck_assert_int_eq(json_object_set_new(list, key, value), 0);
	model_driver_replace(&guest);
	model_driver_sleep(&guest);
	ck_assert_int_eq(model_driver_restore(&guest, state, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, text));
	json_decref(state);
	/* Nothing of it has been taken. */
	after = model_driver_snapshot(&guest);
	list = json_object_get(json_object_get(after, "model"), "ports");
	ck_assert_str_eq(json_string_value(json_object_get(
				 json_array_get(list, 0), "cols")),
			 "0x0");
	json_decref(after);
	finish();
}

START_TEST(restore_edited_state_is_refused)
{
	not_restored("ready", json_integer(1), 3, "ready");
	not_restored("more", json_true(), 3, "ready");
	not_restored("ports", json_array(), 3, "ports");
	not_restored("ports", json_string("x"), 3, "ports");
	not_restored("written", json_string("0x100000000"), 1, "written");
	not_restored("pending", json_string("0x20"), 2, "pending");
	not_restored("cols", json_string("0x10000"), 2, "cols");
	not_restored("open", json_string("yes"), 2, "open");
	not_restored("fd", json_string("0x1"), 2, "fd");
}
END_TEST

START_TEST(restore_written_past_the_end_prints_nothing)
{
	struct error err = {""};
	json_t *state, *port;

	make_lone();
	model_driver_sleep(&guest);
	state = model_driver_snapshot(&guest);
	port = json_array_get(
		json_object_get(json_object_get(state, "model"), "ports"), 0);
	json_object_set_new(port, "written", json_string("0xffffffff"));
	model_driver_replace(&guest);
	model_driver_sleep(&guest);
	ck_assert_int_eq(model_driver_restore(&guest, state, &err), 0);
	model_driver_wake(&guest);
	model_driver_send(&guest, TX, "first", 5);
	model_driver_send(&guest, TX, "second", 6);
	ck_assert_str_eq(printed(0), "second");
	json_decref(state);
	finish();
}
END_TEST

/* Hostile 30: it was 1 GiB. */
START_TEST(reset_half_printed_buffer_is_forgotten)
{
	struct reader reader = {16 * MIB, 0, UINT64_C(1) << 30};

	make_three();
	ready();
	say(1, PORT_OPEN, 1);
	print_pattern(16 * MIB, 64);
	model_driver_settle(&guest);
	model_driver_reset(&guest);
	ck_assert(!read_pattern(&reader));
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	model_driver_send(&guest, TX, "anew", 4);
	ck_assert_str_eq(printed(0), "anew");
	/* Ports are closed, and announced again. */
	give(RX1, 64);
	type(1, "nobody");
	ck_assert(nothing_used(RX1));
	give_controls(8);
	ck_assert(nothing_used(CONTROL_RX));
	say(0, DEVICE_READY, 1);
	for (unsigned int i = 0; i < 3; i++)
		hear(i, DEVICE_ADD, 1, NULL, 0);
	finish();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_console");
	TCase *tc = tcase_create("virtio_console");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, queue_ready_both_ways_bytes_pass);
	tcase_add_test(tc, queue_ready_packed_ring_bytes_pass);
	tcase_add_test(tc, queue_ready_input_without_buffers_waits);
	tcase_add_test(tc, queue_ready_empty_output_is_given_back);
	tcase_add_test(tc, queue_ready_stalled_reader_gets_all_of_it_later);
	tcase_add_test(tc, queue_ready_one_turn_prints_so_much_and_no_more);
	tcase_add_test(tc, queue_ready_huge_output_passes_in_pieces);
	tcase_add_test(tc, queue_ready_huge_input_buffer_gets_what_there_is);
	tcase_add_test(tc,
		       queue_ready_flood_without_reader_leaves_the_loop_alone);
	tcase_add_test(tc, queue_ready_reader_that_is_gone_holds_nothing_up);
	tcase_add_test(tc, queue_ready_wrong_direction_needs_reset);
	tcase_add_test(tc, queue_ready_input_queue_abused_needs_reset);
	tcase_add_test(tc, features_lone_console_is_without_multiport);
	tcase_add_test(tc, write_config_emergency_goes_out_in_any_state);
	tcase_add_test(tc, command_size_changes_configuration);
	tcase_add_test(tc, queue_ready_known_size_is_told_with_output);
	tcase_add_test(tc, command_bad_arguments_are_refused);
	tcase_add_test(tc, control_handshake_announces_ports_in_order);
	tcase_add_test(tc, control_input_waits_until_the_port_is_open);
	tcase_add_test(tc, control_not_negotiated_port_0_works_alone);
	tcase_add_test(tc, control_nonsense_changes_nothing);
	tcase_add_test(tc, control_flood_without_buffers_is_bounded);
	tcase_add_test(tc, open_unfit_names_are_refused);
	tcase_add_test(tc, keep_fds_names_each_port);
	tcase_add_test(tc,
		       restore_half_printed_buffer_is_neither_lost_nor_doubled);
	tcase_add_test(tc, sleep_nothing_moves_until_wake);
	tcase_add_test(tc, restore_port_states_are_kept);
	tcase_add_test(tc, restore_edited_state_is_refused);
	tcase_add_test(tc, restore_written_past_the_end_prints_nothing);
	tcase_add_test(tc, reset_half_printed_buffer_is_forgotten);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
