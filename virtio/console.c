/*
 * The console device (virtio 1.3, 5.3): its life and its configuration space.
 */
#include "virtio/console_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/epoll.h>

#include "virtio/seccomp.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"

#define CONSOLE_DEVICE_ID  3	    /* 5.3.1 */
#define CONSOLE_CLASS_CODE 0x078000 /* PCI: communication, other */

/* ns between the first two reminders of the size, and at most. */
#define CONSOLE_REMIND_MIN INT64_C(100000000)
#define CONSOLE_REMIND_MAX INT64_C(60000000000)

/* 5.3.4 */
struct virtio_console_config {
	le16 cols;
	le16 rows;
	le32 max_nr_ports;
	le32 emerg_wr;
};
_Static_assert(sizeof(struct virtio_console_config) == 12, "5.3.4");

/* --- Open ------------------------------------------------------------------
 */

static bool console_name_fits(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789._-");

	return len && len <= VIRTIO_CONSOLE_NAME_MAX && !name[len] &&
	       name[0] != '.';
}

/* Of the port's name: it is one, and nobody else's. */
static int console_check_name(const struct virtio_open *args,
			      const struct virtio_console_options *options,
			      size_t index, struct error *err)
{
	const char *name = options->ports[index].name;

	if (!name)
		return 0;
	if (!console_name_fits(name))
		return error_set(err, EINVAL,
				 "%s: name=%s: expected 1 to %d letters, "
				 "digits, \".\", \"_\" or \"-\", not beginning "
				 "with a dot",
				 args->option, name, VIRTIO_CONSOLE_NAME_MAX);
	for (size_t i = 0; i < index; i++) {
		if (options->ports[i].name &&
		    !strcmp(options->ports[i].name, name))
			return error_set(err, EEXIST,
					 "%s: name=%s: two ports cannot have "
					 "one name",
					 args->option, name);
	}
	return 0;
}

/* Takes a copy of the descriptor and of the name. */
static int console_open_port(const struct virtio_open *args,
			     const struct virtio_console_port *port,
			     struct virtio_resources *out, json_t *ports,
			     struct error *err)
{
	json_t *entry =
		json_pack("{s:s}", "name", port->name ? port->name : "");
	int fd;

	/* Takes entry, and refuses NULL. */
	if (json_array_append_new(ports, entry) < 0)
		return error_set(err, ENOMEM, "%s: no memory", args->option);
	fd = fcntl(port->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, errno, "%s: cannot take a descriptor: %s",
				 args->option, strerror(errno));
	out->fds[out->fd_count++] = fd;
	return 0;
}

static int console_open(const struct virtio_open *args,
			struct virtio_resources *out, struct error *err)
{
	const struct virtio_console_options *options = args->options;
	json_t *ports = json_array();
	int rc = 0;

	/* Takes ports, which lives on in it. */
	out->description = json_pack("{s:o}", "ports", ports);
	if (!out->description)
		return error_set(err, ENOMEM, "%s: no memory", args->option);
	if (!options->port_count ||
	    options->port_count > VIRTIO_CONSOLE_PORTS_MAX)
		return error_set(err, EINVAL,
				 "%s: expected 1 to %d consoles and ports, "
				 "found %zu",
				 args->option, VIRTIO_CONSOLE_PORTS_MAX,
				 options->port_count);
	for (size_t i = 0; !rc && i < options->port_count; i++) {
		rc = console_check_name(args, options, i, err);
		if (!rc)
			rc = console_open_port(args, &options->ports[i], out,
					       ports, err);
	}
	return rc;
}

/* --- For the other files ---------------------------------------------------
 */

static void console_detach(struct console *console)
{
	virtio_timer_set(console->again, 0);
	console->control_rx = NULL;
	console->control_tx = NULL;
	for (unsigned int i = 0; i < console->port_count; i++)
		console_port_detach(&console->ports[i]);
}

void console_fail(struct console *console)
{
	console_detach(console);
	virtio_device_needs_reset(console->device);
}

struct virtqueue_chain *console_take(struct console *console,
				     struct virtqueue *queue, bool writable)
{
	static struct log_limit limit;
	struct virtqueue_chain *chain = NULL;
	int rc = virtqueue_pop(queue, &chain);
	uint64_t wrong;

