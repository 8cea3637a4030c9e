/*
 * Config files in JSON (RFC 8259, by jansson). A file may come from anyone:
 * its size is bounded before it is read, its depth by jansson, and values go
 * the way of those of the command line.
 */
#include "vmm/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "vmm/option_layer.h"
#include "vmm/option_table.h"
#include "vmm/option_value.h"

#define CONFIG_FOUND_MAX 100 /* bytes that describe a wrong value */

/* --- The file ------------------------------------------------------------ */

/* O_NONBLOCK: opening a FIFO would wait for who writes to it. */
static int config_open(const char *path, int *out, struct error *err)
{
	struct stat st;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return error_set(err, errno, "cannot open it: %s",
				 strerror(errno));
	if (fstat(fd, &st) < 0) {
		rc = error_set(err, errno, "fstat: %s", strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		rc = error_set(err, EINVAL, "expected a file, found %s",
			       S_ISDIR(st.st_mode) ? "a directory"
						   : "a device, pipe or "
						     "socket");
	} else {
		*out = fd;
		return 0;
	}
	close(fd);
	return rc;
}

/* @text: room for one byte more than is allowed. */
static int config_load_text(int fd, char *text, size_t *len, struct error *err)
{
	*len = 0;
	while (*len <= CONFIG_SIZE_MAX) {
		ssize_t n = read(fd, text + *len, CONFIG_SIZE_MAX + 1 - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, errno, "cannot read it: %s",
					 strerror(errno));
		if (!n)
			return 0;
		*len += (size_t)n;
	}
	return error_set(err, EFBIG, "expected at most %zu bytes, found more",
			 CONFIG_SIZE_MAX);
}

static int config_load(int fd, json_t **out, struct error *err)
{
	char *text = malloc(CONFIG_SIZE_MAX + 1);
	json_error_t at;
	size_t len;
	int rc;

	if (!text)
		return error_set(err, ENOMEM, "out of memory");
	rc = config_load_text(fd, text, &len, err);
	if (!rc) {
		*out = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);
		if (!*out)
			rc = error_set(err, EINVAL,
				       "expected JSON, found at line %d, "
				       "column %d: %s",
				       at.line, at.column, at.text);
	}
	free(text);
	return rc;
}

/* --- From JSON ----------------------------------------------------------- */

static void config_describe(const json_t *value, char out[CONFIG_FOUND_MAX])
{
	static const char *const words[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array",
		[JSON_STRING] = "",	     [JSON_INTEGER] = "",
		[JSON_REAL] = "a fraction",  [JSON_TRUE] = "true",
		[JSON_FALSE] = "false",	     [JSON_NULL] = "null",
	};

	if (json_is_string(value))
		snprintf(out, CONFIG_FOUND_MAX, "the string \"%.60s\"",
			 json_string_value(value));
	else if (json_is_integer(value))
		snprintf(out, CONFIG_FOUND_MAX, "the number %lld",
			 (long long)json_integer_value(value));
	else
		snprintf(out, CONFIG_FOUND_MAX, "%s",
			 words[json_typeof(value)]);
}

static int config_refuse(struct option_layer *layer,
			 const struct option_record *record,
			 const struct option_key *key, const json_t *value)
{
	char takes[OPTION_EXPECTED_MAX], found[CONFIG_FOUND_MAX];
	char expected[OPTION_EXPECTED_MAX + 16];

	option_value_expected(key, takes);
	if (option_value_form(key) == OPTION_FORM_FLAG)
		snprintf(expected, sizeof(expected), "true or false");
	else if (option_value_form(key) == OPTION_FORM_TEXTS)
		snprintf(expected, sizeof(expected), "an array of strings");
	else if (option_value_form(key) == OPTION_FORM_TEXT)
		snprintf(expected, sizeof(expected), "a string: %s", takes);
	else
		snprintf(expected, sizeof(expected), "%s", takes);
	config_describe(value, found);
	return option_layer_refuse(layer, record, key, expected, found);
}

