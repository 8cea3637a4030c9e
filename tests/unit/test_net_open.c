/* Opening network devices: what is refused, real taps, a real passt. */
#include "virtio/net.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/capture.h"
#include "tests/unit/support/net_driver.h"
#include "virtio/net_passt.h"
#include "virtio/net_route.h"
#include "virtio/options.h"

#define NOBODY	  65534
#define ETHERTYPE 0x88b5 /* for experiments */

static struct error err;

/* --- Options ---------------------------------------------------------------
 */

static struct virtio_net_options tap_options(char *name)
{
	return (struct virtio_net_options){
		.kind = VIRTIO_NET_TAP,
		.tap = name,
		.queues = 1,
	};
}

static struct virtio_net_options user_options(void)
{
	return (struct virtio_net_options){
		.kind = VIRTIO_NET_USER,
		.queues = 1,
	};
}

static int try_open(const struct virtio_net_options *options, bool dry_run,
		    struct virtio_resources *out)
{
	const struct virtio_open args = {
		.option = "--net x",
		.options = options,
		.dry_run = dry_run,
	};

	memset(out, 0, sizeof(*out));
	err.text[0] = '\0';
	return virtio_net_ops.open(&args, out, &err);
}

/* It is refused, and the line has all of these words, separated by |. */
static void expect_refused(const struct virtio_net_options *options, int errnum,
			   const char *words)
{
	struct virtio_resources resources;
	char copy[256], *save = NULL;

	snprintf(copy, sizeof(copy), "--net x: |%s", words);
	ck_assert_int_eq(try_open(options, false, &resources), -errnum);
	for (char *word = strtok_r(copy, "|", &save); word;
	     word = strtok_r(NULL, "|", &save))
		ck_assert_msg(strstr(err.text, word) != NULL,
			      "\"%s\" is not in: %s", word, err.text);
	ck_assert_uint_eq(resources.fd_count, 0);
	ck_assert_ptr_null(resources.description);
}

START_TEST(open_bad_mac_is_refused)
{
	static const struct {
		const char *mac, *words;
	} bad[] = {
		{"", "expected six"},
		{"52:54:00:12:34", "expected six"},
		{"52:54:00:12:34:56:78", "expected six"},
		{"52-54-00-12-34-56", "expected six"},
		{"52:54:00:12:34:5g", "expected six"},
		{"5254:0:0:12:34:56", "expected six"},
		{" 2:54:00:12:34:56", "expected six"},
		{"01:00:5e:00:00:01", "multicast"},
		{"ff:ff:ff:ff:ff:ff", "multicast"},
		{"00:00:00:00:00:00", "no address"},
	};
	struct virtio_net_options options = user_options();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char words[64];

		options.mac = strdup(bad[i].mac);
		snprintf(words, sizeof(words), "mac=%s: |%s", bad[i].mac,
			 bad[i].words);
		expect_refused(&options, EINVAL, words);
		free(options.mac);
	}
}
END_TEST

START_TEST(open_numbers_out_of_range_are_refused)
{
	struct virtio_net_options options = user_options();
	char name[] = "bt0";

	options.mtu = 67;
	expect_refused(&options, EINVAL, "mtu=67|68 to 65535");
	options.mtu = 65536;
	expect_refused(&options, EINVAL, "mtu=65536|68 to 65535");
	options.mtu = 0;
	options.queues = 2;
	expect_refused(&options, EINVAL, "queues=2|tap=NAME");
	options = tap_options(name);
	options.queues = 9;
	expect_refused(&options, EINVAL, "queues=9|1 to 8");
	options.queues = 0;
	expect_refused(&options, EINVAL, "queues=0|1 to 8");
}
END_TEST

START_TEST(open_tap_name_that_cannot_be_is_refused)
{
	static const char *const bad[] = {
		"",   "0123456789abcdef", "a/b", ".", "..", "tap%d", "a b",
		"a:1"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct virtio_net_options options;
		char *name = strdup(bad[i]);

		options = tap_options(name);
		expect_refused(&options, EINVAL, "interface");
		free(name);
	}
}
END_TEST

START_TEST(open_tap_with_forwards_is_refused)
{
	char name[] = "bt0", fwd[] = "80:80", *items[] = {fwd};
	struct virtio_net_options options = tap_options(name);

	options.fwd = (struct virtio_text_list){items, 1};
	expect_refused(&options, EINVAL, "fwd=80:80|--net user");
}
END_TEST

START_TEST(passt_parse_good_forwards)
{
	static const struct {
		const char *text, *host;
		unsigned int from, to;
	} good[] = {
		{"8080:80", "127.0.0.1", 8080, 80},
		{"0.0.0.0:1:65535", "0.0.0.0", 1, 65535},
		{"192.0.2.7:22:22", "192.0.2.7", 22, 22},
		{"[::1]:8080:80", "::1", 8080, 80},
		{"[fe80::1:2]:8080:80", "fe80::1:2", 8080, 80},
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct net_passt_forward forward;

		ck_assert_int_eq(net_passt_parse("--net x", good[i].text,
						 &forward, &err),
				 0);
		ck_assert_str_eq(forward.host, good[i].host);
		ck_assert_uint_eq(forward.from, good[i].from);
		ck_assert_uint_eq(forward.to, good[i].to);
	}
}
END_TEST

