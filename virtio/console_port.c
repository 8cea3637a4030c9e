/*
 * The bytes of the console device's ports (virtio 1.3, 5.3.6).
 *
 * Theory of operation. The socket is watched edge-triggered: "readable" and
 * "writable" say that it may be, until it says EAGAIN. So a port without
 * buffers, or a socket that was hung up, wakes nobody. Output goes straight
 * out of guest memory; the guest may change it meanwhile, which is its own
 * affair. A chain that is only partly out stays: "written" says how much.
 *
 * A socket that is gone, which happens when main is, takes output no more;
 * the guest's buffers are given back all the same, as nobody could stop a
 * guest from waiting for them.
 */
#include "virtio/console_private.h"

#include <errno.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/socket.h>

#define CONSOLE_WATCH_IDLE    (EPOLLIN | EPOLLET)
#define CONSOLE_WATCH_BLOCKED (EPOLLIN | EPOLLOUT | EPOLLET)

/* --- Output ----------------------------------------------------------------
 */

static void console_port_block(struct console_port *port)
{
	port->writable = false;
	port->blocked = true;
	/* Reports at once what became possible in between. */
	virtio_watch_set(port->watch, CONSOLE_WATCH_BLOCKED);
}

/* Return: bytes that are dealt with, 0 if none can be now. */
static size_t console_port_send(struct console_port *port, uint64_t len)
{
	const struct virtqueue_chain *chain = port->out;
	struct iovec iov[CONSOLE_QUEUE_SIZE];
	struct msghdr msg = {.msg_iov = iov};
	ssize_t sent;

	msg.msg_iovlen =
		virtqueue_iov_slice(chain->readable, chain->readable_count,
				    port->written, len, iov);
	do {
		sent = sendmsg(port->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return (size_t)sent;
	if (errno != EAGAIN)
		return len; /* nobody is there */
	console_port_block(port);
	return 0;
}

/* Return: whether port->out holds something to print. */
static bool console_port_next(struct console_port *port)
{
	if (!port->tx)
		return false;
	if (!port->out)
		port->out = console_take(port->console, port->tx, false);
	return port->out;
}

static void console_port_done(struct console_port *port)
{
	virtqueue_put(port->tx, port->out, 0);
	port->out = NULL;
	port->written = 0;
}

/* Print, until something is exhausted. Return: whether it is the turn. */
static bool console_port_print(struct console_port *port)
{
	uint64_t bytes = CONSOLE_TURN_BYTES;
	unsigned int chains = CONSOLE_TURN_CHAINS;

	while (port->writable && console_port_next(port)) {
		/* After a restore, what was written may be past the end. */
		uint64_t left =
			port->out->readable_len > port->written
				? port->out->readable_len - port->written
				: 0;
		size_t sent;

		if (!bytes || !chains--)
			return true;
		if (left) {
			sent = console_port_send(port,
						 left < bytes ? left : bytes);
			port->written += sent;
			bytes -= sent;
			left -= sent;
		}
		if (!left)
			console_port_done(port);
	}
	return false;
}

void console_port_output(struct console_port *port)
{
	struct virtqueue *tx = port->tx;
	bool more;

	if (!tx || !port->writable)
		return;
	console_remind(port->console);
	virtqueue_set_kicks(tx, false);
	do {
		more = console_port_print(port);
	} while (!more && port->writable && port->tx &&
		 virtqueue_set_kicks(tx, true));
	virtqueue_publish(tx);
	if (more)
		console_again(port->console);
}

void console_port_emergency(struct console_port *port, uint8_t byte)
{
	/* What does not fit is lost: the guest is in an emergency and may not
	 * wait. */
	send(port->fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* --- Input -----------------------------------------------------------------
 */

/* A generic port has a reader when it says so (5.3.6.2), a console likewise;
 * a device without ports always has one. */
static bool console_port_listens(const struct console_port *port)
{
	return port->rx && (port->open || !port->console->multiport);
}

/* Return: bytes read into port->in, 0 if there are none now. */
static size_t console_port_recv(struct console_port *port, uint64_t max)
{
	const struct virtqueue_chain *chain = port->in;
	struct iovec iov[CONSOLE_QUEUE_SIZE];
	struct msghdr msg = {.msg_iov = iov};
	ssize_t got;

	msg.msg_iovlen = virtqueue_iov_slice(
		chain->writable, chain->writable_count, 0, max, iov);
	do {
		got = recvmsg(port->fd, &msg, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got > 0)
		return (size_t)got;
	/* At the end, too, there is nothing to be had: until the next event. */
	port->readable = false;
	return 0;
}

/* Return: whether the turn is exhausted. */
static bool console_port_read(struct console_port *port)
{
	uint64_t bytes = CONSOLE_TURN_BYTES;
	unsigned int chains = CONSOLE_TURN_CHAINS;

	while (port->readable && console_port_listens(port)) {
		size_t got;

		if (!port->in)
			port->in = console_take(port->console, port->rx, true);
		if (!port->in)
			break;
		if (!bytes || !chains--)
			return true;
		got = console_port_recv(port, bytes);
		if (!got)
			break;
		bytes -= got;
		virtqueue_put(port->rx, port->in, (uint32_t)got);
		port->in = NULL;
	}
	return false;
}

void console_port_input(struct console_port *port)
{
	struct virtqueue *rx = port->rx;
	bool more;

	if (!rx || !port->readable || !console_port_listens(port))
		return;
	virtqueue_set_kicks(rx, false);
	do {
		more = console_port_read(port);
	} while (!more && port->readable && port->rx &&
		 virtqueue_set_kicks(rx, true));
	virtqueue_publish(rx);
	if (more)
		console_again(port->console);
}

/* --- The socket ------------------------------------------------------------
 */

void console_port_event(void *self, uint32_t events)
{
	struct console_port *port = self;

	/* EPOLLHUP and EPOLLERR: the system calls say what it is. */
	if (events & ~(uint32_t)EPOLLIN)
		port->writable = true;
	if (events & ~(uint32_t)EPOLLOUT)
		port->readable = true;
	if (port->blocked && port->writable) {
		port->blocked = false;
		virtio_watch_set(port->watch, CONSOLE_WATCH_IDLE);
	}
	console_port_output(port);
	console_port_input(port);
}

void console_port_attach(struct console_port *port, struct virtqueue *rx,
			 struct virtqueue *tx)
{
	port->rx = rx;
	port->tx = tx;
	/* Events may have been missed; it costs one system call to see. */
	port->readable = true;
	port->writable = true;
}

void console_port_detach(struct console_port *port)
{
	virtqueue_chain_free(port->in);
	virtqueue_chain_free(port->out);
	port->in = NULL;
	port->out = NULL;
	port->rx = NULL;
	port->tx = NULL;
}
