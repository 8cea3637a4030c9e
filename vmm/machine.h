/*
 * One virtual machine from its options to its end, and what may be asked of it
 * while it runs.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "vmm/base/error.h"
#include "vmm/options.h"
#include "vmm/outcome.h"

struct machine;

/**
 * machine_run() - Build the machine, run it, and take it down again.
 * @options: borrowed; with dry_run, nothing is started, made or written
 * @outcome: how it ended; OUTCOME_ERROR when the return value is not 0
 * @err: set with -errno
 *
 * Main thread, the process's only one; blocks until the machine has ended.
 * Signals, once the files are open: takes SIGINT, SIGTERM and, if it was not
 * ignored, SIGHUP through a signalfd, ignores SIGPIPE. The first presses the
 * power button; SIGINT or SIGTERM then ends the machine at once. Writes
 * options->result, whatever comes.
 * Return: 0 once it has run, or a negative errno if it could not be built or
 * booted, or if its result could not be written.
 */
int machine_run(const struct options *options, struct outcome *outcome,
		struct error *err);

/* --- While it runs: main thread, from a callback of the loop ---------------
 *
 * "Stopping" is a machine whose outcome is decided: it only waits for the
 * guest to go off, or for the rest of a panic.
 */

/**
 * machine_status() - What it is and how it does.
 * @out: a new reference to an object: "name" (string or null), "pid", "state"
 *	 ("running", "paused", "stopping"), "cpus", "memory" (bytes), "profile"
 *	 ("lean", "legacy"), "kernel" (path), "uptime_ns" (since the guest's
 *	 first instruction, pauses included), "resets", "dropped_output"
 *	 (bytes), "devices" (see devices_status())
 *
 * Return: 0 or -ENOMEM.
 */
int machine_status(struct machine *machine, json_t **out);

/**
 * machine_pause() - Stop the vCPUs until machine_resume(). Devices go on with
 * what they were given.
 *
 * --timeout goes on meanwhile, --idle-timeout does not. Blocks only until each
 * vCPU has finished its exit. Return: 0, -EALREADY, or -EBUSY when stopping.
 */
int machine_pause(struct machine *machine, struct error *err);

/**
 * machine_resume() - Let the vCPUs go on. Return: 0 or -EALREADY.
 */
int machine_resume(struct machine *machine, struct error *err);

/**
 * machine_device() - Ask one of its virtio devices for something.
 * @label, @command, @args, @reply: see devices_command()
 *
 * Return: 0, -ENODEV when there is no such device, or what that says.
 */
int machine_device(struct machine *machine, const char *label,
		   const char *command, const json_t *args, json_t **reply,
		   struct error *err);

/**
 * machine_power_button() - Press it; a paused guest hears of it when resumed.
 *
 * Return: 0.
 */
int machine_power_button(struct machine *machine, struct error *err);

/**
 * machine_reset() - Reboot in place, whatever --no-reboot says about the
 * guest's own resets. A paused machine stays paused.
 *
 * May block on the kernel's file. Return: 0, -EBUSY when stopping, or a
 * negative errno, and the machine ends with OUTCOME_ERROR.
 */
int machine_reset(struct machine *machine, struct error *err);

/**
 * machine_stop() - Press the power button, wait for --grace, pull the plug.
 *
 * A paused machine is resumed, so that its guest can go off. Return: 0, also
 * when it is stopping already.
 */
int machine_stop(struct machine *machine, struct error *err);

/* Pull the plug: the machine has ended when the loop's callback returns.
 * Return: 0. */
int machine_quit(struct machine *machine, struct error *err);

/**
 * machine_console_input() - Type on the console: the port that has stdio; when
 * none does, the serial port, or a virtio console where that leads nowhere.
 *
 * Return: how many bytes were taken, 0 to @len; the observer's input_room says
 * when more would be.
 */
int machine_console_input(struct machine *machine, const uint8_t *data,
			  size_t len);

/**
 * machine_console_resize() - Say how large the terminal at the console is.
 *
 * Return: 0, or -EOPNOTSUPP for a serial port.
 */
int machine_console_resize(struct machine *machine, unsigned int cols,
			   unsigned int rows, struct error *err);

/* --- What it tells ---------------------------------------------------------
 */

enum machine_event {
	MACHINE_STARTED,  /* the vCPUs run */
	MACHINE_PANICKED, /* the guest panicked; more of its text may come */
	MACHINE_RESET,	  /* rebooted in place */
	MACHINE_PAUSED,
	MACHINE_RESUMED,
	MACHINE_DEVICE,	 /* see the observer's device() */
	MACHINE_STOPPED, /* once and last; the loop runs no more, and --result
			    is written */
	MACHINE_EVENTS,
};

/*
 * Main thread; must not block. event and output come from the loop's
 * callbacks, from within the functions above, or, at the end, after the loop.
 */
struct machine_observer {
	/* outcome: of MACHINE_STOPPED, else NULL. */
	void (*event)(void *ctx, enum machine_event event,
		      const struct outcome *outcome);
	/*
	 * Of MACHINE_DEVICE, in place of event(): what became of the process
	 * of the device @label: "lost", "restarted" or "failed".
	 * @reason: NULL for none
	 */
	void (*device)(void *ctx, const char *label, const char *state,
		       const char *reason);
	/* What the guest prints on the console, wherever that leads to. */
	void (*output)(void *ctx, const uint8_t *data, size_t len);
	/* After machine_console_input() took less than it was given: there is
	 * room now. NULL if of no interest. */
	void (*input_room)(void *ctx);
	void *ctx;
};

#endif
