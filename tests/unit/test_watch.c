/*
 * Finding a kernel's panic and the user's patterns in what a guest prints,
 * however it prints it.
 */
#include "vmm/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "vmm/base/loop.h"

#define PANIC	  "Kernel panic - not syncing: VFS: no root"
#define PANIC_END "---[ end Kernel panic - not syncing: VFS: no root ]---"

static struct watch *watch;
static struct watch_patterns *fail_on, *expect;
static char events[16]; /* a letter for each */
static char last[WATCH_LINE_MAX + 1];
static struct watch_match match; /* but for its line */
static unsigned int opens;

static void on_event(void *ctx, const struct watch_match *found)
{
	static const char letters[WATCH_EVENTS] = {
		[WATCH_PANIC] = 'P',
		[WATCH_PANIC_END] = 'E',
		[WATCH_FAIL_ON] = 'F',
		[WATCH_EXPECT] = 'X',
	};
	size_t len = strlen(events);

	ck_assert_ptr_eq(ctx, events);
	ck_assert_uint_lt(len + 1, sizeof(events));
	events[len] = letters[found->event];
	ck_assert_uint_le(strlen(found->line), WATCH_LINE_MAX);
	snprintf(last, sizeof(last), "%s", found->line);
	match = *found;
}

static void on_open(void *ctx)
{
	ck_assert_ptr_eq(ctx, events);
	opens++;
}

static struct watch_patterns *patterns(const char *option, const char *first,
				       const char *second)
{
	char *items[] = {strdup(first), second ? strdup(second) : NULL};
	struct watch_patterns *out;
	struct error err;

	ck_assert_int_eq(
		watch_patterns_new(&out, option, items, second ? 2 : 1, &err),
		0);
	free(items[0]);
	free(items[1]);
	return out;
}

static void make(void)
{
	const struct watch_config config = {
		.event = on_event,
		.open = on_open,
		.ctx = events,
		.fail_on = fail_on,
		.expect = expect,
	};

	ck_assert_int_eq(watch_new(&watch, &config), 0);
}

static void setup_patterns(void)
{
	fail_on = patterns("--fail-on", "BUG:|oops", "^x$");
	expect = patterns("--expect", "^done\\.$", "login: *$");
	make();
}

static void teardown(void)
{
	watch_free(watch);
	watch_patterns_free(fail_on);
	watch_patterns_free(expect);
}

static void print(const char *text)
{
	watch_write(watch, text, strlen(text));
}

/* What the main loop's timer does, once it has been quiet for long enough. */
static int64_t pass(int64_t ns)
{
	return watch_quiet(watch, loop_now() + ns);
}

START_TEST(write_of_panic_line_is_reported)
{
	print("[   12.345678] " PANIC "\r\n[   12.4] CPU: 0 PID: 1\r\n");
	ck_assert_str_eq(events, "P");
	ck_assert_str_eq(last, "[   12.345678] " PANIC);
}
END_TEST

START_TEST(write_byte_by_byte_is_reported_once)
{
	const char *text = "hello\n<0>" PANIC "\nbye\n";

	for (; *text; text++)
		watch_write(watch, text, 1);
	ck_assert_str_eq(events, "P");
	ck_assert_str_eq(last, "<0>" PANIC);
}
END_TEST

START_TEST(write_of_end_line_is_both)
{
	print(PANIC_END "\n");
	ck_assert_str_eq(events, "PE");
	ck_assert_str_eq(last, PANIC_END);
}
END_TEST

START_TEST(write_of_other_lines_is_silent)
{
	print("Kernel panic - not\nsyncing\nkernel panic - not syncing\n"
	      "Kernel panic -  not syncing\n\n\r\n---[ end trace 0 ]---\n");
	watch_end(watch);
	ck_assert_str_eq(events, "");
}
END_TEST

START_TEST(write_of_open_line_is_reported_at_end)
{
	print(PANIC);
	ck_assert_str_eq(events, "");
	watch_end(watch);
	ck_assert_str_eq(events, "P");
	watch_end(watch);
	ck_assert_str_eq(events, "P");
	/* A new start has a new line. */
	print("Kernel panic -");
	watch_end(watch);
	print(" not syncing\n");
	ck_assert_str_eq(events, "P");
}
END_TEST

