/* Whether a file could be written, without a trace of the question. */
#include "vmm/writable.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static char dir[] = "/tmp/test_writable.XXXXXX";
static char path[64];
static struct error err;
static enum writable_kind kind;

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
}

static void teardown(void)
{
	/* Another user for a while, the process would not let LeakSanitizer
	 * look into it. */
	ck_assert_int_eq(seteuid(getuid()), 0);
	prctl(PR_SET_DUMPABLE, 1);
	chmod(dir, 0700);
	unlink(path);
	rmdir(dir);
}

static void make(mode_t mode)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);

	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void become_nobody(void)
{
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(dir, 65534, (gid_t)-1), 0);
		ck_assert_int_eq(seteuid(65534), 0);
	}
}

START_TEST(check_missing_file_in_folder_is_new_and_stays_missing)
{
	ck_assert_int_eq(writable_check("--o", path, true, &kind, &err), 0);
	ck_assert_int_eq(kind, WRITABLE_NEW);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(check_regular_file_keeps_its_content)
{
	struct stat st;

	make(0600);
	ck_assert_int_eq(truncate(path, 5), 0);
	ck_assert_int_eq(writable_check("--o", path, false, &kind, &err), 0);
	ck_assert_int_eq(kind, WRITABLE_REGULAR);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 5);
}
END_TEST

START_TEST(check_device_is_other)
{
	ck_assert_int_eq(writable_check("--o", "/dev/null", true, &kind, &err),
			 0);
	ck_assert_int_eq(kind, WRITABLE_OTHER);
}
END_TEST

/* Opening it would wait, or make its reader see the end. */
START_TEST(check_fifo_is_other_and_not_opened)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(writable_check("--o", path, true, &kind, &err), 0);
	ck_assert_int_eq(kind, WRITABLE_OTHER);
}
END_TEST

START_TEST(check_folder_is_refused_by_name)
{
	ck_assert_int_eq(writable_check("--o", dir, true, &kind, &err),
			 -EISDIR);
	ck_assert_ptr_nonnull(strstr(err.text, "--o "));
	ck_assert_ptr_nonnull(strstr(err.text, dir));
}
END_TEST

START_TEST(check_impossible_paths_are_refused)
{
	char below[80];

	ck_assert_int_eq(writable_check("--o", "", true, NULL, &err), -ENOENT);
	ck_assert_int_eq(writable_check("--o", "/none/file", true, NULL, &err),
			 -ENOENT);
	snprintf(below, sizeof(below), "%s/", path);
	ck_assert_int_eq(writable_check("--o", below, true, NULL, &err),
			 -ENOENT);
	make(0600);
	ck_assert_int_eq(writable_check("--o", below, true, NULL, &err),
			 -ENOTDIR);
}
END_TEST

START_TEST(check_without_permission_is_refused)
{
	become_nobody();
	make(0400);
	ck_assert_int_eq(writable_check("--o", path, false, NULL, &err),
			 -EACCES);
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert_int_eq(chmod(dir, 0500), 0);
	ck_assert_int_eq(writable_check("--o", path, false, NULL, &err), 0);
	ck_assert_int_eq(writable_check("--o", path, true, NULL, &err),
			 -EACCES);
	ck_assert_int_eq(chmod(dir, 0700), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(chmod(dir, 0500), 0);
	ck_assert_int_eq(writable_check("--o", path, false, NULL, &err),
			 -EACCES);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("writable");
	TCase *tcase = tcase_create("writable");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase,
		       check_missing_file_in_folder_is_new_and_stays_missing);
	tcase_add_test(tcase, check_regular_file_keeps_its_content);
	tcase_add_test(tcase, check_device_is_other);
	tcase_add_test(tcase, check_fifo_is_other_and_not_opened);
	tcase_add_test(tcase, check_folder_is_refused_by_name);
	tcase_add_test(tcase, check_impossible_paths_are_refused);
	tcase_add_test(tcase, check_without_permission_is_refused);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
