/* Children of the spawner's, which are this program. */
#include "jail/spawner.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/jail_child.h"

static struct spawner *spawner;

/* --- What a child does -----------------------------------------------------
 */

/* Says "ready" and ends when it is told to, with what it is told. */
static int child_echo(int channel)
{
	char status;

	jail_child_say(channel, "ready");
	return read(channel, &status, 1) == 1 ? status : 99;
}

/* Ends by a signal alone. */
static int child_stay(int channel)
{
	jail_child_say(channel, "ready");
	while (pause() < 0)
		;
	return 0;
}

/* Which descriptors it has, and where 0 to 2 lead. */
static int child_fds(int channel)
{
	char list[256] = "", path[32], target[128];

	for (int fd = 0; fd < 256; fd++) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		target[len] = '\0';
		if (fd > 2)
			strcpy(target, "");
		snprintf(list + strlen(list), sizeof(list) - strlen(list),
			 "%d%s ", fd, fd < 2 ? target : "");
	}
	jail_child_say(channel, "%s", list);
	return 0;
}

static int child_process(int channel)
{
	const char *secret = getenv("BANTAM_TEST_SECRET");
	struct sigaction action;
	int death = 0;
	sigset_t mask;

	prctl(PR_GET_PDEATHSIG, &death);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigaction(SIGPIPE, NULL, &action);
	jail_child_say(channel, "%d %d %d %d %d %d", death,
		       prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), secret != NULL,
		       sigismember(&mask, SIGUSR1),
		       action.sa_handler == SIG_DFL, getpid());
	return 0;
}

static int child_begin(int channel)
{
	int death = 0, ret = jail_begin(channel);

	prctl(PR_GET_PDEATHSIG, &death);
	jail_child_say(channel, "%d %d", ret, death);
	return 0;
}

static const struct jail_child_role roles[] = {
	{"echo", child_echo},	    {"stay", child_stay},   {"fds", child_fds},
	{"process", child_process}, {"begin", child_begin}, {NULL, NULL},
};

/* --- Cases -----------------------------------------------------------------
 */

static void setup(void)
{
	struct error err = {""};
	int ret = spawner_new(&spawner, &err);

	ck_assert_msg(ret == 0, "%s", err.text);
}

static void teardown(void)
{
	spawner_free(spawner);
}

static const enum jail_mode modes[] = {JAIL_OFF, JAIL_ON};

START_TEST(spawner_start_child_is_ours_and_this_program)
{
	struct jail_child child;
	char text[64];
	int status;

	jail_child_start(&child, spawner, "echo", modes[_i]);
	ck_assert(jail_child_hear(&child, text, sizeof(text)));
	ck_assert_str_eq(text, "ready");
	ck_assert_int_eq(write(child.channel, "\7", 1), 1);
	status = jail_child_end(&child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 7);
}
END_TEST

START_TEST(spawner_start_several_at_once)
{
	struct jail_child children[8];
	char text[64];

	for (int i = 0; i < 8; i++)
		jail_child_start(&children[i], spawner, "echo", modes[_i]);
	for (int i = 0; i < 8; i++) {
		ck_assert(jail_child_hear(&children[i], text, sizeof(text)));
		ck_assert_int_eq(write(children[i].channel, "\0", 1), 1);
		ck_assert_int_eq(jail_child_end(&children[i]), 0);
	}
}
END_TEST

START_TEST(spawner_start_child_has_its_channel_and_nothing_else)
{
	int other = open("/dev/zero", O_RDONLY);
	struct jail_child child;
	char text[256];

	ck_assert_int_ge(other, 0);
	jail_child_start(&child, spawner, "fds", modes[_i]);
	ck_assert(jail_child_hear(&child, text, sizeof(text)));
	ck_assert_str_eq(text, "0/dev/null 1/dev/null 2 3 ");
	ck_assert_int_eq(jail_child_end(&child), 0);
	close(other);
}
END_TEST