START_TEST(write_of_long_line_is_cut)
{
	static char filler[WATCH_LINE_MAX];

	memset(filler, 'x', sizeof(filler));
	print(PANIC);
	for (int i = 0; i < 3; i++)
		watch_write(watch, filler, sizeof(filler));
	print("\n");
	ck_assert_str_eq(events, "P");
	ck_assert_uint_eq(strlen(last), WATCH_LINE_MAX);

	/* What lies behind the bound is not seen, the next line is. */
	watch_write(watch, filler, sizeof(filler));
	print(PANIC "\n");
	ck_assert_str_eq(events, "P");
	print(PANIC "\n");
	ck_assert_str_eq(events, "PP");

	/* The text as the last thing that fits. */
	watch_write(watch, filler,
		    sizeof(filler) - strlen("Kernel panic - not syncing"));
	print(PANIC "\r\n");
	ck_assert_str_eq(events, "PPP");
}
END_TEST

START_TEST(write_with_nul_bytes_is_reported)
{
	static const char text[] = "a\0b\0" PANIC "\0\n";

	watch_write(watch, text, sizeof(text) - 1);
	ck_assert_str_eq(events, "P");
	ck_assert_str_eq(last, "a b " PANIC " ");
}
END_TEST

START_TEST(write_of_nothing_is_nothing)
{
	watch_write(watch, NULL, 0);
	ck_assert_str_eq(events, "");
}
END_TEST

/* --- Patterns ---------------------------------------------------------------
 */

START_TEST(patterns_new_bad_expression_names_option_and_pattern)
{
	char good[] = "a+", bad[] = "a(b";
	char *items[] = {good, bad};
	struct watch_patterns *out;
	struct error err;

	ck_assert_int_eq(watch_patterns_new(&out, "--expect", items, 2, &err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "--expect a(b: "));
}
END_TEST

START_TEST(write_of_expected_line_says_where)
{
	print("one\ntwo\r\nlogin: ");
	print("root\n\ndone.\r\ndone.\n");
	ck_assert_str_eq(events, "X");
	ck_assert_str_eq(last, "done.");
	ck_assert_uint_eq(match.number, 5);
	ck_assert_uint_eq(match.pattern, 0);
}
END_TEST

START_TEST(write_of_second_pattern_is_counted)
{
	print("1\nx\n");
	ck_assert_str_eq(events, "F");
	ck_assert_uint_eq(match.pattern, 1);
	ck_assert_uint_eq(match.number, 2);
}
END_TEST

START_TEST(write_byte_by_byte_matches_whole_lines)
{
	const char *text = "done?\nxy\ndone.\n";

	for (; *text; text++) {
		ck_assert_str_eq(events, "");
		watch_write(watch, text, 1);
	}
	ck_assert_str_eq(events, "X");
}
END_TEST

START_TEST(write_of_line_that_is_both_fails)
{
	print("oops login:\n");
	ck_assert_str_eq(events, "F");
}
END_TEST

START_TEST(write_after_match_is_silent)
{
	print("done.\noops\n" PANIC "\n");
	ck_assert_str_eq(events, "X");
}
END_TEST

START_TEST(write_after_panic_matches_nothing)
{
	print(PANIC " oops\noops\ndone.\n" PANIC_END "\n");
	ck_assert_str_eq(events, "PPE");
}
END_TEST

START_TEST(end_of_open_line_matches)
{
	print("done.");
	watch_end(watch);
	ck_assert_str_eq(events, "X");
	ck_assert_uint_eq(match.number, 1);
}
END_TEST

START_TEST(end_without_line_matches_nothing)
{
	watch_patterns_free(expect);
	watch_free(watch);
	expect = patterns("--expect", "^$", NULL);
	make();
	watch_end(watch);
	ck_assert_str_eq(events, "");
	print("\n");
	ck_assert_str_eq(events, "X");
}
END_TEST

