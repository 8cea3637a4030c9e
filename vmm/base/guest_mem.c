/*
 * Guest memory. Addresses and lengths come from a guest, a kernel image or
 * later a device's peer: guest_mem_span() checks them, and everything else
 * here goes through it.
 *
 * The memfd is sealed against a change of its size, so that a process that it
 * is shared with cannot cut it off under our mapping, which would be a SIGBUS.
 */
#include "vmm/base/guest_mem.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/base/guest_fault.h"
#include "vmm/base/log.h"

#define GUEST_MEM_PAGE	    UINT64_C(4096)
#define GUEST_MEM_HUGE_PAGE (UINT64_C(2) << 20)

/* What is mapped for a region that was added: whole pages of its file. */
struct guest_mem_map {
	void *start;
	uint64_t len;
};

struct guest_mem {
	uint8_t *host; /* the regions, one behind the other; NULL: added */
	uint64_t size; /* bytes in all */
	int fd;	       /* owned; -1: added */
	unsigned int count;
	struct guest_mem_region regions[GUEST_MEM_SLOTS_MAX];
	uint8_t *hosts[GUEST_MEM_SLOTS_MAX];		/* of each */
	struct guest_mem_map maps[GUEST_MEM_SLOTS_MAX]; /* of those added */
};

/* Take regions over and add them up. Return: 0 or -EINVAL. */
static int guest_mem_lay_out(struct guest_mem *mem,
			     const struct guest_mem_region *regions,
			     unsigned int count, uint64_t align)
{
	uint64_t free_from = 0;

	if (count == 0 || count > GUEST_MEM_REGIONS_MAX)
		return -EINVAL;
	for (unsigned int i = 0; i < count; i++) {
		const struct guest_mem_region *region = &regions[i];

		if (region->size == 0 || region->size % align ||
		    region->base % align || region->base < free_from)
			return -EINVAL;
		if (__builtin_add_overflow(region->base, region->size,
					   &free_from))
			return -EINVAL;
		mem->regions[i] = *region;
		/* Cannot wrap: the regions do not overlap. */
		mem->size += region->size;
	}
	mem->count = count;
	return 0;
}

static void guest_mem_warn_size(uint64_t size)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long page_size = sysconf(_SC_PAGESIZE);
	uint64_t host;

	if (pages <= 0 || page_size <= 0)
		return;
	host = (uint64_t)pages * (uint64_t)page_size;
	if (size > host)
		log_warn("--memory: the guest has %" PRIu64
			 " MiB, this host %" PRIu64
			 " MiB; a guest that uses all of its memory will be "
			 "killed",
			 size >> 20, host >> 20);
}

/* One of the host's numbers about pages of that size, 0 if it has none. */
static uint64_t guest_mem_huge_pages(uint64_t huge_page, const char *name)
{
	char path[96], text[32];
	uint64_t value = 0;
	FILE *file;

	snprintf(path, sizeof(path),
		 "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/%s",
		 huge_page >> 10, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fgets(text, sizeof(text), file))
		value = strtoull(text, NULL, 10);
	fclose(file);
	return value;
}

static int guest_mem_fail(const struct guest_mem *mem, int errnum,
			  const char *what, struct error *err)
{
	return error_set(err, errnum,
			 "--memory: cannot get %" PRIu64
			 " MiB of guest memory: %s: %s",
			 mem->size >> 20, what, strerror(errnum));
}

static int guest_mem_fail_huge_page(uint64_t huge_page, int errnum,
				    struct error *err)
{
	return error_set(err, errnum,
			 "--memory: this host has no huge pages of %" PRIu64
			 " MiB; leave hugepages= away or take another size",
			 huge_page >> 20);
}

static int guest_mem_fail_reserve(const struct guest_mem *mem,
				  uint64_t huge_page, struct error *err)
{
	uint64_t unused = guest_mem_huge_pages(huge_page, "free_hugepages");
	uint64_t promised = guest_mem_huge_pages(huge_page, "resv_hugepages");

	return error_set(err, ENOMEM,
			 "--memory: expected %" PRIu64 " free huge pages of "
			 "%" PRIu64 " MiB, found %" PRIu64 "; write the number "
			 "that all guests need to /sys/kernel/mm/hugepages/"
			 "hugepages-%" PRIu64 "kB/nr_hugepages%s",
			 mem->size / huge_page, huge_page >> 20,
			 unused > promised ? unused - promised : 0,
			 huge_page >> 10,
			 huge_page == UINT64_C(2) << 20
				 ? " (or /proc/sys/vm/nr_hugepages)"
				 : "");
}

