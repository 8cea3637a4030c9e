/*
 * vhost-user with a peer that lies, both ways: messages of the wrong size, out
 * of order, with descriptors that nobody asked for, half of them, and silence.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/model_driver.h"
#include "tests/unit/support/vhost_server.h"
#include "virtio/rng.h"
#include "virtio/vhost_frontend.h"
#include "virtio/vhost_user.h"

#define FEATURES \
	(UINT64_C(1) << 32 | UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES)

static struct vhost_server server;

static unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static int64_t soon(void)
{
	return loop_now() + 5 * VHOST_USER_DEADLINE;
}

static void put(int fd, const struct vhost_user_message *message)
{
	(void)vhost_user_send(fd, soon(), message);
}

/* Whether the other side hangs up. */
static bool hung_up(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	uint8_t bytes[512];
	ssize_t n = 1;

	while (n > 0) {
		if (poll(&pollfd, 1, 5000) <= 0)
			return false;
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	}
	return true;
}

/* --- A hostile frontend ------------------------------------------------ */

static void start_server(void)
{
	static struct virtio_rng_options options;

	vhost_server_start(&server, &virtio_rng_ops, &options, false);
}

/* A well-behaved beginning. */
static int greet(void)
{
	int fd = vhost_server_connect(&server);

	put(fd, &(struct vhost_user_message){
			.request = VHOST_USER_SET_PROTOCOL_FEATURES,
			.size = 8,
			.payload.u64 = le64_of(
				VHOST_USER_PROTOCOL(CONFIG) |
				VHOST_USER_PROTOCOL(REPLY_ACK) |
				VHOST_USER_PROTOCOL(INFLIGHT_SHMFD) |
				VHOST_USER_PROTOCOL(CONFIGURE_MEM_SLOTS) |
				VHOST_USER_PROTOCOL(DEVICE_STATE) |
				VHOST_USER_PROTOCOL(STATUS))});
	put(fd, &(struct vhost_user_message){.request = VHOST_USER_SET_OWNER});
	put(fd, &(struct vhost_user_message){.request = VHOST_USER_SET_FEATURES,
					     .size = 8,
					     .payload.u64 = le64_of(FEATURES)});
	return fd;
}

/* Whether it is served, by another connection. */
static void check_served(void)
{
	struct vhost_user_message reply;
	int fd = vhost_server_connect(&server);

	put(fd,
	    &(struct vhost_user_message){.request = VHOST_USER_GET_FEATURES});
	ck_assert_int_eq(vhost_user_receive(fd, soon(), &reply), 0);
	ck_assert_uint_eq(reply.size, 8);
	ck_assert(le64_get(reply.payload.u64) & FEATURES);
	close(fd);
}

#define STATE(index, number)                                          \
	{                                                             \
		.size = 8, .payload.state = { {(index)}, {(number)} } \
	}

static const struct {
	const char *what;
	struct vhost_user_message message;
	uint32_t request;
	unsigned int fds; /* of /dev/null */
} wrong_frontends[] = {
	{"no request", {.size = 0}, 0, 0},
	{"one of a feature that is not there", {.size = 8}, 22, 0},
	{"one far away", {.size = 0}, 0xffffffff, 0},
	{"a reply", {.flags = VHOST_USER_REPLY}, VHOST_USER_GET_FEATURES, 0},
	{"version 0", {.flags = 2}, VHOST_USER_GET_FEATURES, 0},
	{"too short", {.size = 4}, VHOST_USER_SET_FEATURES, 0},
	{"too long", {.size = 16}, VHOST_USER_SET_FEATURES, 0},
	{"features that were not offered",
	 {.size = 8, .payload.u64 = {UINT64_MAX}},
	 VHOST_USER_SET_FEATURES,
	 0},
	{"no descriptor", {.size = 8}, VHOST_USER_SET_VRING_KICK, 0},
	{"descriptors that nobody asked for",
	 {.size = 0},
	 VHOST_USER_GET_FEATURES,
	 8},
	{"two for one", {.size = 8}, VHOST_USER_SET_VRING_CALL, 2},
	{"a kick that cannot be waited for",
	 {.size = 8},
	 VHOST_USER_SET_VRING_KICK,
	 1},
	{"a ring that is not there", STATE(1, 4), VHOST_USER_SET_VRING_NUM, 0},
	{"a ring of nothing", STATE(0, 0), VHOST_USER_SET_VRING_NUM, 0},
	{"a ring too large", STATE(0, 128), VHOST_USER_SET_VRING_NUM, 0},
	{"enabled twice over", STATE(0, 2), VHOST_USER_SET_VRING_ENABLE, 0},
	{"the base of no ring", STATE(64, 0), VHOST_USER_GET_VRING_BASE, 0},
	{"memory without descriptors",
	 {.size = 40, .payload.table = {.count = {1}}},
	 VHOST_USER_SET_MEM_TABLE,
	 0},
	{"a table of many",
	 {.size = 8, .payload.table = {.count = {0xffffffff}}},
	 VHOST_USER_SET_MEM_TABLE,
	 0},
	{"memory that is no file",
	 {.size = 40,
	  .payload.table = {.count = {1}, .regions = {{.size = {4096}}}}},
	 VHOST_USER_SET_MEM_TABLE,
	 1},
	{"no region", {.size = 40}, VHOST_USER_REM_MEM_REG, 0},
	{"configuration without bytes", {.size = 12}, VHOST_USER_SET_CONFIG, 0},
	{"in-flight queues without end",
	 {.size = 20,
	  .payload.inflight = {.num_queues = {0xffff}, .queue_size = {0xffff}}},
	 VHOST_USER_GET_INFLIGHT_FD,
	 0},
	{"no in-flight region",
	 {.size = 20,
	  .payload.inflight = {.mmap_size = {4096},
			       .num_queues = {1},
			       .queue_size = {64}}},
	 VHOST_USER_SET_INFLIGHT_FD,
	 1},
	{"a status of many bits",
	 {.size = 8, .payload.u64 = {0x100}},
	 VHOST_USER_SET_STATUS,
	 0},
};

