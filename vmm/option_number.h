/*
 * Numbers as users write them: plain, sizes in K, M and G, times in ms, s and
 * m.
 */
#ifndef VMM_OPTION_NUMBER_H
#define VMM_OPTION_NUMBER_H

#include <stdint.h>

#define OPTION_NUMBER_MAX 32 /* bytes of text */

#define OPTION_NS_PER_MS UINT64_C(1000000)
#define OPTION_NS_PER_S	 UINT64_C(1000000000)

enum option_unit {
	OPTION_UNIT_NONE,
	OPTION_UNIT_BYTES,
	OPTION_UNIT_TIME, /* ns; the unit is always written */
	OPTION_UNITS,
};

/**
 * option_number_parse() - Read digits and a unit, and nothing else.
 *
 * Return: 0, -EINVAL, or -ERANGE past 64 bits; @value is unchanged then.
 */
int option_number_parse(enum option_unit unit, const char *text,
			uint64_t *value);

/* The shortest text that option_number_parse() reads back; times of whole ms.
 */
void option_number_format(enum option_unit unit, uint64_t value,
			  char buf[OPTION_NUMBER_MAX]);

#endif
