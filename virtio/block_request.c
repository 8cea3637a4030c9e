/*
 * The requests of a block device (virtio 1.3, 5.2.6), from a queue to the
 * image and back. The guest controls everything in them; a chain's layout
 * was checked by virtio/queue.c, and the header is copied before it is looked
 * at. Descriptors may be cut anywhere (2.7.4.1): a header is the first 16
 * bytes to be read, the status the last one to be written.
 *
 * What a driver may not do fails its request, as the specification says. A
 * chain that has no room for a header or a status cannot even fail: then the
 * device needs a reset.
 *
 * A queue that was found empty is looked at again before the loop waits, and
 * only then is the driver asked for kicks: each costs it an exit.
 */
#include "virtio/block_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_ROUND_MAX 256 /* requests, before others have their turn */

/* 5.2.6: struct virtio_blk_req without data and status */
struct block_header {
	le32 type;
	le32 reserved;
	le64 sector;
};

/* 5.2.6: struct virtio_blk_discard_write_zeroes */
struct block_range {
	le64 sector;
	le32 num_sectors;
	le32 flags;
};

_Static_assert(sizeof(struct block_header) == 16, "5.2.6");
_Static_assert(sizeof(struct block_range) == 16, "5.2.6");

struct block_request {
	struct block_io io;
	struct block *block;	       /* borrowed */
	struct block_queue *queue;     /* the block's */
	struct virtqueue_chain *chain; /* owned */
	uint64_t filled; /* of the writable part, from its start */
	unsigned int range, range_count; /* DISCARD, WRITE_ZEROES */
	struct block_range ranges[BLOCK_RANGES_MAX];
	struct iovec iov[]; /* twice the chain's */
};

#define BLOCK_STATUS_LATER (-1) /* it runs */

/* --- The end of a request ------------------------------------------------ */

static void block_request_free(struct block_request *request)
{
	virtqueue_chain_free(request->chain);
	free(request);
}

static void block_request_put(struct block_request *request, uint8_t status)
{
	struct virtqueue_chain *chain = request->chain;
	const uint64_t data_len = chain->writable_len - 1;
	uint64_t written = request->filled;

	virtqueue_chain_write(chain, data_len, &status, sizeof(status));
	if (written == data_len)
		written += sizeof(status);
	virtqueue_put(request->queue->ring, chain, (uint32_t)written);
	request->queue->put = true;
	free(request);
}

static void block_request_log(const struct block_request *request, int result)
{
	static const char *const words[BLOCK_IO_OPS] = {
		[BLOCK_IO_READ] = "read",
		[BLOCK_IO_WRITE] = "write",
		[BLOCK_IO_FLUSH] = "flush",
		[BLOCK_IO_DISCARD] = "discard",
		[BLOCK_IO_ZEROES] = "write zeroes",
	};

	log_limited(&request->block->errors, LOG_WARN,
		    "%s: %s of %" PRIu64 " bytes at %" PRIu64 ": %s",
		    virtio_device_label(request->block->device),
		    words[request->io.op], request->io.len, request->io.offset,
		    strerror(-result));
}

static bool block_request_next_range(struct block_request *request);

