/*
 * The control socket's server. A client may send anything, in pieces of any
 * size, as fast as it likes, and may never read what it is sent.
 *
 * Theory of operation. Each turn of the loop does a bounded piece of work for
 * each client (control_client_work()): one read, a few requests, one write.
 * What is left over waits for the next turn: the socket's readiness brings it
 * about, or the server's timer where complete lines stand in our own buffer.
 *
 * Both directions have one buffer. A client that leaves more than
 * CONTROL_QUEUE_BUSY in its queue is not read from until it has taken that, so
 * requests alone never fill a queue; messages that nobody asked for may, and
 * then the client is dropped.
 *
 * Methods and messages run inside of a client's work, so a client is never
 * freed there: it is marked dead, and the timer frees it in the next turn.
 */
#include "vmm/control.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/log.h"

/* Requests of one client in one turn of the loop. */
#define CONTROL_TURN_REQUESTS 16
/* Bytes in the queue from which on a client's requests wait. */
#define CONTROL_QUEUE_BUSY (CONTROL_QUEUE_MAX / 4)
/* And from which on it misses what may be missed. */
#define CONTROL_QUEUE_LOSSY (CONTROL_QUEUE_MAX / 2)

/* Without a descriptor left, before the next accept4(2). */
#define CONTROL_ACCEPT_PAUSE INT64_C(1000000000) /* ns */

struct control_client {
	struct control_client *next;
	struct control *control; /* borrowed */
	int fd;			 /* owned */
	struct loop_fd *source;	 /* owned; NULL once the peer has hung up */
	uint64_t topics;

	bool eof;     /* the peer sends no more */
	bool hung_up; /* nor does it read: replies are dropped */
	bool closing; /* no more requests; closed when the queue is empty */
	bool dead;    /* freed in the next turn */

	char *in; /* owned, CONTROL_LINE_MAX + 1 */
	size_t in_used;
	char *out; /* owned, out_size; NULL while nothing waits */
	size_t out_size, out_head, out_used;
};

struct control {
	struct control_config config;
	struct loop_fd *listener;   /* owned */
	struct loop_timer *turn;    /* owned: work that no descriptor brings */
	struct loop_timer *unpause; /* owned: listens again */
	struct control_client *clients;
	unsigned int count;
	/* Whoever is let in chooses how often these are printed. */
	struct log_limit limit;
};

/* --- One client's queue --------------------------------------------------- */

static void control_client_drop(struct control_client *client, const char *why)
{
	if (client->dead)
		return;
	if (why)
		log_limited(&client->control->limit, LOG_WARN,
			    "control: a client was dropped: %s", why);
	client->dead = true;
	loop_timer_set(client->control->turn, 0);
}

/* Make room for len bytes behind what waits. Return: 0, -ENOSPC or -ENOMEM. */
static int control_queue_reserve(struct control_client *client, size_t len)
{
	size_t size = client->out_size ? client->out_size : 4096;
	char *out;

	if (len > CONTROL_QUEUE_MAX - client->out_used)
		return -ENOSPC;
	if (client->out_used)
		memmove(client->out, client->out + client->out_head,
			client->out_used);
	client->out_head = 0;
	while (size < client->out_used + len)
		size *= 2;
	if (client->out && size == client->out_size)
		return 0;
	out = realloc(client->out, size);
	if (!out)
		return -ENOMEM;
	client->out = out;
	client->out_size = size;
	return 0;
}

static void control_queue_clear(struct control_client *client)
{
	free(client->out);
	client->out = NULL;
	client->out_size = client->out_head = client->out_used = 0;
}

/* Which events a client waits for. */
static void control_client_rearm(struct control_client *client)
{
	uint32_t events = client->out_used ? (uint32_t)EPOLLOUT : 0;

	if (!client->source)
		return;
	if (!client->eof && !client->closing &&
	    client->in_used <= CONTROL_LINE_MAX &&
	    client->out_used <= CONTROL_QUEUE_BUSY)
		events |= EPOLLIN;
	if (loop_fd_set(client->source, events) < 0)
		control_client_drop(client, "epoll_ctl(2) failed");
}

