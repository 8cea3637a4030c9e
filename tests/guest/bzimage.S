/*
 * A bzImage: boot sector and setup sectors of which only the header counts, a
 * protected-mode part with both entry points (BODY, a flat guest), and a
 * payload (PAYLOAD). Linked to a flat file; see guest.mk.
 *
 *   PAYLOAD_SIZE  what it unpacks to, put behind it as kbuild does; not for
 *                 gzip, which ends with its size anyway
 *   XLOADFLAGS    whether there is a 64-bit entry
 *
 * Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
 */
#include "bzimage.h"

#define SECTOR	    512
#define LOADED_HIGH 1

	.text
image:
	.org	0x1f1
	.byte	BZIMAGE_SETUP_SECTS
	.word	0				/* root_flags */
	.long	(image_end - body) / 16		/* syssize */
	.word	0				/* ram_size */
	.word	0xffff				/* vid_mode */
	.word	0				/* root_dev */
	.word	0xaa55				/* boot_flag */
	.byte	0xeb, header_end - 1f		/* jump */
1:	.ascii	"HdrS"
	.word	BZIMAGE_VERSION
	.long	0				/* realmode_swtch */
	.word	0				/* start_sys_seg */
	.word	0				/* kernel_version */
	.byte	0				/* type_of_loader */
	.byte	LOADED_HIGH			/* loadflags */
	.word	0				/* setup_move_size */
	.long	0x100000			/* code32_start */
	.long	0, 0				/* ramdisk */
	.long	0				/* bootsect_kludge */
	.word	0				/* heap_end_ptr */
	.byte	0, 0				/* ext_loader */
	.long	0				/* cmd_line_ptr */
	.long	BZIMAGE_INITRD_ADDR_MAX
	.long	0x1000				/* kernel_alignment */
	.byte	0				/* relocatable_kernel */
	.byte	12				/* min_alignment */
	.word	XLOADFLAGS
	.long	BZIMAGE_CMDLINE_SIZE
	.long	0				/* hardware_subarch */
	.quad	0
	.long	payload - body			/* payload_offset */
	.long	payload_end - payload		/* payload_length */
	.quad	0				/* setup_data */
	.quad	BZIMAGE_PREF_ADDRESS
	.long	BZIMAGE_INIT_SIZE
	.long	0				/* handover_offset */
	.long	0				/* kernel_info_offset */
header_end:
	.org	(BZIMAGE_SETUP_SECTS + 1) * SECTOR

body:
	.incbin	BODY
	.balign	16
payload:
	.incbin	PAYLOAD
#ifdef PAYLOAD_SIZE
	.long	PAYLOAD_SIZE
#endif
payload_end:
	.balign	16
image_end:
	.section .note.GNU-stack, "", @progbits
