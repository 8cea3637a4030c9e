/*
 * Options and verbs in words for people: `bantam help`, and those parts of the
 * manual page that come from the tables (docs/man/page.sh puts them in).
 */
#ifndef VMM_MANUAL_H
#define VMM_MANUAL_H

#include <stdio.h>

#include "vmm/option_table.h"
#include "vmm/verb.h"

/* Bytes that any option's or key's help and value need. */
#define MANUAL_TEXT_MAX 512

/* `bantam help`: a line a verb. @verbs: ends with a NULL name. */
void manual_list(FILE *out, const struct verb *verbs);

/* `bantam help VERB`: with its options, 80 columns wide. */
void manual_verb(FILE *out, const struct verb *verb);

/* `bantam help --mdoc-verbs`, --mdoc-options: list items of mdoc(7). */
void manual_mdoc_verbs(FILE *out, const struct verb *verbs);
void manual_mdoc_options(FILE *out);

/* What stands for a key's value: "FILE", "2M|1G"; "" for an option that is a
 * flag. */
void manual_value(const struct option *option, const struct option_key *key,
		  char out[MANUAL_TEXT_MAX]);

/* Help with bounds and default: "vCPUs, 1 to 64 (default 1)". */
void manual_text(const struct option *option, const struct option_key *key,
		 char out[MANUAL_TEXT_MAX]);

#endif
