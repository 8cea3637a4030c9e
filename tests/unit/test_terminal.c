/*
 * The keys behind Ctrl-A, and a terminal that is given back on every way out.
 * For the latter each case runs a job on a pty of its own, under a small shell
 * of its own, since stopping and continuing need a session around the job.
 */
#include "vmm/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

/* --- The escape filter ------------------------------------------------- */

static const struct filter_case {
	const char *in;
	const char *out;
	enum terminal_action action;
} filter_cases[] = {
	{"", "", TERMINAL_NONE},
	{"hello\r\x03\x04", "hello\r\x03\x04", TERMINAL_NONE},
	{"a\001xb", "a", TERMINAL_QUIT},
	{"a\001hb", "ab", TERMINAL_HELP},
	{"\001h\001xb", "", TERMINAL_QUIT},
	{"\001x\001h", "", TERMINAL_QUIT},
	{"\001\001x", "\001x", TERMINAL_NONE},
	{"\001ax", "\001x", TERMINAL_NONE},
	{"\001\001\001x", "\001", TERMINAL_QUIT},
	{"\001q", "\001q", TERMINAL_NONE},
	{"\001X\001H", "\001X\001H", TERMINAL_NONE},
	{"x\001", "x", TERMINAL_NONE},
};

START_TEST(escape_filter_in_one_read_gives_the_rest)
{
	const struct filter_case *c = &filter_cases[_i];
	struct terminal_escape escape = {0};
	size_t len = strlen(c->in), out_len;
	uint8_t out[64];

	ck_assert_int_eq(terminal_escape_filter(&escape, (const uint8_t *)c->in,
						len, out, &out_len),
			 c->action);
	ck_assert_uint_eq(out_len, strlen(c->out));
	ck_assert_mem_eq(out, c->out, out_len);
}
END_TEST

START_TEST(escape_filter_byte_by_byte_gives_the_same)
{
	const struct filter_case *c = &filter_cases[_i];
	enum terminal_action action = TERMINAL_NONE;
	struct terminal_escape escape = {0};
	size_t total = 0, out_len;
	uint8_t out[64];

	for (const char *p = c->in; *p && action != TERMINAL_QUIT; p++) {
		enum terminal_action now = terminal_escape_filter(
			&escape, (const uint8_t *)p, 1, out + total, &out_len);

		ck_assert_uint_le(out_len, 2);
		total += out_len;
		if (now != TERMINAL_NONE)
			action = now;
	}
	ck_assert_int_eq(action, c->action);
	ck_assert_uint_eq(total, strlen(c->out));
	ck_assert_mem_eq(out, c->out, total);
}
END_TEST

START_TEST(escape_filter_with_detach_takes_d_as_quit)
{
	struct terminal_escape escape = {.detach = true};
	uint8_t out[8];
	size_t out_len;

	ck_assert_int_eq(terminal_escape_filter(&escape,
						(const uint8_t *)"a\001db", 4,
						out, &out_len),
			 TERMINAL_QUIT);
	ck_assert_uint_eq(out_len, 1);
	escape = (struct terminal_escape){.detach = false};
	ck_assert_int_eq(terminal_escape_filter(&escape,
						(const uint8_t *)"a\001db", 4,
						out, &out_len),
			 TERMINAL_NONE);
	ck_assert_uint_eq(out_len, 4);
}
END_TEST

/* --- Raw mode ---------------------------------------------------------- */

static struct termios cooked; /* the pty as it was made */
static int slave;

static void require_at(bool ok, int line, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "test_terminal.c:%d: %s\n", line, what);
	_exit(1);
}
#define require(what) require_at(what, __LINE__, #what)

static bool is_cooked(void)
{
	struct termios mode;

	return tcgetattr(slave, &mode) == 0 && mode.c_iflag == cooked.c_iflag &&
	       mode.c_oflag == cooked.c_oflag &&
	       mode.c_cflag == cooked.c_cflag &&
	       mode.c_lflag == cooked.c_lflag &&
	       memcmp(mode.c_cc, cooked.c_cc, sizeof(mode.c_cc)) == 0;
}

