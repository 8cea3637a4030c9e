/*
 * The image of a disk: its descriptors, its engines and the requests in
 * flight, see virtio/block_file.h. Offsets and lengths are the guest's, and
 * checked against the size by the caller.
 */
#include "virtio/block_file_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <linux/fs.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/log.h"

#define BLOCK_THREADS 8 /* without io_uring; for discards one does */

static int block_file_buffers(struct block_file *file)
{
	size_t align = file->config.offset_align;

	if (align < file->config.mem_align)
		align = file->config.mem_align;
	if (align < 4096)
		align = 4096;
	file->buffer_size = BLOCK_BUFFER_MIN;
	if (file->overlay)
		file->buffer_size = block_overlay_cluster_size(file->overlay);
	if (posix_memalign((void **)&file->buffer, align, file->buffer_size))
		return -ENOMEM;
	if (posix_memalign((void **)&file->zeroes, align, BLOCK_BUFFER_MIN))
		return -ENOMEM;
	memset(file->zeroes, 0, BLOCK_BUFFER_MIN);
	for (unsigned int i = 0; i < BLOCK_ZEROES_IOVS; i++)
		file->zero_iov[i] =
			(struct iovec){file->zeroes, BLOCK_BUFFER_MIN};
	return 0;
}

/* The files of calls by their number, and behind them what is only held. */
static int block_file_new_uring(struct block_file *file, unsigned int count)
{
	int files[3];

	memcpy(files, file->config.fds, count * sizeof(files[0]));
	if (file->config.life_fd)
		files[count++] = file->config.life_fd;
	return block_uring_new(&file->uring, files, count, file->event_fd);
}

static int block_file_engines(struct block_file *file, struct error *err)
{
	const int *fds = file->config.fds;
	const unsigned int count = fds[BLOCK_FD_OVERLAY] < 0 ? 1 : 2;
	unsigned int threads = 0;
	int ret = -ENOSYS;

	if (file->config.engine != BLOCK_ENGINE_THREADS)
		ret = block_file_new_uring(file, count);
	if (ret < 0 && file->config.engine == BLOCK_ENGINE_URING)
		return error_set(err, -ret, "io_uring: %s", strerror(-ret));
	if (ret < 0)
		threads = BLOCK_THREADS;
	else if (file->config.device && !file->config.ro && count == 1)
		threads = 1;
	if (ret < 0 && file->config.engine == BLOCK_ENGINE_AUTO)
		log_info("block: no io_uring (%s), threads do it",
			 strerror(-ret));
	if (threads == 0)
		return 0;
	ret = block_pool_new(&file->pool, fds, count, threads, file->event_fd);
	return ret < 0 ? error_set(err, -ret, "threads: %s", strerror(-ret))
		       : 0;
}

static int block_file_set_up(struct block_file *file, struct error *err)
{
	const int map = file->config.fds[BLOCK_FD_MAP];
	int ret;

	file->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (file->event_fd < 0)
		return error_set(err, errno, "eventfd: %s", strerror(errno));
	if (map >= 0) {
		ret = block_overlay_new(&file->overlay, map, file->size);
		if (ret < 0)
			return error_set(err, -ret, "map of the overlay: %s",
					 strerror(-ret));
	}
	if (block_file_buffers(file) < 0)
		return error_set(err, ENOMEM, "no memory");
	return block_file_engines(file, err);
}

int block_file_new(struct block_file **out,
		   const struct block_file_config *config, struct error *err)
{
	struct block_file *file = calloc(1, sizeof(*file));
	int ret;

	if (!file)
		return error_set(err, ENOMEM, "no memory");
	file->config = *config;
	file->size = config->size;
	file->event_fd = -1;
	ret = block_file_set_up(file, err);
	if (ret < 0) {
		block_file_free(file);
		return ret;
	}
	*out = file;
	return 0;
}

void block_file_free(struct block_file *file)
{
	if (!file)
		return;
	assert(file->in_flight == 0);
	block_uring_free(file->uring);
	block_pool_free(file->pool);
	block_overlay_free(file->overlay);
	if (file->event_fd >= 0)
		close(file->event_fd);
	free(file->buffer);
	free(file->zeroes);
	free(file);
}

int block_file_start(struct block_file *file)
{
	return file->pool ? block_pool_start(file->pool) : 0;
}

int block_file_event_fd(const struct block_file *file)
{
	return file->event_fd;
}

int block_file_ring_fd(const struct block_file *file)
{
	return file->uring ? block_uring_fd(file->uring) : -1;
}

void block_file_notify(struct block_file *file)
{
	eventfd_write(file->event_fd, 1);
}

unsigned int block_file_fds(const struct block_file *file, int *fds)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < BLOCK_FDS_MAX; i++) {
		if (file->config.fds[i] >= 0)
			fds[count++] = file->config.fds[i];
	}
	fds[count++] = file->event_fd;
	if (file->uring)
		fds[count++] = block_file_ring_fd(file);
	return count;
}

const char *block_file_engine(const struct block_file *file)
{
	return file->uring ? "io_uring" : "threads";
}

uint64_t block_file_size(const struct block_file *file)
{
	return file->size;
}

void *block_file_overlay_map(struct block_file *file, size_t *size)
{
	return file->overlay ? block_overlay_map(file->overlay, size) : NULL;
}

