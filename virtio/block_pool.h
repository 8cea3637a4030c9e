/*
 * Calls by threads: where the host has no io_uring, and for what io_uring has
 * not. The functions belong to one thread at a time; the pool's own threads
 * see nothing but the calls.
 */
#ifndef VIRTIO_BLOCK_POOL_H
#define VIRTIO_BLOCK_POOL_H

#include "virtio/block_call.h"

#define BLOCK_POOL_THREADS_MAX 16

struct block_pool;

/**
 * block_pool_new() - Make a pool that has no threads yet.
 * @files: @count descriptors, borrowed
 * @threads: how many block_pool_start() makes, 1 to BLOCK_POOL_THREADS_MAX
 * @event_fd: an eventfd, borrowed
 *
 * Return: 0 or -ENOMEM.
 */
int block_pool_new(struct block_pool **out, const int *files,
		   unsigned int count, unsigned int threads, int event_fd);

/* What is queued goes lost, what runs is waited for. NULL is nothing to do. */
void block_pool_free(struct block_pool *pool);

/* Start the threads, once. Return: 0, or what pthread_create(3) says. */
int block_pool_start(struct block_pool *pool);

/* Calls wait until there are threads. */
void block_pool_add(struct block_pool *pool, struct block_call *call);

/* Those that no thread has begun are done, with -ECANCELED. */
void block_pool_cancel(struct block_pool *pool);

/* A call that is done, or NULL. */
struct block_call *block_pool_reap(struct block_pool *pool);

#endif
