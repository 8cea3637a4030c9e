/* Files that a user may name as a kernel or initrd. */
#include "vmm/base/image.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

static char dir[] = "/tmp/bantam-test-XXXXXX";
static char path[64];

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/image", dir);
}

static void teardown(void)
{
	unlink(path);
	rmdir(dir);
}

static void write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void expect_refused(const char *name, int errnum, const char *words)
{
	struct error err = {""};
	struct image image;

	ck_assert_int_eq(image_open(&image, "--kernel", name, &err), -errnum);
	ck_assert_int_eq(image.fd, -1);
	ck_assert_ptr_nonnull(strstr(err.text, "--kernel"));
	ck_assert_ptr_nonnull(strstr(err.text, name));
	ck_assert_ptr_nonnull(strstr(err.text, words));
	image_close(&image);
}

START_TEST(open_of_missing_file_is_refused)
{
	expect_refused(path, ENOENT, "No such file");
}
END_TEST

START_TEST(open_of_empty_file_is_refused)
{
	write_file("");
	expect_refused(path, ENODATA, "empty");
}
END_TEST

START_TEST(open_of_directory_is_refused)
{
	expect_refused(dir, EISDIR, "directory");
}
END_TEST

START_TEST(open_of_device_is_refused)
{
	expect_refused("/dev/zero", EINVAL, "device");
}
END_TEST

START_TEST(open_of_huge_file_is_refused)
{
	write_file("x");
	if (truncate(path, (off_t)IMAGE_SIZE_MAX + 1) < 0)
		return; /* this file system has no such files */
	expect_refused(path, EFBIG, "4096 MiB");
}
END_TEST

START_TEST(read_inside_file_gives_bytes)
{
	struct image image;
	struct error err;
	char buf[4] = "";

	write_file("0123456789");
	ck_assert_int_eq(image_open(&image, "--initrd", path, &err), 0);
	ck_assert_uint_eq(image.size, 10);
	ck_assert_int_eq(fcntl(image.fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(image_read(&image, 7, buf, 3, &err), 0);
	ck_assert_str_eq(buf, "789");
	ck_assert_int_eq(image_read(&image, 10, buf, 0, &err), 0);
	image_close(&image);
	ck_assert_int_eq(image.fd, -1);
	image_close(&image);
}
END_TEST

START_TEST(read_past_end_is_refused)
{
	static const struct {
		uint64_t offset;
		size_t len;
	} bad[] = {
		{7, 4}, {10, 1}, {11, 0}, {UINT64_MAX, 1}, {1, SIZE_MAX},
	};
	struct image image;
	struct error err;
	char buf[16];

	write_file("0123456789");
	ck_assert_int_eq(image_open(&image, "--initrd", path, &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = '\0';
		ck_assert_int_eq(image_read(&image, bad[i].offset, buf,
					    bad[i].len, &err),
				 -ENODATA);
		ck_assert_ptr_nonnull(strstr(err.text, path));
	}
	image_close(&image);
}
END_TEST

START_TEST(read_of_file_truncated_meanwhile_is_refused)
{
	struct image image;
	struct error err;
	char buf[8];

	write_file("0123456789");
	ck_assert_int_eq(image_open(&image, "--initrd", path, &err), 0);
	ck_assert_int_eq(truncate(path, 5), 0);
	ck_assert_int_eq(image_read(&image, 0, buf, 5, &err), 0);
	ck_assert_int_eq(image_read(&image, 3, buf, 4, &err), -ENODATA);
	ck_assert_ptr_nonnull(strstr(err.text, "end of the file at 5"));
	image_close(&image);
}
END_TEST

/* More than a pipe holds, so that it comes in pieces. */
#define FIFO_BYTES (3 << 20)

static void *feed_fifo(void *ctx)
{
	FILE *file = fopen(path, "w");

	(void)ctx;
	for (int i = 0; i < FIFO_BYTES; i++)
		putc(i % 251, file);
	fclose(file);
	return NULL;
}

START_TEST(open_of_fifo_copies_it)
{
	static uint8_t buf[FIFO_BYTES];
	struct image image;
	struct error err;
	pthread_t thread;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, feed_fifo, NULL), 0);
	ck_assert_int_eq(image_open(&image, "--kernel", path, &err), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(image.size, FIFO_BYTES);
	/* Twice, as after a reboot. */
	for (int turn = 0; turn < 2; turn++) {
		memset(buf, 0, sizeof(buf));
		ck_assert_int_eq(image_read(&image, 0, buf, sizeof(buf), &err),
				 0);
		for (int i = 0; i < FIFO_BYTES; i++) {
			if (buf[i] != i % 251)
				ck_abort_msg("byte %d is %u", i, buf[i]);
		}
	}
	image_close(&image);
}
END_TEST

static void *close_fifo(void *ctx)
{
	(void)ctx;
	close(open(path, O_WRONLY));
	return NULL;
}

START_TEST(open_of_empty_fifo_is_refused)
{
	pthread_t thread;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, close_fifo, NULL), 0);
	expect_refused(path, ENODATA, "empty");
	pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("image");
	TCase *tcase = tcase_create("image");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, open_of_missing_file_is_refused);
	tcase_add_test(tcase, open_of_empty_file_is_refused);
	tcase_add_test(tcase, open_of_directory_is_refused);
	tcase_add_test(tcase, open_of_device_is_refused);
	tcase_add_test(tcase, open_of_huge_file_is_refused);
	tcase_add_test(tcase, read_inside_file_gives_bytes);
	tcase_add_test(tcase, read_past_end_is_refused);
	tcase_add_test(tcase, read_of_file_truncated_meanwhile_is_refused);
	tcase_add_test(tcase, open_of_fifo_copies_it);
	tcase_add_test(tcase, open_of_empty_fifo_is_refused);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