START_TEST(passt_parse_bad_forwards_are_refused)
{
	static const char *const bad[] = {
		"",
		"80",
		":80",
		"80:",
		":",
		"::",
		"0:80",
		"80:0",
		"65536:80",
		"80:65536",
		"+1:80",
		"80: 80",
		"80:8o",
		"host:80:80",
		":80:80",
		"::1:80:80",
		"[::1:80:80",
		"1.2.3:80:80",
		"[1.2.3.4]:8:8",
		"tcp:80:80",
		"1.2.3.4/8:8:8",
		"000080:80",
		"[]:80:80",
		"[fe80::1%eth0]:80:80",
		/* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): long */
		"[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaa]:80:80",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct net_passt_forward forward;

		ck_assert_msg(net_passt_parse("--net x", bad[i], &forward,
					      &err) == -EINVAL,
			      "%s", bad[i]);
		ck_assert_ptr_nonnull(strstr(err.text, "[HOST:]PORT:PORT"));
		ck_assert_ptr_nonnull(strstr(err.text, bad[i]));
	}
}
END_TEST

START_TEST(open_user_port_twice_is_refused)
{
	char one[] = "8080:80", two[] = "[::1]:8080:81", *items[] = {one, two};
	struct virtio_net_options options = user_options();

	options.fwd = (struct virtio_text_list){items, 2};
	expect_refused(&options, EINVAL, "fwd=[::1]:8080:81|8080");
}
END_TEST

START_TEST(open_user_without_passt_says_how_to_install_it)
{
	struct virtio_net_options options = user_options();

	setenv("PATH", "/nonexistent::/proc", 1);
	expect_refused(&options, ENOENT, "apt-get install passt");
}
END_TEST

/* A passt of the test's in PATH. Return: its folder. */
static const char *fake_passt(const char *script)
{
	static char folder[] = "/tmp/bantam-passt-XXXXXX";
	char path[64];
	FILE *file;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/passt", folder);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	fprintf(file, "#!/bin/sh\n%s\n", script);
	fclose(file);
	chmod(path, 0755);
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", folder);
	setenv("PATH", path, 1);
	return folder;
}

static void fake_passt_remove(const char *folder)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/passt", folder);
	unlink(path);
	rmdir(folder);
}