/* A key that repeats: an array, of which each text is one time. */
static int config_set_texts(struct option_layer *layer,
			    struct option_record *record,
			    const struct option_key *key, const json_t *value)
{
	int rc = 0;

	if (!json_is_array(value))
		return config_refuse(layer, record, key, value);
	for (size_t i = 0; i < json_array_size(value) && !rc; i++) {
		const json_t *item = json_array_get(value, i);

		rc = json_is_string(item)
			     ? option_layer_set(layer, record, key,
						json_string_value(item))
			     : config_refuse(layer, record, key, item);
	}
	return rc;
}

/* A key's value becomes the text that the command line would have. */
static int config_set_key(struct option_layer *layer,
			  struct option_record *record,
			  const struct option_key *key, const json_t *value)
{
	const char *text = NULL;
	char number[24];

	switch (option_value_form(key)) {
	case OPTION_FORM_TEXT:
		text = json_string_value(value);
		break;
	case OPTION_FORM_NUMBER:
		snprintf(number, sizeof(number), "%lld",
			 (long long)json_integer_value(value));
		if (json_is_integer(value))
			text = number;
		break;
	case OPTION_FORM_FLAG:
		if (json_is_boolean(value))
			text = json_is_true(value) ? "on" : "off";
		break;
	case OPTION_FORM_TEXTS:
		return config_set_texts(layer, record, key, value);
	}
	if (!text)
		return config_refuse(layer, record, key, value);
	return option_layer_set(layer, record, key, text);
}

/* One time that an option is given: its main key's value, or its keys. */
static int config_set(struct option_layer *layer, const struct option *option,
		      json_t *value)
{
	struct option_record record;
	const char *name;
	json_t *member;
	int rc;

	rc = option_layer_begin(layer, option, &record);
	if (rc)
		return rc;
	if (!json_is_object(value) || !option->keys[0].name)
		return config_set_key(layer, &record, option->keys, value);
	json_object_foreach(value, name, member)
	{
		const struct option_key *key =
			option_find_key(option, name, strlen(name));

		if (!key)
			return option_layer_unknown(layer, &record, name);
		rc = config_set_key(layer, &record, key, member);
		if (rc)
			return rc;
	}
	return option_layer_end(layer, &record);
}

static int config_set_option(struct option_layer *layer, const char *name,
			     json_t *value)
{
	const struct option *option = option_find(name, strlen(name));
	char found[CONFIG_FOUND_MAX];
	json_t *item;
	size_t i;
	int rc = 0;

	if (!option)
		return error_set(layer->err, EINVAL,
				 "unknown option \"%.80s\"; `bantam help run` "
				 "lists them",
				 name);
	if (option->words_only)
		return error_set(layer->err, EINVAL,
				 "%s: it is for the command line only", name);
	if (!option->size)
		return config_set(layer, option, value);
	if (!json_is_array(value)) {
		config_describe(value, found);
		return error_set(layer->err, EINVAL,
				 "%s: expected an array, found %s", name,
				 found);
	}
	json_array_foreach(value, i, item)
	{
		rc = config_set(layer, option, item);
		if (rc)
			break;
	}
	return rc;
}

static int config_set_all(struct options *options, json_t *root,
			  struct error *err)
{
	struct option_layer layer = {.options = options, .err = err};
	char found[CONFIG_FOUND_MAX];
	const char *name;
	json_t *value;

	if (!json_is_object(root)) {
		config_describe(root, found);
		return error_set(err, EINVAL,
				 "expected an object of options, found %s",
				 found);
	}
	json_object_foreach(root, name, value)
	{
		int rc = config_set_option(&layer, name, value);

		if (rc)
			return rc;
	}
	return 0;
}

int config_read(struct options *options, const char *path, struct error *err)
{
	json_t *root = NULL;
	int fd = -1, rc;

	rc = config_open(path, &fd, err);
	if (rc)
		goto err_prefix;
	rc = config_load(fd, &root, err);
	close(fd);
	if (!root)
		goto err_prefix;
	rc = config_set_all(options, root, err);
	json_decref(root);
	if (!rc)
		return 0;

err_prefix:
	error_prefix(err, "--config %s: ", path);
	return rc;
}

