/*
 * The report of `bantam doctor`, of made-up checks: text, JSON and verdict; the
 * advice about /dev/kvm; and the verb itself on this host.
 */
#include "vmm/doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>
#include <jansson.h>

#include "tests/unit/support/capture.h"
#include "vmm/base/check.h"
#include "vmm/doctor_host.h"
#include "vmm/doctor_report.h"

static void fine(int kvm_fd, struct check_finding *finding)
{
	check_found(finding, CHECK_OK, "fd %d", kvm_fd);
}

static void poor(int kvm_fd, struct check_finding *finding)
{
	(void)kvm_fd;
	check_found(finding, CHECK_WARN, "it is slow");
	check_fix(finding, "buy \"another\"");
}

static void broken(int kvm_fd, struct check_finding *finding)
{
	(void)kvm_fd;
	check_found(finding, CHECK_FAIL, "it is in pieces");
	check_fix(finding, "glue it");
}

static void absent(int kvm_fd, struct check_finding *finding)
{
	(void)kvm_fd;
	check_found(finding, CHECK_SKIP, "nobody knows");
}

static void wordy(int kvm_fd, struct check_finding *finding)
{
	static char text[CHECK_TEXT_MAX];

	(void)kvm_fd;
	memset(text, 'w', sizeof(text) - 1);
	check_found(finding, CHECK_FAIL, "%s", text);
}

static const struct check good[] = {
	{"one", true, fine},
	{"two", false, poor},
	{"three", false, absent},
};

static const struct check bad[] = {
	{"one", true, fine},
	{"two", false, broken},
	{"three", false, poor},
	{"four", true, broken},
};

static const struct check long_ones[] = {
	{"one", false, wordy},
	{"two", false, wordy},
	{"three", false, broken},
};

#define RUN(checks, kvm_fd) \
	run(checks, sizeof(checks) / sizeof((checks)[0]), kvm_fd)

static struct doctor_report *run(const struct check *checks, size_t count,
				 int kvm_fd)
{
	struct doctor_report *report = doctor_report_new();

	ck_assert_ptr_nonnull(report);
	ck_assert_int_eq(doctor_report_run(report, checks, count, kvm_fd), 0);
	return report;
}

/* Consumes the report. Return: its text, for free(). */
static char *print(struct doctor_report *report)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(file);
	doctor_report_print(report, file);
	ck_assert_int_eq(fclose(file), 0);
	doctor_report_free(report);
	return text;
}

/* Consumes the report. Return: what a script would read of its JSON. */
static json_t *parse(struct doctor_report *report)
{
	json_error_t error;
	json_t *value, *parsed;
	char *text;

	ck_assert_int_eq(doctor_report_json(report, &value), 0);
	doctor_report_free(report);
	text = json_dumps(value, 0);
	ck_assert_ptr_nonnull(text);
	json_decref(value);
	parsed = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	ck_assert_msg(parsed != NULL, "%s", error.text);
	free(text);
	return parsed;
}

static const char *member(const json_t *checks, size_t index, const char *key)
{
	const char *text = json_string_value(
		json_object_get(json_array_get(checks, index), key));

	ck_assert_ptr_nonnull(text);
	return text;
}

START_TEST(report_linux_without_failure_is_true)
{
	struct doctor_report *report = RUN(good, 7);

	ck_assert(doctor_report_linux(report));
	doctor_report_free(report);
}
END_TEST

START_TEST(report_linux_with_failure_is_false)
{
	struct doctor_report *report = RUN(bad, 7);

	ck_assert(!doctor_report_linux(report));
	doctor_report_free(report);
}
END_TEST

START_TEST(report_print_good_says_yes)
{
	char *text = print(RUN(good, 7));

	ck_assert_str_eq(text,
			 "ok    one           fd 7\n"
			 "warn  two           it is slow; buy \"another\"\n"
			 "skip  three         nobody knows\n"
			 "Can Linux run here? Yes.\n");
	free(text);
}
END_TEST

