/*
 * The machine's serial port: where it leads to, who listens and types.
 */
#include "vmm/machine_private.h"

#include "vmm/terminal.h"

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
	return rc;
}

int machine_tap_serial(struct machine *machine, struct error *err)
{
	const struct chardev_tap tap = {
		.output = machine->observer->output,
		.input_room = machine->observer->input_room,
		.ctx = machine->observer->ctx,
	};

	return chardev_set_tap(machine->serial, &tap, err);
}
