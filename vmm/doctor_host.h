/*
 * What `bantam doctor` looks at on the host besides KVM: what guests will live
 * in, and what device processes will be locked up with. None of it keeps Linux
 * from running, so none of these checks fails: they warn.
 */
#ifndef VMM_DOCTOR_HOST_H
#define VMM_DOCTOR_HOST_H

#include <stddef.h>

#include "vmm/base/check.h"

/**
 * doctor_host_checks() - The checks, in the order of the report.
 * @count: out, how many
 *
 * They fork, so the process has to be of a single thread.
 */
const struct check *doctor_host_checks(size_t *count);

/**
 * doctor_host_explain() - Say why /dev/kvm cannot be used, and what to do.
 * @errnum: positive errno of opening it or creating a VM
 *
 * Looks at its owner and mode to give advice that will help here.
 */
void doctor_host_explain(int errnum, struct check_finding *finding);

#endif
