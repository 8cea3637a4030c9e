#include "arch/aarch64/vcpu_regs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* A vCPU with SVE has some 600. */
#define VCPU_REGS_MAX 4096

static int vcpu_reg_access(int vcpu_fd, unsigned long request, const char *call,
			   uint64_t id, const void *value, struct error *err)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)value};
	int errnum;

	if (ioctl(vcpu_fd, request, &reg) == 0)
		return 0;
	errnum = errno;
	return error_set(err, errnum, "%s: register 0x%" PRIx64 ": %s", call,
			 id, strerror(errnum));
}

int vcpu_reg_get(int vcpu_fd, uint64_t id, void *value, struct error *err)
{
	return vcpu_reg_access(vcpu_fd, KVM_GET_ONE_REG, "KVM_GET_ONE_REG", id,
			       value, err);
}

int vcpu_reg_set(int vcpu_fd, uint64_t id, const void *value, struct error *err)
{
	return vcpu_reg_access(vcpu_fd, KVM_SET_ONE_REG, "KVM_SET_ONE_REG", id,
			       value, err);
}

int vcpu_reg_set64(int vcpu_fd, uint64_t id, uint64_t value, struct error *err)
{
	return vcpu_reg_set(vcpu_fd, id, &value, err);
}

int vcpu_reg_list(int vcpu_fd, struct kvm_reg_list **out, struct error *err)
{
	struct kvm_reg_list *list =
		calloc(1, sizeof(*list) + VCPU_REGS_MAX * sizeof(list->reg[0]));
	int errnum;

	if (!list)
		return error_set(err, ENOMEM, "out of memory");
	list->n = VCPU_REGS_MAX;
	if (ioctl(vcpu_fd, KVM_GET_REG_LIST, list) < 0) {
		errnum = errno;
		free(list);
		return error_set(err, errnum, "KVM_GET_REG_LIST: %s",
				 strerror(errnum));
	}
	*out = list;
	return 0;
}
