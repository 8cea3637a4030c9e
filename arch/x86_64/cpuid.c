/*
 * The guest's CPUID. The input is KVM's; nothing here is a guest's.
 *
 * "SDM" is the Intel 64 and IA-32 Architectures Software Developer's Manual:
 * volume 2A, "CPUID", for the leaves, volume 3A, "Hierarchical Mapping of
 * Shared Resources", for APIC IDs. "APM" is the AMD64 Architecture
 * Programmer's Manual: volume 3, appendix E, for the leaves.
 *
 * A vCPU's APIC ID is its index. KVM reports the topology of the host's CPU
 * that happened to answer, so every leaf that tells of it is written anew.
 *
 * What KVM supports and the guest does not get:
 *
 * - VMX and SVM: the state of a nested hypervisor is not among what bantam
 *   saves, and nested virtualisation is a large part of KVM's attack surface.
 * - SGX: there is no EPC memory for it.
 * - The performance monitoring unit (leaf 0xA, PDCM, DS, AMD's extensions):
 *   how many counters there are and what they count belongs to the host's
 *   model, and KVM counts with the host's own, which do not survive a
 *   snapshot; Linux would also spend one on its NMI watchdog. AMD's four
 *   legacy counters have no CPUID bit (APM volume 2, 13.2.1). They stay, and
 *   KVM saves them among the MSRs.
 *
 * Leaf 0xD stays KVM's: it lists the states that KVM saves in XSAVE (AMX not
 * among them unless the process asked for it), no extended state belongs to
 * what is removed above, and KVM itself keeps the sizes in step with XCR0.
 *
 * The KVM leaves 0x40000000 and 0x40000001 stay KVM's, too: its signature, and
 * kvmclock, PV EOI, steal time, asynchronous page faults and so on as it
 * supports them. There is no timing leaf 0x40000010: Linux reads the TSC's
 * frequency from kvmclock and uses that leaf under VMware alone.
 */
#include "arch/x86_64/cpuid.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* KVM's own bound is 256 (KVM_MAX_CPUID_ENTRIES): the first try succeeds. */
#define CPUID_ENTRIES_FIRST 256
#define CPUID_ENTRIES_LAST  4096

/* Leaves that are made here, and so the entries that are needed for them. */
#define CPUID_LEVELS	  3 /* thread, core, and the end */
#define CPUID_ENTRIES_OWN (2 * CPUID_LEVELS)

#define LEAF_VENDOR	  0x0
#define LEAF_FEATURES	  0x1
#define LEAF_CACHE	  0x4
#define LEAF_FEATURES2	  0x7
#define LEAF_PMU	  0xa
#define LEAF_TOPOLOGY	  0xb
#define LEAF_SGX	  0x12
#define LEAF_TOPOLOGY2	  0x1f
#define LEAF_AMD_FEATURES 0x80000001
#define LEAF_AMD_SIZES	  0x80000008
#define LEAF_AMD_SVM	  0x8000000a
#define LEAF_AMD_CACHE	  0x8000001d
#define LEAF_AMD_TOPOLOGY 0x8000001e
#define LEAF_AMD_PMU	  0x80000022
#define LEAF_AMD_LEVELS	  0x80000026 /* AMD's leaf 0xB of more levels */

#define BIT(n) (UINT32_C(1) << (n))

/* Leaf 1 (SDM, table "Feature Information"; APM E.3.2) */
#define ECX1_DTES64	  BIT(2)
#define ECX1_VMX	  BIT(5)
#define ECX1_DS_CPL	  BIT(4)
#define ECX1_PDCM	  BIT(15)
#define ECX1_X2APIC	  BIT(21)
#define ECX1_TSC_DEADLINE BIT(24)
#define ECX1_HYPERVISOR	  BIT(31)
#define EDX1_DS		  BIT(21)
#define EDX1_HTT	  BIT(28)

/* Leaf 7, subleaf 0 (SDM) */
#define EBX7_SGX      BIT(2)
#define ECX7_SGX_LC   BIT(30)
#define EDX7_SGX_KEYS BIT(1)
#define EDX7_ARCH_LBR BIT(19)

