/*
 * The command line of `bantam run`. Every option is a comma list of key=value
 * items and every key a row of a table, with its type, its place in struct
 * options and what it accepts.
 */
#include "vmm/options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MEMORY_MIN (UINT64_C(32) << 20)
#define OPTIONS_MEMORY_MAX (UINT64_C(64) << 30)
#define OPTIONS_NS_PER_MS  UINT64_C(1000000)
#define OPTIONS_NS_PER_S   UINT64_C(1000000000)
#define OPTIONS_TIME_MAX   (366 * 24 * 3600 * OPTIONS_NS_PER_S)

enum option_type {
	OPTION_TEXT,   /* char *, owned */
	OPTION_RAW,    /* the same; commas mean nothing in it */
	OPTION_NUMBER, /* uint64_t */
	OPTION_SIZE,   /* uint64_t, bytes; K, M, G */
	OPTION_TIME,   /* uint64_t, ns; ms, s, m */
	OPTION_CHOICE, /* unsigned int, index in choices */
	OPTION_PAGE,   /* uint64_t, bytes; one of choices, as a size */
	OPTION_FLAG,   /* bool */
};

struct option_key {
	const char *name; /* shown for the main key, written for the others */
	enum option_type type;
	size_t offset; /* in struct options */
	uint64_t min, max;
	const char *const *choices; /* NULL-terminated */
	/* OPTION_TEXT: also sets this choice, as file=PATH does. */
	size_t choice_offset;
	unsigned int choice;
};

struct option {
	const char *name;
	char letter;		       /* 0 without */
	const struct option_key *keys; /* the first is the main key */
	size_t key_count;
	const char *help;
};

#define OPTION_AT(member) .offset = offsetof(struct options, member)
#define OPTION_KEYS(array) \
	.keys = (array), .key_count = sizeof(array) / sizeof((array)[0])

static const char *const options_entries[] = {
	[ARCH_ENTRY_AUTO] = "auto",
	[ARCH_ENTRY_BZIMAGE] = "bzimage",
	[ARCH_ENTRY_PVH] = "pvh",
	[ARCH_ENTRY_MULTIBOOT] = "multiboot",
	NULL,
};

static const char *const options_machines[] = {
	[ARCH_PROFILE_AUTO] = "auto",
	[ARCH_PROFILE_LEAN] = "lean",
	[ARCH_PROFILE_LEGACY] = "legacy",
	NULL,
};

/* The second is what the key of that name says; no item is spelled so. */
static const char *const options_serials[] = {
	[OPTIONS_SERIAL_STDIO] = "stdio",
	[OPTIONS_SERIAL_FILE] = "file=PATH",
	[OPTIONS_SERIAL_NULL] = "null",
	NULL,
};

static const char *const options_levels[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
	NULL,
};

static const char *const options_pages[] = {"2M", "1G", NULL};

static const struct option_key options_kernel_keys[] = {
	{.name = "FILE", .type = OPTION_TEXT, OPTION_AT(kernel)},
	{.name = "entry",
	 .type = OPTION_CHOICE,
	 OPTION_AT(entry),
	 .choices = options_entries},
};

static const struct option_key options_initrd_keys[] = {
	{.name = "FILE", .type = OPTION_TEXT, OPTION_AT(initrd)},
};

static const struct option_key options_append_keys[] = {
	{.name = "TEXT", .type = OPTION_RAW, OPTION_AT(append)},
};

static const struct option_key options_memory_keys[] = {
	{.name = "SIZE",
	 .type = OPTION_SIZE,
	 OPTION_AT(memory),
	 .min = OPTIONS_MEMORY_MIN,
	 .max = OPTIONS_MEMORY_MAX},
	{.name = "hugepages",
	 .type = OPTION_PAGE,
	 OPTION_AT(hugepages),
	 .choices = options_pages},
};

static const struct option_key options_cpus_keys[] = {
	{.name = "N",
	 .type = OPTION_NUMBER,
	 OPTION_AT(cpus),
	 .min = 1,
	 .max = ARCH_CPUS_MAX},
};

static const struct option_key options_machine_keys[] = {
	{.name = "PROFILE",
	 .type = OPTION_CHOICE,
	 OPTION_AT(machine),
	 .choices = options_machines},
};

