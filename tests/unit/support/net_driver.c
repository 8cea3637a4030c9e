#include "tests/unit/support/net_driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#include "virtio/net.h"

struct net_driver_asked net_driver_asked;

const uint8_t net_driver_mac[NET_MAC_SIZE] = {0x52, 0x54, 0, 1, 2, 3};

/* For open and create, which have no other way to know. */
static struct {
	struct net_driver *driver;
	unsigned int pairs;
	uint64_t features;
	uint16_t mtu;
} net_driver_next;

/* --- The end ---------------------------------------------------------------
 */

struct net_driver_end {
	int fds[NET_PAIRS_MAX];
	unsigned int pairs;
};

static int net_driver_end_fd(void *end, unsigned int pair)
{
	struct net_driver_end *sockets = end;

	return sockets->fds[pair];
}

static ssize_t net_driver_end_receive(void *end, unsigned int pair,
				      const struct iovec *iov,
				      unsigned int count)
{
	struct net_driver_end *sockets = end;
	ssize_t len = readv(sockets->fds[pair], iov, (int)count);

	if (len == 0)
		return -ENODEV;
	return len < 0 ? -errno : len;
}

static int net_driver_end_send(void *end, unsigned int pair,
			       const struct iovec *iov, unsigned int count)
{
	struct net_driver_end *sockets = end;
	/* sendmsg(2) only reads it. */
	const struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = count,
	};
	ssize_t len = sendmsg(sockets->fds[pair], &message,
			      MSG_DONTWAIT | MSG_NOSIGNAL);

	return len < 0 ? -errno : 0;
}

static int net_driver_end_set_offloads(void *end, uint64_t offloads)
{
	(void)end;
	net_driver_asked.offloads = offloads;
	return 0;
}

static int net_driver_end_set_pairs(void *end, unsigned int pairs)
{
	(void)end;
	net_driver_asked.pairs = pairs;
	return 0;
}

static void net_driver_end_set_link(void *end, bool up)
{
	(void)end;
	net_driver_asked.link = up;
}

static unsigned int net_driver_end_keep_fds(void *end, int *fds)
{
	struct net_driver_end *sockets = end;

	memcpy(fds, sockets->fds, sockets->pairs * sizeof(fds[0]));
	return sockets->pairs;
}

static const struct net_end_ops net_driver_end_ops = {
	.fd = net_driver_end_fd,
	.receive = net_driver_end_receive,
	.send = net_driver_end_send,
	.set_offloads = net_driver_end_set_offloads,
	.set_pairs = net_driver_end_set_pairs,
	.set_link = net_driver_end_set_link,
	.keep_fds = net_driver_end_keep_fds,
	.free = free,
};

static int net_driver_open(const struct virtio_open *args,
			   struct virtio_resources *out, struct error *err)
{
	(void)args;
	(void)err;
	for (unsigned int i = 0; i < net_driver_next.pairs; i++) {
		int ends[2];

		ck_assert_int_eq(socketpair(AF_UNIX,
					    SOCK_SEQPACKET | SOCK_CLOEXEC |
						    SOCK_NONBLOCK,
					    0, ends),
				 0);
		out->fds[out->fd_count++] = ends[0];
		net_driver_next.driver->peers[i] = ends[1];
	}
	out->description = json_object();
	return 0;
}

static int net_driver_create(void **self, struct virtio_device *device,
			     const struct virtio_resources *resources,
			     struct error *err)
{
	struct net_driver_end *sockets = calloc(1, sizeof(*sockets));
	const struct net_end end = {
		.ops = &net_driver_end_ops,
		.ctx = sockets,
		.features = net_driver_next.features,
		.pairs = net_driver_next.pairs,
	};
	struct net_config config = {.mtu = net_driver_next.mtu};
	struct net *net;
	int ret;

