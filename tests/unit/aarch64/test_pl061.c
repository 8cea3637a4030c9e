/*
 * The GPIO block and its power button, as Linux's gpio-pl061 and gpio-keys use
 * them.
 */
#include "arch/aarch64/pl061.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "arch/aarch64/layout.h"
#include "tests/unit/support/fake_host.h"

#define DIR   0x400
#define IS    0x404
#define IBE   0x408
#define IEV   0x40c
#define IE    0x410
#define RIS   0x414
#define MIS   0x418
#define IC    0x41c
#define AFSEL 0x420

/* Bits 9 to 2 of the address are the mask. */
#define DATA(mask) ((unsigned int)(mask) << 2)

#define BUTTON 0x08

static struct fake_host fake;
static struct pl061 *pl061;

static void setup(void)
{
	fake_host_init(&fake);
	ck_assert_int_eq(pl061_new(&pl061, &fake.host, LAYOUT_GPIO, SPI_GPIO),
			 0);
}

static void teardown(void)
{
	pl061_device_ops.free(pl061);
	ck_assert_uint_eq(fake_host_ranges(&fake), 0);
}

/* Linux's driver reads and writes bytes. */
static uint8_t get(unsigned int reg)
{
	return (uint8_t)fake_host_read(&fake, BUS_MMIO, LAYOUT_GPIO + reg, 1);
}

static void put(unsigned int reg, uint8_t value)
{
	fake_host_write(&fake, BUS_MMIO, LAYOUT_GPIO + reg, 1, value);
}

static bool line(void)
{
	return fake.irq_level[SPI_GPIO];
}

START_TEST(new_registers_are_reset)
{
	for (unsigned int reg = DATA(0xff); reg <= AFSEL; reg += 4)
		ck_assert_uint_eq(get(reg), 0);
	ck_assert(!line());
}
END_TEST

START_TEST(new_place_taken_fails)
{
	struct pl061 *second;

	ck_assert_int_eq(pl061_new(&second, &fake.host, LAYOUT_GPIO, SPI_GPIO),
			 -EEXIST);
	ck_assert_uint_eq(fake_host_ranges(&fake), 1);
}
END_TEST

START_TEST(read_id_registers_say_pl061)
{
	static const uint8_t want[] = {0x61, 0x10, 0x04, 0x00,
				       0x0d, 0xf0, 0x05, 0xb1};

	for (unsigned int i = 0; i < sizeof(want); i++)
		ck_assert_uint_eq(get(0xfe0 + i * 4), want[i]);
}
END_TEST

START_TEST(write_data_reaches_the_outputs_of_its_mask)
{
	put(DIR, 0xf0);
	put(DATA(0xff), 0xff);
	ck_assert_uint_eq(get(DATA(0xff)), 0xf0);
	put(DATA(0x30), 0x00);
	ck_assert_uint_eq(get(DATA(0xff)), 0xc0);
	ck_assert_uint_eq(get(DATA(0x40)), 0x40);
	ck_assert_uint_eq(get(DATA(0x00)), 0);
	put(DIR, 0x0f);
	ck_assert_uint_eq(get(DATA(0xff)), 0);
}
END_TEST

START_TEST(access_unaligned_or_read_only_does_nothing)
{
	put(DIR + 1, 0xff);
	put(RIS, 0xff);
	put(MIS, 0xff);
	for (unsigned int reg = DIR; reg <= AFSEL; reg += 4)
		ck_assert_uint_eq(get(reg), 0);
	ck_assert_uint_eq(get(DIR + 1), 0);
	ck_assert_uint_eq(
		fake_host_read(&fake, BUS_MMIO, LAYOUT_GPIO + 0xfe0, 8),
		0x1000000061);
}
END_TEST

/* gpio-keys: both edges; after some time it looks at the line, and again after
 * the edge which that makes. */
START_TEST(press_is_seen_down_and_then_up)
{
	put(IBE, BUTTON);
	put(IEV, 0);
	put(IE, BUTTON);
	pl061_press(pl061);
	ck_assert(line());
	ck_assert_uint_eq(get(MIS), BUTTON);
	put(IC, BUTTON);
	ck_assert(!line());
	pl061_press(pl061); /* is down already */
	ck_assert(!line());

	ck_assert_uint_eq(get(DATA(BUTTON)), BUTTON);
	ck_assert(line());
	put(IC, BUTTON);
	ck_assert_uint_eq(get(DATA(BUTTON)), 0);
	ck_assert(!line());

	pl061_press(pl061);
	ck_assert(line());
}
END_TEST

START_TEST(press_before_the_driver_waits_for_it)
{
	pl061_press(pl061);
	ck_assert(!line());
	/* A look at other lines does not count. */
	ck_assert_uint_eq(get(DATA(0xf7)), 0);
	ck_assert_uint_eq(get(DATA(BUTTON)), BUTTON);
	ck_assert_uint_eq(get(DATA(BUTTON)), 0);
}
END_TEST