#define WRONG_FRONTENDS (sizeof(wrong_frontends) / sizeof(wrong_frontends[0]))

START_TEST(backend_wrong_message_ends_the_connection)
{
	struct vhost_user_message message = wrong_frontends[_i].message;
	unsigned int before, fds = wrong_frontends[_i].fds;
	int fd;

	start_server();
	check_served();
	before = count_fds();
	fd = greet();
	message.request = wrong_frontends[_i].request;
	message.fd_count = fds;
	for (unsigned int i = 0; i < fds; i++)
		message.fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
	put(fd, &message);
	ck_assert_msg(hung_up(fd), "%s", wrong_frontends[_i].what);
	vhost_user_message_fini(&message);
	close(fd);
	check_served();
	vhost_server_stop(&server);
	/* The listening socket, the loop and its wakes are gone, too. */
	ck_assert_uint_lt(count_fds(), before);
}
END_TEST

/* What was refused is acknowledged as such where that is asked for. */
START_TEST(backend_refusal_is_acknowledged)
{
	struct vhost_user_message reply;
	int fd;

	start_server();
	fd = greet();
	for (unsigned int i = 0; i < 3; i++) {
		put(fd, &(struct vhost_user_message){
				.request = VHOST_USER_SET_VRING_NUM,
				.flags = VHOST_USER_NEED_REPLY,
				.size = 8,
				.payload.state = {{9}, {i}}});
		ck_assert_int_eq(vhost_user_receive(fd, soon(), &reply), 0);
		ck_assert_uint_eq(le64_get(reply.payload.u64), 1);
	}
	close(fd);
	vhost_server_stop(&server);
}
END_TEST

/* Half a message holds nobody up for longer than the deadline. */
START_TEST(backend_half_a_message_ends_the_connection)
{
	const uint32_t half[4] = {VHOST_USER_SET_FEATURES, 1, 8, 0};
	int64_t begun;
	int fd;

	start_server();
	fd = vhost_server_connect(&server);
	begun = loop_now();
	ck_assert_int_eq(write(fd, half, _i ? sizeof(half) : 7),
			 _i ? (int)sizeof(half) : 7);
	ck_assert(hung_up(fd));
	ck_assert_int_lt(loop_now() - begun, 3 * VHOST_USER_DEADLINE);
	close(fd);
	check_served();
	vhost_server_stop(&server);
}
END_TEST

/* Nor does one of which a byte comes now and then. */
START_TEST(backend_message_in_drips_ends_the_connection)
{
	const uint32_t header[3] = {VHOST_USER_SET_MEM_TABLE, 1, 264};
	struct pollfd pollfd = {.events = POLLIN};
	int64_t begun;

	start_server();
	pollfd.fd = vhost_server_connect(&server);
	ck_assert_int_eq(write(pollfd.fd, header, sizeof(header)),
			 sizeof(header));
	begun = loop_now();
	do {
		(void)send(pollfd.fd, "", 1, MSG_NOSIGNAL);
	} while (poll(&pollfd, 1, 100) == 0 &&
		 loop_now() - begun < 5 * VHOST_USER_DEADLINE);
	ck_assert_int_lt(loop_now() - begun, 3 * VHOST_USER_DEADLINE);
	ck_assert(hung_up(pollfd.fd));
	close(pollfd.fd);
	check_served();
	vhost_server_stop(&server);
}
END_TEST

static int64_t server_cpu(void)
{
	struct timespec time;
	clockid_t clock;

	ck_assert_int_eq(pthread_getcpuclockid(server.thread, &clock), 0);
	ck_assert_int_eq(clock_gettime(clock, &time), 0);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Ready for ever, and nothing comes: its end, or what cannot be read. */
START_TEST(backend_kick_that_is_no_eventfd_costs_no_time)
{
	struct vhost_user_message kick = {
		.request = VHOST_USER_SET_VRING_KICK, .size = 8, .fd_count = 1};
	const struct vhost_user_message ask = {.request =
						       VHOST_USER_GET_FEATURES};
	struct vhost_user_message reply;
	int64_t before;
	int fd, pair[2];

	start_server();
	fd = greet();
	if (_i) {
		ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
		close(pair[0]);
		pair[0] = -1;
		kick.fds[0] = pair[1];
	} else {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
					    0, pair),
				 0);
		ck_assert_int_eq(shutdown(pair[0], SHUT_WR), 0);
		kick.fds[0] = pair[1];
	}
	put(fd, &kick);
	put(fd, &ask);
	ck_assert_int_eq(vhost_user_receive(fd, soon(), &reply), 0);
	before = server_cpu();
	/* Measured over this time, not waited for. */
	poll(NULL, 0, 300);
	ck_assert_int_lt(server_cpu() - before, 20000000);
	close(pair[1]);
	if (pair[0] >= 0)
		close(pair[0]);
	close(fd);
	check_served();
	vhost_server_stop(&server);
}
END_TEST

