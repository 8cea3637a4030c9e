/*
 * Registers of KVM's interrupt controller devices (GICv2, GICv3, ITS), which
 * are read, written, and saved by tables of them. Each access is one of
 * KVM_GET_DEVICE_ATTR and KVM_SET_DEVICE_ATTR; see arm-vgic.rst,
 * arm-vgic-v3.rst and arm-vgic-its.rst in Documentation/virt/kvm/devices of
 * Linux. A saved state may have been edited by anybody: it is checked for its
 * form here, and KVM trusts none of the values.
 */
#ifndef ARCH_AARCH64_VGIC_REGS_H
#define ARCH_AARCH64_VGIC_REGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "vmm/base/error.h"

/* Registers of one name that follow each other. */
struct vgic_row {
	const char *name;
	uint32_t group;	 /* KVM_DEV_ARM_VGIC_GRP_... */
	uint32_t offset; /* of the first: what the attribute's low half says */
	uint32_t step;	 /* from one to the next */
	unsigned int count;
	bool per_cpu; /* each vCPU has them */
	bool wide;    /* 64 bits rather than 32 */
	/* All ones go there first, since ones alone have an effect: the
	 * register of the same kind that clears bits. 0: there is none. */
	uint32_t clear;
};

/* Borrowed from the controller that embeds it. */
struct vgic_regs {
	int dev_fd;
	const struct vgic_row *rows; /* in the order in which to write */
	unsigned int row_count;
	const uint32_t *keys; /* of each vCPU: the attribute's high half */
	unsigned int cpus;
};

/* Bytes of a state: the values, row by row, in each vCPU by vCPU. */
size_t vgic_regs_size(const struct vgic_regs *regs);

/**
 * vgic_regs_read() - Read all.
 * @state: vgic_regs_size() bytes, aligned to 8
 *
 * No vCPU may be in KVM_RUN, nor in the following. Return: 0, or what KVM says
 * with @err naming the register.
 */
int vgic_regs_read(const struct vgic_regs *regs, void *state,
		   struct error *err);

/**
 * vgic_regs_write() - Write @count rows from @first on. Likewise.
 */
int vgic_regs_write(const struct vgic_regs *regs, const void *state,
		    unsigned int first, unsigned int count, struct error *err);

/* Write the value to all registers of a row. Likewise. */
int vgic_regs_fill(const struct vgic_regs *regs, const struct vgic_row *row,
		   uint64_t value, struct error *err);

/**
 * vgic_regs_save() - As a JSON object with a member for each row.
 *
 * Return: a new reference, or NULL without memory.
 */
json_t *vgic_regs_save(const struct vgic_regs *regs, const void *state);

/**
 * vgic_regs_load() - Take what vgic_regs_save() gave.
 *
 * Return: 0, or -EINVAL with @err naming the member; @state is unspecified
 * then.
 */
int vgic_regs_load(const struct vgic_regs *regs, void *state,
		   const json_t *value, struct error *err);

/**
 * vgic_attr() - Set an attribute of a KVM device.
 * @data: what it points to, or NULL
 * @what: for the message
 *
 * Return: 0, or what KVM says with @err set.
 */
int vgic_attr(int dev_fd, uint32_t group, uint64_t attr, const void *data,
	      const char *what, struct error *err);

/**
 * vgic_device_new() - Make a KVM device of a VM.
 * @type: KVM_DEV_TYPE_...
 * @dev_fd: out, owned by the caller; -1 after a failure
 * @what: for the message
 *
 * Return: 0, or what KVM says with @err set.
 */
int vgic_device_new(int vm_fd, uint32_t type, int *dev_fd, const char *what,
		    struct error *err);

/* Whether the VM could have a device of that type. */
bool vgic_device_there(int vm_fd, uint32_t type);

#endif
