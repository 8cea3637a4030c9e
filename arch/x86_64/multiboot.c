/*
 * Multiboot. Follows the Multiboot Specification, version 0.6.96. The header
 * is a part of the user's file and may lie.
 */
#include "arch/x86_64/multiboot.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86_64/boot_layout.h"
#include "arch/x86_64/layout.h"
#include "vmm/base/bytes.h"

/* 3.1.1 and 3.1.2: the header */
#define MULTIBOOT_HEADER_MAGIC UINT32_C(0x1badb002)
#define MULTIBOOT_HEADER_ALIGN 4
#define MULTIBOOT_PAGE_ALIGN   (UINT32_C(1) << 0)
#define MULTIBOOT_MEMORY_INFO  (UINT32_C(1) << 1)
#define MULTIBOOT_VIDEO_MODE   (UINT32_C(1) << 2)
#define MULTIBOOT_REQUIRED     UINT32_C(0xffff)
#define MULTIBOOT_AOUT_KLUDGE  (UINT32_C(1) << 16)

/* 3.2: what EAX holds at the entry */
#define MULTIBOOT_BOOTLOADER_MAGIC UINT32_C(0x2badb002)

/* 3.3: flags of the information */
#define MULTIBOOT_INFO_MEMORY	   (UINT32_C(1) << 0)
#define MULTIBOOT_INFO_CMDLINE	   (UINT32_C(1) << 2)
#define MULTIBOOT_INFO_MODS	   (UINT32_C(1) << 3)
#define MULTIBOOT_INFO_MEM_MAP	   (UINT32_C(1) << 6)
#define MULTIBOOT_INFO_LOADER_NAME (UINT32_C(1) << 9)

#define MULTIBOOT_MMAP_MAX   128
#define MULTIBOOT_STRING_MAX 4096

struct multiboot_header {
	le32 magic;
	le32 flags;
	le32 checksum;
	/* With MULTIBOOT_AOUT_KLUDGE. */
	le32 header_addr;
	le32 load_addr;
	le32 load_end_addr;
	le32 bss_end_addr;
	le32 entry_addr;
};

struct multiboot_info {
	le32 flags;
	le32 mem_lower; /* KiB from 0 */
	le32 mem_upper; /* KiB from 1 MiB */
	le32 boot_device;
	le32 cmdline;
	le32 mods_count;
	le32 mods_addr;
	le32 syms[4];
	le32 mmap_length;
	le32 mmap_addr;
	le32 drives_length;
	le32 drives_addr;
	le32 config_table;
	le32 boot_loader_name;
	le32 apm_table;
	/* The VBE and framebuffer fields are not present. */
};

struct multiboot_mod {
	le32 mod_start;
	le32 mod_end; /* first byte behind */
	le32 string;
	le32 reserved;
};

struct multiboot_mmap {
	le32 size; /* of the rest */
	le64 base_addr;
	le64 length;
	le32 type; /* that of enum memmap_type */
} __attribute__((packed));

/* All of it as it lies in guest memory. */
struct multiboot_data {
	struct multiboot_info info;
	struct multiboot_mod mod;
	struct multiboot_mmap mmap[MULTIBOOT_MMAP_MAX];
	char loader_name[16];
	char mod_string[MULTIBOOT_STRING_MAX];
};

static_assert(sizeof(struct multiboot_header) == 32, "header");
static_assert(offsetof(struct multiboot_header, entry_addr) == 28, "");
static_assert(sizeof(struct multiboot_info) == 72, "up to apm_table");
static_assert(offsetof(struct multiboot_info, mods_count) == 20, "");
static_assert(offsetof(struct multiboot_info, mmap_length) == 44, "");
static_assert(offsetof(struct multiboot_info, boot_loader_name) == 64, "");
static_assert(sizeof(struct multiboot_mod) == 16, "module");
static_assert(sizeof(struct multiboot_mmap) == 24, "mmap entry");
static_assert(sizeof(struct multiboot_data) <= LAYOUT_BOOT_INFO_SIZE, "");

#define MULTIBOOT_ADDR(member) \
	((uint32_t)(LAYOUT_BOOT_INFO + offsetof(struct multiboot_data, member)))

/* --- The header ---------------------------------------------------------- */

static bool multiboot_find(const uint8_t *head, size_t len,
			   struct multiboot_header *header, size_t *offset)
{
	const size_t basic = offsetof(struct multiboot_header, header_addr);
	size_t pos, size;
	uint32_t flags;