START_TEST(open_user_passt_that_fails_is_quoted)
{
	struct virtio_net_options options = user_options();
	const char *folder =
		fake_passt("echo 'Failed to send 1 bytes to syslog' >&2\n"
			   "i=0; while [ $i -lt 3000 ]; do\n"
			   "echo noise noise >&2; i=$((i + 1)); done\n"
			   "echo 'no such luck' >&2\n"
			   "echo \"Don't run as root\" >&2; exit 3");

	expect_refused(&options, EIO, "passt cannot start: no such luck;");
	fake_passt_remove(folder);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

/* SO_SNDBUF of a socket, -1: of a Unix stream that nobody has enlarged. */
static int send_buffer(int fd)
{
	int ends[2], size;
	socklen_t len = sizeof(size);

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	ck_assert_int_eq(getsockopt(fd < 0 ? ends[0] : fd, SOL_SOCKET,
				    SO_SNDBUF, &size, &len),
			 0);
	close(ends[0]);
	close(ends[1]);
	return size;
}

START_TEST(open_user_gives_passt_just_what_it_needs)
{
	char one[] = "8080:80", two[] = "[::1]:9:10", *items[] = {one, two};
	struct virtio_net_options options = user_options();
	struct virtio_resources resources;
	char text[512] = "";
	const char *folder;
	ssize_t len;

	options.mtu = 1400;
	options.fwd = (struct virtio_text_list){items, 2};
	/* Its words, its descriptors, and then it is ready. */
	folder = fake_passt("echo \"$@\" >&3; ls /proc/$$/fd | tr '\\n' ' ' "
			    ">&3; echo 1; exec sleep 100");
	signal(SIGUSR1, SIG_IGN);
	ck_assert_msg(try_open(&options, false, &resources) == 0, "%s",
		      err.text);
	ck_assert_uint_eq(resources.fd_count, NET_USER_FDS);
	for (size_t at = 0; !strchr(text, '\n') || !strstr(text, "3 ");) {
		struct pollfd poll_one = {.fd = resources.fds[NET_USER_STREAM],
					  .events = POLLIN};

		ck_assert_int_eq(poll(&poll_one, 1, 5000), 1);
		len = read(poll_one.fd, text + at, sizeof(text) - 1 - at);
		ck_assert_int_gt(len, 0);
		at += (size_t)len;
		text[at] = '\0';
	}
	ck_assert_ptr_nonnull(
		strstr(text, "--foreground --quiet --stderr --fd 3 --pid "
			     "/proc/self/fd/1 --"));
	ck_assert_ptr_nonnull(
		strstr(text, " --mtu 1400 "
			     "--tcp-ports 127.0.0.1/8080:80 "
			     "--udp-ports 127.0.0.1/8080:80 "
			     "--tcp-ports ::1/9:10 --udp-ports ::1/9:10\n"));
	ck_assert_int_eq(strstr(text, " --interface lo --address 10.0.2.15 "
				      "--netmask 24 --gateway 10.0.2.2 "
				      "--mac-addr 52:55:0a:00:02:02 ") == NULL,
			 net_route_default(NET_ROUTE_PROC));
	/* 10 is the shell's own, for its script. */
	ck_assert_msg(strstr(text, "\n0 1 10 2 3 ") != NULL ||
			      strstr(text, "\n0 1 2 3 ") != NULL,
		      "%s", text);
	ck_assert_int_gt(send_buffer(resources.fds[NET_USER_STREAM]),
			 send_buffer(-1));
	syscall(SYS_pidfd_send_signal, resources.fds[NET_USER_PID], SIGKILL,
		NULL, 0);
	virtio_resources_fini(&resources);
	fake_passt_remove(folder);
}
END_TEST

START_TEST(open_dry_run_starts_and_makes_nothing)
{
	struct virtio_net_options options = user_options();
	struct virtio_resources resources;
	const char *folder = fake_passt("touch /tmp/bantam-was-run");
	char name[] = "bantamdry0";

	ck_assert_int_eq(try_open(&options, true, &resources), 0);
	ck_assert_uint_eq(resources.fd_count, 0);
	virtio_resources_fini(&resources);
	ck_assert_int_eq(access("/tmp/bantam-was-run", F_OK), -1);
	fake_passt_remove(folder);
	options = tap_options(name);
	if (try_open(&options, true, &resources) == 0) {
		ck_assert_uint_eq(resources.fd_count, 0);
		virtio_resources_fini(&resources);
	}
	ck_assert_uint_eq(if_nametoindex(name), 0);
}
END_TEST

START_TEST(open_mac_is_kept_or_made_up)
{
	struct virtio_net_options options = user_options();
	struct virtio_resources first, second;
	const char *folder = fake_passt("exit 1"), *mac;
	char own[] = "52:54:00:AB:cd:ef";
	uint8_t bytes[NET_MAC_SIZE];

	ck_assert_int_eq(try_open(&options, true, &first), 0);
	ck_assert_int_eq(try_open(&options, true, &second), 0);
	mac = json_string_value(json_object_get(first.description, "mac"));
	ck_assert_int_eq(net_mac_parse(mac, bytes), 0);
	ck_assert_uint_eq(bytes[0] & 3, 2);
	ck_assert(!json_equal(first.description, second.description));
	virtio_resources_fini(&first);
	virtio_resources_fini(&second);
	options.mac = own;
	ck_assert_int_eq(try_open(&options, true, &first), 0);
	ck_assert_str_eq(
		json_string_value(json_object_get(first.description, "mac")),
		"52:54:00:ab:cd:ef");
	virtio_resources_fini(&first);
	fake_passt_remove(folder);
}
END_TEST

/* --- Taps ------------------------------------------------------------------
 */

static struct net_driver driver;

/* Whether there can be taps here; says why not. */
static bool taps_work(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	bool opened = fd >= 0;

	if (opened)
		close(fd);
	if (geteuid() != 0)
		puts("skip: test_net_open: taps: not root");
	else if (!opened)
		printf("skip: test_net_open: taps: /dev/net/tun: %s\n",
		       strerror(errno));
	else
		return true;
	fflush(stdout);
	return false;
}

static void tap_setup(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
}

/* Another program's: made with these flags. Return: its descriptor. */
static int make_tun(const char *name, int flags, bool persist)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq ifr = {.ifr_flags = (short)flags};

	ck_assert_int_ge(fd, 0);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &ifr), 0);
	ck_assert_int_eq(ioctl(fd, TUNSETPERSIST, persist), 0);
	return fd;
}

static void init_tap(char *name, uint64_t queues, uint64_t mtu)
{
	struct virtio_net_options options = tap_options(name);

	options.queues = queues;
	options.mtu = mtu;
	memset(&driver, 0, sizeof(driver));
	model_driver_init(&driver.guest, &virtio_net_ops, &options);
}

static int ask(const char *name, unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret;

	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	ret = ioctl(fd, request, ifr);
	close(fd);
	return ret;
}

static void raise_tap(const char *name)
{
	struct ifreq ifr = {0};

	ck_assert_int_eq(ask(name, SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags |= IFF_UP;
	ck_assert_int_eq(ask(name, SIOCSIFFLAGS, &ifr), 0);
}

/* The host's side of a tap: frames of our ethertype. */
static int packet_socket(const char *name)
{
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETHERTYPE),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			htons(ETHERTYPE));

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
		bind(fd, (const struct sockaddr *)&address, sizeof(address)),
		0);
	return fd;
}

/* The next frame of our ethertype that the guest got; the host's own traffic
 * is passed over. Return: its length, -1: none. */
static ssize_t received(unsigned int pair, uint8_t *frame, size_t size)
{
	ssize_t len;

	do {
		len = net_driver_received(&driver, pair, NULL, frame, size);
	} while (len >= 0 && (frame[12] != 0x88 || frame[13] != 0xb5));
	return len;
}

