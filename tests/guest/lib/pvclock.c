#include "lib/pvclock.h"

#include "lib/guest.h"

#define CPUID_KVM	   0x40000000
#define KVM_CLOCKSOURCE2   (1u << 3)
#define KVM_SYSTEM_TIME	   0x4b564d01
#define SYSTEM_TIME_ENABLE 1

struct pvclock_time {
	uint32_t version, pad;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad2[2];
};

static volatile struct pvclock_time pvtime __attribute__((aligned(64)));

void pvclock_start(void)
{
	struct cpuid c = cpuid(CPUID_KVM, 0);

	check_eq(c.ebx, 0x4b4d564b); /* "KVMKVMKVM\0\0\0" */
	check_eq(c.ecx, 0x564b4d56);
	check_eq(c.edx, 0x0000004d);
	check(cpuid(CPUID_KVM + 1, 0).eax & KVM_CLOCKSOURCE2);

	wrmsr(KVM_SYSTEM_TIME, (uint64_t)&pvtime | SYSTEM_TIME_ENABLE);
	check(pvtime.tsc_to_system_mul);
	check_eq(pvtime.version & 1, 0);
}

void pvclock_stop(void)
{
	wrmsr(KVM_SYSTEM_TIME, 0);
}

/* msr.rst's formula. */
uint64_t pvclock_now(void)
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
