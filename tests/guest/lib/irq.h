/*
 * Interrupts: an IDT, the local APIC in x2APIC mode and the I/O APIC.
 * SDM volume 3, chapters 6 and 10; 82093AA I/O APIC.
 */
#ifndef TESTS_GUEST_LIB_IRQ_H
#define TESTS_GUEST_LIB_IRQ_H

#include <stdbool.h>
#include <stdint.h>

struct interrupt_frame;

/* An interrupt handler: __attribute__((interrupt)), which saves and restores
 * what it uses. */
typedef void irq_handler(struct interrupt_frame *frame);

/* Load an IDT in which each exception prints itself and fails the guest, and
 * switch this CPU's local APIC to x2APIC mode. */
void irq_init(void);

/* @vector: 32 to 255 */
void irq_set(uint8_t vector, irq_handler *handler);

/* Let I/O APIC pin @gsi raise @vector on the CPU with APIC id 0. */
void ioapic_route(unsigned int gsi, uint8_t vector, bool level);

/* x2APIC registers are MSRs. */
#define X2APIC_APICID	 0x802
#define X2APIC_EOI	 0x80b
#define X2APIC_SIVR	 0x80f
#define X2APIC_ICR	 0x830
#define X2APIC_LVT_TIMER 0x832

#define MSR_APIC_BASE	     0x1b
#define MSR_APIC_BASE_X2APIC (1 << 10)
#define MSR_APIC_BASE_ENABLE (1 << 11)
#define MSR_TSC_DEADLINE     0x6e0

#endif
