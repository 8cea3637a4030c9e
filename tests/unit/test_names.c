/*
 * Machines by name: where sockets are, who gets a name, what a crash leaves.
 * Each case has a runtime directory of its own.
 */
#include "vmm/names.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#define NOBODY 65534

static char runtime[] = "/tmp/test_names.XXXXXX";
static struct error err;

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(runtime));
	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", runtime, 1), 0);
}

/* Cases end in a fork of their own: what they made is removed by force. */
static void teardown(void)
{
	char command[sizeof(runtime) + 16];

	snprintf(command, sizeof(command), "rm -rf %s", runtime);
	ck_assert_int_eq(system(command), 0);
}

static const char *path_of(const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/bantam/%s", runtime, file);
	return path;
}

static struct listen_claim *claim(const char *name)
{
	struct listen_claim *made;
	int ret = names_claim(&made, name, &err);

	ck_assert_msg(ret == 0, "%s", err.text);
	return made;
}

/* --- Names ---------------------------------------------------------------- */

static const struct {
	const char *name;
	int ret;
} checked[] = {
	{"a", 0},
	{"web-1_x.2", 0},
	{"9", 0},
	{"", -EINVAL},
	{".", -EINVAL},
	{"..", -EINVAL},
	{".hidden", -EINVAL},
	{"-x", -EINVAL},
	{"a/b", -EINVAL},
	{"../x", -EINVAL},
	{"a b", -EINVAL},
	{"a\n", -EINVAL},
	{"\xc3\xa4", -EINVAL},
	{"1234567890123456789012345678901234567890123456789012345678901234", 0},
	{"12345678901234567890123456789012345678901234567890123456789012345",
	 -EINVAL},
};

START_TEST(check_of_name_says_whether_it_is_one)
{
	ck_assert_int_eq(names_check(checked[_i].name, &err), checked[_i].ret);
	if (checked[_i].ret)
		ck_assert_ptr_nonnull(strstr(err.text, "expected a name"));
}
END_TEST

START_TEST(address_of_name_is_in_the_runtime_directory)
{
	struct sockaddr_un address;

	ck_assert_int_eq(names_address("web", &address, &err), 0);
	ck_assert_str_eq(address.sun_path, path_of("web.sock"));
}
END_TEST

START_TEST(address_of_path_is_that_path)
{
	struct sockaddr_un address;

	ck_assert_int_eq(names_address("./x y", &address, &err), 0);
	ck_assert_str_eq(address.sun_path, "./x y");
}
END_TEST

START_TEST(address_of_long_path_is_refused)
{
	struct sockaddr_un address;
	char path[200] = "/";

	memset(path + 1, 'x', 106);
	ck_assert_int_eq(names_address(path, &address, &err), 0);
	ck_assert_str_eq(address.sun_path, path);
	path[107] = 'x';
	ck_assert_int_eq(names_address(path, &address, &err), -ENAMETOOLONG);
	ck_assert_ptr_nonnull(strstr(err.text, "108 bytes, expected 107"));
}
END_TEST

START_TEST(claim_in_long_directory_is_refused)
{
	struct listen_claim *made;
	char dir[200];

	memset(dir, 'x', sizeof(dir));
	dir[0] = '/';
	dir[150] = '\0';
	setenv("XDG_RUNTIME_DIR", dir, 1);
	ck_assert_int_eq(names_claim(&made, "web", &err), -ENAMETOOLONG);
	ck_assert_ptr_nonnull(strstr(err.text, "shorter name"));
}
END_TEST

START_TEST(address_with_relative_directory_is_refused)
{
	struct sockaddr_un address;

	setenv("XDG_RUNTIME_DIR", "run", 1);
	ck_assert_int_eq(names_address("web", &address, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "absolute path"));
}
END_TEST

START_TEST(address_without_directory_is_run_for_root_alone)
{
	struct sockaddr_un address;
	int ret;

	unsetenv("XDG_RUNTIME_DIR");
	if (geteuid() == 0) {
		ck_assert_int_eq(names_address("web", &address, &err), 0);
		ck_assert_str_eq(address.sun_path, "/run/bantam/web.sock");
		ck_assert_int_eq(seteuid(NOBODY), 0);
	}
	ret = names_address("web", &address, &err);
	ck_assert_int_eq(ret, -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "set it to"));
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