	if (rc == 0)
		return NULL;
	if (rc < 0) {
		console_fail(console);
		return NULL;
	}
	/* 5.3.6.1: neither direction in the other's queue. An empty buffer
	 * can take no input, but has nothing to print. */
	wrong = writable ? chain->readable_len : chain->writable_len;
	if (!wrong && (!writable || chain->writable_len))
		return chain;
	log_limited(&limit, LOG_WARN, "%s: a buffer %s in queue %u",
		    virtio_device_label(console->device),
		    wrong ? "of the wrong direction" : "without room",
		    virtqueue_config(queue)->index);
	virtqueue_chain_free(chain);
	console_fail(console);
	return NULL;
}

/*
 * Linux reads the size when it is told of a change and at no other time, and
 * forgets it if it has not come so far as to have a port. Nothing says when it
 * has. So it is told again, ever more rarely, along with what it prints.
 */
void console_remind(struct console *console)
{
	const int64_t now = loop_now();

	if (now < console->remind)
		return;
	if (console->remind_gap > CONSOLE_REMIND_MAX) {
		console->remind = INT64_MAX;
		return;
	}
	console->remind = now + console->remind_gap;
	console->remind_gap *= 2;
	virtio_device_config_changed(console->device);
}

void console_again(struct console *console)
{
	virtio_timer_set(console->again, 1);
}

/* --- Life ------------------------------------------------------------------
 */

static void console_timer(void *self)
{
	struct console *console = self;

	console_control_receive(console);
	for (unsigned int i = 0; i < console->port_count; i++) {
		console_port_output(&console->ports[i]);
		console_port_input(&console->ports[i]);
	}
}

/* One of open()'s ports. */
static int console_create_port(struct console *console, unsigned int id,
			       const json_t *entry, int fd)
{
	struct console_port *port = &console->ports[id];
	const char *name = json_string_value(json_object_get(entry, "name"));

	if (!name || (name[0] && !console_name_fits(name)))
		return -EINVAL;
	snprintf(port->name, sizeof(port->name), "%s", name);
	port->console = console;
	port->id = id;
	port->fd = fd;
	console->port_count = id + 1;
	return virtio_device_watch(console->device, &port->watch, fd,
				   EPOLLIN | EPOLLET, console_port_event, port);
}

static int console_create_ports(struct console *console,
				const struct virtio_resources *resources)
{
	const json_t *ports = json_object_get(resources->description, "ports");
	const unsigned int count = resources->fd_count;
	int rc = 0;

	if (json_array_size(ports) != count || !count ||
	    count > VIRTIO_CONSOLE_PORTS_MAX)
		return -EINVAL;
	for (unsigned int i = 0; !rc && i < count; i++)
		rc = console_create_port(console, i, json_array_get(ports, i),
					 resources->fds[i]);
	console->offers_multiport = count > 1 || console->ports[0].name[0];
	return rc;
}

static int console_create(void **self, struct virtio_device *device,
			  const struct virtio_resources *resources,
			  struct error *err)
{
	struct console *console = calloc(1, sizeof(*console));
	int rc;

	if (!console)
		return error_set(err, ENOMEM, "%s: no memory",
				 virtio_device_label(device));
	console->device = device;
	console->remind = INT64_MAX;
	rc = virtio_device_timer(device, &console->again, console_timer,
				 console);
	if (!rc)
		rc = console_create_ports(console, resources);
	if (rc) {
		free(console);
		return error_set(err, -rc, "%s: cannot make it: %s",
				 virtio_device_label(device), strerror(-rc));
	}
	*self = console;
	return 0;
}

static void console_destroy(void *self)
{
	free(self);
}

static unsigned int console_keep_fds(void *self, int *fds)
{
	const struct console *console = self;

	for (unsigned int i = 0; i < console->port_count; i++)
		fds[i] = console->ports[i].fd;
	return console->port_count;
}

static unsigned int console_queue_max_sizes(void *self, uint16_t *sizes)
{
	const struct console *console = self;
	unsigned int count = 2;

	if (console->offers_multiport)
		count = 2 + 2 * console->port_count;
	for (unsigned int i = 0; i < count; i++)
		sizes[i] = CONSOLE_QUEUE_SIZE;
	return count;
}

static uint64_t console_features(void *self)
{
	const struct console *console = self;

	return VIRTIO_CONSOLE_F_SIZE | VIRTIO_CONSOLE_F_EMERG_WRITE |
	       (console->offers_multiport ? VIRTIO_CONSOLE_F_MULTIPORT : 0);
}

/* The receive queue of a port; its transmit queue is the next (5.3.2). */
static unsigned int console_port_queue(unsigned int id)
{
	return id ? 2 + 2 * id : 0;
}

