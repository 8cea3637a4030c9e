/*
 * One virtual machine: the main thread's side.
 *
 * Theory of operation. vCPU threads never decide about the machine. What they
 * find out (a notice of a device, a crash, the text of a panic) they leave in
 * struct machine_findings, ask all vCPUs to stop if the guest must not go on,
 * and wake the main loop, which decides: end with an outcome, or reboot.
 */
#include "vmm/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/kvm.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

#include "vmm/arch.h"
#include "vmm/base/guest_mem.h"
#include "vmm/base/host.h"
#include "vmm/base/image.h"
#include "vmm/base/log.h"
#include "vmm/base/loop.h"
#include "vmm/bus.h"
#include "vmm/chardev.h"
#include "vmm/kvm.h"
#include "vmm/stream.h"
#include "vmm/terminal.h"
#include "vmm/vcpu.h"
#include "vmm/watch.h"

#define MACHINE_PIO_LAST UINT64_C(0xffff)

/* After the first line of a panic, for the rest of what the kernel prints. */
#define MACHINE_PANIC_NS INT64_C(1000000000)
/* At the end, for a reader of the output that takes nothing. */
#define MACHINE_FLUSH_NS INT64_C(1000000000)

/* What vCPU threads found out since main looked last. */
struct machine_findings {
	bool notices[HOST_NOTICES];
	unsigned int guest_status; /* of HOST_DEBUG_EXIT */
	bool panic_text;	   /* the kernel began to print its panic */
	bool panic_end;		   /* and finished */
	bool crashed;
	struct vcpu_crash crash;
};

struct machine {
	struct host host;	       /* what devices see */
	const struct options *options; /* borrowed */

	/* Owned; each is freed before what stands above it. */
	struct image kernel, initrd;
	int signal_fd;
	struct loop *loop;
	struct loop_wake *findings_wake;
	struct loop_timer *timeout, *grace, *panic;
	struct loop_fd *signals;
	struct chardev *serial;
	struct kvm kvm;
	struct bus *buses[BUS_KINDS];
	struct guest_mem *mem;
	struct arch *arch;
	struct vcpus *vcpus;

	struct outcome outcome; /* main thread */

	pthread_mutex_t lock;
	struct machine_findings findings; /* under it */
};

/* --- Services for devices, any thread --------------------------------------
 */

static struct machine *machine_of(struct host *host)
{
	/* host is the first member. */
	return (struct machine *)host;
}

static int machine_map(struct host *host, enum bus_kind bus, uint64_t base,
		       uint64_t size, const struct bus_ops *ops, void *ctx,
		       const char *name)
{
	return bus_map(machine_of(host)->buses[bus], base, size, ops, ctx,
		       name);
}

static int machine_unmap(struct host *host, enum bus_kind bus, uint64_t base)
{
	return bus_unmap(machine_of(host)->buses[bus], base);
}

static void machine_irq_set(struct host *host, unsigned int gsi, bool level)
{
	struct kvm_irq_level line = {.irq = gsi, .level = level};
	static struct log_limit limit;

	if (ioctl(machine_of(host)->kvm.vm_fd, KVM_IRQ_LINE, &line) < 0)
		log_limited(&limit, LOG_ERROR, "interrupt %u: KVM_IRQ_LINE: %s",
			    gsi, strerror(errno));
}

