/*
 * The verbs ps, wait and stop.
 */
#include "vmm/client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/client_words.h"
#include "vmm/names.h"
#include "vmm/outcome.h"
#include "vmm/remote.h"

/* A machine that takes longer to say how it does hangs. */
#define CLIENT_PS_NS INT64_C(1000000000)

/* --- wait, stop ----------------------------------------------------------- */

/*
 * Wait for the end of a machine that has been subscribed to.
 * end: a new reference to what it said.
 */
static int client_await_end(struct remote *remote, json_t **end, int *status,
			    struct error *err)
{
	for (;;) {
		int ret = remote_receive(remote, -1, end, err);

		if (ret < 0)
			return ret;
		if (client_is_end(*end, status))
			break;
		json_decref(*end);
	}
	remote_wait_exit(remote);
	return 0;
}

/*
 * Wait for a machine's end, after asking for it if stop is set.
 * status: the exit status of the machine
 */
static int client_end(const struct client_words *words, bool stop, int *status,
		      struct error *err)
{
	const char *name = words->words[0];
	struct remote *remote;
	json_t *end;
	int ret;

	ret = remote_open(&remote, name, REMOTE_REPLY_NS, err);
	if (ret < 0)
		return ret;
	/* First, so that no end is missed. */
	ret = remote_call(remote, "subscribe",
			  json_pack("{s:[s]}", "events", "stopped"), NULL, err);
	if (ret == 0 && stop)
		ret = remote_call(remote, "stop", NULL, NULL, err);
	/* One that ended by itself meanwhile has said so before. */
	if (ret == 0 || ret == -ECONNRESET)
		ret = client_await_end(remote, &end, status, err);
	if (ret == -ECONNRESET)
		error_set(err, ECONNRESET,
			  "%s: the machine has ended without saying how; was "
			  "its process killed?",
			  name);
	if (ret == 0) {
		if (words->json)
			client_print_json(json_object_get(end, "params"));
		json_decref(end);
	}
	remote_close(remote);
	return ret;
}

int client_wait(int argc, char **argv)
{
	struct error err = {.text = ""};
	struct client_words words;
	int status = OUTCOME_EXIT_ERROR;

	if (client_words_parse(&words, "wait", argc, argv, "a machine's NAME",
			       1, 1, &err) < 0)
		return client_fail(&err);
	if (client_end(&words, false, &status, &err) < 0)
		return client_fail(&err);
	return status;
}

int client_stop(int argc, char **argv)
{
	struct error err = {.text = ""};
	struct client_words words;
	int status;

	if (client_words_parse(&words, "stop", argc, argv, "a machine's NAME",
			       1, 1, &err) < 0)
		return client_fail(&err);
	if (client_end(&words, true, &status, &err) < 0)
		return client_fail(&err);
	return 0;
}

/* --- ps ------------------------------------------------------------------- */

/*
 * Ask one machine. status: a new reference, or NULL for none that runs. A
 * machine that does not answer has the state "hung".
 */
static int client_ps_ask(const char *name, json_t **status, struct error *err)
{
	struct remote *remote = NULL;
	pid_t pid = 0;
	int ret;

	*status = NULL;
	ret = remote_open(&remote, name, CLIENT_PS_NS, err);
	if (ret == 0) {
		pid = remote_pid(remote);
		ret = remote_call(remote, "status", NULL, status, err);
	}
	remote_close(remote);
	if (ret == -ETIMEDOUT || ret == -EAGAIN) {
		*status = json_pack("{s:s, s:o, s:s}", "name", name, "pid",
				    pid ? json_integer(pid) : json_null(),
				    "state", "hung");
		return 0;
	}
	return ret;
}

/* machines: a new reference to an array. */
static int client_ps_collect(json_t **machines, struct error *err)
{
	char **names;
	size_t count;
	int ret;

	ret = names_list(&names, &count, err);
	if (ret < 0)
		return ret;
	*machines = json_array();
	for (size_t i = 0; i < count; i++) {
		struct error why = {.text = ""};
		json_t *status;

		ret = client_ps_ask(names[i], &status, &why);
		/* It has ended since it was listed. */
		if (ret == -ENOENT || ret == -ECONNRESET)
			continue;
		if (ret < 0)
			log_warn("%s", why.text);
		else
			json_array_append_new(*machines, status);
	}
	names_list_free(names, count);
	return 0;
}

static const char *client_ps_text(const json_t *machine, const char *key)
{
	const char *text = json_string_value(json_object_get(machine, key));

	return text ? text : "-";
}

/* A number in a column; "-" for one that is missing. */
static void client_ps_number(const json_t *machine, const char *key, int width)
{
	const json_t *value = json_object_get(machine, key);

	if (json_is_integer(value))
		printf(" %*" JSON_INTEGER_FORMAT, width,
		       json_integer_value(value));
	else
		printf(" %*s", width, "-");
}

static void client_ps_memory(const json_t *machine)
{
	const json_t *value = json_object_get(machine, "memory");

	if (json_is_integer(value))
		printf(" %6" JSON_INTEGER_FORMAT "M",
		       json_integer_value(value) >> 20);
	else
		printf(" %7s", "-");
}

static void client_ps_uptime(const json_t *machine)
{
	const json_t *value = json_object_get(machine, "uptime_ns");
	json_int_t s = json_integer_value(value) / 1000000000;

	if (json_is_integer(value))
		printf(" %4" JSON_INTEGER_FORMAT ":%02d:%02d\n", s / 3600,
		       (int)(s / 60 % 60), (int)(s % 60));
	else
		printf(" %10s\n", "-");
}

static void client_ps_print(const json_t *machines)
{
	printf("%-16s %-8s %7s %4s %7s %10s\n", "NAME", "STATE", "PID", "CPUS",
	       "MEMORY", "UPTIME");
	for (size_t i = 0; i < json_array_size(machines); i++) {
		const json_t *machine = json_array_get(machines, i);

		printf("%-16s %-8s", client_ps_text(machine, "name"),
		       client_ps_text(machine, "state"));
		client_ps_number(machine, "pid", 7);
		client_ps_number(machine, "cpus", 4);
		client_ps_memory(machine);
		client_ps_uptime(machine);
	}
}

int client_ps(int argc, char **argv)
{
	struct error err = {.text = ""};
	struct client_words words;
	json_t *machines;

	if (client_words_parse(&words, "ps", argc, argv, "", 0, 0, &err) < 0)
		return client_fail(&err);
	if (client_ps_collect(&machines, &err) < 0)
		return client_fail(&err);
	if (words.json)
		client_print_json(machines);
	else
		client_ps_print(machines);
	json_decref(machines);
	return 0;
}
