/*
 * Main's side of --console: the test is the device at one end and the user at
 * the other, readers that stall on either side included.
 */
#include "vmm/console.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#include <check.h>

#include "vmm/stream.h"

#define SECOND INT64_C(1000000000)

static struct loop *loop;
static struct loop_timer *timer;
static struct consoles *consoles;
static struct options options;
static struct options_console items[VIRTIO_CONSOLE_PORTS_MAX];
static struct watch_patterns *expect;
static struct error err;
static char dir[32], path[64];
static int device[VIRTIO_CONSOLE_PORTS_MAX]; /* the device's ends */

static struct {
	char port[32]; /* of the last match */
	unsigned int matches;
	unsigned int sizes;
	unsigned int size_port, cols, rows;
} seen;

static void on_watch(void *ctx, const char *port,
		     const struct watch_match *match)
{
	ck_assert_ptr_eq(ctx, &seen);
	snprintf(seen.port, sizeof(seen.port), "%s", port);
	seen.matches += match->event == WATCH_EXPECT;
}

static void on_action(void *ctx, enum terminal_action action)
{
	(void)ctx;
	(void)action;
}

static void on_size(void *ctx, unsigned int port, uint16_t cols, uint16_t rows)
{
	ck_assert_ptr_eq(ctx, &seen);
	seen.sizes++;
	seen.size_port = port;
	seen.cols = cols;
	seen.rows = rows;
}

static void stop(void *ctx)
{
	loop_stop(ctx);
}

static void setup(void)
{
	char *pattern = (char[]){"login:"};

	signal(SIGPIPE, SIG_IGN);
	strcpy(dir, "/tmp/test_console.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/out", dir);
	ck_assert_int_eq(loop_new(&loop), 0);
	ck_assert_int_eq(loop_timer_add(loop, &timer, stop, loop), 0);
	ck_assert_int_eq(
		watch_patterns_new(&expect, "--expect", &pattern, 1, &err), 0);
	memset(&options, 0, sizeof(options));
	memset(items, 0, sizeof(items));
	options.consoles.items = items;
}

static void teardown(void)
{
	consoles_free(consoles);
	for (size_t i = 0; i < options.consoles.count; i++)
		if (device[i] > 0)
			close(device[i]);
	watch_patterns_free(expect);
	loop_free(loop);
	unlink(path);
	rmdir(dir);
}

static struct options_console *add(enum options_to to, char *name)
{
	struct options_console *item = &items[options.consoles.count++];

	item->end.to = to;
	item->name = name;
	if (to == OPTIONS_TO_FILE)
		item->end.file = path;
	return item;
}

static int try_new(void)
{
	const struct consoles_config config = {
		.loop = loop,
		.options = &options,
		.expect = expect,
		.watch = on_watch,
		.action = on_action,
		.size = on_size,
		.ctx = &seen,
	};

	return consoles_new(&consoles, &config, &err);
}

/* As devices_open() does it: with copies. */
static void begin(void)
{
	const struct virtio_console_options *given;

	ck_assert_msg(try_new() == 0, "%s", err.text);
	given = consoles_device(consoles);
	ck_assert_uint_eq(given->port_count, options.consoles.count);
	for (size_t i = 0; i < given->port_count; i++)
		device[i] = fcntl(given->ports[i].fd, F_DUPFD_CLOEXEC, 0);
	consoles_opened(consoles);
	ck_assert_msg(consoles_start(consoles, &err) == 0, "%s", err.text);
}

static void run(int64_t ns)
{
	loop_timer_set(timer, ns);
	ck_assert_int_eq(loop_run(loop), 0);
}

static void settle(void)
{
	for (unsigned int i = 0; i < 40; i++)
		run(0);
}

static void print(unsigned int port, const char *text)
{
	ck_assert_int_eq(write(device[port], text, strlen(text)), strlen(text));
}

