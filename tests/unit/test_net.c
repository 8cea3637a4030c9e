/* The network device: frames both ways, its life, guests that lie. */
#include "virtio/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/net_driver.h"

#define ALL_OFFLOADS (NET_HOST_OFFLOADS | NET_GUEST_OFFLOADS)
#define MRG	     NET_FEATURE(MRG_RXBUF)
#define NO_MRG	     (MODEL_DRIVER_ALL & ~MRG)
#define BIG	     65550

static struct net_driver driver;
static uint8_t frame[BIG + 100], got[BIG + 100];

static void begin(uint64_t end_features, uint64_t features)
{
	net_driver_init(&driver, 1, end_features, 0);
	model_driver_start(&driver.guest, features);
}

static void teardown(void)
{
	net_driver_fini(&driver);
}

static void settle(void)
{
	model_driver_settle(&driver.guest);
}

/* From the network, frame number seed of that length. */
static void arrive(size_t len, uint8_t seed)
{
	net_driver_frame(frame, len, seed);
	net_driver_from_peer(&driver, 0, NULL, frame, len);
}

/* The guest has received just that frame. Return: in how many buffers. */
static unsigned int expect_received(size_t len, uint8_t seed)
{
	struct net_header header;

	ck_assert_int_eq(
		net_driver_received(&driver, 0, &header, got, sizeof(got)),
		(ssize_t)len);
	net_driver_frame(frame, len, seed);
	ck_assert_mem_eq(got, frame, len);
	return le16_get(header.num_buffers);
}

static void expect_no_more(void)
{
	ck_assert_int_eq(
		net_driver_received(&driver, 0, NULL, got, sizeof(got)), -1);
}

static void leave(size_t len, uint8_t seed)
{
	net_driver_frame(frame, len, seed);
	net_driver_send(&driver, 0, NULL, frame, len);
}

static void expect_left(size_t len, uint8_t seed)
{
	ck_assert_int_eq(net_driver_to_peer(&driver, 0, NULL, got, sizeof(got)),
			 (ssize_t)len);
	net_driver_frame(frame, len, seed);
	ck_assert_mem_eq(got, frame, len);
}

static void expect_nothing_left(void)
{
	ck_assert_int_eq(net_driver_to_peer(&driver, 0, NULL, got, sizeof(got)),
			 -1);
}

/* Buffers that the device gave back on the transmit queue. */
static unsigned int sent_back(void)
{
	struct ring_driver_used used;
	unsigned int count = 0;

	while (ring_driver_collect(driver.guest.rings[1], &used) == 1)
		count++;
	return count;
}

static void link_command(bool up)
{
	struct error err = {""};

	ck_assert_int_eq(model_driver_command(&driver.guest, "link",
					      json_pack("{s:b}", "up", up),
					      &err),
			 0);
}

/* --- What it offers --------------------------------------------------------
 */

START_TEST(features_end_without_offloads_offers_none)
{
	uint64_t features;

	begin(0, MODEL_DRIVER_ALL);
	features = virtio_device_features(driver.guest.device);
	ck_assert_uint_eq(features & ALL_OFFLOADS, 0);
	ck_assert_uint_eq(features & NET_FEATURE(CTRL_GUEST_OFFLOADS), 0);
	ck_assert_uint_eq(features & NET_FEATURE(MQ), 0);
	ck_assert_uint_eq(features & NET_FEATURE(MTU), 0);
	ck_assert_uint_ne(features & MRG, 0);
	ck_assert_uint_ne(features & NET_FEATURE(CTRL_VQ), 0);
}
END_TEST

START_TEST(features_end_with_offloads_offers_them)
{
	begin(ALL_OFFLOADS, MODEL_DRIVER_ALL);
	ck_assert_uint_eq(virtio_device_features(driver.guest.device) &
				  ALL_OFFLOADS,
			  ALL_OFFLOADS);
	ck_assert_uint_eq(net_driver_asked.offloads, NET_GUEST_OFFLOADS);
	model_driver_reset(&driver.guest);
	ck_assert_uint_eq(net_driver_asked.offloads, 0);
}
END_TEST

START_TEST(read_config_tells_mac_status_pairs_mtu)
{
	static const uint8_t want[12] = {0x52, 0x54, 0, 1, 2,	 3,
					 1,    0,    4, 0, 0x78, 0x05};
	uint8_t config[16];

	net_driver_init(&driver, 4, 0, 1400);
	ck_assert_uint_eq(virtio_device_config_size(driver.guest.device), 12);
	ck_assert_uint_eq(virtio_device_queues(driver.guest.device), 9);
	ck_assert(virtio_device_features(driver.guest.device) &
		  NET_FEATURE(MTU));
	virtio_device_lock(driver.guest.device);
	virtio_device_read_config_locked(driver.guest.device, 0, config,
					 sizeof(config));
	virtio_device_unlock(driver.guest.device);
	ck_assert_mem_eq(config, want, sizeof(want));
}
END_TEST