	ck_assert_ptr_nonnull(sockets);
	sockets->pairs = net_driver_next.pairs;
	memcpy(sockets->fds, resources->fds, sizeof(sockets->fds));
	memcpy(config.mac, net_driver_mac, sizeof(config.mac));
	ret = net_new(&net, device, &config, &end, err);
	if (ret == 0)
		*self = net_driver_next.driver->net = net;
	return ret;
}

const struct virtio_device_ops *net_driver_ops(void)
{
	static struct virtio_device_ops ops;

	ops = virtio_net_ops;
	ops.open = net_driver_open;
	ops.create = net_driver_create;
	return &ops;
}

void net_driver_init(struct net_driver *driver, unsigned int pairs,
		     uint64_t features, uint16_t mtu)
{
	memset(driver, 0, sizeof(*driver));
	net_driver_next.driver = driver;
	net_driver_next.pairs = pairs;
	net_driver_next.features = features;
	net_driver_next.mtu = mtu;
	net_driver_asked.link = -1;
	model_driver_init(&driver->guest, net_driver_ops(), NULL);
}

void net_driver_fini(struct net_driver *driver)
{
	unsigned int pairs = driver->guest.resources.fd_count;

	model_driver_fini(&driver->guest);
	for (unsigned int i = 0; i < pairs; i++) {
		if (driver->peers[i] >= 0)
			close(driver->peers[i]);
	}
}

/* --- Frames ----------------------------------------------------------------
 */

void net_driver_frame(uint8_t *frame, size_t len, uint8_t seed)
{
	static const uint8_t head[NET_ETH_SIZE] = {
		0x52, 0x54, 0, 1, 2, 3, 0x52, 0x54, 0, 9, 9, 9, 0x88, 0xb5};

	for (size_t i = 0; i < len; i++)
		frame[i] = i < sizeof(head) ? head[i]
					    : (uint8_t)(seed + i + i / 251);
}

void net_driver_from_peer(struct net_driver *driver, unsigned int pair,
			  const struct net_header *header, const void *frame,
			  size_t len)
{
	const struct net_header none = {0};
	uint8_t *packet = malloc(sizeof(none) + len);

	ck_assert_ptr_nonnull(packet);
	memcpy(packet, header ? header : &none, sizeof(none));
	memcpy(packet + sizeof(none), frame, len);
	ck_assert_int_eq(send(driver->peers[pair], packet, sizeof(none) + len,
			      MSG_DONTWAIT),
			 (ssize_t)(sizeof(none) + len));
	free(packet);
}

ssize_t net_driver_to_peer(struct net_driver *driver, unsigned int pair,
			   struct net_header *header, void *frame, size_t len)
{
	struct net_header none;
	struct iovec iov[2] = {{header ? header : &none, sizeof(none)},
			       {frame, len}};
	ssize_t got = readv(driver->peers[pair], iov, 2);

	if (got < 0) {
		ck_assert_int_eq(errno, EAGAIN);
		return -1;
	}
	ck_assert_int_ge(got, (ssize_t)sizeof(none));
	return got - (ssize_t)sizeof(none);
}

void net_driver_give(struct net_driver *driver, unsigned int pair,
		     unsigned int count, uint32_t len)
{
	struct model_driver *guest = &driver->guest;

	for (unsigned int i = 0; i < count; i++) {
		uint64_t gpa = model_driver_alloc(guest, len);
		struct ring_driver_chain chain = {
			.writable = {{gpa, len}},
			.writable_count = 1,
			.token = model_driver_host(guest, gpa, len),
		};

		ck_assert_int_ge(
			ring_driver_add(guest->rings[2 * pair], &chain), 0);
	}
	model_driver_kick(guest, 2 * pair);
}

ssize_t net_driver_received(struct net_driver *driver, unsigned int pair,
			    struct net_header *header, void *frame, size_t size)
{
	struct ring_driver *ring = driver->guest.rings[2 * pair];
	struct ring_driver_used used;
	struct net_header first;
	uint8_t *packet = malloc(sizeof(first) + size);
	size_t len = 0;
	unsigned int left;
	int ret = ring_driver_collect(ring, &used);

