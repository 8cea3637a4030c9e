/*
 * A running machine's control socket: the methods and what they ask of the
 * machine, and the messages that it sends of its own accord. Parameters come
 * from clients; control_rpc.c has checked their names and types.
 *
 * The console has any number of readers, and whoever may connect may type:
 * what several type arrives in the order of their requests.
 */
#include "vmm/machine_control.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/base64.h"
#include "vmm/base/log.h"
#include "vmm/control.h"
#include "vmm/names.h"

/* What clients subscribe to: a bit for each event, and these. */
#define MACHINE_CONTROL_EVENTS ((UINT64_C(1) << MACHINE_EVENTS) - 1)
#define MACHINE_CONTROL_OUTPUT (UINT64_C(1) << MACHINE_EVENTS)
#define MACHINE_CONTROL_ROOM   (UINT64_C(2) << MACHINE_EVENTS)

/* Bytes of serial output in one message. */
#define MACHINE_CONTROL_OUTPUT_MAX 12288

/* At the end, for clients that do not read. */
#define MACHINE_CONTROL_FLUSH_NS INT64_C(1000000000)

struct machine_control {
	struct machine *machine; /* borrowed */
	struct listen_claim *claim;
	struct control *control;
	struct machine_observer observer;
	uint64_t printed; /* bytes of serial output so far */
};

static const char *const machine_control_event_names[] = {
	[MACHINE_STARTED] = "started", [MACHINE_PANICKED] = "panicked",
	[MACHINE_RESET] = "reset",     [MACHINE_PAUSED] = "paused",
	[MACHINE_RESUMED] = "resumed", [MACHINE_STOPPED] = "stopped",
	[MACHINE_DEVICE] = "device",
};

static_assert(sizeof(machine_control_event_names) /
			      sizeof(machine_control_event_names[0]) ==
		      MACHINE_EVENTS,
	      "a name for each event");

/* --- Methods -------------------------------------------------------------- */

/* For a function that returns a new reference, or NULL. */
static int machine_control_result(json_t **result, json_t *value,
				  struct error *err)
{
	*result = value;
	return value ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int machine_control_status(void *ctx, struct control_client *client,
				  const json_t *params, json_t **result,
				  struct error *err)
{
	struct machine_control *control = ctx;
	int ret;

	(void)client;
	(void)params;
	ret = machine_status(control->machine, result);
	return ret ? error_set(err, -ret, "out of memory") : 0;
}

/* A method that hands on to the machine, without parameters or result. */
#define MACHINE_CONTROL_ACTION(verb)                                      \
	static int machine_control_##verb(                                \
		void *ctx, struct control_client *client,                 \
		const json_t *params, json_t **result, struct error *err) \
	{                                                                 \
		struct machine_control *control = ctx;                    \
                                                                          \
		(void)client;                                             \
		(void)params;                                             \
		(void)result;                                             \
		return machine_##verb(control->machine, err);             \
	}

MACHINE_CONTROL_ACTION(pause)
MACHINE_CONTROL_ACTION(resume)
MACHINE_CONTROL_ACTION(power_button)
MACHINE_CONTROL_ACTION(reset)
MACHINE_CONTROL_ACTION(stop)
MACHINE_CONTROL_ACTION(quit)

static int machine_control_log(void *ctx, struct control_client *client,
			       const json_t *params, json_t **result,
			       struct error *err)
{
	static const char *const names[] = {
		[LOG_ERROR] = "error",
		[LOG_WARN] = "warn",
		[LOG_INFO] = "info",
		[LOG_DEBUG] = "debug",
	};
	const char *level = json_string_value(json_object_get(params, "level"));

	(void)ctx;
	(void)client;
	(void)result;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], level) == 0) {
			log_set_level((enum log_level)i);
			return 0;
		}
	}
	return error_set(err, EINVAL,
			 "params.level: expected error, warn, info or debug, "
			 "found \"%.32s\"",
			 level);
}

/* Return: the event's number, -1 for no event's name. */
static int machine_control_find_event(const char *name)
{
	for (int i = 0; i < MACHINE_EVENTS; i++) {
		if (strcmp(machine_control_event_names[i], name) == 0)
			return i;
	}
	return -1;
}

