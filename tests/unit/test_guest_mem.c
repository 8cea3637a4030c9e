/* Guest memory: every span that a hostile address can ask for. */
#include "vmm/base/guest_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/capture.h"
#include "vmm/base/guest_fault.h"

#define MIB	  UINT64_C(0x100000)
#define LOW_BASE  UINT64_C(0)
#define LOW_SIZE  (2 * MIB)
#define HIGH_BASE (UINT64_C(1) << 32)
#define HIGH_SIZE (4 * MIB)

static struct guest_mem *mem;

static void setup(void)
{
	const struct guest_mem_region regions[] = {
		{LOW_BASE, LOW_SIZE},
		{HIGH_BASE, HIGH_SIZE},
	};
	struct error err;

	ck_assert_int_eq(guest_mem_new(&mem, regions, 2, 0, &err), 0);
}

static void teardown(void)
{
	guest_mem_free(mem);
}

START_TEST(new_with_regions_describes_them)
{
	const struct guest_mem_region *regions;
	struct stat st;

	ck_assert_uint_eq(guest_mem_size(mem), LOW_SIZE + HIGH_SIZE);
	ck_assert_uint_eq(guest_mem_regions(mem, &regions), 2);
	ck_assert_uint_eq(regions[1].base, HIGH_BASE);
	ck_assert_uint_eq(regions[1].size, HIGH_SIZE);
	ck_assert_int_eq(fstat(guest_mem_fd(mem), &st), 0);
	ck_assert_uint_eq((uint64_t)st.st_size, LOW_SIZE + HIGH_SIZE);
	ck_assert_int_eq(fcntl(guest_mem_fd(mem), F_GETFD), FD_CLOEXEC);
}
END_TEST

/* Huge pages back only what lies alike in file, host and guest. */
START_TEST(new_with_regions_lies_at_huge_page)
{
	struct guest_mem *others[3];
	const struct guest_mem_region region = {0, 3 * MIB};
	struct error err;

	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(guest_mem_new(&others[i], &region, 1, 0, &err),
				 0);
		ck_assert_uint_eq((uintptr_t)guest_mem_span(others[i], 0, 1) %
					  (2 * MIB),
				  0);
	}
	for (size_t i = 0; i < 3; i++)
		guest_mem_free(others[i]);
}
END_TEST

START_TEST(new_with_memfd_cannot_be_cut)
{
	ck_assert_int_eq(ftruncate(guest_mem_fd(mem), 0), -1);
	ck_assert_int_eq(errno, EPERM);
}
END_TEST

START_TEST(new_with_bad_regions_is_refused)
{
	static const struct {
		struct guest_mem_region regions[2];
		unsigned int count;
		uint64_t huge_page;
	} bad[] = {
		{{{0, MIB}}, 0, 0},
		{{{0, MIB}}, GUEST_MEM_REGIONS_MAX + 1, 0},
		{{{0, 0}}, 1, 0},
		{{{0, 4095}}, 1, 0},
		{{{1, MIB}}, 1, 0},
		{{{MIB, MIB}, {0, MIB}}, 2, 0},
		{{{0, 2 * MIB}, {MIB, MIB}}, 2, 0},
		{{{UINT64_MAX - MIB + 1, MIB}}, 1, 0},
		{{{UINT64_MAX - 4095, MIB}}, 1, 0},
		{{{0, 3 * MIB}}, 1, 2 * MIB},
		{{{MIB, 2 * MIB}}, 1, 2 * MIB},
		{{{0, 3 * MIB}}, 1, 3 * MIB},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct guest_mem *out = NULL;
		struct error err = {""};

		ck_assert_int_eq(guest_mem_new(&out, bad[i].regions,
					       bad[i].count, bad[i].huge_page,
					       &err),
				 -EINVAL);
		ck_assert_ptr_null(out);
		ck_assert_ptr_nonnull(strstr(err.text, "--memory"));
	}
}
END_TEST

