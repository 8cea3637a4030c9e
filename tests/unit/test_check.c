/* The words of a check of `bantam doctor`. */
#include "vmm/base/check.h"

#include <stdlib.h>
#include <string.h>

#include <check.h>

START_TEST(check_found_sets_status_and_detail)
{
	struct check_finding finding = {.status = CHECK_OK};

	check_found(&finding, CHECK_WARN, "%d left", 3);
	ck_assert_int_eq(finding.status, CHECK_WARN);
	ck_assert_str_eq(finding.detail, "3 left");
	ck_assert_str_eq(finding.fix, "");
	check_fix(&finding, "add %s", "more");
	ck_assert_str_eq(finding.fix, "add more");
	ck_assert_str_eq(finding.detail, "3 left");
}
END_TEST

START_TEST(check_found_too_long_is_cut)
{
	static char text[2 * CHECK_TEXT_MAX];
	struct check_finding finding = {.status = CHECK_OK};

	memset(text, 'a', sizeof(text) - 1);
	check_found(&finding, CHECK_OK, "%s", text);
	check_fix(&finding, "%s", text);
	ck_assert_uint_eq(strlen(finding.detail), CHECK_TEXT_MAX - 1);
	ck_assert_uint_eq(strlen(finding.fix), CHECK_TEXT_MAX - 1);
}
END_TEST

START_TEST(check_found_not_printable_becomes_question_marks)
{
	struct check_finding finding = {.status = CHECK_OK};

	check_found(&finding, CHECK_OK, "a\033b\n\xfc ~");
	ck_assert_str_eq(finding.detail, "a?b?? ~");
}
END_TEST

START_TEST(check_list_separates_and_is_cut)
{
	char list[12] = "";

	check_list(list, sizeof(list), ", ", "%s", "one");
	ck_assert_str_eq(list, "one");
	check_list(list, sizeof(list), ", ", "%d", 2);
	ck_assert_str_eq(list, "one, 2");
	check_list(list, sizeof(list), ", ", "three");
	ck_assert_str_eq(list, "one, 2, thr");
	check_list(list, sizeof(list), ", ", "four");
	ck_assert_str_eq(list, "one, 2, thr");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("check");
	TCase *tcase = tcase_create("check");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, check_found_sets_status_and_detail);
	tcase_add_test(tcase, check_found_too_long_is_cut);
	tcase_add_test(tcase, check_found_not_printable_becomes_question_marks);
	tcase_add_test(tcase, check_list_separates_and_is_cut);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
