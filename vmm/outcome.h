/*
 * How a machine ended, and the exit status that tells a script so (CLI.md,
 * "exit"). Pure: no state, any thread.
 */
#ifndef VMM_OUTCOME_H
#define VMM_OUTCOME_H

#include <stdbool.h>

/* In the order of the table of exit statuses: the first match wins. */
enum outcome_kind {
	OUTCOME_ERROR,	      /* usage, host or bantam error */
	OUTCOME_CRASH,	      /* triple fault, KVM internal error */
	OUTCOME_PANIC,	      /* pvpanic, or the console's text */
	OUTCOME_TIMEOUT,      /* --timeout */
	OUTCOME_NO_REBOOT,    /* the guest reset and --no-reboot was given */
	OUTCOME_GUEST_STATUS, /* the debug-exit port */
	OUTCOME_POWEROFF,     /* the guest switched itself off */
	OUTCOME_STOPPED,      /* on request: a signal, Ctrl-A x */
	OUTCOME_NONE,	      /* nothing decided yet */
	OUTCOME_KINDS,
};

struct outcome {
	enum outcome_kind kind;
	unsigned int guest_status; /* OUTCOME_GUEST_STATUS: what was written */
};

#define OUTCOME_GUEST_STATUS_MAX 119

#define OUTCOME_EXIT_ERROR     125
#define OUTCOME_EXIT_CRASH     121
#define OUTCOME_EXIT_PANIC     120
#define OUTCOME_EXIT_TIMEOUT   124
#define OUTCOME_EXIT_NO_REBOOT 122

/* The exit status, 0 to 125. OUTCOME_NONE is an error. */
int outcome_status(const struct outcome *outcome);

/* For messages: "guest panic" and so on. */
const char *outcome_name(enum outcome_kind kind);

/**
 * outcome_decide() - Let @next decide, unless something did earlier.
 *
 * Whatever is decided first stays. Return: whether @next did.
 */
bool outcome_decide(struct outcome *outcome, const struct outcome *next);

#endif
