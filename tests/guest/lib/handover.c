/*
 * Reads what the boot protocol handed over into one struct handover, and calls
 * guest_main(). What is right for each protocol alone is checked by boot.c.
 */
#include "lib/guest.h"

#include <asm/bootparam.h>

#include "lib/handover.h"

struct handover handover;

void __attribute__((noreturn)) guest_start(void);

static void handover_range(uint64_t base, uint64_t size, uint32_t type)
{
	check(handover.map_len < MEM_RANGES_MAX);
	handover.map[handover.map_len++] = (struct mem_range){base, size, type};
}

static void handover_linux(void)
{
	const struct boot_params *bp = (const void *)entry.si;

	handover.cmdline = (const char *)((uint64_t)bp->ext_cmd_line_ptr << 32 |
					  bp->hdr.cmd_line_ptr);
	handover.initrd =
		(uint64_t)bp->ext_ramdisk_image << 32 | bp->hdr.ramdisk_image;
	handover.initrd_size =
		(uint64_t)bp->ext_ramdisk_size << 32 | bp->hdr.ramdisk_size;
	handover.rsdp = bp->acpi_rsdp_addr;
	for (unsigned int i = 0; i < bp->e820_entries; i++)
		handover_range(bp->e820_table[i].addr, bp->e820_table[i].size,
			       bp->e820_table[i].type);
}

static void handover_pvh(void)
{
	const struct hvm_start_info *info = (const void *)entry.bx;
	const struct hvm_modlist_entry *mod = (const void *)info->modlist_paddr;
	const struct hvm_memmap_entry *map = (const void *)info->memmap_paddr;

	handover.cmdline = (const char *)info->cmdline_paddr;
	if (info->nr_modules) {
		handover.initrd = mod->paddr;
		handover.initrd_size = mod->size;
	}
	handover.rsdp = info->rsdp_paddr;
	for (unsigned int i = 0; i < info->memmap_entries; i++)
		handover_range(map[i].addr, map[i].size, map[i].type);
}

/* ACPI 5.2.5.1: on a 16-byte boundary below 1 MiB. */
static uint64_t handover_scan_rsdp(void)
{
	for (uint64_t at = 0xe0000; at < 0x100000; at += 16) {
		if (!memcmp((const void *)at, "RSD PTR ", 8))
			return at;
	}
	return 0;
}

static void handover_multiboot(void)
{
	const struct multiboot_info *info = (const void *)entry.bx;
	const struct multiboot_module *mod =
		(const void *)(uint64_t)info->mods_addr;
	uint32_t at = 0;

	if (info->flags & MULTIBOOT_INFO_CMDLINE)
		handover.cmdline = (const char *)(uint64_t)info->cmdline;
	if (info->flags & MULTIBOOT_INFO_MODS && info->mods_count) {
		handover.initrd = mod->start;
		handover.initrd_size = mod->end - mod->start;
	}
	while (info->flags & MULTIBOOT_INFO_MEM_MAP && at < info->mmap_length) {
		const struct multiboot_mmap *map =
			(const void *)(uint64_t)(info->mmap_addr + at);

		handover_range(map->base, map->length, map->type);
		at += map->size + (uint32_t)sizeof(map->size);
	}
	handover.rsdp = handover_scan_rsdp();
}

void guest_start(void)
{
	switch (entry.protocol) {
	case PROTOCOL_LINUX64:
	case PROTOCOL_LINUX32:
		handover_linux();
		break;
	case PROTOCOL_PVH:
		handover_pvh();
		break;
	case PROTOCOL_MULTIBOOT:
		handover_multiboot();
		break;
	}
	guest_exit((uint8_t)guest_main());
}
