/*
 * The serial port as a driver sees it: NS16550A registers, loopback, FIFO,
 * and its interrupt through I/O APIC and local APIC.
 */
#include "lib/guest.h"
#include "lib/irq.h"

#define RBR (PORT_COM1 + 0)
#define THR (PORT_COM1 + 0)
#define DLL (PORT_COM1 + 0)
#define IER (PORT_COM1 + 1)
#define DLM (PORT_COM1 + 1)
#define IIR (PORT_COM1 + 2)
#define FCR (PORT_COM1 + 2)
#define LCR (PORT_COM1 + 3)
#define MCR (PORT_COM1 + 4)
#define LSR (PORT_COM1 + 5)
#define MSR (PORT_COM1 + 6)
#define SCR (PORT_COM1 + 7)

#define IER_RDI	      0x01
#define IER_THRI      0x02
#define IIR_NO_INT    0x01
#define IIR_ID	      0x0f
#define IIR_THRI      0x02
#define IIR_RDI	      0x04
#define IIR_TIMEOUT   0x0c
#define IIR_FIFO      0xc0
#define FCR_ENABLE    0x01
#define FCR_CLEAR     0x06
#define FCR_TRIGGER_8 0x80
#define LCR_8N1	      0x03
#define LCR_DLAB      0x80
#define MCR_OUT2      0x08
#define MCR_LOOP      0x10
#define LSR_DR	      0x01
#define LSR_OE	      0x02
#define LSR_THRE      0x20
#define LSR_TEMT      0x40

#define FIFO_SIZE     16
#define SERIAL_GSI    4
#define SERIAL_VECTOR 0x44

static volatile unsigned int serial_irqs;
static volatile uint8_t serial_iir;

static void __attribute__((interrupt)) serial_irq(struct interrupt_frame *frame)
{
	(void)frame;
	serial_iir = in8(IIR);
	serial_irqs++;
	/* What was received stays until it is read: no more of it now. */
	if ((serial_iir & IIR_ID) != IIR_THRI)
		out8(IER, 0);
	wrmsr(X2APIC_EOI, 0);
}

static void serial_check_registers(void)
{
	out8(SCR, 0x5a);
	check_eq(in8(SCR), 0x5a);
	out8(SCR, 0xa5);
	check_eq(in8(SCR), 0xa5);

	out8(LCR, LCR_DLAB | LCR_8N1);
	out8(DLL, 0x01);
	out8(DLM, 0x02);
	check_eq(in8(DLL), 0x01);
	check_eq(in8(DLM), 0x02);
	out8(DLM, 0);
	out8(LCR, LCR_8N1);
	check_eq(in8(LCR), LCR_8N1);
	out8(IER, 0xff);
	check_eq(in8(IER), 0x0f);
	out8(IER, 0);
	check_eq(in8(IIR) & IIR_ID, IIR_NO_INT);
	check_eq(in8(LSR) & (LSR_THRE | LSR_TEMT), LSR_THRE | LSR_TEMT);
}

static void serial_check_loopback(void)
{
	out8(FCR, FCR_ENABLE | FCR_CLEAR);
	check_eq(in8(IIR) & IIR_FIFO, IIR_FIFO);
	/* DTR, RTS, OUT1, OUT2 come back as DSR, CTS, RI, DCD. */
	out8(MCR, MCR_LOOP | 0x0f);
	check_eq(in8(MSR) & 0xf0, 0xf0);
	out8(MCR, MCR_LOOP | 0x02);
	check_eq(in8(MSR) & 0xf0, 0x10);

	for (uint8_t i = 0; i < FIFO_SIZE; i++)
		out8(THR, (uint8_t)(i + 'a'));
	for (uint8_t i = 0; i < FIFO_SIZE; i++) {
		check(in8(LSR) & LSR_DR);
		check_eq(in8(RBR), i + 'a');
	}
	check_eq(in8(LSR) & LSR_DR, 0);

	/* One more than the FIFO holds is an overrun, said once. */
	for (unsigned int i = 0; i <= FIFO_SIZE; i++)
		out8(THR, 'x');
	check_eq(in8(LSR) & LSR_OE, LSR_OE);
	check_eq(in8(LSR) & LSR_OE, 0);
	out8(FCR, FCR_ENABLE | FCR_CLEAR);
	check_eq(in8(LSR) & LSR_DR, 0);
}

static void serial_wait_irq(unsigned int before)
{
	while (serial_irqs == before)
		irq_wait();
}

static void serial_check_interrupts(void)
{
	unsigned int before = serial_irqs;

	irq_set(SERIAL_VECTOR, serial_irq);
	ioapic_route(SERIAL_GSI, SERIAL_VECTOR, false);
	out8(MCR, MCR_OUT2);

	/* Enabling it while the transmitter is empty raises one at once. */
	out8(IER, IER_THRI);
	serial_wait_irq(before);
	check_eq(serial_iir & IIR_ID, IIR_THRI);
	/* Reading the IIR has acknowledged it. */
	check_eq(in8(IIR) & IIR_ID, IIR_NO_INT);

	before = serial_irqs;
	out8(THR, '.');
	serial_wait_irq(before);
	check_eq(serial_iir & IIR_ID, IIR_THRI);
	out8(IER, 0);

	/* Received, at a trigger level of 8: not before the timeout. */
	before = serial_irqs;
	out8(FCR, FCR_ENABLE | FCR_CLEAR | FCR_TRIGGER_8);
	out8(MCR, MCR_OUT2 | MCR_LOOP);
	out8(IER, IER_RDI);
	for (int i = 0; i < 8; i++)
		out8(THR, 'r');
	serial_wait_irq(before);
	check((serial_iir & IIR_ID) == IIR_RDI ||
	      (serial_iir & IIR_ID) == IIR_TIMEOUT);
	out8(FCR, FCR_ENABLE | FCR_CLEAR);
	out8(MCR, MCR_OUT2);
	print("\ninterrupts: %u\n", serial_irqs);
}

int guest_main(void)
{
	irq_init();
	serial_check_registers();
	serial_check_loopback();
	serial_check_interrupts();
	return 0;
}