START_TEST(keep_fds_names_just_the_end)
{
	int fds[VIRTIO_DEVICE_FDS_MAX];
	unsigned int count;

	net_driver_init(&driver, 3, 0, 0);
	count = virtio_device_keep_fds(driver.guest.device, fds);
	/* 7 queues with two eventfds each, and two timers. */
	ck_assert_uint_eq(count, 14 + 2 + 3);
	ck_assert_mem_eq(fds + 16, driver.guest.resources.fds,
			 3 * sizeof(fds[0]));
}
END_TEST

/* --- Receiving -------------------------------------------------------------
 */

START_TEST(rx_frame_is_delivered)
{
	driver.guest.packed = false;
	net_driver_init(&driver, 1, 0, 0);
	driver.guest.packed = _i & 1;
	model_driver_start(&driver.guest, _i & 2 ? NO_MRG : MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 4, 1600);
	arrive(60, 1);
	arrive(1514, 2);
	arrive(14, 3);
	settle();
	ck_assert_uint_eq(expect_received(60, 1), 1);
	ck_assert_uint_eq(expect_received(1514, 2), 1);
	ck_assert_uint_eq(expect_received(14, 3), 1);
	expect_no_more();
	ck_assert_uint_eq(net_driver_counter(&driver, "rx_frames"), 3);
	ck_assert_uint_eq(net_driver_counter(&driver, "rx_bytes"), 1588);
}
END_TEST

START_TEST(rx_large_frame_is_merged)
{
	static const struct net_header header = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	};
	struct net_header with = header;

	begin(ALL_OFFLOADS, MODEL_DRIVER_ALL);
	with.gso_size = le16_of(1448);
	net_driver_give(&driver, 0, 100, 1000);
	net_driver_frame(frame, BIG, 7);
	net_driver_from_peer(&driver, 0, &with, frame, BIG);
	arrive(988, 8);
	arrive(989, 9);
	settle();
	ck_assert_uint_eq(expect_received(BIG, 7), 66);
	ck_assert_uint_eq(expect_received(988, 8), 1);
	ck_assert_uint_eq(expect_received(989, 9), 2);
	expect_no_more();
}
END_TEST

START_TEST(rx_tiny_buffers_are_merged)
{
	begin(0, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 200, 12);
	arrive(60, 1);
	arrive(600, 2);
	settle();
	ck_assert_uint_eq(expect_received(60, 1), 6);
	ck_assert_uint_eq(expect_received(600, 2), 51);
}
END_TEST

START_TEST(rx_header_goes_through_only_as_far_as_accepted)
{
	struct net_header header = {
		.flags = VIRTIO_NET_HDR_F_DATA_VALID | 0x80,
		.num_buffers = {0x7777},
	};

	begin(ALL_OFFLOADS,
	      _i ? MODEL_DRIVER_ALL : MODEL_DRIVER_ALL & ~NET_GUEST_OFFLOADS);
	net_driver_give(&driver, 0, 60, 1600);
	net_driver_frame(frame, 100, 1);
	net_driver_from_peer(&driver, 0, &header, frame, 100);
	settle();
	ck_assert_int_eq(
		net_driver_received(&driver, 0, &header, got, sizeof(got)),
		100);
	ck_assert_uint_eq(header.flags, _i ? VIRTIO_NET_HDR_F_DATA_VALID : 0);
	ck_assert_uint_eq(le16_get(header.num_buffers), 1);

	/* Queued before the driver said what it takes. */
	header = (struct net_header){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = le16_of(1000),
	};
	net_driver_from_peer(&driver, 0, &header, frame, 100);
	settle();
	ck_assert_int_eq(
		net_driver_received(&driver, 0, &header, got, sizeof(got)),
		_i ? 100 : -1);
	ck_assert_uint_eq(net_driver_counter(&driver, "rx_dropped"), !_i);
}
END_TEST

START_TEST(rx_unmerged_short_buffer_drops_and_is_kept)
{
	begin(0, NO_MRG);
	net_driver_give(&driver, 0, 1, 100);
	arrive(89, 1);
	arrive(88, 2);
	settle();
	ck_assert_uint_eq(expect_received(88, 2), 1);
	expect_no_more();
	ck_assert_uint_eq(net_driver_counter(&driver, "rx_dropped"), 1);
}
END_TEST

