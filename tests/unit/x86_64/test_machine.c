/*
 * What signals do to a machine that runs: a guest that says one byte and then
 * heeds no power button.
 */
#include "vmm/machine.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/unit/support/kvm.h"
#include "vmm/base/loop.h"

#define BASE  UINT32_C(0x100000)
#define MAGIC UINT32_C(0x1badb002)
#define FLAGS UINT32_C(0x10000) /* the addresses are there */
#define MS    UINT64_C(1000000)

/* Multiboot Specification 0.6.96, 3.1: a kernel that is not an ELF file. */
static const struct {
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry;
	uint8_t code[32];
} kernel = {
	.magic = MAGIC,
	.flags = FLAGS,
	.checksum = 0 - MAGIC - FLAGS,
	.header_addr = BASE,
	.load_addr = BASE,
	.load_end_addr = BASE + sizeof(kernel),
	.bss_end_addr = BASE + sizeof(kernel),
	.entry = BASE + 32,
	.code =
		{
			0x66, 0xba, 0xf8, 0x03, /* mov $0x3f8, %dx */
			0xb0, 'x',		/* mov $'x', %al */
			0xee,			/* out %al, (%dx) */
			0xf4,			/* 1: hlt */
			0xeb, 0xfd,		/* jmp 1b */
		},
};

struct machine_case {
	void (*on_hangup)(int signum); /* SIG_DFL or SIG_IGN */
	uint64_t grace, timeout;
};

static void run_child(const struct machine_case *how, int out)
{
	char path[32];
	int fd = memfd_create("kernel", MFD_CLOEXEC);
	struct options options = {
		.kernel = path,
		.memory = UINT64_C(32) << 20,
		.cpus = 1,
		.serial.to = OPTIONS_TO_STDIO,
		.grace = how->grace,
		.timeout = how->timeout,
	};
	struct outcome outcome;
	struct error err;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (write(fd, &kernel, sizeof(kernel)) != sizeof(kernel))
		_exit(100);
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	signal(SIGHUP, how->on_hangup);
	_exit(machine_run(&options, &outcome, &err) ? 100 : (int)outcome.kind);
}

/* Start the machine and see its guest run. */
static pid_t start(const struct machine_case *how)
{
	int fds[2];
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		run_child(how, fds[1]);
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &byte, 1), 1);
	return pid;
}

static enum outcome_kind finish(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return (enum outcome_kind)WEXITSTATUS(status);
}

START_TEST(machine_signal_hangup_is_no_second_one)
{
	const struct machine_case how = {.on_hangup = SIG_DFL,
					 .grace = 200 * MS};
	pid_t pid = start(&how);
	int64_t begin = loop_now();

	kill(pid, SIGTERM);
	kill(pid, SIGHUP);
	kill(pid, SIGHUP);
	ck_assert_uint_eq(finish(pid), OUTCOME_STOPPED);
	ck_assert_int_ge(loop_now() - begin, 200 * MS);
}
END_TEST

START_TEST(machine_signal_hangup_stops_the_machine)
{
	const struct machine_case how = {.on_hangup = SIG_DFL};
	pid_t pid = start(&how);

	kill(pid, SIGHUP);
	ck_assert_uint_eq(finish(pid), OUTCOME_STOPPED);
}
END_TEST

START_TEST(machine_signal_ignored_hangup_does_nothing)
{
	const struct machine_case how = {.on_hangup = SIG_IGN,
					 .timeout = 200 * MS};
	pid_t pid = start(&how);

	kill(pid, SIGHUP);
	ck_assert_uint_eq(finish(pid), OUTCOME_TIMEOUT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("machine");
	TCase *tcase = tcase_create("signals");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	if (kvm_test_available("machine")) {
		tcase_add_test(tcase, machine_signal_hangup_is_no_second_one);
		tcase_add_test(tcase, machine_signal_hangup_stops_the_machine);
		tcase_add_test(tcase,
			       machine_signal_ignored_hangup_does_nothing);
	}
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
