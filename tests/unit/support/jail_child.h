/*
 * A unit test's own program as a child of the spawner's: main() calls
 * jail_child_run() first, and in a child that does not return.
 */
#ifndef TESTS_UNIT_SUPPORT_JAIL_CHILD_H
#define TESTS_UNIT_SUPPORT_JAIL_CHILD_H

#include <stdbool.h>

#include "jail/spawner.h"

/* What a child does: a row by the device type that it was started as. */
struct jail_child_role {
	const char *type;
	/* channel: SPAWNER_CHANNEL_FD. Return: its exit status. */
	int (*run)(int channel);
};

/* The last row has no type. */
void jail_child_run(int argc, char **argv, const struct jail_child_role *roles);

struct jail_child {
	struct spawner_child process;
	int channel; /* owned: the parent's end */
};

/* Start one, or fail the test. */
void jail_child_start(struct jail_child *child, struct spawner *spawner,
		      const char *type, enum jail_mode mode);
/* One packet as a string; fails the test after 10 s. Return: false at the
 * end. */
bool jail_child_hear(const struct jail_child *child, char *text, size_t size);
/* Wait for the end, as waitpid() has it, and close all. */
int jail_child_end(struct jail_child *child);

/* From a child: one packet. */
void jail_child_say(int channel, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Whether this host gives an ordinary process a user namespace. Says a skip
 * line if it does not.
 */
bool jail_child_possible(const char *test);

#endif