START_TEST(quiet_prompt_is_tried_when_left_alone)
{
	print("boot\n");
	ck_assert_uint_eq(opens, 0);
	print("host ");
	print("login: ");
	ck_assert_uint_eq(opens, 1);
	ck_assert_int_gt(pass(0), 0);
	ck_assert_int_le(pass(0), WATCH_QUIET_NS);
	ck_assert_str_eq(events, "");
	ck_assert_int_eq(pass(WATCH_QUIET_NS), -1);
	ck_assert_str_eq(events, "X");
	ck_assert_str_eq(last, "host login: ");
	ck_assert_uint_eq(match.number, 2);
	ck_assert_uint_eq(match.pattern, 1);
	/* It is still only one. */
	print("\n");
	ck_assert_str_eq(events, "X");
}
END_TEST

START_TEST(quiet_line_is_asked_for_once_in_a_while)
{
	for (int i = 0; i < 1000; i++)
		print("a");
	ck_assert_uint_eq(opens, 1);
	ck_assert_int_eq(pass(WATCH_QUIET_NS), -1);
	/* Tried, nothing added: no reason to ask again. */
	ck_assert_int_eq(pass(WATCH_QUIET_NS), -1);
	ck_assert_uint_eq(opens, 1);
	print("a");
	ck_assert_uint_eq(opens, 2);
	/* Complete before its time. */
	print("\n");
	ck_assert_int_eq(pass(WATCH_QUIET_NS), -1);
	print("b\n");
	ck_assert_uint_eq(opens, 2);
	ck_assert_str_eq(events, "");
}
END_TEST

START_TEST(quiet_line_that_goes_on_is_whole)
{
	print("login: \r");
	ck_assert_int_eq(pass(WATCH_QUIET_NS), -1);
	ck_assert_str_eq(events, "");
	print("BUG:\n");
	ck_assert_str_eq(events, "F");
	ck_assert_str_eq(last, "login: \rBUG:");
}
END_TEST

START_TEST(quiet_without_patterns_is_never_asked_for)
{
	print("login: ");
	ck_assert_uint_eq(opens, 0);
	ck_assert_int_eq(pass(WATCH_QUIET_NS), -1);
}
END_TEST

START_TEST(last_output_is_noted)
{
	int64_t before = loop_now();

	ck_assert_int_eq(watch_last(watch), 0);
	print("a");
	ck_assert_int_ge(watch_last(watch), before);
	ck_assert_int_le(watch_last(watch), loop_now());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("watch");
	TCase *panic = tcase_create("panic");
	TCase *pattern = tcase_create("pattern");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(panic, make, teardown);
	tcase_add_test(panic, write_of_panic_line_is_reported);
	tcase_add_test(panic, write_byte_by_byte_is_reported_once);
	tcase_add_test(panic, write_of_end_line_is_both);
	tcase_add_test(panic, write_of_other_lines_is_silent);
	tcase_add_test(panic, write_of_open_line_is_reported_at_end);
	tcase_add_test(panic, write_of_long_line_is_cut);
	tcase_add_test(panic, write_with_nul_bytes_is_reported);
	tcase_add_test(panic, write_of_nothing_is_nothing);
	tcase_add_test(panic, quiet_without_patterns_is_never_asked_for);
	tcase_add_test(panic, last_output_is_noted);
	suite_add_tcase(suite, panic);
	tcase_add_checked_fixture(pattern, setup_patterns, teardown);
	tcase_add_test(pattern,
		       patterns_new_bad_expression_names_option_and_pattern);
	tcase_add_test(pattern, write_of_expected_line_says_where);
	tcase_add_test(pattern, write_of_second_pattern_is_counted);
	tcase_add_test(pattern, write_byte_by_byte_matches_whole_lines);
	tcase_add_test(pattern, write_of_line_that_is_both_fails);
	tcase_add_test(pattern, write_after_match_is_silent);
	tcase_add_test(pattern, write_after_panic_matches_nothing);
	tcase_add_test(pattern, end_of_open_line_matches);
	tcase_add_test(pattern, end_without_line_matches_nothing);
	tcase_add_test(pattern, quiet_prompt_is_tried_when_left_alone);
	tcase_add_test(pattern, quiet_line_is_asked_for_once_in_a_while);
	tcase_add_test(pattern, quiet_line_that_goes_on_is_whole);
	suite_add_tcase(suite, pattern);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
