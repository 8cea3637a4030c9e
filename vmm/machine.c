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
#include "vmm/confine.h"
#include "vmm/machine_private.h"
#include "vmm/names.h"
#include "vmm/terminal.h"
#include "vmm/writable.h"

#define MACHINE_PIO_LAST UINT64_C(0xffff)

#define MACHINE_CONSOLE_MAX 16 /* bytes of "hvc0" */

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
	struct kvm_irq_level line = {
		.irq = arch_irq_line(gsi),
		.level = level,
	};
	static struct log_limit limit;

	if (ioctl(machine_of(host)->kvm.vm_fd, KVM_IRQ_LINE, &line) < 0)
		log_limited(&limit, LOG_ERROR, "interrupt %u: KVM_IRQ_LINE: %s",
			    gsi, strerror(errno));
}

static int machine_msi_alloc(struct host *host, unsigned int *gsi)
{
	return irq_routes_msi_alloc(machine_of(host)->irq_routes, gsi);
}

static void machine_msi_free(struct host *host, unsigned int gsi)
{
	irq_routes_msi_free(machine_of(host)->irq_routes, gsi);
}

static int machine_msi_route(struct host *host, unsigned int gsi,
			     const struct host_msi *msi)
{
	return irq_routes_msi_route(machine_of(host)->irq_routes, gsi, msi);
}

static int machine_irqfd_add(struct host *host, unsigned int gsi, int fd)
{
	return irq_routes_irqfd_add(machine_of(host)->irq_routes, gsi, fd);
}

static void machine_irqfd_remove(struct host *host, unsigned int gsi, int fd)
{
	irq_routes_irqfd_remove(machine_of(host)->irq_routes, gsi, fd);
}

static int machine_doorbell_add(struct host *host,
				const struct host_doorbell *doorbell)
{
	return irq_routes_doorbell_add(machine_of(host)->irq_routes, doorbell);
}

static void machine_doorbell_remove(struct host *host,
				    const struct host_doorbell *doorbell)
{
	irq_routes_doorbell_remove(machine_of(host)->irq_routes, doorbell);
}

static const struct host_ops machine_host_ops = {
	.map = machine_map,
	.unmap = machine_unmap,
	.irq_set = machine_irq_set,
	.notice = machine_notice,
	.msi_alloc = machine_msi_alloc,
	.msi_free = machine_msi_free,
	.msi_route = machine_msi_route,
	.irqfd_add = machine_irqfd_add,
	.irqfd_remove = machine_irqfd_remove,
	.doorbell_add = machine_doorbell_add,
	.doorbell_remove = machine_doorbell_remove,
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
	/* A disk that may not grow is an error of the guest's request. */
	signal(SIGXFSZ, SIG_IGN);

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
	return machine_tap_terminal(machine, err);
}

/* The one that has stdio, or else the first that leads anywhere. -1: none */
static int machine_first_hvc(const struct options *options)
{
	int number = 0, first = -1;

	for (size_t i = 0; i < options->consoles.count; i++) {
		const struct options_console *console =
			&options->consoles.items[i];

		if (console->name)
			continue;
		if (console->end.to == OPTIONS_TO_STDIO)
			return number;
		if (console->end.to != OPTIONS_TO_NULL && first < 0)
			first = number;
		number++;
	}
	return first;
}

/* Which console= the kernel's command line gets: for whichever has stdio. */
static bool machine_console_is_serial(const struct options *options)
{
	bool taken = false;

	for (size_t i = 0; i < options->consoles.count; i++)
		taken |= options->consoles.items[i].end.to == OPTIONS_TO_STDIO;
	return options->serial.to != OPTIONS_TO_NULL && !taken;
}

static const char *machine_console_name(const struct options *options,
					char name[MACHINE_CONSOLE_MAX])
{
	int number = machine_first_hvc(options);

	snprintf(name, MACHINE_CONSOLE_MAX, "hvc%d", number);
	return number < 0 ? NULL : name;
}

