/*
 * Guest output, between vCPU threads that must not wait and a descriptor that
 * may. The bytes are the guest's and are passed on as they are.
 *
 * Theory of operation. The ring belongs to both sides, under the lock. A
 * writer that finds it empty wakes the main loop; while it is not empty, the
 * main thread has either a wake-up or EPOLLOUT still to come, so nobody else
 * needs to wake it. The main thread writes straight from the ring with the
 * lock released: writers only touch the free part, and only the main thread
 * makes more of it. An empty ring starts over at its beginning, so that a
 * quiet guest costs a page or two of the ring and not all of it.
 *
 * A descriptor that epoll refuses (a regular file, /dev/null) is written
 * directly, one piece a turn of the loop.
 */
#include "vmm/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/reopen.h"

/* A guest chooses how often it overruns a slow reader. */
#define STREAM_REPORT_INTERVAL INT64_C(10000000000) /* ns */

struct stream {
	/* Set when it is opened, or a socket comes or goes. */
	struct loop *loop;    /* borrowed; with gone */
	char *name;	      /* owned */
	int fd;		      /* what is written to; -1 with a sink, and
				 while a socket is away */
	stream_sink_fn *sink; /* NULL with a descriptor */
	void *sink_ctx;	      /* borrowed */
	void (*gone)(void *); /* NULL if a reader that has gone is the last */
	void *gone_ctx;	      /* borrowed */
	bool fd_owned;
	bool socket;
	int restore_flags;	/* O_NONBLOCK was added to these; -1 if not */
	struct loop_wake *wake; /* owned */

	/* Main thread. */
	struct loop_fd *source;	   /* owned; NULL: epoll refuses fd */
	uint64_t dropped_reported; /* of dropped */
	int64_t next_report;	   /* loop_now() */

	pthread_mutex_t lock;
	/* Under lock. */
	uint8_t *ring; /* owned, STREAM_RING_SIZE; see above for its content */
	size_t head;   /* first byte that waits */
	size_t used;   /* bytes that wait */
	bool broken;   /* the reader has gone, or there is none yet */
	uint64_t dropped;
};

void stream_write(struct stream *stream, const void *data, size_t len)
{
	const uint8_t *from = data;
	size_t tail, take, first;
	bool wake;

	if (!stream || len == 0)
		return;
	pthread_mutex_lock(&stream->lock);
	take = stream->broken ? 0 : STREAM_RING_SIZE - stream->used;
	if (take > len)
		take = len;
	stream->dropped += len - take;
	tail = (stream->head + stream->used) % STREAM_RING_SIZE;
	first = STREAM_RING_SIZE - tail;
	if (first > take)
		first = take;
	memcpy(stream->ring + tail, from, first);
	memcpy(stream->ring, from + first, take - first);
	wake = stream->used == 0 && take > 0;
	stream->used += take;
	pthread_mutex_unlock(&stream->lock);
	if (wake)
		loop_wake_send(stream->wake);
}

uint64_t stream_dropped(struct stream *stream)
{
	uint64_t dropped;

	if (!stream)
		return 0;
	pthread_mutex_lock(&stream->lock);
	dropped = stream->dropped;
	pthread_mutex_unlock(&stream->lock);
	return dropped;
}

/* The first run of bytes that wait. Return: its length. */
static size_t stream_peek(struct stream *stream, const uint8_t **data)
{
	size_t len;

	pthread_mutex_lock(&stream->lock);
	*data = stream->ring + stream->head;
	len = STREAM_RING_SIZE - stream->head;
	if (len > stream->used)
		len = stream->used;
	pthread_mutex_unlock(&stream->lock);
	return len;
}

/* Free len bytes that were written. Return: how many still wait. */
static size_t stream_consume(struct stream *stream, size_t len)
{
	size_t left;

	pthread_mutex_lock(&stream->lock);
	stream->used -= len;
	stream->head = (stream->head + len) % STREAM_RING_SIZE;
	if (stream->used == 0)
		stream->head = 0;
	left = stream->used;
	pthread_mutex_unlock(&stream->lock);
	return left;
}

/* Drop what waits. last: whatever comes from now on, too. */
static void stream_discard(struct stream *stream, bool last)
{
	pthread_mutex_lock(&stream->lock);
	stream->dropped += stream->used;
	stream->used = 0;
	stream->head = 0;
	stream->broken |= last;
	pthread_mutex_unlock(&stream->lock);
}

/* The other end has gone: if for good, say so once, and carry on without it. */
static void stream_break(struct stream *stream, int errnum)
{
	if (stream->gone) {
		stream_detach(stream);
		stream->gone(stream->gone_ctx);
		return;
	}
	stream_discard(stream, true);
	loop_fd_remove(stream->source);
	stream->source = NULL;
	log_warn("%s: %s; the guest's output is discarded from here on",
		 stream->name,
		 errnum == EPIPE ? "nobody reads it any more"
				 : strerror(errnum));
}

