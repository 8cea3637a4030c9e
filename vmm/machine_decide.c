/*
 * How a machine ends: from what vCPU threads find out, timers, signals.
 *
 * Theory of operation. vCPU threads never decide about the machine. What they
 * find out (a notice of a device, a crash, the text of a panic, a line that the
 * user waits for) they leave in struct machine_findings, ask all vCPUs to stop
 * if the guest must not go on, and wake the main loop, which decides: end with
 * an outcome, reboot, or go on. Whatever is decided first stays.
 */
#include "vmm/machine_private.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/signalfd.h>

#include "vmm/base/log.h"
#include "vmm/terminal.h"

/* After the first line of a panic, for the rest of what the kernel prints. */
#define MACHINE_PANIC_NS INT64_C(1000000000)

/* --- Findings, any thread --------------------------------------------------
 */

void machine_notice(struct host *host, enum host_notice notice,
		    unsigned int value)
{
	struct machine *machine = machine_of(host);

	pthread_mutex_lock(&machine->lock);
	if (notice == HOST_DEBUG_EXIT && !machine->findings.notices[notice])
		machine->findings.guest_status = value;
	machine->findings.notices[notice] = true;
	pthread_mutex_unlock(&machine->lock);
	vcpus_request_stop(machine->vcpus);
	loop_wake_send(machine->findings_wake);
}

void machine_crashed(void *ctx, const struct vcpu_crash *crash)
{
	struct machine *machine = ctx;

	pthread_mutex_lock(&machine->lock);
	if (!machine->findings.crashed)
		machine->findings.crash = *crash;
	machine->findings.crashed = true;
	pthread_mutex_unlock(&machine->lock);
	loop_wake_send(machine->findings_wake);
}

/* The first line stays: it is the one that decides. */
static void machine_keep_match_locked(struct machine *machine,
				      const char *device,
				      const struct watch_match *match)
{
	struct machine_match *kept = &machine->match;

	if (kept->found)
		return;
	kept->found = true;
	kept->event = match->event;
	kept->pattern = match->pattern;
	kept->number = match->number;
	snprintf(kept->device, sizeof(kept->device), "%s", device);
	snprintf(kept->line, sizeof(kept->line), "%s", match->line);
}

/*
 * After a panic Linux goes on to print; a line that the user waits for is the
 * end, and nothing that the guest does behind it may count.
 */
static void machine_watched_on(struct machine *machine, const char *device,
			       const struct watch_match *match)
{
	bool panic =
		match->event == WATCH_PANIC || match->event == WATCH_PANIC_END;

	pthread_mutex_lock(&machine->lock);
	machine->findings.panic_text |= panic;
	machine->findings.panic_end |= match->event == WATCH_PANIC_END;
	machine->findings.matched |= !panic;
	if (match->event != WATCH_PANIC_END)
		machine_keep_match_locked(machine, device, match);
	pthread_mutex_unlock(&machine->lock);
	if (!panic)
		vcpus_request_stop(machine->vcpus);
	loop_wake_send(machine->findings_wake);
}

void machine_watched(void *ctx, const struct watch_match *match)
{
	machine_watched_on(ctx, "serial", match);
}

/* On the main thread, this one. */
void machine_console_watched(void *ctx, const char *port,
			     const struct watch_match *match)
{
	machine_watched_on(ctx, port, match);
}

/* --- Decisions, main thread ------------------------------------------------
 */

static void machine_decide(struct machine *machine, enum outcome_kind kind,
			   unsigned int guest_status)
{
	struct outcome next = {
		.kind = kind,
		.guest_status = guest_status,
		.expect_missed = machine->options->expect.count &&
				 kind != OUTCOME_EXPECTED,
	};

	if (!outcome_decide(&machine->outcome, &next))
		return;
	loop_timer_cancel(machine->idle);
	if (kind == OUTCOME_PANIC)
		machine_tell(machine, MACHINE_PANICKED);
}

void machine_end(struct machine *machine, enum outcome_kind kind)
{
	machine_decide(machine, kind, 0);
	loop_stop(machine->loop);
}

void machine_fail(struct machine *machine, const struct error *err)
{
	if (machine->outcome.kind == OUTCOME_NONE)
		machine->error = *err;
	machine_end(machine, OUTCOME_ERROR);
}

static void machine_report_crash(struct machine *machine,
				 const struct vcpu_crash *crash)
{
	char *text = NULL;
	size_t len;
	FILE *dump = open_memstream(&text, &len);

	terminal_restore();
	log_error("guest crash on vCPU %u: %s", crash->index, crash->reason);
	if (!dump)
		return;
	arch_vcpu_dump(machine->arch, crash->index, dump);
	if (!fclose(dump))
		log_report(text);
	free(text);
}

/* In place: the same process, descriptors and devices, as after power-on. */
int machine_reboot(struct machine *machine, struct error *err)
{
	int rc;

	/* First: what is in flight must not land in the next life's memory. */
	devices_reset(machine->devices);
	rc = guest_mem_discard(machine->mem);
	if (rc)
		error_set(err, -rc, "--memory: cannot clear it: %s",
			  strerror(-rc));
	else
		rc = arch_boot(machine->arch, err);
	if (rc) {
		error_prefix(err, "reboot: ");
		machine_fail(machine, err);
		return rc;
	}
	machine->resets++;
	machine_tell(machine, MACHINE_RESET);
	machine_go_on(machine);
	return 0;
}

static void machine_guest_reset(struct machine *machine)
{
	struct error err;

	if (machine->outcome.kind == OUTCOME_NONE &&
	    !machine->options->no_reboot) {
		log_info("the guest reboots");
		machine_reboot(machine, &err);
	} else {
		machine_end(machine, OUTCOME_NO_REBOOT);
	}
}