/* A flood of descriptors, with bytes that are no message. */
START_TEST(backend_flood_of_descriptors_leaves_none)
{
	char control[CMSG_SPACE(200 * sizeof(int))];
	uint8_t byte = 1;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	unsigned int before;
	int fd, null;

	start_server();
	check_served();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	memset(control, 0, sizeof(control));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(200 * sizeof(int));
	for (unsigned int i = 0; i < 200; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &null, sizeof(int));
	before = count_fds();
	for (unsigned int i = 0; i < 20; i++) {
		fd = vhost_server_connect(&server);
		ck_assert_int_eq(sendmsg(fd, &msg, MSG_NOSIGNAL), 1);
		ck_assert(hung_up(fd));
		close(fd);
	}
	check_served();
	/* One connection may be on its way out. */
	ck_assert_uint_lt(count_fds(), before + 16);
	close(null);
	vhost_server_stop(&server);
}
END_TEST

/* As many as one message may have, once with its header and once more. */
START_TEST(backend_descriptors_in_pieces_are_closed)
{
	const uint32_t header[3] = {VHOST_USER_SET_FEATURES, 1, 8};
	struct vhost_user_message eight = {.fd_count = VHOST_USER_FDS_MAX};
	char control[CMSG_SPACE(sizeof(eight.fds))] = {0};
	struct iovec iov = {(void *)(uintptr_t)header, sizeof(header)};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	unsigned int before;
	int fd;

	start_server();
	check_served();
	for (unsigned int i = 0; i < VHOST_USER_FDS_MAX; i++)
		eight.fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(eight.fds));
	memcpy(CMSG_DATA(c), eight.fds, sizeof(eight.fds));
	before = count_fds();
	for (unsigned int i = 0; i < 8; i++) {
		fd = vhost_server_connect(&server);
		iov.iov_len = sizeof(header);
		ck_assert_int_eq(sendmsg(fd, &msg, MSG_NOSIGNAL),
				 sizeof(header));
		iov.iov_len = 8;
		ck_assert_int_eq(sendmsg(fd, &msg, MSG_NOSIGNAL), 8);
		ck_assert(hung_up(fd));
		close(fd);
	}
	check_served();
	ck_assert_uint_lt(count_fds(), before + 16);
	vhost_user_message_fini(&eight);
	vhost_server_stop(&server);
}
END_TEST

/* Memory that the frontend cuts off: zeroes for us, and an end for it. */
START_TEST(backend_memory_that_is_cut_off_ends_the_connection)
{
	struct vhost_user_message table = {
		.request = VHOST_USER_SET_MEM_TABLE,
		.size = 40,
		.payload.table = {.count = {1},
				  .regions = {{.size = {65536},
					       .user_address = {0x10000}}}},
		.fd_count = 1,
	};
	const struct vhost_user_message addr = {
		.request = VHOST_USER_SET_VRING_ADDR,
		.size = 40,
		.payload.addr = {.descriptor = {0x10000},
				 .available = {0x12000},
				 .used = {0x13000}},
	};
	struct vhost_user_message kick = {
		.request = VHOST_USER_SET_VRING_KICK, .size = 8, .fd_count = 1};
	const struct vhost_user_message ask = {.request =
						       VHOST_USER_GET_FEATURES};
	struct vhost_user_message reply;
	int fd, memory = memfd_create("cut", MFD_CLOEXEC);

	start_server();
	fd = greet();
	ck_assert_int_eq(ftruncate(memory, 65536), 0);
	table.fds[0] = memory;
	put(fd, &table);
	put(fd, &addr);
	put(fd,
	    &(struct vhost_user_message){.request = VHOST_USER_SET_VRING_NUM,
					 .size = 8,
					 .payload.state = {{0}, {8}}});
	put(fd, &(struct vhost_user_message){.request = VHOST_USER_SET_STATUS,
					     .size = 8,
					     .payload.u64 = {15}});
	put(fd, &ask);
	ck_assert_int_eq(vhost_user_receive(fd, soon(), &reply), 0);
	ck_assert_int_eq(ftruncate(memory, 0), 0);
	kick.fds[0] = eventfd(0, EFD_CLOEXEC);
	put(fd, &kick);
	put(fd,
	    &(struct vhost_user_message){.request = VHOST_USER_SET_VRING_ENABLE,
					 .size = 8,
					 .payload.state = {{0}, {1}}});
	ck_assert(hung_up(fd));
	close(fd);
	close(memory);
	close(kick.fds[0]);
	check_served();
	vhost_server_stop(&server);
}
END_TEST

/* A split ring of rng's at 0x10000, whose first buffer waits, in memory at 0.
 */
