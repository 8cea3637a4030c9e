/*
 * Linux kernels, after Documentation/arch/arm64/booting.rst. The files are the
 * user's and may be anything.
 *
 *   what it is                       how it is found in the file
 *   Image                            as it is
 *   Image, compressed                the file is one stream that unpack() knows
 *   EFI zboot image                  its header says where the stream is
 *
 * Whatever was around it, what is loaded is an Image, and its header says where
 * to and how much memory it needs. From RAM's first byte on lie the Image with
 * what it needs behind it, a block for device tree and tables, and the initrd:
 * so the tree is within 512 MiB of the Image and above it, which kernels before
 * 4.2 want, and the initrd within 32 GiB.
 */
#include "arch/aarch64/kernel.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "arch/aarch64/layout.h"
#include "vmm/base/boot_mem.h"
#include "vmm/base/bytes.h"
#include "vmm/base/unpack.h"

#define MIB UINT64_C(0x100000)

/* What --memory takes at most. */
#define KERNEL_MEMORY_MAX (UINT64_C(64) << 30)

/* "4. Call the kernel image": the header at its beginning. */
struct image_header {
	le32 code0;
	le32 code1;
	le64 text_offset;
	le64 image_size;
	le64 flags;
	le64 res2;
	le64 res3;
	le64 res4;
	le32 magic;
	le32 res5;
};

static_assert(sizeof(struct image_header) == 64, "booting.rst");

#define IMAGE_MAGIC	      UINT32_C(0x644d5241) /* "ARM\x64" */
#define IMAGE_FLAG_BIG_ENDIAN UINT64_C(1)
#define IMAGE_FLAG_PAGE_POS   1
#define IMAGE_FLAG_PAGE_MASK  3

/* Kernels before 3.17 have image_size 0, this text_offset, and need memory
 * behind the image that they do not tell. */
#define IMAGE_OLD_TEXT_OFFSET UINT64_C(0x80000)
#define IMAGE_OLD_BSS	      (16 * MIB)

enum image_page {
	IMAGE_PAGE_ANY,
	IMAGE_PAGE_4K,
	IMAGE_PAGE_16K,
	IMAGE_PAGE_64K,
};

/* drivers/firmware/efi/libstub/zboot-header.S */
struct zboot_header {
	uint8_t mz[4];
	uint8_t magic[4];
	le32 payload_offset;
	le32 payload_size;
	le32 reserved[2];
	char comp_type[32];
};

static_assert(sizeof(struct zboot_header) == 56, "up to LINUX_PE_MAGIC");

/* All but gzip's streams have their unpacked size behind them. */
#define ZBOOT_TRAILER 4

/* As much of the file as is looked at. */
#define KERNEL_HEAD_MAX 4096

/* COMMAND_LINE_SIZE - 1 */
#define KERNEL_CMDLINE_MAX 2047

/* The block behind the kernel, and the device tree in it. */
#define KERNEL_BLOCK_ALIGN (2 * MIB)
#define KERNEL_BLOCK_SIZE  (2 * MIB)
#define KERNEL_FDT_SIZE	   MIB

/* The initrd is in a window of so much, aligned to 1 GiB, with the kernel. */
#define KERNEL_WINDOW (UINT64_C(32) << 30)

struct kernel {
	const struct image *image;  /* borrowed */
	const struct image *initrd; /* borrowed, or NULL */

	/* Where in the file the Image is, and how it is compressed. */
	enum unpack_format format; /* UNPACK_NONE: it is not */
	uint64_t offset;
	uint64_t size;	 /* bytes in the file */
	size_t trailing; /* bytes that may follow the stream */

	/* Of the Image's header. */
	uint64_t text_offset;
	uint64_t image_size; /* 0: it does not tell */
	enum image_page page;
};

/* --- Files that are not kernels ------------------------------------------ */