START_TEST(rx_frames_that_are_none_are_dropped)
{
	begin(0, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 100, 1600);
	for (size_t len = 0; len < 14; len++)
		arrive(len, 1);
	arrive(NET_FRAME_MAX + 1, 2);
	settle();
	arrive(20, 3);
	settle();
	ck_assert_uint_eq(expect_received(20, 3), 1);
	expect_no_more();
	ck_assert_uint_eq(net_driver_counter(&driver, "rx_dropped"), 15);
}
END_TEST

/* Whether the loop sleeps: a descriptor that is always ready keeps it busy. */
static bool loop_is_quiet(void)
{
	clock_t before;

	settle();
	before = clock();
	for (unsigned int i = 0; i < 5; i++) {
		loop_timer_set(driver.guest.turn, 10000000);
		ck_assert_int_eq(loop_run(driver.guest.loop), 0);
	}
	return clock() - before < CLOCKS_PER_SEC / 50;
}

START_TEST(rx_starved_ring_leaves_frames_until_a_kick)
{
	begin(0, _i ? NO_MRG : MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 1, 1600);
	for (uint8_t i = 0; i < 20; i++)
		arrive(200, i);
	settle();
	ck_assert_uint_eq(expect_received(200, 0), 1);
	expect_no_more();
	ck_assert(loop_is_quiet());
	net_driver_give(&driver, 0, 30, 1600);
	settle();
	for (uint8_t i = 1; i < 20; i++)
		ck_assert_uint_eq(expect_received(200, i), 1);
	expect_no_more();
	ck_assert_uint_eq(net_driver_counter(&driver, "rx_dropped"), 0);
}
END_TEST

/* A turn of the loop, which time has no part in. */
static void turn(void)
{
	loop_timer_set(driver.guest.turn, 0);
	ck_assert_int_eq(loop_run(driver.guest.loop), 0);
}

static bool received_ten(void *ctx)
{
	(void)ctx;
	return net_driver_counter(&driver, "rx_frames") == 10;
}

START_TEST(rx_ring_used_up_is_looked_at_before_a_kick_is_wanted)
{
	begin(0, _i ? NO_MRG : MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 3, 1600);
	turn();
	for (uint8_t i = 0; i < 10; i++)
		arrive(200, i);
	turn();
	ck_assert_uint_eq(expect_received(200, 0), 1);
	eventfd_read(virtio_device_kick_fd(driver.guest.device, 0),
		     &(eventfd_t){0});
	net_driver_give(&driver, 0, 20, 1600);
	ck_assert_int_lt(
		eventfd_read(virtio_device_kick_fd(driver.guest.device, 0),
			     &(eventfd_t){0}),
		0);
	ck_assert(model_driver_wait(&driver.guest, received_ten, NULL));
}
END_TEST

/* As if that were what was measured, and for long. */
static void pace(bool receives)
{
	driver.net->pace.receives = receives;
	driver.net->pace.since = loop_now() + INT64_C(1000000000000);
}

START_TEST(rx_paced_frames_come_together)
{
	begin(0, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 20, 1600);
	settle();
	pace(_i);
	arrive(14, 0);
	turn();
	expect_received(14, 0);
	ck_assert_int_eq(driver.net->pairs[0].rx.resting, _i);
	/* Time stands still. */
	virtio_timer_set(driver.net->pace.timer, 0);
	for (uint8_t i = 1; i < 10; i++)
		arrive(14, i);
	settle();
	ck_assert_uint_eq(net_driver_counter(&driver, "rx_frames"),
			  _i ? 1 : 10);
	virtio_timer_set(driver.net->pace.timer, 1);
	ck_assert(model_driver_wait(&driver.guest, received_ten, NULL));
	for (uint8_t i = 1; i < 10; i++)
		expect_received(14, i);
}
END_TEST

START_TEST(rx_paced_queue_survives_a_reset)
{
	begin(0, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 1, 1600);
	pace(true);
	arrive(14, 1);
	turn();
	model_driver_reset(&driver.guest);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	pace(false);
	net_driver_give(&driver, 0, 20, 1600);
	arrive(14, 2);
	settle();
	expect_received(14, 2);
}
END_TEST

START_TEST(pace_balance_is_frames_less_answers)
{
	begin(0, MODEL_DRIVER_ALL);
	pace(false);
	net_driver_give(&driver, 0, 20, 1600);
	for (uint8_t i = 0; i < 7; i++)
		arrive(14, i);
	for (uint8_t i = 0; i < 5; i++)
		leave(14, i);
	settle();
	ck_assert_int_eq(driver.net->pace.balance, 2);
}
END_TEST

