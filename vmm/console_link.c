/*
 * A pair of sockets between a console port and its chardev.
 */
#include "vmm/console_link.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/socket.h>

#include "vmm/base/log.h"

/* Taken at once of what was printed; others get their turn after that. */
#define CONSOLE_LINK_PIECE 16384
#define CONSOLE_LINK_INPUT 1024
/* What the kernel keeps of what was typed, as little as it can. */
#define CONSOLE_LINK_TYPED 1

struct console_link {
	struct char_backend backend;
	int fd;			/* owned */
	int device_fd;		/* owned; -1 once the device has it */
	bool connected;		/* to the chardev */
	struct loop_fd *source; /* owned; NULL once the device is gone */
	size_t waiting;		/* bytes of input[] */
	uint8_t input[CONSOLE_LINK_INPUT];
};

/* --- From the guest --------------------------------------------------------
 */

/* The device hung up: it never does while the machine lives, but it may be in
 * a process that was killed. */
static void console_link_end(struct console_link *link)
{
	loop_fd_remove(link->source);
	link->source = NULL;
	link->waiting = 0;
}

/* Return: whether there was anything. */
static bool console_link_take(struct console_link *link)
{
	uint8_t data[CONSOLE_LINK_PIECE];
	ssize_t len = recv(link->fd, data, sizeof(data), MSG_DONTWAIT);

	if (len > 0) {
		link->backend.ops->output(link->backend.ctx, data, (size_t)len);
		return true;
	}
	if (len == 0 || (errno != EAGAIN && errno != EINTR))
		console_link_end(link);
	return false;
}

void console_link_drain(struct console_link *link)
{
	while (link->source && console_link_take(link))
		;
}

/* --- To the guest ----------------------------------------------------------
 */

/* Hand over what waits, as far as the socket takes it. */
static void console_link_send(struct console_link *link)
{
	ssize_t len;

	if (!link->source)
		link->waiting = 0;
	if (!link->waiting)
		return;
	len = send(link->fd, link->input, link->waiting,
		   MSG_DONTWAIT | MSG_NOSIGNAL);
	if (len < 0 && errno != EAGAIN && errno != EINTR) {
		console_link_end(link);
		return;
	}
	if (len > 0) {
		link->waiting -= (size_t)len;
		memmove(link->input, link->input + len, link->waiting);
	}
	loop_fd_set(link->source, link->waiting ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

size_t console_link_room(void *ctx)
{
	const struct console_link *link = ctx;

	return sizeof(link->input) - link->waiting;
}

void console_link_input(void *ctx, const uint8_t *data, size_t len)
{
	struct console_link *link = ctx;

	assert(len <= console_link_room(link));
	memcpy(link->input + link->waiting, data, len);
	link->waiting += len;
	console_link_send(link);
	/* It asks again only when it hears of room. */
	if (len && console_link_room(link))
		link->backend.ops->input_room(link->backend.ctx);
}

static void console_link_ready(void *ctx, uint32_t events)
{
	struct console_link *link = ctx;
	size_t room = console_link_room(link);

	if (events & ~(uint32_t)EPOLLOUT)
		console_link_take(link);
	console_link_send(link);
	if (console_link_room(link) > room)
		link->backend.ops->input_room(link->backend.ctx);
}

/* --- Life ------------------------------------------------------------------
 */

int console_link_new(struct console_link **out, struct loop *loop)
{
	struct console_link *link = calloc(1, sizeof(*link));
	const int typed = CONSOLE_LINK_TYPED;
	int fds[2], rc;

	if (!link)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       fds) < 0) {
		rc = -errno;
		free(link);
		return rc;
	}
	/* Otherwise a guest that reads nothing could have 200 KB of it. */
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &typed, sizeof(typed));
	link->fd = fds[0];
	link->device_fd = fds[1];
	rc = loop_fd_add(loop, &link->source, link->fd, 0, console_link_ready,
			 link);
	if (rc) {
		console_link_free(link);
		return rc;
	}
	*out = link;
	return 0;
}

void console_link_free(struct console_link *link)
{
	if (!link)
		return;
	loop_fd_remove(link->source);
	console_link_opened(link);
	close(link->fd);
	free(link);
}

int console_link_device_fd(const struct console_link *link)
{
	return link->device_fd;
}

void console_link_opened(struct console_link *link)
{
	if (link->device_fd >= 0)
		close(link->device_fd);
	link->device_fd = -1;
}

void console_link_connect(struct console_link *link,
			  struct char_backend backend)
{
	assert(!link->connected);
	link->connected = true;
	link->backend = backend;
	loop_fd_set(link->source, EPOLLIN);
}
