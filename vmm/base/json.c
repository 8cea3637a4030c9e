/*
 * Device state as JSON values. What is loaded comes from a snapshot that
 * anybody may have edited: every member is checked before the first one is
 * set, so that a refusal changes nothing.
 */
#include "vmm/base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a wrong value that a message quotes. */
#define JSON_QUOTE_MAX 40

static uint64_t json_uint_read(const void *at, size_t size)
{
	uint64_t u64 = 0;
	uint32_t u32;
	uint16_t u16;
	uint8_t u8;

	switch (size) {
	case 1:
		memcpy(&u8, at, size);
		return u8;
	case 2:
		memcpy(&u16, at, size);
		return u16;
	case 4:
		memcpy(&u32, at, size);
		return u32;
	default:
		memcpy(&u64, at, sizeof(u64));
		return u64;
	}
}

static void json_uint_write(void *at, size_t size, uint64_t value)
{
	uint32_t u32 = (uint32_t)value;
	uint16_t u16 = (uint16_t)value;
	uint8_t u8 = (uint8_t)value;

	switch (size) {
	case 1:
		memcpy(at, &u8, size);
		break;
	case 2:
		memcpy(at, &u16, size);
		break;
	case 4:
		memcpy(at, &u32, size);
		break;
	default:
		memcpy(at, &value, sizeof(value));
		break;
	}
}

/* The largest value that a field may take. */
static uint64_t json_uint_max(const struct json_field *field)
{
	uint64_t fits = UINT64_MAX >> (64 - 8 * field->size);

	return field->max < fits ? field->max : fits;
}

/* The value of a hexadecimal digit, -1 if it is none. */
static int json_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* "0x" and 1 to 16 digits, nothing else: strtoull(3) takes far too much. */
static int json_uint_parse(const json_t *value, uint64_t *out)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);
	uint64_t number = 0;

	if (!text || len < 3 || len > 18 || text[0] != '0' || text[1] != 'x')
		return -EINVAL;
	for (size_t i = 2; i < len; i++) {
		int digit = json_digit(text[i]);

		if (digit < 0)
			return -EINVAL;
		number = number << 4 | (uint64_t)digit;
	}
	*out = number;
	return 0;
}

static json_t *json_uint(uint64_t value)
{
	char text[2 + 16 + 1];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	return json_string(text);
}

json_t *json_blob(const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = data;
	char *text = malloc(2 * len + 1);
	json_t *value;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	value = json_stringn(text, 2 * len);
	free(text);
	return value;
}

/* data may be NULL, to check only. */
static int json_blob_parse(const json_t *value, uint8_t *data, size_t len)
{
	const char *text = json_string_value(value);

	if (!text || json_string_length(value) % 2 ||
	    json_string_length(value) / 2 != len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int high = json_digit(text[2 * i]);
		int low = json_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		if (data)
			data[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

int json_blob_get(const json_t *value, void *data, size_t len)
{
	return json_blob_parse(value, data, len);
}

static json_t *json_field_value(const void *base,
				const struct json_field *field)
{
	const uint8_t *at = (const uint8_t *)base + field->offset;

	switch (field->kind) {
	case JSON_FIELD_UINT:
		return json_uint(json_uint_read(at, field->size));
	case JSON_FIELD_BOOL:
		return json_boolean(*(const bool *)at);
	case JSON_FIELD_BLOB:
		return json_blob(at, field->size);
	}
	return NULL;
}

int json_save(const void *base, const struct json_field *fields, size_t count,
	      json_t **out)
{
	json_t *object = json_object();

	if (!object)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		json_t *value = json_field_value(base, &fields[i]);

		/* Takes value, and refuses NULL. */
		if (json_object_set_new(object, fields[i].name, value) < 0) {
			json_decref(object);
			return -ENOMEM;
		}
	}
	*out = object;
	return 0;
}

/* Say in a few words what a value is. */
static void json_describe(const json_t *value, char *out, size_t size)
{
	static const char *const types[] = {
		[JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "an array",
		[JSON_STRING] = "text",
		[JSON_INTEGER] = "a number that is not text",
		[JSON_REAL] = "a fraction",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null",
	};

	if (!value)
		snprintf(out, size, "none");
	else if (json_is_string(value))
		snprintf(out, size, "\"%.*s\"%s", JSON_QUOTE_MAX,
			 json_string_value(value),
			 json_string_length(value) > JSON_QUOTE_MAX ? "..."
								    : "");
	else
		snprintf(out, size, "%s", types[json_typeof(value)]);
}

/*
 * Check one member, and set it where base is not NULL.
 * Return: 0, or -EINVAL with err set.
 */
static int json_field_load(void *base, const struct json_field *field,
			   const json_t *value, struct error *err)
{
	uint8_t *at = base ? (uint8_t *)base + field->offset : NULL;
	char found[JSON_QUOTE_MAX + 16];
	uint64_t number;

	json_describe(value, found, sizeof(found));
	switch (field->kind) {
	case JSON_FIELD_UINT:
		if (json_uint_parse(value, &number) < 0 ||
		    number > json_uint_max(field))
			return error_set(err, EINVAL,
					 "\"%s\": expected \"0x0\" to "
					 "\"0x%" PRIx64 "\", found %s",
					 field->name, json_uint_max(field),
					 found);
		if (at)
			json_uint_write(at, field->size, number);
		return 0;
	case JSON_FIELD_BOOL:
		if (!json_is_boolean(value))
			return error_set(err, EINVAL,
					 "\"%s\": expected true or false, "
					 "found %s",
					 field->name, found);
		if (at)
			*(bool *)at = json_is_true(value);
		return 0;
	case JSON_FIELD_BLOB:
		if (json_blob_parse(value, at, field->size) < 0)
			return error_set(err, EINVAL,
					 "\"%s\": expected %zu bytes as "
					 "hexadecimal text, found %s",
					 field->name, field->size, found);
		return 0;
	}
	return error_set(err, EINVAL, "\"%s\": unknown kind", field->name);
}

static bool json_is_field(const char *name, const struct json_field *fields,
			  size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(fields[i].name, name) == 0)
			return true;
	}
	return false;
}

/* The name of a member that no field has, or NULL. */
static const char *json_find_unknown(const json_t *object,
				     const struct json_field *fields,
				     size_t count)
{
	/* Jansson's iterators take no const, yet they only read. */
	json_t *walk = (json_t *)(uintptr_t)object;

	for (void *i = json_object_iter(walk); i;
	     i = json_object_iter_next(walk, i)) {
		const char *name = json_object_iter_key(i);

		if (!json_is_field(name, fields, count))
			return name;
	}
	return NULL;
}

int json_load(void *base, const struct json_field *fields, size_t count,
	      const json_t *value, struct error *err)
{
	const char *unknown;
	int ret;

	if (!json_is_object(value)) {
		char found[JSON_QUOTE_MAX + 16];

		json_describe(value, found, sizeof(found));
		return error_set(err, EINVAL, "expected an object, found %s",
				 found);
	}
	for (size_t i = 0; i < count; i++) {
		ret = json_field_load(NULL, &fields[i],
				      json_object_get(value, fields[i].name),
				      err);
		if (ret < 0)
			return ret;
	}
	unknown = json_find_unknown(value, fields, count);
	if (unknown)
		return error_set(err, EINVAL,
				 "\"%.*s\": unknown member, was it saved by "
				 "another version?",
				 JSON_QUOTE_MAX, unknown);
	for (size_t i = 0; i < count; i++)
		json_field_load(base, &fields[i],
				json_object_get(value, fields[i].name), err);
	return 0;
}
