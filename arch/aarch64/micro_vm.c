/*
 * The machine of the micro guests. The interrupt controller is set up from
 * outside, so that they need not know its version.
 *
 * The guests are ours, and all that they can do is to end badly.
 */
#include "arch/aarch64/micro_vm.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "arch/aarch64/gic.h"
#include "arch/aarch64/layout.h"
#include "arch/aarch64/micro_guests.h"
#include "arch/aarch64/vcpu_boot.h"
#include "arch/aarch64/vcpu_regs.h"
#include "vmm/arch.h"
#include "vmm/base/guest_mem.h"
#include "vmm/base/kvm_run.h"

#define MICRO_TIMER_INTID (16 + PPI_TIMER_VIRTUAL)

struct micro_vm {
	int kvm_fd;	       /* borrowed */
	int vm_fd;	       /* owned */
	int vcpu_fd;	       /* owned */
	size_t run_size;       /* of the mapping below */
	struct kvm_run *run;   /* owned mapping */
	struct guest_mem *mem; /* owned */
	struct gic *gic;       /* owned */
	struct kvm_vcpu_init model;
};

static uint64_t micro_vm_address(const uint8_t *guest)
{
	return MICRO_CODE + (uintptr_t)guest - (uintptr_t)micro_begin;
}

/* --- The machine ---------------------------------------------------------- */

static int micro_vm_load(struct micro_vm *vm, struct error *err)
{
	const struct guest_mem_region ram = {
		.base = MICRO_CODE,
		.size = MICRO_RAM,
	};
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = MICRO_CODE,
		.memory_size = MICRO_RAM,
	};
	size_t size = (uintptr_t)micro_end - (uintptr_t)micro_begin;
	int ret;

	ret = guest_mem_new(&vm->mem, &ram, 1, 0, err);
	if (ret)
		return ret;
	if (guest_mem_write(vm->mem, MICRO_CODE, micro_begin, size))
		return error_set(err, EFAULT, "the micro guests do not fit");
	slot.userspace_addr =
		(uintptr_t)guest_mem_span(vm->mem, MICRO_CODE, MICRO_RAM);
	if (ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return error_set(err, errno,
				 "KVM_SET_USER_MEMORY_REGION fails: %s",
				 strerror(errno));
	return 0;
}

static int micro_vm_map_vcpu(struct micro_vm *vm, struct error *err)
{
	int size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0UL);
	void *run;

	vm->vcpu_fd = ioctl(vm->vm_fd, KVM_CREATE_VCPU, 0UL);
	if (vm->vcpu_fd < 0)
		return error_set(err, errno, "KVM creates no vCPU: %s",
				 strerror(errno));
	if (size < (int)sizeof(*vm->run))
		return error_set(err, EPROTO,
				 "KVM_GET_VCPU_MMAP_SIZE: expected %zu or "
				 "more, found %d",
				 sizeof(*vm->run), size);
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   vm->vcpu_fd, 0);
	if (run == MAP_FAILED)
		return error_set(err, errno, "KVM's vCPU cannot be mapped: %s",
				 strerror(errno));
	vm->run = run;
	vm->run_size = (size_t)size;
	return 0;
}

static int micro_vm_init_vcpu(struct micro_vm *vm, struct error *err)
{
	unsigned int version = gic_probe(vm->vm_fd);
	uint64_t mpidr;
	int ret;

	if (!version)
		return error_set(err, ENOTSUP,
				 "KVM has neither a GICv3 nor a GICv2");
	ret = vcpu_boot_model(vm->vm_fd, &vm->model, err);
	if (!ret)
		ret = gic_new(&vm->gic, vm->vm_fd, version, 1, err);
	if (!ret)
		ret = micro_vm_map_vcpu(vm, err);
	if (!ret)
		ret = vcpu_boot_init(vm->vcpu_fd, &vm->model, false, err);
	if (!ret)
		ret = vcpu_reg_get(vm->vcpu_fd, VCPU_MPIDR_EL1, &mpidr, err);
	if (!ret)
		ret = gic_start(vm->gic, &mpidr, err);
	if (!ret)
		ret = gic_open(vm->gic, MICRO_TIMER_INTID, err);
	return ret ? ret : gic_open(vm->gic, INTID_SPI + MICRO_GSI, err);
}