static const struct option_key options_serial_keys[] = {
	{.name = "TO",
	 .type = OPTION_CHOICE,
	 OPTION_AT(serial),
	 .choices = options_serials},
	{.name = "file",
	 .type = OPTION_TEXT,
	 OPTION_AT(serial_file),
	 .choice_offset = offsetof(struct options, serial),
	 .choice = OPTIONS_SERIAL_FILE},
};

static const struct option_key options_timeout_keys[] = {
	{.name = "TIME",
	 .type = OPTION_TIME,
	 OPTION_AT(timeout),
	 .min = OPTIONS_NS_PER_MS,
	 .max = OPTIONS_TIME_MAX},
};

static const struct option_key options_grace_keys[] = {
	{.name = "TIME",
	 .type = OPTION_TIME,
	 OPTION_AT(grace),
	 .max = OPTIONS_TIME_MAX},
};

static const struct option_key options_no_reboot_keys[] = {
	{.name = "", .type = OPTION_FLAG, OPTION_AT(no_reboot)},
};

static const struct option_key options_log_keys[] = {
	{.name = "LEVEL",
	 .type = OPTION_CHOICE,
	 OPTION_AT(log),
	 .choices = options_levels},
};

static const struct option options_table[] = {
	{.name = "kernel",
	 .letter = 'k',
	 OPTION_KEYS(options_kernel_keys),
	 .help = "the kernel: bzImage, vmlinux, PVH or Multiboot; also the "
		 "argument without an option"},
	{.name = "initrd",
	 .letter = 'i',
	 OPTION_KEYS(options_initrd_keys),
	 .help = "the initial RAM disk or Multiboot module"},
	{.name = "append",
	 .letter = 'a',
	 OPTION_KEYS(options_append_keys),
	 .help = "the kernel's command line"},
	{.name = "memory",
	 .letter = 'm',
	 OPTION_KEYS(options_memory_keys),
	 .help = "guest memory (default 256M)"},
	{.name = "cpus",
	 .letter = 'c',
	 OPTION_KEYS(options_cpus_keys),
	 .help = "vCPUs (default 1)"},
	{.name = "machine",
	 OPTION_KEYS(options_machine_keys),
	 .help = "what hardware the guest finds (default auto: by the "
		 "kernel)"},
	{.name = "serial",
	 OPTION_KEYS(options_serial_keys),
	 .help = "where the serial port leads to (default stdio)"},
	{.name = "timeout",
	 OPTION_KEYS(options_timeout_keys),
	 .help = "end the machine after this time, status 124"},
	{.name = "grace",
	 OPTION_KEYS(options_grace_keys),
	 .help = "time from the power button to the stop (default 5s)"},
	{.name = "no-reboot",
	 OPTION_KEYS(options_no_reboot_keys),
	 .help = "a guest that resets ends, status 122"},
	{.name = "log",
	 OPTION_KEYS(options_log_keys),
	 .help = "bantam's own messages (default warn)"},
};

#define OPTIONS_COUNT (sizeof(options_table) / sizeof(options_table[0]))

/* Bit i: key i of the option was given. */
typedef uint32_t option_seen;

struct options_parser {
	struct options *options;
	option_seen seen[OPTIONS_COUNT];
	struct error *err;
};

/* --- Values ----------------------------------------------------------------
 */

/*
 * Digits, then one of the units; an empty first unit allows none. The result
 * is scaled.
 */
struct option_unit {
	const char *name;
	uint64_t scale;
};

static const struct option_unit options_size_units[] = {
	{"", 1},	 {"K", 1u << 10}, {"M", 1u << 20},
	{"G", 1u << 30}, {"k", 1u << 10}, {NULL, 0},
};

static const struct option_unit options_time_units[] = {
	{"s", OPTIONS_NS_PER_S},
	{"ms", OPTIONS_NS_PER_MS},
	{"m", 60 * OPTIONS_NS_PER_S},
	{NULL, 0},
};

static const struct option_unit options_no_units[] = {{"", 1}, {NULL, 0}};

static int option_scaled(const char *text, const struct option_unit *unit,
			 uint64_t *value)
{
	uint64_t number = 0;
	const char *at = text;

	for (; isdigit((unsigned char)*at); at++)
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, *at - '0', &number))
			return -ERANGE;
	if (at == text)
		return -EINVAL;
	for (; unit->name; unit++)
		if (!strcmp(at, unit->name))
			return __builtin_mul_overflow(number, unit->scale,
						      value)
				       ? -ERANGE
				       : 0;
	return -EINVAL;
}

