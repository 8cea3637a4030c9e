/*
 * Main's side of --console.
 *
 * Theory of operation. The guest prints into its buffers; the device, wherever
 * it runs, copies them into the socket of its port; console_link takes that
 * out and hands it to the chardev, which looks at it and writes it to a bounded
 * stream. Input goes the other way. Ports stand in the device's order here:
 * first the consoles, then the ports with names, each in the user's order.
 */
#include "vmm/console.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>

#include "vmm/base/log.h"
#include "vmm/console_end.h"
#include "vmm/console_link.h"

#define CONSOLE_LABEL_MAX 16

/* One port. */
struct console {
	struct consoles *consoles;	      /* borrowed, as are these */
	const struct options_console *option; /* the user's */
	const char *name; /* label, or option->name, for people */
	char label[CONSOLE_LABEL_MAX];
	struct console_link *link; /* owned */
	struct console_end *end;   /* owned */
	struct chardev *chardev;   /* of end */
};

struct consoles {
	struct consoles_config config;
	unsigned int count;
	struct console ports[VIRTIO_CONSOLE_PORTS_MAX];
	struct virtio_console_port device_ports[VIRTIO_CONSOLE_PORTS_MAX];
	struct virtio_console_options device;

	struct console *terminal;  /* the one on stdio, if that is a terminal */
	int resize_fd;		   /* owned: a signalfd; -1 without */
	struct loop_fd *resize;	   /* owned */
	unsigned short cols, rows; /* as told last */
};

/* --- Size ------------------------------------------------------------------
 */

static void console_tell_size(struct consoles *consoles)
{
	struct winsize size;
	struct console *console = consoles->terminal;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
		return;
	if (size.ws_col == consoles->cols && size.ws_row == consoles->rows)
		return;
	consoles->cols = size.ws_col;
	consoles->rows = size.ws_row;
	consoles->config.size(consoles->config.ctx,
			      (unsigned int)(console - consoles->ports),
			      size.ws_col, size.ws_row);
}

static void console_resized(void *ctx, uint32_t events)
{
	struct consoles *consoles = ctx;
	struct signalfd_siginfo info;

	(void)events;
	while (read(consoles->resize_fd, &info, sizeof(info)) == sizeof(info))
		;
	console_tell_size(consoles);
}

/* SIGWINCH stays blocked: otherwise it would be lost, not taken. */
static int console_watch_size(struct consoles *consoles)
{
	sigset_t set;

	if (!consoles->terminal || consoles->config.options->dry_run)
		return 0;
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	consoles->resize_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (consoles->resize_fd < 0)
		return -errno;
	return loop_fd_add(consoles->config.loop, &consoles->resize,
			   consoles->resize_fd, 0, console_resized, consoles);
}

/* --- A port ----------------------------------------------------------------
 */

static void console_watched(void *ctx, const struct watch_match *match)
{
	struct console *console = ctx;
	const struct consoles_config *config = &console->consoles->config;

	config->watch(config->ctx, console->name, match);
}

static void console_action(void *ctx, enum terminal_action action)
{
	struct console *console = ctx;
	const struct consoles_config *config = &console->consoles->config;

	config->action(config->ctx, action);
}

static size_t console_room(void *ctx)
{
	struct console *console = ctx;

	return console_link_room(console->link);
}

static void console_input(void *ctx, const uint8_t *data, size_t len)
{
	struct console *console = ctx;

	console_link_input(console->link, data, len);
}

static int console_make_end(struct console *console, struct error *err)
{
	const struct consoles_config *whole = &console->consoles->config;
	const struct options_end *to = &console->option->end;
	const struct chardev_config config = {
		.name = "--console",
		.loop = whole->loop,
		.fail_on = whole->fail_on,
		.expect = whole->expect,
		.watch = console_watched,
		.room = console_room,
		.input = console_input,
		.action = console_action,
		.ctx = console,
	};
	int rc;

	if (whole->options->dry_run)
		rc = console_end_new_dry(&console->end, to, &config, err);
	else
		rc = console_end_new(&console->end, to, &config, err);
	if (rc)
		return rc;
	console->chardev = console_end_chardev(console->end);
	if (to->to == OPTIONS_TO_STDIO && isatty(STDIN_FILENO))
		console->consoles->terminal = console;
	return 0;
}

/* The next port; hvc: how many consoles there are before it. */
static int console_make(struct consoles *consoles,
			const struct options_console *option, unsigned int hvc,
			struct error *err)
{
	struct console *console = &consoles->ports[consoles->count];
	int rc;

	console->consoles = consoles;
	console->option = option;
	snprintf(console->label, sizeof(console->label), "hvc%u", hvc);
	console->name = option->name ? option->name : console->label;
	rc = console_link_new(&console->link, consoles->config.loop);
	if (rc)
		return error_set(err, -rc, "--console: %s", strerror(-rc));
	consoles->device_ports[consoles->count++] =
		(struct virtio_console_port){
			.fd = console_link_device_fd(console->link),
			.name = option->name,
		};
	rc = console_make_end(console, err);
	if (!rc)
		console_link_connect(console->link,
				     chardev_backend(console->chardev));
	return rc;
}

/* --- All of them -----------------------------------------------------------
 */

