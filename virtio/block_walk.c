/*
 * The steps of a disk's requests, see virtio/block_file.h for why there are
 * several. block_walk_next() looks at how far a request is and makes the next
 * call; block_walk_called() takes what came of it. A step that failed for a
 * moment's reason is simply decided again.
 */
#include "virtio/block_file_private.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#define BLOCK_TRIES_MAX 64 /* in a row without progress */

enum block_step {
	BLOCK_STEP_NONE,
	BLOCK_STEP_DATA,   /* between the file and the caller's buffers */
	BLOCK_STEP_ZEROES, /* from the buffer of zeroes */
	BLOCK_STEP_READ,   /* blocks into the slot's buffer, for a read */
	BLOCK_STEP_MERGE,  /* the same, for a write into them */
	BLOCK_STEP_WRITE,  /* blocks from the slot's buffer */
	BLOCK_STEP_FILL,   /* a cluster of the image into the buffer */
	BLOCK_STEP_FILLED, /* and from there into the overlay */
	BLOCK_STEP_HOLE,   /* all that is left of a discard or write-zeroes */
	BLOCK_STEP_SYNC,
};

static uint64_t block_walk_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* --- The slot ------------------------------------------------------------ */

/* Return: whether it has the slot; otherwise it is asked for its next step
 * once it has. */
static bool block_walk_slot(struct block_file *file, struct block_io *io)
{
	if (!file->slot)
		file->slot = io;
	if (file->slot == io)
		return true;
	block_io_append(&file->waiting, io);
	return false;
}

/* [@offset, @offset + @len) of a file, from or to the slot's buffer. */
static void block_walk_buffer(struct block_file *file, struct block_io *io,
			      enum block_step step, unsigned int target,
			      uint64_t offset, uint64_t len)
{
	const bool write =
		step == BLOCK_STEP_WRITE || step == BLOCK_STEP_FILLED;

	io->step = step;
	io->buffer_len = len;
	io->buffer_done = 0;
	io->one = (struct iovec){file->buffer, len};
	io->call.kind = write ? BLOCK_CALL_WRITE : BLOCK_CALL_READ;
	io->call.file = target;
	io->call.offset = offset;
	io->call.iov = &io->one;
	io->call.iov_count = 1;
	io->call.flags = 0;
	if (step == BLOCK_STEP_WRITE && io->sync == BLOCK_SYNC_THIS)
		io->call.flags = RWF_DSYNC;
	block_file_call(file, io);
}

/* Return: whether the buffer is done; otherwise the rest is under way, or it
 * failed and that was the end. */
static bool block_walk_buffered(struct block_file *file, struct block_io *io)
{
	const uint64_t got = (uint64_t)io->call.result;

	io->buffer_done += got;
	if (io->buffer_done >= io->buffer_len)
		return true;
	if (got == 0) {
		/* The image ends here; a read has perhaps enough of it. */
		if (io->step == BLOCK_STEP_READ && io->buffer_done)
			return true;
		block_file_finish(file, io, -EIO);
		return false;
	}
	io->one.iov_base = (uint8_t *)io->one.iov_base + got;
	io->one.iov_len -= got;
	io->call.offset += got;
	block_file_call(file, io);
	return false;
}

/* --- O_DIRECT ------------------------------------------------------------ */

static bool block_walk_aligned(const struct block_file *file, uint64_t offset,
			       const struct iovec *iov, unsigned int count)
{
	const uint64_t mem = file->config.mem_align - 1;
	const uint64_t disk = file->config.offset_align - 1;
	uint64_t bad = offset & disk;

	for (unsigned int i = 0; i < count; i++)
		bad |= ((uintptr_t)iov[i].iov_base & mem) |
		       (iov[i].iov_len & disk);
	return bad == 0;
}

/* Where the blocks around the next piece begin. */
static uint64_t block_walk_floor(const struct block_file *file,
				 const struct block_io *io)
{
	return (io->offset + io->at) &
	       ~(uint64_t)(file->config.offset_align - 1);
}