START_TEST(new_without_huge_pages_says_what_to_do)
{
	/* More than any host has free, yet nothing is touched. */
	const struct guest_mem_region region = {0, UINT64_C(1) << 44};
	struct guest_mem *out = NULL;
	struct error err = {""};

	ck_assert_int_lt(guest_mem_new(&out, &region, 1, 2 * MIB, &err), 0);
	ck_assert_ptr_null(out);
	/* A kernel without huge pages has another way out. */
	ck_assert(strstr(err.text, "nr_hugepages") ||
		  strstr(err.text, "hugepages= away"));
}
END_TEST

START_TEST(new_with_unknown_huge_page_size_says_so)
{
	/* No architecture has pages of that size. */
	const struct guest_mem_region region = {0, UINT64_C(1) << 41};
	struct guest_mem *out = NULL;
	struct error err = {""};

	ck_assert_int_lt(guest_mem_new(&out, &region, 1, region.size, &err), 0);
	ck_assert_ptr_null(out);
	ck_assert_ptr_nonnull(strstr(err.text, "hugepages= away"));
}
END_TEST

START_TEST(new_above_host_memory_warns)
{
	uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) *
			(uint64_t)sysconf(_SC_PAGESIZE);
	const struct guest_mem_region region = {0, (host / MIB + 1) * MIB};
	struct capture capture;
	struct guest_mem *big;
	struct error err;
	char text[512];

	capture_begin(&capture);
	ck_assert_int_eq(guest_mem_new(&big, &region, 1, 0, &err), 0);
	capture_end(&capture, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "--memory"));
	/* The last byte is there all the same. */
	ck_assert_int_eq(guest_mem_write(big, region.size - 1, "x", 1), 0);
	guest_mem_free(big);
}
END_TEST

START_TEST(span_inside_region_is_found)
{
	uint8_t *low = guest_mem_span(mem, LOW_BASE, LOW_SIZE);
	uint8_t *high = guest_mem_span(mem, HIGH_BASE, HIGH_SIZE);

	ck_assert_ptr_nonnull(low);
	ck_assert_ptr_nonnull(high);
	ck_assert_ptr_eq(guest_mem_span(mem, LOW_SIZE - 1, 1),
			 low + LOW_SIZE - 1);
	ck_assert_ptr_eq(guest_mem_span(mem, HIGH_BASE + 8, HIGH_SIZE - 8),
			 high + 8);
	/* Distinct memory. */
	ck_assert(high >= low + LOW_SIZE || low >= high + HIGH_SIZE);
}
END_TEST

