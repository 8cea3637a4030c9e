/*
 * A connection to a machine's control socket. Whoever listens there is a
 * process of the same user or root; still, it may be hung or another program:
 * every wait for a reply has an end, and what is kept has a bound.
 */
#include "vmm/remote.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/loop.h"
#include "vmm/names.h"

/* Bytes of one message; a machine queues a quarter of that at most. */
#define REMOTE_LINE_MAX ((size_t)1 << 20)
/* Messages that are kept while a reply is waited for. */
#define REMOTE_KEPT_MAX 4096

#define REMOTE_EXIT_NS INT64_C(10000000000)

struct remote {
	char *name; /* owned: what the user called it */
	int fd;	    /* owned */
	int pidfd;  /* owned; -1 where the process cannot be seen */
	pid_t pid;
	int64_t reply_ns;
	json_int_t last_id;
	json_t *kept;	 /* owned: an array, oldest first */
	json_t *refusal; /* owned, or NULL */

	char *in; /* owned, in_size */
	size_t in_size, in_used;
};

/* --- Opening -------------------------------------------------------------- */

static int remote_connect(struct remote *remote, struct error *err)
{
	struct sockaddr_un address;
	int ret;

	ret = names_address(remote->name, &address, err);
	if (ret < 0)
		return ret;
	ret = names_connect(&address, &remote->fd);
	switch (ret) {
	case 0:
		return 0;
	case -ENOENT:
		return error_set(err, ENOENT,
				 "%s: expected a running machine, found no "
				 "socket %s; `bantam ps` lists what runs",
				 remote->name, address.sun_path);
	case -ECONNREFUSED:
		return error_set(err, ECONNREFUSED,
				 "%s: expected a running machine, found the "
				 "socket of one that is dead, %s; start it "
				 "again, or remove that",
				 remote->name, address.sun_path);
	case -EAGAIN:
		return error_set(err, EAGAIN,
				 "%s: the machine accepts no connections; does "
				 "it hang?",
				 remote->name);
	default:
		return error_set(err, -ret, "%s: cannot connect to %s: %s",
				 remote->name, address.sun_path,
				 strerror(-ret));
	}
}

/*
 * The process that called listen(2). It was alive when it answers a request
 * that is sent after this, so the number has not come to mean another.
 */
