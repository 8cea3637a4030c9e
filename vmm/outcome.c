/*
 * How a machine ended: one row for each way, in the table's order.
 */
#include "vmm/outcome.h"

#include <assert.h>
#include <stddef.h>

static const struct {
	const char *word, *name;
	int status;	  /* -1: the guest's own */
	bool guest_ended; /* by itself, so that it missed --expect */
} outcome_rows[] = {
	[OUTCOME_ERROR] =
		{
			.word = "error",
			.name = "error",
			.status = OUTCOME_EXIT_ERROR,
		},
	[OUTCOME_CRASH] =
		{
			.word = "crash",
			.name = "guest crash",
			.status = OUTCOME_EXIT_CRASH,
		},
	[OUTCOME_PANIC] =
		{
			.word = "panic",
			.name = "guest panic",
			.status = OUTCOME_EXIT_PANIC,
		},
	[OUTCOME_FAIL_ON] =
		{
			.word = "fail-on",
			.name = "--fail-on matched",
			.status = OUTCOME_EXIT_FAIL_ON,
		},
	[OUTCOME_TIMEOUT] =
		{
			.word = "timeout",
			.name = "timeout",
			.status = OUTCOME_EXIT_TIMEOUT,
		},
	[OUTCOME_IDLE] =
		{
			.word = "idle-timeout",
			.name = "idle timeout",
			.status = OUTCOME_EXIT_TIMEOUT,
		},
	[OUTCOME_NO_REBOOT] =
		{
			.word = "reset",
			.name = "guest reset",
			.status = OUTCOME_EXIT_NO_REBOOT,
			.guest_ended = true,
		},
	[OUTCOME_GUEST_STATUS] =
		{
			.word = "guest-status",
			.name = "guest status",
			.status = -1,
			.guest_ended = true,
		},
	[OUTCOME_EXPECTED] =
		{
			.word = "expect",
			.name = "--expect matched",
			.status = 0,
		},
	[OUTCOME_POWEROFF] =
		{
			.word = "poweroff",
			.name = "guest power-off",
			.status = 0,
			.guest_ended = true,
		},
	[OUTCOME_STOPPED] =
		{
			.word = "stopped",
			.name = "stopped on request",
			.status = 0,
		},
	[OUTCOME_DRY_RUN] =
		{
			.word = "dry-run",
			.name = "dry run: the machine would start",
			.status = 0,
		},
	[OUTCOME_NONE] =
		{
			.word = "undecided",
			.name = "undecided",
			.status = OUTCOME_EXIT_ERROR,
		},
};

static_assert(sizeof(outcome_rows) / sizeof(outcome_rows[0]) == OUTCOME_KINDS,
	      "a row for each kind");

int outcome_status(const struct outcome *outcome)
{
	int status = outcome_rows[outcome->kind].status;

	if (outcome_missed(outcome))
		return OUTCOME_EXIT_MISSED;
	if (status >= 0)
		return status;
	if (outcome->guest_status > OUTCOME_GUEST_STATUS_MAX)
		return OUTCOME_GUEST_STATUS_MAX;
	return (int)outcome->guest_status;
}

bool outcome_missed(const struct outcome *outcome)
{
	return outcome->expect_missed &&
	       outcome_rows[outcome->kind].guest_ended;
}

const char *outcome_name(enum outcome_kind kind)
{
	return outcome_rows[kind].name;
}

const char *outcome_word(enum outcome_kind kind)
{
	return outcome_rows[kind].word;
}

bool outcome_decide(struct outcome *outcome, const struct outcome *next)
{
	if (outcome->kind != OUTCOME_NONE)
		return false;
	*outcome = *next;
	return true;
}
