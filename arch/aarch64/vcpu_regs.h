/*
 * One register of a vCPU at a time: KVM_GET_ONE_REG and KVM_SET_ONE_REG, with
 * the names that KVM gives them (asm/kvm.h).
 */
#ifndef ARCH_AARCH64_VCPU_REGS_H
#define ARCH_AARCH64_VCPU_REGS_H

#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "vmm/base/error.h"

/* A member of struct kvm_regs that has 64 bits. */
#define VCPU_CORE(member)                                      \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
	 KVM_REG_ARM_CORE_REG(member))
#define VCPU_X(n)   (VCPU_CORE(regs.regs[0]) + 2 * (uint64_t)(n))
#define VCPU_PC	    VCPU_CORE(regs.pc)
#define VCPU_PSTATE VCPU_CORE(regs.pstate)

/* System registers, by the fields of their encoding (Arm ARM, D18). */
#define VCPU_MPIDR_EL1	      ARM64_SYS_REG(3, 0, 0, 0, 5)
#define VCPU_ID_AA64MMFR0_EL1 ARM64_SYS_REG(3, 0, 0, 7, 0)
#define VCPU_SCTLR_EL1	      ARM64_SYS_REG(3, 0, 1, 0, 0)
#define VCPU_TTBR0_EL1	      ARM64_SYS_REG(3, 0, 2, 0, 0)
#define VCPU_TTBR1_EL1	      ARM64_SYS_REG(3, 0, 2, 0, 1)
#define VCPU_TCR_EL1	      ARM64_SYS_REG(3, 0, 2, 0, 2)
#define VCPU_ESR_EL1	      ARM64_SYS_REG(3, 0, 5, 2, 0)
#define VCPU_FAR_EL1	      ARM64_SYS_REG(3, 0, 6, 0, 0)
#define VCPU_VBAR_EL1	      ARM64_SYS_REG(3, 0, 12, 0, 0)

/* Of the largest register, a vector of SVE. */
#define VCPU_REG_SIZE_MAX 256

/* Bytes of the register that is called id. */
static inline size_t vcpu_reg_size(uint64_t id)
{
	return (size_t)1 << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

/**
 * vcpu_reg_get(), vcpu_reg_set() - Read or write a register.
 * @value: vcpu_reg_size(@id) bytes
 *
 * On the vCPU's thread, or with that not in KVM_RUN. Return: 0, or what KVM
 * says with @err naming the register.
 */
int vcpu_reg_get(int vcpu_fd, uint64_t id, void *value, struct error *err);
int vcpu_reg_set(int vcpu_fd, uint64_t id, const void *value,
		 struct error *err);

/* One of 64 bits. */
int vcpu_reg_set64(int vcpu_fd, uint64_t id, uint64_t value, struct error *err);

/**
 * vcpu_reg_list() - Which registers the vCPU has.
 * @out: for free(3)
 *
 * Return: 0, -ENOMEM, or what KVM says; @err set in each case.
 */
int vcpu_reg_list(int vcpu_fd, struct kvm_reg_list **out, struct error *err);

#endif
