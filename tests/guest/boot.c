/*
 * The hand-over of each boot protocol: registers, descriptor table, memory
 * map, command line, initrd, RSDP. Linked once for each door. Options:
 *
 *   ram=N      the memory that bantam was given, in MiB
 *   bzimage=1  boot_params has the setup header of bzimage.S
 */
#include "lib/guest.h"

#include <asm/bootparam.h>

#include "bzimage.h"
#include "lib/handover.h"

#define CR0_PE	  (1ull << 0)
#define CR0_PG	  (1ull << 31)
#define CR4_PAE	  (1ull << 5)
#define EFER_LME  (1ull << 8)
#define EFER_LMA  (1ull << 10)
#define RFLAGS_TF (1ull << 8)
#define RFLAGS_IF (1ull << 9)
#define RFLAGS_VM (1ull << 17)

#define MIB	      (1ull << 20)
#define GIB	      (1ull << 30)
#define LOW_RAM_MAX   (3 * GIB) /* bantam's PCI hole begins here */
#define HIGH_RAM      (4 * GIB)
#define ECAM	      0xe0000000ull
#define E820_RAM      1
#define E820_RESERVED 2

/* Linux: "__BOOT_CS(0x10) and __BOOT_DS(0x18)". */
#define BOOT_CS 0x10
#define BOOT_DS 0x18

extern uint8_t image_start[], bss_end[];

/* --- Registers ------------------------------------------------------------ */

/* A flat 4 GiB (or 64-bit) segment, present, of DPL 0, SDM volume 3, 3.4.5. */
static void boot_check_descriptor(uint16_t selector, bool code, bool wide)
{
	uint64_t gdt = entry.gdt_base, d;

	if (entry.protocol != PROTOCOL_LINUX64)
		gdt &= 0xffffffff;
	check(selector + 7 <= entry.gdt_limit);
	d = read64(gdt + selector);
	check_eq(d & 0xff0000ffffff0000, 0); /* base */
	check_eq(d >> 47 & 1, 1);	     /* present */
	check_eq(d >> 44 & 7, 1);	     /* code or data, DPL 0 */
	check_eq(d >> 43 & 1, code);	     /* executable */
	check_eq(d >> 41 & 1, 1);	     /* readable, writable */
	if (code)
		check_eq(d >> 53 & 3, wide ? 1 : 2); /* L, D */
	if (!wide || !code) {
		check_eq(d & 0xffff, 0xffff);
		check_eq(d >> 48 & 0xf, 0xf);
		check_eq(d >> 55 & 1, 1); /* granularity */
	}
}

/* Documentation/arch/x86/boot.rst, 64-bit and 32-bit boot protocol. */
static void boot_check_linux_registers(void)
{
	bool wide = entry.protocol == PROTOCOL_LINUX64;

	check_eq(entry.cs, BOOT_CS);
	check_eq(entry.ds, BOOT_DS);
	check_eq(entry.es, BOOT_DS);
	check_eq(entry.ss, BOOT_DS);
	boot_check_descriptor(BOOT_CS, true, wide);
	boot_check_descriptor(BOOT_DS, false, wide);
	check_eq(entry.flags & RFLAGS_IF, 0);
	if (wide) {
		check_eq(entry.cr0 & (CR0_PE | CR0_PG), CR0_PE | CR0_PG);
		check_eq(entry.cr4 & CR4_PAE, CR4_PAE);
		check_eq(entry.efer & (EFER_LME | EFER_LMA),
			 EFER_LME | EFER_LMA);
		return;
	}
	check_eq(entry.cr0 & (CR0_PE | CR0_PG), CR0_PE);
	check_eq(entry.bp, 0);
	check_eq(entry.di, 0);
	check_eq(entry.bx, 0);
}

/* PVH, "x86/HVM direct boot ABI", and Multiboot 3.2 say nearly the same. */
static void boot_check_flat_registers(void)
{
	check_eq(entry.cr0 & (CR0_PE | CR0_PG), CR0_PE);
	check_eq(entry.flags & (RFLAGS_IF | RFLAGS_TF | RFLAGS_VM), 0);
	check_eq(entry.efer & EFER_LMA, 0);
	if (entry.protocol == PROTOCOL_PVH)
		check_eq(entry.cr4, 0);
	else
		check_eq(entry.ax, MULTIBOOT_BOOTLOADER_MAGIC);
}

/* --- What only one protocol has ------------------------------------------- */

static void boot_check_bzimage(const struct setup_header *hdr)
{
	check_eq(hdr->setup_sects, BZIMAGE_SETUP_SECTS);
	check_eq(hdr->version, BZIMAGE_VERSION);
	check_eq(hdr->pref_address, BZIMAGE_PREF_ADDRESS);
	check_eq(hdr->init_size, BZIMAGE_INIT_SIZE);
	check_eq(hdr->cmdline_size, BZIMAGE_CMDLINE_SIZE);
	check_eq(hdr->initrd_addr_max, BZIMAGE_INITRD_ADDR_MAX);
	check(handover.initrd + handover.initrd_size <=
	      BZIMAGE_INITRD_ADDR_MAX + 1ull);
}

static void boot_check_boot_params(void)
{
	const struct boot_params *bp = (const void *)entry.si;

	check_eq(bp->sentinel, 0);
	check_eq(bp->hdr.boot_flag, 0xaa55);
	check_eq(bp->hdr.header, 0x53726448); /* "HdrS" */
	check(bp->hdr.version >= 0x20c);
	check_eq(bp->hdr.type_of_loader, 0xff);
	check_eq(bp->hdr.loadflags & LOADED_HIGH, LOADED_HIGH);
	check_eq(bp->hdr.setup_data, 0);
	check(bp->e820_entries <= E820_MAX_ENTRIES_ZEROPAGE);
	if (option_number("bzimage", 0))
		boot_check_bzimage(&bp->hdr);
}

