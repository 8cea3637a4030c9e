/*
 * The machine's serial port and consoles: where they lead to, who listens and
 * types.
 */
#include "vmm/machine_private.h"

#include "vmm/terminal.h"

/* At the end, for a reader of the output that takes nothing. */
#define MACHINE_FLUSH_NS INT64_C(1000000000)

/* --- The device's side, main thread ----------------------------------------
 */

static size_t machine_serial_room(void *ctx)
{
	struct machine *machine = ctx;

	return arch_serial_room(machine->arch);
}

static void machine_serial_input(void *ctx, const uint8_t *data, size_t len)
{
	struct machine *machine = ctx;

	arch_serial_input(machine->arch, data, len);
}

static void machine_action(void *ctx, enum terminal_action action)
{
	switch (action) {
	case TERMINAL_QUIT:
		machine_end(ctx, OUTCOME_STOPPED);
		break;
	case TERMINAL_HELP:
		log_report("\r\nCtrl-A x: end the machine   Ctrl-A h: this "
			   "help   Ctrl-A Ctrl-A: Ctrl-A for the guest\r\n");
		break;
	case TERMINAL_NONE:
		break;
	}
}

/* --- Making it -------------------------------------------------------------
 */

static int machine_make_patterns(struct machine *machine, struct error *err)
{
	const struct options *options = machine->options;
	int rc = 0;

	if (options->fail_on.count)
		rc = watch_patterns_new(&machine->fail_on, "--fail-on",
					options->fail_on.items,
					options->fail_on.count, err);
	if (!rc && options->expect.count)
		rc = watch_patterns_new(&machine->expect, "--expect",
					options->expect.items,
					options->expect.count, err);
	return rc;
}

/* The terminal behind a port of the console device has another size. */
static void machine_resized(void *ctx, unsigned int port, uint16_t cols,
			    uint16_t rows)
{
	struct machine *machine = ctx;
	struct error err;

	if (machine_size_port(machine, port, cols, rows, &err))
		log_warn("--console: %s", err.text);
}

static int machine_make_consoles(struct machine *machine, struct error *err)
{
	const struct consoles_config config = {
		.loop = machine->loop,
		.options = machine->options,
		.fail_on = machine->fail_on,
		.expect = machine->expect,
		.watch = machine_console_watched,
		.action = machine_action,
		.size = machine_resized,
		.ctx = machine,
	};

	return consoles_new(&machine->consoles, &config, err);
}

int machine_make_serial(struct machine *machine, struct error *err)
{
	const struct options *options = machine->options;
	struct chardev_config config = {
		.name = "--serial",
		.loop = machine->loop,
		.watch = machine_watched,
		.room = machine_serial_room,
		.input = machine_serial_input,
		.action = machine_action,
		.ctx = machine,
	};
	int rc;

	rc = machine_make_patterns(machine, err);
	if (rc)
		return rc;
	config.fail_on = machine->fail_on;
	config.expect = machine->expect;
	if (options->dry_run)
		rc = console_end_new_dry(&machine->serial_end, &options->serial,
					 &config, err);
	else
		rc = console_end_new(&machine->serial_end, &options->serial,
				     &config, err);
	if (!rc)
		machine->serial = console_end_chardev(machine->serial_end);
	return rc ? rc : machine_make_consoles(machine, err);
}

/* --- All of them -----------------------------------------------------------
 */

bool machine_terminal_is_console(const struct machine *machine)
{
	return consoles_on_stdio(machine->consoles) ||
	       (machine->options->serial.to == OPTIONS_TO_NULL &&
		consoles_main(machine->consoles));
}

struct chardev *machine_terminal(const struct machine *machine)
{
	return machine_terminal_is_console(machine)
		       ? consoles_main(machine->consoles)
		       : machine->serial;
}

int machine_start_ports(struct machine *machine, struct error *err)
{
	int rc;

	if (machine->options->serial.to == OPTIONS_TO_STDIO ||
	    consoles_on_stdio(machine->consoles))
		terminal_raw();
	rc = chardev_start(machine->serial, err);
	return rc ? rc : consoles_start(machine->consoles, err);
}

void machine_drain_ports(struct machine *machine)
{
	chardev_end_line(machine->serial);
	consoles_drain(machine->consoles);
}

void machine_flush_ports(struct machine *machine)
{
	chardev_flush(machine->serial, MACHINE_FLUSH_NS);
	consoles_flush(machine->consoles, MACHINE_FLUSH_NS);
}

uint64_t machine_dropped(const struct machine *machine)
{
	if (!machine->serial)
		return 0;
	return chardev_dropped(machine->serial) +
	       consoles_dropped(machine->consoles);
}

int machine_tap_terminal(struct machine *machine, struct error *err)
{
	const struct chardev_tap tap = {
		.output = machine->observer->output,
		.input_room = machine->observer->input_room,
		.ctx = machine->observer->ctx,
	};

	return chardev_set_tap(machine_terminal(machine), &tap, err);
}