static const struct {
	size_t offset;
	size_t len;
	const char *magic;
	const char *name;
} kernel_strangers[] = {
	{0x24, 4, "\x18\x28\x6f\x01", "a 32-bit Arm zImage"},
	{0x24, 4, "\x01\x6f\x28\x18", "a big-endian 32-bit Arm zImage"},
	{0x202, 4, "HdrS", "an x86 bzImage"},
	{56, 4, "RSC\x05", "a RISC-V Image"},
	{0, 4,
	 "\x7f"
	 "ELF",
	 "an ELF file (a vmlinux?)"},
	{0, 4, "\x27\x05\x19\x56", "a U-Boot uImage"},
	{0, 4, "\xd0\x0d\xfe\xed", "a device tree or U-Boot FIT image"},
	{0, 2, "#!", "a script"},
	{0, 2, "MZ", "an EFI or Windows program"},
	{0, 6, "070701", "a cpio archive (an initrd?)"},
	{0, 6, "070702", "a cpio archive (an initrd?)"},
	{0, 4, "QFI\xfb", "a qcow2 disk image"},
	{0, 8, "!<arch>\n", "an ar archive (a package?)"},
	{0, 2, "PK", "a zip archive"},
	{510, 2, "\x55\xaa", "a boot sector or disk image"},
};

/* @what: "is" or, of what was compressed, "contains" */
static int kernel_refuse(const struct image *image, const char *what,
			 const uint8_t *head, size_t len, struct error *err)
{
	static const char accepted[] =
		"expected an arm64 Image (plain, compressed or EFI zboot)";

	for (size_t i = 0;
	     i < sizeof(kernel_strangers) / sizeof(*kernel_strangers); i++) {
		size_t at = kernel_strangers[i].offset;
		size_t n = kernel_strangers[i].len;

		if (len >= at + n &&
		    memcmp(head + at, kernel_strangers[i].magic, n) == 0)
			return boot_error(image, err, EINVAL, "%s %s; %s", what,
					  kernel_strangers[i].name, accepted);
	}
	return boot_error(image, err, EINVAL,
			  "%s no kernel, or a cut one (%" PRIu64 " bytes); %s",
			  what, image->size, accepted);
}

/* --- Headers ------------------------------------------------------------- */

static bool image_header_is(const uint8_t *head, size_t len,
			    struct image_header *hdr)
{
	if (len < sizeof(*hdr))
		return false;
	memcpy(hdr, head, sizeof(*hdr));
	return le32_get(hdr->magic) == IMAGE_MAGIC;
}

static int kernel_take_header(struct kernel *kernel,
			      const struct image_header *hdr, struct error *err)
{
	uint64_t flags = le64_get(hdr->flags);

	kernel->text_offset = le64_get(hdr->text_offset);
	kernel->image_size = le64_get(hdr->image_size);
	kernel->page = flags >> IMAGE_FLAG_PAGE_POS & IMAGE_FLAG_PAGE_MASK;
	if (!kernel->image_size) {
		/* flags and text_offset mean something since 3.17 only. */
		kernel->text_offset = IMAGE_OLD_TEXT_OFFSET;
		kernel->page = IMAGE_PAGE_ANY;
		return 0;
	}
	if (flags & IMAGE_FLAG_BIG_ENDIAN)
		return boot_error(kernel->image, err, ENOTSUP,
				  "is a big-endian kernel (flags 0x%" PRIx64
				  "); build it without CONFIG_CPU_BIG_ENDIAN",
				  flags);
	if (kernel->text_offset >= KERNEL_BLOCK_ALIGN)
		return boot_error(kernel->image, err, EINVAL,
				  "has text_offset 0x%" PRIx64
				  ", expected less than 2 MiB; it is damaged",
				  kernel->text_offset);
	return 0;
}