static bool receive_any(void *ctx)
{
	return received(0, ctx, 2000) == 500;
}

/* A frame each way. */
static void expect_traffic(const char *name)
{
	uint8_t frame[500], got[2000];
	int host = packet_socket(name);
	struct pollfd poll_host = {.fd = host, .events = POLLIN};

	net_driver_give(&driver, 0, 100, 2000);
	net_driver_frame(frame, sizeof(frame), 1);
	ck_assert_int_eq(send(host, frame, sizeof(frame), 0), sizeof(frame));
	ck_assert(model_driver_wait(&driver.guest, receive_any, got));
	ck_assert_mem_eq(got, frame, sizeof(frame));

	net_driver_frame(frame, sizeof(frame), 2);
	memset(frame, 0xff, NET_MAC_SIZE);
	net_driver_send(&driver, 0, NULL, frame, sizeof(frame));
	model_driver_settle(&driver.guest);
	ck_assert_int_eq(poll(&poll_host, 1, 5000), 1);
	ck_assert_int_eq(recv(host, got, sizeof(got), 0), sizeof(frame));
	ck_assert_mem_eq(got, frame, sizeof(frame));
	close(host);
}

START_TEST(tap_made_here_is_up_and_goes_with_it)
{
	struct ifreq ifr = {0};
	char name[] = "bt0";

	init_tap(name, 1, 1300);
	ck_assert_int_eq(ask(name, SIOCGIFFLAGS, &ifr), 0);
	ck_assert(ifr.ifr_flags & IFF_UP);
	ck_assert_int_eq(ask(name, SIOCGIFMTU, &ifr), 0);
	ck_assert_int_eq(ifr.ifr_mtu, 1300);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	expect_traffic(name);
	model_driver_fini(&driver.guest);
	ck_assert_uint_eq(if_nametoindex(name), 0);
}
END_TEST

START_TEST(tap_of_the_users_stays)
{
	char name[] = "bt0";
	int flags = IFF_TAP | (_i ? IFF_MULTI_QUEUE : 0);

	close(make_tun(name, flags, true));
	raise_tap(name);
	init_tap(name, 1, 0);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	expect_traffic(name);
	model_driver_fini(&driver.guest);
	ck_assert_uint_ne(if_nametoindex(name), 0);
}
END_TEST

START_TEST(tap_that_is_down_is_hinted_at)
{
	struct capture capture;
	char name[] = "bt0", log[512];

	close(make_tun(name, IFF_TAP, true));
	capture_begin(&capture);
	init_tap(name, 1, 0);
	capture_end(&capture, log, sizeof(log));
	ck_assert_ptr_nonnull(strstr(log, "ip link set bt0 up"));
	/* What the guest sends is lost, no more. */
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	net_driver_send(&driver, 0, NULL, log, 100);
	model_driver_settle(&driver.guest);
	ck_assert_uint_eq(net_driver_counter(&driver, "tx_dropped"), 1);
	ck_assert_uint_eq(net_driver_status(&driver), VIRTIO_NET_S_LINK_UP);
	raise_tap(name);
	expect_traffic(name);
	model_driver_fini(&driver.guest);
}
END_TEST

/* A frame that the host's kernel has to segment: it takes our header. */
START_TEST(tap_takes_offloads)
{
	static uint8_t frame[10000], got[70000];
	char name[] = "bt0";
	struct net_header header = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = le16_of(54),
		.gso_size = le16_of(1448),
		.csum_start = le16_of(34),
		.csum_offset = le16_of(16),
	};
	uint64_t features;

	init_tap(name, 1, 0);
	features = virtio_device_features(driver.guest.device);
	ck_assert_uint_eq(features & NET_FEATURE(HOST_TSO4),
			  NET_FEATURE(HOST_TSO4));
	ck_assert_uint_eq(features & NET_FEATURE(GUEST_TSO6),
			  NET_FEATURE(GUEST_TSO6));
	/* All of USO or none. */
	ck_assert_int_eq(!(features & NET_FEATURE(HOST_USO)),
			 !(features & NET_FEATURE(GUEST_USO6)));
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	memset(frame, 0, sizeof(frame));
	memset(frame, 0xff, 6);
	memcpy(frame + 6, net_driver_mac, 6);
	frame[12] = 0x08;
	frame[14] = 0x45;
	frame[14 + 2] = (sizeof(frame) - 14) >> 8;
	frame[14 + 3] = (uint8_t)(sizeof(frame) - 14);
	frame[14 + 8] = 64;
	frame[14 + 9] = IPPROTO_TCP;
	frame[34 + 12] = 0x50;
	net_driver_send(&driver, 0, &header, frame, sizeof(frame));
	/* One that it refuses is one less, no more. */
	header.csum_start = le16_of(9990);
	header.csum_offset = le16_of(0);
	net_driver_send(&driver, 0, &header, frame, sizeof(frame));
	model_driver_settle(&driver.guest);
	ck_assert_uint_ge(net_driver_counter(&driver, "tx_frames"), 1);
	ck_assert_uint_eq(net_driver_counter(&driver, "tx_invalid"), 0);
	ck_assert_uint_eq(net_driver_status(&driver), VIRTIO_NET_S_LINK_UP);
	(void)got;
	model_driver_fini(&driver.guest);
}
END_TEST

