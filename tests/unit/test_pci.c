/* PCI configuration space: masks, the ports, ECAM, absent functions, state. */
#include "pci/bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>
#include <jansson.h>
#include <linux/pci_regs.h>

#include "tests/unit/support/fake_host.h"
#include "vmm/base/json.h"

#define ECAM UINT64_C(0xe0000000)
#define PORT 0xcf8
#define DATA 0xcfc

#define ENABLE	  0x80000000u
#define BRIDGE_ID 0x29c08086u
#define NIC_SLOT  3
#define NIC_ID	  0x10411af4u
#define ALL32	  0xffffffffu

static struct fake_host fake;
static struct pci_bus *bus;
static struct pci_device nic;

static const struct pci_identity nic_identity = {
	.vendor_id = 0x1af4,
	.device_id = 0x1041,
	.class_code = 0x020000,
	.revision_id = 1,
	.subsystem_vendor_id = 0x1af4,
	.subsystem_id = 0x1100,
	.multifunction = true,
	.interrupt_pin = 1,
};

static const struct pci_bus_config bus_config = {
	.ecam = ECAM,
	.port = PORT,
	.io = {0xd00, 0xf300},
	.mem32 = {0xc0000000, 0x20000000},
	.mem64 = {UINT64_C(0x1000000000), UINT64_C(0x1000000000)},
	.gsi = 16,
};

static void setup(void)
{
	fake_host_init(&fake);
	ck_assert_int_eq(pci_bus_new(&bus, &fake.host, &bus_config), 0);
	pci_device_init(&nic, &nic_identity);
	/* A 64 KiB memory BAR. */
	pci_device_set_writable(&nic, PCI_BASE_ADDRESS_0, 4, 0xffff0000);
	ck_assert_int_eq(pci_bus_add(bus, NIC_SLOT, 0, &nic), 0);
}

static void teardown(void)
{
	pci_bus_device_ops.free(bus);
	ck_assert_uint_eq(fake_host_ranges(&fake), 0);
}

static uint64_t in(uint64_t port, unsigned int size)
{
	return fake_host_read(&fake, BUS_PIO, port, size);
}

static void out(uint64_t port, unsigned int size, uint64_t value)
{
	fake_host_write(&fake, BUS_PIO, port, size, value);
}

static uint64_t ecam(unsigned int slot, unsigned int function,
		     unsigned int offset)
{
	return ECAM + (slot << 15 | function << 12 | offset);
}

static uint64_t get(unsigned int slot, unsigned int offset, unsigned int size)
{
	return fake_host_read(&fake, BUS_MMIO, ecam(slot, 0, offset), size);
}

static void put(unsigned int slot, unsigned int offset, unsigned int size,
		uint64_t value)
{
	fake_host_write(&fake, BUS_MMIO, ecam(slot, 0, offset), size, value);
}

/* --- One function's configuration space ------------------------------------
 */

START_TEST(pci_device_init_header_says_who_it_is)
{
	ck_assert_uint_eq(pci_device_read(&nic, PCI_VENDOR_ID, 4), NIC_ID);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_CLASS_REVISION, 4),
			  0x02000001);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_HEADER_TYPE, 1), 0x80);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_SUBSYSTEM_VENDOR_ID, 4),
			  0x11001af4);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_INTERRUPT_PIN, 1), 1);
}
END_TEST

START_TEST(pci_device_read_any_size_and_offset)
{
	ck_assert_uint_eq(pci_device_read(&nic, 0, 1), 0xf4);
	ck_assert_uint_eq(pci_device_read(&nic, 1, 1), 0x1a);
	ck_assert_uint_eq(pci_device_read(&nic, 1, 2), 0x411a);
	ck_assert_uint_eq(pci_device_read(&nic, 2, 2), 0x1041);
	ck_assert_uint_eq(pci_device_read(&nic, 0, 3), 0x411af4);
}
END_TEST

START_TEST(pci_device_read_past_the_end_is_zero)
{
	pci_device_set(&nic, 0xfc, 4, 0x11223344);
	ck_assert_uint_eq(pci_device_read(&nic, 0xfe, 4), 0x1122);
	ck_assert_uint_eq(pci_device_read(&nic, 0x100, 4), 0);
	ck_assert_uint_eq(pci_device_read(&nic, 0xfff, 1), 0);
	ck_assert_uint_eq(pci_device_read(&nic, UINT32_MAX - 3, 4), 0);
}
END_TEST

