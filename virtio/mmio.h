/*
 * The virtio MMIO transport, version 2 (virtio 1.3, 4.2).
 */
#ifndef VIRTIO_MMIO_H
#define VIRTIO_MMIO_H

#include <stdint.h>

#include "virtio/device.h"
#include "vmm/base/device.h"
#include "vmm/base/host.h"
#include "vmm/base/irq_pin.h"
#include "vmm/base/loop.h"

#define VIRTIO_MMIO_SIZE 0x1000 /* registers, and configuration from 0x100 */

struct virtio_mmio;

struct virtio_mmio_config {
	struct virtio_device *device; /* owned from success on */
	struct host *host;	      /* borrowed, as are these */
	struct loop *loop;	      /* main's: interrupts go through it */
	struct irq_pin *pin;
	unsigned int source; /* of that pin */
	uint64_t base;	     /* guest physical, VIRTIO_MMIO_SIZE bytes */
};

/**
 * virtio_mmio_new() - Map the device.
 * @out: for virtio_mmio_device_ops.free, which frees the device, too
 *
 * Main thread. Return: 0 or a negative errno, @err set.
 */
int virtio_mmio_new(struct virtio_mmio **out,
		    const struct virtio_mmio_config *config, struct error *err);

extern const struct device_ops virtio_mmio_device_ops;

#endif
