/*
 * The machine of the micro guests, and the checks that use it, on this host's
 * KVM whatever that is: guests come back in time, and checks say something.
 */
#include "arch/x86_64/micro_vm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "arch/x86_64/micro_guests.h"
#include "tests/unit/support/kvm.h"
#include "vmm/arch.h"

static int kvm_fd;
static struct micro_vm *vm;

static void setup(void)
{
	struct error err;

	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(kvm_fd, 0);
	ck_assert_msg(!micro_vm_new(&vm, kvm_fd, &err), "%s", err.text);
}

static void teardown(void)
{
	micro_vm_free(vm);
	close(kvm_fd);
}

static void enter(const uint8_t *guest, unsigned int cpl)
{
	struct error err;

	ck_assert_msg(!micro_vm_enter(vm, guest, cpl, &err), "%s", err.text);
}

static struct micro_exit run(unsigned int limit)
{
	struct micro_exit how;
	struct error err;

	ck_assert_msg(!micro_vm_run(vm, limit, &how, &err), "%s", err.text);
	return how;
}

static uint64_t counter(void)
{
	struct error err;
	uint64_t count;

	ck_assert_msg(!micro_vm_counter(vm, &count, &err), "%s", err.text);
	return count;
}

/* At CPL 0 and CPL 3. */
START_TEST(run_spinning_guest_times_out_and_goes_on)
{
	uint64_t first;

	enter(micro_count, _i ? 3 : 0);
	ck_assert_int_eq(run(100).kind, MICRO_EXIT_TIMEOUT);
	first = counter();
	ck_assert_uint_gt(first, 0);
	ck_assert_int_eq(run(100).kind, MICRO_EXIT_TIMEOUT);
	ck_assert_uint_gt(counter(), first);
}
END_TEST

START_TEST(run_with_signal_blocked_times_out)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	enter(micro_count, 0);
	ck_assert_int_eq(run(20).kind, MICRO_EXIT_TIMEOUT);
}
END_TEST

START_TEST(run_sleeping_guest_times_out)
{
	struct micro_exit how;

	enter(micro_wait, 0);
	how = run(1000);
	ck_assert_int_eq(how.kind, MICRO_EXIT_PORT);
	ck_assert_uint_eq(how.port, MICRO_PORT_READY);
	ck_assert_int_eq(run(20).kind, MICRO_EXIT_TIMEOUT);
}
END_TEST

/* WRMSR is not for CPL 3: #GP. */
START_TEST(run_privileged_instruction_reports_exception)
{
	struct micro_exit how;
	char text[64];

	enter(micro_wait, 3);
	how = run(1000);
	ck_assert_int_eq(how.kind, MICRO_EXIT_PORT);
	ck_assert_uint_eq(how.port, MICRO_PORT_EXCEPTION);
	ck_assert_uint_eq(how.value, 13);
	micro_exit_describe(&how, text, sizeof(text));
	ck_assert_str_eq(text, "raises exception 13");
}
END_TEST

START_TEST(enter_again_starts_over)
{
	enter(micro_count, 0);
	ck_assert_int_eq(run(20).kind, MICRO_EXIT_TIMEOUT);
	enter(micro_notify, 0);
	ck_assert_uint_eq(counter(), 0);
}
END_TEST

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The limit is a second; the rest is for a host that is busy. */
START_TEST(checks_here_say_something_in_time)
{
	struct check_finding finding = {.status = CHECK_OK};
	const struct check *check;
	double started = seconds();
	size_t count;

	check = &arch_checks(&count)[_i];
	check->run(kvm_fd, &finding);
	ck_assert_double_lt(seconds() - started, 3);
	ck_assert_str_ne(finding.detail, "");
	if (finding.status == CHECK_FAIL || finding.status == CHECK_WARN)
		ck_assert_str_ne(finding.fix, "");
}
END_TEST

START_TEST(checks_with_broken_kvm_fail)
{
	const struct check *checks;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t count;

	checks = arch_checks(&count);
	ck_assert_uint_gt(count, 0);
	for (size_t i = 0; i < count; i++) {
		struct check_finding finding = {.status = CHECK_OK};

		if (!checks[i].needs_kvm)
			continue;
		checks[i].run(null, &finding);
		ck_assert_int_eq(finding.status, CHECK_FAIL);
		ck_assert_str_ne(finding.detail, "");
		ck_assert_str_ne(finding.fix, "");
	}
	close(null);
}
END_TEST

static const struct {
	struct micro_exit how;
	const char *text;
} describe_cases[] = {
	{{MICRO_EXIT_TIMEOUT, 0, 0, 0}, "hangs"},
	{{MICRO_EXIT_EMULATION, 0, 0, 0}, "is unknown to KVM's emulator"},
	{{MICRO_EXIT_OTHER, 0, 0, KVM_EXIT_SHUTDOWN}, "ends in a triple fault"},
	{{MICRO_EXIT_OTHER, 0, 0, KVM_EXIT_MMIO},
	 "ends with KVM's exit reason 6"},
	{{MICRO_EXIT_PORT, MICRO_PORT_NOTIFY, 0, 0}, "goes astray (port 0xe6)"},
};

START_TEST(describe_each_kind_has_words)
{
	char text[64];

	micro_exit_describe(&describe_cases[_i].how, text, sizeof(text));
	ck_assert_str_eq(text, describe_cases[_i].text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("micro_vm");
	TCase *pure = tcase_create("without KVM");
	TCase *tcase = tcase_create("with KVM");
	SRunner *runner = srunner_create(suite);
	size_t checks;
	int failed;

	tcase_add_loop_test(pure, describe_each_kind_has_words, 0,
			    sizeof(describe_cases) / sizeof(describe_cases[0]));
	tcase_add_test(pure, checks_with_broken_kvm_fail);
	suite_add_tcase(suite, pure);
	if (kvm_test_available("test_micro_vm")) {
		arch_checks(&checks);
		tcase_add_checked_fixture(tcase, setup, teardown);
		tcase_add_loop_test(
			tcase, run_spinning_guest_times_out_and_goes_on, 0, 2);
		tcase_add_test(tcase, run_with_signal_blocked_times_out);
		tcase_add_test(tcase, run_sleeping_guest_times_out);
		tcase_add_test(tcase,
			       run_privileged_instruction_reports_exception);
		tcase_add_test(tcase, enter_again_starts_over);
		tcase_add_loop_test(tcase, checks_here_say_something_in_time, 0,
				    (int)checks);
	}
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
