/* What of a saved machine has to fit, whatever the architecture. */
#include "vmm/arch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

static const struct arch_config config = {
	.memory = 64 << 20,
	.cpus = 2,
	.profile = ARCH_PROFILE_LEAN,
};

static json_t *make(void)
{
	json_t *vcpus = json_pack("[{}, {}]");
	json_t *state = arch_state_new(&config, json_object(), vcpus);

	ck_assert_ptr_nonnull(state);
	return state;
}

START_TEST(arch_state_check_of_same_machine_is_fine)
{
	json_t *state = make();
	struct error err;

	ck_assert_int_eq(arch_state_check(&config, state, &err), 0);
	ck_assert(json_is_object(json_object_get(state, "devices")));
	json_decref(state);
}
END_TEST

START_TEST(arch_state_new_without_a_part_fails)
{
	ck_assert_ptr_null(arch_state_new(&config, NULL, json_array()));
	ck_assert_ptr_null(arch_state_new(&config, json_object(), NULL));
}
END_TEST

static const struct {
	const char *member, *value, *word;
} others[] = {
	{"profile", "\"legacy\"", "profile: expected lean, found legacy"},
	{"profile", "1", "profile: expected lean, found none"},
	{"memory", "1048576", "memory: expected 67108864 bytes, found 1048576"},
	{"memory", "-1", "memory: expected 67108864 bytes, found -1"},
	{"vcpus", "[{}]", "vcpus: expected 2, found 1"},
	{"vcpus", "{}", "vcpus: expected 2, found 0"},
};
#define OTHERS ((int)(sizeof(others) / sizeof(others[0])))

START_TEST(arch_state_check_of_other_machine_names_the_member)
{
	json_t *value = json_loads(others[_i].value, JSON_DECODE_ANY, NULL);
	json_t *state = make();
	struct error err;

	ck_assert_int_eq(json_object_set_new(state, others[_i].member, value),
			 0);
	ck_assert_int_eq(arch_state_check(&config, state, &err), -EINVAL);
	ck_assert_str_eq(err.text, others[_i].word);
	json_decref(state);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("arch_state");
	TCase *tcase = tcase_create("arch_state");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, arch_state_check_of_same_machine_is_fine);
	tcase_add_test(tcase, arch_state_new_without_a_part_fails);
	tcase_add_loop_test(tcase,
			    arch_state_check_of_other_machine_names_the_member,
			    0, OTHERS);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
