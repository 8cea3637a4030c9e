/*
 * The smallest guest: its first instructions write the debug-exit port. The
 * same bytes in 32-bit and in long mode, so it can be entered either way; the
 * PVH note is there for QEMU, beside which `make bench` measures us.
 */
#define STATUS	   42
#define DEBUG_EXIT 0xf4

	.text
	.globl	start32, start64
start32:
start64:
	mov	$STATUS, %al
	out	%al, $DEBUG_EXIT
1:	hlt
	jmp	1b

	.section .note.Linux, "a", @note
	.balign	4
	.long	6, 4, 0x101	/* LINUX_ELFNOTE_LTO_INFO */
	.asciz	"Linux"
	.balign	4
	.long	0

	.section .note.Xen, "a", @note
	.balign	4
	.long	4, 8, 18	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.balign	4
	.quad	start32
	.section .note.GNU-stack, "", @progbits
