/*
 * Descriptors over Unix sockets, and what a hostile end may send.
 */
#include "vmm/base/fd_passing.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <check.h>

static int ends[2];
static int received[FD_PASSING_MAX];
static unsigned int count;
static char data[16];

static void setup_type(int type)
{
	ck_assert_int_eq(socketpair(AF_UNIX, type, 0, ends), 0);
}

static void setup_packets(void)
{
	setup_type(SOCK_SEQPACKET);
}

static void setup_stream(void)
{
	setup_type(SOCK_STREAM);
}

static void teardown(void)
{
	close(ends[0]);
	close(ends[1]);
}

static unsigned int count_fds(void)
{
	unsigned int open = 0;

	for (int fd = 0; fd < 256; fd++)
		open += fcntl(fd, F_GETFD) >= 0;
	return open;
}

/* So many times the same descriptor. */
static ssize_t send_fds(const char *text, unsigned int fd_count)
{
	char copy[32];
	struct iovec part = {copy, strlen(text)};
	int fds[FD_PASSING_MAX + 1];

	memcpy(copy, text, strlen(text));
	for (unsigned int i = 0; i < fd_count; i++)
		fds[i] = ends[0];
	return fd_passing_send(ends[0], &part, 1, fds, fd_count, 0);
}

static ssize_t receive_fds(unsigned int room)
{
	count = room;
	return fd_passing_receive(ends[1], data, sizeof(data), received, &count,
				  MSG_DONTWAIT);
}

static void close_received(void)
{
	while (count)
		close(received[--count]);
}

START_TEST(send_bytes_arrive_with_all_descriptors)
{
	const unsigned int before = count_fds();

	for (unsigned int n = 0; n <= FD_PASSING_MAX; n++) {
		ck_assert_int_eq(send_fds("word", n), 4);
		ck_assert_int_eq(receive_fds(n), 4);
		ck_assert_mem_eq(data, "word", 4);
		ck_assert_uint_eq(count, n);
		ck_assert_uint_eq(count_fds(), before + n);
		for (unsigned int i = 0; i < n; i++)
			ck_assert_int_eq(fcntl(received[i], F_GETFD),
					 FD_CLOEXEC);
		close_received();
	}
}
END_TEST

