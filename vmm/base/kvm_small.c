#include "vmm/base/kvm_small.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

int kvm_vm_create(int kvm_fd, unsigned long type)
{
	int fd;

	/* A signal makes it fail with EINTR; nothing was created then. */
	do {
		fd = ioctl(kvm_fd, KVM_CREATE_VM, type);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static int kvm_small_add_memory(struct kvm_small *small,
				const struct guest_mem_region *ram,
				struct error *err)
{
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = ram->base,
		.memory_size = ram->size,
	};
	int ret = guest_mem_new(&small->mem, ram, 1, 0, err);

	if (ret)
		return ret;
	slot.userspace_addr =
		(uintptr_t)guest_mem_span(small->mem, ram->base, ram->size);
	if (ioctl(small->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return error_set(err, errno,
				 "KVM_SET_USER_MEMORY_REGION fails: %s",
				 strerror(errno));
	return 0;
}

int kvm_small_init(struct kvm_small *small, int kvm_fd, unsigned long type,
		   const struct guest_mem_region *ram, struct error *err)
{
	int fd = kvm_vm_create(kvm_fd, type);

	*small = (struct kvm_small){
		.kvm_fd = kvm_fd,
		.vm_fd = fd < 0 ? -1 : fd,
		.vcpu_fd = -1,
	};
	if (fd < 0)
		return error_set(err, -fd, "KVM creates no machine: %s",
				 strerror(-fd));
	return kvm_small_add_memory(small, ram, err);
}

int kvm_small_add_vcpu(struct kvm_small *small, struct error *err)
{
	int size = ioctl(small->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0UL);
	void *run;

	small->vcpu_fd = ioctl(small->vm_fd, KVM_CREATE_VCPU, 0UL);
	if (small->vcpu_fd < 0)
		return error_set(err, errno, "KVM creates no vCPU: %s",
				 strerror(errno));
	if (size < (int)sizeof(*small->run))
		return error_set(err, EPROTO,
				 "KVM_GET_VCPU_MMAP_SIZE: expected %zu or "
				 "more, found %d",
				 sizeof(*small->run), size);
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   small->vcpu_fd, 0);
	if (run == MAP_FAILED)
		return error_set(err, errno, "KVM's vCPU cannot be mapped: %s",
				 strerror(errno));
	small->run = run;
	small->run_size = (size_t)size;
	return 0;
}

void kvm_small_fini(struct kvm_small *small)
{
	if (small->run)
		munmap(small->run, small->run_size);
	if (small->vcpu_fd >= 0)
		close(small->vcpu_fd);
	if (small->vm_fd >= 0)
		close(small->vm_fd);
	guest_mem_free(small->mem);
}