START_TEST(report_print_bad_says_no_and_why)
{
	char *text = print(RUN(bad, 7));

	ck_assert_str_eq(text,
			 "ok    one           fd 7\n"
			 "fail  two           it is in pieces; glue it\n"
			 "warn  three         it is slow; buy \"another\"\n"
			 "fail  four          it is in pieces; glue it\n"
			 "Can Linux run here? No: it is in pieces; it is in "
			 "pieces.\n");
	free(text);
}
END_TEST

/* In doctor.c, /dev/kvm itself has failed then, so the verdict is no. */
START_TEST(report_run_without_kvm_skips_what_needs_it)
{
	struct doctor_report *report = doctor_report_new();
	struct check_finding device = {.status = CHECK_OK};
	char *text;

	ck_assert_ptr_nonnull(report);
	doctor_host_explain(ENOENT, &device);
	ck_assert_int_eq(doctor_report_add(report, "/dev/kvm", &device), 0);
	ck_assert_int_eq(doctor_report_run(report, bad, 1, -1), 0);
	ck_assert(!doctor_report_linux(report));
	text = print(report);
	ck_assert_ptr_nonnull(strstr(text, "skip  one "));
	ck_assert_ptr_null(strstr(text, "fd -1"));
	ck_assert_ptr_nonnull(strstr(text, "? No: there is no /dev/kvm.\n"));
	free(text);
}
END_TEST

START_TEST(report_json_good_parses)
{
	json_t *value = parse(RUN(good, 7));
	const json_t *checks = json_object_get(value, "checks");

	ck_assert(json_is_true(json_object_get(value, "linux")));
	ck_assert_str_eq(json_string_value(json_object_get(value, "why")), "");
	ck_assert_uint_eq(json_object_size(value), 3);
	ck_assert_uint_eq(json_array_size(checks), 3);
	ck_assert_str_eq(member(checks, 0, "name"), "one");
	ck_assert_str_eq(member(checks, 0, "status"), "ok");
	ck_assert_str_eq(member(checks, 0, "detail"), "fd 7");
	ck_assert_str_eq(member(checks, 0, "fix"), "");
	ck_assert_str_eq(member(checks, 1, "status"), "warn");
	ck_assert_str_eq(member(checks, 1, "fix"), "buy \"another\"");
	ck_assert_str_eq(member(checks, 2, "status"), "skip");
	json_decref(value);
}
END_TEST

START_TEST(report_json_bad_says_why)
{
	json_t *value = parse(RUN(bad, 7));

	ck_assert(json_is_false(json_object_get(value, "linux")));
	ck_assert_str_eq(json_string_value(json_object_get(value, "why")),
			 "it is in pieces; it is in pieces");
	ck_assert_str_eq(member(json_object_get(value, "checks"), 1, "status"),
			 "fail");
	json_decref(value);
}
END_TEST

START_TEST(report_why_long_is_not_cut)
{
	json_t *value = parse(RUN(long_ones, 7));
	const char *why = json_string_value(json_object_get(value, "why"));

	ck_assert_uint_eq(strlen(why), 2 * (CHECK_TEXT_MAX - 1) +
					       strlen("; ; it is in pieces"));
	ck_assert_ptr_nonnull(strstr(why, "; it is in pieces"));
	json_decref(value);
}
END_TEST

static const struct {
	int errnum;
	const char *detail, *fix;
} explain_cases[] = {
	{ENOENT, "no /dev/kvm", "give it the device"},
	{ENXIO, "no /dev/kvm", "give it the device"},
	{EBUSY, "another hypervisor", "unload"},
	{EIO, "Input/output error", "dmesg"},
};