/* text: len bytes with the newline. */
static void control_client_send(struct control_client *client, const char *text,
				size_t len)
{
	if (client->dead || client->hung_up)
		return;
	switch (control_queue_reserve(client, len)) {
	case 0:
		memcpy(client->out + client->out_used, text, len);
		client->out_used += len;
		control_client_rearm(client);
		break;
	case -ENOSPC:
		control_client_drop(client, "it does not read what it is sent");
		break;
	default:
		control_client_drop(client, "out of memory");
		break;
	}
}

/* The line of a message, to be freed. message: taken over. NULL: no memory. */
static char *control_line(json_t *message, size_t *len)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

	json_decref(message);
	if (!text)
		return NULL;
	*len = strlen(text) + 1;
	/* dumps' terminator becomes the newline: the length is known. */
	text[*len - 1] = '\n';
	return text;
}

static void control_client_reply(struct control_client *client, json_t *reply)
{
	size_t len;
	char *text = control_line(reply, &len);

	if (text)
		control_client_send(client, text, len);
	else
		control_client_drop(client, "out of memory");
	free(text);
}

/* Nothing more can be written. */
static void control_client_hang_up(struct control_client *client)
{
	client->hung_up = true;
	control_queue_clear(client);
	loop_fd_remove(client->source);
	client->source = NULL;
}

static void control_client_flush(struct control_client *client)
{
	ssize_t n;

	if (!client->out_used)
		return;
	n = send(client->fd, client->out + client->out_head, client->out_used,
		 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			control_client_hang_up(client);
		return;
	}
	client->out_head += (size_t)n;
	client->out_used -= (size_t)n;
	if (!client->out_used)
		control_queue_clear(client);
}

/* --- One client's work ---------------------------------------------------- */

static bool control_client_busy(const struct control_client *client)
{
	return client->out_used > CONTROL_QUEUE_BUSY;
}

static void control_client_read(struct control_client *client)
{
	size_t room = CONTROL_LINE_MAX + 1 - client->in_used;
	ssize_t n;

	if (client->eof || client->closing || room == 0 ||
	    control_client_busy(client))
		return;
	n = recv(client->fd, client->in + client->in_used, room, MSG_DONTWAIT);
	if (n > 0)
		client->in_used += (size_t)n;
	/* One that has hung up may be open to send: it is not waited for. */
	else if (n == 0 || client->hung_up ||
		 (errno != EAGAIN && errno != EINTR))
		client->eof = true;
}

static bool control_client_has_line(const struct control_client *client)
{
	return client->in_used && !client->closing &&
	       memchr(client->in, '\n', client->in_used);
}

static void control_client_answer_line(struct control_client *client,
				       const char *line, size_t len)
{
	const struct control_config *config = &client->control->config;
	json_t *reply = NULL;

	if (control_rpc_answer(&config->table, config->ctx, client, line, len,
			       &reply) < 0)
		control_client_drop(client, "out of memory");
	else if (reply)
		control_client_reply(client, reply);
}

/* Where the next line would begin, nobody can tell: it is the last. */
static void control_client_refuse_line(struct control_client *client)
{
	control_client_reply(
		client,
		control_rpc_refuse(CONTROL_INVALID_REQUEST,
				   "expected a line of 65536 bytes at most"));
	client->closing = true;
}

static void control_client_answer(struct control_client *client)
{
	size_t done = 0;

	static_assert(CONTROL_LINE_MAX == 65536, "as the message says");
	for (unsigned int i = 0; i < CONTROL_TURN_REQUESTS; i++) {
		const char *line = client->in + done;
		const char *end;

		if (client->dead || client->closing ||
		    control_client_busy(client))
			break;
		end = memchr(line, '\n', client->in_used - done);
		if (!end)
			break;
		control_client_answer_line(client, line, (size_t)(end - line));
		done += (size_t)(end - line) + 1;
	}
	client->in_used -= done;
	memmove(client->in, client->in + done, client->in_used);
	if (!client->closing && client->in_used > CONTROL_LINE_MAX &&
	    !control_client_has_line(client))
		control_client_refuse_line(client);
}

