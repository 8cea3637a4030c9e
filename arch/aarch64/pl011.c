/*
 * After Arm's PrimeCell UART (PL011) Technical Reference Manual, r1p5 (DDI
 * 0183G), whose section 3.3 has a part for each register; r1p5 has FIFOs of 32
 * bytes. All register accesses are the guest's, the received bytes the user's.
 *
 * There is no line behind it, and so no time:
 *
 * - A byte written to UARTDR has left before the store ends, whether or not
 *   UARTCR has switched the transmitter on: a kernel's earlycon writes without
 *   a look at UARTCR, as it relies on firmware for that, and there is none.
 *   UARTFR never shows BUSY, and the transmit FIFO is always empty.
 * - Bytes received together arrive together, and the 32 bit times after which
 *   what is below the trigger level interrupts as well (the receive timeout)
 *   have passed at once.
 * - Format, break and divisors are kept and change nothing; neither do
 *   hardware flow control and DMA, which nobody is there to do.
 *
 * The receiver listens only where UARTCR says so, in which it differs from the
 * transmitter: what is typed before the guest has set its UART up waits.
 *
 * The far end is always there: CTS, DSR and DCD are on. The interrupt line is
 * the combined UARTINTR, a level.
 */
#include "arch/aarch64/pl011.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "arch/aarch64/primecell.h"
#include "vmm/base/json.h"

#define PL011_FIFO_SIZE 32

/* 3.2, "Summary of registers", by offset */
enum pl011_reg {
	UARTDR = 0x000,
	UARTRSR = 0x004, /* a write is UARTECR */
	UARTFR = 0x018,
	UARTILPR = 0x020,
	UARTIBRD = 0x024,
	UARTFBRD = 0x028,
	UARTLCR_H = 0x02c,
	UARTCR = 0x030,
	UARTIFLS = 0x034,
	UARTIMSC = 0x038,
	UARTRIS = 0x03c,
	UARTMIS = 0x040,
	UARTICR = 0x044,
	UARTDMACR = 0x048,
};

/* UARTPeriphID0 to 3: part 0x011, designer 0x41, revision 3, no options */
#define PL011_PERIPH_ID UINT32_C(0x00341011)

/* UARTDR, beside the data; UARTRSR has the same four bits from 0 on. */
#define DR_OE  (1u << 11)
#define RSR_OE (1u << 3)

/* UARTFR */
#define FR_CTS	(1u << 0)
#define FR_DSR	(1u << 1)
#define FR_DCD	(1u << 2)
#define FR_RXFE (1u << 4)
#define FR_RXFF (1u << 6)
#define FR_TXFE (1u << 7)
#define FR_RI	(1u << 8)

/* UARTLCR_H */
#define LCR_H_FEN    (1u << 4)
#define LCR_H_WLEN_8 (3u << 5)

/* UARTCR */
#define CR_UARTEN (1u << 0)
#define CR_LBE	  (1u << 7)
#define CR_TXE	  (1u << 8)
#define CR_RXE	  (1u << 9)
#define CR_DTR	  (1u << 10)
#define CR_RTS	  (1u << 11)
#define CR_OUT1	  (1u << 12)
#define CR_OUT2	  (1u << 13)
#define CR_MASK	  0xff87u
#define CR_RESET  (CR_TXE | CR_RXE)

/* UARTIFLS: RXIFLSEL and TXIFLSEL */
#define IFLS_RX_POS   3
#define IFLS_RX_MASK  7u
#define IFLS_MASK     0x3fu
#define IFLS_RESET    0x12u
#define IFLS_RX_STEPS 5

/* UARTIMSC, UARTRIS, UARTMIS, UARTICR */
#define INT_RI	 (1u << 0)
#define INT_CTS	 (1u << 1)
#define INT_DCD	 (1u << 2)
#define INT_DSR	 (1u << 3)
#define INT_RX	 (1u << 4)
#define INT_TX	 (1u << 5)
#define INT_RT	 (1u << 6)
#define INT_OE	 (1u << 10)
#define INT_MASK 0x7ffu

