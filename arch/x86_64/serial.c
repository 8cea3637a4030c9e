/*
 * A 16550A UART, after National Semiconductor's PC16550D data sheet (June
 * 1995), whose chapter 8 has a section for each register; comments give the
 * names of sections and tables. All register accesses are the guest's, the
 * received bytes the user's.
 *
 * There is no line behind it, and so no time:
 *
 * - A byte written to THR has left before the OUT instruction ends. LSR always
 *   shows THRE and TEMT, and the transmit FIFO is never seen to hold anything.
 * - Bytes received together arrive together, and the four character times
 *   after which a FIFO below its trigger level interrupts as well ("FIFO
 *   Interrupt Mode Operation") have passed at once. A timer would only make a
 *   typed key slow: what comes later the guest finds in the FIFO all the same.
 * - LCR's format, its break bit and the divisor are kept and change nothing.
 *
 * The far end is always there: CTS, DSR and DCD are on.
 *
 * The interrupt line is a level, high while any enabled cause is pending.
 * Whoever listens for edges sees one for each time that it comes up.
 */
#include "arch/x86_64/serial.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/json.h"

#define SERIAL_PORTS	 8
#define SERIAL_FIFO_SIZE 16

/* "Summary of Registers", by offset; the first two depend on LCR's DLAB. */
enum serial_reg {
	SERIAL_RBR_THR = 0, /* DLAB: DLL */
	SERIAL_IER = 1,	    /* DLAB: DLM */
	SERIAL_IIR_FCR = 2,
	SERIAL_LCR = 3,
	SERIAL_MCR = 4,
	SERIAL_LSR = 5,
	SERIAL_MSR = 6,
	SERIAL_SCR = 7,
};

/* Interrupt Enable Register */
#define IER_ERBFI 0x01 /* received data available */
#define IER_ETBEI 0x02 /* THR empty */
#define IER_ELSI  0x04 /* receiver line status */
#define IER_EDSSI 0x08 /* modem status */
#define IER_MASK  0x0f

/* Interrupt Identification Register, "Interrupt Control Functions" */
#define IIR_MSI	      0x00 /* modem status */
#define IIR_NONE      0x01
#define IIR_THRE      0x02
#define IIR_RDA	      0x04 /* received data available */
#define IIR_RLS	      0x06 /* receiver line status */
#define IIR_CTI	      0x0c /* character time-out */
#define IIR_FIFO_MODE 0xc0

/* FIFO Control Register */
#define FCR_ENABLE	0x01
#define FCR_RCVR_RESET	0x02
#define FCR_DMA		0x08
#define FCR_TRIGGER	0xc0
#define FCR_KEPT	(FCR_ENABLE | FCR_DMA | FCR_TRIGGER)
#define FCR_TRIGGER_POS 6

/* Line Control Register */
#define LCR_DLAB 0x80

/* Modem Control Register */
#define MCR_DTR	 0x01
#define MCR_RTS	 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08 /* on a PC: lets the interrupt out */
#define MCR_LOOP 0x10
#define MCR_MASK 0x1f

/* Line Status Register */
#define LSR_DR	 0x01
#define LSR_OE	 0x02
#define LSR_THRE 0x20
#define LSR_TEMT 0x40

/* Modem Status Register: the low half tells what of the high has changed */
#define MSR_TERI  0x04
#define MSR_DELTA 0x0f
#define MSR_CTS	  0x10
#define MSR_DSR	  0x20
#define MSR_RI	  0x40
#define MSR_DCD	  0x80

/* 9600 baud at 1.8432 MHz, as PC firmware leaves it. */
#define SERIAL_DIVISOR 12

