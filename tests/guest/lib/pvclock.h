/*
 * The KVM paravirtual clock (Documentation/virt/kvm/x86/msr.rst).
 */
#ifndef TESTS_GUEST_LIB_PVCLOCK_H
#define TESTS_GUEST_LIB_PVCLOCK_H

#include <stdint.h>

/* CPL 0: let KVM keep it; fails the guest where KVM has none. */
void pvclock_start(void);
void pvclock_stop(void);

/* Nanoseconds since the machine was started; at CPL 3, too. */
uint64_t pvclock_now(void);

#endif
