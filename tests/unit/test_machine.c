/*
 * A machine's signals before it has a guest; tests/guest has the rest of its
 * life.
 */
#include "vmm/machine.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/wait.h>

/* Who waits for the writer of a pipe can be interrupted. */
START_TEST(machine_run_signal_while_a_kernel_pipe_waits_ends_the_process)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	char dir[] = "/tmp/test_machine.XXXXXX";
	char path[64];
	int fd, status;
	pid_t pid;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/kernel", dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct options options = {.kernel = path, .cpus = 1};
		struct outcome outcome;
		struct error err;

		signal(signals[_i], SIG_DFL);
		_exit(machine_run(&options, &outcome, &err) ? 1 : 0);
	}
	/* Returns when the machine has opened the other end. */
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(kill(pid, signals[_i]), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), signals[_i]);
	close(fd);
	unlink(path);
	rmdir(dir);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("machine");
	TCase *tcase = tcase_create("machine");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(
		tcase,
		machine_run_signal_while_a_kernel_pipe_waits_ends_the_process,
		0, 3);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
