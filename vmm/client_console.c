/*
 * The verb console: a machine's serial port on this terminal, or on whatever
 * stdin and stdout are. What the guest prints is passed on as it is, as `bantam
 * run` does.
 *
 * One request with input is under way at a time. If the port did not take all
 * of it, the rest waits for the machine's word that there is room. Meanwhile a
 * terminal is still read, for the sake of the keys that leave, and what does
 * not fit is lost, as on a real line; other input is left where it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/base/base64.h"
#include "vmm/base/log.h"
#include "vmm/client.h"
#include "vmm/client_words.h"
#include "vmm/remote.h"
#include "vmm/terminal.h"

#define CONSOLE_INPUT_MAX  4096 /* bytes that wait to be sent */
#define CONSOLE_OUTPUT_MAX 65536

struct console {
	struct remote *remote; /* owned */
	const char *name;      /* borrowed */
	bool json;	       /* messages are printed as they come */
	bool terminal;	       /* stdin is one, and it is raw */
	bool leave;	       /* the user wants to */
	bool ended;	       /* the machine has said that it stopped */

	struct terminal_escape escape;
	int resize_fd; /* owned: a signalfd for SIGWINCH; -1 without */

	bool stdin_end;
	uint8_t input[CONSOLE_INPUT_MAX];
	size_t input_len;
	json_int_t sent; /* the request under way, 0 for none */
	size_t sent_len; /* of input's first bytes, in that request */
	bool full;	 /* the port takes nothing at present */

	bool attached; /* offset counts */
	json_int_t offset;
};

/* --- Output --------------------------------------------------------------- */

static int console_write(const uint8_t *data, size_t len, struct error *err)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd out = {STDOUT_FILENO, POLLOUT, 0};

			poll(&out, 1, -1);
		} else if (n < 0 && errno != EINTR) {
			return error_set(err, errno,
					 "console: standard output: %s",
					 strerror(errno));
		} else if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* params: {"offset", "data"} of a console.output. */
static int console_print(struct console *console, const json_t *params,
			 struct error *err)
{
	const json_t *text = json_object_get(params, "data");
	json_int_t offset =
		json_integer_value(json_object_get(params, "offset"));
	size_t text_len = json_string_length(text), len = 0;
	uint8_t data[CONSOLE_OUTPUT_MAX];

	if (text_len > CONSOLE_OUTPUT_MAX ||
	    (text_len &&
	     base64_decode(data, &len, json_string_value(text), text_len) < 0))
		return error_set(err, EPROTO,
				 "%s: expected base64 in console.output, found "
				 "something else",
				 console->name);
	if (console->attached && offset > console->offset)
		log_warn("%s: this console was too slow: %" JSON_INTEGER_FORMAT
			 " bytes of output were lost",
			 console->name, offset - console->offset);
	console->attached = true;
	console->offset = offset + (json_int_t)len;
	return console_write(data, len, err);
}

/* --- Input ---------------------------------------------------------------- */

static int console_send_input(struct console *console, struct error *err)
{
	char text[BASE64_LEN(CONSOLE_INPUT_MAX) + 1];

	if (!console->input_len || console->sent || console->full)
		return 0;
	base64_encode(text, console->input, console->input_len);
	console->sent_len = console->input_len;
	return remote_send(console->remote, "console.input",
			   json_pack("{s:s}", "data", text), &console->sent,
			   err);
}

static void console_help(const struct console *console)
{
	dprintf(STDERR_FILENO,
		"\r\n%s: Ctrl-A d: leave, the machine goes on   Ctrl-A h: this "
		"help   Ctrl-A Ctrl-A: Ctrl-A for the guest\r\n",
		console->name);
}

static void console_type(struct console *console, const uint8_t *typed,
			 size_t len)
{
	uint8_t out[CONSOLE_INPUT_MAX + 1];
	size_t out_len = len, room;

	if (console->terminal) {
		switch (terminal_escape_filter(&console->escape, typed, len,
					       out, &out_len)) {
		case TERMINAL_QUIT:
			console->leave = true;
			break;
		case TERMINAL_HELP:
			console_help(console);
			break;
		case TERMINAL_NONE:
			break;
		}
		typed = out;
	}
	room = CONSOLE_INPUT_MAX - console->input_len;
	if (out_len > room)
		out_len = room;
	memcpy(console->input + console->input_len, typed, out_len);
	console->input_len += out_len;
}

static void console_read_stdin(struct console *console)
{
	size_t room = console->terminal
			      ? CONSOLE_INPUT_MAX
			      : CONSOLE_INPUT_MAX - console->input_len;
	uint8_t typed[CONSOLE_INPUT_MAX];
	ssize_t n = read(STDIN_FILENO, typed, room);

	if (n > 0)
		console_type(console, typed, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		console->stdin_end = true;
}

/* A console that has no size refuses, which is all the same to us. */
static int console_send_size(struct console *console, struct error *err)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col ||
	    !size.ws_row)
		return 0;
	return remote_send(console->remote, "console.resize",
			   json_pack("{s:i, s:i}", "cols", size.ws_col, "rows",
				     size.ws_row),
			   NULL, err);
}

static int console_resized(struct console *console, struct error *err)
{
	struct signalfd_siginfo info;

	while (read(console->resize_fd, &info, sizeof(info)) > 0)
		;
	return console_send_size(console, err);
}

