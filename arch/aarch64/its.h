/*
 * KVM's interrupt translation service (ITS) of a GICv3: what makes interrupts
 * of messages. The guest keeps its tables in guest memory.
 */
#ifndef ARCH_AARCH64_ITS_H
#define ARCH_AARCH64_ITS_H

#include "vmm/base/device.h"
#include "vmm/base/error.h"

struct its;

/*
 * Save, restore and reset as vmm/base/device.h says. Saving writes the tables
 * to guest memory; restoring reads them there, and comes after the GIC's.
 */
extern const struct device_ops its_device_ops;

/**
 * its_new() - Make it, before any vCPU and behind the GICv3.
 * @out: for its_device_ops.free
 * @vm_fd: borrowed until then
 *
 * Return: 0, -ENOMEM, or what KVM says; @err set in each case.
 */
int its_new(struct its **out, int vm_fd, struct error *err);

/* Let it work: behind gic_start(). Return: 0, or what KVM says, @err set. */
int its_start(struct its *its, struct error *err);

#endif