/* names: an array of text, or NULL for all. */
static int machine_control_parse_events(const json_t *names, uint64_t *topics,
					struct error *err)
{
	*topics = names ? 0 : MACHINE_CONTROL_EVENTS;
	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));
		int event = machine_control_find_event(name);

		if (event < 0)
			return error_set(err, EINVAL,
					 "params.events: expected started, "
					 "panicked, reset, paused, resumed, "
					 "device or stopped, found \"%.32s\"",
					 name);
		*topics |= UINT64_C(1) << event;
	}
	return 0;
}

static int machine_control_subscribe(void *ctx, struct control_client *client,
				     const json_t *params, json_t **result,
				     struct error *err)
{
	json_t *names = json_array();
	uint64_t others, topics;
	int ret;

	(void)ctx;
	ret = machine_control_parse_events(json_object_get(params, "events"),
					   &topics, err);
	if (ret < 0) {
		json_decref(names);
		return ret;
	}
	for (unsigned int i = 0; i < MACHINE_EVENTS; i++) {
		if (topics & UINT64_C(1) << i &&
		    json_array_append_new(
			    names,
			    json_string(machine_control_event_names[i])) < 0) {
			json_decref(names);
			return error_set(err, ENOMEM, "out of memory");
		}
	}
	others = control_client_topics(client) & ~MACHINE_CONTROL_EVENTS;
	control_client_subscribe(client, others | topics);
	return machine_control_result(result,
				      json_pack("{s:o}", "events", names), err);
}

static int machine_control_attach(void *ctx, struct control_client *client,
				  const json_t *params, json_t **result,
				  struct error *err)
{
	struct machine_control *control = ctx;

	(void)params;
	control_client_subscribe(client, control_client_topics(client) |
						 MACHINE_CONTROL_OUTPUT);
	return machine_control_result(
		result,
		json_pack("{s:I}", "offset", (json_int_t)control->printed),
		err);
}

static int machine_control_detach(void *ctx, struct control_client *client,
				  const json_t *params, json_t **result,
				  struct error *err)
{
	(void)ctx;
	(void)params;
	(void)result;
	(void)err;
	control_client_subscribe(client, control_client_topics(client) &
						 ~MACHINE_CONTROL_OUTPUT);
	return 0;
}

static int machine_control_input(void *ctx, struct control_client *client,
				 const json_t *params, json_t **result,
				 struct error *err)
{
	const json_t *text = json_object_get(params, "data");
	size_t text_len = json_string_length(text);
	struct machine_control *control = ctx;
	uint8_t *data = malloc(text_len + 1);
	size_t len;
	int taken;

	if (!data)
		return error_set(err, ENOMEM, "out of memory");
	if (base64_decode(data, &len, json_string_value(text), text_len) < 0) {
		free(data);
		return error_set(err, EINVAL,
				 "params.data: expected base64 with padding, "
				 "found something else");
	}
	taken = len ? machine_console_input(control->machine, data, len) : 0;
	free(data);
	if ((size_t)taken < len)
		control_client_subscribe(client, control_client_topics(client) |
							 MACHINE_CONTROL_ROOM);
	return machine_control_result(result,
				      json_pack("{s:i}", "taken", taken), err);
}

static int machine_control_resize(void *ctx, struct control_client *client,
				  const json_t *params, json_t **result,
				  struct error *err)
{
	struct machine_control *control = ctx;

	(void)client;
	(void)result;
	return machine_console_resize(control->machine,
				      (unsigned int)json_integer_value(
					      json_object_get(params, "cols")),
				      (unsigned int)json_integer_value(
					      json_object_get(params, "rows")),
				      err);
}

/* Have the device that params name carry out a command. args: taken over, NULL
 * if there is no memory for it. */
static int machine_control_device(struct machine_control *control,
				  const char *command, const json_t *params,
				  json_t *args, json_t **result,
				  struct error *err)
{
	const char *label =
		json_string_value(json_object_get(params, "device"));
	int ret;

	if (!args)
		return error_set(err, ENOMEM, "out of memory");
	ret = machine_device(control->machine, label, command, args, result,
			     err);
	json_decref(args);
	return ret;
}

static int machine_control_resize_disk(void *ctx, struct control_client *client,
				       const json_t *params, json_t **result,
				       struct error *err)
{
	json_t *args = json_copy((json_t *)(uintptr_t)params);

