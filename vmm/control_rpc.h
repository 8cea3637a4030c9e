/*
 * JSON-RPC 2.0 (https://www.jsonrpc.org/specification), one message a line: a
 * request is checked against a table of methods before its function is called.
 * No batches, and parameters by name only. No state, no descriptors: control.c
 * has the connections.
 */
#ifndef VMM_CONTROL_RPC_H
#define VMM_CONTROL_RPC_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "vmm/base/error.h"

/* Section 5.1, and one of the range that it leaves to the server. */
enum control_code {
	CONTROL_PARSE_ERROR = -32700,
	CONTROL_INVALID_REQUEST = -32600,
	CONTROL_METHOD_NOT_FOUND = -32601,
	CONTROL_INVALID_PARAMS = -32602,
	CONTROL_INTERNAL_ERROR = -32603,
	CONTROL_FAILED = -32000, /* the method says why, with an errno's name */
};

enum control_type {
	CONTROL_TEXT,	 /* a string */
	CONTROL_INTEGER, /* a number without fraction, min to max */
	CONTROL_TEXTS,	 /* an array of strings */
	CONTROL_FLAG,	 /* true or false */
};

struct control_param {
	const char *name;
	enum control_type type;
	bool required;
	json_int_t min, max; /* CONTROL_INTEGER */
};

#define CONTROL_PARAMS_MAX 4

struct control_client; /* who asks; see control.h */

struct control_method {
	const char *name;
	struct control_param params[CONTROL_PARAMS_MAX]; /* to the first
							    without a name */
	/*
	 * params: an object that is as the row says. result: a new reference,
	 * or NULL for {}. Return: 0, or a negative errno with err set: -EINVAL
	 * for a parameter's value that cannot be.
	 */
	int (*call)(void *ctx, struct control_client *client,
		    const json_t *params, json_t **result, struct error *err);
	const char *help;
};

struct control_table {
	const struct control_method *methods;
	size_t count;
};

/* Return: the row of @name, or NULL. */
const struct control_method *control_rpc_find(const struct control_table *table,
					      const char *name);

/**
 * control_rpc_answer() - Carry out one request.
 * @ctx, @client: for the method
 * @line: what a client sent, without the newline; any bytes
 * @reply: a new reference, or NULL where there is none to send: the request
 *         was a notification
 *
 * Main thread. Return: 0 or -ENOMEM.
 */
int control_rpc_answer(const struct control_table *table, void *ctx,
		       struct control_client *client, const char *line,
		       size_t len, json_t **reply);

/**
 * control_rpc_refuse() - The error reply to what is not a request.
 *
 * Return: a new reference, or NULL without memory.
 */
json_t *control_rpc_refuse(enum control_code code, const char *text);

/**
 * control_rpc_notification() - A message of the server's own accord.
 * @params: taken over, also on failure
 *
 * Return: a new reference, or NULL without memory.
 */
json_t *control_rpc_notification(const char *method, json_t *params);

#endif
