/*
 * Capabilities: Documentation/virt/kvm/api.rst of Linux. Any KVM of Linux 5.10
 * or later has all of them, unless it was configured otherwise.
 */
#include "arch/aarch64/kvm_check.h"

#include <errno.h>

#include <linux/kvm.h>

#include "arch/aarch64/gic.h"

static const struct kvm_need kvm_needs[] = {
	KVM_NEED(USER_MEMORY, "guest memory"),
	KVM_NEED(DEVICE_CTRL, "interrupt controllers"),
	KVM_NEED(IRQ_ROUTING, "interrupt routes"),
	KVM_NEED(IRQFD, "interrupts of devices"),
	KVM_NEED(IOEVENTFD, "notifications of devices"),
	KVM_NEED(IMMEDIATE_EXIT, "stopping vCPUs"),
	KVM_NEED(ARM_PSCI_0_2, "starting vCPUs"),
	KVM_NEED(ONE_REG, "saving vCPUs"),
	KVM_NEED(MP_STATE, "saving vCPUs"),
	KVM_NEED(VCPU_EVENTS, "saving vCPUs"),
};

static bool arm_kvm_missing_with(kvm_extension_fn *extension, void *ctx,
				 char *list, size_t size)
{
	list[0] = '\0';
	kvm_needs_list(kvm_needs, sizeof(kvm_needs) / sizeof(kvm_needs[0]),
		       extension, ctx, list, size);
	return list[0] != '\0';
}

static int arm_kvm_check_cpus(kvm_extension_fn *extension, void *ctx,
			      unsigned int gic_version, unsigned int cpus,
			      struct error *err)
{
	if (gic_version == 2 && cpus > GIC_V2_CPUS_MAX)
		return error_set(err, EINVAL,
				 "--cpus %u: this host's interrupt controller "
				 "is a GICv2, with which a machine has at most "
				 "%d vCPUs: ask for that many or fewer",
				 cpus, GIC_V2_CPUS_MAX);
	return kvm_needs_cpus(cpus, extension, ctx, err);
}

int arm_kvm_check_with(kvm_extension_fn *extension, void *ctx,
		       unsigned int gic_version, unsigned int cpus,
		       struct error *err)
{
	char missing[ERROR_TEXT_MAX / 2];

	if (arm_kvm_missing_with(extension, ctx, missing, sizeof(missing)))
		return error_set(err, ENOTSUP,
				 "this host's KVM lacks %s: use a kernel of "
				 "Linux 5.10 or later with KVM complete",
				 missing);
	if (!gic_version)
		return error_set(err, ENOTSUP,
				 "this host's KVM has neither a GICv3 nor a "
				 "GICv2 for a machine: use a host whose "
				 "interrupt controller can be virtualised");
	return arm_kvm_check_cpus(extension, ctx, gic_version, cpus, err);
}

int arm_kvm_check(int kvm_fd, unsigned int gic_version, unsigned int cpus,
		  struct error *err)
{
	return arm_kvm_check_with(kvm_needs_ask, &kvm_fd, gic_version, cpus,
				  err);
}

bool arm_kvm_missing(int kvm_fd, char *list, size_t size)
{
	return arm_kvm_missing_with(kvm_needs_ask, &kvm_fd, list, size);
}