/* A line of the guest's is one of those that the user named. */
static void machine_matched(struct machine *machine)
{
	const struct machine_match *match = &machine->match;
	bool fail = match->event == WATCH_FAIL_ON;
	const struct options_list *list =
		fail ? &machine->options->fail_on : &machine->options->expect;

	log_message(
		fail ? LOG_WARN : LOG_INFO, "%s %s: line %" PRIu64 " of %s: %s",
		fail ? "--fail-on" : "--expect", list->items[match->pattern],
		match->number, match->device, match->line);
	machine_end(machine, fail ? OUTCOME_FAIL_ON : OUTCOME_EXPECTED);
}

/* Whether a vCPU has asked all of them to stop. */
static bool machine_findings_stop(const struct machine_findings *findings)
{
	bool stop =
		findings->crashed || findings->panic_end || findings->matched;

	for (unsigned int i = 0; i < HOST_NOTICES; i++)
		stop |= findings->notices[i];
	return stop;
}

/*
 * Take what was found. If it stops the guest, all vCPUs come to rest first, so
 * that nothing of this life turns up in the next one.
 */
static struct machine_findings machine_take_findings(struct machine *machine)
{
	struct machine_findings found;

	pthread_mutex_lock(&machine->lock);
	if (machine_findings_stop(&machine->findings)) {
		pthread_mutex_unlock(&machine->lock);
		vcpus_stop(machine->vcpus);
		machine_drain_ports(machine);
		pthread_mutex_lock(&machine->lock);
	}
	found = machine->findings;
	machine->findings = (struct machine_findings){.crashed = false};
	pthread_mutex_unlock(&machine->lock);
	return found;
}

/*
 * Should several things have come at once, the worst decides; but a panic that
 * the kernel printed comes before whatever it then did, and a line that the
 * user waits for comes before what the guest did next. What stopped the vCPUs
 * ends here, reboots, or lets them go on, so they never stay stopped.
 */
void machine_look(void *ctx)
{
	struct machine *machine = ctx;
	struct machine_findings found = machine_take_findings(machine);
	bool undecided = machine->outcome.kind == OUTCOME_NONE;

	if (found.panic_text && undecided) {
		machine_decide(machine, OUTCOME_PANIC, 0);
		loop_timer_set(machine->panic, MACHINE_PANIC_NS);
		undecided = false;
	}
	if (found.crashed) {
		machine_report_crash(machine, &found.crash);
		machine_end(machine, OUTCOME_CRASH);
	} else if (found.notices[HOST_PANIC] || found.panic_end) {
		machine_end(machine, OUTCOME_PANIC);
	} else if (found.matched && undecided) {
		machine_matched(machine);
	} else if (found.notices[HOST_DEBUG_EXIT]) {
		machine_decide(machine, OUTCOME_GUEST_STATUS,
			       found.guest_status);
		machine_end(machine, OUTCOME_GUEST_STATUS);
	} else if (found.notices[HOST_POWEROFF]) {
		machine_end(machine, OUTCOME_POWEROFF);
	} else if (found.notices[HOST_RESET]) {
		machine_guest_reset(machine);
	} else if (found.matched) {
		/* It came too late: the guest is on its way down. */
		machine_go_on(machine);
	}
}

/* --- Timers ----------------------------------------------------------------
 */

void machine_timed_out(void *ctx)
{
	machine_end(ctx, OUTCOME_TIMEOUT);
}

/*
 * Armed for the earliest time at which the silence can have been long enough;
 * so what the guest prints need not touch the timer.
 */
void machine_idled(void *ctx)
{
	struct machine *machine = ctx;
	int64_t limit = (int64_t)machine->options->idle_timeout;
	int64_t silence = loop_now() - machine_silent_since(machine);

	if (silence >= limit)
		machine_end(machine, OUTCOME_IDLE);
	else
		loop_timer_set(machine->idle, limit - silence);
}

void machine_watch_silence(struct machine *machine)
{
	if (machine->options->idle_timeout &&
	    machine->outcome.kind == OUTCOME_NONE)
		machine_idled(machine);
}

void machine_grace_over(void *ctx)
{
	machine_end(ctx, OUTCOME_STOPPED);
}

void machine_panic_over(void *ctx)
{
	machine_end(ctx, OUTCOME_PANIC);
}

/* --- Stopping --------------------------------------------------------------
 */

/* The power button first, the second time the plug. */
void machine_ask_stop(struct machine *machine)
{
	if (machine->outcome.kind != OUTCOME_NONE || !machine->options->grace) {
		machine_end(machine, OUTCOME_STOPPED);
		return;
	}
	log_info("stopping: the power button is pressed");
	machine_decide(machine, OUTCOME_STOPPED, 0);
	arch_power_button(machine->arch);
	loop_timer_set(machine->grace, (int64_t)machine->options->grace);
	/* It has to be awake to go off. */
	if (machine->paused)
		machine_resume(machine, NULL);
}

/*
 * What came since the last turn is one wish. SIGHUP is nobody's second one: the
 * kernel and the shell both send it when a terminal goes, and systemd does
 * right behind a SIGTERM.
 */
void machine_signalled(void *ctx, uint32_t events)
{
	bool wishes = false, insists = false;
	struct machine *machine = ctx;
	struct signalfd_siginfo info;

	(void)events;
	while (read(machine->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		wishes = true;
		insists |= info.ssi_signo != SIGHUP;
	}
	if (insists || (wishes && machine->outcome.kind == OUTCOME_NONE))
		machine_ask_stop(machine);
}
