/* What the machine's own threads give up. Each case is a process of its own. */
#include "vmm/confine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "jail/jail.h"
#include "virtio/net_passt.h"
#include "virtio/options.h"
#include "vmm/base/log.h"
#include "vmm/base/starter.h"

static struct options options;
static struct confine *confine;

static void setup(void)
{
	struct error err = {""};

	options = (struct options){.sandbox = VIRTIO_SANDBOX_ON};
	ck_assert_int_eq(confine_new(&confine, &options, &err), 0);
}

static void teardown(void)
{
	confine_free(confine);
}

static void enter_vcpu(void)
{
	if (confine_vcpu(confine))
		_exit(99);
}

static void enter_main(void)
{
	struct error err = {""};

	if (confine_main(confine, &err))
		_exit(99);
}

/* --- What is refused -------------------------------------------------------
 */

static void try_open(void)
{
	open("/dev/null", O_RDONLY);
}

static void try_socket(void)
{
	socket(AF_INET, SOCK_STREAM, 0);
}

static void try_execve(void)
{
	char *argv[] = {NULL};

	execve("/bin/true", argv, argv);
}

static void try_fork(void)
{
	syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void try_ptrace(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void try_kill(void)
{
	kill(getpid(), SIGTERM);
}

static void try_kill_parent(void)
{
	syscall(SYS_tgkill, 1, 1, SIGKILL);
}

static void try_exec_memory(void)
{
	(void)mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void try_create_vm(void)
{
	ioctl(0, KVM_CREATE_VM, 0);
}

static void try_tty(void)
{
	ioctl(0, TIOCSTI, "x");
}

static const struct {
	void (*enter)(void);
	void (*run)(void);
	const char *call;
} tries[] = {
	{enter_vcpu, try_open, "openat"},
	{enter_vcpu, try_socket, "socket"},
	{enter_vcpu, try_execve, "execve"},
	{enter_vcpu, try_fork, "clone"},
	{enter_vcpu, try_ptrace, "ptrace"},
	{enter_vcpu, try_kill, "kill"},
	{enter_vcpu, try_kill_parent, "tgkill"},
	{enter_vcpu, try_exec_memory, "mmap"},
	{enter_vcpu, try_create_vm, "ioctl"},
	{enter_vcpu, try_tty, "ioctl"},
	{enter_main, try_socket, "socket"},
	{enter_main, try_execve, "execve"},
	{enter_main, try_fork, "clone"},
	{enter_main, try_ptrace, "ptrace"},
	{enter_main, try_kill, "kill"},
	{enter_main, try_kill_parent, "tgkill"},
	{enter_main, try_exec_memory, "mmap"},
	{enter_main, try_tty, "ioctl"},
};

/* In a child whose stderr is a pipe: its status, and what it said. */
static int run(void (*enter)(void), void (*what)(void), char *text, size_t size)
{
	int ends[2], status;
	ssize_t len, used = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[1]);
		enter();
		what();
		_exit(0);
	}
	close(ends[1]);
	while ((len = read(ends[0], text + used, size - 1 - (size_t)used)) > 0)
		used += len;
	text[used] = '\0';
	close(ends[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(confine_call_not_listed_kills_and_is_said)
{
	char text[512], expected[64];
	int status = run(tries[_i].enter, tries[_i].run, text, sizeof(text));

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
		      "status 0x%x: %s", status, text);
	snprintf(expected, sizeof(expected),
		 "bantam: killed for the system call %s,", tries[_i].call);
	ck_assert_msg(strstr(text, expected), "%s", text);
}
END_TEST

START_TEST(confine_off_has_no_filter)
{
	char text[512];

	options.sandbox = VIRTIO_SANDBOX_OFF;
	confine_free(confine);
	ck_assert_int_eq(confine_new(&confine, &options, NULL), 0);
	ck_assert_int_eq(run(enter_vcpu, try_open, text, sizeof(text)), 0);
	ck_assert_int_eq(run(enter_main, try_socket, text, sizeof(text)), 0);
}
END_TEST

START_TEST(confine_log_lets_it_pass)
{
	char text[512];

	options.sandbox = VIRTIO_SANDBOX_LOG;
	ck_assert_int_eq(run(enter_vcpu, try_open, text, sizeof(text)), 0);
	ck_assert_str_eq(text, "");
}
END_TEST

/* --- What must work --------------------------------------------------------
 */

static void *other_thread(void *ctx)
{
	struct pollfd none = {.fd = -1};

	poll(&none, 1, 1000);
	return ctx;
}

/* As vmm/vcpu.c kicks; the memory of a handler; a crash of ours. */
static void use_vcpu(void)
{
	char *big;
	pthread_t thread;

	signal(SIGRTMIN, SIG_IGN);
	pthread_create(&thread, NULL, other_thread, NULL);
	enter_vcpu();
	big = malloc(4 << 20);
	memset(big, 1, 4 << 20);
	free(big);
	if (pthread_kill(thread, SIGRTMIN) || ioctl(-1, KVM_RUN, 0) != -1 ||
	    errno != EBADF || write(STDERR_FILENO, "good", 4) != 4)
		_exit(1);
	_exit(0);
}

static void use_main(void)
{
	pthread_t thread;
	int ends[2], fd = open("/dev/null", O_RDWR);

	enter_main();
	if (fd < 0 || open("/dev/null", O_RDONLY) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) ||
	    ioctl(-1, KVM_IRQ_LINE, 0) != -1 || errno != EBADF ||
	    pthread_create(&thread, NULL, other_thread, NULL) ||
	    pthread_kill(thread, 0) || pthread_join(thread, NULL))
		_exit(1);
	_exit(0);
}

static void nothing(void)
{
}

START_TEST(confine_what_threads_need_works)
{
	char text[512];
	int status = run(use_vcpu, nothing, text, sizeof(text));

	ck_assert_str_eq(text, "good");
	ck_assert_int_eq(status, 0);
	status = run(use_main, nothing, text, sizeof(text));
	ck_assert_str_eq(text, "");
	ck_assert_int_eq(status, 0);
}
END_TEST

/* A passt of the test's, which is ready and stays: started again and ended by a
 * main that may not start anything itself. */
static void use_main_with_passt(void)
{
	static const char script[] = "#!/bin/sh\necho $$\nexec sleep 1000\n";
	const struct virtio_text_list fwd = {.count = 0};
	const struct net_passt_options passt = {.option = "-n", .fwd = &fwd};
	char dir[] = "/tmp/bantam-confine-XXXXXX", path[64];
	int fds[NET_USER_FDS], fd, ret;
	struct starter *starter = NULL;
	struct error err = {""};

	if (!mkdtemp(dir))
		_exit(1);
	snprintf(path, sizeof(path), "%s/passt", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	if (write(fd, script, strlen(script)) < 0)
		_exit(2);
	close(fd);
	setenv("PATH", dir, 1);
	/* A host without a route is warned of. */
	log_set_level(LOG_ERROR);
	if (net_passt_new(&passt, &starter, &err) < 0)
		_exit(3);
	enter_main();
	for (int i = 0; i < 2; i++) {
		ret = net_passt_start("-n", starter, fds, &err);
		if (ret < 0)
			break;
		close(fds[NET_USER_STREAM]);
		net_passt_end(fds[NET_USER_PID]);
		close(fds[NET_USER_PID]);
		close(fds[NET_USER_LOG]);
	}
	starter_free(starter);
	unlink(path);
	unlinkat(AT_FDCWD, dir, AT_REMOVEDIR);
	fputs(err.text, stderr);
	_exit(ret < 0 ? 4 : 0);
}

START_TEST(confine_main_starts_passt_again)
{
	char text[512];
	int status = run(use_main_with_passt, nothing, text, sizeof(text));

	ck_assert_str_eq(text, "");
	ck_assert_int_eq(status, 0);
}
END_TEST

/* --- Rights ----------------------------------------------------------------
 */

/* A set of this process's, of /proc/self/status. */
static unsigned long rights(const char *key)
{
	unsigned long value = ~0UL;
	char line[256];
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			value = strtoul(line + strlen(key), NULL, 16);
	if (file)
		fclose(file);
	return value;
}

static void enter_rights(void)
{
	struct error err = {""};
	const bool root = geteuid() == 0;

	if (confine_rights(&err) || rights("CapEff:") || rights("CapPrm:") ||
	    rights("CapAmb:") || (root && rights("CapBnd:")))
		_exit(1);
}

START_TEST(confine_rights_leaves_none)
{
	char text[512];

	ck_assert_int_eq(run(enter_rights, nothing, text, sizeof(text)), 0);
}
END_TEST

/* For a user who has none, it is nothing to do. */
static void enter_rights_twice(void)
{
	enter_rights();
	enter_rights();
}

START_TEST(confine_rights_without_any_is_nothing_to_do)
{
	char text[512];

	if (geteuid() == 0)
		ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	ck_assert_int_eq(run(enter_rights_twice, nothing, text, sizeof(text)),
			 0);
}
END_TEST

static void add_filters(TCase *tc)
{
	tcase_add_loop_test(tc, confine_call_not_listed_kills_and_is_said, 0,
			    sizeof(tries) / sizeof(tries[0]));
	tcase_add_test(tc, confine_what_threads_need_works);
	tcase_add_test(tc, confine_off_has_no_filter);
	tcase_add_test(tc, confine_log_lets_it_pass);
	tcase_add_test(tc, confine_main_starts_passt_again);
}

int main(void)
{
	Suite *suite = suite_create("confine");
	TCase *tc = tcase_create("confine");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, confine_rights_leaves_none);
	tcase_add_test(tc, confine_rights_without_any_is_nothing_to_do);
	if (jail_has_filter())
		add_filters(tc);
	else
		printf("skip: test_confine: filters: this sanitizer makes "
		       "system calls of its own\n");
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
