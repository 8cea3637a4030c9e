/*
 * A 16550A UART on eight I/O ports: the PC's COM port, with its receive FIFO
 * and its interrupt.
 */
#ifndef ARCH_X86_64_SERIAL_H
#define ARCH_X86_64_SERIAL_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/device.h"
#include "vmm/base/host.h"

struct serial;

/* free, reset, save and restore of a struct serial. */
extern const struct device_ops serial_device_ops;

/**
 * serial_new() - Make a UART and map its ports.
 * @out: for serial_device_ops.free
 * @host: borrowed
 * @port: first of eight I/O ports
 * @gsi: its interrupt line
 * @backend: copied; with ops NULL output is dropped. output is called on the
 *           vCPU thread that writes the byte; input_room on the vCPU thread
 *           that drains the FIFO, and on main by reset and restore
 *
 * Main thread. Return: 0, -ENOMEM, or what host->ops->map says.
 */
int serial_new(struct serial **out, struct host *host, uint64_t port,
	       unsigned int gsi, const struct char_backend *backend);

/**
 * serial_room() - How many bytes serial_input() takes without loss.
 *
 * At most 16; none while the guest has the receiver in loopback. After less
 * room than there could be, backend.ops->input_room tells when the guest has
 * read all that was there. Any thread.
 */
size_t serial_room(struct serial *serial);

/**
 * serial_input() - Bytes arrive on the line.
 *
 * What passes serial_room() is lost, with LSR.OE set, as on a real line; in
 * loopback the receiver is cut off from the line and all is lost. Any thread.
 */
void serial_input(struct serial *serial, const uint8_t *data, size_t len);

#endif
