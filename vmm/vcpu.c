/*
 * The vCPU threads.
 *
 * Theory of operation. KVM_RUN has to be left soon after a request to stop,
 * whether the thread is in it, just before it, or in a handler. The request
 * sets immediate_exit in the vCPU's kvm_run and only then sends the kick
 * signal. KVM reads immediate_exit when it enters KVM_RUN: if that comes after
 * the store, KVM_RUN returns EINTR at once; if it came before, the signal is
 * sent later still and interrupts KVM_RUN. immediate_exit stays set until the
 * vCPUs go again, and only EINTR leads to the stop, so the emulation of a
 * pending PIO or MMIO exit is always completed first (api.rst, KVM_RUN).
 */
#include "vmm/vcpu.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define VCPU_KICK_SIGNAL SIGRTMIN

/* Threads of bantam are shallow; the default of 8 MiB would only be reserved
 * address space, but 64 of them count. */
#define VCPU_STACK_SIZE (256u << 10)

struct vcpu {
	struct vcpus *vcpus; /* borrowed: the set that it is in */
	unsigned int index;
	int fd;		     /* owned; -1 before creation */
	struct kvm_run *run; /* owned mapping; shared with KVM */
	pthread_t thread;
	bool started; /* thread is to be joined */
};

enum vcpus_order {
	VCPUS_STOP,
	VCPUS_GO,
	VCPUS_QUIT,
};

struct vcpus {
	struct vcpus_config config;

	pthread_mutex_t lock; /* the two below */
	pthread_cond_t changed;
	enum vcpus_order order;
	unsigned int stopped; /* vCPUs that wait for another order */

	struct vcpu vcpu[]; /* config.count */
};

/* --- Exits, on the vCPU's thread ------------------------------------------ */

static void vcpu_exit_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	/* INS and OUTS bring several elements for one port. */
	for (uint32_t i = 0; i < run->io.count; i++) {
		if (run->io.direction == KVM_EXIT_IO_IN)
			bus_read(vcpu->vcpus->config.pio, run->io.port, data,
				 run->io.size);
		else
			bus_write(vcpu->vcpus->config.pio, run->io.port, data,
				  run->io.size);
		data += run->io.size;
	}
}

static void vcpu_exit_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->mmio.is_write)
		bus_write(vcpu->vcpus->config.mmio, run->mmio.phys_addr,
			  run->mmio.data, run->mmio.len);
	else
		bus_read(vcpu->vcpus->config.mmio, run->mmio.phys_addr,
			 run->mmio.data, run->mmio.len);
}

static void vcpu_crash(struct vcpu *vcpu, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void vcpu_crash(struct vcpu *vcpu, const char *fmt, ...)
{
	struct vcpu_crash crash = {.index = vcpu->index};
	va_list args;

	va_start(args, fmt);
	vsnprintf(crash.reason, sizeof(crash.reason), fmt, args);
	va_end(args);
	vcpu->vcpus->config.crashed(vcpu->vcpus->config.ctx, &crash);
	/* KVM_RUN would only repeat it: be stopped at the next entry. */
	vcpus_request_stop(vcpu->vcpus);
}

static void vcpu_exit_internal_error(struct vcpu *vcpu)
{
	static const char *const names[] = {
		[KVM_INTERNAL_ERROR_EMULATION] =
			"an instruction that KVM cannot emulate",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "simultaneous exceptions",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "event delivery",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] =
			"unexpected exit reason",
	};
	uint32_t suberror = vcpu->run->internal.suberror;
	const char *name = NULL;

	if (suberror < sizeof(names) / sizeof(names[0]))
		name = names[suberror];
	vcpu_crash(vcpu, "KVM internal error %u (%s)", suberror,
		   name ? name : "unknown");
}

/* What an Arm guest asks of its firmware, PSCI, which is in KVM. */
static void vcpu_exit_system_event(struct vcpu *vcpu)
{
	static const enum host_notice notices[] = {
		[KVM_SYSTEM_EVENT_SHUTDOWN] = HOST_POWEROFF,
		[KVM_SYSTEM_EVENT_RESET] = HOST_RESET,
		[KVM_SYSTEM_EVENT_CRASH] = HOST_PANIC,
	};
	uint32_t type = vcpu->run->system_event.type;
	struct host *host = vcpu->vcpus->config.host;

	if (type >= KVM_SYSTEM_EVENT_SHUTDOWN && type <= KVM_SYSTEM_EVENT_CRASH)
		host->ops->notice(host, notices[type], 0);
	else
		vcpu_crash(vcpu, "unexpected system event %u of KVM", type);
}