START_TEST(pci_device_write_changes_only_what_it_may)
{
	uint8_t before[PCI_DEVICE_CONFIG_SIZE];

	memcpy(before, nic.config, sizeof(before));
	for (unsigned int i = 0; i < 0x1000; i += 4)
		pci_device_write(&nic, i, 4, ALL32);
	for (unsigned int i = 0; i < sizeof(before); i++)
		ck_assert_uint_eq(nic.config[i], before[i] | nic.writable[i]);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_COMMAND, 2), 0x0547);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_BASE_ADDRESS_0, 4),
			  0xffff0000);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_VENDOR_ID, 4), NIC_ID);
}
END_TEST

START_TEST(pci_device_write_one_clears_status)
{
	pci_device_set(&nic, PCI_STATUS, 2,
		       PCI_STATUS_CAP_LIST | PCI_STATUS_PARITY |
			       PCI_STATUS_REC_MASTER_ABORT);
	/* As a driver does that writes COMMAND as a dword. */
	pci_device_write(&nic, PCI_COMMAND, 4, PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_STATUS, 2),
			  PCI_STATUS_CAP_LIST | PCI_STATUS_PARITY |
				  PCI_STATUS_REC_MASTER_ABORT);
	pci_device_write(&nic, PCI_STATUS, 2,
			 PCI_STATUS_CAP_LIST | PCI_STATUS_PARITY);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_STATUS, 2),
			  PCI_STATUS_CAP_LIST | PCI_STATUS_REC_MASTER_ABORT);
	pci_device_write(&nic, PCI_STATUS, 2, 0xffff);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_STATUS, 2),
			  PCI_STATUS_CAP_LIST);
}
END_TEST

START_TEST(pci_device_write_partial_touches_its_bytes_only)
{
	pci_device_write(&nic, PCI_BASE_ADDRESS_0 + 3, 1, 0xfe);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_BASE_ADDRESS_0, 4),
			  0xfe000000);
	pci_device_write(&nic, PCI_BASE_ADDRESS_0 + 1, 2, 0xa0ff);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_BASE_ADDRESS_0, 4),
			  0xfea00000);
	pci_device_write(&nic, 0xff, 4, ALL32);
	pci_device_write(&nic, UINT32_MAX, 1, ALL32);
	ck_assert_uint_eq(nic.config[0xff], 0);
}
END_TEST

START_TEST(pci_device_reset_keeps_what_is_fixed)
{
	pci_device_write(&nic, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	pci_device_write(&nic, PCI_INTERRUPT_LINE, 1, 11);
	pci_device_set(&nic, PCI_STATUS, 2,
		       PCI_STATUS_CAP_LIST | PCI_STATUS_PARITY);
	pci_device_reset(&nic);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_COMMAND, 2), 0);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_INTERRUPT_LINE, 1), 0);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_STATUS, 2),
			  PCI_STATUS_CAP_LIST);
	ck_assert_uint_eq(pci_device_read(&nic, PCI_VENDOR_ID, 4), NIC_ID);
}
END_TEST

/* --- The bus ----------------------------------------------------------------
 */

START_TEST(pci_bus_new_bridge_is_at_00_0)
{
	ck_assert_uint_eq(get(0, PCI_VENDOR_ID, 4), BRIDGE_ID);
	ck_assert_uint_eq(get(0, PCI_CLASS_REVISION, 4), 0x06000000);
	ck_assert_uint_eq(get(0, PCI_HEADER_TYPE, 1), 0);
	/* No BARs, no capabilities, no interrupt. */
	for (unsigned int i = PCI_BASE_ADDRESS_0; i <= PCI_BASE_ADDRESS_5;
	     i += 4) {
		put(0, i, 4, ALL32);
		ck_assert_uint_eq(get(0, i, 4), 0);
	}
	ck_assert_uint_eq(get(0, PCI_STATUS, 2), 0);
	ck_assert_uint_eq(get(0, PCI_INTERRUPT_PIN, 1), 0);
}
END_TEST

START_TEST(pci_bus_new_range_taken_leaves_nothing_mapped)
{
	struct pci_bus_config config = bus_config;
	struct pci_bus *other;

	config.ecam = ECAM + PCI_BUS_ECAM_SIZE;
	config.port = PORT + 4;
	ck_assert_int_eq(pci_bus_new(&other, &fake.host, &config), -EEXIST);
	ck_assert_uint_eq(fake_host_ranges(&fake), 2);
	config.ecam = ECAM;
	config.port = 0;
	ck_assert_int_eq(pci_bus_new(&other, &fake.host, &config), -EEXIST);
	ck_assert_uint_eq(fake_host_ranges(&fake), 2);
}
END_TEST

