/* The entropy device: how much it gives, from where, and to whom it does not.
 */
#include "virtio/rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <check.h>

#include "tests/unit/support/model_driver.h"
#include "virtio/options.h"

static struct model_driver guest;
static struct virtio_rng_options options;
static char dir[] = "/tmp/test_rng.XXXXXX";
static char path[sizeof(dir) + 16];

static void setup(void)
{
	strcpy(dir, "/tmp/test_rng.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/source", dir);
	options = (struct virtio_rng_options){.source = NULL};
}

static void teardown(void)
{
	unlink(path);
	rmdir(dir);
}

static void begin(void)
{
	model_driver_init(&guest, &virtio_rng_ops, &options);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
}

static void append(const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static uint64_t ask(uint32_t len)
{
	uint64_t gpa = model_driver_alloc(&guest, len);

	model_driver_give(&guest, 0, gpa, len, true);
	return gpa;
}

static bool nothing_used(void)
{
	struct ring_driver_used used;

	return ring_driver_collect(guest.rings[0], &used) == 0;
}

/* --- What it gives ----------------------------------------------------- */

START_TEST(queue_ready_short_buffer_is_filled_with_noise)
{
	uint64_t a, b;

	begin();
	a = ask(64);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 64);
	b = ask(64);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 64);
	ck_assert_mem_ne(model_driver_host(&guest, a, 64),
			 model_driver_host(&guest, b, 64), 64);
	model_driver_fini(&guest);
}
END_TEST

START_TEST(queue_ready_packed_ring_is_served)
{
	model_driver_init(&guest, &virtio_rng_ops, &options);
	guest.packed = true;
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	ask(100);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 100);
	model_driver_fini(&guest);
}
END_TEST

START_TEST(queue_ready_scattered_buffer_is_filled_in_order)
{
	struct ring_driver_chain chain = {.writable_count = 3};
	uint64_t gpa;

	options.source = path;
	append("abcdefgh");
	begin();
	gpa = model_driver_alloc(&guest, 4096);
	chain.writable[0] = (struct ring_driver_buffer){gpa + 100, 3};
	chain.writable[1] = (struct ring_driver_buffer){gpa, 1};
	chain.writable[2] = (struct ring_driver_buffer){gpa + 200, 10};
	ck_assert_int_ge(ring_driver_add(guest.rings[0], &chain), 0);
	model_driver_kick(&guest, 0);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 8);
	ck_assert_mem_eq(model_driver_host(&guest, gpa + 100, 3), "abc", 3);
	ck_assert_mem_eq(model_driver_host(&guest, gpa, 1), "d", 1);
	ck_assert_mem_eq(model_driver_host(&guest, gpa + 200, 5), "efgh", 5);
	model_driver_fini(&guest);
}
END_TEST

/* Hostile 30: 16 buffers of 16 MiB each, that is 256 MiB in one request. */
START_TEST(queue_ready_huge_buffer_gets_a_chunk)
{
	struct ring_driver_chain chain = {.writable_count = 16};
	uint64_t gpa;

	begin();
	gpa = model_driver_alloc(&guest, 16u << 20);
	for (unsigned int i = 0; i < 16; i++)
		chain.writable[i] = (struct ring_driver_buffer){gpa, 16u << 20};
	ck_assert_int_ge(ring_driver_add(guest.rings[0], &chain), 0);
	model_driver_kick(&guest, 0);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len,
			  VIRTIO_RNG_CHUNK);
	ck_assert_mem_eq(model_driver_host(&guest, gpa + VIRTIO_RNG_CHUNK, 8),
			 "\0\0\0\0\0\0\0", 8);
	model_driver_fini(&guest);
}
END_TEST

START_TEST(queue_ready_greedy_guest_is_held_to_the_rate)
{
	const unsigned int requests = 8;
	uint64_t least = (requests * VIRTIO_RNG_CHUNK - VIRTIO_RNG_BURST) *
			 UINT64_C(1000000000) / VIRTIO_RNG_RATE;
	uint64_t gpa;
	int64_t start;

	begin();
	start = loop_now();
	gpa = model_driver_alloc(&guest, VIRTIO_RNG_CHUNK);
	for (unsigned int i = 0; i < requests; i++)
		model_driver_give(&guest, 0, gpa, VIRTIO_RNG_CHUNK, true);
	for (unsigned int i = 0; i < requests; i++)
		ck_assert_uint_eq(model_driver_collect(&guest, 0).len,
				  VIRTIO_RNG_CHUNK);
	ck_assert_uint_ge((uint64_t)(loop_now() - start), least);
	model_driver_fini(&guest);
}
END_TEST

