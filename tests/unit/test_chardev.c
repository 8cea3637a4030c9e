/*
 * The host's end of a serial port: input at the guest's pace from pipes, files
 * and their ends, output past the watch.
 */
#include "vmm/chardev.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/socket.h>

/* A device with as much room as the test says. */
struct device_end {
	size_t room;
	char got[8192];
	size_t len;
	unsigned int panics, matches;
	char tapped[64]; /* what the tap heard */
	size_t tapped_len;
	unsigned int tap_room;
	enum terminal_action action;
};

static struct loop *loop;
static struct device_end end;
static struct chardev *chardev;
static struct error err;
static struct loop_timer *turn;
static unsigned int wakeups; /* of the loop by input */

static size_t end_room(void *ctx)
{
	(void)ctx;
	wakeups++;
	return end.room;
}

static void end_input(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx;
	ck_assert_uint_le(len, end.room);
	memcpy(end.got + end.len, data, len);
	end.len += len;
	end.room -= len;
}

static void end_action(void *ctx, enum terminal_action action)
{
	(void)ctx;
	end.action = action;
}

static void end_watch(void *ctx, const struct watch_match *match)
{
	(void)ctx;
	end.panics += match->event == WATCH_PANIC;
	end.matches += match->event == WATCH_EXPECT;
	if (match->event == WATCH_EXPECT)
		loop_stop(loop);
}

static void end_tap_output(void *ctx, const uint8_t *data, size_t len)
{
	ck_assert_ptr_eq(ctx, &end);
	ck_assert_uint_le(len, sizeof(end.tapped) - end.tapped_len);
	memcpy(end.tapped + end.tapped_len, data, len);
	end.tapped_len += len;
}

static void end_tap_room(void *ctx)
{
	ck_assert_ptr_eq(ctx, &end);
	end.tap_room++;
}

static void stop(void *ctx)
{
	loop_stop(ctx);
}

/* Let the loop run for a while: long enough for what is ready by now. */
static void run(void)
{
	loop_timer_set(turn, 20 * 1000 * 1000);
	ck_assert_int_eq(loop_run(loop), 0);
}

static struct watch_patterns *expect;

static void start(int input_fd, bool escapes, size_t room)
{
	struct chardev_config config = {
		.name = "--serial",
		.expect = expect,
		.loop = loop,
		.input_fd = input_fd,
		.escapes = escapes,
		.watch = end_watch,
		.room = end_room,
		.input = end_input,
		.action = end_action,
	};

	end.room = room;
	ck_assert_int_eq(chardev_new(&chardev, &config, &err), 0);
	ck_assert_int_eq(chardev_start(chardev, &err), 0);
}

/* The guest reads: the device has room again. */
static void make_room(size_t room)
{
	struct char_backend backend = chardev_backend(chardev);

	end.room = room;
	backend.ops->input_room(backend.ctx);
	run();
}

static void tap(void)
{
	const struct chardev_tap config = {
		.output = end_tap_output,
		.input_room = end_tap_room,
		.ctx = &end,
	};

	ck_assert_int_eq(chardev_set_tap(chardev, &config, &err), 0);
}

static void print(const char *text)
{
	struct char_backend backend = chardev_backend(chardev);

	backend.ops->output(backend.ctx, (const uint8_t *)text, strlen(text));
}

static void setup(void)
{
	memset(&end, 0, sizeof(end));
	wakeups = 0;
	ck_assert_int_eq(loop_new(&loop), 0);
	ck_assert_int_eq(loop_timer_add(loop, &turn, stop, loop), 0);
}

static void teardown(void)
{
	chardev_free(chardev);
	loop_free(loop);
	watch_patterns_free(expect);
}

START_TEST(chardev_input_pipe_waits_for_the_device)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	start(fds[0], false, 4);
	ck_assert_int_eq(write(fds[1], "abcdefghij", 10), 10);
	run();
	ck_assert_mem_eq(end.got, "abcd", 4);
	ck_assert_uint_eq(end.len, 4);
	make_room(4);
	ck_assert_uint_eq(end.len, 8);
	make_room(16);
	ck_assert_uint_eq(end.len, 10);
	ck_assert_mem_eq(end.got, "abcdefghij", 10);
}
END_TEST

