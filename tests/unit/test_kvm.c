#include "vmm/kvm.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <fcntl.h>
#include <unistd.h>

#include <check.h>

#define SOON 5000 /* ms */

/* A pipe stands for the VM: its other end tells when it is let go of. */
static int make(struct kvm *kvm)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	*kvm = (struct kvm){.dev_fd = -1, .vm_fd = ends[1], .holder = -1};
	return ends[0];
}

static int hung_up(int fd, int timeout)
{
	struct pollfd end = {.fd = fd};

	return poll(&end, 1, timeout);
}

START_TEST(close_of_a_held_one_ends_it_later)
{
	struct kvm kvm;
	int end = make(&kvm);

	kvm_hold(&kvm);
	if (kvm.holder >= 0) {
		close(kvm.vm_fd);
		kvm.vm_fd = -1;
		ck_assert_int_eq(hung_up(end, 0), 0);
	} else {
		printf("skip: test_kvm: no io_uring here\n");
	}
	kvm_close(&kvm);
	ck_assert_int_eq(kvm.holder, -1);
	ck_assert_int_eq(hung_up(end, SOON), 1);
	close(end);
}
END_TEST

START_TEST(close_of_one_that_nothing_holds_ends_it)
{
	struct kvm kvm;
	int end = make(&kvm);

	kvm_close(&kvm);
	ck_assert_int_eq(hung_up(end, 0), 1);
	close(end);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kvm");
	TCase *tcase = tcase_create("kvm");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, close_of_a_held_one_ends_it_later);
	tcase_add_test(tcase, close_of_one_that_nothing_holds_ends_it);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
