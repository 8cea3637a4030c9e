/* One entry for each exception: makes the stack frames alike and reports. */
	.text
	.code64
	.balign	16
stubs:
	.set	vector, 0
	.rept	32
	.balign	16
	/* SDM volume 3, table 6-1: these push an error code themselves. */
	.if	(vector == 8) || ((vector >= 10) && (vector <= 14)) || \
		(vector == 17) || (vector == 21)
	nop
	nop
	.else
	push	$0
	.endif
	push	$vector
	jmp	irq_common
	.set	vector, vector + 1
	.endr

irq_common:
	pop	%rdi
	pop	%rsi
	mov	(%rsp), %rdx
	and	$-16, %rsp
	call	irq_exception

	.section .rodata
	.globl	irq_stubs
	.balign	8
irq_stubs:
	.set	vector, 0
	.rept	32
	.quad	stubs + vector * 16
	.set	vector, vector + 1
	.endr
	.section .note.GNU-stack, "", @progbits