/* Look for the Image in the stream that offset, size and format name. */
static int kernel_probe_packed(struct kernel *kernel, struct error *err)
{
	uint8_t head[KERNEL_HEAD_MAX];
	struct image_header hdr;
	size_t len;
	int ret;

	ret = unpack_head(kernel->image, kernel->offset, kernel->size,
			  kernel->format, kernel->trailing, head, sizeof(head),
			  &len, err);
	if (ret)
		return ret;
	if (!image_header_is(head, len, &hdr))
		return kernel_refuse(kernel->image, "contains", head, len, err);
	return kernel_take_header(kernel, &hdr, err);
}

static bool zboot_header_is(const uint8_t *head, size_t len,
			    struct zboot_header *hdr)
{
	if (len < sizeof(*hdr))
		return false;
	memcpy(hdr, head, sizeof(*hdr));
	return memcmp(hdr->mz, "MZ", 2) == 0 &&
	       memcmp(hdr->magic, "zimg", sizeof(hdr->magic)) == 0;
}

static int kernel_probe_zboot(struct kernel *kernel,
			      const struct zboot_header *hdr, struct error *err)
{
	const struct image *image = kernel->image;
	uint64_t offset = le32_get(hdr->payload_offset);
	uint64_t size = le32_get(hdr->payload_size);
	uint8_t magic[16];
	int ret;

	if (size < sizeof(magic) || offset + size > image->size)
		return boot_error(image, err, EINVAL,
				  "is an EFI zboot image with its kernel at "
				  "0x%" PRIx64 " to 0x%" PRIx64
				  ", but the file has 0x%" PRIx64
				  " bytes; it is cut or damaged",
				  offset, offset + size, image->size);
	ret = image_read(image, offset, magic, sizeof(magic), err);
	if (ret)
		return ret;
	kernel->format = unpack_probe(magic, sizeof(magic));
	kernel->offset = offset;
	kernel->size = size;
	kernel->trailing = ZBOOT_TRAILER;
	if (kernel->format == UNPACK_NONE)
		return boot_error(
			image, err, ENOTSUP,
			"is an EFI zboot image compressed with "
			"\"%.*s\", which is not known here; expected "
			"gzip, LZ4, LZMA, xz or zstd",
			(int)strnlen(hdr->comp_type, sizeof(hdr->comp_type)),
			hdr->comp_type);
	return kernel_probe_packed(kernel, err);
}

/*
 * Of a file with the magic number of an Image at its place. A compressed one
 * may have it there, too, as zstd leaves short runs as they are; but only
 * LZMA's own magic number could begin an Image (b . + 0x174).
 */
static bool kernel_is_packed(const struct kernel *kernel)
{
	return kernel->format != UNPACK_NONE && kernel->format != UNPACK_LZMA;
}

static int kernel_probe_file(struct kernel *kernel, const uint8_t *head,
			     size_t len, struct error *err)
{
	struct zboot_header zboot;
	struct image_header hdr;

	kernel->size = kernel->image->size;
	kernel->format = unpack_probe(head, len);
	if (image_header_is(head, len, &hdr) && !kernel_is_packed(kernel)) {
		kernel->format = UNPACK_NONE;
		return kernel_take_header(kernel, &hdr, err);
	}
	if (zboot_header_is(head, len, &zboot))
		return kernel_probe_zboot(kernel, &zboot, err);
	if (kernel->format == UNPACK_NONE)
		return kernel_refuse(kernel->image, "is", head, len, err);
	return kernel_probe_packed(kernel, err);
}

static int kernel_check_options(enum arch_entry entry, const char *cmdline,
				struct error *err)
{
	size_t len = strlen(cmdline);

	if (entry != ARCH_ENTRY_AUTO)
		return error_set(err, EINVAL,
				 "--kernel: entry= chooses between the ways "
				 "into a PC's kernel; an arm64 Image has one, "
				 "expected entry=auto");
	if (len > KERNEL_CMDLINE_MAX)
		return error_set(err, E2BIG,
				 "--append: the command line has %zu "
				 "characters, an arm64 kernel takes at most %d",
				 len, KERNEL_CMDLINE_MAX);
	return 0;
}

