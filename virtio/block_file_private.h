/*
 * What virtio/block_file.c (the image, the engines) and virtio/block_walk.c
 * (the steps of a request) share.
 */
#ifndef VIRTIO_BLOCK_FILE_PRIVATE_H
#define VIRTIO_BLOCK_FILE_PRIVATE_H

#include "virtio/block_file.h"
#include "virtio/block_overlay.h"
#include "virtio/block_pool.h"
#include "virtio/block_uring.h"

#define BLOCK_ZEROES_IOVS 16		       /* of the buffer's size each */
#define BLOCK_PIECE_MAX	  ((uint64_t)16 << 20) /* bytes in one call */
#define BLOCK_RUN_MAX	  ((uint64_t)64 << 20) /* bytes in one run */
#define BLOCK_BUFFER_MIN  ((size_t)64 << 10)

struct block_io_list {
	struct block_io *first, *last;
};

struct block_file {
	struct block_file_config config;
	uint64_t size; /* bytes */
	int event_fd;  /* owned */

	struct block_uring *uring;     /* owned; or NULL */
	struct block_pool *pool;       /* owned; or NULL */
	struct block_overlay *overlay; /* owned; or NULL */

	uint64_t budget;	    /* bytes that a run may still move */
	unsigned int in_flight;	    /* requests */
	struct block_io_list ready; /* for the next step */
	bool called;		    /* there are calls to hand over */
	bool cancelling;	    /* no next steps */
	bool flush_failed;
	unsigned int refused; /* modes of fallocate(2) that it has not */

	struct block_io *slot;	      /* who has it, or NULL */
	struct block_io_list waiting; /* for it */
	uint8_t *buffer;	      /* owned; the slot's */
	size_t buffer_size;	      /* a multiple of offset_align */
	uint8_t *zeroes;	      /* owned; BLOCK_BUFFER_MIN of them */
	struct iovec zero_iov[BLOCK_ZEROES_IOVS];
};

static inline void block_io_append(struct block_io_list *list,
				   struct block_io *io)
{
	io->next = NULL;
	if (list->last)
		list->last->next = io;
	else
		list->first = io;
	list->last = io;
}

static inline struct block_io *block_io_take(struct block_io_list *list)
{
	struct block_io *io = list->first;

	if (!io)
		return NULL;
	list->first = io->next;
	if (!list->first)
		list->last = NULL;
	return io;
}

/* Hand io->call over. block_file.c */
void block_file_call(struct block_file *file, struct block_io *io);

/* It is done: give the slot on, call done(). block_file.c */
void block_file_finish(struct block_file *file, struct block_io *io,
		       int result);

/* Take a request's next step: a call, a wait for the slot, or its end. */
void block_walk_next(struct block_file *file, struct block_io *io);

/* io->call is done; the next step is due, or it is the end. */
void block_walk_called(struct block_file *file, struct block_io *io);

#endif
