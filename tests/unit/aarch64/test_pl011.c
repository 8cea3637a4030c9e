/*
 * The PL011, register by register, as earlycon and Linux's amba-pl011 see it.
 */
#include "arch/aarch64/pl011.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/aarch64/layout.h"
#include "tests/unit/support/fake_host.h"
#include "tests/unit/support/far_end.h"

#define DR    0x00
#define RSR   0x04
#define FR    0x18
#define ILPR  0x20
#define IBRD  0x24
#define FBRD  0x28
#define LCR_H 0x2c
#define CR    0x30
#define IFLS  0x34
#define IMSC  0x38
#define RIS   0x3c
#define MIS   0x40
#define ICR   0x44
#define DMACR 0x48

#define FR_IDLE 0x97 /* TXFE, RXFE and the far end's lines */

#define FEN  0x10
#define ON   0x301 /* UARTEN, TXE and RXE */
#define LBE  0x80
#define RTS  0x800
#define DTR  0x400
#define OUT1 0x1000
#define OUT2 0x2000

#define INT_RX	0x10
#define INT_TX	0x20
#define INT_RT	0x40
#define INT_OE	0x400
#define INT_ALL 0x7ff

static struct fake_host fakes[2]; /* the second to restore into */
static struct fake_host *fake;
static struct far_end far;
static struct pl011 *pl011;

static size_t uart_room(void)
{
	return pl011_room(pl011);
}

static void setup(void)
{
	const struct char_backend backend = {.ops = &far_end_ops, .ctx = &far};

	fake = &fakes[0];
	far_end_init(&far, fake, SPI_UART, uart_room);
	ck_assert_int_eq(
		pl011_new(&pl011, &fake->host, LAYOUT_UART, SPI_UART, &backend),
		0);
}

static void teardown(void)
{
	pl011_device_ops.free(pl011);
	ck_assert_uint_eq(fake_host_ranges(fake), 0);
}

static uint32_t get(unsigned int reg)
{
	return (uint32_t)fake_host_read(fake, BUS_MMIO, LAYOUT_UART + reg, 4);
}

static void put(unsigned int reg, uint32_t value)
{
	fake_host_write(fake, BUS_MMIO, LAYOUT_UART + reg, 4, value);
}

static bool line(void)
{
	return fake->irq_level[SPI_UART];
}

static void type(const char *text)
{
	pl011_input(pl011, (const uint8_t *)text, strlen(text));
}

/* FIFOs with a receive trigger level (IFLS 5:3), UART on, interrupts. */
static void open_port(unsigned int trigger, uint32_t imsc)
{
	put(IFLS, trigger << 3 | 2);
	put(LCR_H, 0x60 | FEN);
	put(CR, ON | RTS | DTR);
	put(IMSC, imsc);
}

/* ---- Power-on and registers -------------------------------------------- */

START_TEST(new_registers_are_reset)
{
	static const uint32_t want[] = {
		[FR / 4] = FR_IDLE,
		[CR / 4] = 0x300,
		[IFLS / 4] = 0x12,
		[DMACR / 4] = 0,
	};

	for (unsigned int i = 0; i < sizeof(want) / sizeof(*want); i++)
		ck_assert_uint_eq(get(i * 4), want[i]);
	ck_assert_uint_eq(pl011_room(pl011), 0);
	ck_assert(!line());
}
END_TEST

START_TEST(new_place_taken_fails)
{
	const struct char_backend backend = {.ops = NULL};
	struct pl011 *second;

	ck_assert_int_eq(pl011_new(&second, &fake->host, LAYOUT_UART, SPI_UART,
				   &backend),
			 -EEXIST);
	ck_assert_uint_eq(fake_host_ranges(fake), 1);
}
END_TEST

START_TEST(read_id_registers_say_pl011_r1p5)
{
	static const uint8_t want[] = {0x11, 0x10, 0x34, 0x00,
				       0x0d, 0xf0, 0x05, 0xb1};

	for (unsigned int i = 0; i < sizeof(want); i++)
		ck_assert_uint_eq(get(0xfe0 + i * 4), want[i]);
	ck_assert_uint_eq(get(0xfdc), 0);
}
END_TEST

