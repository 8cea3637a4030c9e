/* KVM's interrupt controllers: routes, and state there and back. */
#include "arch/x86_64/irqchip.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <check.h>

#include "tests/unit/support/kvm.h"
#include "vmm/irq_routes.h"

struct chip {
	struct kvm_test vm;
	struct irqchip *irqchip;
	struct irq_routes *routes;
};

static void chip_init(struct chip *chip, bool legacy)
{
	struct kvm_irq_routing_entry pins[IRQCHIP_ROUTES_MAX];
	struct irq_routes_config config = {
		.pins = pins,
		.first_gsi = KVM_IOAPIC_NUM_PINS,
	};
	struct error err;

	kvm_test_init(&chip->vm);
	ck_assert_msg(
		irqchip_new(&chip->irqchip, chip->vm.vm_fd, legacy, &err) == 0,
		"%s", err.text);
	config.vm_fd = chip->vm.vm_fd;
	config.pin_routes = irqchip_routes(legacy, pins);
	ck_assert_msg(irq_routes_new(&chip->routes, &config, &err) == 0, "%s",
		      err.text);
}

static void chip_fini(struct chip *chip)
{
	irq_routes_free(chip->routes);
	irqchip_device_ops.free(chip->irqchip);
	kvm_test_fini(&chip->vm);
}

/* The state as text, without the clock, which never stands still. */
static char *chip_state(const struct chip *chip)
{
	json_t *state;
	char *text;

	ck_assert_int_eq(irqchip_device_ops.save(chip->irqchip, &state), 0);
	ck_assert_int_eq(json_object_del(state, "clock"), 0);
	text = json_dumps(state, JSON_SORT_KEYS);
	ck_assert_ptr_nonnull(text);
	json_decref(state);
	return text;
}

static void chip_check_state(const struct chip *chip, const char *expected)
{
	char *text = chip_state(chip);

	ck_assert_str_eq(text, expected);
	free(text);
}

/* Every byte has a value of its own, from first on. */
static void chip_scribble_pic(int vm_fd, unsigned int chip_id, uint8_t first)
{
	struct kvm_irqchip pic = {.chip_id = chip_id};
	uint8_t *bytes = (uint8_t *)&pic.chip.pic;

	for (size_t i = 0; i < sizeof(pic.chip.pic); i++)
		bytes[i] = (uint8_t)(first + i);
	ck_assert_int_eq(ioctl(vm_fd, KVM_SET_IRQCHIP, &pic), 0);
}

/* Give every register another value. */
static void chip_scribble(const struct chip *chip, bool legacy)
{
	struct kvm_irqchip ioapic = {.chip_id = KVM_IRQCHIP_IOAPIC};
	struct kvm_pit_state2 pit;
	int vm_fd = chip->vm.vm_fd;

	chip_scribble_pic(vm_fd, KVM_IRQCHIP_PIC_MASTER, 0x40);
	chip_scribble_pic(vm_fd, KVM_IRQCHIP_PIC_SLAVE, 0x60);
	ck_assert_int_eq(ioctl(vm_fd, KVM_GET_IRQCHIP, &ioapic), 0);
	ioapic.chip.ioapic.ioregsel = 0x3f;
	ioapic.chip.ioapic.id = 2;
	for (unsigned int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		ioapic.chip.ioapic.redirtbl[i].bits =
			UINT64_C(0x0100000000018030) + i;
	ck_assert_int_eq(ioctl(vm_fd, KVM_SET_IRQCHIP, &ioapic), 0);
	if (!legacy)
		return;
	ck_assert_int_eq(ioctl(vm_fd, KVM_GET_PIT2, &pit), 0);
	pit.flags = KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	for (unsigned int i = 0; i < 3; i++) {
		pit.channels[i].mode = 3;
		pit.channels[i].rw_mode = 3;
		pit.channels[i].count = 0x10000 - i;
		pit.channels[i].latched_count = 0x1234;
		pit.channels[i].gate = 1;
	}
	ck_assert_int_eq(ioctl(vm_fd, KVM_SET_PIT2, &pit), 0);
}

/* KVM itself sees no difference between two controllers. */
static void chips_check_raw(const struct chip *a, const struct chip *b,
			    unsigned int chip_id)
{
	struct kvm_irqchip from = {.chip_id = chip_id};
	struct kvm_irqchip to = {.chip_id = chip_id};

	ck_assert_int_eq(ioctl(a->vm.vm_fd, KVM_GET_IRQCHIP, &from), 0);
	ck_assert_int_eq(ioctl(b->vm.vm_fd, KVM_GET_IRQCHIP, &to), 0);
	ck_assert_mem_eq(&from, &to, sizeof(from));
}

/* --- Routes --------------------------------------------------------------- */

/* Whether there is exactly one route of gsi to that chip and it has pin. */
static bool has_route(const struct kvm_irq_routing_entry *routes,
		      unsigned int count, unsigned int gsi, unsigned int chip,
		      unsigned int pin)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < count; i++) {
		ck_assert_uint_eq(routes[i].type, KVM_IRQ_ROUTING_IRQCHIP);
		if (routes[i].gsi == gsi && routes[i].u.irqchip.irqchip == chip)
			found += routes[i].u.irqchip.pin == pin ? 1 : 100;
	}
	return found == 1;
}

