/*
 * The registers of a vCPU for a person to read, laid out like an oops of
 * Linux, so that its scripts/decodecode takes the code line. Everything that
 * is printed is the guest's, and is printed as numbers alone.
 */
#include "arch/x86_64/vcpu_dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

/* Bytes of code: before RIP, and from it on. */
#define DUMP_CODE_BEFORE 16
#define DUMP_CODE_AFTER	 32

/* SDM volume 3A, 2.2.1 and 2.5 */
#define EFER_LMA 0x00000400
#define CR4_LA57 0x00001000

/* SDM volume 1, 3.4.3, from bit 0 on; those without a name are reserved. */
static const char *const vcpu_dump_flags[] = {
	[0] = "CF",  [2] = "PF",   [4] = "AF",	 [6] = "ZF",
	[7] = "SF",  [8] = "TF",   [9] = "IF",	 [10] = "DF",
	[11] = "OF", [14] = "NT",  [16] = "RF",	 [17] = "VM",
	[18] = "AC", [19] = "VIF", [20] = "VIP", [21] = "ID",
};

static void vcpu_dump_rflags(uint64_t rflags, FILE *out)
{
	const char *gap = "";

	fprintf(out, "RFLAGS: %08" PRIx64 " [", rflags);
	for (size_t i = 0;
	     i < sizeof(vcpu_dump_flags) / sizeof(vcpu_dump_flags[0]); i++) {
		if (!vcpu_dump_flags[i] || !(rflags >> i & 1))
			continue;
		fprintf(out, "%s%s", gap, vcpu_dump_flags[i]);
		gap = " ";
	}
	fprintf(out, "]\n");
}

static void vcpu_dump_regs(const struct kvm_regs *regs, uint16_t cs, FILE *out)
{
	const struct {
		const char *name;
		uint64_t value;
	} all[] = {
		{"RAX", regs->rax}, {"RBX", regs->rbx}, {"RCX", regs->rcx},
		{"RDX", regs->rdx}, {"RSI", regs->rsi}, {"RDI", regs->rdi},
		{"RBP", regs->rbp}, {"R08", regs->r8},	{"R09", regs->r9},
		{"R10", regs->r10}, {"R11", regs->r11}, {"R12", regs->r12},
		{"R13", regs->r13}, {"R14", regs->r14}, {"R15", regs->r15},
	};

	fprintf(out, "RIP: %04x:%016" PRIx64 "\n", cs, (uint64_t)regs->rip);
	fprintf(out, "RSP: %016" PRIx64 " ", (uint64_t)regs->rsp);
	vcpu_dump_rflags(regs->rflags, out);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		fprintf(out, "%s: %016" PRIx64 "%s", all[i].name, all[i].value,
			i % 3 == 2 ? "\n" : " ");
}

static void vcpu_dump_segment(const char *name, const struct kvm_segment *seg,
			      FILE *out)
{
	fprintf(out, "%s:  %04x base %016" PRIx64 " limit %08" PRIx32, name,
		seg->selector, (uint64_t)seg->base, seg->limit);
	if (seg->unusable || !seg->present) {
		fprintf(out, " unusable\n");
		return;
	}
	fprintf(out, " type %x dpl %u%s%s%s\n", seg->type, seg->dpl,
		seg->s ? "" : " system", seg->l ? " 64-bit" : "",
		seg->db ? " 32-bit" : "");
}

static void vcpu_dump_sregs(const struct kvm_sregs *sregs, FILE *out)
{
	vcpu_dump_segment("CS", &sregs->cs, out);
	vcpu_dump_segment("DS", &sregs->ds, out);
	vcpu_dump_segment("ES", &sregs->es, out);
	vcpu_dump_segment("FS", &sregs->fs, out);
	vcpu_dump_segment("GS", &sregs->gs, out);
	vcpu_dump_segment("SS", &sregs->ss, out);
	vcpu_dump_segment("TR", &sregs->tr, out);
	vcpu_dump_segment("LDT", &sregs->ldt, out);
	fprintf(out, "GDT: base %016" PRIx64 " limit %04x\n",
		(uint64_t)sregs->gdt.base, sregs->gdt.limit);
	fprintf(out, "IDT: base %016" PRIx64 " limit %04x\n",
		(uint64_t)sregs->idt.base, sregs->idt.limit);
	fprintf(out,
		"CR0: %016" PRIx64 " CR2: %016" PRIx64 " CR3: %016" PRIx64
		"\nCR4: %016" PRIx64 " CR8: %016" PRIx64 " EFER: %08" PRIx64
		"\n",
		(uint64_t)sregs->cr0, (uint64_t)sregs->cr2,
		(uint64_t)sregs->cr3, (uint64_t)sregs->cr4,
		(uint64_t)sregs->cr8, (uint64_t)sregs->efer);
}