	(void)client;
	if (args)
		json_object_del(args, "device");
	return machine_control_device(ctx, "resize", params, args, result, err);
}

static int machine_control_link(void *ctx, struct control_client *client,
				const json_t *params, json_t **result,
				struct error *err)
{
	const char *state = json_string_value(json_object_get(params, "state"));
	bool up = strcmp(state, "up") == 0;

	(void)client;
	if (!up && strcmp(state, "down") != 0)
		return error_set(err, EINVAL,
				 "params.state: expected up or down, found "
				 "\"%.32s\"",
				 state);
	return machine_control_device(
		ctx, "link", params, json_pack("{s:b}", "up", up), result, err);
}

static int machine_control_counters(void *ctx, struct control_client *client,
				    const json_t *params, json_t **result,
				    struct error *err)
{
	(void)client;
	return machine_control_device(ctx, "counters", params, json_object(),
				      result, err);
}

static const struct control_method machine_control_table[] = {
	{
		.name = "status",
		.call = machine_control_status,
		.help = "what the machine is and how it does",
	},
	{
		.name = "pause",
		.call = machine_control_pause,
		.help = "stop its vCPUs until resume",
	},
	{
		.name = "resume",
		.call = machine_control_resume,
		.help = "let them go on",
	},
	{
		.name = "powerbutton",
		.call = machine_control_power_button,
		.help = "press the power button",
	},
	{
		.name = "reset",
		.call = machine_control_reset,
		.help = "reboot it in place",
	},
	{
		.name = "stop",
		.call = machine_control_stop,
		.help = "press the power button, wait --grace, pull the plug",
	},
	{
		.name = "quit",
		.call = machine_control_quit,
		.help = "pull the plug at once",
	},
	{
		.name = "log",
		.params = {{.name = "level",
			    .type = CONTROL_TEXT,
			    .required = true}},
		.call = machine_control_log,
		.help = "print messages from this level on: error, warn, info, "
			"debug",
	},
	{
		.name = "subscribe",
		.params = {{.name = "events", .type = CONTROL_TEXTS}},
		.call = machine_control_subscribe,
		.help = "be told of started, panicked, reset, paused, resumed, "
			"device, stopped",
	},
	{
		.name = "resize",
		.params = {{.name = "device",
			    .type = CONTROL_TEXT,
			    .required = true},
			   {.name = "size",
			    .type = CONTROL_INTEGER,
			    .min = 512,
			    .max = INT64_MAX},
			   {.name = "shrink", .type = CONTROL_FLAG}},
		.call = machine_control_resize_disk,
		.help = "give a disk (block0) this size in bytes, or else "
			"that of its file; a smaller one only with shrink=true",
	},
	{
		.name = "link",
		.params = {{.name = "device",
			    .type = CONTROL_TEXT,
			    .required = true},
			   {.name = "state",
			    .type = CONTROL_TEXT,
			    .required = true}},
		.call = machine_control_link,
		.help = "plug a network card's (net0) cable in or pull it: up, "
			"down",
	},
	{
		.name = "counters",
		.params = {{.name = "device",
			    .type = CONTROL_TEXT,
			    .required = true}},
		.call = machine_control_counters,
		.help = "what a network card has carried",
	},
	{
		.name = "console.attach",
		.call = machine_control_attach,
		.help = "be sent what the console prints",
	},
	{
		.name = "console.detach",
		.call = machine_control_detach,
		.help = "no longer",
	},
	{
		.name = "console.input",
		.params = {{.name = "data",
			    .type = CONTROL_TEXT,
			    .required = true}},
		.call = machine_control_input,
		.help = "type base64 data on the console",
	},
	{
		.name = "console.resize",
		.params = {{.name = "cols",
			    .type = CONTROL_INTEGER,
			    .required = true,
			    .min = 1,
			    .max = UINT16_MAX},
			   {.name = "rows",
			    .type = CONTROL_INTEGER,
			    .required = true,
			    .min = 1,
			    .max = UINT16_MAX}},
		.call = machine_control_resize,
		.help = "say how large the terminal is; a serial port refuses",
	},
};

const struct control_method *machine_control_methods(size_t *count)
{
	*count = sizeof(machine_control_table) /
		 sizeof(machine_control_table[0]);
	return machine_control_table;
}

/* --- Messages ------------------------------------------------------------- */

