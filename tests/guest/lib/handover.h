/*
 * Boot information structures that no uapi header has: PVH
 * (xen/include/public/arch-x86/hvm/start_info.h) and Multiboot 1 (the
 * Multiboot Specification 0.6.96, 3.3).
 */
#ifndef TESTS_GUEST_LIB_HANDOVER_H
#define TESTS_GUEST_LIB_HANDOVER_H

#include <stdint.h>

#define HVM_START_MAGIC_VALUE 0x336ec578

struct hvm_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	/* Version 1 and later: */
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct hvm_modlist_entry {
	uint64_t paddr, size, cmdline_paddr, reserved;
};

struct hvm_memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

#define MULTIBOOT_BOOTLOADER_MAGIC 0x2badb002

#define MULTIBOOT_INFO_MEMORY	(1 << 0)
#define MULTIBOOT_INFO_CMDLINE	(1 << 2)
#define MULTIBOOT_INFO_MODS	(1 << 3)
#define MULTIBOOT_INFO_MEM_MAP	(1 << 6)
#define MULTIBOOT_INFO_BOOTNAME (1 << 9)

struct multiboot_info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
};

struct multiboot_module {
	uint32_t start, end, string, reserved;
};

struct multiboot_mmap {
	uint32_t size; /* of what follows */
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

#endif
