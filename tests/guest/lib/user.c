#include "lib/user.h"

#include "lib/guest.h"

/* SDM volume 3, 7.7: the 64-bit TSS. */
struct __attribute__((packed)) tss {
	uint32_t reserved;
	uint64_t rsp[3];
	uint64_t reserved_ist[8];
	uint32_t reserved_end[2];
	uint16_t reserved_map, io_map_base;
};

_Static_assert(sizeof(struct tss) == 104, "SDM volume 3, figure 7-11");

#define SELECTOR_USER_CODE 0x1b
#define SELECTOR_USER_DATA 0x23
#define SELECTOR_TSS	   0x28

#define RFLAGS_RESERVED (1ull << 1)
#define RFLAGS_IF	(1ull << 9)
#define RFLAGS_IOPL_3	(3ull << 12)

/*
 * Ports are for CPL 3 twice over: by IOPL, and by a bitmap of 64 Ki zeros that
 * ends in a byte of ones (SDM volume 1, 19.5.2). A KVM without hardware
 * virtualisation may show IOPL 0 whatever was popped.
 */
static struct __attribute__((packed)) {
	struct tss tss;
	uint8_t ports[65536 / 8];
	uint8_t end;
} user_tss = {.end = 0xff};
static uint8_t kernel_stack[8192] __attribute__((aligned(16)));
static uint8_t user_stack[65536] __attribute__((aligned(16)));

static uint64_t user_gdt[] = {
	0,
	0x00af9b000000ffff, /* the three of start.S: 64-bit code, data */
	0x00cf93000000ffff,
	0x00affb000000ffff, /* the same with DPL 3 */
	0x00cff3000000ffff,
	0, /* TSS, two entries */
	0,
};

static void user_load_tables(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} pointer = {sizeof(user_gdt) - 1, (uint64_t)user_gdt};
	uint64_t base = (uint64_t)&user_tss;

	user_tss.tss.rsp[0] = (uint64_t)kernel_stack + sizeof(kernel_stack);
	user_tss.tss.io_map_base = sizeof(user_tss.tss);
	/* An available 64-bit TSS, present. */
	user_gdt[5] = (sizeof(user_tss) - 1) | (base & 0xffffff) << 16 |
		      0x89ull << 40 | (base >> 24 & 0xff) << 56;
	user_gdt[6] = base >> 32;
	asm volatile("lgdt %0" : : "m"(pointer));
	asm volatile("ltr %w0" : : "r"(SELECTOR_TSS));
}

static int (*user_main)(void);

/* The first C function at CPL 3. */
static void __attribute__((noreturn, used)) user_start(void)
{
	guest_exit((uint8_t)user_main());
}

void user_run(int (*main)(void), int interrupts)
{
	uint64_t flags =
		RFLAGS_RESERVED | RFLAGS_IOPL_3 | (interrupts ? RFLAGS_IF : 0);
	/* As after a call. */
	uint64_t stack = (uint64_t)user_stack + sizeof(user_stack) - 8;

	user_main = main;
	user_load_tables();
	asm volatile("mov %0, %%ds\n\t"
		     "mov %0, %%es\n\t"
		     "push %q0\n\t"
		     "push %1\n\t"
		     "push %2\n\t"
		     "push %3\n\t"
		     "push %4\n\t"
		     "iretq"
		     :
		     : "r"(SELECTOR_USER_DATA), "r"(stack), "r"(flags),
		       "r"((uint64_t)SELECTOR_USER_CODE),
		       "r"((uint64_t)user_start)
		     : "memory");
	__builtin_unreachable();
}
