/*
 * What a check of `bantam doctor` found, in words. Names from the host's files
 * and environment may be part of them, so the text is made printable, which
 * JSON and terminals want.
 */
#include "vmm/base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void check_print(char *text, size_t size, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));

static void check_print(char *text, size_t size, const char *fmt, va_list args)
{
	vsnprintf(text, size, fmt, args);
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}

void check_found(struct check_finding *finding, enum check_status status,
		 const char *fmt, ...)
{
	va_list args;

	finding->status = status;
	va_start(args, fmt);
	check_print(finding->detail, sizeof(finding->detail), fmt, args);
	va_end(args);
}

void check_fix(struct check_finding *finding, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	check_print(finding->fix, sizeof(finding->fix), fmt, args);
	va_end(args);
}

void check_list(char *list, size_t size, const char *separator, const char *fmt,
		...)
{
	size_t used = strlen(list);
	va_list args;

	if (used) {
		snprintf(list + used, size - used, "%s", separator);
		used = strlen(list);
	}
	va_start(args, fmt);
	check_print(list + used, size - used, fmt, args);
	va_end(args);
}
