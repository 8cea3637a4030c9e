/*
 * What the options of a machine are, as data. Everything that knows options
 * reads this table: the command line, the config file, --print-config, help,
 * the manual page and the shells' completion. Add a row, and all have it.
 *
 * An option is a list of keys, the first of which is its main key. A key has a
 * type and a place in a record: struct options for most options, and for one
 * that repeats, an element of a list that is a member of struct options.
 */
#ifndef VMM_OPTION_TABLE_H
#define VMM_OPTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the record, text is a char *, owned, and NULL while it is unset. */
enum option_type {
	OPTION_TEXT,
	OPTION_FILE,   /* text: a path */
	OPTION_NAME,   /* text: a machine's name */
	OPTION_REGEX,  /* text: an extended regular expression that compiles */
	OPTION_NUMBER, /* uint64_t */
	OPTION_SIZE,   /* uint64_t, bytes; K, M, G */
	OPTION_TIME,   /* uint64_t, ns; ms, s, m */
	OPTION_CHOICE, /* unsigned int, index in choices */
	OPTION_PAGE,   /* uint64_t, bytes; one of choices, as a size */
	OPTION_FLAG,   /* bool */
	OPTION_TEXTS,  /* struct options_list: text; the key repeats */
	OPTION_TYPES,
};

/* Which verbs take it. */
enum option_use {
	OPTION_OF_RUN,
	OPTION_OF_DEVICE,
	OPTION_OF_BOTH,
};

struct option_key {
	const char *name;   /* as it is written; NULL: the option's only key */
	const char *value;  /* what help shows for a value; NULL: the choices */
	const char *help;   /* NULL in a main key: the option's help says it */
	const char *preset; /* the default, as a user writes it; NULL: unset */
	enum option_type type;
	size_t offset; /* in the record */
	/* Of NUMBER, SIZE and TIME. A value out of bounds means unset. */
	uint64_t min, max;
	const char *const *choices; /* NULL-terminated; "" cannot be written */
	/*
	 * Another way to give the main key, which is a CHOICE: sets that to
	 * choice, as file=PATH does.
	 */
	bool alternative;
	unsigned int choice;
};

struct option {
	const char *name;
	const char *help;
	const char *manual; /* what only the manual page says: mdoc; or NULL */
	const struct option_key *keys; /* the first is the main key */
	size_t key_count;	       /* at most 32 */
	enum option_use use;
	char letter;	 /* 0 without */
	bool raw;	 /* commas and equals signs mean nothing in its value */
	bool words_only; /* for the command line, not for a file */
	const char *bare; /* what it says without a value; NULL: it needs one */
	/*
	 * An option that repeats has both, others neither. Its main key has to
	 * be given each time, unless that has a preset.
	 */
	size_t list; /* place of its struct options_list in struct options */
	size_t size; /* bytes of an element */
};

/* In the order in which help lists them. */
extern const struct option option_table[];
extern const size_t option_table_count;

/* Whether `bantam device` takes it; or else `bantam run`. */
bool option_is_of(const struct option *option, bool device);

/* The row of a name of @len bytes, or NULL. */
const struct option *option_find(const char *name, size_t len);

/* The row of a letter, or NULL. */
const struct option *option_find_letter(char letter);

/* The key of a name of @len bytes, or NULL. */
const struct option_key *option_find_key(const struct option *option,
					 const char *name, size_t len);

#endif