START_TEST(routes_in_lean_profile_are_the_ioapics_pins)
{
	struct kvm_irq_routing_entry routes[IRQCHIP_ROUTES_MAX];
	unsigned int count = irqchip_routes(false, routes);

	ck_assert_uint_eq(count, 24);
	for (unsigned int gsi = 0; gsi < 24; gsi++)
		ck_assert(
			has_route(routes, count, gsi, KVM_IRQCHIP_IOAPIC, gsi));
}
END_TEST

START_TEST(routes_in_legacy_profile_are_those_of_a_pc)
{
	struct kvm_irq_routing_entry routes[IRQCHIP_ROUTES_MAX];
	unsigned int count = irqchip_routes(true, routes);

	/* No cascade, neither here nor there. */
	ck_assert_uint_eq(count, 23 + 15);
	for (unsigned int gsi = 0; gsi < 24; gsi++) {
		if (gsi == 2)
			continue;
		ck_assert(has_route(routes, count, gsi, KVM_IRQCHIP_IOAPIC,
				    gsi == 0 ? 2 : gsi));
		if (gsi < 8)
			ck_assert(has_route(routes, count, gsi,
					    KVM_IRQCHIP_PIC_MASTER, gsi));
		else if (gsi < 16)
			ck_assert(has_route(routes, count, gsi,
					    KVM_IRQCHIP_PIC_SLAVE, gsi - 8));
	}
}
END_TEST

/* The request registers say where KVM took an interrupt. */
START_TEST(new_in_each_profile_wires_interrupts_as_routed)
{
	struct kvm_irqchip master = {.chip_id = KVM_IRQCHIP_PIC_MASTER};
	struct kvm_irqchip ioapic = {.chip_id = KVM_IRQCHIP_IOAPIC};
	struct kvm_irq_level line = {.irq = 0, .level = 1};
	bool legacy = _i;
	struct chip chip;

	chip_init(&chip, legacy);
	ck_assert_int_eq(ioctl(chip.vm.vm_fd, KVM_IRQ_LINE, &line), 0);
	line.irq = 5;
	ck_assert_int_eq(ioctl(chip.vm.vm_fd, KVM_IRQ_LINE, &line), 0);
	ck_assert_int_eq(ioctl(chip.vm.vm_fd, KVM_GET_IRQCHIP, &master), 0);
	ck_assert_int_eq(ioctl(chip.vm.vm_fd, KVM_GET_IRQCHIP, &ioapic), 0);
	ck_assert_uint_eq(master.chip.pic.irr, legacy ? 0x21 : 0);
	ck_assert_uint_eq(ioapic.chip.ioapic.irr, legacy ? 0x24 : 0x21);
	chip_fini(&chip);
}
END_TEST