START_TEST(write_registers_read_back_only_their_bits)
{
	static const struct {
		unsigned int reg;
		uint32_t want;
	} cases[] = {
		{ILPR, 0xff},  {IBRD, 0xffff}, {FBRD, 0x3f}, {LCR_H, 0xff},
		{IFLS, 0x3f},  {IMSC, 0x7ff},  {DMACR, 0x7}, {CR, 0xff87},
		{FR, FR_IDLE}, {0x4c, 0},      {0x80, 0},    {ICR, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		put(cases[i].reg, UINT32_MAX);
		if (cases[i].reg != IMSC)
			put(IMSC, 0);
		if (cases[i].reg != CR)
			put(CR, 0x300);
		ck_assert_uint_eq(get(cases[i].reg), cases[i].want);
	}
}
END_TEST

START_TEST(access_of_other_sizes_reaches_the_register)
{
	uint64_t base = LAYOUT_UART;

	fake_host_write(fake, BUS_MMIO, base + DR, 1, 'x');
	fake_host_write(fake, BUS_MMIO, base + DR, 2, 'y');
	ck_assert_uint_eq(far.count, 2);
	ck_assert_mem_eq(far.bytes, "xy", 2);
	ck_assert_uint_eq(fake_host_read(fake, BUS_MMIO, base + FR, 2),
			  FR_IDLE);
	ck_assert_uint_eq(fake_host_read(fake, BUS_MMIO, base + FR, 1),
			  FR_IDLE);
	/* Two registers at once, and none in particular. */
	ck_assert_uint_eq(fake_host_read(fake, BUS_MMIO, base + CR, 8),
			  0x1200000300);
	ck_assert_uint_eq(fake_host_read(fake, BUS_MMIO, base + FR + 1, 1), 0);
	fake_host_write(fake, BUS_MMIO, base + CR + 1, 1, 0xff);
	ck_assert_uint_eq(get(CR), 0x300);
}
END_TEST

/* ---- Output ------------------------------------------------------------- */

/* earlycon: TXFF off, write, BUSY off; nobody has written UARTCR. */
START_TEST(write_dr_before_setup_goes_out_as_earlycon_expects)
{
	for (const char *p = "early"; *p; p++) {
		ck_assert_uint_eq(get(FR) & 0x20, 0);
		put(DR, (uint8_t)*p);
		ck_assert_uint_eq(get(FR) & 0x08, 0);
	}
	ck_assert_uint_eq(far.count, 5);
	ck_assert_mem_eq(far.bytes, "early", 5);
	ck_assert(!line());
}
END_TEST

START_TEST(write_dr_without_backend_is_dropped)
{
	const struct char_backend backend = {.ops = NULL};
	struct pl011 *mute;

	ck_assert_int_eq(
		pl011_new(&mute, &fake->host, LAYOUT_RTC, SPI_UART, &backend),
		0);
	fake_host_write(fake, BUS_MMIO, LAYOUT_RTC + DR, 4, 'x');
	ck_assert_uint_eq(far.count, 0);
	pl011_device_ops.free(mute);
}
END_TEST

START_TEST(write_dr_interrupts_once_it_is_out_and_again)
{
	open_port(2, INT_TX);
	ck_assert(!line());
	for (unsigned int i = 1; i <= 3; i++) {
		put(DR, 'a');
		ck_assert(!far.level_at_output);
		ck_assert(line());
		ck_assert_uint_eq(get(MIS), INT_TX);
		ck_assert_uint_eq(fake->irq_edges[SPI_UART], i);
	}
	put(ICR, INT_TX);
	ck_assert(!line());
	put(IMSC, 0);
	put(IMSC, INT_TX);
	ck_assert(!line());
}
END_TEST

/* ---- Input -------------------------------------------------------------- */

START_TEST(input_before_the_receiver_is_on_waits_outside)
{
	type("lost");
	ck_assert_uint_eq(get(FR), FR_IDLE);
	put(LCR_H, FEN);
	put(CR, 0x101); /* transmitter alone */
	ck_assert_uint_eq(pl011_room(pl011), 0);
	ck_assert_uint_eq(far.room_calls, 0);
	put(CR, ON);
	ck_assert_uint_eq(far.room_calls, 1);
	ck_assert_uint_eq(pl011_room(pl011), 32);
	type("x");
	ck_assert_uint_eq(get(DR), 'x');
}
END_TEST

/* Linux's driver of an SBSA UART writes neither UARTCR nor UARTLCR_H. */
START_TEST(enable_leaves_it_as_firmware_does)
{
	pl011_enable(pl011);
	ck_assert_uint_eq(far.room_calls, 1);
	ck_assert_uint_eq(get(CR), 0x301);
	ck_assert_uint_eq(get(LCR_H), 0x70);
	ck_assert_uint_eq(pl011_room(pl011), 32);
	put(IMSC, INT_RT);
	type("ab");
	ck_assert(line());
	ck_assert_uint_eq(get(DR), 'a');
	pl011_device_ops.reset(pl011);
	ck_assert_uint_eq(get(CR), 0x300);
}
END_TEST

START_TEST(input_without_fifo_is_one_byte)
{
	put(CR, ON);
	put(IMSC, INT_RX);
	ck_assert_uint_eq(pl011_room(pl011), 1);
	type("a");
	ck_assert(line());
	ck_assert_uint_eq(get(FR), 0xc7); /* RXFF */
	ck_assert_uint_eq(get(DR), 'a');
	ck_assert(!line());
	ck_assert_uint_eq(get(FR), FR_IDLE);
	ck_assert_uint_eq(get(DR), 0);
}
END_TEST

START_TEST(input_interrupts_from_its_trigger_level_on)
{
	static const unsigned int levels[] = {4, 8, 16, 24, 28, 28, 28, 28};
	unsigned int level = levels[_i];

	open_port((unsigned int)_i, INT_RX);
	for (unsigned int i = 1; i < level; i++) {
		type("x");
		ck_assert(!line());
		ck_assert_uint_eq(get(RIS), INT_RT);
	}
	type("x");
	ck_assert(line());
	type("y");
	(void)get(DR);
	ck_assert(line());
	(void)get(DR);
	ck_assert(!line());
	ck_assert_uint_eq(get(RIS), INT_RT);
}
END_TEST

START_TEST(input_timeout_interrupts_until_the_fifo_is_empty)
{
	open_port(4, INT_RT);
	type("ab");
	ck_assert_uint_eq(get(MIS), INT_RT);
	ck_assert_uint_eq(get(DR), 'a');
	ck_assert(line());
	ck_assert_uint_eq(get(DR), 'b');
	ck_assert(!line());
	type("cd");
	put(ICR, INT_RT);
	ck_assert(!line());
	type("e");
	ck_assert(line());
}
END_TEST

START_TEST(input_past_the_fifo_is_an_overrun)
{
	open_port(2, INT_OE);
	type("0123456789abcdef0123456789abcdef");
	ck_assert(!line());
	ck_assert_uint_eq(get(FR), 0xc7);
	ck_assert_uint_eq(pl011_room(pl011), 0);
	type("z");
	ck_assert(line());
	ck_assert_uint_eq(get(RSR), 8);
	put(ICR, INT_OE);
	ck_assert(!line());
	/* Said once; what was there before it stays. */
	ck_assert_uint_eq(get(DR), 0x800 | '0');
	ck_assert_uint_eq(get(DR), '1');
	ck_assert_uint_eq(get(RSR), 8);
	put(RSR, 0);
	ck_assert_uint_eq(get(RSR), 0);
	for (const char *p = "23456789abcdef0123456789abcdef"; *p; p++)
		ck_assert_uint_eq(get(DR), (uint8_t)*p);
	ck_assert_uint_eq(get(FR), FR_IDLE);
}
END_TEST

START_TEST(write_lcr_h_fifo_switched_clears_it)
{
	open_port(0, INT_RX | INT_RT);
	type("abcdef");
	ck_assert(line());
	put(LCR_H, 0x60);
	ck_assert(!line());
	ck_assert_uint_eq(get(FR), FR_IDLE);
	put(LCR_H, 0x60 | FEN);
	type("gh");
	/* Not switched: not cleared. */
	put(LCR_H, 0x70 | FEN);
	ck_assert_uint_eq(get(DR), 'g');
}
END_TEST

START_TEST(input_room_is_told_once_the_fifo_is_empty)
{
	open_port(2, 0);
	far.room_calls = 0;
	type("abc");
	(void)get(DR);
	(void)get(DR);
	ck_assert_uint_eq(far.room_calls, 0);
	(void)get(DR);
	ck_assert_uint_eq(far.room_calls, 1);
	(void)get(DR);
	ck_assert_uint_eq(far.room_calls, 1);
	type("abc");
	put(LCR_H, 0);
	ck_assert_uint_eq(far.room_calls, 1);
	put(LCR_H, FEN);
	ck_assert_uint_eq(far.room_calls, 2);
}
END_TEST

#define STREAM_SIZE 2000

static void *stream_send(void *arg)
{
	size_t sent = 0;

	(void)arg;
	while (sent < STREAM_SIZE) {
		size_t room = pl011_room(pl011), n;
		uint8_t bytes[32];

		if (!room) {
			sem_wait(&far.room);
			continue;
		}
		for (n = 0; n < room && sent < STREAM_SIZE; n++)
			bytes[n] = (uint8_t)(sent++ % 251);
		pl011_input(pl011, bytes, n);
	}
	return NULL;
}

START_TEST(input_from_another_thread_arrives_whole)
{
	pthread_t sender;

	open_port(2, INT_RX | INT_RT);
	ck_assert_int_eq(pthread_create(&sender, NULL, stream_send, NULL), 0);
	for (size_t i = 0; i < STREAM_SIZE; i++) {
		while (get(FR) & 0x10)
			sched_yield();
		ck_assert_uint_eq(get(DR), i % 251);
	}
	ck_assert_int_eq(pthread_join(sender, NULL), 0);
	ck_assert(!line());
}
END_TEST

/* ---- Loopback ----------------------------------------------------------- */

START_TEST(loopback_data_returns_and_stays_inside)
{
	open_port(2, INT_RT);
	put(CR, ON | LBE);
	ck_assert_uint_eq(pl011_room(pl011), 0);
	type("outside");
	put(DR, 'i');
	ck_assert_uint_eq(far.count, 0);
	ck_assert(line());
	ck_assert_uint_eq(get(DR), 'i');
	put(CR, ON);
	put(DR, 'o');
	ck_assert_uint_eq(far.count, 1);
}
END_TEST

/* How older kernels provoke the first transmit interrupt: loopback with the
 * receiver off. */
START_TEST(loopback_without_receiver_gives_the_transmit_interrupt)
{
	put(CR, 0x101 | LBE);
	put(IMSC, INT_TX);
	put(DR, 0);
	ck_assert(line());
	ck_assert_uint_eq(get(FR) & 0x18, 0x10);
	ck_assert_uint_eq(far.count, 0);
}
END_TEST

START_TEST(loopback_feeds_modem_lines_back_and_notes_changes)
{
	open_port(2, 0xf);
	put(CR, ON | LBE | RTS | DTR);
	ck_assert_uint_eq(get(FR), 0x93); /* CTS and DSR */
	ck_assert_uint_eq(get(MIS), 0x4); /* DCD went */
	put(ICR, 0xf);
	ck_assert(!line());
	put(CR, ON | LBE | OUT1 | OUT2);
	ck_assert_uint_eq(get(FR), 0x194); /* DCD and RI */
	ck_assert_uint_eq(get(MIS), 0xf);
}
END_TEST

/* ---- reset, save, restore ----------------------------------------------- */

static json_t *save(struct pl011 *from)
{
	json_t *state = NULL;

	ck_assert_int_eq(pl011_device_ops.save(from, &state), 0);
	ck_assert_ptr_nonnull(state);
	return state;
}

START_TEST(reset_lowers_line_and_clears_all)
{
	json_t *fresh = save(pl011), *after;

	open_port(1, INT_ALL);
	put(IBRD, 13);
	put(FBRD, 1);
	put(DR, 'x');
	type("abc");
	ck_assert(line());
	pl011_device_ops.reset(pl011);
	ck_assert(!line());
	after = save(pl011);
	ck_assert(json_equal(fresh, after));
	json_decref(fresh);
	json_decref(after);
}
END_TEST

START_TEST(restore_into_fresh_one_continues_and_saves_the_same)
{
	const struct char_backend backend = {.ops = &far_end_ops, .ctx = &far};
	struct error err = {.text = ""};
	json_t *first, *second;
	struct pl011 *fresh;

	open_port(1, INT_RX | INT_RT | INT_OE);
	put(IBRD, 13);
	put(FBRD, 2);
	put(ILPR, 3);
	put(DMACR, 4);
	type("0123456789abcdef0123456789abcdef!");
	put(DR, 'x');
	first = save(pl011);

	fake_host_init(&fakes[1]);
	ck_assert_int_eq(pl011_new(&fresh, &fakes[1].host, LAYOUT_UART,
				   SPI_UART, &backend),
			 0);
	ck_assert_int_eq(pl011_device_ops.restore(fresh, first, &err), 0);
	ck_assert(fakes[1].irq_level[SPI_UART]);
	second = save(fresh);
	ck_assert(json_equal(first, second));

	/* The rest of the guest's session runs on the new one. */
	pl011_device_ops.free(pl011);
	pl011 = fresh;
	fake = &fakes[1];
	ck_assert_uint_eq(get(RIS), INT_RX | INT_RT | INT_TX | INT_OE);
	ck_assert_uint_eq(get(IBRD), 13);
	ck_assert_uint_eq(get(DR), 0x800 | '0');
	for (const char *p = "123456789abcdef0123456789abcdef"; *p; p++)
		ck_assert_uint_eq(get(DR), (uint8_t)*p);
	ck_assert_uint_eq(get(MIS), INT_OE);
	json_decref(first);
	json_decref(second);
}
END_TEST

static const struct {
	const char *member;
	const char *value; /* NULL: take the member away */
} lies[] = {
	{"cr", "0x8"},	     {"cr", NULL},	{"cr", "banana"},
	{"cr", "0x10000"},   {"imsc", "0x800"}, {"ris", "0x800"},
	{"ibrd", "0x10000"}, {"fbrd", "0x40"},	{"lcr_h", "0x100"},
	{"ifls", "0x40"},    {"dmacr", "0x8"},	{"count", "0x21"},
	{"fifo", "00"},	     {"ilpr", "0x100"}, {"rsr_overrun", "0x1"},
	{"surplus", "0x0"},  {"lcr_h", "0x0"}, /* three bytes without a FIFO */
	{"count", "0x0"},		       /* an interrupt for no byte */
};

#define LIES (sizeof(lies) / sizeof(*lies))

START_TEST(restore_bad_value_is_refused)
{
	struct error err = {.text = ""};
	json_t *before, *lie, *after;

	open_port(0, INT_RT);
	type("abc");
	before = save(pl011);
	lie = json_deep_copy(before);
	if (lies[_i].value)
		json_object_set_new(lie, lies[_i].member,
				    json_string(lies[_i].value));
	else
		json_object_del(lie, lies[_i].member);
	ck_assert_int_eq(pl011_device_ops.restore(pl011, lie, &err), -EINVAL);
	ck_assert_uint_gt(strlen(err.text), 10);
	if (_i < (int)LIES - 2)
		ck_assert_ptr_nonnull(strstr(err.text, lies[_i].member));
	after = save(pl011);
	ck_assert(json_equal(before, after));
	json_decref(before);
	json_decref(lie);
	json_decref(after);
}
END_TEST

static Suite *pl011_suite(void)
{
	Suite *suite = suite_create("pl011");
	TCase *tc = tcase_create("pl011");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, new_registers_are_reset);
	tcase_add_test(tc, new_place_taken_fails);
	tcase_add_test(tc, read_id_registers_say_pl011_r1p5);
	tcase_add_test(tc, write_registers_read_back_only_their_bits);
	tcase_add_test(tc, access_of_other_sizes_reaches_the_register);
	tcase_add_test(tc, write_dr_before_setup_goes_out_as_earlycon_expects);
	tcase_add_test(tc, write_dr_without_backend_is_dropped);
	tcase_add_test(tc, write_dr_interrupts_once_it_is_out_and_again);
	tcase_add_test(tc, input_before_the_receiver_is_on_waits_outside);
	tcase_add_test(tc, enable_leaves_it_as_firmware_does);
	tcase_add_test(tc, input_without_fifo_is_one_byte);
	tcase_add_loop_test(tc, input_interrupts_from_its_trigger_level_on, 0,
			    8);
	tcase_add_test(tc, input_timeout_interrupts_until_the_fifo_is_empty);
	tcase_add_test(tc, input_past_the_fifo_is_an_overrun);
	tcase_add_test(tc, write_lcr_h_fifo_switched_clears_it);
	tcase_add_test(tc, input_room_is_told_once_the_fifo_is_empty);
	tcase_add_test(tc, input_from_another_thread_arrives_whole);
	tcase_add_test(tc, loopback_data_returns_and_stays_inside);
	tcase_add_test(tc,
		       loopback_without_receiver_gives_the_transmit_interrupt);
	tcase_add_test(tc, loopback_feeds_modem_lines_back_and_notes_changes);
	tcase_add_test(tc, reset_lowers_line_and_clears_all);
	tcase_add_test(tc, restore_into_fresh_one_continues_and_saves_the_same);
	tcase_add_loop_test(tc, restore_bad_value_is_refused, 0, LIES);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(pl011_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