#define DATAGRAM     4000 /* bytes, in segments of 1000 */
#define DATAGRAM_LEN (42 + DATAGRAM)

static struct net_header datagram_header(void)
{
	return (struct net_header){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
		.hdr_len = le16_of(42),
		.gso_size = le16_of(1000),
		.csum_start = le16_of(34),
		.csum_offset = le16_of(6),
	};
}

/* Of four, by UDP from 10.9.9.1 to 10.9.8.1. */
static void datagram_frame(uint8_t frame[DATAGRAM_LEN])
{
	const uint16_t ip_len = htons(28 + DATAGRAM), len = htons(8 + DATAGRAM);
	static const uint8_t ip[28] = {0x45, 0,	 0, 0, 0,    0, 0,   0,
				       64,   17, 0, 0, 10,   9, 9,   1,
				       10,   9,	 8, 1, 0x10, 0, 0x20};

	net_driver_frame(frame, DATAGRAM_LEN, 0);
	frame[12] = 0x08;
	frame[13] = 0;
	memcpy(frame + 14, ip, sizeof(ip));
	memcpy(frame + 14 + 2, &ip_len, 2);
	memcpy(frame + 34 + 4, &len, 2);
}

/* A socket that sees and says in a header what is not segmented yet. */
static int datagram_socket(const char *name)
{
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_IP));
	int one = 1;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
		setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)),
		0);
	ck_assert_int_eq(
		bind(fd, (const struct sockaddr *)&address, sizeof(address)),
		0);
	return fd;
}

static bool datagram_came(void *ctx)
{
	static uint8_t got[DATAGRAM_LEN + 1];
	ssize_t len;

	do {
		len = net_driver_received(&driver, 0, ctx, got, sizeof(got));
	} while (len >= 0 && len != DATAGRAM_LEN);
	return len >= 0;
}

/* UDP segmentation is there from Linux 6.2 on; then a guest's datagrams go to
 * the host whole, and the host's to the guest. */
START_TEST(tap_takes_and_gives_udp_segmentation)
{
	const uint64_t uso = NET_FEATURE(HOST_USO) | NET_FEATURE(GUEST_USO4) |
			     NET_FEATURE(GUEST_USO6);
	static uint8_t frame[DATAGRAM_LEN], got[70000];
	struct net_header header = datagram_header();
	unsigned int major, minor;
	struct utsname host;
	char name[] = "bt0";
	uint64_t features;
	struct pollfd poll_host = {.events = POLLIN};

	ck_assert_int_eq(uname(&host), 0);
	ck_assert_int_eq(sscanf(host.release, "%u.%u", &major, &minor), 2);
	init_tap(name, 1, 0);
	features = virtio_device_features(driver.guest.device) & uso;
	ck_assert_uint_eq(features, major * 100 + minor >= 602 ? uso : 0);
	if (!features) {
		printf("skip: test_net_open: UDP segmentation: Linux %s\n",
		       host.release);
		fflush(stdout);
		model_driver_fini(&driver.guest);
		return;
	}
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	poll_host.fd = datagram_socket(name);
	datagram_frame(frame);
	net_driver_send(&driver, 0, &header, frame, sizeof(frame));
	model_driver_settle(&driver.guest);
	ck_assert_uint_eq(net_driver_counter(&driver, "tx_frames"), 1);
	ck_assert_int_eq(poll(&poll_host, 1, 5000), 1);
	ck_assert_int_eq(recv(poll_host.fd, got, sizeof(got), 0),
			 10 + DATAGRAM_LEN);
	ck_assert_uint_eq(got[1], VIRTIO_NET_HDR_GSO_UDP_L4);
	ck_assert_mem_eq(got + 10, frame, 40);

	net_driver_give(&driver, 0, 100, 2000);
	memcpy(got, &header, 10);
	memcpy(got + 10, frame, sizeof(frame));
	ck_assert_int_eq(send(poll_host.fd, got, 10 + sizeof(frame), 0),
			 10 + sizeof(frame));
	ck_assert(model_driver_wait(&driver.guest, datagram_came, &header));
	ck_assert_uint_eq(header.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
	ck_assert_uint_eq(le16_get(header.gso_size), 1000);
	close(poll_host.fd);
	model_driver_fini(&driver.guest);
}
END_TEST

/* IPv4 of a protocol for experiments: the kernel takes flows apart by what it
 * knows, and frames of an unknown ethertype are all of one. */
#define FLOW_PROTOCOL 253

static void flow_frame(uint8_t frame[100], unsigned int flow)
{
	static const uint8_t ip[20] = {
		0x45, 0, 0,  86, 0, 0, 0,  0, 64, FLOW_PROTOCOL,
		0,    0, 10, 9,	 9, 0, 10, 9, 8,  1};

	net_driver_frame(frame, 100, 0);
	frame[12] = 0x08;
	frame[13] = 0;
	memcpy(frame + 14, ip, sizeof(ip));
	frame[14 + 15] = (uint8_t)flow; /* the sender */
}

/* How many of them the pair got; the host's own traffic is passed over. */
static unsigned int flow_count(unsigned int pair)
{
	uint8_t got[2000];
	unsigned int count = 0;
	ssize_t len;

	while ((len = net_driver_received(&driver, pair, NULL, got,
					  sizeof(got))) >= 0)
		count += len == 100 && got[12] == 0x08 && got[13] == 0 &&
			 got[14 + 9] == FLOW_PROTOCOL;
	return count;
}

/* Frames of 64 flows; returns how many each pair got. */
static void spread(const char *name, unsigned int *counts)
{
	/* What the socket is told of the protocol is what the kernel goes by.
	 */
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	uint8_t frame[100];
	int host = packet_socket(name);

	for (unsigned int i = 0; i < 64; i++) {
		flow_frame(frame, i);
		ck_assert_int_eq(sendto(host, frame, sizeof(frame), 0,
					(const struct sockaddr *)&address,
					sizeof(address)),
				 sizeof(frame));
		model_driver_settle(&driver.guest);
	}
	close(host);
	for (unsigned int pair = 0; pair < 4; pair++)
		counts[pair] = flow_count(pair);
}

START_TEST(tap_queues_are_attached_as_the_driver_says)
{
	unsigned int counts[4];
	char name[] = "bt0";
	le16 pairs = le16_of(4);

	init_tap(name, 4, 0);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	for (unsigned int i = 0; i < 4; i++)
		net_driver_give(&driver, i, 200, 2000);
	spread(name, counts);
	ck_assert_uint_eq(counts[0], 64);
	ck_assert_int_eq(net_driver_control(&driver, VIRTIO_NET_CTRL_MQ,
					    VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
					    &pairs, sizeof(pairs)),
			 VIRTIO_NET_OK);
	spread(name, counts);
	ck_assert_uint_eq(counts[0] + counts[1] + counts[2] + counts[3], 64);
	ck_assert_uint_lt(counts[0], 64);
	ck_assert_uint_eq(net_driver_status(&driver), VIRTIO_NET_S_LINK_UP);
	/* And back, with the device reset. */
	model_driver_reset(&driver.guest);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 200, 2000);
	spread(name, counts);
	ck_assert_uint_eq(counts[0], 64);
	model_driver_fini(&driver.guest);
}
END_TEST

