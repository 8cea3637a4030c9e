/*
 * How every guest begins: one 32-bit and one 64-bit door, each of which saves
 * the registers it was entered with and ends in guest_main() in long mode,
 * with the first 4 GiB mapped one to one, our own GDT and interrupts off.
 *
 * Assembled once for each boot protocol: START_LINUX, START_PVH or
 * START_MULTIBOOT chooses the note or header that the loader looks for. The
 * doors lie where a bzImage has them, at its start and 0x200 bytes behind.
 *
 * Documentation/arch/x86/boot.rst (Linux), xen/docs/misc/pvh.pandoc, the
 * Multiboot Specification 0.6.96.
 */
#include "entry.h"

#define CR0_PG	  (1 << 31)
#define CR4_PAE	  (1 << 5)
#define MSR_EFER  0xc0000080
#define EFER_LME  (1 << 8)
#define PAGE_RW	  0x07		/* present, writable, for CPL 3, too */
#define PAGE_BIG  0x87		/* likewise, 2 MiB */

#if defined(START_PVH)
#define PROTOCOL_32 PROTOCOL_PVH
#elif defined(START_MULTIBOOT)
#define PROTOCOL_32 PROTOCOL_MULTIBOOT
#else
#define PROTOCOL_32 PROTOCOL_LINUX32
#endif

/* --- Entered in 32-bit protected mode, paging off ------------------------ */

	.section .head.32, "ax"
	.code32
	.globl	start32
start32:
	mov	%eax, entry + ENTRY_AX
	mov	%ebx, entry + ENTRY_BX
	mov	%ecx, entry + ENTRY_CX
	mov	%edx, entry + ENTRY_DX
	mov	%esi, entry + ENTRY_SI
	mov	%edi, entry + ENTRY_DI
	mov	%ebp, entry + ENTRY_BP
	mov	%esp, entry + ENTRY_SP
	mov	%cs, entry + ENTRY_CS
	mov	%ds, entry + ENTRY_DS
	mov	%es, entry + ENTRY_ES
	mov	%fs, entry + ENTRY_FS
	mov	%gs, entry + ENTRY_GS
	mov	%ss, entry + ENTRY_SS
	sgdt	entry + ENTRY_GDT
	mov	$stack_top, %esp
	pushf
	popl	entry + ENTRY_FLAGS
	mov	%cr0, %eax
	mov	%eax, entry + ENTRY_CR0
	mov	%cr3, %eax
	mov	%eax, entry + ENTRY_CR3
	mov	%cr4, %eax
	mov	%eax, entry + ENTRY_CR4
	mov	$MSR_EFER, %ecx
	rdmsr
	mov	%eax, entry + ENTRY_EFER
	movl	$PROTOCOL_32, entry + ENTRY_PROTOCOL
	cld

	/* Long mode, in the order of the AMD64 APM, volume 2, 14.6.1. With
	 * EFER.LME before CR4.PAE, QEMU's emulation of SVM hangs the host. */
	mov	$CR4_PAE, %ecx
	mov	%ecx, %cr4
	mov	$page_tables, %ecx
	mov	%ecx, %cr3
	mov	$MSR_EFER, %ecx
	or	$EFER_LME, %eax
	wrmsr
	mov	entry + ENTRY_CR0, %eax
	or	$CR0_PG, %eax
	lgdt	gdt_pointer
	mov	%eax, %cr0
	ljmp	$GDT_CODE, $long_mode

/* --- Entered in long mode ------------------------------------------------ */

	.section .head.64, "ax"
	.code64
	.globl	start64
