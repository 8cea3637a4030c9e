/*
 * The ends of ports. Who connects to a socket is somebody whom its mode lets
 * in, and may send and leave unread what they like.
 *
 * A client stays until it reads no more: one that only sends no more still gets
 * the output. Its socket is in the loop twice, by two descriptors, once for
 * each direction.
 */
#include "vmm/console_end.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/listen.h"
#include "vmm/writable.h"

/* Without a descriptor left, before the next accept4(2). */
#define CONSOLE_END_PAUSE INT64_C(1000000000) /* ns */

struct console_end {
	struct chardev *chardev; /* owned */

	/* Of a socket, else NULL. */
	char *name;	   /* owned; the option and its value, for messages */
	struct loop *loop; /* borrowed */
	struct listen_claim *claim; /* owned */
	struct loop_fd *listener;   /* owned */
	struct loop_timer *unpause; /* owned: listens again */
	struct stream *stream;	    /* the chardev's */
	bool connected;
	struct log_limit limit; /* clients choose how often it is asked */
};

/* --- A socket's clients ----------------------------------------------------
 */

/* The stream has let go of it. */
static void console_end_gone(void *ctx)
{
	struct console_end *end = ctx;

	chardev_disconnect(end->chardev);
	end->connected = false;
}

static void console_end_serve(struct console_end *end, int fd)
{
	int input = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int rc;

	if (input < 0) {
		rc = -errno;
		close(fd);
	} else {
		rc = stream_attach(end->stream, fd);
		if (rc)
			close(input);
	}
	if (!rc) {
		rc = chardev_connect(end->chardev, input);
		if (rc)
			stream_detach(end->stream);
	}
	end->connected = !rc;
	if (rc)
		log_limited(&end->limit, LOG_WARN,
			    "%s: a client was turned away: %s", end->name,
			    strerror(-rc));
}

static void console_end_unpause(void *ctx)
{
	struct console_end *end = ctx;

	loop_fd_set(end->listener, EPOLLIN);
}

/* One connection a turn: a flood of them leaves time for the rest. */
static void console_end_accept(void *ctx, uint32_t events)
{
	struct console_end *end = ctx;
	int fd = accept4(listen_fd(end->claim), NULL, NULL,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0 && !end->connected) {
		console_end_serve(end, fd);
	} else if (fd >= 0) {
		log_limited(&end->limit, LOG_WARN,
			    "%s: a client was turned away: there is one "
			    "already",
			    end->name);
		close(fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		log_limited(&end->limit, LOG_WARN,
			    "%s: cannot accept a connection: %s", end->name,
			    strerror(errno));
		loop_fd_set(end->listener, 0);
		loop_timer_set(end->unpause, CONSOLE_END_PAUSE);
	}
}

/* --- Making them -----------------------------------------------------------
 */

/* What listen.h is to say; @what is @end->name. */
static struct listen_words console_end_words(const struct console_end *end)
{
	return (struct listen_words){
		.what = end->name,
		.in_use = "somebody listens there",
		.advice = "choose another path, or end it",
		.other = "choose another path",
	};
}

static int console_end_name(struct console_end *end, const char *option,
			    const char *path, struct error *err)
{
	if (asprintf(&end->name, "%s socket=%s", option, path) >= 0)
		return 0;
	end->name = NULL;
	return error_set(err, ENOMEM, "%s: out of memory", option);
}

static int console_end_listen(struct console_end *end,
			      const struct options_end *to, struct error *err)
{
	const struct listen_words words = console_end_words(end);
	struct sockaddr_un address;
	int rc;

	rc = listen_address(&address, to->socket, &words, err);
	if (!rc)
		rc = listen_claim(&end->claim, &address, &words, err);
	if (!rc)
		rc = stream_open_away(&end->stream, end->loop, end->name,
				      console_end_gone, end, err);
	if (rc)
		return rc;
	rc = loop_timer_add(end->loop, &end->unpause, console_end_unpause, end);
	if (!rc)
		rc = loop_fd_add(end->loop, &end->listener,
				 listen_fd(end->claim), EPOLLIN,
				 console_end_accept, end);
	if (!rc)
		return 0;
	stream_free(end->stream);
	end->stream = NULL;
	return error_set(err, -rc, "%s: cannot wait for clients: %s", end->name,
			 strerror(-rc));
}

/* What config lacks. */
static int console_end_open(struct console_end *end,
			    const struct options_end *to,
			    struct chardev_config *config, struct error *err)
{
	int rc = 0;

	switch ((enum options_to)to->to) {
	case OPTIONS_TO_STDIO:
		config->input_fd = STDIN_FILENO;
		config->escapes = isatty(STDIN_FILENO);
		rc = stream_open_fd(&config->output, config->loop,
				    STDOUT_FILENO, "standard output", err);
		break;
	case OPTIONS_TO_FILE:
		rc = stream_open_file(&config->output, config->loop,
				      config->name, to->file, err);
		break;
	case OPTIONS_TO_SOCKET:
		rc = console_end_name(end, config->name, to->socket, err);
		if (!rc)
			rc = console_end_listen(end, to, err);
		config->output = end->stream;
		break;
	case OPTIONS_TO_NULL:
		break;
	}
	return rc;
}

static int console_end_check(struct console_end *end,
			     const struct options_end *to,
			     const struct chardev_config *config,
			     struct error *err)
{
	struct sockaddr_un address;
	struct listen_words words;
	int rc;

	if (to->to == OPTIONS_TO_FILE)
		return writable_check(config->name, to->file, false, NULL, err);
	if (to->to != OPTIONS_TO_SOCKET)
		return 0;
	rc = console_end_name(end, config->name, to->socket, err);
	if (rc)
		return rc;
	words = console_end_words(end);
	rc = listen_address(&address, to->socket, &words, err);
	return rc ? rc : listen_check(&address, &words, err);
}

static int console_end_make(struct console_end **out,
			    const struct options_end *to,
			    const struct chardev_config *config, bool dry,
			    struct error *err)
{
	struct console_end *end = calloc(1, sizeof(*end));
	struct chardev_config full = *config;
	int rc;

	if (!end)
		return error_set(err, ENOMEM, "%s: out of memory",
				 config->name);
	end->loop = config->loop;
	full.input_fd = -1;
	full.escapes = false;
	full.output = NULL;
	rc = dry ? console_end_check(end, to, config, err)
		 : console_end_open(end, to, &full, err);
	if (!rc)
		rc = chardev_new(&end->chardev, &full, err);
	if (rc) {
		console_end_free(end);
		return rc;
	}
	*out = end;
	return 0;
}

int console_end_new(struct console_end **out, const struct options_end *to,
		    const struct chardev_config *config, struct error *err)
{
	return console_end_make(out, to, config, false, err);
}

int console_end_new_dry(struct console_end **out, const struct options_end *to,
			const struct chardev_config *config, struct error *err)
{
	return console_end_make(out, to, config, true, err);
}

struct chardev *console_end_chardev(const struct console_end *end)
{
	return end->chardev;
}

void console_end_free(struct console_end *end)
{
	if (!end)
		return;
	loop_fd_remove(end->listener);
	loop_timer_remove(end->unpause);
	chardev_free(end->chardev);
	listen_release(end->claim);
	free(end->name);
	free(end);
}