static int micro_vm_init(struct micro_vm *vm, struct error *err)
{
	unsigned long type = arch_vm_type(vm->kvm_fd);
	int ret;

	/* A signal makes it fail with EINTR; nothing was created then. */
	do {
		vm->vm_fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, type);
	} while (vm->vm_fd < 0 && errno == EINTR);
	if (vm->vm_fd < 0)
		return error_set(err, errno, "KVM creates no machine: %s",
				 strerror(errno));
	ret = micro_vm_load(vm, err);
	return ret ? ret : micro_vm_init_vcpu(vm, err);
}

int micro_vm_new(struct micro_vm **out, int kvm_fd, struct error *err)
{
	struct micro_vm *vm = calloc(1, sizeof(*vm));
	int ret;

	if (!vm)
		return error_set(err, ENOMEM, "out of memory");
	*vm = (struct micro_vm){.kvm_fd = kvm_fd, .vm_fd = -1, .vcpu_fd = -1};
	ret = micro_vm_init(vm, err);
	if (ret) {
		micro_vm_free(vm);
		return ret;
	}
	*out = vm;
	return 0;
}

void micro_vm_free(struct micro_vm *vm)
{
	if (!vm)
		return;
	if (vm->run)
		munmap(vm->run, vm->run_size);
	if (vm->gic)
		gic_device_ops.free(vm->gic);
	if (vm->vcpu_fd >= 0)
		close(vm->vcpu_fd);
	if (vm->vm_fd >= 0)
		close(vm->vm_fd);
	guest_mem_free(vm->mem);
	free(vm);
}

int micro_vm_fd(const struct micro_vm *vm)
{
	return vm->vm_fd;
}

/* --- Running -------------------------------------------------------------- */

int micro_vm_enter(struct micro_vm *vm, const uint8_t *guest, struct error *err)
{
	int ret = vcpu_boot_reset(vm->vcpu_fd, &vm->model, false, err);

	if (!ret)
		ret = vcpu_reg_set64(vm->vcpu_fd, VCPU_VBAR_EL1,
				     micro_vm_address(micro_vectors), err);
	return ret ? ret
		   : vcpu_boot_enter(vm->vcpu_fd, micro_vm_address(guest), 0,
				     err);
}

int micro_vm_counter(const struct micro_vm *vm, uint64_t *counter,
		     struct error *err)
{
	return vcpu_reg_get(vm->vcpu_fd, VCPU_X(1), counter, err);
}

static void micro_vm_judge(const struct micro_vm *vm, struct micro_exit *how)
{
	const struct kvm_run *run = vm->run;
	uint64_t offset = run->mmio.phys_addr - MICRO_REPORT;

	*how = (struct micro_exit){
		.kind = MICRO_EXIT_OTHER,
		.reason = run->exit_reason,
	};
	if (run->exit_reason != KVM_EXIT_MMIO || !run->mmio.is_write ||
	    offset > MICRO_EXCEPTION)
		return;
	how->kind = MICRO_EXIT_REPORT;
	how->what = (unsigned int)offset;
	memcpy(&how->value, run->mmio.data, sizeof(how->value));
}

int micro_vm_run(struct micro_vm *vm, unsigned int limit,
		 struct micro_exit *how, struct error *err)
{
	bool in_time;
	int ret;

	ret = kvm_run_for(vm->vcpu_fd, vm->run, limit, &in_time, err);
	if (ret)
		return ret;
	if (in_time)
		micro_vm_judge(vm, how);
	else
		*how = (struct micro_exit){.kind = MICRO_EXIT_TIMEOUT};
	return 0;
}

void micro_exit_describe(const struct micro_exit *how, char *text, size_t size)
{
	switch (how->kind) {
	case MICRO_EXIT_REPORT:
		if (how->what == MICRO_EXCEPTION)
			snprintf(text, size, "raises exception class 0x%x",
				 how->value);
		else
			snprintf(text, size, "goes astray (0x%x)", how->what);
		break;
	case MICRO_EXIT_TIMEOUT:
		snprintf(text, size, "hangs");
		break;
	case MICRO_EXIT_OTHER:
		snprintf(text, size, "ends with KVM's exit reason %u",
			 how->reason);
		break;
	}
}