START_TEST(span_outside_region_is_refused)
{
	static const struct {
		uint64_t gpa, len;
	} bad[] = {
		{0, 0},
		{HIGH_BASE, 0},
		{0, LOW_SIZE + 1},
		{LOW_SIZE - 1, 2},
		{LOW_SIZE, 1},
		{LOW_SIZE - 1, HIGH_BASE},
		{HIGH_BASE - 1, 1},
		{HIGH_BASE - 1, 2},
		{HIGH_BASE + HIGH_SIZE, 1},
		{HIGH_BASE + HIGH_SIZE - 1, 2},
		{HIGH_BASE, UINT64_MAX},
		{HIGH_BASE + 1, UINT64_MAX - HIGH_BASE},
		{1, UINT64_MAX},
		{UINT64_MAX, 1},
		{UINT64_MAX, 2},
		{UINT64_MAX - 1, UINT64_MAX},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_ptr_null(guest_mem_span(mem, bad[i].gpa, bad[i].len));
}
END_TEST

START_TEST(span_at_touching_regions_belongs_to_one)
{
	const struct guest_mem_region regions[] = {{0, MIB}, {MIB, MIB}};
	struct guest_mem *touching;
	struct error err;

	ck_assert_int_eq(guest_mem_new(&touching, regions, 2, 0, &err), 0);
	ck_assert_ptr_nonnull(guest_mem_span(touching, MIB - 1, 1));
	ck_assert_ptr_nonnull(guest_mem_span(touching, MIB, MIB));
	ck_assert_ptr_null(guest_mem_span(touching, MIB - 1, 2));
	guest_mem_free(touching);
}
END_TEST

START_TEST(copy_inside_region_round_trips)
{
	char buf[8] = "";

	ck_assert_int_eq(guest_mem_write(mem, HIGH_BASE + 4, "bantam", 7), 0);
	ck_assert_int_eq(guest_mem_read(mem, HIGH_BASE + 4, buf, 7), 0);
	ck_assert_str_eq(buf, "bantam");
	ck_assert_int_eq(guest_mem_zero(mem, HIGH_BASE + 5, 2), 0);
	ck_assert_int_eq(guest_mem_read(mem, HIGH_BASE + 4, buf, 7), 0);
	ck_assert_mem_eq(buf, "b\0\0tam", 7);
}
END_TEST

START_TEST(copy_outside_region_changes_nothing)
{
	char buf[4] = "abc";

	ck_assert_int_eq(guest_mem_write(mem, LOW_SIZE - 2, "xyz", 3), -EFAULT);
	ck_assert_int_eq(guest_mem_read(mem, LOW_SIZE - 2, buf, 3), -EFAULT);
	ck_assert_str_eq(buf, "abc");
	ck_assert_int_eq(guest_mem_read(mem, LOW_SIZE - 2, buf, 2), 0);
	ck_assert_mem_eq(buf, "\0\0c", 3);
	ck_assert_int_eq(guest_mem_zero(mem, LOW_SIZE, 1), -EFAULT);
}
END_TEST

START_TEST(copy_with_length_zero_is_nothing)
{
	ck_assert_int_eq(guest_mem_write(mem, UINT64_MAX, "x", 0), 0);
	ck_assert_int_eq(guest_mem_read(mem, LOW_SIZE, NULL, 0), 0);
	ck_assert_int_eq(guest_mem_zero(mem, LOW_SIZE, 0), 0);
	ck_assert_int_eq(guest_mem_read_file(mem, LOW_SIZE, -1, 0, 0), 0);
}
END_TEST

START_TEST(read_file_with_enough_copies)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	char buf[4] = "";

	ck_assert_int_eq(write(fd, "0123456789", 10), 10);
	ck_assert_int_eq(guest_mem_read_file(mem, 100, fd, 7, 3), 0);
	ck_assert_int_eq(guest_mem_read(mem, 100, buf, 4), 0);
	ck_assert_mem_eq(buf, "789", 4);
	close(fd);
}
END_TEST

START_TEST(read_file_with_bad_range_is_refused)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, "0123456789", 10), 10);
	ck_assert_int_eq(guest_mem_read_file(mem, 0, fd, 7, 4), -ENODATA);
	ck_assert_int_eq(guest_mem_read_file(mem, 0, fd, 10, 1), -ENODATA);
	ck_assert_int_eq(guest_mem_read_file(mem, 0, fd, INT64_MAX, 1),
			 -ENODATA);
	ck_assert_int_eq(guest_mem_read_file(mem, 0, fd, UINT64_MAX, 4),
			 -ENODATA);
	ck_assert_int_eq(guest_mem_read_file(mem, LOW_SIZE, fd, 0, 1), -EFAULT);
	ck_assert_int_eq(guest_mem_read_file(mem, 0, -1, 0, 1), -EBADF);
	close(fd);
}
END_TEST

START_TEST(discard_with_content_gives_zero_pages)
{
	struct stat st;
	char buf[1] = "x";

	ck_assert_int_eq(guest_mem_write(mem, 0, "x", 1), 0);
	ck_assert_int_eq(guest_mem_write(mem, HIGH_BASE, "x", 1), 0);
	ck_assert_int_eq(guest_mem_discard(mem), 0);
	ck_assert_int_eq(fstat(guest_mem_fd(mem), &st), 0);
	ck_assert_int_eq(st.st_blocks, 0);
	ck_assert_int_eq(guest_mem_read(mem, HIGH_BASE, buf, 1), 0);
	ck_assert_int_eq(buf[0], 0);
	ck_assert_int_eq(guest_mem_read(mem, 0, buf, 1), 0);
	ck_assert_int_eq(buf[0], 0);
}
END_TEST

