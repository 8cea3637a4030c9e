/*
 * GICv2m: a frame by whose register a device of a GICv2 machine raises shared
 * interrupts. Its messages never come here, since arch_msi_route() makes
 * interrupts of them; the guest reads which ones it may use.
 */
#ifndef ARCH_AARCH64_V2M_H
#define ARCH_AARCH64_V2M_H

#include <stdint.h>

#include <linux/kvm.h>

#include "vmm/base/device.h"
#include "vmm/base/host.h"

struct v2m;

/* There is nothing to save. */
extern const struct device_ops v2m_device_ops;

/**
 * v2m_new() - Make the frame and map it at LAYOUT_GIC_V2M.
 * @out: for v2m_device_ops.free
 * @host: borrowed
 *
 * Return: 0, -ENOMEM, or what host->ops->map says.
 */
int v2m_new(struct v2m **out, struct host *host);

/**
 * v2m_route() - Make the route of a message that of the interrupt it raises.
 *
 * Any thread. Return: 0, or -EINVAL if it is not for the frame.
 */
int v2m_route(const struct host_msi *msi, struct kvm_irq_routing_entry *entry);

#endif
