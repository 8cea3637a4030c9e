/* --result FILE: its members, what guests put into it, and when it is there. */
#include "vmm/result.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>

#include "vmm/base/loop.h"

/* FIPS 180-4's own example: "abc". */
#define ABC_SHA256                         \
	"ba7816bf8f01cfea414140de5dae2223" \
	"b00361a396177a9cb410ff61f20015ad"

static char dir[] = "/tmp/test_result.XXXXXX";
static char path[64], image_path[64];
static struct image image = {.fd = -1};
static struct result *result;
static struct error err;

static void put(const char *name, const char *text)
{
	FILE *file = fopen(name, "we");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/result", dir);
	snprintf(image_path, sizeof(image_path), "%s/image", dir);
	put(image_path, "abc");
	ck_assert_int_eq(image_open(&image, "--kernel", image_path, &err), 0);
}

static void teardown(void)
{
	result_free(result);
	image_close(&image);
	unlink(path);
	unlink(image_path);
	rmdir(dir);
}

static const struct outcome status_42 = {
	.kind = OUTCOME_GUEST_STATUS,
	.guest_status = 42,
};

static struct result_report report_of(const struct outcome *outcome)
{
	return (struct result_report){
		.outcome = outcome,
		.end = loop_now(),
		.dropped = 7,
	};
}

static json_t *written(void)
{
	json_error_t why;
	json_t *value = json_load_file(path, 0, &why);

	ck_assert_msg(value != NULL, "%s", why.text);
	return value;
}

static const char *text_at(const json_t *value, const char *key)
{
	return json_string_value(json_object_get(value, key));
}

START_TEST(write_has_outcome_timings_and_sums)
{
	struct result_report report = report_of(&status_42);
	json_t *value, *timings;
	json_int_t first, end;

	ck_assert_int_eq(result_new(&result, path, &err), 0);
	ck_assert_int_eq(result_hash(result, &image, NULL, &err), 0);
	report.first_instruction = loop_now();
	report.end = loop_now();
	ck_assert_int_eq(result_write(result, &report, &err), 0);

	value = written();
	ck_assert_str_eq(text_at(value, "reason"), "guest-status");
	ck_assert_int_eq(json_integer_value(json_object_get(value, "status")),
			 42);
	ck_assert_int_eq(
		json_integer_value(json_object_get(value, "guest_status")), 42);
	ck_assert_int_eq(
		json_integer_value(json_object_get(value, "dropped_output")),
		7);
	ck_assert(json_is_null(json_object_get(value, "match")));
	ck_assert(json_is_null(json_object_get(value, "error")));
	ck_assert(json_is_null(json_object_get(value, "initrd")));
	ck_assert_str_eq(text_at(json_object_get(value, "kernel"), "sha256"),
			 ABC_SHA256);
	ck_assert_str_eq(text_at(json_object_get(value, "kernel"), "path"),
			 image_path);
	ck_assert_uint_ge(
		json_array_size(json_object_get(value, "command_line")), 1);

	timings = json_object_get(value, "timings");
	ck_assert_uint_eq(strlen(text_at(timings, "start")),
			  strlen("2026-01-01T00:00:00.000Z"));
	first = json_integer_value(
		json_object_get(timings, "first_instruction_ns"));
	end = json_integer_value(json_object_get(timings, "end_ns"));
	ck_assert_int_gt(first, 0);
	ck_assert_int_ge(end, first);
	json_decref(value);
}
END_TEST

START_TEST(write_of_hostile_line_is_harmless_json)
{
	static const struct outcome outcome = {.kind = OUTCOME_EXPECTED};
	const struct result_match match = {
		.by = "--expect",
		.pattern = "o\xff",
		.device = "serial",
		.number = 3,
		.line = "\x1b[2J \"ok\" \xc3\xa4 \xff\xc3 \xc2\x9b \xf0\x9f\x90\xa7"
			"\xe2\x82",
	};
	struct result_report report = report_of(&outcome);
	json_t *value, *found;

	report.match = &match;
	ck_assert_int_eq(result_new(&result, path, &err), 0);
	ck_assert_int_eq(result_write(result, &report, &err), 0);
	value = written();
	found = json_object_get(value, "match");
	ck_assert_str_eq(text_at(found, "by"), "--expect");
	ck_assert_str_eq(text_at(found, "pattern"), "o\\xff");
	ck_assert_str_eq(text_at(found, "device"), "serial");
	ck_assert_int_eq(json_integer_value(json_object_get(found, "line")), 3);
	ck_assert_str_eq(text_at(found, "text"),
			 "\\x1b[2J \"ok\" \xc3\xa4 \\xff\\xc3 \\xc2\\x9b "
			 "\xf0\x9f\x90\xa7\\xe2\\x82");
	json_decref(value);
}
END_TEST

