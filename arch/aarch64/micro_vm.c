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

#include <linux/kvm.h>

#include "arch/aarch64/gic.h"
#include "arch/aarch64/layout.h"
#include "arch/aarch64/micro_guests.h"
#include "arch/aarch64/vcpu_boot.h"
#include "arch/aarch64/vcpu_regs.h"
#include "vmm/arch.h"
#include "vmm/base/kvm_run.h"
#include "vmm/base/kvm_small.h"

#define MICRO_TIMER_INTID (16 + PPI_TIMER_VIRTUAL)

struct micro_vm {
	struct kvm_small kvm;
	struct gic *gic; /* owned */
	struct kvm_vcpu_init model;
};

static uint64_t micro_vm_address(const uint8_t *guest)
{
	return MICRO_CODE + (uintptr_t)guest - (uintptr_t)micro_begin;
}

/* --- The machine ---------------------------------------------------------- */

static int micro_vm_init_vcpu(struct micro_vm *vm, struct error *err)
{
	unsigned int version = gic_probe(vm->kvm.vm_fd);
	uint64_t mpidr;
	int ret;

	if (!version)
		return error_set(err, ENOTSUP,
				 "KVM has neither a GICv3 nor a GICv2");
	ret = vcpu_boot_model(vm->kvm.vm_fd, &vm->model, err);
	if (!ret)
		ret = gic_new(&vm->gic, vm->kvm.vm_fd, version, 1, err);
	if (!ret)
		ret = kvm_small_add_vcpu(&vm->kvm, err);
	if (!ret)
		ret = vcpu_boot_init(vm->kvm.vcpu_fd, &vm->model, false, err);
	if (!ret)
		ret = vcpu_reg_get(vm->kvm.vcpu_fd, VCPU_MPIDR_EL1, &mpidr,
				   err);
	if (!ret)
		ret = gic_start(vm->gic, &mpidr, MICRO_GSI + 1, err);
	if (!ret)
		ret = gic_open(vm->gic, MICRO_TIMER_INTID, err);
	return ret ? ret : gic_open(vm->gic, INTID_SPI + MICRO_GSI, err);
}

static int micro_vm_init(struct micro_vm *vm, int kvm_fd, struct error *err)
{
	const struct guest_mem_region ram = {
		.base = MICRO_CODE,
		.size = MICRO_RAM,
	};
	size_t size = (uintptr_t)micro_end - (uintptr_t)micro_begin;
	int ret;

	ret = kvm_small_init(&vm->kvm, kvm_fd, arch_vm_type(kvm_fd), &ram, err);
	if (ret)
		return ret;
	if (guest_mem_write(vm->kvm.mem, MICRO_CODE, micro_begin, size))
		return error_set(err, EFAULT, "the micro guests do not fit");
	return micro_vm_init_vcpu(vm, err);
}

int micro_vm_new(struct micro_vm **out, int kvm_fd, struct error *err)
{
	struct micro_vm *vm = calloc(1, sizeof(*vm));
	int ret;

	if (!vm)
		return error_set(err, ENOMEM, "out of memory");
	ret = micro_vm_init(vm, kvm_fd, err);
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
	if (vm->gic)
		gic_device_ops.free(vm->gic);
	kvm_small_fini(&vm->kvm);
	free(vm);
}

int micro_vm_fd(const struct micro_vm *vm)
{
	return vm->kvm.vm_fd;
}

/* --- Running -------------------------------------------------------------- */

int micro_vm_enter(struct micro_vm *vm, const uint8_t *guest, struct error *err)
{
	int ret = vcpu_boot_reset(vm->kvm.vcpu_fd, &vm->model, false, err);

	if (!ret)
		ret = vcpu_reg_set64(vm->kvm.vcpu_fd, VCPU_VBAR_EL1,
				     micro_vm_address(micro_vectors), err);
	return ret ? ret
		   : vcpu_boot_enter(vm->kvm.vcpu_fd, micro_vm_address(guest),
				     0, err);
}

int micro_vm_counter(const struct micro_vm *vm, uint64_t *counter,
		     struct error *err)
{
	return vcpu_reg_get(vm->kvm.vcpu_fd, VCPU_X(1), counter, err);
}

static void micro_vm_judge(const struct micro_vm *vm, struct micro_exit *how)
{
	const struct kvm_run *run = vm->kvm.run;
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

	ret = kvm_run_for(vm->kvm.vcpu_fd, vm->kvm.run, limit, &in_time, err);
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
