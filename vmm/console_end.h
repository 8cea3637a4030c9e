/*
 * Where a port of the guest's leads to, as an option says: stdio, a file, a
 * socket, nothing. Made once for each port; what the guest prints is watched
 * for patterns wherever it leads to.
 */
#ifndef VMM_CONSOLE_END_H
#define VMM_CONSOLE_END_H

#include <stdbool.h>

#include "vmm/base/error.h"
#include "vmm/chardev.h"
#include "vmm/options.h"

struct console_end;

/**
 * console_end_new() - Make the end, and the chardev in front of it.
 * @out: for console_end_free()
 * @to: borrowed until then
 * @config: @name is the option, "--serial"; output, input_fd and escapes are
 *	    filled in here
 *
 * A socket listens from now on, with mode 0600, and has one client at a time:
 * others are turned away. What is printed while there is none, or faster than
 * it reads, is dropped and counted. Main thread. Return: 0 or a negative errno,
 * @err set.
 */
int console_end_new(struct console_end **out, const struct options_end *to,
		    const struct chardev_config *config, struct error *err);

/**
 * console_end_new_dry() - Check what console_end_new() would need, and make a
 * chardev that leads nowhere.
 */
int console_end_new_dry(struct console_end **out, const struct options_end *to,
			const struct chardev_config *config, struct error *err);

/* Borrowed. */
struct chardev *console_end_chardev(const struct console_end *end);

/* With its chardev, and the socket's file. Main thread, no vCPU running; NULL
 * is nothing to do. */
void console_end_free(struct console_end *end);

#endif
