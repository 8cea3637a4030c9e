/*
 * A log of the pages of guest memory that were written to: a bitmap in a file
 * that another process shares with us, and reads while we set bits.
 * vhost-user's (QEMU's docs/interop/vhost-user, "Migration"): page 0 is at
 * guest physical address 0, whatever regions there are.
 */
#ifndef VMM_BASE_GUEST_LOG_H
#define VMM_BASE_GUEST_LOG_H

#include <stdint.h>

#define GUEST_LOG_PAGE UINT64_C(4096)

struct guest_log;

/**
 * guest_log_new() - Map a log.
 * @out: for guest_log_free()
 * @fd: borrowed; as guest_mem_map_sealed() has it
 * @offset: where it begins in the file, a multiple of GUEST_LOG_PAGE
 * @size: bytes, of eight pages each
 *
 * Return: 0; or a negative errno, of that or of malloc(3).
 */
int guest_log_new(struct guest_log **out, int fd, uint64_t offset,
		  uint64_t size);

/* NULL is nothing to do. */
void guest_log_free(struct guest_log *log);

/* The bytes at guest physical [gpa, gpa + len) have been written: what is seen
 * of them by who sees the bits. What is beyond the log is left out. Any thread.
 */
void guest_log_mark(struct guest_log *log, uint64_t gpa, uint64_t len);

#endif
