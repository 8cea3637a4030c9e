/* The crash report of a vCPU, on a real one. */
#include "arch/x86_64/vcpu_dump.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include <check.h>

#include "arch/x86_64/vcpu_boot.h"
#include "tests/unit/support/kvm.h"

#define CODE UINT64_C(0x100010)

/* A vCPU that stands at entry.ip in long mode, and 64 numbered bytes there. */
static void dump_init(struct kvm_test *vm, uint64_t ip)
{
	const struct boot_entry entry = {
		.long_mode = true,
		.cs = 0x10,
		.ds = 0x18,
		.ip = ip,
		.ax = 0x1122334455667788,
		.sp = 0x80000,
	};
	uint8_t code[64];

	for (unsigned int i = 0; i < sizeof(code); i++)
		code[i] = (uint8_t)i;
	kvm_test_init(vm);
	kvm_test_add_vcpus(vm);
	ck_assert_int_eq(
		guest_mem_write(vm->mem, CODE - 16, code, sizeof(code)), 0);
	ck_assert_int_eq(vcpu_boot(vm->vcpu_fds[0], vm->mem, &entry, NULL), 0);
}

/* What is printed. To be freed. */
static char *dump_text(int vcpu_fd, const struct guest_mem *mem)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	vcpu_dump(vcpu_fd, 7, mem, out);
	fclose(out);
	return text;
}

static void check_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in:\n%s", part,
		      text);
}

START_TEST(dump_in_long_mode_shows_registers)
{
	struct kvm_test vm;
	char *text;

	dump_init(&vm, CODE);
	text = dump_text(vm.vcpu_fds[0], vm.mem);
	check_has(text, "CPU: 7\n");
	check_has(text, "RIP: 0010:0000000000100010\n");
	check_has(text, "RSP: 0000000000080000 RFLAGS: 00000002 []\n");
	check_has(text, "RAX: 1122334455667788 RBX: 0000000000000000");
	check_has(text, "CS:  0010 base 0000000000000000 limit ffffffff "
			"type b dpl 0 64-bit\n");
	check_has(text, "DS:  0018 ");
	check_has(text, "GDT: base 0000000000000500 limit 003f\n");
	check_has(text, "IDT: base 0000000000000000 limit 0000\n");
	check_has(text, "CR0: 0000000080000011 ");
	check_has(text, "CR3: 0000000000001000\n");
	check_has(text, "CR4: 0000000000000020 ");
	check_has(text, "EFER: 00000500\n");
	ck_assert_ptr_null(strstr(text, "Exception"));
	free(text);
	kvm_test_fini(&vm);
}
END_TEST

START_TEST(dump_with_flags_names_them)
{
	struct kvm_regs regs;
	struct kvm_test vm;
	char *text;

	dump_init(&vm, CODE);
	ck_assert_int_eq(ioctl(vm.vcpu_fds[0], KVM_GET_REGS, &regs), 0);
	regs.rflags = 0x10246;
	ck_assert_int_eq(ioctl(vm.vcpu_fds[0], KVM_SET_REGS, &regs), 0);
	text = dump_text(vm.vcpu_fds[0], vm.mem);
	check_has(text, "[PF ZF IF RF]\n");
	free(text);
	kvm_test_fini(&vm);
}
END_TEST

START_TEST(dump_with_code_marks_rip)
{
	struct kvm_test vm;
	char *text;

	dump_init(&vm, CODE);
	text = dump_text(vm.vcpu_fds[0], vm.mem);
	check_has(text, "\nCode: 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e "
			"0f <10> 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f "
			"20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f\n");
	free(text);
	kvm_test_fini(&vm);
}
END_TEST

START_TEST(dump_at_end_of_memory_shows_what_there_is)
{
	struct kvm_test vm;
	char *text;

	dump_init(&vm, KVM_TEST_RAM - 2);
	text = dump_text(vm.vcpu_fds[0], vm.mem);
	check_has(text, " 00 <00> 00 ?? ??");
	free(text);
	kvm_test_fini(&vm);
}
END_TEST

