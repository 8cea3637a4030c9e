/*
 * The 16550A, register by register, as a driver sees it.
 */
#include "arch/x86_64/serial.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/x86_64/layout.h"
#include "tests/unit/support/fake_host.h"
#include "tests/unit/support/far_end.h"

enum {
	DATA,
	IER,
	IIR,
	LCR,
	MCR,
	LSR,
	MSR,
	SCR
};

#define FCR IIR
#define DLL DATA
#define DLM IER

#define IER_RDI	 0x01
#define IER_THRI 0x02
#define IER_RLSI 0x04
#define IER_MSI	 0x08

#define MCR_DTR	 0x01
#define MCR_RTS	 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10

static struct fake_host fakes[2]; /* the second to restore into */
static struct fake_host *fake;
static struct far_end far;
static struct serial *serial;

static size_t uart_room(void)
{
	return serial_room(serial);
}

static void setup(void)
{
	const struct char_backend backend = {.ops = &far_end_ops, .ctx = &far};

	fake = &fakes[0];
	far_end_init(&far, fake, GSI_COM1, uart_room);
	ck_assert_int_eq(
		serial_new(&serial, &fake->host, PORT_COM1, GSI_COM1, &backend),
		0);
}

static void teardown(void)
{
	serial_device_ops.free(serial);
	ck_assert_uint_eq(fake_host_ranges(fake), 0);
}

static uint8_t in(unsigned int reg)
{
	return fake_host_read(fake, BUS_PIO, PORT_COM1 + reg, 1);
}

static void out(unsigned int reg, uint8_t value)
{
	fake_host_write(fake, BUS_PIO, PORT_COM1 + reg, 1, value);
}

static bool line(void)
{
	return fake->irq_level[GSI_COM1];
}

static unsigned int edges(void)
{
	return fake->irq_edges[GSI_COM1];
}

static void type(const char *text)
{
	serial_input(serial, (const uint8_t *)text, strlen(text));
}

