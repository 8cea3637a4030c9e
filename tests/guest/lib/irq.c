#include "lib/irq.h"

#include "lib/guest.h"

#define VECTORS	   256
#define EXCEPTIONS 32

#define SPURIOUS_VECTOR 0xff
#define SIVR_ENABLE	0x100

/* The 8259s' mask registers. */
#define PIC1_IMR 0x21
#define PIC2_IMR 0xa1

#define IOAPIC_BASE   0xfec00000ull
#define IOAPIC_IND    0x00
#define IOAPIC_DAT    0x10
#define IOAPIC_REDTBL 0x10
#define REDTBL_LEVEL  (1 << 15)

struct idt_gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};

_Static_assert(sizeof(struct idt_gate) == 16, "SDM volume 3, 6.14.1");

#define GATE_INTERRUPT 0x8e /* present, DPL 0, 64-bit interrupt gate */

static struct idt_gate idt[VECTORS] __attribute__((aligned(16)));

/* irq_stubs.S: pushes vector, error code and calls irq_exception(). */
extern const uint64_t irq_stubs[EXCEPTIONS];
void __attribute__((noreturn))
irq_exception(uint64_t vector, uint64_t error, uint64_t rip);

void irq_exception(uint64_t vector, uint64_t error, uint64_t rip)
{
	uint64_t cr2;

	asm volatile("mov %%cr2, %0" : "=r"(cr2));
	print("exception %lu, error %lx, at %lx, cr2 %lx\n", vector, error, rip,
	      cr2);
	guest_exit(GUEST_FAILED);
}

static void irq_gate(unsigned int vector, uint64_t handler)
{
	idt[vector] = (struct idt_gate){
		.offset_low = (uint16_t)handler,
		.selector = 0x08,
		.type = GATE_INTERRUPT,
		.offset_mid = (uint16_t)(handler >> 16),
		.offset_high = (uint32_t)(handler >> 32),
	};
}

void irq_set(uint8_t vector, irq_handler *handler)
{
	irq_gate(vector, (uint64_t)handler);
}

static void __attribute__((interrupt)) irq_spurious(struct interrupt_frame *f)
{
	(void)f;
}

void irq_init(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} pointer = {sizeof(idt) - 1, (uint64_t)idt};

	for (unsigned int i = 0; i < EXCEPTIONS; i++)
		irq_gate(i, irq_stubs[i]);
	irq_set(SPURIOUS_VECTOR, irq_spurious);
	asm volatile("lidt %0" : : "m"(pointer));

	/* Where there is a PC's PIC, its interrupts would look like
	 * exceptions. */
	out8(PIC1_IMR, 0xff);
	out8(PIC2_IMR, 0xff);
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | MSR_APIC_BASE_ENABLE |
				     MSR_APIC_BASE_X2APIC);
	wrmsr(X2APIC_SIVR, SIVR_ENABLE | SPURIOUS_VECTOR);
}

static void ioapic_write(uint32_t index, uint32_t value)
{
	write32(IOAPIC_BASE + IOAPIC_IND, index);
	write32(IOAPIC_BASE + IOAPIC_DAT, value);
}

void ioapic_route(unsigned int gsi, uint8_t vector, bool level)
{
	ioapic_write(IOAPIC_REDTBL + 2 * gsi + 1, 0);
	ioapic_write(IOAPIC_REDTBL + 2 * gsi,
		     vector | (level ? REDTBL_LEVEL : 0));
}
