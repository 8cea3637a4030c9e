/*
 * One queue's interrupts for a guest at CPL 3, chosen on the command line:
 * irq=poll (none), irq=msix, irq=line (INTx, or a memory-mapped device's).
 */
#ifndef TESTS_GUEST_LIB_VIRTIO_IRQ_H
#define TESTS_GUEST_LIB_VIRTIO_IRQ_H

#include "lib/virtio.h"

/* CPL 0, before user_run(): note what was asked for, set the handler up.
 * Returns whether interrupts are to be on. */
int virtio_irq_init(struct virtio_dev *dev);

/* After virtq_setup(): lead queue @index there, and configuration changes to
 * an entry of their own. */
void virtio_irq_queue(struct virtio_dev *dev, uint16_t index);

/* Wait for a buffer as virtq_wait() does; with interrupts, by waiting for
 * one. */
uint32_t virtio_irq_wait(struct virtq *vq, uint32_t *token);

/* Interrupts of the queue so far, and of the configuration. */
unsigned int virtio_irq_count(void);
unsigned int virtio_irq_config_count(void);

#endif
