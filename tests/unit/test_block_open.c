/*
 * Opening a disk: what a user can get wrong is refused with words that help,
 * and what is right is described as it is.
 */
#include "virtio/block.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/disk.h"
#include "virtio/block_file.h"
#include "virtio/block_format.h"
#include "virtio/block_overlay.h"

#define MIB (UINT64_C(1) << 20)

static char dir[64], path[96];
static struct virtio_block_options options;
static struct virtio_open opening;
static struct virtio_resources resources;
static struct error err;

static void setup(void)
{
	disk_make_dir(dir, sizeof(dir), NULL);
	snprintf(path, sizeof(path), "%s/a.img", dir);
	disk_make_image(path, MIB);
	options = (struct virtio_block_options){.file = path, .queues = 1};
	opening = (struct virtio_open){.option = "--disk a.img",
				       .options = &options};
}

static void teardown(void)
{
	virtio_resources_fini(&resources);
	disk_remove_dir(dir);
}

static unsigned int open_fds(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Refused, by name and with these words, and nothing left open. */
static void check_refused(int errnum, const char *words)
{
	const unsigned int before = open_fds();
	struct virtio_resources none = {0};

	err.text[0] = 0;
	ck_assert_int_eq(block_open(&opening, &none, &err), -errnum);
	ck_assert_msg(strncmp(err.text, "--disk a.img: ", 14) == 0, "%s",
		      err.text);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
	ck_assert_uint_eq(open_fds(), before);
	ck_assert_uint_eq(none.fd_count, 0);
}

static struct block_description check_opens(void)
{
	struct block_description description;

	virtio_resources_fini(&resources);
	ck_assert_msg(block_open(&opening, &resources, &err) == 0, "%s",
		      err.text);
	ck_assert_int_eq(block_description_load(&description,
						resources.description, &err),
			 0);
	return description;
}

/* --- Refusals ------------------------------------------------------------ */

START_TEST(open_missing_says_how_to_make_one)
{
	unlink(path);
	check_refused(ENOENT, "truncate -s 10G");
	options.ephemeral = true;
	check_refused(ENOENT, "no such file");
}
END_TEST

START_TEST(open_without_file_is_refused)
{
	options.file = NULL;
	check_refused(EINVAL, "expected a file");
}
END_TEST

START_TEST(open_directory_and_others_are_refused)
{
	options.file = dir;
	check_refused(EISDIR, "directory");
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	options.file = path;
	/* And does not wait for a writer. */
	check_refused(EINVAL, "no regular file");
	options.file = (char[]){"/dev/null"};
	check_refused(EINVAL, "no regular file");
}
END_TEST

START_TEST(open_empty_or_odd_size_is_refused)
{
	ck_assert_int_eq(truncate(path, 0), 0);
	check_refused(EINVAL, "truncate -s 10G");
	ck_assert_int_eq(truncate(path, 513), 0);
	check_refused(EINVAL, "has 513 bytes");
	ck_assert_ptr_nonnull(strstr(err.text, "truncate -s %512"));
	ck_assert_int_eq(truncate(path, 100), 0);
	check_refused(EINVAL, "multiple of 512");
}
END_TEST

/* As a user who may not, in a child. */
START_TEST(open_without_permission_says_what_would_do)
{
	pid_t child;
	int status;

	ck_assert_int_eq(chmod(dir, 0755), 0);
	ck_assert_int_eq(chmod(path, 0444), 0);
	child = fork();
	if (child == 0) {
		if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
			_exit(9);
		check_refused(EACCES, ",ro or ,ephemeral");
		options.ro = true;
		check_opens();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

static const struct {
	size_t offset;
	char magic[24];
	size_t len;
	const char *name;
} magics[] = {
	{0, "QFI\xfb\0\0\0\3", 8, "qcow2"},
	{0, "QFI\xfb\0\0\0\2", 8, "qcow2"},
	{0, "KDMV\1\0\0\0", 8, "vmdk"},
	{0, "# Disk DescriptorFile\n", 22, "vmdk"},
	{64, "\x7f\x10\xda\xbe", 4, "vdi"},
	{0, "vhdxfile", 8, "vhdx"},
	{0, "conectix", 8, "vpc"},
};

START_TEST(open_other_format_names_the_command)
{
	char command[512];
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(pwrite(fd, magics[_i].magic, magics[_i].len,
				(off_t)magics[_i].offset),
			 (ssize_t)magics[_i].len);
	snprintf(command, sizeof(command),
		 "is a %s image, and only raw ones are used; convert it: "
		 "qemu-img convert -O raw %s %s.raw",
		 magics[_i].name, path, path);
	check_refused(EINVAL, command);
	/* A small one, of an odd size, is not told to grow. */
	ck_assert_int_eq(ftruncate(fd, 197), 0);
	check_refused(EINVAL, command);
	close(fd);
}
END_TEST

START_TEST(open_raw_that_resembles_is_not_refused)
{
	ck_assert_ptr_null(block_format_name("QFI", 3));
	ck_assert_ptr_null(block_format_name("QFI\xfb\0\0\0\4", 8));
	ck_assert_ptr_null(block_format_name("xQFI\xfb\0\0\0\3", 9));
	ck_assert_ptr_null(block_format_name("", 0));
	check_opens();
}
END_TEST

START_TEST(open_bad_options_are_refused)
{
	options.serial = (char[]){"a serial of 21 bytes."};
	check_refused(EINVAL, "serial: 21 bytes, expected at most 20");
	options.serial = NULL;
	options.queues = 0;
	check_refused(EINVAL, "queues: 0");
	options.queues = 17;
	check_refused(EINVAL, "expected 1 to 16");
	options.queues = 1;
	options.ro = true;
	options.ephemeral = true;
	check_refused(EINVAL, "leave one out");
}
END_TEST

/* --- Locks --------------------------------------------------------------- */

static int open_with(bool ro, bool ephemeral, struct virtio_resources *out)
{
	options.ro = ro;
	options.ephemeral = ephemeral;
	return block_open(&opening, out, &err);
}

START_TEST(open_locked_is_in_use)
{
	struct virtio_resources more[3] = {0};

	check_opens();
	check_refused(EBUSY, "is in use by another machine");
	ck_assert_int_eq(open_with(true, false, &more[0]), -EBUSY);
	ck_assert_int_eq(open_with(false, true, &more[0]), -EBUSY);
	virtio_resources_fini(&resources);
	/* Readers, as many as there are, but no writer. */
	ck_assert_int_eq(open_with(true, false, &more[0]), 0);
	ck_assert_int_eq(open_with(true, false, &more[1]), 0);
	ck_assert_int_eq(open_with(false, true, &more[2]), 0);
	options.ephemeral = false;
	check_refused(EBUSY, "is in use");
	for (unsigned int i = 0; i < 3; i++)
		virtio_resources_fini(&more[i]);
	check_opens();
}
END_TEST

START_TEST(open_lock_lives_with_the_last_duplicate)
{
	int copy;

	check_opens();
	copy = dup(resources.fds[0]);
	virtio_resources_fini(&resources);
	check_refused(EBUSY, "is in use");
	close(copy);
	check_opens();
}
END_TEST

START_TEST(dry_run_leaves_nothing)
{
	struct virtio_resources second = {0};

	opening.dry_run = true;
	check_opens();
	opening.dry_run = false;
	/* It is open still, but not locked. */
	ck_assert_int_eq(open_with(false, false, &second), 0);
	opening.dry_run = true;
	check_refused(EBUSY, "is in use");
	virtio_resources_fini(&second);
	options.ephemeral = true;
	check_opens();
	ck_assert_uint_eq(resources.fd_count, 1);
	unlink(path);
	check_refused(ENOENT, "no such file");
}
END_TEST

/* --- What is right ------------------------------------------------------- */

START_TEST(open_describes_the_image)
{
	struct block_description d;

	options.serial = (char[]){"disk-1"};
	options.queues = 4;
	options.bootindex = 2;
	d = check_opens();
	ck_assert_uint_eq(resources.fd_count, 1);
	ck_assert_uint_eq(d.size, MIB);
	ck_assert(!d.ro && !d.ephemeral && !d.direct && !d.device);
	ck_assert(d.discard);
	ck_assert_uint_eq(d.queues, 4);
	ck_assert_uint_eq(d.bootindex, 2);
	ck_assert_uint_eq(d.block_size, 512);
	ck_assert_uint_eq(d.mem_align, 1);
	ck_assert_mem_eq(d.serial, "disk-1\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	ck_assert_int_eq(fcntl(resources.fds[0], F_GETFL) & O_ACCMODE, O_RDWR);
	ck_assert_int_eq(
		fcntl(resources.fds[0], F_GETFL) & (O_NONBLOCK | O_DIRECT), 0);
	ck_assert_int_ne(fcntl(resources.fds[0], F_GETFD) & FD_CLOEXEC, 0);
	options.ro = true;
	d = check_opens();
	ck_assert(d.ro);
	ck_assert_int_eq(fcntl(resources.fds[0], F_GETFL) & O_ACCMODE,
			 O_RDONLY);
}
END_TEST

START_TEST(open_direct_has_its_alignment)
{
	struct block_description d;

	options.direct = true;
	d = check_opens();
	ck_assert(d.direct);
	ck_assert_uint_ge(d.offset_align, 512);
	ck_assert_uint_ge(d.mem_align, 1);
	ck_assert_int_ne(fcntl(resources.fds[0], F_GETFL) & O_DIRECT, 0);
}
END_TEST

/* QEMU's user emulator has the mask from the host and fills nothing in. */
static bool statx_tells_alignment(void)
{
	struct statx stx = {0};

	if (statx(AT_FDCWD, "/proc/self/exe", 0, STATX_DIOALIGN, &stx) < 0 ||
	    !(stx.stx_mask & STATX_DIOALIGN) || stx.stx_dio_offset_align)
		return true;
	printf("skip: test_block_open, O_DIRECT: this emulator's statx() "
	       "leaves the alignment out\n");
	fflush(stdout);
	return false;
}

START_TEST(open_direct_without_o_direct_is_refused)
{
	/* A file of sysfs is a regular one, too; its size is 4096. */
	options.file = (char[]){"/sys/kernel/uevent_seqnum"};
	options.direct = true;
	options.ro = true;
	check_refused(EINVAL, "leave ,direct out");
}
END_TEST

START_TEST(open_ephemeral_has_an_unlinked_overlay)
{
	struct block_overlay *overlay;
	struct block_description d;
	struct stat st, image;

	options.ephemeral = true;
	d = check_opens();
	ck_assert(d.ephemeral && !d.ro);
	ck_assert_uint_eq(resources.fd_count, 3);
	ck_assert_int_eq(fcntl(resources.fds[0], F_GETFL) & O_ACCMODE,
			 O_RDONLY);
	ck_assert_int_eq(fstat(resources.fds[BLOCK_FD_OVERLAY], &st), 0);
	ck_assert_int_eq(stat(path, &image), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	ck_assert_uint_eq(st.st_dev, image.st_dev);
	ck_assert_int_eq(st.st_size, MIB);
	ck_assert_int_eq(st.st_blocks, 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(
		block_overlay_new(&overlay, resources.fds[BLOCK_FD_MAP], MIB),
		0);
	block_overlay_free(overlay);
	rmdir(dir);
}
END_TEST

START_TEST(open_ephemeral_beside_what_cannot_is_in_tmpdir)
{
	struct stat st, tmp;

	/* sysfs takes no files of ours. */
	options.file = (char[]){"/sys/kernel/uevent_seqnum"};
	options.ephemeral = true;
	ck_assert_int_eq(setenv("TMPDIR", "/dev/shm", 1), 0);
	check_opens();
	ck_assert_int_eq(fstat(resources.fds[BLOCK_FD_OVERLAY], &st), 0);
	ck_assert_int_eq(stat("/dev/shm", &tmp), 0);
	ck_assert_uint_eq(st.st_dev, tmp.st_dev);
	ck_assert_int_eq(setenv("TMPDIR", "/sys", 1), 0);
	virtio_resources_fini(&resources);
	ck_assert_int_lt(block_open(&opening, &resources, &err), 0);
	ck_assert_msg(strstr(err.text, "set TMPDIR") != NULL, "%s", err.text);
	opening.dry_run = true;
	ck_assert_int_lt(block_open(&opening, &resources, &err), 0);
}
END_TEST

/* --- The description ----------------------------------------------------- */

START_TEST(description_that_cannot_be_is_refused)
{
	static const struct {
		const char *name, *value;
	} cases[] = {
		{"size", "0x0"},
		{"size", "0x201"},
		{"size", "0x8000000000000200"},
		{"mem_align", "0x3"},
		{"offset_align", "0x0"},
		{"offset_align", "0x2000"},
		{"block_size", "0x100"},
		{"queues", "0x0"},
		{"queues", "0x11"},
		{"serial", "00"},
		{"engine", "0x7"},
		{"more", "0x1"},
		{"ro", "0x1"},
	};
	struct block_description d;
	json_t *copy;

	check_opens();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		copy = json_deep_copy(resources.description);
		json_object_set_new(copy, cases[i].name,
				    json_string(cases[i].value));
		ck_assert_msg(block_description_load(&d, copy, &err) == -EINVAL,
			      "%s %s", cases[i].name, cases[i].value);
		json_decref(copy);
	}
	ck_assert_int_eq(block_description_load(&d, NULL, &err), -EINVAL);
}
END_TEST

static void add_all(TCase *tc)
{
	tcase_add_test(tc, open_missing_says_how_to_make_one);
	tcase_add_test(tc, open_without_file_is_refused);
	tcase_add_test(tc, open_directory_and_others_are_refused);
	tcase_add_test(tc, open_empty_or_odd_size_is_refused);
	tcase_add_test(tc, open_without_permission_says_what_would_do);
	tcase_add_loop_test(tc, open_other_format_names_the_command, 0,
			    sizeof(magics) / sizeof(magics[0]));
	tcase_add_test(tc, open_raw_that_resembles_is_not_refused);
	tcase_add_test(tc, open_bad_options_are_refused);
	tcase_add_test(tc, open_locked_is_in_use);
	tcase_add_test(tc, open_lock_lives_with_the_last_duplicate);
	tcase_add_test(tc, dry_run_leaves_nothing);
	tcase_add_test(tc, open_describes_the_image);
	if (statx_tells_alignment())
		tcase_add_test(tc, open_direct_has_its_alignment);
	tcase_add_test(tc, open_direct_without_o_direct_is_refused);
	tcase_add_test(tc, open_ephemeral_has_an_unlinked_overlay);
	tcase_add_test(tc, open_ephemeral_beside_what_cannot_is_in_tmpdir);
	tcase_add_test(tc, description_that_cannot_be_is_refused);
}

int main(void)
{
	Suite *suite = suite_create("block_open");
	TCase *tc = tcase_create("open");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	add_all(tc);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
