/*
 * The registers with which a guest was entered, as start.S saved them before
 * it touched anything. Read by C and by the assembler.
 */
#ifndef TESTS_GUEST_LIB_ENTRY_H
#define TESTS_GUEST_LIB_ENTRY_H

/* Which door the guest came in by; start.S knows, nobody has to guess. */
#define PROTOCOL_LINUX64   1
#define PROTOCOL_LINUX32   2
#define PROTOCOL_PVH	   3
#define PROTOCOL_MULTIBOOT 4

/* Offsets into struct entry. */
#define ENTRY_AX       0
#define ENTRY_BX       8
#define ENTRY_CX       16
#define ENTRY_DX       24
#define ENTRY_SI       32
#define ENTRY_DI       40
#define ENTRY_BP       48
#define ENTRY_SP       56
#define ENTRY_FLAGS    64
#define ENTRY_CR0      72
#define ENTRY_CR3      80
#define ENTRY_CR4      88
#define ENTRY_EFER     96
#define ENTRY_CS       104
#define ENTRY_DS       106
#define ENTRY_ES       108
#define ENTRY_FS       110
#define ENTRY_GS       112
#define ENTRY_SS       114
#define ENTRY_GDT      118 /* limit; base behind it, 4 or 8 bytes */
#define ENTRY_PROTOCOL 128
#define ENTRY_SIZE     136

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

struct entry {
	uint64_t ax, bx, cx, dx, si, di, bp, sp;
	uint64_t flags, cr0, cr3, cr4, efer;
	uint16_t cs, ds, es, fs, gs, ss;
	uint16_t pad;
	uint16_t gdt_limit;
	uint64_t gdt_base;
	uint32_t protocol;
	uint32_t pad2;
};

_Static_assert(offsetof(struct entry, flags) == ENTRY_FLAGS, "flags");
_Static_assert(offsetof(struct entry, efer) == ENTRY_EFER, "efer");
_Static_assert(offsetof(struct entry, ss) == ENTRY_SS, "ss");
_Static_assert(offsetof(struct entry, gdt_limit) == ENTRY_GDT, "gdt");
_Static_assert(offsetof(struct entry, gdt_base) == ENTRY_GDT + 2, "gdt base");
_Static_assert(offsetof(struct entry, protocol) == ENTRY_PROTOCOL, "protocol");
_Static_assert(sizeof(struct entry) == ENTRY_SIZE, "size");

extern struct entry entry;

#endif
#endif
