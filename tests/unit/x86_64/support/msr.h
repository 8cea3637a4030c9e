/*
 * Model-specific registers for unit tests, of the vCPUs of support/kvm.h.
 */
#ifndef TESTS_UNIT_X86_64_SUPPORT_MSR_H
#define TESTS_UNIT_X86_64_SUPPORT_MSR_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether a vCPU's TSC can be set: a KVM without hardware virtualisation leaves
 * it the host's. If not, a line says what @name, the test program, skips.
 */
bool kvm_test_sets_tsc(const char *name);

/* One MSR of a vCPU, which has it. */
uint64_t kvm_test_get_msr(int vcpu_fd, uint32_t index);
void kvm_test_set_msr(int vcpu_fd, uint32_t index, uint64_t data);

#endif