static void machine_notice(struct host *host, enum host_notice notice,
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

static const struct host_ops machine_host_ops = {
	.map = machine_map,
	.unmap = machine_unmap,
	.irq_set = machine_irq_set,
	.notice = machine_notice,
};

static void machine_crashed(void *ctx, const struct vcpu_crash *crash)
{
	struct machine *machine = ctx;

	pthread_mutex_lock(&machine->lock);
	if (!machine->findings.crashed)
		machine->findings.crash = *crash;
	machine->findings.crashed = true;
	pthread_mutex_unlock(&machine->lock);
	loop_wake_send(machine->findings_wake);
}

static void machine_watched(void *ctx, enum watch_event event, const char *line)
{
	struct machine *machine = ctx;

	(void)line;
	pthread_mutex_lock(&machine->lock);
	machine->findings.panic_text = true;
	machine->findings.panic_end |= event == WATCH_PANIC_END;
	pthread_mutex_unlock(&machine->lock);
	loop_wake_send(machine->findings_wake);
}

/* --- Decisions, main thread ------------------------------------------------
 */

static void machine_decide(struct machine *machine, enum outcome_kind kind,
			   unsigned int guest_status)
{
	struct outcome next = {.kind = kind, .guest_status = guest_status};

	outcome_decide(&machine->outcome, &next);
}

static void machine_end(struct machine *machine, enum outcome_kind kind)
{
	machine_decide(machine, kind, 0);
	loop_stop(machine->loop);
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
static void machine_reboot(struct machine *machine)
{
	struct error err = {.text = ""};
	int rc;

	log_info("the guest reboots");
	rc = guest_mem_discard(machine->mem);
	if (rc)
		error_set(&err, -rc, "--memory: cannot clear it: %s",
			  strerror(-rc));
	else
		rc = arch_boot(machine->arch, &err);
	if (rc) {
		log_error("reboot: %s", err.text);
		machine_end(machine, OUTCOME_ERROR);
		return;
	}
	vcpus_go(machine->vcpus);
}

static void machine_reset(struct machine *machine)
{
	if (machine->outcome.kind == OUTCOME_NONE &&
	    !machine->options->no_reboot)
		machine_reboot(machine);
	else
		machine_end(machine, OUTCOME_NO_REBOOT);
}

/* Whether a vCPU has asked all of them to stop. */
static bool machine_findings_stop(const struct machine_findings *findings)
{
	bool stop = findings->crashed || findings->panic_end;

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
		chardev_end_line(machine->serial);
		pthread_mutex_lock(&machine->lock);
	}
	found = machine->findings;
	machine->findings = (struct machine_findings){.crashed = false};
	pthread_mutex_unlock(&machine->lock);
	return found;
}

/*
 * Should several things have come at once, the worst decides; but a panic that
 * the kernel printed comes before whatever it then did. What stopped the vCPUs
 * ends here or reboots, so they never stay stopped.
 */
static void machine_look(void *ctx)
{
	struct machine *machine = ctx;
	struct machine_findings found = machine_take_findings(machine);

	if (found.panic_text && machine->outcome.kind == OUTCOME_NONE) {
		machine_decide(machine, OUTCOME_PANIC, 0);
		loop_timer_set(machine->panic, MACHINE_PANIC_NS);
	}
	if (found.crashed) {
		machine_report_crash(machine, &found.crash);
		machine_end(machine, OUTCOME_CRASH);
	} else if (found.notices[HOST_PANIC] || found.panic_end) {
		machine_end(machine, OUTCOME_PANIC);
	} else if (found.notices[HOST_DEBUG_EXIT]) {
		machine_decide(machine, OUTCOME_GUEST_STATUS,
			       found.guest_status);
		machine_end(machine, OUTCOME_GUEST_STATUS);
	} else if (found.notices[HOST_POWEROFF]) {
		machine_end(machine, OUTCOME_POWEROFF);
	} else if (found.notices[HOST_RESET]) {
		machine_reset(machine);
	}
}

static void machine_timed_out(void *ctx)
{
	machine_end(ctx, OUTCOME_TIMEOUT);
}

static void machine_grace_over(void *ctx)
{
	machine_end(ctx, OUTCOME_STOPPED);
}

static void machine_panic_over(void *ctx)
{
	machine_end(ctx, OUTCOME_PANIC);
}

/* The power button first, the second time the plug. */
static void machine_stop(struct machine *machine)
{
	if (machine->outcome.kind != OUTCOME_NONE || !machine->options->grace) {
		machine_end(machine, OUTCOME_STOPPED);
		return;
	}
	log_info("stopping: the power button is pressed");
	machine_decide(machine, OUTCOME_STOPPED, 0);
	arch_power_button(machine->arch);
	loop_timer_set(machine->grace, (int64_t)machine->options->grace);
}

/*
 * What came since the last turn is one wish. SIGHUP is nobody's second one: the
 * kernel and the shell both send it when a terminal goes, and systemd does
 * right behind a SIGTERM.
 */
static void machine_signalled(void *ctx, uint32_t events)
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
		machine_stop(machine);
}