static void set_ring_up(int fd, int memory, int kick, int call)
{
	const struct {
		struct vring_desc desc;
		uint8_t gap[0x2000 - sizeof(struct vring_desc)];
		uint16_t flags, index, head;
	} ring = {
		.desc = {.addr = 0x4000,
			 .len = 64,
			 .flags = VRING_DESC_F_WRITE},
		.index = 1,
	};

	ck_assert_int_eq(pwrite(memory, &ring, sizeof(ring), 0), sizeof(ring));
	put(fd,
	    &(struct vhost_user_message){
		    .request = VHOST_USER_SET_MEM_TABLE,
		    .size = 40,
		    .payload.table = {.count = {1},
				      .regions = {{.size = {65536},
						   .user_address = {0x10000}}}},
		    .fds = {memory},
		    .fd_count = 1});
	put(fd,
	    &(struct vhost_user_message){.request = VHOST_USER_SET_VRING_NUM,
					 .size = 8,
					 .payload.state = {{0}, {8}}});
	put(fd, &(struct vhost_user_message){
			.request = VHOST_USER_SET_VRING_ADDR,
			.size = 40,
			.payload.addr = {.descriptor = {0x10000},
					 .available = {0x12000},
					 .used = {0x13000}}});
	put(fd,
	    &(struct vhost_user_message){.request = VHOST_USER_SET_VRING_CALL,
					 .size = 8,
					 .fds = {call},
					 .fd_count = 1});
	put(fd,
	    &(struct vhost_user_message){.request = VHOST_USER_SET_VRING_KICK,
					 .size = 8,
					 .fds = {kick},
					 .fd_count = 1});
}

/* QEMU's order for a network card: its rings are enabled before the features
 * of each driver come. */
START_TEST(backend_ring_enabled_before_features_runs)
{
	const uint64_t event_idx = UINT64_C(1) << 29;
	const struct vhost_user_message enable = {
		.request = VHOST_USER_SET_VRING_ENABLE,
		.size = 8,
		.payload.state = {{0}, {1}},
	};
	struct vhost_user_message features = {
		.request = VHOST_USER_SET_FEATURES,
		.size = 8,
		.payload.u64 = le64_of(FEATURES | event_idx),
	};
	const int memory = memfd_create("ring", MFD_CLOEXEC);
	const int kick = eventfd(1, EFD_CLOEXEC);
	const int call = eventfd(0, EFD_CLOEXEC);
	int fd;

	start_server();
	fd = vhost_server_connect(&server);
	put(fd, &(struct vhost_user_message){.request = VHOST_USER_SET_OWNER});
	put(fd, &enable);
	put(fd, &features);
	put(fd, &enable);
	features.payload.u64 = le64_of(FEATURES);
	put(fd, &features);
	ck_assert_int_eq(ftruncate(memory, 65536), 0);
	set_ring_up(fd, memory, kick, call);
	ck_assert_int_eq(loop_wait_fd(call, POLLIN, soon()), 0);
	close(fd);
	close(memory);
	close(kick);
	close(call);
	vhost_server_stop(&server);
}
END_TEST

/* --- A hostile backend ------------------------------------------------- */

/* What it does from a certain request on. */
enum lie {
	LIE_SILENCE,
	LIE_HANG_UP,
	LIE_SHORT,
	LIE_LONG,
	LIE_OTHER,
	LIE_NO_REPLY_FLAG,
	LIE_FDS,
	LIE_HALF,
	LIE_REFUSE,
	LIE_HUGE,   /* all bits of all numbers */
	LIE_OWN_FD, /* one, of its own, that never ends */
	LIES,
};

static struct {
	char dir[32], path[48];
	int listen_fd;
	pthread_t thread;
	enum lie lie;
	uint32_t from;	     /* request */
	unsigned int honest; /* so often before that */
	uint64_t protocol, features, queues;
	volatile int request_fd; /* for requests of its own; -1 */
	unsigned int delay;	 /* ms, before it answers that request */
} liar;

static uint64_t liar_value(uint32_t request)
{
	switch (request) {
	case VHOST_USER_GET_FEATURES:
		return FEATURES | liar.features;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		return liar.protocol;
	case VHOST_USER_GET_QUEUE_NUM:
		return liar.queues;
	default:
		return 0;
	}
}

static void liar_twist(struct vhost_user_message *reply)
{
	switch (liar.lie) {
	case LIE_SHORT:
		reply->size = 3;
		break;
	case LIE_LONG:
		reply->size += 8;
		break;
	case LIE_OTHER:
		reply->request++;
		break;
	case LIE_NO_REPLY_FLAG:
		reply->flags = 0;
		break;
	case LIE_FDS:
		for (; reply->fd_count < VHOST_USER_FDS_MAX; reply->fd_count++)
			reply->fds[reply->fd_count] =
				open("/dev/null", O_RDWR | O_CLOEXEC);
		break;
	case LIE_REFUSE:
		reply->payload.u64 = le64_of(1);
		break;
	case LIE_OWN_FD:
		reply->fds[0] = open("/dev/zero", O_RDWR | O_CLOEXEC);
		reply->fd_count = 1;
		break;
	case LIE_HUGE:
		memset(&reply->payload, 0xff, sizeof(reply->payload));
		break;
	case LIE_SILENCE:
	case LIE_HANG_UP:
	case LIE_HALF:
	case LIES:
		break;
	}
}