static void vcpu_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu_exit_io(vcpu);
		break;
	case KVM_EXIT_MMIO:
		vcpu_exit_mmio(vcpu);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		vcpu_exit_system_event(vcpu);
		break;
	case KVM_EXIT_ARM_NISV:
		vcpu_crash(vcpu,
			   "an access to a device at 0x%llx by an instruction "
			   "that the CPU does not describe to KVM",
			   (unsigned long long)run->arm_nisv.fault_ipa);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN:
		vcpu_crash(vcpu, "triple fault");
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		vcpu_exit_internal_error(vcpu);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		vcpu_crash(vcpu,
			   "the CPU refused the guest's state, reason 0x%llx",
			   (unsigned long long)run->fail_entry
				   .hardware_entry_failure_reason);
		break;
	default:
		vcpu_crash(vcpu, "unexpected KVM exit %u", run->exit_reason);
		break;
	}
}

/* Run guest instructions until a stop is requested. */
static void vcpu_run(struct vcpu *vcpu)
{
	for (;;) {
		if (!ioctl(vcpu->fd, KVM_RUN, 0UL)) {
			vcpu_exit(vcpu);
			continue;
		}
		/* EAGAIN: still waiting for its start-up IPI. */
		if (errno == EAGAIN)
			continue;
		if (errno != EINTR)
			vcpu_crash(vcpu, "KVM_RUN: %s", strerror(errno));
		/* Pairs with the release store in vcpus_request_stop(). */
		if (__atomic_load_n(&vcpu->run->immediate_exit,
				    __ATOMIC_ACQUIRE))
			return;
	}
}

/* --- Threads ---------------------------------------------------------------
 */

/* Be stopped until the order is another one. Return: whether to go. */
static bool vcpu_await_order(struct vcpu *vcpu)
{
	struct vcpus *vcpus = vcpu->vcpus;
	bool go;

	pthread_mutex_lock(&vcpus->lock);
	vcpus->stopped++;
	pthread_cond_broadcast(&vcpus->changed);
	while (vcpus->order == VCPUS_STOP)
		pthread_cond_wait(&vcpus->changed, &vcpus->lock);
	vcpus->stopped--;
	go = vcpus->order == VCPUS_GO;
	pthread_mutex_unlock(&vcpus->lock);
	return go;
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	char name[16];
	const struct vcpus_config *config = &vcpu->vcpus->config;
	sigset_t kick;
	int rc;

	snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
	pthread_setname_np(pthread_self(), name);
	sigemptyset(&kick);
	sigaddset(&kick, VCPU_KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);

	rc = config->begin ? config->begin(config->ctx) : 0;
	while (vcpu_await_order(vcpu)) {
		if (!rc)
			vcpu_run(vcpu);
		else
			vcpu_crash(vcpu, "its thread cannot be confined: %s",
				   strerror(-rc));
	}
	return NULL;
}

/* The signal has done its work by interrupting KVM_RUN. */
static void vcpu_kicked(int signum)
{
	(void)signum;
}

static int vcpu_start(struct vcpu *vcpu, struct error *err)
{
	pthread_attr_t attr;
	int rc;

	rc = pthread_attr_init(&attr);
	if (!rc) {
		pthread_attr_setstacksize(&attr, VCPU_STACK_SIZE);
		rc = pthread_create(&vcpu->thread, &attr, vcpu_thread, vcpu);
		pthread_attr_destroy(&attr);
	}
	if (rc)
		return error_set(err, rc,
				 "--cpus: cannot start a thread for vCPU %u: "
				 "%s",
				 vcpu->index, strerror(rc));
	vcpu->started = true;
	return 0;
}