START_TEST(chardev_input_full_device_leaves_the_rest_in_the_pipe)
{
	static char data[4096];
	int fds[2];
	ssize_t left = 0, n;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	start(fds[0], false, 0);
	ck_assert_int_eq(write(fds[1], data, sizeof(data)), sizeof(data));
	run();
	while ((n = read(fds[0], data, sizeof(data))) > 0)
		left += n;
	ck_assert_int_ge(left, 4096 - 256);
}
END_TEST

START_TEST(chardev_input_hang_up_with_a_full_device_does_not_spin)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	start(fds[0], false, 0);
	ck_assert_int_eq(write(fds[1], "abc", 3), 3);
	close(fds[1]);
	run();
	ck_assert_uint_lt(wakeups, 10);
	make_room(16);
	ck_assert_mem_eq(end.got, "abc", 3);
	wakeups = 0;
	run();
	ck_assert_uint_eq(wakeups, 0);
}
END_TEST

START_TEST(chardev_input_end_does_not_spin)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	close(fds[1]);
	start(fds[0], false, 16);
	run();
	wakeups = 0;
	run();
	ck_assert_uint_eq(wakeups, 0);
}
END_TEST

/*
 * Two machines with the same standard input: one turn of the loop tells both
 * that there is a byte, and only one gets it. What the shell shares stays as it
 * was.
 */
static void check_stolen_input(int mine, int others, int writer)
{
	struct chardev *first;

	start(others, false, 16);
	first = chardev;
	start(mine, false, 16);
	ck_assert_int_eq(write(writer, "a", 1), 1);
	run();
	ck_assert_uint_eq(end.len, 1);
	ck_assert_int_eq(write(writer, "b", 1), 1);
	run();
	ck_assert_uint_eq(end.len, 2);
	ck_assert_int_eq(fcntl(mine, F_GETFL) & O_NONBLOCK, 0);
	chardev_free(first);
}

START_TEST(chardev_input_pipe_that_another_reads_does_not_wait)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	check_stolen_input(fds[0], dup(fds[0]), fds[1]);
}
END_TEST

START_TEST(chardev_input_socket_that_another_reads_does_not_wait)
{
	int fds[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	check_stolen_input(fds[0], dup(fds[0]), fds[1]);
}
END_TEST

/* What the reader at the other end is to get is not ours. */
START_TEST(chardev_input_writing_end_of_a_pipe_is_not_read)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	start(fds[1], false, 16);
	ck_assert_int_eq(write(fds[1], "abc", 3), 3);
	run();
	ck_assert_uint_eq(end.len, 0);
}
END_TEST

START_TEST(chardev_input_file_is_read_to_its_end)
{
	char want[200];
	int fd = memfd_create("input", MFD_CLOEXEC);

	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = (char)('a' + i % 26);
	ck_assert_int_eq(write(fd, want, sizeof(want)), sizeof(want));
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	start(fd, false, 16);
	ck_assert_uint_eq(end.len, 16);
	while (end.len < sizeof(want)) {
		size_t before = end.len;

		make_room(16);
		ck_assert_uint_gt(end.len, before);
	}
	make_room(16);
	ck_assert_uint_eq(end.len, sizeof(want));
	ck_assert_mem_eq(end.got, want, sizeof(want));
}
END_TEST

START_TEST(chardev_input_dev_null_is_at_its_end)
{
	start(open("/dev/null", O_RDONLY | O_CLOEXEC), false, 16);
	run();
	ck_assert_uint_eq(end.len, 0);
}
END_TEST

/* A hung guest reads nothing; the keys work all the same. */
START_TEST(chardev_input_quit_key_passes_a_full_device)
{
	static char data[8192];
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	start(fds[0], true, 0);
	memset(data, 'x', sizeof(data));
	ck_assert_int_eq(write(fds[1], data, sizeof(data)), sizeof(data));
	ck_assert_int_eq(write(fds[1], "\001x", 2), 2);
	run();
	ck_assert_int_eq(end.action, TERMINAL_QUIT);
}
END_TEST

START_TEST(chardev_output_panic_text_is_seen)
{
	static const char text[] = "Kernel panic - not syncing: x\n";
	struct char_backend backend;

	start(-1, false, 0);
	backend = chardev_backend(chardev);
	for (const char *c = text; *c; c++)
		backend.ops->output(backend.ctx, (const uint8_t *)c, 1);
	ck_assert_uint_eq(end.panics, 1);
}
END_TEST

