/*
 * The host's end of a port on which a guest prints and reads.
 *
 * Input waits in a small buffer here while the device has no room. A pipe or
 * file is read only when that buffer is empty, so that its writer waits; a
 * terminal is always read, so that Ctrl-A x works with a guest that hangs, and
 * what does not fit is dropped as a terminal's own queue would. Consoles that
 * are attached share that buffer, and are told how much of theirs fitted.
 *
 * That epoll(7) reports bytes does not mean that they are still there: another
 * process may have the same pipe or terminal and be quicker. So where it can
 * be, a read is one that does not wait.
 */
#include "vmm/chardev.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "vmm/base/log.h"
#include "vmm/reopen.h"

#define CHARDEV_INPUT_SIZE 4096
#define CHARDEV_READ_SIZE  256

struct chardev {
	struct chardev_config config;
	struct loop_wake *room_wake; /* owned; the device has room */
	struct loop_wake *open_wake; /* owned; a line is open */
	struct stream *copy;	     /* owned; for the tap, NULL without */

	struct watch *watch; /* owned */

	/* Main thread. */
	struct chardev_tap tap;	  /* all NULL without */
	bool tap_waits;		  /* for room */
	struct loop_timer *quiet; /* owned; for the line that is open */
	int own_fd;		  /* owned; -1 when config.input_fd is read */
	struct loop_fd *source;	  /* owned; NULL while not waited for */
	struct terminal_escape escape;
	bool input_open;	       /* not at its end */
	bool input_waits;	       /* epoll(7) takes it: not a file */
	size_t input_start, input_end; /* what waits in input[] */
	uint8_t input[CHARDEV_INPUT_SIZE];
};

/* --- Output ----------------------------------------------------------------
 */

static void chardev_output(void *ctx, const uint8_t *data, size_t len)
{
	struct chardev *chardev = ctx;

	watch_write(chardev->watch, data, len);
	stream_write(chardev->config.output, data, len);
	stream_write(chardev->copy, data, len);
}

/* On the printing vCPU's thread. */
static void chardev_opened(void *ctx)
{
	struct chardev *chardev = ctx;

	loop_wake_send(chardev->open_wake);
}

static void chardev_watched(void *ctx, const struct watch_match *match)
{
	struct chardev *chardev = ctx;

	chardev->config.watch(chardev->config.ctx, match);
}

/* Look after the open line, until it is complete or was tried. */
static void chardev_quiet(void *ctx)
{
	struct chardev *chardev = ctx;
	int64_t ns = watch_quiet(chardev->watch, loop_now());

	if (ns >= 0)
		loop_timer_set(chardev->quiet, ns);
}

static void chardev_input_room(void *ctx)
{
	struct chardev *chardev = ctx;

	loop_wake_send(chardev->room_wake);
}

static const struct char_ops chardev_ops = {
	.output = chardev_output,
	.input_room = chardev_input_room,
};

struct char_backend chardev_backend(struct chardev *chardev)
{
	return (struct char_backend){.ops = &chardev_ops, .ctx = chardev};
}

/* --- Input -----------------------------------------------------------------
 */

/* Hand over what waits, as far as the device has room. */
static void chardev_deliver(struct chardev *chardev)
{
	size_t waiting = chardev->input_end - chardev->input_start;
	size_t room;

	if (!waiting)
		return;
	room = chardev->config.room(chardev->config.ctx);
	if (room > waiting)
		room = waiting;
	chardev->config.input(chardev->config.ctx,
			      chardev->input + chardev->input_start, room);
	chardev->input_start += room;
	if (chardev->input_start == chardev->input_end)
		chardev->input_start = chardev->input_end = 0;
}

/* Return: how many bytes there was room for. */
static size_t chardev_keep(struct chardev *chardev, const uint8_t *data,
			   size_t len)
{
	size_t room;

	if (chardev->input_start) {
		memmove(chardev->input, chardev->input + chardev->input_start,
			chardev->input_end - chardev->input_start);
		chardev->input_end -= chardev->input_start;
		chardev->input_start = 0;
	}
	room = sizeof(chardev->input) - chardev->input_end;
	if (len > room)
		len = room;
	memcpy(chardev->input + chardev->input_end, data, len);
	chardev->input_end += len;
	return len;
}

