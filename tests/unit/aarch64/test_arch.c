/*
 * The aarch64 machine as a whole, on a real KVM: saved, restored into a fresh
 * one and saved again, with an ITS that has tables in guest memory; booted a
 * second time as if for the first.
 */
#include "vmm/arch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <check.h>

#include "arch/aarch64/gic.h"
#include "arch/aarch64/layout.h"
#include "arch/aarch64/vcpu_regs.h"
#include "tests/unit/support/kvm.h"
#include "tests/unit/support/whole.h"
#include "vmm/base/bytes.h"
#include "vmm/base/json.h"

#define MIB UINT64_C(0x100000)

/* Where the guest would have put the tables of LPIs and ITS: 64 KiB each. */
#define TABLES	    (LAYOUT_RAM + 32 * MIB)
#define TABLE(n)    (TABLES + (n)*UINT64_C(0x10000))
#define TABLES_SIZE UINT64_C(0x80000)
#define PROPERTIES  TABLE(0)
#define PENDING(n)  TABLE(1 + (n))
#define DEVICES	    TABLE(3)
#define COLLECTIONS TABLE(4)
#define COMMANDS    TABLE(5)
#define ENTRIES	    TABLE(6) /* of the one device */

#define VALID	     (UINT64_C(1) << 63)
#define PAGE_64K     (UINT64_C(2) << 8) /* of a GITS_BASER */
#define ID_BITS	     15			/* less one, of a GICR_PROPBASER */
#define LPI_FIRST    8192
#define LPI_ENABLED  0xa1 /* priority and enable bit, in a property table */
#define DEVICE_ID    8
#define COMMAND_SIZE 32

#define UART_IMSC 0x38 /* a PL011's interrupt mask */

static struct error err;

/* Less than a kernel, but all of its header (booting.rst). */
static void make_kernel(struct blob *blob)
{
	blob_fill(blob, 0, 0x1000);
	blob_put64(blob, 8, 0);
	blob_put64(blob, 16, 0x200000);
	blob_put64(blob, 24, 2 | 8); /* 4 KiB pages, anywhere */
	blob_put32(blob, 56, 0x644d5241);
}

static void make(struct whole *w, enum arch_profile profile)
{
	whole_init(w, make_kernel, profile, WHOLE_CPUS, "quiet");
}

static void drop_register(json_t *vcpu, uint64_t id)
{
	char name[24];

	snprintf(name, sizeof(name), "0x%" PRIx64, id);
	json_object_del(json_object_get(vcpu, "regs"), name);
}

/* Counters go on between two saves: they are taken out. */
static void still(json_t *state)
{
	json_t *vcpus = json_object_get(state, "vcpus");

	json_object_del(whole_device(state, "rtc"), "seen");
	for (size_t i = 0; i < json_array_size(vcpus); i++) {
		drop_register(json_array_get(vcpus, i), KVM_REG_ARM_TIMER_CNT);
		drop_register(json_array_get(vcpus, i), KVM_REG_ARM_PTIMER_CNT);
	}
}

/* A line at the GIC; its device has its own reset. */
static void set_line(struct whole *w, bool level)
{
	struct kvm_irq_level line = {
		.irq = arch_irq_line(SPI_VIRTIO_MMIO),
		.level = level,
	};

	ck_assert_int_eq(ioctl(w->kvm.vm_fd, KVM_IRQ_LINE, &line), 0);
}

/* Bytes for the guest, a button, registers of the vCPU that is off. */
static void disturb(struct whole *w)
{
	const uint64_t compare = 0x123456789abc;

	fake_host_write(&w->fake, BUS_MMIO, LAYOUT_UART + UART_IMSC, 4, 0x10);
	arch_serial_input(w->arch, (const uint8_t *)"abc", 3);
	arch_power_button(w->arch);
	ck_assert_int_eq(
		vcpu_reg_set64(w->vcpu_fds[1], VCPU_X(19), 0x1234, &err), 0);
	ck_assert_int_eq(
		vcpu_reg_set64(w->vcpu_fds[1], VCPU_VBAR_EL1, 0x8000, &err), 0);
	ck_assert_int_eq(vcpu_reg_set64(w->vcpu_fds[0], KVM_REG_ARM_TIMER_CVAL,
					compare, &err),
			 0);
}

static const enum arch_profile profiles[] = {ARCH_PROFILE_DT,
					     ARCH_PROFILE_ACPI};

