/*
 * Device state as JSON values (jansson). One table of fields says both how a
 * struct is saved and how it is restored, so the two cannot disagree.
 * Restoring trusts nothing: a missing, unknown, ill-typed or out-of-range
 * member is refused by name and leaves the struct as it was.
 */
#ifndef VMM_BASE_JSON_H
#define VMM_BASE_JSON_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "vmm/base/error.h"

enum json_kind {
	JSON_FIELD_UINT, /* uint8_t to uint64_t, as "0x.." text */
	JSON_FIELD_BOOL, /* bool, as true or false */
	JSON_FIELD_BLOB, /* bytes, as hexadecimal text */
};

struct json_field {
	const char *name;
	enum json_kind kind;
	size_t offset; /* in the struct */
	size_t size;   /* bytes; 1, 2, 4 or 8 for JSON_FIELD_UINT */
	uint64_t max;  /* largest value that may be restored (UINT) */
};

#define JSON_UINT_MAX(type, member, largest)                           \
	{                                                              \
		.name = #member, .kind = JSON_FIELD_UINT,              \
		.offset = offsetof(type, member),                      \
		.size = sizeof(((type *)0)->member), .max = (largest), \
	}
#define JSON_UINT(type, member) JSON_UINT_MAX(type, member, UINT64_MAX)
#define JSON_BOOL(type, member)                           \
	{                                                 \
		.name = #member, .kind = JSON_FIELD_BOOL, \
		.offset = offsetof(type, member),         \
		.size = sizeof(((type *)0)->member),      \
	}
#define JSON_BLOB(type, member)                           \
	{                                                 \
		.name = #member, .kind = JSON_FIELD_BLOB, \
		.offset = offsetof(type, member),         \
		.size = sizeof(((type *)0)->member),      \
	}

/**
 * json_save() - Make a JSON object of the fields of a struct.
 * @out: a new reference
 *
 * Any thread. Return: 0 or -ENOMEM.
 */
int json_save(const void *base, const struct json_field *fields, size_t count,
	      json_t **out);

/**
 * json_load() - Set the fields of a struct from what json_save() made.
 * @err: names the member, what was expected and what was found
 *
 * Any thread. Return: 0, or -EINVAL and @base unchanged.
 */
int json_load(void *base, const struct json_field *fields, size_t count,
	      const json_t *value, struct error *err);

/**
 * json_blob() - A JSON string of hexadecimal digits for @len bytes.
 *
 * Return: a new reference, or NULL without memory.
 */
json_t *json_blob(const void *data, size_t len);

/**
 * json_blob_get() - The bytes of a json_blob(), exactly @len of them.
 *
 * Return: 0, or -EINVAL (@data is unspecified then).
 */
int json_blob_get(const json_t *value, void *data, size_t len);

#endif
