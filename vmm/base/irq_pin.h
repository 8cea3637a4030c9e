/*
 * An interrupt line that several devices share: high while one of them raises
 * it. For level-triggered lines.
 */
#ifndef VMM_BASE_IRQ_PIN_H
#define VMM_BASE_IRQ_PIN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/host.h"

#define IRQ_PIN_SOURCES 64

/* Embedded in who owns the line. */
struct irq_pin {
	struct host *host; /* borrowed */
	unsigned int gsi;
	pthread_mutex_t lock;
	uint64_t raised; /* under lock: a bit for each source */
};

void irq_pin_init(struct irq_pin *pin, struct host *host, unsigned int gsi);
/* Lowers the line. */
void irq_pin_fini(struct irq_pin *pin);

/* source: 0 to IRQ_PIN_SOURCES - 1. Any thread. */
void irq_pin_set(struct irq_pin *pin, unsigned int source, bool level);

#endif
