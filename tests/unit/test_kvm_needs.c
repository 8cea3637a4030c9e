/* What a KVM lacks, against made-up answers. */
#include "vmm/base/kvm_needs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kvm.h>

#include <check.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct kvm_need needs[] = {
	KVM_NEED(USER_MEMORY, "guest memory"),
	KVM_NEED(IRQFD, "interrupts"),
	KVM_NEED(MP_STATE, "vCPUs"),
};

/* What a KVM answers: 1, but for these. */
struct fake_kvm {
	int has; /* capability, -1 for all */
	int max_vcpus, nr_vcpus;
};

static int fake_kvm_extension(void *ctx, int capability)
{
	const struct fake_kvm *kvm = ctx;

	if (capability == KVM_CAP_MAX_VCPUS)
		return kvm->max_vcpus;
	if (capability == KVM_CAP_NR_VCPUS)
		return kvm->nr_vcpus;
	return kvm->has == -1 || capability == kvm->has;
}

START_TEST(list_names_what_is_missing)
{
	struct fake_kvm kvm = {.has = -1};
	char list[128] = "";

	kvm_needs_list(needs, COUNT_OF(needs), fake_kvm_extension, &kvm, list,
		       sizeof(list));
	ck_assert_str_eq(list, "");
	kvm.has = KVM_CAP_IRQFD;
	kvm_needs_list(needs, COUNT_OF(needs), fake_kvm_extension, &kvm, list,
		       sizeof(list));
	ck_assert_str_eq(list, "KVM_CAP_USER_MEMORY (guest memory), "
			       "KVM_CAP_MP_STATE (vCPUs)");
}
END_TEST

/* Not a KVM: ioctl(2) fails, and that is no capability either. */
START_TEST(list_of_no_kvm_has_what_fits)
{
	int kvm_fd = -1;
	char list[40];

	memset(list, 'x', sizeof(list));
	list[0] = '\0';
	kvm_needs_list(needs, COUNT_OF(needs), kvm_needs_ask, &kvm_fd, list,
		       sizeof(list) - 1);
	ck_assert_str_eq(list, "KVM_CAP_USER_MEMORY (guest memory), KV");
	ck_assert_int_eq(list[sizeof(list) - 1], 'x');
}
END_TEST

static const struct {
	int max_vcpus, nr_vcpus;
	unsigned int cpus;
	const char *limit; /* NULL: passes */
} vcpu_cases[] = {
	{8, 2, 8, NULL}, {8, 2, 9, "8"}, {0, 3, 3, NULL},  {0, 3, 4, "3"},
	{0, 0, 4, NULL}, {0, 0, 5, "4"}, {-1, -1, 5, "4"},
};

START_TEST(cpus_compares_with_what_kvm_has)
{
	struct fake_kvm kvm = {
		.max_vcpus = vcpu_cases[_i].max_vcpus,
		.nr_vcpus = vcpu_cases[_i].nr_vcpus,
	};
	const unsigned int cpus = vcpu_cases[_i].cpus;
	struct error err = {""};
	char text[64];
	int ret = kvm_needs_cpus(cpus, fake_kvm_extension, &kvm, &err);

	if (!vcpu_cases[_i].limit) {
		ck_assert_int_eq(ret, 0);
		return;
	}
	ck_assert_int_eq(ret, -EINVAL);
	snprintf(text, sizeof(text), "--cpus %u", cpus);
	ck_assert_ptr_nonnull(strstr(err.text, text));
	snprintf(text, sizeof(text), "at most %s vCPUs", vcpu_cases[_i].limit);
	ck_assert_ptr_nonnull(strstr(err.text, text));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kvm_needs");
	TCase *tcase = tcase_create("kvm_needs");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, list_names_what_is_missing);
	tcase_add_test(tcase, list_of_no_kvm_has_what_fits);
	tcase_add_loop_test(tcase, cpus_compares_with_what_kvm_has, 0,
			    COUNT_OF(vcpu_cases));
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