START_TEST(pace_measure_needs_many_a_millisecond)
{
	static const struct {
		int64_t balance, ns;
		bool before, receives;
	} cases[] = {
		{33, 1000000, false, true},   {32, 1000000, true, false},
		{1000, 999999, false, false}, {0, 999999, true, true},
		{100, 4000000, true, false},  {200, 4000000, false, true},
		{-100, 1000000, true, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net_pace rate = {
			.balance = cases[i].balance,
			.since = 77,
			.receives = cases[i].before,
		};

		net_pace_measure(&rate, 77 + cases[i].ns);
		ck_assert_int_eq(rate.receives, cases[i].receives);
	}
}
END_TEST

START_TEST(rx_short_ring_keeps_the_frame_until_there_is_more)
{
	begin(0, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 2, 600);
	arrive(1514, 1);
	arrive(100, 2);
	settle();
	expect_no_more();
	net_driver_give(&driver, 0, 2, 100);
	settle();
	expect_no_more();
	net_driver_give(&driver, 0, 2, 200);
	settle();
	ck_assert_uint_eq(expect_received(1514, 1), 5);
	ck_assert_uint_eq(expect_received(100, 2), 1);
}
END_TEST

static bool dropped_one(void *ctx)
{
	(void)ctx;
	return net_driver_counter(&driver, "rx_dropped") == 1;
}

START_TEST(rx_short_ring_gives_the_frame_up_in_time)
{
	begin(0, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 2, 600);
	arrive(1514, 1);
	arrive(100, 2);
	ck_assert(model_driver_wait(&driver.guest, dropped_one, NULL));
	settle();
	ck_assert_uint_eq(expect_received(100, 2), 1);
	expect_no_more();
}
END_TEST

/* --- Guests that lie -------------------------------------------------------
 */

static void expect_reset_mends(void)
{
	ck_assert_uint_eq(driver.guest.needs_resets, 1);
	model_driver_reset(&driver.guest);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	/* What came meanwhile is nobody's. */
	net_driver_give(&driver, 0, 100, 1600);
	settle();
	while (net_driver_received(&driver, 0, NULL, got, sizeof(got)) >= 0)
		;
	arrive(100, 50);
	leave(300, 51);
	settle();
	expect_received(100, 50);
	expect_left(300, 51);
}

START_TEST(rx_readable_buffer_needs_reset)
{
	begin(0, MODEL_DRIVER_ALL);
	model_driver_send(&driver.guest, 0, frame, 1600);
	arrive(100, 1);
	settle();
	expect_reset_mends();
}
END_TEST

START_TEST(rx_buffer_below_a_header_needs_reset)
{
	begin(0, _i ? NO_MRG : MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 3, 11);
	arrive(100, 1);
	settle();
	expect_reset_mends();
}
END_TEST

START_TEST(rx_broken_ring_needs_reset)
{
	begin(0, MODEL_DRIVER_ALL);
	ring_driver_avail(driver.guest.rings[0])->idx = htole16(1000);
	eventfd_write(virtio_device_kick_fd(driver.guest.device, 0), 1);
	settle();
	expect_reset_mends();
}
END_TEST

START_TEST(rx_broken_ring_behind_a_long_frame_needs_reset)
{
	begin(ALL_OFFLOADS, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 3, 1000);
	arrive(100, 1);
	settle();
	ck_assert_uint_eq(expect_received(100, 1), 1);
	ring_driver_avail(driver.guest.rings[0])->idx = htole16(1000);
	arrive(3000, 2);
	settle();
	expect_reset_mends();
}
END_TEST

START_TEST(tx_writable_buffer_needs_reset)
{
	begin(0, MODEL_DRIVER_ALL);
	model_driver_give(&driver.guest, 1,
			  model_driver_alloc(&driver.guest, 100), 100, true);
	settle();
	expect_reset_mends();
}
END_TEST

START_TEST(tx_broken_ring_needs_reset)
{
	begin(0, MODEL_DRIVER_ALL);
	ring_driver_avail(driver.guest.rings[1])->idx = htole16(1000);
	eventfd_write(virtio_device_kick_fd(driver.guest.device, 1), 1);
	settle();
	expect_reset_mends();
}
END_TEST

START_TEST(tx_lengths_that_cannot_be_are_dropped)
{
	static uint8_t bytes[sizeof(struct net_header) + NET_FRAME_MAX + 1];

	begin(0, MODEL_DRIVER_ALL);
	for (uint32_t len = 1; len < 12 + 14; len += 5)
		model_driver_send(&driver.guest, 1, bytes, len);
	model_driver_send(&driver.guest, 1, bytes, sizeof(bytes));
	leave(14, 1);
	settle();
	expect_left(14, 1);
	expect_nothing_left();
	ck_assert_uint_eq(net_driver_counter(&driver, "tx_invalid"), 6);
	ck_assert_uint_eq(sent_back(), 7);
	ck_assert_uint_eq(driver.guest.needs_resets, 0);
}
END_TEST

START_TEST(tx_longest_frame_is_sent)
{
	struct net_header header = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = le16_of(1448),
		.csum_start = le16_of(34),
		.csum_offset = le16_of(16),
	};

	begin(ALL_OFFLOADS, MODEL_DRIVER_ALL);
	net_driver_frame(frame, NET_FRAME_MAX, 1);
	net_driver_send(&driver, 0, &header, frame, NET_FRAME_MAX);
	settle();
	ck_assert_int_eq(
		net_driver_to_peer(&driver, 0, &header, got, sizeof(got)),
		NET_FRAME_MAX);
	ck_assert_mem_eq(got, frame, NET_FRAME_MAX);
	ck_assert_uint_eq(header.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
}
END_TEST

/* --- Sending ---------------------------------------------------------------
 */

START_TEST(tx_frame_is_sent)
{
	struct ring_driver_chain chain = {.readable_count = 9};
	uint64_t gpa;

	net_driver_init(&driver, 1, 0, 0);
	driver.guest.packed = _i;
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	leave(60, 1);
	/* However the guest cuts it up. */
	net_driver_frame(frame, 700, 2);
	gpa = model_driver_alloc(&driver.guest, 712);
	memcpy((uint8_t *)model_driver_host(&driver.guest, gpa, 712) + 12,
	       frame, 700);
	chain.readable[0] = (struct ring_driver_buffer){gpa, 5};
	for (unsigned int i = 1; i < 8; i++)
		chain.readable[i] =
			(struct ring_driver_buffer){gpa + 5 + i - 1, 1};
	chain.readable[8] = (struct ring_driver_buffer){gpa + 12, 700};
	ck_assert_int_ge(ring_driver_add(driver.guest.rings[1], &chain), 0);
	model_driver_kick(&driver.guest, 1);
	settle();
	expect_left(60, 1);
	expect_left(700, 2);
	expect_nothing_left();
	ck_assert_uint_eq(sent_back(), 2);
	ck_assert_uint_eq(net_driver_counter(&driver, "tx_frames"), 2);
	ck_assert_uint_eq(net_driver_counter(&driver, "tx_bytes"), 760);
}
END_TEST

START_TEST(tx_end_without_room_keeps_the_order)
{
	unsigned int seen = 0, before;
	int small = 4096;

	begin(0, MODEL_DRIVER_ALL);
	ck_assert_int_eq(setsockopt(driver.guest.resources.fds[0], SOL_SOCKET,
				    SO_SNDBUF, &small, sizeof(small)),
			 0);
	for (uint8_t i = 0; i < 100; i++)
		leave(1000, i);
	settle();
	before = sent_back();
	ck_assert_uint_lt(before, 100);
	ck_assert(loop_is_quiet());
	while (seen < 100) {
		expect_left(1000, (uint8_t)seen++);
		settle();
	}
	expect_nothing_left();
	ck_assert_uint_eq(before + sent_back(), 100);
	ck_assert_uint_eq(net_driver_counter(&driver, "tx_dropped"), 0);
}
END_TEST

START_TEST(tx_turn_is_bounded)
{
	struct ring_driver_used used;
	unsigned int done = 0;

	begin(0, MODEL_DRIVER_ALL);
	for (unsigned int i = 0; i < 256; i++)
		leave(14, 1);
	loop_timer_set(driver.guest.turn, 0);
	ck_assert_int_eq(loop_run(driver.guest.loop), 0);
	while (ring_driver_collect(driver.guest.rings[1], &used) == 1)
		done++;
	ck_assert_uint_gt(done, 0);
	ck_assert_uint_le(done, NET_BUDGET);
	settle();
	ck_assert_uint_eq(done + sent_back(), 256);
}
END_TEST

/* Interrupts of a queue since the last time. */
static unsigned int interrupts(unsigned int index)
{
	eventfd_t count;

	if (eventfd_read(virtio_device_call_fd(driver.guest.device, index),
			 &count) < 0)
		return 0;
	return (unsigned int)count;
}

/* Without an event index it is interrupted whenever it is shown some. */
START_TEST(turn_shows_its_frames_in_parts)
{
	begin(0, MODEL_DRIVER_ALL & ~(UINT64_C(1) << 29));
	net_driver_give(&driver, 0, 4 * NET_PUBLISH, 100);
	settle();
	interrupts(_i);
	for (unsigned int i = 0; i < 3 * NET_PUBLISH + 1; i++) {
		if (_i)
			leave(14, 1);
		else
			arrive(14, 1);
	}
	loop_timer_set(driver.guest.turn, 0);
	ck_assert_int_eq(loop_run(driver.guest.loop), 0);
	ck_assert_uint_eq(interrupts(_i), 4);
}
END_TEST

/* --- Link ------------------------------------------------------------------
 */

START_TEST(link_down_drops_and_up_announces)
{
	begin(0, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 20, 1600);
	ck_assert_uint_eq(net_driver_status(&driver), VIRTIO_NET_S_LINK_UP);
	link_command(false);
	ck_assert_uint_eq(net_driver_status(&driver), 0);
	ck_assert_uint_eq(driver.guest.config_changes, 1);
	ck_assert_int_eq(net_driver_asked.link, 0);
	arrive(100, 1);
	leave(100, 2);
	settle();
	expect_no_more();
	expect_nothing_left();
	ck_assert_uint_eq(sent_back(), 1);
	ck_assert_uint_eq(net_driver_counter(&driver, "rx_dropped"), 1);
	ck_assert_uint_eq(net_driver_counter(&driver, "tx_dropped"), 1);
	link_command(true);
	ck_assert_uint_eq(net_driver_status(&driver),
			  VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	ck_assert_int_eq(net_driver_asked.link, 1);
	arrive(100, 3);
	leave(100, 4);
	settle();
	expect_received(100, 3);
	expect_left(100, 4);
}
END_TEST

START_TEST(link_down_starved_drains_and_comes_back)
{
	begin(0, MODEL_DRIVER_ALL);
	arrive(100, 1);
	settle();
	link_command(false);
	settle();
	ck_assert_uint_eq(net_driver_counter(&driver, "rx_dropped"), 1);
	ck_assert(loop_is_quiet());
	link_command(true);
	settle();
	arrive(100, 2);
	net_driver_give(&driver, 0, 1, 1600);
	settle();
	expect_received(100, 2);
}
END_TEST

START_TEST(link_same_as_before_changes_nothing)
{
	struct error err = {""};

	begin(0, MODEL_DRIVER_ALL);
	link_command(true);
	ck_assert_uint_eq(driver.guest.config_changes, 0);
	ck_assert_int_eq(model_driver_command(&driver.guest, "link",
					      json_pack("{s:s}", "up", "yes"),
					      &err),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "\"up\""));
	ck_assert_int_eq(
		model_driver_command(&driver.guest, "resize", NULL, &err),
		-ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.text, "resize"));
}
END_TEST

