/*
 * What every test guest has: a serial port to print on, checks that end the
 * machine with a status, and what its boot protocol handed over.
 *
 * A guest is one guest_main() in long mode at CPL 0, interrupts off, the first
 * 4 GiB mapped one to one. What it returns is the status that bantam ends
 * with.
 */
#ifndef TESTS_GUEST_LIB_GUEST_H
#define TESTS_GUEST_LIB_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cpu.h"
#include "lib/entry.h"

#define PORT_DEBUG_EXIT 0xf4
#define PORT_COM1	0x3f8

#define GUEST_FAILED 1 /* the status of a check that failed */

int guest_main(void);

/* Ends the machine with @status (0 to 119; what is above gives 119). */
void __attribute__((noreturn)) guest_exit(uint8_t status);

/* %s %c %d %u %x and %lx, %lu; nothing else, no widths. */
void __attribute__((format(printf, 1, 2))) print(const char *fmt, ...);

/* Ends the guest with GUEST_FAILED after a line that says where. */
#define check(condition)                                            \
	do {                                                        \
		if (!(condition))                                   \
			guest_fail(__FILE__, __LINE__, #condition); \
	} while (0)

/* Likewise, and prints both values. */
#define check_eq(found, expected)                                              \
	do {                                                                   \
		uint64_t found_ = (uint64_t)(found);                           \
		uint64_t expected_ = (uint64_t)(expected);                     \
		if (found_ != expected_) {                                     \
			print("found %lx, expected %lx\n", found_, expected_); \
			guest_fail(__FILE__, __LINE__,                         \
				   #found " == " #expected);                   \
		}                                                              \
	} while (0)

void __attribute__((noreturn))
guest_fail(const char *file, int line, const char *what);

/* A line of the memory map, as the protocol gave it. */
struct mem_range {
	uint64_t base, size;
	uint32_t type; /* e820: 1 RAM, 2 reserved, 3 ACPI */
};

#define MEM_RANGES_MAX 32

/* What was handed over, whichever protocol it was. */
struct handover {
	const char *cmdline;
	uint64_t initrd, initrd_size; /* 0 without one */
	uint64_t rsdp;		      /* Multiboot: found by scanning */
	struct mem_range map[MEM_RANGES_MAX];
	unsigned int map_len;
};

extern struct handover handover;

/* The text behind "NAME=" on the command line, up to a space; else @none. */
const char *option_text(const char *name, const char *none);

/* Is that option exactly @text? */
bool option_is(const char *name, const char *text);

/* A decimal number, else @none. */
uint64_t option_number(const char *name, uint64_t none);

/* Map the 2 MiB at @address, wherever it lies; valid until the next call. */
volatile uint8_t *mem_window(uint64_t address);

void *memcpy(void *to, const void *from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *s);

#endif
