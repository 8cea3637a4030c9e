/* Device state as JSON: round trips, and each kind of refusal. */
#include "vmm/base/json.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

/* Without padding, so that whole structs compare. */
struct sample {
	uint64_t huge;
	uint32_t large;
	uint32_t unlisted;
	uint16_t medium;
	uint8_t small;
	bool on;
	uint8_t fifo[3];
	uint8_t limited; /* 0 to 9 */
};
static_assert(sizeof(struct sample) == 24, "no padding");

static const struct json_field fields[] = {
	JSON_UINT(struct sample, small),
	JSON_UINT(struct sample, medium),
	JSON_UINT(struct sample, large),
	JSON_UINT(struct sample, huge),
	JSON_BOOL(struct sample, on),
	JSON_BLOB(struct sample, fifo),
	JSON_UINT_MAX(struct sample, limited, 9),
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static const struct sample full = {
	.small = 0xff,
	.medium = 0xffff,
	.large = 0xffffffff,
	.huge = UINT64_MAX,
	.on = true,
	.fifo = {0x00, 0x80, 0xff},
	.limited = 9,
	.unlisted = 7,
};

START_TEST(save_with_all_kinds_names_and_spells_them)
{
	char *text;
	json_t *value;

	ck_assert_int_eq(json_save(&full, fields, FIELDS, &value), 0);
	text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
	ck_assert_str_eq(text, "{\"fifo\":\"0080ff\","
			       "\"huge\":\"0xffffffffffffffff\","
			       "\"large\":\"0xffffffff\",\"limited\":\"0x9\","
			       "\"medium\":\"0xffff\",\"on\":true,"
			       "\"small\":\"0xff\"}");
	free(text);
	json_decref(value);
}
END_TEST

START_TEST(load_of_saved_gives_it_back)
{
	struct sample zero = {.unlisted = 7};
	struct sample loaded = full;
	struct error err;
	json_t *value;

	ck_assert_int_eq(json_save(&zero, fields, FIELDS, &value), 0);
	ck_assert_int_eq(json_load(&loaded, fields, FIELDS, value, &err), 0);
	ck_assert_mem_eq(&loaded, &zero, sizeof(zero));
	json_decref(value);

	ck_assert_int_eq(json_save(&full, fields, FIELDS, &value), 0);
	ck_assert_int_eq(json_load(&loaded, fields, FIELDS, value, &err), 0);
	ck_assert_mem_eq(&loaded, &full, sizeof(full));
	json_decref(value);
}
END_TEST

/* What a snapshot may say instead of a member; NULL: nothing at all. */
static const struct refusal {
	const char *member;
	const char *json;
} refusals[] = {
	{"small", NULL},
	{"small", "255"},
	{"small", "null"},
	{"small", "\"\""},
	{"small", "\"0x\""},
	{"small", "\"0x100\""},
	{"small", "\"255\""},
	{"small", "\"0X1\""},
	{"small", "\"-0x1\""},
	{"small", "\" 0x1\""},
	{"small", "\"0x1 \""},
	{"small", "\"0x1g\""},
	{"small", "\"0x1\\u0000\""},
	{"medium", "\"0x10000\""},
	{"large", "\"0x100000000\""},
	{"huge", "\"0x10000000000000000\""},
	{"huge", "\"0x00000000000000001\""},
	{"huge", "1.5"},
	{"limited", "\"0xa\""},
	{"on", NULL},
	{"on", "1"},
	{"on", "\"true\""},
	{"on", "null"},
	{"fifo", NULL},
	{"fifo", "\"\""},
	{"fifo", "\"0080\""},
	{"fifo", "\"0080f\""},
	{"fifo", "\"0080ff0\""},
	{"fifo", "\"0080ff00\""},
	{"fifo", "\"0080fg\""},
	{"fifo", "\"0080f\\u0000\""},
	{"fifo", "[0, 128, 255]"},
	{"extra", "\"0x0\""},
};

START_TEST(load_with_bad_member_names_it_and_changes_nothing)
{
	const struct refusal *refusal = &refusals[_i];
	struct sample loaded = {.small = 1}, before = loaded;
	struct error err = {""};
	char quoted[32];
	json_t *value;

	ck_assert_int_eq(json_save(&full, fields, FIELDS, &value), 0);
	if (refusal->json) {
		json_t *member = json_loads(
			refusal->json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

		ck_assert_ptr_nonnull(member);
		json_object_set_new(value, refusal->member, member);
	} else {
		json_object_del(value, refusal->member);
	}
	ck_assert_int_eq(json_load(&loaded, fields, FIELDS, value, &err),
			 -EINVAL);
	snprintf(quoted, sizeof(quoted), "\"%s\"", refusal->member);
	ck_assert_ptr_nonnull(strstr(err.text, quoted));
	ck_assert_mem_eq(&loaded, &before, sizeof(before));
	json_decref(value);
}
END_TEST

START_TEST(load_of_no_object_is_refused)
{
	struct sample loaded = full;
	json_t *value = json_array();
	struct error err;

	ck_assert_int_eq(json_load(&loaded, fields, FIELDS, value, &err),
			 -EINVAL);
	ck_assert_str_eq(err.text, "expected an object, found an array");
	ck_assert_int_eq(json_load(&loaded, fields, FIELDS, NULL, NULL),
			 -EINVAL);
	ck_assert_mem_eq(&loaded, &full, sizeof(full));
	json_decref(value);
}
END_TEST

START_TEST(load_with_long_text_quotes_its_start)
{
	struct sample loaded = full;
	struct error err;
	char text[301];
	json_t *value;

	memset(text, 'f', sizeof(text) - 1);
	text[300] = '\0';
	ck_assert_int_eq(json_save(&full, fields, FIELDS, &value), 0);
	json_object_set_new(value, "small", json_string(text));
	ck_assert_int_eq(json_load(&loaded, fields, FIELDS, value, &err),
			 -EINVAL);
	ck_assert_uint_lt(strlen(err.text), 120);
	json_decref(value);
}
END_TEST

START_TEST(blob_with_bytes_round_trips)
{
	uint8_t data[256], back[256];
	json_t *value;

	for (int i = 0; i < 256; i++)
		data[i] = (uint8_t)i;
	value = json_blob(data, sizeof(data));
	ck_assert_uint_eq(json_string_length(value), 512);
	ck_assert_int_eq(json_blob_get(value, back, sizeof(back)), 0);
	ck_assert_mem_eq(data, back, sizeof(data));
	ck_assert_int_eq(json_blob_get(value, back, 255), -EINVAL);
	ck_assert_int_eq(json_blob_get(NULL, back, 1), -EINVAL);
	json_decref(value);
	value = json_blob(data, 0);
	ck_assert_int_eq(json_blob_get(value, NULL, 0), 0);
	json_decref(value);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json");
	TCase *tcase = tcase_create("json");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, save_with_all_kinds_names_and_spells_them);
	tcase_add_test(tcase, load_of_saved_gives_it_back);
	tcase_add_loop_test(tcase,
			    load_with_bad_member_names_it_and_changes_nothing,
			    0, sizeof(refusals) / sizeof(refusals[0]));
	tcase_add_test(tcase, load_of_no_object_is_refused);
	tcase_add_test(tcase, load_with_long_text_quotes_its_start);
	tcase_add_test(tcase, blob_with_bytes_round_trips);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
