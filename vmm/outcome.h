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
	OUTCOME_FAIL_ON,      /* --fail-on matched */
	OUTCOME_TIMEOUT,      /* --timeout */
	OUTCOME_IDLE,	      /* --idle-timeout */
	OUTCOME_NO_REBOOT,    /* the guest reset and --no-reboot was given */
	OUTCOME_GUEST_STATUS, /* the debug-exit port */
	OUTCOME_EXPECTED,     /* --expect matched */
	OUTCOME_POWEROFF,     /* the guest switched itself off */
	OUTCOME_STOPPED,      /* on request: a signal, `stop`, Ctrl-A x */
	OUTCOME_DRY_RUN,      /* --dry-run: it would start */
	OUTCOME_NONE,	      /* nothing decided yet */
	OUTCOME_KINDS,
};

struct outcome {
	enum outcome_kind kind;
	unsigned int guest_status; /* OUTCOME_GUEST_STATUS: what was written */
	bool expect_missed;	   /* --expect was given and has not matched */
};

#define OUTCOME_GUEST_STATUS_MAX 119

#define OUTCOME_EXIT_ERROR     125
#define OUTCOME_EXIT_CRASH     121
#define OUTCOME_EXIT_PANIC     120
#define OUTCOME_EXIT_FAIL_ON   123
#define OUTCOME_EXIT_MISSED    123
#define OUTCOME_EXIT_TIMEOUT   124
#define OUTCOME_EXIT_NO_REBOOT 122

/*
 * The exit status, 0 to 125. OUTCOME_NONE is an error. Where the guest itself
 * ended (a power-off, a reset, its status) and --expect was missed, that
 * counts; a time limit and a request keep their own status.
 */
int outcome_status(const struct outcome *outcome);

/* Does the status say that --expect was missed? */
bool outcome_missed(const struct outcome *outcome);

/* For messages: "guest panic" and so on. */
const char *outcome_name(enum outcome_kind kind);

/* For programs, one word: "panic" and so on; docs/outcomes.md lists them. */
const char *outcome_word(enum outcome_kind kind);

/**
 * outcome_decide() - Let @next decide, unless something did earlier.
 *
 * Whatever is decided first stays. Return: whether @next did.
 */
bool outcome_decide(struct outcome *outcome, const struct outcome *next);

#endif
