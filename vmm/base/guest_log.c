#include "vmm/base/guest_log.h"

#include <errno.h>
#include <stdlib.h>

#include <sys/mman.h>

#include "vmm/base/guest_mem.h"

struct guest_log {
	uint8_t *bits; /* mapped; another process's, too */
	uint64_t size; /* bytes */
};

int guest_log_new(struct guest_log **out, int fd, uint64_t offset,
		  uint64_t size)
{
	struct guest_log *log = malloc(sizeof(*log));
	int ret;

	if (!log)
		return -ENOMEM;
	log->size = size;
	log->bits = guest_mem_map_sealed(fd, offset, size);
	if (!log->bits) {
		ret = -errno;
		free(log);
		return ret;
	}
	*out = log;
	return 0;
}

void guest_log_free(struct guest_log *log)
{
	if (!log)
		return;
	munmap(log->bits, log->size);
	free(log);
}

void guest_log_mark(struct guest_log *log, uint64_t gpa, uint64_t len)
{
	uint64_t page = gpa / GUEST_LOG_PAGE, last;

	if (len == 0 || __builtin_add_overflow(gpa, len - 1, &last))
		return;
	last /= GUEST_LOG_PAGE;
	for (; page <= last && page / 8 < log->size; page++)
		__atomic_fetch_or(&log->bits[page / 8],
				  (uint8_t)(1u << page % 8), __ATOMIC_RELEASE);
}
