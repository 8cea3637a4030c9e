/*
 * Which protocol a kernel file is entered by, and handing it to that protocol.
 * The file is the user's and may be anything.
 *
 *   what it is                              how it is entered
 *   bzImage, payload can be unpacked        the vmlinux inside, as Linux
 *   bzImage otherwise                       its own entry point
 *   ELF64 with a note of name "Linux"       Linux, 64-bit boot protocol
 *   ELF with XEN_ELFNOTE_PHYS32_ENTRY       PVH
 *   ELF with a Multiboot header             Multiboot
 *   other ELF                               Linux, 64-bit or 32-bit
 *   flat, with Multiboot address fields     Multiboot
 */
#include "arch/x86_64/kernel.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/boot_layout.h"
#include "arch/x86_64/bzimage.h"
#include "arch/x86_64/elf.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/linux_boot.h"
#include "arch/x86_64/multiboot.h"
#include "arch/x86_64/pvh.h"
#include "vmm/base/unpack.h"

/* As much of the file as any of the parsers wants to see. */
#define KERNEL_HEAD_MAX ELF_HEAD_MAX

static_assert(KERNEL_HEAD_MAX >= BZIMAGE_HEAD_MAX, "");
static_assert(KERNEL_HEAD_MAX >= MULTIBOOT_SEARCH, "");

/* Where in a bzImage its 64-bit entry is (boot.rst, "64-bit boot protocol"). */
#define BZIMAGE_ENTRY64 0x200

struct kernel {
	const struct image *image;  /* borrowed */
	const struct image *initrd; /* borrowed, or NULL */
	const char *cmdline;	    /* borrowed */
	enum kernel_protocol protocol;

	bool is_bzimage;
	struct bzimage bz;	 /* with is_bzimage */
	struct setup_header hdr; /* with the Linux protocols */
	struct elf elf;		 /* unless bzImage by its own entry, or flat */
	struct multiboot mb;	 /* with KERNEL_MULTIBOOT */
	uint64_t entry;		 /* physical; with elf */
};

/* --- Files that are not kernels ------------------------------------------ */

static const struct {
	size_t offset;
	size_t len;
	const char *magic;
	const char *name;
} kernel_strangers[] = {
	{56, 4, "ARM\x64", "an arm64 Image"},
	{56, 4, "RSC\x05", "a RISC-V Image"},
	{0, 2, "#!", "a script"},
	{0, 2, "MZ", "an EFI or Windows program"},
	{0, 6, "070701", "a cpio archive (an initrd?)"},
	{0, 6, "070702", "a cpio archive (an initrd?)"},
	{0, 4, "QFI\xfb", "a qcow2 disk image"},
	{0, 8, "!<arch>\n", "an ar archive (a package?)"},
	{0, 2, "PK", "a zip archive"},
	{0, 4, "\xd6\x50\x52\xe8", "a Multiboot 2 header without Multiboot 1"},
	{510, 2, "\x55\xaa", "a boot sector or disk image"},
};

static int kernel_refuse(const struct image *image, const uint8_t *head,
			 size_t len, struct error *err)
{
	static const char accepted[] =
		"expected a bzImage, an ELF kernel for x86-64 or i386, or an "
		"image with a Multiboot header";
	enum unpack_format format = unpack_probe(head, len);

	if (format != UNPACK_NONE)
		return boot_error(image, err, EINVAL,
				  "is compressed with %s; if there is a kernel "
				  "inside, unpack it first (%s)",
				  unpack_format_name(format), accepted);
	for (size_t i = 0;
	     i < sizeof(kernel_strangers) / sizeof(*kernel_strangers); i++) {
		size_t at = kernel_strangers[i].offset;
		size_t n = kernel_strangers[i].len;

		if (len >= at + n &&
		    memcmp(head + at, kernel_strangers[i].magic, n) == 0)
			return boot_error(image, err, EINVAL, "is %s; %s",
					  kernel_strangers[i].name, accepted);
	}
	return boot_error(image, err, EINVAL,
			  "is not a kernel, or is cut (%" PRIu64 " bytes); %s",
			  image->size, accepted);
}