/* Make the file. Return: 0, or -errno with err set. */
static int guest_mem_create(struct guest_mem *mem, uint64_t huge_page,
			    struct error *err)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;

	if (huge_page) {
		unsigned int log2 = (unsigned int)__builtin_ctzll(huge_page);

		flags |= MFD_HUGETLB | log2 << MFD_HUGE_SHIFT;
	}
	mem->fd = memfd_create("bantam-guest-memory", flags);
	if (mem->fd < 0 && huge_page &&
	    (errno == ENODEV || errno == EINVAL || errno == ENOSYS))
		return guest_mem_fail_huge_page(huge_page, errno, err);
	if (mem->fd < 0)
		return guest_mem_fail(mem, errno, "memfd_create", err);
	if (ftruncate(mem->fd, (off_t)mem->size) < 0)
		return guest_mem_fail(mem, errno, "ftruncate", err);
	if (fcntl(mem->fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return guest_mem_fail(mem, errno, "F_ADD_SEALS", err);
	return 0;
}

/*
 * Where the memory shall be: at a multiple of the host's usual huge page, as it
 * is in the file and in the guest, so that such pages may back it.
 */
static void *guest_mem_place(uint64_t size)
{
	const uint64_t align = GUEST_MEM_HUGE_PAGE;
	uint8_t *room, *start;
	size_t head;

	room = mmap(NULL, size + align, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (room == MAP_FAILED)
		return MAP_FAILED;
	head = (size_t)(-(uintptr_t)room & (align - 1));
	start = room + head;
	if (head)
		munmap(room, head);
	munmap(start + size, align - head);
	return start;
}

static int guest_mem_map(struct guest_mem *mem, uint64_t huge_page,
			 struct error *err)
{
	/*
	 * Huge pages are reserved here and now: without them a guest would
	 * be killed by its first access.
	 */
	int flags = MAP_SHARED | (huge_page ? 0 : MAP_NORESERVE);
	void *place = NULL, *host;

	if (!huge_page) {
		place = guest_mem_place(mem->size);
		if (place == MAP_FAILED)
			return guest_mem_fail(mem, errno, "mmap", err);
		flags |= MAP_FIXED;
	}
	host = mmap(place, mem->size, PROT_READ | PROT_WRITE, flags, mem->fd,
		    0);
	if (host == MAP_FAILED && place)
		munmap(place, mem->size);
	if (host == MAP_FAILED && huge_page && errno == ENOMEM)
		return guest_mem_fail_reserve(mem, huge_page, err);
	if (host == MAP_FAILED)
		return guest_mem_fail(mem, errno, "mmap", err);
	mem->host = host;
	for (unsigned int i = 0; i < mem->count; i++) {
		mem->hosts[i] = host;
		host = mem->hosts[i] + mem->regions[i].size;
	}
	/*
	 * Fewer faults, where the host lets shared memory have huge pages
	 * (shmem_enabled); and no guest in core files. Neither is needed, so
	 * a failure is none of ours.
	 */
	madvise(mem->host, mem->size, MADV_HUGEPAGE);
	madvise(mem->host, mem->size, MADV_DONTDUMP);
	return 0;
}

int guest_mem_new(struct guest_mem **out,
		  const struct guest_mem_region *regions, unsigned int count,
		  uint64_t huge_page, struct error *err)
{
	uint64_t align = huge_page ? huge_page : GUEST_MEM_PAGE;
	struct guest_mem *mem;
	int ret;

	if (align & (align - 1))
		return error_set(err, EINVAL,
				 "--memory: %" PRIu64
				 " is no size of huge pages",
				 huge_page);
	mem = calloc(1, sizeof(*mem));
	if (!mem)
		return error_set(err, ENOMEM, "--memory: out of memory");
	mem->fd = -1;
	ret = guest_mem_lay_out(mem, regions, count, align);
	if (ret < 0) {
		error_set(err, -ret,
			  "--memory: the guest's RAM cannot be laid out in "
			  "pages of %" PRIu64 " KiB; take a multiple of that",
			  align >> 10);
		goto err_free;
	}
	if (huge_page == 0)
		guest_mem_warn_size(mem->size);
	ret = guest_mem_create(mem, huge_page, err);
	if (ret < 0)
		goto err_free;
	ret = guest_mem_map(mem, huge_page, err);
	if (ret < 0)
		goto err_free;
	*out = mem;
	return 0;

err_free:
	guest_mem_free(mem);
	return ret;
}

/* --- Memory of another process's ------------------------------------------
 */

int guest_mem_new_empty(struct guest_mem **out)
{
	struct guest_mem *mem = calloc(1, sizeof(*mem));

	if (!mem)
		return -ENOMEM;
	mem->fd = -1;
	*out = mem;
	return 0;
}

/* Whether that is a region, and one more. */
static int guest_mem_check_region(const struct guest_mem *mem,
				  const struct guest_mem_region *region,
				  struct error *err)
{
	uint64_t end;

	if (region->size == 0 || region->size % GUEST_MEM_PAGE ||
	    region->base % GUEST_MEM_PAGE ||
	    __builtin_add_overflow(region->base, region->size, &end))
		return error_set(err, EINVAL,
				 "0x%" PRIx64 " bytes at 0x%" PRIx64
				 " are no region",
				 region->size, region->base);
	for (unsigned int i = 0; i < mem->count; i++) {
		const struct guest_mem_region *other = &mem->regions[i];

		if (region->base < other->base + other->size &&
		    other->base < end)
			return error_set(err, EEXIST,
					 "the regions at 0x%" PRIx64
					 " and 0x%" PRIx64 " overlap",
					 other->base, region->base);
	}
	if (mem->count == GUEST_MEM_SLOTS_MAX)
		return error_set(err, ENOSPC, "more than %d regions",
				 GUEST_MEM_SLOTS_MAX);
	return 0;
}

/* Bytes of the pages that a file is mapped in. */
static uint64_t guest_mem_file_page(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC &&
	    (uint64_t)fs.f_bsize > GUEST_MEM_PAGE)
		return (uint64_t)fs.f_bsize;
	return GUEST_MEM_PAGE;
}

/* Whether [offset, offset + len) is all in the file. */
static int guest_mem_check_file(int fd, uint64_t offset, uint64_t len,
				struct error *err)
{
	struct stat st;
	uint64_t end;

	if (fstat(fd, &st) < 0)
		return error_set(err, errno, "fstat: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "memory that is no file");
	/* Rings are aligned in the guest, and have to be so here. */
	if (offset % GUEST_MEM_PAGE)
		return error_set(err, EINVAL,
				 "0x%" PRIx64 " of a file is not the beginning "
				 "of a page",
				 offset);
	if (__builtin_add_overflow(offset, len, &end) ||
	    end > (uint64_t)st.st_size)
		return error_set(err, EINVAL,
				 "0x%" PRIx64 " bytes at 0x%" PRIx64
				 " of a file that has 0x%" PRIx64,
				 len, offset, (uint64_t)st.st_size);
	return 0;
}

static bool guest_mem_file_stays(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	/* A hole in one of huge pages has no page reserved any more. */
	return seals >= 0 && seals & F_SEAL_SHRINK &&
	       guest_mem_file_page(fd) == GUEST_MEM_PAGE;
}

void *guest_mem_map_sealed(int fd, uint64_t offset, uint64_t len)
{
	struct stat st;
	uint64_t end;
	void *map;

	if (__builtin_add_overflow(offset, len, &end) || fstat(fd, &st) < 0 ||
	    end > (uint64_t)st.st_size || !guest_mem_file_stays(fd)) {
		errno = EINVAL;
		return NULL;
	}
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   (off_t)offset);
	return map == MAP_FAILED ? NULL : map;
}

static int guest_mem_map_file(struct guest_mem_map *map, int fd,
			      uint64_t offset, uint64_t len, struct error *err)
{
	int ret;

	map->len = len;
	map->start = mmap(NULL, len, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_NORESERVE, fd, (off_t)offset);
	if (map->start == MAP_FAILED)
		return error_set(err, errno, "mmap of 0x%" PRIx64 " bytes: %s",
				 len, strerror(errno));
	madvise(map->start, len, MADV_DONTDUMP);
	ret = guest_mem_file_stays(fd) ? 0 : guest_fault_add(map->start, len);
	if (ret == 0)
		return 0;
	munmap(map->start, len);
	return error_set(err, -ret,
			 ret == -EPERM
				 ? "memory that may be taken away; expected a "
				   "memfd with F_SEAL_SHRINK, of usual pages"
				 : "too many regions that may be taken away");
}

int guest_mem_add(struct guest_mem *mem, const struct guest_mem_region *region,
		  int fd, uint64_t offset, struct error *err)
{
	const uint64_t page = guest_mem_file_page(fd);
	const uint64_t skew = offset % page;
	struct guest_mem_map *map = &mem->maps[mem->count];
	int ret;

	assert(!mem->host);
	ret = guest_mem_check_region(mem, region, err);
	if (ret == 0)
		ret = guest_mem_check_file(fd, offset, region->size, err);
	if (ret == 0)
		/* Cannot wrap: it ends in the file, but for the last page. */
		ret = guest_mem_map_file(
			map, fd, offset - skew,
			(region->size + skew + page - 1) / page * page, err);
	if (ret < 0)
		return ret;
	mem->regions[mem->count] = *region;
	mem->hosts[mem->count] = (uint8_t *)map->start + skew;
	mem->count++;
	mem->size += region->size;
	return 0;
}

static void guest_mem_drop(struct guest_mem *mem, unsigned int index)
{
	const unsigned int last = mem->count - 1;
	const struct guest_mem_map *map = &mem->maps[index];

	guest_fault_remove(map->start);
	munmap(map->start, map->len);
	mem->size -= mem->regions[index].size;
	mem->regions[index] = mem->regions[last];
	mem->hosts[index] = mem->hosts[last];
	mem->maps[index] = mem->maps[last];
	mem->count--;
}

int guest_mem_remove(struct guest_mem *mem,
		     const struct guest_mem_region *region)
{
	assert(!mem->host);
	for (unsigned int i = 0; i < mem->count; i++) {
		if (mem->regions[i].base != region->base ||
		    mem->regions[i].size != region->size)
			continue;
		guest_mem_drop(mem, i);
		return 0;
	}
	return -ENOENT;
}

void guest_mem_free(struct guest_mem *mem)
{
	if (!mem)
		return;
	if (mem->host)
		munmap(mem->host, mem->size);
	else
		while (mem->count)
			guest_mem_drop(mem, mem->count - 1);
	if (mem->fd >= 0)
		close(mem->fd);
	free(mem);
}

uint64_t guest_mem_size(const struct guest_mem *mem)
{
	return mem->size;
}

int guest_mem_fd(const struct guest_mem *mem)
{
	return mem->fd;
}

unsigned int guest_mem_regions(const struct guest_mem *mem,
			       const struct guest_mem_region **regions)
{
	*regions = mem->regions;
	return mem->count;
}

void *guest_mem_span(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	if (len == 0)
		return NULL;
	for (unsigned int i = 0; i < mem->count; i++) {
		const struct guest_mem_region *region = &mem->regions[i];
		uint64_t offset = gpa - region->base;

		/* Below base, offset wraps and is past any size. */
		if (offset >= region->size)
			continue;
		if (len > region->size - offset)
			return NULL;
		return mem->hosts[i] + offset;
	}
	return NULL;
}

int guest_mem_address(const struct guest_mem *mem, const void *host,
		      uint64_t *gpa)
{
	for (unsigned int i = 0; i < mem->count; i++) {
		const uint64_t offset =
			(uintptr_t)host - (uintptr_t)mem->hosts[i];

		if (offset >= mem->regions[i].size)
			continue;
		*gpa = mem->regions[i].base + offset;
		return 0;
	}
	return -EFAULT;
}

int guest_mem_read(const struct guest_mem *mem, uint64_t gpa, void *buf,
		   uint64_t len)
{
	const void *span;

	if (len == 0)
		return 0;
	span = guest_mem_span(mem, gpa, len);
	if (!span)
		return -EFAULT;
	memcpy(buf, span, len);
	return 0;
}

int guest_mem_write(const struct guest_mem *mem, uint64_t gpa, const void *buf,
		    uint64_t len)
{
	void *span;

	if (len == 0)
		return 0;
	span = guest_mem_span(mem, gpa, len);
	if (!span)
		return -EFAULT;
	memcpy(span, buf, len);
	return 0;
}

int guest_mem_zero(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	void *span;

	if (len == 0)
		return 0;
	span = guest_mem_span(mem, gpa, len);
	if (!span)
		return -EFAULT;
	memset(span, 0, len);
	return 0;
}

int guest_mem_read_file(const struct guest_mem *mem, uint64_t gpa, int fd,
			uint64_t offset, uint64_t len)
{
	uint64_t end;
	uint8_t *span;

	if (len == 0)
		return 0;
	span = guest_mem_span(mem, gpa, len);
	if (!span)
		return -EFAULT;
	/* No file reaches beyond what off_t can say. */
	if (__builtin_add_overflow(offset, len, &end) || end > INT64_MAX)
		return -ENODATA;
	while (len) {
		ssize_t n = pread(fd, span, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		span += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int guest_mem_discard(struct guest_mem *mem)
{
	if (fallocate(mem->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)mem->size) < 0)
		return -errno;
	return 0;
}
