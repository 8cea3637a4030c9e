/*
 * The x86_64 machine as a whole, on a real KVM: saved, restored into a fresh
 * one and saved again; booted a second time as if for the first.
 */
#include "vmm/arch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <check.h>

#include "arch/x86_64/layout.h"
#include "pci/bus.h"
#include "tests/unit/support/kvm.h"
#include "tests/unit/support/whole.h"
#include "tests/unit/x86_64/support/kernel_image.h"
#include "vmm/base/irq_pin.h"

#define MSR_TSC 0x10

static struct error err;

static void make_kernel(struct blob *blob)
{
	blob_simple_elf(blob, true, LAYOUT_HIGH_RAM, 0x1000);
}

static void make(struct whole *w, enum arch_profile profile, unsigned int cpus)
{
	whole_init(w, make_kernel, profile, cpus, "quiet");
}

/* What goes on by itself between two saves is taken out. */
static void still(json_t *state)
{
	json_t *vcpus = json_object_get(state, "vcpus");
	json_t *devices = json_object_get(state, "devices");

	json_object_del(json_object_get(devices, "irqchip"), "clock");
	json_object_del(json_object_get(devices, "pm"), "timer");
	for (size_t i = 0; i < json_array_size(vcpus); i++) {
		json_t *msrs =
			json_object_get(json_array_get(vcpus, i), "msrs");

		for (size_t j = json_array_size(msrs); j-- > 0;) {
			const char *index = json_string_value(json_object_get(
				json_array_get(msrs, j), "index"));

			if (strtoul(index, NULL, 16) == MSR_TSC)
				json_array_remove(msrs, j);
		}
	}
}

static void disturb(struct whole *w)
{
	struct kvm_regs regs;

	/* A half-set clock, a byte for the guest, a register's value. */
	fake_host_write(&w->fake, BUS_PIO, PORT_RTC, 1, 0x40);
	fake_host_write(&w->fake, BUS_PIO, PORT_COM1 + 7, 1, 0x5a);
	fake_host_write(&w->fake, BUS_PIO, PORT_PCI_CONFIG, 4, 0x80000004);
	arch_serial_input(w->arch, (const uint8_t *)"abc", 3);
	arch_power_button(w->arch);
	ck_assert_int_eq(ioctl(w->vcpu_fds[1], KVM_GET_REGS, &regs), 0);
	regs.rbx = 0x1234;
	ck_assert_int_eq(ioctl(w->vcpu_fds[1], KVM_SET_REGS, &regs), 0);
}

static const enum arch_profile profiles[] = {ARCH_PROFILE_LEAN,
					     ARCH_PROFILE_LEGACY};

START_TEST(arch_restore_into_a_fresh_one_saves_the_same)
{
	struct whole from, to;
	json_t *first;

	make(&from, profiles[_i], WHOLE_CPUS);
	whole_boot(&from);
	disturb(&from);
	first = whole_save(&from);
	make(&to, profiles[_i], WHOLE_CPUS);
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

	make(&w, profiles[_i], WHOLE_CPUS);
	whole_boot(&w);
	first = whole_save(&w);
	disturb(&w);
	ck_assert_int_eq(guest_mem_discard(w.mem), 0);
	whole_boot(&w);
	whole_check_same(first, whole_save(&w), still);
	whole_fini(&w);
}
END_TEST

static const struct {
	const char *given, *handed;
} cmdlines[] = {
	{"", "console=ttyS0"},
	{"quiet", "console=ttyS0 quiet"},
	{"console=tty0", "console=tty0"},
	{"quiet console=tty0", "quiet console=tty0"},
	{"quiet\tconsole=tty0", "quiet\tconsole=tty0"},
	{"netconsole=@/,@1/", "console=ttyS0 netconsole=@/,@1/"},
	{"netconsole=@/,@1/ console=tty0", "netconsole=@/,@1/ console=tty0"},
};

START_TEST(arch_boot_console_is_put_in_front_where_none_is_given)
{
	struct whole w;
	char cmdline[64];

	whole_init(&w, make_kernel, ARCH_PROFILE_LEAN, 1, cmdlines[_i].given);
	whole_boot(&w);
	ck_assert_int_eq(
		guest_mem_read(w.mem, LAYOUT_CMDLINE, cmdline, sizeof(cmdline)),
		0);
	ck_assert_str_eq(cmdline, cmdlines[_i].handed);
	whole_fini(&w);
}
END_TEST

/* A member of the state that is wrong, and what the message must name. */
static const struct {
	const char *key, *value, *names;
} wrong[] = {
	{"profile", "\"legacy\"", "profile"},
	{"profile", "null", "profile"},
	{"memory", "1", "memory"},
	{"memory", "\"x\"", "memory"},
	{"vcpus", "[]", "vcpus"},
	{"vcpus", "[{}, {}]", "vcpu 0"},
	{"vcpus", "[1, null]", "vcpu 0"},
	{"devices", "{}", "devices"},
	{"devices", "7", "devices"},
};

START_TEST(arch_restore_wrong_state_is_refused_by_name)
{
	struct whole w;

	make(&w, ARCH_PROFILE_LEAN, WHOLE_CPUS);
	whole_boot(&w);
	whole_check_refusal(&w, wrong[_i].key, wrong[_i].value,
			    wrong[_i].names);
	whole_fini(&w);
}
END_TEST

