#include "vmm/base/guest_log.h"

#include <errno.h>
#include <stdlib.h>

#include <sys/mman.h>
#include <sys/stat.h>

#include "vmm/base/guest_mem.h"

struct guest_log {
	uint8_t *bits; /* mapped; another process's, too */
	uint64_t size; /* bytes */
};

static int guest_log_check(int fd, uint64_t offset, uint64_t size)
{
	struct stat st;
	uint64_t end;

	if (size == 0 || offset % GUEST_LOG_PAGE || fstat(fd, &st) < 0 ||
	    __builtin_add_overflow(offset, size, &end) ||
	    end > (uint64_t)st.st_size || !guest_mem_file_stays(fd))
		return -EINVAL;
	return 0;
}

int guest_log_new(struct guest_log **out, int fd, uint64_t offset,
		  uint64_t size)
{
	int ret = guest_log_check(fd, offset, size);
	struct guest_log *log;

	if (ret < 0)
		return ret;
	log = malloc(sizeof(*log));
	if (!log)
		return -ENOMEM;
	log->size = size;
	log->bits = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 (off_t)offset);
	if (log->bits == MAP_FAILED) {
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
