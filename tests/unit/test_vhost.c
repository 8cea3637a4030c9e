/*
 * vhost-user from end to end: a guest's driver over the frontend, the real
 * models behind the backend, a socket between them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/disk.h"
#include "tests/unit/support/model_driver.h"
#include "tests/unit/support/net_driver.h"
#include "tests/unit/support/vhost_server.h"
#include "virtio/block.h"
#include "virtio/rng.h"
#include "virtio/vhost_frontend.h"

#define IMAGE_SIZE (1u << 20)

static struct vhost_server server;
static struct model_driver guest;
static struct virtio_vhost_options frontend_options;
static char dir[64], path[96];

/* --- Devices ----------------------------------------------------------- */

static void start_rng(bool packed)
{
	static struct virtio_rng_options options;

	vhost_server_start(&server, &virtio_rng_ops, &options, false);
	frontend_options = vhost_server_options(&server, "rng");
	model_driver_init(&guest, vhost_frontend_ops("rng"), &frontend_options);
	guest.packed = packed;
}

/* Who made the connection makes no other. */
static void start_unkept_rng(void)
{
	static struct virtio_rng_options options;

	vhost_server_start(&server, &virtio_rng_ops, &options, true);
	frontend_options = vhost_server_options(&server, "rng");
	model_driver_init(&guest, vhost_server_whole_ops("rng"),
			  &frontend_options);
}

static void start_block(bool whole, unsigned int queues, bool packed)
{
	static struct virtio_block_options options;
	char base[64];

	disk_make_dir(dir, sizeof(dir), NULL);
	snprintf(path, sizeof(path), "%s/image", dir);
	snprintf(base, sizeof(base), "%s", dir);
	disk_make_image(path, IMAGE_SIZE);
	options = (struct virtio_block_options){.file = path, .queues = queues};
	vhost_server_start(&server, &virtio_block_ops, &options, whole);
	frontend_options = vhost_server_options(&server, "block");
	frontend_options.queues = queues;
	model_driver_init(&guest,
			  whole ? vhost_server_whole_ops("block")
				: vhost_frontend_ops("block"),
			  &frontend_options);
	guest.packed = packed;
}

static void finish(void)
{
	model_driver_fini(&guest);
	vhost_server_stop(&server);
	if (dir[0])
		disk_remove_dir(dir);
	dir[0] = '\0';
}

/* One request of a disk. Return: its status. */
static int block_do(uint32_t type, uint64_t sector, void *data, uint32_t len)
{
	const bool write = type == VIRTIO_BLK_T_OUT;
	struct virtio_blk_outhdr header = {.type = type, .sector = sector};
	uint64_t gpa = model_driver_alloc(&guest, len + 4096);
	struct ring_driver_chain chain = {
		.readable = {{gpa, sizeof(header)}},
		.readable_count = 1,
	};
	struct ring_driver_buffer buffer = {gpa + 512, len};
	uint8_t *host = model_driver_host(&guest, gpa, len + 4096);

	memcpy(host, &header, sizeof(header));
	host[512 + len] = 0xee;
	if (write) {
		memcpy(host + 512, data, len);
		chain.readable[chain.readable_count++] = buffer;
	} else if (len) {
		chain.writable[chain.writable_count++] = buffer;
	}
	chain.writable[chain.writable_count++] =
		(struct ring_driver_buffer){gpa + 512 + len, 1};
	ck_assert_int_ge(ring_driver_add(guest.rings[0], &chain), 0);
	model_driver_kick(&guest, 0);
	model_driver_collect(&guest, 0);
	if (!write)
		memcpy(data, host + 512, len);
	return host[512 + len];
}

static void block_check(uint64_t sector)
{
	uint8_t data[512];

	ck_assert_int_eq(block_do(VIRTIO_BLK_T_IN, sector, data, sizeof(data)),
			 VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < sizeof(data); i++)
		ck_assert_uint_eq(data[i], disk_fill(sector * 512 + i));
}

static void config_read(uint64_t offset, void *data, size_t len)
{
	virtio_device_lock(guest.device);
	virtio_device_read_config_locked(guest.device, offset, data, len);
	virtio_device_unlock(guest.device);
}

static enum virtio_device_state device_state(void)
{
	enum virtio_device_state state;

	virtio_device_lock(guest.device);
	state = virtio_device_state_locked(guest.device);
	virtio_device_unlock(guest.device);
	return state;
}

static bool has_failed(void *ctx)
{
	(void)ctx;
	return guest.needs_resets > 0;
}

/* --- Rings ------------------------------------------------------------- */