START_TEST(host_explain_names_cause_and_cure)
{
	struct check_finding finding = {.status = CHECK_OK};

	doctor_host_explain(explain_cases[_i].errnum, &finding);
	ck_assert_int_eq(finding.status, CHECK_FAIL);
	ck_assert_ptr_nonnull(strstr(finding.detail, explain_cases[_i].detail));
	ck_assert_ptr_nonnull(strstr(finding.fix, explain_cases[_i].fix));
}
END_TEST

START_TEST(host_explain_no_permission_names_user)
{
	struct check_finding finding = {.status = CHECK_OK};
	char text[32];

	doctor_host_explain(EACCES, &finding);
	snprintf(text, sizeof(text), "user %u ", (unsigned int)geteuid());
	ck_assert_int_eq(finding.status, CHECK_FAIL);
	ck_assert_ptr_nonnull(strstr(finding.detail, text));
	if (!access("/dev/kvm", F_OK))
		ck_assert_ptr_nonnull(strstr(finding.fix, "usermod -aG"));
}
END_TEST

/* Whatever they find, it keeps nobody from running Linux. */
START_TEST(host_checks_here_do_not_fail)
{
	struct check_finding finding;
	const struct check *checks;
	size_t count;

	checks = doctor_host_checks(&count);
	ck_assert_uint_gt(count, 0);
	for (size_t i = 0; i < count; i++) {
		finding = (struct check_finding){.status = CHECK_OK};
		checks[i].run(-1, &finding);
		ck_assert_int_ne(finding.status, CHECK_FAIL);
		ck_assert_str_ne(finding.detail, "");
		if (finding.status == CHECK_WARN)
			ck_assert_str_ne(finding.fix, "");
	}
}
END_TEST

START_TEST(host_checks_passt_searches_path)
{
	char dir[] = "/tmp/test_doctor.XXXXXX", path[64], link[64];
	struct check_finding finding = {.status = CHECK_OK};
	const struct check *checks, *passt;
	size_t count;

	checks = doctor_host_checks(&count);
	passt = &checks[count - 1];
	ck_assert_str_eq(passt->name, "passt");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "/nonexistent:%s", dir);
	snprintf(link, sizeof(link), "%s/passt", dir);
	ck_assert_int_eq(setenv("PATH", path, 1), 0);
	passt->run(-1, &finding);
	ck_assert_int_eq(finding.status, CHECK_WARN);
	ck_assert_int_eq(symlink("/bin/sh", link), 0);
	passt->run(-1, &finding);
	ck_assert_int_eq(finding.status, CHECK_OK);
	ck_assert_str_eq(finding.detail, link);
	unlink(link);
	rmdir(dir);
}
END_TEST

START_TEST(run_unknown_option_is_usage_error)
{
	char option[] = "--jsn", text[256];
	char *argv[] = {option, NULL};
	struct capture capture;
	int status;

	capture_begin(&capture);
	status = doctor_run(1, argv);
	capture_end(&capture, text, sizeof(text));
	ck_assert_int_eq(status, 125);
	ck_assert_ptr_nonnull(strstr(text, "--jsn"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("doctor");
	TCase *tcase = tcase_create("doctor");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, report_linux_without_failure_is_true);
	tcase_add_test(tcase, report_linux_with_failure_is_false);
	tcase_add_test(tcase, report_print_good_says_yes);
	tcase_add_test(tcase, report_print_bad_says_no_and_why);
	tcase_add_test(tcase, report_run_without_kvm_skips_what_needs_it);
	tcase_add_test(tcase, report_json_good_parses);
	tcase_add_test(tcase, report_json_bad_says_why);
	tcase_add_test(tcase, report_why_long_is_not_cut);
	tcase_add_loop_test(tcase, host_explain_names_cause_and_cure, 0,
			    sizeof(explain_cases) / sizeof(explain_cases[0]));
	tcase_add_test(tcase, host_explain_no_permission_names_user);
	tcase_add_test(tcase, host_checks_here_do_not_fail);
	tcase_add_test(tcase, host_checks_passt_searches_path);
	tcase_add_test(tcase, run_unknown_option_is_usage_error);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
