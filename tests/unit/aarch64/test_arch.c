/*
 * The aarch64 machine as a whole, on a real KVM: saved, restored into a fresh
 * one and saved again; booted a second time as if for the first.
 */
#include "vmm/arch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <check.h>

#include "arch/aarch64/layout.h"
#include "tests/unit/support/blob.h"
#include "tests/unit/support/fake_host.h"
#include "tests/unit/support/kvm.h"
#include "vmm/kvm.h"

#define CPUS   2
#define MEMORY (UINT64_C(64) << 20)

/* Of a PL011: data, and the interrupt mask */
#define UART_DR	  0
#define UART_IMSC 0x38

struct whole {
	struct blob blob;
	struct image image;
	struct fake_host fake;
	struct kvm kvm;
	struct guest_mem *mem;
	struct arch *arch;
	int vcpu_fds[CPUS];
};

static struct error err;

/* The header alone, as in Linux's booting.rst: it is not going to run. */
static void whole_make_kernel(struct whole *w)
{
	blob_fill(&w->blob, 0, 0x2000);
	blob_put64(&w->blob, 8, 0);
	blob_put64(&w->blob, 16, 0x2000);
	blob_put64(&w->blob, 24, 8 | 2);
	blob_put32(&w->blob, 56, 0x644d5241);
	blob_image(&w->blob, w->blob.len, "--kernel", &w->image);
}

static void whole_init(struct whole *w, enum arch_profile profile)
{
	struct arch_config config = {
		.memory = MEMORY,
		.cpus = CPUS,
		.profile = profile,
		.kernel = &w->image,
		.cmdline = "quiet",
		.console_on_serial = true,
	};
	struct guest_mem_region regions[GUEST_MEM_REGIONS_MAX];
	unsigned int count;

	memset(w, 0, sizeof(*w));
	whole_make_kernel(w);
	fake_host_init(&w->fake);
	ck_assert_msg(!arch_new(&w->arch, &config, &err), "%s", err.text);
	ck_assert_msg(!kvm_open(&w->kvm, &err), "%s", err.text);
	count = arch_ram(w->arch, regions);
	ck_assert_int_eq(guest_mem_new(&w->mem, regions, count, 0, &err), 0);
	ck_assert_int_eq(kvm_set_memory(&w->kvm, w->mem, &err), 0);
	ck_assert_msg(!arch_vm_init(w->arch, w->kvm.dev_fd, w->kvm.vm_fd,
				    w->mem, &w->fake.host, &err),
		      "%s", err.text);
	for (unsigned int i = 0; i < CPUS; i++) {
		ck_assert_int_eq(
			kvm_create_vcpu(&w->kvm, i, &w->vcpu_fds[i], &err), 0);
		ck_assert_msg(!arch_vcpu_init(w->arch, i, w->vcpu_fds[i], &err),
			      "%s", err.text);
	}
}

static void whole_fini(struct whole *w)
{
	arch_free(w->arch);
	ck_assert_uint_eq(fake_host_ranges(&w->fake), 0);
	for (unsigned int i = 0; i < CPUS; i++)
		close(w->vcpu_fds[i]);
	guest_mem_free(w->mem);
	kvm_close(&w->kvm);
	image_close(&w->image);
	blob_free(&w->blob);
}

static void whole_boot(struct whole *w)
{
	ck_assert_msg(!arch_boot(w->arch, &err), "%s", err.text);
}

/*
 * Counters and clock go on by themselves between two saves, and KVM gives cache
 * attributes to a GITS_CBASER that nobody has set yet, when it is written.
 */
static void still(json_t *state)
{
	static const uint64_t counters[] = {KVM_REG_ARM_TIMER_CNT,
					    KVM_REG_ARM_PTIMER_CNT};
	json_t *vcpus = json_object_get(state, "vcpus");
	json_t *devices = json_object_get(state, "devices");

	json_object_del(json_object_get(devices, "its"), "GITS_CBASER");
	json_object_del(json_object_get(devices, "rtc"), "seen");
	for (size_t i = 0; i < json_array_size(vcpus); i++) {
		json_t *regs =
			json_object_get(json_array_get(vcpus, i), "regs");

		for (size_t j = 0; j < 2; j++) {
			char name[24];

			snprintf(name, sizeof(name), "0x%" PRIx64, counters[j]);
			json_object_del(regs, name);
		}
	}
}

static json_t *whole_save(struct whole *w)
{
	json_t *state;

	ck_assert_msg(!arch_save(w->arch, &state, &err), "%s", err.text);
	return state;
}