START_TEST(send_more_descriptors_than_may_be_is_refused)
{
	ck_assert_int_eq(send_fds("word", FD_PASSING_MAX + 1), -EMSGSIZE);
	ck_assert_int_eq(receive_fds(FD_PASSING_MAX), -EAGAIN);
	ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(send_to_nobody_is_an_error_and_no_signal)
{
	/* Unread: the first to know is told of a reset. */
	ck_assert_int_eq(write(ends[0], "x", 1), 1);
	close(ends[1]);
	ends[1] = -1;
	ck_assert_int_eq(send_fds("word", 1), -EPIPE);
	ck_assert_int_eq(send_fds("word", 0), -EPIPE);
}
END_TEST

START_TEST(send_without_room_never_waits)
{
	char text[] = "word";
	struct iovec part = {text, 4};
	ssize_t n;

	do {
		n = fd_passing_send(ends[0], &part, 1, NULL, 0, MSG_DONTWAIT);
	} while (n > 0);
	ck_assert_int_eq(n, -EAGAIN);
}
END_TEST

/* One too many, for odd and even room: none stays. */
START_TEST(receive_more_descriptors_than_room_closes_all)
{
	const unsigned int before = count_fds();

	for (unsigned int room = 0; room < FD_PASSING_MAX; room++) {
		ck_assert_int_eq(send_fds("word", room + 1), 4);
		ck_assert_int_eq(receive_fds(room), -EMFILE);
		ck_assert_uint_eq(count, 0);
		ck_assert_uint_eq(count_fds(), before);
	}
}
END_TEST

START_TEST(receive_packet_that_is_too_long_closes_all)
{
	const unsigned int before = count_fds();

	ck_assert_int_eq(send_fds("seventeen letters", 3), 17);
	ck_assert_int_eq(receive_fds(3), -EMSGSIZE);
	ck_assert_uint_eq(count, 0);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

START_TEST(receive_empty_packet_closes_all)
{
	const unsigned int before = count_fds();

	ck_assert_int_eq(send_fds("", 2), 0);
	ck_assert_int_eq(receive_fds(2), 0);
	ck_assert_uint_eq(count, 0);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

/* Control messages that nobody asked for: the peer may have made the socket. */
START_TEST(receive_other_control_messages_are_passed_over)
{
	const unsigned int before = count_fds();
	const int on = 1;

	ck_assert_int_eq(
		setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)),
		0);
	ck_assert_int_eq(send_fds("word", 2), 4);
	ck_assert_int_eq(receive_fds(FD_PASSING_MAX), 4);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(fcntl(received[1], F_GETFD), FD_CLOEXEC);
	close_received();
	/* They take the room of what was asked for. */
	ck_assert_int_eq(send_fds("word", 2), 4);
	ck_assert_int_eq(receive_fds(2), -EMFILE);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

START_TEST(receive_from_a_closed_end_is_the_end)
{
	close(ends[0]);
	ends[0] = -1;
	ck_assert_int_eq(receive_fds(1), 0);
	ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(receive_after_a_reset_is_the_end)
{
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	close(ends[0]);
	ends[0] = -1;
	ck_assert_int_eq(receive_fds(1), 0);
	ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(receive_pieces_of_a_stream_have_descriptors_with_the_first)
{
	char first[] = "seventeen", second[] = " letters";
	struct iovec parts[] = {{first, 9}, {second, 8}};

	ck_assert_int_eq(
		fd_passing_send(ends[0], parts, 2, ends, 2, MSG_DONTWAIT), 17);
	ck_assert_int_eq(receive_fds(2), sizeof(data));
	ck_assert_uint_eq(count, 2);
	close_received();
	ck_assert_int_eq(receive_fds(2), 1);
	ck_assert_uint_eq(count, 0);
}
END_TEST

static volatile sig_atomic_t signals;

/* The third one sends what is waited for. */
static void on_alarm(int number)
{
	(void)number;
	if (++signals == 3 && write(ends[0], "word", 4) < 0)
		_exit(1);
}

START_TEST(receive_goes_on_after_a_signal)
{
	const struct sigaction action = {.sa_handler = on_alarm};
	const struct itimerval every = {{0, 10000}, {0, 10000}};

	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &every, NULL), 0);
	count = 1;
	ck_assert_int_eq(fd_passing_receive(ends[1], data, sizeof(data),
					    received, &count, 0),
			 4);
	ck_assert_int_ge(signals, 3);
}
END_TEST

/* A third signal makes room. */
static void on_alarm_read(int number)
{
	char unwanted[4];

	(void)number;
	if (++signals < 3)
		return;
	while (recv(ends[1], unwanted, sizeof(unwanted), MSG_DONTWAIT) > 0)
		;
}

START_TEST(send_goes_on_after_a_signal)
{
	const struct sigaction action = {.sa_handler = on_alarm_read};
	const struct itimerval every = {{0, 10000}, {0, 10000}};

	while (send(ends[0], "full", 4, MSG_DONTWAIT) == 4)
		;
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &every, NULL), 0);
	ck_assert_int_eq(send_fds("word", 1), 4);
	ck_assert_int_ge(signals, 3);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("fd_passing");
	TCase *packets = tcase_create("packets");
	TCase *stream = tcase_create("stream");

	tcase_add_checked_fixture(packets, setup_packets, teardown);
	tcase_add_test(packets, send_bytes_arrive_with_all_descriptors);
	tcase_add_test(packets, send_more_descriptors_than_may_be_is_refused);
	tcase_add_test(packets, send_to_nobody_is_an_error_and_no_signal);
	tcase_add_test(packets, send_without_room_never_waits);
	tcase_add_test(packets, receive_more_descriptors_than_room_closes_all);
	tcase_add_test(packets, receive_packet_that_is_too_long_closes_all);
	tcase_add_test(packets, receive_empty_packet_closes_all);
	tcase_add_test(packets, receive_other_control_messages_are_passed_over);
	tcase_add_test(packets, receive_from_a_closed_end_is_the_end);
	tcase_add_test(packets, receive_goes_on_after_a_signal);
	tcase_add_test(packets, send_goes_on_after_a_signal);
	suite_add_tcase(s, packets);

	tcase_add_checked_fixture(stream, setup_stream, teardown);
	tcase_add_test(stream, send_bytes_arrive_with_all_descriptors);
	tcase_add_test(stream, send_to_nobody_is_an_error_and_no_signal);
	tcase_add_test(stream, receive_more_descriptors_than_room_closes_all);
	tcase_add_test(stream, receive_after_a_reset_is_the_end);
	tcase_add_test(
		stream,
		receive_pieces_of_a_stream_have_descriptors_with_the_first);
	suite_add_tcase(s, stream);
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
