/*
 * A network card of several pairs of queues over vhost-user: the frontend has
 * the control queue, and the backend is told which rings are enabled.
 */
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/net_driver.h"
#include "tests/unit/support/vhost_server.h"
#include "virtio/vhost_frontend.h"
#include "virtio/vhost_user.h"

#define VERSION_1 (UINT64_C(1) << 32)
#define PAIRS	  2

static struct vhost_server server;
static struct virtio_vhost_options options;
static struct net_driver net;

/* --- Both ends --------------------------------------------------------- */

static void start_server(unsigned int pairs)
{
	/* Its end is as it was asked for here, whoever makes the next. */
	net_driver_init(&net, pairs, 0, 0);
	net_driver_fini(&net);
	memset(net.peers, -1, sizeof(net.peers));
	vhost_server_start(&server, net_driver_ops(), NULL, false);
}

static void start(unsigned int pairs, unsigned int queues, uint64_t features)
{
	static char mac[] = "52:54:00:01:02:03";

	start_server(pairs);
	options = vhost_server_options(&server, "net");
	options.queues = queues;
	options.mac = mac;
	model_driver_init(&net.guest, vhost_frontend_ops("net"), &options);
	model_driver_start(&net.guest, features);
}

static void close_peers(void)
{
	for (unsigned int i = 0; i < NET_PAIRS_MAX; i++) {
		if (net.peers[i] >= 0)
			close(net.peers[i]);
		net.peers[i] = -1;
	}
}

static void finish(void)
{
	model_driver_fini(&net.guest);
	vhost_server_stop(&server);
	close_peers();
}

static bool pairs_are(void *ctx)
{
	return net_driver_asked.pairs == *(unsigned int *)ctx;
}

/* The end's, when all that was said has been done. */
static void check_pairs(unsigned int pairs)
{
	ck_assert_msg(model_driver_wait(&net.guest, pairs_are, &pairs),
		      "pairs: expected %u, found %u", pairs,
		      net_driver_asked.pairs);
}

/* Return: the answer. */
static int use_pairs(uint16_t pairs)
{
	const le16 data = le16_of(pairs);

	return net_driver_control(&net, VIRTIO_NET_CTRL_MQ,
				  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &data,
				  sizeof(data));
}

static bool has_frame(void *ctx)
{
	struct pollfd pollfd = {.fd = *(int *)ctx, .events = POLLIN};

	return poll(&pollfd, 1, 0) > 0;
}

/* A frame each way, over this pair. */
static void check_pair(unsigned int pair)
{
	uint8_t frame[64], seen[128];

	net_driver_frame(frame, sizeof(frame), (uint8_t)(pair + 7));
	net_driver_send(&net, pair, NULL, frame, sizeof(frame));
	ck_assert(model_driver_wait(&net.guest, has_frame, &net.peers[pair]));
	ck_assert_int_eq(
		net_driver_to_peer(&net, pair, NULL, seen, sizeof(seen)),
		sizeof(frame));
	ck_assert_mem_eq(seen, frame, sizeof(frame));
	model_driver_collect(&net.guest, 2 * pair + 1);
	net_driver_give(&net, pair, 1, 2048);
	net_driver_from_peer(&net, pair, NULL, frame, sizeof(frame));
	ck_assert_uint_eq(model_driver_collect(&net.guest, 2 * pair).len,
			  sizeof(struct net_header) + sizeof(frame));
}

/* --- The frontend's ---------------------------------------------------- */

START_TEST(create_pairs_has_them_and_a_control_queue)
{
	const uint64_t wanted = NET_FEATURE(MQ) | NET_FEATURE(CTRL_VQ);
	struct virtio_device *device;
	uint8_t config[12];

	start(PAIRS, PAIRS, MODEL_DRIVER_ALL);
	device = net.guest.device;
	ck_assert_uint_eq(virtio_device_queues(device), 2 * PAIRS + 1);
	ck_assert_uint_eq(virtio_device_features(device) & wanted, wanted);
	ck_assert(!(virtio_device_features(device) & NET_FEATURE(CTRL_RX)));
	virtio_device_lock(device);
	virtio_device_read_config_locked(device, 0, config, sizeof(config));
	virtio_device_unlock(device);
	ck_assert_mem_eq(config, "\x52\x54\x00\x01\x02\x03\x01\x00\x02\x00",
			 10);
	finish();
}
END_TEST