START_TEST(spawner_start_child_is_set_up)
{
	struct jail_child child;
	char text[256];
	int death, nnp, secret, masked, handler, pid;

	jail_child_start(&child, spawner, "process", modes[_i]);
	ck_assert(jail_child_hear(&child, text, sizeof(text)));
	ck_assert_int_eq(sscanf(text, "%d %d %d %d %d %d", &death, &nnp,
				&secret, &masked, &handler, &pid),
			 6);
	ck_assert_int_eq(death, SIGKILL);
	ck_assert_int_eq(nnp, 1);
	ck_assert_int_eq(secret, 0);
	ck_assert_int_eq(masked, 0);
	ck_assert_int_eq(handler, 1);
	ck_assert_int_eq(pid == 1, modes[_i] == JAIL_ON);
	ck_assert_int_eq(jail_child_end(&child), 0);
}
END_TEST

static void ids_of(pid_t pid, const char *name, char *out, size_t size)
{
	char path[64];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
	len = readlink(path, out, size - 1);
	ck_assert_msg(len > 0, "%s: %s", path, strerror(errno));
	out[len] = '\0';
}

START_TEST(spawner_start_child_is_in_other_namespaces)
{
	static const char *const own[] = {"user", "pid", "mnt"};
	static const char *const all[] = {"user", "pid", "mnt",
					  "net",  "ipc", "uts"};
	struct jail_child a, b;
	char x[64], y[64];

	jail_child_start(&a, spawner, "echo", JAIL_ON);
	jail_child_start(&b, spawner, "echo", JAIL_ON);
	ck_assert(jail_child_hear(&a, x, sizeof(x)));
	ck_assert(jail_child_hear(&b, x, sizeof(x)));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		ids_of(getpid(), all[i], x, sizeof(x));
		ids_of(a.process.pid, all[i], y, sizeof(y));
		ck_assert_str_ne(x, y);
	}
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		ids_of(a.process.pid, own[i], x, sizeof(x));
		ids_of(b.process.pid, own[i], y, sizeof(y));
		ck_assert_str_ne(x, y);
	}
	/* Their end of input is told by ours being closed. */
	shutdown(a.channel, SHUT_RDWR);
	shutdown(b.channel, SHUT_RDWR);
	ck_assert_int_eq(WEXITSTATUS(jail_child_end(&a)), 99);
	ck_assert_int_eq(WEXITSTATUS(jail_child_end(&b)), 99);
}
END_TEST

START_TEST(spawner_start_too_long_a_type_is_refused)
{
	struct spawner_request request = {
		.type = "a-type-of-a-device-that-has-33-letters",
		.channel_fd = -1,
	};
	struct spawner_child child;
	struct error err = {""};

	ck_assert_int_eq(spawner_start(spawner, &request, &child, &err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, request.type));
}
END_TEST

START_TEST(spawner_start_dead_spawner_is_an_error)
{
	struct spawner_request request = {.type = "echo", .channel_fd = 0};
	struct spawner_child child;
	struct error err = {""};
	siginfo_t info;

	kill(spawner_pid(spawner), SIGKILL);
	ck_assert_int_eq(waitid(P_PID, (id_t)spawner_pid(spawner), &info,
				WEXITED | WNOWAIT),
			 0);
	ck_assert_int_eq(spawner_start(spawner, &request, &child, &err),
			 -EPIPE);
	ck_assert_ptr_nonnull(strstr(err.text, "has died"));
}
END_TEST

START_TEST(spawner_start_stopped_spawner_is_given_up)
{
	struct spawner_request request = {.type = "echo", .channel_fd = 0};
	struct spawner_child child;
	struct error err = {""};

	kill(spawner_pid(spawner), SIGSTOP);
	ck_assert_int_eq(spawner_start(spawner, &request, &child, &err),
			 -ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(err.text, "does not answer"));
}
END_TEST

