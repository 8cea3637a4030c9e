/*
 * What a user asks of a running machine: by the control socket, some of it by
 * signals. All on the main thread, between two callbacks of the loop.
 */
#include "vmm/machine_private.h"

#include <errno.h>
#include <unistd.h>

void machine_tell(struct machine *machine, enum machine_event event)
{
	const struct machine_observer *observer = machine->observer;

	if (observer)
		observer->event(observer->ctx, event,
				event == MACHINE_STOPPED ? &machine->outcome
							 : NULL);
}

void machine_tell_device(void *ctx, const char *label, const char *state,
			 const char *reason)
{
	const struct machine *machine = ctx;
	const struct machine_observer *observer = machine->observer;

	if (observer)
		observer->device(observer->ctx, label, state, reason);
}

void machine_go_on(struct machine *machine)
{
	if (!machine->paused)
		vcpus_go(machine->vcpus);
}

int64_t machine_silent_since(const struct machine *machine)
{
	int64_t serial = chardev_last_output(machine->serial);
	int64_t console = consoles_last_output(machine->consoles);
	int64_t last = serial > console ? serial : console;

	return last > machine->idle_from ? last : machine->idle_from;
}

/* A decided machine only waits for its end. */
static int machine_check_undecided(const struct machine *machine,
				   struct error *err)
{
	if (machine->outcome.kind == OUTCOME_NONE)
		return 0;
	return error_set(err, EBUSY, "the machine is stopping");
}

int machine_pause(struct machine *machine, struct error *err)
{
	int rc = machine_check_undecided(machine, err);

	if (rc)
		return rc;
	if (machine->paused)
		return error_set(err, EALREADY, "the machine is paused");
	vcpus_stop(machine->vcpus);
	machine->paused = true;
	machine->idle_spent = loop_now() - machine_silent_since(machine);
	loop_timer_cancel(machine->idle);
	machine_tell(machine, MACHINE_PAUSED);
	/* What they did last is not left for the time after. */
	machine_look(machine);
	return 0;
}

int machine_resume(struct machine *machine, struct error *err)
{
	if (!machine->paused)
		return error_set(err, EALREADY, "the machine is not paused");
	machine->paused = false;
	machine->idle_from = loop_now() - machine->idle_spent;
	machine_watch_silence(machine);
	arch_resumed(machine->arch);
	vcpus_go(machine->vcpus);
	machine_tell(machine, MACHINE_RESUMED);
	return 0;
}

int machine_power_button(struct machine *machine, struct error *err)
{
	(void)err;
	arch_power_button(machine->arch);
	return 0;
}

int machine_reset(struct machine *machine, struct error *err)
{
	int rc;

	/* How the guest ended before this counts. */
	machine_look(machine);
	rc = machine_check_undecided(machine, err);
	if (rc)
		return rc;
	vcpus_stop(machine->vcpus);
	machine_drain_ports(machine);
	return machine_reboot(machine, err);
}

int machine_stop(struct machine *machine, struct error *err)
{
	(void)err;
	if (machine->outcome.kind != OUTCOME_STOPPED)
		machine_ask_stop(machine);
	return 0;
}

int machine_quit(struct machine *machine, struct error *err)
{
	(void)err;
	machine_end(machine, OUTCOME_STOPPED);
	return 0;
}

int machine_console_input(struct machine *machine, const uint8_t *data,
			  size_t len)
{
	return (int)chardev_input(machine_terminal(machine), data, len);
}

int machine_size_port(struct machine *machine, unsigned int port,
		      unsigned int cols, unsigned int rows, struct error *err)
{
	json_t *args = json_pack("{s:i, s:i, s:i}", "port", (int)port, "cols",
				 (int)cols, "rows", (int)rows);
	json_t *reply = NULL;
	int rc;

	if (!args)
		return error_set(err, ENOMEM, "out of memory");
	rc = devices_command(machine->devices, "console0", "size", args, &reply,
			     err);
	json_decref(reply);
	json_decref(args);
	return rc;
}

int machine_console_resize(struct machine *machine, unsigned int cols,
			   unsigned int rows, struct error *err)
{
	if (machine_terminal_is_console(machine))
		return machine_size_port(machine,
					 consoles_main_port(machine->consoles),
					 cols, rows, err);
	return error_set(err, EOPNOTSUPP,
			 "the console is a serial port, which has no size; "
			 "set it in the guest, with `stty cols` and `stty "
			 "rows`");
}

static const char *machine_state(const struct machine *machine)
{
	if (machine->outcome.kind != OUTCOME_NONE)
		return "stopping";
	return machine->paused ? "paused" : "running";
}

int machine_device(struct machine *machine, const char *label,
		   const char *command, const json_t *args, json_t **reply,
		   struct error *err)
{
	return devices_command(machine->devices, label, command, args, reply,
			       err);
}

int machine_status(struct machine *machine, json_t **out)
{
	const struct options *options = machine->options;
	int64_t first = machine->first_instruction;
	json_t *devices;

	if (devices_status(machine->devices, &devices))
		return -ENOMEM;
	*out = json_pack(
		"{s:s?, s:i, s:s, s:I, s:I, s:s, s:s?, s:I, s:I, s:I, s:o}",
		"name", options->name, "pid", (int)getpid(), "state",
		machine_state(machine), "cpus", (json_int_t)options->cpus,
		"memory", (json_int_t)options->memory, "profile",
		arch_profile_name(machine->arch), "kernel", options->kernel,
		"uptime_ns", (json_int_t)(first ? loop_now() - first : 0),
		"resets", (json_int_t)machine->resets, "dropped_output",
		(json_int_t)machine_dropped(machine), "devices", devices);
	return *out ? 0 : -ENOMEM;
}
