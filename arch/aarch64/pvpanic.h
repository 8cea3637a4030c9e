/*
 * One page in which a guest tells the machine something: that its kernel has
 * panicked (pvpanic), or with which status it wants to end (debug exit).
 */
#ifndef ARCH_AARCH64_PVPANIC_H
#define ARCH_AARCH64_PVPANIC_H

#include <stdint.h>

#include "vmm/base/device.h"
#include "vmm/base/host.h"

/* Bytes of address space, and what lies where in it. */
#define PVPANIC_SIZE	   UINT64_C(0x1000)
#define PVPANIC_EVENTS	   UINT64_C(0x0)   /* one byte */
#define PVPANIC_DEBUG_EXIT UINT64_C(0xffc) /* 32 bits */

struct pvpanic;

/* free, reset, save and restore of a struct pvpanic. */
extern const struct device_ops pvpanic_device_ops;

/**
 * pvpanic_new() - Make the device and map its page.
 * @out: for pvpanic_device_ops.free
 * @host: borrowed; gets HOST_PANIC, and HOST_DEBUG_EXIT with the value that
 *        was written (255 for a greater one)
 * @base: guest physical address of PVPANIC_SIZE bytes
 *
 * Main thread. Return: 0, -ENOMEM, or what host->ops->map says.
 */
int pvpanic_new(struct pvpanic **out, struct host *host, uint64_t base);

#endif
