/*
 * Model specific registers of a vCPU: which ones make up its state, and
 * reading and writing many of them.
 */
#ifndef ARCH_X86_64_VCPU_MSRS_H
#define ARCH_X86_64_VCPU_MSRS_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "vmm/base/error.h"

/* The MSRs of a vCPU of this machine. Embedded in struct vcpu_shape. */
struct vcpu_msrs {
	uint32_t count;
	uint32_t *indices; /* owned */
};

/**
 * vcpu_msrs_init() - Find out which there are.
 * @msrs: for vcpu_msrs_fini(), also if this fails
 * @vcpu_fd: any vCPU, which has its CPUID
 *
 * Return: 0, -ENOMEM, or what KVM says; @err set in each case.
 */
int vcpu_msrs_init(struct vcpu_msrs *msrs, int kvm_fd, int vcpu_fd,
		   struct error *err);

void vcpu_msrs_fini(struct vcpu_msrs *msrs);

bool vcpu_msrs_has(const struct vcpu_msrs *msrs, uint32_t index);

/**
 * vcpu_msrs_read() - Read all of them.
 * @entries: room for @msrs->count
 *
 * Return: 0, or what KVM says with @err set.
 */
int vcpu_msrs_read(const struct vcpu_msrs *msrs, int vcpu_fd,
		   struct kvm_msr_entry *entries, struct error *err);

/* Read one. Return: 0, or -EINVAL if the vCPU does not have it. */
int vcpu_msr_get(int vcpu_fd, uint32_t index, uint64_t *data);

/* MSRs in one call; KVM takes fewer than 256 (MAX_IO_MSRS). */
#define VCPU_MSR_BATCH 255

/*
 * MSRs on their way to KVM: struct kvm_msrs with room. On the stack, starts
 * out with count 0.
 */
struct vcpu_msr_batch {
	uint32_t count;
	uint32_t pad;
	struct kvm_msr_entry entries[VCPU_MSR_BATCH];
};

/**
 * vcpu_msr_batch_flush() - Write what the batch holds, and empty it.
 *
 * An MSR that KVM refuses to write is no error if it has that value: KVM lists
 * some that nobody can set.
 * Return: 0, or what KVM says with @err naming the MSR.
 */
int vcpu_msr_batch_flush(struct vcpu_msr_batch *batch, int vcpu_fd,
			 struct error *err);

/* Add one; a full batch is flushed. Return: as vcpu_msr_batch_flush(). */
int vcpu_msr_batch_add(struct vcpu_msr_batch *batch, int vcpu_fd,
		       uint32_t index, uint64_t data, struct error *err);

#endif
