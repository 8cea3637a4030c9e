/*
 * The micro guests of `bantam doctor`: see micro_guests.h. Long mode, position
 * independent, IOPL 3 so that the ports can be written from CPL 3, too. They
 * use nothing that a KVM may lack but the one thing that each is about.
 *
 * AMD64 Architecture Programmer's Manual volume 2: 6.1 (SYSCALL), 8.7 (INT n),
 * 16.3 and 16.11 (local APIC, x2APIC).
 */
#include "arch/x86_64/micro_guests.h"

/* x2APIC registers are MSRs. */
#define MSR_X2APIC_EOI	0x80b
#define MSR_X2APIC_SVR	0x80f
#define APIC_SVR_ENABLE 0x1ff	/* with vector 0xff for spurious ones */

/* CPUID: APM volume 3, appendix E */
#define LEAF_FEATURES	1
#define ECX1_CX16	13
#define ECX1_POPCNT	23
#define ECX1_XSAVE	26
#define LEAF_FEATURES2	7
#define EBX7_SMAP	20
#define CR4_OSXSAVE	(1 << 18)

	.macro	guest name
	.balign	8
	.globl	\name
\name:
	.endm

	/* To `absent` unless the guest's CPUID has that bit. */
	.macro	needs leaf reg bit
	xor	%eax, %eax
	cpuid
	cmp	$\leaf, %eax
	jb	absent
	mov	$\leaf, %eax
	xor	%ecx, %ecx
	cpuid
	bt	$\bit, %\reg
	jnc	absent
	.endm

	.section .rodata
	guest	micro_begin

	guest	micro_count
	inc	%rcx
	jmp	micro_count

/* --- An instruction each -------------------------------------------------- */

	guest	micro_int3
	int3
	jmp	done

	guest	micro_int_n
	int	$MICRO_VECTOR_RETURN
	jmp	done

	guest	micro_popcnt
	needs	LEAF_FEATURES ecx ECX1_POPCNT
	popcnt	%eax, %ecx
	jmp	done

	guest	micro_cmpxchg16b
	needs	LEAF_FEATURES ecx ECX1_CX16
	mov	$MICRO_DATA, %edi
	cmpxchg16b (%rdi)
	jmp	done

	guest	micro_clac
	needs	LEAF_FEATURES2 ebx EBX7_SMAP
	clac
	stac
	jmp	done

	/* Of the state components, x87 alone: XCR0 always has that bit. */
	guest	micro_xsave
	needs	LEAF_FEATURES ecx ECX1_XSAVE
	mov	%cr4, %rax
	or	$CR4_OSXSAVE, %eax
	mov	%rax, %cr4
	mov	$MICRO_DATA, %edi
	mov	$1, %eax
	xor	%edx, %edx
	xsave	(%rdi)
	xrstor	(%rdi)

done:
	out	%al, $MICRO_PORT_DONE
	hlt
absent:
	out	%al, $MICRO_PORT_ABSENT
	hlt

/* --- System calls --------------------------------------------------------- */

	guest	micro_syscall
	syscall
	jmp	returned

	guest	micro_user_int
	int	$MICRO_VECTOR_INT
returned:
	mov	%cs, %eax
	out	%al, $MICRO_PORT_USER
	hlt

	guest	micro_syscall_entry
	mov	%cs, %eax
	out	%al, $MICRO_PORT_KERNEL
	sysretq

	guest	micro_int_gate
	mov	%cs, %eax
	out	%al, $MICRO_PORT_KERNEL
	iretq

/* --- Devices -------------------------------------------------------------- */

	guest	micro_notify
	mov	$MICRO_MMIO, %edi
	mov	%ax, (%rdi)
	out	%ax, $MICRO_PORT_NOTIFY
	jmp	done

	guest	micro_wait
	mov	$MSR_X2APIC_SVR, %ecx
	mov	$APIC_SVR_ENABLE, %eax
	xor	%edx, %edx
	wrmsr
	out	%al, $MICRO_PORT_READY
	sti
1:	hlt
	jmp	1b

	guest	micro_irq_gate
	out	%al, $MICRO_PORT_IRQ
	mov	$MSR_X2APIC_EOI, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	iretq

	guest	micro_return
	iretq

/* --- Exceptions that nobody expects --------------------------------------- */

	guest	micro_exceptions
	.set	vector, 0
	.rept	MICRO_EXCEPTIONS
	.balign	MICRO_EXCEPTION_SIZE
	mov	$vector, %al
	out	%al, $MICRO_PORT_EXCEPTION
	hlt
	.set	vector, vector + 1
	.endr

	guest	micro_end
	.section .note.GNU-stack, "", @progbits
