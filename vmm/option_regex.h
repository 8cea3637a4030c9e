/*
 * Whether a user's regular expression may be given to regcomp(3).
 */
#ifndef VMM_OPTION_REGEX_H
#define VMM_OPTION_REGEX_H

#include <stddef.h>

#define OPTION_REGEX_LENGTH_MAX 1024 /* bytes */

/**
 * option_regex_check() - Is it an extended regular expression of POSIX?
 * @why: what is wrong with it, @size bytes at most
 *
 * Any thread. Return: 0 or -EINVAL.
 */
int option_regex_check(const char *text, char *why, size_t size);

#endif
