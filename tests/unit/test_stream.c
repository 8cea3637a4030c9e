/* Guest output to readers that are fast, slow, stalled and gone. */
#include "vmm/stream.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/capture.h"

#define MS INT64_C(1000000)

static struct loop *loop;
static char text[4096]; /* what was logged */

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(loop_new(&loop), 0);
}

static void teardown(void)
{
	loop_free(loop);
}

static void on_stop(void *ctx)
{
	(void)ctx;
	loop_stop(loop);
}

/* Let the main loop do all that it can without waiting. */
static void run_turns(unsigned int turns)
{
	struct loop_timer *timer;

	ck_assert_int_eq(loop_timer_add(loop, &timer, on_stop, NULL), 0);
	while (turns--) {
		loop_timer_set(timer, 0);
		ck_assert_int_eq(loop_run(loop), 0);
	}
	loop_timer_remove(timer);
}

static struct stream *open_fd(int fd)
{
	struct stream *stream;
	struct error err;

	ck_assert_int_eq(
		stream_open_fd(&stream, loop, fd, "standard output", &err), 0);
	return stream;
}

/* The bytes that a guest prints: a pattern that shows a gap or a swap. */
static void write_pattern(struct stream *stream, size_t start, size_t len)
{
	uint8_t piece[1000];

	while (len) {
		size_t n = len < sizeof(piece) ? len : sizeof(piece);

		for (size_t i = 0; i < n; i++)
			piece[i] = (uint8_t)((start + i) % 251);
		stream_write(stream, piece, n);
		start += n;
		len -= n;
	}
}

/* Read what is there from a non-blocking fd and check it. Return: bytes. */
static size_t read_pattern(int fd, size_t start)
{
	uint8_t piece[65536];
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (piece[i] != (start + len + (size_t)i) % 251)
				ck_abort_msg("wrong byte at %zu",
					     start + len + (size_t)i);
		}
		len += (size_t)n;
	}
	return len;
}

START_TEST(write_to_nothing_is_nothing)
{
	stream_write(NULL, "x", 1);
	stream_flush(NULL, 0);
	ck_assert_uint_eq(stream_dropped(NULL), 0);
	stream_free(NULL);
}
END_TEST

START_TEST(write_to_pipe_leaves_it_to_the_loop)
{
	struct stream *stream;
	char buf[8] = "";
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	stream = open_fd(fds[1]);
	/* The inherited description is as it was. */
	ck_assert_int_eq(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	stream_write(stream, "ban", 3);
	stream_write(stream, "tam", 3);
	ck_assert_int_eq(read(fds[0], buf, sizeof(buf)), -1);
	run_turns(1);
	ck_assert_int_eq(read(fds[0], buf, sizeof(buf)), 6);
	ck_assert_str_eq(buf, "bantam");
	stream_free(stream);
}
END_TEST

START_TEST(write_to_stalled_pipe_is_bounded_and_counted)
{
	struct capture capture;
	struct stream *stream;
	size_t held, got;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	held = (size_t)fcntl(fds[1], F_GETPIPE_SZ);
	stream = open_fd(fds[1]);
	write_pattern(stream, 0, held);
	run_turns(2);
	/* The pipe is full now; so will be the ring. */
	write_pattern(stream, held, STREAM_RING_SIZE);
	ck_assert_uint_eq(stream_dropped(stream), 0);
	stream_write(stream, "lost", 4);
	ck_assert_uint_eq(stream_dropped(stream), 4);

	/* The reader comes back: all that was kept, in order, and a line. */
	capture_begin(&capture);
	got = 0;
	for (int i = 0; i < 100 && got < held + STREAM_RING_SIZE; i++) {
		got += read_pattern(fds[0], got);
		run_turns(1);
	}
	capture_end(&capture, text, sizeof(text));
	ck_assert_uint_eq(got, held + STREAM_RING_SIZE);
	ck_assert_str_eq(text, "bantam: standard output: 4 bytes of the "
			       "guest's output were dropped, its reader did "
			       "not keep up\n");
	/* And what is printed now arrives. */
	write_pattern(stream, got, 10);
	run_turns(1);
	ck_assert_uint_eq(read_pattern(fds[0], got), 10);
	stream_free(stream);
}
END_TEST

START_TEST(write_around_ring_end_keeps_order)
{
	/* Odd, so that a piece straddles the end. */
	const size_t half = STREAM_RING_SIZE / 2 - 77;
	size_t written = 0, got = 0;
	struct stream *stream;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	stream = open_fd(fds[1]);
	/* Never empty, so that the ring turns round. */
	for (int round = 0; round < 6; round++) {
		write_pattern(stream, written, half);
		written += half;
		while (written - got > half / 2) {
			run_turns(1);
			got += read_pattern(fds[0], got);
		}
	}
	while (got < written) {
		run_turns(1);
		got += read_pattern(fds[0], got);
	}
	ck_assert_uint_eq(stream_dropped(stream), 0);
	stream_free(stream);
}
END_TEST

START_TEST(write_with_reader_gone_is_discarded_and_said_once)
{
	struct capture capture;
	struct stream *stream;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	stream = open_fd(fds[1]);
	close(fds[0]);
	capture_begin(&capture);
	stream_write(stream, "one", 3);
	run_turns(2);
	stream_write(stream, "three", 5);
	run_turns(2);
	stream_flush(stream, 0);
	capture_end(&capture, text, sizeof(text));
	ck_assert_str_eq(text, "bantam: standard output: nobody reads it any "
			       "more; the guest's output is discarded from "
			       "here on\n");
	ck_assert_uint_eq(stream_dropped(stream), 8);
	stream_free(stream);
}
END_TEST

START_TEST(reader_gone_while_quiet_does_not_spin)
{
	struct capture capture;
	struct stream *stream;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	stream = open_fd(fds[1]);
	close(fds[0]);
	capture_begin(&capture);
	run_turns(3);
	capture_end(&capture, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "nobody reads"));
	ck_assert_ptr_eq(strchr(text, '\n') + 1, text + strlen(text));
	stream_free(stream);
}
END_TEST