/* FIFO mode with a trigger level (FCR bits 7:6), interrupts let out. */
static void open_port(uint8_t trigger, uint8_t ier)
{
	out(FCR, 0x07 | trigger);
	out(MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
	out(IER, ier);
}

/* ---- Power-on and registers -------------------------------------------- */

START_TEST(new_registers_are_reset)
{
	ck_assert_uint_eq(in(IER), 0);
	ck_assert_uint_eq(in(IIR), 0x01);
	ck_assert_uint_eq(in(LCR), 0);
	ck_assert_uint_eq(in(MCR), 0);
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert_uint_eq(in(MSR), 0xb0);
	ck_assert_uint_eq(in(DATA), 0);
	ck_assert(!line());
	ck_assert_uint_eq(serial_room(serial), 1);
}
END_TEST

START_TEST(new_port_taken_fails)
{
	const struct char_backend backend = {.ops = NULL};
	struct serial *second;

	ck_assert_int_eq(serial_new(&second, &fake->host, PORT_COM1 + 7,
				    GSI_COM1, &backend),
			 -EEXIST);
	ck_assert_uint_eq(fake_host_ranges(fake), 1);
}
END_TEST

START_TEST(write_registers_read_back_only_their_bits)
{
	out(IER, 0xff);
	ck_assert_uint_eq(in(IER), 0x0f);
	out(MCR, 0xff);
	ck_assert_uint_eq(in(MCR), 0x1f);
	out(LCR, 0x5f);
	ck_assert_uint_eq(in(LCR), 0x5f);
	out(SCR, 0xa5);
	ck_assert_uint_eq(in(SCR), 0xa5);
	out(LSR, 0xff);
	out(MCR, 0);
	(void)in(MSR);
	out(MSR, 0xff);
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert_uint_eq(in(MSR), 0xb0);
}
END_TEST

START_TEST(write_dlab_reaches_divisor_and_nothing_else)
{
	out(IER, IER_RDI);
	out(LCR, 0x83);
	ck_assert_uint_eq(in(DLL), 12);
	ck_assert_uint_eq(in(DLM), 0);
	out(DLL, 0x34);
	out(DLM, 0x12);
	ck_assert_uint_eq(in(DLL), 0x34);
	ck_assert_uint_eq(in(DLM), 0x12);
	ck_assert_uint_eq(far.count, 0);
	out(LCR, 0x03);
	ck_assert_uint_eq(in(IER), IER_RDI);
	type("x");
	ck_assert_uint_eq(in(DATA), 'x');
}
END_TEST

/* ---- What Linux's 8250 driver does to find out ------------------------- */

START_TEST(autoconfig_finds_16550a)
{
	/* IER takes four bits. */
	out(IER, 0);
	ck_assert_uint_eq(in(IER)&0x0f, 0);
	out(IER, 0x0f);
	ck_assert_uint_eq(in(IER)&0x0f, 0x0f);
	out(IER, 0);
	/* The loopback connects the modem lines. */
	out(MCR, MCR_LOOP | MCR_OUT2 | MCR_RTS);
	ck_assert_uint_eq(in(MSR)&0xf0, 0x90);
	out(MCR, 0);
	/* No EFR behind LCR 0xbf, FIFOs that work. */
	out(LCR, 0xbf);
	out(FCR, 0);
	out(LCR, 0);
	out(FCR, 0x01);
	ck_assert_uint_eq(in(IIR) >> 6, 3);
	out(LCR, 0x80);
	ck_assert_uint_ne(in(IIR), 0);
	/* No National superset: LCR 0xe0 does not show MCR's loop bit. */
	out(LCR, 0);
	out(MCR, MCR_LOOP);
	out(LCR, 0xe0);
	ck_assert_uint_eq(in(IIR)&MCR_LOOP, 0);
	out(LCR, 0);
	out(MCR, 0);
	/* No 64-byte FIFO (16750): IIR bit 5 stays 0 with DLAB, too. */
	out(LCR, 0x80);
	out(FCR, 0x21);
	ck_assert_uint_eq(in(IIR)&0xe0, 0xc0);
	out(LCR, 0);
	/* No XScale unit enable. */
	out(IER, 0x40);
	ck_assert_uint_eq(in(IER)&0x40, 0);
}
END_TEST

START_TEST(startup_thre_is_asserted_each_time_it_is_enabled)
{
	for (unsigned int i = 0; i < 2; i++) {
		out(IER, IER_THRI);
		ck_assert_uint_eq(in(IIR), 0x02);
		ck_assert_uint_eq(in(IIR), 0x01);
		out(IER, 0);
	}
	/* The check for a transmitter that lies about being empty. */
	out(IER, IER_THRI);
	ck_assert_uint_eq(in(LSR)&0x40, 0x40);
	ck_assert_uint_eq(in(IIR), 0x02);
	out(IER, 0);
	ck_assert_uint_eq(in(IIR), 0x01);
}
END_TEST

/* ---- Transmit ----------------------------------------------------------- */

START_TEST(write_thr_goes_out_in_order)
{
	for (const char *p = "hello"; *p; p++)
		out(DATA, (uint8_t)*p);
	ck_assert_uint_eq(far.count, 5);
	ck_assert_mem_eq(far.bytes, "hello", 5);
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert_uint_eq(edges(), 0);
}
END_TEST

START_TEST(write_thr_without_backend_is_dropped)
{
	const struct char_backend backend = {.ops = NULL};
	struct serial *second;

	ck_assert_int_eq(serial_new(&second, &fake->host, 0x2f8, 3, &backend),
			 0);
	fake_host_write(fake, BUS_PIO, 0x2f8, 1, 'x');
	serial_input(second, (const uint8_t *)"y", 1);
	ck_assert_uint_eq(fake_host_read(fake, BUS_PIO, 0x2f8, 1), 'y');
	serial_device_ops.reset(second);
	serial_device_ops.free(second);
	ck_assert_uint_eq(far.count, 0);
}
END_TEST

START_TEST(write_thr_gives_a_new_thre_edge)
{
	open_port(0, IER_THRI);
	ck_assert(line());
	ck_assert_uint_eq(edges(), 1);
	/* Not acknowledged in IIR: the line has to drop all the same. */
	out(DATA, 'a');
	ck_assert(!far.level_at_output);
	ck_assert(line());
	ck_assert_uint_eq(edges(), 2);
	ck_assert_uint_eq(in(IIR), 0xc2);
	ck_assert(!line());
	out(DATA, 'b');
	ck_assert(line());
	ck_assert_uint_eq(edges(), 3);
	out(IER, 0);
	ck_assert(!line());
	out(DATA, 'c');
	ck_assert_uint_eq(edges(), 3);
	ck_assert_uint_eq(far.count, 3);
}
END_TEST

START_TEST(write_ier_same_value_does_not_raise_thre_again)
{
	open_port(0, IER_THRI);
	ck_assert_uint_eq(in(IIR), 0xc2);
	out(IER, IER_THRI);
	ck_assert_uint_eq(in(IIR), 0xc1);
	out(IER, IER_THRI | IER_RDI);
	ck_assert_uint_eq(in(IIR), 0xc1);
	ck_assert(!line());
}
END_TEST

/* ---- Receive ------------------------------------------------------------ */

START_TEST(input_character_mode_interrupts_and_reads)
{
	out(MCR, MCR_OUT2);
	out(IER, IER_RDI);
	ck_assert_uint_eq(serial_room(serial), 1);
	type("a");
	ck_assert_uint_eq(serial_room(serial), 0);
	ck_assert(line());
	ck_assert_uint_eq(in(IIR), 0x04);
	ck_assert_uint_eq(in(LSR), 0x61);
	ck_assert_uint_eq(in(DATA), 'a');
	ck_assert(!line());
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert_uint_eq(in(IIR), 0x01);
	ck_assert_uint_eq(edges(), 1);
}
END_TEST

START_TEST(input_character_mode_overrun_keeps_the_last)
{
	type("ab");
	ck_assert_uint_eq(in(LSR), 0x63);
	ck_assert_uint_eq(in(LSR), 0x61);
	ck_assert_uint_eq(in(DATA), 'b');
	ck_assert_uint_eq(in(LSR), 0x60);
}
END_TEST

static const struct {
	uint8_t fcr;
	unsigned int level;
} triggers[] = {{0x00, 1}, {0x40, 4}, {0x80, 8}, {0xc0, 14}};

START_TEST(input_below_trigger_is_timeout_from_it_is_data)
{
	open_port(triggers[_i].fcr, IER_RDI);
	for (unsigned int n = 1; n <= 16; n++) {
		type("x");
		ck_assert(line());
		ck_assert_uint_eq(in(IIR),
				  n < triggers[_i].level ? 0xcc : 0xc4);
		ck_assert_uint_eq(serial_room(serial), 16 - n);
	}
	for (unsigned int n = 16; n; n--) {
		ck_assert_uint_eq(in(IIR),
				  n < triggers[_i].level ? 0xcc : 0xc4);
		ck_assert_uint_eq(in(DATA), 'x');
	}
	/* One level from the first byte to the last. */
	ck_assert(!line());
	ck_assert_uint_eq(edges(), 1);
	ck_assert_uint_eq(in(IIR), 0xc1);
}
END_TEST

START_TEST(input_fifo_overflow_keeps_the_first_sixteen)
{
	open_port(0xc0, IER_RDI | IER_RLSI);
	type("0123456789abcdefXY");
	ck_assert_uint_eq(serial_room(serial), 0);
	ck_assert_uint_eq(in(IIR), 0xc6);
	ck_assert_uint_eq(in(LSR), 0x63);
	ck_assert_uint_eq(in(IIR), 0xc4);
	for (const char *p = "0123456789abcdef"; *p; p++)
		ck_assert_uint_eq(in(DATA), (uint8_t)*p);
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert(!line());
	ck_assert_uint_eq(edges(), 1);
}
END_TEST

START_TEST(input_disabled_interrupt_waits_for_enable)
{
	open_port(0, 0);
	type("a");
	ck_assert(!line());
	ck_assert_uint_eq(in(IIR), 0xc1);
	out(IER, IER_RDI);
	ck_assert(line());
	out(MCR, MCR_DTR);
	ck_assert(!line());
	ck_assert_uint_eq(in(IIR), 0xc4);
	out(MCR, MCR_DTR | MCR_OUT2);
	ck_assert(line());
	ck_assert_uint_eq(edges(), 2);
}
END_TEST

START_TEST(write_fcr_clears_receive_fifo)
{
	open_port(0, IER_RDI);
	type("abc");
	out(FCR, 0x05); /* transmit FIFO only */
	ck_assert_uint_eq(in(LSR), 0x61);
	out(FCR, 0x03);
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert(!line());
	ck_assert_uint_eq(serial_room(serial), 16);
	type("d");
	ck_assert_uint_eq(in(DATA), 'd');
}
END_TEST

START_TEST(write_fcr_mode_change_clears_and_shows_in_iir)
{
	open_port(0x40, IER_RDI);
	type("abc");
	/* Bit 0 off: the trigger bits with it are not programmed either. */
	out(FCR, 0xc0);
	ck_assert_uint_eq(in(IIR), 0x01);
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert_uint_eq(serial_room(serial), 1);
	type("a");
	ck_assert_uint_eq(in(IIR), 0x04);
	/* Nor does a reset bit without bit 0 do anything. */
	out(FCR, 0x02);
	ck_assert_uint_eq(in(LSR), 0x61);
	out(FCR, 0x01);
	ck_assert_uint_eq(in(IIR), 0xc1);
	ck_assert_uint_eq(serial_room(serial), 16);
}
END_TEST

START_TEST(read_iir_reports_causes_by_priority)
{
	open_port(0x80, IER_RDI | IER_THRI | IER_RLSI | IER_MSI);
	out(MCR, MCR_LOOP | MCR_OUT2);
	out(MCR, MCR_OUT2); /* CTS and DSR went away and came back */
	type("0123456789abcdef!");
	ck_assert_uint_eq(in(IIR), 0xc6);
	ck_assert_uint_eq(in(LSR), 0x63);
	ck_assert_uint_eq(in(IIR), 0xc4);
	for (unsigned int i = 0; i < 9; i++)
		(void)in(DATA);
	ck_assert_uint_eq(in(IIR), 0xcc);
	for (unsigned int i = 0; i < 7; i++)
		(void)in(DATA);
	/* THRE was pending all the while: only its own report clears it. */
	ck_assert_uint_eq(in(IIR), 0xc2);
	ck_assert_uint_eq(in(IIR), 0xc0);
	ck_assert_uint_eq(in(IIR), 0xc0);
	ck_assert(line());
	ck_assert_uint_eq(in(MSR), 0xb3);
	ck_assert_uint_eq(in(IIR), 0xc1);
	ck_assert(!line());
	ck_assert_uint_eq(edges(), 1);
}
END_TEST

/* ---- Loopback ----------------------------------------------------------- */

START_TEST(loopback_routes_modem_lines)
{
	static const struct {
		uint8_t mcr, msr;
	} routes[] = {
		{MCR_RTS, 0x10},
		{MCR_DTR, 0x20},
		{MCR_OUT1, 0x40},
		{MCR_OUT2, 0x80},
	};

	out(MCR, MCR_LOOP);
	ck_assert_uint_eq(in(MSR), 0x0b); /* CTS, DSR and DCD fell */
	for (unsigned int i = 0; i < 4; i++) {
		uint8_t delta = routes[i].msr >> 4;
		/* RI tells of its trailing edge alone. */
		uint8_t rise = delta == 0x04 ? 0 : delta;

		out(MCR, MCR_LOOP | routes[i].mcr);
		ck_assert_uint_eq(in(MSR), routes[i].msr | rise);
		ck_assert_uint_eq(in(MSR), routes[i].msr);
		out(MCR, MCR_LOOP);
		ck_assert_uint_eq(in(MSR), delta);
	}
	out(MCR, 0);
	ck_assert_uint_eq(in(MSR), 0xbb);
}
END_TEST

START_TEST(loopback_data_returns_and_stays_inside)
{
	open_port(0, IER_RDI);
	out(MCR, MCR_LOOP | MCR_OUT2);
	(void)in(MSR);
	ck_assert_uint_eq(serial_room(serial), 0);
	type("lost");
	ck_assert_uint_eq(in(LSR), 0x60);
	out(DATA, 0xae);
	ck_assert_uint_eq(far.count, 0);
	ck_assert(line());
	ck_assert_uint_eq(in(LSR), 0x61);
	ck_assert_uint_eq(in(DATA), 0xae);
	ck_assert(!line());
	for (unsigned int i = 0; i < 17; i++)
		out(DATA, (uint8_t)i);
	ck_assert_uint_eq(in(LSR), 0x63);
	ck_assert_uint_eq(in(DATA), 0);
}
END_TEST

/* ---- The sender's view -------------------------------------------------- */

START_TEST(input_room_is_told_once_the_fifo_is_empty)
{
	open_port(0, 0);
	far.room_calls = 0;
	type("abc");
	(void)in(DATA);
	(void)in(DATA);
	ck_assert_uint_eq(far.room_calls, 0);
	(void)in(DATA);
	ck_assert_uint_eq(far.room_calls, 1);
	(void)in(DATA);
	(void)in(LSR);
	ck_assert_uint_eq(far.room_calls, 1);
}
END_TEST

START_TEST(input_room_is_told_after_clear_mode_change_and_loopback)
{
	open_port(0, 0);
	type("abc");
	far.room_calls = 0;
	out(FCR, 0x03);
	ck_assert_uint_eq(far.room_calls, 1);
	out(MCR, MCR_LOOP);
	ck_assert_uint_eq(far.room_calls, 1);
	out(MCR, 0);
	ck_assert_uint_eq(far.room_calls, 2);
	out(FCR, 0);
	ck_assert_uint_eq(far.room_calls, 2);
	out(FCR, 1);
	ck_assert_uint_eq(far.room_calls, 3);
	type("a");
	serial_device_ops.reset(serial);
	ck_assert_uint_eq(far.room_calls, 4);
}
END_TEST

#define STREAM_SIZE 5000

/* As main does: send what there is room for, wait only where there is none. */
static void *stream_send(void *arg)
{
	size_t sent = 0;

	(void)arg;
	while (sent < STREAM_SIZE) {
		size_t room = serial_room(serial);
		uint8_t bytes[16];
		size_t n;

		if (!room) {
			sem_wait(&far.room);
			continue;
		}
		for (n = 0; n < room && sent < STREAM_SIZE; n++)
			bytes[n] = (uint8_t)(sent++ % 251);
		serial_input(serial, bytes, n);
	}
	return NULL;
}

START_TEST(input_from_another_thread_arrives_whole)
{
	pthread_t sender;

	open_port(0x80, IER_RDI);
	ck_assert_int_eq(pthread_create(&sender, NULL, stream_send, NULL), 0);
	for (size_t i = 0; i < STREAM_SIZE; i++) {
		uint8_t lsr;

		while (!((lsr = in(LSR)) & 0x01))
			sched_yield();
		ck_assert_uint_eq(lsr & 0x02, 0);
		ck_assert_uint_eq(in(DATA), i % 251);
	}
	ck_assert_int_eq(pthread_join(sender, NULL), 0);
	ck_assert(!line());
}
END_TEST

/* ---- Odd accesses ------------------------------------------------------- */

START_TEST(access_wide_is_one_register_at_a_time)
{
	uint64_t all;

	type("a");
	out(SCR, 0x77);
	all = fake_host_read(fake, BUS_PIO, PORT_COM1, 8);
	ck_assert_uint_eq(all, 0x77b0600000010061);
	fake_host_write(fake, BUS_PIO, PORT_COM1 + LCR, 4, 0xffff0083);
	ck_assert_uint_eq(in(LCR), 0x83);
	ck_assert_uint_eq(in(MCR), 0);
	ck_assert_uint_eq(in(SCR), 0x77);
}
END_TEST

/* ---- reset, save, restore ----------------------------------------------- */

START_TEST(reset_lowers_line_and_clears_all)
{
	open_port(0x40, IER_RDI | IER_THRI);
	type("abc");
	out(SCR, 1);
	out(LCR, 0x80);
	out(DLL, 1);
	ck_assert(line());
	serial_device_ops.reset(serial);
	ck_assert(!line());
	ck_assert_uint_eq(in(LCR), 0);
	ck_assert_uint_eq(in(SCR), 0);
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert_uint_eq(in(IIR), 0x01);
	ck_assert_uint_eq(serial_room(serial), 1);
	out(LCR, 0x80);
	ck_assert_uint_eq(in(DLL), 12);
}
END_TEST

static json_t *save(struct serial *from)
{
	json_t *state = NULL;

	ck_assert_int_eq(serial_device_ops.save(from, &state), 0);
	ck_assert_ptr_nonnull(state);
	return state;
}

START_TEST(restore_into_fresh_one_continues_and_saves_the_same)
{
	const struct char_backend backend = {.ops = &far_end_ops, .ctx = &far};
	struct error err = {.text = ""};
	json_t *first, *second;
	struct serial *fresh;

	open_port(0x80, IER_RDI | IER_THRI | IER_RLSI | IER_MSI);
	out(MCR, MCR_LOOP | MCR_OUT1 | MCR_OUT2);
	out(MCR, MCR_RTS | MCR_OUT2);
	out(LCR, 0x83);
	out(DLL, 0x01);
	out(DLM, 0x02);
	out(LCR, 0x03);
	out(SCR, 0x5a);
	type("0123456789abcdef!");
	(void)in(DATA);
	first = save(serial);

	fake_host_init(&fakes[1]);
	ck_assert_int_eq(serial_new(&fresh, &fakes[1].host, PORT_COM1, GSI_COM1,
				    &backend),
			 0);
	ck_assert_int_eq(serial_device_ops.restore(fresh, first, &err), 0);
	ck_assert(fakes[1].irq_level[GSI_COM1]);
	second = save(fresh);
	ck_assert(json_equal(first, second));

	/* The rest of the guest's session runs on the new one. */
	serial_device_ops.free(serial);
	serial = fresh;
	fake = &fakes[1];
	ck_assert_uint_eq(in(IIR), 0xc6);
	ck_assert_uint_eq(in(LSR), 0x63);
	for (const char *p = "123456789abcdef"; *p; p++)
		ck_assert_uint_eq(in(DATA), (uint8_t)*p);
	ck_assert_uint_eq(in(IIR), 0xc2);
	ck_assert_uint_eq(in(IIR), 0xc0);
	ck_assert_uint_eq(in(MSR), 0xb7);
	ck_assert(!line());
	json_decref(first);
	json_decref(second);
}
END_TEST

START_TEST(restore_of_a_quiet_state_lowers_the_line)
{
	json_t *quiet = save(serial);

	open_port(0, IER_THRI);
	ck_assert(line());
	ck_assert_int_eq(serial_device_ops.restore(serial, quiet, NULL), 0);
	ck_assert(!line());
	json_decref(quiet);
}
END_TEST

static const struct {
	const char *member;
	const char *value; /* NULL: take the member away */
} lies[] = {
	{"ier", "0x10"},	{"ier", NULL},	    {"ier", "banana"},
	{"fcr", "0xc0"}, /* trigger without enable */
	{"fcr", "0x31"}, /* bits that are not kept */
	{"fcr", "0x1c1"},	{"mcr", "0x20"},    {"msr_delta", "0x10"},
	{"divisor", "0x10000"}, {"count", "0x11"},  {"fifo", "00"},
	{"overrun", "0x1"},	{"surplus", "0x0"},
};

START_TEST(restore_bad_value_is_refused_by_name)
{
	struct error err = {.text = ""};
	json_t *before, *lie, *after;

	open_port(0, IER_RDI);
	type("abc");
	before = save(serial);
	lie = json_deep_copy(before);
	if (lies[_i].value)
		json_object_set_new(lie, lies[_i].member,
				    json_string(lies[_i].value));
	else
		json_object_del(lie, lies[_i].member);
	ck_assert_int_eq(serial_device_ops.restore(serial, lie, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, lies[_i].member));
	after = save(serial);
	ck_assert(json_equal(before, after));
	json_decref(before);
	json_decref(lie);
	json_decref(after);
}
END_TEST

START_TEST(restore_impossible_combination_is_refused)
{
	struct error err = {.text = ""};
	json_t *state = save(serial);

	/* More than character mode can hold. */
	json_object_set_new(state, "count", json_string("0x2"));
	ck_assert_int_eq(serial_device_ops.restore(serial, state, &err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "count"));
	json_object_set_new(state, "count", json_string("0x0"));
	/* An interrupt that is not enabled. */
	json_object_set_new(state, "thre_pending", json_true());
	ck_assert_int_eq(serial_device_ops.restore(serial, state, &err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "thre_pending"));
	json_decref(state);
}
END_TEST

static Suite *serial_suite(void)
{
	Suite *suite = suite_create("serial");
	TCase *tc = tcase_create("serial");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, new_registers_are_reset);
	tcase_add_test(tc, new_port_taken_fails);
	tcase_add_test(tc, write_registers_read_back_only_their_bits);
	tcase_add_test(tc, write_dlab_reaches_divisor_and_nothing_else);
	tcase_add_test(tc, autoconfig_finds_16550a);
	tcase_add_test(tc, startup_thre_is_asserted_each_time_it_is_enabled);
	tcase_add_test(tc, write_thr_goes_out_in_order);
	tcase_add_test(tc, write_thr_without_backend_is_dropped);
	tcase_add_test(tc, write_thr_gives_a_new_thre_edge);
	tcase_add_test(tc, write_ier_same_value_does_not_raise_thre_again);
	tcase_add_test(tc, input_character_mode_interrupts_and_reads);
	tcase_add_test(tc, input_character_mode_overrun_keeps_the_last);
	tcase_add_loop_test(tc, input_below_trigger_is_timeout_from_it_is_data,
			    0, sizeof(triggers) / sizeof(triggers[0]));
	tcase_add_test(tc, input_fifo_overflow_keeps_the_first_sixteen);
	tcase_add_test(tc, input_disabled_interrupt_waits_for_enable);
	tcase_add_test(tc, write_fcr_clears_receive_fifo);
	tcase_add_test(tc, write_fcr_mode_change_clears_and_shows_in_iir);
	tcase_add_test(tc, read_iir_reports_causes_by_priority);
	tcase_add_test(tc, loopback_routes_modem_lines);
	tcase_add_test(tc, loopback_data_returns_and_stays_inside);
	tcase_add_test(tc, input_room_is_told_once_the_fifo_is_empty);
	tcase_add_test(tc,
		       input_room_is_told_after_clear_mode_change_and_loopback);
	tcase_add_test(tc, input_from_another_thread_arrives_whole);
	tcase_add_test(tc, access_wide_is_one_register_at_a_time);
	tcase_add_test(tc, reset_lowers_line_and_clears_all);
	tcase_add_test(tc, restore_into_fresh_one_continues_and_saves_the_same);
	tcase_add_test(tc, restore_of_a_quiet_state_lowers_the_line);
	tcase_add_loop_test(tc, restore_bad_value_is_refused_by_name, 0,
			    sizeof(lies) / sizeof(lies[0]));
	tcase_add_test(tc, restore_impossible_combination_is_refused);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(serial_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
