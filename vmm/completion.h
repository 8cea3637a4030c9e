/*
 * What may stand next on bantam's command line: `bantam help --complete
 * WORD...`, which the scripts for the shells in completions/ ask.
 */
#ifndef VMM_COMPLETION_H
#define VMM_COMPLETION_H

#include <stdio.h>

#include "vmm/verb.h"

/**
 * completion_print() - Print the words that the last one may become.
 * @verbs: ends with a NULL name
 * @words: @count words behind "bantam", the last one as far as it was typed,
 *         empty when a new one begins
 *
 * A line a word, with help behind a tab where there is some. "@file", a tab
 * and the word's first part mean that the rest is a path. May block on the
 * directory of machines' names.
 */
void completion_print(FILE *out, const struct verb *verbs, int count,
		      char *const *words);

#endif
