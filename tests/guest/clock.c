/*
 * Time: x2APIC with the TSC deadline timer, and the KVM paravirtual clock.
 * SDM volume 3, 10.5.4.1; Documentation/virt/kvm/x86/msr.rst.
 */
#include "lib/guest.h"
#include "lib/irq.h"
#include "lib/pvclock.h"

#define CPUID_1_ECX_X2APIC	 (1u << 21)
#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)
#define LVT_TIMER_TSC_DEADLINE	 (2u << 17)
#define TIMER_VECTOR		 0x50

#define KVM_WALL_CLOCK 0x4b564d00

#define NS_PER_S 1000000000ull

struct pvclock_wall {
	uint32_t version, sec, nsec;
};

static volatile struct pvclock_wall pvwall __attribute__((aligned(16)));
static volatile unsigned int clock_ticks;

static void __attribute__((interrupt)) clock_tick(struct interrupt_frame *frame)
{
	(void)frame;
	clock_ticks++;
	wrmsr(X2APIC_EOI, 0);
}

static void clock_check_deadline(void)
{
	uint64_t deadline;

	check(cpuid(1, 0).ecx & CPUID_1_ECX_X2APIC);
	check(cpuid(1, 0).ecx & CPUID_1_ECX_TSC_DEADLINE);
	irq_set(TIMER_VECTOR, clock_tick);
	wrmsr(X2APIC_LVT_TIMER, LVT_TIMER_TSC_DEADLINE | TIMER_VECTOR);
	for (unsigned int i = 1; i <= 3; i++) {
		deadline = rdtsc() + 1000000;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		while (clock_ticks < i)
			irq_wait();
		check(rdtsc() >= deadline);
		check_eq(rdmsr(MSR_TSC_DEADLINE), 0);
	}
	print("deadline: %u ticks\n", clock_ticks);
}

static void clock_check_pvclock(void)
{
	uint64_t first, second;

	pvclock_start();
	first = pvclock_now();
	second = pvclock_now();
	check(second > first);
	check(second < 3600 * NS_PER_S);

	wrmsr(KVM_WALL_CLOCK, (uint64_t)&pvwall);
	check_eq(pvwall.version & 1, 0);
	/* Between 2024 and 2100. */
	check(pvwall.sec > 1704067200u && pvwall.sec < 4102444800u);
	print("pvclock: %lu us, booted at %u\n", second / 1000, pvwall.sec);
	pvclock_stop();
}

int guest_main(void)
{
	irq_init();
	clock_check_deadline();
	clock_check_pvclock();
	return 0;
}