START_TEST(arch_restore_into_a_fresh_one_saves_the_same)
{
	struct whole from, to;
	json_t *calm, *first;

	make(&from, profiles[_i]);
	whole_boot(&from);
	calm = whole_save(&from);
	disturb(&from);
	set_line(&from, true);
	first = whole_save(&from);
	/* It is not the state of any machine. */
	ck_assert(!json_equal(whole_device(first, "gic"),
			      whole_device(calm, "gic")));
	ck_assert(!json_equal(whole_device(first, "serial0"),
			      whole_device(calm, "serial0")));
	json_decref(calm);
	make(&to, profiles[_i]);
	ck_assert_msg(!arch_restore(to.arch, first, &err), "%s", err.text);
	whole_check_same(first, whole_save(&to), still);
	whole_fini(&from);
	whole_fini(&to);
}
END_TEST

START_TEST(arch_boot_again_is_as_the_first_time)
{
	struct whole w;
	json_t *first;

	make(&w, profiles[_i]);
	whole_boot(&w);
	first = whole_save(&w);
	disturb(&w);
	set_line(&w, true);
	set_line(&w, false);
	ck_assert_int_eq(guest_mem_discard(w.mem), 0);
	whole_boot(&w);
	whole_check_same(first, whole_save(&w), still);
	whole_fini(&w);
}
END_TEST

/* --- Interrupts by messages ------------------------------------------------
 * What a guest's driver does with the ITS, done by a state that says so, with
 * commands in guest memory which KVM carries out when the ITS begins to work.
 */

static void put(json_t *device, const char *name, const void *data, size_t len)
{
	json_object_set_new(device, name, json_blob(data, len));
}

static void put_command(struct whole *w, unsigned int index, uint64_t dw0,
			uint64_t dw1, uint64_t dw2)
{
	const le64 command[4] = {le64_of(dw0), le64_of(dw1), le64_of(dw2)};

	ck_assert_int_eq(guest_mem_write(w->mem,
					 COMMANDS + index * COMMAND_SIZE,
					 command, sizeof(command)),
			 0);
}

static void ask_for_messages(struct whole *w, json_t *state)
{
	const uint64_t properties[WHOLE_CPUS] = {PROPERTIES | ID_BITS,
						 PROPERTIES | ID_BITS};
	const uint64_t pending[WHOLE_CPUS] = {PENDING(0), PENDING(1)};
	const uint32_t enable[WHOLE_CPUS] = {1, 1};
	const uint64_t cbaser = VALID | COMMANDS;
	const uint64_t cwriter = 3 * COMMAND_SIZE;
	const uint64_t on = 1;
	const uint8_t enabled = LPI_ENABLED;
	uint64_t baser[8];
	json_t *gic = whole_device(state, "gic"),
	       *its = whole_device(state, "its");

	put(gic, "GICR_PROPBASER", properties, sizeof(properties));
	put(gic, "GICR_PENDBASER", pending, sizeof(pending));
	put(gic, "GICR_CTLR", enable, sizeof(enable));
	ck_assert_int_eq(json_blob_get(json_object_get(its, "GITS_BASER"),
				       baser, sizeof(baser)),
			 0);
	baser[0] = VALID | DEVICES | PAGE_64K;
	baser[1] = VALID | COLLECTIONS | PAGE_64K;
	put(its, "GITS_BASER", baser, sizeof(baser));
	put(its, "GITS_CBASER", &cbaser, sizeof(cbaser));
	put(its, "GITS_CWRITER", &cwriter, sizeof(cwriter));
	put(its, "GITS_CTLR", &on, sizeof(on));
	/* MAPD with 32 events, MAPC to vCPU 1, MAPTI of event 5. */
	put_command(w, 0, (uint64_t)DEVICE_ID << 32 | 0x08, 4, VALID | ENTRIES);
	put_command(w, 1, 0x09, 0, VALID | UINT64_C(1) << 16 | 3);
	put_command(w, 2, (uint64_t)DEVICE_ID << 32 | 0x0a,
		    (uint64_t)LPI_FIRST << 32 | 5, 3);
	ck_assert_int_eq(guest_mem_write(w->mem, PROPERTIES, &enabled, 1), 0);
}

/* The entry of the device, in the table in guest memory. */
static uint64_t device_entry(struct whole *w)
{
	le64 entry;

	ck_assert_int_eq(guest_mem_read(w->mem, DEVICES + 8 * DEVICE_ID, &entry,
					sizeof(entry)),
			 0);
	return le64_get(entry);
}

/* A message to the device's event, as its MSI-X vector sends it. */
static int send_message(struct whole *w, uint32_t event)
{
	struct kvm_msi msi = {
		.address_lo = LAYOUT_GIC_ITS + 0x10040, /* GITS_TRANSLATER */
		.data = event,
		.flags = KVM_MSI_VALID_DEVID,
		.devid = DEVICE_ID,
	};

	return ioctl(w->kvm.vm_fd, KVM_SIGNAL_MSI, &msi);
}

