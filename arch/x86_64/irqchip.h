/*
 * KVM's interrupt controllers (a pair of 8259A, the IOAPIC; the local APICs
 * belong to the vCPUs), its 8254 timer, and its clock.
 */
#ifndef ARCH_X86_64_IRQCHIP_H
#define ARCH_X86_64_IRQCHIP_H

#include <stdbool.h>

#include <linux/kvm.h>

#include "vmm/base/device.h"
#include "vmm/base/error.h"

struct irqchip;

/* Save, restore and reset as vmm/base/device.h says. */
extern const struct device_ops irqchip_device_ops;

/**
 * irqchip_new() - Make them, before any vCPU.
 * @out: for irqchip_device_ops.free
 * @vm_fd: borrowed until then; KVM frees the controllers with the VM
 * @legacy: with the 8254, and the 8259As wired; otherwise the 8259As are
 *          there, since KVM has no IOAPIC without them, and see no interrupt
 *
 * KVM's own routes stand until those of irqchip_routes() are set.
 *
 * Return: 0, -ENOMEM, or what KVM says; @err set in each case.
 */
int irqchip_new(struct irqchip **out, int vm_fd, bool legacy,
		struct error *err);

/* At most: the IOAPIC's pins and those of both 8259As. */
#define IRQCHIP_ROUTES_MAX (KVM_IOAPIC_NUM_PINS + 16)

/**
 * irqchip_routes() - The routes of the global system interrupts 0 to 23.
 * @routes: room for IRQCHIP_ROUTES_MAX
 *
 * KVM replaces all routes of a VM at once: vmm/irq_routes.h puts those of MSIs
 * behind these. Any thread. Return: how many.
 */
unsigned int irqchip_routes(bool legacy, struct kvm_irq_routing_entry *routes);

#endif
