/*
 * The PC's keyboard controller without a keyboard: its self-test, its A20 gate
 * and, what a guest is after, its reset line; and the second way to both, the
 * system control port A.
 */
#ifndef ARCH_X86_64_I8042_H
#define ARCH_X86_64_I8042_H

#include "vmm/base/device.h"
#include "vmm/base/host.h"

struct i8042;

/* free, reset, save and restore of a struct i8042. */
extern const struct device_ops i8042_device_ops;

/**
 * i8042_new() - Make the controller and map ports 0x60, 0x64 and 0x92.
 * @out: for i8042_device_ops.free
 * @host: borrowed; gets HOST_RESET
 *
 * Port 0x61 between them is the PIT's, which KVM has.
 * Main thread. Return: 0, -ENOMEM, or what host->ops->map says.
 */
int i8042_new(struct i8042 **out, struct host *host);

#endif