	if (len > MULTIBOOT_SEARCH)
		len = MULTIBOOT_SEARCH;
	for (pos = 0; pos + basic <= len; pos += MULTIBOOT_HEADER_ALIGN) {
		memset(header, 0, sizeof(*header));
		memcpy(header, head + pos, basic);
		flags = le32_get(header->flags);
		if (le32_get(header->magic) != MULTIBOOT_HEADER_MAGIC ||
		    MULTIBOOT_HEADER_MAGIC + flags +
				    le32_get(header->checksum) !=
			    0)
			continue;
		size = (flags & MULTIBOOT_AOUT_KLUDGE) ? sizeof(*header)
						       : basic;
		if (pos + size > len)
			continue;
		memcpy(header, head + pos, size);
		*offset = pos;
		return true;
	}
	return false;
}

bool multiboot_is(const uint8_t *head, size_t len)
{
	struct multiboot_header header;
	size_t offset;

	return multiboot_find(head, len, &header, &offset);
}

/* 3.1.2: bits 0 to 15 are requirements; fail on those that cannot be met. */
static int multiboot_check_flags(const struct image *image, uint32_t flags,
				 struct error *err)
{
	uint32_t unmet = flags & MULTIBOOT_REQUIRED &
			 ~(MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO);

	if (unmet == 0)
		return 0;
	return boot_error(image, err, ENOTSUP,
			  "has a Multiboot header that requires what this "
			  "machine has not: flags 0x%" PRIx32
			  "%s; expected none but bits 0 (aligned modules) and "
			  "1 (memory information)",
			  unmet,
			  unmet & MULTIBOOT_VIDEO_MODE
				  ? " (bit 2: a video mode, but there is no "
				    "display)"
				  : "");
}

/* 3.1.3: the address fields. */
static int multiboot_parse_flat(struct multiboot *mb, const struct image *image,
				const struct multiboot_header *header,
				size_t header_offset, struct error *err)
{
	uint32_t at = le32_get(header->header_addr);
	uint32_t load = le32_get(header->load_addr);
	uint32_t load_end = le32_get(header->load_end_addr);
	uint32_t bss_end = le32_get(header->bss_end_addr);

	if (load > at || at - load > header_offset)
		return boot_error(image, err, EINVAL,
				  "has a Multiboot load_addr of 0x%" PRIx32
				  ", header_addr of 0x%" PRIx32
				  " and its header at 0x%zx: the image would "
				  "not begin in the file",
				  load, at, header_offset);
	mb->is_flat = true;
	mb->offset = header_offset - (at - load);
	mb->base = load;
	mb->size = image->size - mb->offset;
	if (load_end != 0 && (load_end <= load || load_end - load > mb->size))
		return boot_error(image, err, EINVAL,
				  "has a Multiboot load_end_addr of 0x%" PRIx32
				  "; expected more than load_addr, 0x%" PRIx32
				  ", and at most the file's end, 0x%" PRIx64,
				  load_end, load, load + mb->size);
	if (load_end != 0)
		mb->size = load_end - load;
	mb->memsz = mb->size;
	if (bss_end != 0 && (bss_end < load || bss_end - load < mb->size))
		return boot_error(image, err, EINVAL,
				  "has a Multiboot bss_end_addr of 0x%" PRIx32
				  ", within what is loaded (up to 0x%" PRIx64
				  ")",
				  bss_end, load + mb->size);
	if (bss_end != 0)
		mb->memsz = bss_end - load;
	mb->entry = le32_get(header->entry_addr);
	if (mb->entry < load || mb->entry - load >= mb->size)
		return boot_error(image, err, EINVAL,
				  "has a Multiboot entry_addr of 0x%" PRIx64
				  ", outside of what is loaded (0x%" PRIx32
				  "-0x%" PRIx64 ")",
				  mb->entry, load, load + mb->size - 1);
	return 0;
}

int multiboot_parse(struct multiboot *mb, const struct image *image,
		    const uint8_t *head, size_t len, struct error *err)
{
	struct multiboot_header header;
	uint32_t flags;
	size_t offset;
	int ret;

	memset(mb, 0, sizeof(*mb));
	if (!multiboot_find(head, len, &header, &offset))
		return boot_error(image, err, ENOENT,
				  "has no Multiboot header (0x1badb002, "
				  "4-byte aligned, with its checksum) in its "
				  "first %d bytes",
				  MULTIBOOT_SEARCH);
	flags = le32_get(header.flags);
	ret = multiboot_check_flags(image, flags, err);
	if (ret)
		return ret;
	if (flags & MULTIBOOT_AOUT_KLUDGE)
		return multiboot_parse_flat(mb, image, &header, offset, err);
	return 0;
}

