/*
 * The words of a command line, cut into options, and their values into keys.
 */
#include "vmm/option_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct option *option_words_find(const char *word, const char **value)
{
	size_t len;

	*value = NULL;
	if (word[1] != '-') {
		if (word[2])
			*value = word + 2;
		return option_find_letter(word[1]);
	}
	len = strcspn(word + 2, "=");
	if (word[2 + len])
		*value = word + 2 + len + 1;
	return option_find(word + 2, len);
}

/*
 * Does it stand without a value? What follows is one only if it looks like
 * one: the kernel may be what follows.
 */
static bool words_is_bare(const struct option_words *words,
			  const struct option *option)
{
	const char *word;

	if (!option->bare)
		return false;
	if (words->at == words->argc)
		return true;
	word = words->argv[words->at];
	for (const char *const *c = option->keys[0].choices; c && *c; c++) {
		size_t len = strlen(*c);

		if (len && !strncmp(word, *c, len) && strchr(",", word[len]))
			return false;
	}
	return *word == '-' || !strchr(word, '=');
}

int option_words_next(struct option_words *words, const struct option **option,
		      const char **value, struct error *err)
{
	const char *word;

	if (words->at < words->argc && !words->only_values &&
	    !strcmp(words->argv[words->at], "--")) {
		words->only_values = true;
		words->at++;
	}
	if (words->at == words->argc)
		return 0;
	word = words->argv[words->at++];
	if (words->device && (words->only_values || word[0] != '-'))
		return error_set(err, EINVAL,
				 "%s: expected an option; `bantam help device` "
				 "lists them",
				 word);
	if (words->only_values || word[0] != '-' || !word[1]) {
		*option = option_find_letter('k');
		*value = word;
		return 1;
	}
	*option = option_words_find(word, value);
	if (*option && !option_is_of(*option, words->device))
		*option = NULL;
	if (!*option)
		return error_set(err, EINVAL,
				 "%s: unknown option; `bantam help %s` lists "
				 "them",
				 word, words->device ? "device" : "run");
	if (!*value && (*option)->keys[0].type == OPTION_FLAG)
		*value = "on";
	if (!*value && words_is_bare(words, *option))
		*value = (*option)->bare;
	if (!*value && words->at < words->argc)
		*value = words->argv[words->at++];
	if (!*value)
		return error_set(err, EINVAL,
				 "--%s: expected a value behind it, found the "
				 "end of the command line",
				 (*option)->name);
	return 1;
}

/* One item of a list: key=value, the main key's value, or a flag. */
static int words_item(struct option_layer *layer, struct option_record *record,
		      char *item, bool first)
{
	const struct option *option = record->option;
	const struct option_key *key;
	char *equals = strchr(item, '=');

	if (equals)
		*equals = '\0';
	key = option_find_key(option, item, strlen(item));
	if (key && (equals || !first))
		return option_layer_set(layer, record, key,
					equals			   ? equals + 1
					: key->type == OPTION_FLAG ? "on"
								   : "");
	if (!first)
		return option_layer_unknown(layer, record, item);
	/* A path may well have an equals sign in it. */
	if (equals)
		*equals = '=';
	return option_layer_set(layer, record, option->keys, item);
}

/*
 * Cut the next item off a list, in place; a doubled comma is one comma of the
 * value. Return: whether there was one.
 */
static bool words_next_item(char **list, char **item)
{
	char *from = *list, *to = from;

	if (!from)
		return false;
	*item = from;
	while (*from && (from[0] != ',' || from[1] == ',')) {
		if (*from == ',')
			from++;
		*to++ = *from++;
	}
	*list = *from ? from + 1 : NULL;
	*to = '\0';
	return true;
}

int option_words_give(struct option_layer *layer, const struct option *option,
		      const char *value)
{
	char *copy, *list, *item = NULL;
	struct option_record record;
	bool first = true;
	int rc;

	rc = option_layer_begin(layer, option, &record);
	if (rc)
		return rc;
	if (option->raw)
		return option_layer_set(layer, &record, option->keys, value);
	copy = strdup(value);
	if (!copy)
		return error_set(layer->err, ENOMEM, "--%s: out of memory",
				 option->name);
	list = copy;
	while (!rc && words_next_item(&list, &item)) {
		rc = words_item(layer, &record, item, first);
		first = false;
	}
	free(copy);
	return rc ? rc : option_layer_end(layer, &record);
}
