/*
 * Calls through io_uring. The ring is made disabled, restricted to the
 * operations of virtio/block_call.h on its registered files, and only then
 * enabled: who takes over the process can do no more with it. Guest memory is
 * not registered, which would pin it.
 *
 * One thread at a time; whichever submits must live until what it submitted
 * is done, or the kernel cancels it (-ECANCELED).
 */
#ifndef VIRTIO_BLOCK_URING_H
#define VIRTIO_BLOCK_URING_H

#include "virtio/block_call.h"

struct block_uring;

/**
 * block_uring_new() - Make the ring.
 * @files: @count descriptors, borrowed
 * @event_fd: an eventfd, borrowed, for block_uring_submit()
 *
 * Return: 0, -ENOMEM, or why the host has none: -EPERM, -ENOSYS, -EINVAL
 * where it is older than Linux 5.10.
 */
int block_uring_new(struct block_uring **out, const int *files,
		    unsigned int count, int event_fd);

/* Nothing is in flight. NULL is nothing to do. */
void block_uring_free(struct block_uring *uring);

/* The descriptor of the ring, readable while there is something to reap. */
int block_uring_fd(const struct block_uring *uring);

/* At most BLOCK_CALLS_MAX until they are reaped. Not BLOCK_CALL_DISCARD. */
void block_uring_add(struct block_uring *uring, struct block_call *call);

/* Hand over what was added, with one system call if there is anything. What
 * the kernel has no memory for is handed over the next time, and the eventfd
 * says that there has to be one. */
void block_uring_submit(struct block_uring *uring);

/* A call that is done, or NULL. */
struct block_call *block_uring_reap(struct block_uring *uring);

#endif
