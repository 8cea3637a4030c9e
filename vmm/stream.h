/*
 * Where the guest's output goes: stdout, a file, a function on the main thread,
 * sockets that come and go, nothing (a NULL stream). A vCPU thread only appends
 * to a bounded ring; the main thread writes it out when the other end takes it.
 * A reader that stops reading costs output, which is counted, and never time.
 */
#ifndef VMM_STREAM_H
#define VMM_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/loop.h"

/* Bytes that wait for their reader at most. Takes memory only when used. */
#define STREAM_RING_SIZE ((size_t)1 << 20)

struct stream;

/**
 * stream_open_fd() - Write to a descriptor that was inherited.
 * @out: for stream_free()
 * @loop: borrowed; must outlive the stream
 * @fd: borrowed, stays open until stream_free(). A pipe or terminal is opened
 *      anew to be written without blocking; where that cannot be, its open
 *      file description is O_NONBLOCK until stream_free()
 * @name: for messages, copied: "standard output"
 * @err: names @name
 *
 * SIGPIPE must be ignored. Main thread. Return: 0 or a negative errno.
 */
int stream_open_fd(struct stream **out, struct loop *loop, int fd,
		   const char *name, struct error *err);

/**
 * stream_open_file() - Write to a file, which is created or emptied.
 * @option: the option that named it, for messages
 * @path: also a FIFO that somebody reads, or a terminal
 *
 * The rest as stream_open_fd().
 */
int stream_open_file(struct stream **out, struct loop *loop, const char *option,
		     const char *path, struct error *err);

/* Main thread; takes all of it. */
typedef void stream_sink_fn(void *ctx, const uint8_t *data, size_t len);

/**
 * stream_open_sink() - Hand the output to a function on the loop's thread.
 * @ctx: borrowed
 *
 * The rest as stream_open_fd(). Return: 0 or a negative errno, @err set.
 */
int stream_open_sink(struct stream **out, struct loop *loop,
		     stream_sink_fn *sink, void *ctx, struct error *err);

/**
 * stream_open_away() - Write to sockets that come and go.
 * @name: for messages, copied
 * @gone: main thread: the reader has gone, see stream_detach(). It may attach
 *	  the next one
 * @ctx: borrowed, for @gone
 *
 * While there is none, output is dropped, and counted. The rest as
 * stream_open_fd().
 */
int stream_open_away(struct stream **out, struct loop *loop, const char *name,
		     void (*gone)(void *ctx), void *ctx, struct error *err);

/**
 * stream_attach() - From now on write there.
 * @stream: of stream_open_away(), without a reader now
 * @fd: a socket that no one else has given to the loop; owned from now on, also
 *	by a failure
 *
 * Main thread. Return: 0 or a negative errno.
 */
int stream_attach(struct stream *stream, int fd);

/* Close the socket; what waits is dropped and counted. Main thread. */
void stream_detach(struct stream *stream);

/**
 * stream_free() - Close the stream; what was not flushed is lost.
 *
 * Main thread, and nobody may write any more. NULL is nothing to do.
 */
void stream_free(struct stream *stream);

/**
 * stream_write() - Append output; what does not fit is dropped and counted.
 * @stream: NULL takes everything and keeps nothing
 *
 * Any thread; never blocks but for a short lock.
 */
void stream_write(struct stream *stream, const void *data, size_t len);

/**
 * stream_flush() - Write out what waits, then report what was dropped.
 * @max_ns: give up, and drop the rest, when the other end took nothing for
 *	    this long
 *
 * Main thread, outside of loop_run(), when nobody writes any more.
 */
void stream_flush(struct stream *stream, int64_t max_ns);

/* Bytes that were dropped so far, those for a gone reader included. Any
 * thread; 0 for NULL. */
uint64_t stream_dropped(struct stream *stream);

#endif
