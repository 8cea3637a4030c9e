/*
 * One row a type: how its text is read, written and described. Text comes
 * from the command line and from config files.
 */
#include "vmm/option_value.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/names.h"
#include "vmm/option_number.h"
#include "vmm/option_regex.h"

static_assert(NAMES_LEN_MAX == 64, "value_expected_text() says so");
static_assert(sizeof(struct virtio_text_list) == sizeof(struct options_list) &&
		      offsetof(struct virtio_text_list, count) ==
			      offsetof(struct options_list, count),
	      "same layout: OPTION_TEXTS may be either");

struct value_type {
	enum option_form form;
	/* place: the member. why: see option_value_set(). */
	int (*set)(const struct option_key *key, void *place, const char *text,
		   char *why);
	const char *(*get)(const struct option_key *key, const void *place,
			   char *buf);
	void (*clear)(void *place);
	void (*expected)(const struct option_key *key, char *out);
};

/* --- Text ---------------------------------------------------------------- */

static int value_replace_text(void *place, const char *text)
{
	char **member = place;
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*member);
	*member = copy;
	return 0;
}

/* Also empty: --append '' is a command line of its own. */
static int value_set_text(const struct option_key *key, void *place,
			  const char *text, char *why)
{
	(void)key;
	(void)why;
	return value_replace_text(place, text);
}

static int value_set_file(const struct option_key *key, void *place,
			  const char *text, char *why)
{
	(void)key;
	(void)why;
	return *text ? value_replace_text(place, text) : -EINVAL;
}

static int value_set_name(const struct option_key *key, void *place,
			  const char *text, char *why)
{
	(void)key;
	(void)why;
	return names_check(text, NULL) ? -EINVAL
				       : value_replace_text(place, text);
}

static int value_set_regex(const struct option_key *key, void *place,
			   const char *text, char *why)
{
	(void)key;
	if (option_regex_check(text, why, OPTION_EXPECTED_MAX))
		return -EINVAL;
	return value_replace_text(place, text);
}

static const char *value_get_text(const struct option_key *key,
				  const void *place, char *buf)
{
	(void)key;
	(void)buf;
	return *(char *const *)place;
}

static void value_clear_text(void *place)
{
	char **member = place;

	free(*member);
	*member = NULL;
}

static void value_expected_text(const struct option_key *key, char *out)
{
	static const char *const words[OPTION_TYPES] = {
		[OPTION_TEXT] = "text",
		[OPTION_FILE] = "text that is a file's path",
		[OPTION_NAME] = ("1 to 64 letters, digits, '-', '_' and '.', "
				 "the first a letter or digit"),
		[OPTION_REGEX] = "an extended regular expression",
		[OPTION_TEXTS] = "text",
	};

	snprintf(out, OPTION_EXPECTED_MAX, "%s", words[key->type]);
}

/* --- Several texts ------------------------------------------------------- */

/* Copied in and out: it may be another struct of the same layout. */
static struct options_list value_list_get(const void *place)
{
	struct options_list list;

	memcpy(&list, place, sizeof(list));
	return list;
}

static int value_append_text(const struct option_key *key, void *place,
			     const char *text, char *why)
{
	struct options_list list = value_list_get(place);
	char *copy, **items;

	(void)key;
	(void)why;
	if (!*text)
		return -EINVAL;
	copy = strdup(text);
	items = copy ? reallocarray(list.items, list.count + 1, sizeof(*items))
		     : NULL;
	if (!items) {
		free(copy);
		return -ENOMEM;
	}
	items[list.count++] = copy;
	list.items = items;
	memcpy(place, &list, sizeof(list));
	return 0;
}

static const char *value_get_texts(const struct option_key *key,
				   const void *place, char *buf)
{
	(void)key;
	(void)place;
	(void)buf;
	return NULL;
}

static void value_clear_texts(void *place)
{
	struct options_list list = value_list_get(place);

	while (list.count)
		free(list.items[--list.count]);
	free(list.items);
	list.items = NULL;
	memcpy(place, &list, sizeof(list));
}