/* --- The serial port, main thread ------------------------------------------
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

static int machine_open_output(struct machine *machine, struct stream **out,
			       struct error *err)
{
	const struct options *options = machine->options;

	*out = NULL;
	switch ((enum options_serial)options->serial) {
	case OPTIONS_SERIAL_STDIO:
		return stream_open_fd(out, machine->loop, STDOUT_FILENO,
				      "standard output", err);
	case OPTIONS_SERIAL_FILE:
		return stream_open_file(out, machine->loop, "--serial",
					options->serial_file, err);
	case OPTIONS_SERIAL_NULL:
		break;
	}
	return 0;
}

static int machine_make_serial(struct machine *machine, struct error *err)
{
	bool stdio = machine->options->serial == OPTIONS_SERIAL_STDIO;
	struct chardev_config config = {
		.loop = machine->loop,
		.input_fd = stdio ? STDIN_FILENO : -1,
		.escapes = stdio && isatty(STDIN_FILENO),
		.watch = machine_watched,
		.room = machine_serial_room,
		.input = machine_serial_input,
		.action = machine_action,
		.ctx = machine,
	};
	int rc;

	rc = machine_open_output(machine, &config.output, err);
	return rc ? rc : chardev_new(&machine->serial, &config, err);
}

/* --- Life ------------------------------------------------------------------
 */

/* May wait for the writer of a pipe. */
static int machine_open_images(struct machine *machine, struct error *err)
{
	const struct options *options = machine->options;
	int rc;

	rc = image_open(&machine->kernel, "--kernel", options->kernel, err);
	if (!rc && options->initrd)
		rc = image_open(&machine->initrd, "--initrd", options->initrd,
				err);
	return rc;
}

