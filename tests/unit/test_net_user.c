/* The stream to passt, played by the test: whole, cut, and lying. */
#include "virtio/net_user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/capture.h"
#include "tests/unit/support/net_driver.h"
#include "virtio/net.h"

static struct net_driver driver; /* its sockets are not used */
static int peer, log_end;
static pid_t child;
static struct capture stderr_copy;
static uint8_t frame[70000], got[70000];

/* A process that only waits, for the pidfd. */
static int user_child(void)
{
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		for (;;)
			pause();
	}
	return (int)syscall(SYS_pidfd_open, child, 0);
}

static int user_open(const struct virtio_open *open,
		     struct virtio_resources *out, struct error *err)
{
	int ends[2], pipes[2], pid_fd;

	(void)open;
	(void)err;
	/* First, so that it has none of the others. */
	pid_fd = user_child();
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	ck_assert_int_eq(pipe2(pipes, O_NONBLOCK), 0);
	peer = ends[1];
	log_end = pipes[1];
	out->fds[NET_USER_STREAM] = ends[0];
	out->fds[NET_USER_PID] = pid_fd;
	out->fds[NET_USER_LOG] = pipes[0];
	out->fd_count = NET_USER_FDS;
	out->description =
		json_pack("{s:s, s:s, s:i, s:i}", "kind", "user", "mac",
			  "52:54:00:01:02:03", "mtu", 0, "features", 0);
	return 0;
}

static void setup(void)
{
	static struct virtio_device_ops ops;

	ops = virtio_net_ops;
	ops.open = user_open;
	memset(&driver, 0, sizeof(driver));
	model_driver_init(&driver.guest, &ops, NULL);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 100, 1600);
}

static void teardown(void)
{
	model_driver_fini(&driver.guest);
	if (child) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	if (peer >= 0)
		close(peer);
	if (log_end >= 0)
		close(log_end);
}

static void settle(void)
{
	model_driver_settle(&driver.guest);
}

static void write_peer(const void *data, size_t len)
{
	ck_assert_int_eq(send(peer, data, len, 0), (ssize_t)len);
}

/* Length and frame, into data. Return: bytes. */
static size_t encode(uint8_t *data, size_t len, uint8_t seed)
{
	uint32_t length = htonl((uint32_t)len);

	memcpy(data, &length, sizeof(length));
	net_driver_frame(data + sizeof(length), len, seed);
	return sizeof(length) + len;
}

static void expect_received(size_t len, uint8_t seed)
{
	static const struct net_header none = {.num_buffers = {0}};
	struct net_header header;

	ck_assert_int_eq(
		net_driver_received(&driver, 0, &header, got, sizeof(got)),
		(ssize_t)len);
	net_driver_frame(frame, len, seed);
	ck_assert_mem_eq(got, frame, len);
	/* Nothing but the number of buffers. */
	ck_assert_mem_eq(&header, &none, 10);
}

static void expect_lost(void)
{
	settle();
	ck_assert_uint_eq(net_driver_status(&driver), 0);
	ck_assert_int_eq(
		net_driver_received(&driver, 0, NULL, got, sizeof(got)), -1);
	ck_assert_uint_eq(driver.guest.needs_resets, 0);
}

START_TEST(receive_frames_at_once_are_told_apart)
{
	static uint8_t data[200 * 104];
	size_t len = 0;

	for (uint8_t i = 0; i < 200; i++)
		len += encode(data + len, 60 + i % 40, i);
	net_driver_give(&driver, 0, 120, 1600);
	write_peer(data, len);
	settle();
	for (uint8_t i = 0; i < 200; i++)
		expect_received(60 + i % 40, i);
}
END_TEST

START_TEST(receive_frame_in_single_bytes_is_put_together)
{
	uint8_t data[100];
	size_t len = encode(data, 90, 5);

	for (size_t i = 0; i < len; i++) {
		ck_assert_int_eq(
			net_driver_received(&driver, 0, NULL, got, sizeof(got)),
			-1);
		write_peer(data + i, 1);
		settle();
	}
	expect_received(90, 5);
}
END_TEST

