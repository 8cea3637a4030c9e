/*
 * Where the parts of a kernel may go. The addresses come from the headers of a
 * file that the user named and may be anything; the map is the machine's own.
 */
#include "vmm/base/boot_mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MIB UINT64_C(0x100000)

int boot_error(const struct image *image, struct error *err, int errnum,
	       const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return error_set(err, errnum, "%s %s: %s", image->option, image->path,
			 text);
}

static bool boot_mem_is_ram(const struct boot_mem *bm, uint64_t base,
			    uint64_t end)
{
	for (unsigned int i = 0; i < bm->map_count; i++) {
		const struct memmap_entry *m = &bm->map[i];

		if (m->type == MEMMAP_RAM && base >= m->base &&
		    end <= m->base + m->size)
			return true;
	}
	return false;
}

static int boot_mem_no_ram(const struct boot_mem *bm, const struct image *image,
			   const char *what, uint64_t base, uint64_t end,
			   struct error *err)
{
	uint64_t have = guest_mem_size(bm->mem);
	uint64_t need = bm->layout->needed(base, end);

	if (need <= have)
		return boot_error(image, err, EINVAL,
				  "%s is to be at 0x%" PRIx64 "-0x%" PRIx64
				  ", where no memory size puts RAM",
				  what, base, end - 1);
	return boot_error(image, err, ENOMEM,
			  "%s needs memory up to 0x%" PRIx64
			  ", but the guest has %" PRIu64
			  "M; give -m at least %" PRIu64 "M",
			  what, end - 1, have / MIB, need / MIB);
}

int boot_mem_check(const struct boot_mem *bm, const struct image *image,
		   const char *what, uint64_t base, uint64_t size,
		   struct error *err)
{
	const struct boot_layout *layout = bm->layout;
	uint64_t end;

	if (__builtin_add_overflow(base, size, &end))
		return boot_error(image, err, EINVAL,
				  "%s at 0x%" PRIx64 " with 0x%" PRIx64
				  " bytes is beyond the address space",
				  what, base, size);
	if (size == 0)
		return 0;
	for (unsigned int i = 0; i < layout->area_count; i++)
		if (base < layout->areas[i].end && end > layout->areas[i].base)
			return boot_error(
				image, err, EINVAL,
				"%s is to be at 0x%" PRIx64 "-0x%" PRIx64
				", on top of %s; link it at 0x%" PRIx64
				" or above",
				what, base, end - 1, layout->areas[i].what,
				layout->lowest);
	if (!boot_mem_is_ram(bm, base, end))
		return boot_mem_no_ram(bm, image, what, base, end, err);
	return 0;
}

/* The first claimed range that [base, end) touches, or NULL. */
static const struct boot_range *boot_mem_taken(const struct boot_mem *bm,
					       uint64_t base, uint64_t end)
{
	for (unsigned int i = 0; i < bm->taken_count; i++)
		if (base < bm->taken[i].end && end > bm->taken[i].base)
			return &bm->taken[i];
	return NULL;
}

int boot_mem_reserve(struct boot_mem *bm, const struct image *image,
		     const char *what, uint64_t base, uint64_t size,
		     struct error *err)
{
	struct boot_range *r;
	uint64_t end;

	if (size == 0)
		return 0;
	if (__builtin_add_overflow(base, size, &end))
		return boot_error(image, err, EINVAL,
				  "%s at 0x%" PRIx64 " with 0x%" PRIx64
				  " bytes is beyond the address space",
				  what, base, size);
	if (bm->taken_count == BOOT_MEM_TAKEN_MAX)
		return boot_error(image, err, E2BIG,
				  "has more than the %d parts that fit",
				  BOOT_MEM_TAKEN_MAX);
	r = &bm->taken[bm->taken_count++];
	r->base = base;
	r->end = end;
	snprintf(r->what, sizeof(r->what), "%s", what);
	return 0;
}

int boot_mem_take(struct boot_mem *bm, const struct image *image,
		  const char *what, uint64_t base, uint64_t size,
		  struct error *err)
{
	const struct boot_range *other;
	int ret;

	ret = boot_mem_check(bm, image, what, base, size, err);
	if (ret || size == 0)
		return ret;
	other = boot_mem_taken(bm, base, base + size);
	if (other)
		return boot_error(image, err, EINVAL,
				  "%s at 0x%" PRIx64 "-0x%" PRIx64
				  " overlaps %s at 0x%" PRIx64 "-0x%" PRIx64,
				  what, base, base + size - 1, other->what,
				  other->base, other->end - 1);
	return boot_mem_reserve(bm, image, what, base, size, err);
}

