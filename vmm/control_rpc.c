/*
 * JSON-RPC 2.0 requests. Every byte of a line is the client's: jansson checks
 * that it is JSON (UTF-8, depth, numbers that fit), this file that it is a
 * request and has the parameters that the method's row names; only then is the
 * method called.
 */
#include "vmm/control_rpc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Characters of a client's own words that a message repeats. */
#define CONTROL_QUOTE_MAX 64

/* A request on its way through the checks. */
struct control_request {
	const json_t *object;
	json_t *id; /* borrowed from object; NULL: a notification */
	const struct control_method *method;
	const json_t *params; /* borrowed from object, or none */
	json_t *none;	      /* owned: an empty object */
};

static const char *const control_type_names[] = {
	[CONTROL_TEXT] = "text",
	[CONTROL_INTEGER] = "an integer",
	[CONTROL_TEXTS] = "an array of texts",
	[CONTROL_FLAG] = "true or false",
};

/* Text as JSON; bytes that are not UTF-8 (of a file's name) become '?'. */
static json_t *control_rpc_text(const char *text)
{
	json_t *value = json_string(text);
	char *copy;

	if (value)
		return value;
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (char *c = copy; *c; c++) {
		if (*c & 0x80)
			*c = '?';
	}
	value = json_string(copy);
	free(copy);
	return value;
}

/* errnum: of the method, or 0. id: NULL for null. */
static json_t *control_rpc_error(json_t *id, int code, const char *text,
				 int errnum)
{
	const char *errname = errnum ? strerrorname_np(errnum) : NULL;
	json_t *error;

	error = json_pack("{s:i, s:o}", "code", code, "message",
			  control_rpc_text(text));
	if (error && errname &&
	    json_object_set_new(error, "data",
				json_pack("{s:s}", "errno", errname)) < 0) {
		json_decref(error);
		return NULL;
	}
	return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "error", error,
			 "id", id ? json_incref(id) : json_null());
}

json_t *control_rpc_refuse(enum control_code code, const char *text)
{
	return control_rpc_error(NULL, code, text, 0);
}

json_t *control_rpc_notification(const char *method, json_t *params)
{
	return json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method,
			 "params", params);
}

const struct control_method *control_rpc_find(const struct control_table *table,
					      const char *name)
{
	for (size_t i = 0; i < table->count; i++) {
		if (strcmp(table->methods[i].name, name) == 0)
			return &table->methods[i];
	}
	return NULL;
}

/* --- Parameters ----------------------------------------------------------- */

static const struct control_param *
control_rpc_find_param(const struct control_method *method, const char *name)
{
	for (size_t i = 0; i < CONTROL_PARAMS_MAX; i++) {
		if (method->params[i].name &&
		    strcmp(method->params[i].name, name) == 0)
			return &method->params[i];
	}
	return NULL;
}

static bool control_rpc_is_texts(const json_t *value)
{
	if (!json_is_array(value))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++) {
		if (!json_is_string(json_array_get(value, i)))
			return false;
	}
	return true;
}

static bool control_rpc_has_type(const json_t *value, enum control_type type)
{
	switch (type) {
	case CONTROL_TEXT:
		return json_is_string(value);
	case CONTROL_INTEGER:
		return json_is_integer(value);
	case CONTROL_TEXTS:
		return control_rpc_is_texts(value);
	case CONTROL_FLAG:
		return json_is_boolean(value);
	}
	return false;
}

/* value: NULL if it is not given. Return: an enum control_code, or 0. */
static int control_rpc_check_param(const struct control_param *param,
				   const json_t *value, struct error *err)
{
	json_int_t number;

	if (!value && !param->required)
		return 0;
	if (!value || !control_rpc_has_type(value, param->type)) {
		error_set(err, EINVAL, "params.%s: expected %s, found %s",
			  param->name, control_type_names[param->type],
			  value ? "something else" : "none");
		return CONTROL_INVALID_PARAMS;
	}
	if (param->type != CONTROL_INTEGER)
		return 0;
	number = json_integer_value(value);
	if (number < param->min || number > param->max) {
		error_set(err, EINVAL,
			  "params.%s: expected %" JSON_INTEGER_FORMAT
			  " to %" JSON_INTEGER_FORMAT
			  ", found %" JSON_INTEGER_FORMAT,
			  param->name, param->min, param->max, number);
		return CONTROL_INVALID_PARAMS;
	}
	return 0;
}

static int control_rpc_check_params(const struct control_request *request,
				    struct error *err)
{
	const struct control_method *method = request->method;
	/* Jansson's iterators take no const, yet they only read. */
	json_t *walk = (json_t *)(uintptr_t)request->params;

	for (void *i = json_object_iter(walk); i;
	     i = json_object_iter_next(walk, i)) {
		const char *name = json_object_iter_key(i);

		if (control_rpc_find_param(method, name))
			continue;
		error_set(err, EINVAL, "params.%.*s: %s has no such parameter",
			  CONTROL_QUOTE_MAX, name, method->name);
		return CONTROL_INVALID_PARAMS;
	}
	for (size_t i = 0; i < CONTROL_PARAMS_MAX; i++) {
		const struct control_param *param = &method->params[i];
		int code;

		if (!param->name)
			break;
		code = control_rpc_check_param(
			param, json_object_get(request->params, param->name),
			err);
		if (code)
			return code;
	}
	return 0;
}