START_TEST(activate_rng_fills_buffers)
{
	uint64_t a, b;

	start_rng(_i);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	a = model_driver_alloc(&guest, 64);
	model_driver_give(&guest, 0, a, 64, true);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 64);
	b = model_driver_alloc(&guest, 64);
	model_driver_give(&guest, 0, b, 64, true);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 64);
	ck_assert_mem_ne(model_driver_host(&guest, a, 64),
			 model_driver_host(&guest, b, 64), 64);
	finish();
}
END_TEST

START_TEST(activate_block_reads_and_writes)
{
	uint8_t data[512], back[512];

	start_block(false, 2, _i);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	block_check(3);
	memset(data, 0x5a, sizeof(data));
	ck_assert_int_eq(block_do(VIRTIO_BLK_T_OUT, 7, data, sizeof(data)), 0);
	ck_assert_int_eq(block_do(VIRTIO_BLK_T_IN, 7, back, sizeof(back)), 0);
	ck_assert_mem_eq(data, back, sizeof(data));
	finish();
}
END_TEST

START_TEST(create_block_has_its_configuration_and_our_queues)
{
	uint64_t capacity;
	uint16_t queues;

	start_block(false, 3, false);
	config_read(0, &capacity, sizeof(capacity));
	ck_assert_uint_eq(capacity, IMAGE_SIZE / 512);
	config_read(34, &queues, sizeof(queues));
	ck_assert_uint_eq(queues, 3);
	ck_assert_uint_eq(virtio_device_queues(guest.device), 3);
	finish();
}
END_TEST

START_TEST(write_config_reaches_the_backend_and_is_read_back)
{
	uint8_t wce, off = 0;

	start_block(false, 1, false);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	config_read(32, &wce, 1);
	ck_assert_uint_eq(wce, 1);
	virtio_device_lock(guest.device);
	virtio_device_write_config_locked(guest.device, 32, &off, 1);
	virtio_device_unlock(guest.device);
	config_read(32, &wce, 1);
	ck_assert_uint_eq(wce, 0);
	finish();
}
END_TEST

START_TEST(sleep_rings_go_on_where_they_stood)
{
	start_block(false, 1, _i);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	for (unsigned int i = 0; i < 3; i++) {
		block_check(i);
		model_driver_sleep(&guest);
		model_driver_wake(&guest);
		block_check(i + 100);
	}
	finish();
}
END_TEST

/* What was made available while nobody looked is not forgotten. */
START_TEST(wake_finds_what_came_meanwhile)
{
	uint64_t gpa;

	start_rng(_i);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	model_driver_sleep(&guest);
	gpa = model_driver_alloc(&guest, 16);
	model_driver_give(&guest, 0, gpa, 16, true);
	model_driver_settle(&guest);
	ck_assert_uint_eq(ring_driver_outstanding(guest.rings[0]), 1);
	model_driver_wake(&guest);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 16);
	finish();
}
END_TEST

START_TEST(reset_and_activate_begin_anew)
{
	start_block(false, 1, false);
	for (unsigned int i = 0; i < 3; i++) {
		guest.packed = i % 2;
		model_driver_start(&guest, MODEL_DRIVER_ALL);
		block_check(i);
		model_driver_reset(&guest);
	}
	finish();
}
END_TEST

START_TEST(queue_reset_and_enable_take_one_ring_up_again)
{
	struct virtqueue_config config;

	start_block(false, 1, false);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	block_check(1);
	virtio_device_lock(guest.device);
	ck_assert_int_eq(virtio_device_queue_reset_locked(guest.device, 0), 0);
	virtio_device_unlock(guest.device);
	ring_driver_free(guest.rings[0]);
	guest.rings[0] =
		ring_driver_new(guest.mem, &(struct ring_driver_options){
						   .base = 0x10000,
						   .size = 64,
						   .indirect = true,
						   .event_idx = true,
					   });
	ring_driver_config(guest.rings[0], &config);
	virtio_device_lock(guest.device);
	ck_assert_int_eq(
		virtio_device_queue_enable_locked(guest.device, &config), 0);
	virtio_device_unlock(guest.device);
	block_check(2);
	finish();
}
END_TEST

/* A ring in no RAM is refused here, before the backend hears of it. */
START_TEST(activate_ring_outside_of_memory_needs_reset)
{
	const struct virtqueue_config config = {
		.size = 16,
		.desc = UINT64_C(1) << 40,
		.driver = 0x1000,
		.device = 0x2000,
	};

	start_rng(false);
	virtio_device_lock(guest.device);
	virtio_device_ack_features_locked(guest.device, UINT64_C(1) << 32);
	ck_assert_int_eq(
		virtio_device_activate_locked(guest.device, &config, 1),
		-EINVAL);
	virtio_device_unlock(guest.device);
	ck_assert_uint_eq(guest.needs_resets, 1);
	finish();
}
END_TEST

