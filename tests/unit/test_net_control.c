/* The control queue, and what its commands do to frames. */
#include "virtio/net_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "tests/unit/support/net_driver.h"

#define OK  VIRTIO_NET_OK
#define ERR VIRTIO_NET_ERR
#define ALL (NET_HOST_OFFLOADS | NET_GUEST_OFFLOADS)

static struct net_driver driver;

static const uint8_t broadcast[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t group[] = {0x01, 0x00, 0x5e, 1, 2, 3};
static const uint8_t stranger[] = {0x52, 0x54, 0, 7, 7, 7};

static void begin(uint64_t features)
{
	net_driver_init(&driver, 4, ALL, 0);
	model_driver_start(&driver.guest, features);
	net_driver_give(&driver, 0, 100, 1600);
}

static void setup(void)
{
	begin(MODEL_DRIVER_ALL);
}

static void teardown(void)
{
	net_driver_fini(&driver);
}

static int control(unsigned int class, unsigned int command, const void *data,
		   size_t len)
{
	return net_driver_control(&driver, class, command, data, len);
}

static int rx_mode(unsigned int command, uint8_t on)
{
	return control(VIRTIO_NET_CTRL_RX, command, &on, 1);
}

/* Whether a frame to that address reaches the guest; vlan -1: no tag. */
static bool tagged_passes(const uint8_t *mac, int vlan)
{
	uint8_t frame[100], got[200];

	net_driver_frame(frame, sizeof(frame), 1);
	memcpy(frame, mac, NET_MAC_SIZE);
	if (vlan >= 0) {
		frame[12] = 0x81;
		frame[13] = 0;
		frame[14] = (uint8_t)(0xe0 | vlan >> 8);
		frame[15] = (uint8_t)vlan;
	}
	net_driver_from_peer(&driver, 0, NULL, frame, sizeof(frame));
	model_driver_settle(&driver.guest);
	return net_driver_received(&driver, 0, NULL, got, sizeof(got)) >= 0;
}

static bool passes(const uint8_t *mac)
{
	return tagged_passes(mac, -1);
}

/* A table of addresses that count from @first; returns bytes. */
static size_t put_table(uint8_t *at, uint32_t claimed, unsigned int count,
			const uint8_t *first)
{
	le32 entries = le32_of(claimed);

	memcpy(at, &entries, sizeof(entries));
	for (unsigned int i = 0; i < count; i++) {
		memcpy(at + 4 + 6 * i, first, 6);
		at[4 + 6 * i + 4] = (uint8_t)(at[4 + 6 * i + 4] + i / 256);
		at[4 + 6 * i + 5] = (uint8_t)(at[4 + 6 * i + 5] + i);
	}
	return 4 + 6 * (size_t)count;
}

static int set_tables(unsigned int unicast, unsigned int multicast)
{
	static uint8_t data[2 * (4 + 6 * 1000)];
	size_t len = put_table(data, unicast, unicast, stranger);

	len += put_table(data + len, multicast, multicast, group);
	return control(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data,
		       len);
}

/* --- What the frames notice ------------------------------------------------
 */

START_TEST(filter_new_device_passes_all)
{
	ck_assert(passes(net_driver_mac));
	ck_assert(passes(stranger));
	ck_assert(passes(group));
	ck_assert(tagged_passes(stranger, 5));
}
END_TEST

START_TEST(filter_without_promisc_passes_own_and_broadcast)
{
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), OK);
	ck_assert(passes(net_driver_mac));
	ck_assert(passes(broadcast));
	ck_assert(!passes(stranger));
	ck_assert(!passes(group));
	ck_assert_uint_eq(net_driver_counter(&driver, "rx_filtered"), 2);
}
END_TEST

START_TEST(rx_modes_each_do_what_they_say)
{
	rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0);
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_ALLMULTI, 1), OK);
	ck_assert(passes(group) && !passes(stranger));
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_NOMULTI, 1), OK);
	ck_assert(!passes(group) && passes(broadcast));
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_ALLUNI, 1), OK);
	ck_assert(passes(stranger) && !passes(group));
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_NOUNI, 1), OK);
	ck_assert(!passes(stranger) && !passes(net_driver_mac));
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_NOBCAST, 1), OK);
	ck_assert(!passes(broadcast));
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 1), OK);
	ck_assert(passes(stranger) && passes(group) && passes(broadcast));
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 2), ERR);
	model_driver_reset(&driver.guest);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 10, 1600);
	ck_assert(passes(stranger) && passes(net_driver_mac));
}
END_TEST