/* --- Messages ------------------------------------------------------------- */

/* The reply to the input under way. */
static int console_reply(struct console *console, const json_t *message,
			 struct error *err)
{
	const json_t *result = json_object_get(message, "result");
	const json_t *refusal = json_object_get(message, "error");
	const char *why =
		json_string_value(json_object_get(refusal, "message"));
	json_int_t taken = json_integer_value(json_object_get(result, "taken"));

	console->sent = 0;
	if (!result || taken < 0 || (size_t)taken > console->sent_len)
		return error_set(err, EREMOTEIO, "%s: console.input: %s",
				 console->name,
				 why ? why
				     : "expected how many bytes were "
				       "taken, found something else");
	console->full = (size_t)taken < console->sent_len;
	console->input_len -= (size_t)taken;
	memmove(console->input, console->input + taken, console->input_len);
	return 0;
}

static int console_message(struct console *console, const json_t *message,
			   struct error *err)
{
	const char *method =
		json_string_value(json_object_get(message, "method"));
	const json_t *id = json_object_get(message, "id");
	int status;

	if (console->json && method)
		client_print_json(message);
	if (client_is_end(message, &status))
		console->ended = true;
	if (console->sent && json_is_integer(id) &&
	    json_integer_value(id) == console->sent)
		return console_reply(console, message, err);
	if (method && !strcmp(method, "console.room"))
		console->full = false;
	if (method && !strcmp(method, "console.output") && !console->json)
		return console_print(console,
				     json_object_get(message, "params"), err);
	return 0;
}

/* All that is there. Return: 0, -ECONNRESET at the end, or an error. */
static int console_receive(struct console *console, struct error *err)
{
	json_t *message;
	int ret;

	for (;;) {
		ret = remote_receive(console->remote, 0, &message, err);
		if (ret == -ETIMEDOUT)
			return 0;
		if (ret < 0)
			return ret;
		ret = console_message(console, message, err);
		json_decref(message);
		if (ret < 0)
			return ret;
	}
}

/* --- Life ----------------------------------------------------------------- */

static bool console_wants_stdin(const struct console *console)
{
	return !console->stdin_end &&
	       (console->terminal || console->input_len < CONSOLE_INPUT_MAX);
}

static int console_turn(struct console *console, struct error *err)
{
	struct pollfd fds[] = {
		{remote_fd(console->remote), POLLIN, 0},
		{console_wants_stdin(console) ? STDIN_FILENO : -1, POLLIN, 0},
		{console->resize_fd, POLLIN, 0},
	};
	int ret = 0;

	if (poll(fds, 3, -1) < 0)
		return errno == EINTR ? 0
				      : error_set(err, errno, "poll(2): %s",
						  strerror(errno));
	if (fds[1].revents)
		console_read_stdin(console);
	if (fds[2].revents)
		ret = console_resized(console, err);
	if (ret == 0)
		ret = console_send_input(console, err);
	if (ret == 0 && fds[0].revents)
		ret = console_receive(console, err);
	return ret ? ret : console_send_input(console, err);
}

static int console_attach(struct console *console, struct error *err)
{
	json_t *result = NULL;
	int ret;

	ret = remote_call(console->remote, "subscribe",
			  json_pack("{s:[s]}", "events", "stopped"), NULL, err);
	if (ret == 0)
		ret = remote_call(console->remote, "console.attach", NULL,
				  &result, err);
	if (ret == 0 && console->json)
		client_print_json(result);
	json_decref(result);
	return ret;
}

static void console_go_raw(struct console *console)
{
	sigset_t set;

	console->terminal =
		!console->json && isatty(STDIN_FILENO) && terminal_raw() == 0;
	if (!console->terminal)
		return;
	console->escape.detach = true;
	console_help(console);
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	console->resize_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int console_run(struct console *console, struct error *err)
{
	int ret;

	ret = console_attach(console, err);
	if (ret < 0)
		return ret;
	console_go_raw(console);
	if (console->terminal)
		ret = console_send_size(console, err);
	/* What came along with the replies is not announced by poll(2). */
	if (ret == 0)
		ret = console_receive(console, err);
	while (ret == 0 && !console->leave)
		ret = console_turn(console, err);
	terminal_restore();
	if (console->terminal)
		dprintf(STDERR_FILENO, "\n%s: %s\n", console->name,
			console->ended ? "the machine has stopped"
				       : "left; the machine goes on");
	if (ret == -ECONNRESET && console->ended)
		return 0;
	return ret;
}

int client_console(int argc, char **argv)
{
	struct console console = {.resize_fd = -1};
	struct error err = {.text = ""};
	struct client_words words;
	int ret;

	if (client_words_parse(&words, "console", argc, argv,
			       "a machine's NAME", 1, 1, &err) < 0)
		return client_fail(&err);
	/* Standard output that nobody reads is an error like others. */
	signal(SIGPIPE, SIG_IGN);
	console.name = words.words[0];
	console.json = words.json;
	ret = remote_open(&console.remote, console.name, REMOTE_REPLY_NS, &err);
	if (ret == 0)
		ret = console_run(&console, &err);
	remote_close(console.remote);
	if (console.resize_fd >= 0)
		close(console.resize_fd);
	return ret < 0 ? client_fail(&err) : 0;
}