/* Leaf 0x80000001 (APM E.4.2) */
#define ECX81_CMP_LEGACY   BIT(1)
#define ECX81_SVM	   BIT(2)
#define ECX81_TOPOEXT	   BIT(22)
#define ECX81_PERFCTR_CORE BIT(23)
#define ECX81_PERFCTR_NB   BIT(24)
#define ECX81_PERFCTR_LLC  BIT(28)

/* Leaves 0xB and 0x1F, ECX[15:8] (SDM) */
#define LEVEL_NONE   0
#define LEVEL_THREAD 1
#define LEVEL_CORE   2

struct cpuid {
	struct kvm_cpuid2 *table; /* owned */
	bool topology_extensions; /* leaf 0x8000001E says something */
};

/* Replace the bits of *reg that mask names. */
static void cpuid_put(uint32_t *reg, uint32_t mask, uint32_t value)
{
	*reg = (*reg & ~mask) | (value & mask);
}

/* Bits that number n things: the smallest b with 2^b >= n. */
static unsigned int cpuid_id_bits(unsigned int n)
{
	return n > 1 ? 32 - (unsigned int)__builtin_clz(n - 1) : 0;
}

static struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *table,
					   uint32_t leaf)
{
	for (unsigned int i = 0; i < table->nent; i++) {
		if (table->entries[i].function == leaf)
			return &table->entries[i];
	}
	return NULL;
}

/* AMD's leaves are reserved elsewhere; Hygon's CPUs are AMD's. */
static bool cpuid_is_amd(struct kvm_cpuid2 *table)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(table, LEAF_VENDOR);
	uint32_t vendor[3];

	if (!e)
		return false;
	vendor[0] = e->ebx;
	vendor[1] = e->edx;
	vendor[2] = e->ecx;
	return memcmp(vendor, "AuthenticAMD", sizeof(vendor)) == 0 ||
	       memcmp(vendor, "HygonGenuine", sizeof(vendor)) == 0;
}

static bool cpuid_is_dropped(uint32_t leaf)
{
	switch (leaf) {
	case LEAF_PMU:
	case LEAF_SGX:
	case LEAF_AMD_SVM:
	case LEAF_AMD_PMU:
	case LEAF_AMD_LEVELS:
	/* Made anew by cpuid_add_topology(). */
	case LEAF_TOPOLOGY:
	case LEAF_TOPOLOGY2:
		return true;
	default:
		return false;
	}
}

/* A leaf within the range that has no entry reads as zeros. */
static void cpuid_drop_leaves(struct kvm_cpuid2 *table)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < table->nent; i++) {
		if (!cpuid_is_dropped(table->entries[i].function))
			table->entries[kept++] = table->entries[i];
	}
	table->nent = kept;
}

/*
 * SDM, leaf 1: EBX[23:16] counts the logical processors of the package and is
 * only valid with HTT. APM E.3.2 has the same, for cores with CmpLegacy.
 */
static void cpuid_adjust_features(struct kvm_cpuid_entry2 *e, unsigned int cpus,
				  bool tsc_deadline)
{
	e->ecx |= ECX1_HYPERVISOR | ECX1_X2APIC;
	cpuid_put(&e->ecx, ECX1_TSC_DEADLINE,
		  tsc_deadline ? ECX1_TSC_DEADLINE : 0);
	e->ecx &= ~(ECX1_VMX | ECX1_PDCM | ECX1_DTES64 | ECX1_DS_CPL);
	e->edx &= ~EDX1_DS;
	cpuid_put(&e->edx, EDX1_HTT, cpus > 1 ? EDX1_HTT : 0);
	cpuid_put(&e->ebx, 0x00ff0000, cpus << 16);
}

/*
 * SDM, leaf 4: EAX[31:26] and EAX[25:14] are numbers of addressable IDs, which
 * are powers of two, less one: of cores in the package, and of the logical
 * processors that share the cache. APM E.4.15, leaf 0x8000001D: EAX[25:14] is
 * the number of logical processors that share the cache, less one. The first
 * two levels belong to a core, those above to the package.
 */
static void cpuid_adjust_cache(struct kvm_cpuid_entry2 *e, unsigned int cpus)
{
	unsigned int type = e->eax & 0x1f;
	unsigned int level = (e->eax >> 5) & 7;
	unsigned int ids = 1u << cpuid_id_bits(cpus);
	bool amd = e->function == LEAF_AMD_CACHE;
	unsigned int sharing = amd ? cpus : ids;

	if (type == 0)
		return;
	cpuid_put(&e->eax, 0x03ffc000, level > 2 ? (sharing - 1) << 14 : 0);
	if (!amd)
		cpuid_put(&e->eax, 0xfc000000, (ids - 1) << 26);
}