START_TEST(receive_longest_frame_is_delivered)
{
	static uint8_t data[65535 + 4];

	encode(data, 65535, 1);
	write_peer(data, 40000);
	settle();
	write_peer(data + 40000, sizeof(data) - 40000);
	settle();
	expect_received(65535, 1);
}
END_TEST

START_TEST(receive_starved_ring_keeps_what_was_read)
{
	static uint8_t data[150 * 64];
	size_t len = 0;

	for (uint8_t i = 0; i < 150; i++)
		len += encode(data + len, 60, i);
	write_peer(data, len);
	settle();
	for (uint8_t i = 0; i < 100; i++)
		expect_received(60, i);
	ck_assert_int_eq(
		net_driver_received(&driver, 0, NULL, got, sizeof(got)), -1);
	/* No more comes on the socket, only a kick. */
	net_driver_give(&driver, 0, 100, 1600);
	settle();
	for (uint8_t i = 100; i < 150; i++)
		expect_received(60, i);
}
END_TEST

START_TEST(receive_length_that_cannot_be_ends_it)
{
	static const uint32_t lengths[] = {
		0, 1, 13, 65536, 0x7fffffff, 0x80000000, UINT32_MAX};
	uint32_t length = htonl(lengths[_i]);
	uint8_t data[64];
	char log[4096];

	write_peer(data, encode(data, 60, 1));
	settle();
	expect_received(60, 1);
	capture_begin(&stderr_copy);
	write_peer(&length, sizeof(length));
	expect_lost();
	capture_end(&stderr_copy, log, sizeof(log));
	ck_assert_msg(strstr(log, "link is down") != NULL, "%s", log);
}
END_TEST

START_TEST(receive_end_in_a_frame_loses_the_link)
{
	uint8_t data[64];

	encode(data, 60, 1);
	write_peer(data, 30);
	settle();
	if (_i)
		shutdown(peer, SHUT_WR);
	else
		close(peer);
	if (!_i)
		peer = -1;
	expect_lost();
	/* What the guest sends does not get stuck. */
	net_driver_send(&driver, 0, NULL, frame, 60);
	settle();
	ck_assert_uint_eq(net_driver_counter(&driver, "tx_dropped"), 1);
}
END_TEST

START_TEST(send_frames_are_in_the_stream_in_order)
{
	static uint8_t want[70000];
	size_t read_len = 0, len;
	int small = 4096;
	uint8_t seed = 0;

	ck_assert_int_eq(setsockopt(driver.guest.resources.fds[NET_USER_STREAM],
				    SOL_SOCKET, SO_SNDBUF, &small,
				    sizeof(small)),
			 0);
	/* Longer than what the socket takes, so it is taken in parts. */
	for (uint8_t i = 0; i < 20; i++) {
		len = i % 3 ? 100 : 30000;
		net_driver_frame(frame, len, i);
		net_driver_send(&driver, 0, NULL, frame, len);
	}
	while (seed < 20) {
		size_t all = encode(want, seed % 3 ? 100 : 30000, seed);
		ssize_t part;

		settle();
		part = recv(peer, got + read_len, all - read_len, 0);
		ck_assert_int_gt(part, 0);
		read_len += (size_t)part;
		if (read_len < all)
			continue;
		ck_assert_mem_eq(got, want, all);
		read_len = 0;
		seed++;
	}
	settle();
	ck_assert_int_eq(recv(peer, got, 1, 0), -1);
	ck_assert_uint_eq(net_driver_counter(&driver, "tx_frames"), 20);
}
END_TEST

