/*
 * What the client verbs share: the words behind the verb, errors, the end of a
 * machine.
 */
#ifndef VMM_CLIENT_WORDS_H
#define VMM_CLIENT_WORDS_H

#include <stdbool.h>

#include <jansson.h>

#include "vmm/base/error.h"
#include "vmm/remote.h"

struct client_words {
	const char *verb;
	bool json;    /* --json */
	char **words; /* the others; borrowed from argv, which is reordered */
	int count;
};

/**
 * client_words_parse() - Take the options out of the words behind a verb.
 * @expected: what the other words are, for the message: "a machine's NAME"
 * @min, @max: how many they may be; max negative: any number
 * @err: names the verb
 *
 * Return: 0 or -EINVAL.
 */
int client_words_parse(struct client_words *words, const char *verb, int argc,
		       char **argv, const char *expected, int min, int max,
		       struct error *err);

/* Print the error. Return: the exit status. */
int client_fail(const struct error *err);

/* Print JSON as a line on stdout, and let the reader have it. */
void client_print_json(const json_t *value);

/**
 * client_is_end() - Whether a message is the event "stopped".
 * @status: the exit status of the machine, 0 to 125
 */
bool client_is_end(const json_t *message, int *status);

#endif