static void vcpu_dump_events(int vcpu_fd, FILE *out)
{
	struct kvm_vcpu_events events;

	if (ioctl(vcpu_fd, KVM_GET_VCPU_EVENTS, &events) < 0)
		return;
	if (!events.exception.injected && !events.exception.pending)
		return;
	fprintf(out, "Exception pending: vector %u", events.exception.nr);
	if (events.exception.has_error_code)
		fprintf(out, ", error code %04" PRIx32,
			events.exception.error_code);
	fprintf(out, "\n");
}

/* How the CPU forms the address of code. */
struct vcpu_dump_space {
	uint64_t base;	    /* of CS */
	unsigned int width; /* bits of a linear address; 32 wraps */
};

/* SDM volume 3A, 3.3.1 and 4.5.1 */
static struct vcpu_dump_space vcpu_dump_space(const struct kvm_sregs *sregs)
{
	if (!(sregs->efer & EFER_LMA) || !sregs->cs.l)
		return (struct vcpu_dump_space){sregs->cs.base, 32};
	return (struct vcpu_dump_space){0, sregs->cr4 & CR4_LA57 ? 57 : 48};
}

/* The byte of code at ip, by the vCPU's page tables; -1 if not mapped. */
static int vcpu_dump_byte(int vcpu_fd, const struct guest_mem *mem,
			  const struct vcpu_dump_space *space, uint64_t ip)
{
	struct kvm_translation tr = {.linear_address = space->base + ip};
	unsigned int sign = space->width - 1;
	uint64_t high = tr.linear_address >> sign;
	uint8_t byte;

	/*
	 * KVM_TRANSLATE looks at no more bits than the page tables do, the CPU
	 * at all: those above the width must repeat the highest.
	 */
	if (space->width == 32)
		tr.linear_address &= UINT32_MAX;
	else if (high != 0 && high != UINT64_MAX >> sign)
		return -1;
	if (ioctl(vcpu_fd, KVM_TRANSLATE, &tr) < 0 || !tr.valid)
		return -1;
	if (guest_mem_read(mem, tr.physical_address, &byte, 1))
		return -1;
	return byte;
}

static void vcpu_dump_code(int vcpu_fd, const struct guest_mem *mem,
			   uint64_t rip, const struct kvm_sregs *sregs,
			   FILE *out)
{
	struct vcpu_dump_space space = vcpu_dump_space(sregs);

	fprintf(out, "Code:");
	if (vcpu_dump_byte(vcpu_fd, mem, &space, rip) < 0) {
		fprintf(out, " not mapped\n");
		return;
	}
	for (int i = -DUMP_CODE_BEFORE; i < DUMP_CODE_AFTER; i++) {
		int byte = vcpu_dump_byte(vcpu_fd, mem, &space,
					  rip + (uint64_t)(int64_t)i);
		const char *open = i == 0 ? "<" : "";
		const char *close = i == 0 ? ">" : "";

		if (byte >= 0)
			fprintf(out, " %s%02x%s", open, (unsigned int)byte,
				close);
		else
			fprintf(out, " %s??%s", open, close);
	}
	fprintf(out, "\n");
}

void vcpu_dump(int vcpu_fd, unsigned int index, const struct guest_mem *mem,
	       FILE *out)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (ioctl(vcpu_fd, KVM_GET_REGS, &regs) < 0 ||
	    ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0) {
		fprintf(out, "CPU: %u registers cannot be read: %s\n", index,
			strerror(errno));
		return;
	}
	fprintf(out, "CPU: %u\n", index);
	vcpu_dump_regs(&regs, sregs.cs.selector, out);
	vcpu_dump_sregs(&sregs, out);
	vcpu_dump_events(vcpu_fd, out);
	vcpu_dump_code(vcpu_fd, mem, regs.rip, &sregs, out);
}