/* Whether nothing remains to be done for a client. */
static bool control_client_done(const struct control_client *client)
{
	if (client->out_used)
		return false;
	if (client->closing)
		return true;
	return client->eof && !control_client_has_line(client);
}

static void control_client_work(struct control_client *client)
{
	control_client_read(client);
	control_client_answer(client);
	control_client_flush(client);
	if (control_client_done(client))
		control_client_drop(client, NULL);
	control_client_rearm(client);
	/* What no descriptor will bring us back for. */
	if (client->hung_up ||
	    (control_client_has_line(client) && !control_client_busy(client)))
		loop_timer_set(client->control->turn, 0);
}

static void control_client_ready(void *ctx, uint32_t events)
{
	struct control_client *client = ctx;

	if (client->dead)
		return;
	/*
	 * Requests that were sent before the peer closed are still carried
	 * out; the source goes, since it would report this for ever.
	 */
	if (events & (EPOLLHUP | EPOLLERR))
		control_client_hang_up(client);
	control_client_work(client);
}

/* --- Clients come and go -------------------------------------------------- */

static void control_client_free(struct control_client *client)
{
	loop_fd_remove(client->source);
	close(client->fd);
	free(client->in);
	free(client->out);
	free(client);
}

static void control_reap(struct control *control)
{
	struct control_client **link = &control->clients;

	while (*link) {
		struct control_client *client = *link;

		if (!client->dead) {
			link = &client->next;
			continue;
		}
		*link = client->next;
		control->count--;
		control_client_free(client);
	}
}

static void control_turn(void *ctx)
{
	struct control *control = ctx;

	for (struct control_client *client = control->clients; client;
	     client = client->next) {
		if (!client->dead &&
		    (client->hung_up || control_client_has_line(client)))
			control_client_work(client);
	}
	control_reap(control);
}

static bool control_peer_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

/* One line for who cannot be a client; the connection is closed by the caller.
 */
