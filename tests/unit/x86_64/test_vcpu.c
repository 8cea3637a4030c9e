/*
 * Starting and stopping vCPU threads on a real KVM, with a guest of a few
 * 16-bit instructions and no interrupt controller.
 */
#include "vmm/vcpu.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "tests/unit/support/kvm.h"
#include "vmm/base/guest_mem.h"

#define CODE	0x1000
#define COUNTER 0x2000 /* 8 bytes for each vCPU */
#define PORT	0x10

/* Counts at [bx] for ever. */
static const uint8_t spin[] = {
	0xff, 0x07, /* 1: incw (%bx) */
	0xeb, 0xfc, /* jmp 1b */
};

/* Counts at [bx] and writes to PORT, for ever. */
static const uint8_t spin_out[] = {
	0xff, 0x07, /* 1: incw (%bx) */
	0xe6, PORT, /* out %al, $PORT */
	0xeb, 0xfa, /* jmp 1b */
};

/* An invalid opcode and no IDT to take it. */
static const uint8_t fault[] = {0x0f, 0x0b};

static struct kvm kvm;
static struct guest_mem *mem;
static struct bus *pio, *mmio;
static struct vcpus *vcpus;
static struct vcpu_crash crash;
static _Atomic unsigned int crashes;
static _Atomic unsigned int writes;

static uint64_t port_read(void *ctx, uint64_t offset, unsigned int size)
{
	(void)ctx;
	(void)offset;
	(void)size;
	return 0;
}

/* The guest's own write asks for the stop, on the vCPU's thread. */
static void port_write(void *ctx, uint64_t offset, unsigned int size,
		       uint64_t value)
{
	(void)ctx;
	(void)offset;
	(void)size;
	(void)value;
	writes++;
	vcpus_request_stop(vcpus);
}

static const struct bus_ops port_ops = {port_read, port_write, 1};

static void crashed(void *ctx, const struct vcpu_crash *why)
{
	(void)ctx;
	crash = *why;
	crashes++;
}

