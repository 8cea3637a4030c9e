/* The boot vCPU's registers and tables, on a real vCPU. */
#include "arch/x86_64/vcpu_boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/kvm.h>

#include <check.h>

#include "arch/x86_64/layout.h"
#include "arch/x86_64/vcpu_msrs.h"
#include "tests/unit/support/kvm.h"

/* Linux's selectors and others, to see that they are followed. */
static const struct boot_entry long_entry = {
	.long_mode = true,
	.cs = 0x10,
	.ds = 0x18,
	.ip = 0x100200,
	.ax = 0x11,
	.bx = 0x22,
	.si = 0x7000,
	.sp = 0x80000,
};
static const struct boot_entry flat_entry = {
	.cs = 0x08,
	.ds = 0x38,
	.ip = 0x100000,
	.ax = 0x2badb002,
	.bx = 0x8000,
};

#define DESCRIPTOR_CODE64 UINT64_C(0x00af9b000000ffff)
#define DESCRIPTOR_CODE32 UINT64_C(0x00cf9b000000ffff)
#define DESCRIPTOR_DATA	  UINT64_C(0x00cf93000000ffff)

struct booted {
	struct kvm_test vm;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

static void booted_init(struct booted *b, const struct boot_entry *entry)
{
	struct error err;

	kvm_test_init(&b->vm);
	kvm_test_add_vcpus(&b->vm);
	ck_assert_msg(vcpu_boot(b->vm.vcpu_fds[0], b->vm.mem, entry, &err) == 0,
		      "%s", err.text);
	ck_assert_int_eq(ioctl(b->vm.vcpu_fds[0], KVM_GET_REGS, &b->regs), 0);
	ck_assert_int_eq(ioctl(b->vm.vcpu_fds[0], KVM_GET_SREGS, &b->sregs), 0);
}

static uint64_t booted_u64(const struct booted *b, uint64_t gpa)
{
	uint64_t value;

	ck_assert_int_eq(guest_mem_read(b->vm.mem, gpa, &value, sizeof(value)),
			 0);
	return value;
}

static void check_segment(const struct kvm_segment *seg, uint16_t selector,
			  unsigned int type, unsigned int l)
{
	ck_assert_uint_eq(seg->selector, selector);
	ck_assert_uint_eq(seg->base, 0);
	ck_assert_uint_eq(seg->limit, UINT32_MAX);
	ck_assert_uint_eq(seg->type, type);
	ck_assert_uint_eq(seg->s, 1);
	ck_assert_uint_eq(seg->dpl, 0);
	ck_assert_uint_eq(seg->present, 1);
	ck_assert_uint_eq(seg->g, 1);
	ck_assert_uint_eq(seg->l, l);
	ck_assert_uint_eq(seg->db, !l);
	ck_assert_uint_eq(seg->unusable, 0);
}

static void check_common(const struct booted *b, const struct boot_entry *entry)
{
	ck_assert_uint_eq(b->regs.rip, entry->ip);
	ck_assert_uint_eq(b->regs.rax, entry->ax);
	ck_assert_uint_eq(b->regs.rbx, entry->bx);
	ck_assert_uint_eq(b->regs.rsi, entry->si);
	ck_assert_uint_eq(b->regs.rsp, entry->sp);
	ck_assert_uint_eq(b->regs.rflags, 2);
	ck_assert_uint_eq(b->regs.rcx | b->regs.rdx | b->regs.rdi |
				  b->regs.rbp | b->regs.r8 | b->regs.r15,
			  0);
	check_segment(&b->sregs.ds, entry->ds, 0x3, 0);
	check_segment(&b->sregs.es, entry->ds, 0x3, 0);
	check_segment(&b->sregs.fs, entry->ds, 0x3, 0);
	check_segment(&b->sregs.gs, entry->ds, 0x3, 0);
	check_segment(&b->sregs.ss, entry->ds, 0x3, 0);
	/* PVH: a 32-bit TSS (active) with base 0 and limit 0x67 */
	ck_assert_uint_eq(b->sregs.tr.type, 0xb);
	ck_assert_uint_eq(b->sregs.tr.base, 0);
	ck_assert_uint_eq(b->sregs.tr.limit, 0x67);
	ck_assert_uint_eq(b->sregs.tr.s, 0);
	ck_assert_uint_eq(b->sregs.gdt.base, LAYOUT_GDT);
	ck_assert_uint_eq(b->sregs.gdt.limit, 0x3f);
	ck_assert_uint_eq(b->sregs.idt.limit, 0);
	ck_assert_uint_eq(booted_u64(b, LAYOUT_GDT), 0);
}

START_TEST(boot_with_long_mode_sets_registers)
{
	struct booted b;

	booted_init(&b, &long_entry);
	check_common(&b, &long_entry);
	check_segment(&b.sregs.cs, 0x10, 0xb, 1);
	ck_assert_uint_eq(b.sregs.cr0, 0x80000011);
	ck_assert_uint_eq(b.sregs.cr3, LAYOUT_PAGE_TABLES);
	ck_assert_uint_eq(b.sregs.cr4, 0x20);
	ck_assert_uint_eq(b.sregs.efer, 0x500);
	ck_assert_uint_eq(booted_u64(&b, LAYOUT_GDT + 0x10), DESCRIPTOR_CODE64);
	ck_assert_uint_eq(booted_u64(&b, LAYOUT_GDT + 0x18), DESCRIPTOR_DATA);
	kvm_test_fini(&b.vm);
}
END_TEST

START_TEST(boot_with_long_mode_maps_4_gib_to_themselves)
{
	const uint64_t tables = LAYOUT_PAGE_TABLES;
	struct booted b;

	booted_init(&b, &long_entry);
	ck_assert_uint_eq(booted_u64(&b, tables), tables + 0x1003);
	ck_assert_uint_eq(booted_u64(&b, tables + 8), 0);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert_uint_eq(booted_u64(&b, tables + 0x1000 + 8 * i),
				  tables + 0x2003 + 0x1000 * i);
	ck_assert_uint_eq(booted_u64(&b, tables + 0x1000 + 8 * 4), 0);
	for (uint64_t i = 0; i < 4 * 512; i++)
		ck_assert_uint_eq(booted_u64(&b, tables + 0x2000 + 8 * i),
				  i << 21 | 0x83);
	ck_assert_uint_eq(booted_u64(&b, LAYOUT_ZERO_PAGE), 0);
	kvm_test_fini(&b.vm);
}
END_TEST

START_TEST(boot_with_long_mode_translates)
{
	struct kvm_translation tr = {.linear_address = 0xfee00020};
	struct booted b;

	booted_init(&b, &long_entry);
	ck_assert_int_eq(ioctl(b.vm.vcpu_fds[0], KVM_TRANSLATE, &tr), 0);
	ck_assert_uint_eq(tr.valid, 1);
	ck_assert_uint_eq(tr.physical_address, 0xfee00020);
	tr = (struct kvm_translation){.linear_address = LAYOUT_4G};
	ck_assert_int_eq(ioctl(b.vm.vcpu_fds[0], KVM_TRANSLATE, &tr), 0);
	ck_assert_uint_eq(tr.valid, 0);
	kvm_test_fini(&b.vm);
}
END_TEST

START_TEST(boot_without_long_mode_sets_registers_and_no_paging)
{
	struct booted b;

	booted_init(&b, &flat_entry);
	check_common(&b, &flat_entry);
	check_segment(&b.sregs.cs, 0x08, 0xb, 0);
	ck_assert_uint_eq(b.sregs.cr0, 0x11);
	ck_assert_uint_eq(b.sregs.cr4, 0);
	ck_assert_uint_eq(b.sregs.efer, 0);
	ck_assert_uint_eq(booted_u64(&b, LAYOUT_GDT + 0x08), DESCRIPTOR_CODE32);
	ck_assert_uint_eq(booted_u64(&b, LAYOUT_GDT + 0x38), DESCRIPTOR_DATA);
	ck_assert_uint_eq(booted_u64(&b, LAYOUT_PAGE_TABLES), 0);
	kvm_test_fini(&b.vm);
}
END_TEST

/*
 * 0x40 is a prefix in 64-bit code and increments EAX elsewhere; the value that
 * then comes out of a port says which it was.
 */
START_TEST(boot_in_each_mode_runs_code_of_that_mode)
{
	static const uint8_t code[] = {0x40, 0x90,  /* inc %eax, or rex nop */
				       0xe6, 0xf4}; /* out %al, $0xf4 */
	struct boot_entry entry = _i ? long_entry : flat_entry;
	struct kvm_test vm;
	struct kvm_run *run;
	struct error err;
	int size;

	entry.ip = 0x100000;
	entry.ax = 0x10;
	kvm_test_init(&vm);
	kvm_test_add_vcpus(&vm);
	ck_assert_int_eq(guest_mem_write(vm.mem, entry.ip, code, sizeof(code)),
			 0);
	ck_assert_int_eq(vcpu_boot(vm.vcpu_fds[0], vm.mem, &entry, &err), 0);
	size = ioctl(vm.kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	ck_assert_int_gt(size, 0);
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   vm.vcpu_fds[0], 0);
	ck_assert_ptr_ne(run, MAP_FAILED);
	ck_assert_int_eq(ioctl(vm.vcpu_fds[0], KVM_RUN, 0), 0);
	ck_assert_uint_eq(run->exit_reason, KVM_EXIT_IO);
	ck_assert_uint_eq(run->io.port, 0xf4);
	ck_assert_uint_eq(((uint8_t *)run)[run->io.data_offset],
			  _i ? 0x10 : 0x11);
	munmap(run, (size_t)size);
	kvm_test_fini(&vm);
}
END_TEST

START_TEST(boot_without_memory_names_option)
{
	const struct guest_mem_region elsewhere = {.base = 1 << 20,
						   .size = 1 << 20};
	struct guest_mem *mem;
	struct kvm_test vm;
	struct error err;

	kvm_test_init(&vm);
	kvm_test_add_vcpus(&vm);
	ck_assert_int_eq(guest_mem_new(&mem, &elsewhere, 1, 0, NULL), 0);
	ck_assert_int_eq(vcpu_boot(vm.vcpu_fds[0], mem, &long_entry, &err),
			 -EFAULT);
	ck_assert_ptr_nonnull(strstr(err.text, "--memory"));
	guest_mem_free(mem);
	kvm_test_fini(&vm);
}
END_TEST

START_TEST(boot_of_no_vcpu_names_call)
{
	struct kvm_test vm;
	struct error err;

	kvm_test_init(&vm);
	ck_assert_int_eq(vcpu_boot(-1, vm.mem, &long_entry, &err), -EBADF);
	ck_assert_ptr_nonnull(strstr(err.text, "KVM_GET_SREGS"));
	kvm_test_fini(&vm);
}
END_TEST

START_TEST(boot_msrs_on_each_vcpu_sets_what_firmware_sets)
{
	struct kvm_test vm;
	struct error err;
	uint64_t value;

	kvm_test_init(&vm);
	kvm_test_add_vcpus(&vm);
	for (int i = 0; i < KVM_TEST_CPUS; i++) {
		ck_assert_msg(vcpu_boot_msrs(vm.vcpu_fds[i], &err) == 0, "%s",
			      err.text);
		/* IA32_MTRR_DEF_TYPE: enabled, write-back */
		ck_assert_int_eq(vcpu_msr_get(vm.vcpu_fds[i], 0x2ff, &value),
				 0);
		ck_assert_uint_eq(value, 0x806);
		/* IA32_MISC_ENABLE: fast strings */
		ck_assert_int_eq(vcpu_msr_get(vm.vcpu_fds[i], 0x1a0, &value),
				 0);
		ck_assert_uint_eq(value & 1, 1);
	}
	kvm_test_fini(&vm);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vcpu_boot");
	TCase *tcase = tcase_create("vcpu_boot");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (kvm_test_available("test_vcpu_boot")) {
		tcase_add_test(tcase, boot_with_long_mode_sets_registers);
		tcase_add_test(tcase,
			       boot_with_long_mode_maps_4_gib_to_themselves);
		tcase_add_test(tcase, boot_with_long_mode_translates);
		tcase_add_test(
			tcase,
			boot_without_long_mode_sets_registers_and_no_paging);
		tcase_add_loop_test(
			tcase, boot_in_each_mode_runs_code_of_that_mode, 0, 2);
		tcase_add_test(tcase, boot_without_memory_names_option);
		tcase_add_test(tcase, boot_of_no_vcpu_names_call);
		tcase_add_test(tcase,
			       boot_msrs_on_each_vcpu_sets_what_firmware_sets);
	}
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