/* --- Choosing ------------------------------------------------------------ */

/* The entry is in 32-bit code, or in what vcpu_boot() maps: 4 GiB. */
static int kernel_set_entry(struct kernel *kernel, uint64_t addr,
			    struct error *err)
{
	if (elf_phys(&kernel->elf, addr, &kernel->entry))
		return boot_error(kernel->image, err, EINVAL,
				  "has its entry at 0x%" PRIx64
				  ", in none of its segments",
				  addr);
	if (kernel->entry >= LAYOUT_4G)
		return boot_error(kernel->image, err, EINVAL,
				  "has its entry at 0x%" PRIx64
				  " of physical memory, above 4 GiB, where no "
				  "boot protocol reaches; link it lower",
				  kernel->entry);
	return 0;
}

static int kernel_choose_bzimage(struct kernel *kernel, enum arch_entry entry,
				 struct error *err)
{
	int ret;

	kernel->hdr = kernel->bz.hdr;
	if (entry == ARCH_ENTRY_AUTO) {
		ret = bzimage_probe_payload(&kernel->bz, kernel->image,
					    &kernel->elf, err);
		if (ret == 0) {
			kernel->protocol = kernel->elf.is64 ? KERNEL_LINUX64
							    : KERNEL_LINUX32;
			return kernel_set_entry(kernel, kernel->elf.entry, err);
		}
		if (ret != -ENOTSUP)
			return ret;
	}
	kernel->protocol = bzimage_has_entry64(&kernel->bz) ? KERNEL_BZIMAGE64
							    : KERNEL_BZIMAGE32;
	return 0;
}

static int kernel_choose_linux(struct kernel *kernel, struct error *err)
{
	if (kernel->elf.is_user)
		return boot_error(kernel->image, err, EINVAL,
				  "is a program for Linux, not a kernel");
	if (!kernel->elf.is64 && kernel->elf.machine != EM_386)
		return boot_error(kernel->image, err, EINVAL,
				  "is a 32-bit ELF file with x86-64 code; "
				  "expected ELF64, or a PVH note or Multiboot "
				  "header");
	kernel->protocol = kernel->elf.is64 ? KERNEL_LINUX64 : KERNEL_LINUX32;
	linux_boot_header(&kernel->hdr, kernel->elf.is64);
	return kernel_set_entry(kernel, kernel->elf.entry, err);
}

static int kernel_choose_multiboot(struct kernel *kernel, const uint8_t *head,
				   size_t len, struct error *err)
{
	int ret;

	ret = multiboot_parse(&kernel->mb, kernel->image, head, len, err);
	if (ret)
		return ret;
	kernel->protocol = KERNEL_MULTIBOOT;
	if (kernel->mb.is_flat)
		return 0;
	if (!elf_is(head, len))
		return boot_error(kernel->image, err, EINVAL,
				  "has a Multiboot header without address "
				  "fields (flag bit 16) and is not an ELF "
				  "file: there is no telling where to load it");
	ret = elf_parse(&kernel->elf, kernel->image, head, len,
			kernel->image->size, err);
	if (ret)
		return ret;
	return kernel_set_entry(kernel, kernel->elf.entry, err);
}

static int kernel_choose_pvh(struct kernel *kernel,
			     const struct elf_notes *notes, struct error *err)
{
	if (!notes->has_pvh)
		return boot_error(kernel->image, err, EINVAL,
				  "entry=pvh: this has no PVH entry (an ELF "
				  "note Xen of type 18)");
	kernel->protocol = KERNEL_PVH;
	return kernel_set_entry(kernel, notes->pvh_entry, err);
}

static int kernel_choose_elf(struct kernel *kernel, enum arch_entry entry,
			     const uint8_t *head, size_t len, struct error *err)
{
	struct elf_notes notes;
	int ret;

	ret = elf_parse(&kernel->elf, kernel->image, head, len,
			kernel->image->size, err);
	if (ret)
		return ret;
	ret = elf_read_notes(&kernel->elf, kernel->image, &notes, err);
	if (ret)
		return ret;
	if (entry == ARCH_ENTRY_PVH)
		return kernel_choose_pvh(kernel, &notes, err);
	if (kernel->elf.is64 && notes.has_linux)
		return kernel_choose_linux(kernel, err);
	if (notes.has_pvh)
		return kernel_choose_pvh(kernel, &notes, err);
	if (multiboot_is(head, len))
		return kernel_choose_multiboot(kernel, head, len, err);
	return kernel_choose_linux(kernel, err);
}