/* The guest breaks its ring: the backend's model fails, and so does the device
 * here, until it is reset. */
START_TEST(needs_reset_of_the_backend_reaches_the_guest)
{
	start_rng(false);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	model_driver_send(&guest, 0, "seed", 4);
	ck_assert(model_driver_wait(&guest, has_failed, NULL));
	ck_assert_int_eq(device_state(), VIRTIO_DEVICE_FAILED);
	model_driver_reset(&guest);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	model_driver_give(&guest, 0, model_driver_alloc(&guest, 16), 16, true);
	ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 16);
	finish();
}
END_TEST

/* --- State ------------------------------------------------------------- */

/* Another connection, and with it another device of the backend's. */
static void reconnect(void)
{
	const struct virtio_open args = {.option = "--model",
					 .options = &frontend_options};
	struct error err = {""};

	virtio_device_free(guest.device);
	guest.device = NULL;
	virtio_resources_fini(&guest.resources);
	ck_assert_msg(guest.ops->open(&args, &guest.resources, &err) == 0, "%s",
		      err.text);
	model_driver_replace(&guest);
}

START_TEST(restore_whole_block_goes_on_in_another_backend)
{
	struct error err = {""};
	json_t *state, *again;
	uint8_t off = 0, wce;

	start_block(true, 2, _i);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	block_check(1);
	virtio_device_lock(guest.device);
	virtio_device_write_config_locked(guest.device, 32, &off, 1);
	virtio_device_unlock(guest.device);
	model_driver_sleep(&guest);
	state = model_driver_snapshot(&guest);
	/* As an unsandboxed one has it. */
	ck_assert(json_is_object(
		json_object_get(json_object_get(state, "model"), "disk")));
	reconnect();
	model_driver_sleep(&guest);
	ck_assert_msg(model_driver_restore(&guest, state, &err) == 0, "%s",
		      err.text);
	model_driver_wake(&guest);
	block_check(2);
	config_read(32, &wce, 1);
	ck_assert_uint_eq(wce, 0);
	model_driver_sleep(&guest);
	again = model_driver_snapshot(&guest);
	ck_assert(json_equal(json_object_get(state, "model"),
			     json_object_get(again, "model")));
	json_decref(state);
	json_decref(again);
	finish();
}
END_TEST

START_TEST(restore_of_an_edited_state_is_refused)
{
	struct error err = {""};
	json_t *state;

	start_block(true, 1, false);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	model_driver_sleep(&guest);
	state = model_driver_snapshot(&guest);
	json_object_set_new(
		json_object_get(json_object_get(state, "model"), "disk"),
		"capacity", json_string("0x1"));
	reconnect();
	model_driver_sleep(&guest);
	ck_assert_int_lt(model_driver_restore(&guest, state, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "does not take the state"));
	json_decref(state);
	model_driver_wake(&guest);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	block_check(4);
	finish();
}
END_TEST

/* --- net --------------------------------------------------------------- */

static struct net_driver net;

START_TEST(activate_net_standard_has_no_control_queue)
{
	uint64_t features;
	uint8_t mac[6];

	net_driver_init(&net, 1, 0, 0);
	/* Its peer stays; the device behind is served again. */
	net_driver_fini(&net);
	vhost_server_start(&server, net_driver_ops(), NULL, false);
	frontend_options = vhost_server_options(&server, "net");
	model_driver_init(&guest, vhost_frontend_ops("net"), &frontend_options);
	features = virtio_device_features(guest.device);
	ck_assert_uint_eq(virtio_device_queues(guest.device), 2);
	ck_assert(!(features & NET_FEATURE(CTRL_VQ)));
	ck_assert(features & NET_FEATURE(MAC));
	config_read(0, mac, sizeof(mac));
	ck_assert_uint_eq(mac[0] & 3, 2);
	finish();
}
END_TEST

static bool has_changed(void *ctx)
{
	(void)ctx;
	return guest.config_changes > 0;
}