/* Where everything that is claimed below limit ends. */
static uint64_t boot_mem_used_end(const struct boot_mem *bm, uint64_t limit)
{
	uint64_t end = bm->layout->lowest;

	for (unsigned int i = 0; i < bm->taken_count; i++)
		if (bm->taken[i].base < limit && bm->taken[i].end > end)
			end = bm->taken[i].end;
	return end;
}

/* Is there room for size bytes ending at or below end, page aligned? */
static bool boot_mem_fits(const struct boot_mem *bm, uint64_t end,
			  uint64_t size, uint64_t *base)
{
	if (end < size)
		return false;
	*base = (end - size) & ~(BOOT_PAGE_SIZE - 1);
	return *base >= bm->layout->lowest &&
	       boot_mem_is_ram(bm, *base, *base + size) &&
	       !boot_mem_taken(bm, *base, *base + size);
}

static bool boot_mem_find_top(const struct boot_mem *bm, uint64_t size,
			      uint64_t limit, uint64_t *out)
{
	uint64_t end, base;
	bool found = false;

	/* The highest place ends at the limit, or where RAM does, or where
	 * something that is claimed begins. */
	for (unsigned int i = 0; i <= bm->map_count + bm->taken_count; i++) {
		if (i < bm->map_count)
			end = bm->map[i].base + bm->map[i].size;
		else if (i < bm->map_count + bm->taken_count)
			end = bm->taken[i - bm->map_count].base;
		else
			end = limit;
		if (end > limit || !boot_mem_fits(bm, end, size, &base))
			continue;
		if (!found || base > *out)
			*out = base;
		found = true;
	}
	return found;
}

static bool boot_mem_find_above(const struct boot_mem *bm, uint64_t size,
				uint64_t limit, uint64_t *out)
{
	uint64_t base = boot_mem_used_end(bm, limit);
	uint64_t end;

	if (__builtin_add_overflow(base, BOOT_PAGE_SIZE - 1, &base))
		return false;
	base &= ~(BOOT_PAGE_SIZE - 1);
	*out = base;
	return !__builtin_add_overflow(base, size, &end) && end <= limit &&
	       boot_mem_is_ram(bm, base, end);
}

static int boot_mem_no_room(const struct boot_mem *bm,
			    const struct image *initrd, uint64_t limit,
			    struct error *err)
{
	uint64_t have = guest_mem_size(bm->mem);
	uint64_t used = boot_mem_used_end(bm, limit) + BOOT_PAGE_SIZE - 1;
	uint64_t end = (used & ~(BOOT_PAGE_SIZE - 1)) + initrd->size;
	const struct boot_layout *layout = bm->layout;
	uint64_t need = end > limit ? 0 : layout->needed(layout->lowest, end);

	/* Too big for low RAM: it will go above the hole, if the kernel can. */
	if (need == 0 && layout->high && limit > layout->high)
		need = layout->needed(layout->high,
				      layout->high + initrd->size);
	if (need <= have)
		return boot_error(initrd, err, ENOMEM,
				  "%" PRIu64 " bytes do not fit between the "
				  "kernel and 0x%" PRIx64
				  ", the highest address that it can use for "
				  "an initrd; make it smaller",
				  initrd->size, limit - 1);
	return boot_error(initrd, err, ENOMEM,
			  "%" PRIu64 " bytes do not fit beside the kernel "
			  "into %" PRIu64 "M; give -m at least %" PRIu64 "M",
			  initrd->size, have / MIB, need / MIB);
}

int boot_mem_initrd(struct boot_mem *bm, const struct image *initrd,
		    enum boot_place place, uint64_t limit, uint64_t *base,
		    struct error *err)
{
	bool found = false;
	int ret;

	if (place == BOOT_PLACE_ABOVE)
		found = boot_mem_find_above(bm, initrd->size, limit, base);
	if (!found)
		found = boot_mem_find_top(bm, initrd->size, limit, base);
	if (!found)
		return boot_mem_no_room(bm, initrd, limit, err);
	ret = boot_mem_take(bm, initrd, "the initrd", *base, initrd->size, err);
	if (ret)
		return ret;
	ret = guest_mem_read_file(bm->mem, *base, initrd->fd, 0, initrd->size);
	if (ret == -ENODATA)
		return boot_error(initrd, err, ENODATA,
				  "has become shorter than the %" PRIu64
				  " bytes that it had",
				  initrd->size);
	if (ret)
		return boot_error(initrd, err, -ret, "cannot be read: %s",
				  strerror(-ret));
	return 0;
}

int boot_mem_write(struct boot_mem *bm, const char *what, uint64_t gpa,
		   const void *data, uint64_t len, struct error *err)
{
	int ret = guest_mem_write(bm->mem, gpa, data, len);

	if (ret)
		return error_set(err, -ret,
				 "--memory: no RAM at 0x%" PRIx64 " for %s",
				 gpa, what);
	return 0;
}
