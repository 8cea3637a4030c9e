/*
 * Starts all other CPUs by INIT and SIPI; each checks in under its x2APIC id.
 * Option: cpus=N.
 */
#include "lib/smp.h"

#include "lib/guest.h"
#include "lib/irq.h"

/* SDM volume 2A, CPUID: the topology leaf, and the processor-core level. */
#define CPUID_TOPOLOGY 0xb
#define LEVEL_CORE     2

/*
 * Standard leaves show the host's values on a KVM that cannot intercept CPUID
 * (HOSTS.md). This one does follow if leaf 1 has our own initial APIC id and
 * as many logical processors as we have.
 */
static bool smp_cpuid_follows(unsigned int cpus)
{
	struct cpuid c = cpuid(1, 0);

	return cpus > 1 && (c.ebx >> 16 & 0xff) >= cpus && (c.ecx >> 31 & 1) &&
	       cpuid(CPUID_TOPOLOGY, 1).ebx == cpus;
}

static void smp_check_topology(unsigned int cpus)
{
	struct cpuid core = cpuid(CPUID_TOPOLOGY, 1);

	check_eq(core.ecx >> 8 & 0xff, LEVEL_CORE);
	check_eq(core.edx, rdmsr(X2APIC_APICID));
	/* The shift leaves nothing but the package. */
	check(1u << (core.eax & 0x1f) >= cpus);
	check_eq(cpuid(CPUID_TOPOLOGY, 2).ebx, 0);
}

int guest_main(void)
{
	unsigned int cpus = (unsigned int)option_number("cpus", 1);

	irq_init();
	check_eq(rdmsr(X2APIC_APICID), 0);
	smp_start();
	while (smp_count < cpus - 1)
		asm volatile("pause");
	/* One byte each: a CPU that came twice, or under another's id, shows.
	 */
	for (unsigned int id = 0; id <= SMP_CPUS_MAX; id++)
		check_eq(smp_seen[id], id && id < cpus ? 1 : 0);
	if (smp_cpuid_follows(cpus)) {
		smp_check_topology(cpus);
		print("topology: %u cores\n", cpus);
	} else {
		print("topology: CPUID shows the host's, not checked\n");
	}
	print("cpus: %u\n", smp_count + 1);
	return 0;
}
