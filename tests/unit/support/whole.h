/*
 * A whole machine for the unit tests of an architecture: its arch on a real
 * KVM, without vmm/machine.c around it. Each function ends the test that calls
 * it if something goes wrong.
 */
#ifndef TESTS_UNIT_SUPPORT_WHOLE_H
#define TESTS_UNIT_SUPPORT_WHOLE_H

#include <jansson.h>

#include "tests/unit/support/blob.h"
#include "tests/unit/support/fake_host.h"
#include "vmm/arch.h"
#include "vmm/kvm.h"

#define WHOLE_CPUS   2
#define WHOLE_MEMORY (UINT64_C(64) << 20)

struct whole {
	struct blob blob; /* the kernel */
	struct image image;
	struct fake_host fake;
	struct kvm kvm;
	struct guest_mem *mem;
	struct arch *arch;
	int vcpu_fds[WHOLE_CPUS];
	unsigned int cpus;
};

/**
 * whole_init() - Make one, with memory and vCPUs; it is not booted yet.
 * @make_kernel: fills the file of the kernel
 * @profile, @cpus (1 to WHOLE_CPUS), @cmdline: of the machine
 */
void whole_init(struct whole *w, void (*make_kernel)(struct blob *blob),
		enum arch_profile profile, unsigned int cpus,
		const char *cmdline);
void whole_fini(struct whole *w);

void whole_boot(struct whole *w);

/* Return: a new reference. */
json_t *whole_save(struct whole *w);

/* The state of the device of that name, borrowed. */
json_t *whole_device(json_t *state, const char *name);

/**
 * whole_check_same() - Two states are equal.
 * @first, @second: taken
 * @still: takes what goes on by itself between two saves out of one
 */
void whole_check_same(json_t *first, json_t *second,
		      void (*still)(json_t *state));

/**
 * whole_check_refusal() - Its state with another member is refused.
 * @key, @value: that member, and JSON for it
 * @names: what the message has to name
 */
void whole_check_refusal(struct whole *w, const char *key, const char *value,
			 const char *names);

#endif
