/*
 * What `bantam` can be told to do. The table of verbs is in main.c; help, the
 * manual page and the shells' completion read it, too.
 */
#ifndef VMM_VERB_H
#define VMM_VERB_H

#include <stdbool.h>

/* What a verb's words are, its flags apart. */
enum verb_takes {
	VERB_NOTHING,
	VERB_MACHINE, /* a machine's name */
	VERB_METHOD,  /* the same, then a method of its control socket */
	VERB_VERB,
	VERB_TYPE, /* a type of device, then options */
};

struct verb {
	const char *name;   /* NULL ends a table */
	const char *usage;  /* the words behind the name */
	const char *help;   /* one line */
	const char *manual; /* what only the manual page says: mdoc; or NULL */
	const char *const *flags; /* its own, NULL-terminated; NULL for none */
	enum verb_takes takes;
	/* Takes the options of option_table.h: those of `bantam device` if it
	 * takes VERB_TYPE, else those of `bantam run`. */
	bool options;
	/* argv: the words behind the name. Return: the exit status. */
	int (*run)(int argc, char **argv);
};

#endif
