/*
 * Arm's PrimeCell GPIO (PL061), eight lines, one of which is the power button.
 */
#ifndef ARCH_AARCH64_PL061_H
#define ARCH_AARCH64_PL061_H

#include <stdint.h>

#include "vmm/base/device.h"
#include "vmm/base/host.h"

/* Bytes of address space. */
#define PL061_SIZE UINT64_C(0x1000)

/* The line of the power button, high while it is pressed. */
#define PL061_POWER_BUTTON 3

struct pl061;

/* free, reset, save and restore of a struct pl061. */
extern const struct device_ops pl061_device_ops;

/**
 * pl061_new() - Make the GPIO block and map its registers.
 * @out: for pl061_device_ops.free
 * @host: borrowed
 * @base: guest physical address of PL061_SIZE bytes
 * @gsi: its interrupt line (GPIOINTR)
 *
 * Main thread. Return: 0, -ENOMEM, or what host->ops->map says.
 */
int pl061_new(struct pl061 **out, struct host *host, uint64_t base,
	      unsigned int gsi);

/* Press the power button and let it go. Any thread. */
void pl061_press(struct pl061 *pl061);

#endif
