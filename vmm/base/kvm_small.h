/*
 * A virtual machine of one vCPU and one piece of memory: what the guests need
 * by which a host's KVM is tried.
 */
#ifndef VMM_BASE_KVM_SMALL_H
#define VMM_BASE_KVM_SMALL_H

#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"

/* Embedded in who adds an architecture's parts, and read by them. */
struct kvm_small {
	int kvm_fd;	       /* borrowed */
	int vm_fd;	       /* owned, or -1 */
	int vcpu_fd;	       /* owned, or -1 */
	size_t run_size;       /* of the mapping below */
	struct kvm_run *run;   /* owned mapping, or NULL */
	struct guest_mem *mem; /* owned */
};

/**
 * kvm_vm_create() - KVM_CREATE_VM, for machines of any size.
 * @type: see arch_vm_type()
 *
 * Return: a descriptor, or a negative errno.
 */
int kvm_vm_create(int kvm_fd, unsigned long type);

/**
 * kvm_small_init() - Make the VM, with memory.
 * @small: to be ended with kvm_small_fini(), after a failure, too
 *
 * Return: 0 or a negative errno with @err set.
 */
int kvm_small_init(struct kvm_small *small, int kvm_fd, unsigned long type,
		   const struct guest_mem_region *ram, struct error *err);

/**
 * kvm_small_add_vcpu() - Make the vCPU and map its struct kvm_run.
 *
 * Return: 0 or a negative errno with @err set.
 */
int kvm_small_add_vcpu(struct kvm_small *small, struct error *err);

/* Ends what kvm_small_init() began, however far that got. */
void kvm_small_fini(struct kvm_small *small);

#endif