/* The registers, as saved. */
struct serial_state {
	uint8_t ier;
	uint8_t fcr; /* FCR_KEPT; 0 in character mode */
	uint8_t lcr;
	uint8_t mcr;
	uint8_t msr_delta; /* MSR_DELTA; the lines follow from mcr */
	uint8_t scr;
	uint16_t divisor;
	bool overrun;	   /* LSR.OE */
	bool thre_pending; /* the THRE interrupt, not yet acknowledged */
	uint8_t count;	   /* of received bytes, oldest first */
	uint8_t fifo[SERIAL_FIFO_SIZE];
};

struct serial {
	struct host *host; /* borrowed */
	uint64_t port;
	unsigned int gsi;
	struct char_backend backend;

	/* Under lock. irq_set is called with it held, so that levels reach the
	 * interrupt controller in the order in which they came about. */
	pthread_mutex_t lock;
	struct serial_state state;
	bool irq_level;
};

static size_t serial_capacity(const struct serial_state *s)
{
	return s->fcr & FCR_ENABLE ? SERIAL_FIFO_SIZE : 1;
}

static size_t serial_room_locked(const struct serial *serial)
{
	const struct serial_state *s = &serial->state;

	if (s->mcr & MCR_LOOP)
		return 0;
	return serial_capacity(s) - s->count;
}

/* FCR6 and FCR7: bytes in the FIFO that make it interrupt. */
static size_t serial_trigger(const struct serial_state *s)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return levels[s->fcr >> FCR_TRIGGER_POS];
}

