#include "lib/smp.h"

#include "lib/guest.h"
#include "lib/irq.h"

/* A page of conventional memory that no boot protocol of ours uses. */
#define TRAMPOLINE 0x90000ull

/* ICR, SDM volume 3, 10.6.1. */
#define ICR_INIT	 (5u << 8)
#define ICR_STARTUP	 (6u << 8)
#define ICR_ASSERT	 (1u << 14)
#define ICR_ALL_BUT_SELF (3u << 18)

extern const uint8_t smp_trampoline[], smp_trampoline_end[];

volatile uint8_t smp_seen[SMP_CPUS_MAX + 1];
volatile uint32_t smp_count;

void smp_start(void)
{
	memcpy((void *)TRAMPOLINE, smp_trampoline,
	       (size_t)(smp_trampoline_end - smp_trampoline));
	wrmsr(X2APIC_ICR, ICR_ALL_BUT_SELF | ICR_ASSERT | ICR_INIT);
	wrmsr(X2APIC_ICR,
	      ICR_ALL_BUT_SELF | ICR_ASSERT | ICR_STARTUP | TRAMPOLINE >> 12);
}