START_TEST(mac_table_lets_its_addresses_pass)
{
	uint8_t last[6];

	rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0);
	ck_assert_int_eq(set_tables(1, NET_FILTER_MACS), OK);
	ck_assert(passes(stranger) && passes(group));
	memcpy(last, group, 6);
	last[5] = (uint8_t)(last[5] + NET_FILTER_MACS - 1);
	ck_assert(passes(last));
	last[5]++;
	ck_assert(!passes(last));
	ck_assert_int_eq(set_tables(0, 0), OK);
	ck_assert(!passes(stranger) && !passes(group));
}
END_TEST

START_TEST(mac_table_longer_than_kept_passes_all_of_its_kind)
{
	static const uint8_t other[] = {0x33, 0x33, 9, 9, 9, 9};

	rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0);
	ck_assert_int_eq(set_tables(1, 1000), OK);
	ck_assert(passes(other) && passes(stranger));
	ck_assert_int_eq(set_tables(NET_FILTER_MACS + 1, 1), OK);
	ck_assert(!passes(other) && passes(group) && passes(stranger));
}
END_TEST

START_TEST(mac_table_that_lies_is_refused_and_changes_nothing)
{
	static const struct {
		uint32_t unicast, multicast;
		unsigned int there, then;
		size_t cut;
	} lies[] = {
		{2, 0, 1, 0, 0},	  {0, 0, 1, 0, 0},
		{UINT32_MAX, 0, 1, 0, 0}, {0, UINT32_MAX, 0, 1, 0},
		{0x2aaaaaab, 0, 1, 0, 0}, {1, 1, 1, 1, 1},
		{1, 1, 1, 0, 0},	  {1, 0, 1, 0, 4},
		{65, 0, 64, 0, 0},	  {1, 1, 1, 2, 0},
	};
	uint8_t data[1000];

	rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0);
	ck_assert_int_eq(set_tables(1, 1), OK);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		size_t len = put_table(data, lies[i].unicast, lies[i].there,
				       net_driver_mac);

		len += put_table(data + len, lies[i].multicast, lies[i].then,
				 broadcast);
		ck_assert_int_eq(control(VIRTIO_NET_CTRL_MAC,
					 VIRTIO_NET_CTRL_MAC_TABLE_SET, data,
					 len - lies[i].cut),
				 ERR);
	}
	ck_assert(passes(stranger) && passes(group));
}
END_TEST

START_TEST(mac_addr_set_is_what_the_guest_has)
{
	uint8_t mac[6];

	rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0);
	ck_assert_int_eq(control(VIRTIO_NET_CTRL_MAC,
				 VIRTIO_NET_CTRL_MAC_ADDR_SET, stranger, 6),
			 OK);
	ck_assert(passes(stranger) && !passes(net_driver_mac));
	virtio_device_lock(driver.guest.device);
	virtio_device_read_config_locked(driver.guest.device, 0, mac, 6);
	virtio_device_unlock(driver.guest.device);
	ck_assert_mem_eq(mac, stranger, 6);
	ck_assert_uint_eq(driver.guest.config_changes, 1);
	ck_assert_int_eq(control(VIRTIO_NET_CTRL_MAC,
				 VIRTIO_NET_CTRL_MAC_ADDR_SET, group, 6),
			 ERR);
	model_driver_reset(&driver.guest);
	virtio_device_lock(driver.guest.device);
	virtio_device_read_config_locked(driver.guest.device, 0, mac, 6);
	virtio_device_unlock(driver.guest.device);
	ck_assert_mem_eq(mac, net_driver_mac, 6);
}
END_TEST

static int vlan(unsigned int command, uint16_t id)
{
	le16 value = le16_of(id);

	return control(VIRTIO_NET_CTRL_VLAN, command, &value, sizeof(value));
}

