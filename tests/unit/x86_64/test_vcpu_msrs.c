/* The MSRs of a vCPU, on real ones. */
#include "arch/x86_64/vcpu_msrs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "tests/unit/support/kvm.h"
#include "tests/unit/x86_64/support/msr.h"

#define ENTRIES_MAX 1024

#define IA32_MTRRCAP	       0xfe /* can only be read */
#define IA32_DEBUGCTL	       0x1d9
#define IA32_MTRR_FIX64K_00000 0x250
#define IA32_LSTAR	       0xc0000082
#define IA32_KERNEL_GS_BASE    0xc0000102
#define NO_MSR		       0xdeadbeef

static void vm_init(struct kvm_test *vm)
{
	kvm_test_init(vm);
	kvm_test_add_vcpus(vm);
}

START_TEST(batch_with_refused_msr_passes_if_value_is_right)
{
	struct vcpu_msr_batch batch = {.count = 0};
	struct kvm_test vm;
	struct error err;
	uint64_t value;
	int fd;

	vm_init(&vm);
	fd = vm.vcpu_fds[0];
	value = kvm_test_get_msr(fd, IA32_MTRRCAP);
	vcpu_msr_batch_add(&batch, fd, IA32_LSTAR, 0x1000, &err);
	vcpu_msr_batch_add(&batch, fd, IA32_MTRRCAP, value, &err);
	vcpu_msr_batch_add(&batch, fd, IA32_KERNEL_GS_BASE, 0x2000, &err);
	ck_assert_msg(vcpu_msr_batch_flush(&batch, fd, &err) == 0, "%s",
		      err.text);
	ck_assert_uint_eq(batch.count, 0);
	ck_assert_uint_eq(kvm_test_get_msr(fd, IA32_LSTAR), 0x1000);
	ck_assert_uint_eq(kvm_test_get_msr(fd, IA32_KERNEL_GS_BASE), 0x2000);
	vcpu_msr_batch_add(&batch, fd, IA32_MTRRCAP, value + 1, &err);
	ck_assert_int_eq(vcpu_msr_batch_flush(&batch, fd, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "MSR 0xfe is"));
	kvm_test_fini(&vm);
}
END_TEST

START_TEST(batch_with_unknown_msr_names_it)
{
	struct vcpu_msr_batch batch = {.count = 0};
	struct kvm_test vm;
	struct error err;

	vm_init(&vm);
	vcpu_msr_batch_add(&batch, vm.vcpu_fds[0], NO_MSR, 0, &err);
	ck_assert_int_eq(vcpu_msr_batch_flush(&batch, vm.vcpu_fds[0], &err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "no MSR 0xdeadbeef"));
	kvm_test_fini(&vm);
}
END_TEST

/* Room for one batch is not room for two: the first one must have gone. */
START_TEST(batch_with_more_than_fits_writes_all)
{
	struct vcpu_msr_batch batch = {.count = 0};
	struct kvm_test vm;
	struct error err;
	int fd;

	vm_init(&vm);
	fd = vm.vcpu_fds[0];
	vcpu_msr_batch_add(&batch, fd, IA32_LSTAR, 0x1000, &err);
	for (uint64_t i = 0; i < VCPU_MSR_BATCH; i++)
		ck_assert_int_eq(vcpu_msr_batch_add(&batch, fd,
						    IA32_KERNEL_GS_BASE, i,
						    &err),
				 0);
	ck_assert_uint_eq(batch.count, 1);
	ck_assert_uint_eq(kvm_test_get_msr(fd, IA32_LSTAR), 0x1000);
	ck_assert_uint_eq(kvm_test_get_msr(fd, IA32_KERNEL_GS_BASE),
			  VCPU_MSR_BATCH - 2);
	ck_assert_int_eq(vcpu_msr_batch_flush(&batch, fd, &err), 0);
	ck_assert_uint_eq(kvm_test_get_msr(fd, IA32_KERNEL_GS_BASE),
			  VCPU_MSR_BATCH - 1);
	kvm_test_fini(&vm);
}
END_TEST

START_TEST(get_of_unknown_msr_is_refused)
{
	struct kvm_test vm;
	uint64_t value;

	vm_init(&vm);
	ck_assert_int_eq(vcpu_msr_get(vm.vcpu_fds[0], NO_MSR, &value), -EINVAL);
	kvm_test_fini(&vm);
}
END_TEST

START_TEST(msrs_of_vcpu_are_there_once_and_can_all_be_read)
{
	struct kvm_msr_entry *entries;
	struct vcpu_msrs msrs;
	struct kvm_test vm;
	struct error err;

	vm_init(&vm);
	entries = calloc(ENTRIES_MAX, sizeof(*entries));
	ck_assert_int_eq(vcpu_msrs_init(&msrs, vm.kvm_fd, vm.vcpu_fds[0], &err),
			 0);
	for (uint32_t i = 0; i < msrs.count; i++) {
		for (uint32_t j = 0; j < i; j++)
			ck_assert_uint_ne(msrs.indices[i], msrs.indices[j]);
	}
	ck_assert(vcpu_msrs_has(&msrs, IA32_LSTAR));
	ck_assert(vcpu_msrs_has(&msrs, IA32_DEBUGCTL));
	ck_assert(vcpu_msrs_has(&msrs, IA32_MTRR_FIX64K_00000));
	ck_assert(!vcpu_msrs_has(&msrs, NO_MSR));
	ck_assert_uint_le(msrs.count, ENTRIES_MAX);
	kvm_test_set_msr(vm.vcpu_fds[1], IA32_MTRR_FIX64K_00000, 0x0606);
	ck_assert_int_eq(vcpu_msrs_read(&msrs, vm.vcpu_fds[1], entries, &err),
			 0);
	for (uint32_t i = 0; i < msrs.count; i++) {
		ck_assert_uint_eq(entries[i].index, msrs.indices[i]);
		if (entries[i].index == IA32_MTRR_FIX64K_00000)
			ck_assert_uint_eq(entries[i].data, 0x0606);
	}
	free(entries);
	vcpu_msrs_fini(&msrs);
	kvm_test_fini(&vm);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vcpu_msrs");
	TCase *tcase = tcase_create("vcpu_msrs");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (kvm_test_available("test_vcpu_msrs")) {
		tcase_add_test(tcase,
			       batch_with_refused_msr_passes_if_value_is_right);
		tcase_add_test(tcase, batch_with_unknown_msr_names_it);
		tcase_add_test(tcase, batch_with_more_than_fits_writes_all);
		tcase_add_test(tcase, get_of_unknown_msr_is_refused);
		tcase_add_test(tcase,
			       msrs_of_vcpu_are_there_once_and_can_all_be_read);
	}
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