START_TEST(send_frame_too_long_for_passt_is_dropped)
{
	memset(frame, 0, sizeof(frame));
	net_driver_send(&driver, 0, NULL, frame, 65536);
	net_driver_send(&driver, 0, NULL, frame, 60);
	settle();
	ck_assert_int_eq(recv(peer, got, sizeof(got), 0), 64);
	ck_assert_uint_eq(net_driver_counter(&driver, "tx_dropped"), 1);
	ck_assert_uint_eq(net_driver_status(&driver), VIRTIO_NET_S_LINK_UP);
}
END_TEST

START_TEST(log_lines_are_told_but_for_noise)
{
	static const char text[] = "Failed to send 9 bytes to syslog\n"
				   "first\nsecond \033[1m\nthird";
	char log[4096];

	capture_begin(&stderr_copy);
	ck_assert_int_gt(write(log_end, text, sizeof(text) - 1), 0);
	settle();
	close(log_end);
	log_end = -1;
	settle();
	capture_end(&stderr_copy, log, sizeof(log));
	ck_assert_ptr_nonnull(strstr(log, "model0: passt: first\n"));
	ck_assert_ptr_nonnull(strstr(log, "model0: passt: second"));
	ck_assert_ptr_null(strchr(log, '\033'));
	ck_assert_ptr_nonnull(strstr(log, "model0: passt: third\n"));
	ck_assert_ptr_null(strstr(log, "syslog"));
}
END_TEST

START_TEST(log_flood_is_limited)
{
	char line[2000];
	static char log[100000];
	size_t lines = 0;

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	capture_begin(&stderr_copy);
	for (unsigned int i = 0; i < 200; i++) {
		ck_assert_int_gt(write(log_end, line, sizeof(line)), 0);
		settle();
	}
	capture_end(&stderr_copy, log, sizeof(log));
	for (const char *at = log; (at = strchr(at, '\n')); at++)
		lines++;
	ck_assert_uint_ge(lines, 1);
	ck_assert_uint_le(lines, 6);
}
END_TEST

START_TEST(child_that_ends_is_reaped_and_told)
{
	char log[4096];

	capture_begin(&stderr_copy);
	kill(child, SIGKILL);
	waitid(P_PID, (id_t)child, &(siginfo_t){0}, WEXITED | WNOWAIT);
	settle();
	capture_end(&stderr_copy, log, sizeof(log));
	ck_assert_msg(strstr(log, "passt was ended by signal 9") != NULL, "%s",
		      log);
	ck_assert_int_eq(waitpid(child, NULL, WNOHANG), -1);
	child = 0;
}
END_TEST

START_TEST(keep_fds_names_all_three)
{
	int fds[VIRTIO_DEVICE_FDS_MAX];
	unsigned int count = virtio_device_keep_fds(driver.guest.device, fds);

	/* Three queues, and two timers. */
	ck_assert_uint_eq(count, 6 + 2 + NET_USER_FDS);
	ck_assert_mem_eq(fds + 8, driver.guest.resources.fds,
			 NET_USER_FDS * sizeof(fds[0]));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("net_user");
	TCase *tc = tcase_create("net_user");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, receive_frames_at_once_are_told_apart);
	tcase_add_test(tc, receive_frame_in_single_bytes_is_put_together);
	tcase_add_test(tc, receive_longest_frame_is_delivered);
	tcase_add_test(tc, receive_starved_ring_keeps_what_was_read);
	tcase_add_loop_test(tc, receive_length_that_cannot_be_ends_it, 0, 7);
	tcase_add_loop_test(tc, receive_end_in_a_frame_loses_the_link, 0, 2);
	tcase_add_test(tc, send_frames_are_in_the_stream_in_order);
	tcase_add_test(tc, send_frame_too_long_for_passt_is_dropped);
	tcase_add_test(tc, log_lines_are_told_but_for_noise);
	tcase_add_test(tc, log_flood_is_limited);
	tcase_add_test(tc, child_that_ends_is_reaped_and_told);
	tcase_add_test(tc, keep_fds_names_all_three);
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