start64:
	mov	%rax, entry + ENTRY_AX(%rip)
	mov	%rbx, entry + ENTRY_BX(%rip)
	mov	%rcx, entry + ENTRY_CX(%rip)
	mov	%rdx, entry + ENTRY_DX(%rip)
	mov	%rsi, entry + ENTRY_SI(%rip)
	mov	%rdi, entry + ENTRY_DI(%rip)
	mov	%rbp, entry + ENTRY_BP(%rip)
	mov	%rsp, entry + ENTRY_SP(%rip)
	mov	%cs, entry + ENTRY_CS(%rip)
	mov	%ds, entry + ENTRY_DS(%rip)
	mov	%es, entry + ENTRY_ES(%rip)
	mov	%fs, entry + ENTRY_FS(%rip)
	mov	%gs, entry + ENTRY_GS(%rip)
	mov	%ss, entry + ENTRY_SS(%rip)
	sgdt	entry + ENTRY_GDT(%rip)
	mov	$stack_top, %esp
	pushf
	popq	entry + ENTRY_FLAGS(%rip)
	mov	%cr0, %rax
	mov	%rax, entry + ENTRY_CR0(%rip)
	mov	%cr3, %rax
	mov	%rax, entry + ENTRY_CR3(%rip)
	mov	%cr4, %rax
	mov	%rax, entry + ENTRY_CR4(%rip)
	mov	$MSR_EFER, %ecx
	rdmsr
	mov	%eax, entry + ENTRY_EFER(%rip)
	movl	$PROTOCOL_LINUX64, entry + ENTRY_PROTOCOL(%rip)
	cld

	mov	$page_tables, %eax
	mov	%rax, %cr3
	lgdt	gdt_pointer
	push	$GDT_CODE
	push	$long_mode
	lretq

	.text
	.code64
long_mode:
	mov	$GDT_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$stack_top, %esp
	call	guest_start
1:	hlt
	jmp	1b

/* --- What the doors share ------------------------------------------------- */

	.data
	.globl	page_tables
	.balign	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 64-bit code */
	.quad	0x00cf93000000ffff	/* data */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	gdt
	.set	GDT_CODE, 0x08
	.set	GDT_DATA, 0x10

	/* Written out here because a guest at CPL 0 may be interpreted, and
	 * 2048 entries are a lot of instructions. */
	.balign	4096
page_tables:
	.quad	pdpt + PAGE_RW
	.fill	511, 8, 0
pdpt:
	.quad	pd + PAGE_RW, pd + 4096 + PAGE_RW
	.quad	pd + 8192 + PAGE_RW, pd + 12288 + PAGE_RW
	.fill	507, 8, 0
	.quad	pd_window + PAGE_RW	/* at 511 GiB: mem_window() */
pd:
	.set	page, 0
	.rept	2048
	.quad	page + PAGE_BIG
	.set	page, page + 0x200000
	.endr
	.globl	pd_window
pd_window:
	.fill	512, 8, 0

	.bss
	.globl	entry
	.balign	16
entry:
	.skip	ENTRY_SIZE
	.balign	16
	.skip	16384
stack_top:

/* --- What loaders look for ------------------------------------------------ */

#ifdef START_LINUX
	/* As in vmlinux: LINUX_ELFNOTE_LTO_INFO. */
	.section .note.Linux, "a", @note
	.balign	4
	.long	6, 4, 0x101
	.asciz	"Linux"
	.balign	4
	.long	0
#endif

#ifdef START_PVH
	/* XEN_ELFNOTE_PHYS32_ENTRY, xen/include/public/elfnote.h. */
	.section .note.Xen, "a", @note
	.balign	4
	.long	4, 8, 18
	.asciz	"Xen"
	.balign	4
	.quad	start32
#endif

#ifdef START_MULTIBOOT
/* Multiboot Specification 3.1.1: page-aligned modules, memory map, and the
 * addresses that a flat image needs (an ELF's own are used before them). */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00010003
	.section .head.multiboot, "a"
	.balign	4
multiboot_header:
	.long	MULTIBOOT_MAGIC
	.long	MULTIBOOT_FLAGS
	.long	-(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
	.long	multiboot_header
	.long	image_start
	.long	image_end
	.long	bss_end
	.long	start32
#endif
	.section .note.GNU-stack, "", @progbits
