/*
 * The one line that a user reads when something failed. The text may hold
 * bytes of a file name; whoever prints it makes them harmless (log.c does).
 */
#include "vmm/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int errnum, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
	}
	return -errnum;
}

void error_prefix(struct error *err, const char *fmt, ...)
{
	char rest[ERROR_TEXT_MAX];
	va_list ap;
	size_t len;

	if (!err)
		return;
	memcpy(rest, err->text, sizeof(rest));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, "%s", rest);
}
