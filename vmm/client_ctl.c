/*
 * The verb ctl: any method by its name. The words are made parameters by the
 * method's row; a machine of another version may have methods that this
 * program does not know, which are sent as well as they can be.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/client.h"
#include "vmm/client_words.h"
#include "vmm/machine_control.h"
#include "vmm/option_number.h"
#include "vmm/remote.h"

/* --- Words to parameters -------------------------------------------------- */

static json_t *client_ctl_list(const char *text)
{
	json_t *list = json_array();

	while (list && *text) {
		size_t len = strcspn(text, ",");

		json_array_append_new(list, json_stringn(text, len));
		text += len;
		text += *text == ',';
	}
	return list;
}

/* JSON if it is some, otherwise text. */
static json_t *client_ctl_any(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	return value ? value : json_string(text);
}

/* A number; also a size, such as 20G. Anything else as it is. */
static json_t *client_ctl_number(const char *text)
{
	uint64_t value;

	if (option_number_parse(OPTION_UNIT_BYTES, text, &value) ||
	    value > INT64_MAX)
		return client_ctl_any(text);
	return json_integer((json_int_t)value);
}

static json_t *client_ctl_value(enum control_type type, const char *text)
{
	switch (type) {
	case CONTROL_TEXT:
		return json_string(text);
	case CONTROL_TEXTS:
		return client_ctl_list(text);
	case CONTROL_INTEGER:
		return client_ctl_number(text);
	case CONTROL_FLAG:
		break;
	}
	return client_ctl_any(text);
}

/* The parameter of that name. Return: NULL if the row has none. */
static const struct control_param *
client_ctl_find(const struct control_method *method, const char *name,
		size_t name_len)
{
	for (size_t i = 0; i < CONTROL_PARAMS_MAX; i++) {
		const struct control_param *param = &method->params[i];

		if (param->name && strlen(param->name) == name_len &&
		    !strncmp(param->name, name, name_len))
			return param;
	}
	return NULL;
}

/* The first parameter without a value. Return: NULL if there is none. */
static const struct control_param *
client_ctl_next(const struct control_method *method, const json_t *params)
{
	for (size_t i = 0; i < CONTROL_PARAMS_MAX; i++) {
		const struct control_param *param = &method->params[i];

		if (param->name && !json_object_get(params, param->name))
			return param;
	}
	return NULL;
}

static int client_ctl_set(json_t *params, const char *name, size_t name_len,
			  json_t *value, struct error *err)
{
	char key[80];

	snprintf(key, sizeof(key), "%.*s", (int)name_len, name);
	if (json_object_get(params, key)) {
		json_decref(value);
		return error_set(err, EINVAL,
				 "ctl: %s: expected once, found twice", key);
	}
	if (json_object_set_new(params, key, value) < 0)
		return error_set(err, EINVAL,
				 "ctl: %s: expected UTF-8, found other bytes",
				 key);
	return 0;
}

/* For a method that this program does not know: `KEY=VALUE` only. */
static int client_ctl_add_any(json_t *params, const char *word,
			      struct error *err)
{
	const char *equals = strchr(word, '=');

	if (!equals)
		return error_set(err, EINVAL,
				 "ctl: expected KEY=VALUE, found \"%.80s\", "
				 "since this bantam does not know the method",
				 word);
	return client_ctl_set(params, word, (size_t)(equals - word),
			      client_ctl_any(equals + 1), err);
}

/*
 * `KEY=VALUE`, or the value of the next parameter that has none. A value may
 * have a `=`, as base64 does: what stands before one is a key only if the
 * method has it.
 */
static int client_ctl_add(json_t *params, const struct control_method *method,
			  const char *word, struct error *err)
{
	const char *equals = strchr(word, '=');
	const struct control_param *param = NULL;
	const char *text = word;

	if (equals)
		param = client_ctl_find(method, word, (size_t)(equals - word));
	if (param)
		text = equals + 1;
	else
		param = client_ctl_next(method, params);
	if (!param)
		return error_set(err, EINVAL,
				 "ctl: %s: expected no more words, found "
				 "\"%.80s\"; see `bantam help ctl`",
				 method->name, word);
	return client_ctl_set(params, param->name, strlen(param->name),
			      client_ctl_value(param->type, text), err);
}

/* params: a new reference. */
static int client_ctl_params(const struct client_words *words, json_t **params,
			     struct error *err)
{
	struct control_table table;
	const struct control_method *method;

	table.methods = machine_control_methods(&table.count);
	method = control_rpc_find(&table, words->words[1]);
	*params = json_object();
	for (int i = 2; i < words->count; i++) {
		const char *word = words->words[i];
		int ret = method ? client_ctl_add(*params, method, word, err)
				 : client_ctl_add_any(*params, word, err);

		if (ret < 0) {
			json_decref(*params);
			return ret;
		}
	}
	return 0;
}

/* --- Output --------------------------------------------------------------- */

/* Whether a terminal would take no byte of it as a command. */
static bool client_ctl_is_plain(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

/* A member a line; text as it is where that does no harm. */
static void client_ctl_print(json_t *result)
{
	const char *key;
	json_t *value;

	json_object_foreach(result, key, value)
	{
		const char *text = json_string_value(value);

		printf("%s: ", key);
		if (text && client_ctl_is_plain(text))
			puts(text);
		else
			client_print_json(value);
	}
	fflush(stdout);
}

/* Print what the machine tells of its own accord, until it ends. */
static int client_ctl_follow(struct remote *remote, struct error *err)
{
	json_t *message;
	int ret;

	while ((ret = remote_receive(remote, -1, &message, err)) == 0) {
		client_print_json(message);
		json_decref(message);
	}
	return ret == -ECONNRESET ? 0 : ret;
}

static int client_ctl_request(const struct client_words *words,
			      struct error *err)
{
	const char *method = words->words[1];
	json_t *params, *result = NULL;
	struct remote *remote;
	int ret;

	ret = client_ctl_params(words, &params, err);
	if (ret < 0)
		return ret;
	ret = remote_open(&remote, words->words[0], REMOTE_REPLY_NS, err);
	if (ret < 0) {
		json_decref(params);
		return ret;
	}
	ret = remote_call(remote, method, params, &result, err);
	if (ret == 0 && words->json)
		client_print_json(result);
	else if (ret == 0)
		client_ctl_print(result);
	else if (ret == -EREMOTEIO && words->json)
		client_print_json(remote_refusal(remote));
	json_decref(result);
	if (ret == 0 &&
	    (!strcmp(method, "subscribe") || !strcmp(method, "console.attach")))
		ret = client_ctl_follow(remote, err);
	remote_close(remote);
	return ret;
}

int client_ctl(int argc, char **argv)
{
	struct error err = {.text = ""};
	struct client_words words;

	if (client_words_parse(&words, "ctl", argc, argv,
			       "a machine's NAME and a METHOD", 2, -1,
			       &err) < 0)
		return client_fail(&err);
	if (client_ctl_request(&words, &err) < 0)
		return client_fail(&err);
	return 0;
}
