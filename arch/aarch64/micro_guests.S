/*
 * The micro guests of `bantam doctor`: see micro_guests.h. They begin at EL1
 * with interrupts masked and the MMU off, are position independent, and use
 * nothing that a KVM may lack but the one thing that each is about.
 *
 * Arm ARM (DDI 0487) D1.3: exceptions and vectors; D11: the generic timer.
 * DEN0022: PSCI.
 */
#include "arch/aarch64/micro_guests.h"

#define PSCI_VERSION	0x84000000
#define SPSR_EL0T	0x3c0	/* EL0, interrupts masked */
#define TIMER_TICKS	100
#define CNTV_CTL_ENABLE	1

	.macro	guest name
	.balign	8
	.globl	\name
\name:
	.endm

	.macro	report what
	mov	x9, #MICRO_REPORT
	str	w0, [x9, #\what]
	.endm

	/* Exception class to w0. */
	.macro	class
	mrs	x0, esr_el1
	lsr	w0, w0, #26
	.endm

	.macro	vector
	.balign	128
	.endm

	.section .rodata
	.balign	2048
	guest	micro_begin
	guest	micro_vectors
	/* From EL1 by SP_EL0: synchronous, IRQ, FIQ, SError. */
	.rept	4
	vector
	class
	report	MICRO_EXCEPTION
	b	.
	.endr
	/* From EL1 by SP_EL1. */
	vector
	class
	report	MICRO_EXCEPTION
	b	.
	vector
	report	MICRO_IRQ
	b	.
	.rept	2
	vector
	class
	report	MICRO_EXCEPTION
	b	.
	.endr
	/* From EL0. */
	vector
	class
	report	MICRO_KERNEL
	eret
	.rept	7
	vector
	class
	report	MICRO_EXCEPTION
	b	.
	.endr
	.balign	2048

	guest	micro_count
	add	x1, x1, #1
	b	micro_count

	guest	micro_psci
	mov	w0, #PSCI_VERSION
	hvc	#0
	report	MICRO_DONE
	b	.

	guest	micro_svc
	adr	x0, 1f
	msr	elr_el1, x0
	mov	x0, #SPSR_EL0T
	msr	spsr_el1, x0
	eret
1:	svc	#0
	report	MICRO_USER
	b	.

	guest	micro_notify
	mov	x9, #MICRO_NOTIFY
	strh	w0, [x9]
	report	MICRO_DONE
	b	.

	guest	micro_timer
	mov	x0, #TIMER_TICKS
	msr	cntv_tval_el0, x0
	mov	x0, #CNTV_CTL_ENABLE
	msr	cntv_ctl_el0, x0
	isb
	b	micro_wait

	guest	micro_wait
	report	MICRO_READY
	msr	daifclr, #2
1:	wfi
	b	1b

	guest	micro_end
	.section .note.GNU-stack, "", @progbits