static void check_same(json_t *first, json_t *second)
{
	still(first);
	still(second);
	if (!json_equal(first, second)) {
		char *a = json_dumps(first, JSON_INDENT(1));
		char *b = json_dumps(second, JSON_INDENT(1));
		size_t at = 0;

		while (a[at] == b[at])
			at++;
		at = at < 200 ? 0 : at - 200;
		ck_abort_msg("first:\n%.400s\nsecond:\n%.400s", a + at, b + at);
	}
	json_decref(first);
	json_decref(second);
}

/* A line at the GIC, a register's value, bytes for the guest, the button. */
static void disturb(struct whole *w)
{
	struct kvm_irq_level line = {.irq = arch_irq_line(8), .level = 1};
	uint64_t value = 0x1234;
	struct kvm_one_reg reg = {
		.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
		      KVM_REG_ARM_CORE_REG(regs.regs[5]),
		.addr = (uintptr_t)&value,
	};

	ck_assert_int_eq(ioctl(w->kvm.vm_fd, KVM_IRQ_LINE, &line), 0);
	ck_assert_int_eq(ioctl(w->vcpu_fds[1], KVM_SET_ONE_REG, &reg), 0);
	fake_host_write(&w->fake, BUS_MMIO, LAYOUT_UART + UART_IMSC, 4, 0x10);
	arch_serial_input(w->arch, (const uint8_t *)"abc", 3);
	arch_power_button(w->arch);
}

static const enum arch_profile profiles[] = {ARCH_PROFILE_DT,
					     ARCH_PROFILE_ACPI};

START_TEST(arch_restore_into_a_fresh_one_saves_the_same)
{
	json_t *first, *devices, *before, *calm;
	struct whole from, to;

	whole_init(&from, profiles[_i]);
	whole_boot(&from);
	before = whole_save(&from);
	disturb(&from);
	first = whole_save(&from);
	/* It is not the state of any machine. */
	devices = json_object_get(first, "devices");
	calm = json_object_get(before, "devices");
	ck_assert(!json_equal(json_object_get(devices, "gic"),
			      json_object_get(calm, "gic")));
	ck_assert(!json_equal(json_object_get(devices, "serial0"),
			      json_object_get(calm, "serial0")));
	json_decref(before);
	whole_init(&to, profiles[_i]);
	ck_assert_msg(!arch_restore(to.arch, first, &err), "%s", err.text);
	check_same(first, whole_save(&to));
	whole_fini(&from);
	whole_fini(&to);
}
END_TEST

START_TEST(arch_boot_again_is_as_the_first_time)
{
	struct kvm_irq_level line = {.irq = arch_irq_line(8)};
	struct whole w;
	json_t *first;

	whole_init(&w, profiles[_i]);
	whole_boot(&w);
	first = whole_save(&w);
	disturb(&w);
	/* A line is its device's, which has its own reset. */
	ck_assert_int_eq(ioctl(w.kvm.vm_fd, KVM_IRQ_LINE, &line), 0);
	ck_assert_int_eq(guest_mem_discard(w.mem), 0);
	whole_boot(&w);
	check_same(first, whole_save(&w));
	whole_fini(&w);
}
END_TEST

/* A member of the state that is wrong, and what the message must name. */
static const struct {
	const char *key, *value, *names;
} wrong[] = {
	{"profile", "\"lean\"", "profile"}, {"profile", "null", "profile"},
	{"memory", "1", "memory"},	    {"gic", "7", "gic"},
	{"vcpus", "[]", "vcpus"},	    {"vcpus", "[{}, {}]", "vcpu 0"},
	{"devices", "{}", "devices"},	    {"devices", "7", "devices"},
};

START_TEST(arch_restore_wrong_state_is_refused_by_name)
{
	json_t *state, *value;
	struct whole w;

	whole_init(&w, ARCH_PROFILE_DT);
	whole_boot(&w);
	state = whole_save(&w);
	value = json_loads(wrong[_i].value, JSON_DECODE_ANY, NULL);
	ck_assert_ptr_nonnull(value);
	json_object_set_new(state, wrong[_i].key, value);
	ck_assert_int_eq(arch_restore(w.arch, state, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, wrong[_i].names), "%s", err.text);
	json_decref(state);
	whole_fini(&w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("arch");
	TCase *tcase = tcase_create("arch");
	SRunner *runner;
	int failed;

	if (!kvm_test_available("test_arch"))
		return EXIT_SUCCESS;
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, arch_restore_into_a_fresh_one_saves_the_same,
			    0, 2);
	tcase_add_loop_test(tcase, arch_boot_again_is_as_the_first_time, 0, 2);
	tcase_add_loop_test(tcase, arch_restore_wrong_state_is_refused_by_name,
			    0, sizeof(wrong) / sizeof(wrong[0]));
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
