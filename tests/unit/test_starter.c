/* Programs that a starter starts: here scripts, and this process their parent.
 */
#include "vmm/base/starter.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#define FDS 4

static struct starter *starter;
static int out; /* what the last program writes to 1, 2 and 3 */

static void make(const char *program, const char *script)
{
	char path[64], option[] = "-c", words[256];
	char *argv[] = {path, option, words, NULL};

	snprintf(path, sizeof(path), "%s", program);
	snprintf(words, sizeof(words), "%s", script);
	ck_assert_int_eq(starter_new(&starter, argv, FDS), 0);
}

/* Return: a pidfd, with `out` open. */
static int start(void)
{
	int ends[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int fds[FDS], pidfd = -1, ret;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	fds[0] = null;
	for (int i = 1; i < FDS; i++)
		fds[i] = ends[1];
	ret = starter_start(starter, fds, &pidfd);
	ck_assert_msg(ret == 0, "%s", strerror(-ret));
	close(null);
	close(ends[1]);
	out = ends[0];
	return pidfd;
}

/* All that it says, until nobody can say more. */
static const char *said(void)
{
	static char text[512];
	size_t used = 0;
	ssize_t len;

	while ((len = read(out, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)len;
	text[used] = '\0';
	close(out);
	return text;
}

static int status_of(int pidfd)
{
	siginfo_t info = {0};

	ck_assert_int_eq(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
	close(pidfd);
	return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

static void teardown(void)
{
	starter_free(starter);
	starter = NULL;
}

START_TEST(starter_start_gives_just_the_descriptors)
{
	int other = open("/dev/zero", O_RDONLY), pidfd;

	make("/bin/sh",
	     "for i in 0 1 2 3 4 5 6 7 8 9 10 16 17 18; do "
	     "[ ! -e /proc/$$/fd/$i ] || echo $i; done; echo end >&3; exit 7");
	pidfd = start();
	ck_assert_str_eq(said(), "0\n1\n2\n3\nend\n");
	ck_assert_int_eq(status_of(pidfd), 7);
	close(other);
}
END_TEST

START_TEST(starter_start_again)
{
	make("/bin/sh", "echo once");
	for (int i = 0; i < 3; i++) {
		int pidfd = start();

		ck_assert_str_eq(said(), "once\n");
		ck_assert_int_eq(status_of(pidfd), 0);
	}
}
END_TEST

START_TEST(starter_start_as_a_program_that_starts_anew)
{
	sigset_t mask;
	int pidfd;

	signal(SIGTERM, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	make("/bin/sh",
	     "exec sed -nE 's/^Sig(Blk|Ign):.*(....)$/\\2/p' /proc/self/status");
	pidfd = start();
	ck_assert_str_eq(said(), "0000\n0000\n");
	ck_assert_int_eq(status_of(pidfd), 0);
}
END_TEST

START_TEST(starter_start_no_program_says_so)
{
	int pidfd;

	make("/nowhere/program", "");
	pidfd = start();
	ck_assert_str_eq(said(), "cannot be executed\n");
	ck_assert_int_eq(status_of(pidfd), 1);
}
END_TEST

START_TEST(starter_free_leaves_the_program)
{
	int pidfd;

	make("/bin/sh", "echo up; exec sleep 1000");
	pidfd = start();
	ck_assert_int_eq(read(out, (char[3]){""}, 3), 3);
	teardown();
	ck_assert_int_eq(
		poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, 0), 0);
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	ck_assert_int_eq(status_of(pidfd), -SIGKILL);
	close(out);
}
END_TEST

/* A main of its own, which is killed: the pipe ends with the program. */
START_TEST(starter_start_dies_with_main)
{
	int ends[2], pidfd;
	pid_t pid;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		const int fds[FDS] = {ends[0], ends[1], ends[1], ends[1]};

		make("/bin/sh", "echo up; exec sleep 1000");
		if (starter_start(starter, fds, &pidfd) < 0)
			_exit(1);
		while (pause() < 0)
			;
	}
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], (char[3]){""}, 3), 3);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(read(ends[0], (char[1]){""}, 1), 0);
	close(ends[0]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("starter");
	TCase *tc = tcase_create("starter");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, starter_start_gives_just_the_descriptors);
	tcase_add_test(tc, starter_start_again);
	tcase_add_test(tc, starter_start_as_a_program_that_starts_anew);
	tcase_add_test(tc, starter_start_no_program_says_so);
	tcase_add_test(tc, starter_free_leaves_the_program);
	tcase_add_test(tc, starter_start_dies_with_main);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