/* Return: whether to go on. */
static bool liar_answer(int fd, const struct vhost_user_message *request)
{
	const struct vhost_user_row *row =
		vhost_user_row(VHOST_USER_FRONTEND, request->request);
	const bool lies = request->request == liar.from && !liar.honest;
	struct vhost_user_message reply = {
		.request = request->request,
		.flags = VHOST_USER_REPLY,
		.size = 8,
		.payload.u64 = le64_of(liar_value(request->request)),
	};
	const uint32_t half = request->request;

	if (request->request == liar.from && liar.honest)
		liar.honest--;
	if (lies && liar.delay)
		poll(NULL, 0, (int)liar.delay);
	if (row->reply.max == 0 && !(request->flags & VHOST_USER_NEED_REPLY))
		return !lies || liar.lie != LIE_HANG_UP;
	if (request->request == VHOST_USER_GET_VRING_BASE)
		reply.payload.state.num = le32_of(0);
	if (lies && liar.lie == LIE_SILENCE)
		return true;
	if (lies && liar.lie == LIE_HANG_UP)
		return false;
	if (lies && liar.lie == LIE_HALF)
		return send(fd, &half, sizeof(half), MSG_NOSIGNAL) > 0;
	if (lies)
		liar_twist(&reply);
	put(fd, &reply);
	vhost_user_message_fini(&reply);
	return true;
}

static void *liar_run(void *ctx)
{
	struct vhost_user_message message;
	int fd;

	(void)ctx;
	for (;;) {
		fd = accept4(liar.listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			return NULL;
		while (vhost_user_receive(fd, soon(), &message) == 0) {
			bool on;

			/* Whoever has the answer may use it. */
			if (message.request == VHOST_USER_SET_BACKEND_REQ_FD)
				liar.request_fd =
					vhost_user_message_take_fd(&message, 0);
			on = liar_answer(fd, &message);
			vhost_user_message_fini(&message);
			if (!on)
				break;
		}
		close(fd);
	}
}

static void liar_start(enum lie lie, uint32_t from)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	liar.lie = lie;
	liar.from = from;
	liar.features = 0;
	liar.queues = 1;
	liar.honest = 0;
	liar.delay = 0;
	liar.request_fd = -1;
	liar.protocol = VHOST_USER_PROTOCOL(REPLY_ACK) |
			VHOST_USER_PROTOCOL(MQ) | VHOST_USER_PROTOCOL(STATUS) |
			VHOST_USER_PROTOCOL(RESET_DEVICE) |
			VHOST_USER_PROTOCOL(DEVICE_STATE);
	strcpy(liar.dir, "/tmp/liar.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(liar.dir));
	snprintf(liar.path, sizeof(liar.path), "%s/sock", liar.dir);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", liar.path);
	liar.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(liar.listen_fd, (struct sockaddr *)&address,
			      sizeof(address)),
			 0);
	ck_assert_int_eq(listen(liar.listen_fd, 8), 0);
	ck_assert_int_eq(pthread_create(&liar.thread, NULL, liar_run, NULL), 0);
}

static void liar_stop(void)
{
	shutdown(liar.listen_fd, SHUT_RDWR);
	pthread_join(liar.thread, NULL);
	close(liar.listen_fd);
	unlink(liar.path);
	rmdir(liar.dir);
	if (liar.request_fd >= 0)
		close(liar.request_fd);
}

static struct virtio_vhost_options liar_options(const char *type)
{
	struct vhost_server like = {.running = false};
	struct virtio_vhost_options options;

	snprintf(like.path, sizeof(like.path), "%s", liar.path);
	options = vhost_server_options(&like, type);
	options.socket = liar.path;
	options.common.restart = false;
	return options;
}

static struct loop *loop;
static struct guest_mem *mem;

/* --- A keeper, for those that want one --------------------------------- */

static bool kept;
static unsigned int losses;

static bool note_loss(void *ctx, const char *why)
{
	(void)ctx;
	ck_assert(why[0]);
	losses++;
	return true;
}

static int create_kept(void **self, struct virtio_device *device,
		       const struct virtio_resources *resources,
		       struct error *err)
{
	const struct vhost_frontend_keeper keeper = {.lost = note_loss};
	int ret =
		vhost_frontend_ops("rng")->create(self, device, resources, err);

	if (ret == 0 && kept)
		vhost_frontend_keep(*self, &keeper);
	return ret;
}

/* Return: what virtio_device_new() says. */
static int make(struct virtio_device **out, struct virtio_resources *resources,
		struct error *err)
{
	struct virtio_vhost_options options = liar_options("rng");
	static struct virtio_device_ops kept_ops;
	const struct virtio_device_ops *ops = &kept_ops;
	const struct virtio_open open = {.option = "--vhost-user rng",
					 .options = &options};
	const struct virtio_device_config config = {
		.ops = ops,
		.label = "rng0",
		.loop = loop,
		.mem = mem,
		.resources = resources,
	};

	kept_ops = *vhost_frontend_ops("rng");
	kept_ops.create = create_kept;
	ck_assert_msg(ops->open(&open, resources, err) == 0, "%s", err->text);
	return virtio_device_new(out, &config, err);
}

static const uint32_t greetings[] = {
	VHOST_USER_GET_FEATURES,
	VHOST_USER_GET_PROTOCOL_FEATURES,
	VHOST_USER_GET_QUEUE_NUM,
	VHOST_USER_SET_OWNER,
};

