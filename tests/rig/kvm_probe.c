/*
 * Can this host's /dev/kvm run Linux? Not every KVM that answers can: without
 * hardware virtualisation it interprets a guest's kernel code, and its
 * interpreter lacks instructions that every kernel uses.
 *
 * Asked by trying: a guest of a few bytes executes such instructions in long
 * mode at CPL 0 and tells by a port write that it got through. Prints one line
 * with the answer; exit status 0 for yes, 1 for no. `make demo` chooses between
 * /dev/kvm and the rig by it.
 *
 * Nothing here takes input. Specifications: the KVM API
 * (Documentation/virt/kvm/api.rst), AMD64 Architecture Programmer's Manual
 * volume 2 (long mode: 4.8, 5.3, 8.2).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm.h>

/* Guest memory, identity-mapped by one 2 MiB page; all within PROBE_SIZE. */
enum probe_map {
	PROBE_PML4 = 0x1000,
	PROBE_PDPT = 0x2000,
	PROBE_PD = 0x3000,
	PROBE_GDT = 0x4000,
	PROBE_IDT = 0x5000,
	PROBE_STACK = 0x8000, /* grows down from here */
	PROBE_CODE = 0x8000,
	PROBE_SIZE = 0x10000,
};

#define PROBE_CS	 0x8  /* selector of the GDT's one code segment */
#define PROBE_PORT	 0xf4 /* written when all went well */
#define PROBE_TIME_LIMIT 10   /* seconds */

#define CR0_PE	 (1u << 0)
#define CR0_PG	 (1u << 31)
#define CR4_PAE	 (1u << 5)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

#define PTE_P	     (1u << 0)
#define PTE_RW	     (1u << 1)
#define PTE_PS	     (1u << 7)
#define VECTOR_BP    3
#define SEG_CODE64   0x00209b0000000000ull /* P, DPL 0, code, L */
#define GATE_PRESENT 0x8e00		   /* 64-bit interrupt gate, DPL 0 */

/*
 * The guest. popcnt stands for the instructions that compilers and the kernel's
 * alternatives produce.
 */
enum probe_offset {
	PROBE_INT3 = 0,
	PROBE_POPCNT = 1,
	PROBE_DONE = 5,
	PROBE_HANDLER = 8, /* of int3 */
};

static const uint8_t probe_guest[] = {
	/* int3 */
	0xcc,
	/* popcnt %eax, %ecx */
	0xf3, 0x0f, 0xb8, 0xc8,
	/* out %al, $PROBE_PORT */
	0xe6, PROBE_PORT,
	/* hlt */
	0xf4,
	/* iretq */
	0x48, 0xcf};

struct probe {
	int kvm;
	int vm;
	int vcpu;
	uint8_t *ram; /* PROBE_SIZE bytes, mapped */
	struct kvm_run *run;
};

static void probe_write64(struct probe *probe, uint32_t address, uint64_t value)
{
	memcpy(probe->ram + address, &value, sizeof(value));
}

static void probe_load(struct probe *probe)
{
	memcpy(probe->ram + PROBE_CODE, probe_guest, sizeof(probe_guest));
	probe_write64(probe, PROBE_PML4, PROBE_PDPT | PTE_P | PTE_RW);
	probe_write64(probe, PROBE_PDPT, PROBE_PD | PTE_P | PTE_RW);
	probe_write64(probe, PROBE_PD, PTE_P | PTE_RW | PTE_PS);
	probe_write64(probe, PROBE_GDT + PROBE_CS, SEG_CODE64);
	/* Offset bits 15:0, selector, type; the offset's other bits are 0. */
	probe_write64(probe, PROBE_IDT + 16 * VECTOR_BP,
		      (PROBE_CODE + PROBE_HANDLER) | PROBE_CS << 16 |
			      (uint64_t)GATE_PRESENT << 32);
}

