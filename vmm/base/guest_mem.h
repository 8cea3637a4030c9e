/*
 * Guest memory: one memfd, mapped once, seen by the guest as a few regions of
 * guest physical addresses. The only way to guest memory: every address here
 * comes from a guest or a file and is checked.
 *
 * In a process that has a device only, memory is another process's: it begins
 * with nothing, and regions come and go (guest_mem_add()).
 */
#ifndef VMM_BASE_GUEST_MEM_H
#define VMM_BASE_GUEST_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define GUEST_MEM_REGIONS_MAX 4	 /* of a guest's own */
#define GUEST_MEM_SLOTS_MAX   32 /* of one that is another process's */

struct guest_mem;

/* One run of RAM; regions lie in the memfd one behind the other. */
struct guest_mem_region {
	uint64_t base; /* guest physical address, a multiple of the page size */
	uint64_t size; /* bytes, likewise */
};

/**
 * guest_mem_new() - Make and map the memory of a guest, all zero.
 * @out: the new object, for guest_mem_free()
 * @regions: ascending, not overlapping
 * @count: 1 to GUEST_MEM_REGIONS_MAX
 * @huge_page: 0, or the size in bytes of the hugetlb pages to use (2 MiB or
 *             1 GiB); every region must be a multiple of it
 * @err: names --memory
 *
 * Pages are made on first touch, so a guest may have more than the host has.
 * They are huge ones of their own accord where the host has
 * shmem_enabled=advise. Return: 0, -EINVAL, -ENOMEM or what memfd_create(2) and
 * mmap(2) say.
 */
int guest_mem_new(struct guest_mem **out,
		  const struct guest_mem_region *regions, unsigned int count,
		  uint64_t huge_page, struct error *err);

/* Memory of another process's: none yet. For guest_mem_free(). Return: 0 or
 * -ENOMEM. */
int guest_mem_new_empty(struct guest_mem **out);

/**
 * guest_mem_add() - Map a region of another process's.
 * @mem: of guest_mem_new_empty()
 * @region: any, which the other process says; checked
 * @fd: borrowed: the mapping outlives it
 * @offset: in the file, in bytes, of the region's beginning; a multiple of 4096
 * @err: what is wrong with it
 *
 * A file that guest_mem_map_sealed() would not take is taken only where it is
 * caught that there is no page, see guest_fault.h. Nobody else uses @mem during
 * it. Return: 0; -EINVAL for a region that cannot be, or is not all in the
 * file; -EEXIST if it overlaps another, -ENOSPC; or what mmap(2) says.
 */
int guest_mem_add(struct guest_mem *mem, const struct guest_mem_region *region,
		  int fd, uint64_t offset, struct error *err);

/**
 * guest_mem_map_sealed() - Map a piece of another process's file for good.
 * @fd: borrowed; a memfd with F_SEAL_SHRINK, of usual pages: nobody can cut it
 *      off, and each of its pages can be had
 * @offset: bytes, a multiple of 4096
 * @len: bytes, not 0, that the file has there
 *
 * Return: what munmap(2) takes; or NULL, and errno: EINVAL for any other file
 * or place; or what mmap(2) says.
 */
void *guest_mem_map_sealed(int fd, uint64_t offset, uint64_t len);

/* Take it away again. Nothing may use spans of it any more. Return: 0, or
 * -ENOENT if there is no region of exactly these addresses. */
int guest_mem_remove(struct guest_mem *mem,
		     const struct guest_mem_region *region);

/* Unmap and close; NULL is nothing to do. */
void guest_mem_free(struct guest_mem *mem);

/* Bytes in all. */
uint64_t guest_mem_size(const struct guest_mem *mem);

/* The memfd, borrowed; -1 for another process's. */
int guest_mem_fd(const struct guest_mem *mem);

/**
 * guest_mem_regions() - The regions, as given to guest_mem_new() or added.
 * @regions: borrowed from @mem
 *
 * Return: how many.
 */
unsigned int guest_mem_regions(const struct guest_mem *mem,
			       const struct guest_mem_region **regions);

/**
 * guest_mem_span() - Host address of [@gpa, @gpa + @len).
 *
 * The guest may change what is there at any time. Any thread.
 * Return: the address, or NULL if the span is empty or not all in one region.
 */
void *guest_mem_span(const struct guest_mem *mem, uint64_t gpa, uint64_t len);

/* The guest physical address of one that guest_mem_span() gave. Any thread.
 * Return: 0, or -EFAULT if it is in no region. */
int guest_mem_address(const struct guest_mem *mem, const void *host,
		      uint64_t *gpa);

/*
 * Copy from or to guest memory, or zero it. Any thread; not atomic. @len may
 * be 0. Return: 0, or -EFAULT if the span is not all in one region (nothing
 * was copied then).
 */
int guest_mem_read(const struct guest_mem *mem, uint64_t gpa, void *buf,
		   uint64_t len);
int guest_mem_write(const struct guest_mem *mem, uint64_t gpa, const void *buf,
		    uint64_t len);
int guest_mem_zero(const struct guest_mem *mem, uint64_t gpa, uint64_t len);

/**
 * guest_mem_read_file() - Read @len bytes at @offset of @fd into the guest.
 *
 * May block. Return: 0, -EFAULT, -ENODATA if the file is shorter than that
 * (part may have been read), or what pread(2) says.
 */
int guest_mem_read_file(const struct guest_mem *mem, uint64_t gpa, int fd,
			uint64_t offset, uint64_t len);

/**
 * guest_mem_discard() - Make all memory zero again and give its pages back.
 *
 * No vCPU may run. Return: 0, or what fallocate(2) says.
 */
int guest_mem_discard(struct guest_mem *mem);

#endif
