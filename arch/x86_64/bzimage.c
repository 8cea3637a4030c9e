/*
 * bzImage files. Follows Documentation/arch/x86/boot.rst. The file is the
 * user's and may lie in every field. Fields that came with a later protocol
 * version than the header's are not looked at.
 */
#include "arch/x86_64/bzimage.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/layout.h"
#include "arch/x86_64/linux_boot.h"
#include "vmm/base/bytes.h"

#define SECTOR_SIZE UINT64_C(512)

/* Offsets in the file. */
#define BZIMAGE_HEADER	  0x1f1 /* struct setup_header */
#define BZIMAGE_BOOT_FLAG 0x1fe
#define BZIMAGE_JUMP	  0x200 /* a short jump over the header: where it ends */
#define BZIMAGE_MAGIC	  0x202

/* setup_sects when the field says 0. */
#define SETUP_SECTS_OLD 4

/* The payload ends with its unpacked size, whatever its format. */
#define PAYLOAD_TRAILER 4

bool bzimage_is(const uint8_t *head, size_t len)
{
	le16 flag;
	le32 magic;

	if (len < BZIMAGE_MAGIC + sizeof(magic))
		return false;
	memcpy(&flag, head + BZIMAGE_BOOT_FLAG, sizeof(flag));
	memcpy(&magic, head + BZIMAGE_MAGIC, sizeof(magic));
	return le16_get(flag) == LINUX_BOOT_FLAG &&
	       le32_get(magic) == LINUX_HEADER_MAGIC;
}

static int bzimage_parse_kernel(struct bzimage *bz, const struct image *image,
				struct error *err)
{
	unsigned int sects = bz->hdr.setup_sects;
	uint64_t size;

	bz->kernel_offset =
		((sects ? sects : SETUP_SECTS_OLD) + 1) * SECTOR_SIZE;
	if (bz->kernel_offset >= image->size)
		return boot_error(image, err, EINVAL,
				  "is a bzImage of %" PRIu64
				  " bytes, but its kernel begins at %" PRIu64
				  "; it is cut",
				  image->size, bz->kernel_offset);
	bz->kernel_size = image->size - bz->kernel_offset;
	/* syssize has 16 bits that can be trusted only since 2.04. */
	if (bz->hdr.version < 0x0204 || bz->hdr.syssize == 0)
		return 0;
	size = UINT64_C(16) * bz->hdr.syssize;
	if (size > bz->kernel_size)
		return boot_error(image, err, EINVAL,
				  "is a bzImage of %" PRIu64
				  " bytes, but its header says %" PRIu64
				  "; it is cut",
				  image->size, bz->kernel_offset + size);
	bz->kernel_size = size;
	return 0;
}

int bzimage_parse(struct bzimage *bz, const struct image *image,
		  const uint8_t *head, size_t len, struct error *err)
{
	size_t end = len;

	memset(bz, 0, sizeof(*bz));
	/* The header ends where the jump over it lands. */
	if (len > BZIMAGE_MAGIC)
		end = BZIMAGE_MAGIC + head[BZIMAGE_JUMP + 1];
	if (end > len)
		return boot_error(image, err, EINVAL,
				  "is a bzImage that is cut within its header");
	if (end > BZIMAGE_HEADER + sizeof(bz->hdr))
		end = BZIMAGE_HEADER + sizeof(bz->hdr);
	memcpy(&bz->hdr, head + BZIMAGE_HEADER, end - BZIMAGE_HEADER);
	if (bz->hdr.version < 0x0202)
		return boot_error(image, err, EINVAL,
				  "has boot protocol %u.%02u; 2.02 (Linux "
				  "2.4) is the oldest that is supported",
				  bz->hdr.version >> 8, bz->hdr.version & 0xff);
	if (!(bz->hdr.loadflags & LOADED_HIGH))
		return boot_error(image, err, EINVAL,
				  "is a zImage, which is loaded below 640 "
				  "KiB; build a bzImage");
	return bzimage_parse_kernel(bz, image, err);
}

bool bzimage_has_entry64(const struct bzimage *bz)
{
	return bz->hdr.version >= 0x020c &&
	       (bz->hdr.xloadflags & XLF_KERNEL_64);
}

/* --- The kernel inside --------------------------------------------------- */

/* Where the payload is, in which format, and how much it says it unpacks to. */
static int bzimage_find_payload(struct bzimage *bz, const struct image *image,
				struct error *err)
{
	uint64_t offset = bz->hdr.payload_offset;
	uint64_t size = bz->hdr.payload_length;
	uint8_t magic[16];
	le32 trailer;
	int ret;

	if (bz->hdr.version < 0x0208)
		return boot_error(image, err, ENOTSUP,
				  "has boot protocol %u.%02u, which does not "
				  "tell where the payload is (2.08 does)",
				  bz->hdr.version >> 8, bz->hdr.version & 0xff);
	if (size < sizeof(magic) + PAYLOAD_TRAILER ||
	    offset + size > bz->kernel_size)
		return boot_error(image, err, ENOTSUP,
				  "has no payload in its %" PRIu64
				  " bytes of kernel",
				  bz->kernel_size);
	bz->payload_offset = bz->kernel_offset + offset;
	bz->payload_size = size;
	ret = image_read(image, bz->payload_offset, magic, sizeof(magic), err);
	if (ret)
		return ret;
	bz->format = unpack_probe(magic, sizeof(magic));
	if (bz->format == UNPACK_NONE)
		return boot_error(image, err, ENOTSUP,
				  "has a payload of an unknown format");
	ret = image_read(image, bz->payload_offset + size - PAYLOAD_TRAILER,
			 &trailer, sizeof(trailer), err);
	bz->unpacked_size = le32_get(trailer);
	return ret;
}

