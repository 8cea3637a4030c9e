/*
 * Capabilities: Documentation/virt/kvm/api.rst of Linux. Any KVM of Linux 5.10
 * or later has all of them, unless it was configured otherwise.
 */
#include "arch/aarch64/kvm_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "arch/aarch64/gic.h"

struct kvm_need {
	int capability;
	const char *name; /* without KVM_CAP_ */
	const char *what; /* that it is needed for */
};

#define NEED(cap, text)                                                    \
	{                                                                  \
		.capability = KVM_CAP_##cap, .name = #cap, .what = (text), \
	}
static const struct kvm_need kvm_needs[] = {
	NEED(USER_MEMORY, "guest memory"),
	NEED(DEVICE_CTRL, "interrupt controllers"),
	NEED(IRQ_ROUTING, "interrupt routes"),
	NEED(IRQFD, "interrupts of devices"),
	NEED(IOEVENTFD, "notifications of devices"),
	NEED(IMMEDIATE_EXIT, "stopping vCPUs"),
	NEED(ARM_PSCI_0_2, "starting vCPUs"),
	NEED(ONE_REG, "saving vCPUs"),
	NEED(MP_STATE, "saving vCPUs"),
	NEED(VCPU_EVENTS, "saving vCPUs"),
};

/* Add the name and purpose of one to a list in text; cut when full. */
static void arm_kvm_list(char *text, size_t size, const struct kvm_need *need)
{
	size_t used = strlen(text);

	snprintf(text + used, size - used, "%sKVM_CAP_%s (%s)",
		 used ? ", " : "", need->name, need->what);
}

static bool arm_kvm_missing_with(arm_kvm_extension_fn *extension, void *ctx,
				 char *list, size_t size)
{
	list[0] = '\0';
	for (size_t i = 0; i < sizeof(kvm_needs) / sizeof(kvm_needs[0]); i++) {
		if (extension(ctx, kvm_needs[i].capability) <= 0)
			arm_kvm_list(list, size, &kvm_needs[i]);
	}
	return list[0] != '\0';
}

static int arm_kvm_check_cpus(arm_kvm_extension_fn *extension, void *ctx,
			      unsigned int gic_version, unsigned int cpus,
			      struct error *err)
{
	int most = extension(ctx, KVM_CAP_MAX_VCPUS);

	if (gic_version == 2 && cpus > GIC_V2_CPUS_MAX)
		return error_set(err, EINVAL,
				 "--cpus %u: this host's interrupt controller "
				 "is a GICv2, with which a machine has at most "
				 "%d vCPUs: ask for that many or fewer",
				 cpus, GIC_V2_CPUS_MAX);
	if (most <= 0 || cpus <= (unsigned int)most)
		return 0;
	return error_set(err, EINVAL,
			 "--cpus %u: this host's KVM has at most %d vCPUs for "
			 "a machine: ask for that many or fewer",
			 cpus, most);
}

int arm_kvm_check_with(arm_kvm_extension_fn *extension, void *ctx,
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

/* ctx: where /dev/kvm's descriptor is. */
static int arm_kvm_ask(void *ctx, int capability)
{
	const int *kvm_fd = ctx;

	return ioctl(*kvm_fd, KVM_CHECK_EXTENSION, capability);
}

int arm_kvm_check(int kvm_fd, unsigned int gic_version, unsigned int cpus,
		  struct error *err)
{
	return arm_kvm_check_with(arm_kvm_ask, &kvm_fd, gic_version, cpus, err);
}

bool arm_kvm_missing(int kvm_fd, char *list, size_t size)
{
	return arm_kvm_missing_with(arm_kvm_ask, &kvm_fd, list, size);
}
