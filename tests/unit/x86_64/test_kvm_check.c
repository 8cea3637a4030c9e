/* The check of KVM's capabilities, against made-up answers. */
#include "arch/x86_64/kvm_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/kvm.h>

#include <check.h>

#include "tests/unit/support/kvm.h"

/* What a KVM answers: 1 to everything but what is here. */
struct fake_kvm {
	int lacks[2]; /* capabilities, -1 for none */
	bool lacks_all;
};

static const struct fake_kvm complete = {{-1, -1}, false};

static int fake_kvm_extension(void *ctx, int capability)
{
	const struct fake_kvm *kvm = ctx;

	if (capability == KVM_CAP_MAX_VCPUS)
		return 1024;
	return !kvm->lacks_all && capability != kvm->lacks[0] &&
	       capability != kvm->lacks[1];
}

static int check(struct fake_kvm kvm, bool legacy, unsigned int cpus,
		 struct error *err)
{
	err->text[0] = '\0';
	return x86_kvm_check_with(fake_kvm_extension, &kvm, legacy, cpus, err);
}

START_TEST(check_with_all_capabilities_passes)
{
	struct error err;

	ck_assert_int_eq(check(complete, true, 64, &err), 0);
	ck_assert_str_eq(err.text, "");
}
END_TEST

START_TEST(check_without_two_names_both)
{
	struct fake_kvm kvm = complete;
	struct error err;

	kvm.lacks[0] = KVM_CAP_IRQFD;
	kvm.lacks[1] = KVM_CAP_XSAVE;
	ck_assert_int_eq(check(kvm, false, 1, &err), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.text, "KVM_CAP_IRQFD ("));
	ck_assert_ptr_nonnull(strstr(err.text, "KVM_CAP_XSAVE ("));
	ck_assert_ptr_null(strstr(err.text, "KVM_CAP_IOEVENTFD"));
}
END_TEST

START_TEST(check_without_any_stays_one_line)
{
	struct fake_kvm kvm = complete;
	struct error err;

	kvm.lacks_all = true;
	ck_assert_int_eq(check(kvm, true, 1, &err), -ENOTSUP);
	ck_assert_ptr_null(strchr(err.text, '\n'));
	ck_assert_uint_lt(strlen(err.text), sizeof(err.text));
	ck_assert_ptr_nonnull(strstr(err.text, "Linux 5.14"));
}
END_TEST

START_TEST(check_without_pit_refuses_legacy_alone)
{
	struct fake_kvm kvm = complete;
	struct error err;

	kvm.lacks[0] = KVM_CAP_PIT2;
	ck_assert_int_eq(check(kvm, false, 1, &err), 0);
	ck_assert_int_eq(check(kvm, true, 1, &err), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.text, "KVM_CAP_PIT2"));
}
END_TEST

/* They say what the CPU can do, not KVM. */
START_TEST(check_without_capabilities_of_cpu_passes)
{
	struct fake_kvm kvm = complete;
	struct error err;

	kvm.lacks[0] = KVM_CAP_TSC_DEADLINE_TIMER;
	kvm.lacks[1] = KVM_CAP_XCRS;
	ck_assert_int_eq(check(kvm, true, 1, &err), 0);
}
END_TEST

START_TEST(check_with_this_kvm_passes)
{
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct error err;

	ck_assert_msg(x86_kvm_check(kvm_fd, true, 1, &err) == 0, "%s",
		      err.text);
	ck_assert_int_eq(x86_kvm_check(kvm_fd, true, 1 << 30, &err), -EINVAL);
	close(kvm_fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kvm_check");
	TCase *tcase = tcase_create("kvm_check");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, check_with_all_capabilities_passes);
	tcase_add_test(tcase, check_without_two_names_both);
	tcase_add_test(tcase, check_without_any_stays_one_line);
	tcase_add_test(tcase, check_without_pit_refuses_legacy_alone);
	tcase_add_test(tcase, check_without_capabilities_of_cpu_passes);
	if (kvm_test_available("test_kvm_check"))
		tcase_add_test(tcase, check_with_this_kvm_passes);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