int kernel_probe(struct kernel **out, const struct image *image,
		 enum arch_entry entry, const struct image *initrd,
		 const char *cmdline, struct error *err)
{
	uint8_t head[KERNEL_HEAD_MAX];
	size_t len = sizeof(head) < image->size ? sizeof(head) : image->size;
	struct kernel *kernel;
	int ret;

	ret = kernel_check_options(entry, cmdline, err);
	if (ret)
		return ret;
	ret = image_read(image, 0, head, len, err);
	if (ret)
		return ret;
	kernel = calloc(1, sizeof(*kernel));
	if (!kernel)
		return boot_error(image, err, ENOMEM, "out of memory");
	kernel->image = image;
	kernel->initrd = initrd && initrd->size ? initrd : NULL;
	ret = kernel_probe_file(kernel, head, len, err);
	if (ret)
		goto err_free;
	*out = kernel;
	return 0;

err_free:
	free(kernel);
	return ret;
}

void kernel_free(struct kernel *kernel)
{
	free(kernel);
}

/* --- The CPU ------------------------------------------------------------- */

/*
 * ID_AA64MMFR0_EL1 (Arm ARM, D19.2.64): TGran4 and TGran64 are there from 0 on
 * and absent with 15, TGran16 is absent with 0.
 */
static const struct {
	unsigned int pos;
	unsigned int least, most;
	const char *name;
} kernel_pages[] = {
	[IMAGE_PAGE_4K] = {28, 0, 7, "4"},
	[IMAGE_PAGE_16K] = {20, 1, 7, "16"},
	[IMAGE_PAGE_64K] = {24, 0, 7, "64"},
};

int kernel_check_cpu(const struct kernel *kernel, uint64_t mmfr0,
		     struct error *err)
{
	unsigned int field = mmfr0 >> kernel_pages[kernel->page].pos & 0xf;

	if (kernel->page == IMAGE_PAGE_ANY)
		return 0;
	if (field >= kernel_pages[kernel->page].least &&
	    field <= kernel_pages[kernel->page].most)
		return 0;
	return boot_error(kernel->image, err, ENOTSUP,
			  "uses pages of %s KiB, which this CPU cannot do "
			  "(ID_AA64MMFR0_EL1 is 0x%" PRIx64
			  "); take a kernel built for another page size",
			  kernel_pages[kernel->page].name, mmfr0);
}

/* --- Loading ------------------------------------------------------------- */

static uint64_t kernel_memory_needed(uint64_t base, uint64_t end)
{
	uint64_t size = end - LAYOUT_RAM;

	if (base < LAYOUT_RAM || size > KERNEL_MEMORY_MAX)
		return 0;
	return (size + MIB - 1) & ~(MIB - 1);
}

static const struct boot_layout kernel_layout = {
	.lowest = LAYOUT_RAM,
	.needed = kernel_memory_needed,
};

/* Guest memory that a stream fills. */
struct kernel_sink {
	const struct image *image;
	struct guest_mem *mem;
	uint64_t next;
	struct error *err;
};

static int kernel_sink_put(void *ctx, const uint8_t *data, size_t len)
{
	struct kernel_sink *sink = ctx;
	int ret = guest_mem_write(sink->mem, sink->next, data, len);

	if (ret)
		return boot_error(sink->image, sink->err, -ret,
				  "there is no RAM at 0x%" PRIx64, sink->next);
	sink->next += len;
	return 0;
}

static int kernel_load_plain(const struct kernel *kernel, struct boot_mem *bm,
			     uint64_t load, struct error *err)
{
	const struct image *image = kernel->image;
	int ret;

	ret = guest_mem_read_file(bm->mem, load, image->fd, 0, kernel->size);
	if (ret)
		return boot_error(image, err, -ret, "cannot be read: %s",
				  ret == -ENODATA ? "it has become shorter"
						  : strerror(-ret));
	return 0;
}

