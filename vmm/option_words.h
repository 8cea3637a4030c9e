/*
 * Options as words of a command line: -k FILE, -kFILE, --kernel FILE,
 * --kernel=FILE,entry=pvh.
 */
#ifndef VMM_OPTION_WORDS_H
#define VMM_OPTION_WORDS_H

#include <stdbool.h>

#include "vmm/base/error.h"
#include "vmm/option_layer.h"
#include "vmm/option_table.h"

/* Where in the words we are; starts as {.argc, .argv}. */
struct option_words {
	int argc;
	char *const *argv; /* borrowed; not NULL-terminated necessarily */
	int at;
	bool only_values; /* "--" was passed */
	bool device;	  /* `bantam device`'s, and not `bantam run`'s */
};

/**
 * option_words_find() - The option that a word with a dash in front names.
 * @value: in @word, behind -k or --kernel=; NULL if it is in no part of it
 *
 * Return: NULL for an unknown one.
 */
const struct option *option_words_find(const char *word, const char **value);

/**
 * option_words_next() - The next option and its value.
 * @option: a word that is no option is a kernel, but for `bantam device`
 * @value: borrowed from the words; "on" for a flag that has none, and what
 *         the row says for an option that may be bare
 *
 * Return: 1, 0 at the end, or -EINVAL with @err set.
 */
int option_words_next(struct option_words *words, const struct option **option,
		      const char **value, struct error *err);

/**
 * option_words_give() - Put a value, with its keys, into a layer.
 *
 * Return: 0, -EINVAL or -ENOMEM, the layer's err set.
 */
int option_words_give(struct option_layer *layer, const struct option *option,
		      const char *value);

#endif