/* Of two pairs that there are, a machine may have one. */
START_TEST(create_one_pair_of_two_has_no_control_queue)
{
	start(PAIRS, 1, MODEL_DRIVER_ALL);
	ck_assert_uint_eq(virtio_device_queues(net.guest.device), 2);
	ck_assert(!(virtio_device_features(net.guest.device) &
		    (NET_FEATURE(MQ) | NET_FEATURE(CTRL_VQ))));
	check_pair(0);
	check_pairs(1);
	finish();
}
END_TEST

START_TEST(create_more_pairs_than_there_are_is_refused_by_name)
{
	struct virtio_resources resources = {NULL};
	struct virtio_device_config config = {
		.ops = vhost_frontend_ops("net"),
		.label = "net0",
		.resources = &resources,
	};
	struct virtio_open args = {.option = "--vhost-user net",
				   .options = &options};
	struct virtio_device *device = NULL;
	struct error err = {""};

	start_server(1);
	options = vhost_server_options(&server, "net");
	options.queues = PAIRS;
	ck_assert_int_eq(loop_new(&config.loop), 0);
	config.mem = ring_driver_mem(1);
	ck_assert_int_eq(config.ops->open(&args, &resources, &err), 0);
	ck_assert_int_lt(virtio_device_new(&device, &config, &err), 0);
	ck_assert_str_eq(err.text,
			 "queues: expected at least 2 of the vhost-user "
			 "backend, found 1; start it with more, or ask for "
			 "fewer");
	virtio_resources_fini(&resources);
	guest_mem_free(config.mem);
	loop_free(config.loop);
	vhost_server_stop(&server);
	close_peers();
}
END_TEST

START_TEST(pairs_set_enables_and_disables_rings)
{
	uint8_t frame[64], seen[128];

	start(PAIRS, PAIRS, MODEL_DRIVER_ALL);
	check_pairs(1);
	check_pair(0);
	/* Nobody takes it from the second pair yet. */
	net_driver_frame(frame, sizeof(frame), 1);
	net_driver_send(&net, 1, NULL, frame, sizeof(frame));
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_int_eq(use_pairs(1), VIRTIO_NET_OK);
		check_pairs(1);
		check_pair(0);
		ck_assert(!has_frame(&net.peers[1]));
		ck_assert_int_eq(use_pairs(2), VIRTIO_NET_OK);
		check_pairs(2);
		ck_assert(model_driver_wait(&net.guest, has_frame,
					    &net.peers[1]));
		ck_assert_int_eq(
			net_driver_to_peer(&net, 1, NULL, seen, sizeof(seen)),
			sizeof(frame));
		ck_assert_mem_eq(seen, frame, sizeof(frame));
		model_driver_collect(&net.guest, 3);
		check_pair(1);
		check_pair(0);
		ck_assert_int_eq(use_pairs(1), VIRTIO_NET_OK);
		net_driver_send(&net, 1, NULL, frame, sizeof(frame));
	}
	ck_assert_uint_eq(net.guest.needs_resets, 0);
	finish();
}
END_TEST

START_TEST(command_wrong_one_is_an_error_and_changes_nothing)
{
	const uint16_t wrong[] = {0, PAIRS + 1, 0x8000, 0xffff};
	const uint8_t three[3] = {1}, on = 1;

	start(PAIRS, PAIRS, MODEL_DRIVER_ALL);
	ck_assert_int_eq(use_pairs(2), VIRTIO_NET_OK);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_int_eq(use_pairs(wrong[i]), VIRTIO_NET_ERR);
	ck_assert_int_eq(net_driver_control(&net, VIRTIO_NET_CTRL_MQ,
					    VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
					    three, sizeof(three)),
			 VIRTIO_NET_ERR);
	ck_assert_int_eq(net_driver_control(&net, VIRTIO_NET_CTRL_MQ,
					    VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
					    three, 1),
			 VIRTIO_NET_ERR);
	ck_assert_int_eq(
		net_driver_control(&net, VIRTIO_NET_CTRL_MQ, 9, three, 2),
		VIRTIO_NET_ERR);
	ck_assert_int_eq(net_driver_control(&net, VIRTIO_NET_CTRL_RX,
					    VIRTIO_NET_CTRL_RX_PROMISC, &on,
					    sizeof(on)),
			 VIRTIO_NET_ERR);
	check_pairs(2);
	check_pair(1);
	finish();
}
END_TEST

