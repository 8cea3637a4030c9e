/*
 * /dev/kvm and the VM file descriptor.
 */
#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/base/kvm_small.h"

int kvm_explain(int errnum, struct error *err)
{
	switch (errnum) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return error_set(err, errnum,
				 KVM_DEVICE
				 ": expected the KVM device, found none; %s",
				 arch_kvm_hint());
	case EACCES:
	case EPERM:
		return error_set(err, errnum,
				 KVM_DEVICE
				 ": no permission to use it as user %u; "
				 "add the user to the group that owns it "
				 "(usermod -aG kvm USER, then log in "
				 "again)",
				 (unsigned int)geteuid());
	case EBUSY:
		return error_set(err, errnum,
				 KVM_DEVICE ": the CPU's virtualisation is in "
					    "use by another hypervisor; stop "
					    "its machines and unload it");
	default:
		return error_set(err, errnum,
				 KVM_DEVICE ": cannot create a machine: %s",
				 strerror(errnum));
	}
}

int kvm_open(struct kvm *kvm, struct error *err)
{
	int version, size, rc;

	kvm->vm_fd = -1;
	kvm->dev_fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
	if (kvm->dev_fd < 0)
		return kvm_explain(errno, err);

	version = ioctl(kvm->dev_fd, KVM_GET_API_VERSION, 0UL);
	if (version < 0)
		return kvm_explain(errno, err);
	if (version != KVM_API_VERSION)
		return error_set(err, EPROTO,
				 KVM_DEVICE ": expected KVM API version %d, "
					    "found %d",
				 KVM_API_VERSION, version);
	size = ioctl(kvm->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0UL);
	if (size < (int)sizeof(struct kvm_run))
		return kvm_explain(size < 0 ? errno : EPROTO, err);
	kvm->run_size = (size_t)size;

	rc = kvm_vm_create(kvm->dev_fd, arch_vm_type(kvm->dev_fd));
	if (rc < 0)
		return kvm_explain(-rc, err);
	kvm->vm_fd = rc;
	return 0;
}

void kvm_close(struct kvm *kvm)
{
	if (kvm->vm_fd >= 0)
		close(kvm->vm_fd);
	if (kvm->dev_fd >= 0)
		close(kvm->dev_fd);
	kvm->vm_fd = -1;
	kvm->dev_fd = -1;
}

int kvm_set_memory(const struct kvm *kvm, const struct guest_mem *mem,
		   struct error *err)
{
	const struct guest_mem_region *regions;
	unsigned int count = guest_mem_regions(mem, &regions);

	for (unsigned int i = 0; i < count; i++) {
		struct kvm_userspace_memory_region slot = {
			.slot = i,
			.guest_phys_addr = regions[i].base,
			.memory_size = regions[i].size,
			.userspace_addr = (uintptr_t)guest_mem_span(
				mem, regions[i].base, regions[i].size),
		};

		if (ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
			return error_set(
				err, errno,
				"--memory: KVM refused the region of %llu "
				"MiB at 0x%llx: %s",
				(unsigned long long)(regions[i].size >> 20),
				(unsigned long long)regions[i].base,
				strerror(errno));
	}
	return 0;
}

int kvm_create_vcpu(const struct kvm *kvm, unsigned int index, int *fd,
		    struct error *err)
{
	*fd = ioctl(kvm->vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (*fd < 0)
		return error_set(err, errno,
				 "--cpus: KVM refused to create vCPU %u: %s; "
				 "give fewer",
				 index, strerror(errno));
	return 0;
}