static void remote_find_process(struct remote *remote)
{
	struct ucred peer = {.pid = 0};
	socklen_t len = sizeof(peer);

	if (getsockopt(remote->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
	    peer.pid <= 0)
		return;
	remote->pid = peer.pid;
	remote->pidfd = pidfd_open(peer.pid, 0);
}

int remote_open(struct remote **out, const char *name, int64_t reply_ns,
		struct error *err)
{
	struct remote *remote = calloc(1, sizeof(*remote));
	int ret;

	if (!remote)
		return error_set(err, ENOMEM, "out of memory");
	remote->fd = remote->pidfd = -1;
	remote->reply_ns = reply_ns;
	remote->name = strdup(name);
	remote->kept = json_array();
	if (remote->name && remote->kept)
		ret = remote_connect(remote, err);
	else
		ret = error_set(err, ENOMEM, "out of memory");
	if (ret < 0) {
		remote_close(remote);
		return ret;
	}
	remote_find_process(remote);
	*out = remote;
	return 0;
}

void remote_close(struct remote *remote)
{
	if (!remote)
		return;
	if (remote->fd >= 0)
		close(remote->fd);
	if (remote->pidfd >= 0)
		close(remote->pidfd);
	json_decref(remote->refusal);
	json_decref(remote->kept);
	free(remote->in);
	free(remote->name);
	free(remote);
}

pid_t remote_pid(const struct remote *remote)
{
	return remote->pid;
}

int remote_fd(const struct remote *remote)
{
	return remote->fd;
}

const json_t *remote_refusal(const struct remote *remote)
{
	return remote->refusal;
}

/* --- Messages ------------------------------------------------------------- */

static int remote_hangs(const struct remote *remote, struct error *err)
{
	return error_set(err, ETIMEDOUT,
			 "%s: expected an answer within %d s, found none; does "
			 "the machine hang (process %d)?",
			 remote->name, (int)(remote->reply_ns / 1000000000),
			 (int)remote->pid);
}

static int remote_write(struct remote *remote, const char *text, size_t len,
			struct error *err)
{
	const int64_t deadline = loop_now() + remote->reply_ns;

	while (len) {
		ssize_t n = send(remote->fd, text, len, MSG_NOSIGNAL);

		if (n >= 0) {
			text += n;
			len -= (size_t)n;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			/* Its last words are still to be read. */
			return 0;
		} else if (errno != EAGAIN && errno != EINTR) {
			return error_set(err, errno, "%s: cannot write: %s",
					 remote->name, strerror(errno));
		} else if (loop_wait_fd(remote->fd, POLLOUT, deadline) < 0) {
			return remote_hangs(remote, err);
		}
	}
	return 0;
}

int remote_send(struct remote *remote, const char *method, json_t *params,
		json_int_t *id, struct error *err)
{
	json_t *request;
	char *text;
	size_t len;
	int ret;

	remote->last_id++;
	if (id)
		*id = remote->last_id;
	request = json_pack("{s:s, s:s, s:o, s:I}", "jsonrpc", "2.0", "method",
			    method, "params", params ? params : json_object(),
			    "id", remote->last_id);
	text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	if (!text)
		return error_set(err, ENOMEM, "out of memory");
	len = strlen(text) + 1;
	/* The terminator becomes the newline. */
	text[len - 1] = '\n';
	ret = remote_write(remote, text, len, err);
	free(text);
	return ret;
}

/* Take a message out of the buffer. Return: 0, -EAGAIN (not whole), -EPROTO. */
static int remote_take(struct remote *remote, json_t **message,
		       struct error *err)
{
	const char *end = NULL;
	size_t len;

	if (remote->in_used)
		end = memchr(remote->in, '\n', remote->in_used);
	if (!end)
		return -EAGAIN;
	len = (size_t)(end - remote->in);
	*message = json_loadb(remote->in, len, 0, NULL);
	remote->in_used -= len + 1;
	memmove(remote->in, remote->in + len + 1, remote->in_used);
	if (json_is_object(*message))
		return 0;
	json_decref(*message);
	return error_set(err, EPROTO,
			 "%s: expected the answer of a machine, found "
			 "something else; is it bantam's control socket?",
			 remote->name);
}

/* Read once. Return: 0 (whatever was there), -ECONNRESET, -EPROTO, -ENOMEM. */
static int remote_fill(struct remote *remote, struct error *err)
{
	ssize_t n;

	if (remote->in_used == remote->in_size) {
		size_t size = remote->in_size ? 2 * remote->in_size : 4096;
		char *in = size <= REMOTE_LINE_MAX ? realloc(remote->in, size)
						   : NULL;

		if (!in)
			return error_set(err, EPROTO,
					 "%s: expected an answer of %zu bytes "
					 "at most, found more",
					 remote->name, REMOTE_LINE_MAX);
		remote->in = in;
		remote->in_size = size;
	}
	n = recv(remote->fd, remote->in + remote->in_used,
		 remote->in_size - remote->in_used, 0);
	if (n > 0)
		remote->in_used += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		return error_set(err, ECONNRESET,
				 "%s: expected an answer, found that the "
				 "machine has closed the connection; has it "
				 "ended?",
				 remote->name);
	return 0;
}

/* deadline: as loop_wait_fd(). */
static int remote_receive_new(struct remote *remote, int64_t deadline,
			      json_t **message, struct error *err)
{
	for (;;) {
		int ret = remote_take(remote, message, err);

		if (ret != -EAGAIN)
			return ret;
		if (loop_wait_fd(remote->fd, POLLIN, deadline) < 0)
			return remote_hangs(remote, err) /* -ETIMEDOUT */;
		ret = remote_fill(remote, err);
		if (ret < 0)
			return ret;
	}
}

int remote_receive(struct remote *remote, int64_t max_ns, json_t **message,
		   struct error *err)
{
	if (json_array_size(remote->kept)) {
		*message = json_incref(json_array_get(remote->kept, 0));
		json_array_remove(remote->kept, 0);
		return 0;
	}
	return remote_receive_new(remote,
				  max_ns < 0 ? INT64_MAX : loop_now() + max_ns,
				  message, err);
}

/* --- Calls ---------------------------------------------------------------- */

static int remote_keep(struct remote *remote, json_t *message,
		       struct error *err)
{
	if (json_array_size(remote->kept) < REMOTE_KEPT_MAX &&
	    json_array_append_new(remote->kept, message) == 0)
		return 0;
	return error_set(err, EPROTO,
			 "%s: expected an answer, found %d other messages",
			 remote->name, REMOTE_KEPT_MAX);
}

static bool remote_is_reply(const json_t *message, json_int_t id)
{
	const json_t *found = json_object_get(message, "id");

	if (json_is_integer(found) && json_integer_value(found) == id)
		return true;
	/* Not about any request: the connection is refused. */
	return json_is_null(found) && json_object_get(message, "error");
}

/* reply: taken over. */
static int remote_finish(struct remote *remote, const char *method,
			 json_t *reply, json_t **result, struct error *err)
{
	json_t *error = json_object_get(reply, "error");
	const char *text = json_string_value(json_object_get(error, "message"));

	if (!error) {
		if (result)
			*result = json_incref(json_object_get(reply, "result"));
		json_decref(reply);
		return 0;
	}
	error_set(err, EREMOTEIO, "%s: %s: %s", remote->name, method,
		  text ? text : "refused without a reason");
	json_decref(remote->refusal);
	remote->refusal = json_incref(error);
	json_decref(reply);
	return -EREMOTEIO;
}

int remote_call(struct remote *remote, const char *method, json_t *params,
		json_t **result, struct error *err)
{
	const int64_t deadline = loop_now() + remote->reply_ns;
	json_t *message;
	json_int_t id;
	int ret;

	ret = remote_send(remote, method, params, &id, err);
	while (ret == 0) {
		ret = remote_receive_new(remote, deadline, &message, err);
		if (ret < 0)
			break;
		if (remote_is_reply(message, id))
			return remote_finish(remote, method, message, result,
					     err);
		ret = remote_keep(remote, message, err);
	}
	return ret;
}

void remote_wait_exit(struct remote *remote)
{
	if (remote->pidfd >= 0)
		(void)loop_wait_fd(remote->pidfd, POLLIN,
				   loop_now() + REMOTE_EXIT_NS);
}
