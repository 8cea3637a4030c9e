/*
 * ACPI fixed hardware (ACPI 6.5, 4.8.3): the PM1a event and control blocks and
 * the power management timer, in I/O ports, with the SCI. The guest writes
 * whatever it likes to them. ACPI mode is always on: there is no SMI_CMD.
 */
#ifndef ACPI_PM_H
#define ACPI_PM_H

#include <stdint.h>

#include "vmm/base/device.h"
#include "vmm/base/host.h"

/* Offsets from the first port. */
#define PM_PM1A_EVT_BLK 0 /* PM1 status and PM1 enable, 2 bytes each */
#define PM_PM1A_CNT_BLK 4 /* 2 bytes */
#define PM_TMR_BLK	8 /* 4 bytes, of which 24 bits count */
#define PM_PORTS	12

struct pm;

/**
 * pm_new() - Make the registers and map them.
 * @out: freed by pm_device_ops
 * @host: borrowed
 * @port: the first of PM_PORTS ports
 * @gsi: the SCI (level, active high)
 * @now: a clock in ns that never goes back, such as loop_now(); any thread
 *
 * Return: 0, -ENOMEM or what host's map says.
 */
int pm_new(struct pm **out, struct host *host, uint16_t port, unsigned int gsi,
	   int64_t (*now)(void));

/* Press the power button. Any thread. */
void pm_power_button(struct pm *pm);

/* For struct device; self is the struct pm. */
extern const struct device_ops pm_device_ops;

#endif
