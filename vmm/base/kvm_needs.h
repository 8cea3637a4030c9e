/*
 * What KVM says that it can do, against what a machine needs of it; each
 * architecture has its list. Documentation/virt/kvm/api.rst of Linux, 4.4.
 */
#ifndef VMM_BASE_KVM_NEEDS_H
#define VMM_BASE_KVM_NEEDS_H

#include <stddef.h>

#include "vmm/base/error.h"

struct kvm_need {
	int capability;
	const char *name; /* without KVM_CAP_ */
	const char *what; /* that it is needed for */
};

#define KVM_NEED(cap, text)                                                \
	{                                                                  \
		.capability = KVM_CAP_##cap, .name = #cap, .what = (text), \
	}

/*
 * Answers KVM_CHECK_EXTENSION: 0 if KVM does not have capability, otherwise 1
 * or what the capability says.
 */
typedef int kvm_extension_fn(void *ctx, int capability);

/* The host's KVM. @ctx: where /dev/kvm's descriptor is */
int kvm_needs_ask(void *ctx, int capability);

/**
 * kvm_needs_list() - Name those that KVM lacks, and what for.
 * @list: a string, to which they are added; cut at @size - 1 bytes
 */
void kvm_needs_list(const struct kvm_need *needs, size_t count,
		    kvm_extension_fn *extension, void *ctx, char *list,
		    size_t size);

/* Return: 0, or -EINVAL, @err saying how many vCPUs KVM can have. */
int kvm_needs_cpus(unsigned int cpus, kvm_extension_fn *extension, void *ctx,
		   struct error *err);

#endif