static int kernel_choose(struct kernel *kernel, enum arch_entry entry,
			 const uint8_t *head, size_t len, struct error *err)
{
	const struct image *image = kernel->image;
	int ret;

	kernel->is_bzimage = bzimage_is(head, len);
	if (entry == ARCH_ENTRY_BZIMAGE && !kernel->is_bzimage)
		return boot_error(image, err, EINVAL,
				  "entry=bzimage: this is not a bzImage");
	if (entry == ARCH_ENTRY_PVH && !elf_is(head, len))
		return boot_error(
			image, err, EINVAL,
			"entry=pvh: this is not an ELF file; for a "
			"bzImage give the vmlinux that it is made of");
	if (entry == ARCH_ENTRY_MULTIBOOT) {
		kernel->is_bzimage = false;
		ret = kernel_choose_multiboot(kernel, head, len, err);
		if (ret)
			error_prefix(err, "entry=multiboot: ");
		return ret;
	}
	if (kernel->is_bzimage) {
		ret = bzimage_parse(&kernel->bz, image, head, len, err);
		return ret ? ret : kernel_choose_bzimage(kernel, entry, err);
	}
	if (elf_is(head, len))
		return kernel_choose_elf(kernel, entry, head, len, err);
	if (multiboot_is(head, len))
		return kernel_choose_multiboot(kernel, head, len, err);
	return kernel_refuse(image, head, len, err);
}

static int kernel_check_cmdline(const struct kernel *kernel, struct error *err)
{
	uint64_t max = LAYOUT_CMDLINE_SIZE - 1;
	size_t len = strlen(kernel->cmdline);

	if (kernel->protocol != KERNEL_PVH &&
	    kernel->protocol != KERNEL_MULTIBOOT)
		max = linux_boot_cmdline_max(&kernel->hdr);
	if (len <= max)
		return 0;
	return error_set(err, E2BIG,
			 "--append: the command line has %zu characters, the "
			 "kernel %s takes at most %" PRIu64,
			 len, kernel->image->path, max);
}

int kernel_probe(struct kernel **out, const struct image *image,
		 enum arch_entry entry, const struct image *initrd,
		 const char *cmdline, struct error *err)
{
	size_t len = KERNEL_HEAD_MAX;
	struct kernel *kernel;
	uint8_t *head;
	int ret;

	if (len > image->size)
		len = image->size;
	kernel = calloc(1, sizeof(*kernel));
	head = malloc(KERNEL_HEAD_MAX);
	if (!kernel || !head) {
		ret = boot_error(image, err, ENOMEM, "out of memory");
		goto err_free;
	}
	kernel->image = image;
	kernel->initrd = initrd && initrd->size ? initrd : NULL;
	kernel->cmdline = cmdline;
	ret = image_read(image, 0, head, len, err);
	if (ret)
		goto err_free;
	ret = kernel_choose(kernel, entry, head, len, err);
	if (ret)
		goto err_free;
	ret = kernel_check_cmdline(kernel, err);
	if (ret)
		goto err_free;
	free(head);
	*out = kernel;
	return 0;

err_free:
	free(head);
	free(kernel);
	return ret;
}

void kernel_free(struct kernel *kernel)
{
	free(kernel);
}

enum kernel_protocol kernel_protocol(const struct kernel *kernel)
{
	return kernel->protocol;
}

/* --- Loading ------------------------------------------------------------- */

static int kernel_load_elf(const struct kernel *kernel, struct boot_mem *bm,
			   struct error *err)
{
	int ret;

	ret = elf_take(&kernel->elf, kernel->image, bm, err);
	if (ret)
		return ret;
	return elf_load(&kernel->elf, kernel->image, bm, err);
}