	ck_assert_ptr_nonnull(packet);
	ck_assert_int_ge(ret, 0);
	if (ret == 0) {
		free(packet);
		return -1;
	}
	ck_assert_uint_ge(used.len, sizeof(first));
	memcpy(&first, used.token, sizeof(first));
	left = le16_get(first.num_buffers);
	ck_assert_uint_ge(left, 1);
	for (;;) {
		ck_assert_uint_le(len + used.len, sizeof(first) + size);
		memcpy(packet + len, used.token, used.len);
		len += used.len;
		if (--left == 0)
			break;
		/* All of a frame's buffers come at once. */
		ck_assert_int_eq(ring_driver_collect(ring, &used), 1);
	}
	if (header)
		*header = first;
	memcpy(frame, packet + sizeof(first), len - sizeof(first));
	free(packet);
	return (ssize_t)(len - sizeof(first));
}

void net_driver_send(struct net_driver *driver, unsigned int pair,
		     const struct net_header *header, const void *frame,
		     size_t len)
{
	const struct net_header none = {0};
	struct model_driver *guest = &driver->guest;
	uint64_t gpa = model_driver_alloc(guest, sizeof(none) + len);
	uint8_t *host = model_driver_host(guest, gpa, sizeof(none) + len);

	memcpy(host, header ? header : &none, sizeof(none));
	memcpy(host + sizeof(none), frame, len);
	model_driver_give(guest, 2 * pair + 1, gpa,
			  (uint32_t)(sizeof(none) + len), false);
}

int net_driver_control(struct net_driver *driver, unsigned int class,
		       unsigned int command, const void *data, size_t len)
{
	struct model_driver *guest = &driver->guest;
	unsigned int index =
		virtio_device_acked(guest->device) & NET_FEATURE(MQ)
			? virtio_device_queues(guest->device) - 1
			: 2;
	uint64_t gpa = model_driver_alloc(guest, 2 + len + 1);
	uint8_t *host = model_driver_host(guest, gpa, 2 + len + 1);
	struct ring_driver_chain chain = {
		.readable = {{gpa, 2}, {gpa + 2, (uint32_t)len}},
		.readable_count = 2,
		.writable = {{gpa + 2 + len, 1}},
		.writable_count = 1,
	};
	struct ring_driver_used used;

	host[0] = (uint8_t) class;
	host[1] = (uint8_t)command;
	if (len)
		memcpy(host + 2, data, len);
	host[2 + len] = 0xee;
	ck_assert_int_ge(ring_driver_add(guest->rings[index], &chain), 0);
	model_driver_kick(guest, index);
	model_driver_settle(guest);
	if (ring_driver_collect(guest->rings[index], &used) != 1)
		return -1;
	ck_assert_uint_eq(used.len, 1);
	return host[2 + len];
}

/* --- State -----------------------------------------------------------------
 */

uint64_t net_driver_counter(struct net_driver *driver, const char *name)
{
	struct virtio_device *device = driver->guest.device;
	struct error err = {""};
	json_t *reply = NULL;
	uint64_t value;

	virtio_device_lock(device);
	ck_assert_int_eq(virtio_device_command_locked(device, "counters", NULL,
						      &reply, &err),
			 0);
	virtio_device_unlock(device);
	ck_assert(json_is_integer(json_object_get(reply, name)));
	value = (uint64_t)json_integer_value(json_object_get(reply, name));
	json_decref(reply);
	return value;
}

uint16_t net_driver_status(struct net_driver *driver)
{
	struct virtio_device *device = driver->guest.device;
	le16 status;

	virtio_device_lock(device);
	virtio_device_read_config_locked(device, 6, &status, sizeof(status));
	virtio_device_unlock(device);
	return le16_get(status);
}