START_TEST(spawner_new_child_outlives_the_spawner)
{
	struct jail_child child;
	char text[64];

	jail_child_start(&child, spawner, "echo", modes[_i]);
	ck_assert(jail_child_hear(&child, text, sizeof(text)));
	spawner_free(spawner);
	spawner = NULL;
	ck_assert_int_eq(write(child.channel, "\3", 1), 1);
	ck_assert_int_eq(WEXITSTATUS(jail_child_end(&child)), 3);
}
END_TEST

START_TEST(jail_begin_parent_there_and_gone)
{
	struct jail_child child;
	char text[64];
	int ends[2];

	jail_child_start(&child, spawner, "begin", modes[_i]);
	ck_assert(jail_child_hear(&child, text, sizeof(text)));
	ck_assert_str_eq(text, "0 9");
	ck_assert_int_eq(jail_child_end(&child), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	close(ends[0]);
	ck_assert_int_eq(jail_begin(ends[1]), -ESRCH);
	prctl(PR_SET_PDEATHSIG, 0);
}
END_TEST

/* A main of its own, which dies while a child and the spawner live. */
static void main_that_dies(int out)
{
	struct spawner_child process[2];
	struct spawner_request request = {.type = "stay"};
	struct error err = {""};
	int ends[2];

	setup();
	for (int i = 0; i < 2; i++) {
		char byte;

		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
		request.channel_fd = ends[1];
		request.mode = modes[i];
		if (spawner_start(spawner, &request, &process[i], &err) ||
		    read(ends[0], &byte, 1) != 1)
			_exit(1);
		send(out, &process[i].pid, sizeof(pid_t), 0);
	}
	send(out, &(pid_t){spawner_pid(spawner)}, sizeof(pid_t), 0);
	kill(getpid(), SIGKILL);
}

START_TEST(spawner_new_all_die_with_main)
{
	int ends[2], fds[3], status;
	pid_t pid, pids[3];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (pid == 0)
		main_that_dies(ends[1]);
	for (int i = 0; i < 3; i++) {
		struct pollfd end = {.events = POLLIN};

		ck_assert_int_eq(read(ends[0], &pids[i], sizeof(pid_t)),
				 sizeof(pid_t));
		/* Not yet waited for by anybody but us. */
		fds[i] = (int)syscall(SYS_pidfd_open, pids[i], 0);
		ck_assert_int_ge(fds[i], 0);
		end.fd = fds[i];
		ck_assert_int_eq(poll(&end, 1, 10000), 1);
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		if (i < 2)
			ck_assert(WIFSIGNALED(status) &&
				  WTERMSIG(status) == SIGKILL);
		close(fds[i]);
	}
	waitpid(pid, NULL, 0);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("spawner");
	TCase *tc = tcase_create("spawner");
	TCase *alone = tcase_create("alone");
	SRunner *runner = srunner_create(suite);
	int failed, kinds;

	jail_child_run(argc, argv, roles);
	setenv("BANTAM_TEST_SECRET", "1", 1);
	kinds = jail_child_possible("test_spawner") ? 2 : 1;
	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, spawner_start_child_is_ours_and_this_program, 0,
			    kinds);
	tcase_add_loop_test(tc, spawner_start_several_at_once, 0, kinds);
	tcase_add_loop_test(
		tc, spawner_start_child_has_its_channel_and_nothing_else, 0,
		kinds);
	tcase_add_loop_test(tc, spawner_start_child_is_set_up, 0, kinds);
	if (kinds == 2)
		tcase_add_test(tc, spawner_start_child_is_in_other_namespaces);
	tcase_add_test(tc, spawner_start_too_long_a_type_is_refused);
	tcase_add_test(tc, spawner_start_dead_spawner_is_an_error);
	tcase_add_test(tc, spawner_start_stopped_spawner_is_given_up);
	tcase_add_loop_test(tc, spawner_new_child_outlives_the_spawner, 0,
			    kinds);
	tcase_add_loop_test(tc, jail_begin_parent_there_and_gone, 0, kinds);
	suite_add_tcase(suite, tc);
	if (kinds == 2)
		tcase_add_test(alone, spawner_new_all_die_with_main);
	suite_add_tcase(suite, alone);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