static void boot_check_pvh(void)
{
	const struct hvm_start_info *info = (const void *)entry.bx;

	check_eq(info->magic, HVM_START_MAGIC_VALUE);
	check(info->version >= 1);
	check_eq(info->flags & ~3u, 0);
	check_eq(info->reserved, 0);
	check_eq(info->nr_modules, handover.initrd_size ? 1 : 0);
}

static void boot_check_multiboot(uint64_t ram)
{
	const struct multiboot_info *info = (const void *)entry.bx;
	uint64_t low_end = ram < LOW_RAM_MAX ? ram : LOW_RAM_MAX;

	check(info->flags & MULTIBOOT_INFO_MEMORY);
	check(info->flags & MULTIBOOT_INFO_MEM_MAP);
	check(info->mem_lower >= 512 && info->mem_lower <= 640);
	if (ram)
		check_eq(info->mem_upper, (low_end - MIB) / 1024);
	check(info->flags & MULTIBOOT_INFO_CMDLINE);
	if (info->flags & MULTIBOOT_INFO_BOOTNAME)
		print("loader: %s\n",
		      (const char *)(uint64_t)info->boot_loader_name);
}

/* --- What all have -------------------------------------------------------- */

/* RAM that is there keeps what is written to its first and last words. */
static void boot_check_writable(uint64_t address, uint64_t pattern)
{
	volatile uint64_t *word = (volatile void *)mem_window(address);
	uint64_t before = *word;

	*word = pattern;
	check_eq(*word, pattern);
	*word = ~pattern;
	check_eq(*word, ~pattern);
	*word = before;
}

static bool boot_is_ram(uint64_t base, uint64_t size)
{
	for (unsigned int i = 0; i < handover.map_len; i++) {
		const struct mem_range *r = &handover.map[i];

		if (r->type == E820_RAM && base >= r->base &&
		    base + size <= r->base + r->size)
			return true;
	}
	return false;
}

static void boot_check_map(uint64_t ram)
{
	uint64_t end = 0, low = 0, high = 0;
	bool ecam = false;

	check(handover.map_len >= 3);
	for (unsigned int i = 0; i < handover.map_len; i++) {
		const struct mem_range *r = &handover.map[i];

		print("map: %lx-%lx %u\n", r->base, r->base + r->size, r->type);
		check(r->size);
		check(r->base >= end); /* ascending, none overlaps */
		end = r->base + r->size;
		if (r->type == E820_RESERVED && r->base <= ECAM && end > ECAM)
			ecam = true;
		if (r->type != E820_RAM)
			continue;
		boot_check_writable(r->base, 0x1122334455667788 + i);
		boot_check_writable(end - 8, 0x8877665544332211 + i);
		if (r->base < HIGH_RAM)
			low = end;
		else
			high = end;
	}
	/* Linux uses no ECAM that the map does not reserve. */
	check(ecam);
	check_eq(handover.map[0].base, 0);
	check(boot_is_ram(0x1000, 0x80000));
	if (!ram)
		return;
	check_eq(low, ram < LOW_RAM_MAX ? ram : LOW_RAM_MAX);
	check_eq(high, ram > LOW_RAM_MAX ? HIGH_RAM + ram - LOW_RAM_MAX : 0);
}

/* The sum that `sum -r` prints, over at most 64 KiB. */
static unsigned int boot_sum(const uint8_t *p, uint64_t len)
{
	unsigned int sum = 0;

	while (len--) {
		sum = (sum >> 1) + ((sum & 1) << 15);
		sum = (sum + *p++) & 0xffff;
	}
	return sum;
}

static void boot_check_initrd(void)
{
	uint64_t start = handover.initrd, size = handover.initrd_size;

	if (!size)
		return;
	check_eq(start & 0xfff, 0);
	check(boot_is_ram(start, size));
	check(start >= (uint64_t)bss_end ||
	      start + size <= (uint64_t)image_start);
	print("initrd: %lu bytes, sum %u\n", size,
	      boot_sum((const uint8_t *)start, size < 65536 ? size : 65536));
}

static void boot_check_rsdp(void)
{
	check(handover.rsdp);
	check_eq(handover.rsdp & 0xf, 0);
	check(!memcmp((const void *)handover.rsdp, "RSD PTR ", 8));
	/* A kernel must not take the tables for free memory. */
	check(!boot_is_ram(handover.rsdp, 1));
}

int guest_main(void)
{
	static const char *const doors[] = {
		[PROTOCOL_LINUX64] = "linux64",
		[PROTOCOL_LINUX32] = "linux32",
		[PROTOCOL_PVH] = "pvh",
		[PROTOCOL_MULTIBOOT] = "multiboot",
	};
	uint64_t ram = option_number("ram", 0) * MIB;

	print("door: %s\n", doors[entry.protocol]);
	print("cmdline: %s\n", handover.cmdline);
	switch (entry.protocol) {
	case PROTOCOL_LINUX64:
	case PROTOCOL_LINUX32:
		boot_check_linux_registers();
		boot_check_boot_params();
		break;
	case PROTOCOL_PVH:
		boot_check_flat_registers();
		boot_check_pvh();
		break;
	case PROTOCOL_MULTIBOOT:
		boot_check_flat_registers();
		boot_check_multiboot(ram);
		break;
	}
	boot_check_map(ram);
	boot_check_initrd();
	boot_check_rsdp();
	return 0;
}
