/*
 * A vhost-user backend that logs what it writes to guest memory, as a frontend
 * wants it that moves the guest away (LOG_SHMFD): an rng, split and packed.
 */
#include "vmm/base/guest_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/ring_driver.h"
#include "tests/unit/support/vhost_server.h"
#include "virtio/rng.h"
#include "virtio/vhost_user.h"

#define BIT(n)	 (UINT64_C(1) << (n))
#define FEATURES (BIT(32) | BIT(VHOST_USER_F_PROTOCOL_FEATURES))
#define PACKED	 BIT(34)

/* Guest physical. */
#define RINGS	  0x10000
#define BUFFER	  0x20ff0 /* 32 bytes of it are in two pages */
#define LOGGED_AT 0x30000 /* where the ring is said to be */

/* Where the frontend has its memory. */
#define USER UINT64_C(0x700000000000)

#define LOG_OFFSET 4096
#define LOG_SIZE   64 /* bytes: 512 pages */

static struct {
	struct vhost_server server;
	struct guest_mem *mem;
	struct ring_driver *driver;
	int fd, kick, call, log_fd;
	uint8_t *log;
	uint64_t features;
} f;

static void send_message(struct vhost_user_message message)
{
	ck_assert_int_eq(vhost_user_send(f.fd, loop_now() + VHOST_USER_DEADLINE,
					 &message),
			 0);
}

static uint64_t receive_u64(void)
{
	struct vhost_user_message reply;

	ck_assert_int_eq(
		vhost_user_receive(f.fd, loop_now() + 5 * VHOST_USER_DEADLINE,
				   &reply),
		0);
	ck_assert_uint_eq(reply.size, 8);
	return le64_get(reply.payload.u64);
}

static void send_u64(uint32_t request, uint64_t value)
{
	send_message((struct vhost_user_message){
		.request = request, .size = 8, .payload.u64 = le64_of(value)});
}

static void send_state(uint32_t request, uint32_t num)
{
	send_message((struct vhost_user_message){
		.request = request,
		.size = sizeof(struct vhost_user_vring_state),
		.payload.state = {.num = le32_of(num)}});
}

static void send_fd(uint32_t request, int fd)
{
	send_message((struct vhost_user_message){
		.request = request, .size = 8, .fds = {fd}, .fd_count = 1});
}

static void send_memory(void)
{
	send_message((struct vhost_user_message){
		.request = VHOST_USER_SET_MEM_TABLE,
		.size = offsetof(struct vhost_user_mem_table, regions[1]),
		.payload.table = {.count = le32_of(1),
				  .regions = {{.size = le64_of(
						       guest_mem_size(f.mem)),
					       .user_address = le64_of(USER)}}},
		.fds = {guest_mem_fd(f.mem)},
		.fd_count = 1});
}

static void send_address(bool logged)
{
	struct virtqueue_config config;

	ring_driver_config(f.driver, &config);
	send_message((struct vhost_user_message){
		.request = VHOST_USER_SET_VRING_ADDR,
		.size = sizeof(struct vhost_user_vring_addr),
		.payload.addr = {
			.flags = le32_of(logged ? VHOST_VRING_F_LOG : 0),
			.descriptor = le64_of(USER + config.desc),
			.available = le64_of(USER + config.driver),
			.used = le64_of(USER + config.device),
			.log = le64_of(LOGGED_AT)}});
}

static void send_log(int fd, uint64_t offset, uint64_t size)
{
	send_message((struct vhost_user_message){
		.request = VHOST_USER_SET_LOG_BASE,
		.size = sizeof(struct vhost_user_log),
		.payload.log = {.size = le64_of(size),
				.offset = le64_of(offset)},
		.fds = {fd},
		.fd_count = 1});
}

