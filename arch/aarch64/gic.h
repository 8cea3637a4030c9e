/*
 * KVM's generic interrupt controller: GICv3, or GICv2 where the host has only
 * that. The ITS is its.h, GICv2's frame for messages v2m.h.
 */
#ifndef ARCH_AARCH64_GIC_H
#define ARCH_AARCH64_GIC_H

#include <stdint.h>

#include "vmm/base/device.h"
#include "vmm/base/error.h"

/* vCPUs that a GICv2 can have. */
#define GIC_V2_CPUS_MAX 8

struct gic;

/* Save, restore and reset as vmm/base/device.h says, since gic_start(). Saving
 * writes the pending tables of the LPIs to guest memory. */
extern const struct device_ops gic_device_ops;

/* The version that KVM gives a VM: 3 or 2; 0: none. */
unsigned int gic_probe(int vm_fd);

/**
 * gic_new() - Make it, before any vCPU.
 * @out: for gic_device_ops.free
 * @vm_fd: borrowed until then
 * @version: of gic_probe()
 * @cpus: how many vCPUs there will be
 *
 * Return: 0, -ENOMEM, or what KVM says; @err set in each case.
 */
int gic_new(struct gic **out, int vm_fd, unsigned int version,
	    unsigned int cpus, struct error *err);

/**
 * gic_start() - Let it work, and note its power-on state.
 * @mpidr: of each vCPU, all of which have been made: MPIDR_EL1
 * @spis: shared interrupts that there are, 1 to SPI_COUNT
 *
 * Before any of them runs. Return: 0, or what KVM says with @err set.
 */
int gic_start(struct gic *gic, const uint64_t *mpidr, unsigned int spis,
	      struct error *err);

/**
 * gic_open() - Let an interrupt through to vCPU 0, as a guest's driver would.
 * @intid: private or shared
 *
 * For guests that have none; since gic_start(). Return: 0, or what KVM says
 * with @err set.
 */
int gic_open(struct gic *gic, unsigned int intid, struct error *err);

#endif
