#include "vmm/base/cmdline.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Does the user's text choose a console, as a word of its own? */
static bool cmdline_has_console(const char *text)
{
	const char *found = strstr(text, "console=");

	while (found && found > text && !isspace((unsigned char)found[-1]))
		found = strstr(found + 1, "console=");
	return found;
}

char *cmdline_new(const char *text, const char *console)
{
	char *cmdline;

	if (!console || cmdline_has_console(text))
		return strdup(text);
	/* In front: what follows "--" is for init. */
	if (asprintf(&cmdline, "console=%s%s%s", console, *text ? " " : "",
		     text) < 0)
		return NULL;
	return cmdline;
}