/* Put the piece into the blocks that are in the buffer. */
static void block_walk_merge(struct block_file *file, struct block_io *io)
{
	uint8_t *to = file->buffer +
		      (io->offset + io->at - block_walk_floor(file, io));
	uint64_t at = io->at, skip, n, left = io->piece;

	if (io->op != BLOCK_IO_WRITE) {
		memset(to, 0, left);
		return;
	}
	for (unsigned int i = 0; i < io->iov_count && left; i++) {
		skip = block_walk_min(at, io->iov[i].iov_len);
		n = block_walk_min(io->iov[i].iov_len - skip, left);
		memcpy(to, (uint8_t *)io->iov[i].iov_base + skip, n);
		at -= skip;
		to += n;
		left -= n;
	}
}

/* Copy out of the blocks that were read. */
static void block_walk_deliver(struct block_file *file, struct block_io *io)
{
	const uint8_t *from = file->buffer + (io->offset + io->at -
					      block_walk_floor(file, io));
	uint64_t at = io->at, skip, n, left = io->piece;

	for (unsigned int i = 0; i < io->iov_count && left; i++) {
		skip = block_walk_min(at, io->iov[i].iov_len);
		n = block_walk_min(io->iov[i].iov_len - skip, left);
		memcpy((uint8_t *)io->iov[i].iov_base + skip, from, n);
		at -= skip;
		from += n;
		left -= n;
	}
}

/* Of the piece with the blocks around it, what fits the buffer. */
static void block_walk_bounce(struct block_file *file, struct block_io *io,
			      uint64_t len)
{
	const uint64_t align = file->config.offset_align;
	const uint64_t from = block_walk_floor(file, io);
	const uint64_t begin = io->offset + io->at;
	uint64_t to;

	if (!block_walk_slot(file, io))
		return;
	to = (begin + len + align - 1) & ~(align - 1);
	to = block_walk_min(to, from + file->buffer_size);
	io->piece = block_walk_min(begin + len, to) - begin;
	if (io->op == BLOCK_IO_READ) {
		block_walk_buffer(file, io, BLOCK_STEP_READ, BLOCK_FD_IMAGE,
				  from, to - from);
	} else if (begin != from || begin + io->piece != to) {
		block_walk_buffer(file, io, BLOCK_STEP_MERGE, BLOCK_FD_IMAGE,
				  from, to - from);
	} else {
		block_walk_merge(file, io);
		block_walk_buffer(file, io, BLOCK_STEP_WRITE, BLOCK_FD_IMAGE,
				  from, to - from);
	}
}

/* --- Reads and writes ---------------------------------------------------- */

/* The iovecs of the next @len bytes, or of the first IOV_MAX of theirs. */
static void block_walk_slice(struct block_io *io, uint64_t len)
{
	uint64_t at = io->at, skip, n;
	unsigned int count = 0;

	io->call.iov = io->scratch;
	io->piece = 0;
	for (unsigned int i = 0; i < io->iov_count && count < IOV_MAX; i++) {
		skip = block_walk_min(at, io->iov[i].iov_len);
		at -= skip;
		n = block_walk_min(io->iov[i].iov_len - skip, len - io->piece);
		if (n == 0)
			continue;
		io->scratch[count].iov_base =
			(uint8_t *)io->iov[i].iov_base + skip;
		io->scratch[count++].iov_len = n;
		io->piece += n;
	}
	io->call.iov_count = count;
}

static void block_walk_data(struct block_file *file, struct block_io *io,
			    unsigned int target, uint64_t len)
{
	len = block_walk_min(len, BLOCK_PIECE_MAX);
	if (io->at == 0 && len == io->len && io->iov_count <= IOV_MAX) {
		io->call.iov = io->iov;
		io->call.iov_count = io->iov_count;
		io->piece = len;
	} else {
		block_walk_slice(io, len);
	}
	io->call.offset = io->offset + io->at;
	if (target == BLOCK_FD_IMAGE && file->config.direct &&
	    !block_walk_aligned(file, io->call.offset, io->call.iov,
				io->call.iov_count)) {
		block_walk_bounce(file, io, io->piece);
		return;
	}
	io->step = BLOCK_STEP_DATA;
	io->call.kind =
		io->op == BLOCK_IO_READ ? BLOCK_CALL_READ : BLOCK_CALL_WRITE;
	io->call.file = target;
	io->call.flags = 0;
	if (io->op == BLOCK_IO_WRITE && io->sync == BLOCK_SYNC_THIS &&
	    !file->overlay)
		io->call.flags = RWF_DSYNC;
	block_file_call(file, io);
}