static int bzimage_check_payload(const struct bzimage *bz,
				 const struct image *image, const uint8_t *head,
				 size_t len, struct elf *elf, struct error *err)
{
	uint64_t phys;

	if (elf_parse(elf, image, head, len, bz->unpacked_size, err) != 0)
		return -ENOTSUP;
	if (!elf->is64 && elf->machine != EM_386)
		return boot_error(image, err, ENOTSUP,
				  "has a payload of x86-64 code in a 32-bit "
				  "ELF file");
	if (elf_phys(elf, elf->entry, &phys) != 0)
		return boot_error(image, err, ENOTSUP,
				  "has a payload whose entry 0x%" PRIx64
				  " is in none of its segments",
				  elf->entry);
	return 0;
}

int bzimage_probe_payload(struct bzimage *bz, const struct image *image,
			  struct elf *elf, struct error *err)
{
	size_t max = ELF_HEAD_MAX, len;
	uint8_t *head;
	int ret;

	ret = bzimage_find_payload(bz, image, err);
	if (ret)
		return ret;
	if (max > bz->unpacked_size)
		max = bz->unpacked_size;
	if (max == 0)
		return boot_error(image, err, ENOTSUP,
				  "has a payload that says it is empty");
	head = malloc(max);
	if (!head)
		return boot_error(image, err, ENOMEM, "out of memory");
	ret = unpack_head(image, bz->payload_offset, bz->payload_size,
			  bz->format, PAYLOAD_TRAILER, head, max, &len, err);
	if (ret == 0)
		ret = bzimage_check_payload(bz, image, head, len, elf, err);
	free(head);
	return ret;
}

int bzimage_load_payload(const struct bzimage *bz, const struct image *image,
			 const struct elf *elf, struct boot_mem *bm,
			 struct error *err)
{
	struct elf_stream stream = {.elf = elf, .mem = bm->mem};
	uint64_t memory = guest_mem_size(bm->mem);
	int ret;

	ret = elf_take(elf, image, bm, err);
	if (ret)
		return ret;
	/* What bounds a decompression bomb. The kernel's own decompressor
	 * needs that much memory, too. */
	if (bz->unpacked_size > memory)
		return boot_error(image, err, ENOMEM,
				  "unpacks to %" PRIu64
				  " bytes, but the guest has %" PRIu64
				  "M; give -m at least %" PRIu64 "M",
				  bz->unpacked_size, memory >> 20,
				  (bz->unpacked_size + (1 << 20) - 1) >> 20);
	ret = unpack(image, bz->payload_offset, bz->payload_size, bz->format,
		     bz->unpacked_size, PAYLOAD_TRAILER, elf_stream_feed,
		     &stream, err);
	if (ret)
		return ret;
	if (stream.offset != bz->unpacked_size)
		return boot_error(image, err, EBADMSG,
				  "unpacks to %" PRIu64
				  " bytes instead of the %" PRIu64
				  " that it says; it is damaged",
				  stream.offset, bz->unpacked_size);
	return 0;
}

/* --- The image itself ---------------------------------------------------- */

/*
 * Where the file's kernel part goes, and from where on it works (boot.rst,
 * "init_size"): a relocatable kernel runs where it is loaded, but not below
 * pref_address.
 */
static int bzimage_place(const struct bzimage *bz, const struct image *image,
			 uint64_t *load, uint64_t *runtime, struct error *err)
{
	const struct setup_header *hdr = &bz->hdr;
	uint64_t align = hdr->kernel_alignment;
	uint64_t pref = hdr->version >= 0x020a ? hdr->pref_address : 0;

	*load = hdr->code32_start;
	*runtime = pref ? pref : *load;
	if (hdr->version < 0x0205 || !hdr->relocatable_kernel)
		return 0;
	if (align == 0 || (align & (align - 1)))
		return boot_error(image, err, EINVAL,
				  "has kernel_alignment 0x%" PRIx64
				  ", not a power of two",
				  align);
	if (__builtin_add_overflow(*runtime, align - 1, runtime))
		return boot_error(image, err, EINVAL,
				  "has pref_address 0x%" PRIx64
				  ", beyond the address space",
				  pref);
	*runtime &= ~(align - 1);
	*load = *runtime;
	return 0;
}

int bzimage_load(const struct bzimage *bz, const struct image *image,
		 struct boot_mem *bm, struct setup_header *hdr, uint64_t *load,
		 struct error *err)
{
	uint64_t init_size = bz->hdr.version >= 0x020a ? bz->hdr.init_size : 0;
	uint64_t runtime;
	int ret;

	ret = bzimage_place(bz, image, load, &runtime, err);
	if (ret)
		return ret;
	if (*load > UINT32_MAX)
		return boot_error(
			image, err, EINVAL,
			"is to be loaded at 0x%" PRIx64 ", above 4 GiB", *load);
	ret = boot_mem_take(bm, image, "the kernel", *load, bz->kernel_size,
			    err);
	if (ret)
		return ret;
	ret = boot_mem_check(bm, image, "the kernel unpacking itself", runtime,
			     init_size, err);
	if (ret)
		return ret;
	ret = boot_mem_reserve(bm, image, "the kernel", runtime, init_size,
			       err);
	if (ret)
		return ret;
	ret = guest_mem_read_file(bm->mem, *load, image->fd, bz->kernel_offset,
				  bz->kernel_size);
	if (ret)
		return boot_error(image, err, -ret, "cannot be read: %s",
				  ret == -ENODATA ? "it has become shorter"
						  : strerror(-ret));
	*hdr = bz->hdr;
	hdr->code32_start = (uint32_t)*load;
	return 0;
}
