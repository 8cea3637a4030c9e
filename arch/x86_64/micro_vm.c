/*
 * The machine of the micro guests.
 *
 * The guests are ours, and all that they can do is to end badly.
 * Specifications: Documentation/virt/kvm/api.rst of Linux; AMD64 Architecture
 * Programmer's Manual ("APM") volume 2 for the registers and tables.
 */
#include "arch/x86_64/micro_vm.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/micro_guests.h"
#include "arch/x86_64/vcpu_msrs.h"
#include "vmm/arch.h"
#include "vmm/base/bytes.h"
#include "vmm/base/kvm_run.h"
#include "vmm/base/kvm_small.h"

/* APM 3.1 */
#define CR0_PE	    0x00000001
#define CR0_ET	    0x00000010
#define CR0_NE	    0x00000020
#define CR0_PG	    0x80000000
#define CR4_PAE	    0x00000020
#define CR4_OSFXSR  0x00000200
#define EFER_SCE    0x00000001
#define EFER_LME    0x00000100
#define EFER_LMA    0x00000400
#define RFLAGS_IOPL 0x3000
#define RFLAGS_ONE  0x0002 /* always set */

/* APM 5.4: entries of page tables */
#define PAGE_P	   0x001
#define PAGE_RW	   0x002
#define PAGE_US	   0x004
#define PAGE_PS	   0x080
#define PAGE_2M	   UINT64_C(0x200000)
#define PAGE_FLAGS (PAGE_P | PAGE_RW | PAGE_US)

/* APM 4.8: descriptors of long mode; of code and data, only attributes count */
#define DESCRIPTOR_KERNEL_CODE UINT64_C(0x00af9b000000ffff)
#define DESCRIPTOR_DATA	       UINT64_C(0x00cf93000000ffff)
#define DESCRIPTOR_USER_CODE   UINT64_C(0x00affb000000ffff)
#define DESCRIPTOR_USER_DATA   UINT64_C(0x00cff3000000ffff)
#define DESCRIPTOR_BUSY_TSS    UINT64_C(0x00008b0000000000)
#define TSS_LIMIT	       0x67
#define TSS_RSP0	       4 /* offset, APM 12.2.5 */
#define TYPE_CODE	       0xb
#define TYPE_DATA	       0x3
#define TYPE_BUSY_TSS	       0xb
#define GATE_SIZE	       16
#define GATE_INTERRUPT	       0x8e00 /* present, 64-bit interrupt gate */
#define GATE_DPL3	       0x6000

/* APM 6.1.1 */
#define MSR_STAR   0xc0000081
#define MSR_LSTAR  0xc0000082
#define MSR_SFMASK 0xc0000084

/* APM 16.9: IA32_APIC_BASE's enable bits, xAPIC and x2APIC */
#define APIC_BASE_ENABLE 0xc00

struct micro_vm {
	struct kvm_small kvm;
	struct cpuid *cpuid; /* owned */
};

/* A call of KVM. @what: for the message. */
static int micro_vm_ioctl(int fd, unsigned long request, void *data,
			  const char *what, struct error *err)
{
	int errnum;

	if (ioctl(fd, request, data) >= 0)
		return 0;
	errnum = errno;
	return error_set(err, errnum, "%s fails: %s", what, strerror(errnum));
}

