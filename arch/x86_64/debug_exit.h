/*
 * The debug-exit port: a guest ends the machine with a status of its own.
 */
#ifndef ARCH_X86_64_DEBUG_EXIT_H
#define ARCH_X86_64_DEBUG_EXIT_H

#include "vmm/base/device.h"
#include "vmm/base/host.h"

struct debug_exit;

/* free, reset, save and restore of a struct debug_exit. */
extern const struct device_ops debug_exit_device_ops;

/**
 * debug_exit_new() - Make the device and map PORT_DEBUG_EXIT.
 * @out: for debug_exit_device_ops.free
 * @host: borrowed; gets HOST_DEBUG_EXIT with the byte that was written
 *
 * Main thread. Return: 0, -ENOMEM, or what host->ops->map says.
 */
int debug_exit_new(struct debug_exit **out, struct host *host);

#endif
