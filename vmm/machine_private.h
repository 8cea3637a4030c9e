/*
 * What the files of the machine share: machine.c builds it and takes it down,
 * machine_decide.c turns what happens into an outcome, machine_steer.c does
 * what a user asks of it meanwhile, machine_serial.c is its console.
 *
 * Data flows one way. vCPU threads leave what they find out in struct
 * machine_findings and wake the main thread, and only that decides.
 */
#ifndef VMM_MACHINE_PRIVATE_H
#define VMM_MACHINE_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/arch.h"
#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"
#include "vmm/base/host.h"
#include "vmm/base/image.h"
#include "vmm/base/loop.h"
#include "vmm/bus.h"
#include "vmm/chardev.h"
#include "vmm/console.h"
#include "vmm/console_end.h"
#include "vmm/devices.h"
#include "vmm/irq_routes.h"
#include "vmm/kvm.h"
#include "vmm/machine.h"
#include "vmm/machine_control.h"
#include "vmm/result.h"
#include "vmm/vcpu.h"
#include "vmm/watch.h"

/* What vCPU threads found out since main looked last. */
struct machine_findings {
	bool notices[HOST_NOTICES];
	unsigned int guest_status; /* of HOST_DEBUG_EXIT */
	bool panic_text;	   /* the kernel began to print its panic */
	bool panic_end;		   /* and finished */
	bool matched;		   /* --fail-on or --expect did: see match */
	bool crashed;
	struct vcpu_crash crash;
};

#define MACHINE_DEVICE_MAX 64 /* bytes of a name, cut if longer */

/* The first line that said something, for --result. */
struct machine_match {
	bool found;
	enum watch_event event; /* not WATCH_PANIC_END */
	size_t pattern;
	uint64_t number;
	char device[MACHINE_DEVICE_MAX]; /* "serial", "hvc0", a port's name */
	char line[WATCH_LINE_MAX + 1];
};

struct machine {
	struct host host;	       /* what devices see */
	const struct options *options; /* borrowed */

	/* Owned; each is freed before what stands above it. */
	struct image kernel, initrd;
	struct result *result;			 /* NULL without --result */
	struct watch_patterns *fail_on, *expect; /* NULL without */
	int signal_fd;
	struct loop *loop;
	struct loop_wake *findings_wake;
	struct loop_timer *timeout, *idle, *grace, *panic;
	struct loop_fd *signals;
	struct console_end *serial_end;
	struct chardev *serial;		 /* of serial_end */
	struct consoles *consoles;	 /* NULL without --console */
	struct machine_control *control; /* NULL without --name */
	struct kvm kvm;
	struct bus *buses[BUS_KINDS];
	struct guest_mem *mem;
	struct irq_routes *irq_routes;
	struct arch *arch;
	struct devices *devices;
	struct confine *confine;
	struct vcpus *vcpus;

	/* Main thread. Times are loop_now(). */
	const struct machine_observer *observer; /* borrowed from control, or
						    NULL */
	struct outcome outcome;
	struct error error; /* of OUTCOME_ERROR */
	bool paused;
	int64_t idle_from;	   /* no silence before counts */
	int64_t idle_spent;	   /* paused: ns of silence until then */
	int64_t first_instruction; /* 0 before it */
	int64_t end;		   /* 0 before it */
	uint64_t resets;

	pthread_mutex_t lock;
	/* Under it. */
	struct machine_findings findings;
	struct machine_match match; /* stays, once it is found */
};

static inline struct machine *machine_of(struct host *host)
{
	/* host is the first member. */
	return (struct machine *)host;
}

/* --- machine_decide.c ------------------------------------------------------
 * Main thread, but for the three that leave findings.
 */

void machine_notice(struct host *host, enum host_notice notice,
		    unsigned int value);
void machine_crashed(void *ctx, const struct vcpu_crash *crash);
void machine_watched(void *ctx, const struct watch_match *match);
void machine_console_watched(void *ctx, const char *port,
			     const struct watch_match *match);

/* A loop_fn: look at what was found. */
void machine_look(void *ctx);

/* loop_fn of the timers. */
void machine_timed_out(void *ctx);
void machine_idled(void *ctx);
void machine_grace_over(void *ctx);
void machine_panic_over(void *ctx);

/* The guest runs now: arm the timer of --idle-timeout. */
void machine_watch_silence(struct machine *machine);

/* Signals are there. A loop_fd_fn. */
void machine_signalled(void *ctx, uint32_t events);

/* Let @kind be the outcome unless there is one, and leave the loop. */
void machine_end(struct machine *machine, enum outcome_kind kind);

/* End for want of something on the host: @err says what. */
void machine_fail(struct machine *machine, const struct error *err);

/* Press the power button, with --grace; when that is so already, the plug. */
void machine_ask_stop(struct machine *machine);

/* Reboot in place; the vCPUs have stopped. */
int machine_reboot(struct machine *machine, struct error *err);

/* --- machine_steer.c -------------------------------------------------------
 */

/* Tell the observer, if there is one. */
void machine_tell(struct machine *machine, enum machine_event event);

/* The same of a device's process: devices_watch.changed. */
void machine_tell_device(void *ctx, const char *label, const char *state,
			 const char *reason);

/* Let stopped vCPUs go on, unless the machine is paused. */
void machine_go_on(struct machine *machine);

/* Tell the guest how large the terminal behind a port of the console device
 * is. Return: 0 or a negative errno, @err set. */
int machine_size_port(struct machine *machine, unsigned int port,
		      unsigned int cols, unsigned int rows, struct error *err);

/* loop_now() since when the guest has printed nothing. */
int64_t machine_silent_since(const struct machine *machine);

/* --- machine_serial.c ------------------------------------------------------
 */

/* Make machine->serial and machine->consoles. */
int machine_make_serial(struct machine *machine, struct error *err);

/* The port that a user talks to: the one with stdio; else the serial port, or
 * a console when that leads nowhere. */
struct chardev *machine_terminal(const struct machine *machine);

/* Whether that is a console. */
bool machine_terminal_is_console(const struct machine *machine);

/* Let machine->observer hear what it prints. */
int machine_tap_terminal(struct machine *machine, struct error *err);

/* Of all ports: begin to take input; no vCPU runs, take what was printed, the
 * last line as well; and at the end, give it to who reads. */
int machine_start_ports(struct machine *machine, struct error *err);
void machine_drain_ports(struct machine *machine);
void machine_flush_ports(struct machine *machine);

uint64_t machine_dropped(const struct machine *machine);

#endif