/* --- To JSON ------------------------------------------------------------- */

/* Return: NULL for text that is not UTF-8, or without memory. */
static json_t *config_value(const struct option_key *key, const char *text)
{
	switch (option_value_form(key)) {
	case OPTION_FORM_TEXT:
		return json_string(text);
	case OPTION_FORM_NUMBER:
		return json_integer(strtoll(text, NULL, 10));
	case OPTION_FORM_FLAG:
		return json_boolean(!strcmp(text, "on"));
	case OPTION_FORM_TEXTS:
		break;
	}
	return NULL;
}

/* Of a key that repeats. Return: likewise. */
static json_t *config_texts(const struct options_list *list)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < list->count; i++) {
		if (json_array_append_new(array, json_string(list->items[i]))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

/* The keys that are set, as an object. */
static int config_keys(const struct option *option, const void *record,
		       json_t *keys, struct error *err)
{
	char buf[OPTION_NUMBER_MAX];

	for (size_t i = 0; i < option->key_count; i++) {
		const struct option_key *key = &option->keys[i];
		const char *text = option_value_get(key, record, buf);
		struct options_list list = option_value_list(key, record);

		if ((text || list.count) &&
		    json_object_set_new(keys, key->name ? key->name : "",
					text ? config_value(key, text)
					     : config_texts(&list)))
			return error_set(err, EINVAL,
					 "--print-config: expected UTF-8 text, "
					 "which is what JSON holds, found "
					 "other bytes in --%s",
					 option->name);
	}
	return 0;
}

/* @out: a new reference; NULL if nothing is set. */
static int config_record(const struct option *option, const void *record,
			 json_t **out, struct error *err)
{
	const char *main_key = option->keys[0].name;
	json_t *keys = json_object();
	json_t *only;
	int rc;

	*out = NULL;
	if (!keys)
		return error_set(err, ENOMEM, "out of memory");
	rc = config_keys(option, record, keys, err);
	only = json_object_get(keys, main_key ? main_key : "");
	if (!rc && only && json_object_size(keys) == 1)
		*out = json_incref(only);
	else if (!rc && json_object_size(keys))
		*out = json_incref(keys);
	json_decref(keys);
	return rc;
}

static int config_list(const struct options *options,
		       const struct option *option, json_t **out,
		       struct error *err)
{
	size_t count = option_layer_count(options, option);
	json_t *list, *item;

	*out = NULL;
	if (!count)
		return 0;
	list = json_array();
	for (size_t i = 0; i < count; i++) {
		int rc = config_record(option,
				       option_layer_element(options, option, i),
				       &item, err);

		if (!rc && json_array_append_new(list, item))
			rc = error_set(err, ENOMEM, "out of memory");
		if (rc) {
			json_decref(list);
			return rc;
		}
	}
	*out = list;
	return 0;
}

static int config_dump(const struct options *options, json_t *root,
		       struct error *err)
{
	for (size_t i = 0; i < option_table_count; i++) {
		const struct option *option = &option_table[i];
		json_t *value;
		int rc;

		if (option->words_only)
			continue;
		rc = option->size ? config_list(options, option, &value, err)
				  : config_record(option, options, &value, err);
		if (!rc && value &&
		    json_object_set_new(root, option->name, value))
			rc = error_set(err, ENOMEM, "out of memory");
		if (rc)
			return rc;
	}
	return 0;
}

int config_print(const struct options *options, FILE *out, struct error *err)
{
	json_t *root = json_object();
	int rc;

	if (!root)
		return error_set(err, ENOMEM, "out of memory");
	rc = config_dump(options, root, err);
	if (!rc && (json_dumpf(root, out, JSON_INDENT(2)) ||
		    fputc('\n', out) == EOF || fflush(out) == EOF))
		rc = error_set(err, errno ? errno : EIO,
			       "--print-config: cannot write it: %s",
			       strerror(errno));
	json_decref(root);
	return rc;
}