static void whole_with_messages(struct whole *w)
{
	json_t *state;

	make(w, ARCH_PROFILE_DT);
	whole_boot(w);
	state = whole_save(w);
	ask_for_messages(w, state);
	ck_assert_msg(!arch_restore(w->arch, state, &err), "%s", err.text);
	json_decref(state);
	/* Taken, and of another event not. */
	ck_assert_int_gt(send_message(w, 5), 0);
	ck_assert_int_le(send_message(w, 6), 0);
}

START_TEST(arch_restore_its_tables_saves_the_same)
{
	static uint8_t tables[2][TABLES_SIZE];
	struct whole from, to;
	json_t *first, *second;

	whole_with_messages(&from);
	ck_assert_uint_eq(device_entry(&from), 0);
	first = whole_save(&from);
	ck_assert_uint_ne(device_entry(&from), 0);
	make(&to, ARCH_PROFILE_DT);
	ck_assert_int_eq(
		guest_mem_read(from.mem, TABLES, tables[0], TABLES_SIZE), 0);
	/* The message is pending for vCPU 1. */
	ck_assert_uint_eq(tables[0][PENDING(1) - TABLES + LPI_FIRST / 8] & 1,
			  1);
	ck_assert_int_eq(
		guest_mem_write(to.mem, TABLES, tables[0], TABLES_SIZE), 0);
	ck_assert_msg(!arch_restore(to.arch, first, &err), "%s", err.text);
	second = whole_save(&to);
	ck_assert_int_eq(guest_mem_read(to.mem, TABLES, tables[1], TABLES_SIZE),
			 0);
	ck_assert(!memcmp(tables[0], tables[1], TABLES_SIZE));
	ck_assert_int_gt(send_message(&to, 5), 0);
	whole_check_same(first, second, still);
	whole_fini(&from);
	whole_fini(&to);
}
END_TEST

START_TEST(arch_boot_again_forgets_messages)
{
	json_t *first, *second;
	struct whole w, fresh;

	whole_with_messages(&w);
	ck_assert_int_eq(guest_mem_discard(w.mem), 0);
	whole_boot(&w);
	ck_assert_int_le(send_message(&w, 5), 0);
	second = whole_save(&w);
	make(&fresh, ARCH_PROFILE_DT);
	whole_boot(&fresh);
	first = whole_save(&fresh);
	whole_check_same(first, second, still);
	whole_fini(&w);
	whole_fini(&fresh);
}
END_TEST

/* --- States that are wrong ------------------------------------------------ */

static const struct {
	const char *key, *value, *names;
} wrong[] = {
	{"profile", "\"acpi\"", "profile"},
	{"profile", "null", "profile"},
	{"gic", "4", "gic"},
	{"devices", "7", "devices"},
	{"memory", "1", "memory"},
	{"vcpus", "[]", "vcpus"},
	{"vcpus", "[{}, {}]", "vcpu 0"},
	{"vcpus", "[1, null]", "vcpu 0"},
	{"devices", "{}", "devices"},
};

START_TEST(arch_restore_wrong_state_is_refused_by_name)
{
	struct whole w;

	make(&w, ARCH_PROFILE_DT);
	whole_boot(&w);
	whole_check_refusal(&w, wrong[_i].key, wrong[_i].value,
			    wrong[_i].names);
	whole_fini(&w);
}
END_TEST

START_TEST(arch_restore_unknown_register_is_refused_by_name)
{
	json_t *state, *regs;
	struct whole w;

	make(&w, ARCH_PROFILE_DT);
	whole_boot(&w);
	state = whole_save(&w);
	regs = json_object_get(
		json_array_get(json_object_get(state, "vcpus"), 1), "regs");
	json_object_set_new(regs, "0x6030000000ffffff", json_string("00"));
	ck_assert_int_eq(arch_restore(w.arch, state, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, "0x6030000000ffffff"), "%s", err.text);
	json_decref(state);
	whole_fini(&w);
}
END_TEST

static bool has_its(void)
{
	struct kvm kvm;
	bool has = !kvm_open(&kvm, NULL) && gic_probe(kvm.vm_fd) == 3;

	kvm_close(&kvm);
	if (!has)
		printf("skip: test_arch, ITS: this host has a GICv2\n");
	return has;
}

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
	if (has_its()) {
		tcase_add_test(tcase, arch_restore_its_tables_saves_the_same);
		tcase_add_test(tcase, arch_boot_again_forgets_messages);
	}
	tcase_add_loop_test(tcase, arch_restore_wrong_state_is_refused_by_name,
			    0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(tcase, arch_restore_unknown_register_is_refused_by_name);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
