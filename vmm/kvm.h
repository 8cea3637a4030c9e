/*
 * /dev/kvm and the VM file descriptor: opening them with messages that say
 * what to mend, and giving the VM its memory.
 */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <stddef.h>

#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"

#define KVM_DEVICE "/dev/kvm"

struct kvm {
	int dev_fd;	 /* owned; /dev/kvm */
	int vm_fd;	 /* owned */
	size_t run_size; /* bytes of a vCPU's struct kvm_run mapping */
};

/**
 * kvm_open() - Open /dev/kvm and create a VM.
 * @kvm: filled in; kvm_close() also after a failure
 *
 * Documentation/virt/kvm/api.rst, 4.1 to 4.5. Main thread.
 * Return: 0 or a negative errno, @err says what to do.
 */
int kvm_open(struct kvm *kvm, struct error *err);

void kvm_close(struct kvm *kvm);

/**
 * kvm_explain() - The message for a failure to open @what or create a VM.
 * @errnum: positive errno
 *
 * Return: -@errnum.
 */
int kvm_explain(int errnum, struct error *err);

/**
 * kvm_set_memory() - Make @mem the VM's memory slots, one a region.
 *
 * api.rst, KVM_SET_USER_MEMORY_REGION. @mem must outlive the VM. Main thread.
 * Return: 0, or what KVM says with @err naming --memory.
 */
int kvm_set_memory(const struct kvm *kvm, const struct guest_mem *mem,
		   struct error *err);

/**
 * kvm_create_vcpu() - Create vCPU @index.
 * @index: from 0
 * @fd: out, owned by the caller; -1 after a failure
 *
 * api.rst, KVM_CREATE_VCPU. Main thread.
 * Return: 0, or what KVM says with @err naming --cpus.
 */
int kvm_create_vcpu(const struct kvm *kvm, unsigned int index, int *fd,
		    struct error *err);

#endif