START_TEST(pci_bus_new_without_ports_has_ecam_alone)
{
	struct pci_bus_config config = bus_config;
	struct pci_bus *other;

	config.ecam = ECAM + PCI_BUS_ECAM_SIZE;
	config.port = 0;
	ck_assert_int_eq(pci_bus_new(&other, &fake.host, &config), 0);
	ck_assert_uint_eq(fake_host_ranges(&fake), 3);
	pci_bus_device_ops.free(other);
}
END_TEST

START_TEST(pci_bus_add_taken_or_impossible_is_refused)
{
	ck_assert_int_eq(pci_bus_add(bus, 0, 0, &nic), -EEXIST);
	ck_assert_int_eq(pci_bus_add(bus, NIC_SLOT, 0, &nic), -EEXIST);
	ck_assert_int_eq(pci_bus_add(bus, 32, 0, &nic), -EINVAL);
	ck_assert_int_eq(pci_bus_add(bus, 0, 8, &nic), -EINVAL);
}
END_TEST

START_TEST(pci_bus_ecam_read_absent_is_all_ones)
{
	for (unsigned int i = 0; i < PCI_BUS_SLOTS * PCI_BUS_FUNCTIONS; i++) {
		uint64_t base = ECAM + ((uint64_t)i << 12);

		if (i == 0 || i == NIC_SLOT * PCI_BUS_FUNCTIONS)
			continue;
		fake_host_write(&fake, BUS_MMIO, base, 4, 0);
		ck_assert_uint_eq(fake_host_read(&fake, BUS_MMIO, base, 4),
				  ALL32);
		ck_assert_uint_eq(fake_host_read(&fake, BUS_MMIO, base, 2),
				  0xffff);
		ck_assert_uint_eq(fake_host_read(&fake, BUS_MMIO, base, 1),
				  0xff);
	}
}
END_TEST

START_TEST(pci_bus_ecam_odd_accesses_are_harmless)
{
	ck_assert_uint_eq(get(NIC_SLOT, 0, 8), UINT64_C(0) << 32 | NIC_ID);
	ck_assert_uint_eq(get(NIC_SLOT, 0x100, 4), 0);
	ck_assert_uint_eq(get(NIC_SLOT, 0xffc, 4), 0);
	/* Across the end of one function into the next. */
	ck_assert_uint_eq(get(NIC_SLOT, 0xffe, 4), 0);
	put(NIC_SLOT, 0xffe, 8, UINT64_MAX);
	ck_assert_uint_eq(get(PCI_BUS_SLOTS - 1, 0x7ffc, 8), UINT64_MAX);
}
END_TEST

START_TEST(pci_bus_ecam_bar_can_be_sized_and_moved)
{
	put(NIC_SLOT, PCI_BASE_ADDRESS_0, 4, ALL32);
	ck_assert_uint_eq(get(NIC_SLOT, PCI_BASE_ADDRESS_0, 4), 0xffff0000);
	put(NIC_SLOT, PCI_BASE_ADDRESS_0, 4, 0xc0010000);
	ck_assert_uint_eq(get(NIC_SLOT, PCI_BASE_ADDRESS_0, 4), 0xc0010000);
}
END_TEST

START_TEST(pci_bus_port_address_takes_dwords_only)
{
	/* How Linux looks for configuration mechanism 1. */
	out(PORT + 3, 1, 1);
	out(PORT, 4, ENABLE);
	ck_assert_uint_eq(in(PORT, 4), ENABLE);
	out(PORT, 2, 0x1234);
	out(PORT, 1, 0x12);
	out(PORT + 2, 2, 0x1234);
	ck_assert_uint_eq(in(PORT, 4), ENABLE);
	ck_assert_uint_eq(in(PORT, 2), 0xffff);
	ck_assert_uint_eq(in(PORT, 1), 0xff);
	ck_assert_uint_eq(in(PORT + 3, 1), 0xff);
	ck_assert_uint_eq(in(PORT + 2, 4), ALL32);
	/* Reserved bits stay 0. */
	out(PORT, 4, ALL32);
	ck_assert_uint_eq(in(PORT, 4), 0x80fffffc);
}
END_TEST