START_TEST(command_without_room_for_the_answer_needs_reset)
{
	start(PAIRS, PAIRS, MODEL_DRIVER_ALL);
	model_driver_send(&net.guest, 2 * PAIRS, "\4\0\1\0", 4);
	model_driver_settle(&net.guest);
	ck_assert_uint_eq(net.guest.needs_resets, 1);
	model_driver_reset(&net.guest);
	model_driver_start(&net.guest, MODEL_DRIVER_ALL);
	ck_assert_int_eq(use_pairs(2), VIRTIO_NET_OK);
	check_pair(1);
	/* Each driver begins with one. */
	model_driver_reset(&net.guest);
	model_driver_start(&net.guest, MODEL_DRIVER_ALL);
	check_pairs(1);
	finish();
}
END_TEST

/* A command for two pairs on any queue. Return: the answer. */
static uint8_t command_on(unsigned int index)
{
	const uint64_t gpa = model_driver_alloc(&net.guest, 5);
	const struct ring_driver_chain chain = {
		.readable = {{gpa, 4}},
		.readable_count = 1,
		.writable = {{gpa + 4, 1}},
		.writable_count = 1,
	};
	uint8_t *host = model_driver_host(&net.guest, gpa, 5);

	memcpy(host, "\4\0\2\0\xee", 5);
	ck_assert_int_ge(ring_driver_add(net.guest.rings[index], &chain), 0);
	model_driver_kick(&net.guest, index);
	model_driver_collect(&net.guest, index);
	return host[4];
}

/* The third queue is its control queue then (5.1.2), and not the backend's. */
START_TEST(activate_without_mq_uses_the_first_pair_alone)
{
	uint8_t frame[64];

	start(PAIRS, PAIRS, ~NET_FEATURE(MQ));
	check_pair(0);
	check_pairs(1);
	net_driver_give(&net, 1, 1, 2048);
	net_driver_frame(frame, sizeof(frame), 1);
	net_driver_from_peer(&net, 1, NULL, frame, sizeof(frame));
	model_driver_sleep(&net.guest);
	model_driver_wake(&net.guest);
	check_pair(0);
	ck_assert_uint_eq(ring_driver_outstanding(net.guest.rings[2]), 1);
	/* Nor is it told of a queue that such a driver cannot have. */
	ck_assert_int_eq(command_on(2 * PAIRS), VIRTIO_NET_ERR);
	check_pairs(1);
	model_driver_reset(&net.guest);
	/* The next driver has all of them, and begins with one. */
	model_driver_start(&net.guest, MODEL_DRIVER_ALL);
	check_pairs(1);
	ck_assert_int_eq(use_pairs(2), VIRTIO_NET_OK);
	check_pairs(2);
	finish();
}
END_TEST

START_TEST(sleep_and_state_keep_the_pairs)
{
	struct error err = {""};
	json_t *state, *wrong;

	start(PAIRS, PAIRS, MODEL_DRIVER_ALL);
	ck_assert_int_eq(use_pairs(2), VIRTIO_NET_OK);
	model_driver_sleep(&net.guest);
	model_driver_wake(&net.guest);
	check_pairs(2);
	check_pair(1);
	ck_assert_int_eq(use_pairs(2), VIRTIO_NET_OK);
	model_driver_sleep(&net.guest);
	state = model_driver_snapshot(&net.guest);
	/* Another connection: the device there is made anew, and its end. */
	virtio_device_free(net.guest.device);
	net.guest.device = NULL;
	virtio_resources_fini(&net.guest.resources);
	ck_assert_int_eq(
		net.guest.ops->open(&(struct virtio_open){.option = "--model",
							  .options = &options},
				    &net.guest.resources, &err),
		0);
	model_driver_replace(&net.guest);
	check_pairs(1);
	model_driver_sleep(&net.guest);
	wrong = json_deep_copy(state);
	json_object_set_new(json_object_get(wrong, "model"), "pairs",
			    json_integer(PAIRS + 1));
	ck_assert_int_lt(model_driver_restore(&net.guest, wrong, &err), 0);
	ck_assert_msg(model_driver_restore(&net.guest, state, &err) == 0, "%s",
		      err.text);
	model_driver_wake(&net.guest);
	check_pairs(2);
	check_pair(1);
	json_decref(wrong);
	json_decref(state);
	finish();
}
END_TEST