/* Those with names, or those without. */
static int consoles_make(struct consoles *consoles, bool named,
			 struct error *err)
{
	const struct options_consoles *list =
		&consoles->config.options->consoles;
	unsigned int hvc = 0;
	int rc = 0;

	for (size_t i = 0; i < list->count && !rc; i++) {
		const struct options_console *option = &list->items[i];

		if ((option->name != NULL) == named)
			rc = console_make(consoles, option, hvc++, err);
	}
	return rc;
}

int consoles_new(struct consoles **out, const struct consoles_config *config,
		 struct error *err)
{
	const struct options_consoles *list = &config->options->consoles;
	struct consoles *consoles;
	int rc;

	*out = NULL;
	if (!list->count)
		return 0;
	if (list->count > VIRTIO_CONSOLE_PORTS_MAX)
		return error_set(err, EINVAL,
				 "--console: expected at most %d, found %zu",
				 VIRTIO_CONSOLE_PORTS_MAX, list->count);
	consoles = calloc(1, sizeof(*consoles));
	if (!consoles)
		return error_set(err, ENOMEM, "--console: out of memory");
	consoles->config = *config;
	consoles->resize_fd = -1;
	rc = consoles_make(consoles, false, err);
	if (!rc)
		rc = consoles_make(consoles, true, err);
	if (rc)
		goto err_free;
	rc = console_watch_size(consoles);
	if (rc) {
		error_set(err, -rc,
			  "--console: cannot watch the size of the "
			  "terminal: %s",
			  strerror(-rc));
		goto err_free;
	}
	consoles->device = (struct virtio_console_options){
		.common = list->items[0].common,
		.ports = consoles->device_ports,
		.port_count = consoles->count,
	};
	*out = consoles;
	return 0;

err_free:
	consoles_free(consoles);
	return rc;
}

void consoles_free(struct consoles *consoles)
{
	if (!consoles)
		return;
	loop_fd_remove(consoles->resize);
	if (consoles->resize_fd >= 0)
		close(consoles->resize_fd);
	for (unsigned int i = 0; i < consoles->count; i++) {
		console_end_free(consoles->ports[i].end);
		console_link_free(consoles->ports[i].link);
	}
	free(consoles);
}

const struct virtio_console_options *
consoles_device(const struct consoles *consoles)
{
	return consoles ? &consoles->device : NULL;
}

void consoles_opened(struct consoles *consoles)
{
	for (unsigned int i = 0; consoles && i < consoles->count; i++) {
		console_link_opened(consoles->ports[i].link);
		consoles->device_ports[i].fd = -1;
	}
}

int consoles_start(struct consoles *consoles, struct error *err)
{
	int rc = 0;

	for (unsigned int i = 0; consoles && i < consoles->count && !rc; i++)
		rc = chardev_start(consoles->ports[i].chardev, err);
	if (rc || !consoles || !consoles->resize)
		return rc;
	console_tell_size(consoles);
	rc = loop_fd_set(consoles->resize, EPOLLIN);
	return rc ? error_set(err, -rc, "--console: %s", strerror(-rc)) : 0;
}

bool consoles_on_stdio(const struct consoles *consoles)
{
	for (unsigned int i = 0; consoles && i < consoles->count; i++)
		if (consoles->ports[i].option->end.to == OPTIONS_TO_STDIO)
			return true;
	return false;
}

static const struct console *consoles_pick(const struct consoles *consoles)
{
	const struct console *first = NULL;

	for (unsigned int i = 0; consoles && i < consoles->count; i++) {
		const struct console *console = &consoles->ports[i];

		if (console->option->end.to == OPTIONS_TO_STDIO)
			return console;
		if (!first && !console->option->name &&
		    console->option->end.to != OPTIONS_TO_NULL)
			first = console;
	}
	return first;
}

struct chardev *consoles_main(struct consoles *consoles)
{
	const struct console *console = consoles_pick(consoles);

	return console ? console->chardev : NULL;
}

unsigned int consoles_main_port(const struct consoles *consoles)
{
	const struct console *console = consoles_pick(consoles);

	return console ? (unsigned int)(console - consoles->ports) : 0;
}

void consoles_drain(struct consoles *consoles)
{
	for (unsigned int i = 0; consoles && i < consoles->count; i++) {
		console_link_drain(consoles->ports[i].link);
		chardev_end_line(consoles->ports[i].chardev);
	}
}

void consoles_flush(struct consoles *consoles, int64_t max_ns)
{
	for (unsigned int i = 0; consoles && i < consoles->count; i++)
		chardev_flush(consoles->ports[i].chardev, max_ns);
}

uint64_t consoles_dropped(struct consoles *consoles)
{
	uint64_t dropped = 0;

	for (unsigned int i = 0; consoles && i < consoles->count; i++)
		dropped += chardev_dropped(consoles->ports[i].chardev);
	return dropped;
}

int64_t consoles_last_output(struct consoles *consoles)
{
	int64_t last = 0;

	for (unsigned int i = 0; consoles && i < consoles->count; i++) {
		int64_t of = chardev_last_output(consoles->ports[i].chardev);

		if (of > last)
			last = of;
	}
	return last;
}
