/*
 * Whether this host's KVM has what bantam needs on x86_64. Any KVM of Linux
 * 5.14 or later has all of it, unless it was configured or cut otherwise.
 * Capabilities: Documentation/virt/kvm/api.rst of Linux. Those that depend on
 * the CPU are not needed: KVM_CAP_XCRS (a CPU with XSAVE) and
 * KVM_CAP_TSC_DEADLINE_TIMER, which CPUID follows.
 */
#include "arch/x86_64/kvm_check.h"

#include <errno.h>

#include <linux/kvm.h>

static const struct kvm_need kvm_needs[] = {
	KVM_NEED(USER_MEMORY, "guest memory"),
	KVM_NEED(IRQCHIP, "interrupt controllers"),
	KVM_NEED(IRQ_ROUTING, "interrupt routes"),
	KVM_NEED(IRQFD, "interrupts of devices"),
	KVM_NEED(IOEVENTFD, "notifications of devices"),
	KVM_NEED(IMMEDIATE_EXIT, "stopping vCPUs"),
	KVM_NEED(SET_TSS_ADDR, "real mode on Intel"),
	KVM_NEED(SET_IDENTITY_MAP_ADDR, "real mode on Intel"),
	KVM_NEED(EXT_CPUID, "CPUID"),
	KVM_NEED(GET_TSC_KHZ, "the TSC's frequency"),
	KVM_NEED(ADJUST_CLOCK, "saving the clock"),
	KVM_NEED(MP_STATE, "starting and saving vCPUs"),
	KVM_NEED(SREGS2, "saving vCPUs"),
	KVM_NEED(XSAVE, "saving vCPUs"),
	KVM_NEED(DEBUGREGS, "saving vCPUs"),
	KVM_NEED(VCPU_EVENTS, "saving vCPUs"),
};

/* Besides, for that profile. */
static const struct kvm_need legacy_needs[] = {
	KVM_NEED(PIT2, "the timer of --machine legacy"),
	KVM_NEED(PIT_STATE2, "saving the timer of --machine legacy"),
};

static bool x86_kvm_missing_with(kvm_extension_fn *extension, void *ctx,
				 bool legacy, char *list, size_t size)
{
	list[0] = '\0';
	kvm_needs_list(kvm_needs, sizeof(kvm_needs) / sizeof(kvm_needs[0]),
		       extension, ctx, list, size);
	if (legacy)
		kvm_needs_list(legacy_needs,
			       sizeof(legacy_needs) / sizeof(legacy_needs[0]),
			       extension, ctx, list, size);
	return list[0] != '\0';
}

int x86_kvm_check_with(kvm_extension_fn *extension, void *ctx, bool legacy,
		       unsigned int cpus, struct error *err)
{
	char missing[ERROR_TEXT_MAX / 2];

	if (x86_kvm_missing_with(extension, ctx, legacy, missing,
				 sizeof(missing)))
		return error_set(err, ENOTSUP,
				 "this host's KVM lacks %s: use a kernel of "
				 "Linux 5.14 or later with KVM complete",
				 missing);
	return kvm_needs_cpus(cpus, extension, ctx, err);
}

int x86_kvm_check(int kvm_fd, bool legacy, unsigned int cpus, struct error *err)
{
	return x86_kvm_check_with(kvm_needs_ask, &kvm_fd, legacy, cpus, err);
}

bool x86_kvm_missing(int kvm_fd, bool legacy, char *list, size_t size)
{
	return x86_kvm_missing_with(kvm_needs_ask, &kvm_fd, legacy, list, size);
}