static void delete_interface(const char *name)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} request = {
		.head = {.nlmsg_len = sizeof(request),
			 .nlmsg_type = RTM_DELLINK,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.info = {.ifi_index = (int)if_nametoindex(name)},
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	char reply[512];

	ck_assert_int_eq(send(fd, &request, sizeof(request), 0),
			 sizeof(request));
	ck_assert_int_gt(recv(fd, reply, sizeof(reply), 0), 0);
	close(fd);
	ck_assert_uint_eq(if_nametoindex(name), 0);
}

START_TEST(tap_that_is_deleted_takes_the_link_down)
{
	char name[] = "bt0";

	close(make_tun(name, IFF_TAP, true));
	raise_tap(name);
	init_tap(name, 1, 0);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 10, 2000);
	model_driver_settle(&driver.guest);
	delete_interface(name);
	model_driver_settle(&driver.guest);
	ck_assert_uint_eq(net_driver_status(&driver), 0);
	net_driver_send(&driver, 0, NULL, name, sizeof(name));
	model_driver_settle(&driver.guest);
	model_driver_fini(&driver.guest);
}
END_TEST

START_TEST(tap_link_command_shows_on_the_host)
{
	struct ifreq ifr = {0};
	char name[] = "bt0";

	init_tap(name, 1, 0);
	ck_assert_int_eq(ask(name, SIOCGIFFLAGS, &ifr), 0);
	ck_assert(ifr.ifr_flags & IFF_RUNNING);
	for (int up = 0; up < 2; up++) {
		ck_assert_int_eq(model_driver_command(
					 &driver.guest, "link",
					 json_pack("{s:b}", "up", up), &err),
				 0);
		/* The kernel's link watch takes its time, IFF_UP does not
		 * change. */
		for (int i = 0; i < 500; i++) {
			ck_assert_int_eq(ask(name, SIOCGIFFLAGS, &ifr), 0);
			if (!(ifr.ifr_flags & IFF_RUNNING) == !up)
				break;
			poll(NULL, 0, 10);
		}
		ck_assert_int_eq(!(ifr.ifr_flags & IFF_RUNNING), !up);
	}
	model_driver_fini(&driver.guest);
}
END_TEST

START_TEST(tap_unfit_interfaces_are_refused)
{
	char name[] = "bt0", lo[] = "lo";
	struct virtio_net_options options = tap_options(name);
	int fd = make_tun(name, IFF_TUN, false);

	expect_refused(&options, EINVAL, "is a tun|mode tap");
	close(fd);
	fd = make_tun(name, IFF_TAP, false);
	expect_refused(&options, EBUSY, "another program");
	options.queues = 2;
	expect_refused(&options, EINVAL, "queues=2|multi_queue");
	close(fd);
	options = tap_options(lo);
	expect_refused(&options, EINVAL, "not a tap|mode tap");
}
END_TEST

