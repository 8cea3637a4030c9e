/*
 * Completion out of the tables of options and verbs. The words come from a
 * command line that is half typed: nothing in them need be right.
 */
#include "vmm/completion.h"

#include <stdbool.h>
#include <string.h>

#include "vmm/control_rpc.h"
#include "vmm/machine_control.h"
#include "vmm/manual.h"
#include "vmm/names.h"
#include "vmm/option_table.h"
#include "vmm/option_words.h"

struct completion {
	FILE *out;
	/* The word that is typed: what stays as it is, and what goes on. */
	const char *lead;
	size_t lead_len;
	const char *typed;
};

/* A word that ends with @end, if it goes on from what was typed. */
static void completion_offer(const struct completion *c, const char *word,
			     const char *end, const char *help)
{
	if (strncmp(word, c->typed, strlen(c->typed)) != 0)
		return;
	fprintf(c->out, "%.*s%s%s%s%s\n", (int)c->lead_len, c->lead, word, end,
		help ? "\t" : "", help ? help : "");
}

static void completion_offer_file(const struct completion *c)
{
	fprintf(c->out, "@file\t%.*s\n", (int)c->lead_len, c->lead);
}

static void completion_offer_machines(const struct completion *c)
{
	char **names;
	size_t count;

	if (names_list(&names, &count, NULL))
		return;
	for (size_t i = 0; i < count; i++)
		completion_offer(c, names[i], "", NULL);
	names_list_free(names, count);
}

/* --- Values -------------------------------------------------------------- */

static void completion_value(const struct completion *c,
			     const struct option_key *key)
{
	if (key->type == OPTION_FILE)
		completion_offer_file(c);
	if (key->type == OPTION_FLAG) {
		completion_offer(c, "on", "", NULL);
		completion_offer(c, "off", "", NULL);
	}
	for (const char *const *choice = key->choices; choice && *choice;
	     choice++)
		if (**choice)
			completion_offer(c, *choice, "", NULL);
}

/* Those that stand in the place of the main key, or those that follow it. */
static void completion_keys(const struct completion *c,
			    const struct option *option, bool alternatives)
{
	for (size_t i = 1; i < option->key_count; i++) {
		const struct option_key *key = &option->keys[i];

		if (key->name && key->alternative == alternatives)
			completion_offer(c, key->name,
					 key->type == OPTION_FLAG ? "" : "=",
					 key->help);
	}
}

/* The last item of a comma list. c->typed is the list. */
static void completion_list(struct completion *c, const struct option *option)
{
	const char *comma = option->raw ? NULL : strrchr(c->typed, ',');
	const char *item = comma ? comma + 1 : c->typed;
	const char *equals = option->raw ? NULL : strchr(item, '=');
	const struct option_key *key = NULL;

	if (equals)
		key = option_find_key(option, item, (size_t)(equals - item));
	if (key)
		item = equals + 1;
	c->lead_len += (size_t)(item - c->typed);
	c->typed = item;
	if (key) {
		completion_value(c, key);
	} else if (comma) {
		completion_keys(c, option, false);
	} else {
		completion_value(c, option->keys);
		completion_keys(c, option, true);
	}
}

/* --- Words --------------------------------------------------------------- */

static void completion_options(const struct completion *c, bool device)
{
	char name[64], text[MANUAL_TEXT_MAX];

	for (size_t i = 0; i < option_table_count; i++) {
		const struct option *option = &option_table[i];

		if (!option_is_of(option, device))
			continue;
		snprintf(name, sizeof(name), "--%s", option->name);
		manual_text(option, option->keys, text);
		completion_offer(c, name, "", text);
	}
}

/* The option whose value the word behind these is, or NULL. */
static const struct option *completion_awaits(int count, char *const *words,
					      bool device)
{
	struct option_words at = {
		.argc = count,
		.argv = words,
		.device = device,
	};
	const struct option *option = NULL;
	const char *value;

	for (;;) {
		option = NULL;
		value = NULL;
		if (option_words_next(&at, &option, &value, NULL) == 0)
			return NULL;
		/* It found no value, or does not know the word. */
		if (at.at == at.argc && option && !value)
			return option;
	}
}

static void completion_option_words(struct completion *c, int count,
				    char *const *words, bool device)
{
	const struct option *option =
		completion_awaits(count - 1, words, device);
	const char *value = NULL;

	if (option) {
		completion_list(c, option);
		return;
	}
	if (c->typed[0] != '-') {
		if (!device)
			completion_offer_file(c);
		return;
	}
	if (c->typed[1])
		option = option_words_find(c->typed, &value);
	if (!option || !value) {
		completion_options(c, device);
		return;
	}
	c->lead_len = (size_t)(value - c->typed);
	c->typed = value;
	completion_list(c, option);
}

static void completion_methods(const struct completion *c)
{
	size_t count;
	const struct control_method *methods = machine_control_methods(&count);

	for (size_t i = 0; i < count; i++)
		completion_offer(c, methods[i].name, "", methods[i].help);
}

static void completion_verbs(const struct completion *c,
			     const struct verb *verbs)
{
	for (const struct verb *verb = verbs; verb->name; verb++)
		completion_offer(c, verb->name, "", verb->help);
}

static void completion_types(const struct completion *c)
{
	completion_offer(c, "block", "", NULL);
	completion_offer(c, "net", "", NULL);
	completion_offer(c, "rng", "", NULL);
}

static void completion_flags(const struct completion *c,
			     const struct verb *verb)
{
	for (size_t i = 0; verb->flags && verb->flags[i]; i++)
		completion_offer(c, verb->flags[i], "", NULL);
	completion_offer(c, "--help", "", NULL);
}

/* The word is number @at behind the verb, flags not counted. */
static void completion_argument(const struct completion *c,
				const struct verb *verb,
				const struct verb *verbs, int at)
{
	if (at == 0 &&
	    (verb->takes == VERB_MACHINE || verb->takes == VERB_METHOD))
		completion_offer_machines(c);
	else if (at == 1 && verb->takes == VERB_METHOD)
		completion_methods(c);
	else if (at == 0 && verb->takes == VERB_VERB)
		completion_verbs(c, verbs);
}

void completion_print(FILE *out, const struct verb *verbs, int count,
		      char *const *words)
{
	const char *word = count ? words[count - 1] : "";
	struct completion c = {.out = out, .lead = word, .typed = word};
	const struct verb *verb = verbs;
	int at = 0;

	if (count <= 1) {
		completion_verbs(&c, verbs);
		completion_offer(&c, "--help", "", NULL);
		completion_offer(&c, "--version", "", NULL);
		return;
	}
	while (verb->name && strcmp(verb->name, words[0]) != 0)
		verb++;
	if (!verb->name)
		return;
	for (int i = 1; i < count - 1; i++)
		at += *words[i] != '-';
	if (verb->takes == VERB_TYPE && count == 2)
		completion_types(&c);
	else if (verb->takes == VERB_TYPE)
		completion_option_words(&c, count - 2, words + 2, true);
	else if (verb->options)
		completion_option_words(&c, count - 1, words + 1, false);
	else if (*word == '-')
		completion_flags(&c, verb);
	else
		completion_argument(&c, verb, verbs, at);
}