/* What the driver has said holds for the next backend, too; also what it says
 * while there is none. */
START_TEST(lost_backend_the_next_has_the_pairs)
{
	const bool before = _i;

	start(PAIRS, PAIRS, MODEL_DRIVER_ALL);
	if (before)
		ck_assert_int_eq(use_pairs(2), VIRTIO_NET_OK);
	check_pair(0);
	vhost_server_halt(&server);
	close_peers();
	model_driver_settle(&net.guest);
	if (!before)
		ck_assert_int_eq(use_pairs(2), VIRTIO_NET_OK);
	net_driver_asked.pairs = 0;
	vhost_server_again(&server, net_driver_ops(), NULL, false);
	check_pairs(2);
	check_pair(1);
	check_pair(0);
	ck_assert_uint_eq(net.guest.needs_resets, 0);
	finish();
}
END_TEST

/* --- The backend's ----------------------------------------------------- */

static int64_t soon(void)
{
	return loop_now() + 5 * VHOST_USER_DEADLINE;
}

/* Return: the answer, or the acknowledgement; -1: it hangs up. */
static int64_t ask(int fd, struct vhost_user_message message)
{
	struct vhost_user_message reply;
	int64_t value;

	message.flags |= VHOST_USER_NEED_REPLY;
	if (vhost_user_send(fd, soon(), &message) < 0 ||
	    vhost_user_receive(fd, soon(), &reply) < 0)
		return -1;
	value = (int64_t)le64_get(reply.payload.u64);
	vhost_user_message_fini(&reply);
	return value;
}

static int64_t tell(int fd, uint32_t request, uint64_t value)
{
	return ask(fd,
		   (struct vhost_user_message){.request = request,
					       .size = 8,
					       .payload.u64 = le64_of(value)});
}

static int64_t tell_ring(int fd, uint32_t request, uint32_t index,
			 uint32_t value)
{
	return tell(fd, request, index | (uint64_t)value << 32);
}

static int greet(uint64_t features)
{
	const struct vhost_user_message owner = {.request =
							 VHOST_USER_SET_OWNER};
	const int fd = vhost_server_connect(&server);
	const struct vhost_user_message protocol = {
		.request = VHOST_USER_SET_PROTOCOL_FEATURES,
		.size = 8,
		.payload.u64 = le64_of(VHOST_USER_PROTOCOL(MQ) |
				       VHOST_USER_PROTOCOL(REPLY_ACK)),
	};

	ck_assert_int_eq(vhost_user_send(fd, soon(), &protocol), 0);
	ck_assert_int_eq(ask(fd, owner), 0);
	ck_assert_int_eq(
		tell(fd, VHOST_USER_SET_FEATURES,
		     features | VERSION_1 |
			     UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES),
		0);
	return fd;
}

/* Empty rings, in memory of zeroes, that begin when they are enabled. */
static void set_rings_up(int fd, unsigned int count, int memory, int kick)
{
	ck_assert_int_eq(
		ask(fd,
		    (struct vhost_user_message){
			    .request = VHOST_USER_SET_MEM_TABLE,
			    .size = 40,
			    .payload.table = {.count = {1},
					      .regions = {{.size = {1 << 20}}}},
			    .fds = {memory},
			    .fd_count = 1}),
		0);
	for (unsigned int i = 0; i < count; i++) {
		const uint64_t base = (uint64_t)i << 16;

		ck_assert_int_eq(tell_ring(fd, VHOST_USER_SET_VRING_NUM, i, 8),
				 0);
		ck_assert_int_eq(
			ask(fd,
			    (struct vhost_user_message){
				    .request = VHOST_USER_SET_VRING_ADDR,
				    .size = 40,
				    .payload.addr =
					    {.index = le32_of(i),
					     .descriptor = le64_of(base),
					     .available =
						     le64_of(base + 0x1000),
					     .used = le64_of(base + 0x2000)}}),
			0);
		ck_assert_int_eq(
			ask(fd,
			    (struct vhost_user_message){
				    .request = VHOST_USER_SET_VRING_KICK,
				    .size = 8,
				    .payload.u64 = le64_of(i),
				    .fds = {kick},
				    .fd_count = 1}),
			0);
	}
}