START_TEST(new_twice_on_one_vm_names_call)
{
	struct irqchip *again;
	struct chip chip;
	struct error err;

	chip_init(&chip, true);
	ck_assert_int_lt(irqchip_new(&again, chip.vm.vm_fd, true, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "KVM_"));
	chip_fini(&chip);
}
END_TEST

/* --- State ---------------------------------------------------------------- */

START_TEST(restore_into_fresh_vm_saves_the_same)
{
	bool legacy = _i;
	struct chip from, to;
	char *fresh, *expected;
	json_t *state;
	struct error err;

	chip_init(&from, legacy);
	fresh = chip_state(&from);
	chip_scribble(&from, legacy);
	expected = chip_state(&from);
	ck_assert_str_ne(fresh, expected);
	ck_assert_int_eq(irqchip_device_ops.save(from.irqchip, &state), 0);
	chip_init(&to, legacy);
	chip_check_state(&to, fresh);
	ck_assert_msg(irqchip_device_ops.restore(to.irqchip, state, &err) == 0,
		      "%s", err.text);
	chip_check_state(&to, expected);
	chips_check_raw(&from, &to, KVM_IRQCHIP_PIC_MASTER);
	chips_check_raw(&from, &to, KVM_IRQCHIP_PIC_SLAVE);
	chips_check_raw(&from, &to, KVM_IRQCHIP_IOAPIC);
	json_decref(state);
	free(fresh);
	free(expected);
	chip_fini(&from);
	chip_fini(&to);
}
END_TEST

START_TEST(restore_sets_clock)
{
	static const uint64_t then = UINT64_C(0x123456789abcdef);
	struct kvm_clock_data now;
	struct chip chip;
	struct error err;
	json_t *state;
	char text[32];

	chip_init(&chip, false);
	ck_assert_int_eq(irqchip_device_ops.save(chip.irqchip, &state), 0);
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)then);
	ck_assert_int_eq(json_object_set_new(json_object_get(state, "clock"),
					     "clock", json_string(text)),
			 0);
	ck_assert_int_eq(irqchip_device_ops.restore(chip.irqchip, state, &err),
			 0);
	ck_assert_int_eq(ioctl(chip.vm.vm_fd, KVM_GET_CLOCK, &now), 0);
	ck_assert_uint_ge(now.clock, then);
	/* A minute later at the most. */
	ck_assert_uint_lt(now.clock - then, UINT64_C(60000000000));
	json_decref(state);
	chip_fini(&chip);
}
END_TEST

START_TEST(reset_after_use_gives_power_on_state)
{
	bool legacy = _i;
	struct kvm_clock_data before, after;
	struct chip chip;
	char *fresh;

	chip_init(&chip, legacy);
	fresh = chip_state(&chip);
	chip_scribble(&chip, legacy);
	ck_assert_int_eq(ioctl(chip.vm.vm_fd, KVM_GET_CLOCK, &before), 0);
	irqchip_device_ops.reset(chip.irqchip);
	chip_check_state(&chip, fresh);
	ck_assert_int_eq(ioctl(chip.vm.vm_fd, KVM_GET_CLOCK, &after), 0);
	ck_assert_uint_ge(after.clock, before.clock);
	free(fresh);
	chip_fini(&chip);
}
END_TEST

/* --- Damaged state -------------------------------------------------------- */

/* part: a member of the state; member NULL: the part itself. */
struct damage {
	const char *part, *member;
	const char *value; /* NULL: taken away */
};

static const struct damage damages[] = {
	{"pic_master", NULL, NULL},
	{"pic_slave", NULL, NULL},
	{"ioapic", NULL, NULL},
	{"clock", NULL, NULL},
	{"pit", NULL, NULL},
	{"pit_channel_0", NULL, NULL},
	{"pit_channel_1", NULL, NULL},
	{"pit_channel_2", NULL, NULL},
	{"pic_master", NULL, "1"},
	{"pic_master", "imr", NULL},
	{"pic_master", "imr", "0x100"},
	{"pic_slave", "extra", "0x0"},
	{"ioapic", "redirtbl[23].bits", NULL},
	{"ioapic", "redirtbl[0].bits", "0x10000000000000000"},
	{"ioapic", "id", "two"},
	{"clock", "clock", "now"},
	{"pit", "flags", "0x3"},
	{"pit_channel_0", "count", "0x10001"},
	{"extra", NULL, "0x0"},
};

