/*
 * KVM for unit tests: the real one, without guest code. A test program asks
 * kvm_test_available() once, and leaves the tests that need it out otherwise.
 */
#ifndef TESTS_UNIT_SUPPORT_KVM_H
#define TESTS_UNIT_SUPPORT_KVM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/guest_mem.h"

#define KVM_TEST_CPUS 2
#define KVM_TEST_RAM  (UINT64_C(2) << 20)

/**
 * kvm_test_available() - Whether /dev/kvm can be opened.
 * @name: of the test program: if not, "skip: NAME: no /dev/kvm (why)" goes to
 *        stdout, which the aggregator counts
 */
bool kvm_test_available(const char *name);

/* A VM. Descriptors are -1 where there is nothing. */
struct kvm_test {
	int kvm_fd;
	int vm_fd;
	int vcpu_fds[KVM_TEST_CPUS];
	struct guest_mem *mem; /* owned: KVM_TEST_RAM at 0, zero */
};

/*
 * Make a VM with its memory, and no interrupt controller or vCPU. The
 * functions from here on end the test that calls them if KVM does not do its
 * part.
 */
void kvm_test_init(struct kvm_test *test);

/* Give it its vCPUs. */
void kvm_test_add_vcpus(struct kvm_test *test);

void kvm_test_fini(struct kvm_test *test);

#endif