/*
 * APM E.4.7, leaf 0x80000008: ECX[7:0] is the number of threads in the package
 * less one, ECX[15:12] the number of bits in an APIC ID that tell them apart.
 */
static void cpuid_adjust_amd_sizes(struct kvm_cpuid_entry2 *e,
				   unsigned int cpus)
{
	cpuid_put(&e->ecx, 0x000000ff, cpus - 1);
	cpuid_put(&e->ecx, 0x0000f000, cpuid_id_bits(cpus) << 12);
}

static void cpuid_adjust(struct kvm_cpuid_entry2 *e, unsigned int cpus,
			 bool amd, bool tsc_deadline)
{
	switch (e->function) {
	case LEAF_FEATURES:
		cpuid_adjust_features(e, cpus, tsc_deadline);
		break;
	case LEAF_CACHE:
	case LEAF_AMD_CACHE:
		cpuid_adjust_cache(e, cpus);
		break;
	case LEAF_FEATURES2:
		if (e->index != 0)
			break;
		e->ebx &= ~EBX7_SGX;
		e->ecx &= ~ECX7_SGX_LC;
		e->edx &= ~(EDX7_SGX_KEYS | EDX7_ARCH_LBR);
		break;
	case LEAF_AMD_FEATURES:
		e->ecx &= ~(ECX81_SVM | ECX81_PERFCTR_CORE | ECX81_PERFCTR_NB |
			    ECX81_PERFCTR_LLC);
		/* HTT stands for cores, not threads (APM E.4.2). */
		cpuid_put(&e->ecx, ECX81_CMP_LEGACY,
			  amd && cpus > 1 ? ECX81_CMP_LEGACY : 0);
		break;
	case LEAF_AMD_SIZES:
		if (amd)
			cpuid_adjust_amd_sizes(e, cpus);
		break;
	default:
		break;
	}
}

/*
 * SDM, leaves 0xB and 0x1F: each subleaf is a level; EAX[4:0] is how far to
 * shift an x2APIC ID for the ID of the level above, EBX how many logical
 * processors are at this level. EDX, the x2APIC ID, is set for each vCPU.
 */
static void cpuid_add_topology(struct kvm_cpuid2 *table, uint32_t leaf,
			       unsigned int cpus)
{
	const struct {
		uint32_t shift, count, type;
	} levels[CPUID_LEVELS] = {
		{0, 1, LEVEL_THREAD},
		{cpuid_id_bits(cpus), cpus, LEVEL_CORE},
		{0, 0, LEVEL_NONE},
	};

	for (uint32_t i = 0; i < CPUID_LEVELS; i++) {
		table->entries[table->nent++] = (struct kvm_cpuid_entry2){
			.function = leaf,
			.index = i,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.eax = levels[i].shift,
			.ebx = levels[i].count,
			.ecx = levels[i].type << 8 | i,
		};
	}
}

/* The table has room for CPUID_ENTRIES_OWN more. */
static void cpuid_build(struct cpuid *cpuid, unsigned int cpus,
			bool tsc_deadline)
{
	struct kvm_cpuid2 *table = cpuid->table;
	const struct kvm_cpuid_entry2 *e = cpuid_find(table, LEAF_VENDOR);
	uint32_t highest = e ? e->eax : 0;
	bool amd = cpuid_is_amd(table);

	e = cpuid_find(table, LEAF_AMD_FEATURES);
	cpuid->topology_extensions = amd && e && (e->ecx & ECX81_TOPOEXT);
	cpuid_drop_leaves(table);
	for (unsigned int i = 0; i < table->nent; i++)
		cpuid_adjust(&table->entries[i], cpus, amd, tsc_deadline);
	/* Software prefers 0x1F where it is within the range. */
	if (highest >= LEAF_TOPOLOGY)
		cpuid_add_topology(table, LEAF_TOPOLOGY, cpus);
	if (highest >= LEAF_TOPOLOGY2)
		cpuid_add_topology(table, LEAF_TOPOLOGY2, cpus);
}