START_TEST(end_lost_takes_the_link_down)
{
	int small = 4096;

	begin(0, MODEL_DRIVER_ALL);
	ck_assert_int_eq(setsockopt(driver.guest.resources.fds[0], SOL_SOCKET,
				    SO_SNDBUF, &small, sizeof(small)),
			 0);
	/* Also with some that wait for room. */
	for (uint8_t i = 0; i < 50; i++)
		leave(1000, i);
	settle();
	close(driver.peers[0]);
	driver.peers[0] = -1;
	settle();
	ck_assert_uint_eq(net_driver_status(&driver), 0);
	ck_assert_uint_eq(driver.guest.config_changes, 1);
	ck_assert_uint_eq(driver.guest.needs_resets, 0);
	ck_assert_uint_eq(sent_back(), 50);
	ck_assert(loop_is_quiet());
	model_driver_reset(&driver.guest);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	leave(100, 1);
	settle();
	ck_assert_uint_eq(sent_back(), 1);
	ck_assert_uint_eq(net_driver_status(&driver), 0);
}
END_TEST

START_TEST(end_lost_before_a_driver_is_quiet)
{
	net_driver_init(&driver, 1, 0, 0);
	close(driver.peers[0]);
	driver.peers[0] = -1;
	settle();
	ck_assert_uint_eq(net_driver_status(&driver), 0);
	ck_assert(loop_is_quiet());
}
END_TEST

