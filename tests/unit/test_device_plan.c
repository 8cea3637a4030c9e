/*
 * Which devices a machine gets and where: labels, slots that are wished for
 * and slots that are found, and what does not fit.
 */
#include "vmm/device_plan.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DISKS 40

static char file[] = "a.img", other[] = "b.img", tap[] = "tap0";
static struct virtio_block_options disks[DISKS];
static struct virtio_net_options nets[2];
static struct virtio_console_options console;
static struct options options;
static struct device_plan plan;
static struct error err;

static void setup(void)
{
	memset(disks, 0, sizeof(disks));
	memset(nets, 0, sizeof(nets));
	memset(&console, 0, sizeof(console));
	memset(&options, 0, sizeof(options));
	for (unsigned int i = 0; i < DISKS; i++)
		disks[i].file = i ? other : file;
	nets[0].tap = tap;
	nets[1].kind = VIRTIO_NET_USER;
	options.disks.items = disks;
	options.nets.items = nets;
	err.text[0] = '\0';
}

static void teardown(void)
{
	device_plan_fini(&plan);
}

static int make(void)
{
	return device_plan_make(&plan, &options, NULL, &err);
}

static void assert_entry(size_t index, const char *label, const char *option,
			 unsigned int slot)
{
	const struct device_plan_entry *entry = &plan.entries[index];

	ck_assert_uint_lt(index, plan.count);
	ck_assert_str_eq(entry->label, label);
	ck_assert_str_eq(entry->option, option);
	ck_assert_uint_eq(entry->slot, slot);
}

START_TEST(device_plan_make_nothing_is_no_device)
{
	ck_assert_int_eq(make(), 0);
	ck_assert_uint_eq(plan.count, 0);
}
END_TEST

START_TEST(device_plan_make_all_types_in_order)
{
	options.disks.count = 2;
	options.nets.count = 2;
	options.rng_use = OPTIONS_RNG_ON;
	ck_assert_int_eq(device_plan_make(&plan, &options, &console, &err), 0);
	ck_assert_uint_eq(plan.count, 6);
	assert_entry(0, "block0", "--disk a.img", 1);
	assert_entry(1, "block1", "--disk b.img", 2);
	assert_entry(2, "net0", "--net tap=tap0", 3);
	assert_entry(3, "net1", "--net user", 4);
	assert_entry(4, "console0", "--console", 5);
	assert_entry(5, "rng0", "--rng", 6);
	ck_assert_str_eq(plan.entries[1].type, "block");
	ck_assert_ptr_eq(plan.entries[1].options, &disks[1]);
	ck_assert_ptr_eq(plan.entries[4].options, &console);
	ck_assert_ptr_eq(plan.entries[5].options, &options.rng);
	ck_assert_ptr_eq(plan.entries[5].common, &options.rng.common);
}
END_TEST

START_TEST(device_plan_make_wishes_come_first)
{
	options.disks.count = 4;
	options.rng_use = OPTIONS_RNG_ON;
	disks[2].common.slot = 1;
	options.rng.common.slot = 3;
	ck_assert_int_eq(make(), 0);
	assert_entry(0, "block0", "--disk a.img", 2);
	assert_entry(1, "block1", "--disk b.img", 4);
	assert_entry(2, "block2", "--disk b.img", 1);
	assert_entry(3, "block3", "--disk b.img", 5);
	assert_entry(4, "rng0", "--rng", 3);
}
END_TEST

START_TEST(device_plan_make_clash_names_both)
{
	options.disks.count = 2;
	disks[0].common.slot = disks[1].common.slot = 31;
	ck_assert_int_eq(make(), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.text, "--disk a.img"));
	ck_assert_ptr_nonnull(strstr(err.text, "--disk b.img"));
	ck_assert_ptr_nonnull(strstr(err.text, "slot 31"));
}
END_TEST

START_TEST(device_plan_make_slot_past_the_bus_is_refused)
{
	options.disks.count = 1;
	disks[0].common.slot = UINT64_C(1) << 32;
	ck_assert_int_eq(make(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "1 to 31"));
}
END_TEST

START_TEST(device_plan_make_bus_takes_31)
{
	options.disks.count = 31;
	disks[7].common.slot = 31;
	ck_assert_int_eq(make(), 0);
	assert_entry(0, "block0", "--disk a.img", 1);
	assert_entry(30, "block30", "--disk b.img", 30);
	device_plan_fini(&plan);
	options.rng_use = OPTIONS_RNG_ON;
	ck_assert_int_eq(make(), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.text, "at most 31"));
	ck_assert_ptr_nonnull(strstr(err.text, "transport=mmio"));
}
END_TEST

START_TEST(device_plan_make_forty_are_refused)
{
	options.disks.count = DISKS;
	ck_assert_int_eq(make(), -ENOSPC);
}
END_TEST

START_TEST(device_plan_make_mmio_takes_no_slot)
{
	options.disks.count = DISKS;
	for (unsigned int i = 1; i < DISKS; i++)
		disks[i].common.transport = VIRTIO_TRANSPORT_MMIO;
	options.rng_use = OPTIONS_RNG_ON;
	ck_assert_int_eq(make(), 0);
	assert_entry(0, "block0", "--disk a.img", 1);
	assert_entry(1, "block1", "--disk b.img", 0);
	assert_entry(DISKS, "rng0", "--rng", 2);
	device_plan_fini(&plan);
	disks[1].common.slot = 4;
	ck_assert_int_eq(make(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "mmio"));
}
END_TEST

START_TEST(device_plan_make_long_path_is_cut)
{
	static char path[5000];

	memset(path, 'x', sizeof(path) - 1);
	options.disks.count = 1;
	disks[0].file = path;
	ck_assert_int_eq(make(), 0);
	ck_assert_uint_eq(strlen(plan.entries[0].option),
			  DEVICE_PLAN_OPTION_MAX - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_plan");
	TCase *tcase = tcase_create("device_plan");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, device_plan_make_nothing_is_no_device);
	tcase_add_test(tcase, device_plan_make_all_types_in_order);
	tcase_add_test(tcase, device_plan_make_wishes_come_first);
	tcase_add_test(tcase, device_plan_make_clash_names_both);
	tcase_add_test(tcase, device_plan_make_slot_past_the_bus_is_refused);
	tcase_add_test(tcase, device_plan_make_bus_takes_31);
	tcase_add_test(tcase, device_plan_make_forty_are_refused);
	tcase_add_test(tcase, device_plan_make_mmio_takes_no_slot);
	tcase_add_test(tcase, device_plan_make_long_path_is_cut);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
