/*
 * The ends of ports: a socket with clients that come and go, do not read, send
 * too much, and what a dry run makes of them.
 */
#include "vmm/console_end.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "vmm/base/log.h"
#include "vmm/listen.h"

static char dir[64], path[80];
static struct options_end to;
static struct loop *loop;
static struct loop_timer *turn;
static struct console_end *end;
static struct error err;

/* The device. */
static char got[65536];
static size_t got_len, room;
static unsigned int matches;

static size_t device_room(void *ctx)
{
	(void)ctx;
	return room;
}

static void device_input(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx;
	ck_assert_uint_le(len, room);
	memcpy(got + got_len, data, len);
	got_len += len;
	room -= len;
}

static void device_watch(void *ctx, const struct watch_match *match)
{
	(void)ctx;
	matches += match->event == WATCH_PANIC;
}

static void stop(void *ctx)
{
	loop_stop(ctx);
}

static const struct chardev_config *config(void)
{
	static struct chardev_config config = {
		.name = "--port",
		.watch = device_watch,
		.room = device_room,
		.input = device_input,
	};

	config.loop = loop;
	return &config;
}

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_ERROR);
	snprintf(dir, sizeof(dir), "/tmp/bantam-test-end-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	to = (struct options_end){.to = OPTIONS_TO_SOCKET, .socket = path};
	ck_assert_int_eq(loop_new(&loop), 0);
	ck_assert_int_eq(loop_timer_add(loop, &turn, stop, loop), 0);
	end = NULL;
	got_len = 0;
	room = sizeof(got);
	matches = 0;
}