START_TEST(vlan_table_lets_its_numbers_pass)
{
	rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0);
	ck_assert(!tagged_passes(net_driver_mac, 5));
	ck_assert(tagged_passes(net_driver_mac, 0));
	ck_assert_int_eq(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 5), OK);
	ck_assert_int_eq(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 4095), OK);
	ck_assert(tagged_passes(net_driver_mac, 5));
	ck_assert(tagged_passes(net_driver_mac, 4095));
	ck_assert(!tagged_passes(net_driver_mac, 4));
	ck_assert(!tagged_passes(stranger, 5));
	ck_assert_int_eq(vlan(VIRTIO_NET_CTRL_VLAN_DEL, 5), OK);
	ck_assert(!tagged_passes(net_driver_mac, 5));
	ck_assert_int_eq(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 4096), ERR);
	ck_assert_int_eq(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 65535), ERR);
}
END_TEST

START_TEST(vlan_not_accepted_passes_all)
{
	model_driver_reset(&driver.guest);
	model_driver_start(&driver.guest,
			   MODEL_DRIVER_ALL & ~NET_FEATURE(CTRL_VLAN));
	net_driver_give(&driver, 0, 10, 1600);
	rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 0);
	ck_assert(tagged_passes(net_driver_mac, 5));
}
END_TEST

/* --- The others ------------------------------------------------------------
 */