static struct kvm_cpuid2 *cpuid_alloc(size_t entries)
{
	struct kvm_cpuid2 *table = NULL;

	table = calloc(1, sizeof(*table) + entries * sizeof(table->entries[0]));
	if (table)
		table->nent = (uint32_t)entries;
	return table;
}

int cpuid_new_from(struct cpuid **out, const struct kvm_cpuid_entry2 *entries,
		   size_t count, unsigned int cpus, bool tsc_deadline)
{
	struct cpuid *cpuid = malloc(sizeof(*cpuid));

	assert(cpus > 0 && count <= CPUID_ENTRIES_LAST);
	if (!cpuid)
		return -ENOMEM;
	cpuid->table = cpuid_alloc(count + CPUID_ENTRIES_OWN);
	if (!cpuid->table) {
		free(cpuid);
		return -ENOMEM;
	}
	memcpy(cpuid->table->entries, entries, count * sizeof(*entries));
	cpuid->table->nent = (uint32_t)count;
	cpuid_build(cpuid, cpus, tsc_deadline);
	*out = cpuid;
	return 0;
}

/*
 * KVM says E2BIG and nothing more when it has more entries than nent.
 * Return: to be freed, or NULL with errno set.
 */
static struct kvm_cpuid2 *cpuid_get_supported(int kvm_fd)
{
	size_t entries = CPUID_ENTRIES_FIRST;

	for (;;) {
		struct kvm_cpuid2 *table = cpuid_alloc(entries);

		if (!table)
			return NULL;
		if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, table) == 0)
			return table;
		free(table);
		if (errno != E2BIG || entries >= CPUID_ENTRIES_LAST)
			return NULL;
		entries *= 2;
	}
}

int cpuid_new(struct cpuid **out, int kvm_fd, unsigned int cpus,
	      struct error *err)
{
	struct kvm_cpuid2 *supported = cpuid_get_supported(kvm_fd);
	bool tsc_deadline;
	int ret;

	if (!supported)
		return error_set(err, errno,
				 "cannot ask KVM for the CPUID that it "
				 "supports: %s",
				 strerror(errno));
	tsc_deadline = ioctl(kvm_fd, KVM_CHECK_EXTENSION,
			     KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	ret = cpuid_new_from(out, supported->entries, supported->nent, cpus,
			     tsc_deadline);
	free(supported);
	if (ret)
		return error_set(err, -ret, "no memory for CPUID");
	return 0;
}

void cpuid_free(struct cpuid *cpuid)
{
	if (!cpuid)
		return;
	free(cpuid->table);
	free(cpuid);
}

unsigned int cpuid_address_bits(const struct cpuid *cpuid)
{
	const struct kvm_cpuid_entry2 *e =
		cpuid_find(cpuid->table, LEAF_AMD_SIZES);
	unsigned int guest;

	if (!e)
		return 36;
	/* APM E.4.7: EAX[23:16], unless 0, is the width for guests. */
	guest = e->eax >> 16 & 0xff;
	return guest ? guest : e->eax & 0xff;
}

const struct kvm_cpuid2 *cpuid_for(struct cpuid *cpuid, unsigned int index)
{
	for (unsigned int i = 0; i < cpuid->table->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->table->entries[i];

		switch (e->function) {
		case LEAF_FEATURES: /* SDM: EBX[31:24], initial APIC ID */
			cpuid_put(&e->ebx, 0xff000000, index << 24);
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY2:
			e->edx = index;
			break;
		case LEAF_AMD_TOPOLOGY:
			if (!cpuid->topology_extensions)
				break;
			/*
			 * APM E.4.16: the extended APIC ID; core's ID and
			 * threads in it less one; node's ID and nodes less one.
			 */
			e->eax = index;
			e->ebx = index;
			e->ecx = 0;
			break;
		default:
			break;
		}
	}
	return cpuid->table;
}

int cpuid_set(struct cpuid *cpuid, int vcpu_fd, unsigned int index,
	      struct error *err)
{
	int ret;

	if (ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid_for(cpuid, index)) == 0)
		return 0;
	ret = errno;
	return error_set(err, ret, "KVM refuses vCPU %u's CPUID: %s", index,
			 strerror(ret));
}