static bool stream_is_broken(struct stream *stream)
{
	bool broken;

	pthread_mutex_lock(&stream->lock);
	broken = stream->broken;
	pthread_mutex_unlock(&stream->lock);
	return broken;
}

/* Say what was dropped since the last time. The loss after the last reader's
 * going is not news. */
static void stream_report(struct stream *stream)
{
	uint64_t dropped = stream_dropped(stream);

	if (dropped == stream->dropped_reported ||
	    (stream_is_broken(stream) && !stream->gone))
		return;
	log_warn("%s: %" PRIu64 " bytes of the guest's output were dropped, "
		 "%sits reader did not keep up",
		 stream->name, dropped - stream->dropped_reported,
		 stream->gone ? "nobody was connected or " : "");
	stream->dropped_reported = dropped;
	stream->next_report = loop_now() + STREAM_REPORT_INTERVAL;
}

/*
 * Write once. Return: bytes written, 0 if nothing waits, -EAGAIN if the other
 * end takes nothing now, or another errno for good.
 */
static ssize_t stream_push(struct stream *stream)
{
	const uint8_t *data;
	size_t len = stream_peek(stream, &data);
	ssize_t n;

	if (len == 0)
		return 0;
	if (stream->sink) {
		stream->sink(stream->sink_ctx, data, len);
		return (ssize_t)len;
	}
	do {
		if (stream->socket)
			n = send(stream->fd, data, len,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			n = write(stream->fd, data, len);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	/* A descriptor that cannot be polled has no later. */
	if (n == 0 || (errno == EAGAIN && !stream->source))
		return -EIO;
	return -errno;
}

/* Write one piece and see to it that the rest has its turn. */
static void stream_pump(struct stream *stream)
{
	ssize_t n = stream_push(stream);
	size_t left;

	if (n < 0 && n != -EAGAIN) {
		stream_break(stream, (int)-n);
		return;
	}
	left = stream_consume(stream, n > 0 ? (size_t)n : 0);
	if (left == 0 && loop_now() >= stream->next_report)
		stream_report(stream);
	if (stream->source)
		loop_fd_set(stream->source, left ? EPOLLOUT : 0);
	else if (left)
		loop_wake_send(stream->wake);
}

static void stream_woken(void *ctx)
{
	struct stream *stream = ctx;

	if (!stream_is_broken(stream))
		stream_pump(stream);
}

static void stream_ready(void *ctx, uint32_t events)
{
	struct stream *stream = ctx;

	/* Reported whether waited for or not: the loop would spin on it. */
	if (events & (EPOLLERR | EPOLLHUP))
		stream_break(stream, EPIPE);
	else
		stream_pump(stream);
}

/* Wait until fd can be written. Return: false if it was not, for max_ns. */
static bool stream_wait(const struct stream *stream, int64_t max_ns)
{
	int64_t end;

	if (__builtin_add_overflow(loop_now(), max_ns, &end))
		end = INT64_MAX;
	return loop_wait_fd(stream->fd, POLLOUT, end) == 0;
}

void stream_flush(struct stream *stream, int64_t max_ns)
{
	ssize_t n;

	if (!stream)
		return;
	while (!stream_is_broken(stream)) {
		n = stream_push(stream);
		if (n == 0)
			break;
		if (n > 0)
			stream_consume(stream, (size_t)n);
		else if (n != -EAGAIN)
			stream_break(stream, (int)-n);
		else if (!stream_wait(stream, max_ns))
			stream_discard(stream, false);
	}
	stream_report(stream);
}

/*
 * Make writes to the stream's descriptor return rather than wait. Others, such
 * as the shell, share an inherited open file description and its O_NONBLOCK,
 * so better to have one of our own.
 */
static int stream_set_nonblocking(struct stream *stream, const struct stat *st)
{
	int fd, flags;

	stream->socket = S_ISSOCK(st->st_mode);
	if (stream->socket || S_ISREG(st->st_mode) || stream->fd_owned)
		return 0;
	fd = reopen_nonblocking(stream->fd, O_WRONLY);
	if (fd >= 0) {
		stream->fd = fd;
		stream->fd_owned = true;
		return 0;
	}
	flags = fcntl(stream->fd, F_GETFL);
	if (flags < 0)
		return -errno;
	if (flags & O_NONBLOCK)
		return 0;
	if (fcntl(stream->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	stream->restore_flags = flags;
	return 0;
}

static int stream_start_ring(struct stream *stream, struct loop *loop)
{
	/* Anonymous memory takes no page before it is touched. */
	void *ring = mmap(NULL, STREAM_RING_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ring == MAP_FAILED)
		return -errno;
	stream->ring = ring;
	return loop_wake_add(loop, &stream->wake, stream_woken, stream);
}

static int stream_start(struct stream *stream, struct loop *loop)
{
	struct stat st;
	int ret;

	ret = stream_start_ring(stream, loop);
	if (ret < 0 || stream->sink)
		return ret;
	if (fstat(stream->fd, &st) < 0)
		return -errno;
	ret = stream_set_nonblocking(stream, &st);
	if (ret < 0)
		return ret;
	ret = loop_fd_add(loop, &stream->source, stream->fd, 0, stream_ready,
			  stream);
	return ret == -EPERM ? 0 : ret;
}

/* It leads nowhere yet. */
static struct stream *stream_alloc(const char *name)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	pthread_mutex_init(&stream->lock, NULL);
	stream->fd = -1;
	stream->restore_flags = -1;
	stream->name = strdup(name);
	if (stream->name)
		return stream;
	stream_free(stream);
	return NULL;
}

static int stream_new(struct stream **out, struct loop *loop, int fd,
		      bool fd_owned, const char *name, struct error *err)
{
	struct stream *stream = stream_alloc(name);
	int ret;

	if (!stream) {
		if (fd_owned)
			close(fd);
		return error_set(err, ENOMEM, "%s: out of memory", name);
	}
	stream->fd = fd;
	stream->fd_owned = fd_owned;
	ret = stream_start(stream, loop);
	if (ret < 0) {
		error_set(err, -ret, "%s: cannot write there: %s", name,
			  strerror(-ret));
		stream_free(stream);
		return ret;
	}
	*out = stream;
	return 0;
}

int stream_open_sink(struct stream **out, struct loop *loop,
		     stream_sink_fn *sink, void *ctx, struct error *err)
{
	struct stream *stream = stream_alloc("attached consoles");
	int ret = -ENOMEM;

	if (stream) {
		stream->sink = sink;
		stream->sink_ctx = ctx;
		ret = stream_start(stream, loop);
	}
	if (ret < 0) {
		stream_free(stream);
		return error_set(err, -ret,
				 "cannot copy the guest's output: %s",
				 strerror(-ret));
	}
	*out = stream;
	return 0;
}

int stream_open_away(struct stream **out, struct loop *loop, const char *name,
		     void (*gone)(void *ctx), void *ctx, struct error *err)
{
	struct stream *stream = stream_alloc(name);
	int ret = stream ? stream_start_ring(stream, loop) : -ENOMEM;

	if (ret < 0) {
		stream_free(stream);
		return error_set(err, -ret, "%s: %s", name, strerror(-ret));
	}
	stream->loop = loop;
	stream->gone = gone;
	stream->gone_ctx = ctx;
	stream->socket = true;
	stream->fd_owned = true;
	stream->broken = true;
	*out = stream;
	return 0;
}

int stream_attach(struct stream *stream, int fd)
{
	int ret = loop_fd_add(stream->loop, &stream->source, fd, 0,
			      stream_ready, stream);

	if (ret < 0) {
		close(fd);
		return ret;
	}
	/* A client chooses how often it comes. */
	if (loop_now() >= stream->next_report)
		stream_report(stream);
	stream->fd = fd;
	pthread_mutex_lock(&stream->lock);
	stream->broken = false;
	pthread_mutex_unlock(&stream->lock);
	return 0;
}

void stream_detach(struct stream *stream)
{
	stream_discard(stream, true);
	loop_fd_remove(stream->source);
	stream->source = NULL;
	if (stream->fd >= 0)
		close(stream->fd);
	stream->fd = -1;
}

int stream_open_fd(struct stream **out, struct loop *loop, int fd,
		   const char *name, struct error *err)
{
	return stream_new(out, loop, fd, false, name, err);
}

int stream_open_file(struct stream **out, struct loop *loop, const char *option,
		     const char *path, struct error *err)
{
	char *name;
	int fd, ret;

	/* O_NONBLOCK: a FIFO that nobody reads is an error, not a wait. */
	fd = open(path,
		  O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY |
			  O_CLOEXEC,
		  0644);
	if (fd < 0)
		return error_set(
			err, errno, "%s %s: cannot open it: %s", option, path,
			errno == ENXIO ? "it is a socket, or a FIFO that "
					 "nobody reads"
				       : strerror(errno));
	if (asprintf(&name, "%s %s", option, path) < 0) {
		close(fd);
		return error_set(err, ENOMEM, "%s %s: out of memory", option,
				 path);
	}
	ret = stream_new(out, loop, fd, true, name, err);
	free(name);
	return ret;
}

void stream_free(struct stream *stream)
{
	if (!stream)
		return;
	loop_fd_remove(stream->source);
	loop_wake_remove(stream->wake);
	if (stream->restore_flags >= 0)
		fcntl(stream->fd, F_SETFL, stream->restore_flags);
	if (stream->fd_owned && stream->fd >= 0)
		close(stream->fd);
	if (stream->ring)
		munmap(stream->ring, STREAM_RING_SIZE);
	pthread_mutex_destroy(&stream->lock);
	free(stream->name);
	free(stream);
}
