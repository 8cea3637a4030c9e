/*
 * Arm's PrimeCell UART (PL011): the machine's early and normal console.
 */
#ifndef ARCH_AARCH64_PL011_H
#define ARCH_AARCH64_PL011_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/device.h"
#include "vmm/base/host.h"

/* Bytes of address space. */
#define PL011_SIZE UINT64_C(0x1000)

struct pl011;

/* free, reset, save and restore of a struct pl011. */
extern const struct device_ops pl011_device_ops;

/**
 * pl011_new() - Make a UART and map its registers.
 * @out: for pl011_device_ops.free
 * @host: borrowed
 * @base: guest physical address of PL011_SIZE bytes
 * @gsi: its interrupt line (UARTINTR)
 * @backend: copied; with ops NULL output is dropped. output is called on the
 *           vCPU thread that writes the byte; input_room on the vCPU thread
 *           that drains the FIFO, and on main by reset and restore
 *
 * Main thread. Return: 0, -ENOMEM, or what host->ops->map says.
 */
int pl011_new(struct pl011 **out, struct host *host, uint64_t base,
	      unsigned int gsi, const struct char_backend *backend);

/**
 * pl011_enable() - Set it up as firmware would: on, eight bits, with FIFOs.
 *
 * ACPI describes it to Linux as an SBSA UART, which is ready for use when the
 * kernel comes. After it was made or reset; main thread, no vCPU running.
 */
void pl011_enable(struct pl011 *pl011);

/**
 * pl011_room() - How many bytes pl011_input() takes without loss.
 *
 * At most 32; none while the guest has the receiver off or in loopback. After
 * less room than there could be, backend.ops->input_room tells when the guest
 * has read all that was there. Any thread.
 */
size_t pl011_room(struct pl011 *pl011);

/**
 * pl011_input() - Bytes arrive on the line.
 *
 * What passes pl011_room() is lost, with an overrun error as on a real line;
 * in loopback, or with the receiver off, all is lost. Any thread.
 */
void pl011_input(struct pl011 *pl011, const uint8_t *data, size_t len);

#endif