static int machine_make_arch(struct machine *machine, struct error *err)
{
	const struct options *options = machine->options;
	char console[MACHINE_CONSOLE_MAX];
	struct arch_config config = {
		.memory = options->memory,
		.cpus = (unsigned int)options->cpus,
		.profile = (enum arch_profile)options->machine,
		.entry = (enum arch_entry)options->entry,
		.kernel = &machine->kernel,
		.initrd = options->initrd ? &machine->initrd : NULL,
		.cmdline = options->append ? options->append : "",
		.console_on_serial = machine_console_is_serial(options),
		.console = machine_console_name(options, console),
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

static int machine_begin_vcpu(void *ctx)
{
	struct machine *machine = ctx;

	return confine_vcpu(machine->confine);
}

static int machine_make_vcpus(struct machine *machine, struct error *err)
{
	struct vcpus_config config = {
		.kvm = &machine->kvm,
		.count = (unsigned int)machine->options->cpus,
		.pio = machine->buses[BUS_PIO],
		.mmio = machine->buses[BUS_MMIO],
		.host = &machine->host,
		.begin = machine_begin_vcpu,
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

static int machine_open_devices(struct machine *machine, struct error *err)
{
	const struct devices_watch watch = {
		.loop = machine->loop,
		.changed = machine_tell_device,
		.ctx = machine,
	};
	int rc = devices_open(&machine->devices, machine->options,
			      consoles_device(machine->consoles), err);

	if (rc)
		return rc;
	consoles_opened(machine->consoles);
	return devices_start(machine->devices, &watch, err);
}

static int machine_make_devices(struct machine *machine, struct error *err)
{
	const struct devices_machine where = {
		.arch = machine->arch,
		.host = &machine->host,
		.loop = machine->loop,
		.mem = machine->mem,
	};

	/* What they would be made of was only looked at. */
	if (machine->options->dry_run)
		return 0;
	return devices_create(machine->devices, &where, err);
}

static int machine_msi_entry(void *ctx, const struct host_msi *msi,
			     struct kvm_irq_routing_entry *entry)
{
	const struct machine *machine = ctx;

	return arch_msi_route(machine->arch, msi, entry);
}

/* Before anything uses interrupts that are not pins. */
static int machine_make_routes(struct machine *machine, struct error *err)
{
	struct kvm_irq_routing_entry pins[ARCH_IRQ_ROUTES_MAX];
	struct irq_routes_config config = {
		.vm_fd = machine->kvm.vm_fd,
		.pins = pins,
		.pin_routes = arch_irq_routes(machine->arch, pins),
		.first_gsi = arch_irq_count(machine->arch),
		.msi_entry = machine_msi_entry,
		.ctx = machine,
	};

	return irq_routes_new(&machine->irq_routes, &config, err);
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
	if (!rc)
		rc = machine_make_routes(machine, err);
	if (!rc)
		rc = machine_make_vcpus(machine, err);
	/* Processes of devices begin meanwhile. */
	if (!rc)
		rc = arch_load(machine->arch, err);
	return rc ? rc : machine_make_devices(machine, err);
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
		rc = machine_open_devices(machine, err);
	/* What was opened takes no rights to use. */
	if (!rc)
		rc = confine_new(&machine->confine, machine->options, err);
	if (!rc)
		rc = confine_rights(err);
	if (!rc)
		rc = machine_make_vm(machine, err);
	return rc ? rc : arch_boot(machine->arch, err);
}

/* Safe on one that was made only in part. */
static void machine_free(struct machine *machine)
{
	vcpus_free(machine->vcpus);
	confine_free(machine->confine);
	devices_free(machine->devices);
	arch_free(machine->arch);
	irq_routes_free(machine->irq_routes);
	guest_mem_free(machine->mem);
	for (unsigned int i = 0; i < BUS_KINDS; i++)
		bus_free(machine->buses[i]);
	kvm_close(&machine->kvm);
	machine_control_free(machine->control);
	consoles_free(machine->consoles);
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

	rc = machine_start_ports(machine, err);
	if (rc)
		return rc;
	if (machine->options->timeout)
		loop_timer_set(machine->timeout,
			       (int64_t)machine->options->timeout);
	machine->first_instruction = machine->idle_from = loop_now();
	vcpus_go(machine->vcpus);
	machine_tell(machine, MACHINE_STARTED);
	machine_watch_silence(machine);
	rc = confine_main(machine->confine, err);
	if (!rc) {
		rc = loop_run(machine->loop);
		if (rc)
			error_set(err, -rc, "event loop: %s", strerror(-rc));
	}
	vcpus_stop(machine->vcpus);
	machine->end = loop_now();
	machine_drain_ports(machine);
	machine_flush_ports(machine);
	if (rc)
		return rc;
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
		.device = kept->device,
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
		.dropped = machine_dropped(machine),
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