START_TEST(press_one_edge_only_interrupts_on_that)
{
	put(IE, BUTTON);
	put(IEV, BUTTON);
	pl061_press(pl061);
	ck_assert(line());
	put(IC, BUTTON);
	(void)get(DATA(BUTTON));
	ck_assert(!line());
	put(IEV, 0);
	pl061_press(pl061);
	ck_assert(!line());
	(void)get(DATA(BUTTON));
	ck_assert(line());
}
END_TEST

START_TEST(press_level_interrupts_while_it_lasts)
{
	put(IS, BUTTON);
	put(IEV, BUTTON);
	put(IE, BUTTON);
	pl061_press(pl061);
	ck_assert(line());
	put(IC, BUTTON);
	ck_assert(line());
	(void)get(DATA(BUTTON));
	ck_assert(!line());
	put(IEV, 0);
	ck_assert(line());
	put(DIR, BUTTON); /* an output interrupts nobody */
	ck_assert(!line());
}
END_TEST

START_TEST(write_dir_output_is_no_edge)
{
	put(IBE, BUTTON);
	put(IE, BUTTON);
	pl061_press(pl061);
	put(IC, BUTTON);
	put(DIR, BUTTON); /* low now, and no input any more */
	ck_assert_uint_eq(get(DATA(BUTTON)), 0);
	ck_assert_uint_eq(get(RIS), 0);
	ck_assert(!line());
	put(DIR, 0); /* the button is down still */
	ck_assert_uint_eq(get(RIS), BUTTON);
	ck_assert(line());
}
END_TEST

START_TEST(press_masked_is_raw_only)
{
	put(IEV, BUTTON);
	pl061_press(pl061);
	ck_assert_uint_eq(get(RIS), BUTTON);
	ck_assert_uint_eq(get(MIS), 0);
	ck_assert(!line());
	put(IE, BUTTON);
	ck_assert(line());
}
END_TEST

static json_t *save(struct pl061 *from)
{
	json_t *state = NULL;

	ck_assert_int_eq(pl061_device_ops.save(from, &state), 0);
	ck_assert_ptr_nonnull(state);
	return state;
}

START_TEST(reset_lowers_line_and_lets_the_button_go)
{
	json_t *fresh = save(pl061), *after;

	put(IBE, BUTTON);
	put(IE, BUTTON);
	put(AFSEL, 1);
	pl061_press(pl061);
	ck_assert(line());
	pl061_device_ops.reset(pl061);
	ck_assert(!line());
	after = save(pl061);
	ck_assert(json_equal(fresh, after));
	json_decref(fresh);
	json_decref(after);
}
END_TEST

START_TEST(restore_continues_and_saves_the_same)
{
	struct error err = {.text = ""};
	json_t *first, *second;

	put(DIR, 0x80);
	put(DATA(0x80), 0x80);
	put(IBE, BUTTON);
	put(IE, BUTTON);
	put(AFSEL, 0x11);
	pl061_press(pl061);
	first = save(pl061);
	pl061_device_ops.reset(pl061);
	ck_assert_int_eq(pl061_device_ops.restore(pl061, first, &err), 0);
	ck_assert(line());
	second = save(pl061);
	ck_assert(json_equal(first, second));
	ck_assert_uint_eq(get(MIS), BUTTON);
	ck_assert_uint_eq(get(DATA(0xff)), 0x88);
	ck_assert_uint_eq(get(DATA(0xff)), 0x80);
	json_decref(first);
	json_decref(second);
}
END_TEST

START_TEST(restore_bad_value_is_refused_by_name)
{
	static const char *const members[] = {"data",  "dir",	"is",
					      "ibe",   "iev",	"ie",
					      "edges", "afsel", "pressed"};
	struct error err = {.text = ""};
	json_t *before, *after;

	put(IE, 0x55);
	before = save(pl061);
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		json_t *lie = json_deep_copy(before);

		json_object_set_new(lie, members[i], json_string("0x100"));
		ck_assert_int_eq(pl061_device_ops.restore(pl061, lie, &err),
				 -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, members[i]));
		json_decref(lie);
	}
	after = save(pl061);
	ck_assert(json_equal(before, after));
	json_decref(before);
	json_decref(after);
}
END_TEST

static Suite *pl061_suite(void)
{
	Suite *suite = suite_create("pl061");
	TCase *tc = tcase_create("pl061");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, new_registers_are_reset);
	tcase_add_test(tc, new_place_taken_fails);
	tcase_add_test(tc, read_id_registers_say_pl061);
	tcase_add_test(tc, write_data_reaches_the_outputs_of_its_mask);
	tcase_add_test(tc, access_unaligned_or_read_only_does_nothing);
	tcase_add_test(tc, press_is_seen_down_and_then_up);
	tcase_add_test(tc, press_before_the_driver_waits_for_it);
	tcase_add_test(tc, press_one_edge_only_interrupts_on_that);
	tcase_add_test(tc, press_level_interrupts_while_it_lasts);
	tcase_add_test(tc, write_dir_output_is_no_edge);
	tcase_add_test(tc, press_masked_is_raw_only);
	tcase_add_test(tc, reset_lowers_line_and_lets_the_button_go);
	tcase_add_test(tc, restore_continues_and_saves_the_same);
	tcase_add_test(tc, restore_bad_value_is_refused_by_name);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(pl061_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
