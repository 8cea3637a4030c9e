/*
 * The ways in which a guest goes wrong; how= picks one:
 *
 *   mmio     execute where nothing is, which KVM cannot emulate
 *   emulate  read there with an instruction that KVM cannot emulate
 *   pvpanic  report a panic through the pvpanic port
 *   panic    say so on the console, as Linux does, and hang
 *   oops     the same line in the middle of another: no panic
 *   hlt      sleep with interrupts off
 *   spin     never end
 */
#include "lib/guest.h"

#define PORT_PVPANIC	 0x505
#define PVPANIC_PANICKED 1
#define HOLE		 0xd0000000ull /* of PCI, with no device in it */

static void __attribute__((noreturn)) die_execute_hole(void)
{
	((void (*)(void))HOLE)();
	guest_exit(GUEST_FAILED);
}

int guest_main(void)
{
	if (option_is("how", "mmio"))
		die_execute_hole();
	if (option_is("how", "emulate"))
		asm volatile("popcnt (%0), %%eax" : : "r"(HOLE) : "eax");
	if (option_is("how", "pvpanic")) {
		check(in8(PORT_PVPANIC) & PVPANIC_PANICKED);
		out8(PORT_PVPANIC, PVPANIC_PANICKED);
		cpu_hang();
	}
	if (option_is("how", "panic")) {
		print("[    0.1] Kernel panic - not syncing: x\n");
		cpu_hang();
	}
	if (option_is("how", "oops")) {
		print("no Kernel panic here\n");
		return 0;
	}
	if (option_is("how", "hlt"))
		cpu_hang();
	if (option_is("how", "spin")) {
		print("spinning\n");
		for (;;)
			asm volatile("");
	}
	return GUEST_FAILED;
}