/* Each lie at each step of the handshake: an error, in time, nothing left. */
START_TEST(create_lying_backend_is_an_error)
{
	const enum lie lie = (enum lie)(_i % LIES);
	const uint32_t from = greetings[_i / LIES];
	struct virtio_resources resources = {NULL};
	struct virtio_device *device = NULL;
	struct error err = {""};
	unsigned int before;
	int64_t begun;
	int ret;

	/* A number like any other, and features that it may have. */
	if ((lie == LIE_REFUSE && from != VHOST_USER_SET_OWNER) ||
	    (lie == LIE_HUGE && from != VHOST_USER_GET_QUEUE_NUM &&
	     from != VHOST_USER_SET_OWNER))
		return;
	loop_new(&loop);
	mem = ring_driver_mem(4);
	liar_start(lie, from);
	before = count_fds();
	begun = loop_now();
	ret = make(&device, &resources, &err);
	ck_assert_int_lt(ret, 0);
	ck_assert_int_lt(loop_now() - begun, 2 * VHOST_USER_DEADLINE);
	ck_assert(err.text[0]);
	virtio_resources_fini(&resources);
	liar_stop();
	ck_assert_uint_le(count_fds(), before);
	loop_free(loop);
	guest_mem_free(mem);
}
END_TEST

static const uint32_t activations[] = {
	VHOST_USER_SET_FEATURES,   VHOST_USER_SET_MEM_TABLE,
	VHOST_USER_SET_VRING_NUM,  VHOST_USER_SET_VRING_BASE,
	VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_CALL,
	VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_ENABLE,
	VHOST_USER_SET_STATUS,
};

/* Each lie at each step of an activation: NEEDS_RESET, in time. */
START_TEST(activate_lying_backend_needs_reset)
{
	const enum lie lie = (enum lie)(_i % LIES);
	const struct ring_driver_options ring = {.base = 0x10000, .size = 8};
	struct virtio_resources resources = {NULL};
	struct virtio_device *device = NULL;
	struct virtqueue_config config;
	struct ring_driver *driver;
	struct error err = {""};
	int64_t begun;

	loop_new(&loop);
	mem = ring_driver_mem(4);
	liar_start(lie, activations[_i / LIES]);
	ck_assert_msg(make(&device, &resources, &err) == 0, "%s", err.text);
	driver = ring_driver_new(mem, &ring);
	ring_driver_config(driver, &config);
	begun = loop_now();
	virtio_device_lock(device);
	virtio_device_ack_features_locked(device, UINT64_C(1) << 32);
	ck_assert_int_lt(virtio_device_activate_locked(device, &config, 1), 0);
	ck_assert_int_eq(virtio_device_state_locked(device),
			 VIRTIO_DEVICE_FAILED);
	ck_assert_int_eq(virtio_device_reset_locked(device), 0);
	virtio_device_unlock(device);
	ck_assert_int_lt(loop_now() - begun, 5 * VHOST_USER_DEADLINE / 2);
	virtio_device_free(device);
	virtio_resources_fini(&resources);
	ring_driver_free(driver);
	liar_stop();
	loop_free(loop);
	guest_mem_free(mem);
}
END_TEST

/* Where a ring cannot stand, sleep does not say that it stands. */
START_TEST(sleep_impossible_base_is_an_error)
{
	const struct ring_driver_options ring = {.base = 0x10000, .size = 8};
	struct virtio_resources resources = {NULL};
	struct virtio_device *device = NULL;
	struct virtqueue_config config;
	struct ring_driver *driver;
	struct error err = {""};

	loop_new(&loop);
	mem = ring_driver_mem(4);
	liar_start(LIE_HUGE, VHOST_USER_GET_VRING_BASE);
	ck_assert_int_eq(make(&device, &resources, &err), 0);
	driver = ring_driver_new(mem, &ring);
	ring_driver_config(driver, &config);
	/* In-flight buffers without end: 65535 - 0. */
	virtio_device_lock(device);
	virtio_device_ack_features_locked(device, UINT64_C(1) << 32);
	ck_assert_int_eq(virtio_device_activate_locked(device, &config, 1), 0);
	ck_assert_int_lt(virtio_device_sleep_locked(device), 0);
	ck_assert_int_eq(virtio_device_state_locked(device),
			 VIRTIO_DEVICE_FAILED);
	virtio_device_unlock(device);
	virtio_device_free(device);
	virtio_resources_fini(&resources);
	ring_driver_free(driver);
	liar_stop();
	loop_free(loop);
	guest_mem_free(mem);
}
END_TEST

/* But where it stood, a reset does not ask: DPDK, of a packed one, says half.
 */