/* Outside memory; outside the page tables; not canonical (2); at the end. */
static const uint64_t unmapped[] = {
	0x80000000, 0x100000000, 0x800000000000, 0x8000000000000000, UINT64_MAX,
};

START_TEST(dump_of_unmapped_code_says_so)
{
	struct kvm_regs regs;
	struct kvm_test vm;
	char *text;

	dump_init(&vm, CODE);
	ck_assert_int_eq(ioctl(vm.vcpu_fds[0], KVM_GET_REGS, &regs), 0);
	regs.rip = unmapped[_i];
	ck_assert_int_eq(ioctl(vm.vcpu_fds[0], KVM_SET_REGS, &regs), 0);
	text = dump_text(vm.vcpu_fds[0], vm.mem);
	check_has(text, "Code: not mapped\n");
	free(text);
	kvm_test_fini(&vm);
}
END_TEST

/* Real mode: CS.base counts, and addresses have 32 bits. */
START_TEST(dump_in_real_mode_adds_segment_base)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_test vm;
	char *text;

	kvm_test_init(&vm);
	kvm_test_add_vcpus(&vm);
	ck_assert_int_eq(guest_mem_write(vm.mem, 0x12345, "\xab", 1), 0);
	ck_assert_int_eq(ioctl(vm.vcpu_fds[0], KVM_GET_SREGS, &sregs), 0);
	sregs.cs.selector = 0x1000;
	sregs.cs.base = 0x10000;
	ck_assert_int_eq(ioctl(vm.vcpu_fds[0], KVM_SET_SREGS, &sregs), 0);
	ck_assert_int_eq(ioctl(vm.vcpu_fds[0], KVM_GET_REGS, &regs), 0);
	regs.rip = 0x2345;
	ck_assert_int_eq(ioctl(vm.vcpu_fds[0], KVM_SET_REGS, &regs), 0);
	text = dump_text(vm.vcpu_fds[0], vm.mem);
	check_has(text, " 00 <ab> 00 ");
	free(text);
	kvm_test_fini(&vm);
}
END_TEST

START_TEST(dump_with_pending_exception_names_it)
{
	struct kvm_vcpu_events events;
	struct kvm_test vm;
	char *text;

	dump_init(&vm, CODE);
	ck_assert_int_eq(ioctl(vm.vcpu_fds[0], KVM_GET_VCPU_EVENTS, &events),
			 0);
	events.exception.injected = 1;
	events.exception.nr = 14;
	events.exception.has_error_code = 1;
	events.exception.error_code = 2;
	ck_assert_int_eq(ioctl(vm.vcpu_fds[0], KVM_SET_VCPU_EVENTS, &events),
			 0);
	text = dump_text(vm.vcpu_fds[0], vm.mem);
	check_has(text, "Exception pending: vector 14, error code 0002\n");
	free(text);
	kvm_test_fini(&vm);
}
END_TEST

START_TEST(dump_of_no_vcpu_says_so)
{
	struct kvm_test vm;
	char *text;

	kvm_test_init(&vm);
	text = dump_text(-1, vm.mem);
	ck_assert_str_eq(text, "CPU: 7 registers cannot be read: "
			       "Bad file descriptor\n");
	free(text);
	kvm_test_fini(&vm);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vcpu_dump");
	TCase *tcase = tcase_create("vcpu_dump");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (kvm_test_available("test_vcpu_dump")) {
		tcase_add_test(tcase, dump_in_long_mode_shows_registers);
		tcase_add_test(tcase, dump_with_flags_names_them);
		tcase_add_test(tcase, dump_with_code_marks_rip);
		tcase_add_test(tcase,
			       dump_at_end_of_memory_shows_what_there_is);
		tcase_add_loop_test(tcase, dump_of_unmapped_code_says_so, 0,
				    sizeof(unmapped) / sizeof(unmapped[0]));
		tcase_add_test(tcase, dump_in_real_mode_adds_segment_base);
		tcase_add_test(tcase, dump_with_pending_exception_names_it);
		tcase_add_test(tcase, dump_of_no_vcpu_says_so);
	}
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