static void start(bool packed)
{
	static struct virtio_rng_options options;

	vhost_server_start(&f.server, &virtio_rng_ops, &options, false);
	f.features = FEATURES | (packed ? PACKED : 0);
	f.mem = ring_driver_mem(1);
	f.driver = ring_driver_new(
		f.mem, &(struct ring_driver_options){
			       .base = RINGS, .size = 8, .packed = packed});
	f.kick = eventfd(0, EFD_CLOEXEC);
	f.call = eventfd(0, EFD_CLOEXEC);
	f.log_fd = memfd_create("log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(f.log_fd, LOG_OFFSET + LOG_SIZE), 0);
	ck_assert_int_eq(fcntl(f.log_fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	f.log = mmap(NULL, LOG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		     f.log_fd, LOG_OFFSET);
	ck_assert_ptr_ne(f.log, MAP_FAILED);
	f.fd = vhost_server_connect(&f.server);
	send_message(
		(struct vhost_user_message){.request = VHOST_USER_SET_OWNER});
	send_u64(VHOST_USER_SET_PROTOCOL_FEATURES,
		 VHOST_USER_PROTOCOL(LOG_SHMFD));
	send_memory();
	send_u64(VHOST_USER_SET_FEATURES, f.features);
	send_state(VHOST_USER_SET_VRING_NUM, 8);
	send_state(VHOST_USER_SET_VRING_BASE, packed ? 0x80008000 : 0);
	send_address(false);
	send_fd(VHOST_USER_SET_VRING_CALL, f.call);
	send_fd(VHOST_USER_SET_VRING_KICK, f.kick);
	send_state(VHOST_USER_SET_VRING_ENABLE, 1);
}

static void stop(void)
{
	close(f.fd);
	vhost_server_stop(&f.server);
	munmap(f.log, LOG_SIZE);
	close(f.log_fd);
	close(f.kick);
	close(f.call);
	ring_driver_free(f.driver);
	guest_mem_free(f.mem);
}

/* All that was sent is obeyed, and what the ring was kicked for is done. */
static void settle(void)
{
	send_message((struct vhost_user_message){
		.request = VHOST_USER_GET_FEATURES});
	receive_u64();
}

/* Have a buffer filled. */
static void draw(void)
{
	struct ring_driver_used used;
	eventfd_t count;

	settle();
	ck_assert_int_ge(ring_driver_add(f.driver,
					 &(struct ring_driver_chain){
						 .writable = {{BUFFER, 32}},
						 .writable_count = 1}),
			 0);
	ring_driver_publish(f.driver);
	eventfd_write(f.kick, 1);
	while (ring_driver_collect(f.driver, &used) == 0)
		eventfd_read(f.call, &count);
	ck_assert_uint_eq(used.len, 32);
	settle();
}

static bool logged(uint64_t gpa)
{
	const uint64_t page = gpa / GUEST_LOG_PAGE;

	return f.log[page / 8] >> page % 8 & 1;
}

static unsigned int logged_pages(void)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < LOG_SIZE; i++)
		count += (unsigned int)__builtin_popcount(f.log[i]);
	return count;
}

START_TEST(log_has_buffers_from_when_it_is_wanted)
{
	start(_i);
	send_log(f.log_fd, LOG_OFFSET, LOG_SIZE);
	ck_assert_uint_eq(receive_u64(), 0);
	draw();
	ck_assert_uint_eq(logged_pages(), 0);
	/* In mid-life; the ring goes on where it stands. */
	send_u64(VHOST_USER_SET_FEATURES, f.features | BIT(VHOST_F_LOG_ALL));
	draw();
	ck_assert(logged(BUFFER) && logged(BUFFER + 31));
	ck_assert_uint_eq(logged_pages(), 2);
	send_u64(VHOST_USER_SET_FEATURES, f.features);
	settle();
	memset(f.log, 0, LOG_SIZE);
	draw();
	ck_assert_uint_eq(logged_pages(), 0);
	stop();
}
END_TEST

START_TEST(log_has_the_ring_where_it_is_said_to_be)
{
	start(_i);
	send_log(f.log_fd, LOG_OFFSET, LOG_SIZE);
	ck_assert_uint_eq(receive_u64(), 0);
	send_u64(VHOST_USER_SET_FEATURES, f.features | BIT(VHOST_F_LOG_ALL));
	send_address(true);
	draw();
	ck_assert(logged(BUFFER) && logged(BUFFER + 31));
	ck_assert(logged(LOGGED_AT));
	/* A packed ring has no used ring: its descriptors are written to. */
	ck_assert_int_eq(logged(RINGS), _i);
	ck_assert_uint_eq(logged_pages(), 3 + (unsigned int)_i);
	stop();
}
END_TEST

static const struct {
	uint64_t offset, size;
	bool seal;
} bad_logs[] = {
	{LOG_OFFSET, LOG_SIZE + 1, true},
	{LOG_OFFSET, 0, true},
	{1, 8, true},
	{UINT64_MAX - 4095, 8192, true},
	{LOG_OFFSET, LOG_SIZE, false},
};

START_TEST(log_that_cannot_be_ends_the_connection)
{
	struct vhost_user_message reply;
	int cut;

	start(false);
	cut = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(cut, LOG_OFFSET + LOG_SIZE), 0);
	send_log(bad_logs[_i].seal ? f.log_fd : cut, bad_logs[_i].offset,
		 bad_logs[_i].size);
	ck_assert_int_eq(
		vhost_user_receive(f.fd, loop_now() + 5 * VHOST_USER_DEADLINE,
				   &reply),
		-ECONNRESET);
	close(cut);
	stop();
}
END_TEST

START_TEST(mark_beyond_the_log_is_left_out)
{
	struct guest_log *log;

	start(false);
	ck_assert_int_eq(guest_log_new(&log, f.log_fd, LOG_OFFSET, LOG_SIZE),
			 0);
	guest_log_mark(log, 511 * GUEST_LOG_PAGE, UINT64_MAX / 2);
	ck_assert_uint_eq(logged_pages(), 1);
	guest_log_mark(log, 512 * GUEST_LOG_PAGE, 1);
	guest_log_mark(log, UINT64_MAX, 2);
	guest_log_mark(log, 0, 0);
	ck_assert_uint_eq(logged_pages(), 1);
	guest_log_mark(log, 8 * GUEST_LOG_PAGE - 1, 2);
	ck_assert_uint_eq(f.log[0], 0x80);
	ck_assert_uint_eq(f.log[1], 1);
	guest_log_free(log);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_log");
	TCase *tc = tcase_create("vhost_log");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, log_has_buffers_from_when_it_is_wanted, 0, 2);
	tcase_add_loop_test(tc, log_has_the_ring_where_it_is_said_to_be, 0, 2);
	tcase_add_loop_test(tc, log_that_cannot_be_ends_the_connection, 0,
			    sizeof(bad_logs) / sizeof(bad_logs[0]));
	tcase_add_test(tc, mark_beyond_the_log_is_left_out);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
