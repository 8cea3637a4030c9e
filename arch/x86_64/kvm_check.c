/*
 * Whether this host's KVM has what bantam needs on x86_64. Any KVM of Linux
 * 5.14 or later has all of it, unless it was configured or cut otherwise.
 * Capabilities: Documentation/virt/kvm/api.rst of Linux. Those that depend on
 * the CPU are not needed: KVM_CAP_XCRS (a CPU with XSAVE) and
 * KVM_CAP_TSC_DEADLINE_TIMER, which CPUID follows.
 */
#include "arch/x86_64/kvm_check.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

struct kvm_need {
	int capability;
	const char *name; /* without KVM_CAP_ */
	const char *what; /* that it is needed for */
	bool legacy;	  /* by that profile alone */
};

#define NEED_FOR(cap, text, only)                                          \
	{                                                                  \
		.capability = KVM_CAP_##cap, .name = #cap, .what = (text), \
		.legacy = (only),                                          \
	}
#define NEED(cap, text)	       NEED_FOR(cap, text, false)
#define NEED_LEGACY(cap, text) NEED_FOR(cap, text, true)
static const struct kvm_need kvm_needs[] = {
	NEED(USER_MEMORY, "guest memory"),
	NEED(IRQCHIP, "interrupt controllers"),
	NEED(IRQ_ROUTING, "interrupt routes"),
	NEED(IRQFD, "interrupts of devices"),
	NEED(IOEVENTFD, "notifications of devices"),
	NEED(IMMEDIATE_EXIT, "stopping vCPUs"),
	NEED(SET_TSS_ADDR, "real mode on Intel"),
	NEED(SET_IDENTITY_MAP_ADDR, "real mode on Intel"),
	NEED(EXT_CPUID, "CPUID"),
	NEED(GET_TSC_KHZ, "the TSC's frequency"),
	NEED(ADJUST_CLOCK, "saving the clock"),
	NEED(MP_STATE, "starting and saving vCPUs"),
	NEED(SREGS2, "saving vCPUs"),
	NEED(XSAVE, "saving vCPUs"),
	NEED(DEBUGREGS, "saving vCPUs"),
	NEED(VCPU_EVENTS, "saving vCPUs"),
	NEED_LEGACY(PIT2, "the timer of --machine legacy"),
	NEED_LEGACY(PIT_STATE2, "saving the timer of --machine legacy"),
};

/* Add the name and purpose of one to a list in text; cut when full. */
static void x86_kvm_list(char *text, size_t size, const struct kvm_need *need)
{
	size_t used = strlen(text);

	snprintf(text + used, size - used, "%sKVM_CAP_%s (%s)",
		 used ? ", " : "", need->name, need->what);
}

static int x86_kvm_check_cpus(x86_kvm_extension_fn *extension, void *ctx,
			      unsigned int cpus, struct error *err)
{
	int most = extension(ctx, KVM_CAP_MAX_VCPUS);

	/* api.rst, 4.4: without it NR_VCPUS counts, without that 4. */
	if (most <= 0)
		most = extension(ctx, KVM_CAP_NR_VCPUS);
	if (most <= 0)
		most = 4;
	if (cpus <= (unsigned int)most)
		return 0;
	return error_set(err, EINVAL,
			 "--cpus %u: this host's KVM has at most %d vCPUs for "
			 "a machine: ask for that many or fewer",
			 cpus, most);
}

static bool x86_kvm_missing_with(x86_kvm_extension_fn *extension, void *ctx,
				 bool legacy, char *list, size_t size)
{
	list[0] = '\0';
	for (size_t i = 0; i < sizeof(kvm_needs) / sizeof(kvm_needs[0]); i++) {
		const struct kvm_need *need = &kvm_needs[i];

		if (need->legacy && !legacy)
			continue;
		if (extension(ctx, need->capability) <= 0)
			x86_kvm_list(list, size, need);
	}
	return list[0] != '\0';
}

int x86_kvm_check_with(x86_kvm_extension_fn *extension, void *ctx, bool legacy,
		       unsigned int cpus, struct error *err)
{
	char missing[ERROR_TEXT_MAX / 2];

	if (x86_kvm_missing_with(extension, ctx, legacy, missing,
				 sizeof(missing)))
		return error_set(err, ENOTSUP,
				 "this host's KVM lacks %s: use a kernel of "
				 "Linux 5.14 or later with KVM complete",
				 missing);
	return x86_kvm_check_cpus(extension, ctx, cpus, err);
}

/* ctx: where /dev/kvm's descriptor is. */
static int x86_kvm_ask(void *ctx, int capability)
{
	const int *kvm_fd = ctx;

	return ioctl(*kvm_fd, KVM_CHECK_EXTENSION, capability);
}

int x86_kvm_check(int kvm_fd, bool legacy, unsigned int cpus, struct error *err)
{
	return x86_kvm_check_with(x86_kvm_ask, &kvm_fd, legacy, cpus, err);
}

bool x86_kvm_missing(int kvm_fd, bool legacy, char *list, size_t size)
{
	return x86_kvm_missing_with(x86_kvm_ask, &kvm_fd, legacy, list, size);
}