START_TEST(announce_ack_clears_it)
{
	struct error err;

	for (int up = 0; up < 2; up++)
		ck_assert_int_eq(model_driver_command(
					 &driver.guest, "link",
					 json_pack("{s:b}", "up", up), &err),
				 0);
	ck_assert_uint_eq(net_driver_status(&driver),
			  VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	ck_assert_int_eq(control(VIRTIO_NET_CTRL_ANNOUNCE,
				 VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0),
			 OK);
	ck_assert_uint_eq(net_driver_status(&driver), VIRTIO_NET_S_LINK_UP);
}
END_TEST

START_TEST(offloads_set_reaches_the_end)
{
	le64 some = le64_of(NET_FEATURE(GUEST_CSUM) | NET_FEATURE(GUEST_TSO6));
	le64 bad = le64_of(NET_FEATURE(GUEST_CSUM) | NET_FEATURE(HOST_TSO4));

	ck_assert_uint_eq(net_driver_asked.offloads, NET_GUEST_OFFLOADS);
	ck_assert_int_eq(control(VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &some, 8),
			 OK);
	ck_assert_uint_eq(net_driver_asked.offloads, le64_get(some));
	ck_assert_int_eq(control(VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &bad, 8),
			 ERR);
	ck_assert_uint_eq(net_driver_asked.offloads, le64_get(some));
}
END_TEST

static int pairs(uint16_t count)
{
	le16 value = le16_of(count);

	return control(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
		       &value, sizeof(value));
}

/* Whether frames go both ways on that pair. */
static bool pair_works(unsigned int pair, uint8_t seed)
{
	uint8_t frame[100], got[200];
	ssize_t in, out;

	net_driver_frame(frame, sizeof(frame), seed);
	net_driver_from_peer(&driver, pair, NULL, frame, sizeof(frame));
	net_driver_send(&driver, pair, NULL, frame, sizeof(frame));
	model_driver_settle(&driver.guest);
	in = net_driver_received(&driver, pair, NULL, got, sizeof(got));
	out = net_driver_to_peer(&driver, pair, NULL, got, sizeof(got));
	ck_assert_int_eq(in, out);
	return in == sizeof(frame);
}

START_TEST(mq_set_uses_so_many_pairs)
{
	uint8_t got[200];

	for (unsigned int i = 1; i < 4; i++)
		net_driver_give(&driver, i, 20, 1600);
	ck_assert_uint_eq(net_driver_asked.pairs, 1);
	ck_assert(pair_works(0, 1));
	ck_assert(!pair_works(1, 2));
	ck_assert_int_eq(pairs(3), OK);
	ck_assert_uint_eq(net_driver_asked.pairs, 3);
	/* What waited goes now: its kick came too early. */
	model_driver_settle(&driver.guest);
	ck_assert_int_eq(
		net_driver_received(&driver, 1, NULL, got, sizeof(got)), 100);
	ck_assert_int_eq(net_driver_to_peer(&driver, 1, NULL, got, sizeof(got)),
			 100);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert(pair_works(i, (uint8_t)i) == (i < 3));
	ck_assert_int_eq(pairs(1), OK);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert(pair_works(i, (uint8_t)i) == (i < 1));
	ck_assert_int_eq(pairs(0), ERR);
	ck_assert_int_eq(pairs(5), ERR);
	ck_assert_int_eq(pairs(0x8001), ERR);
	ck_assert_uint_eq(net_driver_asked.pairs, 1);
}
END_TEST

START_TEST(mq_survives_restore_and_not_reset)
{
	struct error err = {""};
	json_t *state;

	for (unsigned int i = 1; i < 4; i++)
		net_driver_give(&driver, i, 20, 1600);
	ck_assert_int_eq(pairs(4), OK);
	model_driver_sleep(&driver.guest);
	state = model_driver_snapshot(&driver.guest);
	model_driver_replace(&driver.guest);
	ck_assert_uint_eq(net_driver_asked.pairs, 1);
	model_driver_sleep(&driver.guest);
	ck_assert_int_eq(model_driver_restore(&driver.guest, state, &err), 0);
	json_decref(state);
	model_driver_wake(&driver.guest);
	ck_assert_uint_eq(net_driver_asked.pairs, 4);
	ck_assert_uint_eq(net_driver_asked.offloads, NET_GUEST_OFFLOADS);
	ck_assert(pair_works(3, 1));
	model_driver_reset(&driver.guest);
	ck_assert_uint_eq(net_driver_asked.pairs, 1);
}
END_TEST

/* --- Commands that cannot be -----------------------------------------------
 */

static const struct {
	uint8_t class, command;
	unsigned int feature;
	size_t len;
	uint8_t data[8];
} commands[] = {
	{0, 0, VIRTIO_NET_F_CTRL_RX, 1, {1}},
	{0, 1, VIRTIO_NET_F_CTRL_RX, 1, {1}},
	{0, 2, VIRTIO_NET_F_CTRL_RX_EXTRA, 1, {1}},
	{0, 5, VIRTIO_NET_F_CTRL_RX_EXTRA, 1, {0}},
	{1, 0, VIRTIO_NET_F_CTRL_RX, 8, {0}},
	{1, 1, VIRTIO_NET_F_CTRL_MAC_ADDR, 6, {2, 0, 0, 0, 0, 1}},
	{2, 0, VIRTIO_NET_F_CTRL_VLAN, 2, {7}},
	{2, 1, VIRTIO_NET_F_CTRL_VLAN, 2, {7}},
	{3, 0, VIRTIO_NET_F_GUEST_ANNOUNCE, 0, {0}},
	{4, 0, VIRTIO_NET_F_MQ, 2, {2}},
	{5, 0, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, 8, {0}},
};

START_TEST(command_needs_its_feature_and_length)
{
	static const uint8_t long_data[100] = {1};

	ck_assert_int_eq(control(commands[_i].class, commands[_i].command,
				 commands[_i].data, commands[_i].len),
			 OK);
	ck_assert_int_eq(control(commands[_i].class, commands[_i].command,
				 long_data, commands[_i].len + 1),
			 ERR);
	if (commands[_i].len)
		ck_assert_int_eq(
			control(commands[_i].class, commands[_i].command,
				commands[_i].data, commands[_i].len - 1),
			ERR);
	model_driver_reset(&driver.guest);
	model_driver_start(&driver.guest,
			   MODEL_DRIVER_ALL &
				   ~(UINT64_C(1) << commands[_i].feature));
	ck_assert_int_eq(control(commands[_i].class, commands[_i].command,
				 commands[_i].data, commands[_i].len),
			 ERR);
}
END_TEST

START_TEST(command_unknown_is_refused)
{
	static const uint8_t unknown[][2] = {
		{0, 6}, {1, 2}, {2, 2},	    {3, 1}, {4, 1},    {4, 2},
		{5, 1}, {6, 0}, {255, 255}, {6, 1}, {0, 0xff}, {0x80, 0}};

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		ck_assert_int_eq(control(unknown[i][0], unknown[i][1],
					 "\1\0\0\0\0\0\0\0", 8),
				 ERR);
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 1), OK);
}
END_TEST

/* A buffer on the control queue, readable bytes and writable ones. */
static uint8_t *raw(uint32_t readable, uint32_t writable)
{
	struct ring_driver_chain chain = {.readable_count = readable > 0,
					  .writable_count = writable > 0};
	uint64_t gpa = model_driver_alloc(&driver.guest, 64);

	chain.readable[0] = (struct ring_driver_buffer){gpa, readable};
	chain.writable[0] = (struct ring_driver_buffer){gpa + 32, writable};
	ck_assert_int_ge(ring_driver_add(driver.guest.rings[8], &chain), 0);
	model_driver_kick(&driver.guest, 8);
	model_driver_settle(&driver.guest);
	return (uint8_t *)model_driver_host(&driver.guest, gpa, 64) + 32;
}