/* All queues, the control queue too, and what its configuration becomes. */
START_TEST(activate_net_whole_sends_and_tells_of_the_link)
{
	uint8_t packet[sizeof(struct net_header) + 64] = {0}, seen[256];
	uint16_t status;
	ssize_t n;

	net_driver_init(&net, 1, 0, 0);
	net_driver_fini(&net);
	vhost_server_start(&server, net_driver_ops(), NULL, true);
	frontend_options = vhost_server_options(&server, "net");
	model_driver_init(&guest, vhost_server_whole_ops("net"),
			  &frontend_options);
	ck_assert_uint_eq(virtio_device_queues(guest.device), 3);
	ck_assert(virtio_device_features(guest.device) & NET_FEATURE(CTRL_VQ));
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	net_driver_frame(packet + sizeof(struct net_header), 64, 7);
	model_driver_send(&guest, 1, packet, sizeof(packet));
	model_driver_collect(&guest, 1);
	n = recv(net.peers[0], seen, sizeof(seen), 0);
	ck_assert_int_eq(n, sizeof(packet));
	ck_assert_mem_eq(seen + sizeof(struct net_header),
			 packet + sizeof(struct net_header), 64);
	config_read(6, &status, sizeof(status));
	ck_assert_uint_eq(status, 1);
	close(net.peers[0]);
	ck_assert(model_driver_wait(&guest, has_changed, NULL));
	config_read(6, &status, sizeof(status));
	ck_assert_uint_eq(status, 0);
	finish();
}
END_TEST

static unsigned int three_queues(void *self, uint16_t *sizes)
{
	(void)self;
	for (unsigned int i = 0; i < 3; i++)
		sizes[i] = 256;
	return 3;
}

/* Of a file server the frontend has the configuration, and the backend counts
 * the queue that is there in any case (5.11.2). */
START_TEST(create_fs_has_our_tag_and_queues)
{
	static struct virtio_rng_options options;
	struct virtio_device_ops ops = virtio_rng_ops;
	char tag[] = "files";
	uint8_t config[40];

	ops.type = "fs";
	ops.queue_max_sizes = three_queues;
	vhost_server_start(&server, &ops, &options, false);
	frontend_options = vhost_server_options(&server, "fs");
	frontend_options.tag = tag;
	frontend_options.queues = 2;
	model_driver_init(&guest, vhost_frontend_ops("fs"), &frontend_options);
	ck_assert_uint_eq(virtio_device_queues(guest.device), 3);
	config_read(0, config, sizeof(config));
	ck_assert_mem_eq(config, "files\0", 7);
	ck_assert_uint_eq(config[36], 2);
	finish();
}
END_TEST

/* --- Death ------------------------------------------------------------- */

START_TEST(lost_backend_needs_reset_and_stays_lost)
{
	start_unkept_rng();
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	vhost_server_stop(&server);
	ck_assert(model_driver_wait(&guest, has_failed, NULL));
	model_driver_reset(&guest);
	ck_assert_int_eq(device_state(), VIRTIO_DEVICE_INACTIVE);
	virtio_device_lock(guest.device);
	virtio_device_ack_features_locked(guest.device, UINT64_C(1) << 32);
	ck_assert_int_lt(virtio_device_activate_locked(guest.device, NULL, 0),
			 0);
	virtio_device_unlock(guest.device);
	ck_assert_uint_eq(guest.needs_resets, 2);
	finish();
}
END_TEST

/* Found out by a reset: the next activation tells. */
START_TEST(reset_with_a_lost_backend_fails_at_activation)
{
	start_unkept_rng();
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	vhost_server_stop(&server);
	model_driver_reset(&guest);
	ck_assert_int_eq(device_state(), VIRTIO_DEVICE_INACTIVE);
	virtio_device_lock(guest.device);
	ck_assert_int_lt(virtio_device_activate_locked(guest.device, NULL, 0),
			 0);
	virtio_device_unlock(guest.device);
	ck_assert_uint_eq(guest.needs_resets, 1);
	finish();
}
END_TEST

/* Who listens at a socket is looked for again. */
START_TEST(lost_backend_at_a_socket_is_found_again)
{
	static struct virtio_block_options options;

	start_block(false, 2, _i);
	options = (struct virtio_block_options){.file = path, .queues = 2};
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	block_check(3);
	for (unsigned int i = 0; i < 3; i++) {
		vhost_server_halt(&server);
		model_driver_settle(&guest);
		vhost_server_again(&server, &virtio_block_ops, &options, false);
		/* Waits for as long as it takes. */
		block_check(10 + i);
	}
	ck_assert_uint_eq(guest.needs_resets, 0);
	ck_assert_int_eq(device_state(), VIRTIO_DEVICE_ACTIVE);
	finish();
}
END_TEST

