/*
 * The types of options' values: from the text that a user writes to a member
 * of a record, and back. The command line and the config file both come
 * through here, so that they take the same.
 */
#ifndef VMM_OPTION_VALUE_H
#define VMM_OPTION_VALUE_H

#include <stddef.h>

#include "vmm/option_number.h"
#include "vmm/option_table.h"
#include "vmm/options.h"

/* Enough for option_value_expected() and for why a value was refused. */
#define OPTION_EXPECTED_MAX 192

/* What a value is in JSON. */
enum option_form {
	OPTION_FORM_TEXT,
	OPTION_FORM_NUMBER,
	OPTION_FORM_FLAG,
	OPTION_FORM_TEXTS, /* an array, an element for each time */
};

enum option_form option_value_form(const struct option_key *key);

/**
 * option_value_set() - Set the member, whatever it was; of a key that repeats,
 * append to it.
 * @record: that the key's offset counts from
 * @text: as written by a user
 * @why: what is wrong with it where the type can say more than
 *       option_value_expected(), else ""; OPTION_EXPECTED_MAX bytes
 *
 * Return: 0, -EINVAL or -ERANGE for a wrong value, -ENOMEM; @record is
 * unchanged after a failure.
 */
int option_value_set(const struct option_key *key, void *record,
		     const char *text, char *why);

/**
 * option_value_get() - The text that option_value_set() takes for it.
 * @buf: OPTION_NUMBER_MAX bytes, for values that are not text
 *
 * Return: @buf or the member itself; NULL if it is unset, and for a key that
 * repeats.
 */
const char *option_value_get(const struct option_key *key, const void *record,
			     char *buf);

/* What a key that repeats has collected; for others, an empty list. */
struct options_list option_value_list(const struct option_key *key,
				      const void *record);

/* Make it unset, and free what it owned. */
void option_value_clear(const struct option_key *key, void *record);

/* What the key takes, in words: "a number from 1 to 64". */
void option_value_expected(const struct option_key *key,
			   char out[OPTION_EXPECTED_MAX]);

/* Its bounds in few words: "1 to 64"; "" for a type that has none to show. */
void option_value_bounds(const struct option_key *key,
			 char out[OPTION_EXPECTED_MAX]);

#endif
