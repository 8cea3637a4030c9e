/*
 * From a guest's virtual address to a physical one, by the vCPU's stage 1
 * tables, which the guest writes as it likes. KVM has no call for it on Arm.
 */
#ifndef ARCH_AARCH64_VCPU_WALK_H
#define ARCH_AARCH64_VCPU_WALK_H

#include <stdint.h>

#include "vmm/base/guest_mem.h"

/* What the CPU walks by: system registers of EL1. */
struct vcpu_walk {
	uint64_t sctlr, tcr, ttbr0, ttbr1;
};

/**
 * vcpu_walk() - Translate @va.
 * @pa: out
 *
 * Arm ARM D8: granules of 4, 16 and 64 KiB; tables that lie above 2^48 are not
 * found. Return: 0, or -EFAULT if it is not mapped.
 */
int vcpu_walk(const struct vcpu_walk *walk, const struct guest_mem *mem,
	      uint64_t va, uint64_t *pa);

#endif