static json_t *damaged(const struct chip *chip, const struct damage *damage)
{
	json_t *state, *object;
	const char *name = damage->member ? damage->member : damage->part;

	ck_assert_int_eq(irqchip_device_ops.save(chip->irqchip, &state), 0);
	object = damage->member ? json_object_get(state, damage->part) : state;
	if (damage->value)
		json_object_set_new(object, name, json_string(damage->value));
	else
		ck_assert_int_eq(json_object_del(object, name), 0);
	return state;
}

START_TEST(restore_of_damaged_state_changes_nothing)
{
	const struct damage *damage = &damages[_i];
	struct chip chip;
	struct error err;
	json_t *state;
	char *before;

	chip_init(&chip, true);
	state = damaged(&chip, damage);
	chip_scribble(&chip, true);
	before = chip_state(&chip);
	err.text[0] = '\0';
	ck_assert_int_eq(irqchip_device_ops.restore(chip.irqchip, state, &err),
			 -EINVAL);
	if (strcmp(damage->part, "extra") != 0)
		ck_assert_ptr_nonnull(strstr(err.text, damage->part));
	if (damage->member)
		ck_assert_ptr_nonnull(strstr(err.text, damage->member));
	chip_check_state(&chip, before);
	json_decref(state);
	free(before);
	chip_fini(&chip);
}
END_TEST

START_TEST(restore_of_other_profile_is_refused)
{
	struct chip from, to;
	struct error err;
	json_t *state;

	chip_init(&from, _i);
	chip_init(&to, !_i);
	ck_assert_int_eq(irqchip_device_ops.save(from.irqchip, &state), 0);
	ck_assert_int_eq(irqchip_device_ops.restore(to.irqchip, state, &err),
			 -EINVAL);
	json_decref(state);
	chip_fini(&from);
	chip_fini(&to);
}
END_TEST

START_TEST(restore_of_no_object_is_refused)
{
	struct chip chip;
	struct error err;
	json_t *array = json_array();

	chip_init(&chip, false);
	ck_assert_int_eq(irqchip_device_ops.restore(chip.irqchip, array, &err),
			 -EINVAL);
	ck_assert_int_eq(irqchip_device_ops.restore(chip.irqchip, NULL, &err),
			 -EINVAL);
	json_decref(array);
	chip_fini(&chip);
}
END_TEST

static void add_kvm_tests(TCase *tcase)
{
	tcase_add_loop_test(
		tcase, new_in_each_profile_wires_interrupts_as_routed, 0, 2);
	tcase_add_test(tcase, new_twice_on_one_vm_names_call);
	tcase_add_loop_test(tcase, restore_into_fresh_vm_saves_the_same, 0, 2);
	tcase_add_test(tcase, restore_sets_clock);
	tcase_add_loop_test(tcase, reset_after_use_gives_power_on_state, 0, 2);
	tcase_add_loop_test(tcase, restore_of_damaged_state_changes_nothing, 0,
			    sizeof(damages) / sizeof(damages[0]));
	tcase_add_loop_test(tcase, restore_of_other_profile_is_refused, 0, 2);
	tcase_add_test(tcase, restore_of_no_object_is_refused);
}

int main(void)
{
	Suite *suite = suite_create("irqchip");
	TCase *tcase = tcase_create("irqchip");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, routes_in_lean_profile_are_the_ioapics_pins);
	tcase_add_test(tcase, routes_in_legacy_profile_are_those_of_a_pc);
	if (kvm_test_available("test_irqchip"))
		add_kvm_tests(tcase);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
