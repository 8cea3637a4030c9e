/*
 * What the files of the console device share: console.c is its life,
 * console_port.c moves the bytes, console_control.c talks about ports.
 */
#ifndef VIRTIO_CONSOLE_PRIVATE_H
#define VIRTIO_CONSOLE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/console.h"
#include "virtio/options.h"
#include "virtio/queue.h"
#include "vmm/base/bytes.h"

/* 5.3.3 */
#define VIRTIO_CONSOLE_F_SIZE	     (UINT64_C(1) << 0)
#define VIRTIO_CONSOLE_F_MULTIPORT   (UINT64_C(1) << 1)
#define VIRTIO_CONSOLE_F_EMERG_WRITE (UINT64_C(1) << 2)

/* 5.3.2: two queues for port 0, two for control, two for each other port. */
#define CONSOLE_CONTROL_RX 2
#define CONSOLE_CONTROL_TX 3
#define CONSOLE_QUEUES_MAX (2 + 2 * VIRTIO_CONSOLE_PORTS_MAX)

/* Of each, as vhost_type.c has it. */
#define CONSOLE_QUEUE_SIZE 128

/* What one turn of the loop does of one thing, so that others get theirs. */
#define CONSOLE_TURN_BYTES    65536
#define CONSOLE_TURN_CHAINS   1024
#define CONSOLE_TURN_CONTROLS 64

/* What the guest has to be told of a port, in this order. */
enum console_message {
	CONSOLE_MESSAGE_ADD,
	CONSOLE_MESSAGE_CONSOLE,
	CONSOLE_MESSAGE_NAME,
	CONSOLE_MESSAGE_SIZE,
	CONSOLE_MESSAGE_OPEN,
	CONSOLE_MESSAGES,
};

struct console_port {
	struct console *console; /* borrowed, as is the descriptor */
	unsigned int id;
	int fd;
	struct virtio_watch *watch;
	char name[VIRTIO_CONSOLE_NAME_MAX + 1]; /* "": a console */

	/* Known of the terminal; 0: not known. */
	uint16_t cols, rows;

	/* What the guest knows and said; all of it saved. */
	uint8_t pending; /* a bit for each enum console_message */
	bool ready;	 /* VIRTIO_CONSOLE_PORT_READY came */
	bool open;	 /* VIRTIO_CONSOLE_PORT_OPEN: somebody reads */
	/* Bytes of the transmit queue's next chain that are out already. */
	uint64_t written;

	/* While active, NULL where the driver has none; borrowed. */
	struct virtqueue *rx, *tx;
	struct virtqueue_chain *in, *out; /* owned, NULL for none */

	/* The socket, as far as known: edge-triggered. */
	bool readable, writable;
	bool blocked; /* waits for EPOLLOUT */
};

struct console {
	struct virtio_device *device; /* borrowed */
	struct virtio_timer *again;   /* of the device: more of the same */
	unsigned int port_count;
	bool offers_multiport;

	bool multiport; /* negotiated */
	bool ready;	/* VIRTIO_CONSOLE_DEVICE_READY came; saved */
	struct virtqueue *control_rx, *control_tx; /* borrowed; or NULL */

	/* When the driver hears next, with its output, of a size that it has
	 * known from the start: loop_now(), INT64_MAX for never. */
	int64_t remind;
	int64_t remind_gap; /* ns */

	struct console_port ports[VIRTIO_CONSOLE_PORTS_MAX];
};

/* --- console.c -------------------------------------------------------------
 */

/* The guest broke it: forget the queues until a reset. */
void console_fail(struct console *console);

/**
 * console_take() - The next chain of a queue, of the right direction.
 * @writable: the device is to write it; otherwise to read it
 *
 * Return: the chain, owned; or NULL: there is none, or the device has failed.
 */
struct virtqueue_chain *console_take(struct console *console,
				     struct virtqueue *queue, bool writable);

/* The driver has printed something. */
void console_remind(struct console *console);

/* Come back to whatever is left undone, at the loop's next turn. */
void console_again(struct console *console);

/* --- console_port.c --------------------------------------------------------
 */

/* Move what can be moved, a turn's worth. */
void console_port_output(struct console_port *port);
void console_port_input(struct console_port *port);

/* A virtio_watch_fn of the port's socket. */
void console_port_event(void *self, uint32_t events);

/* A single character, whatever state the device is in (5.3.4). */
void console_port_emergency(struct console_port *port, uint8_t byte);

/* The device has its queues: try the socket. */
void console_port_attach(struct console_port *port, struct virtqueue *rx,
			 struct virtqueue *tx);

/* Forget queues and chains; what was written of a chain is remembered. */
void console_port_detach(struct console_port *port);

/* --- console_control.c -----------------------------------------------------
 */

/* What the guest says. */
void console_control_receive(struct console *console);

/* Send what is pending, as far as the guest has buffers. */
void console_control_send(struct console *console);

/* Let the guest know of the port's size. */
void console_control_resize(struct console_port *port);

#endif
