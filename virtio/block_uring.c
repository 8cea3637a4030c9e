/*
 * Calls on a disk's files through io_uring, see virtio/block_uring.h. Nobody
 * controls input here: descriptors are ours, offsets and iovecs were checked.
 */
#include "virtio/block_uring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <liburing.h>

struct block_uring {
	struct io_uring ring;
	int event_fd;	  /* borrowed */
	unsigned int due; /* added, not handed over */
};

/* liburing 2.3 has functions for these two, but its shared library does not
 * export them. */
static int block_uring_register(const struct io_uring *ring,
				unsigned int opcode, const void *arg,
				unsigned int count)
{
	long ret = syscall(SYS_io_uring_register, ring->ring_fd, opcode, arg,
			   count);

	return ret < 0 ? -errno : 0;
}

/* All that it may do once it is enabled; registering more is not in it, but
 * letting go of the files is. */
static int block_uring_restrict(struct io_uring *ring)
{
	static const uint8_t opcodes[] = {
		IORING_OP_READ,	  IORING_OP_READV, IORING_OP_WRITE,
		IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE,
	};
	const unsigned int count = sizeof(opcodes) / sizeof(opcodes[0]);
	struct io_uring_restriction rules[sizeof(opcodes) + 2] = {0};

	for (unsigned int i = 0; i < count; i++) {
		rules[i].opcode = IORING_RESTRICTION_SQE_OP;
		rules[i].sqe_op = opcodes[i];
	}
	rules[count].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	rules[count].sqe_flags = IOSQE_FIXED_FILE;
	rules[count + 1].opcode = IORING_RESTRICTION_REGISTER_OP;
	rules[count + 1].register_op = IORING_UNREGISTER_FILES;
	return block_uring_register(ring, IORING_REGISTER_RESTRICTIONS, rules,
				    count + 2);
}

static int block_uring_set_up(struct io_uring *ring, const int *files,
			      unsigned int count)
{
	int ret = io_uring_register_files(ring, files, count);

	if (ret < 0)
		return ret;
	ret = block_uring_restrict(ring);
	if (ret < 0)
		return ret;
	return block_uring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL,
				    0);
}

int block_uring_new(struct block_uring **out, const int *files,
		    unsigned int count, int event_fd)
{
	struct block_uring *uring = calloc(1, sizeof(*uring));
	int ret;

	if (!uring)
		return -ENOMEM;
	uring->event_fd = event_fd;
	ret = io_uring_queue_init(BLOCK_CALLS_MAX, &uring->ring,
				  IORING_SETUP_R_DISABLED);
	if (ret < 0)
		goto err_free;
	ret = block_uring_set_up(&uring->ring, files, count);
	if (ret < 0)
		goto err_ring;
	*out = uring;
	return 0;

err_ring:
	io_uring_queue_exit(&uring->ring);
err_free:
	free(uring);
	return ret;
}

void block_uring_free(struct block_uring *uring)
{
	if (!uring)
		return;
	/* The kernel takes a ring down some time after it is closed, and the
	 * files with it: until then the image would be locked. */
	block_uring_register(&uring->ring, IORING_UNREGISTER_FILES, NULL, 0);
	io_uring_queue_exit(&uring->ring);
	free(uring);
}

int block_uring_fd(const struct block_uring *uring)
{
	return uring->ring.ring_fd;
}

static void block_uring_prepare(struct io_uring_sqe *sqe,
				const struct block_call *call)
{
	const int file = (int)call->file;

	switch (call->kind) {
	case BLOCK_CALL_READ:
	case BLOCK_CALL_WRITE:
		/* One buffer needs no array copied in. */
		if (call->iov_count == 1)
			io_uring_prep_rw(
				call->kind == BLOCK_CALL_READ ? IORING_OP_READ
							      : IORING_OP_WRITE,
				sqe, file, call->iov->iov_base,
				(unsigned int)call->iov->iov_len, call->offset);
		else
			io_uring_prep_rw(call->kind == BLOCK_CALL_READ
						 ? IORING_OP_READV
						 : IORING_OP_WRITEV,
					 sqe, file, call->iov, call->iov_count,
					 call->offset);
		sqe->rw_flags = call->flags;
		break;
	case BLOCK_CALL_SYNC:
		io_uring_prep_fsync(sqe, file, IORING_FSYNC_DATASYNC);
		break;
	case BLOCK_CALL_ALLOCATE:
		io_uring_prep_fallocate(sqe, file, call->flags,
					(off_t)call->offset, (off_t)call->len);
		break;
	case BLOCK_CALL_DISCARD:
	default:
		assert(!"a call that io_uring has not");
	}
}

void block_uring_add(struct block_uring *uring, struct block_call *call)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

	/* There are as many entries as calls. */
	assert(sqe);
	block_uring_prepare(sqe, call);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, call);
	uring->due++;
}

void block_uring_submit(struct block_uring *uring)
{
	int ret;

	while (uring->due) {
		ret = io_uring_submit(&uring->ring);
		if (ret == -EINTR)
			continue;
		if (ret <= 0) {
			eventfd_write(uring->event_fd, 1);
			return;
		}
		uring->due -= (unsigned int)ret < uring->due ? (unsigned int)ret
							     : uring->due;
	}
}

struct block_call *block_uring_reap(struct block_uring *uring)
{
	struct io_uring_cqe *cqe;
	struct block_call *call;

	if (io_uring_peek_cqe(&uring->ring, &cqe) < 0)
		return NULL;
	call = io_uring_cqe_get_data(cqe);
	call->result = cqe->res;
	io_uring_cqe_seen(&uring->ring, cqe);
	return call;
}
