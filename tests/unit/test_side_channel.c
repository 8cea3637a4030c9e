/*
 * The channel beside vhost-user, and what a hostile end may send.
 */
#include "vmm/base/side_channel.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#include "vmm/base/loop.h"

static int ends[2];
static struct side_channel_packet packet;

static void setup(void)
{
	ck_assert_int_eq(side_channel_pair(ends), 0);
}

static void teardown(void)
{
	close(ends[0]);
	close(ends[1]);
}

/* Raw bytes, and so many descriptors. */
static void send_raw(const void *data, size_t len, unsigned int fd_count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = {.bytes = {0}};
	void *copy = malloc(len + 1);
	struct iovec part = {.iov_base = copy, .iov_len = len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	memcpy(copy, data, len);
	if (fd_count) {
		struct cmsghdr *head = &control.align;

		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		for (unsigned int i = 0; i < fd_count; i++)
			memcpy(CMSG_DATA(head) + i * sizeof(int), &ends[0],
			       sizeof(int));
	}
	ck_assert_int_eq(sendmsg(ends[0], &message, 0), (ssize_t)len);
	free(copy);
}

static unsigned int count_fds(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

START_TEST(send_packet_arrives_with_its_descriptors)
{
	const int fds[] = {STDIN_FILENO, ends[0]};

	ck_assert_int_eq(side_channel_send(ends[0], "log",
					   json_pack("{s:i}", "level", 2), fds,
					   2),
			 0);
	ck_assert_int_eq(side_channel_receive(ends[1], 2, &packet), 1);
	ck_assert_str_eq(packet.name, "log");
	ck_assert_int_eq(
		json_integer_value(json_object_get(packet.body, "level")), 2);
	ck_assert_uint_eq(packet.fd_count, 2);
	ck_assert_int_eq(fcntl(packet.fds[1], F_GETFD), FD_CLOEXEC);
	side_channel_packet_fini(&packet);
	ck_assert_int_eq(side_channel_receive(ends[1], 2, &packet), 0);
}
END_TEST

START_TEST(send_what_is_too_long_is_refused)
{
	char *text = malloc(SIDE_CHANNEL_PACKET_MAX + 1);

	memset(text, 'a', SIDE_CHANNEL_PACKET_MAX);
	text[SIDE_CHANNEL_PACKET_MAX] = '\0';
	ck_assert_int_eq(
		side_channel_send(ends[0], "log", json_string(text), NULL, 0),
		-EMSGSIZE);
	free(text);
	ck_assert_int_eq(side_channel_send(ends[0], "log", NULL, NULL, 0),
			 -ENOMEM);
	ck_assert_int_eq(side_channel_receive(ends[1], 0, &packet), 0);
}
END_TEST

START_TEST(send_to_who_does_not_read_never_waits)
{
	int ret = 0;

	for (unsigned int i = 0; i < 100000 && ret == 0; i++)
		ret = side_channel_send(ends[0], "log", json_integer(i), NULL,
					0);
	ck_assert_int_eq(ret, -EAGAIN);
	close(ends[1]);
	ret = side_channel_send(ends[0], "log", json_true(), NULL, 0);
	ck_assert_int_eq(ret, -EPIPE);
	ends[1] = -1;
}
END_TEST

static const char *const hostile[] = {
	"x",
	"[]",
	"{}",
	"\"log\"",
	"{\"log\":1,\"ready\":true}",
	"{\"log\":1,\"log\":2}",
	"{\"log\":1} x",
	"{\"log\":\"\\u0000\"}",
	"{\"log\":\"\xff\"}",
	"{\"log\":1e999}",
	"{\"log\":99999999999999999999}",
	"{\"log\":",
};

START_TEST(receive_hostile_packet_is_refused)
{
	const unsigned int before = count_fds();

	send_raw(hostile[_i], strlen(hostile[_i]), 3);
	ck_assert_int_eq(side_channel_receive(ends[1], 8, &packet), -EPROTO);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

START_TEST(receive_deep_or_long_packet_is_refused)
{
	char *text = malloc(SIDE_CHANNEL_PACKET_MAX + 2);

	memset(text, '[', SIDE_CHANNEL_PACKET_MAX + 2);
	memcpy(text, "{\"log\":", 7);
	send_raw(text, SIDE_CHANNEL_PACKET_MAX, 0);
	ck_assert_int_eq(side_channel_receive(ends[1], 0, &packet), -EPROTO);
	send_raw(text, SIDE_CHANNEL_PACKET_MAX + 1, 0);
	ck_assert_int_eq(side_channel_receive(ends[1], 0, &packet), -EPROTO);
	free(text);
}
END_TEST

START_TEST(receive_descriptors_beyond_what_may_come_stay_out)
{
	static const char text[] = "{\"log\":true}";
	const unsigned int before = count_fds();

	send_raw(text, strlen(text), 1);
	ck_assert_int_eq(side_channel_receive(ends[1], 0, &packet), -EPROTO);
	send_raw(text, strlen(text), 64);
	ck_assert_int_eq(side_channel_receive(ends[1], 40, &packet), -EPROTO);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

START_TEST(receive_after_the_end_says_so)
{
	close(ends[0]);
	ends[0] = -1;
	ck_assert_int_eq(side_channel_receive(ends[1], 0, &packet), -EPIPE);
	ck_assert_int_eq(loop_wait_fd(ends[1], POLLIN, 0), 0);
}
END_TEST

START_TEST(wait_for_what_does_not_come_ends)
{
	const int64_t begin = loop_now();

	ck_assert_int_eq(loop_wait_fd(ends[1], POLLIN, begin + 20 * 1000000),
			 -ETIMEDOUT);
	ck_assert_int_ge(loop_now() - begin, 20 * 1000000);
}
END_TEST

/* --- The table -------------------------------------------------------------
 */

static unsigned int calls;

static int handle(void *ctx, struct side_channel_packet *p)
{
	ck_assert_ptr_eq(ctx, &calls);
	calls++;
	return json_integer_value(p->body) == 13 ? -EPROTO : 0;
}

static const struct side_channel_row rows[] = {
	{
		.name = "a",
		.type = JSON_INTEGER,
		.fds_min = 1,
		.fds_max = 1,
		.phases = 1,
		.handle = handle,
	},
	{
		.name = "b",
		.type = JSON_INTEGER,
		.phases = 1 | 2,
		.handle = handle,
	},
};

static int dispatch(const char *name, json_t *body, unsigned int fd_count,
		    unsigned int phase, const char **why)
{
	const int fds[] = {0, 0, 0};
	int ret;

	ck_assert_int_eq(side_channel_send(ends[0], name, body, fds, fd_count),
			 0);
	ck_assert_int_eq(side_channel_receive(ends[1], 3, &packet), 1);
	ret = side_channel_dispatch(rows, 2, phase, &packet, &calls, why);
	side_channel_packet_fini(&packet);
	return ret;
}

START_TEST(dispatch_checks_before_it_calls)
{
	const char *why = "";

	calls = 0;
	ck_assert_int_eq(dispatch("a", json_integer(1), 1, 1, &why), 0);
	ck_assert_ptr_null(why);
	ck_assert_int_eq(dispatch("b", json_integer(1), 0, 2, &why), 0);
	ck_assert_uint_eq(calls, 2);
	/* No kind, time, type, number of descriptors. */
	ck_assert_int_eq(dispatch("c", json_integer(1), 0, 1, &why), -EPROTO);
	ck_assert_ptr_nonnull(strstr(why, "no kind"));
	ck_assert_int_eq(dispatch("a", json_integer(1), 1, 2, &why), -EPROTO);
	ck_assert_ptr_nonnull(strstr(why, "out of its time"));
	ck_assert_int_eq(dispatch("b", json_real(1), 0, 1, &why), -EPROTO);
	ck_assert_ptr_nonnull(strstr(why, "type"));
	ck_assert_int_eq(dispatch("b", json_integer(1), 1, 1, &why), -EPROTO);
	ck_assert_ptr_nonnull(strstr(why, "descriptors"));
	ck_assert_int_eq(dispatch("a", json_integer(1), 0, 1, &why), -EPROTO);
	ck_assert_int_eq(dispatch("a", json_integer(1), 2, 1, &why), -EPROTO);
	ck_assert_uint_eq(calls, 2);
	/* And what the handler finds out. */
	ck_assert_int_eq(dispatch("b", json_integer(13), 0, 1, &why), -EPROTO);
	ck_assert_ptr_nonnull(strstr(why, "content"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("side_channel");
	TCase *tcase = tcase_create("side_channel");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, send_packet_arrives_with_its_descriptors);
	tcase_add_test(tcase, send_what_is_too_long_is_refused);
	tcase_add_test(tcase, send_to_who_does_not_read_never_waits);
	tcase_add_loop_test(tcase, receive_hostile_packet_is_refused, 0,
			    sizeof(hostile) / sizeof(hostile[0]));
	tcase_add_test(tcase, receive_deep_or_long_packet_is_refused);
	tcase_add_test(tcase,
		       receive_descriptors_beyond_what_may_come_stay_out);
	tcase_add_test(tcase, receive_after_the_end_says_so);
	tcase_add_test(tcase, wait_for_what_does_not_come_ends);
	tcase_add_test(tcase, dispatch_checks_before_it_calls);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