START_TEST(chardev_end_line_unfinished_panic_text_is_seen)
{
	static const char text[] = "Kernel panic - not syncing: x";
	struct char_backend backend;

	start(-1, false, 0);
	backend = chardev_backend(chardev);
	backend.ops->output(backend.ctx, (const uint8_t *)text,
			    sizeof(text) - 1);
	chardev_end_line(chardev);
	ck_assert_uint_eq(end.panics, 1);
}
END_TEST

/* The loop ends by the match itself; the turn's timer is not set. */
START_TEST(chardev_output_prompt_is_matched_by_the_loop)
{
	char pattern[] = "login: $";
	char *items[] = {pattern};

	ck_assert_int_eq(
		watch_patterns_new(&expect, "--expect", items, 1, &err), 0);
	start(-1, false, 0);
	print("a line\nlogin: ");
	ck_assert_uint_eq(end.matches, 0);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_eq(end.matches, 1);
}
END_TEST

START_TEST(chardev_output_is_copied_to_the_tap)
{
	start(-1, false, 0);
	print("before");
	tap();
	print("one");
	run();
	ck_assert_uint_eq(end.tapped_len, 3);
	print("two");
	chardev_flush(chardev, 0);
	ck_assert_uint_eq(end.tapped_len, 6);
	ck_assert_mem_eq(end.tapped, "onetwo", 6);
}
END_TEST

START_TEST(chardev_input_of_a_console_reaches_the_device)
{
	start(-1, false, 4);
	tap();
	ck_assert_uint_eq(chardev_input(chardev, (const uint8_t *)"abcdef", 6),
			  6);
	ck_assert_mem_eq(end.got, "abcd", 4);
	make_room(4);
	ck_assert_uint_eq(end.len, 6);
	ck_assert_mem_eq(end.got, "abcdef", 6);
	ck_assert_uint_eq(end.tap_room, 0);
}
END_TEST

START_TEST(chardev_input_too_much_of_a_console_is_told_of_room)
{
	static const uint8_t data[8000];
	size_t taken;

	start(-1, false, 16);
	tap();
	taken = chardev_input(chardev, data, sizeof(data));
	ck_assert_uint_gt(taken, 0);
	ck_assert_uint_lt(taken, sizeof(data));
	ck_assert_uint_eq(end.tap_room, 0);
	run();
	ck_assert_uint_eq(end.tap_room, 0);
	make_room(taken);
	ck_assert_uint_eq(end.len, taken);
	ck_assert_uint_eq(end.tap_room, 1);
	make_room(taken);
	ck_assert_uint_eq(end.tap_room, 1);
}
END_TEST

/* The device takes all at once, so there is room before the call returns. */
START_TEST(chardev_input_room_is_told_after_the_call)
{
	static const uint8_t data[5000];

	start(-1, false, 8192);
	tap();
	ck_assert_uint_lt(chardev_input(chardev, data, sizeof(data)),
			  sizeof(data));
	ck_assert_uint_eq(end.tap_room, 0);
	run();
	ck_assert_uint_eq(end.tap_room, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chardev");
	TCase *tcase = tcase_create("chardev");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, chardev_input_pipe_waits_for_the_device);
	tcase_add_test(tcase,
		       chardev_input_full_device_leaves_the_rest_in_the_pipe);
	tcase_add_test(tcase,
		       chardev_input_hang_up_with_a_full_device_does_not_spin);
	tcase_add_test(tcase, chardev_input_end_does_not_spin);
	tcase_add_test(tcase,
		       chardev_input_pipe_that_another_reads_does_not_wait);
	tcase_add_test(tcase,
		       chardev_input_socket_that_another_reads_does_not_wait);
	tcase_add_test(tcase, chardev_input_writing_end_of_a_pipe_is_not_read);
	tcase_add_test(tcase, chardev_input_file_is_read_to_its_end);
	tcase_add_test(tcase, chardev_input_dev_null_is_at_its_end);
	tcase_add_test(tcase, chardev_input_quit_key_passes_a_full_device);
	tcase_add_test(tcase, chardev_output_panic_text_is_seen);
	tcase_add_test(tcase, chardev_end_line_unfinished_panic_text_is_seen);
	tcase_add_test(tcase, chardev_output_prompt_is_matched_by_the_loop);
	tcase_add_test(tcase, chardev_output_is_copied_to_the_tap);
	tcase_add_test(tcase, chardev_input_of_a_console_reaches_the_device);
	tcase_add_test(tcase,
		       chardev_input_too_much_of_a_console_is_told_of_room);
	tcase_add_test(tcase, chardev_input_room_is_told_after_the_call);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
