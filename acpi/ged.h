/*
 * Registers of a hardware-reduced ACPI machine, in one page: the event
 * register behind its Generic Event Device (ACPI 6.5, 5.6.9), SLEEP_CONTROL
 * and SLEEP_STATUS (4.8.3.7) and the reset register (4.8.3.6). The guest writes
 * whatever it likes to them.
 */
#ifndef ACPI_GED_H
#define ACPI_GED_H

#include <stdint.h>

#include "vmm/base/device.h"
#include "vmm/base/host.h"

#define GED_SIZE UINT64_C(0x1000)

/* Offsets in the page. Any other access, or one of another size, reads as 0
 * and writes nothing. */
#define GED_EVENT                                                          \
	0x0		      /* 4 bytes; a read gives what is pending and \
				 clears it */
#define GED_SLEEP_CONTROL 0x8 /* 1 byte */
#define GED_SLEEP_STATUS  0x9 /* 1 byte */
#define GED_RESET	  0xa /* 1 byte; GED_RESET_VALUE resets */
#define GED_RESET_VALUE	  0x42

/* GED_EVENT */
#define GED_EVENT_POWER_BUTTON (1u << 0)

struct ged;

/**
 * ged_new() - Make the registers and map them.
 * @out: freed by ged_device_ops
 * @host: borrowed
 * @base: guest physical address of the page
 * @gsi: raised as long as an event is pending (level, active high)
 *
 * Return: 0, -ENOMEM or what host's map says.
 */
int ged_new(struct ged **out, struct host *host, uint64_t base,
	    unsigned int gsi);

/* Press the power button. Any thread. */
void ged_power_button(struct ged *ged);

/* For struct device; self is the struct ged. */
extern const struct device_ops ged_device_ops;

#endif
