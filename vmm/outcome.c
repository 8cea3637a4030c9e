/*
 * How a machine ended: one row for each way, in the table's order.
 */
#include "vmm/outcome.h"

#include <assert.h>
#include <stddef.h>

static const struct {
	const char *name;
	int status; /* -1: the guest's own */
} outcome_rows[] = {
	[OUTCOME_ERROR] = {"error", OUTCOME_EXIT_ERROR},
	[OUTCOME_CRASH] = {"guest crash", OUTCOME_EXIT_CRASH},
	[OUTCOME_PANIC] = {"guest panic", OUTCOME_EXIT_PANIC},
	[OUTCOME_TIMEOUT] = {"timeout", OUTCOME_EXIT_TIMEOUT},
	[OUTCOME_NO_REBOOT] = {"guest reset", OUTCOME_EXIT_NO_REBOOT},
	[OUTCOME_GUEST_STATUS] = {"guest status", -1},
	[OUTCOME_POWEROFF] = {"guest power-off", 0},
	[OUTCOME_STOPPED] = {"stopped on request", 0},
	[OUTCOME_NONE] = {"undecided", OUTCOME_EXIT_ERROR},
};

static_assert(sizeof(outcome_rows) / sizeof(outcome_rows[0]) == OUTCOME_KINDS,
	      "a row for each kind");

int outcome_status(const struct outcome *outcome)
{
	int status = outcome_rows[outcome->kind].status;

	if (status >= 0)
		return status;
	if (outcome->guest_status > OUTCOME_GUEST_STATUS_MAX)
		return OUTCOME_GUEST_STATUS_MAX;
	return (int)outcome->guest_status;
}

const char *outcome_name(enum outcome_kind kind)
{
	return outcome_rows[kind].name;
}

bool outcome_decide(struct outcome *outcome, const struct outcome *next)
{
	if (outcome->kind != OUTCOME_NONE)
		return false;
	*outcome = *next;
	return true;
}