static int option_size_of(const char *text, uint64_t *value)
{
	return option_scaled(text, options_size_units, value);
}

/* Index in a NULL-terminated list; -1 if it is not there. */
static int option_index(const char *const *choices, const char *text)
{
	for (int i = 0; choices[i]; i++)
		if (!strcmp(choices[i], text))
			return i;
	return -1;
}

static void option_format_size(char *out, size_t size, uint64_t bytes)
{
	if (bytes && !(bytes & ((UINT64_C(1) << 30) - 1)))
		snprintf(out, size, "%" PRIu64 "G", bytes >> 30);
	else if (bytes && !(bytes & ((UINT64_C(1) << 20) - 1)))
		snprintf(out, size, "%" PRIu64 "M", bytes >> 20);
	else
		snprintf(out, size, "%" PRIu64, bytes);
}

/* What a key accepts, for help and errors. */
static void option_accepts(const struct option_key *key, char *out, size_t size)
{
	char low[24], high[24];
	size_t at = 0;

	switch (key->type) {
	case OPTION_TEXT:
	case OPTION_RAW:
		snprintf(out, size, "text");
		break;
	case OPTION_NUMBER:
		snprintf(out, size, "a number from %" PRIu64 " to %" PRIu64,
			 key->min, key->max);
		break;
	case OPTION_SIZE:
		option_format_size(low, sizeof(low), key->min);
		option_format_size(high, sizeof(high), key->max);
		snprintf(out, size, "a size from %s to %s, such as 512M", low,
			 high);
		break;
	case OPTION_TIME:
		snprintf(out, size,
			 "a time of at least %" PRIu64
			 "ms and at most a year, such as 500ms, 60s or 5m",
			 key->min / OPTIONS_NS_PER_MS);
		break;
	case OPTION_CHOICE:
	case OPTION_PAGE:
		*out = '\0';
		for (const char *const *c = key->choices; *c; c++)
			if (at < size)
				at += (size_t)snprintf(out + at, size - at,
						       "%s%s", at ? "|" : "",
						       *c);
		break;
	case OPTION_FLAG:
		snprintf(out, size, "on|off");
		break;
	}
}

static int option_set_text(const struct option_key *key,
			   struct options *options, const char *text)
{
	char **place = (char **)((char *)options + key->offset);

	if (!*text && key->type == OPTION_TEXT)
		return -EINVAL;
	*place = strdup(text);
	if (!*place)
		return -ENOMEM;
	if (key->choice_offset)
		*(unsigned int *)((char *)options + key->choice_offset) =
			key->choice;
	return 0;
}

static int option_set_scaled(const struct option_key *key,
			     struct options *options, const char *text,
			     const struct option_unit *units)
{
	uint64_t value;
	int rc = option_scaled(text, units, &value);

	if (rc)
		return rc;
	if (value < key->min || value > key->max)
		return -ERANGE;
	*(uint64_t *)((char *)options + key->offset) = value;
	return 0;
}

static int option_set_choice(const struct option_key *key,
			     struct options *options, const char *text)
{
	int index = option_index(key->choices, text);

	if (index < 0)
		return -EINVAL;
	if (key->type == OPTION_PAGE)
		return option_size_of(
			text, (uint64_t *)((char *)options + key->offset));
	*(unsigned int *)((char *)options + key->offset) = (unsigned int)index;
	return 0;
}

static int option_set_flag(const struct option_key *key,
			   struct options *options, const char *text)
{
	static const char *const words[] = {"off", "on", "false", "true", NULL};
	int index = option_index(words, text);

	if (index < 0)
		return -EINVAL;
	*(bool *)((char *)options + key->offset) = index & 1;
	return 0;
}

static int option_set(const struct option_key *key, struct options *options,
		      const char *text)
{
	switch (key->type) {
	case OPTION_TEXT:
	case OPTION_RAW:
		return option_set_text(key, options, text);
	case OPTION_NUMBER:
		return option_set_scaled(key, options, text, options_no_units);
	case OPTION_SIZE:
		return option_set_scaled(key, options, text,
					 options_size_units);
	case OPTION_TIME:
		return option_set_scaled(key, options, text,
					 options_time_units);
	case OPTION_CHOICE:
	case OPTION_PAGE:
		return option_set_choice(key, options, text);
	case OPTION_FLAG:
		return option_set_flag(key, options, text);
	}
	return -EINVAL;
}

