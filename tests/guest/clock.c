/*
 * Time: x2APIC with the TSC deadline timer, and the KVM paravirtual clock.
 * SDM volume 3, 10.5.4.1; Documentation/virt/kvm/x86/msr.rst.
 */
#include "lib/guest.h"
#include "lib/irq.h"

#define CPUID_1_ECX_X2APIC	 (1u << 21)
#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)
#define LVT_TIMER_TSC_DEADLINE	 (2u << 17)
#define TIMER_VECTOR		 0x50

#define CPUID_KVM	   0x40000000
#define KVM_CLOCKSOURCE2   (1u << 3)
#define KVM_WALL_CLOCK	   0x4b564d00
#define KVM_SYSTEM_TIME	   0x4b564d01
#define SYSTEM_TIME_ENABLE 1

#define NS_PER_S 1000000000ull

struct pvclock_time {
	uint32_t version, pad;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad2[2];
};

struct pvclock_wall {
	uint32_t version, sec, nsec;
};

static volatile struct pvclock_time pvtime __attribute__((aligned(64)));
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

/* Nanoseconds since the machine was started, msr.rst's formula. */
static uint64_t clock_now(void)
{
	uint32_t version;
	uint64_t delta;

	do {
		version = pvtime.version;
		delta = rdtsc() - pvtime.tsc_timestamp;
		if (pvtime.tsc_shift < 0)
			delta >>= -pvtime.tsc_shift;
		else
			delta <<= pvtime.tsc_shift;
		delta = (uint64_t)((unsigned __int128)delta *
					   pvtime.tsc_to_system_mul >>
				   32);
		delta += pvtime.system_time;
	} while ((version & 1) || version != pvtime.version);
	return delta;
}

static void clock_check_pvclock(void)
{
	struct cpuid c = cpuid(CPUID_KVM, 0);
	uint64_t first, second;

	check_eq(c.ebx, 0x4b4d564b); /* "KVMKVMKVM\0\0\0" */
	check_eq(c.ecx, 0x564b4d56);
	check_eq(c.edx, 0x0000004d);
	check(cpuid(CPUID_KVM + 1, 0).eax & KVM_CLOCKSOURCE2);

	wrmsr(KVM_SYSTEM_TIME, (uint64_t)&pvtime | SYSTEM_TIME_ENABLE);
	check(pvtime.tsc_to_system_mul);
	check_eq(pvtime.version & 1, 0);
	first = clock_now();
	second = clock_now();
	check(second > first);
	check(second < 3600 * NS_PER_S);

	wrmsr(KVM_WALL_CLOCK, (uint64_t)&pvwall);
	check_eq(pvwall.version & 1, 0);
	/* Between 2024 and 2100. */
	check(pvwall.sec > 1704067200u && pvwall.sec < 4102444800u);
	print("pvclock: %lu us, booted at %u\n", second / 1000, pvwall.sec);
	wrmsr(KVM_SYSTEM_TIME, 0);
}

int guest_main(void)
{
	irq_init();
	clock_check_deadline();
	clock_check_pvclock();
	return 0;
}
