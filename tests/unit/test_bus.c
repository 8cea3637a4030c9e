/*
 * Address dispatch: overlaps, limits, splitting, odd sizes, and maps that
 * change while the bus is in use.
 */
#include "vmm/bus.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MAX 16

/* Records each piece that it is handed. */
struct probe {
	struct {
		uint64_t offset;
		unsigned int size;
		uint64_t value;
		bool write;
	} log[LOG_MAX];
	unsigned int count;
};

static uint64_t probe_read(void *ctx, uint64_t offset, unsigned int size)
{
	struct probe *probe = ctx;

	ck_assert_uint_lt(probe->count, LOG_MAX);
	probe->log[probe->count].offset = offset;
	probe->log[probe->count++].size = size;
	/* Each byte is its offset, so that the order of pieces shows. */
	return (0x0706050403020100 + 0x0101010101010101 * (offset & 0xf));
}

static void probe_write(void *ctx, uint64_t offset, unsigned int size,
			uint64_t value)
{
	struct probe *probe = ctx;

	ck_assert_uint_lt(probe->count, LOG_MAX);
	probe->log[probe->count].offset = offset;
	probe->log[probe->count].size = size;
	probe->log[probe->count].value = value;
	probe->log[probe->count++].write = true;
}

static const struct bus_ops probe_bytes = {probe_read, probe_write, 1};
static const struct bus_ops probe_words = {probe_read, probe_write, 4};
static const struct bus_ops probe_quads = {probe_read, probe_write, 8};

static struct bus *bus;
static struct probe probe;

static void setup(void)
{
	memset(&probe, 0, sizeof(probe));
	ck_assert_int_eq(bus_new(&bus, UINT64_MAX), 0);
}

static void teardown(void)
{
	bus_free(bus);
}

static int map(uint64_t base, uint64_t size)
{
	return bus_map(bus, base, size, &probe_bytes, &probe, "probe");
}

START_TEST(bus_map_overlap_is_refused)
{
	ck_assert_int_eq(map(0x100, 0x10), 0);
	ck_assert_int_eq(map(0x100, 0x10), -EEXIST);
	ck_assert_int_eq(map(0x10f, 1), -EEXIST);
	ck_assert_int_eq(map(0xf0, 0x11), -EEXIST);
	ck_assert_int_eq(map(0, 0x1000), -EEXIST);
	ck_assert_int_eq(map(0x105, 2), -EEXIST);
	ck_assert_int_eq(map(0x110, 1), 0);
	ck_assert_int_eq(map(0xff, 1), 0);
}
END_TEST

START_TEST(bus_map_empty_or_wrapping_is_refused)
{
	ck_assert_int_eq(map(0x100, 0), -EINVAL);
	ck_assert_int_eq(map(UINT64_MAX, 2), -EINVAL);
	ck_assert_int_eq(map(2, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(map(UINT64_MAX, 1), 0);
}
END_TEST

START_TEST(bus_map_past_the_limit_is_refused)
{
	struct bus *ports;

	ck_assert_int_eq(bus_new(&ports, 0xffff), 0);
	ck_assert_int_eq(
		bus_map(ports, 0xfff8, 8, &probe_bytes, &probe, "probe"), 0);
	ck_assert_int_eq(
		bus_map(ports, 0xfff0, 0x11, &probe_bytes, &probe, "probe"),
		-EINVAL);
	bus_free(ports);
}
END_TEST

START_TEST(bus_unmap_takes_only_what_is_there)
{
	uint8_t data[1];

	ck_assert_int_eq(map(0x100, 0x10), 0);
	ck_assert_int_eq(bus_unmap(bus, 0x101), -ENOENT);
	ck_assert_int_eq(bus_unmap(bus, 0x100), 0);
	ck_assert_int_eq(bus_unmap(bus, 0x100), -ENOENT);
	bus_read(bus, 0x100, data, 1);
	ck_assert_uint_eq(data[0], 0xff);
	ck_assert_uint_eq(probe.count, 0);
}
END_TEST

START_TEST(bus_read_nobody_there_gives_ones)
{
	uint8_t data[8] = {0};
	static const uint8_t ones[8] = {0xff, 0xff, 0xff, 0xff,
					0xff, 0xff, 0xff, 0xff};

	bus_read(bus, 0x100, data, 8);
	ck_assert_mem_eq(data, ones, 8);
	bus_read(bus, UINT64_MAX - 3, data, 8); /* wraps */
	ck_assert_mem_eq(data, ones, 8);
	bus_write(bus, UINT64_MAX - 3, data, 8);
}
END_TEST

START_TEST(bus_read_wide_is_split_for_a_byte_device)
{
	static const uint8_t want[4] = {2, 3, 4, 5};
	uint8_t data[4];

	ck_assert_int_eq(map(0x100, 0x10), 0);
	bus_read(bus, 0x102, data, 4);
	ck_assert_mem_eq(data, want, 4);
	ck_assert_uint_eq(probe.count, 4);
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_uint_eq(probe.log[i].offset, 2 + i);
		ck_assert_uint_eq(probe.log[i].size, 1);
	}
}
END_TEST

/* Address, length, and the sizes of the pieces that must come of it. */
static const struct {
	unsigned int at, len;
	unsigned int sizes[4];
} splits[] = {
	{0, 8, {8}},	   {0, 4, {4}},	      {4, 8, {4, 4}}, {1, 2, {1, 1}},
	{1, 4, {1, 2, 1}}, {2, 4, {2, 2}},    {0, 3, {2, 1}}, {1, 3, {1, 2}},
	{0, 7, {4, 2, 1}}, {1, 7, {1, 2, 4}}, {8, 5, {4, 1}},
};

START_TEST(bus_write_pieces_are_aligned)
{
	static const uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	unsigned int done = 0;

	ck_assert_int_eq(
		bus_map(bus, 0x1000, 0x100, &probe_quads, &probe, "quads"), 0);
	bus_write(bus, 0x1000 + splits[_i].at, data, splits[_i].len);
	for (unsigned int i = 0; i < probe.count; i++) {
		uint64_t want = 0;

		memcpy(&want, data + done, splits[_i].sizes[i]);
		ck_assert_uint_eq(probe.log[i].size, splits[_i].sizes[i]);
		ck_assert_uint_eq(probe.log[i].offset, splits[_i].at + done);
		ck_assert_uint_eq(probe.log[i].value, want);
		done += splits[_i].sizes[i];
	}
	ck_assert_uint_eq(done, splits[_i].len);
}
END_TEST

START_TEST(bus_read_across_ranges_asks_each)
{
	static const uint8_t want[8] = {0xe, 0xf, 0, 1, 2, 3, 0xff, 0xff};
	uint8_t data[8];

	ck_assert_int_eq(map(0x100, 0x10), 0);
	ck_assert_int_eq(bus_map(bus, 0x110, 4, &probe_words, &probe, "words"),
			 0);
	bus_read(bus, 0x10e, data, 8);
	ck_assert_mem_eq(data, want, 8);
	ck_assert_uint_eq(probe.count, 3);
	ck_assert_uint_eq(probe.log[2].size, 4);
}
END_TEST

START_TEST(bus_write_piece_never_passes_the_end)
{
	static const uint8_t data[8] = {0};

	ck_assert_int_eq(bus_map(bus, 0x1000, 6, &probe_quads, &probe, "six"),
			 0);
	bus_write(bus, 0x1000, data, 8);
	ck_assert_uint_eq(probe.count, 2);
	ck_assert_uint_eq(probe.log[0].size, 4);
	ck_assert_uint_eq(probe.log[1].size, 2);
}
END_TEST

START_TEST(bus_map_random_program_matches_a_model)
{
	enum {
		SPACE = 64,
		ROUNDS = 20000
	};
	uint64_t sizes[SPACE] = {0}; /* of the range that starts there */

	srand(1);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		uint64_t base = (uint64_t)rand() % SPACE;
		uint64_t size = 1 + (uint64_t)rand() % 6;
		int want = 0;

		if (rand() & 1) {
			ck_assert_int_eq(bus_unmap(bus, base),
					 sizes[base] ? 0 : -ENOENT);
			sizes[base] = 0;
			continue;
		}
		for (uint64_t i = 0; i < SPACE; i++) {
			uint64_t there = sizes[i];

			if (there && i < base + size && base < i + there)
				want = -EEXIST;
		}
		ck_assert_int_eq(map(base, size), want);
		if (!want)
			sizes[base] = size;
	}
}
END_TEST

