/*
 * What the client verbs share. The words are the user's; messages come from a
 * machine, which may be of another version of bantam.
 */
#include "vmm/client_words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/outcome.h"

int client_words_parse(struct client_words *words, const char *verb, int argc,
		       char **argv, const char *expected, int min, int max,
		       struct error *err)
{
	*words = (struct client_words){.verb = verb, .words = argv};
	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			words->json = true;
		else if (argv[i][0] == '-')
			return error_set(err, EINVAL,
					 "%s: expected %s%s--json, found "
					 "\"%.80s\"; see `bantam help %s`",
					 verb, expected,
					 *expected ? " or " : "", argv[i],
					 verb);
		else
			argv[words->count++] = argv[i];
	}
	if (words->count >= min && (max < 0 || words->count <= max))
		return 0;
	return error_set(err, EINVAL,
			 "%s: expected %s, found %d words; see `bantam help "
			 "%s`",
			 verb, *expected ? expected : "--json or nothing",
			 words->count, verb);
}

int client_fail(const struct error *err)
{
	log_error("%s", err->text);
	return OUTCOME_EXIT_ERROR;
}

void client_print_json(const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	if (text)
		puts(text);
	free(text);
	fflush(stdout);
}

bool client_is_end(const json_t *message, int *status)
{
	const json_t *params = json_object_get(message, "params");
	const char *event = json_string_value(json_object_get(params, "event"));
	const json_t *value = json_object_get(params, "status");

	if (!event || strcmp(event, "stopped") != 0)
		return false;
	*status = OUTCOME_EXIT_ERROR;
	if (json_is_integer(value) && json_integer_value(value) >= 0 &&
	    json_integer_value(value) <= OUTCOME_EXIT_ERROR)
		*status = (int)json_integer_value(value);
	return true;
}
