/*
 * KVM's interrupt routes, of which a VM has one table that is replaced as a
 * whole: those of the interrupt controllers' pins, which arch gives, and behind
 * them those of message-signalled interrupts. Also the eventfds that raise
 * interrupts (irqfd) and those that guest writes become (ioeventfd).
 *
 * Guests choose messages and addresses, and how often they change. Any thread.
 */
#ifndef VMM_IRQ_ROUTES_H
#define VMM_IRQ_ROUTES_H

#include <linux/kvm.h>

#include "vmm/base/error.h"
#include "vmm/base/host.h"

struct irq_routes;

struct irq_routes_config {
	int vm_fd; /* borrowed; with interrupt controllers */
	const struct kvm_irq_routing_entry *pins; /* copied */
	unsigned int pin_routes;		  /* how many */
	unsigned int first_gsi;			  /* that no pin has */
	/* Change what KVM is told of a message; any thread. NULL: nothing. */
	int (*msi_entry)(void *ctx, const struct host_msi *msi,
			 struct kvm_irq_routing_entry *entry);
	void *ctx; /* borrowed */
};

/**
 * irq_routes_new() - Take over the VM's routes, and set those of the pins.
 *
 * api.rst, KVM_SET_GSI_ROUTING. Return: 0, -ENOMEM, or what KVM says; @err set.
 */
int irq_routes_new(struct irq_routes **out,
		   const struct irq_routes_config *config, struct error *err);

/* Leaves KVM as it is; NULL is nothing to do. */
void irq_routes_free(struct irq_routes *routes);

/*
 * As struct host_ops says of the operations of these names. KVM is told of a
 * route when it changes, of one that is gone with the next that does.
 */
int irq_routes_msi_alloc(struct irq_routes *routes, unsigned int *gsi);
void irq_routes_msi_free(struct irq_routes *routes, unsigned int gsi);
int irq_routes_msi_route(struct irq_routes *routes, unsigned int gsi,
			 const struct host_msi *msi);
int irq_routes_irqfd_add(struct irq_routes *routes, unsigned int gsi, int fd);
void irq_routes_irqfd_remove(struct irq_routes *routes, unsigned int gsi,
			     int fd);
int irq_routes_doorbell_add(struct irq_routes *routes,
			    const struct host_doorbell *doorbell);
void irq_routes_doorbell_remove(struct irq_routes *routes,
				const struct host_doorbell *doorbell);

/* How often KVM was given the table. For tests. */
unsigned int irq_routes_updates(struct irq_routes *routes);

#endif
