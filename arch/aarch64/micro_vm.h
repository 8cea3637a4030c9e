/*
 * A virtual machine for the micro guests of `bantam doctor` (micro_guests.h):
 * one vCPU at EL1, 64 KiB of memory, KVM's interrupt controller with two
 * interrupts let through, and a limit to how long it may run.
 *
 * Process of a single thread: SIGRTMIN interrupts KVM_RUN.
 */
#ifndef ARCH_AARCH64_MICRO_VM_H
#define ARCH_AARCH64_MICRO_VM_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

struct micro_vm;

/* The global system interrupt that reaches the guest, and that of the virtual
 * timer does. */
#define MICRO_GSI 1

enum micro_exit_kind {
	MICRO_EXIT_REPORT,  /* the guest wrote w0 to MICRO_REPORT */
	MICRO_EXIT_TIMEOUT, /* it was still running, or waiting */
	MICRO_EXIT_OTHER,   /* KVM ended it for another reason */
};

struct micro_exit {
	enum micro_exit_kind kind;
	unsigned int what;   /* MICRO_EXIT_REPORT: MICRO_DONE and so on */
	uint32_t value;	     /* and w0 */
	unsigned int reason; /* MICRO_EXIT_OTHER: KVM_EXIT_... */
};

/**
 * micro_vm_new() - Make the machine, all guests loaded.
 * @out: for micro_vm_free()
 * @kvm_fd: /dev/kvm, borrowed until then
 *
 * Return: 0 or a negative errno with @err set.
 */
int micro_vm_new(struct micro_vm **out, int kvm_fd, struct error *err);

/* NULL is nothing to do. */
void micro_vm_free(struct micro_vm *vm);

/* For KVM's calls on the VM; borrowed. */
int micro_vm_fd(const struct micro_vm *vm);

/**
 * micro_vm_enter() - Put the vCPU where a guest begins.
 * @guest: one of micro_guests.h
 *
 * Return: 0, or what KVM says with @err set.
 */
int micro_vm_enter(struct micro_vm *vm, const uint8_t *guest,
		   struct error *err);

/**
 * micro_vm_run() - Run the guest until it reports, or goes wrong.
 * @limit: ms, 1 to 1000, of the clock
 * @how: why it came back; filled in unless this fails
 *
 * After MICRO_EXIT_REPORT and MICRO_EXIT_TIMEOUT it can be run on. Blocks for
 * @limit at most. Return: 0, or what KVM_RUN says with @err set.
 */
int micro_vm_run(struct micro_vm *vm, unsigned int limit,
		 struct micro_exit *how, struct error *err);

/* X1, where micro_count counts. Return: 0, or what KVM says. */
int micro_vm_counter(const struct micro_vm *vm, uint64_t *counter,
		     struct error *err);

/* An exit in words that follow the guest's name: "hangs". */
void micro_exit_describe(const struct micro_exit *how, char *text, size_t size);

#endif
