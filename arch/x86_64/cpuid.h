/*
 * What CPUID tells the guest: what this KVM supports, less what bantam does
 * not offer, with the topology of one socket of single-threaded cores.
 */
#ifndef ARCH_X86_64_CPUID_H
#define ARCH_X86_64_CPUID_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/kvm.h>

#include "vmm/base/error.h"

struct cpuid; /* one for all vCPUs of a machine */

/**
 * cpuid_new() - Ask KVM what it supports and make the guest's CPUID of it.
 * @out: for cpuid_free()
 * @kvm_fd: /dev/kvm
 * @cpus: of the machine, 1 to ARCH_CPUS_MAX
 *
 * Return: 0, -ENOMEM, or what KVM says; @err set in each case.
 */
int cpuid_new(struct cpuid **out, int kvm_fd, unsigned int cpus,
	      struct error *err);

/**
 * cpuid_new_from() - cpuid_new(), from entries that are at hand.
 * @entries: as KVM_GET_SUPPORTED_CPUID gives them, copied
 * @tsc_deadline: KVM has KVM_CAP_TSC_DEADLINE_TIMER, which it does not say
 *                in the entries
 *
 * Return: 0 or -ENOMEM.
 */
int cpuid_new_from(struct cpuid **out, const struct kvm_cpuid_entry2 *entries,
		   size_t count, unsigned int cpus, bool tsc_deadline);

void cpuid_free(struct cpuid *cpuid);

/*
 * Bits of a guest physical address: leaf 0x80000008, or the 36 of a CPU that
 * has no such leaf (SDM volume 3A, 4.1.4).
 */
unsigned int cpuid_address_bits(const struct cpuid *cpuid);

/**
 * cpuid_for() - The entries of one vCPU.
 * @index: which, and its APIC ID: 0 to cpus - 1
 *
 * Return: borrowed from @cpuid, until the next call.
 */
const struct kvm_cpuid2 *cpuid_for(struct cpuid *cpuid, unsigned int index);

/**
 * cpuid_set() - Give a vCPU its CPUID: before everything else that is set on
 * it, since KVM checks registers and MSRs against it.
 *
 * Main thread. Return: 0, or what KVM says with @err set.
 */
int cpuid_set(struct cpuid *cpuid, int vcpu_fd, unsigned int index,
	      struct error *err);

#endif
