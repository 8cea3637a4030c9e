/*
 * All registers of a vCPU: read from KVM, written back, as JSON.
 */
#ifndef ARCH_X86_64_VCPU_STATE_H
#define ARCH_X86_64_VCPU_STATE_H

#include <jansson.h>

#include "vmm/base/error.h"

/*
 * What a vCPU's state consists of on this KVM: which MSRs, and how many bytes
 * of XSAVE. The same for all vCPUs of a machine, and not changed once made.
 */
struct vcpu_shape;

/**
 * vcpu_shape_new() - Find out.
 * @out: for vcpu_shape_free()
 * @vcpu_fd: any vCPU, which has its CPUID
 *
 * Return: 0, -ENOMEM, or what KVM says; @err set in each case.
 */
int vcpu_shape_new(struct vcpu_shape **out, int kvm_fd, int vm_fd, int vcpu_fd,
		   struct error *err);

void vcpu_shape_free(struct vcpu_shape *shape);

struct vcpu_state;

/**
 * vcpu_state_new() - An empty state, to be filled by one of the functions
 * below before it is used.
 * @out: for vcpu_state_free()
 * @shape: borrowed until then
 *
 * Return: 0 or -ENOMEM.
 */
int vcpu_state_new(struct vcpu_state **out, const struct vcpu_shape *shape);

void vcpu_state_free(struct vcpu_state *state);

/**
 * vcpu_state_read() - Take the registers of a vCPU.
 *
 * On the vCPU's own thread, or with that thread not in KVM_RUN.
 * Return: 0, or what KVM says with @err naming the call.
 */
int vcpu_state_read(struct vcpu_state *state, int vcpu_fd, struct error *err);

/* Why a state is written. */
enum vcpu_state_use {
	/*
	 * Reset by a state that was read before the vCPU ran: its TSC and
	 * TSC_ADJUST go on, as they do on hardware when only the machine
	 * around it restarts.
	 */
	VCPU_STATE_RESET,
	/* Restore: everything, with the TSC's frequency. */
	VCPU_STATE_RESTORE,
};

/**
 * vcpu_state_write() - Give a vCPU its registers.
 * @vcpu_fd: has the CPUID that the state was made with
 *
 * Threads as vcpu_state_read(). The machine's vCPUs are restored within a
 * second of each other, or KVM takes their TSCs for not synchronised.
 * Return: 0, or what KVM says with @err naming the call; then the vCPU has
 * part of each.
 */
int vcpu_state_write(const struct vcpu_state *state, int vcpu_fd,
		     enum vcpu_state_use use, struct error *err);

/**
 * vcpu_state_save() - As JSON.
 * @out: a new reference
 *
 * Return: 0 or -ENOMEM.
 */
int vcpu_state_save(const struct vcpu_state *state, json_t **out);

/**
 * vcpu_state_load() - Take what vcpu_state_save() gave.
 *
 * MSRs that this KVM has and @value has not keep their value when @state is
 * written: an older kernel saved it. One that this KVM does not have is
 * refused, since the guest relies on it.
 * Return: 0, or -EINVAL with @err naming the member; @state is unusable then.
 */
int vcpu_state_load(struct vcpu_state *state, const json_t *value,
		    struct error *err);

#endif