/* --- Numbers ------------------------------------------------------------- */

static enum option_unit value_unit(const struct option_key *key)
{
	if (key->type == OPTION_NUMBER)
		return OPTION_UNIT_NONE;
	return key->type == OPTION_TIME ? OPTION_UNIT_TIME : OPTION_UNIT_BYTES;
}

static int value_set_number(const struct option_key *key, void *place,
			    const char *text, char *why)
{
	uint64_t value;
	int rc;

	(void)why;
	rc = option_number_parse(value_unit(key), text, &value);
	if (rc)
		return rc;
	if (value < key->min || value > key->max)
		return -ERANGE;
	*(uint64_t *)place = value;
	return 0;
}

static const char *value_get_number(const struct option_key *key,
				    const void *place, char *buf)
{
	uint64_t value = *(const uint64_t *)place;

	if (value < key->min || value > key->max)
		return NULL;
	option_number_format(value_unit(key), value, buf);
	return buf;
}

static void value_clear_number(void *place)
{
	*(uint64_t *)place = 0;
}

static void value_expected_number(const struct option_key *key, char *out)
{
	char bounds[OPTION_EXPECTED_MAX];

	option_value_bounds(key, bounds);
	if (key->type == OPTION_TIME)
		snprintf(out, OPTION_EXPECTED_MAX,
			 "a time of at least %" PRIu64
			 "ms and at most a year, such as 500ms, 60s or 5m",
			 key->min / OPTION_NS_PER_MS);
	else if (key->type == OPTION_SIZE)
		snprintf(out, OPTION_EXPECTED_MAX,
			 "a size from %.64s, such as 512M", bounds);
	else
		snprintf(out, OPTION_EXPECTED_MAX, "a number from %.64s",
			 bounds);
}

/* --- Choices ------------------------------------------------------------- */

/* Index in a NULL-terminated list; -1 if it is not there. */
static int value_index(const char *const *choices, const char *text)
{
	for (int i = 0; choices[i]; i++)
		if (*text && !strcmp(choices[i], text))
			return i;
	return -1;
}

static int value_set_choice(const struct option_key *key, void *place,
			    const char *text, char *why)
{
	int index = value_index(key->choices, text);

	(void)why;
	if (index < 0)
		return -EINVAL;
	*(unsigned int *)place = (unsigned int)index;
	return 0;
}

static const char *value_get_choice(const struct option_key *key,
				    const void *place, char *buf)
{
	const char *choice = key->choices[*(const unsigned int *)place];

	(void)buf;
	return *choice ? choice : NULL;
}

static void value_clear_choice(void *place)
{
	*(unsigned int *)place = 0;
}

static int value_set_page(const struct option_key *key, void *place,
			  const char *text, char *why)
{
	(void)why;
	if (value_index(key->choices, text) < 0)
		return -EINVAL;
	return option_number_parse(OPTION_UNIT_BYTES, text, place);
}

static const char *value_get_page(const struct option_key *key,
				  const void *place, char *buf)
{
	uint64_t value = *(const uint64_t *)place;

	(void)key;
	if (!value)
		return NULL;
	option_number_format(OPTION_UNIT_BYTES, value, buf);
	return buf;
}

static void value_expected_choice(const struct option_key *key, char *out)
{
	size_t at = 0;

	*out = '\0';
	for (const char *const *c = key->choices; *c; c++)
		if (**c && at < OPTION_EXPECTED_MAX)
			at += (size_t)snprintf(out + at,
					       OPTION_EXPECTED_MAX - at, "%s%s",
					       at ? "|" : "", *c);
}

/* --- Flags --------------------------------------------------------------- */

static int value_set_flag(const struct option_key *key, void *place,
			  const char *text, char *why)
{
	static const char *const words[] = {"off", "on", "false", "true", NULL};
	int index = value_index(words, text);

	(void)key;
	(void)why;
	if (index < 0)
		return -EINVAL;
	*(bool *)place = index & 1;
	return 0;
}

