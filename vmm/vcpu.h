/*
 * The vCPU threads of a machine: KVM_RUN, its exits, and stopping all of them
 * without a lost wake-up.
 *
 * They are either going or stopped. A stop may be requested from any thread, a
 * vCPU's own included; only the main thread waits for it and lets them go
 * again. A stopped vCPU sits outside KVM_RUN with its last exit completed, so
 * that its registers may be read and written from the main thread.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include "vmm/base/error.h"
#include "vmm/base/host.h"
#include "vmm/bus.h"
#include "vmm/kvm.h"

struct vcpus;

/* Why a vCPU cannot go on. */
struct vcpu_crash {
	unsigned int index;
	char reason[160]; /* for the user: "triple fault" and so on */
};

struct vcpus_config {
	const struct kvm *kvm; /* borrowed */
	unsigned int count;    /* 1 to ARCH_CPUS_MAX */
	struct bus *pio;       /* borrowed */
	struct bus *mmio;      /* borrowed */
	struct host *host;     /* borrowed; for the notices of system events */
	/* On the vCPU's thread, when that begins, while main makes the rest of
	 * the machine. 0, or a negative errno: then it crashes instead of
	 * running. NULL: nothing */
	int (*begin)(void *ctx);
	/* On the vCPU's thread, which then stops. */
	void (*crashed)(void *ctx, const struct vcpu_crash *crash);
	void *ctx;
};

/**
 * vcpus_new() - Create the vCPUs and a thread for each; all are stopped.
 * @out: for vcpus_free()
 *
 * Main thread. The kick signal (SIGRTMIN) must be blocked already, so that
 * only vCPU threads take it. Return: 0 or a negative errno, @err set.
 */
int vcpus_new(struct vcpus **out, const struct vcpus_config *config,
	      struct error *err);

/* Stop, end and join the threads. Main thread; NULL is nothing to do. */
void vcpus_free(struct vcpus *vcpus);

/* File descriptor of a vCPU, borrowed. */
int vcpus_fd(const struct vcpus *vcpus, unsigned int index);

/* Let all vCPUs go. Main thread, when stopped. */
void vcpus_go(struct vcpus *vcpus);

/* Ask all vCPUs to stop, and return at once. Any thread. */
void vcpus_request_stop(struct vcpus *vcpus);

/*
 * Ask all vCPUs to stop and wait until they have. Main thread. Handlers of
 * exits do not block, so the wait is short.
 */
void vcpus_stop(struct vcpus *vcpus);

#endif
