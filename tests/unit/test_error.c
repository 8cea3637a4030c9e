/* The message that a user reads: its text, its bound, its return value. */
#include "vmm/base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

START_TEST(error_set_with_message_returns_errno)
{
	struct error err;

	ck_assert_int_eq(error_set(&err, ENOENT, "--kernel %s: gone", "x"),
			 -ENOENT);
	ck_assert_str_eq(err.text, "--kernel x: gone");
}
END_TEST

START_TEST(error_set_without_error_returns_errno)
{
	ck_assert_int_eq(error_set(NULL, EINVAL, "%d", 1), -EINVAL);
	error_prefix(NULL, "%d", 1);
}
END_TEST

START_TEST(error_set_too_long_is_cut)
{
	static char text[2 * ERROR_TEXT_MAX];
	struct error err;

	memset(text, 'a', sizeof(text) - 1);
	error_set(&err, EINVAL, "%s", text);
	ck_assert_uint_eq(strlen(err.text), ERROR_TEXT_MAX - 1);
	error_prefix(&err, "b");
	ck_assert_uint_eq(strlen(err.text), ERROR_TEXT_MAX - 1);
	ck_assert_int_eq(err.text[0], 'b');
	ck_assert_int_eq(err.text[1], 'a');
	error_prefix(&err, "%s", text);
	ck_assert_uint_eq(strlen(err.text), ERROR_TEXT_MAX - 1);
	ck_assert_int_eq(err.text[0], 'a');
}
END_TEST

START_TEST(error_prefix_with_message_goes_before_it)
{
	struct error err;

	error_set(&err, EINVAL, "expected 1");
	error_prefix(&err, "--cpus %d: ", 7);
	ck_assert_str_eq(err.text, "--cpus 7: expected 1");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("error");
	TCase *tcase = tcase_create("error");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, error_set_with_message_returns_errno);
	tcase_add_test(tcase, error_set_without_error_returns_errno);
	tcase_add_test(tcase, error_set_too_long_is_cut);
	tcase_add_test(tcase, error_prefix_with_message_goes_before_it);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