/* --- Memory of another process's ---------------------------------------- */

static struct guest_mem *other;

static int sealed_file(uint64_t size, int seals)
{
	int fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

START_TEST(add_maps_the_file_at_its_offset)
{
	const struct guest_mem_region low = {0, MIB}, high = {4 * MIB, MIB};
	int fd = sealed_file(3 * MIB, F_SEAL_SHRINK);
	struct error err = {""};
	char buf[2];

	ck_assert_int_eq(guest_mem_new_empty(&other), 0);
	ck_assert_ptr_null(guest_mem_span(other, 0, 1));
	ck_assert_int_eq(guest_mem_add(other, &low, fd, 2 * MIB, &err), 0);
	ck_assert_int_eq(guest_mem_add(other, &high, fd, MIB, &err), 0);
	ck_assert_int_eq(pwrite(fd, "hi", 2, 2 * MIB), 2);
	close(fd);
	ck_assert_int_eq(guest_mem_read(other, 0, buf, 2), 0);
	ck_assert_mem_eq(buf, "hi", 2);
	ck_assert_ptr_null(guest_mem_span(other, MIB - 1, 2));
	ck_assert_int_eq(guest_mem_remove(other, &low), 0);
	ck_assert_int_eq(guest_mem_remove(other, &low), -ENOENT);
	ck_assert_ptr_null(guest_mem_span(other, 0, 1));
	ck_assert_ptr_nonnull(guest_mem_span(other, high.base, MIB));
	ck_assert_uint_eq(guest_mem_size(other), MIB);
	guest_mem_free(other);
}
END_TEST

static const struct {
	struct guest_mem_region region;
	uint64_t offset;
	int says;
} wrong_regions[] = {
	{{0, 0}, 0, -EINVAL},
	{{0, 100}, 0, -EINVAL},
	{{1, 4096}, 0, -EINVAL},
	{{UINT64_MAX - 4095, 8192}, 0, -EINVAL},
	{{8 * MIB, 2 * MIB}, 0, -EINVAL},
	{{8 * MIB, 4096}, MIB, -EINVAL},
	{{8 * MIB, 4096}, UINT64_MAX - 100, -EINVAL},
	{{8 * MIB, 4096}, 1, -EINVAL},
	{{8 * MIB, 4096}, 2048, -EINVAL},
	{{MIB - 4096, 8192}, 0, -EEXIST},
};

START_TEST(add_impossible_region_is_refused)
{
	const struct guest_mem_region first = {0, MIB};
	int fd = sealed_file(MIB, F_SEAL_SHRINK);
	struct error err = {""};

	ck_assert_int_eq(guest_mem_new_empty(&other), 0);
	ck_assert_int_eq(guest_mem_add(other, &first, fd, 0, &err), 0);
	ck_assert_int_eq(guest_mem_add(other, &wrong_regions[_i].region, fd,
				       wrong_regions[_i].offset, &err),
			 wrong_regions[_i].says);
	ck_assert(err.text[0]);
	ck_assert_uint_eq(guest_mem_size(other), MIB);
	close(fd);
	guest_mem_free(other);
}
END_TEST

START_TEST(add_more_than_there_are_slots_is_refused)
{
	int fd = sealed_file(MIB, F_SEAL_SHRINK);
	struct error err = {""};

	ck_assert_int_eq(guest_mem_new_empty(&other), 0);
	for (unsigned int i = 0; i <= GUEST_MEM_SLOTS_MAX; i++) {
		const struct guest_mem_region region = {i * 2 * MIB, 4096};

		ck_assert_int_eq(guest_mem_add(other, &region, fd, 0, &err),
				 i < GUEST_MEM_SLOTS_MAX ? 0 : -ENOSPC);
	}
	close(fd);
	guest_mem_free(other);
}
END_TEST

/* Nobody catches what would follow; then somebody does. */
START_TEST(add_of_a_file_that_can_be_cut_needs_a_handler)
{
	const struct guest_mem_region region = {0, 2 * MIB};
	int fd = sealed_file(2 * MIB, 0);
	struct error err = {""};
	char buf[1] = "x";

	ck_assert_int_eq(guest_mem_new_empty(&other), 0);
	ck_assert_int_eq(guest_mem_add(other, &region, fd, 0, &err), -EPERM);
	ck_assert_ptr_nonnull(strstr(err.text, "F_SEAL_SHRINK"));
	ck_assert_int_eq(guest_fault_install(NULL), 0);
	ck_assert_int_eq(guest_mem_add(other, &region, fd, 0, &err), 0);
	ck_assert_int_eq(guest_mem_write(other, MIB, "x", 1), 0);
	ck_assert(!guest_fault_take());
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	ck_assert_int_eq(guest_mem_read(other, MIB, buf, 1), 0);
	ck_assert_int_eq(buf[0], 0);
	ck_assert(guest_fault_take());
	ck_assert(!guest_fault_take());
	close(fd);
	guest_mem_free(other);
}
END_TEST

/* No page of it is reserved for us, sealed as it may be. */
START_TEST(add_of_huge_pages_needs_a_handler)
{
	const struct guest_mem_region region = {0, 2 * MIB};
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING |
					      MFD_HUGETLB | 21 << 26);
	struct error err = {""};
	char buf[1] = "x";

	if (fd < 0) {
		printf("skip: test_guest_mem, huge pages: this host has none "
		       "of 2 MiB\n");
		return;
	}
	ck_assert_int_eq(ftruncate(fd, 2 * MIB), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	ck_assert_ptr_null(guest_mem_map_sealed(fd, 0, 2 * MIB));
	ck_assert_int_eq(guest_mem_new_empty(&other), 0);
	ck_assert_int_eq(guest_mem_add(other, &region, fd, 0, &err), -EPERM);
	ck_assert_int_eq(guest_fault_install(NULL), 0);
	ck_assert_int_eq(guest_mem_add(other, &region, fd, 0, &err), 0);
	ck_assert_int_eq(guest_mem_read(other, MIB, buf, 1), 0);
	ck_assert_int_eq(buf[0], 0);
	close(fd);
	guest_mem_free(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guest_mem");
	TCase *tcase = tcase_create("guest_mem");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, new_with_regions_describes_them);
	tcase_add_test(tcase, new_with_regions_lies_at_huge_page);
	tcase_add_test(tcase, new_with_memfd_cannot_be_cut);
	tcase_add_test(tcase, new_with_bad_regions_is_refused);
	tcase_add_test(tcase, new_without_huge_pages_says_what_to_do);
	tcase_add_test(tcase, new_with_unknown_huge_page_size_says_so);
	tcase_add_test(tcase, new_above_host_memory_warns);
	tcase_add_test(tcase, span_inside_region_is_found);
	tcase_add_test(tcase, span_outside_region_is_refused);
	tcase_add_test(tcase, span_at_touching_regions_belongs_to_one);
	tcase_add_test(tcase, copy_inside_region_round_trips);
	tcase_add_test(tcase, copy_outside_region_changes_nothing);
	tcase_add_test(tcase, copy_with_length_zero_is_nothing);
	tcase_add_test(tcase, read_file_with_enough_copies);
	tcase_add_test(tcase, read_file_with_bad_range_is_refused);
	tcase_add_test(tcase, discard_with_content_gives_zero_pages);
	tcase_add_test(tcase, add_maps_the_file_at_its_offset);
	tcase_add_loop_test(tcase, add_impossible_region_is_refused, 0,
			    sizeof(wrong_regions) / sizeof(wrong_regions[0]));
	tcase_add_test(tcase, add_more_than_there_are_slots_is_refused);
	tcase_add_test(tcase, add_of_a_file_that_can_be_cut_needs_a_handler);
	tcase_add_test(tcase, add_of_huge_pages_needs_a_handler);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