/* A request of one byte has its price, too. */
START_TEST(queue_ready_many_short_requests_are_held_to_the_rate)
{
	const unsigned int requests =
		2 * VIRTIO_RNG_BURST / VIRTIO_RNG_COST; /* twice the burst */
	uint64_t least =
		VIRTIO_RNG_BURST * UINT64_C(1000000000) / VIRTIO_RNG_RATE;
	int64_t start;
	uint64_t gpa;

	begin();
	start = loop_now();
	gpa = model_driver_alloc(&guest, 16);
	for (unsigned int i = 0; i < requests; i += VIRTIO_RNG_QUEUE_SIZE) {
		for (unsigned int j = 0; j < VIRTIO_RNG_QUEUE_SIZE; j++)
			model_driver_give(&guest, 0, gpa, 1, true);
		for (unsigned int j = 0; j < VIRTIO_RNG_QUEUE_SIZE; j++)
			model_driver_collect(&guest, 0);
	}
	ck_assert_uint_ge((uint64_t)(loop_now() - start), least);
	model_driver_fini(&guest);
}
END_TEST

/* --- What it refuses --------------------------------------------------- */

START_TEST(queue_ready_readable_buffer_needs_reset_and_works_again)
{
	begin();
	model_driver_send(&guest, 0, "seed", 4);
	model_driver_settle(&guest);
	ck_assert_uint_eq(guest.needs_resets, 1);
	ck_assert(nothing_used());
	ask(8); /* nobody looks at it */
	model_driver_settle(&guest);
	ck_assert(nothing_used());

	model_driver_reset(&guest);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	ask(8);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 8);
	ck_assert_uint_eq(guest.needs_resets, 1);
	model_driver_fini(&guest);
}
END_TEST

START_TEST(queue_ready_empty_buffer_needs_reset)
{
	begin();
	model_driver_give(&guest, 0, model_driver_alloc(&guest, 16), 0, true);
	model_driver_settle(&guest);
	ck_assert_uint_eq(guest.needs_resets, 1);
	model_driver_fini(&guest);
}
END_TEST

START_TEST(queue_ready_broken_ring_needs_reset)
{
	begin();
	ring_driver_avail(guest.rings[0])->idx = 0x7777;
	eventfd_write(virtio_device_kick_fd(guest.device, 0), 1);
	model_driver_settle(&guest);
	ck_assert_uint_eq(guest.needs_resets, 1);
	model_driver_fini(&guest);
}
END_TEST

/* --- Sources ----------------------------------------------------------- */

START_TEST(queue_ready_file_gives_short_pieces)
{
	char text[VIRTIO_RNG_FILE_CHUNK + 200];
	uint64_t gpa;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	append(text);
	options.source = path;
	begin();
	gpa = ask(4096);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len,
			  VIRTIO_RNG_FILE_CHUNK);
	ck_assert_mem_eq(model_driver_host(&guest, gpa, VIRTIO_RNG_FILE_CHUNK),
			 text, VIRTIO_RNG_FILE_CHUNK);
	ask(4096);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 199);
	model_driver_fini(&guest);
}
END_TEST

START_TEST(queue_ready_ended_file_holds_the_request_until_it_grows)
{
	uint64_t gpa;

	append("");
	options.source = path;
	begin();
	gpa = ask(64);
	model_driver_settle(&guest);
	ck_assert(nothing_used());
	append("more");
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 4);
	ck_assert_mem_eq(model_driver_host(&guest, gpa, 4), "more", 4);
	ck_assert_uint_eq(guest.needs_resets, 0);
	model_driver_fini(&guest);
}
END_TEST

START_TEST(queue_ready_fifo_waits_for_its_writer)
{
	uint64_t gpa;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	options.source = path;
	begin();
	gpa = ask(64);
	model_driver_settle(&guest);
	ck_assert(nothing_used());
	append("fifo");
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 4);
	ck_assert_mem_eq(model_driver_host(&guest, gpa, 4), "fifo", 4);
	model_driver_fini(&guest);
}
END_TEST