START_TEST(write_to_socket_leaves_flags_alone)
{
	size_t got = 0, written = 4 * 65536;
	struct stream *stream;
	int fds[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	stream = open_fd(fds[1]);
	write_pattern(stream, 0, written);
	for (int i = 0; i < 100 && got < written; i++) {
		run_turns(1);
		ck_assert_int_eq(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
		got += read_pattern(fds[0], got);
	}
	ck_assert_uint_eq(got, written);
	stream_free(stream);
}
END_TEST

START_TEST(write_to_terminal_leaves_flags_alone)
{
	struct stream *stream;
	char buf[8] = "";
	int master, slave;

	master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	stream = open_fd(slave);
	stream_write(stream, "hello", 5);
	run_turns(1);
	ck_assert_int_eq(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(read(master, buf, sizeof(buf)), 5);
	ck_assert_str_eq(buf, "hello");
	stream_free(stream);

	/* The master cannot be opened anew: its flags come back. */
	fcntl(master, F_SETFL, O_RDWR);
	stream = open_fd(master);
	ck_assert_int_eq(fcntl(master, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	stream_write(stream, "hi\n", 3);
	run_turns(1);
	ck_assert_int_eq(read(slave, buf, sizeof(buf)), 3);
	stream_free(stream);
	ck_assert_int_eq(fcntl(master, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

static char dir[] = "/tmp/bantam-test-XXXXXX";
static char path[64];

START_TEST(open_file_with_old_content_replaces_it)
{
	const size_t written = STREAM_RING_SIZE - 1;
	struct stream *stream;
	struct error err;
	struct stat st;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/out", dir);
	for (int turn = 0; turn < 2; turn++) {
		ck_assert_int_eq(
			stream_open_file(&stream, loop, "--serial", path, &err),
			0);
		write_pattern(stream, 0, written);
		run_turns(2);
		write_pattern(stream, written, 10);
		stream_flush(stream, 0);
		ck_assert_uint_eq(stream_dropped(stream), 0);
		stream_free(stream);
	}
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq((size_t)st.st_size, written + 10);
	ck_assert_uint_eq(read_pattern(fd, 0), written + 10);
	unlink(path);
	rmdir(dir);
}
END_TEST

START_TEST(open_file_that_cannot_be_is_refused)
{
	struct stream *stream = NULL;
	struct error err = {""};

	ck_assert_int_eq(stream_open_file(&stream, loop, "--serial",
					  "/no/such/file", &err),
			 -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "--serial /no/such/file"));
	ck_assert_int_eq(
		stream_open_fd(&stream, loop, -1, "standard output", &err),
		-EBADF);
	ck_assert_ptr_nonnull(strstr(err.text, "standard output"));
	ck_assert_int_eq(
		stream_open_file(&stream, loop, "--serial", "/tmp", &err),
		-EISDIR);
	ck_assert_ptr_null(stream);
}
END_TEST

START_TEST(open_file_of_unread_fifo_is_refused)
{
	struct stream *stream = NULL;
	struct error err = {""};

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(
		stream_open_file(&stream, loop, "--serial", path, &err),
		-ENXIO);
	ck_assert_ptr_nonnull(strstr(err.text, "nobody reads"));
	unlink(path);
	rmdir(dir);
}
END_TEST

START_TEST(write_to_full_device_is_discarded)
{
	struct capture capture;
	struct stream *stream;
	struct error err;

	capture_begin(&capture);
	ck_assert_int_eq(
		stream_open_file(&stream, loop, "--serial", "/dev/full", &err),
		0);
	stream_write(stream, "x", 1);
	run_turns(2);
	stream_write(stream, "x", 1);
	stream_free(stream);
	capture_end(&capture, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "--serial /dev/full: No space"));
}
END_TEST

START_TEST(write_to_file_that_is_cut_short_goes_on)
{
	const struct rlimit limit = {1000, RLIM_INFINITY};
	struct capture capture;
	struct stream *stream;
	int fd = memfd_create("out", MFD_CLOEXEC);

	/* The first write takes a part, the second fails. */
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	stream = open_fd(fd);
	write_pattern(stream, 0, 1500);
	capture_begin(&capture);
	run_turns(3);
	capture_end(&capture, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "File too large"));
	ck_assert_uint_eq(stream_dropped(stream), 500);
	stream_free(stream);
	close(fd);
}
END_TEST

START_TEST(flush_to_stalled_pipe_gives_up_and_reports)
{
	struct capture capture;
	struct stream *stream;
	size_t held;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	held = (size_t)fcntl(fds[1], F_GETPIPE_SZ);
	stream = open_fd(fds[1]);
	write_pattern(stream, 0, held + 100);
	capture_begin(&capture);
	stream_flush(stream, MS);
	capture_end(&capture, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, ": 100 bytes"));
	ck_assert_uint_eq(stream_dropped(stream), 100);
	stream_free(stream);
}
END_TEST

static void *read_all(void *ctx)
{
	const int *fd = ctx;

	return (void *)read_pattern(*fd, 0);
}

START_TEST(flush_to_slow_reader_writes_all)
{
	const size_t written = STREAM_RING_SIZE;
	struct stream *stream;
	pthread_t thread;
	void *got;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	stream = open_fd(fds[1]);
	write_pattern(stream, 0, written);
	ck_assert_int_eq(pthread_create(&thread, NULL, read_all, &fds[0]), 0);
	stream_flush(stream, 10000 * MS);
	stream_free(stream);
	close(fds[1]);
	pthread_join(thread, &got);
	ck_assert_uint_eq((size_t)got, written);
}
END_TEST

struct writer {
	struct stream *stream;
	struct loop_wake *done;
	size_t len;
};

static void *write_from_vcpu(void *ctx)
{
	const struct writer *writer = ctx;

	write_pattern(writer->stream, 0, writer->len);
	loop_wake_send(writer->done);
	return NULL;
}

struct reader {
	int fd;
	size_t got;
};

static void on_pipe(void *ctx, uint32_t events)
{
	struct reader *reader = ctx;

	(void)events;
	reader->got += read_pattern(reader->fd, reader->got);
}

START_TEST(write_from_thread_while_loop_runs_loses_nothing)
{
	struct reader reader = {.fd = -1};
	struct writer writer = {.len = STREAM_RING_SIZE};
	struct loop_fd *source;
	pthread_t thread;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	reader.fd = fds[0];
	writer.stream = open_fd(fds[1]);
	ck_assert_int_eq(loop_wake_add(loop, &writer.done, on_stop, NULL), 0);
	ck_assert_int_eq(
		loop_fd_add(loop, &source, fds[0], EPOLLIN, on_pipe, &reader),
		0);
	ck_assert_int_eq(
		pthread_create(&thread, NULL, write_from_vcpu, &writer), 0);
	ck_assert_int_eq(loop_run(loop), 0);
	pthread_join(thread, NULL);
	while (reader.got < writer.len)
		run_turns(1);
	ck_assert_uint_eq(stream_dropped(writer.stream), 0);
	stream_free(writer.stream);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream");
	TCase *tcase = tcase_create("stream");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, write_to_nothing_is_nothing);
	tcase_add_test(tcase, write_to_pipe_leaves_it_to_the_loop);
	tcase_add_test(tcase, write_to_stalled_pipe_is_bounded_and_counted);
	tcase_add_test(tcase, write_around_ring_end_keeps_order);
	tcase_add_test(tcase,
		       write_with_reader_gone_is_discarded_and_said_once);
	tcase_add_test(tcase, reader_gone_while_quiet_does_not_spin);
	tcase_add_test(tcase, write_to_socket_leaves_flags_alone);
	tcase_add_test(tcase, write_to_terminal_leaves_flags_alone);
	tcase_add_test(tcase, open_file_with_old_content_replaces_it);
	tcase_add_test(tcase, open_file_that_cannot_be_is_refused);
	tcase_add_test(tcase, open_file_of_unread_fifo_is_refused);
	tcase_add_test(tcase, write_to_full_device_is_discarded);
	tcase_add_test(tcase, write_to_file_that_is_cut_short_goes_on);
	tcase_add_test(tcase, flush_to_stalled_pipe_gives_up_and_reports);
	tcase_add_test(tcase, flush_to_slow_reader_writes_all);
	tcase_add_test(tcase, write_from_thread_while_loop_runs_loses_nothing);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
