/*
 * The command line of a Linux kernel.
 */
#ifndef VMM_BASE_CMDLINE_H
#define VMM_BASE_CMDLINE_H

/**
 * cmdline_new() - The user's text, with a console for the kernel to talk to.
 * @text: if it has a console= as a word of its own, that is the console
 * @console: its name otherwise, such as "hvc0"; NULL: none is named
 *
 * Return: for free(3), or NULL without memory.
 */
char *cmdline_new(const char *text, const char *console);

#endif
