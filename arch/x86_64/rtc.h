/*
 * The PC's real-time clock and the 128 bytes of CMOS memory behind it.
 */
#ifndef ARCH_X86_64_RTC_H
#define ARCH_X86_64_RTC_H

#include <stdint.h>

#include "vmm/base/device.h"
#include "vmm/base/host.h"

/* CMOS address of the century; the FADT's CENTURY field says it to guests. */
#define RTC_CENTURY 0x32

struct rtc;

/*
 * free, reset, save and restore of a struct rtc. reset leaves time and memory
 * as the guest has set them, which a battery keeps.
 */
extern const struct device_ops rtc_device_ops;

/* Nanoseconds since 1970-01-01 00:00:00 UTC, not negative. Any thread. */
typedef int64_t rtc_clock_fn(void);

/**
 * rtc_new() - Make a clock that shows UTC and map its ports.
 * @out: for rtc_device_ops.free
 * @host: borrowed
 * @clock: the time that it follows; NULL for the host's CLOCK_REALTIME
 *
 * Main thread. Return: 0, -ENOMEM, or what host->ops->map says.
 */
int rtc_new(struct rtc **out, struct host *host, rtc_clock_fn *clock);

#endif