static void chardev_take(struct chardev *chardev, const uint8_t *data,
			 size_t len)
{
	uint8_t out[CHARDEV_READ_SIZE + 1];
	enum terminal_action action;
	size_t out_len;

	if (!chardev->config.escapes) {
		chardev_keep(chardev, data, len);
		return;
	}
	action = terminal_escape_filter(&chardev->escape, data, len, out,
					&out_len);
	chardev_keep(chardev, out, out_len);
	if (action != TERMINAL_NONE)
		chardev->config.action(chardev->config.ctx, action);
}

static int chardev_input_fd(const struct chardev *chardev)
{
	return chardev->own_fd >= 0 ? chardev->own_fd
				    : chardev->config.input_fd;
}

/* As read(2), and without waiting where that can be. */
static ssize_t chardev_read_fd(const struct chardev *chardev, void *data,
			       size_t size)
{
	ssize_t len;

	if (chardev->own_fd >= 0)
		return read(chardev->own_fd, data, size);
	len = recv(chardev->config.input_fd, data, size, MSG_DONTWAIT);
	if (len < 0 && errno == ENOTSOCK)
		len = read(chardev->config.input_fd, data, size);
	return len;
}

/* Read once. Return: whether there may be more at once. */
static bool chardev_read(struct chardev *chardev)
{
	uint8_t data[CHARDEV_READ_SIZE];
	ssize_t len = chardev_read_fd(chardev, data, sizeof(data));

	if (len > 0) {
		chardev_take(chardev, data, (size_t)len);
		return true;
	}
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	/* The end, a hang-up, or a terminal that went away: no more input. */
	if (len < 0)
		log_debug("input: %s", strerror(errno));
	chardev->input_open = false;
	return false;
}

static void chardev_readable(void *ctx, uint32_t events);

/*
 * Wait for the descriptor only while its bytes are wanted. Waiting for no
 * events would not do: epoll(7) reports a hang-up all the same, again and
 * again.
 */
static void chardev_await(struct chardev *chardev)
{
	bool want = chardev->input_open && chardev->input_waits &&
		    (chardev->config.escapes || !chardev->input_end);
	int rc;

	if (want && !chardev->source) {
		rc = loop_fd_add(chardev->config.loop, &chardev->source,
				 chardev_input_fd(chardev), EPOLLIN,
				 chardev_readable, chardev);
		if (rc) {
			log_warn("input ends here: %s", strerror(-rc));
			chardev->input_open = false;
		}
	} else if (!want && chardev->source) {
		loop_fd_remove(chardev->source);
		chardev->source = NULL;
	}
}

/* Move input along as far as it goes now. */
static void chardev_pump(struct chardev *chardev)
{
	chardev_deliver(chardev);
	/* A file never makes anybody wait. */
	while (chardev->input_open && !chardev->input_waits &&
	       !chardev->input_end && chardev_read(chardev))
		chardev_deliver(chardev);
	chardev_await(chardev);
	if (chardev->tap_waits && !chardev->input_end) {
		chardev->tap_waits = false;
		chardev->tap.input_room(chardev->tap.ctx);
	}
}

static void chardev_readable(void *ctx, uint32_t events)
{
	struct chardev *chardev = ctx;

	(void)events;
	chardev_read(chardev);
	chardev_pump(chardev);
}

static void chardev_room(void *ctx)
{
	chardev_pump(ctx);
}

size_t chardev_input(struct chardev *chardev, const uint8_t *data, size_t len)
{
	size_t taken = chardev_keep(chardev, data, len);

	chardev_pump(chardev);
	chardev->tap_waits = taken < len && chardev->tap.input_room;
	/* Not from within this call. */
	if (chardev->tap_waits && !chardev->input_end)
		loop_wake_send(chardev->room_wake);
	return taken;
}

int chardev_connect(struct chardev *chardev, int fd)
{
	int rc = loop_fd_add(chardev->config.loop, &chardev->source, fd,
			     EPOLLIN, chardev_readable, chardev);

	if (rc) {
		close(fd);
		return rc;
	}
	chardev->own_fd = fd;
	chardev->input_open = true;
	chardev->input_waits = true;
	chardev_pump(chardev);
	return 0;
}