static void block_walk_read(struct block_file *file, struct block_io *io)
{
	uint64_t len = io->len - io->at;
	unsigned int target = BLOCK_FD_IMAGE;

	if (file->overlay &&
	    block_overlay_has(file->overlay, io->offset + io->at, &len))
		target = BLOCK_FD_OVERLAY;
	block_walk_data(file, io, target, len);
}

/* --- Overlay ------------------------------------------------------------- */

/* Does the request cover only a part of the cluster at that byte, which is
 * not in the overlay yet? */
static bool block_walk_must_fill(const struct block_file *file,
				 const struct block_io *io, uint64_t byte)
{
	const uint64_t size = block_overlay_cluster_size(file->overlay);
	const uint64_t begin = byte / size * size;
	const uint64_t end = block_walk_min(begin + size, file->size);

	return !block_overlay_has_all(file->overlay, byte, 1) &&
	       (begin < io->offset || end > io->offset + io->len);
}

static void block_walk_fill(struct block_file *file, struct block_io *io,
			    uint64_t byte)
{
	const uint64_t size = block_overlay_cluster_size(file->overlay);
	const uint64_t begin = byte / size * size;

	io->piece = begin;
	block_walk_buffer(file, io, BLOCK_STEP_FILL, BLOCK_FD_IMAGE, begin,
			  block_walk_min(size, file->size - begin));
}

/* Return: whether the request may change the overlay now: nothing of it would
 * be left behind in the image. */
static bool block_walk_own(struct block_file *file, struct block_io *io)
{
	const uint64_t last = io->offset + io->len - 1;

	if (block_overlay_has_all(file->overlay, io->offset, io->len))
		return true;
	if (!block_walk_slot(file, io))
		return false;
	if (block_walk_must_fill(file, io, io->offset))
		block_walk_fill(file, io, io->offset);
	else if (block_walk_must_fill(file, io, last))
		block_walk_fill(file, io, last);
	else
		return true;
	return false;
}

static void block_walk_write(struct block_file *file, struct block_io *io)
{
	unsigned int target = BLOCK_FD_IMAGE;

	if (file->overlay) {
		if (!block_walk_own(file, io))
			return;
		target = BLOCK_FD_OVERLAY;
	}
	block_walk_data(file, io, target, io->len - io->at);
}

/* --- Discard, write-zeroes ----------------------------------------------- */

static void block_walk_hole(struct block_file *file, struct block_io *io,
			    enum block_call_kind kind, int mode)
{
	io->step = BLOCK_STEP_HOLE;
	io->piece = io->len - io->at;
	io->call.kind = kind;
	io->call.file = file->overlay ? BLOCK_FD_OVERLAY : BLOCK_FD_IMAGE;
	io->call.offset = io->offset + io->at;
	io->call.len = io->piece;
	io->call.flags = mode | FALLOC_FL_KEEP_SIZE;
	block_file_call(file, io);
}

/* Zeroes as data: slow, but every file takes them. */
static void block_walk_zeroes_data(struct block_file *file, struct block_io *io)
{
	const uint64_t align = file->config.offset_align;
	uint64_t len = block_walk_min(io->len - io->at,
				      BLOCK_ZEROES_IOVS * BLOCK_BUFFER_MIN);

	io->call.offset = io->offset + io->at;
	if (!file->overlay && (io->call.offset | len) & (align - 1)) {
		/* Only the ends are not aligned. */
		if (io->call.offset & (align - 1) || len < align) {
			block_walk_bounce(file, io, len);
			return;
		}
		len &= ~(align - 1);
	}
	io->step = BLOCK_STEP_ZEROES;
	io->call.kind = BLOCK_CALL_WRITE;
	io->call.file = file->overlay ? BLOCK_FD_OVERLAY : BLOCK_FD_IMAGE;
	io->call.flags = 0;
	if (len < BLOCK_BUFFER_MIN) {
		io->one = (struct iovec){file->zeroes, len};
		io->call.iov = &io->one;
		io->call.iov_count = 1;
	} else {
		io->call.iov = file->zero_iov;
		io->call.iov_count = (unsigned int)(len / BLOCK_BUFFER_MIN);
	}
	block_file_call(file, io);
}

