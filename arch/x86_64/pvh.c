/*
 * PVH. Follows Xen's docs/misc/pvh.pandoc (registers) and
 * xen/include/public/arch-x86/hvm/start_info.h (structures).
 */
#include "arch/x86_64/pvh.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "arch/x86_64/boot_layout.h"
#include "arch/x86_64/layout.h"
#include "vmm/base/bytes.h"

#define XEN_HVM_START_MAGIC_VALUE UINT32_C(0x336ec578)
#define PVH_VERSION		  1
#define PVH_MEMMAP_MAX		  128

/* struct hvm_start_info */
struct pvh_start_info {
	le32 magic;
	le32 version;
	le32 flags;
	le32 nr_modules;
	le64 modlist_paddr;
	le64 cmdline_paddr;
	le64 rsdp_paddr;
	le64 memmap_paddr;
	le32 memmap_entries;
	le32 reserved;
};

/* struct hvm_modlist_entry */
struct pvh_module {
	le64 paddr;
	le64 size;
	le64 cmdline_paddr;
	le64 reserved;
};

/* struct hvm_memmap_table_entry; its types are those of enum memmap_type */
struct pvh_memmap {
	le64 addr;
	le64 size;
	le32 type;
	le32 reserved;
};

/* All of it as it lies in guest memory. */
struct pvh_info {
	struct pvh_start_info start;
	struct pvh_module module;
	struct pvh_memmap memmap[PVH_MEMMAP_MAX];
};

static_assert(sizeof(struct pvh_start_info) == 56, "hvm_start_info");
static_assert(offsetof(struct pvh_start_info, modlist_paddr) == 16, "");
static_assert(offsetof(struct pvh_start_info, rsdp_paddr) == 32, "");
static_assert(offsetof(struct pvh_start_info, memmap_entries) == 48, "");
static_assert(sizeof(struct pvh_module) == 32, "hvm_modlist_entry");
static_assert(sizeof(struct pvh_memmap) == 24, "hvm_memmap_table_entry");
static_assert(sizeof(struct pvh_info) <= LAYOUT_BOOT_INFO_SIZE, "");

#define PVH_ADDR(member) (LAYOUT_BOOT_INFO + offsetof(struct pvh_info, member))

static int pvh_set_module(struct boot_mem *bm, struct pvh_info *info,
			  const struct image *initrd, struct error *err)
{
	uint64_t base;
	int ret;

	/* "Xen on x86 will always try to place all the data below 4 GiB." */
	ret = boot_mem_initrd(bm, initrd, BOOT_PLACE_TOP, LAYOUT_4G, &base,
			      err);
	if (ret)
		return ret;
	info->start.nr_modules = le32_of(1);
	info->start.modlist_paddr = le64_of(PVH_ADDR(module));
	info->module.paddr = le64_of(base);
	info->module.size = le64_of(initrd->size);
	return 0;
}

static int pvh_set_memmap(const struct boot_mem *bm, struct pvh_info *info,
			  struct error *err)
{
	if (bm->map_count > PVH_MEMMAP_MAX)
		return error_set(err, E2BIG,
				 "the memory map has %u entries, at most %d "
				 "can be handed over",
				 bm->map_count, PVH_MEMMAP_MAX);
	for (unsigned int i = 0; i < bm->map_count; i++)
		info->memmap[i] = (struct pvh_memmap){
			.addr = le64_of(bm->map[i].base),
			.size = le64_of(bm->map[i].size),
			.type = le32_of(bm->map[i].type),
		};
	info->start.memmap_paddr = le64_of(PVH_ADDR(memmap));
	info->start.memmap_entries = le32_of(bm->map_count);
	return 0;
}

int pvh_setup(struct boot_mem *bm, const char *cmdline,
	      const struct image *initrd, uint64_t rsdp, struct error *err)
{
	struct pvh_info info = {
		.start.magic = le32_of(XEN_HVM_START_MAGIC_VALUE),
		.start.version = le32_of(PVH_VERSION),
		.start.cmdline_paddr = le64_of(LAYOUT_CMDLINE),
		.start.rsdp_paddr = le64_of(rsdp),
	};
	int ret;

	ret = pvh_set_memmap(bm, &info, err);
	if (ret)
		return ret;
	if (initrd) {
		ret = pvh_set_module(bm, &info, initrd, err);
		if (ret)
			return ret;
	}
	ret = boot_layout_cmdline(bm, cmdline, err);
	if (ret)
		return ret;
	return boot_mem_write(bm, "the PVH start info", LAYOUT_BOOT_INFO, &info,
			      sizeof(info), err);
}

void pvh_entry(struct boot_entry *entry, uint64_t ip)
{
	*entry = (struct boot_entry){
		.long_mode = false,
		.cs = BOOT_CS,
		.ds = BOOT_DS,
		.ip = ip,
		.bx = LAYOUT_BOOT_INFO,
		.sp = LAYOUT_BOOT_STACK,
	};
}