static void console_attach(struct console *console,
			   struct virtqueue *const *queues)
{
	unsigned int count = 1;

	console->multiport = console->offers_multiport &&
			     virtio_device_acked(console->device) &
				     VIRTIO_CONSOLE_F_MULTIPORT;
	if (console->multiport) {
		console->control_rx = queues[CONSOLE_CONTROL_RX];
		console->control_tx = queues[CONSOLE_CONTROL_TX];
		count = console->port_count;
	}
	for (unsigned int i = 0; i < count; i++) {
		unsigned int index = console_port_queue(i);

		console_port_attach(&console->ports[i], queues[index],
				    queues[index + 1]);
	}
}

static int console_activate(void *self, struct virtqueue *const *queues)
{
	struct console *console = self;
	const struct console_port *port = &console->ports[0];

	console_attach(console, queues);
	console->remind = INT64_MAX;
	console->remind_gap = CONSOLE_REMIND_MIN;
	/* With ports, it is a message to each. */
	if (!console->multiport && port->cols && port->rows &&
	    virtio_device_acked(console->device) & VIRTIO_CONSOLE_F_SIZE)
		console->remind = 0;
	return 0;
}

static void console_queue_ready(void *self, unsigned int index)
{
	struct console *console = self;
	unsigned int id = index < 2 ? 0 : index / 2 - 1;

	if (index == CONSOLE_CONTROL_RX)
		console_control_send(console);
	else if (index == CONSOLE_CONTROL_TX)
		console_control_receive(console);
	else if (index % 2)
		console_port_output(&console->ports[id]);
	else
		console_port_input(&console->ports[id]);
}

static void console_reset(void *self)
{
	struct console *console = self;

	console_detach(console);
	console->ready = false;
	console->multiport = false;
	for (unsigned int i = 0; i < console->port_count; i++) {
		struct console_port *port = &console->ports[i];

		port->pending = 0;
		port->ready = false;
		port->open = false;
		port->written = 0;
	}
}

static int console_sleep(void *self)
{
	console_detach(self);
	return 0;
}

static int console_wake(void *self, struct virtqueue *const *queues)
{
	if (queues)
		console_attach(self, queues);
	return 0;
}

/* --- Configuration ---------------------------------------------------------
 */

static size_t console_config_size(void *self)
{
	(void)self;
	return sizeof(struct virtio_console_config);
}

static void console_read_config(void *self, size_t offset, void *data,
				size_t len)
{
	const struct console *console = self;
	const struct virtio_console_config config = {
		.cols = le16_of(console->ports[0].cols),
		.rows = le16_of(console->ports[0].rows),
		.max_nr_ports = le32_of(console->port_count),
	};

	memcpy(data, (const uint8_t *)&config + offset, len);
}

static void console_write_config(void *self, size_t offset, const void *data,
				 size_t len)
{
	struct console *console = self;

	/* Its lowest byte is the character; all else is for reading. */
	if (offset == offsetof(struct virtio_console_config, emerg_wr) && len)
		console_port_emergency(&console->ports[0],
				       *(const uint8_t *)data);
}

/* Return: 0, or -EINVAL for a value above @max or of another type. */
static int console_command_number(const json_t *args, const char *name,
				  json_int_t max, json_int_t *out,
				  struct error *err)
{
	const json_t *value = json_object_get(args, name);

	*out = json_integer_value(value);
	if (json_is_integer(value) && *out >= 0 && *out <= max)
		return 0;
	return error_set(err, EINVAL,
			 "size: \"%s\": expected a number, 0 to %d", name,
			 (int)max);
}

static int console_command_size(struct console *console, const json_t *args,
				struct error *err)
{
	json_int_t id = 0, cols, rows;
	struct console_port *port;
	int rc = 0;

	if (json_object_get(args, "port"))
		rc = console_command_number(args, "port",
					    (json_int_t)console->port_count - 1,
					    &id, err);
	if (!rc)
		rc = console_command_number(args, "cols", UINT16_MAX, &cols,
					    err);
	if (!rc)
		rc = console_command_number(args, "rows", UINT16_MAX, &rows,
					    err);
	if (rc)
		return rc;
	port = &console->ports[id];
	if (port->name[0])
		return error_set(err, EINVAL,
				 "size: port \"%s\" is no terminal",
				 port->name);
	if (port->cols == cols && port->rows == rows)
		return 0;
	port->cols = (uint16_t)cols;
	port->rows = (uint16_t)rows;
	if (!id)
		virtio_device_config_changed(console->device);
	console_control_resize(port);
	return 0;
}

