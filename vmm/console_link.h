/*
 * The way between a port of the console device, wherever that runs, and the
 * chardev that has the other end of it: a pair of stream sockets. Towards the
 * chardev a link is what a serial port is, a device with a little room.
 *
 * Main always takes what comes, and the chardev's stream is bounded: what the
 * guest prints never waits here. What is typed waits for the guest in a small
 * buffer and in the socket.
 *
 * Main thread, all of it.
 */
#ifndef VMM_CONSOLE_LINK_H
#define VMM_CONSOLE_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/host.h"
#include "vmm/base/loop.h"

struct console_link;

/**
 * console_link_new() - Make both ends.
 * @out: for console_link_free()
 *
 * Return: 0 or a negative errno.
 */
int console_link_new(struct console_link **out, struct loop *loop);

/* Nothing is flushed. NULL is nothing to do. */
void console_link_free(struct console_link *link);

/* The device's end: non-blocking, borrowed; -1 after console_link_opened(). */
int console_link_device_fd(const struct console_link *link);

/* The device has taken its copy of its end: close ours. */
void console_link_opened(struct console_link *link);

/* Where output goes from now on, and who hears of room. Once. */
void console_link_connect(struct console_link *link,
			  struct char_backend backend);

/* A chardev's room and input; ctx: the link. */
size_t console_link_room(void *ctx);
void console_link_input(void *ctx, const uint8_t *data, size_t len);

/* Take what the device has handed over so far, at the machine's end. */
void console_link_drain(struct console_link *link);

#endif
