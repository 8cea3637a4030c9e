/*
 * The micro guests of `bantam doctor`, and what they and their machine
 * (arch/aarch64/micro_vm.h) agree upon. Read by the assembler, too.
 *
 * All are in one blob that is copied to MICRO_CODE; each symbol below is where
 * one begins. The MMU is off. A guest reports by writing w0 to one of the
 * words at MICRO_REPORT.
 */
#ifndef ARCH_AARCH64_MICRO_GUESTS_H
#define ARCH_AARCH64_MICRO_GUESTS_H

/* Guest physical memory, and addresses with nothing behind them. */
#define MICRO_CODE   0x40000000
#define MICRO_RAM    0x10000 /* bytes, from MICRO_CODE on */
#define MICRO_REPORT 0x09000000
#define MICRO_NOTIFY 0x09010000 /* for the ioeventfd */

/* Offsets from MICRO_REPORT. */
#define MICRO_DONE	0x00 /* the end of it was reached */
#define MICRO_KERNEL	0x08 /* in a handler of EL0; w0 is the class */
#define MICRO_USER	0x10 /* back from it */
#define MICRO_READY	0x18 /* waits for an interrupt from now on */
#define MICRO_IRQ	0x20 /* it came; the end of it */
#define MICRO_EXCEPTION 0x28 /* w0 is the class; the end of it */

/* Arm ARM D17, ESR_ELx.EC: exception classes */
#define MICRO_CLASS_SVC 0x15

#ifndef __ASSEMBLER__

#include <stdint.h>

extern const uint8_t micro_begin[];
extern const uint8_t micro_end[];

/* For VBAR_EL1. */
extern const uint8_t micro_vectors[];

/* Counts in X1 and never ends. */
extern const uint8_t micro_count[];
#define MICRO_COUNT_INSTRUCTIONS 2 /* for each count */

/* MICRO_DONE with what PSCI_VERSION returns. */
extern const uint8_t micro_psci[];

/* At EL0: SVC to MICRO_KERNEL, and back for MICRO_USER. */
extern const uint8_t micro_svc[];

/* Write MICRO_NOTIFY, two bytes, and MICRO_DONE. */
extern const uint8_t micro_notify[];

/* MICRO_READY, and wait for interrupts. */
extern const uint8_t micro_wait[];

/* Let the virtual timer fire, MICRO_READY, and wait for its interrupt. */
extern const uint8_t micro_timer[];

#endif
#endif