static int vcpu_init(struct vcpu *vcpu, struct error *err)
{
	const struct kvm *kvm = vcpu->vcpus->config.kvm;
	void *run;
	int rc;

	rc = kvm_create_vcpu(kvm, vcpu->index, &vcpu->fd, err);
	if (rc)
		return rc;
	run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   vcpu->fd, 0);
	if (run == MAP_FAILED)
		return error_set(err, errno, "--cpus: cannot map vCPU %u: %s",
				 vcpu->index, strerror(errno));
	vcpu->run = run;
	/* Not before vcpus_go(). */
	vcpu->run->immediate_exit = 1;
	return vcpu_start(vcpu, err);
}

int vcpus_new(struct vcpus **out, const struct vcpus_config *config,
	      struct error *err)
{
	struct sigaction action = {.sa_handler = vcpu_kicked};
	struct vcpus *vcpus;
	int rc = 0;

	vcpus = calloc(1,
		       sizeof(*vcpus) + config->count * sizeof(vcpus->vcpu[0]));
	if (!vcpus)
		return error_set(err, ENOMEM, "--cpus: out of memory");
	vcpus->config = *config;
	vcpus->order = VCPUS_STOP;
	pthread_mutex_init(&vcpus->lock, NULL);
	pthread_cond_init(&vcpus->changed, NULL);
	/* No SA_RESTART: KVM_RUN must end. */
	sigaction(VCPU_KICK_SIGNAL, &action, NULL);

	for (unsigned int i = 0; i < config->count; i++)
		vcpus->vcpu[i] =
			(struct vcpu){.vcpus = vcpus, .index = i, .fd = -1};
	for (unsigned int i = 0; i < config->count && !rc; i++)
		rc = vcpu_init(&vcpus->vcpu[i], err);
	if (rc) {
		vcpus_free(vcpus);
		return rc;
	}
	*out = vcpus;
	return 0;
}

void vcpus_free(struct vcpus *vcpus)
{
	if (!vcpus)
		return;
	vcpus_request_stop(vcpus);
	pthread_mutex_lock(&vcpus->lock);
	vcpus->order = VCPUS_QUIT;
	pthread_cond_broadcast(&vcpus->changed);
	pthread_mutex_unlock(&vcpus->lock);

	for (unsigned int i = 0; i < vcpus->config.count; i++) {
		struct vcpu *vcpu = &vcpus->vcpu[i];

		if (vcpu->started)
			pthread_join(vcpu->thread, NULL);
		if (vcpu->run)
			munmap(vcpu->run, vcpus->config.kvm->run_size);
		if (vcpu->fd >= 0)
			close(vcpu->fd);
	}
	pthread_cond_destroy(&vcpus->changed);
	pthread_mutex_destroy(&vcpus->lock);
	free(vcpus);
}

int vcpus_fd(const struct vcpus *vcpus, unsigned int index)
{
	return vcpus->vcpu[index].fd;
}

/* --- Orders ----------------------------------------------------------------
 */

void vcpus_go(struct vcpus *vcpus)
{
	pthread_mutex_lock(&vcpus->lock);
	for (unsigned int i = 0; i < vcpus->config.count; i++)
		__atomic_store_n(&vcpus->vcpu[i].run->immediate_exit, 0,
				 __ATOMIC_RELEASE);
	vcpus->order = VCPUS_GO;
	pthread_cond_broadcast(&vcpus->changed);
	pthread_mutex_unlock(&vcpus->lock);
}

void vcpus_request_stop(struct vcpus *vcpus)
{
	pthread_mutex_lock(&vcpus->lock);
	if (vcpus->order == VCPUS_GO) {
		vcpus->order = VCPUS_STOP;
		for (unsigned int i = 0; i < vcpus->config.count; i++) {
			struct vcpu *vcpu = &vcpus->vcpu[i];

			__atomic_store_n(&vcpu->run->immediate_exit, 1,
					 __ATOMIC_RELEASE);
			pthread_kill(vcpu->thread, VCPU_KICK_SIGNAL);
		}
	}
	pthread_mutex_unlock(&vcpus->lock);
}

void vcpus_stop(struct vcpus *vcpus)
{
	vcpus_request_stop(vcpus);
	pthread_mutex_lock(&vcpus->lock);
	while (vcpus->stopped < vcpus->config.count)
		pthread_cond_wait(&vcpus->changed, &vcpus->lock);
	pthread_mutex_unlock(&vcpus->lock);
}
