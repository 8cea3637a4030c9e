/*
 * KVM_RUN for a limited time: for guests that may hang, or that a KVM may hang.
 */
#ifndef VMM_BASE_KVM_RUN_H
#define VMM_BASE_KVM_RUN_H

#include <stdbool.h>

#include <linux/kvm.h>

#include "vmm/base/error.h"

/**
 * kvm_run_for() - Let a vCPU run until it exits.
 * @run: its mapping
 * @limit: ms, 1 to 1000, of the clock
 * @in_time: out: whether it did before the time was up
 *
 * Process of a single thread: SIGRTMIN interrupts KVM_RUN. Blocks for @limit at
 * most. Return: 0, or what KVM_RUN says with @err set.
 */
int kvm_run_for(int vcpu_fd, struct kvm_run *run, unsigned int limit,
		bool *in_time, struct error *err);

#endif