START_TEST(reset_impossible_base_does_no_harm)
{
	const struct ring_driver_options ring = {.base = 0x10000, .size = 8};
	struct virtio_resources resources = {NULL};
	struct virtio_device *device = NULL;
	struct virtqueue_config config;
	struct ring_driver *driver;
	struct error err = {""};

	loop_new(&loop);
	mem = ring_driver_mem(4);
	liar_start(LIE_HUGE, VHOST_USER_GET_VRING_BASE);
	liar.protocol &= ~VHOST_USER_PROTOCOL(RESET_DEVICE);
	ck_assert_int_eq(make(&device, &resources, &err), 0);
	driver = ring_driver_new(mem, &ring);
	ring_driver_config(driver, &config);
	virtio_device_lock(device);
	for (unsigned int i = 0; i < 3; i++) {
		virtio_device_ack_features_locked(device, UINT64_C(1) << 32);
		ck_assert_int_eq(
			virtio_device_activate_locked(device, &config, 1), 0);
		ck_assert_int_eq(virtio_device_reset_locked(device), 0);
	}
	virtio_device_unlock(device);
	virtio_device_free(device);
	virtio_resources_fini(&resources);
	ring_driver_free(driver);
	liar_stop();
	loop_free(loop);
	guest_mem_free(mem);
}
END_TEST

/* It could make that one blocking while we wait for it. */
START_TEST(snapshot_descriptor_of_the_backend_is_refused)
{
	struct virtio_resources resources = {NULL};
	struct virtio_device *device = NULL;
	struct error err = {""};
	json_t *state = NULL;

	loop_new(&loop);
	mem = ring_driver_mem(4);
	liar_start(LIE_OWN_FD, VHOST_USER_SET_DEVICE_STATE_FD);
	ck_assert_msg(make(&device, &resources, &err) == 0, "%s", err.text);
	virtio_device_lock(device);
	ck_assert_int_eq(virtio_device_sleep_locked(device), 0);
	ck_assert_int_eq(virtio_device_snapshot_locked(device, &state),
			 -EOPNOTSUPP);
	virtio_device_unlock(device);
	virtio_device_free(device);
	virtio_resources_fini(&resources);
	liar_stop();
	loop_free(loop);
	guest_mem_free(mem);
}
END_TEST

/*
 * A backend that keeps no in-flight region hangs up, with a keeper there:
 * another can go on if nothing was in flight, and if the rings say so.
 */
START_TEST(lost_without_inflight_region_goes_on_if_nothing_is_in_flight)
{
	const bool busy = _i == 1, packed = _i == 2;
	const struct ring_driver_options ring = {
		.base = 0x10000, .size = 8, .packed = packed};
	const struct ring_driver_chain chain = {.writable = {{0x20000, 16}},
						.writable_count = 1};
	struct virtio_resources resources = {NULL};
	struct virtio_device *device = NULL;
	struct virtqueue_config config;
	struct ring_driver *driver;
	struct error err = {""};
	const uint64_t packed_bit = UINT64_C(1) << 34;

	loop_new(&loop);
	mem = ring_driver_mem(4);
	kept = true;
	losses = 0;
	liar_start(LIE_HANG_UP, VHOST_USER_GET_VRING_BASE);
	liar.features = packed_bit;
	ck_assert_msg(make(&device, &resources, &err) == 0, "%s", err.text);
	driver = ring_driver_new(mem, &ring);
	ring_driver_config(driver, &config);
	virtio_device_lock(device);
	virtio_device_ack_features_locked(
		device, UINT64_C(1) << 32 | (packed ? packed_bit : 0));
	ck_assert_int_eq(virtio_device_activate_locked(device, &config, 1), 0);
	if (busy) {
		ck_assert_int_ge(ring_driver_add(driver, &chain), 0);
		ring_driver_publish(driver);
	}
	/* It is found out here. */
	ck_assert_int_lt(virtio_device_sleep_locked(device), 0);
	ck_assert_uint_eq(losses, !busy && !packed);
	ck_assert_int_eq(virtio_device_state_locked(device),
			 losses ? VIRTIO_DEVICE_ACTIVE : VIRTIO_DEVICE_FAILED);
	virtio_device_unlock(device);
	virtio_device_free(device);
	virtio_resources_fini(&resources);
	ring_driver_free(driver);
	liar_stop();
	loop_free(loop);
	guest_mem_free(mem);
}
END_TEST

/* --- A network card of two pairs ----------------------------------------- */

static struct virtio_vhost_options card_options;
static struct model_driver card;

static void start_liar_of_two(enum lie lie, uint32_t from, uint64_t features)
{
	liar_start(lie, from);
	liar.features = features;
	liar.queues = 2;
	card_options = liar_options("net");
	card_options.queues = 2;
}

/* It says that it has them, and not how a driver would get at them. */
START_TEST(create_pairs_without_mq_is_refused_by_name)
{
	struct virtio_resources resources = {NULL};
	const struct virtio_open args = {.option = "--vhost-user net",
					 .options = &card_options};
	struct virtio_device_config config = {.ops = vhost_frontend_ops("net"),
					      .label = "net0",
					      .resources = &resources};
	struct virtio_device *device = NULL;
	struct error err = {""};

	start_liar_of_two(LIES, 0, 0);
	ck_assert_int_eq(loop_new(&config.loop), 0);
	config.mem = ring_driver_mem(1);
	ck_assert_int_eq(config.ops->open(&args, &resources, &err), 0);
	ck_assert_int_lt(virtio_device_new(&device, &config, &err), 0);
	ck_assert_msg(strstr(err.text, "lacks VIRTIO_NET_F_MQ") != NULL, "%s",
		      err.text);
	virtio_resources_fini(&resources);
	guest_mem_free(config.mem);
	loop_free(config.loop);
	liar_stop();
}
END_TEST

/* All was well until the driver asks for the second pair: then neither what it
 * had nor what it wants is there. */
