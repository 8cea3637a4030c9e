/*
 * One virtual machine: building it, its life from the first instruction to the
 * last, and taking it down.
 */
#include "vmm/machine.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/kvm.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

#include "vmm/base/log.h"
#include "vmm/machine_private.h"
#include "vmm/names.h"
#include "vmm/terminal.h"
#include "vmm/writable.h"

#define MACHINE_PIO_LAST UINT64_C(0xffff)

/* At the end, for a reader of the output that takes nothing. */
#define MACHINE_FLUSH_NS INT64_C(1000000000)

/* --- Services for devices, any thread --------------------------------------
 */

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

static const struct host_ops machine_host_ops = {
	.map = machine_map,
	.unmap = machine_unmap,
	.irq_set = machine_irq_set,
	.notice = machine_notice,
};

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
		rc = loop_timer_add(machine->loop, &machine->idle,
				    machine_idled, machine);
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

static int machine_make_control(struct machine *machine, struct error *err)
{
	const char *name = machine->options->name;
	int rc;

	if (!name)
		return 0;
	if (machine->options->dry_run)
		return names_check_free(name, err);
	rc = machine_control_new(&machine->control, machine, machine->loop,
				 name, err);
	if (rc)
		return rc;
	machine->observer = machine_control_observer(machine->control);
	return machine_tap_serial(machine, err);
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
		.console_on_serial = options->serial.to != OPTIONS_TO_NULL,
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

static int machine_make_vm(struct machine *machine, struct error *err)
{
	int rc;

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
	return rc ? rc : machine_make_vcpus(machine, err);
}

/*
 * The user's files first: their mistakes are found without KVM, and while
 * signals still end the process, should one be a pipe that nobody writes to.
 * With --dry-run all of this is done, too, but for what others could see: then
 * the outputs are only looked at.
 */
static int machine_make(struct machine *machine, struct error *err)
{
	int rc;

	rc = machine_open_images(machine, err);
	if (!rc)
		rc = machine_make_loop(machine, err);
	if (!rc && machine->result)
		rc = result_hash(machine->result, &machine->kernel,
				 machine->options->initrd ? &machine->initrd
							  : NULL,
				 err);
	if (!rc)
		rc = machine_make_serial(machine, err);
	if (!rc)
		rc = machine_make_control(machine, err);
	if (!rc)
		rc = machine_make_arch(machine, err);
	if (!rc)
		rc = machine_make_vm(machine, err);
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
	machine_control_free(machine->control);
	console_end_free(machine->serial_end);
	loop_free(machine->loop);
	if (machine->signal_fd >= 0)
		close(machine->signal_fd);
	watch_patterns_free(machine->expect);
	watch_patterns_free(machine->fail_on);
	result_free(machine->result);
	image_close(&machine->initrd);
	image_close(&machine->kernel);
	pthread_mutex_destroy(&machine->lock);
	free(machine);
}

static int machine_go(struct machine *machine, struct error *err)
{
	int rc;

	if (machine->options->serial.to == OPTIONS_TO_STDIO)
		terminal_raw();
	rc = chardev_start(machine->serial, err);
	if (rc)
		return rc;
	if (machine->options->timeout)
		loop_timer_set(machine->timeout,
			       (int64_t)machine->options->timeout);
	machine->first_instruction = machine->idle_from = loop_now();
	vcpus_go(machine->vcpus);
	machine_tell(machine, MACHINE_STARTED);
	machine_watch_silence(machine);
	rc = loop_run(machine->loop);
	vcpus_stop(machine->vcpus);
	machine->end = loop_now();
	chardev_flush(machine->serial, MACHINE_FLUSH_NS);
	if (rc)
		return error_set(err, -rc, "event loop: %s", strerror(-rc));
	if (machine->outcome.kind != OUTCOME_ERROR)
		return 0;
	*err = machine->error;
	return -EIO;
}

/* Is the line that was kept the one that decided? */
static bool machine_match_decided(const struct machine *machine)
{
	static const enum outcome_kind kinds[WATCH_EVENTS] = {
		[WATCH_PANIC] = OUTCOME_PANIC,
		[WATCH_PANIC_END] = OUTCOME_NONE,
		[WATCH_FAIL_ON] = OUTCOME_FAIL_ON,
		[WATCH_EXPECT] = OUTCOME_EXPECTED,
	};

	return machine->match.found &&
	       machine->outcome.kind == kinds[machine->match.event];
}

/* --result, when no vCPU runs any more. */
static int machine_write_result(struct machine *machine, struct error *err)
{
	static const char *const by[WATCH_EVENTS] = {
		[WATCH_PANIC] = "panic",
		[WATCH_FAIL_ON] = "--fail-on",
		[WATCH_EXPECT] = "--expect",
	};
	const struct options *options = machine->options;
	const struct machine_match *kept = &machine->match;
	struct result_match match = {
		.by = by[kept->event],
		.device = "serial",
		.number = kept->number,
		.line = kept->line,
	};
	const struct result_report report = {
		.outcome = &machine->outcome,
		.error = machine->outcome.kind == OUTCOME_ERROR
				 ? machine->error.text
				 : NULL,
		.match = machine_match_decided(machine) ? &match : NULL,
		.first_instruction = machine->first_instruction,
		.end = machine->end ? machine->end : loop_now(),
		.dropped =
			machine->serial ? chardev_dropped(machine->serial) : 0,
	};

	if (kept->event == WATCH_FAIL_ON)
		match.pattern = options->fail_on.items[kept->pattern];
	else if (kept->event == WATCH_EXPECT)
		match.pattern = options->expect.items[kept->pattern];
	return result_write(machine->result, &report, err);
}

/* A first error is the one that counts. */
static int machine_set_error(struct machine *machine, int rc,
			     const struct error *err)
{
	if (rc) {
		machine->outcome = (struct outcome){.kind = OUTCOME_ERROR};
		machine->error = *err;
	}
	return rc;
}

/* Tell everybody how it ended: rc and err of its life, or its outcome. */
static int machine_finish(struct machine *machine, int rc, struct error *err)
{
	struct error second;
	int result_rc = 0;

	machine_set_error(machine, rc, err);
	if (machine->result)
		result_rc = machine_write_result(machine, rc ? &second : err);
	if (result_rc && rc)
		log_error("%s", second.text);
	else if (result_rc)
		rc = machine_set_error(machine, result_rc, err);
	machine_tell(machine, MACHINE_STOPPED);
	return rc;
}

static int machine_live(struct machine *machine, struct error *err)
{
	int rc = machine_make(machine, err);

	if (rc)
		return rc;
	if (!machine->options->dry_run)
		return machine_go(machine, err);
	machine->outcome.kind = OUTCOME_DRY_RUN;
	return 0;
}

static int machine_make_result(struct machine *machine, struct error *err)
{
	const struct options *options = machine->options;

	if (!options->result)
		return 0;
	if (options->dry_run)
		return result_check(options->result, err);
	return result_new(&machine->result, options->result, err);
}

int machine_run(const struct options *options, struct outcome *outcome,
		struct error *err)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	int rc;

	*outcome = (struct outcome){.kind = OUTCOME_ERROR};
	if (!machine)
		return error_set(err, ENOMEM, "out of memory");
	machine->host.ops = &machine_host_ops;
	machine->options = options;
	machine->signal_fd = -1;
	machine->kernel.fd = machine->initrd.fd = -1;
	machine->kvm.dev_fd = machine->kvm.vm_fd = -1;
	machine->outcome.kind = OUTCOME_NONE;
	pthread_mutex_init(&machine->lock, NULL);

	rc = machine_make_result(machine, err);
	if (!rc)
		rc = machine_live(machine, err);
	terminal_restore();
	rc = machine_finish(machine, rc, err);
	*outcome = machine->outcome;
	machine_free(machine);
	return rc;
}
