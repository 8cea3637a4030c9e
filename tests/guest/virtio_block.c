/*
 * Drives a block device from CPL 3: writes, reads, flush, identity, zeroes,
 * requests that must fail. The command line says how: mmio=1, packed=1,
 * indirect is not used, irq=poll|msix|line, nth=N, ro=1; sectors= is the
 * capacity that is expected.
 *
 * Sector s is written as 64-bit words s * 64 + i, which the test then looks
 * for in the host's file.
 */
#include "lib/guest.h"
#include "lib/user.h"
#include "lib/virtio_irq.h"

/* 5.2.6 */
#define BLK_T_IN	   0
#define BLK_T_OUT	   1
#define BLK_T_FLUSH	   4
#define BLK_T_GET_ID	   8
#define BLK_T_DISCARD	   11
#define BLK_T_WRITE_ZEROES 13
#define BLK_S_OK	   0
#define BLK_S_IOERR	   1
#define BLK_S_UNSUPP	   2
#define BLK_F_RO	   (1ull << 5)
#define BLK_F_FLUSH	   (1ull << 9)
#define BLK_F_DISCARD	   (1ull << 13)
#define BLK_F_WRITE_ZEROES (1ull << 14)

#define SECTOR 512
#define DEPTH  32
#define CHUNK  (8 * SECTOR)

struct request {
	uint32_t type, reserved;
	uint64_t sector;
};

struct range {
	uint64_t sector;
	uint32_t sectors, flags;
};

static struct virtio_dev dev;
static struct virtq vq;
static uint8_t ring[VIRTQ_MEMORY] __attribute__((aligned(4096)));
static struct request headers[DEPTH];
static uint8_t data[DEPTH][CHUNK] __attribute__((aligned(4096)));
static uint8_t statuses[DEPTH];

static uint64_t word_of(uint64_t sector, unsigned int i)
{
	return sector * 64 + i;
}

static void fill(void *buf, uint64_t sector, unsigned int len)
{
	for (unsigned int i = 0; i < len / 8; i++)
		((uint64_t *)buf)[i] = word_of(sector + i / 64, i % 64);
}

static void check_filled(const void *buf, uint64_t sector, unsigned int len)
{
	for (unsigned int i = 0; i < len / 8; i++)
		check_eq(((const uint64_t *)buf)[i],
			 word_of(sector + i / 64, i % 64));
}

/* A request of @slot into the ring; kicked by the caller. */
static void submit(unsigned int slot, uint32_t type, uint64_t sector, void *buf,
		   uint32_t len)
{
	const struct virtio_buf bufs[] = {
		{&headers[slot], sizeof(headers[slot]), false},
		{buf, len, type == BLK_T_IN || type == BLK_T_GET_ID},
		{&statuses[slot], 1, true},
	};
	/* Without data there is no buffer for it. */
	const struct virtio_buf bare[] = {bufs[0], bufs[2]};

	headers[slot] = (struct request){.type = type, .sector = sector};
	statuses[slot] = 0xff;
	check(len ? virtq_add(&vq, bufs, 3, slot)
		  : virtq_add(&vq, bare, 2, slot));
}

static uint8_t request(uint32_t type, uint64_t sector, void *buf, uint32_t len)
{
	uint32_t slot;

	submit(0, type, sector, buf, len);
	virtq_kick(&vq);
	virtio_irq_wait(&vq, &slot);
	check_eq(slot, 0);
	return statuses[0];
}

/* DEPTH requests at once, over the disk's first DEPTH chunks. */
static void batch(uint32_t type)
{
	for (unsigned int i = 0; i < DEPTH; i++) {
		uint64_t sector = (uint64_t)i * CHUNK / SECTOR;

		if (type == BLK_T_OUT)
			fill(data[i], sector, CHUNK);
		else
			memset(data[i], 0, CHUNK);
		submit(i, type, sector, data[i], CHUNK);
	}
	virtq_kick(&vq);
	for (unsigned int i = 0; i < DEPTH; i++) {
		uint32_t slot, len = virtio_irq_wait(&vq, &slot);

		check_eq(statuses[slot], BLK_S_OK);
		check_eq(len, type == BLK_T_IN ? CHUNK + 1 : 1);
		if (type == BLK_T_IN)
			check_filled(data[slot],
				     (uint64_t)slot * CHUNK / SECTOR, CHUNK);
	}
}

