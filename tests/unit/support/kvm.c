/* KVM for unit tests. */
#include "tests/unit/support/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include <check.h>

bool kvm_test_available(const char *name)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("skip: %s: no /dev/kvm (%s)\n", name, strerror(errno));
		fflush(stdout);
		return false;
	}
	close(fd);
	return true;
}

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

void kvm_test_init(struct kvm_test *test)
{
	const struct guest_mem_region ram = {.size = KVM_TEST_RAM};
	struct kvm_userspace_memory_region slot = {
		.memory_size = KVM_TEST_RAM,
	};

	*test = (struct kvm_test){.kvm_fd = -1, .vm_fd = -1};
	for (int i = 0; i < KVM_TEST_CPUS; i++)
		test->vcpu_fds[i] = -1;
	test->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(test->kvm_fd, 0);
	test->vm_fd = ioctl(test->kvm_fd, KVM_CREATE_VM, 0);
	ck_assert_int_ge(test->vm_fd, 0);
	ck_assert_int_eq(guest_mem_new(&test->mem, &ram, 1, 0, NULL), 0);
	slot.userspace_addr =
		(uintptr_t)guest_mem_span(test->mem, 0, KVM_TEST_RAM);
	ck_assert_int_eq(ioctl(test->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot),
			 0);
}

void kvm_test_add_vcpus(struct kvm_test *test)
{
	for (int i = 0; i < KVM_TEST_CPUS; i++) {
		test->vcpu_fds[i] = ioctl(test->vm_fd, KVM_CREATE_VCPU, i);
		ck_assert_int_ge(test->vcpu_fds[i], 0);
	}
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

void kvm_test_fini(struct kvm_test *test)
{
	for (int i = 0; i < KVM_TEST_CPUS; i++) {
		if (test->vcpu_fds[i] >= 0)
			close(test->vcpu_fds[i]);
	}
	close(test->vm_fd);
	close(test->kvm_fd);
	guest_mem_free(test->mem);
}