static void block_walk_zeroes(struct block_file *file, struct block_io *io)
{
	const unsigned int refused = file->refused | io->refused;
	const bool discard = io->op == BLOCK_IO_DISCARD;

	if (file->overlay && !block_walk_own(file, io))
		return;
	if (discard && file->config.device && !file->overlay)
		block_walk_hole(file, io, BLOCK_CALL_DISCARD, 0);
	else if ((io->unmap || discard || file->overlay) &&
		 !(refused & FALLOC_FL_PUNCH_HOLE))
		block_walk_hole(file, io, BLOCK_CALL_ALLOCATE,
				FALLOC_FL_PUNCH_HOLE);
	else if (discard && !file->overlay)
		block_file_finish(file, io, 0);
	else if (!file->overlay && !(refused & FALLOC_FL_ZERO_RANGE))
		block_walk_hole(file, io, BLOCK_CALL_ALLOCATE,
				FALLOC_FL_ZERO_RANGE);
	else
		block_walk_zeroes_data(file, io);
}

/* The file system or device has no such call, or not for this range. */
static void block_walk_refused(struct block_file *file, struct block_io *io)
{
	const int result = (int)io->call.result;
	const unsigned int mode = (unsigned int)io->call.flags &
				  ~(unsigned int)FALLOC_FL_KEEP_SIZE;

	if (result != -EOPNOTSUPP && result != -EINVAL && result != -ENOSYS &&
	    result != -ENOTTY) {
		block_file_finish(file, io, result);
	} else if (io->call.kind == BLOCK_CALL_DISCARD) {
		/* A discard may do nothing (5.2.6.2). */
		block_file_finish(file, io, result == -EINVAL ? result : 0);
	} else {
		io->refused |= mode;
		if (result != -EINVAL)
			file->refused |= mode;
		block_walk_next(file, io);
	}
}

/* --- All requests -------------------------------------------------------- */

static void block_walk_sync(struct block_file *file, struct block_io *io)
{
	io->step = BLOCK_STEP_SYNC;
	io->call.kind = BLOCK_CALL_SYNC;
	io->call.file = BLOCK_FD_IMAGE;
	block_file_call(file, io);
}

static void block_walk_synced(struct block_file *file, struct block_io *io,
			      int result)
{
	if (result < 0)
		file->flush_failed = true;
	block_file_finish(file, io, file->flush_failed ? -EIO : 0);
}

/* All bytes are done. What an overlay has vanishes with us: no syncs. */
static void block_walk_end(struct block_file *file, struct block_io *io)
{
	bool sync = io->sync == BLOCK_SYNC_ALL ||
		    (io->sync == BLOCK_SYNC_THIS && io->op != BLOCK_IO_WRITE);

	if (file->overlay && io->op != BLOCK_IO_READ &&
	    io->op != BLOCK_IO_FLUSH && io->len)
		block_overlay_mark(file->overlay, io->offset, io->len);
	if (io->op == BLOCK_IO_FLUSH)
		sync = true;
	if (!sync || io->op == BLOCK_IO_READ || file->overlay ||
	    file->config.ro)
		block_file_finish(file, io, 0);
	else
		block_walk_sync(file, io);
}