/* What the device reads: text of at most size - 1 bytes. */
static const char *typed(unsigned int port)
{
	static char text[8192];
	ssize_t len = read(device[port], text, sizeof(text) - 1);

	text[len > 0 ? len : 0] = '\0';
	return text;
}

static const char *in_file(void)
{
	static char text[256];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	ck_assert_int_ge(fd, 0);
	len = read(fd, text, sizeof(text) - 1);
	text[len > 0 ? len : 0] = '\0';
	close(fd);
	return text;
}

/* fds[0] is now stdin's other end, fds[1] that of stdout. */
static void stdio(int fds[2])
{
	int in[2], out[2];

	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(dup2(in[0], STDIN_FILENO), STDIN_FILENO);
	ck_assert_int_eq(dup2(out[1], STDOUT_FILENO), STDOUT_FILENO);
	close(in[0]);
	close(out[1]);
	fds[0] = in[1];
	fds[1] = out[0];
}

/* --- What there is ----------------------------------------------------- */

START_TEST(new_none_gives_nothing_that_can_be_used)
{
	ck_assert_int_eq(try_new(), 0);
	ck_assert_ptr_null(consoles);
	ck_assert_ptr_null(consoles_device(consoles));
	consoles_opened(consoles);
	ck_assert_int_eq(consoles_start(consoles, &err), 0);
	ck_assert(!consoles_on_stdio(consoles));
	ck_assert_ptr_null(consoles_main(consoles));
	consoles_drain(consoles);
	consoles_flush(consoles, SECOND);
	ck_assert_uint_eq(consoles_dropped(consoles), 0);
	ck_assert_int_eq(consoles_last_output(consoles), 0);
}
END_TEST

START_TEST(device_consoles_stand_before_named_ports)
{
	char agent[] = "agent", log[] = "log";
	const struct virtio_console_options *given;

	add(OPTIONS_TO_NULL, agent)->common.slot = 7;
	add(OPTIONS_TO_NULL, NULL);
	add(OPTIONS_TO_NULL, log);
	add(OPTIONS_TO_FILE, NULL);
	begin();
	given = consoles_device(consoles);
	ck_assert_uint_eq(given->common.slot, 7);
	ck_assert_ptr_null(given->ports[0].name);
	ck_assert_ptr_null(given->ports[1].name);
	ck_assert_str_eq(given->ports[2].name, "agent");
	ck_assert_str_eq(given->ports[3].name, "log");
	ck_assert_uint_eq(consoles_main_port(consoles), 1);
	ck_assert_ptr_nonnull(consoles_main(consoles));
	ck_assert(!consoles_on_stdio(consoles));
	/* The file is hvc1's. */
	print(1, "login: ");
	print(2, "elsewhere");
	settle();
	consoles_drain(consoles);
	consoles_flush(consoles, SECOND);
	ck_assert_str_eq(in_file(), "login: ");
	ck_assert_str_eq(seen.port, "hvc1");
	ck_assert_uint_eq(seen.matches, 1);
}
END_TEST

START_TEST(new_bad_files_are_refused)
{
	add(OPTIONS_TO_FILE, NULL)->end.file = dir;
	ck_assert_int_lt(try_new(), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "--console"));
	ck_assert_ptr_nonnull(strstr(err.text, dir));
	options.dry_run = true;
	err.text[0] = '\0';
	ck_assert_int_lt(try_new(), 0);
	ck_assert_ptr_nonnull(strstr(err.text, dir));
}
END_TEST

START_TEST(new_dry_run_makes_no_file)
{
	options.dry_run = true;
	add(OPTIONS_TO_FILE, NULL);
	ck_assert_int_eq(try_new(), 0);
	ck_assert_int_lt(access(path, F_OK), 0);
}
END_TEST

/* --- Output ------------------------------------------------------------ */

