/*
 * A crashed guest may have left its registers and page tables in any state:
 * what is not there is printed as such.
 */
#include "arch/aarch64/vcpu_dump.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>

#include "arch/aarch64/vcpu_regs.h"
#include "arch/aarch64/vcpu_walk.h"
#include "vmm/base/bytes.h"

#define DUMP_CODE_BEFORE 4 /* instructions */
#define DUMP_CODE_AFTER	 8

#define DUMP_X_COUNT 31 /* X0 to X30 */

/* Print one, or that it cannot be read. Return: its value, or 0. */
static uint64_t vcpu_dump_reg(int vcpu_fd, const char *name, uint64_t id,
			      const char *end, FILE *out)
{
	uint64_t value = 0;

	if (vcpu_reg_get(vcpu_fd, id, &value, NULL))
		fprintf(out, "%s: unreadable%s", name, end);
	else
		fprintf(out, "%s: %016" PRIx64 "%s", name, value, end);
	return value;
}

static void vcpu_dump_pstate(uint64_t pstate, FILE *out)
{
	static const char flags[] = "NZCV";
	static const char masks[] = "DAIF";

	fprintf(out, "PSTATE: %08" PRIx64 " EL%u%c ", pstate,
		(unsigned int)(pstate >> 2 & 3), pstate & 1 ? 'h' : 't');
	for (unsigned int i = 0; flags[i]; i++)
		fputc(pstate >> (31 - i) & 1 ? flags[i] : '-', out);
	fputs(" masked ", out);
	for (unsigned int i = 0; masks[i]; i++)
		fputc(pstate >> (9 - i) & 1 ? masks[i] : '-', out);
	fputc('\n', out);
}

static void vcpu_dump_general(int vcpu_fd, FILE *out)
{
	char name[8];

	for (unsigned int i = 0; i < DUMP_X_COUNT; i++) {
		snprintf(name, sizeof(name), "X%02u", i);
		vcpu_dump_reg(vcpu_fd, name, VCPU_X(i),
			      i % 3 == 2 || i == DUMP_X_COUNT - 1 ? "\n" : " ",
			      out);
	}
}

static void vcpu_dump_system(int vcpu_fd, struct vcpu_walk *walk, FILE *out)
{
	vcpu_dump_reg(vcpu_fd, "SP_EL0", VCPU_CORE(regs.sp), " ", out);
	vcpu_dump_reg(vcpu_fd, "SP_EL1", VCPU_CORE(sp_el1), " ", out);
	vcpu_dump_reg(vcpu_fd, "ELR_EL1", VCPU_CORE(elr_el1), "\n", out);
	vcpu_dump_reg(vcpu_fd, "SPSR_EL1", VCPU_CORE(spsr[KVM_SPSR_EL1]), " ",
		      out);
	vcpu_dump_reg(vcpu_fd, "ESR_EL1", VCPU_ESR_EL1, " ", out);
	vcpu_dump_reg(vcpu_fd, "FAR_EL1", VCPU_FAR_EL1, "\n", out);
	walk->sctlr =
		vcpu_dump_reg(vcpu_fd, "SCTLR_EL1", VCPU_SCTLR_EL1, " ", out);
	walk->tcr = vcpu_dump_reg(vcpu_fd, "TCR_EL1", VCPU_TCR_EL1, " ", out);
	vcpu_dump_reg(vcpu_fd, "VBAR_EL1", VCPU_VBAR_EL1, "\n", out);
	walk->ttbr0 =
		vcpu_dump_reg(vcpu_fd, "TTBR0_EL1", VCPU_TTBR0_EL1, " ", out);
	walk->ttbr1 =
		vcpu_dump_reg(vcpu_fd, "TTBR1_EL1", VCPU_TTBR1_EL1, "\n", out);
}

/* The instruction at va. Return: whether it could be read. */
static bool vcpu_dump_instruction(const struct vcpu_walk *walk,
				  const struct guest_mem *mem, uint64_t va,
				  uint32_t *instruction)
{
	uint64_t pa;
	le32 raw;

	if (vcpu_walk(walk, mem, va, &pa) ||
	    guest_mem_read(mem, pa, &raw, sizeof(raw)))
		return false;
	*instruction = le32_get(raw);
	return true;
}

static void vcpu_dump_code(const struct vcpu_walk *walk,
			   const struct guest_mem *mem, uint64_t pc, FILE *out)
{
	uint32_t instruction;

	fprintf(out, "Code:");
	if (!vcpu_dump_instruction(walk, mem, pc, &instruction)) {
		fprintf(out, " not mapped\n");
		return;
	}
	for (int i = -DUMP_CODE_BEFORE; i < DUMP_CODE_AFTER; i++) {
		const char *open = i == 0 ? "<" : "";
		const char *close = i == 0 ? ">" : "";

		if (vcpu_dump_instruction(walk, mem,
					  pc + (uint64_t)(int64_t)(4 * i),
					  &instruction))
			fprintf(out, " %s%08" PRIx32 "%s", open, instruction,
				close);
		else
			fprintf(out, " %s????????%s", open, close);
	}
	fprintf(out, "\n");
}

void vcpu_dump(int vcpu_fd, unsigned int index, const struct guest_mem *mem,
	       FILE *out)
{
	struct vcpu_walk walk;
	uint64_t pc, pstate = 0;

	fprintf(out, "CPU: %u\n", index);
	pc = vcpu_dump_reg(vcpu_fd, "PC", VCPU_PC, " ", out);
	if (!vcpu_reg_get(vcpu_fd, VCPU_PSTATE, &pstate, NULL))
		vcpu_dump_pstate(pstate, out);
	else
		fprintf(out, "PSTATE: unreadable\n");
	vcpu_dump_general(vcpu_fd, out);
	vcpu_dump_system(vcpu_fd, &walk, out);
	vcpu_dump_code(&walk, mem, pc, out);
}