static void drop_capability(unsigned int capability)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	ck_assert_int_eq((int)syscall(SYS_capget, &head, data), 0);
	data[0].effective &= ~(1U << capability);
	ck_assert_int_eq((int)syscall(SYS_capset, &head, data), 0);
}

START_TEST(tap_without_permission_is_refused)
{
	char name[] = "bt0";
	struct virtio_net_options options = tap_options(name);
	struct virtio_resources resources;
	uid_t owner = 12345;
	int fd;

	drop_capability(CAP_NET_ADMIN);
	expect_refused(&options, EPERM,
		       "no such tap|ip tuntap add dev bt0|--net user");
	ck_assert_int_eq(try_open(&options, true, &resources), -EPERM);
	ck_assert_ptr_nonnull(strstr(err.text, "ip tuntap add dev bt0"));
	/* Nor opening the device at all. */
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, 0), 0);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		expect_refused(&options, EACCES, "/dev/net/tun|chmod");
	else
		close(fd);
	ck_assert_int_eq(setresuid(0, 0, 0), 0);
	fd = make_tun(name, IFF_TAP, true);
	ck_assert_int_eq(ioctl(fd, TUNSETOWNER, (unsigned long)owner), 0);
	close(fd);
	drop_capability(CAP_NET_ADMIN);
	expect_refused(&options, EPERM, "another user|user 0");
}
END_TEST

/* --- passt -----------------------------------------------------------------
 */

static bool passt_works(void)
{
	if (access("/usr/bin/passt", X_OK) == 0)
		return true;
	printf("skip: test_net_open: passt: not installed\n");
	fflush(stdout);
	return false;
}

/* Its descriptors as the number of a process, for when they are closed. */
static int watch_passt(const struct virtio_resources *resources)
{
	return fcntl(resources->fds[NET_USER_PID], F_DUPFD_CLOEXEC, 3);
}

static void expect_ended(int pid_fd)
{
	struct pollfd one = {.fd = pid_fd, .events = POLLIN};

	ck_assert_int_eq(poll(&one, 1, 10000), 1);
	close(pid_fd);
}

/* As a user without any privilege, if _i. */
static void become(int user)
{
	if (!user || geteuid() != 0)
		return;
	ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
}

/* A port that nobody listens on, TCP and UDP alike. */
static uint16_t free_port(int *listener)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	if (listener)
		*listener = fd;
	else
		close(fd);
	return ntohs(address.sin_port);
}

static void init_user(uint16_t port)
{
	struct virtio_net_options options = user_options();
	char fwd[32], mac[] = "52:54:00:01:02:03", *items[] = {fwd};

	snprintf(fwd, sizeof(fwd), "%u:80", port);
	options.mac = mac;
	options.fwd = (struct virtio_text_list){items, port != 0};
	memset(&driver, 0, sizeof(driver));
	model_driver_init(&driver.guest, &virtio_net_ops, &options);
	model_driver_start(&driver.guest, MODEL_DRIVER_ALL);
	net_driver_give(&driver, 0, 100, 2000);
}

/* An ARP reply is there. */
static bool arp_came(void *ctx)
{
	uint8_t *frame = ctx;
	ssize_t len = net_driver_received(&driver, 0, NULL, frame, 2000);

	return len >= 42 && frame[12] == 8 && frame[13] == 6 && frame[21] == 2;
}

static void ask_arp(uint8_t *reply)
{
	uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0,
			     1,	   2,	 3,    8,    6,	   0,	 1,    8,    0,
			     6,	   4,	 0,    1,    0x52, 0x54, 0,    1,    2,
			     3,	   10,	 0,    0,    2,	   0,	 0,    0,    0,
			     0,	   0,	 10,   0,    0,	   1};

	net_driver_send(&driver, 0, NULL, frame, sizeof(frame));
	ck_assert(model_driver_wait(&driver.guest, arp_came, reply));
	ck_assert_mem_eq(reply, net_driver_mac, NET_MAC_SIZE);
	ck_assert_mem_eq(reply + 28, frame + 38, 4);
}

/* A TCP SYN to port 80 is there. */
static bool syn_came(void *ctx)
{
	uint8_t *frame = ctx;
	ssize_t len = net_driver_received(&driver, 0, NULL, frame, 2000);

	return len >= 54 && frame[12] == 8 && frame[13] == 0 &&
	       frame[23] == IPPROTO_TCP && frame[36] == 0 && frame[37] == 80 &&
	       (frame[47] & 0x12) == 2;
}

START_TEST(user_guest_reaches_passt_and_is_reached)
{
	uint8_t frame[2000];
	uint16_t port = free_port(NULL);
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port),
	};
	int client, pid_fd;

	become(_i);
	init_user(port);
	pid_fd = watch_passt(&driver.guest.resources);
	ask_arp(frame);
	client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* In progress: nobody answers but the model. */
	(void)connect(client, (struct sockaddr *)&address, sizeof(address));
	ck_assert(model_driver_wait(&driver.guest, syn_came, frame));
	close(client);
	model_driver_fini(&driver.guest);
	expect_ended(pid_fd);
}
END_TEST

