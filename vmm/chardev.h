/*
 * The host's end of a port on which a guest prints and reads, whatever device
 * that is: output to a stream, past the eyes of a watch, and to whoever else
 * listens; input from a descriptor, past the escape keys when that is a
 * terminal, from a socket's client, or from attached consoles, at the pace of
 * the guest. console_end.h makes one as a user's option says.
 */
#ifndef VMM_CHARDEV_H
#define VMM_CHARDEV_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/host.h"
#include "vmm/base/loop.h"
#include "vmm/stream.h"
#include "vmm/terminal.h"
#include "vmm/watch.h"

struct chardev;

struct chardev_config {
	const char *name;      /* borrowed, for messages: the option */
	struct loop *loop;     /* borrowed */
	struct stream *output; /* owned from now on; NULL: output is dropped */
	int input_fd;	       /* borrowed; -1 for none */
	bool escapes;	       /* input_fd is a terminal: Ctrl-A commands */

	/* Borrowed; NULL for none. */
	struct watch_patterns *fail_on, *expect;
	/* What the guest printed. On the printing vCPU's thread, or on the main
	 * thread for a line without end. */
	void (*watch)(void *ctx, const struct watch_match *match);
	/* Main thread: room in the device, giving it bytes, Ctrl-A commands. */
	size_t (*room)(void *ctx);
	void (*input)(void *ctx, const uint8_t *data, size_t len);
	void (*action)(void *ctx, enum terminal_action action);
	void *ctx; /* borrowed, for all four */
};

/**
 * chardev_new() - Make it; input is not read before chardev_start().
 * @out: for chardev_free()
 *
 * Main thread. Return: 0 or a negative errno, @err set; @config->output is
 * freed then, too.
 */
int chardev_new(struct chardev **out, const struct chardev_config *config,
		struct error *err);

/* Main thread, no vCPU running; NULL is nothing to do. */
void chardev_free(struct chardev *chardev);

/* What the device model is given. */
struct char_backend chardev_backend(struct chardev *chardev);

/* Begin to read input: the device is there now. Main thread. */
int chardev_start(struct chardev *chardev, struct error *err);

/**
 * chardev_connect() - Read input from a client's socket from now on.
 * @fd: non-blocking, that no one else has given to the loop; owned from now on,
 *	also by a failure
 *
 * For one without input_fd, after chardev_start(). The end of its input is no
 * reason to let go of it. Main thread. Return: 0 or a negative errno.
 */
int chardev_connect(struct chardev *chardev, int fd);

/* The client has gone: what it sent last is taken as far as there is room. Main
 * thread; without a client nothing to do. */
void chardev_disconnect(struct chardev *chardev);

/* Who else listens and types: attached consoles. Main thread. */
struct chardev_tap {
	stream_sink_fn *output;
	void (*input_room)(void *ctx); /* see chardev_input() */
	void *ctx;		       /* borrowed, for both */
};

/**
 * chardev_set_tap() - From now on copy the output there, too.
 *
 * Once, main thread, no vCPU running. Return: 0 or a negative errno, @err set.
 */
int chardev_set_tap(struct chardev *chardev, const struct chardev_tap *tap,
		    struct error *err);

/**
 * chardev_input() - Take what somebody else typed, as far as there is room.
 *
 * Main thread. Return: how many bytes were taken; if less than @len,
 * chardev_tap.input_room is called once there is room.
 */
size_t chardev_input(struct chardev *chardev, const uint8_t *data, size_t len);

/*
 * The guest has stopped: what it printed last is a line, and the watch looks at
 * it now. Main thread, no vCPU running.
 */
void chardev_end_line(struct chardev *chardev);

/**
 * chardev_flush() - Write what output is left, at the machine's end; the tap
 * gets its copy first.
 * @max_ns: give up when the reader takes nothing for that long
 */
void chardev_flush(struct chardev *chardev, int64_t max_ns);

/* Bytes of output that were dropped so far. Any thread. */
uint64_t chardev_dropped(struct chardev *chardev);

/* loop_now() of the last output; 0 before any. Any thread. */
int64_t chardev_last_output(struct chardev *chardev);

#endif