void block_walk_next(struct block_file *file, struct block_io *io)
{
	if (file->cancelling) {
		block_file_finish(file, io, -ECANCELED);
		return;
	}
	if (io->op == BLOCK_IO_FLUSH || io->at == io->len) {
		block_walk_end(file, io);
		return;
	}
	switch (io->op) {
	case BLOCK_IO_READ:
		block_walk_read(file, io);
		break;
	case BLOCK_IO_WRITE:
		block_walk_write(file, io);
		break;
	case BLOCK_IO_DISCARD:
	case BLOCK_IO_ZEROES:
		block_walk_zeroes(file, io);
		break;
	case BLOCK_IO_FLUSH:
	case BLOCK_IO_OPS:
	default:
		block_file_finish(file, io, -EINVAL);
	}
}

static void block_walk_progress(struct block_file *file, struct block_io *io,
				uint64_t bytes)
{
	if (bytes == 0) {
		/* The file ends before the disk does: somebody cut it. */
		block_file_finish(file, io, -EIO);
		return;
	}
	io->tries = 0;
	io->at += block_walk_min(bytes, io->len - io->at);
	file->budget -= block_walk_min(bytes, file->budget);
	if (io->at == io->len)
		block_walk_next(file, io);
	else
		block_io_append(&file->ready, io);
}

/* The blocks around a piece, up to where the image ends. */
static void block_walk_read_done(struct block_file *file, struct block_io *io)
{
	const uint64_t skip = io->offset + io->at - block_walk_floor(file, io);

	if (io->buffer_done <= skip) {
		block_file_finish(file, io, -EIO);
		return;
	}
	io->piece = block_walk_min(io->piece, io->buffer_done - skip);
	block_walk_deliver(file, io);
	block_walk_progress(file, io, io->piece);
}

static void block_walk_buffer_done(struct block_file *file, struct block_io *io)
{
	if (!block_walk_buffered(file, io))
		return;
	switch ((enum block_step)io->step) {
	case BLOCK_STEP_READ:
		block_walk_read_done(file, io);
		break;
	case BLOCK_STEP_MERGE:
		block_walk_merge(file, io);
		block_walk_buffer(file, io, BLOCK_STEP_WRITE, BLOCK_FD_IMAGE,
				  block_walk_floor(file, io), io->buffer_len);
		break;
	case BLOCK_STEP_FILL:
		block_walk_buffer(file, io, BLOCK_STEP_FILLED, BLOCK_FD_OVERLAY,
				  io->piece, io->buffer_len);
		break;
	case BLOCK_STEP_FILLED:
		block_overlay_mark(file->overlay, io->piece, 1);
		block_walk_next(file, io);
		break;
	case BLOCK_STEP_WRITE:
		block_walk_progress(file, io, io->piece);
		break;
	case BLOCK_STEP_NONE:
	case BLOCK_STEP_DATA:
	case BLOCK_STEP_ZEROES:
	case BLOCK_STEP_HOLE:
	case BLOCK_STEP_SYNC:
	default:
		block_file_finish(file, io, -EINVAL);
	}
}

/* EAGAIN and EINTR are a moment's; a call is also cancelled when the thread
 * that submitted it ended. */
static bool block_walk_again(const struct block_file *file, struct block_io *io)
{
	const int64_t result = io->call.result;

	return (result == -EAGAIN || result == -EINTR ||
		result == -ECANCELED) &&
	       !file->cancelling && io->tries++ < BLOCK_TRIES_MAX;
}

void block_walk_called(struct block_file *file, struct block_io *io)
{
	const int64_t result = io->call.result;

	if (block_walk_again(file, io)) {
		block_io_append(&file->ready, io);
		return;
	}
	if (file->cancelling && result == -ECANCELED) {
		block_file_finish(file, io, -ECANCELED);
		return;
	}
	if (io->step == BLOCK_STEP_SYNC) {
		block_walk_synced(file, io, (int)result);
		return;
	}
	if (result < 0 && io->step == BLOCK_STEP_HOLE) {
		block_walk_refused(file, io);
		return;
	}
	if (result < 0) {
		block_file_finish(file, io, (int)result);
		return;
	}
	if (io->step == BLOCK_STEP_DATA || io->step == BLOCK_STEP_ZEROES)
		block_walk_progress(file, io, (uint64_t)result);
	else if (io->step == BLOCK_STEP_HOLE)
		block_walk_progress(file, io, io->piece);
	else
		block_walk_buffer_done(file, io);
}