#define DMACR_MASK 7u
#define FBRD_MASK  0x3fu

/* The registers, as saved. */
struct pl011_state {
	uint16_t cr;
	uint16_t imsc;
	uint16_t ris;
	uint16_t ibrd;
	uint8_t fbrd;
	uint8_t lcr_h;
	uint8_t ifls;
	uint8_t ilpr;
	uint8_t dmacr;
	bool rsr_overrun; /* UARTRSR.OE, until UARTECR is written */
	bool dr_overrun;  /* the next UARTDR read says so */
	uint8_t count;	  /* of received bytes, oldest first */
	uint8_t fifo[PL011_FIFO_SIZE];
};

static const struct pl011_state pl011_reset_state = {
	.cr = CR_RESET,
	.ifls = IFLS_RESET,
};

struct pl011 {
	struct host *host; /* borrowed */
	uint64_t base;
	unsigned int gsi;
	struct char_backend backend;

	/* Under lock. irq_set is called with it held, so that levels reach the
	 * interrupt controller in the order in which they came about. */
	pthread_mutex_t lock;
	struct pl011_state state;
	bool irq_level;
};

static size_t pl011_capacity(const struct pl011_state *s)
{
	return (s->lcr_h & LCR_H_FEN) ? PL011_FIFO_SIZE : 1;
}

/* Does the receiver take in what is on its wire? */
static bool pl011_receives(const struct pl011_state *s)
{
	return (s->cr & CR_UARTEN) && (s->cr & CR_RXE);
}

static size_t pl011_room_locked(const struct pl011 *pl011)
{
	const struct pl011_state *s = &pl011->state;

	if ((s->cr & CR_LBE) || !pl011_receives(s))
		return 0;
	return pl011_capacity(s) - s->count;
}

/* Bytes in the FIFO from which on it interrupts. */
static size_t pl011_trigger(const struct pl011_state *s)
{
	/* 1/8, 1/4, 1/2, 3/4, 7/8; the others are reserved */
	static const uint8_t levels[IFLS_RX_STEPS] = {4, 8, 16, 24, 28};
	unsigned int select = (s->ifls >> IFLS_RX_POS) & IFLS_RX_MASK;

	if (!(s->lcr_h & LCR_H_FEN))
		return 1;
	return levels[select < IFLS_RX_STEPS ? select : IFLS_RX_STEPS - 1];
}

/* The modem lines as UARTFR shows them; LBE feeds the outputs back. */
static uint32_t pl011_lines(const struct pl011_state *s)
{
	uint32_t lines = 0;

	if (!(s->cr & CR_LBE))
		return FR_CTS | FR_DSR | FR_DCD;
	if (s->cr & CR_RTS)
		lines |= FR_CTS;
	if (s->cr & CR_DTR)
		lines |= FR_DSR;
	if (s->cr & CR_OUT1)
		lines |= FR_DCD;
	if (s->cr & CR_OUT2)
		lines |= FR_RI;
	return lines;
}

static void pl011_update_locked(struct pl011 *pl011)
{
	bool level = pl011->state.ris & pl011->state.imsc;

	if (level == pl011->irq_level)
		return;
	pl011->irq_level = level;
	pl011->host->ops->irq_set(pl011->host, pl011->gsi, level);
}

/* One character enters the receiver. */
static void pl011_receive(struct pl011_state *s, uint8_t byte)
{
	if (s->count == pl011_capacity(s)) {
		s->rsr_overrun = true;
		s->dr_overrun = true;
		s->ris |= INT_OE;
		return;
	}
	s->fifo[s->count++] = byte;
	if (s->count == pl011_trigger(s))
		s->ris |= INT_RX;
	s->ris |= INT_RT;
}

static uint32_t pl011_read_dr(struct pl011_state *s)
{
	uint32_t value = s->fifo[0];

	if (!s->count)
		return 0;
	if (s->dr_overrun)
		value |= DR_OE;
	s->dr_overrun = false;
	s->count--;
	memmove(s->fifo, s->fifo + 1, s->count);
	s->fifo[s->count] = 0;
	if (s->count < pl011_trigger(s))
		s->ris &= ~INT_RX;
	if (!s->count)
		s->ris &= ~INT_RT;
	return value;
}

