/*
 * System calls on a disk's files that run while the loop goes on: what
 * virtio/block_uring.c and virtio/block_pool.c have in common. Each finished
 * call makes the eventfd that both were given readable.
 */
#ifndef VIRTIO_BLOCK_CALL_H
#define VIRTIO_BLOCK_CALL_H

#include <stddef.h>
#include <stdint.h>

#include <sys/uio.h>

#define BLOCK_CALLS_MAX 128 /* in flight, of one disk */
#define BLOCK_FILES_MAX 2

enum block_call_kind {
	BLOCK_CALL_READ,     /* preadv2(2) */
	BLOCK_CALL_WRITE,    /* pwritev2(2) */
	BLOCK_CALL_SYNC,     /* fdatasync(2) */
	BLOCK_CALL_ALLOCATE, /* fallocate(2) */
	BLOCK_CALL_DISCARD,  /* BLKDISCARD; threads only */
};

struct block_call {
	enum block_call_kind kind;
	unsigned int file;	 /* index among the files */
	uint64_t offset, len;	 /* bytes; len of ALLOCATE and DISCARD */
	const struct iovec *iov; /* borrowed until it is done */
	unsigned int iov_count;	 /* at most IOV_MAX */
	int flags;		 /* RWF_*, or the mode of fallocate(2) */
	int64_t result;		 /* bytes or 0, or a negative errno */
	struct block_call *next; /* whoever has it */
};

/* First in, first out. */
struct block_call_list {
	struct block_call *first, *last;
};

static inline void block_call_append(struct block_call_list *list,
				     struct block_call *call)
{
	call->next = NULL;
	if (list->last)
		list->last->next = call;
	else
		list->first = call;
	list->last = call;
}

/* NULL if there is none. */
static inline struct block_call *block_call_take(struct block_call_list *list)
{
	struct block_call *call = list->first;

	if (!call)
		return NULL;
	list->first = call->next;
	if (!list->first)
		list->last = NULL;
	return call;
}

#endif