void block_file_forget_errors(struct block_file *file)
{
	file->flush_failed = false;
}

/* --- Requests in flight -------------------------------------------------- */

void block_file_submit(struct block_file *file, struct block_io *io)
{
	assert(file->in_flight < BLOCK_CALLS_MAX);
	io->step = 0;
	io->at = 0;
	io->tries = 0;
	io->refused = 0;
	file->in_flight++;
	block_io_append(&file->ready, io);
}

void block_file_call(struct block_file *file, struct block_io *io)
{
	file->called = true;
	if (!file->uring || io->call.kind == BLOCK_CALL_DISCARD)
		block_pool_add(file->pool, &io->call);
	else
		block_uring_add(file->uring, &io->call);
}

void block_file_finish(struct block_file *file, struct block_io *io, int result)
{
	struct block_io *next;

	if (file->slot == io) {
		next = block_io_take(&file->waiting);
		file->slot = next;
		if (next)
			block_io_append(&file->ready, next);
	}
	file->in_flight--;
	io->done(io, result);
}

static struct block_call *block_file_reap(struct block_file *file)
{
	struct block_call *call = NULL;

	if (file->uring)
		call = block_uring_reap(file->uring);
	if (!call && file->pool)
		call = block_pool_reap(file->pool);
	return call;
}

bool block_file_run(struct block_file *file)
{
	struct block_call *call;
	struct block_io *io;

	file->budget = BLOCK_RUN_MAX;
	do {
		while (file->budget && (io = block_io_take(&file->ready)))
			block_walk_next(file, io);
		file->called = false;
		if (file->uring)
			block_uring_submit(file->uring);
		while ((call = block_file_reap(file))) {
			io = (struct block_io *)((char *)call -
						 offsetof(struct block_io,
							  call));
			block_walk_called(file, io);
		}
	} while (file->called || (file->budget && file->ready.first));
	if (file->ready.first)
		block_file_notify(file);
	return file->ready.first != NULL;
}

void block_file_drain(struct block_file *file)
{
	struct pollfd wait[] = {
		{.fd = file->event_fd, .events = POLLIN},
		{.fd = block_file_ring_fd(file), .events = POLLIN},
	};
	eventfd_t count;

	block_file_run(file);
	while (file->in_flight) {
		poll(wait, sizeof(wait) / sizeof(wait[0]), -1);
		/* Read first: what is done after the run makes it readable. */
		eventfd_read(file->event_fd, &count);
		block_file_run(file);
	}
}

void block_file_cancel(struct block_file *file)
{
	struct block_io *io;

	file->cancelling = true;
	while ((io = block_io_take(&file->waiting)))
		block_io_append(&file->ready, io);
	if (file->pool)
		block_pool_cancel(file->pool);
	block_file_drain(file);
	file->cancelling = false;
}

/* --- Size ---------------------------------------------------------------- */

static int block_file_probe_size(const struct block_file *file, uint64_t *size,
				 struct error *err)
{
	const int fd = file->config.fds[BLOCK_FD_IMAGE];
	struct stat st;

	if (file->config.device) {
		if (ioctl(fd, BLKGETSIZE64, size) < 0)
			return error_set(err, errno, "BLKGETSIZE64: %s",
					 strerror(errno));
		return 0;
	}
	if (fstat(fd, &st) < 0)
		return error_set(err, errno, "fstat: %s", strerror(errno));
	*size = (uint64_t)st.st_size;
	return 0;
}

static int block_file_check_size(const struct block_file *file, uint64_t size,
				 bool shrink, struct error *err)
{
	const uint64_t align = file->config.offset_align > BLOCK_SECTOR
				       ? file->config.offset_align
				       : BLOCK_SECTOR;

	if (size == 0 || size % align || size > INT64_MAX)
		return error_set(err, EINVAL,
				 "a size of %" PRIu64 " bytes: expected a "
				 "multiple of %" PRIu64 " above 0",
				 size, align);
	if (size < file->size && !shrink)
		return error_set(err, EINVAL,
				 "%" PRIu64 " bytes are less than the disk's "
				 "%" PRIu64 ", and what lies behind them would "
				 "be lost; if you want that, say shrink=true",
				 size, file->size);
	return 0;
}

int block_file_resize(struct block_file *file, uint64_t size, bool shrink,
		      struct error *err)
{
	const bool set = size != 0;
	int ret;

	if (file->overlay)
		return error_set(err, EOPNOTSUPP,
				 "an ephemeral disk keeps its size");
	if (set && (file->config.device || file->config.ro))
		return error_set(err, EOPNOTSUPP,
				 "the size of %s is not ours to set; without "
				 "a size, its present one is taken over",
				 file->config.device ? "a block device"
						     : "a read-only image");
	if (!set) {
		ret = block_file_probe_size(file, &size, err);
		if (ret < 0)
			return ret;
	}
	/* What is gone already cannot be protected. */
	ret = block_file_check_size(file, size, shrink || !set, err);
	if (ret < 0)
		return ret;
	/* A write that runs could make the file long again. */
	block_file_drain(file);
	if (set && ftruncate(file->config.fds[BLOCK_FD_IMAGE], (off_t)size) < 0)
		return error_set(err, errno, "ftruncate to %" PRIu64 ": %s",
				 size, strerror(errno));
	file->size = size;
	return 0;
}
