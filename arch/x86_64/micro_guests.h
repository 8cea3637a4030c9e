/*
 * The micro guests of `bantam doctor`, and what they and their machine
 * (arch/x86_64/micro_vm.h) agree upon. Read by the assembler, too.
 *
 * All are in one blob that is copied to MICRO_CODE; each symbol below is where
 * one begins. A guest reports by writing AL to one of the ports.
 */
#ifndef ARCH_X86_64_MICRO_GUESTS_H
#define ARCH_X86_64_MICRO_GUESTS_H

/*
 * Guest physical memory. The first 4 MiB are mapped one to one, for CPL 3 as
 * well; behind MICRO_RAM there is nothing, so MICRO_MMIO leaves the guest.
 */
#define MICRO_PML4	   0x1000
#define MICRO_PDPT	   0x2000
#define MICRO_PD	   0x3000
#define MICRO_GDT	   0x4000
#define MICRO_IDT	   0x5000 /* 256 gates: one page */
#define MICRO_TSS	   0x6000
#define MICRO_DATA	   0x7000 /* a page to write to; zero */
#define MICRO_KERNEL_STACK 0x9000 /* grows down */
#define MICRO_USER_STACK   0xa000
#define MICRO_CODE	   0xa000
#define MICRO_RAM	   0x10000
#define MICRO_MMIO	   0x200000

/* Selectors. SYSCALL and SYSRET count from two of them (APM volume 2, 6.1.1):
 * SYSRET takes MICRO_SYSRET_BASE + 16 for CS and + 8 for SS. */
#define MICRO_KERNEL_CS	  0x08
#define MICRO_KERNEL_SS	  0x10
#define MICRO_SYSRET_BASE 0x18
#define MICRO_USER_SS	  0x23
#define MICRO_USER_CS	  0x2b
#define MICRO_TR	  0x30
#define MICRO_GDT_SIZE	  0x40

/* Vectors. */
#define MICRO_EXCEPTIONS    32
#define MICRO_VECTOR_BP	    3	 /* micro_return */
#define MICRO_VECTOR_IRQ    0x40 /* what a device raises: micro_irq_gate */
#define MICRO_VECTOR_RETURN 0x41 /* int n: micro_return */
#define MICRO_VECTOR_INT    0x80 /* int n from CPL 3: micro_int_gate */

#define MICRO_EXCEPTION_SIZE 8 /* bytes of a handler in micro_exceptions */

/* Ports. */
#define MICRO_PORT_DONE	     0xe0 /* the end of it was reached */
#define MICRO_PORT_ABSENT    0xe7 /* CPUID does not offer what it would try */
#define MICRO_PORT_KERNEL    0xe1 /* in a handler; AL is CS */
#define MICRO_PORT_USER	     0xe2 /* back from it; AL is CS */
#define MICRO_PORT_READY     0xe3 /* waits for an interrupt from now on */
#define MICRO_PORT_IRQ	     0xe4 /* it came */
#define MICRO_PORT_EXCEPTION 0xe5 /* AL is the vector; the end of it */
#define MICRO_PORT_NOTIFY    0xe6 /* for the ioeventfd */

#ifndef __ASSEMBLER__

#include <stdint.h>

extern const uint8_t micro_begin[];
extern const uint8_t micro_end[];

/* Counts in RCX and never ends. Any CPL. */
extern const uint8_t micro_count[];
#define MICRO_COUNT_INSTRUCTIONS 2 /* for each count */

/* One instruction at CPL 0, then MICRO_PORT_DONE; or MICRO_PORT_ABSENT. */
extern const uint8_t micro_int3[];
extern const uint8_t micro_int_n[];
extern const uint8_t micro_popcnt[];
extern const uint8_t micro_cmpxchg16b[];
extern const uint8_t micro_clac[];  /* and stac */
extern const uint8_t micro_xsave[]; /* and xrstor */

/* At CPL 3: to micro_syscall_entry (LSTAR) or MICRO_VECTOR_INT, and back. */
extern const uint8_t micro_syscall[];
extern const uint8_t micro_user_int[];
extern const uint8_t micro_syscall_entry[];

/* At CPL 0: write MICRO_MMIO and MICRO_PORT_NOTIFY, two bytes each. */
extern const uint8_t micro_notify[];

/* At CPL 0: wait for interrupts, with x2APIC mode on. */
extern const uint8_t micro_wait[];

/* Handlers, for gates: of the exceptions, MICRO_EXCEPTION_SIZE bytes each. */
extern const uint8_t micro_exceptions[];
extern const uint8_t micro_return[];   /* iretq and nothing else */
extern const uint8_t micro_int_gate[]; /* MICRO_PORT_KERNEL, iretq */
extern const uint8_t micro_irq_gate[]; /* MICRO_PORT_IRQ, EOI, iretq */

#endif
#endif
