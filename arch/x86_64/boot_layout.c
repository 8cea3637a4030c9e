/*
 * What a PC keeps of its RAM for boot data, and where its RAM lies. The input
 * is the machine's own but for the addresses that boot_layout_needed() is asked
 * about, which are a kernel file's.
 */
#include "arch/x86_64/boot_layout.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "arch/x86_64/layout.h"

#define MIB UINT64_C(0x100000)

/* What --memory takes at most. */
#define BOOT_MEMORY_MAX (UINT64_C(64) << 30)

/* What the entered stack may use before the kernel has its own. */
#define BOOT_STACK_SIZE UINT64_C(0x10000)

/* Places below 1 MiB that are not for kernels, in ascending order. */
static const struct boot_area boot_layout_areas[] = {
	{0, LAYOUT_PAGE_TABLES, "the boot GDT"},
	{LAYOUT_PAGE_TABLES, LAYOUT_ZERO_PAGE, "the boot page tables"},
	{LAYOUT_ZERO_PAGE, LAYOUT_BOOT_INFO, "the zero page"},
	{LAYOUT_BOOT_INFO, LAYOUT_BOOT_INFO + LAYOUT_BOOT_INFO_SIZE,
	 "the boot information"},
	{LAYOUT_CMDLINE, LAYOUT_CMDLINE + LAYOUT_CMDLINE_SIZE,
	 "the command line"},
	{LAYOUT_BOOT_STACK - BOOT_STACK_SIZE, LAYOUT_BOOT_STACK,
	 "the boot stack"},
	{LAYOUT_EBDA, LAYOUT_VGA_HOLE, "the EBDA"},
	{LAYOUT_VGA_HOLE, LAYOUT_ACPI, "the VGA hole"},
	{LAYOUT_ACPI, LAYOUT_HIGH_RAM, "the ACPI tables"},
};

static uint64_t boot_layout_needed(uint64_t base, uint64_t end)
{
	uint64_t size;

	if (end <= LAYOUT_LOW_RAM_MAX)
		size = end;
	else if (base >= LAYOUT_4G)
		size = end - LAYOUT_4G + LAYOUT_LOW_RAM_MAX;
	else
		return 0;
	if (size > BOOT_MEMORY_MAX)
		return 0;
	return (size + MIB - 1) & ~(MIB - 1);
}

const struct boot_layout boot_layout = {
	.areas = boot_layout_areas,
	.area_count = sizeof(boot_layout_areas) / sizeof(*boot_layout_areas),
	.lowest = LAYOUT_HIGH_RAM,
	.high = LAYOUT_4G,
	.needed = boot_layout_needed,
};

int boot_layout_cmdline(struct boot_mem *bm, const char *cmdline,
			struct error *err)
{
	size_t size = strlen(cmdline) + 1;

	if (size > LAYOUT_CMDLINE_SIZE)
		return error_set(err, E2BIG,
				 "--append: the command line has %zu bytes, "
				 "there is room for %" PRIu64,
				 size - 1, LAYOUT_CMDLINE_SIZE - 1);
	return boot_mem_write(bm, "the command line", LAYOUT_CMDLINE, cmdline,
			      size, err);
}