/* --- Comma lists -----------------------------------------------------------
 */

static int options_error(struct options_parser *parser,
			 const struct option *option,
			 const struct option_key *key, const char *text)
{
	char accepts[160];
	const char *joint = key == option->keys ? "" : ",";

	option_accepts(key, accepts, sizeof(accepts));
	return error_set(parser->err, EINVAL,
			 "--%s%s%s: expected %s, found \"%s\"", option->name,
			 joint, key == option->keys ? "" : key->name, accepts,
			 text);
}

static int options_set_key(struct options_parser *parser,
			   const struct option *option,
			   const struct option_key *key, const char *text)
{
	option_seen bit = UINT32_C(1) << (key - option->keys);
	option_seen *seen = &parser->seen[option - options_table];
	int rc;

	/* file=PATH says what the main key says, too. */
	if (key->choice_offset)
		bit |= 1;

	if (*seen & bit)
		return error_set(parser->err, EINVAL,
				 "--%s: %s is given twice; give it once",
				 option->name, *key->name ? key->name : "it");
	*seen |= bit;
	rc = option_set(key, parser->options, text);
	if (rc == -ENOMEM)
		return error_set(parser->err, ENOMEM, "--%s: out of memory",
				 option->name);
	return rc ? options_error(parser, option, key, text) : 0;
}

static int options_unknown_key(struct options_parser *parser,
			       const struct option *option, const char *name)
{
	char keys[256] = "";
	size_t at = 0;

	for (size_t i = 1; i < option->key_count && at < sizeof(keys); i++)
		at += (size_t)snprintf(keys + at, sizeof(keys) - at, "%s%s",
				       at ? ", " : "", option->keys[i].name);
	if (!at)
		return error_set(parser->err, EINVAL,
				 "--%s: it has no key \"%s\"; it takes one "
				 "value (write a comma in it twice)",
				 option->name, name);
	return error_set(parser->err, EINVAL,
			 "--%s: unknown key \"%s\"; its keys are %s (write a "
			 "comma in a value twice)",
			 option->name, name, keys);
}

/* One item of the list: key=value, the main key's value, or a flag. */
static int options_item(struct options_parser *parser,
			const struct option *option, char *item, bool first)
{
	char *equals = strchr(item, '=');

	if (equals)
		*equals = '\0';
	for (size_t i = 1; i < option->key_count && (equals || !first); i++) {
		const struct option_key *key = &option->keys[i];
		const char *flag = key->type == OPTION_FLAG ? "on" : "";

		if (!strcmp(item, key->name))
			return options_set_key(parser, option, key,
					       equals ? equals + 1 : flag);
	}
	if (!first)
		return options_unknown_key(parser, option, item);
	/* A path or command line may well have an equals sign in it. */
	if (equals)
		*equals = '=';
	return options_set_key(parser, option, option->keys, item);
}

/*
 * Cut the next item off a list, in place; a doubled comma is one comma of the
 * value. Return: whether there was one.
 */
static bool options_next_item(char **list, char **item)
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

static int options_list(struct options_parser *parser,
			const struct option *option, const char *value)
{
	char *copy, *list, *item;
	bool first = true;
	int rc = 0;

	copy = strdup(value);
	if (!copy)
		return error_set(parser->err, ENOMEM, "--%s: out of memory",
				 option->name);
	list = copy;
	while (!rc && options_next_item(&list, &item)) {
		rc = options_item(parser, option, item, first);
		first = false;
	}
	free(copy);
	return rc;
}

/* --- Words -----------------------------------------------------------------
 */

static int options_value(struct options_parser *parser,
			 const struct option *option, const char *value)
{
	if (option->keys[0].type == OPTION_RAW)
		return options_set_key(parser, option, option->keys, value);
	return options_list(parser, option, value);
}

static const struct option *options_find_long(const char *name, size_t len)
{
	for (size_t i = 0; i < OPTIONS_COUNT; i++)
		if (strlen(options_table[i].name) == len &&
		    !memcmp(options_table[i].name, name, len))
			return &options_table[i];
	return NULL;
}