START_TEST(write_of_error_before_the_first_instruction_has_its_text)
{
	static const struct outcome outcome = {.kind = OUTCOME_ERROR};
	struct result_report report = report_of(&outcome);
	json_t *value;

	report.error = "--kernel x: no such thing";
	ck_assert_int_eq(result_new(&result, path, &err), 0);
	ck_assert_int_eq(result_write(result, &report, &err), 0);
	value = written();
	ck_assert_str_eq(text_at(value, "reason"), "error");
	ck_assert_str_eq(text_at(value, "error"), "--kernel x: no such thing");
	ck_assert(json_is_null(json_object_get(
		json_object_get(value, "timings"), "first_instruction_ns")));
	ck_assert(json_is_null(json_object_get(value, "kernel")));
	json_decref(value);
}
END_TEST

START_TEST(write_replaces_the_file_and_leaves_no_other)
{
	struct result_report report = report_of(&status_42);
	unsigned int entries = 0;
	struct stat st;
	mode_t mask;
	DIR *all;

	put(path, "old");
	ck_assert_int_eq(result_new(&result, path, &err), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 3);
	mask = umask(022);
	ck_assert_int_eq(result_write(result, &report, &err), 0);
	umask(mask);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0644);
	json_decref(written());
	all = opendir(dir);
	while (readdir(all))
		entries++;
	closedir(all);
	/* ".", "..", the image and the result. */
	ck_assert_uint_eq(entries, 4);
}
END_TEST

START_TEST(write_through_a_link_replaces_what_it_leads_to)
{
	struct result_report report = report_of(&status_42);
	char link[64];
	struct stat st;

	put(path, "old");
	snprintf(link, sizeof(link), "%s/link", dir);
	ck_assert_int_eq(symlink("result", link), 0);
	ck_assert_int_eq(result_new(&result, link, &err), 0);
	ck_assert_int_eq(result_write(result, &report, &err), 0);
	ck_assert_int_eq(lstat(link, &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
	json_decref(written());
	unlink(link);
}
END_TEST

START_TEST(write_to_a_fifo_reaches_its_reader)
{
	struct result_report report = report_of(&status_42);
	char text[8192];
	json_t *value;
	ssize_t len;
	int fd;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	/* Nobody reads: an error, not a wait. */
	ck_assert_int_eq(result_new(&result, path, &err), -ENXIO);
	result = NULL;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_eq(result_new(&result, path, &err), 0);
	ck_assert_int_eq(result_write(result, &report, &err), 0);
	len = read(fd, text, sizeof(text));
	ck_assert_int_gt(len, 0);
	value = json_loadb(text, (size_t)len, 0, NULL);
	ck_assert_ptr_nonnull(value);
	json_decref(value);
	close(fd);
}
END_TEST

START_TEST(write_that_fails_leaves_the_file_and_says_so)
{
	struct result_report report = report_of(&status_42);

	ck_assert_int_eq(result_new(&result, "/dev/full", &err), 0);
	ck_assert_int_eq(result_write(result, &report, &err), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.text, "--result /dev/full"));
}
END_TEST

START_TEST(new_unwritable_file_is_refused)
{
	ck_assert_int_eq(result_new(&result, dir, &err), -EISDIR);
	ck_assert_ptr_nonnull(strstr(err.text, "--result"));
	result = NULL;
	ck_assert_int_eq(result_check("/none/file", &err), -ENOENT);
	ck_assert_int_eq(result_check(path, &err), 0);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* Somebody shortens the file meanwhile: a result all the same. */
START_TEST(hash_of_a_cut_file_is_null)
{
	struct result_report report = report_of(&status_42);
	json_t *value, *kernel;

	ck_assert_int_eq(truncate(image_path, 1), 0);
	ck_assert_int_eq(result_new(&result, path, &err), 0);
	ck_assert_int_eq(result_hash(result, &image, &image, &err), 0);
	ck_assert_int_eq(result_write(result, &report, &err), 0);
	value = written();
	kernel = json_object_get(value, "kernel");
	ck_assert(json_is_null(json_object_get(kernel, "sha256")));
	ck_assert(json_is_object(json_object_get(value, "initrd")));
	json_decref(value);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("result");
	TCase *tcase = tcase_create("result");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, write_has_outcome_timings_and_sums);
	tcase_add_test(tcase, write_of_hostile_line_is_harmless_json);
	tcase_add_test(
		tcase,
		write_of_error_before_the_first_instruction_has_its_text);
	tcase_add_test(tcase, write_replaces_the_file_and_leaves_no_other);
	tcase_add_test(tcase, write_through_a_link_replaces_what_it_leads_to);
	tcase_add_test(tcase, write_to_a_fifo_reaches_its_reader);
	tcase_add_test(tcase, write_that_fails_leaves_the_file_and_says_so);
	tcase_add_test(tcase, new_unwritable_file_is_refused);
	tcase_add_test(tcase, hash_of_a_cut_file_is_null);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
