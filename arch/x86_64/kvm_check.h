/*
 * Whether this host's KVM has what bantam needs on x86_64.
 */
#ifndef ARCH_X86_64_KVM_CHECK_H
#define ARCH_X86_64_KVM_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/error.h"
#include "vmm/base/kvm_needs.h"

/**
 * x86_kvm_check_with() - x86_kvm_check(), with another one to answer.
 */
int x86_kvm_check_with(kvm_extension_fn *extension, void *ctx, bool legacy,
		       unsigned int cpus, struct error *err);

/**
 * x86_kvm_check() - Check that KVM has all that the machine needs.
 * @kvm_fd: /dev/kvm
 * @legacy: the profile
 * @cpus: how many vCPUs
 *
 * Return: 0; -ENOTSUP, @err naming all that is missing and what for; or
 * -EINVAL, @err saying how many vCPUs KVM can have.
 */
int x86_kvm_check(int kvm_fd, bool legacy, unsigned int cpus,
		  struct error *err);

/**
 * x86_kvm_missing() - Name the capabilities that KVM lacks, and what for.
 * @kvm_fd: /dev/kvm
 * @legacy: the profile
 * @list: out, "" if there are none; cut at @size - 1 bytes
 *
 * Return: whether any is missing.
 */
bool x86_kvm_missing(int kvm_fd, bool legacy, char *list, size_t size);

#endif
