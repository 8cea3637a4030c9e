/*
 * The control queues of the console device (virtio 1.3, 5.3.6.2): what there
 * is of ports, and which of them are open.
 *
 * Theory of operation. What the guest has to be told is kept as a set of bits
 * for each port, not as a queue of messages, so that it cannot grow: a message
 * that is asked for again before it went out goes out once. Of one port they
 * go in the order of enum console_message. What the guest says out of order, of
 * ports that are not there, or in words that nobody knows, changes nothing.
 */
#include "virtio/console_private.h"

#include <string.h>

#include "vmm/base/log.h"

enum console_event {
	VIRTIO_CONSOLE_DEVICE_READY,
	VIRTIO_CONSOLE_DEVICE_ADD,
	VIRTIO_CONSOLE_DEVICE_REMOVE,
	VIRTIO_CONSOLE_PORT_READY,
	VIRTIO_CONSOLE_CONSOLE_PORT,
	VIRTIO_CONSOLE_RESIZE,
	VIRTIO_CONSOLE_PORT_OPEN,
	VIRTIO_CONSOLE_PORT_NAME,
	CONSOLE_EVENTS,
};

struct virtio_console_control {
	le32 id; /* of the port */
	le16 event;
	le16 value;
};
_Static_assert(sizeof(struct virtio_console_control) == 8, "5.3.6.2");

struct virtio_console_resize {
	le16 cols;
	le16 rows;
};
_Static_assert(sizeof(struct virtio_console_resize) == 4, "5.3.6.2");

struct console_text {
	struct virtio_console_control control;
	union {
		struct virtio_console_resize resize;
		char name[VIRTIO_CONSOLE_NAME_MAX]; /* without a NUL */
	};
};

static const uint16_t console_message_events[] = {
	[CONSOLE_MESSAGE_ADD] = VIRTIO_CONSOLE_DEVICE_ADD,
	[CONSOLE_MESSAGE_CONSOLE] = VIRTIO_CONSOLE_CONSOLE_PORT,
	[CONSOLE_MESSAGE_NAME] = VIRTIO_CONSOLE_PORT_NAME,
	[CONSOLE_MESSAGE_SIZE] = VIRTIO_CONSOLE_RESIZE,
	[CONSOLE_MESSAGE_OPEN] = VIRTIO_CONSOLE_PORT_OPEN,
};
_Static_assert(sizeof(console_message_events) ==
		       CONSOLE_MESSAGES * sizeof(uint16_t),
	       "one event for each message");

static void console_control_ask(struct console_port *port,
				enum console_message message)
{
	port->pending |= (uint8_t)(1u << message);
}

/* --- To the guest ----------------------------------------------------------
 */

/* Return: bytes of the message. */
static size_t console_control_compose(const struct console_port *port,
				      enum console_message message,
				      struct console_text *text)
{
	size_t len = sizeof(text->control);

	text->control = (struct virtio_console_control){
		.id = le32_of(port->id),
		.event = le16_of(console_message_events[message]),
		.value = le16_of(1),
	};
	switch (message) {
	case CONSOLE_MESSAGE_NAME:
		memcpy(text->name, port->name, strlen(port->name));
		len += strlen(port->name);
		break;
	case CONSOLE_MESSAGE_SIZE:
		text->control.value = le16_of(0);
		text->resize.cols = le16_of(port->cols);
		text->resize.rows = le16_of(port->rows);
		len += sizeof(text->resize);
		break;
	case CONSOLE_MESSAGE_ADD:
	case CONSOLE_MESSAGE_CONSOLE:
	case CONSOLE_MESSAGE_OPEN:
	case CONSOLE_MESSAGES:
		break;
	}
	return len;
}

/* Return: whether it is on its way. */
static bool console_control_post(struct console_port *port,
				 enum console_message message)
{
	static struct log_limit limit;
	struct console *console = port->console;
	struct console_text text;
	struct virtqueue_chain *chain;
	size_t len;

	chain = console_take(console, console->control_rx, true);
	if (!chain)
		return false;
	len = console_control_compose(port, message, &text);
	if (chain->writable_len < len) {
		log_limited(&limit, LOG_WARN,
			    "%s: the guest gives %llu bytes for a control "
			    "message of %zu",
			    virtio_device_label(console->device),
			    (unsigned long long)chain->writable_len, len);
		virtqueue_chain_free(chain);
		console_fail(console);
		return false;
	}
	virtqueue_chain_write(chain, 0, &text, len);
	virtqueue_put(console->control_rx, chain, (uint32_t)len);
	port->pending &= (uint8_t) ~(1u << message);
	return true;
}

