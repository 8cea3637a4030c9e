#include "vmm/base/kvm_needs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/kvm.h>
#include <sys/ioctl.h>

int kvm_needs_ask(void *ctx, int capability)
{
	const int *kvm_fd = ctx;

	return ioctl(*kvm_fd, KVM_CHECK_EXTENSION, capability);
}

void kvm_needs_list(const struct kvm_need *needs, size_t count,
		    kvm_extension_fn *extension, void *ctx, char *list,
		    size_t size)
{
	for (size_t i = 0; i < count; i++) {
		const size_t used = strlen(list);

		if (extension(ctx, needs[i].capability) <= 0)
			snprintf(list + used, size - used, "%sKVM_CAP_%s (%s)",
				 used ? ", " : "", needs[i].name,
				 needs[i].what);
	}
}

int kvm_needs_cpus(unsigned int cpus, kvm_extension_fn *extension, void *ctx,
		   struct error *err)
{
	int most = extension(ctx, KVM_CAP_MAX_VCPUS);

	/* Without it NR_VCPUS counts, without that 4. */
	if (most <= 0)
		most = extension(ctx, KVM_CAP_NR_VCPUS);
	if (most <= 0)
		most = 4;
	if (cpus <= (unsigned int)most)
		return 0;
	return error_set(err, EINVAL,
			 "--cpus %u: this host's KVM has at most %d vCPUs for "
			 "a machine: ask for that many or fewer",
			 cpus, most);
}