START_TEST(backend_offers_pairs_and_no_control_queue)
{
	const unsigned int pairs = (unsigned int)_i;
	uint64_t features;
	int fd;

	start_server(pairs);
	fd = greet(0);
	features =
		(uint64_t)ask(fd, (struct vhost_user_message){
					  .request = VHOST_USER_GET_FEATURES});
	ck_assert_int_eq(!(features & NET_FEATURE(MQ)), pairs == 1);
	ck_assert(!(features & NET_FEATURE(CTRL_VQ)));
	ck_assert_int_eq(ask(fd,
			     (struct vhost_user_message){
				     .request = VHOST_USER_GET_QUEUE_NUM}),
			 pairs);
	ck_assert_int_eq(
		tell_ring(fd, VHOST_USER_SET_VRING_ENABLE, 2 * pairs - 1, 1),
		0);
	/* Where its own control queue is. */
	ck_assert_int_eq(
		tell_ring(fd, VHOST_USER_SET_VRING_ENABLE, 2 * pairs, 1), 1);
	ck_assert_int_eq(tell_ring(fd, VHOST_USER_SET_VRING_NUM, 2 * pairs, 8),
			 1);
	close(fd);
	vhost_server_stop(&server);
	close_peers();
}
END_TEST

/* The end has the queues of those pairs of which both rings are enabled. */
START_TEST(backend_rings_enabled_are_the_pairs_in_use)
{
	static const struct {
		uint32_t ring, on;
		unsigned int pairs;
	} steps[] = {
		{0, 1, 1}, {1, 1, 1}, {2, 1, 1}, {3, 1, 2}, {4, 1, 2},
		{5, 1, 3}, {3, 0, 1}, {3, 1, 3}, {5, 0, 2}, {4, 0, 2},
		{2, 0, 1}, {3, 0, 1}, {1, 0, 1}, {0, 0, 1},
	};
	const int memory = memfd_create("rings", MFD_CLOEXEC);
	const int kick = eventfd(0, EFD_CLOEXEC);
	int fd;

	start_server(3);
	fd = greet(NET_FEATURE(MQ));
	ck_assert_int_eq(ftruncate(memory, 1 << 20), 0);
	set_rings_up(fd, 6, memory, kick);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		ck_assert_int_eq(tell_ring(fd, VHOST_USER_SET_VRING_ENABLE,
					   steps[i].ring, steps[i].on),
				 0);
		ck_assert_msg(net_driver_asked.pairs == steps[i].pairs,
			      "step %zu: %u pairs", i, net_driver_asked.pairs);
	}
	close(fd);
	close(memory);
	close(kick);
	vhost_server_stop(&server);
	close_peers();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_net");
	TCase *front = tcase_create("frontend");
	TCase *back = tcase_create("backend");
	SRunner *runner;
	int failed;

	tcase_add_test(front, create_pairs_has_them_and_a_control_queue);
	tcase_add_test(front, create_one_pair_of_two_has_no_control_queue);
	tcase_add_test(front,
		       create_more_pairs_than_there_are_is_refused_by_name);
	tcase_add_test(front, pairs_set_enables_and_disables_rings);
	tcase_add_test(front,
		       command_wrong_one_is_an_error_and_changes_nothing);
	tcase_add_test(front, command_without_room_for_the_answer_needs_reset);
	tcase_add_test(front, activate_without_mq_uses_the_first_pair_alone);
	tcase_add_test(front, sleep_and_state_keep_the_pairs);
	tcase_add_loop_test(front, lost_backend_the_next_has_the_pairs, 0, 2);
	suite_add_tcase(suite, front);
	tcase_add_loop_test(back, backend_offers_pairs_and_no_control_queue, 1,
			    4);
	tcase_add_test(back, backend_rings_enabled_are_the_pairs_in_use);
	suite_add_tcase(suite, back);
	tcase_set_timeout(front, 30);
	tcase_set_timeout(back, 30);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
