/*
 * The registers of a vCPU for a person to read, when its guest has crashed.
 */
#ifndef ARCH_AARCH64_VCPU_DUMP_H
#define ARCH_AARCH64_VCPU_DUMP_H

#include <stdio.h>

#include "vmm/base/guest_mem.h"

/**
 * vcpu_dump() - Print registers, and the code around PC.
 * @index: of the vCPU, for the heading
 * @mem: where the code, and the tables that lead to it, are read
 *
 * On the vCPU's own thread, or with that thread not in KVM_RUN. What cannot be
 * read is said to be so.
 */
void vcpu_dump(int vcpu_fd, unsigned int index, const struct guest_mem *mem,
	       FILE *out);

#endif
