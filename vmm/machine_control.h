/*
 * A running machine under its name: the control socket's methods, their rows
 * in a table, and the events that its clients are told. docs/control.md
 * describes each; a new method is a row, a function and a section there.
 */
#ifndef VMM_MACHINE_CONTROL_H
#define VMM_MACHINE_CONTROL_H

#include "vmm/base/error.h"
#include "vmm/base/loop.h"
#include "vmm/control_rpc.h"
#include "vmm/machine.h"

struct machine_control;

/**
 * machine_control_new() - Take a name and listen on its socket.
 * @out: for machine_control_free()
 * @machine: borrowed; asked and steered by what clients send
 * @loop: borrowed; requests are served by it
 * @name: --name
 * @err: names the option or the socket
 *
 * Main thread. Return: 0, or a negative errno; -EADDRINUSE if a machine of this
 * name is running.
 */
int machine_control_new(struct machine_control **out, struct machine *machine,
			struct loop *loop, const char *name, struct error *err);

/**
 * machine_control_free() - Tell clients what is left, give the name up, and
 * close the connections.
 *
 * In this order: a client that sees its connection end can take the name.
 * Blocks, for 1 s at most, for clients that do not read. Main thread, outside
 * of loop_run(); NULL is nothing to do.
 */
void machine_control_free(struct machine_control *control);

/**
 * machine_control_observer() - What the machine has to tell its clients.
 *
 * Its functions may be called inside of the methods, too. Return: valid until
 * machine_control_free().
 */
const struct machine_observer *
machine_control_observer(struct machine_control *control);

/* The rows, for `bantam ctl`. */
const struct control_method *machine_control_methods(size_t *count);

#endif
