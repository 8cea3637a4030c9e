/* Model-specific registers for unit tests. */
#include "tests/unit/x86_64/support/msr.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include <check.h>

/* A struct kvm_msrs of one. */
struct kvm_test_msr {
	uint32_t count, pad;
	struct kvm_msr_entry entry;
};

/* Outside a test, so without Check's assertions. */
bool kvm_test_sets_tsc(const char *name)
{
	const uint64_t then = UINT64_C(1) << 50;
	struct kvm_test_msr msr = {
		.count = 1,
		.entry = {.index = 0x10, .data = then},
	};
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	int vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	bool set = ioctl(vcpu_fd, KVM_SET_MSRS, &msr) == 1 &&
		   ioctl(vcpu_fd, KVM_GET_MSRS, &msr) == 1 &&
		   msr.entry.data >= then;

	close(vcpu_fd);
	close(vm_fd);
	close(kvm_fd);
	if (!set) {
		printf("skip: %s, TSC: this KVM cannot set one\n", name);
		fflush(stdout);
	}
	return set;
}

uint64_t kvm_test_get_msr(int vcpu_fd, uint32_t index)
{
	struct kvm_test_msr msr = {.count = 1, .entry.index = index};

	ck_assert_int_eq(ioctl(vcpu_fd, KVM_GET_MSRS, &msr), 1);
	return msr.entry.data;
}

void kvm_test_set_msr(int vcpu_fd, uint32_t index, uint64_t data)
{
	struct kvm_test_msr msr = {
		.count = 1,
		.entry = {.index = index, .data = data},
	};

	ck_assert_int_eq(ioctl(vcpu_fd, KVM_SET_MSRS, &msr), 1);
}