/* Return: whether all of the port's are on their way. */
static bool console_control_post_all(struct console_port *port)
{
	for (unsigned int i = 0; i < CONSOLE_MESSAGES; i++) {
		if (!(port->pending & 1u << i))
			continue;
		if (!console_control_post(port, (enum console_message)i))
			return false;
	}
	return true;
}

void console_control_send(struct console *console)
{
	struct virtqueue *queue = console->control_rx;
	unsigned int i = 0;

	if (!queue)
		return;
	do {
		while (i < console->port_count &&
		       console_control_post_all(&console->ports[i]))
			i++;
	} while (i < console->port_count && console->control_rx &&
		 virtqueue_set_kicks(queue, true));
	virtqueue_publish(queue);
	/* After it: what a driver is told twice it knows already. */
	virtio_device_state_changed(console->device);
}

void console_control_resize(struct console_port *port)
{
	if (!port->ready || port->name[0])
		return;
	console_control_ask(port, CONSOLE_MESSAGE_SIZE);
	console_control_send(port->console);
}

/* --- From the guest --------------------------------------------------------
 */

static void console_control_device_ready(struct console *console,
					 uint16_t value)
{
	static struct log_limit limit;

	if (value != 1) {
		log_limited(&limit, LOG_WARN, "%s: the guest's driver gave up",
			    virtio_device_label(console->device));
		return;
	}
	/* A port is added once (5.3.6.2.1). */
	if (console->ready)
		return;
	console->ready = true;
	for (unsigned int i = 0; i < console->port_count; i++)
		console_control_ask(&console->ports[i], CONSOLE_MESSAGE_ADD);
}

static void console_control_port_ready(struct console_port *port,
				       uint16_t value)
{
	static struct log_limit limit;

	if (value != 1) {
		log_limited(
			&limit, LOG_WARN, "%s: the guest cannot use port %u",
			virtio_device_label(port->console->device), port->id);
		return;
	}
	if (port->ready)
		return;
	port->ready = true;
	if (port->name[0])
		console_control_ask(port, CONSOLE_MESSAGE_NAME);
	else
		console_control_ask(port, CONSOLE_MESSAGE_CONSOLE);
	if (!port->name[0] && port->cols && port->rows)
		console_control_ask(port, CONSOLE_MESSAGE_SIZE);
	/* main is always there. */
	console_control_ask(port, CONSOLE_MESSAGE_OPEN);
}

/* Return: whether it makes sense now. */
static bool console_control_handle(struct console *console, uint32_t id,
				   uint16_t event, uint16_t value)
{
	struct console_port *port;

	if (event == VIRTIO_CONSOLE_DEVICE_READY) {
		console_control_device_ready(console, value);
		return true;
	}
	if (!console->ready || id >= console->port_count)
		return false;
	port = &console->ports[id];
	if (port->pending & 1u << CONSOLE_MESSAGE_ADD)
		return false; /* it cannot know that port yet */
	if (event == VIRTIO_CONSOLE_PORT_READY) {
		console_control_port_ready(port, value);
		return true;
	}
	if (event != VIRTIO_CONSOLE_PORT_OPEN || !port->ready)
		return false;
	port->open = value == 1;
	console_again(console); /* input may have waited for it */
	return true;
}

static void console_control_read(struct console *console,
				 const struct virtqueue_chain *chain)
{
	static struct log_limit limit;
	struct virtio_console_control control = {.event = le16_of(0)};
	size_t len = virtqueue_chain_read(chain, 0, &control, sizeof(control));

	if (len == sizeof(control) &&
	    console_control_handle(console, le32_get(control.id),
				   le16_get(control.event),
				   le16_get(control.value)))
		return;
	log_limited(&limit, LOG_WARN,
		    "%s: no sense in a control message: %zu bytes, port %u, "
		    "event %u, value %u",
		    virtio_device_label(console->device), len,
		    le32_get(control.id), le16_get(control.event),
		    le16_get(control.value));
}

/* Return: whether the turn is exhausted. */
static bool console_control_drain(struct console *console)
{
	unsigned int left = CONSOLE_TURN_CONTROLS;

	while (console->control_tx) {
		struct virtqueue_chain *chain;

		if (!left--)
			return true;
		chain = console_take(console, console->control_tx, false);
		if (!chain)
			break;
		console_control_read(console, chain);
		virtqueue_put(console->control_tx, chain, 0);
	}
	return false;
}

void console_control_receive(struct console *console)
{
	struct virtqueue *queue = console->control_tx;
	bool more;

	if (!queue)
		return;
	virtqueue_set_kicks(queue, false);
	do {
		more = console_control_drain(console);
	} while (!more && console->control_tx &&
		 virtqueue_set_kicks(queue, true));
	virtio_device_state_changed(console->device);
	virtqueue_publish(queue);
	if (more)
		console_again(console);
	console_control_send(console);
}