START_TEST(pci_bus_port_data_reaches_the_register)
{
	out(PORT, 4, ENABLE | NIC_SLOT << 11);
	ck_assert_uint_eq(in(DATA, 4), NIC_ID);
	ck_assert_uint_eq(in(DATA, 2), 0x1af4);
	ck_assert_uint_eq(in(DATA + 2, 2), 0x1041);
	ck_assert_uint_eq(in(DATA + 1, 1), 0x1a);
	ck_assert_uint_eq(in(DATA + 1, 2), 0x411a);
	/* Past CONFIG_DATA. */
	ck_assert_uint_eq(in(DATA + 1, 4), ALL32);

	out(PORT, 4, ENABLE | NIC_SLOT << 11 | PCI_COMMAND);
	out(DATA, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	ck_assert_uint_eq(get(NIC_SLOT, PCI_COMMAND, 2),
			  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	out(DATA + 1, 1, PCI_COMMAND_INTX_DISABLE >> 8);
	ck_assert_uint_eq(get(NIC_SLOT, PCI_COMMAND + 1, 1),
			  PCI_COMMAND_INTX_DISABLE >> 8);
}
END_TEST

START_TEST(pci_bus_port_data_without_target_is_all_ones)
{
	static const uint32_t addresses[] = {
		NIC_SLOT << 11,			   /* not enabled */
		ENABLE | 1 << 16 | NIC_SLOT << 11, /* bus 1 */
		ENABLE | 4 << 11,		   /* no such slot */
		ENABLE | NIC_SLOT << 11 | 7 << 8,  /* no such function */
	};

	for (unsigned int i = 0; i < 4; i++) {
		out(PORT, 4, addresses[i] | PCI_COMMAND);
		out(DATA, 4, ALL32);
		ck_assert_uint_eq(in(DATA, 4), ALL32);
		ck_assert_uint_eq(in(DATA + 3, 1), 0xff);
	}
	ck_assert_uint_eq(get(NIC_SLOT, PCI_COMMAND, 2), 0);
}
END_TEST

START_TEST(pci_bus_port_reset_control_rising_edge_resets)
{
	/* What Linux does: first SYS_RST, then RST_CPU as well. */
	out(PORT + 1, 1, 2);
	ck_assert_uint_eq(fake.notices[HOST_RESET], 0);
	out(PORT + 1, 1, 6);
	ck_assert_uint_eq(fake.notices[HOST_RESET], 1);
	ck_assert_uint_eq(in(PORT + 1, 1), 6);
	/* No edge, no reset. */
	out(PORT + 1, 1, 0xe);
	ck_assert_uint_eq(fake.notices[HOST_RESET], 1);
	out(PORT + 1, 1, 0);
	out(PORT + 1, 1, 0xff);
	ck_assert_uint_eq(fake.notices[HOST_RESET], 2);
	ck_assert_uint_eq(in(PORT + 1, 1), 0xe);
}
END_TEST

START_TEST(pci_bus_port_reset_control_without_sys_rst_does_not)
{
	out(PORT + 1, 1, 4);
	out(PORT + 1, 2, 6);
	out(PORT, 4, 0x600);
	ck_assert_uint_eq(fake.notices[HOST_RESET], 0);
	ck_assert_uint_eq(in(PORT, 4), 0x600);
}
END_TEST

/* --- State ------------------------------------------------------------------
 */

/* A machine that is not as it was made. */
static json_t *save_changed(void)
{
	json_t *state;

	out(PORT, 4, ENABLE | NIC_SLOT << 11 | PCI_BASE_ADDRESS_0);
	out(PORT + 1, 1, 2);
	put(NIC_SLOT, PCI_BASE_ADDRESS_0, 4, 0xc0010000);
	put(0, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	ck_assert_int_eq(pci_bus_device_ops.save(bus, &state), 0);
	return state;
}

START_TEST(pci_bus_restore_saved_state_saves_the_same)
{
	json_t *first = save_changed(), *second;
	struct error err;

	pci_bus_device_ops.free(bus);
	ck_assert_int_eq(pci_bus_new(&bus, &fake.host, &bus_config), 0);
	pci_device_init(&nic, &nic_identity);
	pci_device_set_writable(&nic, PCI_BASE_ADDRESS_0, 4, 0xffff0000);
	ck_assert_int_eq(pci_bus_add(bus, NIC_SLOT, 0, &nic), 0);

	ck_assert_int_eq(pci_bus_device_ops.restore(bus, first, &err), 0);
	ck_assert_int_eq(pci_bus_device_ops.save(bus, &second), 0);
	ck_assert(json_equal(first, second));
	ck_assert_uint_eq(in(DATA, 4), 0xc0010000);
	ck_assert_uint_eq(get(0, PCI_COMMAND, 2), PCI_COMMAND_MASTER);
	json_decref(first);
	json_decref(second);
}
END_TEST

START_TEST(pci_bus_reset_is_as_new)
{
	json_t *fresh, *again;

	ck_assert_int_eq(pci_bus_device_ops.save(bus, &fresh), 0);
	json_decref(save_changed());
	pci_bus_device_ops.reset(bus);
	ck_assert_int_eq(pci_bus_device_ops.save(bus, &again), 0);
	ck_assert(json_equal(fresh, again));
	json_decref(fresh);
	json_decref(again);
}
END_TEST

/* The ways in which state can be damaged. */
static void damage(json_t *state, int how)
{
	json_t *registers = json_object_get(state, "registers");
	json_t *functions = json_object_get(state, "functions");
	uint8_t config[PCI_DEVICE_CONFIG_SIZE];

	switch (how) {
	case 0: /* another device */
		memcpy(config, nic.config, sizeof(config));
		config[PCI_DEVICE_ID] ^= 1;
		json_object_set_new(functions, "03.0",
				    json_blob(config, sizeof(config)));
		break;
	case 1: /* a BAR that is not aligned to its size */
		memcpy(config, nic.config, sizeof(config));
		config[PCI_BASE_ADDRESS_0 + 1] = 1;
		json_object_set_new(functions, "03.0",
				    json_blob(config, sizeof(config)));
		break;
	case 2:
		json_object_set_new(functions, "03.0", json_blob("", 0));
		break;
	case 3:
		json_object_del(functions, "00.0");
		break;
	case 4:
		json_object_set(functions, "04.0",
				json_object_get(functions, "03.0"));
		break;
	case 5:
		json_object_set_new(registers, "config_address",
				    json_string("0x1000000"));
		break;
	case 6:
		json_object_set_new(registers, "reset_control",
				    json_string("0x1"));
		break;
	case 7:
		json_object_del(state, "registers");
		break;
	case 8:
		json_object_set_new(state, "functions", json_array());
		break;
	default:
		json_object_set_new(state, "more", json_true());
		break;
	}
}

START_TEST(pci_bus_restore_bad_state_is_refused_unchanged)
{
	json_t *state = save_changed(), *before, *after;
	struct error err = {0};

	pci_bus_device_ops.reset(bus);
	ck_assert_int_eq(pci_bus_device_ops.save(bus, &before), 0);
	damage(state, _i);
	ck_assert_int_eq(pci_bus_device_ops.restore(bus, state, &err), -EINVAL);
	ck_assert_uint_gt(strlen(err.text), 0);
	ck_assert_int_eq(pci_bus_device_ops.save(bus, &after), 0);
	ck_assert(json_equal(before, after));
	json_decref(state);
	json_decref(before);
	json_decref(after);
}
END_TEST

static TCase *device_case(void)
{
	TCase *tc = tcase_create("device");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, pci_device_init_header_says_who_it_is);
	tcase_add_test(tc, pci_device_read_any_size_and_offset);
	tcase_add_test(tc, pci_device_read_past_the_end_is_zero);
	tcase_add_test(tc, pci_device_write_changes_only_what_it_may);
	tcase_add_test(tc, pci_device_write_one_clears_status);
	tcase_add_test(tc, pci_device_write_partial_touches_its_bytes_only);
	tcase_add_test(tc, pci_device_reset_keeps_what_is_fixed);
	return tc;
}

static TCase *bus_case(void)
{
	TCase *tc = tcase_create("bus");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, pci_bus_new_bridge_is_at_00_0);
	tcase_add_test(tc, pci_bus_new_range_taken_leaves_nothing_mapped);
	tcase_add_test(tc, pci_bus_new_without_ports_has_ecam_alone);
	tcase_add_test(tc, pci_bus_add_taken_or_impossible_is_refused);
	tcase_add_test(tc, pci_bus_ecam_read_absent_is_all_ones);
	tcase_add_test(tc, pci_bus_ecam_odd_accesses_are_harmless);
	tcase_add_test(tc, pci_bus_ecam_bar_can_be_sized_and_moved);
	tcase_add_test(tc, pci_bus_port_address_takes_dwords_only);
	tcase_add_test(tc, pci_bus_port_data_reaches_the_register);
	tcase_add_test(tc, pci_bus_port_data_without_target_is_all_ones);
	tcase_add_test(tc, pci_bus_port_reset_control_rising_edge_resets);
	tcase_add_test(tc, pci_bus_port_reset_control_without_sys_rst_does_not);
	return tc;
}

static TCase *state_case(void)
{
	TCase *tc = tcase_create("state");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, pci_bus_restore_saved_state_saves_the_same);
	tcase_add_test(tc, pci_bus_reset_is_as_new);
	tcase_add_loop_test(tc, pci_bus_restore_bad_state_is_refused_unchanged,
			    0, 10);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("pci");
	SRunner *runner;
	int failed;

	suite_add_tcase(s, device_case());
	suite_add_tcase(s, bus_case());
	suite_add_tcase(s, state_case());
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
