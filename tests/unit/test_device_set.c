/* The parts of a machine as a set: their order, and who is named in errors. */
#include "vmm/base/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

struct part {
	char letter;
	int save_error;
	json_int_t value;
};

static char order[16]; /* the letters of those that were called */
static struct part first, second;
static struct device_set set;

static void note(const struct part *part)
{
	size_t len = strlen(order);

	ck_assert_uint_lt(len + 1, sizeof(order));
	order[len] = part->letter;
}

static void part_free(void *self)
{
	note(self);
}

static void part_reset(void *self)
{
	struct part *part = self;

	note(part);
	part->value = 0;
}

static int part_save(void *self, json_t **out)
{
	struct part *part = self;

	note(part);
	if (part->save_error)
		return part->save_error;
	*out = json_integer(part->value);
	return 0;
}

static int part_restore(void *self, const json_t *state, struct error *err)
{
	struct part *part = self;

	note(part);
	if (!json_is_integer(state))
		return error_set(err, EINVAL, "expected a number");
	part->value = json_integer_value(state);
	return 0;
}

static const struct device_ops ops = {
	.free = part_free,
	.reset = part_reset,
	.save = part_save,
	.restore = part_restore,
};

static void setup(void)
{
	memset(order, 0, sizeof(order));
	memset(&set, 0, sizeof(set));
	first = (struct part){.letter = 'a', .value = 1};
	second = (struct part){.letter = 'b', .value = 2};
	device_set_add(&set, "first", &ops, &first);
	device_set_add(&set, "second", &ops, &second);
}

START_TEST(free_of_set_goes_backwards_and_empties_it)
{
	device_set_free(&set);
	ck_assert_str_eq(order, "ba");
	device_set_free(&set);
	ck_assert_str_eq(order, "ba");
}
END_TEST

START_TEST(reset_of_set_goes_forwards)
{
	device_set_reset(&set);
	ck_assert_str_eq(order, "ab");
	ck_assert_int_eq(first.value, 0);
	ck_assert_int_eq(second.value, 0);
}
END_TEST

START_TEST(restore_of_saved_set_gives_the_same_values)
{
	struct error err;
	json_t *state;

	ck_assert_int_eq(device_set_save(&set, &state, &err), 0);
	ck_assert_uint_eq(json_object_size(state), 2);
	device_set_reset(&set);
	ck_assert_int_eq(device_set_restore(&set, state, &err), 0);
	ck_assert_int_eq(first.value, 1);
	ck_assert_int_eq(second.value, 2);
	ck_assert_str_eq(order, "ababab");
	json_decref(state);
}
END_TEST

START_TEST(save_of_part_that_fails_names_it)
{
	struct error err;
	json_t *state;

	first.save_error = -EIO;
	ck_assert_int_eq(device_set_save(&set, &state, &err), -EIO);
	ck_assert_ptr_null(state);
	ck_assert_ptr_nonnull(strstr(err.text, "first: "));
	ck_assert_str_eq(order, "a");
}
END_TEST

static const struct {
	const char *state, *word, *order;
} refused[] = {
	{"{}", "expected 2 of them, found 0", ""},
	{"[1, 2]", "expected 2 of them, found 0", ""},
	{"{\"first\": 1}", "expected 2 of them, found 1", ""},
	{"{\"first\": 1, \"second\": 2, \"third\": 3}", "found 3", ""},
	{"{\"first\": 1, \"other\": 2}", "second: expected a number", "ab"},
	{"{\"first\": \"\", \"second\": 2}", "first: expected a number", "a"},
};
#define REFUSED ((int)(sizeof(refused) / sizeof(refused[0])))

START_TEST(restore_of_other_state_is_refused_by_name)
{
	json_t *state = json_loads(refused[_i].state, 0, NULL);
	struct error err;

	ck_assert_ptr_nonnull(state);
	ck_assert_int_eq(device_set_restore(&set, state, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, refused[_i].word) != NULL, "%s",
		      err.text);
	ck_assert_str_eq(order, refused[_i].order);
	json_decref(state);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_set");
	TCase *tcase = tcase_create("device_set");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, free_of_set_goes_backwards_and_empties_it);
	tcase_add_test(tcase, reset_of_set_goes_forwards);
	tcase_add_test(tcase, restore_of_saved_set_gives_the_same_values);
	tcase_add_test(tcase, save_of_part_that_fails_names_it);
	tcase_add_loop_test(tcase, restore_of_other_state_is_refused_by_name, 0,
			    REFUSED);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