/* --- Claims --------------------------------------------------------------- */

START_TEST(claim_makes_directory_and_socket_for_the_owner_alone)
{
	struct listen_claim *made;
	struct stat st;

	umask(0);
	made = claim("web");
	ck_assert_int_eq(stat(path_of(""), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(lstat(path_of("web.sock"), &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	listen_release(made);
}
END_TEST

START_TEST(claim_listens_and_release_leaves_no_file)
{
	struct listen_claim *made = claim("web");
	struct sockaddr_un address;
	int fd;

	ck_assert_int_eq(names_address("web", &address, &err), 0);
	ck_assert_int_eq(names_connect(&address, &fd), 0);
	close(fd);
	listen_release(made);
	ck_assert_int_eq(names_connect(&address, &fd), -ENOENT);
	ck_assert_int_eq(rmdir(path_of("")), 0);
}
END_TEST

START_TEST(claim_of_live_name_is_refused)
{
	struct listen_claim *made = claim("web"), *second;
	char pid[32];

	snprintf(pid, sizeof(pid), "(process %d)", (int)getpid());
	ck_assert_int_eq(names_claim(&second, "web", &err), -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(err.text, "--name web"));
	ck_assert_ptr_nonnull(strstr(err.text, pid));
	/* And it does the owner no harm. */
	ck_assert_int_eq(access(path_of("web.sock"), F_OK), 0);
	listen_release(made);
	listen_release(claim("web"));
}
END_TEST

START_TEST(claim_of_name_with_full_backlog_is_refused)
{
	struct listen_claim *made = claim("web"), *second;
	struct sockaddr_un address;
	int fd;

	ck_assert_int_eq(names_address("web", &address, &err), 0);
	while (names_connect(&address, &fd) == 0)
		;
	ck_assert_int_eq(names_claim(&second, "web", &err), -EADDRINUSE);
	listen_release(made);
}
END_TEST

/* A process that claims a name and is killed while it has it. */
static void crash_with(const char *name)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		claim(name);
		raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

START_TEST(claim_of_stale_name_replaces_it)
{
	struct sockaddr_un address;
	int fd;

	crash_with("web");
	ck_assert_int_eq(names_address("web", &address, &err), 0);
	ck_assert_int_eq(names_connect(&address, &fd), -ECONNREFUSED);
	listen_release(claim("web"));
}
END_TEST

START_TEST(claim_of_another_kind_of_file_is_refused)
{
	struct listen_claim *made;
	int fd;

	listen_release(claim("first"));
	fd = open(path_of("web.sock"), O_CREAT | O_WRONLY, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(names_claim(&made, "web", &err), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.text, "remove it"));
	ck_assert_int_eq(access(path_of("web.sock"), F_OK), 0);
}
END_TEST

START_TEST(claim_of_symbolic_link_is_refused)
{
	struct listen_claim *made;

	listen_release(claim("first"));
	ck_assert_int_eq(symlink("/nowhere", path_of("web.sock")), 0);
	ck_assert_int_eq(names_claim(&made, "web", &err), -EEXIST);
}
END_TEST

START_TEST(claim_in_directory_that_others_write_to_is_refused)
{
	struct listen_claim *made;

	listen_release(claim("first"));
	ck_assert_int_eq(chmod(path_of(""), 0770), 0);
	ck_assert_int_eq(names_claim(&made, "web", &err), -EPERM);
	ck_assert_ptr_nonnull(strstr(err.text, "chmod 700"));
}
END_TEST

START_TEST(claim_in_missing_runtime_directory_is_refused)
{
	struct listen_claim *made;

	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	ck_assert_int_eq(names_claim(&made, "web", &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/bantam"));
}
END_TEST

START_TEST(release_after_socket_was_replaced_by_hand_leaves_the_other)
{
	struct listen_claim *made = claim("web"), *other;

	ck_assert_int_eq(unlink(path_of("web.sock")), 0);
	other = claim("web");
	listen_release(made);
	ck_assert_int_eq(access(path_of("web.sock"), F_OK), 0);
	listen_release(other);
}
END_TEST

#define STARTERS 6

/* Claim when the gate opens; tell over the pipe; hold until it is closed. */
static void starter(int gate, int told)
{
	struct listen_claim *made;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(gate, &byte, 1) != 0)
		_exit(2);
	byte = names_claim(&made, "web", &err) == 0 ? 'y' : 'n';
	if (write(told, &byte, 1) != 1)
		_exit(2);
	pause();
}

START_TEST(claim_by_many_at_once_succeeds_for_one)
{
	int gate[2], told[2], winners = 0;
	pid_t pids[STARTERS];
	char byte;

	crash_with("web");
	ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
	for (int i = 0; i < STARTERS; i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0) {
			close(gate[1]);
			starter(gate[0], told[1]);
		}
	}
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < STARTERS; i++) {
		ck_assert_int_eq(read(told[0], &byte, 1), 1);
		winners += byte == 'y';
	}
	ck_assert_int_eq(winners, 1);
	for (int i = 0; i < STARTERS; i++) {
		kill(pids[i], SIGKILL);
		ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
	}
}
END_TEST

/* --- Listing -------------------------------------------------------------- */

START_TEST(list_without_directory_is_empty)
{
	char **names;
	size_t count;

	ck_assert_int_eq(names_list(&names, &count, &err), 0);
	ck_assert_uint_eq(count, 0);
	names_list_free(names, count);
}
END_TEST

START_TEST(list_has_sockets_by_name_and_nothing_else)
{
	struct listen_claim *b = claim("b"), *a = claim("a");
	char **names;
	size_t count;

	ck_assert_int_eq(mkdir(path_of("notes"), 0700), 0);
	ck_assert_int_eq(mkdir(path_of(".sock"), 0700), 0);
	ck_assert_int_eq(mkdir(path_of("x y.sock"), 0700), 0);
	ck_assert_int_eq(names_list(&names, &count, &err), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(names[0], "a");
	ck_assert_str_eq(names[1], "b");
	names_list_free(names, count);
	listen_release(a);
	listen_release(b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("names");
	TCase *tcase = tcase_create("names");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 20);
	tcase_add_loop_test(tcase, check_of_name_says_whether_it_is_one, 0,
			    (int)(sizeof(checked) / sizeof(checked[0])));
	tcase_add_test(tcase, address_of_name_is_in_the_runtime_directory);
	tcase_add_test(tcase, address_of_path_is_that_path);
	tcase_add_test(tcase, address_of_long_path_is_refused);
	tcase_add_test(tcase, claim_in_long_directory_is_refused);
	tcase_add_test(tcase, address_with_relative_directory_is_refused);
	tcase_add_test(tcase, address_without_directory_is_run_for_root_alone);
	tcase_add_test(tcase,
		       claim_makes_directory_and_socket_for_the_owner_alone);
	tcase_add_test(tcase, claim_listens_and_release_leaves_no_file);
	tcase_add_test(tcase, claim_of_live_name_is_refused);
	tcase_add_test(tcase, claim_of_name_with_full_backlog_is_refused);
	tcase_add_test(tcase, claim_of_stale_name_replaces_it);
	tcase_add_test(tcase, claim_of_another_kind_of_file_is_refused);
	tcase_add_test(tcase, claim_of_symbolic_link_is_refused);
	tcase_add_test(tcase,
		       claim_in_directory_that_others_write_to_is_refused);
	tcase_add_test(tcase, claim_in_missing_runtime_directory_is_refused);
	tcase_add_test(
		tcase,
		release_after_socket_was_replaced_by_hand_leaves_the_other);
	tcase_add_loop_test(tcase, claim_by_many_at_once_succeeds_for_one, 0,
			    10);
	tcase_add_test(tcase, list_without_directory_is_empty);
	tcase_add_test(tcase, list_has_sockets_by_name_and_nothing_else);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
