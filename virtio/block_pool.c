/*
 * A pool of threads that do blocking calls on a disk's files, see
 * virtio/block_pool.h.
 */
#include "virtio/block_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct block_pool {
	int files[BLOCK_FILES_MAX]; /* borrowed */
	int event_fd;		    /* borrowed */
	unsigned int threads;	    /* wanted */

	/* The owner's */
	pthread_t ids[BLOCK_POOL_THREADS_MAX];
	unsigned int started;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work;
	struct block_call_list queued, done;
	bool stop;
};

int block_pool_new(struct block_pool **out, const int *files,
		   unsigned int count, unsigned int threads, int event_fd)
{
	struct block_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i++)
		pool->files[i] = files[i];
	pool->event_fd = event_fd;
	pool->threads = threads;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	*out = pool;
	return 0;
}

void block_pool_free(struct block_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->started; i++)
		pthread_join(pool->ids[i], NULL);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static int64_t block_pool_call_once(int fd, const struct block_call *call)
{
	const int count = (int)call->iov_count;
	const off_t offset = (off_t)call->offset;
	uint64_t range[2] = {call->offset, call->len};

	switch (call->kind) {
	case BLOCK_CALL_READ:
		return preadv2(fd, call->iov, count, offset, call->flags);
	case BLOCK_CALL_WRITE:
		return pwritev2(fd, call->iov, count, offset, call->flags);
	case BLOCK_CALL_SYNC:
		return fdatasync(fd);
	case BLOCK_CALL_ALLOCATE:
		return fallocate(fd, call->flags, offset, (off_t)call->len);
	case BLOCK_CALL_DISCARD:
		return ioctl(fd, BLKDISCARD, range);
	default:
		errno = ENOSYS;
		return -1;
	}
}

static void block_pool_call(const struct block_pool *pool,
			    struct block_call *call)
{
	int64_t ret;

	do {
		ret = block_pool_call_once(pool->files[call->file], call);
	} while (ret < 0 && errno == EINTR);
	call->result = ret < 0 ? -errno : ret;
}

static void block_pool_finish_locked(struct block_pool *pool,
				     struct block_call *call)
{
	/* Who finds one done call takes all of them. */
	if (!pool->done.first)
		eventfd_write(pool->event_fd, 1);
	block_call_append(&pool->done, call);
}

static void *block_pool_run(void *ctx)
{
	struct block_pool *pool = ctx;
	struct block_call *call;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stop) {
		call = block_call_take(&pool->queued);
		if (!call) {
			pthread_cond_wait(&pool->work, &pool->lock);
			continue;
		}
		pthread_mutex_unlock(&pool->lock);
		block_pool_call(pool, call);
		pthread_mutex_lock(&pool->lock);
		block_pool_finish_locked(pool, call);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int block_pool_start(struct block_pool *pool)
{
	sigset_t all, before;
	int ret = 0;

	/* Signals are for the threads that expect them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (!ret && pool->started < pool->threads) {
		ret = -pthread_create(&pool->ids[pool->started], NULL,
				      block_pool_run, pool);
		if (!ret)
			pool->started++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}

void block_pool_add(struct block_pool *pool, struct block_call *call)
{
	pthread_mutex_lock(&pool->lock);
	block_call_append(&pool->queued, call);
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

void block_pool_cancel(struct block_pool *pool)
{
	struct block_call *call;

	pthread_mutex_lock(&pool->lock);
	while ((call = block_call_take(&pool->queued))) {
		call->result = -ECANCELED;
		block_pool_finish_locked(pool, call);
	}
	pthread_mutex_unlock(&pool->lock);
}

struct block_call *block_pool_reap(struct block_pool *pool)
{
	struct block_call *call;

	pthread_mutex_lock(&pool->lock);
	call = block_call_take(&pool->done);
	pthread_mutex_unlock(&pool->lock);
	return call;
}