/* But not for ever, if it is lost again and again. */
START_TEST(lost_backend_at_a_socket_too_often_needs_reset)
{
	static struct virtio_rng_options options;
	unsigned int rounds = 0;

	start_rng(false);
	model_driver_start(&guest, MODEL_DRIVER_ALL);
	while (!guest.needs_resets && rounds < 10) {
		vhost_server_halt(&server);
		model_driver_settle(&guest);
		vhost_server_again(&server, &virtio_rng_ops, &options, false);
		if (guest.needs_resets)
			break;
		model_driver_give(&guest, 0, model_driver_alloc(&guest, 16), 16,
				  true);
		ck_assert_uint_eq(model_driver_collect(&guest, 0).len, 16);
		rounds++;
	}
	ck_assert_uint_eq(rounds, 5);
	ck_assert_int_eq(device_state(), VIRTIO_DEVICE_FAILED);
	finish();
}
END_TEST

/* --- Options ----------------------------------------------------------- */

START_TEST(open_bad_options_are_refused_by_name)
{
	char text[] = "x", nowhere[] = "/nonexistent/sock", here[] = "/tmp";
	const struct {
		const char *type;
		char *socket, *tag, *mac;
		uint64_t queues;
		const char *says;
	} rows[] = {
		{"block", NULL, NULL, NULL, 1, "socket: expected"},
		{"block", nowhere, NULL, NULL, 1, "start the backend first"},
		{"block", here, NULL, NULL, 1, "is no socket"},
		{"block", nowhere, text, NULL, 1, "tag: only fs has one"},
		{"block", nowhere, NULL, text, 1, "mac: only net has one"},
		{"fs", nowhere, NULL, NULL, 1, "tag: expected 1 to 36"},
		{"net", nowhere, NULL, text, 1, "mac=x: expected six pairs"},
		{"rng", nowhere, NULL, NULL, 2, "queues: expected 1,"},
		{"net", nowhere, NULL, NULL, 17, "queues: expected 1 to 16"},
		{"block", nowhere, NULL, NULL, 17, "queues: expected 1 to 16"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct virtio_vhost_options options = {
			.socket = rows[i].socket,
			.tag = rows[i].tag,
			.mac = rows[i].mac,
			.queues = rows[i].queues,
		};
		const struct virtio_open args = {.option = "--vhost-user x",
						 .options = &options};
		struct virtio_resources resources = {0};
		struct error err = {""};

		memcpy(&options.type, &rows[i].type, sizeof(options.type));
		ck_assert_int_lt(vhost_frontend_ops(rows[i].type)
					 ->open(&args, &resources, &err),
				 0);
		ck_assert_msg(strstr(err.text, rows[i].says) != NULL, "%s: %s",
			      rows[i].says, err.text);
	}
	ck_assert_ptr_null(vhost_frontend_ops("gpu"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost");
	TCase *rings = tcase_create("rings"), *state = tcase_create("state");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(rings, activate_rng_fills_buffers, 0, 2);
	tcase_add_loop_test(rings, activate_block_reads_and_writes, 0, 2);
	tcase_add_test(rings,
		       create_block_has_its_configuration_and_our_queues);
	tcase_add_test(rings,
		       write_config_reaches_the_backend_and_is_read_back);
	tcase_add_loop_test(rings, sleep_rings_go_on_where_they_stood, 0, 2);
	tcase_add_loop_test(rings, wake_finds_what_came_meanwhile, 0, 2);
	tcase_add_test(rings, reset_and_activate_begin_anew);
	tcase_add_test(rings, queue_reset_and_enable_take_one_ring_up_again);
	tcase_add_test(rings, activate_ring_outside_of_memory_needs_reset);
	tcase_add_test(rings, needs_reset_of_the_backend_reaches_the_guest);
	tcase_add_test(rings, activate_net_standard_has_no_control_queue);
	tcase_add_test(rings, activate_net_whole_sends_and_tells_of_the_link);
	tcase_add_test(rings, create_fs_has_our_tag_and_queues);
	tcase_add_test(rings, lost_backend_needs_reset_and_stays_lost);
	tcase_add_test(rings, reset_with_a_lost_backend_fails_at_activation);
	tcase_add_loop_test(rings, lost_backend_at_a_socket_is_found_again, 0,
			    2);
	tcase_add_test(rings, lost_backend_at_a_socket_too_often_needs_reset);
	suite_add_tcase(suite, rings);
	tcase_add_loop_test(
		state, restore_whole_block_goes_on_in_another_backend, 0, 2);
	tcase_add_test(state, restore_of_an_edited_state_is_refused);
	tcase_add_test(state, open_bad_options_are_refused_by_name);
	suite_add_tcase(suite, state);
	tcase_set_timeout(rings, 30);
	tcase_set_timeout(state, 30);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