START_TEST(pairs_set_lying_backend_is_an_error_and_needs_reset)
{
	static const enum lie lies[] = {LIE_REFUSE, LIE_SILENCE, LIE_HANG_UP};
	const uint64_t gpa = 0x1800000;
	const struct ring_driver_chain chain = {
		.readable = {{gpa, 4}},
		.readable_count = 1,
		.writable = {{gpa + 4, 1}},
		.writable_count = 1,
	};
	uint8_t *host;

	start_liar_of_two(lies[_i], VHOST_USER_SET_VRING_ENABLE,
			  UINT64_C(1) << VIRTIO_NET_F_MQ);
	model_driver_init(&card, vhost_frontend_ops("net"), &card_options);
	/* Four of the activation, and those of the first pair. */
	liar.honest = 6;
	model_driver_start(&card, MODEL_DRIVER_ALL);
	ck_assert_uint_eq(card.needs_resets, 0);
	host = model_driver_host(&card, gpa, 5);
	memcpy(host, "\4\0\2\0\xee", 5);
	ck_assert_int_ge(ring_driver_add(card.rings[4], &chain), 0);
	model_driver_kick(&card, 4);
	model_driver_collect(&card, 4);
	ck_assert_uint_eq(host[4], VIRTIO_NET_ERR);
	ck_assert_uint_eq(card.needs_resets, 1);
	model_driver_reset(&card);
	model_driver_fini(&card);
	liar_stop();
}
END_TEST

static void stop_loop(void *ctx)
{
	loop_stop(ctx);
}

/* A backend that asks for many things at once and is slow in each: all of that
 * together is one operation, with one deadline, since the device is locked. */
START_TEST(requested_many_slow_ones_have_one_deadline)
{
	const struct vhost_user_message change = {
		.request = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG};
	struct virtio_resources resources = {NULL};
	struct virtio_device *device = NULL;
	struct loop_timer *timer;
	struct error err = {""};
	int64_t begun;

	loop_new(&loop);
	ck_assert_int_eq(loop_timer_add(loop, &timer, stop_loop, loop), 0);
	mem = ring_driver_mem(4);
	/* No lie; just late. */
	liar_start(LIES, VHOST_USER_GET_STATUS);
	liar.delay = 300;
	liar.protocol |=
		VHOST_USER_PROTOCOL(BACKEND_REQ) | VHOST_USER_PROTOCOL(CONFIG);
	ck_assert_msg(make(&device, &resources, &err) == 0, "%s", err.text);
	ck_assert_int_ge(liar.request_fd, 0);
	for (unsigned int i = 0; i < 16; i++)
		put(liar.request_fd, &change);
	begun = loop_now();
	for (unsigned int i = 0; i < 4; i++) {
		loop_timer_set(timer, 0);
		loop_run(loop);
	}
	ck_assert_int_lt(loop_now() - begun, 3 * VHOST_USER_DEADLINE / 2);
	virtio_device_lock(device);
	ck_assert_int_eq(virtio_device_state_locked(device),
			 VIRTIO_DEVICE_FAILED);
	virtio_device_unlock(device);
	virtio_device_free(device);
	virtio_resources_fini(&resources);
	liar_stop();
	loop_free(loop);
	guest_mem_free(mem);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_hostile");
	TCase *front = tcase_create("frontend"),
	      *back = tcase_create("backend");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(front, backend_wrong_message_ends_the_connection, 0,
			    (int)WRONG_FRONTENDS);
	tcase_add_test(front, backend_refusal_is_acknowledged);
	tcase_add_loop_test(front, backend_half_a_message_ends_the_connection,
			    0, 2);
	tcase_add_test(front, backend_message_in_drips_ends_the_connection);
	tcase_add_loop_test(
		front, backend_kick_that_is_no_eventfd_costs_no_time, 0, 2);
	tcase_add_test(front, backend_flood_of_descriptors_leaves_none);
	tcase_add_test(front, backend_descriptors_in_pieces_are_closed);
	tcase_add_test(front,
		       backend_memory_that_is_cut_off_ends_the_connection);
	tcase_add_test(front, backend_ring_enabled_before_features_runs);
	suite_add_tcase(suite, front);
	tcase_add_loop_test(
		back, create_lying_backend_is_an_error, 0,
		LIES * (int)(sizeof(greetings) / sizeof(greetings[0])));
	tcase_add_loop_test(
		back, activate_lying_backend_needs_reset, 0,
		LIES * (int)(sizeof(activations) / sizeof(activations[0])));
	tcase_add_test(back, sleep_impossible_base_is_an_error);
	tcase_add_test(back, reset_impossible_base_does_no_harm);
	tcase_add_test(back, snapshot_descriptor_of_the_backend_is_refused);
	tcase_add_loop_test(
		back,
		lost_without_inflight_region_goes_on_if_nothing_is_in_flight, 0,
		3);
	tcase_add_test(back, create_pairs_without_mq_is_refused_by_name);
	tcase_add_loop_test(back,
			    pairs_set_lying_backend_is_an_error_and_needs_reset,
			    0, 3);
	tcase_add_test(back, requested_many_slow_ones_have_one_deadline);
	suite_add_tcase(suite, back);
	tcase_set_timeout(front, 30);
	tcase_set_timeout(back, 30);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