static uint32_t pl011_read_fr(const struct pl011_state *s)
{
	uint32_t fr = FR_TXFE | pl011_lines(s);

	if (!s->count)
		fr |= FR_RXFE;
	if (s->count == pl011_capacity(s))
		fr |= FR_RXFF;
	return fr;
}

static uint32_t pl011_read_reg(struct pl011_state *s, uint64_t offset)
{
	switch ((enum pl011_reg)offset) {
	case UARTDR:
		return pl011_read_dr(s);
	case UARTRSR:
		return s->rsr_overrun ? RSR_OE : 0;
	case UARTFR:
		return pl011_read_fr(s);
	case UARTILPR:
		return s->ilpr;
	case UARTIBRD:
		return s->ibrd;
	case UARTFBRD:
		return s->fbrd;
	case UARTLCR_H:
		return s->lcr_h;
	case UARTCR:
		return s->cr;
	case UARTIFLS:
		return s->ifls;
	case UARTIMSC:
		return s->imsc;
	case UARTRIS:
		return s->ris;
	case UARTMIS:
		return s->ris & s->imsc;
	case UARTICR:
		return 0; /* write-only */
	case UARTDMACR:
		return s->dmacr;
	}
	return primecell_id(PL011_PERIPH_ID, offset);
}

/* Where the FIFOs are switched on or off, what was in them is gone. */
static void pl011_write_lcr_h(struct pl011_state *s, uint8_t value)
{
	if ((s->lcr_h ^ value) & LCR_H_FEN) {
		memset(s->fifo, 0, sizeof(s->fifo));
		s->count = 0;
		s->dr_overrun = false;
		s->ris &= ~(INT_RX | INT_RT);
	}
	s->lcr_h = value;
}

static void pl011_write_cr(struct pl011_state *s, uint16_t value)
{
	uint32_t before = pl011_lines(s), changed;

	s->cr = value & CR_MASK;
	changed = before ^ pl011_lines(s);
	if (changed & FR_CTS)
		s->ris |= INT_CTS;
	if (changed & FR_DSR)
		s->ris |= INT_DSR;
	if (changed & FR_DCD)
		s->ris |= INT_DCD;
	if (changed & FR_RI)
		s->ris |= INT_RI;
}

static void pl011_write_reg(struct pl011_state *s, uint64_t offset,
			    uint32_t value)
{
	switch ((enum pl011_reg)offset) {
	case UARTRSR:
		s->rsr_overrun = false;
		break;
	case UARTILPR:
		s->ilpr = (uint8_t)value;
		break;
	case UARTIBRD:
		s->ibrd = (uint16_t)value;
		break;
	case UARTFBRD:
		s->fbrd = value & FBRD_MASK;
		break;
	case UARTLCR_H:
		pl011_write_lcr_h(s, (uint8_t)value);
		break;
	case UARTCR:
		pl011_write_cr(s, (uint16_t)value);
		break;
	case UARTIFLS:
		s->ifls = value & IFLS_MASK;
		break;
	case UARTIMSC:
		s->imsc = value & INT_MASK;
		break;
	case UARTICR:
		s->ris &= ~value;
		break;
	case UARTDMACR:
		s->dmacr = value & DMACR_MASK;
		break;
	case UARTDR: /* pl011_write_dr() */
	case UARTFR:
	case UARTRIS:
	case UARTMIS:
		break;
	}
}

/*
 * Send one byte.
 *
 * It is out before the transmit interrupt says so, or another vCPU's next byte
 * could overtake it. That interrupt comes with the FIFO running empty and not
 * with being enabled (2.8.3), which Linux's driver knows.
 */