/* The modem lines as MSR shows them; MCR bit 4 crosses them over. */
static uint8_t serial_lines(const struct serial_state *s)
{
	uint8_t lines = 0;

	if (!(s->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	if (s->mcr & MCR_RTS)
		lines |= MSR_CTS;
	if (s->mcr & MCR_DTR)
		lines |= MSR_DSR;
	if (s->mcr & MCR_OUT1)
		lines |= MSR_RI;
	if (s->mcr & MCR_OUT2)
		lines |= MSR_DCD;
	return lines;
}

/* The pending interrupt of the highest priority. */
static uint8_t serial_cause(const struct serial_state *s)
{
	if ((s->ier & IER_ELSI) && s->overrun)
		return IIR_RLS;
	if ((s->ier & IER_ERBFI) && s->count)
		return s->count >= serial_trigger(s) ? IIR_RDA : IIR_CTI;
	if (s->thre_pending)
		return IIR_THRE;
	if ((s->ier & IER_EDSSI) && s->msr_delta)
		return IIR_MSI;
	return IIR_NONE;
}

/*
 * Drive the line to what the registers say. A PC's board gates it with OUT2.
 * In loopback the chip forces its OUT2 pin off while its interrupts stay
 * operational: what counts here is the bit, as in integrated UARTs, so that a
 * guest can test its interrupt that way.
 */
static void serial_update_locked(struct serial *serial)
{
	const struct serial_state *s = &serial->state;
	bool level = (s->mcr & MCR_OUT2) && serial_cause(s) != IIR_NONE;

	if (level == serial->irq_level)
		return;
	serial->irq_level = level;
	serial->host->ops->irq_set(serial->host, serial->gsi, level);
}

/* One character enters the receiver. */
static void serial_receive(struct serial_state *s, uint8_t byte)
{
	if (s->count < serial_capacity(s)) {
		s->fifo[s->count++] = byte;
		return;
	}
	s->overrun = true;
	/* Character mode loses what RBR held, FIFO mode what comes. */
	if (!(s->fcr & FCR_ENABLE))
		s->fifo[0] = byte;
}

static uint8_t serial_read_rbr(struct serial_state *s)
{
	uint8_t byte;

	if (!s->count)
		return 0;
	byte = s->fifo[0];
	s->count--;
	memmove(s->fifo, s->fifo + 1, s->count);
	s->fifo[s->count] = 0;
	return byte;
}

static uint8_t serial_read_iir(struct serial_state *s)
{
	uint8_t cause = serial_cause(s);

	/* Only the read that reports THRE acknowledges it. */
	if (cause == IIR_THRE)
		s->thre_pending = false;
	return cause | (s->fcr & FCR_ENABLE ? IIR_FIFO_MODE : 0);
}

static uint8_t serial_read_lsr(struct serial_state *s)
{
	uint8_t lsr = LSR_THRE | LSR_TEMT;

	if (s->count)
		lsr |= LSR_DR;
	if (s->overrun)
		lsr |= LSR_OE;
	s->overrun = false;
	return lsr;
}

static uint8_t serial_read_msr(struct serial_state *s)
{
	uint8_t msr = serial_lines(s) | s->msr_delta;

	s->msr_delta = 0;
	return msr;
}

static uint8_t serial_read_reg(struct serial_state *s, enum serial_reg reg)
{
	bool dlab = s->lcr & LCR_DLAB;

	switch (reg) {
	case SERIAL_RBR_THR:
		return dlab ? s->divisor & 0xff : serial_read_rbr(s);
	case SERIAL_IER:
		return dlab ? s->divisor >> 8 : s->ier;
	case SERIAL_IIR_FCR:
		return serial_read_iir(s);
	case SERIAL_LCR:
		return s->lcr;
	case SERIAL_MCR:
		return s->mcr;
	case SERIAL_LSR:
		return serial_read_lsr(s);
	case SERIAL_MSR:
		return serial_read_msr(s);
	case SERIAL_SCR:
		return s->scr;
	}
	return 0xff;
}

/*
 * THRE's interrupt comes when THR runs empty or, as THR always is, when it is
 * enabled: drivers (Linux's 8250) kick their output off that way and probe for
 * it.
 */
static void serial_write_ier(struct serial_state *s, uint8_t value)
{
	if (!(value & IER_ETBEI))
		s->thre_pending = false;
	else if (!(s->ier & IER_ETBEI))
		s->thre_pending = true;
	s->ier = value & IER_MASK;
}

static void serial_clear_fifo(struct serial_state *s)
{
	memset(s->fifo, 0, sizeof(s->fifo));
	s->count = 0;
}

static void serial_write_fcr(struct serial_state *s, uint8_t value)
{
	/* Without bit 0 the others are not programmed. */
	uint8_t fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
	bool mode_changes = (fcr ^ s->fcr) & FCR_ENABLE;

	if (mode_changes || (fcr && (value & FCR_RCVR_RESET)))
		serial_clear_fifo(s);
	s->fcr = fcr;
}

static void serial_write_mcr(struct serial_state *s, uint8_t value)
{
	uint8_t before = serial_lines(s), changed;

	s->mcr = value & MCR_MASK;
	changed = before ^ serial_lines(s);
	s->msr_delta |= (changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4;
	/* RI alone is only noticed when it goes off. */
	if (changed & before & MSR_RI)
		s->msr_delta |= MSR_TERI;
}

static void serial_write_reg(struct serial_state *s, enum serial_reg reg,
			     uint8_t value)
{
	bool dlab = s->lcr & LCR_DLAB;

	switch (reg) {
	case SERIAL_RBR_THR:
		break; /* serial_write_thr() */
	case SERIAL_IER:
		if (dlab)
			s->divisor = (s->divisor & 0xff) | value << 8;
		else
			serial_write_ier(s, value);
		break;
	case SERIAL_IIR_FCR:
		serial_write_fcr(s, value);
		break;
	case SERIAL_LCR:
		s->lcr = value;
		break;
	case SERIAL_MCR:
		serial_write_mcr(s, value);
		break;
	case SERIAL_LSR: /* writing is for factory testing */
	case SERIAL_MSR:
		break;
	case SERIAL_SCR:
		s->scr = value;
		break;
	}
}

/*
 * Send one byte, or set the low half of the divisor.
 *
 * The byte is out before the THRE interrupt says so, or another vCPU's next
 * byte could overtake it. The line drops in between even if it comes up again
 * at once: a driver that answers THRE by writing the next byte, without a look
 * at IIR, waits for that edge.
 */
static void serial_write_thr(struct serial *serial, uint8_t value)
{
	const struct char_backend *backend = &serial->backend;
	struct serial_state *s = &serial->state;
	bool loop, wanted;

	pthread_mutex_lock(&serial->lock);
	if (s->lcr & LCR_DLAB) {
		s->divisor = (s->divisor & 0xff00) | value;
		pthread_mutex_unlock(&serial->lock);
		return;
	}
	loop = s->mcr & MCR_LOOP;
	wanted = s->ier & IER_ETBEI;
	s->thre_pending = false;
	if (loop)
		serial_receive(s, value);
	serial_update_locked(serial);
	pthread_mutex_unlock(&serial->lock);

	if (!loop && backend->ops)
		backend->ops->output(backend->ctx, &value, 1);

	if (!wanted)
		return;
	pthread_mutex_lock(&serial->lock);
	s->thre_pending = s->ier & IER_ETBEI;
	serial_update_locked(serial);
	pthread_mutex_unlock(&serial->lock);
}

static void serial_tell_room(const struct serial *serial)
{
	const struct char_backend *backend = &serial->backend;

	if (backend->ops)
		backend->ops->input_room(backend->ctx);
}

/*
 * Is there news for whoever waits to send: more room than before, and nothing
 * left to read? Not at each byte, which would wake main for each one while the
 * guest drains a full FIFO.
 */
static bool serial_has_drained_locked(const struct serial *serial,
				      size_t room_before)
{
	return !serial->state.count && serial_room_locked(serial) > room_before;
}

static uint64_t serial_read(void *ctx, uint64_t offset, unsigned int size)
{
	struct serial *serial = ctx;
	size_t room;
	uint8_t value;
	bool drained;

	(void)size;
	pthread_mutex_lock(&serial->lock);
	room = serial_room_locked(serial);
	value = serial_read_reg(&serial->state, offset);
	serial_update_locked(serial);
	drained = serial_has_drained_locked(serial, room);
	pthread_mutex_unlock(&serial->lock);
	if (drained)
		serial_tell_room(serial);
	return value;
}

static void serial_write(void *ctx, uint64_t offset, unsigned int size,
			 uint64_t value)
{
	struct serial *serial = ctx;
	size_t room;
	bool drained;

	(void)size;
	if (offset == SERIAL_RBR_THR) {
		serial_write_thr(serial, value);
		return;
	}
	pthread_mutex_lock(&serial->lock);
	room = serial_room_locked(serial);
	serial_write_reg(&serial->state, offset, value);
	serial_update_locked(serial);
	drained = serial_has_drained_locked(serial, room);
	pthread_mutex_unlock(&serial->lock);
	if (drained)
		serial_tell_room(serial);
}

static const struct bus_ops serial_bus_ops = {
	.read = serial_read,
	.write = serial_write,
	.max_size = 1,
};

size_t serial_room(struct serial *serial)
{
	size_t room;

	pthread_mutex_lock(&serial->lock);
	room = serial_room_locked(serial);
	pthread_mutex_unlock(&serial->lock);
	return room;
}

void serial_input(struct serial *serial, const uint8_t *data, size_t len)
{
	struct serial_state *s = &serial->state;

	pthread_mutex_lock(&serial->lock);
	if (!(s->mcr & MCR_LOOP)) {
		for (size_t i = 0; i < len; i++)
			serial_receive(s, data[i]);
		serial_update_locked(serial);
	}
	pthread_mutex_unlock(&serial->lock);
}

/* Replace all state, and have the sender look at the room afresh. */
static void serial_set_state(struct serial *serial,
			     const struct serial_state *state)
{
	pthread_mutex_lock(&serial->lock);
	serial->state = *state;
	serial_update_locked(serial);
	pthread_mutex_unlock(&serial->lock);
	serial_tell_room(serial);
}

/* "UART Reset Configuration". */
static void serial_reset(void *self)
{
	serial_set_state(self,
			 &(struct serial_state){.divisor = SERIAL_DIVISOR});
}

static const struct json_field serial_fields[] = {
	JSON_UINT_MAX(struct serial_state, ier, IER_MASK),
	JSON_UINT_MAX(struct serial_state, fcr, FCR_KEPT),
	JSON_UINT_MAX(struct serial_state, lcr, UINT8_MAX),
	JSON_UINT_MAX(struct serial_state, mcr, MCR_MASK),
	JSON_UINT_MAX(struct serial_state, msr_delta, MSR_DELTA),
	JSON_UINT_MAX(struct serial_state, scr, UINT8_MAX),
	JSON_UINT_MAX(struct serial_state, divisor, UINT16_MAX),
	JSON_BOOL(struct serial_state, overrun),
	JSON_BOOL(struct serial_state, thre_pending),
	JSON_UINT_MAX(struct serial_state, count, SERIAL_FIFO_SIZE),
	JSON_BLOB(struct serial_state, fifo),
};

#define SERIAL_FIELDS (sizeof(serial_fields) / sizeof(serial_fields[0]))

static int serial_save(void *self, json_t **out)
{
	struct serial *serial = self;
	int rc;

	pthread_mutex_lock(&serial->lock);
	rc = json_save(&serial->state, serial_fields, SERIAL_FIELDS, out);
	pthread_mutex_unlock(&serial->lock);
	return rc;
}

/* What the registers can be together, which no single member's range says. */
static int serial_check(const struct serial_state *s, struct error *err)
{
	if ((s->fcr & ~FCR_KEPT) || (s->fcr && !(s->fcr & FCR_ENABLE)))
		return error_set(
			err, EINVAL,
			"\"fcr\": expected 0, or bit 0 set and no other "
			"bits than 0xc9, found 0x%x",
			s->fcr);
	if (s->count > serial_capacity(s))
		return error_set(
			err, EINVAL,
			"\"count\": expected at most %zu with fcr 0x%x, "
			"found %u",
			serial_capacity(s), s->fcr, s->count);
	if (s->thre_pending && !(s->ier & IER_ETBEI))
		return error_set(
			err, EINVAL,
			"\"thre_pending\": expected false with ier 0x%x, "
			"found true",
			s->ier);
	return 0;
}

static int serial_restore(void *self, const json_t *value, struct error *err)
{
	struct serial_state state = {.ier = 0};
	int rc;

	rc = json_load(&state, serial_fields, SERIAL_FIELDS, value, err);
	if (rc)
		return rc;
	rc = serial_check(&state, err);
	if (rc)
		return rc;
	serial_set_state(self, &state);
	return 0;
}

static void serial_free(void *self)
{
	struct serial *serial = self;

	if (!serial)
		return;
	serial->host->ops->unmap(serial->host, BUS_PIO, serial->port);
	pthread_mutex_destroy(&serial->lock);
	free(serial);
}

const struct device_ops serial_device_ops = {
	.free = serial_free,
	.reset = serial_reset,
	.save = serial_save,
	.restore = serial_restore,
};

int serial_new(struct serial **out, struct host *host, uint64_t port,
	       unsigned int gsi, const struct char_backend *backend)
{
	struct serial *serial = calloc(1, sizeof(*serial));
	int rc;

	if (!serial)
		return -ENOMEM;
	serial->host = host;
	serial->port = port;
	serial->gsi = gsi;
	serial->backend = *backend;
	serial->state.divisor = SERIAL_DIVISOR;
	pthread_mutex_init(&serial->lock, NULL);
	rc = host->ops->map(host, BUS_PIO, port, SERIAL_PORTS, &serial_bus_ops,
			    serial, "serial");
	if (rc)
		goto err_free;
	*out = serial;
	return 0;

err_free:
	pthread_mutex_destroy(&serial->lock);
	free(serial);
	return rc;
}
