/*
 * Regular expressions come from the command line and from files, and glibc's
 * regcomp(3) trusts them: it recurses once a parenthesis, and writes a
 * repetition out that many times, so that thirty bytes of ((a{999}){999}){999}
 * take all memory. Hence a bound on the length and one on the size written out.
 */
#include "vmm/option_regex.h"

#include <errno.h>
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Regcomp's time and memory grow with its square: 10 MiB at this size. */
#define REGEX_COST_MAX 4096

/*
 * The greatest number in the braces at *at, which is left on the last byte of
 * them; 1 where they hold none.
 */
static uint64_t regex_repetition(const char **at)
{
	const char *end = strchr(*at, '}');
	uint64_t most = 1;

	if (!end)
		return most;
	for (const char *c = *at + 1; c < end; c++) {
		char *next;
		uint64_t number;

		if (*c < '0' || *c > '9')
			continue;
		number = strtoull(c, &next, 10);
		if (number > most)
			most = number;
		c = next - 1;
	}
	*at = end;
	return most;
}

/*
 * At least as many pieces as regcomp() makes of it. A repetition of a group
 * counts as one of all that stands before it, which is never too little.
 */
static bool regex_is_small(const char *text)
{
	uint64_t cost = 0;
	bool group = false; /* the last piece may have been many */

	for (const char *at = text; *at; at++) {
		if (*at == '{') {
			uint64_t times = regex_repetition(&at);

			/* Saturates: what is too much stays too much. */
			if (times > REGEX_COST_MAX)
				return false;
			cost = group ? cost * times : cost + times;
			group = true;
		} else if (*at == '\\' && at[1]) {
			at++;
			cost++;
			group = false;
		} else {
			cost++;
			group = strchr(")*+?", *at) != NULL;
		}
		if (cost > REGEX_COST_MAX)
			return false;
	}
	return true;
}

int option_regex_check(const char *text, char *why, size_t size)
{
	regex_t regex;
	int rc;

	if (!*text) {
		snprintf(why, size, "it is empty");
		return -EINVAL;
	}
	if (strlen(text) > OPTION_REGEX_LENGTH_MAX) {
		snprintf(why, size, "it is longer than %d bytes",
			 OPTION_REGEX_LENGTH_MAX);
		return -EINVAL;
	}
	if (!regex_is_small(text)) {
		snprintf(why, size, "its repetitions make it too large");
		return -EINVAL;
	}
	rc = regcomp(&regex, text, REG_EXTENDED | REG_NOSUB);
	if (rc) {
		regerror(rc, &regex, why, size);
		return -EINVAL;
	}
	regfree(&regex);
	return 0;
}