START_TEST(user_port_that_is_taken_is_refused)
{
	struct virtio_net_options options = user_options();
	char fwd[32], *items[] = {fwd}, words[64];
	int listener;
	uint16_t port = free_port(&listener);

	become(_i);
	snprintf(fwd, sizeof(fwd), "%u:80", port);
	options.fwd = (struct virtio_text_list){items, 1};
	snprintf(words, sizeof(words), "passt cannot start|%u|free ports",
		 port);
	expect_refused(&options, EIO, words);
	close(listener);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

static bool link_is_down(void *ctx)
{
	(void)ctx;
	return net_driver_status(&driver) == 0;
}

START_TEST(user_passt_that_dies_takes_the_link_down)
{
	struct capture capture;
	char log[4096];
	int pid_fd;

	become(_i);
	init_user(0);
	pid_fd = watch_passt(&driver.guest.resources);
	capture_begin(&capture);
	ck_assert_int_eq((int)syscall(SYS_pidfd_send_signal,
				      driver.guest.resources.fds[NET_USER_PID],
				      SIGKILL, NULL, 0),
			 0);
	ck_assert(model_driver_wait(&driver.guest, link_is_down, NULL));
	/* Its socket is closed before it has ended. */
	expect_ended(pid_fd);
	model_driver_settle(&driver.guest);
	capture_end(&capture, log, sizeof(log));
	ck_assert_msg(strstr(log, "passt was ended by signal 9") != NULL, "%s",
		      log);
	ck_assert_uint_eq(driver.guest.config_changes, 1);
	model_driver_fini(&driver.guest);
}
END_TEST

/* Number of the process behind a pidfd. */
static pid_t pidfd_process(int fd)
{
	char path[64], line[128];
	int pid = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "Pid: %d", &pid);
	fclose(file);
	return pid;
}

START_TEST(user_passt_ends_with_a_killed_machine)
{
	pid_t *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int pid_fd, ready[2];
	pid_t machine;
	char byte;

	ck_assert_ptr_ne(shared, MAP_FAILED);
	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	become(_i);
	machine = fork();
	if (machine == 0) {
		struct virtio_net_options options = user_options();
		struct virtio_resources resources;

		if (try_open(&options, false, &resources) == 0)
			*shared = pidfd_process(resources.fds[NET_USER_PID]);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_gt(*shared, 0);
	pid_fd = (int)syscall(SYS_pidfd_open, *shared, 0);
	ck_assert_int_ge(pid_fd, 0);
	kill(machine, SIGKILL);
	waitpid(machine, NULL, 0);
	expect_ended(pid_fd);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("net_open");
	TCase *tc = tcase_create("options");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, open_bad_mac_is_refused);
	tcase_add_test(tc, open_numbers_out_of_range_are_refused);
	tcase_add_test(tc, open_tap_name_that_cannot_be_is_refused);
	tcase_add_test(tc, open_tap_with_forwards_is_refused);
	tcase_add_test(tc, passt_parse_good_forwards);
	tcase_add_test(tc, passt_parse_bad_forwards_are_refused);
	tcase_add_test(tc, open_user_port_twice_is_refused);
	tcase_add_test(tc, open_user_without_passt_says_how_to_install_it);
	tcase_add_test(tc, open_user_passt_that_fails_is_quoted);
	tcase_add_test(tc, open_user_gives_passt_just_what_it_needs);
	tcase_add_test(tc, open_dry_run_starts_and_makes_nothing);
	tcase_add_test(tc, open_mac_is_kept_or_made_up);
	suite_add_tcase(s, tc);

	tc = tcase_create("tap");
	tcase_add_checked_fixture(tc, tap_setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, tap_made_here_is_up_and_goes_with_it);
	tcase_add_loop_test(tc, tap_of_the_users_stays, 0, 2);
	tcase_add_test(tc, tap_that_is_down_is_hinted_at);
	tcase_add_test(tc, tap_takes_offloads);
	tcase_add_test(tc, tap_takes_and_gives_udp_segmentation);
	tcase_add_test(tc, tap_queues_are_attached_as_the_driver_says);
	tcase_add_test(tc, tap_that_is_deleted_takes_the_link_down);
	tcase_add_test(tc, tap_link_command_shows_on_the_host);
	tcase_add_test(tc, tap_unfit_interfaces_are_refused);
	tcase_add_test(tc, tap_without_permission_is_refused);
	if (taps_work())
		suite_add_tcase(s, tc);

	tc = tcase_create("passt");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, user_guest_reaches_passt_and_is_reached, 0, 2);
	tcase_add_loop_test(tc, user_port_that_is_taken_is_refused, 0, 2);
	tcase_add_loop_test(tc, user_passt_that_dies_takes_the_link_down, 0, 2);
	tcase_add_loop_test(tc, user_passt_ends_with_a_killed_machine, 0, 2);
	if (passt_works())
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
