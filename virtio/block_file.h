/*
 * The image of a disk, and what is done to it: reads, writes, flushes,
 * discards and write-zeroes that run while the loop goes on. It knows nothing
 * of virtio. Who calls has checked offsets against block_file_size(); the
 * buffers are guest memory and may change at any time.
 *
 * Theory of operation. A request (struct block_io) is walked in steps, each
 * one system call (struct block_call) by io_uring or by a pool of threads,
 * one at a time; different requests run at the same time and in any order.
 * Most are one step. More are needed when a call did less than asked, when a
 * read of an ephemeral disk crosses between image and overlay, when O_DIRECT
 * finds a request that is not aligned (it goes through a buffer, with the
 * blocks around it read first), when the first write into a cluster of an
 * overlay covers only a part of it (the rest is copied from the image), and
 * when a file system cannot zero a range (zeroes are written, in pieces).
 * What needs the one buffer, or adds clusters to an overlay, does so with the
 * "slot": one request at a time has it, until it is done; others wait for it
 * in order. So two requests never fill one cluster, or read, change and write
 * one block.
 *
 * Images are never mapped: one that is cut while in use gives errors.
 *
 * One thread at a time.
 */
#ifndef VIRTIO_BLOCK_FILE_H
#define VIRTIO_BLOCK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/block_call.h"
#include "vmm/base/error.h"

#define BLOCK_SECTOR 512 /* virtio 1.3, 5.2: whatever the block size is */

/* Descriptors: the image; with an overlay its file, and its map. */
enum block_file_fd {
	BLOCK_FD_IMAGE,
	BLOCK_FD_OVERLAY,
	BLOCK_FD_MAP,
	BLOCK_FDS_MAX,
};

enum block_engine {
	BLOCK_ENGINE_AUTO,    /* io_uring if the host has it */
	BLOCK_ENGINE_URING,   /* or fail */
	BLOCK_ENGINE_THREADS, /* the pool */
};

struct block_file_config {
	int fds[BLOCK_FDS_MAX]; /* borrowed; -1 for none */
	uint64_t size;		/* bytes, of the image */
	bool device;		/* a block device, no regular file */
	bool ro;
	bool direct;	    /* the image is open with O_DIRECT */
	uint32_t mem_align; /* that O_DIRECT wants, powers of two; else 1 */
	uint32_t offset_align;
	enum block_engine engine;
	/* Borrowed, 0 for none: io_uring holds it as long as it has anything
	 * to do, which may be after the process's end. */
	int life_fd;
};

enum block_io_op {
	BLOCK_IO_READ,
	BLOCK_IO_WRITE,
	BLOCK_IO_FLUSH,
	BLOCK_IO_DISCARD, /* a hint: the content is anything afterwards */
	BLOCK_IO_ZEROES,
	BLOCK_IO_OPS,
};

/* What is on stable storage when a write, discard or write-zeroes is done. */
enum block_sync {
	BLOCK_SYNC_NONE,
	BLOCK_SYNC_THIS, /* it */
	BLOCK_SYNC_ALL,	 /* it, and all that was done before it */
};

struct block_file;
struct block_io;

/* @result: 0 or a negative errno; -ECANCELED from block_file_cancel(). May
 * submit again. */
typedef void block_io_fn(struct block_io *io, int result);

/* A request; embedded in the caller's. Untouched by the caller until done. */
struct block_io {
	enum block_io_op op;
	enum block_sync sync;
	bool unmap;		 /* ZEROES may make holes */
	uint64_t offset, len;	 /* bytes */
	const struct iovec *iov; /* READ, WRITE: in all len bytes */
	unsigned int iov_count;
	struct iovec *scratch; /* room for iov_count */
	block_io_fn *done;

	/* block_file.c's own */
	struct block_call call;
	unsigned int step; /* enum block_step */
	uint64_t at;	   /* done so far, bytes */
	uint64_t piece;	   /* that the step wants done */
	struct iovec one;  /* the buffer, or what is left of it */
	uint64_t buffer_len, buffer_done;
	unsigned int tries;
	unsigned int refused; /* modes of fallocate(2) */
	struct block_io *next;
};

/**
 * block_file_new() - Take the descriptors into use.
 * @out: for block_file_free()
 *
 * Starts no thread. Return: 0 or a negative errno, @err set.
 */
int block_file_new(struct block_file **out,
		   const struct block_file_config *config, struct error *err);

/* Nothing is in flight. NULL is nothing to do. */
void block_file_free(struct block_file *file);

/* Start the threads, if any are needed. Return: 0, or what pthread_create(3)
 * says. */
int block_file_start(struct block_file *file);

/* An eventfd: with each write to it block_file_run() has something to do. It
 * need not be read. */
int block_file_event_fd(const struct block_file *file);

/* Readable while the ring has something for block_file_run(); -1 without one.
 * What a run has finished itself wakes nobody, as an eventfd of the ring's
 * would. */
int block_file_ring_fd(const struct block_file *file);

/* Make it so. */
void block_file_notify(struct block_file *file);

/* Descriptors in use: those given, and its own. fds: room for BLOCK_FDS_MAX
 * + 2. Return: how many. */
unsigned int block_file_fds(const struct block_file *file, int *fds);

/* "io_uring" or "threads". */
const char *block_file_engine(const struct block_file *file);

/* Bytes. */
uint64_t block_file_size(const struct block_file *file);

/* Queue a request; at most BLOCK_CALLS_MAX are in flight. It begins, and
 * done() is called, in one of the next three. */
void block_file_submit(struct block_file *file, struct block_io *io);

/* Begin what was submitted and go on with what the kernel has done; as few
 * system calls as possible, and it does not wait. So that a guest cannot keep
 * the thread here, it ends after some 64 MiB, having notified itself.
 * Return: whether it ended so. */
bool block_file_run(struct block_file *file);

/* Run until nothing is in flight. May wait. */
void block_file_drain(struct block_file *file);

/* The same, but what has not gone to the kernel yet is not done at all. */
void block_file_cancel(struct block_file *file);

/* A failed flush is forgotten: until then each further one fails, too, since
 * the kernel may have dropped what it could not write. */
void block_file_forget_errors(struct block_file *file);

/**
 * block_file_resize() - Take over another size.
 * @size: bytes, to which a regular file is cut or grown first; 0: the size
 *	  that the image has now
 * @shrink: it may become smaller
 *
 * Drains. Return: 0 or a negative errno, @err set, and nothing changed.
 */
int block_file_resize(struct block_file *file, uint64_t size, bool shrink,
		      struct error *err);

/* The bits of an overlay, or NULL without one. */
void *block_file_overlay_map(struct block_file *file, size_t *size);

#endif
