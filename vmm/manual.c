/*
 * Help and the manual page out of the tables of options and verbs.
 */
#include "vmm/manual.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/control_rpc.h"
#include "vmm/machine_control.h"
#include "vmm/option_value.h"

#define MANUAL_WIDTH  80
#define MANUAL_COLUMN 28 /* where help begins, from 0 */

/* --- What a row says ----------------------------------------------------- */

void manual_value(const struct option *option, const struct option_key *key,
		  char out[MANUAL_TEXT_MAX])
{
	char expected[OPTION_EXPECTED_MAX];
	size_t at;

	*out = '\0';
	if (key->value) {
		snprintf(out, MANUAL_TEXT_MAX, "%s", key->value);
	} else if (key->type != OPTION_FLAG || key != option->keys) {
		option_value_expected(key, expected);
		snprintf(out, MANUAL_TEXT_MAX, "%s", expected);
	}
	if (key != option->keys)
		return;
	for (size_t i = 1; i < option->key_count; i++) {
		at = strlen(out);
		if (option->keys[i].alternative)
			snprintf(out + at, MANUAL_TEXT_MAX - at, "|%s=%s",
				 option->keys[i].name, option->keys[i].value);
	}
}

void manual_text(const struct option *option, const struct option_key *key,
		 char out[MANUAL_TEXT_MAX])
{
	char bounds[OPTION_EXPECTED_MAX];

	option_value_bounds(key, bounds);
	snprintf(out, MANUAL_TEXT_MAX, "%s%s%.64s%s%s%s%s",
		 key->help ? key->help : option->help, *bounds ? ", " : "",
		 bounds, key->preset ? " (default " : "",
		 key->preset ? key->preset : "", key->preset ? ")" : "",
		 (option->size && key == option->keys) ||
				 key->type == OPTION_TEXTS
			 ? " (repeatable)"
			 : "");
}

/*
 * Print words, @at columns of the line being used, in lines of at most @width
 * that begin at column @indent.
 */
static void manual_fill(FILE *out, const char *text, size_t at, int indent,
			size_t width)
{
	for (bool first = true; *text; first = false) {
		size_t len = strcspn(text, " ");

		if (!first && at + 1 + len > width) {
			fprintf(out, "\n%*s", indent, "");
			at = (size_t)indent;
		} else if (!first) {
			fputc(' ', out);
			at++;
		}
		fwrite(text, 1, len, out);
		at += len;
		text += len;
		text += strspn(text, " ");
	}
}

/* --- Help ---------------------------------------------------------------- */

/* Put help into its column, when @at columns of the line are used. */
static void manual_help(FILE *out, size_t at, const char *text)
{
	if (at + 2 > MANUAL_COLUMN) {
		fputc('\n', out);
		at = 0;
	}
	fprintf(out, "%*s", (int)(MANUAL_COLUMN - at), "");
	manual_fill(out, text, MANUAL_COLUMN, MANUAL_COLUMN, MANUAL_WIDTH);
	fputc('\n', out);
}

static void manual_option(FILE *out, const struct option *option)
{
	char left[MANUAL_TEXT_MAX + 64], value[MANUAL_TEXT_MAX];
	char text[MANUAL_TEXT_MAX], letter[8] = "    ";

	if (option->letter)
		snprintf(letter, sizeof(letter), "-%c, ", option->letter);
	for (size_t i = 0; i < option->key_count; i++) {
		const struct option_key *key = &option->keys[i];

		manual_value(option, key, value);
		manual_text(option, key, text);
		if (!i)
			snprintf(left, sizeof(left), "  %s--%s%s%s", letter,
				 option->name, *value ? " " : "", value);
		else
			snprintf(left, sizeof(left), "        %s%s=%s",
				 key->alternative ? "" : ",", key->name, value);
		fputs(left, out);
		manual_help(out, strlen(left), text);
	}
}

/* Commas are text in the options that say so. */
static void manual_values(FILE *out, bool device)
{
	const char *before = "but for";

	fprintf(out,
		"\nSizes take K, M, G; times ms, s, m. A comma in a value "
		"is written twice%s\n",
		device ? ".\n" : ",");
	if (device)
		return;
	for (size_t i = 0; i < option_table_count; i++) {
		if (!option_table[i].raw ||
		    !option_is_of(&option_table[i], device))
			continue;
		fprintf(out, "%s --%s", before, option_table[i].name);
		before = ",";
	}
	fprintf(out, ".\n\n");
}