START_TEST(command_shorter_than_its_head_is_refused)
{
	ck_assert_uint_eq(*raw(1, 1), ERR);
	ck_assert_uint_eq(*raw(0, 1), ERR);
	ck_assert_uint_eq(driver.guest.needs_resets, 0);
}
END_TEST

START_TEST(command_without_room_for_the_answer_needs_reset)
{
	raw(3, 0);
	ck_assert_uint_eq(driver.guest.needs_resets, 1);
	model_driver_reset(&driver.guest);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 1), OK);
}
END_TEST

START_TEST(control_without_mq_is_queue_two)
{
	model_driver_reset(&driver.guest);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL & ~NET_FEATURE(MQ));
	ck_assert_int_eq(rx_mode(VIRTIO_NET_CTRL_RX_PROMISC, 1), OK);
	net_driver_give(&driver, 0, 5, 1600);
	ck_assert(pair_works(0, 1));
}
END_TEST

/* --- Headers ---------------------------------------------------------------
 */

struct header_case {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
	uint64_t len;
	uint64_t without; /* features */
	int ret;
};

#define SUM	VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TCP4	VIRTIO_NET_HDR_GSO_TCPV4
#define TCP6	VIRTIO_NET_HDR_GSO_TCPV6
#define UDP4	VIRTIO_NET_HDR_GSO_UDP_L4
#define ECN	VIRTIO_NET_HDR_GSO_ECN
#define F(name) (UINT64_C(1) << VIRTIO_NET_F_##name)

static const struct header_case header_cases[] = {
	{0, 0, 0, 0, 0, 0, 14, ALL, 0},
	{0, 0, 0, 0, 0, 0, 13, 0, -EINVAL},
	{0, 0, 0, 0, 0, 0, NET_FRAME_MAX, 0, 0},
	{0, 0, 0, 0, 0, 0, NET_FRAME_MAX + 1, 0, -EINVAL},
	/* Not to be looked at. */
	{0xfe, 0, 9999, 9999, 9999, 9999, 100, ALL, 0},
	{SUM, 0, 0, 0, 14, 16, 100, 0, 0},
	{SUM, 0, 0, 0, 14, 16, 100, F(CSUM), -EINVAL},
	{SUM, 0, 0, 0, 82, 16, 100, 0, 0},
	{SUM, 0, 0, 0, 83, 16, 100, 0, -EINVAL},
	{SUM, 0, 0, 0, 0xffff, 0xffff, 100, 0, -EINVAL},
	{SUM, 0, 0, 0, 0xffff, 0x0001, 100, 0, -EINVAL},
	{SUM, TCP4, 54, 1000, 34, 16, 5000, 0, 0},
	{SUM, TCP6, 74, 1000, 54, 16, 5000, 0, 0},
	{SUM, UDP4, 42, 1000, 34, 6, 5000, 0, 0},
	{SUM, TCP4 | ECN, 54, 1000, 34, 16, 5000, 0, 0},
	{SUM, TCP4, 0xffff, 1000, 34, 16, 5000, 0, 0},
	{SUM, TCP4, 54, 1000, 34, 16, 5000, F(HOST_TSO4), -EINVAL},
	{SUM, TCP6, 54, 1000, 34, 16, 5000, F(HOST_TSO6), -EINVAL},
	{SUM, UDP4, 54, 1000, 34, 16, 5000, F(HOST_USO), -EINVAL},
	{SUM, TCP4 | ECN, 54, 1000, 34, 16, 5000, F(HOST_ECN), -EINVAL},
	{SUM, UDP4 | ECN, 54, 1000, 34, 16, 5000, 0, -EINVAL},
	{SUM, ECN, 54, 1000, 34, 16, 5000, 0, -EINVAL},
	{SUM, TCP4, 54, 0, 34, 16, 5000, 0, -EINVAL},
	{0, TCP4, 54, 1000, 34, 16, 5000, 0, -EINVAL},
	{SUM, 2, 54, 1000, 34, 16, 5000, 0, -EINVAL},
	{SUM, VIRTIO_NET_HDR_GSO_UDP, 54, 1000, 34, 16, 5000, 0, -EINVAL},
	{SUM, 0x7f, 54, 1000, 34, 16, 5000, 0, -EINVAL},
};