static const char *value_get_flag(const struct option_key *key,
				  const void *place, char *buf)
{
	(void)key;
	(void)buf;
	return *(const bool *)place ? "on" : "off";
}

static void value_clear_flag(void *place)
{
	*(bool *)place = false;
}

static void value_expected_flag(const struct option_key *key, char *out)
{
	(void)key;
	snprintf(out, OPTION_EXPECTED_MAX, "on|off");
}

/* --- The types ----------------------------------------------------------- */

#define VALUE_TEXT(how)                                                        \
	{                                                                      \
		.form = OPTION_FORM_TEXT, .set = (how), .get = value_get_text, \
		.clear = value_clear_text, .expected = value_expected_text,    \
	}
#define VALUE_NUMBER(how)                                             \
	{                                                             \
		.form = (how), .set = value_set_number,               \
		.get = value_get_number, .clear = value_clear_number, \
		.expected = value_expected_number,                    \
	}

static const struct value_type value_types[] = {
	[OPTION_TEXT] = VALUE_TEXT(value_set_text),
	[OPTION_FILE] = VALUE_TEXT(value_set_file),
	[OPTION_NAME] = VALUE_TEXT(value_set_name),
	[OPTION_REGEX] = VALUE_TEXT(value_set_regex),
	[OPTION_NUMBER] = VALUE_NUMBER(OPTION_FORM_NUMBER),
	[OPTION_SIZE] = VALUE_NUMBER(OPTION_FORM_TEXT),
	[OPTION_TIME] = VALUE_NUMBER(OPTION_FORM_TEXT),
	[OPTION_CHOICE] = {.form = OPTION_FORM_TEXT,
			   .set = value_set_choice,
			   .get = value_get_choice,
			   .clear = value_clear_choice,
			   .expected = value_expected_choice},
	[OPTION_PAGE] = {.form = OPTION_FORM_TEXT,
			 .set = value_set_page,
			 .get = value_get_page,
			 .clear = value_clear_number,
			 .expected = value_expected_choice},
	[OPTION_FLAG] = {.form = OPTION_FORM_FLAG,
			 .set = value_set_flag,
			 .get = value_get_flag,
			 .clear = value_clear_flag,
			 .expected = value_expected_flag},
	[OPTION_TEXTS] = {.form = OPTION_FORM_TEXTS,
			  .set = value_append_text,
			  .get = value_get_texts,
			  .clear = value_clear_texts,
			  .expected = value_expected_text},
};
static_assert(sizeof(value_types) / sizeof(value_types[0]) == OPTION_TYPES,
	      "a row a type");

enum option_form option_value_form(const struct option_key *key)
{
	return value_types[key->type].form;
}

int option_value_set(const struct option_key *key, void *record,
		     const char *text, char *why)
{
	*why = '\0';
	return value_types[key->type].set(key, (char *)record + key->offset,
					  text, why);
}

const char *option_value_get(const struct option_key *key, const void *record,
			     char *buf)
{
	return value_types[key->type].get(
		key, (const char *)record + key->offset, buf);
}

struct options_list option_value_list(const struct option_key *key,
				      const void *record)
{
	if (key->type != OPTION_TEXTS)
		return (struct options_list){.count = 0};
	return value_list_get((const char *)record + key->offset);
}

void option_value_clear(const struct option_key *key, void *record)
{
	value_types[key->type].clear((char *)record + key->offset);
}

void option_value_expected(const struct option_key *key,
			   char out[OPTION_EXPECTED_MAX])
{
	value_types[key->type].expected(key, out);
}

void option_value_bounds(const struct option_key *key,
			 char out[OPTION_EXPECTED_MAX])
{
	char low[OPTION_NUMBER_MAX], high[OPTION_NUMBER_MAX];

	*out = '\0';
	if (key->type != OPTION_NUMBER && key->type != OPTION_SIZE)
		return;
	option_number_format(value_unit(key), key->min, low);
	option_number_format(value_unit(key), key->max, high);
	snprintf(out, OPTION_EXPECTED_MAX, "%s to %s", low, high);
}