#define MICRO_VM_IOCTL(fd, request, data, err) \
	micro_vm_ioctl(fd, request, data, #request, err)

/* --- Guest memory --------------------------------------------------------- */

/* All addresses are constants inside the guest's memory. */
static void micro_vm_write64(struct micro_vm *vm, uint64_t gpa, uint64_t value)
{
	le64 data = le64_of(value);
	int ret = guest_mem_write(vm->kvm.mem, gpa, &data, sizeof(data));

	assert(!ret);
	(void)ret;
}

static uint64_t micro_vm_address(const uint8_t *guest)
{
	return MICRO_CODE + (uintptr_t)guest - (uintptr_t)micro_begin;
}

static void micro_vm_write_gate(struct micro_vm *vm, unsigned int vector,
				uint64_t handler, uint64_t flags)
{
	uint64_t low = (handler & 0xffff) | MICRO_KERNEL_CS << 16 |
		       (GATE_INTERRUPT | flags) << 32;

	/* The handler's other bits are 0: it lies below 64 KiB. */
	micro_vm_write64(vm, MICRO_IDT + GATE_SIZE * (uint64_t)vector, low);
}

static void micro_vm_write_idt(struct micro_vm *vm)
{
	uint64_t handler = micro_vm_address(micro_exceptions);

	for (unsigned int i = 0; i < MICRO_EXCEPTIONS; i++)
		micro_vm_write_gate(vm, i, handler + i * MICRO_EXCEPTION_SIZE,
				    0);
	handler = micro_vm_address(micro_return);
	micro_vm_write_gate(vm, MICRO_VECTOR_BP, handler, 0);
	micro_vm_write_gate(vm, MICRO_VECTOR_RETURN, handler, 0);
	handler = micro_vm_address(micro_irq_gate);
	micro_vm_write_gate(vm, MICRO_VECTOR_IRQ, handler, 0);
	handler = micro_vm_address(micro_int_gate);
	micro_vm_write_gate(vm, MICRO_VECTOR_INT, handler, GATE_DPL3);
}

static void micro_vm_write_gdt(struct micro_vm *vm)
{
	micro_vm_write64(vm, MICRO_GDT + MICRO_KERNEL_CS,
			 DESCRIPTOR_KERNEL_CODE);
	micro_vm_write64(vm, MICRO_GDT + MICRO_KERNEL_SS, DESCRIPTOR_DATA);
	micro_vm_write64(vm, MICRO_GDT + (MICRO_USER_SS & ~7),
			 DESCRIPTOR_USER_DATA);
	micro_vm_write64(vm, MICRO_GDT + (MICRO_USER_CS & ~7),
			 DESCRIPTOR_USER_CODE);
	micro_vm_write64(vm, MICRO_GDT + MICRO_TR,
			 DESCRIPTOR_BUSY_TSS | MICRO_TSS << 16 | TSS_LIMIT);
	micro_vm_write64(vm, MICRO_TSS + TSS_RSP0, MICRO_KERNEL_STACK);
}

static void micro_vm_load(struct micro_vm *vm)
{
	size_t size = (uintptr_t)micro_end - (uintptr_t)micro_begin;
	int ret;

	micro_vm_write64(vm, MICRO_PML4, MICRO_PDPT | PAGE_FLAGS);
	micro_vm_write64(vm, MICRO_PDPT, MICRO_PD | PAGE_FLAGS);
	micro_vm_write64(vm, MICRO_PD, PAGE_FLAGS | PAGE_PS);
	micro_vm_write64(vm, MICRO_PD + 8, PAGE_2M | PAGE_FLAGS | PAGE_PS);
	micro_vm_write_gdt(vm);
	micro_vm_write_idt(vm);
	ret = guest_mem_write(vm->kvm.mem, MICRO_CODE, micro_begin, size);
	assert(!ret);
	(void)ret;
}

/* --- The machine ---------------------------------------------------------- */

/* The two ways of an interrupt from outside to the guest. */
static int micro_vm_init_interrupts(struct micro_vm *vm, struct error *err)
{
	struct {
		uint32_t nr, flags;
		struct kvm_irq_routing_entry entries[2];
	} routing = {
		.nr = 2,
		.entries = {{
				    .gsi = MICRO_GSI_IOAPIC,
				    .type = KVM_IRQ_ROUTING_IRQCHIP,
				    .u.irqchip = {KVM_IRQCHIP_IOAPIC,
						  MICRO_GSI_IOAPIC},
			    },
			    {
				    .gsi = MICRO_GSI_MSI,
				    .type = KVM_IRQ_ROUTING_MSI,
				    .u.msi = {.address_lo = LAYOUT_LAPIC,
					      .data = MICRO_VECTOR_IRQ},
			    }},
	};
	struct kvm_irqchip ioapic = {.chip_id = KVM_IRQCHIP_IOAPIC};
	int ret;

	static_assert(offsetof(struct kvm_irq_routing, nr) == 0 &&
			      offsetof(struct kvm_irq_routing, entries) == 8,
		      "routing is a struct kvm_irq_routing");
	ret = MICRO_VM_IOCTL(vm->kvm.vm_fd, KVM_CREATE_IRQCHIP, NULL, err);
	if (!ret)
		ret = MICRO_VM_IOCTL(vm->kvm.vm_fd, KVM_SET_GSI_ROUTING,
				     &routing, err);
	if (!ret)
		ret = MICRO_VM_IOCTL(vm->kvm.vm_fd, KVM_GET_IRQCHIP, &ioapic,
				     err);
	if (ret)
		return ret;
	/* Unmasked, edge, fixed, to the APIC with ID 0. */
	ioapic.chip.ioapic.redirtbl[MICRO_GSI_IOAPIC].bits = MICRO_VECTOR_IRQ;
	return MICRO_VM_IOCTL(vm->kvm.vm_fd, KVM_SET_IRQCHIP, &ioapic, err);
}

/* Where SYSCALL leads, and that it leaves RFLAGS, with IOPL, alone. */
static int micro_vm_set_msrs(const struct micro_vm *vm, struct error *err)
{
	const uint64_t selectors = (uint64_t)MICRO_SYSRET_BASE << 48 |
				   (uint64_t)MICRO_KERNEL_CS << 32;
	const uint64_t entry = micro_vm_address(micro_syscall_entry);
	struct vcpu_msr_batch batch = {.count = 0};
	int ret;

	ret = vcpu_msr_batch_add(&batch, vm->kvm.vcpu_fd, MSR_STAR, selectors,
				 err);
	if (!ret)
		ret = vcpu_msr_batch_add(&batch, vm->kvm.vcpu_fd, MSR_LSTAR,
					 entry, err);
	if (!ret)
		ret = vcpu_msr_batch_add(&batch, vm->kvm.vcpu_fd, MSR_SFMASK, 0,
					 err);
	return ret ? ret : vcpu_msr_batch_flush(&batch, vm->kvm.vcpu_fd, err);
}

static int micro_vm_init_vcpu(struct micro_vm *vm, struct error *err)
{
	int ret = kvm_small_add_vcpu(&vm->kvm, err);

	if (!ret)
		ret = cpuid_new(&vm->cpuid, vm->kvm.kvm_fd, 1, err);
	if (!ret)
		ret = cpuid_set(vm->cpuid, vm->kvm.vcpu_fd, 0, err);
	return ret ? ret : micro_vm_set_msrs(vm, err);
}

static int micro_vm_init(struct micro_vm *vm, int kvm_fd, struct error *err)
{
	const struct guest_mem_region ram = {.size = MICRO_RAM};
	int ret;

	ret = kvm_small_init(&vm->kvm, kvm_fd, arch_vm_type(kvm_fd), &ram, err);
	if (ret)
		return ret;
	micro_vm_load(vm);
	/* On Intel a vCPU starts in real mode, which may need a TSS. */
	if (ioctl(vm->kvm.vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS) < 0)
		return error_set(err, errno, "KVM_SET_TSS_ADDR fails: %s",
				 strerror(errno));
	ret = micro_vm_init_interrupts(vm, err);
	return ret ? ret : micro_vm_init_vcpu(vm, err);
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
	kvm_small_fini(&vm->kvm);
	cpuid_free(vm->cpuid);
	free(vm);
}

int micro_vm_fd(const struct micro_vm *vm)
{
	return vm->kvm.vm_fd;
}

/* --- Registers ------------------------------------------------------------ */

static struct kvm_segment micro_vm_segment(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = selector,
		.type = type,
		.present = 1,
		.dpl = selector & 3,
		.db = type == TYPE_DATA,
		.s = 1,
		.l = type == TYPE_CODE,
		.g = 1,
	};
}