/* @size: bytes that it has from @load on, which bound the unpacking */
static int kernel_load_packed(const struct kernel *kernel, struct boot_mem *bm,
			      uint64_t load, uint64_t size, struct error *err)
{
	struct kernel_sink sink = {
		.image = kernel->image,
		.mem = bm->mem,
		.next = load,
		.err = err,
	};

	return unpack(kernel->image, kernel->offset, kernel->size,
		      kernel->format, size, kernel->trailing, kernel_sink_put,
		      &sink, err);
}

/*
 * Bytes that the Image needs from its load address on. A compressed one that
 * does not tell is taken to need what a generous ratio would make of it.
 */
static uint64_t kernel_size_needed(const struct kernel *kernel)
{
	bool packed = kernel->format != UNPACK_NONE;

	if (!kernel->image_size)
		return kernel->size * (packed ? 8 : 1) + IMAGE_OLD_BSS;
	if (!packed && kernel->size > kernel->image_size)
		return kernel->size;
	return kernel->image_size;
}

static int kernel_load_image(const struct kernel *kernel, struct boot_mem *bm,
			     uint64_t load, struct error *err)
{
	uint64_t size = kernel_size_needed(kernel);
	int ret;

	ret = boot_mem_take(bm, kernel->image, "the kernel", load, size, err);
	if (ret)
		return ret;
	if (kernel->format == UNPACK_NONE)
		return kernel_load_plain(kernel, bm, load, err);
	return kernel_load_packed(kernel, bm, load, size, err);
}

/* The block for device tree and tables, right behind the kernel. */
static int kernel_take_block(const struct kernel *kernel, struct boot_mem *bm,
			     struct kernel_place *place, struct error *err)
{
	/* Cannot wrap: the kernel has just been found to be in RAM. */
	uint64_t end = place->entry + kernel_size_needed(kernel);

	place->fdt = (end + KERNEL_BLOCK_ALIGN - 1) & ~(KERNEL_BLOCK_ALIGN - 1);
	place->fdt_size = KERNEL_FDT_SIZE;
	place->tables = place->fdt + KERNEL_FDT_SIZE;
	place->tables_size = KERNEL_BLOCK_SIZE - KERNEL_FDT_SIZE;
	return boot_mem_take(bm, kernel->image, "the device tree", place->fdt,
			     KERNEL_BLOCK_SIZE, err);
}

static unsigned int kernel_map(const struct guest_mem *mem,
			       struct memmap_entry *map)
{
	const struct guest_mem_region *regions;
	unsigned int count = guest_mem_regions(mem, &regions);

	for (unsigned int i = 0; i < count; i++)
		map[i] = (struct memmap_entry){
			.base = regions[i].base,
			.size = regions[i].size,
			.type = MEMMAP_RAM,
		};
	return count;
}

int kernel_load(const struct kernel *kernel, struct guest_mem *mem,
		struct kernel_place *place, struct error *err)
{
	struct memmap_entry map[GUEST_MEM_REGIONS_MAX];
	struct boot_mem bm = {
		.layout = &kernel_layout,
		.mem = mem,
		.map = map,
		.map_count = kernel_map(mem, map),
	};
	int ret;

	*place = (struct kernel_place){
		.entry = LAYOUT_RAM + kernel->text_offset,
	};
	ret = kernel_load_image(kernel, &bm, place->entry, err);
	if (!ret)
		ret = kernel_take_block(kernel, &bm, place, err);
	if (ret || !kernel->initrd)
		return ret;
	place->initrd_size = kernel->initrd->size;
	return boot_mem_initrd(&bm, kernel->initrd, BOOT_PLACE_ABOVE,
			       LAYOUT_RAM + KERNEL_WINDOW, &place->initrd, err);
}