static void pl011_write_dr(struct pl011 *pl011, uint8_t value)
{
	const struct char_backend *backend = &pl011->backend;
	struct pl011_state *s = &pl011->state;
	bool loop;

	pthread_mutex_lock(&pl011->lock);
	loop = s->cr & CR_LBE;
	s->ris &= ~INT_TX;
	if (loop && pl011_receives(s))
		pl011_receive(s, value);
	pl011_update_locked(pl011);
	pthread_mutex_unlock(&pl011->lock);

	if (!loop && backend->ops)
		backend->ops->output(backend->ctx, &value, 1);

	pthread_mutex_lock(&pl011->lock);
	s->ris |= INT_TX;
	pl011_update_locked(pl011);
	pthread_mutex_unlock(&pl011->lock);
}

static void pl011_tell_room(const struct pl011 *pl011)
{
	const struct char_backend *backend = &pl011->backend;

	if (backend->ops)
		backend->ops->input_room(backend->ctx);
}

/*
 * Is there news for whoever waits to send: more room than before, and nothing
 * left to read? Not at each byte, which would wake main for each one while the
 * guest drains a full FIFO.
 */
static bool pl011_has_drained_locked(const struct pl011 *pl011,
				     size_t room_before)
{
	return !pl011->state.count && pl011_room_locked(pl011) > room_before;
}

static uint64_t pl011_read(void *ctx, uint64_t offset, unsigned int size)
{
	struct pl011 *pl011 = ctx;
	uint32_t value;
	size_t room;
	bool drained;

	(void)size;
	if (offset % PRIMECELL_REG_SIZE)
		return 0;
	pthread_mutex_lock(&pl011->lock);
	room = pl011_room_locked(pl011);
	value = pl011_read_reg(&pl011->state, offset);
	pl011_update_locked(pl011);
	drained = pl011_has_drained_locked(pl011, room);
	pthread_mutex_unlock(&pl011->lock);
	if (drained)
		pl011_tell_room(pl011);
	return value;
}

static void pl011_write(void *ctx, uint64_t offset, unsigned int size,
			uint64_t value)
{
	struct pl011 *pl011 = ctx;
	size_t room;
	bool drained;

	(void)size;
	if (offset == UARTDR) {
		pl011_write_dr(pl011, (uint8_t)value);
		return;
	}
	pthread_mutex_lock(&pl011->lock);
	room = pl011_room_locked(pl011);
	pl011_write_reg(&pl011->state, offset, (uint32_t)value);
	pl011_update_locked(pl011);
	drained = pl011_has_drained_locked(pl011, room);
	pthread_mutex_unlock(&pl011->lock);
	if (drained)
		pl011_tell_room(pl011);
}

static const struct bus_ops pl011_bus_ops = {
	.read = pl011_read,
	.write = pl011_write,
	.max_size = PRIMECELL_REG_SIZE,
};

size_t pl011_room(struct pl011 *pl011)
{
	size_t room;

	pthread_mutex_lock(&pl011->lock);
	room = pl011_room_locked(pl011);
	pthread_mutex_unlock(&pl011->lock);
	return room;
}

void pl011_input(struct pl011 *pl011, const uint8_t *data, size_t len)
{
	struct pl011_state *s = &pl011->state;

	pthread_mutex_lock(&pl011->lock);
	if (!(s->cr & CR_LBE) && pl011_receives(s)) {
		for (size_t i = 0; i < len; i++)
			pl011_receive(s, data[i]);
		pl011_update_locked(pl011);
	}
	pthread_mutex_unlock(&pl011->lock);
}

/* Replace all state, and have the sender look at the room afresh. */
static void pl011_set_state(struct pl011 *pl011,
			    const struct pl011_state *state)
{
	pthread_mutex_lock(&pl011->lock);
	pl011->state = *state;
	pl011_update_locked(pl011);
	pthread_mutex_unlock(&pl011->lock);
	pl011_tell_room(pl011);
}

void pl011_enable(struct pl011 *pl011)
{
	struct pl011_state state = pl011_reset_state;

	state.lcr_h = LCR_H_WLEN_8 | LCR_H_FEN;
	state.cr |= CR_UARTEN;
	pl011_set_state(pl011, &state);
}