static void teardown(void)
{
	console_end_free(end);
	loop_timer_remove(turn);
	loop_free(loop);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

/* Let the loop run for a while: long enough for what is ready by now. */
static void run(void)
{
	loop_timer_set(turn, 20 * 1000 * 1000);
	ck_assert_int_eq(loop_run(loop), 0);
}

static void start(void)
{
	ck_assert_msg(console_end_new(&end, &to, config(), &err) == 0, "%s",
		      err.text);
	ck_assert_int_eq(chardev_start(console_end_chardev(end), &err), 0);
}

static int client(void)
{
	const struct listen_words words = {.what = "test"};
	struct sockaddr_un address;
	int fd;

	ck_assert_int_eq(listen_address(&address, path, &words, &err), 0);
	ck_assert_int_eq(listen_connect(&address, &fd), 0);
	run();
	return fd;
}

static void print(const char *text)
{
	struct char_backend backend = chardev_backend(console_end_chardev(end));

	backend.ops->output(backend.ctx, (const uint8_t *)text, strlen(text));
	run();
}

static uint64_t dropped(void)
{
	return chardev_dropped(console_end_chardev(end));
}

/* What there is to read is that text. */
static void expect_read(int fd, const char *text)
{
	char data[256];
	ssize_t len = recv(fd, data, sizeof(data) - 1, MSG_DONTWAIT);

	ck_assert_int_eq(len, (ssize_t)strlen(text));
	data[len] = '\0';
	ck_assert_str_eq(data, text);
}

static void expect_end(int fd)
{
	char byte;

	ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

/* --- Clients ------------------------------------------------------------- */

START_TEST(socket_is_the_owners_alone_and_goes_at_the_end)
{
	struct stat st;

	umask(0);
	start();
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	console_end_free(end);
	end = NULL;
	ck_assert_int_eq(lstat(path, &st), -1);
}
END_TEST

START_TEST(socket_client_reads_and_types)
{
	int fd;

	start();
	fd = client();
	print("hello");
	expect_read(fd, "hello");
	ck_assert_int_eq(write(fd, "typed", 5), 5);
	run();
	ck_assert_uint_eq(got_len, 5);
	ck_assert_int_eq(memcmp(got, "typed", 5), 0);
	ck_assert_uint_eq(dropped(), 0);
	close(fd);
}
END_TEST

START_TEST(socket_output_without_a_client_is_dropped_and_watched)
{
	int fd;

	start();
	print("Kernel panic - not syncing: x\n");
	ck_assert_uint_eq(matches, 1);
	ck_assert_uint_eq(dropped(), 30);
	fd = client();
	print("now");
	expect_read(fd, "now");
	ck_assert_uint_eq(dropped(), 30);
	close(fd);
}
END_TEST

START_TEST(socket_second_client_is_turned_away)
{
	int first, second;

	start();
	first = client();
	second = client();
	expect_end(second);
	close(second);
	print("mine");
	expect_read(first, "mine");
	close(first);
	run();
	second = client();
	print("yours");
	expect_read(second, "yours");
	close(second);
}
END_TEST

START_TEST(socket_clients_come_and_go_and_leave_no_descriptor)
{
	int before, after, fd;

	start();
	fd = client();
	before = dup(fd);
	close(before);
	close(fd);
	run();
	for (int i = 0; i < 50; i++) {
		fd = client();
		print("x");
		close(fd);
		run();
	}
	fd = client();
	after = dup(fd);
	close(after);
	close(fd);
	ck_assert_int_eq(before, after);
}
END_TEST

/* More than the kernel's buffers and the ring hold. */
START_TEST(socket_client_that_does_not_read_costs_output)
{
	static char flood[65536];
	size_t printed = 0;
	int fd;

	memset(flood, 'x', sizeof(flood) - 1);
	start();
	fd = client();
	while (printed < 4 * STREAM_RING_SIZE) {
		struct char_backend backend =
			chardev_backend(console_end_chardev(end));

		backend.ops->output(backend.ctx, (uint8_t *)flood,
				    sizeof(flood));
		printed += sizeof(flood);
	}
	run();
	ck_assert_uint_gt(dropped(), STREAM_RING_SIZE);
	ck_assert_uint_lt(dropped(), printed);
	/* It goes, and the next one starts with what comes then. */
	close(fd);
	run();
	ck_assert_uint_gt(dropped(), 2 * STREAM_RING_SIZE);
	fd = client();
	print("fresh");
	expect_read(fd, "fresh");
	close(fd);
}
END_TEST

START_TEST(socket_half_closed_client_still_reads)
{
	int fd;

	start();
	fd = client();
	ck_assert_int_eq(write(fd, "q", 1), 1);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	run();
	ck_assert_uint_eq(got_len, 1);
	print("answer");
	expect_read(fd, "answer");
	close(fd);
	run();
	fd = client();
	print("next");
	expect_read(fd, "next");
	close(fd);
}
END_TEST

START_TEST(socket_last_words_of_a_client_arrive)
{
	int fd;

	start();
	room = 0;
	fd = client();
	ck_assert_int_eq(write(fd, "bye", 3), 3);
	close(fd);
	run();
	ck_assert_uint_eq(got_len, 0);
	room = 8;
	print("x");
	chardev_input(console_end_chardev(end), (const uint8_t *)"!", 1);
	ck_assert_uint_eq(got_len, 4);
	ck_assert_int_eq(memcmp(got, "bye!", 4), 0);
}
END_TEST

/* A client that sends without end to a guest that does not read, and goes. */
START_TEST(socket_flood_of_input_is_bounded)
{
	char flood[4096];
	int fd;

	memset(flood, 'x', sizeof(flood));
	start();
	room = 10;
	fd = client();
	for (int i = 0; i < 1000; i++)
		if (send(fd, flood, sizeof(flood), MSG_DONTWAIT) < 0)
			break;
	run();
	ck_assert_int_eq(send(fd, flood, sizeof(flood), MSG_DONTWAIT), -1);
	ck_assert_uint_eq(got_len, 10);
	close(fd);
	run();
	fd = client();
	print("alive");
	expect_read(fd, "alive");
	close(fd);
}
END_TEST

START_TEST(socket_flush_does_not_wait_for_nobody)
{
	int64_t started;

	start();
	print("unread");
	started = loop_now();
	chardev_flush(console_end_chardev(end), INT64_C(5000000000));
	ck_assert_int_lt(loop_now() - started, INT64_C(2000000000));
}
END_TEST

/* --- What is at the path ---------------------------------------------------
 */

static void occupy(bool listening)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	if (listening)
		ck_assert_int_eq(listen(fd, 1), 0);
	else
		close(fd);
}

START_TEST(socket_stale_is_replaced)
{
	int fd;

	occupy(false);
	start();
	fd = client();
	print("x");
	expect_read(fd, "x");
	close(fd);
}
END_TEST

START_TEST(socket_live_is_an_error)
{
	occupy(true);
	ck_assert_int_eq(console_end_new(&end, &to, config(), &err),
			 -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(err.text, "--port socket="));
	ck_assert_ptr_nonnull(strstr(err.text, "listens"));
	ck_assert_int_eq(console_end_new_dry(&end, &to, config(), &err),
			 -EADDRINUSE);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(socket_never_replaces_a_file)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(console_end_new(&end, &to, config(), &err), -EEXIST);
	ck_assert_int_eq(console_end_new_dry(&end, &to, config(), &err),
			 -EEXIST);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(socket_impossible_path_is_an_error)
{
	char longer[200], none[] = "/none/socket";

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	to.socket = longer;
	ck_assert_int_eq(console_end_new(&end, &to, config(), &err),
			 -ENAMETOOLONG);
	ck_assert_int_eq(console_end_new_dry(&end, &to, config(), &err),
			 -ENAMETOOLONG);
	to.socket = none;
	ck_assert_int_eq(console_end_new(&end, &to, config(), &err), -ENOENT);
	ck_assert_int_eq(console_end_new_dry(&end, &to, config(), &err),
			 -ENOENT);
}
END_TEST

START_TEST(dry_run_makes_nothing)
{
	ck_assert_int_eq(console_end_new_dry(&end, &to, config(), &err), 0);
	ck_assert_int_eq(access(path, F_OK), -1);
	print("lost");
}
END_TEST

/* What a dead machine left is no obstacle, and stays. */
START_TEST(dry_run_with_a_stale_socket_succeeds)
{
	occupy(false);
	ck_assert_int_eq(console_end_new_dry(&end, &to, config(), &err), 0);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		socket_is_the_owners_alone_and_goes_at_the_end,
		socket_client_reads_and_types,
		socket_output_without_a_client_is_dropped_and_watched,
		socket_second_client_is_turned_away,
		socket_clients_come_and_go_and_leave_no_descriptor,
		socket_client_that_does_not_read_costs_output,
		socket_half_closed_client_still_reads,
		socket_last_words_of_a_client_arrive,
		socket_flood_of_input_is_bounded,
		socket_flush_does_not_wait_for_nobody,
		socket_stale_is_replaced,
		socket_live_is_an_error,
		socket_never_replaces_a_file,
		socket_impossible_path_is_an_error,
		dry_run_makes_nothing,
		dry_run_with_a_stale_socket_succeeds,
	};
	Suite *suite = suite_create("console_end");
	TCase *tcase = tcase_create("console_end");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