/* --- Requests ------------------------------------------------------------- */

static int control_rpc_invalid(struct error *err, const char *text)
{
	error_set(err, EINVAL, "%s", text);
	return CONTROL_INVALID_REQUEST;
}

static int control_rpc_check_members(const json_t *object, struct error *err)
{
	static const char *const members[] = {"jsonrpc", "method", "params",
					      "id"};
	size_t known = 0;

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		known += json_object_get(object, members[i]) != NULL;
	if (known == json_object_size(object))
		return 0;
	return control_rpc_invalid(err, "expected the members \"jsonrpc\", "
					"\"method\", \"params\" and \"id\", "
					"found others, too");
}

/* All but what the method itself asks for. Return: a code, or 0. */
static int control_rpc_check_request(struct control_request *request,
				     struct error *err)
{
	const json_t *object = request->object;
	json_t *id = json_object_get(object, "id");
	const char *version =
		json_string_value(json_object_get(object, "jsonrpc"));

	if (json_is_array(object))
		return control_rpc_invalid(err, "expected an object, found an "
						"array; batches are not "
						"supported, send a line each");
	if (!json_is_object(object))
		return control_rpc_invalid(err, "expected an object");
	if (id && !json_is_string(id) && !json_is_number(id) &&
	    !json_is_null(id))
		return control_rpc_invalid(
			err, "\"id\": expected text, a number or null");
	request->id = id;
	if (!version || strcmp(version, "2.0") != 0)
		return control_rpc_invalid(err,
					   "\"jsonrpc\": expected \"2.0\"");
	if (!json_is_string(json_object_get(object, "method")))
		return control_rpc_invalid(err, "\"method\": expected text");
	return control_rpc_check_members(object, err);
}

/* Find the method and give it what it asks for. Return: a code, or 0. */
static int control_rpc_resolve(const struct control_table *table,
			       struct control_request *request,
			       struct error *err)
{
	const char *name =
		json_string_value(json_object_get(request->object, "method"));

	request->method = control_rpc_find(table, name);
	if (!request->method) {
		error_set(err, ENOSYS,
			  "no method \"%.*s\"; `bantam help ctl` lists them",
			  CONTROL_QUOTE_MAX, name);
		return CONTROL_METHOD_NOT_FOUND;
	}
	request->params = json_object_get(request->object, "params");
	if (!request->params)
		request->params = request->none;
	if (!json_is_object(request->params)) {
		error_set(err, EINVAL,
			  "\"params\": expected an object of named values");
		return CONTROL_INVALID_PARAMS;
	}
	return control_rpc_check_params(request, err);
}

static json_t *control_rpc_call(const struct control_request *request,
				void *ctx, struct control_client *client)
{
	struct error err = {.text = ""};
	json_t *result = NULL;
	int code, ret;

	ret = request->method->call(ctx, client, request->params, &result,
				    &err);
	if (ret == 0)
		return json_pack("{s:s, s:o, s:O}", "jsonrpc", "2.0", "result",
				 result ? result : json_object(), "id",
				 request->id ? request->id : json_null());
	json_decref(result);
	if (ret == -ENOMEM)
		code = CONTROL_INTERNAL_ERROR;
	else if (ret == -EINVAL)
		code = CONTROL_INVALID_PARAMS;
	else
		code = CONTROL_FAILED;
	return control_rpc_error(request->id, code, err.text, -ret);
}

static json_t *control_rpc_carry_out(const struct control_table *table,
				     struct control_request *request, void *ctx,
				     struct control_client *client,
				     bool *notification)
{
	struct error err = {.text = ""};
	int code;

	code = control_rpc_check_request(request, &err);
	/* What is no request cannot be known to want no reply. */
	if (code)
		return control_rpc_error(request->id, code, err.text, 0);
	*notification = request->id == NULL;
	code = control_rpc_resolve(table, request, &err);
	if (code)
		return control_rpc_error(request->id, code, err.text, 0);
	return control_rpc_call(request, ctx, client);
}

int control_rpc_answer(const struct control_table *table, void *ctx,
		       struct control_client *client, const char *line,
		       size_t len, json_t **reply)
{
	struct control_request request = {.none = json_object()};
	bool notification = false;
	json_error_t where;
	json_t *object;

	object = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
			    &where);
	if (object) {
		request.object = object;
		*reply = control_rpc_carry_out(table, &request, ctx, client,
					       &notification);
	} else {
		*reply = control_rpc_refuse(CONTROL_PARSE_ERROR, where.text);
	}
	json_decref(object);
	json_decref(request.none);
	if (!*reply)
		return -ENOMEM;
	if (notification) {
		json_decref(*reply);
		*reply = NULL;
	}
	return 0;
}
