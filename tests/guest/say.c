/*
 * Prints what it is told, and ends as it is told: the two things that decide a
 * machine's outcome. In this order:
 *
 *   lines=N    N lines, "line 1" and so on
 *   panic=1    the first line of Linux's panic
 *   say=WORD   a line
 *   prompt=WORD  without the end of a line
 *   then=      reset, triple, pvpanic, status (with status=N), hang; else off
 */
#include "lib/acpi.h"
#include "lib/guest.h"

#define PORT_PVPANIC  0x505
#define RESET_CONTROL 0xcf9

/* An option's text ends at the next space. */
static void say_word(const char *name)
{
	const char *word = option_text(name, "");

	while (*word && *word != ' ')
		print("%c", *word++);
}

static void say_triple_fault(void)
{
	static const struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} nothing;

	asm volatile("lidt %0; ud2" : : "m"(nothing));
}

int guest_main(void)
{
	uint64_t lines = option_number("lines", 0);

	for (uint64_t i = 1; i <= lines; i++)
		print("line %lu\n", i);
	if (option_number("panic", 0))
		print("Kernel panic - not syncing: x\n");
	if (option_text("say", NULL)) {
		say_word("say");
		print("\n");
	}
	say_word("prompt");
	if (option_is("then", "reset"))
		out8(RESET_CONTROL, 0x06);
	if (option_is("then", "triple"))
		say_triple_fault();
	if (option_is("then", "pvpanic"))
		out8(PORT_PVPANIC, 1);
	if (option_is("then", "status"))
		return (int)option_number("status", GUEST_FAILED);
	if (option_is("then", "hang"))
		cpu_hang();
	acpi_poweroff();
}