/* --- Life ------------------------------------------------------------------
 */

START_TEST(reset_drops_what_was_gathered)
{
	begin(0, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 10, 200);
	arrive(3000, 1); /* spills */
	settle();
	model_driver_reset(&driver.guest);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 10, 1600);
	arrive(100, 2);
	settle();
	expect_received(100, 2);
	expect_no_more();
}
END_TEST

START_TEST(reset_not_active_leaves_frames_alone)
{
	net_driver_init(&driver, 1, 0, 0);
	arrive(100, 1);
	ck_assert(loop_is_quiet());
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 10, 1600);
	settle();
	expect_received(100, 1);
}
END_TEST

START_TEST(sleep_gathered_and_unsent_are_there_after_wake)
{
	unsigned int seen = 0, back;
	int small = 4096;

	net_driver_init(&driver, 1, 0, 0);
	driver.guest.packed = _i & 1;
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	ck_assert_int_eq(setsockopt(driver.guest.resources.fds[0], SOL_SOCKET,
				    SO_SNDBUF, &small, sizeof(small)),
			 0);
	net_driver_give(&driver, 0, 100, 1600);
	arrive(100, 1);
	for (uint8_t i = 0; i < 50; i++)
		leave(1000, i);
	settle();
	back = sent_back();
	expect_received(100, 1);
	model_driver_sleep(&driver.guest);
	arrive(100, 2);
	settle();
	expect_no_more();
	if (_i & 2) {
		json_t *state = model_driver_snapshot(&driver.guest), *again;
		struct error err = {""};

		model_driver_replace(&driver.guest);
		model_driver_sleep(&driver.guest);
		ck_assert_msg(
			model_driver_restore(&driver.guest, state, &err) == 0,
			"%s", err.text);
		again = model_driver_snapshot(&driver.guest);
		ck_assert(json_equal(state, again));
		json_decref(state);
		json_decref(again);
	}
	model_driver_wake(&driver.guest);
	settle();
	expect_received(100, 2);
	while (seen < 50) {
		expect_left(1000, (uint8_t)seen++);
		settle();
	}
	expect_nothing_left();
	ck_assert_uint_eq(back + sent_back(), 50);
	ck_assert_uint_eq(net_driver_status(&driver),
			  VIRTIO_NET_S_LINK_UP |
				  (_i & 2 ? VIRTIO_NET_S_ANNOUNCE : 0));
}
END_TEST