static void micro_vm_fill_sregs(struct kvm_sregs *sregs, unsigned int cpl)
{
	sregs->cs = micro_vm_segment(cpl ? MICRO_USER_CS : MICRO_KERNEL_CS,
				     TYPE_CODE);
	sregs->ss = micro_vm_segment(cpl ? MICRO_USER_SS : MICRO_KERNEL_SS,
				     TYPE_DATA);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss;
	sregs->tr = (struct kvm_segment){
		.base = MICRO_TSS,
		.limit = TSS_LIMIT,
		.selector = MICRO_TR,
		.type = TYPE_BUSY_TSS,
		.present = 1,
	};
	sregs->gdt.base = MICRO_GDT;
	sregs->gdt.limit = MICRO_GDT_SIZE - 1;
	sregs->idt.base = MICRO_IDT;
	sregs->idt.limit = GATE_SIZE * 256 - 1;
	sregs->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	sregs->cr3 = MICRO_PML4;
	sregs->cr4 = CR4_PAE | CR4_OSFXSR;
	sregs->efer = EFER_LME | EFER_LMA | EFER_SCE;
	sregs->apic_base |= APIC_BASE_ENABLE;
}

int micro_vm_enter(struct micro_vm *vm, const uint8_t *guest, unsigned int cpl,
		   struct error *err)
{
	struct kvm_regs regs = {
		.rip = micro_vm_address(guest),
		.rsp = cpl ? MICRO_USER_STACK : MICRO_KERNEL_STACK,
		.rflags = RFLAGS_ONE | RFLAGS_IOPL,
	};
	struct kvm_sregs sregs;
	int ret;