void chardev_disconnect(struct chardev *chardev)
{
	size_t most = sizeof(chardev->input) - CHARDEV_READ_SIZE;

	if (chardev->own_fd < 0)
		return;
	while (chardev->input_open &&
	       chardev->input_end - chardev->input_start <= most &&
	       chardev_read(chardev))
		chardev_deliver(chardev);
	chardev->input_open = false;
	loop_fd_remove(chardev->source);
	chardev->source = NULL;
	close(chardev->own_fd);
	chardev->own_fd = -1;
}

/* --- Life ------------------------------------------------------------------
 */

static int chardev_make(struct chardev *chardev)
{
	const struct chardev_config *config = &chardev->config;
	const struct watch_config watch = {
		.event = chardev_watched,
		.open = chardev_opened,
		.ctx = chardev,
		.fail_on = config->fail_on,
		.expect = config->expect,
	};
	int rc;

	rc = watch_new(&chardev->watch, &watch);
	if (!rc)
		rc = loop_wake_add(config->loop, &chardev->room_wake,
				   chardev_room, chardev);
	if (!rc)
		rc = loop_wake_add(config->loop, &chardev->open_wake,
				   chardev_quiet, chardev);
	if (!rc)
		rc = loop_timer_add(config->loop, &chardev->quiet,
				    chardev_quiet, chardev);
	return rc;
}

int chardev_new(struct chardev **out, const struct chardev_config *config,
		struct error *err)
{
	struct chardev *chardev = calloc(1, sizeof(*chardev));
	int rc = -ENOMEM;

	if (!chardev)
		goto err_output;
	chardev->config = *config;
	chardev->own_fd = -1;
	rc = chardev_make(chardev);
	if (rc)
		goto err_free;
	*out = chardev;
	return 0;

err_free:
	chardev->config.output = NULL;
	chardev_free(chardev);
err_output:
	stream_free(config->output);
	return error_set(err, -rc, "%s: %s", config->name, strerror(-rc));
}

void chardev_free(struct chardev *chardev)
{
	if (!chardev)
		return;
	loop_fd_remove(chardev->source);
	loop_wake_remove(chardev->room_wake);
	loop_wake_remove(chardev->open_wake);
	loop_timer_remove(chardev->quiet);
	stream_free(chardev->copy);
	stream_free(chardev->config.output);
	watch_free(chardev->watch);
	if (chardev->own_fd >= 0)
		close(chardev->own_fd);
	free(chardev);
}

int chardev_start(struct chardev *chardev, struct error *err)
{
	int rc;

	if (chardev->config.input_fd < 0)
		return 0;
	chardev->own_fd =
		reopen_nonblocking(chardev->config.input_fd, O_RDONLY);
	rc = loop_fd_add(chardev->config.loop, &chardev->source,
			 chardev_input_fd(chardev), EPOLLIN, chardev_readable,
			 chardev);
	if (rc && rc != -EPERM)
		return error_set(err, -rc, "%s: cannot wait for input: %s",
				 chardev->config.name, strerror(-rc));
	chardev->input_open = true;
	chardev->input_waits = !rc;
	chardev_pump(chardev);
	return 0;
}

int chardev_set_tap(struct chardev *chardev, const struct chardev_tap *tap,
		    struct error *err)
{
	int rc = stream_open_sink(&chardev->copy, chardev->config.loop,
				  tap->output, tap->ctx, err);

	if (!rc)
		chardev->tap = *tap;
	return rc;
}

void chardev_end_line(struct chardev *chardev)
{
	watch_end(chardev->watch);
}

void chardev_flush(struct chardev *chardev, int64_t max_ns)
{
	stream_flush(chardev->copy, max_ns);
	stream_flush(chardev->config.output, max_ns);
}

uint64_t chardev_dropped(struct chardev *chardev)
{
	return stream_dropped(chardev->config.output);
}

int64_t chardev_last_output(struct chardev *chardev)
{
	return watch_last(chardev->watch);
}
