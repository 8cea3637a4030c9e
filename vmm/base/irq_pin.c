#include "vmm/base/irq_pin.h"

#include <assert.h>

void irq_pin_init(struct irq_pin *pin, struct host *host, unsigned int gsi)
{
	*pin = (struct irq_pin){.host = host, .gsi = gsi};
	pthread_mutex_init(&pin->lock, NULL);
}

/* The line is driven with the lock held, so that its level is that of the last
 * change. */
static void irq_pin_change_locked(struct irq_pin *pin, uint64_t raised)
{
	bool before = pin->raised, after = raised;

	pin->raised = raised;
	if (before != after)
		pin->host->ops->irq_set(pin->host, pin->gsi, after);
}

void irq_pin_fini(struct irq_pin *pin)
{
	irq_pin_change_locked(pin, 0);
	pthread_mutex_destroy(&pin->lock);
}

void irq_pin_set(struct irq_pin *pin, unsigned int source, bool level)
{
	uint64_t bit = UINT64_C(1) << source;

	assert(source < IRQ_PIN_SOURCES);
	pthread_mutex_lock(&pin->lock);
	irq_pin_change_locked(pin,
			      level ? pin->raised | bit : pin->raised & ~bit);
	pthread_mutex_unlock(&pin->lock);
}
