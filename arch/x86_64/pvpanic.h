/*
 * The pvpanic port: a guest kernel says that it has panicked.
 */
#ifndef ARCH_X86_64_PVPANIC_H
#define ARCH_X86_64_PVPANIC_H

#include "vmm/base/device.h"
#include "vmm/base/host.h"

struct pvpanic;

/* free, reset, save and restore of a struct pvpanic. */
extern const struct device_ops pvpanic_device_ops;

/**
 * pvpanic_new() - Make the device and map PORT_PVPANIC.
 * @out: for pvpanic_device_ops.free
 * @host: borrowed; gets HOST_PANIC
 *
 * Main thread. Return: 0, -ENOMEM, or what host->ops->map says.
 */
int pvpanic_new(struct pvpanic **out, struct host *host);

#endif
