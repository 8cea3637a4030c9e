/*
 * Whether this host's KVM has what bantam needs on aarch64.
 */
#ifndef ARCH_AARCH64_KVM_CHECK_H
#define ARCH_AARCH64_KVM_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/error.h"
#include "vmm/base/kvm_needs.h"

/**
 * arm_kvm_check_with() - arm_kvm_check(), with another one to answer.
 */
int arm_kvm_check_with(kvm_extension_fn *extension, void *ctx,
		       unsigned int gic_version, unsigned int cpus,
		       struct error *err);

/**
 * arm_kvm_check() - Check that KVM has all that the machine needs.
 * @kvm_fd: /dev/kvm
 * @gic_version: of gic_probe()
 * @cpus: how many vCPUs
 *
 * Return: 0; -ENOTSUP, @err naming all that is missing and what for; or
 * -EINVAL, @err saying how many vCPUs KVM can have.
 */
int arm_kvm_check(int kvm_fd, unsigned int gic_version, unsigned int cpus,
		  struct error *err);

/**
 * arm_kvm_missing() - Name the capabilities that KVM lacks, and what for.
 * @list: out, "" if there are none; cut at @size - 1 bytes
 *
 * Return: whether any is missing.
 */
bool arm_kvm_missing(int kvm_fd, char *list, size_t size);

#endif
