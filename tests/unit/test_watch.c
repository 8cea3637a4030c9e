/* Finding a kernel's panic in what a guest prints, however it prints it. */
#include "vmm/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#define PANIC	  "Kernel panic - not syncing: VFS: no root"
#define PANIC_END "---[ end Kernel panic - not syncing: VFS: no root ]---"

static struct watch *watch;
static char events[16]; /* P or E for each */
static char last[WATCH_LINE_MAX + 1];

static void on_event(void *ctx, enum watch_event event, const char *line)
{
	size_t len = strlen(events);

	ck_assert_ptr_eq(ctx, events);
	ck_assert_uint_lt(len + 1, sizeof(events));
	events[len] = event == WATCH_PANIC ? 'P' : 'E';
	ck_assert_uint_le(strlen(line), WATCH_LINE_MAX);
	snprintf(last, sizeof(last), "%s", line);
}

static void setup(void)
{
	ck_assert_int_eq(watch_new(&watch, on_event, events), 0);
}

static void teardown(void)
{
	watch_free(watch);
}

static void print(const char *text)
{
	watch_write(watch, text, strlen(text));
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

int main(void)
{
	Suite *suite = suite_create("watch");
	TCase *tcase = tcase_create("watch");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, write_of_panic_line_is_reported);
	tcase_add_test(tcase, write_byte_by_byte_is_reported_once);
	tcase_add_test(tcase, write_of_end_line_is_both);
	tcase_add_test(tcase, write_of_other_lines_is_silent);
	tcase_add_test(tcase, write_of_open_line_is_reported_at_end);
	tcase_add_test(tcase, write_of_long_line_is_cut);
	tcase_add_test(tcase, write_with_nul_bytes_is_reported);
	tcase_add_test(tcase, write_of_nothing_is_nothing);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
