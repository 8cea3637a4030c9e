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
	int holder;	 /* owned; -1 without: see kvm_hold() */
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

/**
 * kvm_hold() - Have the kernel take the VM down by itself, after kvm_close().
 *
 * Since it registers an in-kernel interrupt controller's ports with
 * call_srcu(), Linux waits at a VM's end until that is over, which is some 15
 * ms from the start: long for a guest that lives shorter. An io_uring that has
 * the VM as a registered file, and is never enabled, ends on a worker of the
 * kernel's, and the VM with it. Where there is no io_uring, kvm_close() waits.
 *
 * Main thread, before its filter is loaded.
 */
void kvm_hold(struct kvm *kvm);

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
