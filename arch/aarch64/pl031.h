/*
 * Arm's PrimeCell real-time clock (PL031): seconds since 1970.
 */
#ifndef ARCH_AARCH64_PL031_H
#define ARCH_AARCH64_PL031_H

#include <stdint.h>

#include "vmm/base/device.h"
#include "vmm/base/host.h"

/* Bytes of address space. */
#define PL031_SIZE UINT64_C(0x1000)

struct pl031;

/*
 * free, reset, save and restore of a struct pl031. reset leaves the time as
 * the guest has set it, which a battery keeps.
 */
extern const struct device_ops pl031_device_ops;

/* Nanoseconds since 1970-01-01 00:00:00 UTC, not negative. Any thread. */
typedef int64_t pl031_clock_fn(void);

/**
 * pl031_new() - Make a clock that shows UTC and map its registers.
 * @out: for pl031_device_ops.free
 * @host: borrowed
 * @base: guest physical address of PL031_SIZE bytes
 * @gsi: its interrupt line (RTCINTR)
 * @clock: the time that it follows; NULL for the host's CLOCK_REALTIME
 *
 * Main thread. Return: 0, -ENOMEM, or what host->ops->map says.
 */
int pl031_new(struct pl031 **out, struct host *host, uint64_t base,
	      unsigned int gsi, pl031_clock_fn *clock);

#endif