static int machine_make_signals(struct machine *machine)
{
	struct sigaction hangup;
	sigset_t set, blocked;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	/* nohup(1) ignores it, which a signalfd would not notice. */
	if (sigaction(SIGHUP, NULL, &hangup) == 0 &&
	    hangup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	/* The vCPUs' kick: see vcpus_new(). */
	blocked = set;
	sigaddset(&blocked, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	signal(SIGPIPE, SIG_IGN);

	machine->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (machine->signal_fd < 0)
		return -errno;
	return loop_fd_add(machine->loop, &machine->signals, machine->signal_fd,
			   EPOLLIN, machine_signalled, machine);
}

static int machine_make_loop(struct machine *machine, struct error *err)
{
	int rc = loop_new(&machine->loop);

	if (!rc)
		rc = loop_wake_add(machine->loop, &machine->findings_wake,
				   machine_look, machine);
	if (!rc)
		rc = loop_timer_add(machine->loop, &machine->timeout,
				    machine_timed_out, machine);
	if (!rc)
		rc = loop_timer_add(machine->loop, &machine->grace,
				    machine_grace_over, machine);
	if (!rc)
		rc = loop_timer_add(machine->loop, &machine->panic,
				    machine_panic_over, machine);
	if (!rc)
		rc = machine_make_signals(machine);
	if (rc)
		return error_set(err, -rc, "cannot make the event loop: %s",
				 strerror(-rc));
	return 0;
}

static int machine_make_arch(struct machine *machine, struct error *err)
{
	const struct options *options = machine->options;
	struct arch_config config = {
		.memory = options->memory,
		.cpus = (unsigned int)options->cpus,
		.profile = (enum arch_profile)options->machine,
		.entry = (enum arch_entry)options->entry,
		.kernel = &machine->kernel,
		.initrd = options->initrd ? &machine->initrd : NULL,
		.cmdline = options->append ? options->append : "",
		.console_on_serial = options->serial != OPTIONS_SERIAL_NULL,
		.serial = chardev_backend(machine->serial),
	};

	return arch_new(&machine->arch, &config, err);
}

static int machine_make_memory(struct machine *machine, struct error *err)
{
	struct guest_mem_region regions[GUEST_MEM_REGIONS_MAX];
	unsigned int count = arch_ram(machine->arch, regions);
	int rc;

	rc = guest_mem_new(&machine->mem, regions, count,
			   machine->options->hugepages, err);
	return rc ? rc : kvm_set_memory(&machine->kvm, machine->mem, err);
}

static int machine_make_vcpus(struct machine *machine, struct error *err)
{
	struct vcpus_config config = {
		.kvm = &machine->kvm,
		.count = (unsigned int)machine->options->cpus,
		.pio = machine->buses[BUS_PIO],
		.mmio = machine->buses[BUS_MMIO],
		.crashed = machine_crashed,
		.ctx = machine,
	};
	int rc;

	rc = vcpus_new(&machine->vcpus, &config, err);
	for (unsigned int i = 0; i < config.count && !rc; i++)
		rc = arch_vcpu_init(machine->arch, i,
				    vcpus_fd(machine->vcpus, i), err);
	return rc;
}

/*
 * The user's files first: their mistakes are found without KVM, and while
 * signals still end the process, should one be a pipe that nobody writes to.
 */
static int machine_make(struct machine *machine, struct error *err)
{
	int rc;

	rc = machine_open_images(machine, err);
	if (!rc)
		rc = machine_make_loop(machine, err);
	if (!rc)
		rc = machine_make_serial(machine, err);
	if (!rc)
		rc = machine_make_arch(machine, err);
	if (!rc)
		rc = kvm_open(&machine->kvm, err);
	if (!rc)
		rc = machine_make_memory(machine, err);
	if (rc)
		return rc;
	if (bus_new(&machine->buses[BUS_PIO], MACHINE_PIO_LAST) ||
	    bus_new(&machine->buses[BUS_MMIO], UINT64_MAX))
		return error_set(err, ENOMEM, "out of memory");
	rc = arch_vm_init(machine->arch, machine->kvm.dev_fd,
			  machine->kvm.vm_fd, machine->mem, &machine->host,
			  err);
	if (!rc)
		rc = machine_make_vcpus(machine, err);
	return rc ? rc : arch_boot(machine->arch, err);
}

/* Safe on one that was made only in part. */
static void machine_free(struct machine *machine)
{
	vcpus_free(machine->vcpus);
	arch_free(machine->arch);
	guest_mem_free(machine->mem);
	for (unsigned int i = 0; i < BUS_KINDS; i++)
		bus_free(machine->buses[i]);
	kvm_close(&machine->kvm);
	chardev_free(machine->serial);
	loop_free(machine->loop);
	if (machine->signal_fd >= 0)
		close(machine->signal_fd);
	image_close(&machine->initrd);
	image_close(&machine->kernel);
	pthread_mutex_destroy(&machine->lock);
	free(machine);
}

static int machine_go(struct machine *machine, struct error *err)
{
	int rc;

	if (machine->options->serial == OPTIONS_SERIAL_STDIO)
		terminal_raw();
	rc = chardev_start(machine->serial, err);
	if (rc)
		return rc;
	if (machine->options->timeout)
		loop_timer_set(machine->timeout,
			       (int64_t)machine->options->timeout);
	vcpus_go(machine->vcpus);
	rc = loop_run(machine->loop);
	vcpus_stop(machine->vcpus);
	chardev_flush(machine->serial, MACHINE_FLUSH_NS);
	return rc ? error_set(err, -rc, "event loop: %s", strerror(-rc)) : 0;
}

int machine_run(const struct options *options, struct outcome *outcome,
		struct error *err)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	int rc;

	if (!machine)
		return error_set(err, ENOMEM, "out of memory");
	machine->host.ops = &machine_host_ops;
	machine->options = options;
	machine->signal_fd = -1;
	machine->kernel.fd = machine->initrd.fd = -1;
	machine->kvm.dev_fd = machine->kvm.vm_fd = -1;
	machine->outcome.kind = OUTCOME_NONE;
	pthread_mutex_init(&machine->lock, NULL);

	rc = machine_make(machine, err);
	if (!rc)
		rc = machine_go(machine, err);
	terminal_restore();
	*outcome = machine->outcome;
	machine_free(machine);
	return rc;
}