static void control_turn_away(int fd, const char *why)
{
	size_t len;
	char *text =
		control_line(control_rpc_refuse(CONTROL_FAILED, why), &len);

	if (text &&
	    send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
		log_debug("control: a client went without its answer");
	free(text);
}

/* fd: taken over on success. */
static int control_client_new(struct control *control, int fd)
{
	struct control_client *client = calloc(1, sizeof(*client));
	int ret;

	if (!client)
		return -ENOMEM;
	client->control = control;
	client->fd = fd;
	client->in = malloc(CONTROL_LINE_MAX + 1);
	ret = client->in
		      ? loop_fd_add(control->config.loop, &client->source, fd,
				    EPOLLIN, control_client_ready, client)
		      : -ENOMEM;
	if (ret < 0) {
		free(client->in);
		free(client);
		return ret;
	}
	client->next = control->clients;
	control->clients = client;
	control->count++;
	return 0;
}

/* Out of descriptors: epoll would report the same connection at once. */
static void control_pause(struct control *control, int errnum)
{
	log_limited(&control->limit, LOG_WARN,
		    "control: cannot accept a connection: %s",
		    strerror(errnum));
	loop_fd_set(control->listener, 0);
	loop_timer_set(control->unpause, CONTROL_ACCEPT_PAUSE);
}

static void control_unpause(void *ctx)
{
	struct control *control = ctx;

	loop_fd_set(control->listener, EPOLLIN);
}

/* One connection a turn: a flood of them leaves time for the rest. */
static void control_accept(void *ctx, uint32_t events)
{
	struct control *control = ctx;
	const char *why = NULL;
	int fd;

	(void)events;
	fd = accept4(control->config.fd, NULL, NULL,
		     SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			control_pause(control, errno);
		return;
	}
	if (!control_peer_allowed(fd))
		why = "this machine belongs to another user";
	else if (control->count >= CONTROL_CLIENTS_MAX)
		why = "too many connections; close one of the others";
	else if (control_client_new(control, fd) < 0)
		why = "out of memory";
	if (!why)
		return;
	log_limited(&control->limit, LOG_WARN,
		    "control: a client was turned away: %s", why);
	control_turn_away(fd, why);
	close(fd);
}

int control_new(struct control **out, const struct control_config *config,
		struct error *err)
{
	struct control *control = calloc(1, sizeof(*control));
	int ret;

	if (!control)
		return error_set(err, ENOMEM, "out of memory");
	control->config = *config;
	ret = loop_timer_add(config->loop, &control->turn, control_turn,
			     control);
	if (ret == 0)
		ret = loop_timer_add(config->loop, &control->unpause,
				     control_unpause, control);
	if (ret == 0)
		ret = loop_fd_add(config->loop, &control->listener, config->fd,
				  EPOLLIN, control_accept, control);
	if (ret < 0) {
		control_free(control);
		return error_set(err, -ret,
				 "cannot serve the control socket: %s",
				 strerror(-ret));
	}
	*out = control;
	return 0;
}

void control_stop_listening(struct control *control)
{
	loop_timer_cancel(control->unpause);
	loop_fd_remove(control->listener);
	control->listener = NULL;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	while (control->clients) {
		struct control_client *client = control->clients;

		control->clients = client->next;
		control_client_free(client);
	}
	loop_fd_remove(control->listener);
	loop_timer_remove(control->unpause);
	loop_timer_remove(control->turn);
	free(control);
}

/* --- Messages ------------------------------------------------------------- */

/* Return: how many clients still have something waiting, in fds. */
static nfds_t control_flush_once(struct control *control, struct pollfd *fds)
{
	nfds_t count = 0;

	for (struct control_client *client = control->clients; client;
	     client = client->next) {
		if (client->dead)
			continue;
		control_client_flush(client);
		if (client->out_used)
			fds[count++] = (struct pollfd){.fd = client->fd,
						       .events = POLLOUT};
	}
	return count;
}

void control_flush(struct control *control, int64_t max_ns)
{
	const int64_t deadline = loop_now() + max_ns;
	struct pollfd fds[CONTROL_CLIENTS_MAX];
	int64_t left = max_ns;

	while (left > 0) {
		nfds_t count = control_flush_once(control, fds);

		if (count == 0 ||
		    (poll(fds, count, (int)(left / 1000000) + 1) < 0 &&
		     errno != EINTR))
			return;
		left = deadline - loop_now();
	}
}

uint64_t control_client_topics(const struct control_client *client)
{
	return client->topics;
}

void control_client_subscribe(struct control_client *client, uint64_t topics)
{
	client->topics = topics;
}

void control_unsubscribe_all(struct control *control, uint64_t topics)
{
	for (struct control_client *client = control->clients; client;
	     client = client->next)
		client->topics &= ~topics;
}

static bool control_client_wants(const struct control_client *client,
				 uint64_t topics)
{
	return !client->dead && !client->hung_up && !client->closing &&
	       (client->topics & topics);
}

bool control_wanted(const struct control *control, uint64_t topics)
{
	for (const struct control_client *client = control->clients; client;
	     client = client->next) {
		if (control_client_wants(client, topics))
			return true;
	}
	return false;
}

void control_publish(struct control *control, uint64_t topics, json_t *message,
		     enum control_loss loss)
{
	size_t len = 0;
	char *text = control_line(message, &len);

	for (struct control_client *client = control->clients; client;
	     client = client->next) {
		if (!control_client_wants(client, topics))
			continue;
		if (!text)
			control_client_drop(client, "out of memory");
		else if (loss == CONTROL_RELIABLE ||
			 client->out_used + len <= CONTROL_QUEUE_LOSSY)
			control_client_send(client, text, len);
	}
	free(text);
}
