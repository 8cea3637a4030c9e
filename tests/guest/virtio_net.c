/*
 * A network device at CPL 3: asks who has peer= (a host's IPv4 address as a
 * decimal number) by ARP, and waits for the answer; so both directions work.
 * mmio=1, packed=1, irq=poll|msix|line as in virtio_block.c.
 */
#include "lib/guest.h"
#include "lib/user.h"
#include "lib/virtio_irq.h"

#define RECEIVE	 0
#define TRANSMIT 1

#define NET_F_MAC (1ull << 5)
#define NET_HDR	  12
#define BUFFERS	  16

#define ETHERTYPE_ARP 0x0806
#define ARP_REQUEST   1
#define ARP_REPLY     2

/* RFC 826, behind the virtio-net header. */
struct __attribute__((packed)) arp_frame {
	uint8_t header[NET_HDR];
	uint8_t to[6], from[6];
	uint16_t ethertype; /* big-endian, as all that follow */
	uint16_t hardware, protocol;
	uint8_t hardware_len, protocol_len;
	uint16_t operation;
	uint8_t sender_mac[6];
	uint32_t sender;
	uint8_t target_mac[6];
	uint32_t target;
	uint8_t padding[18];
};

static struct virtio_dev dev;
static struct virtq receive, transmit;
static uint8_t rings[2][VIRTQ_MEMORY] __attribute__((aligned(4096)));
static uint8_t frames[BUFFERS][2048] __attribute__((aligned(64)));
static struct arp_frame request;

static uint16_t be16(uint16_t value)
{
	return (uint16_t)(value >> 8 | value << 8);
}

static void ask(uint32_t peer)
{
	struct virtio_buf buf = {&request, sizeof(request), false};

	memset(request.to, 0xff, 6);
	for (unsigned int i = 0; i < 6; i++)
		request.from[i] = virtio_config8(&dev, i);
	request.ethertype = be16(ETHERTYPE_ARP);
	request.hardware = be16(1);
	request.protocol = be16(0x0800);
	request.hardware_len = 6;
	request.protocol_len = 4;
	request.operation = be16(ARP_REQUEST);
	memcpy(request.sender_mac, request.from, 6);
	request.sender =
		__builtin_bswap32((uint32_t)option_number("address", peer + 1));
	request.target = __builtin_bswap32(peer);
	virtq_do(&transmit, &buf, 1);
}

/* Is it what we asked for? Whatever else is on the wire is not. */
static bool answered(const void *data, uint32_t len, uint32_t peer)
{
	const struct arp_frame *frame = data;

	check(len > NET_HDR);
	return len >= sizeof(*frame) - sizeof(frame->padding) &&
	       frame->ethertype == be16(ETHERTYPE_ARP) &&
	       frame->operation == be16(ARP_REPLY) &&
	       frame->sender == __builtin_bswap32(peer) &&
	       !memcmp(frame->to, request.from, 6);
}

static int drive(void)
{
	uint32_t peer = (uint32_t)option_number("peer", 0);
	uint32_t slot, len;

	virtio_begin(&dev, NET_F_MAC | (option_number("packed", 0)
						? VIRTIO_F_RING_PACKED
						: 0));
	check(dev.features & NET_F_MAC);
	virtq_setup(&receive, &dev, RECEIVE, 64, rings[0]);
	virtq_setup(&transmit, &dev, TRANSMIT, 64, rings[1]);
	virtio_irq_queue(&dev, RECEIVE);
	virtio_driver_ok(&dev);
	for (unsigned int i = 0; i < BUFFERS; i++) {
		struct virtio_buf buf = {frames[i], sizeof(frames[i]), true};

		check(virtq_add(&receive, &buf, 1, i));
	}
	virtq_kick(&receive);
	ask(peer);
	do {
		struct virtio_buf buf = {NULL, sizeof(frames[0]), true};

		len = virtio_irq_wait(&receive, &slot);
		if (answered(frames[slot], len, peer))
			break;
		buf.data = frames[slot];
		check(virtq_add(&receive, &buf, 1, slot));
		virtq_kick(&receive);
	} while (true);
	print("net: answered\n");
	virtio_reset(&dev);
	return 0;
}

int guest_main(void)
{
	int interrupts;

	check(virtio_find(&dev, option_number("mmio", 0), VIRTIO_NET, 0));
	interrupts = virtio_irq_init(&dev);
	user_run(drive, interrupts);
}