START_TEST(restore_link_down_stays_down)
{
	struct error err = {""};
	json_t *state;

	begin(0, MODEL_DRIVER_ALL);
	link_command(false);
	model_driver_sleep(&driver.guest);
	state = model_driver_snapshot(&driver.guest);
	model_driver_replace(&driver.guest);
	net_driver_asked.link = -1;
	model_driver_sleep(&driver.guest);
	ck_assert_int_eq(model_driver_restore(&driver.guest, state, &err), 0);
	json_decref(state);
	model_driver_wake(&driver.guest);
	ck_assert_int_eq(net_driver_asked.link, 0);
	ck_assert_uint_eq(net_driver_status(&driver) & VIRTIO_NET_S_LINK_UP, 0);
}
END_TEST

START_TEST(restore_edited_state_is_refused)
{
	static const struct {
		const char *member, *value;
	} edits[] = {
		{"pairs", "0x0"},	   {"pairs", "0x2"},
		{"mac", "015400010203"},   {"offloads", "0x40"},
		{"unicast_count", "0x41"}, {"vlans", "00"},
	};
	struct error err = {""};
	json_t *state;

	begin(0, MODEL_DRIVER_ALL);
	model_driver_sleep(&driver.guest);
	state = model_driver_snapshot(&driver.guest);
	model_driver_replace(&driver.guest);
	model_driver_sleep(&driver.guest);
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		json_t *copy = json_deep_copy(state);
		json_t *model = json_object_get(copy, "model");

		ck_assert_ptr_nonnull(json_object_get(model, edits[i].member));
		json_object_set_new(model, edits[i].member,
				    json_string(edits[i].value));
		ck_assert_int_eq(
			model_driver_restore(&driver.guest, copy, &err),
			-EINVAL);
		ck_assert_msg(strstr(err.text, edits[i].member) != NULL, "%s",
			      err.text);
		json_decref(copy);
	}
	ck_assert_int_eq(model_driver_restore(&driver.guest, state, &err), 0);
	json_decref(state);
}
END_TEST

/* A new ring in place of one that is reset. */
static void renew(unsigned int index)
{
	const struct ring_driver_options options = {
		.base = (model_driver_alloc(&driver.guest, 0x40000) + 0xfff) &
			~UINT64_C(0xfff),
		.size = 64,
		.indirect = true,
		.event_idx = true,
	};
	struct virtqueue_config config;

	virtio_device_lock(driver.guest.device);
	ck_assert_int_eq(
		virtio_device_queue_reset_locked(driver.guest.device, index),
		0);
	virtio_device_unlock(driver.guest.device);
	settle();
	ring_driver_free(driver.guest.rings[index]);
	driver.guest.rings[index] = ring_driver_new(driver.guest.mem, &options);
	ring_driver_config(driver.guest.rings[index], &config);
	config.index = index;
	virtio_device_lock(driver.guest.device);
	ck_assert_int_eq(
		virtio_device_queue_enable_locked(driver.guest.device, &config),
		0);
	virtio_device_unlock(driver.guest.device);
}