static void block_request_done(struct block_io *io, int result)
{
	struct block_request *request = (struct block_request *)io;
	struct block *block = request->block;

	if (block->dropping || block->dropping_queue == request->queue) {
		block->in_flight--;
		block_request_free(request);
		return;
	}
	if (result == 0 && block_request_next_range(request))
		return;
	block->in_flight--;
	if (result == 0 && io->op == BLOCK_IO_READ)
		request->filled = io->len;
	if (result == 0 && io->op != BLOCK_IO_READ &&
	    io->sync == BLOCK_SYNC_ALL)
		block->wce_dirty = false;
	if (result < 0)
		block_request_log(request, result);
	block_request_put(request,
			  result < 0 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}

/* --- The beginning ------------------------------------------------------- */

/* Return: whether the disk has all of it; its bytes. */
static bool block_request_locate(const struct block *block, uint64_t sector,
				 uint64_t len, uint64_t *offset)
{
	uint64_t end;

	return !__builtin_mul_overflow(sector, BLOCK_SECTOR, offset) &&
	       !__builtin_add_overflow(*offset, len, &end) &&
	       end <= block_file_size(block->file);
}

/* 5.2.5.1: what a driver that cannot flush, or has said so, relies on. */
static enum block_sync block_request_sync(const struct block *block)
{
	const bool write_back =
		block_acked(block, VIRTIO_BLK_F_CONFIG_WCE)
			? block->wce
			: block_acked(block, VIRTIO_BLK_F_FLUSH);

	if (write_back)
		return BLOCK_SYNC_NONE;
	return block->wce_dirty ? BLOCK_SYNC_ALL : BLOCK_SYNC_THIS;
}

static int block_request_submit(struct block_request *request,
				enum block_io_op op)
{
	request->io.op = op;
	request->io.done = block_request_done;
	request->block->in_flight++;
	block_file_submit(request->block->file, &request->io);
	return BLOCK_STATUS_LATER;
}

static int block_request_read(struct block_request *request, uint64_t sector)
{
	const struct virtqueue_chain *chain = request->chain;
	struct block_io *io = &request->io;

	io->len = chain->writable_len - 1;
	if (chain->readable_len != sizeof(struct block_header) ||
	    io->len % BLOCK_SECTOR ||
	    !block_request_locate(request->block, sector, io->len, &io->offset))
		return VIRTIO_BLK_S_IOERR;
	io->iov = request->iov;
	io->iov_count =
		virtqueue_iov_slice(chain->writable, chain->writable_count, 0,
				    io->len, request->iov);
	io->scratch = request->iov + io->iov_count;
	return block_request_submit(request, BLOCK_IO_READ);
}

static int block_request_write(struct block_request *request, uint64_t sector)
{
	const struct virtqueue_chain *chain = request->chain;
	struct block_io *io = &request->io;

	io->len = chain->readable_len - sizeof(struct block_header);
	if (request->block->description.ro || chain->writable_len != 1 ||
	    io->len % BLOCK_SECTOR ||
	    !block_request_locate(request->block, sector, io->len, &io->offset))
		return VIRTIO_BLK_S_IOERR;
	io->iov = request->iov;
	io->iov_count = virtqueue_iov_slice(
		chain->readable, chain->readable_count,
		sizeof(struct block_header), io->len, request->iov);
	io->scratch = request->iov + io->iov_count;
	io->sync = block_request_sync(request->block);
	return block_request_submit(request, BLOCK_IO_WRITE);
}

static int block_request_id(struct block_request *request)
{
	const struct block_description *d = &request->block->description;
	uint64_t len = request->chain->writable_len - 1;

	if (len > sizeof(d->serial))
		len = sizeof(d->serial);
	virtqueue_chain_write(request->chain, 0, d->serial, (size_t)len);
	request->filled = len;
	return VIRTIO_BLK_S_OK;
}

/* --- Discard, write-zeroes (5.2.6.2) ------------------------------------- */

static int block_request_check_range(const struct block_request *request,
				     const struct block_range *range,
				     bool discard)
{
	const uint32_t flags = le32_get(range->flags);
	const uint32_t sectors = le32_get(range->num_sectors);
	const uint32_t max =
		discard ? BLOCK_DISCARD_SECTORS_MAX : BLOCK_ZEROES_SECTORS_MAX;
	uint64_t offset;

	if (flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP || (discard && flags))
		return VIRTIO_BLK_S_UNSUPP;
	if (sectors > max ||
	    !block_request_locate(request->block, le64_get(range->sector),
				  (uint64_t)sectors * BLOCK_SECTOR, &offset))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* Return: whether there is one, which runs now. */
static bool block_request_next_range(struct block_request *request)
{
	const struct block_range *range;
	struct block_io *io = &request->io;

	if (request->range == request->range_count)
		return false;
	range = &request->ranges[request->range++];
	io->offset = le64_get(range->sector) * BLOCK_SECTOR;
	io->len = (uint64_t)le32_get(range->num_sectors) * BLOCK_SECTOR;
	io->unmap = le32_get(range->flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	block_file_submit(request->block->file, io);
	return true;
}

static int block_request_ranges(struct block_request *request, bool discard)
{
	const struct virtqueue_chain *chain = request->chain;
	const uint64_t len = chain->readable_len - sizeof(struct block_header);
	struct block_io *io = &request->io;
	unsigned int count;
	int status;

	if (request->block->description.ro)
		return VIRTIO_BLK_S_IOERR;
	if (!block_acked(request->block, discard ? VIRTIO_BLK_F_DISCARD
						 : VIRTIO_BLK_F_WRITE_ZEROES))
		return VIRTIO_BLK_S_UNSUPP;
	if (len == 0 || len % sizeof(struct block_range) ||
	    len > sizeof(request->ranges))
		return VIRTIO_BLK_S_IOERR;
	count = (unsigned int)(len / sizeof(struct block_range));
	virtqueue_chain_read(chain, sizeof(struct block_header),
			     request->ranges, (size_t)len);
	for (unsigned int i = 0; i < count; i++) {
		status = block_request_check_range(request, &request->ranges[i],
						   discard);
		if (status != VIRTIO_BLK_S_OK)
			return status;
	}
	request->range_count = count;
	io->op = discard ? BLOCK_IO_DISCARD : BLOCK_IO_ZEROES;
	io->sync = block_request_sync(request->block);
	io->done = block_request_done;
	request->block->in_flight++;
	block_request_next_range(request);
	return BLOCK_STATUS_LATER;
}

/* --- All requests -------------------------------------------------------- */

static int block_request_begin(struct block_request *request,
			       const struct block_header *header)
{
	const uint64_t sector = le64_get(header->sector);

	switch (le32_get(header->type)) {
	case VIRTIO_BLK_T_IN:
		return block_request_read(request, sector);
	case VIRTIO_BLK_T_OUT:
		return block_request_write(request, sector);
	case VIRTIO_BLK_T_FLUSH:
		return block_request_submit(request, BLOCK_IO_FLUSH);
	case VIRTIO_BLK_T_GET_ID:
		return block_request_id(request);
	case VIRTIO_BLK_T_DISCARD:
		return block_request_ranges(request, true);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return block_request_ranges(request, false);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static void block_request_broken(struct block *block, const char *why)
{
	log_limited(&block->breaks, LOG_WARN, "%s: %s",
		    virtio_device_label(block->device), why);
	block->failed = true;
	virtio_device_needs_reset(block->device);
}

/* Without memory the request fails, with the little that this takes. */
static struct block_request *block_request_new(struct block *block,
					       struct block_queue *queue,
					       struct virtqueue_chain *chain)
{
	const size_t count = chain->readable_count > chain->writable_count
				     ? chain->readable_count
				     : chain->writable_count;
	struct block_request *request =
		malloc(sizeof(*request) + 2 * count * sizeof(struct iovec));

	if (!request)
		return NULL;
	memset(&request->io, 0, sizeof(request->io));
	request->block = block;
	request->queue = queue;
	request->chain = chain;
	request->filled = 0;
	request->range = 0;
	request->range_count = 0;
	return request;
}

static void block_request_take(struct block *block, struct block_queue *queue,
			       struct virtqueue_chain *chain)
{
	struct block_request *request;
	struct block_header header;
	int status;

	if (virtqueue_chain_read(chain, 0, &header, sizeof(header)) !=
		    sizeof(header) ||
	    chain->writable_len == 0) {
		virtqueue_chain_free(chain);
		block_request_broken(block,
				     "a request without header or status");
		return;
	}
	request = block_request_new(block, queue, chain);
	if (!request) {
		virtqueue_chain_free(chain);
		block_request_broken(block, "no memory for a request");
		return;
	}
	status = block_request_begin(request, &header);
	if (status != BLOCK_STATUS_LATER)
		block_request_put(request, (uint8_t)status);
}

/* --- Rounds -------------------------------------------------------------- */

/* Return: whether there was a request. */
static bool block_requests_pop(struct block *block, struct block_queue *queue)
{
	struct virtqueue_chain *chain;
	int ret = virtqueue_pop(queue->ring, &chain);

	if (ret == 1) {
		block_request_take(block, queue, chain);
		return true;
	}
	if (ret == 0) {
		queue->ready = false;
		queue->off = true;
		return false;
	}
	/* Without memory it waits until something else is done. */
	if (ret != -ENOMEM || block->in_flight == 0)
		block_request_broken(block, "a broken queue");
	return false;
}

/* The next queue that may have something, or NULL. */
static struct block_queue *block_requests_turn(struct block *block)
{
	const unsigned int count = (unsigned int)block->description.queues;

	for (unsigned int i = 0; i < count; i++) {
		struct block_queue *queue = &block->queues[block->next_queue];

		block->next_queue = (block->next_queue + 1) % count;
		if (queue->ring && queue->ready)
			return queue;
	}
	return NULL;
}

/* Return: how many requests were taken. */
static unsigned int block_requests_take(struct block *block)
{
	unsigned int taken = 0, idle = 0;
	struct block_queue *queue;

	while (!block->failed && block->in_flight < BLOCK_CALLS_MAX &&
	       taken < BLOCK_CALLS_MAX && idle <= BLOCK_QUEUES_MAX) {
		queue = block_requests_turn(block);
		if (!queue)
			break;
		if (block_requests_pop(block, queue))
			taken++;
		else
			idle++;
	}
	return taken;
}

bool block_requests_publish(struct block *block)
{
	bool found = false;

	for (unsigned int i = 0; i < BLOCK_QUEUES_MAX; i++) {
		if (!block->queues[i].put)
			continue;
		block->queues[i].put = false;
		virtqueue_publish(block->queues[i].ring);
		found = true;
	}
	return found;
}

/* Is there room for a request, and perhaps one for it? */
static bool block_requests_due(const struct block *block)
{
	if (block->failed || block->in_flight >= BLOCK_CALLS_MAX)
		return false;
	for (unsigned int i = 0; i < BLOCK_QUEUES_MAX; i++)
		if (block->queues[i].ring && block->queues[i].ready)
			return true;
	return false;
}

/* Look again at queues that were empty. */
static void block_requests_again(struct block *block)
{
	for (unsigned int i = 0; i < BLOCK_QUEUES_MAX; i++)
		block->queues[i].ready |= block->queues[i].off;
}

bool block_requests_run(struct block *block)
{
	unsigned int taken = 0, rounds = 0;
	bool more, found = false;

	do {
		block_requests_again(block);
		taken += block_requests_take(block);
		more = block_file_run(block->file);
		found |= block_requests_publish(block);
	} while (block_requests_due(block) && !more &&
		 taken < BLOCK_ROUND_MAX && ++rounds < BLOCK_ROUND_MAX);
	/* It would be no kick that brings us back. */
	if (!more && block_requests_due(block))
		block_file_notify(block->file);
	return found || taken;
}

/* The loop sleeps: ask for kicks. Return: whether a request came before that,
 * whose queue then stays as it was. */
static bool block_requests_settle(struct block *block)
{
	bool found = false;

	for (unsigned int i = 0; i < BLOCK_QUEUES_MAX; i++) {
		struct block_queue *queue = &block->queues[i];

		if (!queue->ring || !queue->off)
			continue;
		queue->off = virtqueue_set_kicks(queue->ring, true);
		if (queue->off)
			virtqueue_set_kicks(queue->ring, false);
		found |= queue->off;
	}
	return found;
}

bool block_requests_look(void *self, bool sleeps)
{
	struct block *block = self;

	if (sleeps && !block_requests_settle(block))
		return false;
	return block_requests_run(block);
}