static int console_command(void *self, const char *name, const json_t *args,
			   json_t **reply, struct error *err)
{
	(void)reply;
	if (!strcmp(name, "size"))
		return console_command_size(self, args, err);
	return error_set(err, EOPNOTSUPP,
			 "a console knows \"size\", not \"%s\"", name);
}

/* --- Save and restore ------------------------------------------------------
 */

static const struct json_field console_port_fields[] = {
	JSON_UINT(struct console_port, cols),
	JSON_UINT(struct console_port, rows),
	JSON_UINT_MAX(struct console_port, pending,
		      (1u << CONSOLE_MESSAGES) - 1),
	JSON_BOOL(struct console_port, ready),
	JSON_BOOL(struct console_port, open),
	JSON_UINT_MAX(struct console_port, written, UINT32_MAX),
};
#define CONSOLE_PORT_FIELDS \
	(sizeof(console_port_fields) / sizeof(console_port_fields[0]))

static int console_snapshot(void *self, json_t **out)
{
	const struct console *console = self;
	json_t *ports = json_array();

	for (unsigned int i = 0; i < console->port_count; i++) {
		json_t *port = NULL;

		/* Takes port, and refuses NULL, as does what follows. */
		if (json_save(&console->ports[i], console_port_fields,
			      CONSOLE_PORT_FIELDS, &port) ||
		    json_array_append_new(ports, port) < 0) {
			json_decref(ports);
			return -ENOMEM;
		}
	}
	*out = json_pack("{s:b, s:o}", "ready", console->ready, "ports", ports);
	return *out ? 0 : -ENOMEM;
}

/*
 * What is written of a chain changes with every byte of output, so what is
 * remembered of it would be of another chain: that one is printed anew.
 */
static int console_remember(void *self, json_t **out)
{
	json_t *ports;
	int rc = console_snapshot(self, out);

	if (rc < 0)
		return rc;
	ports = json_object_get(*out, "ports");
	for (size_t i = 0; i < json_array_size(ports); i++)
		json_object_set_new(json_array_get(ports, i), "written",
				    json_string("0x0"));
	return 0;
}

static int console_restore_ports(struct console_port *ports, unsigned int count,
				 const json_t *list, struct error *err)
{
	if (!json_is_array(list) || json_array_size(list) != count)
		return error_set(err, EINVAL,
				 "\"ports\": expected a list of %u, found %zu",
				 count, json_array_size(list));
	for (unsigned int i = 0; i < count; i++) {
		int rc = json_load(&ports[i], console_port_fields,
				   CONSOLE_PORT_FIELDS, json_array_get(list, i),
				   err);

		if (rc) {
			error_prefix(err, "\"ports\"[%u]: ", i);
			return rc;
		}
	}
	return 0;
}

static int console_restore(void *self, const json_t *state, struct error *err)
{
	struct console *console = self;
	const json_t *ready = json_object_get(state, "ready");
	struct console_port ports[VIRTIO_CONSOLE_PORTS_MAX];
	int rc;

	if (!json_is_boolean(ready) || json_object_size(state) != 2)
		return error_set(err, EINVAL,
				 "expected an object of \"ready\" (true or "
				 "false) and \"ports\"");
	/* All of it is checked before any of it counts. */
	memcpy(ports, console->ports, sizeof(ports));
	rc = console_restore_ports(ports, console->port_count,
				   json_object_get(state, "ports"), err);
	if (rc)
		return rc;
	memcpy(console->ports, ports, sizeof(ports));
	console->ready = json_is_true(ready);
	return 0;
}

const struct virtio_device_ops virtio_console_ops = {
	.type = "console",
	.device_id = CONSOLE_DEVICE_ID,
	.class_code = CONSOLE_CLASS_CODE,
	.seccomp = &virtio_seccomp_console,
	.open = console_open,
	.create = console_create,
	.destroy = console_destroy,
	.keep_fds = console_keep_fds,
	.queue_max_sizes = console_queue_max_sizes,
	.features = console_features,
	.config_size = console_config_size,
	.read_config = console_read_config,
	.write_config = console_write_config,
	.activate = console_activate,
	.queue_ready = console_queue_ready,
	.reset = console_reset,
	.sleep = console_sleep,
	.wake = console_wake,
	.snapshot = console_snapshot,
	.restore = console_restore,
	.remember = console_remember,
	.command = console_command,
};