START_TEST(queue_reset_ring_is_taken_up_again)
{
	int small = 4096;

	begin(0, MODEL_DRIVER_ALL);
	ck_assert_int_eq(setsockopt(driver.guest.resources.fds[0], SOL_SOCKET,
				    SO_SNDBUF, &small, sizeof(small)),
			 0);
	net_driver_give(&driver, 0, 10, 200);
	for (uint8_t i = 0; i < 20; i++)
		leave(1000, i);
	settle();
	renew(0);
	renew(1);
	renew(2);
	while (net_driver_to_peer(&driver, 0, NULL, got, sizeof(got)) >= 0)
		;
	net_driver_give(&driver, 0, 10, 1600);
	arrive(500, 1);
	leave(500, 2);
	settle();
	expect_received(500, 1);
	expect_left(500, 2);
	ck_assert_int_eq(net_driver_control(&driver, VIRTIO_NET_CTRL_RX,
					    VIRTIO_NET_CTRL_RX_PROMISC, "\1",
					    1),
			 VIRTIO_NET_OK);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("net");
	TCase *tc = tcase_create("net");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, features_end_without_offloads_offers_none);
	tcase_add_test(tc, features_end_with_offloads_offers_them);
	tcase_add_test(tc, read_config_tells_mac_status_pairs_mtu);
	tcase_add_test(tc, keep_fds_names_just_the_end);
	tcase_add_loop_test(tc, rx_frame_is_delivered, 0, 4);
	tcase_add_test(tc, rx_large_frame_is_merged);
	tcase_add_test(tc, rx_tiny_buffers_are_merged);
	tcase_add_loop_test(tc, rx_header_goes_through_only_as_far_as_accepted,
			    0, 2);
	tcase_add_test(tc, rx_unmerged_short_buffer_drops_and_is_kept);
	tcase_add_test(tc, rx_frames_that_are_none_are_dropped);
	tcase_add_loop_test(
		tc, rx_ring_used_up_is_looked_at_before_a_kick_is_wanted, 0, 2);
	tcase_add_loop_test(tc, rx_paced_frames_come_together, 0, 2);
	tcase_add_test(tc, rx_paced_queue_survives_a_reset);
	tcase_add_test(tc, pace_balance_is_frames_less_answers);
	tcase_add_test(tc, pace_measure_needs_many_a_millisecond);
	tcase_add_loop_test(tc, rx_starved_ring_leaves_frames_until_a_kick, 0,
			    2);
	tcase_add_test(tc, rx_short_ring_keeps_the_frame_until_there_is_more);
	tcase_add_test(tc, rx_short_ring_gives_the_frame_up_in_time);
	tcase_add_test(tc, rx_readable_buffer_needs_reset);
	tcase_add_loop_test(tc, rx_buffer_below_a_header_needs_reset, 0, 2);
	tcase_add_test(tc, rx_broken_ring_needs_reset);
	tcase_add_test(tc, rx_broken_ring_behind_a_long_frame_needs_reset);
	tcase_add_test(tc, tx_writable_buffer_needs_reset);
	tcase_add_test(tc, tx_broken_ring_needs_reset);
	tcase_add_test(tc, tx_lengths_that_cannot_be_are_dropped);
	tcase_add_test(tc, tx_longest_frame_is_sent);
	tcase_add_loop_test(tc, tx_frame_is_sent, 0, 2);
	tcase_add_test(tc, tx_end_without_room_keeps_the_order);
	tcase_add_test(tc, tx_turn_is_bounded);
	tcase_add_loop_test(tc, turn_shows_its_frames_in_parts, 0, 2);
	tcase_add_test(tc, link_down_drops_and_up_announces);
	tcase_add_test(tc, link_down_starved_drains_and_comes_back);
	tcase_add_test(tc, link_same_as_before_changes_nothing);
	tcase_add_test(tc, end_lost_takes_the_link_down);
	tcase_add_test(tc, end_lost_before_a_driver_is_quiet);
	tcase_add_test(tc, reset_drops_what_was_gathered);
	tcase_add_test(tc, reset_not_active_leaves_frames_alone);
	tcase_add_loop_test(tc, sleep_gathered_and_unsent_are_there_after_wake,
			    0, 4);
	tcase_add_test(tc, restore_link_down_stays_down);
	tcase_add_test(tc, restore_edited_state_is_refused);
	tcase_add_test(tc, queue_reset_ring_is_taken_up_again);
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