static const struct option *options_find_letter(char letter)
{
	for (size_t i = 0; letter && i < OPTIONS_COUNT; i++)
		if (options_table[i].letter == letter)
			return &options_table[i];
	return NULL;
}

/*
 * One option at argv[*at], with its value in the same word or the next one.
 * *at is left on the last word used.
 */
static int options_word(struct options_parser *parser, int argc,
			char *const *argv, int *at)
{
	const char *word = argv[*at], *value = NULL;
	const struct option *option;

	if (word[1] == '-') {
		size_t len = strcspn(word + 2, "=");

		option = options_find_long(word + 2, len);
		if (word[2 + len])
			value = word + 2 + len + 1;
	} else {
		option = options_find_letter(word[1]);
		if (word[1] && word[2])
			value = word + 2;
	}
	if (!option)
		return error_set(parser->err, EINVAL,
				 "%s: unknown option; `bantam help run` lists "
				 "them",
				 word);
	if (!value && option->keys[0].type == OPTION_FLAG)
		value = "on";
	if (!value && *at + 1 < argc)
		value = argv[++*at];
	if (!value)
		return error_set(parser->err, EINVAL,
				 "--%s: expected a value behind it, found the "
				 "end of the command line",
				 option->name);
	return options_value(parser, option, value);
}

static int options_words(struct options_parser *parser, int argc,
			 char *const *argv)
{
	const struct option *kernel = options_find_letter('k');
	bool only_words = false;
	int rc = 0;

	for (int i = 0; i < argc && !rc; i++) {
		if (!only_words && !strcmp(argv[i], "--"))
			only_words = true;
		else if (!only_words && argv[i][0] == '-' && argv[i][1])
			rc = options_word(parser, argc, argv, &i);
		else
			rc = options_value(parser, kernel, argv[i]);
	}
	return rc;
}

int options_parse(struct options *options, int argc, char *const *argv,
		  struct error *err)
{
	struct options_parser parser = {.options = options, .err = err};
	int rc;

	*options = (struct options){
		.memory = UINT64_C(256) << 20,
		.cpus = 1,
		.grace = 5 * OPTIONS_NS_PER_S,
		.log = LOG_WARN,
	};
	rc = options_words(&parser, argc, argv);
	if (rc)
		return rc;
	if (options->memory %
	    (options->hugepages ? options->hugepages : UINT64_C(1) << 20))
		return error_set(err, EINVAL,
				 "--memory: expected a multiple of %s, found "
				 "%" PRIu64 " bytes",
				 options->hugepages ? "the huge page" : "1M",
				 options->memory);
	if (!options->kernel)
		return error_set(err, EINVAL,
				 "--kernel: expected the file of a kernel, "
				 "found none; give -k FILE");
	return 0;
}

void options_fini(struct options *options)
{
	free(options->kernel);
	free(options->initrd);
	free(options->append);
	free(options->serial_file);
}

/* --- Help ------------------------------------------------------------------
 */

static void options_help_option(FILE *out, const struct option *option)
{
	char accepts[160];

	if (option->letter)
		fprintf(out, "  -%c, --%s", option->letter, option->name);
	else
		fprintf(out, "      --%s", option->name);
	fprintf(out, *option->keys[0].name ? " %s\n" : "\n",
		option->keys[0].name);
	fprintf(out, "          %s\n", option->help);
	for (size_t i = 0; i < option->key_count; i++) {
		const struct option_key *key = &option->keys[i];

		if (key->type == OPTION_TEXT || key->type == OPTION_RAW ||
		    key->type == OPTION_FLAG) {
			/* What also sets a choice stands among its words. */
			if (i && !key->choice_offset)
				fprintf(out, "          %s=%s\n", key->name,
					key->type == OPTION_FLAG ? "on|off"
								 : "TEXT");
			continue;
		}
		option_accepts(key, accepts, sizeof(accepts));
		fprintf(out, "          %s%s%s\n", i ? key->name : "",
			i ? "=" : "", accepts);
	}
}

void options_help(FILE *out)
{
	for (size_t i = 0; i < OPTIONS_COUNT; i++)
		options_help_option(out, &options_table[i]);
}