START_TEST(drain_last_words_are_read_and_matched)
{
	char agent[] = "agent";

	add(OPTIONS_TO_FILE, agent);
	begin();
	print(0, "this is not a\nlogin:");
	/* No turn of the loop. */
	consoles_drain(consoles);
	ck_assert_uint_eq(seen.matches, 1);
	ck_assert_str_eq(seen.port, "agent");
	ck_assert_int_gt(consoles_last_output(consoles), 0);
	consoles_flush(consoles, SECOND);
	ck_assert_str_eq(in_file(), "this is not a\nlogin:");
}
END_TEST

/* Hostile 30: a flood, and nobody reads stdout. */
START_TEST(output_stalled_reader_costs_output_and_no_time)
{
	static char block[65536];
	const uint64_t total = 8u << 20;
	uint64_t sent = 0;
	int64_t last = loop_now();
	int fds[2];

	stdio(fds);
	add(OPTIONS_TO_STDIO, NULL);
	begin();
	memset(block, 'x', sizeof(block));
	while (sent < total) {
		ssize_t len = write(device[0], block, sizeof(block));

		if (len > 0) {
			sent += (uint64_t)len;
			last = loop_now();
		}
		ck_assert_int_lt(loop_now() - last, 5 * SECOND);
		run(0);
	}
	settle();
	ck_assert_uint_gt(consoles_dropped(consoles),
			  total - 2 * STREAM_RING_SIZE);
	/* What was dropped came from the end: the beginning is there. */
	ck_assert_int_eq(read(fds[1], block, sizeof(block)), sizeof(block));
	close(fds[1]);
}
END_TEST

START_TEST(output_device_that_is_gone_is_left_alone)
{
	clock_t cpu;

	add(OPTIONS_TO_FILE, NULL);
	begin();
	print(0, "last words");
	close(device[0]);
	device[0] = -1;
	cpu = clock();
	run(SECOND * 3 / 10);
	ck_assert_int_lt(clock() - cpu, CLOCKS_PER_SEC / 10);
	consoles_drain(consoles);
	consoles_flush(consoles, SECOND);
	ck_assert_str_eq(in_file(), "last words");
}
END_TEST

/* --- Input ------------------------------------------------------------- */