static void refused(const char *source, const char *text)
{
	const struct virtio_open args = {.option = "--rng",
					 .options = &options};
	struct virtio_resources resources = {.fd_count = 0};
	struct error err = {""};

	options.source = strdup(source);
	ck_assert_int_lt(virtio_rng_ops.open(&args, &resources, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, text));
	ck_assert_ptr_nonnull(strstr(err.text, "--rng"));
	ck_assert_ptr_nonnull(strstr(err.text, source));
	ck_assert_uint_eq(resources.fd_count, 0);
	virtio_resources_fini(&resources);
	free(options.source);
}

START_TEST(open_unfit_source_is_refused)
{
	refused("/nonexistent/rng", "No such file");
	refused(dir, "directory");
}
END_TEST

START_TEST(keep_fds_names_the_source)
{
	int fds[VIRTIO_DEVICE_FDS_MAX];
	unsigned int without, with;

	begin();
	without = virtio_device_keep_fds(guest.device, fds);
	model_driver_fini(&guest);
	append("x");
	options.source = path;
	begin();
	with = virtio_device_keep_fds(guest.device, fds);
	ck_assert_uint_eq(with, without + 1);
	ck_assert_int_eq(fds[with - 1], guest.resources.fds[0]);
	model_driver_fini(&guest);
}
END_TEST

/* --- Sleep, save, reset ------------------------------------------------ */

START_TEST(sleep_held_request_is_served_after_wake)
{
	append("");
	options.source = path;
	begin();
	ask(64);
	model_driver_settle(&guest);
	model_driver_sleep(&guest);
	append("awake");
	model_driver_settle(&guest);
	ck_assert(nothing_used());
	model_driver_wake(&guest);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 5);
	model_driver_fini(&guest);
}
END_TEST

START_TEST(restore_fresh_device_serves_what_was_held)
{
	struct error err = {""};
	json_t *first, *second;

	append("");
	options.source = path;
	begin();
	ask(64);
	model_driver_settle(&guest);
	model_driver_sleep(&guest);
	first = model_driver_snapshot(&guest);
	model_driver_replace(&guest);
	model_driver_sleep(&guest);
	ck_assert_msg(model_driver_restore(&guest, first, &err) == 0, "%s",
		      err.text);
	second = model_driver_snapshot(&guest);
	ck_assert(json_equal(first, second));
	append("again");
	model_driver_wake(&guest);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 5);
	json_decref(first);
	json_decref(second);
	model_driver_fini(&guest);
}
END_TEST

START_TEST(restore_unknown_state_is_refused)
{
	json_t *state = json_pack("{s:i}", "tokens", 5);
	struct error err = {""};

	begin();
	ck_assert_int_eq(virtio_rng_ops.restore(NULL, state, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "tokens"));
	json_decref(state);
	model_driver_fini(&guest);
}
END_TEST

START_TEST(reset_held_request_is_dropped)
{
	append("");
	options.source = path;
	begin();
	ask(64);
	model_driver_settle(&guest);
	model_driver_reset(&guest);
	append("late");
	model_driver_settle(&guest);
	ck_assert(nothing_used());
	model_driver_fini(&guest);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rng");
	TCase *tc = tcase_create("rng");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, queue_ready_short_buffer_is_filled_with_noise);
	tcase_add_test(tc, queue_ready_packed_ring_is_served);
	tcase_add_test(tc, queue_ready_scattered_buffer_is_filled_in_order);
	tcase_add_test(tc, queue_ready_huge_buffer_gets_a_chunk);
	tcase_add_test(tc, queue_ready_greedy_guest_is_held_to_the_rate);
	tcase_add_test(tc,
		       queue_ready_many_short_requests_are_held_to_the_rate);
	tcase_add_test(tc,
		       queue_ready_readable_buffer_needs_reset_and_works_again);
	tcase_add_test(tc, queue_ready_empty_buffer_needs_reset);
	tcase_add_test(tc, queue_ready_broken_ring_needs_reset);
	tcase_add_test(tc, queue_ready_file_gives_short_pieces);
	tcase_add_test(tc,
		       queue_ready_ended_file_holds_the_request_until_it_grows);
	tcase_add_test(tc, queue_ready_fifo_waits_for_its_writer);
	tcase_add_test(tc, open_unfit_source_is_refused);
	tcase_add_test(tc, keep_fds_names_the_source);
	tcase_add_test(tc, sleep_held_request_is_served_after_wake);
	tcase_add_test(tc, restore_fresh_device_serves_what_was_held);
	tcase_add_test(tc, restore_unknown_state_is_refused);
	tcase_add_test(tc, reset_held_request_is_dropped);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