static bool is_raw(void)
{
	struct termios mode;

	return tcgetattr(slave, &mode) == 0 && !(mode.c_oflag & OPOST) &&
	       !(mode.c_lflag & (ICANON | ECHO | ISIG)) &&
	       !(mode.c_iflag & (ICRNL | IXON));
}

struct job {
	void (*run)(void);	    /* the program; may stop */
	void (*stopped)(pid_t pid); /* what the shell does then */
	bool background;
};

/* Never returns. */
static void job_start(const struct job *job)
{
	const struct rlimit no_core = {0, 0};

	/* Neither Check's handlers nor a sanitizer's. */
	for (int sig = 1; sig < SIGRTMIN; sig++)
		signal(sig, SIG_DFL);
	setrlimit(RLIMIT_CORE, &no_core);
	require(setpgid(0, 0) == 0);
	if (!job->background) {
		signal(SIGTTOU, SIG_IGN);
		require(tcsetpgrp(slave, getpid()) == 0);
		signal(SIGTTOU, SIG_DFL);
	}
	job->run();
	exit(0);
}

/* Never returns. Exits like the job, with 128 + N for signal N. */
static void shell_start(const struct job *job)
{
	int status;
	pid_t pid;

	require(setsid() > 0);
	require(ioctl(slave, TIOCSCTTY, 0) == 0);
	require(dup2(slave, STDIN_FILENO) == STDIN_FILENO);
	signal(SIGTTOU, SIG_IGN);
	pid = fork();
	require(pid >= 0);
	if (pid == 0)
		job_start(job);
	for (;;) {
		require(waitpid(pid, &status, WUNTRACED) == pid);
		if (!WIFSTOPPED(status))
			break;
		require(job->stopped);
		job->stopped(pid);
		require(kill(pid, SIGCONT) == 0);
	}
	/* Before the session ends and takes the terminal with it. */
	require(is_cooked());
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				  : WEXITSTATUS(status));
}

static int run_job(const struct job *job)
{
	int master, status;
	pid_t pid;

	master = posix_openpt(O_RDWR | O_NOCTTY);
	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	ck_assert_int_ge(slave, 0);
	ck_assert_int_eq(tcgetattr(slave, &cooked), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		shell_start(job);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	close(slave);
	close(master);
	return WEXITSTATUS(status);
}

static void job_raw_and_back(void)
{
	require(terminal_raw() == 0);
	require(is_raw());
	terminal_restore();
	require(is_cooked());
	/* Idempotent: what others set since then stays. */
	require(tcsetattr(slave, TCSANOW, &(struct termios){0}) == 0);
	terminal_restore();
	require(!is_cooked());
	/* And SIGCONT means nothing any more. */
	require(tcsetattr(slave, TCSANOW, &cooked) == 0);
	raise(SIGCONT);
	require(is_cooked());
}

START_TEST(raw_then_restore_gives_mode_back)
{
	const struct job job = {.run = job_raw_and_back};

	ck_assert_int_eq(run_job(&job), 0);
}
END_TEST

static void job_exit(void)
{
	require(terminal_raw() == 0);
	require(is_raw());
	exit(7);
}

START_TEST(raw_then_exit_gives_mode_back)
{
	const struct job job = {.run = job_exit};

	ck_assert_int_eq(run_job(&job), 7);
}
END_TEST

static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL,  SIGFPE, SIGABRT, SIGQUIT,
			    SIGSYS,  SIGHUP, SIGTERM, SIGINT, SIGTRAP, SIGUSR1};
static int fatal_signal;

static void job_die(void)
{
	require(terminal_raw() == 0);
	require(is_raw());
	raise(fatal_signal);
}

START_TEST(raw_then_fatal_signal_gives_mode_back)
{
	const struct job job = {.run = job_die};

	fatal_signal = fatal[_i];
	ck_assert_int_eq(run_job(&job), 128 + fatal_signal);
}
END_TEST

static void job_fault(void)
{
	volatile char *page =
		mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require(page != MAP_FAILED);
	require(terminal_raw() == 0);
	*page = 1;
}

START_TEST(raw_then_fault_gives_mode_back)
{
	const struct job job = {.run = job_fault};

	ck_assert_int_eq(run_job(&job), 128 + SIGSEGV);
}
END_TEST

