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
	/* An emulator of user programs opens it, and knows no call of it. */
	const bool available =
		fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;

	if (!available) {
		printf("skip: %s: no /dev/kvm (%s)\n", name, strerror(errno));
		fflush(stdout);
	}
	if (fd >= 0)
		close(fd);
	return available;
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
