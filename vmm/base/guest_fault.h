/*
 * Memory of another process's that can be taken away under our mapping: a file
 * that is cut off, or of huge pages that there are none left of, makes a SIGBUS
 * of the next access. Who maps such a file
 * registers the range here; the handler puts zeroes there, and says so.
 *
 * For a device process, which serves frontends that it does not know. bantam's
 * own guest memory is sealed and cannot be cut.
 */
#ifndef VMM_BASE_GUEST_FAULT_H
#define VMM_BASE_GUEST_FAULT_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/loop.h"

/* Ranges at once, in a process. */
#define GUEST_FAULT_RANGES_MAX 64

/**
 * guest_fault_install() - Catch SIGBUS for this process, from now on.
 * @wake: sent after each fault that was caught; borrowed for good. NULL: none
 *
 * Return: 0, or what sigaction(2) says.
 */
int guest_fault_install(struct loop_wake *wake);

/* One thread at a time. Return: 0; -EPERM if nothing catches SIGBUS; -ENOSPC.
 */
int guest_fault_add(void *start, size_t len);
/* Before it is unmapped. Nothing to do if it is not there. */
void guest_fault_remove(void *start);

/* Whether a range was lost since the last call. Any thread. */
bool guest_fault_take(void);

#endif
