/*
 * Numbers with units. strtoull(3) takes signs, spaces and overflows; this does
 * not.
 */
#include "vmm/option_number.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct number_suffix {
	const char *name;
	uint64_t scale;
};

/* The greatest comes first, other spellings of the same last. */
static const struct number_suffix number_none[] = {{"", 1}, {NULL, 0}};
static const struct number_suffix number_bytes[] = {
	{"G", 1u << 30}, {"M", 1u << 20}, {"K", 1u << 10},
	{"", 1},	 {"k", 1u << 10}, {NULL, 0},
};
static const struct number_suffix number_time[] = {
	{"s", OPTION_NS_PER_S},
	{"ms", OPTION_NS_PER_MS},
	{"m", 60 * OPTION_NS_PER_S},
	{NULL, 0},
};

static const struct number_suffix *const number_suffixes[] = {
	[OPTION_UNIT_NONE] = number_none,
	[OPTION_UNIT_BYTES] = number_bytes,
	[OPTION_UNIT_TIME] = number_time,
};
static_assert(sizeof(number_suffixes) / sizeof(number_suffixes[0]) ==
		      OPTION_UNITS,
	      "suffixes for each unit");

int option_number_parse(enum option_unit unit, const char *text,
			uint64_t *value)
{
	const struct number_suffix *suffix = number_suffixes[unit];
	uint64_t number = 0;
	const char *at = text;

	for (; isdigit((unsigned char)*at); at++)
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, *at - '0', &number))
			return -ERANGE;
	if (at == text)
		return -EINVAL;
	while (suffix->name && strcmp(at, suffix->name) != 0)
		suffix++;
	if (!suffix->name)
		return -EINVAL;
	if (__builtin_mul_overflow(number, suffix->scale, &number))
		return -ERANGE;
	*value = number;
	return 0;
}

void option_number_format(enum option_unit unit, uint64_t value,
			  char buf[OPTION_NUMBER_MAX])
{
	const struct number_suffix *suffix = number_suffixes[unit];

	while (value % suffix->scale && suffix[1].name)
		suffix++;
	snprintf(buf, OPTION_NUMBER_MAX, "%" PRIu64 "%s", value / suffix->scale,
		 suffix->name);
}