static void check_failures(uint64_t capacity)
{
	check_eq(request(BLK_T_IN, capacity, data[0], SECTOR), BLK_S_IOERR);
	check_eq(request(BLK_T_IN, capacity - 1, data[0], 2 * SECTOR),
		 BLK_S_IOERR);
	check_eq(request(BLK_T_IN, ~0ull, data[0], SECTOR), BLK_S_IOERR);
	check_eq(request(BLK_T_IN, 0, data[0], SECTOR - 1), BLK_S_IOERR);
	check_eq(request(77, 0, data[0], SECTOR), BLK_S_UNSUPP);
	check_eq(virtio_status(&dev) & VIRTIO_NEEDS_RESET, 0);
}

/* The middle one of three chunks behind what batch() writes. */
static void check_zeroes(void)
{
	static struct range range = {.sector = 264, .sectors = 8};

	check(dev.features & BLK_F_WRITE_ZEROES);
	for (uint64_t sector = 256; sector < 280; sector += 8) {
		fill(data[0], sector, CHUNK);
		check_eq(request(BLK_T_OUT, sector, data[0], CHUNK), BLK_S_OK);
	}
	check_eq(request(BLK_T_WRITE_ZEROES, 0, &range, sizeof(range)),
		 BLK_S_OK);
	check_eq(request(BLK_T_IN, 264, data[0], CHUNK), BLK_S_OK);
	for (unsigned int i = 0; i < CHUNK / 8; i++)
		check_eq(((uint64_t *)data[0])[i], 0);
	for (uint64_t sector = 256; sector < 280; sector += 16) {
		check_eq(request(BLK_T_IN, sector, data[0], CHUNK), BLK_S_OK);
		check_filled(data[0], sector, CHUNK);
	}
}

static int drive(void)
{
	uint64_t wanted =
		BLK_F_RO | BLK_F_FLUSH | BLK_F_DISCARD | BLK_F_WRITE_ZEROES;
	char id[21] = "";
	uint64_t capacity;

	if (option_number("packed", 0))
		wanted |= VIRTIO_F_RING_PACKED;
	virtio_begin(&dev, wanted);
	virtq_setup(&vq, &dev, 0, 128, ring);
	check_eq(vq.packed, option_number("packed", 0));
	virtio_irq_queue(&dev, 0);
	virtio_driver_ok(&dev);

	capacity = virtio_config64(&dev, 0);
	check_eq(capacity, option_number("sectors", capacity));
	check_eq(request(BLK_T_GET_ID, 0, id, 20), BLK_S_OK);
	print("block: %lu sectors, id %s\n", capacity, id);
	if (option_number("ro", 0)) {
		check(dev.features & BLK_F_RO);
		check_eq(request(BLK_T_OUT, 0, data[0], SECTOR), BLK_S_IOERR);
	} else {
		batch(BLK_T_OUT);
		check_eq(request(BLK_T_FLUSH, 0, NULL, 0), BLK_S_OK);
	}
	batch(BLK_T_IN);
	check_failures(capacity);
	if (!option_number("ro", 0))
		check_zeroes();
	print("interrupts: %u\n", virtio_irq_count());
	virtio_reset(&dev);
	return 0;
}

int guest_main(void)
{
	int interrupts;

	check(virtio_find(&dev, option_number("mmio", 0), VIRTIO_BLOCK,
			  (unsigned int)option_number("nth", 0)));
	interrupts = virtio_irq_init(&dev);
	user_run(drive, interrupts);
}