static void manual_methods(FILE *out)
{
	size_t count;
	const struct control_method *methods = machine_control_methods(&count);
	char left[MANUAL_TEXT_MAX];

	fprintf(out, "\nMethods:\n");
	for (size_t i = 0; i < count; i++) {
		size_t at = (size_t)snprintf(left, sizeof(left), "  %s",
					     methods[i].name);

		for (size_t p = 0;
		     p < CONTROL_PARAMS_MAX && methods[i].params[p].name &&
		     at < sizeof(left);
		     p++)
			at += (size_t)snprintf(
				left + at, sizeof(left) - at,
				methods[i].params[p].required ? " %s" : " [%s]",
				methods[i].params[p].name);
		fputs(left, out);
		manual_help(out, strlen(left), methods[i].help);
	}
}

void manual_verb(FILE *out, const struct verb *verb)
{
	fprintf(out, "bantam %s%s%s\n  %s\n", verb->name,
		*verb->usage ? " " : "", verb->usage, verb->help);
	if (verb->takes == VERB_METHOD)
		manual_methods(out);
	if (!verb->options)
		return;
	manual_values(out, verb->takes == VERB_TYPE);
	for (size_t i = 0; i < option_table_count; i++)
		if (option_is_of(&option_table[i], verb->takes == VERB_TYPE))
			manual_option(out, &option_table[i]);
}

void manual_list(FILE *out, const struct verb *verbs)
{
	char left[MANUAL_TEXT_MAX];

	fprintf(out, "bantam %s, a virtual machine monitor for Linux KVM\n\n",
		BANTAM_VERSION);
	for (const struct verb *verb = verbs; verb->name; verb++) {
		snprintf(left, sizeof(left), "  %s %s", verb->name,
			 verb->usage);
		fputs(left, out);
		manual_help(out, strlen(left), verb->help);
	}
	fprintf(out, "\n`bantam help VERB` tells more.\n");
}

/* --- The manual page ----------------------------------------------------- */

/*
 * A sentence. No word of it begins with a dot or a quote, which would be a
 * request to roff.
 */
static void manual_mdoc_text(FILE *out, const char *text)
{
	fputc(toupper((unsigned char)*text), out);
	manual_fill(out, text + 1, 1, 0, MANUAL_WIDTH - 1);
	fputs(".\n", out);
}

/*
 * Words of the table's own, and for a name in capitals what stands for it. The
 * main key's name may be left out on the command line.
 */
static void manual_mdoc_value(FILE *out, const struct option *option,
			      const struct option_key *key)
{
	const char *macro = key->value ? "Ar" : "Cm";
	char value[MANUAL_TEXT_MAX];

	manual_value(option, key, value);
	if (key != option->keys)
		fprintf(out, " Cm %s= Ns %s %s", key->name, macro, value);
	else if (key->name)
		fprintf(out, " Oo Cm %s= Oc Ns %s %s", key->name, macro, value);
	else if (*value)
		fprintf(out, " %s %s", macro, value);
}

static void manual_mdoc_keys(FILE *out, const struct option *option)
{
	char text[MANUAL_TEXT_MAX];

	fprintf(out, ".Bl -tag -width Ds -compact\n");
	for (size_t i = 1; i < option->key_count; i++) {
		const struct option_key *key = &option->keys[i];

		fprintf(out, ".It");
		manual_mdoc_value(out, option, key);
		fputc('\n', out);
		manual_text(option, key, text);
		manual_mdoc_text(out, text);
	}
	fprintf(out, ".El\n");
}

static void manual_mdoc_option(FILE *out, const struct option *option)
{
	char text[MANUAL_TEXT_MAX];

	fprintf(out, ".It");
	if (option->letter)
		fprintf(out, " Fl %c ,", option->letter);
	fprintf(out, " Fl -%s", option->name);
	manual_mdoc_value(out, option, option->keys);
	fputc('\n', out);
	manual_text(option, option->keys, text);
	manual_mdoc_text(out, text);
	if (option->manual)
		fprintf(out, "%s\n", option->manual);
	if (option->key_count > 1)
		manual_mdoc_keys(out, option);
}

void manual_mdoc_options(FILE *out)
{
	for (size_t i = 0; i < option_table_count; i++)
		manual_mdoc_option(out, &option_table[i]);
}

void manual_mdoc_verbs(FILE *out, const struct verb *verbs)
{
	for (const struct verb *verb = verbs; verb->name; verb++) {
		fprintf(out, ".It Ic %s%s%s\n", verb->name,
			*verb->usage ? " Ar " : "", verb->usage);
		manual_mdoc_text(out, verb->help);
		if (verb->manual)
			fprintf(out, "%s\n", verb->manual);
	}
}