	ret = MICRO_VM_IOCTL(vm->kvm.vcpu_fd, KVM_GET_SREGS, &sregs, err);
	if (ret)
		return ret;
	micro_vm_fill_sregs(&sregs, cpl);
	ret = MICRO_VM_IOCTL(vm->kvm.vcpu_fd, KVM_SET_SREGS, &sregs, err);
	if (ret)
		return ret;
	return MICRO_VM_IOCTL(vm->kvm.vcpu_fd, KVM_SET_REGS, &regs, err);
}

int micro_vm_counter(const struct micro_vm *vm, uint64_t *counter,
		     struct error *err)
{
	struct kvm_regs regs;
	int ret = MICRO_VM_IOCTL(vm->kvm.vcpu_fd, KVM_GET_REGS, &regs, err);

	if (!ret)
		*counter = regs.rcx;
	return ret;
}

/* --- Running -------------------------------------------------------------- */

static void micro_vm_judge(const struct micro_vm *vm, struct micro_exit *how)
{
	const struct kvm_run *run = vm->kvm.run;

	*how = (struct micro_exit){
		.kind = MICRO_EXIT_OTHER,
		.reason = run->exit_reason,
	};
	if (run->exit_reason == KVM_EXIT_IO &&
	    run->io.direction == KVM_EXIT_IO_OUT) {
		how->kind = MICRO_EXIT_PORT;
		how->port = run->io.port;
		how->value = *((const uint8_t *)run + run->io.data_offset);
	} else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
		   run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
		how->kind = MICRO_EXIT_EMULATION;
	}
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
	case MICRO_EXIT_PORT:
		if (how->port == MICRO_PORT_EXCEPTION)
			snprintf(text, size, "raises exception %u", how->value);
		else
			snprintf(text, size, "goes astray (port 0x%x)",
				 how->port);
		break;
	case MICRO_EXIT_TIMEOUT:
		snprintf(text, size, "hangs");
		break;
	case MICRO_EXIT_EMULATION:
		snprintf(text, size, "is unknown to KVM's emulator");
		break;
	case MICRO_EXIT_OTHER:
		if (how->reason == KVM_EXIT_SHUTDOWN)
			snprintf(text, size, "ends in a triple fault");
		else
			snprintf(text, size, "ends with KVM's exit reason %u",
				 how->reason);
		break;
	}
}
