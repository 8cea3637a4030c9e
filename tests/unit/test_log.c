/* What a log line looks like, and which lines come. */
#include "vmm/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <termios.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/capture.h"

static char text[8192];

static unsigned int text_lines(void)
{
	unsigned int lines = 0;

	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	return lines;
}

START_TEST(log_message_with_level_prints_wanted_ones)
{
	struct capture capture;

	capture_begin(&capture);
	log_error("one %d", 1);
	log_warn("two");
	log_info("three");
	log_debug("four");
	log_set_level(LOG_DEBUG);
	log_debug("five");
	log_set_level(LOG_ERROR);
	log_warn("six");
	capture_end(&capture, text, sizeof(text));
	ck_assert_str_eq(text, "bantam: one 1\nbantam: two\nbantam: five\n");
}
END_TEST

START_TEST(log_message_with_control_characters_escapes_them)
{
	struct capture capture;

	capture_begin(&capture);
	log_error("a\nb\x1b[2J\x7f \xc2\x9b \xc3\xa4");
	capture_end(&capture, text, sizeof(text));
	ck_assert_str_eq(text,
			 "bantam: a\\x0ab\\x1b[2J\\x7f \xc2\\x9b \xc3\xa4\n");
}
END_TEST

START_TEST(log_message_too_long_stays_one_line)
{
	static char longest[5000];
	struct capture capture;
	size_t len;

	memset(longest, '\x01', sizeof(longest) - 1);
	capture_begin(&capture);
	errno = EBUSY;
	log_error("%s", longest);
	ck_assert_int_eq(errno, EBUSY);
	len = capture_end(&capture, text, sizeof(text));
	ck_assert_uint_le(len, PIPE_BUF);
	ck_assert_uint_ge(len, 2000);
	ck_assert_uint_eq(text_lines(), 1);
	ck_assert_int_eq(text[len - 1], '\n');
}
END_TEST

START_TEST(log_report_prints_it_as_it_is)
{
	static char longest[5000];
	struct capture capture;

	for (size_t i = 0; i < sizeof(longest) - 1; i++)
		longest[i] = i % 60 ? (char)('a' + i % 26) : '\n';
	capture_begin(&capture);
	log_report("one\n\ttwo\n");
	log_report("");
	log_report(longest);
	capture_end(&capture, text, sizeof(text));
	ck_assert_mem_eq(text, "one\n\ttwo\n", 9);
	ck_assert_str_eq(text + 9, longest);
}
END_TEST

START_TEST(log_message_to_stalled_reader_returns)
{
	static const char fill[4096];
	int fds[2], saved;

	saved = dup(STDERR_FILENO);
	ck_assert_int_eq(pipe(fds), 0);
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	while (write(fds[1], fill, sizeof(fill)) > 0)
		;
	fcntl(fds[1], F_SETFL, 0);
	ck_assert_int_ge(dup2(fds[1], STDERR_FILENO), 0);
	log_error("nobody reads this");
	log_report("nor\nthis\n");
	ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
}
END_TEST

START_TEST(log_message_to_raw_terminal_returns_carriage)
{
	struct termios mode;
	int master, slave, saved;
	ssize_t n;

	saved = dup(STDERR_FILENO);
	master = posix_openpt(O_RDWR | O_NOCTTY);
	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	ck_assert_int_ge(slave, 0);
	ck_assert_int_eq(tcgetattr(slave, &mode), 0);
	cfmakeraw(&mode);
	ck_assert_int_eq(tcsetattr(slave, TCSANOW, &mode), 0);
	ck_assert_int_ge(dup2(slave, STDERR_FILENO), 0);
	log_error("raw");
	ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
	n = read(master, text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_str_eq(text, "bantam: raw\r\n");
}
END_TEST

START_TEST(log_limited_with_flood_counts_dropped)
{
	struct log_limit limit = {0};
	struct capture capture;

	capture_begin(&capture);
	for (int i = 0; i < 100; i++)
		log_limited(&limit, LOG_ERROR, "queue %d", i);
	capture_end(&capture, text, sizeof(text));
	ck_assert_uint_eq(text_lines(), 5);
	ck_assert_ptr_nonnull(strstr(text, "bantam: queue 4\n"));

	/* As if ten seconds had passed. */
	limit.window_start -= INT64_C(10000000000);
	capture_begin(&capture);
	log_limited(&limit, LOG_ERROR, "queue");
	log_limited(&limit, LOG_ERROR, "queue");
	capture_end(&capture, text, sizeof(text));
	ck_assert_str_eq(text, "bantam: queue (and 95 more like it before)\n"
			       "bantam: queue\n");
}
END_TEST

START_TEST(log_limited_with_unwanted_level_counts_nothing)
{
	struct log_limit limit = {0};

	for (int i = 0; i < 100; i++)
		log_limited(&limit, LOG_DEBUG, "queue");
	ck_assert_uint_eq(limit.printed, 0);
	ck_assert_uint_eq(limit.dropped, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tcase = tcase_create("log");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, log_message_with_level_prints_wanted_ones);
	tcase_add_test(tcase, log_message_with_control_characters_escapes_them);
	tcase_add_test(tcase, log_message_too_long_stays_one_line);
	tcase_add_test(tcase, log_report_prints_it_as_it_is);
	tcase_add_test(tcase, log_message_to_stalled_reader_returns);
	tcase_add_test(tcase, log_message_to_raw_terminal_returns_carriage);
	tcase_add_test(tcase, log_limited_with_flood_counts_dropped);
	tcase_add_test(tcase, log_limited_with_unwanted_level_counts_nothing);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