/*
 * The kernel of a bzImage says in init_size how much memory it uses before it
 * looks at the memory map; more than its segments say, maybe.
 */
static int kernel_reserve_init(const struct kernel *kernel, struct boot_mem *bm,
			       struct error *err)
{
	const struct setup_header *hdr = &kernel->bz.hdr;

	if (hdr->version < 0x020a)
		return 0;
	return boot_mem_reserve(bm, kernel->image, "the kernel",
				hdr->pref_address, hdr->init_size, err);
}

static int kernel_load_linux(const struct kernel *kernel, struct boot_mem *bm,
			     uint64_t rsdp, struct boot_entry *entry,
			     struct error *err)
{
	bool is64 = kernel->protocol == KERNEL_LINUX64;
	int ret;

	if (kernel->is_bzimage) {
		ret = bzimage_load_payload(&kernel->bz, kernel->image,
					   &kernel->elf, bm, err);
		if (ret == 0)
			ret = kernel_reserve_init(kernel, bm, err);
	} else {
		ret = kernel_load_elf(kernel, bm, err);
	}
	if (ret)
		return ret;
	linux_boot_entry(entry, is64, kernel->entry);
	return linux_boot_setup(bm, &kernel->hdr, is64, kernel->cmdline,
				kernel->initrd, rsdp, err);
}

static int kernel_load_bzimage(const struct kernel *kernel, struct boot_mem *bm,
			       uint64_t rsdp, struct boot_entry *entry,
			       struct error *err)
{
	bool is64 = kernel->protocol == KERNEL_BZIMAGE64;
	struct setup_header hdr;
	uint64_t load;
	int ret;

	ret = bzimage_load(&kernel->bz, kernel->image, bm, &hdr, &load, err);
	if (ret)
		return ret;
	linux_boot_entry(entry, is64, is64 ? load + BZIMAGE_ENTRY64 : load);
	return linux_boot_setup(bm, &hdr, is64, kernel->cmdline, kernel->initrd,
				rsdp, err);
}

static int kernel_load_pvh(const struct kernel *kernel, struct boot_mem *bm,
			   uint64_t rsdp, struct boot_entry *entry,
			   struct error *err)
{
	int ret;

	ret = kernel_load_elf(kernel, bm, err);
	if (ret)
		return ret;
	pvh_entry(entry, kernel->entry);
	return pvh_setup(bm, kernel->cmdline, kernel->initrd, rsdp, err);
}

static int kernel_load_multiboot(const struct kernel *kernel,
				 struct boot_mem *bm, struct boot_entry *entry,
				 struct error *err)
{
	bool flat = kernel->mb.is_flat;
	int ret;

	if (flat)
		ret = multiboot_load(&kernel->mb, kernel->image, bm, err);
	else
		ret = kernel_load_elf(kernel, bm, err);
	if (ret)
		return ret;
	multiboot_entry(entry, flat ? kernel->mb.entry : kernel->entry);
	return multiboot_setup(bm, kernel->cmdline, kernel->initrd, err);
}

int kernel_load(const struct kernel *kernel, struct guest_mem *mem,
		const struct memmap_entry *map, unsigned int count,
		uint64_t rsdp, struct boot_entry *entry, struct error *err)
{
	struct boot_mem bm = {.layout = &boot_layout,
			      .mem = mem,
			      .map = map,
			      .map_count = count};

	switch (kernel->protocol) {
	case KERNEL_LINUX64:
	case KERNEL_LINUX32:
		return kernel_load_linux(kernel, &bm, rsdp, entry, err);
	case KERNEL_BZIMAGE64:
	case KERNEL_BZIMAGE32:
		return kernel_load_bzimage(kernel, &bm, rsdp, entry, err);
	case KERNEL_PVH:
		return kernel_load_pvh(kernel, &bm, rsdp, entry, err);
	case KERNEL_MULTIBOOT:
		return kernel_load_multiboot(kernel, &bm, entry, err);
	case KERNEL_PROTOCOLS:
		break;
	}
	return boot_error(kernel->image, err, EINVAL, "has no known protocol");
}
