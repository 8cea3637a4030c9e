/*
 * Main's side of --console: for each of them a link to the device's port and a
 * chardev with what the user wants at its other end. They are watched and
 * written like the serial port.
 *
 * Main thread, all of it.
 *
 * In the order in which a machine calls them: consoles_new() before
 * devices_open(), which gets consoles_device(); consoles_opened() after it;
 * consoles_start() when the devices are there; consoles_drain() whenever vCPUs
 * have stopped and what they printed counts; consoles_flush() at the end;
 * consoles_free() after devices_free().
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/options.h"
#include "vmm/base/error.h"
#include "vmm/base/loop.h"
#include "vmm/chardev.h"
#include "vmm/options.h"
#include "vmm/terminal.h"
#include "vmm/watch.h"

struct consoles;

struct consoles_config {
	struct loop *loop;	       /* borrowed, as are all of these */
	const struct options *options; /* with dry_run, outputs are only looked
					  at */
	struct watch_patterns *fail_on, *expect; /* NULL for none */
	/* What the guest printed, and on which port: "hvc0", or its name. */
	void (*watch)(void *ctx, const char *port,
		      const struct watch_match *match);
	/* Ctrl-A commands, typed on stdio. */
	void (*action)(void *ctx, enum terminal_action action);
	/* The terminal behind a port of the device has this size, from
	 * consoles_start() on: to be handed to the device, as its command
	 * "size". */
	void (*size)(void *ctx, unsigned int port, uint16_t cols,
		     uint16_t rows);
	void *ctx;
};

/**
 * consoles_new() - Make what --console asks for.
 * @out: for consoles_free(); NULL when there is no --console, which all of the
 *	 functions below take
 * @err: names the option
 *
 * Return: 0 or a negative errno.
 */
int consoles_new(struct consoles **out, const struct consoles_config *config,
		 struct error *err);

void consoles_free(struct consoles *consoles);

/* The device's options, borrowed: consoles first, hvc0 on, then named ports.
 * NULL without. */
const struct virtio_console_options *
consoles_device(const struct consoles *consoles);

/* The device has taken its copies of the descriptors, or there is none. */
void consoles_opened(struct consoles *consoles);

/* Read input, tell the size of the terminal, now and when it changes. */
int consoles_start(struct consoles *consoles, struct error *err);

/* Whether one of them has stdio, and so the terminal is the guest's. */
bool consoles_on_stdio(const struct consoles *consoles);

/* The one that has stdio, or else the first console that leads anywhere: for
 * whoever attaches to the machine. NULL if there is none. */
struct chardev *consoles_main(struct consoles *consoles);

/* The device's port number of that one. */
unsigned int consoles_main_port(const struct consoles *consoles);

/* No vCPU runs: take what was printed so far, its last line as well. */
void consoles_drain(struct consoles *consoles);

/* At the machine's end, after consoles_drain(): see chardev_flush(). */
void consoles_flush(struct consoles *consoles, int64_t max_ns);

/* Bytes of output that were dropped so far, of all of them. */
uint64_t consoles_dropped(struct consoles *consoles);

/* loop_now() of the last output of any; 0 before. */
int64_t consoles_last_output(struct consoles *consoles);

#endif
