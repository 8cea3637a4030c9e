/*
 * A vCPU from its making to its first instruction: which features of the
 * host's CPU it has, and PSCI in KVM, by which the guest starts the others and
 * ends the machine.
 */
#ifndef ARCH_AARCH64_VCPU_BOOT_H
#define ARCH_AARCH64_VCPU_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "vmm/base/error.h"

/**
 * vcpu_boot_model() - What vCPUs of this host are like.
 * @model: out, for vcpu_boot_init() and vcpu_boot_reset()
 *
 * As the host's CPU is, as far as KVM can give that to a guest.
 * Return: 0, or what KVM says with @err set.
 */
int vcpu_boot_model(int vm_fd, struct kvm_vcpu_init *model, struct error *err);

/**
 * vcpu_boot_init() - Set a new vCPU up.
 * @secondary: off until PSCI CPU_ON
 *
 * Return: 0, or what KVM says with @err set.
 */
int vcpu_boot_init(int vcpu_fd, const struct kvm_vcpu_init *model,
		   bool secondary, struct error *err);

/* To its power-on state again. Likewise; no vCPU may be in KVM_RUN. */
int vcpu_boot_reset(int vcpu_fd, const struct kvm_vcpu_init *model,
		    bool secondary, struct error *err);

/**
 * vcpu_boot_enter() - Put a vCPU that is in its power-on state at @entry.
 * @fdt: goes to x0; x1 to x3 are 0
 *
 * Documentation/arch/arm64/booting.rst: EL1, interrupts masked, MMU off.
 * Return: 0, or what KVM says with @err set.
 */
int vcpu_boot_enter(int vcpu_fd, uint64_t entry, uint64_t fdt,
		    struct error *err);

#endif
