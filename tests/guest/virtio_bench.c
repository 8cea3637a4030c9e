/*
 * Measures a device from CPL 3, polling, for tests/bench/: the same program
 * under bantam and under others. On the command line, what=
 *
 *   read   block reads: size= bytes each, depth= in flight, count= of them,
 *	    random=1 or in sequence, over the whole disk
 *   send   frames to the network: size=, count=
 *   recv   frames from the network until count= have come
 *
 * and mmio=1, packed=1. Prints "bench: OPS BYTES NANOSECONDS" for the middle
 * part, with the rings full, and ends with 0.
 */
#include "lib/guest.h"
#include "lib/pvclock.h"
#include "lib/user.h"
#include "lib/virtio.h"

#define DEPTH_MAX 64
#define BLOCK_MAX 131072
#define NET_HDR	  12

static struct virtio_dev dev;
static struct virtq vq;
static uint8_t rings[2][VIRTQ_MEMORY] __attribute__((aligned(4096)));
static uint8_t data[DEPTH_MAX][BLOCK_MAX + 4096] __attribute__((aligned(4096)));

static struct {
	uint32_t type, reserved;
	uint64_t sector;
} headers[DEPTH_MAX];
static uint8_t statuses[DEPTH_MAX];

static uint64_t size, depth, count;

/* xorshift64: cheap, and the same for everybody. */
static uint64_t random_next(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static void read_submit(unsigned int slot, uint64_t blocks, uint64_t nth)
{
	uint64_t block = option_number("random", 0) ? random_next() % blocks
						    : nth % blocks;
	const struct virtio_buf bufs[] = {
		{&headers[slot], sizeof(headers[slot]), false},
		{data[slot], (uint32_t)size, true},
		{&statuses[slot], 1, true},
	};

	headers[slot].type = 0;
	headers[slot].sector = block * (size / 512);
	check(virtq_add(&vq, bufs, 3, slot));
}

static void bench_read(void)
{
	uint64_t blocks = virtio_config64(&dev, 0) / (size / 512);
	uint64_t sent = 0;
	uint32_t slot;

	for (; sent < depth; sent++)
		read_submit((unsigned int)sent, blocks, sent);
	virtq_kick(&vq);
	for (uint64_t done = 0; done < count; done++) {
		virtq_wait(&vq, &slot);
		check_eq(statuses[slot], 0);
		if (sent == count)
			continue;
		read_submit(slot, blocks, sent++);
		if (virtq_wants_kick(&vq))
			virtq_kick(&vq);
	}
}

/* An Ethernet frame of a type that nobody answers, IEEE 802's local
 * experimental one. */
static void net_frame(uint8_t *frame)
{
	memset(frame, 0, NET_HDR);
	memset(frame + NET_HDR, 0xff, 6);
	memcpy(frame + NET_HDR + 6, "\x02\0\0\0\0\x01\x88\xb5", 8);
}

static void bench_send(void)
{
	uint64_t sent = 0;
	uint32_t slot;

	for (unsigned int i = 0; i < depth; i++)
		net_frame(data[i]);
	for (uint64_t done = 0; done < count;) {
		bool added = false;

		while (sent < count && sent - done < depth) {
			struct virtio_buf buf = {data[sent % depth],
						 (uint32_t)size + NET_HDR,
						 false};

			check(virtq_add(&vq, &buf, 1, 0));
			sent++;
			added = true;
		}
		if (added && virtq_wants_kick(&vq))
			virtq_kick(&vq);
		virtq_wait(&vq, &slot);
		done++;
	}
}

static uint64_t bench_recv(void)
{
	uint64_t bytes = 0;
	uint32_t slot;

	for (unsigned int i = 0; i < depth; i++) {
		struct virtio_buf buf = {data[i], 2048, true};

		check(virtq_add(&vq, &buf, 1, i));
	}
	virtq_kick(&vq);
	for (uint64_t done = 0; done < count; done++) {
		struct virtio_buf buf = {NULL, 2048, true};

		bytes += virtq_wait(&vq, &slot) - NET_HDR;
		buf.data = data[slot];
		check(virtq_add(&vq, &buf, 1, slot));
		if (virtq_wants_kick(&vq))
			virtq_kick(&vq);
	}
	return bytes;
}

static void bench(void)
{
	uint64_t bytes = size * count, begin;

	print("ready\n");
	begin = pvclock_now();
	if (option_is("what", "read"))
		bench_read();
	else if (option_is("what", "send"))
		bench_send();
	else
		bytes = bench_recv();
	print("bench: %lu %lu %lu\n", count, bytes, pvclock_now() - begin);
}

static int drive(void)
{
	bool net = !option_is("what", "read");
	bool send = option_is("what", "send");
	struct virtq unused;

	virtio_begin(&dev,
		     option_number("packed", 0) ? VIRTIO_F_RING_PACKED : 0);
	/* A network device's transmit queue is its second. */
	virtq_setup(&vq, &dev, net && send, 256, rings[0]);
	if (net)
		virtq_setup(&unused, &dev, !send, 256, rings[1]);
	virtio_driver_ok(&dev);
	bench();
	virtio_reset(&dev);
	return 0;
}

int guest_main(void)
{
	size = option_number("size", 4096);
	depth = option_number("depth", 1);
	count = option_number("count", 10000);
	check(size <= BLOCK_MAX && depth <= DEPTH_MAX);
	check(virtio_find(&dev, option_number("mmio", 0),
			  option_is("what", "read") ? VIRTIO_BLOCK : VIRTIO_NET,
			  0));
	pvclock_start();
	user_run(drive, 0);
}
