/*
 * Prints what comes in on the serial port, until a full stop; sleeps between
 * interrupts, so that nothing arrives without one. Enabling the FIFO discards
 * what has arrived before "ready"; fifo=0 leaves it off and keeps that.
 */
#include "lib/guest.h"
#include "lib/irq.h"

#define ECHO_GSI    4
#define ECHO_VECTOR 0x44

static volatile bool echo_done;

static void __attribute__((interrupt)) echo_irq(struct interrupt_frame *frame)
{
	(void)frame;
	while (in8(PORT_COM1 + 5) & 1) {
		uint8_t byte = in8(PORT_COM1);

		out8(PORT_COM1, byte);
		if (byte == '.')
			echo_done = true;
	}
	in8(PORT_COM1 + 2);
	wrmsr(X2APIC_EOI, 0);
}

int guest_main(void)
{
	irq_init();
	irq_set(ECHO_VECTOR, echo_irq);
	ioapic_route(ECHO_GSI, ECHO_VECTOR, false);
	if (option_number("fifo", 1))
		out8(PORT_COM1 + 2, 0x01); /* trigger level 1 */
	out8(PORT_COM1 + 4, 0x0b);	   /* DTR, RTS, OUT2 */
	out8(PORT_COM1 + 1, 0x01);	   /* receiver interrupt */
	print("ready\n");
	while (!echo_done)
		irq_wait();
	return 0;
}