START_TEST(header_check_tx_each_case)
{
	const struct header_case *c = &header_cases[_i];
	struct net_header header = {
		.flags = c->flags,
		.gso_type = c->gso_type,
		.hdr_len = le16_of(c->hdr_len),
		.gso_size = le16_of(c->gso_size),
		.csum_start = le16_of(c->csum_start),
		.csum_offset = le16_of(c->csum_offset),
		.num_buffers = le16_of(77),
	};

	ck_assert_int_eq(net_header_check_tx(&header, c->len,
					     MODEL_DRIVER_ALL & ~c->without),
			 c->ret);
	if (c->ret)
		return;
	ck_assert_uint_eq(header.flags & ~SUM, 0);
	ck_assert_uint_le(le16_get(header.hdr_len), c->len);
	ck_assert_uint_eq(le16_get(header.num_buffers), 0);
	if (!header.gso_type)
		ck_assert_uint_eq(le16_get(header.gso_size), 0);
	if (!header.flags)
		ck_assert_uint_eq(le16_get(header.csum_start), 0);
}
END_TEST

/* The bad ones of these, through the ring. */
START_TEST(tx_bad_headers_are_dropped_and_counted)
{
	uint8_t frame[5000], got[6000];
	unsigned int bad = 0;

	net_driver_frame(frame, sizeof(frame), 1);
	for (size_t i = 0; i < sizeof(header_cases) / sizeof(header_cases[0]);
	     i++) {
		const struct header_case *c = &header_cases[i];
		const struct net_header header = {
			.flags = c->flags,
			.gso_type = c->gso_type,
			.hdr_len = le16_of(c->hdr_len),
			.gso_size = le16_of(c->gso_size),
			.csum_start = le16_of(c->csum_start),
			.csum_offset = le16_of(c->csum_offset),
		};

		if (!c->ret || c->without || c->len > sizeof(frame))
			continue;
		net_driver_send(&driver, 0, &header, frame, c->len);
		bad++;
	}
	ck_assert_uint_gt(bad, 8);
	net_driver_send(&driver, 0, NULL, frame, 60);
	model_driver_settle(&driver.guest);
	ck_assert_int_eq(net_driver_to_peer(&driver, 0, NULL, got, sizeof(got)),
			 60);
	ck_assert_int_eq(net_driver_to_peer(&driver, 0, NULL, got, sizeof(got)),
			 -1);
	ck_assert_uint_eq(net_driver_counter(&driver, "tx_invalid"), bad);
	ck_assert_uint_eq(driver.guest.needs_resets, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("net_control");
	TCase *tc = tcase_create("net_control");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, filter_new_device_passes_all);
	tcase_add_test(tc, filter_without_promisc_passes_own_and_broadcast);
	tcase_add_test(tc, rx_modes_each_do_what_they_say);
	tcase_add_test(tc, mac_table_lets_its_addresses_pass);
	tcase_add_test(tc, mac_table_longer_than_kept_passes_all_of_its_kind);
	tcase_add_test(tc, mac_table_that_lies_is_refused_and_changes_nothing);
	tcase_add_test(tc, mac_addr_set_is_what_the_guest_has);
	tcase_add_test(tc, vlan_table_lets_its_numbers_pass);
	tcase_add_test(tc, vlan_not_accepted_passes_all);
	tcase_add_test(tc, announce_ack_clears_it);
	tcase_add_test(tc, offloads_set_reaches_the_end);
	tcase_add_test(tc, mq_set_uses_so_many_pairs);
	tcase_add_test(tc, mq_survives_restore_and_not_reset);
	tcase_add_loop_test(tc, command_needs_its_feature_and_length, 0,
			    (int)(sizeof(commands) / sizeof(commands[0])));
	tcase_add_test(tc, command_unknown_is_refused);
	tcase_add_test(tc, command_shorter_than_its_head_is_refused);
	tcase_add_test(tc, command_without_room_for_the_answer_needs_reset);
	tcase_add_test(tc, control_without_mq_is_queue_two);
	tcase_add_loop_test(
		tc, header_check_tx_each_case, 0,
		(int)(sizeof(header_cases) / sizeof(header_cases[0])));
	tcase_add_test(tc, tx_bad_headers_are_dropped_and_counted);
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
