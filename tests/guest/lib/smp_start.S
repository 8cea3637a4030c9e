/*
 * What an application processor runs: from real mode to long mode, checks in
 * under its x2APIC id, sleeps. It has no stack and needs none.
 */
#define TRAMPOLINE 0x90000
#define CR0_PE	   (1 << 0)
#define CR0_PG	   (1 << 31)
#define CR4_PAE	   (1 << 5)
#define MSR_EFER   0xc0000080
#define EFER_LME   (1 << 8)

#define MSR_APIC_BASE	 0x1b
#define APIC_BASE_X2APIC 0xc00	/* EN and EXTD */
#define X2APIC_APICID	 0x802

	/* Copied to TRAMPOLINE, where it is entered with CS = TRAMPOLINE / 16. */
	.section .rodata
	.code16
	.globl	smp_trampoline, smp_trampoline_end
smp_trampoline:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	trampoline_gdt_pointer - smp_trampoline
	mov	%cr0, %eax
	or	$CR0_PE, %eax
	mov	%eax, %cr0
	ljmpl	$0x18, $smp_protected
	.balign	8
trampoline_gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 64-bit code, data, 32-bit code: */
	.quad	0x00cf93000000ffff	/* as in start.S */
	.quad	0x00cf9b000000ffff
trampoline_gdt_pointer:
	.word	trampoline_gdt_pointer - trampoline_gdt - 1
	.long	TRAMPOLINE + (trampoline_gdt - smp_trampoline)
smp_trampoline_end:

	.text
	.code32
smp_protected:
	mov	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$page_tables, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	%cr0, %eax
	or	$CR0_PG, %eax
	mov	%eax, %cr0
	ljmp	$0x08, $smp_long

	.code64
smp_long:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	$MSR_APIC_BASE, %ecx
	rdmsr
	or	$APIC_BASE_X2APIC, %eax
	wrmsr
	mov	$X2APIC_APICID, %ecx
	rdmsr
	cmp	$255, %eax
	ja	1f
	incb	smp_seen(%rax)
1:	lock incl smp_count
2:	cli
	hlt
	jmp	2b
	.section .note.GNU-stack, "", @progbits
