/*
 * libFuzzer: the input is what a control client sends, a request a line; a
 * table with parameters of every type answers. Base64 is decoded on the way.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/base64.h"
#include "vmm/control_rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the row says has to be so. */
static int fuzz_call(void *ctx, struct control_client *client,
		     const json_t *params, json_t **result, struct error *err)
{
	const json_t *text = json_object_get(params, "text");
	const json_t *number = json_object_get(params, "number");
	const json_t *texts = json_object_get(params, "texts");
	size_t text_len = json_string_length(text), len;
	uint8_t *bytes;

	(void)ctx;
	(void)client;
	if (!json_is_string(text) || (texts && !json_is_array(texts)) ||
	    (number && (json_integer_value(number) < -5 ||
			json_integer_value(number) > 5)))
		abort();
	for (size_t i = 0; i < json_array_size(texts); i++) {
		if (!json_is_string(json_array_get(texts, i)))
			abort();
	}
	bytes = malloc(text_len / 4 * 3 + 1);
	if (!bytes)
		abort();
	if (base64_decode(bytes, &len, json_string_value(text), text_len) < 0) {
		free(bytes);
		return error_set(err, EINVAL, "%s", json_string_value(text));
	}
	*result = json_pack("{s:I}", "len", (json_int_t)len);
	free(bytes);
	return 0;
}

static const struct control_method fuzz_methods[] = {
	{
		.name = "call",
		.params = {{.name = "text",
			    .type = CONTROL_TEXT,
			    .required = true},
			   {.name = "number",
			    .type = CONTROL_INTEGER,
			    .min = -5,
			    .max = 5},
			   {.name = "texts", .type = CONTROL_TEXTS}},
		.call = fuzz_call,
	},
};
static const struct control_table fuzz_table = {fuzz_methods, 1};

static void fuzz_line(const char *line, size_t len)
{
	json_t *reply;
	char *text;

	if (control_rpc_answer(&fuzz_table, NULL, NULL, line, len, &reply) < 0)
		abort();
	if (!reply)
		return;
	/* A reply has an id, one of result and error, and is one line. */
	if (!json_object_get(reply, "id") ||
	    !json_object_get(reply, "result") ==
		    !json_object_get(reply, "error"))
		abort();
	text = json_dumps(reply, JSON_COMPACT);
	if (!text || strchr(text, '\n'))
		abort();
	free(text);
	json_decref(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data;

	while (size) {
		const char *end = memchr(at, '\n', size);
		size_t len = end ? (size_t)(end - at) : size;

		fuzz_line(at, len);
		at += len + (end != NULL);
		size -= len + (end != NULL);
	}
	return 0;
}