static bool probe_set_registers(struct probe *probe)
{
	struct kvm_regs regs = {
		.rip = PROBE_CODE,
		.rsp = PROBE_STACK,
		.rflags = 0x2,
	};
	struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = PROBE_CS,
		.type = 0xb,
		.present = 1,
		.s = 1,
		.l = 1,
		.g = 1,
	};
	struct kvm_segment data = code;
	struct kvm_sregs sregs;

	if (ioctl(probe->vcpu, KVM_GET_SREGS, &sregs) < 0)
		return false;
	data.selector = 0; /* which iretq takes for SS in long mode */
	data.type = 0x3;
	data.l = 0;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.gdt.base = PROBE_GDT;
	sregs.gdt.limit = PROBE_CS + 7;
	sregs.idt.base = PROBE_IDT;
	sregs.idt.limit = 16 * (VECTOR_BP + 1) - 1;
	sregs.cr0 = CR0_PE | CR0_PG;
	sregs.cr3 = PROBE_PML4;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	if (ioctl(probe->vcpu, KVM_SET_SREGS, &sregs) < 0 ||
	    ioctl(probe->vcpu, KVM_SET_REGS, &regs) < 0)
		return false;
	return true;
}

static bool probe_create_vcpu(struct probe *probe)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = PROBE_SIZE,
		.userspace_addr = (uintptr_t)probe->ram,
	};
	int size;
	void *run;

	if (ioctl(probe->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return false;
	probe->vcpu = ioctl(probe->vm, KVM_CREATE_VCPU, 0);
	size = ioctl(probe->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (probe->vcpu < 0 || size < 0)
		return false;
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   probe->vcpu, 0);
	if (run == MAP_FAILED)
		return false;
	probe->run = run;
	return true;
}

/* The process ends soon, and what is opened here with it. */
static bool probe_create(struct probe *probe)
{
	void *ram;

	probe->vm = ioctl(probe->kvm, KVM_CREATE_VM, 0);
	if (probe->vm < 0)
		return false;
	ram = mmap(NULL, PROBE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		return false;
	probe->ram = ram;
	probe_load(probe);
	return probe_create_vcpu(probe) && probe_set_registers(probe);
}

/* The instruction that the guest stands at, by name. */
static const char *probe_instruction(struct probe *probe)
{
	struct kvm_regs regs;
	uint64_t offset;

	if (ioctl(probe->vcpu, KVM_GET_REGS, &regs) < 0)
		return "an instruction of it";
	offset = regs.rip - PROBE_CODE;
	if (offset < PROBE_POPCNT)
		return "int3";
	if (offset < PROBE_DONE)
		return "popcnt";
	return "an instruction of it";
}

/* Print what the one run of the vCPU says about this KVM. */
static int probe_judge(struct probe *probe)
{
	struct kvm_run *run = probe->run;

	if (ioctl(probe->vcpu, KVM_RUN, 0) < 0) {
		printf("KVM_RUN fails: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		if (run->io.port != PROBE_PORT)
			break;
		puts("guest kernel code runs on the CPU itself");
		return EXIT_SUCCESS;
	case KVM_EXIT_INTERNAL_ERROR:
		printf("guest kernel code is interpreted: KVM's emulator "
		       "does not know %s (this host's CPU shows no "
		       "hardware virtualisation)\n",
		       probe_instruction(probe));
		return EXIT_FAILURE;
	default:
		break;
	}
	printf("a guest of a few instructions ends with exit reason %u\n",
	       run->exit_reason);
	return EXIT_FAILURE;
}

int main(void)
{
	struct probe probe = {.kvm = -1, .vm = -1, .vcpu = -1};

	/* A guest that never comes back ends by SIGALRM. */
	alarm(PROBE_TIME_LIMIT);
	probe.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (probe.kvm < 0) {
		printf("/dev/kvm cannot be opened: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	if (!probe_create(&probe)) {
		printf("KVM makes no virtual machine: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	return probe_judge(&probe);
}
