/*
 * The zero page. Follows Documentation/arch/x86/boot.rst and zero-page.rst.
 * The setup header comes from a file and may lie; of it only the limits on
 * command line and initrd are acted upon, and what the kernel would believe
 * about this boot loader is overwritten.
 */
#include "arch/x86_64/linux_boot.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "arch/x86_64/boot_layout.h"
#include "arch/x86_64/layout.h"

static_assert(sizeof(struct boot_params) == 0x1000, "zero page");
static_assert(offsetof(struct boot_params, acpi_rsdp_addr) == 0x070, "");
static_assert(offsetof(struct boot_params, ext_ramdisk_image) == 0x0c0, "");
static_assert(offsetof(struct boot_params, e820_entries) == 0x1e8, "");
static_assert(offsetof(struct boot_params, hdr) == 0x1f1, "");
static_assert(offsetof(struct boot_params, e820_table) == 0x2d0, "");

/* Of boot.rst, "Details of header fields". */
#define LOADER_UNDEFINED   0xff			/* type_of_loader */
#define VID_MODE_NORMAL	   0xffff		/* vid_mode */
#define CMDLINE_SIZE_OLD   255			/* before 2.06 */
#define INITRD_MAX_OLD	   UINT32_C(0x37ffffff) /* before 2.03 */
#define INITRD_MAX_64BIT   UINT32_C(0x7fffffff) /* of all 64-bit kernels */
#define CMDLINE_SIZE_LINUX 2047			/* COMMAND_LINE_SIZE - 1 */

void linux_boot_header(struct setup_header *hdr, bool is64)
{
	memset(hdr, 0, sizeof(*hdr));
	hdr->boot_flag = LINUX_BOOT_FLAG;
	hdr->header = LINUX_HEADER_MAGIC;
	hdr->version = 0x020f;
	hdr->loadflags = LOADED_HIGH;
	hdr->code32_start = LAYOUT_HIGH_RAM;
	hdr->initrd_addr_max = is64 ? INITRD_MAX_64BIT : INITRD_MAX_OLD;
	hdr->kernel_alignment = 0x200000;
	hdr->xloadflags = is64 ? XLF_KERNEL_64 : 0;
	hdr->cmdline_size = CMDLINE_SIZE_LINUX;
}

uint64_t linux_boot_cmdline_max(const struct setup_header *hdr)
{
	if (hdr->version < 0x0206)
		return CMDLINE_SIZE_OLD;
	if (hdr->cmdline_size >= LAYOUT_CMDLINE_SIZE)
		return LAYOUT_CMDLINE_SIZE - 1;
	return hdr->cmdline_size;
}

static bool linux_boot_above_4g(const struct setup_header *hdr, bool is64)
{
	return is64 && hdr->version >= 0x020c &&
	       (hdr->xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G);
}

/* First address that the initrd must not reach, if it can be below 4 GiB. */
static uint64_t linux_boot_initrd_limit(const struct setup_header *hdr,
					bool is64)
{
	if (linux_boot_above_4g(hdr, is64))
		return LAYOUT_4G;
	if (hdr->version < 0x0203)
		return UINT64_C(1) + INITRD_MAX_OLD;
	return UINT64_C(1) + hdr->initrd_addr_max;
}

static int linux_boot_initrd(struct boot_mem *bm, struct boot_params *bp,
			     bool is64, const struct image *initrd,
			     struct error *err)
{
	uint64_t limit = linux_boot_initrd_limit(&bp->hdr, is64);
	uint64_t base;
	int ret;

	ret = boot_mem_initrd(bm, initrd, BOOT_PLACE_TOP, limit, &base, err);
	if (ret == -ENOMEM && linux_boot_above_4g(&bp->hdr, is64))
		ret = boot_mem_initrd(bm, initrd, BOOT_PLACE_TOP, UINT64_MAX,
				      &base, err);
	if (ret)
		return ret;
	bp->hdr.ramdisk_image = (uint32_t)base;
	bp->hdr.ramdisk_size = (uint32_t)initrd->size;
	bp->ext_ramdisk_image = (uint32_t)(base >> 32);
	bp->ext_ramdisk_size = (uint32_t)(initrd->size >> 32);
	return 0;
}

static int linux_boot_e820(struct boot_params *bp, const struct boot_mem *bm,
			   struct error *err)
{
	if (bm->map_count > E820_MAX_ENTRIES_ZEROPAGE)
		return error_set(err, E2BIG,
				 "the memory map has %u entries, the boot "
				 "protocol has room for %d",
				 bm->map_count, E820_MAX_ENTRIES_ZEROPAGE);
	for (unsigned int i = 0; i < bm->map_count; i++)
		bp->e820_table[i] = (struct boot_e820_entry){
			.addr = bm->map[i].base,
			.size = bm->map[i].size,
			.type = bm->map[i].type,
		};
	bp->e820_entries = (uint8_t)bm->map_count;
	return 0;
}

/* The fields that boot.rst has the boot loader write, and those of the real
 * mode entry, which is not taken. */
static void linux_boot_loader_fields(struct setup_header *hdr)
{
	hdr->type_of_loader = LOADER_UNDEFINED;
	hdr->ext_loader_type = 0;
	hdr->ext_loader_ver = 0;
	hdr->vid_mode = VID_MODE_NORMAL;
	hdr->loadflags = LOADED_HIGH;
	hdr->heap_end_ptr = 0;
	hdr->cmd_line_ptr = LAYOUT_CMDLINE;
	hdr->ramdisk_image = 0;
	hdr->ramdisk_size = 0;
	hdr->setup_data = 0;
	hdr->hardware_subarch = X86_SUBARCH_PC;
	hdr->hardware_subarch_data = 0;
}

int linux_boot_setup(struct boot_mem *bm, const struct setup_header *hdr,
		     bool is64, const char *cmdline, const struct image *initrd,
		     uint64_t rsdp, struct error *err)
{
	struct boot_params bp = {.hdr = *hdr};
	int ret;

	linux_boot_loader_fields(&bp.hdr);
	bp.acpi_rsdp_addr = rsdp;
	ret = linux_boot_e820(&bp, bm, err);
	if (ret)
		return ret;
	if (initrd) {
		ret = linux_boot_initrd(bm, &bp, is64, initrd, err);
		if (ret)
			return ret;
	}
	ret = boot_layout_cmdline(bm, cmdline, err);
	if (ret)
		return ret;
	return boot_mem_write(bm, "the zero page", LAYOUT_ZERO_PAGE, &bp,
			      sizeof(bp), err);
}

void linux_boot_entry(struct boot_entry *entry, bool is64, uint64_t ip)
{
	*entry = (struct boot_entry){
		.long_mode = is64,
		.cs = BOOT_CS,
		.ds = BOOT_DS,
		.ip = ip,
		.si = LAYOUT_ZERO_PAGE,
		.sp = LAYOUT_BOOT_STACK,
	};
}
