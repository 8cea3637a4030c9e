/*
 * Draws from a random number device at CPL 3; mmio=1, packed=1,
 * irq=poll|msix|line as in virtio_block.c.
 */
#include "lib/guest.h"
#include "lib/user.h"
#include "lib/virtio_irq.h"

#define DRAWS 16

static struct virtio_dev dev;
static struct virtq vq;
static uint8_t ring[VIRTQ_MEMORY] __attribute__((aligned(4096)));
static uint64_t data[8];

static int drive(void)
{
	uint64_t seen = 0;
	uint32_t token;

	virtio_begin(&dev,
		     option_number("packed", 0) ? VIRTIO_F_RING_PACKED : 0);
	virtq_setup(&vq, &dev, 0, 8, ring);
	virtio_irq_queue(&dev, 0);
	virtio_driver_ok(&dev);
	for (unsigned int i = 0; i < DRAWS; i++) {
		struct virtio_buf buf = {data, sizeof(data), true};
		uint32_t len;

		memset(data, 0, sizeof(data));
		check(virtq_add(&vq, &buf, 1, i));
		virtq_kick(&vq);
		len = virtio_irq_wait(&vq, &token);
		check_eq(token, i);
		check(len > 0 && len <= sizeof(data));
		/* One in 2^64 to come twice in a row. */
		check(len < 8 || data[0] != seen);
		seen = data[0];
	}
	print("rng: %u draws, last %lx\n", DRAWS, seen);
	virtio_reset(&dev);
	return 0;
}

int guest_main(void)
{
	int interrupts;

	check(virtio_find(&dev, option_number("mmio", 0), VIRTIO_RNG, 0));
	interrupts = virtio_irq_init(&dev);
	user_run(drive, interrupts);
}