START_TEST(arch_restore_without_a_device_names_it)
{
	json_t *state, *devices;
	struct whole w;

	make(&w, ARCH_PROFILE_LEAN, WHOLE_CPUS);
	whole_boot(&w);
	state = whole_save(&w);
	devices = json_object_get(state, "devices");
	json_object_del(devices, "serial0");
	ck_assert_int_eq(arch_restore(w.arch, state, &err), -EINVAL);
	json_object_set_new(devices, "other", json_object());
	ck_assert_int_eq(arch_restore(w.arch, state, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, "serial0"), "%s", err.text);
	json_decref(state);
	whole_fini(&w);
}
END_TEST

START_TEST(arch_save_failing_device_is_named)
{
	json_t *state = NULL;
	struct whole w;

	make(&w, ARCH_PROFILE_LEAN, 1);
	whole_boot(&w);
	/* What KVM answers from now on is EBADF. */
	close(w.kvm.vm_fd);
	w.kvm.vm_fd = -1;
	ck_assert_int_eq(arch_save(w.arch, &state, &err), -EBADF);
	ck_assert_ptr_null(state);
	ck_assert_msg(strstr(err.text, "irqchip: Bad file"), "%s", err.text);
	whole_fini(&w);
}
END_TEST

/* --- What other devices get ------------------------------------------------
 */

/* How often the word stands in the tables. */
static unsigned int in_tables(const struct whole *w, const char *word)
{
	static uint8_t tables[LAYOUT_ACPI_SIZE];
	const uint8_t *at = tables;
	unsigned int count = 0;

	ck_assert_int_eq(
		guest_mem_read(w->mem, LAYOUT_ACPI, tables, sizeof(tables)), 0);
	while ((at = memmem(at, (size_t)(tables + sizeof(tables) - at), word,
			    strlen(word)))) {
		count++;
		at++;
	}
	return count;
}

START_TEST(arch_mmio_add_places_are_apart_and_described)
{
	struct arch_mmio places[LAYOUT_VIRTIO_MMIO_MAX], more;
	struct whole w;

	make(&w, profiles[_i], 1);
	for (unsigned int i = 0; i < LAYOUT_VIRTIO_MMIO_MAX; i++) {
		struct arch_mmio *p = &places[i];

		ck_assert_int_eq(arch_mmio_add(w.arch, p), 0);
		ck_assert_uint_ge(p->base, LAYOUT_GED + 0x1000);
		ck_assert_uint_le(p->base, LAYOUT_IOAPIC - 0x1000);
		ck_assert_uint_ge(p->pin->gsi, GSI_PCI + GSI_PCI_PINS);
		ck_assert_uint_lt(p->pin->gsi, IOAPIC_PINS);
		for (unsigned int j = 0; j < i; j++) {
			ck_assert_uint_ne(places[j].base, p->base);
			ck_assert(places[j].pin != p->pin ||
				  places[j].source != p->source);
		}
	}
	ck_assert_int_eq(arch_mmio_add(w.arch, &more), -ENOSPC);
	irq_pin_set(places[1].pin, places[1].source, true);
	ck_assert(w.fake.irq_level[places[1].pin->gsi]);
	irq_pin_set(places[1].pin, places[1].source, false);
	whole_boot(&w);
	ck_assert_uint_eq(in_tables(&w, "LNRO0005"), LAYOUT_VIRTIO_MMIO_MAX);
	whole_fini(&w);
}
END_TEST

START_TEST(arch_boot_assigns_bars)
{
	const struct pci_identity identity = {.vendor_id = 0x1af4};
	const struct bus_ops ops = {.max_size = 4};
	const struct pci_bar bar = {
		.kind = PCI_BAR_MEM64,
		.size = 0x4000,
		.ops = &ops,
		.name = "bar",
	};
	struct pci_device device;
	struct whole w;

	make(&w, profiles[_i], 1);
	pci_device_init(&device, &identity);
	pci_device_add_bar(&device, 0, &bar);
	ck_assert_int_eq(pci_bus_add(arch_pci(w.arch), 1, 0, &device), 0);
	for (unsigned int i = 0; i < 2; i++) {
		whole_boot(&w);
		ck_assert(device.bars[0].mapped);
		ck_assert_uint_eq(device.bars[0].base, LAYOUT_PCI32);
		ck_assert_int_eq(guest_mem_discard(w.mem), 0);
	}
	pci_bus_remove(arch_pci(w.arch), &device);
	whole_fini(&w);
}
END_TEST

START_TEST(arch_irq_routes_are_those_of_the_pins)
{
	struct kvm_irq_routing_entry routes[ARCH_IRQ_ROUTES_MAX];
	struct whole w;

	make(&w, profiles[_i], 1);
	ck_assert_uint_eq(arch_irq_routes(w.arch, routes), _i ? 38 : 24);
	ck_assert_uint_eq(arch_irq_count(w.arch), 24);
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
	tcase_add_loop_test(tcase, arch_restore_into_a_fresh_one_saves_the_same,
			    0, 2);
	tcase_add_loop_test(tcase, arch_boot_again_is_as_the_first_time, 0, 2);
	tcase_add_loop_test(
		tcase, arch_boot_console_is_put_in_front_where_none_is_given, 0,
		sizeof(cmdlines) / sizeof(cmdlines[0]));
	tcase_add_loop_test(tcase, arch_restore_wrong_state_is_refused_by_name,
			    0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(tcase, arch_restore_without_a_device_names_it);
	tcase_add_test(tcase, arch_save_failing_device_is_named);
	tcase_add_loop_test(tcase, arch_mmio_add_places_are_apart_and_described,
			    0, 2);
	tcase_add_loop_test(tcase, arch_boot_assigns_bars, 0, 2);
	tcase_add_loop_test(tcase, arch_irq_routes_are_those_of_the_pins, 0, 2);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
