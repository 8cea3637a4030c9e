/*
 * Setting options by their table. What is set comes from a user, by the
 * command line or a file; each value is checked by its type.
 */
#include "vmm/option_layer.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/option_value.h"

#define LAYER_WHERE_MAX 128
/* Bytes of a wrong value that a message quotes. */
#define LAYER_QUOTE_MAX 80

/* --- Lists --------------------------------------------------------------- */

/*
 * A struct options_list of any type of element. It is copied in and out, for a
 * list of another type is another type to the compiler.
 */
struct layer_list {
	void *items;
	size_t count;
};
static_assert(sizeof(struct layer_list) == sizeof(struct options_list) &&
		      offsetof(struct layer_list, count) ==
			      offsetof(struct options_list, count),
	      "same layout");

static struct layer_list layer_list_get(const struct options *options,
					const struct option *option)
{
	struct layer_list list;

	memcpy(&list, (const char *)options + option->list, sizeof(list));
	return list;
}

static void layer_list_put(struct options *options, const struct option *option,
			   const struct layer_list *list)
{
	memcpy((char *)options + option->list, list, sizeof(*list));
}

static void layer_record_clear(const struct option *option, void *base)
{
	for (size_t i = 0; i < option->key_count; i++)
		option_value_clear(&option->keys[i], base);
}

static void layer_list_clear(struct options *options,
			     const struct option *option)
{
	struct layer_list list = layer_list_get(options, option);

	while (list.count)
		layer_record_clear(option, (char *)list.items +
						   --list.count * option->size);
	free(list.items);
	list.items = NULL;
	layer_list_put(options, option, &list);
}

/* Append an element of zeroes. Return: it, or NULL without memory. */
static void *layer_list_grow(struct options *options,
			     const struct option *option)
{
	struct layer_list list = layer_list_get(options, option);
	void *items = reallocarray(list.items, list.count + 1, option->size);
	void *element;

	if (!items)
		return NULL;
	list.items = items;
	element = (char *)items + list.count++ * option->size;
	memset(element, 0, option->size);
	layer_list_put(options, option, &list);
	return element;
}

size_t option_layer_count(const struct options *options,
			  const struct option *option)
{
	return layer_list_get(options, option).count;
}

const void *option_layer_element(const struct options *options,
				 const struct option *option, size_t index)
{
	struct layer_list list = layer_list_get(options, option);

	return (const char *)list.items + index * option->size;
}

/* --- Messages ------------------------------------------------------------ */

/* As the user wrote it: --memory,hugepages or memory.hugepages, expect[2]. */
static void layer_where(const struct option_layer *layer,
			const struct option_record *record,
			const struct option_key *key, char *out)
{
	const struct option *option = record->option;
	const char *name = key && key != option->keys ? key->name : NULL;
	char index[32] = "";

	if (option->size && !layer->words)
		snprintf(index, sizeof(index), "[%zu]", record->index);
	snprintf(out, LAYER_WHERE_MAX, "%s%s%s%s%s", layer->words ? "--" : "",
		 option->name, index, name ? (layer->words ? "," : ".") : "",
		 name ? name : "");
}

int option_layer_refuse(struct option_layer *layer,
			const struct option_record *record,
			const struct option_key *key, const char *expected,
			const char *found)
{
	char where[LAYER_WHERE_MAX];

	layer_where(layer, record, key, where);
	return error_set(layer->err, EINVAL, "%s: expected %s, found %s", where,
			 expected, found);
}

/* What the key takes and, for a main key, the other ways to give it. */
static void layer_expected(const struct option *option,
			   const struct option_key *key, char *out)
{
	size_t at;

	option_value_expected(key, out);
	for (size_t i = 1; key == option->keys && i < option->key_count; i++) {
		if (!option->keys[i].alternative)
			continue;
		at = strlen(out);
		snprintf(out + at, OPTION_EXPECTED_MAX - at, "|%s=%s",
			 option->keys[i].name, option->keys[i].value);
	}
}

static int layer_refuse_text(struct option_layer *layer,
			     const struct option_record *record,
			     const struct option_key *key, const char *text,
			     const char *why)
{
	char found[LAYER_QUOTE_MAX + OPTION_EXPECTED_MAX + 16];
	char expected[OPTION_EXPECTED_MAX];
	bool all = strlen(text) <= LAYER_QUOTE_MAX;

	layer_expected(record->option, key, expected);
	snprintf(found, sizeof(found), "\"%.*s\"%s%s%s", LAYER_QUOTE_MAX, text,
		 all ? "" : "...", *why ? ": " : "", why);
	return option_layer_refuse(layer, record, key, expected, found);
}

int option_layer_unknown(struct option_layer *layer,
			 const struct option_record *record, const char *name)
{
	const struct option *option = record->option;
	char where[LAYER_WHERE_MAX], keys[256] = "";
	size_t at = 0;

	layer_where(layer, record, NULL, where);
	for (size_t i = 0; i < option->key_count && at < sizeof(keys); i++)
		if (option->keys[i].name)
			at += (size_t)snprintf(keys + at, sizeof(keys) - at,
					       "%s%s", at ? ", " : "",
					       option->keys[i].name);
	if (!at)
		return error_set(layer->err, EINVAL,
				 "%s: it takes one value and has no key "
				 "\"%.*s\"%s",
				 where, LAYER_QUOTE_MAX, name,
				 layer->words ? "; write a comma in it twice"
					      : "");
	return error_set(layer->err, EINVAL,
			 "%s: unknown key \"%.*s\"; its keys are %s%s", where,
			 LAYER_QUOTE_MAX, name, keys,
			 layer->words ? " (write a comma in a value twice)"
				      : "");
}