START_TEST(input_stdin_reaches_the_port)
{
	int fds[2];

	stdio(fds);
	add(OPTIONS_TO_NULL, NULL);
	add(OPTIONS_TO_STDIO, NULL);
	begin();
	ck_assert(consoles_on_stdio(consoles));
	ck_assert_uint_eq(consoles_main_port(consoles), 1);
	ck_assert_int_eq(write(fds[0], "root\n", 5), 5);
	settle();
	ck_assert_str_eq(typed(1), "root\n");
	ck_assert_str_eq(typed(0), "");
	print(1, "Password: ");
	settle();
	ck_assert_int_eq(read(fds[1], (char[16]){0}, 16), 10);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* A guest that reads nothing: the writer waits, and nothing is lost. */
START_TEST(input_guest_that_stalls_holds_the_writer_up)
{
	uint64_t written = 0, got = 0;
	bool same = true;
	int fds[2];
	char byte;

	stdio(fds);
	ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	add(OPTIONS_TO_STDIO, NULL);
	begin();
	for (unsigned int idle = 0; idle < 100; idle++) {
		byte = (char)(written % 251);
		while (write(fds[0], &byte, 1) == 1) {
			byte = (char)(++written % 251);
			idle = 0;
		}
		run(0);
	}
	/* A pipe, both buffers, and what a socket takes at least. */
	ck_assert_uint_lt(written, 65536 + 32768);
	close(fds[0]);
	for (unsigned int idle = 0; idle < 100; idle++) {
		while (read(device[0], &byte, 1) == 1) {
			same &= byte == (char)(got++ % 251);
			idle = 0;
		}
		run(0);
	}
	ck_assert(same);
	ck_assert_uint_eq(got, written);
	close(fds[1]);
}
END_TEST

static unsigned int rooms;

static void on_tap_output(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx;
	(void)data;
	(void)len;
}

static void on_tap_room(void *ctx)
{
	(void)ctx;
	rooms++;
}

/* Somebody who is attached types more than there is room for. */
START_TEST(input_attached_console_is_told_of_room)
{
	const struct chardev_tap tap = {
		.output = on_tap_output,
		.input_room = on_tap_room,
	};
	static const uint8_t text[4096];
	struct chardev *chardev;
	size_t taken = 0, more;
	ssize_t len;
	uint64_t got = 0;

	add(OPTIONS_TO_FILE, NULL);
	begin();
	chardev = consoles_main(consoles);
	ck_assert_int_eq(chardev_set_tap(chardev, &tap, &err), 0);
	do {
		more = chardev_input(chardev, text, sizeof(text));
		taken += more;
		settle();
	} while (more == sizeof(text) && taken < 1u << 20);
	ck_assert_uint_lt(taken, 1u << 20);
	ck_assert_uint_eq(rooms, 0);
	for (unsigned int idle = 0; idle < 100; idle++) {
		static char data[8192];

		while ((len = read(device[0], data, sizeof(data))) > 0) {
			got += (uint64_t)len;
			idle = 0;
		}
		run(0);
	}
	ck_assert_uint_eq(got, taken);
	ck_assert_uint_eq(rooms, 1);
}
END_TEST

/* --- Size -------------------------------------------------------------- */

static void set_size(int fd, unsigned short cols, unsigned short rows)
{
	const struct winsize size = {.ws_col = cols, .ws_row = rows};

	ck_assert_int_eq(ioctl(fd, TIOCSWINSZ, &size), 0);
}

START_TEST(start_size_of_the_terminal_is_told_and_followed)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char agent[] = "agent";
	int slave;

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(slave, 0);
	ck_assert_int_eq(dup2(slave, STDIN_FILENO), STDIN_FILENO);
	ck_assert_int_eq(dup2(slave, STDOUT_FILENO), STDOUT_FILENO);
	set_size(master, 120, 40);
	add(OPTIONS_TO_NULL, agent);
	add(OPTIONS_TO_NULL, NULL);
	add(OPTIONS_TO_STDIO, NULL);
	begin();
	ck_assert_uint_eq(seen.sizes, 1);
	ck_assert_uint_eq(seen.size_port, 1);
	ck_assert_uint_eq(seen.cols, 120);
	ck_assert_uint_eq(seen.rows, 40);
	set_size(master, 80, 25);
	kill(getpid(), SIGWINCH);
	settle();
	ck_assert_uint_eq(seen.sizes, 2);
	ck_assert_uint_eq(seen.cols, 80);
	ck_assert_uint_eq(seen.rows, 25);
	kill(getpid(), SIGWINCH);
	settle();
	ck_assert_uint_eq(seen.sizes, 2); /* as it was */
	close(slave);
	close(master);
}
END_TEST

START_TEST(start_without_terminal_no_size_is_told)
{
	int fds[2];

	stdio(fds);
	add(OPTIONS_TO_STDIO, NULL);
	begin();
	settle();
	ck_assert_uint_eq(seen.sizes, 0);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("console");
	TCase *tc = tcase_create("console");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, new_none_gives_nothing_that_can_be_used);
	tcase_add_test(tc, device_consoles_stand_before_named_ports);
	tcase_add_test(tc, new_bad_files_are_refused);
	tcase_add_test(tc, new_dry_run_makes_no_file);
	tcase_add_test(tc, drain_last_words_are_read_and_matched);
	tcase_add_test(tc, output_stalled_reader_costs_output_and_no_time);
	tcase_add_test(tc, output_device_that_is_gone_is_left_alone);
	tcase_add_test(tc, input_stdin_reaches_the_port);
	tcase_add_test(tc, input_guest_that_stalls_holds_the_writer_up);
	tcase_add_test(tc, input_attached_console_is_told_of_room);
	tcase_add_test(tc, start_size_of_the_terminal_is_told_and_followed);
	tcase_add_test(tc, start_without_terminal_no_size_is_told);
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
