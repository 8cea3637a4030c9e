#include "tests/unit/support/control_peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#define CONTROL_PEER_MAX ((size_t)4 << 20)

void control_peer_open(struct control_peer *peer, struct loop *loop,
		       const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	peer->loop = loop;
	peer->in_used = 0;
	peer->in = malloc(CONTROL_PEER_MAX);
	ck_assert_ptr_nonnull(peer->in);
	peer->fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(peer->fd, 0);
	ck_assert_int_eq(
		connect(peer->fd, (struct sockaddr *)&address, sizeof(address)),
		0);
}

void control_peer_close(struct control_peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
	free(peer->in);
	peer->in = NULL;
}

void control_peer_send(struct control_peer *peer, const char *text, size_t len)
{
	ck_assert_int_eq(send(peer->fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

void control_peer_request(struct control_peer *peer, const char *method,
			  const char *params, int id)
{
	char text[4096];
	int len = snprintf(text, sizeof(text),
			   "{\"jsonrpc\":\"2.0\",\"method\":\"%s\","
			   "\"params\":%s,\"id\":%d}\n",
			   method, params ? params : "{}", id);

	ck_assert_int_lt(len, (int)sizeof(text));
	control_peer_send(peer, text, (size_t)len);
}

static void control_peer_ready(void *ctx, uint32_t events)
{
	(void)events;
	loop_stop(ctx);
}

/* Return: a line's length, or -1. */
static ssize_t control_peer_line(const struct control_peer *peer)
{
	const char *end = memchr(peer->in, '\n', peer->in_used);

	return end ? end - peer->in : -1;
}

json_t *control_peer_receive(struct control_peer *peer)
{
	json_t *message;
	ssize_t len;

	while ((len = control_peer_line(peer)) < 0) {
		struct loop_fd *source;
		ssize_t n;

		ck_assert_int_eq(loop_fd_add(peer->loop, &source, peer->fd,
					     EPOLLIN, control_peer_ready,
					     peer->loop),
				 0);
		ck_assert_int_eq(loop_run(peer->loop), 0);
		loop_fd_remove(source);
		n = recv(peer->fd, peer->in + peer->in_used,
			 CONTROL_PEER_MAX - peer->in_used, 0);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return NULL;
		ck_assert_int_gt(n, 0);
		peer->in_used += (size_t)n;
	}
	message = json_loadb(peer->in, (size_t)len, 0, NULL);
	ck_assert_ptr_nonnull(message);
	peer->in_used -= (size_t)len + 1;
	memmove(peer->in, peer->in + len + 1, peer->in_used);
	return message;
}

json_t *control_peer_call(struct control_peer *peer, const char *method,
			  const char *params)
{
	json_t *reply;

	control_peer_request(peer, method, params, 1);
	reply = control_peer_receive(peer);
	ck_assert_ptr_nonnull(reply);
	ck_assert_int_eq(json_integer_value(json_object_get(reply, "id")), 1);
	return reply;
}

int control_peer_code(const json_t *reply)
{
	const json_t *error = json_object_get(reply, "error");

	return (int)json_integer_value(json_object_get(error, "code"));
}