static uint16_t counter(unsigned int index)
{
	uint16_t *at = guest_mem_span(mem, COUNTER + 8 * index, 2);

	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void place(unsigned int index)
{
	struct kvm_regs regs = {
		.rip = CODE, .rflags = 2, .rbx = COUNTER + 8 * index};
	struct kvm_sregs sregs;
	int fd = vcpus_fd(vcpus, index);

	ck_assert_int_eq(ioctl(fd, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.selector = sregs.ds.selector = 0;
	sregs.cs.base = sregs.ds.base = 0;
	/* Protected mode, so that the limit counts. */
	sregs.cr0 |= 1;
	sregs.idt.limit = 0;
	ck_assert_int_eq(ioctl(fd, KVM_SET_SREGS, &sregs), 0);
	ck_assert_int_eq(ioctl(fd, KVM_SET_REGS, &regs), 0);
}

static void start(unsigned int count, const uint8_t *code, size_t len)
{
	struct guest_mem_region ram = {.base = 0, .size = 1u << 20};
	struct error err = {.text = ""};
	struct vcpus_config config = {
		.kvm = &kvm, .count = count, .crashed = crashed};
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &kick, NULL);
	ck_assert_msg(!kvm_open(&kvm, &err), "%s", err.text);
	ck_assert_int_eq(guest_mem_new(&mem, &ram, 1, 0, &err), 0);
	ck_assert_int_eq(guest_mem_write(mem, CODE, code, len), 0);
	ck_assert_int_eq(kvm_set_memory(&kvm, mem, &err), 0);
	ck_assert_int_eq(bus_new(&pio, 0xffff), 0);
	ck_assert_int_eq(bus_new(&mmio, UINT64_MAX), 0);
	ck_assert_int_eq(bus_map(pio, PORT, 1, &port_ops, NULL, "port"), 0);
	config.pio = pio;
	config.mmio = mmio;
	ck_assert_msg(!vcpus_new(&vcpus, &config, &err), "%s", err.text);
	for (unsigned int i = 0; i < count; i++)
		place(i);
}

static void finish(void)
{
	vcpus_free(vcpus);
	bus_free(pio);
	bus_free(mmio);
	kvm_close(&kvm);
	guest_mem_free(mem);
}

/* A lost wake-up hangs, and Check's time limit turns that into a failure. */
START_TEST(vcpus_stop_again_and_again_never_hangs)
{
	start(2, spin, sizeof(spin));
	for (unsigned int i = 0; i < 200; i++) {
		uint16_t before;

		vcpus_go(vcpus);
		vcpus_stop(vcpus);
		before = counter(0);
		ck_assert_uint_eq(counter(0), before);
	}
	finish();
}
END_TEST

START_TEST(vcpus_go_guest_goes_on_where_it_was)
{
	uint16_t before;

	start(1, spin, sizeof(spin));
	vcpus_go(vcpus);
	while (!counter(0))
		;
	vcpus_stop(vcpus);
	before = counter(0);
	vcpus_go(vcpus);
	while (counter(0) == before)
		;
	vcpus_stop(vcpus);
	finish();
}
END_TEST

START_TEST(vcpus_request_stop_from_a_handler_stops_that_vcpu_first)
{
	start(1, spin_out, sizeof(spin_out));
	for (unsigned int i = 1; i <= 200; i++) {
		vcpus_go(vcpus);
		/* The guest stops itself: nothing of main's is needed. */
		while (writes < i)
			;
		vcpus_stop(vcpus);
		ck_assert_uint_eq(writes, i);
		ck_assert_uint_eq(counter(0), i);
	}
	finish();
}
END_TEST

START_TEST(vcpus_stop_pending_port_access_is_completed)
{
	struct kvm_regs regs;

	start(1, spin_out, sizeof(spin_out));
	vcpus_go(vcpus);
	while (!writes)
		;
	vcpus_stop(vcpus);
	ck_assert_int_eq(ioctl(vcpus_fd(vcpus, 0), KVM_GET_REGS, &regs), 0);
	/* Behind the OUT, or it would be done again after a restore. */
	ck_assert_uint_eq(regs.rip, CODE + 4);
	finish();
}
END_TEST

START_TEST(vcpus_triple_fault_is_reported_once)
{
	start(1, fault, sizeof(fault));
	vcpus_go(vcpus);
	while (!crashes)
		;
	vcpus_stop(vcpus);
	ck_assert_uint_eq(crashes, 1);
	ck_assert_uint_eq(crash.index, 0);
	ck_assert_str_eq(crash.reason, "triple fault");
	finish();
}
END_TEST

START_TEST(vcpus_free_running_ones_are_joined)
{
	start(8, spin, sizeof(spin));
	vcpus_go(vcpus);
	finish();
}
END_TEST

START_TEST(kvm_explain_says_what_to_do)
{
	static const struct {
		int errnum;
		const char *names;
	} rows[] = {
		{ENOENT, "modprobe"},
		{EACCES, "usermod"},
		{EBUSY, "another hypervisor"},
		{ENOMEM, "Cannot allocate memory"},
	};
	struct error err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_int_eq(kvm_explain(rows[i].errnum, &err),
				 -rows[i].errnum);
		ck_assert_ptr_nonnull(strstr(err.text, rows[i].names));
		ck_assert_ptr_nonnull(strstr(err.text, "/dev/kvm"));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vcpu");
	TCase *tcase = tcase_create("vcpu");
	TCase *pure = tcase_create("messages");
	SRunner *runner;
	struct error err;
	int failed;

	tcase_set_timeout(tcase, 20);
	if (kvm_test_available("test_vcpu") && !kvm_open(&kvm, &err)) {
		tcase_add_test(tcase, vcpus_stop_again_and_again_never_hangs);
		tcase_add_test(tcase, vcpus_go_guest_goes_on_where_it_was);
		tcase_add_test(
			tcase,
			vcpus_request_stop_from_a_handler_stops_that_vcpu_first);
		tcase_add_test(tcase,
			       vcpus_stop_pending_port_access_is_completed);
		tcase_add_test(tcase, vcpus_triple_fault_is_reported_once);
		tcase_add_test(tcase, vcpus_free_running_ones_are_joined);
	}
	kvm_close(&kvm);
	tcase_add_test(pure, kvm_explain_says_what_to_do);
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, pure);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
