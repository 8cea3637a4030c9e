/*
 * KVM_ARM_VCPU_INIT is both: it makes a vCPU what it is, and, given once more
 * with the same features, puts it back to its power-on state (api.rst).
 */
#include "arch/aarch64/vcpu_boot.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/aarch64/vcpu_regs.h"

static int vcpu_boot_ioctl(int fd, unsigned long request, const void *arg,
			   const char *name, struct error *err)
{
	int errnum;

	if (ioctl(fd, request, arg) == 0)
		return 0;
	errnum = errno;
	return error_set(err, errnum, "%s: %s", name, strerror(errnum));
}

#define VCPU_BOOT_IOCTL(fd, request, arg, err) \
	vcpu_boot_ioctl(fd, request, arg, #request, err)

static bool vcpu_boot_can(int vm_fd, unsigned long capability)
{
	return ioctl(vm_fd, KVM_CHECK_EXTENSION, capability) > 0;
}

static void vcpu_boot_add(struct kvm_vcpu_init *model, unsigned int feature)
{
	model->features[feature / 32] |= 1u << feature % 32;
}

static bool vcpu_boot_has(const struct kvm_vcpu_init *model,
			  unsigned int feature)
{
	return model->features[feature / 32] & 1u << feature % 32;
}

int vcpu_boot_model(int vm_fd, struct kvm_vcpu_init *model, struct error *err)
{
	int rc;

	memset(model, 0, sizeof(*model));
	rc = VCPU_BOOT_IOCTL(vm_fd, KVM_ARM_PREFERRED_TARGET, model, err);
	if (rc)
		return rc;
	vcpu_boot_add(model, KVM_ARM_VCPU_PSCI_0_2);
	/* KVM has these two only together. */
	if (vcpu_boot_can(vm_fd, KVM_CAP_ARM_PTRAUTH_ADDRESS) &&
	    vcpu_boot_can(vm_fd, KVM_CAP_ARM_PTRAUTH_GENERIC)) {
		vcpu_boot_add(model, KVM_ARM_VCPU_PTRAUTH_ADDRESS);
		vcpu_boot_add(model, KVM_ARM_VCPU_PTRAUTH_GENERIC);
	}
	if (vcpu_boot_can(vm_fd, KVM_CAP_ARM_SVE))
		vcpu_boot_add(model, KVM_ARM_VCPU_SVE);
	return 0;
}

static int vcpu_boot_power_on(int vcpu_fd, const struct kvm_vcpu_init *model,
			      bool secondary, struct error *err)
{
	struct kvm_vcpu_init init = *model;

	if (secondary)
		vcpu_boot_add(&init, KVM_ARM_VCPU_POWER_OFF);
	return VCPU_BOOT_IOCTL(vcpu_fd, KVM_ARM_VCPU_INIT, &init, err);
}

int vcpu_boot_init(int vcpu_fd, const struct kvm_vcpu_init *model,
		   bool secondary, struct error *err)
{
	const int feature = KVM_ARM_VCPU_SVE;
	int rc = vcpu_boot_power_on(vcpu_fd, model, secondary, err);

	/* With all vector lengths that the host has. */
	if (!rc && vcpu_boot_has(model, KVM_ARM_VCPU_SVE))
		rc = VCPU_BOOT_IOCTL(vcpu_fd, KVM_ARM_VCPU_FINALIZE, &feature,
				     err);
	return rc;
}

int vcpu_boot_reset(int vcpu_fd, const struct kvm_vcpu_init *model,
		    bool secondary, struct error *err)
{
	int rc = vcpu_boot_power_on(vcpu_fd, model, secondary, err);

	/* KVM switches the timer off, and leaves when it would fire. */
	return rc ? rc
		  : vcpu_reg_set64(vcpu_fd, KVM_REG_ARM_TIMER_CVAL, 0, err);
}

int vcpu_boot_enter(int vcpu_fd, uint64_t entry, uint64_t fdt,
		    struct error *err)
{
	int rc = vcpu_reg_set64(vcpu_fd, VCPU_PC, entry, err);

	/* x1 to x3, and the mode, are what a power-on leaves. */
	return rc ? rc : vcpu_reg_set64(vcpu_fd, VCPU_X(0), fdt, err);
}