static _Atomic bool quit;

static uint64_t constant_read(void *ctx, uint64_t offset, unsigned int size)
{
	(void)ctx;
	(void)offset;
	(void)size;
	return 0x55;
}

static void constant_write(void *ctx, uint64_t offset, unsigned int size,
			   uint64_t value)
{
	(void)ctx;
	(void)offset;
	(void)size;
	(void)value;
}

static const struct bus_ops constant_ops = {constant_read, constant_write, 1};

static void *reader(void *arg)
{
	uintptr_t wrong = 0;
	uint8_t data;

	(void)arg;
	while (!quit) {
		bus_read(bus, 0x200, &data, 1);
		wrong += data != 0x55;
		bus_read(bus, 0x100, &data, 1);
		wrong += data != 0x55 && data != 0xff;
	}
	return (void *)wrong;
}

/* Run it with SANITIZE=thread for what it is worth. */
START_TEST(bus_map_while_others_read_is_safe)
{
	pthread_t threads[2];
	void *wrong;

	quit = false;
	ck_assert_int_eq(bus_map(bus, 0x200, 1, &constant_ops, NULL, "fixed"),
			 0);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, reader, NULL), 0);
	for (unsigned int i = 0; i < 5000; i++) {
		ck_assert_int_eq(
			bus_map(bus, 0x100, 8, &constant_ops, NULL, "moving"),
			0);
		ck_assert_int_eq(bus_unmap(bus, 0x100), 0);
	}
	quit = true;
	for (unsigned int i = 0; i < 2; i++) {
		pthread_join(threads[i], &wrong);
		ck_assert_ptr_null(wrong);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus");
	TCase *tcase = tcase_create("bus");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, bus_map_overlap_is_refused);
	tcase_add_test(tcase, bus_map_empty_or_wrapping_is_refused);
	tcase_add_test(tcase, bus_map_past_the_limit_is_refused);
	tcase_add_test(tcase, bus_unmap_takes_only_what_is_there);
	tcase_add_test(tcase, bus_read_nobody_there_gives_ones);
	tcase_add_test(tcase, bus_read_wide_is_split_for_a_byte_device);
	tcase_add_loop_test(tcase, bus_write_pieces_are_aligned, 0,
			    sizeof(splits) / sizeof(splits[0]));
	tcase_add_test(tcase, bus_read_across_ranges_asks_each);
	tcase_add_test(tcase, bus_write_piece_never_passes_the_end);
	tcase_add_test(tcase, bus_map_random_program_matches_a_model);
	tcase_add_test(tcase, bus_map_while_others_read_is_safe);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