static void on_usr1(int sig)
{
	(void)sig;
}

static void job_keep_handler(void)
{
	struct sigaction action;

	signal(SIGUSR1, on_usr1);
	signal(SIGHUP, SIG_IGN);
	require(terminal_raw() == 0);
	require(sigaction(SIGUSR1, NULL, &action) == 0);
	require(action.sa_handler == on_usr1);
	require(raise(SIGHUP) == 0);
	require(is_raw());
}

START_TEST(raw_with_handlers_of_others_keeps_them)
{
	const struct job job = {.run = job_keep_handler};

	ck_assert_int_eq(run_job(&job), 0);
}
END_TEST

static void job_stop(void)
{
	require(terminal_raw() == 0);
	for (int i = 0; i < 2; i++) {
		raise(SIGTSTP);
		require(is_raw());
	}
}

static void shell_expect_cooked(pid_t pid)
{
	(void)pid;
	require(is_cooked());
}

START_TEST(raw_then_stop_gives_mode_back_meanwhile)
{
	const struct job job = {.run = job_stop,
				.stopped = shell_expect_cooked};

	ck_assert_int_eq(run_job(&job), 0);
}
END_TEST

static void job_stop_hard(void)
{
	require(terminal_raw() == 0);
	raise(SIGSTOP);
	require(is_raw());
}

static void shell_set_cooked(pid_t pid)
{
	(void)pid;
	require(tcsetattr(slave, TCSANOW, &cooked) == 0);
}

START_TEST(raw_then_continued_is_raw_again)
{
	const struct job job = {.run = job_stop_hard,
				.stopped = shell_set_cooked};

	ck_assert_int_eq(run_job(&job), 0);
}
END_TEST

static void job_in_background(void)
{
	require(terminal_raw() == 0);
	require(is_cooked());
	raise(SIGSTOP);
	require(is_raw());
}

static void shell_fg(pid_t pid)
{
	require(is_cooked());
	require(tcsetpgrp(slave, pid) == 0);
}

START_TEST(raw_in_background_waits_for_foreground)
{
	const struct job job = {.run = job_in_background,
				.stopped = shell_fg,
				.background = true};

	ck_assert_int_eq(run_job(&job), 0);
}
END_TEST

static void job_fork(void)
{
	int status;
	pid_t pid;

	require(terminal_raw() == 0);
	pid = fork();
	require(pid >= 0);
	if (pid == 0)
		exit(0);
	require(waitpid(pid, &status, 0) == pid);
	require(is_raw());
}

START_TEST(raw_then_child_exits_stays_raw)
{
	const struct job job = {.run = job_fork};

	ck_assert_int_eq(run_job(&job), 0);
}
END_TEST

START_TEST(raw_without_terminal_is_refused)
{
	int fd = open("/dev/null", O_RDONLY);

	ck_assert_int_eq(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	ck_assert_int_eq(terminal_raw(), -ENOTTY);
	terminal_restore();
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("terminal");
	TCase *tcase = tcase_create("terminal");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tcase, escape_filter_in_one_read_gives_the_rest, 0,
			    COUNT(filter_cases));
	tcase_add_loop_test(tcase, escape_filter_byte_by_byte_gives_the_same, 0,
			    COUNT(filter_cases));
	tcase_add_test(tcase, escape_filter_with_detach_takes_d_as_quit);
	tcase_add_test(tcase, raw_then_restore_gives_mode_back);
	tcase_add_test(tcase, raw_then_exit_gives_mode_back);
	tcase_add_loop_test(tcase, raw_then_fatal_signal_gives_mode_back, 0,
			    COUNT(fatal));
	tcase_add_test(tcase, raw_then_fault_gives_mode_back);
	tcase_add_test(tcase, raw_with_handlers_of_others_keeps_them);
	tcase_add_test(tcase, raw_then_stop_gives_mode_back_meanwhile);
	tcase_add_test(tcase, raw_then_continued_is_raw_again);
	tcase_add_test(tcase, raw_in_background_waits_for_foreground);
	tcase_add_test(tcase, raw_then_child_exits_stays_raw);
	tcase_add_test(tcase, raw_without_terminal_is_refused);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