int multiboot_load(const struct multiboot *mb, const struct image *image,
		   struct boot_mem *bm, struct error *err)
{
	int ret;

	ret = boot_mem_take(bm, image, "the kernel", mb->base, mb->memsz, err);
	if (ret)
		return ret;
	ret = guest_mem_read_file(bm->mem, mb->base, image->fd, mb->offset,
				  mb->size);
	if (ret)
		return boot_error(image, err, -ret, "cannot be read: %s",
				  ret == -ENODATA ? "it has become shorter"
						  : strerror(-ret));
	return 0;
}

/* --- The information ----------------------------------------------------- */

/* KiB of RAM from base up to the first hole, as far as 32 bits say. */
static uint32_t multiboot_ram_kib(const struct boot_mem *bm, uint64_t base)
{
	uint64_t end = base;

	for (unsigned int i = 0; i < bm->map_count; i++) {
		const struct memmap_entry *m = &bm->map[i];

		if (m->type == MEMMAP_RAM && m->base <= end &&
		    m->base + m->size > end)
			end = m->base + m->size;
	}
	return (uint32_t)((end - base) >> 10);
}

static void multiboot_set_mmap(const struct boot_mem *bm,
			       struct multiboot_data *data)
{
	struct multiboot_mmap *out = data->mmap;

	for (unsigned int i = 0; i < bm->map_count; i++)
		*out++ = (struct multiboot_mmap){
			.size = le32_of(sizeof(*out) - sizeof(out->size)),
			.base_addr = le64_of(bm->map[i].base),
			.length = le64_of(bm->map[i].size),
			.type = le32_of(bm->map[i].type),
		};
	data->info.mmap_addr = le32_of(MULTIBOOT_ADDR(mmap));
	data->info.mmap_length =
		le32_of((uint32_t)(bm->map_count * sizeof(*out)));
}

static int multiboot_set_module(struct boot_mem *bm,
				struct multiboot_data *data,
				const struct image *initrd, struct error *err)
{
	uint64_t base;
	int ret;

	ret = boot_mem_initrd(bm, initrd, BOOT_PLACE_ABOVE, LAYOUT_4G, &base,
			      err);
	if (ret)
		return ret;
	data->info.mods_count = le32_of(1);
	data->info.mods_addr = le32_of(MULTIBOOT_ADDR(mod));
	data->mod.mod_start = le32_of((uint32_t)base);
	data->mod.mod_end = le32_of((uint32_t)(base + initrd->size));
	data->mod.string = le32_of(MULTIBOOT_ADDR(mod_string));
	snprintf(data->mod_string, sizeof(data->mod_string), "%s",
		 initrd->path);
	return 0;
}

int multiboot_setup(struct boot_mem *bm, const char *cmdline,
		    const struct image *initrd, struct error *err)
{
	struct multiboot_data data = {
		.info.flags =
			le32_of(MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE |
				MULTIBOOT_INFO_MODS | MULTIBOOT_INFO_MEM_MAP |
				MULTIBOOT_INFO_LOADER_NAME),
		.info.mem_lower = le32_of(multiboot_ram_kib(bm, 0)),
		.info.mem_upper =
			le32_of(multiboot_ram_kib(bm, LAYOUT_HIGH_RAM)),
		.info.cmdline = le32_of(LAYOUT_CMDLINE),
		.info.boot_loader_name = le32_of(MULTIBOOT_ADDR(loader_name)),
		.loader_name = "bantam",
	};
	int ret;

	if (bm->map_count > MULTIBOOT_MMAP_MAX)
		return error_set(err, E2BIG,
				 "the memory map has %u entries, at most %d "
				 "can be handed over",
				 bm->map_count, MULTIBOOT_MMAP_MAX);
	multiboot_set_mmap(bm, &data);
	if (initrd) {
		ret = multiboot_set_module(bm, &data, initrd, err);
		if (ret)
			return ret;
	}
	ret = boot_layout_cmdline(bm, cmdline, err);
	if (ret)
		return ret;
	return boot_mem_write(bm, "the Multiboot information", LAYOUT_BOOT_INFO,
			      &data, sizeof(data), err);
}

void multiboot_entry(struct boot_entry *entry, uint64_t ip)
{
	*entry = (struct boot_entry){
		.long_mode = false,
		.cs = BOOT_CS,
		.ds = BOOT_DS,
		.ip = ip,
		.ax = MULTIBOOT_BOOTLOADER_MAGIC,
		.bx = LAYOUT_BOOT_INFO,
		.sp = LAYOUT_BOOT_STACK,
	};
}
