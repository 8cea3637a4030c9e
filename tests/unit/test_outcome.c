/*
 * How a machine ended and its exit status: CLI.md's table, line by line.
 */
#include "vmm/outcome.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	struct outcome outcome;
	int status;
} rows[] = {
	{{.kind = OUTCOME_ERROR}, 125},
	{{.kind = OUTCOME_CRASH}, 121},
	{{.kind = OUTCOME_PANIC}, 120},
	{{.kind = OUTCOME_TIMEOUT}, 124},
	{{.kind = OUTCOME_NO_REBOOT}, 122},
	{{.kind = OUTCOME_GUEST_STATUS, .guest_status = 0}, 0},
	{{.kind = OUTCOME_GUEST_STATUS, .guest_status = 1}, 1},
	{{.kind = OUTCOME_GUEST_STATUS, .guest_status = 119}, 119},
	{{.kind = OUTCOME_GUEST_STATUS, .guest_status = 120}, 119},
	{{.kind = OUTCOME_GUEST_STATUS, .guest_status = 255}, 119},
	{{.kind = OUTCOME_POWEROFF}, 0},
	{{.kind = OUTCOME_STOPPED}, 0},
	{{.kind = OUTCOME_NONE}, 125},
	{{.kind = OUTCOME_FAIL_ON}, 123},
	{{.kind = OUTCOME_IDLE}, 124},
	{{.kind = OUTCOME_EXPECTED}, 0},
	{{.kind = OUTCOME_DRY_RUN}, 0},
	/* --expect has not matched: only what the guest did by itself, and what
	 * stands below that row of the table. */
	{{.kind = OUTCOME_ERROR, .expect_missed = true}, 125},
	{{.kind = OUTCOME_CRASH, .expect_missed = true}, 121},
	{{.kind = OUTCOME_PANIC, .expect_missed = true}, 120},
	{{.kind = OUTCOME_FAIL_ON, .expect_missed = true}, 123},
	{{.kind = OUTCOME_TIMEOUT, .expect_missed = true}, 124},
	{{.kind = OUTCOME_IDLE, .expect_missed = true}, 124},
	{{.kind = OUTCOME_NO_REBOOT, .expect_missed = true}, 123},
	{{.kind = OUTCOME_GUEST_STATUS, .expect_missed = true}, 123},
	{{.kind = OUTCOME_GUEST_STATUS,
	  .guest_status = 42,
	  .expect_missed = true},
	 123},
	{{.kind = OUTCOME_POWEROFF, .expect_missed = true}, 123},
	{{.kind = OUTCOME_STOPPED, .expect_missed = true}, 0},
};

START_TEST(outcome_status_each_kind_gives_its_status)
{
	ck_assert_int_eq(outcome_status(&rows[_i].outcome), rows[_i].status);
}
END_TEST

START_TEST(outcome_decide_first_stays)
{
	struct outcome outcome = {.kind = OUTCOME_NONE};
	struct outcome stopped = {.kind = OUTCOME_STOPPED};
	struct outcome crash = {.kind = OUTCOME_CRASH};

	ck_assert(outcome_decide(&outcome, &stopped));
	ck_assert(!outcome_decide(&outcome, &crash));
	ck_assert_int_eq(outcome.kind, OUTCOME_STOPPED);
}
END_TEST

START_TEST(outcome_name_each_kind_has_its_own)
{
	for (int i = 0; i < OUTCOME_KINDS; i++)
		for (int j = 0; j < i; j++) {
			ck_assert_str_ne(outcome_name((enum outcome_kind)i),
					 outcome_name((enum outcome_kind)j));
			ck_assert_str_ne(outcome_word((enum outcome_kind)i),
					 outcome_word((enum outcome_kind)j));
		}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("outcome");
	TCase *tcase = tcase_create("outcome");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, outcome_status_each_kind_gives_its_status, 0,
			    sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(tcase, outcome_decide_first_stays);
	tcase_add_test(tcase, outcome_name_each_kind_has_its_own);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