/* --- Setting ------------------------------------------------------------- */

/* Presets are the table's own: only memory can fail them. */
static int layer_record_defaults(const struct option *option, void *base,
				 struct error *err)
{
	char why[OPTION_EXPECTED_MAX];

	for (size_t i = 0; i < option->key_count; i++) {
		const struct option_key *key = &option->keys[i];

		if (key->preset &&
		    option_value_set(key, base, key->preset, why))
			return error_set(err, ENOMEM, "--%s: out of memory",
					 option->name);
	}
	return 0;
}

int option_layer_begin(struct option_layer *layer, const struct option *option,
		       struct option_record *record)
{
	option_seen *seen = &layer->seen[option - option_table];

	assert(option_table_count <= OPTION_LAYER_TABLE_MAX);
	*record = (struct option_record){
		.option = option,
		.base = layer->options,
		.seen = seen,
	};
	if (!option->size)
		return 0;
	if (!*seen)
		layer_list_clear(layer->options, option);
	*seen = 1;
	record->seen = &record->element_seen;
	record->index = option_layer_count(layer->options, option);
	if (record->index == OPTION_REPEAT_MAX)
		return error_set(layer->err, EINVAL,
				 "--%s: expected at most %d of them, found "
				 "more",
				 option->name, OPTION_REPEAT_MAX);
	record->base = layer_list_grow(layer->options, option);
	if (!record->base)
		return error_set(layer->err, ENOMEM, "--%s: out of memory",
				 option->name);
	return layer_record_defaults(option, record->base, layer->err);
}

/*
 * The key has a value now. Of the ways to give the main key one holds: a lower
 * layer may have taken another.
 */
static void layer_settle_alternatives(const struct option *option, void *base,
				      const struct option_key *set)
{
	if (set != option->keys && !set->alternative)
		return;
	for (size_t i = 1; i < option->key_count; i++)
		if (option->keys[i].alternative && &option->keys[i] != set)
			option_value_clear(&option->keys[i], base);
	if (set->alternative)
		*(unsigned int *)((char *)base + option->keys[0].offset) =
			set->choice;
}

/* May the key be given this time? It has been, then. */
static int layer_see(struct option_layer *layer, struct option_record *record,
		     const struct option_key *key)
{
	option_seen bit = UINT32_C(1) << (key - record->option->keys);
	bool repeats = key->type == OPTION_TEXTS;
	char where[LAYER_WHERE_MAX];

	layer_where(layer, record, key, where);
	/* It says what the main key says, too. */
	if (key->alternative)
		bit |= 1;
	if (*record->seen & bit && !repeats)
		return error_set(layer->err, EINVAL,
				 "%s: expected it once, found it twice", where);
	if (!(*record->seen & bit) && repeats)
		option_value_clear(key, record->base);
	*record->seen |= bit;
	if (option_value_list(key, record->base).count < OPTION_REPEAT_MAX)
		return 0;
	return error_set(layer->err, EINVAL,
			 "%s: expected at most %d of them, found more", where,
			 OPTION_REPEAT_MAX);
}

int option_layer_set(struct option_layer *layer, struct option_record *record,
		     const struct option_key *key, const char *text)
{
	const struct option *option = record->option;
	char why[OPTION_EXPECTED_MAX];
	int rc;

	rc = layer_see(layer, record, key);
	if (rc)
		return rc;
	rc = option_value_set(key, record->base, text, why);
	if (rc == -ENOMEM)
		return error_set(layer->err, ENOMEM, "--%s: out of memory",
				 option->name);
	if (rc)
		return layer_refuse_text(layer, record, key, text, why);
	layer_settle_alternatives(option, record->base, key);
	return 0;
}

int option_layer_end(struct option_layer *layer,
		     const struct option_record *record)
{
	const struct option *option = record->option;
	char expected[OPTION_EXPECTED_MAX];

	if (!option->size || option->keys[0].preset || *record->seen & 1)
		return 0;
	layer_expected(option, option->keys, expected);
	return option_layer_refuse(layer, record, option->keys, expected,
				   "none");
}

/* --- All of them --------------------------------------------------------- */

int option_layer_defaults(struct options *options, struct error *err)
{
	int rc = 0;

	memset(options, 0, sizeof(*options));
	for (size_t i = 0; i < option_table_count && !rc; i++)
		if (!option_table[i].size)
			rc = layer_record_defaults(&option_table[i], options,
						   err);
	return rc;
}

void option_layer_clear(struct options *options)
{
	for (size_t i = 0; i < option_table_count; i++) {
		if (option_table[i].size)
			layer_list_clear(options, &option_table[i]);
		else
			layer_record_clear(&option_table[i], options);
	}
}
