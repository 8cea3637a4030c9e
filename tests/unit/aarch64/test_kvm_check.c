/* The check of KVM's capabilities, against made-up answers. */
#include "arch/aarch64/kvm_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kvm.h>

#include <check.h>

/* What a KVM answers: 1 to everything but what is here. */
struct fake_kvm {
	int lacks[2]; /* capabilities, -1 for none */
	bool lacks_all;
	int max_vcpus;
};

static const struct fake_kvm complete = {{-1, -1}, false, 512};

static int fake_kvm_extension(void *ctx, int capability)
{
	const struct fake_kvm *kvm = ctx;

	if (capability == KVM_CAP_MAX_VCPUS)
		return kvm->max_vcpus;
	return !kvm->lacks_all && capability != kvm->lacks[0] &&
	       capability != kvm->lacks[1];
}

static int check(struct fake_kvm kvm, unsigned int gic, unsigned int cpus,
		 struct error *err)
{
	err->text[0] = '\0';
	return arm_kvm_check_with(fake_kvm_extension, &kvm, gic, cpus, err);
}

START_TEST(check_with_all_capabilities_passes)
{
	struct error err;

	ck_assert_int_eq(check(complete, 3, 512, &err), 0);
	ck_assert_int_eq(check(complete, 2, 8, &err), 0);
	ck_assert_str_eq(err.text, "");
}
END_TEST

START_TEST(check_without_two_names_both)
{
	struct fake_kvm kvm = complete;
	struct error err;

	kvm.lacks[0] = KVM_CAP_IRQFD;
	kvm.lacks[1] = KVM_CAP_ARM_PSCI_0_2;
	ck_assert_int_eq(check(kvm, 3, 1, &err), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.text, "KVM_CAP_IRQFD ("));
	ck_assert_ptr_nonnull(strstr(err.text, "KVM_CAP_ARM_PSCI_0_2 ("));
	ck_assert_ptr_null(strstr(err.text, "KVM_CAP_IOEVENTFD"));
	ck_assert_ptr_nonnull(strstr(err.text, "Linux 5.10"));
}
END_TEST

/* More than an error holds: cut, one line, and no byte past it. */
START_TEST(check_without_any_stays_one_line)
{
	struct fake_kvm kvm = complete;
	struct error err;

	kvm.lacks_all = true;
	ck_assert_int_eq(check(kvm, 3, 1, &err), -ENOTSUP);
	ck_assert_ptr_null(strchr(err.text, '\n'));
	ck_assert_uint_lt(strlen(err.text), sizeof(err.text));
	ck_assert_ptr_nonnull(strstr(err.text, "KVM_CAP_USER_MEMORY ("));
}
END_TEST

START_TEST(check_without_interrupt_controller_fails)
{
	struct error err;

	ck_assert_int_eq(check(complete, 0, 1, &err), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.text, "GICv3"));
}
END_TEST

static const struct {
	int max_vcpus;
	unsigned int gic, cpus;
	const char *limit; /* NULL: passes */
} vcpu_cases[] = {
	{512, 2, 8, NULL}, {512, 2, 9, "8"}, {4, 2, 9, "8"},
	{4, 2, 5, "4"},	   {8, 3, 8, NULL},  {8, 3, 9, "8"},
};

START_TEST(check_with_vcpus_compares_with_what_there_is)
{
	struct fake_kvm kvm = complete;
	unsigned int cpus = vcpu_cases[_i].cpus;
	char text[64];
	struct error err;
	int rc;

	kvm.max_vcpus = vcpu_cases[_i].max_vcpus;
	rc = check(kvm, vcpu_cases[_i].gic, cpus, &err);
	if (!vcpu_cases[_i].limit) {
		ck_assert_int_eq(rc, 0);
		return;
	}
	ck_assert_int_eq(rc, -EINVAL);
	snprintf(text, sizeof(text), "at most %s vCPUs", vcpu_cases[_i].limit);
	ck_assert_ptr_nonnull(strstr(err.text, text));
}
END_TEST

static Suite *kvm_check_suite(void)
{
	Suite *suite = suite_create("kvm_check");
	TCase *tc = tcase_create("kvm_check");

	tcase_add_test(tc, check_with_all_capabilities_passes);
	tcase_add_test(tc, check_without_two_names_both);
	tcase_add_test(tc, check_without_any_stays_one_line);
	tcase_add_test(tc, check_without_interrupt_controller_fails);
	tcase_add_loop_test(tc, check_with_vcpus_compares_with_what_there_is, 0,
			    sizeof(vcpu_cases) / sizeof(*vcpu_cases));
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(kvm_check_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