static void machine_control_event(void *ctx, enum machine_event event,
				  const struct outcome *outcome)
{
	struct machine_control *control = ctx;
	const char *name = machine_control_event_names[event];
	uint64_t topic = UINT64_C(1) << event;
	json_t *params;

	if (!control_wanted(control->control, topic))
		return;
	if (outcome)
		params = json_pack("{s:s, s:s, s:i}", "event", name, "reason",
				   outcome_word(outcome->kind), "status",
				   outcome_status(outcome));
	else
		params = json_pack("{s:s}", "event", name);
	control_publish(control->control, topic,
			control_rpc_notification("event", params),
			CONTROL_RELIABLE);
}

static void machine_control_device_event(void *ctx, const char *label,
					 const char *state, const char *reason)
{
	struct machine_control *control = ctx;
	const uint64_t topic = UINT64_C(1) << MACHINE_DEVICE;

	if (!control_wanted(control->control, topic))
		return;
	control_publish(
		control->control, topic,
		control_rpc_notification(
			"event",
			json_pack("{s:s, s:s, s:s, s:s*}", "event",
				  machine_control_event_names[MACHINE_DEVICE],
				  "device", label, "state", state, "reason",
				  reason)),
		CONTROL_RELIABLE);
}

/* At most MACHINE_CONTROL_OUTPUT_MAX bytes, which begin at offset. */
static json_t *machine_control_output_message(const uint8_t *data, size_t len,
					      uint64_t offset)
{
	char text[BASE64_LEN(MACHINE_CONTROL_OUTPUT_MAX) + 1];

	base64_encode(text, data, len);
	return control_rpc_notification(
		"console.output", json_pack("{s:I, s:s}", "offset",
					    (json_int_t)offset, "data", text));
}

static void machine_control_output(void *ctx, const uint8_t *data, size_t len)
{
	struct machine_control *control = ctx;
	uint64_t offset = control->printed;

	control->printed += len;
	while (len &&
	       control_wanted(control->control, MACHINE_CONTROL_OUTPUT)) {
		size_t part = len < MACHINE_CONTROL_OUTPUT_MAX
				      ? len
				      : MACHINE_CONTROL_OUTPUT_MAX;

		control_publish(
			control->control, MACHINE_CONTROL_OUTPUT,
			machine_control_output_message(data, part, offset),
			CONTROL_LOSSY);
		data += part;
		len -= part;
		offset += part;
	}
}

/* Once for each input that was not taken as a whole. */
static void machine_control_input_room(void *ctx)
{
	struct machine_control *control = ctx;

	if (!control_wanted(control->control, MACHINE_CONTROL_ROOM))
		return;
	control_publish(control->control, MACHINE_CONTROL_ROOM,
			control_rpc_notification("console.room", json_object()),
			CONTROL_RELIABLE);
	control_unsubscribe_all(control->control, MACHINE_CONTROL_ROOM);
}

/* --- Life ----------------------------------------------------------------- */

int machine_control_new(struct machine_control **out, struct machine *machine,
			struct loop *loop, const char *name, struct error *err)
{
	struct machine_control *control = calloc(1, sizeof(*control));
	struct control_config config = {.loop = loop, .ctx = control};
	int ret;

	if (!control)
		return error_set(err, ENOMEM, "out of memory");
	control->machine = machine;
	control->observer = (struct machine_observer){
		.event = machine_control_event,
		.device = machine_control_device_event,
		.output = machine_control_output,
		.input_room = machine_control_input_room,
		.ctx = control,
	};
	ret = names_claim(&control->claim, name, err);
	if (ret < 0)
		goto err_free;
	config.fd = listen_fd(control->claim);
	config.table.methods = machine_control_methods(&config.table.count);
	ret = control_new(&control->control, &config, err);
	if (ret < 0)
		goto err_release;
	*out = control;
	return 0;

err_release:
	listen_release(control->claim);
err_free:
	free(control);
	return ret;
}

void machine_control_free(struct machine_control *control)
{
	if (!control)
		return;
	control_flush(control->control, MACHINE_CONTROL_FLUSH_NS);
	control_stop_listening(control->control);
	listen_release(control->claim);
	control_free(control->control);
	free(control);
}

const struct machine_observer *
machine_control_observer(struct machine_control *control)
{
	return &control->observer;
}
