/*
 * Where a vCPU stands when the kernel takes over: what firmware would have
 * left in its registers.
 */
#ifndef ARCH_X86_64_VCPU_BOOT_H
#define ARCH_X86_64_VCPU_BOOT_H

#include "arch/x86_64/kernel.h"
#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"

/**
 * vcpu_boot_msrs() - Set the MSRs that firmware sets on every CPU: write-back
 * memory by default, fast string operations.
 * @vcpu_fd: has its CPUID
 *
 * Before the power-on state is noted, so that a reboot finds the same.
 * Return: 0, or what KVM says with @err set.
 */
int vcpu_boot_msrs(int vcpu_fd, struct error *err);

/**
 * vcpu_boot() - Put the boot vCPU at the kernel's entry.
 * @vcpu_fd: in its power-on state
 * @mem: its GDT, and for long mode its page tables, go to LAYOUT_GDT and
 *       LAYOUT_PAGE_TABLES
 * @entry: cs and ds are different non-null selectors of the GDT below 0x40
 *
 * The CPU is in ring 0, interrupts off, with flat segments; in long mode the
 * first 4 GiB are mapped to themselves, otherwise paging is off. Registers
 * that @entry does not name are 0.
 * Return: 0, -EFAULT if @mem does not reach that far, or what KVM says; @err
 * set in each case.
 */
int vcpu_boot(int vcpu_fd, struct guest_mem *mem,
	      const struct boot_entry *entry, struct error *err);

#endif