static void pl011_reset(void *self)
{
	pl011_set_state(self, &pl011_reset_state);
}

static const struct json_field pl011_fields[] = {
	JSON_UINT(struct pl011_state, cr),
	JSON_UINT_MAX(struct pl011_state, imsc, INT_MASK),
	JSON_UINT_MAX(struct pl011_state, ris, INT_MASK),
	JSON_UINT(struct pl011_state, ibrd),
	JSON_UINT_MAX(struct pl011_state, fbrd, FBRD_MASK),
	JSON_UINT(struct pl011_state, lcr_h),
	JSON_UINT_MAX(struct pl011_state, ifls, IFLS_MASK),
	JSON_UINT(struct pl011_state, ilpr),
	JSON_UINT_MAX(struct pl011_state, dmacr, DMACR_MASK),
	JSON_BOOL(struct pl011_state, rsr_overrun),
	JSON_BOOL(struct pl011_state, dr_overrun),
	JSON_UINT_MAX(struct pl011_state, count, PL011_FIFO_SIZE),
	JSON_BLOB(struct pl011_state, fifo),
};

#define PL011_FIELDS (sizeof(pl011_fields) / sizeof(pl011_fields[0]))

static int pl011_save(void *self, json_t **out)
{
	struct pl011 *pl011 = self;
	int rc;

	pthread_mutex_lock(&pl011->lock);
	rc = json_save(&pl011->state, pl011_fields, PL011_FIELDS, out);
	pthread_mutex_unlock(&pl011->lock);
	return rc;
}

/* What the registers can be together, which no single member's range says. */
static int pl011_check(const struct pl011_state *s, struct error *err)
{
	if (s->cr & ~CR_MASK)
		return error_set(err, EINVAL,
				 "\"cr\": expected no other bits than 0x%x, "
				 "found 0x%x",
				 CR_MASK, s->cr);
	if (s->count > pl011_capacity(s))
		return error_set(
			err, EINVAL,
			"\"count\": expected at most %zu with lcr_h 0x%x, "
			"found %u",
			pl011_capacity(s), s->lcr_h, s->count);
	if (!s->count && (s->ris & (INT_RX | INT_RT)))
		return error_set(err, EINVAL,
				 "\"ris\": expected no receive interrupt "
				 "(0x50) with an empty FIFO, found 0x%x",
				 s->ris);
	return 0;
}

static int pl011_restore(void *self, const json_t *value, struct error *err)
{
	struct pl011_state state = {.cr = 0};
	int rc;

	rc = json_load(&state, pl011_fields, PL011_FIELDS, value, err);
	if (rc)
		return rc;
	rc = pl011_check(&state, err);
	if (rc)
		return rc;
	pl011_set_state(self, &state);
	return 0;
}

static void pl011_free(void *self)
{
	struct pl011 *pl011 = self;

	if (!pl011)
		return;
	pl011->host->ops->unmap(pl011->host, BUS_MMIO, pl011->base);
	pthread_mutex_destroy(&pl011->lock);
	free(pl011);
}

const struct device_ops pl011_device_ops = {
	.free = pl011_free,
	.reset = pl011_reset,
	.save = pl011_save,
	.restore = pl011_restore,
};

int pl011_new(struct pl011 **out, struct host *host, uint64_t base,
	      unsigned int gsi, const struct char_backend *backend)
{
	struct pl011 *pl011 = calloc(1, sizeof(*pl011));
	int rc;

	if (!pl011)
		return -ENOMEM;
	pl011->host = host;
	pl011->base = base;
	pl011->gsi = gsi;
	pl011->backend = *backend;
	pl011->state = pl011_reset_state;
	pthread_mutex_init(&pl011->lock, NULL);
	rc = host->ops->map(host, BUS_MMIO, base, PL011_SIZE, &pl011_bus_ops,
			    pl011, "pl011");
	if (rc)
		goto err_free;
	*out = pl011;
	return 0;

err_free:
	pthread_mutex_destroy(&pl011->lock);
	free(pl011);
	return rc;
}
