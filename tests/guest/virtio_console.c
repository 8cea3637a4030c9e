/*
 * A console device at CPL 3: says a line on port 0, then gives back what is
 * typed there, up to a ".". mmio=1, packed=1, irq=poll|msix|line as in
 * virtio_block.c. Without VIRTIO_CONSOLE_F_MULTIPORT, so port 0 is all there is
 * (5.3.2).
 */
#include "lib/guest.h"
#include "lib/user.h"
#include "lib/virtio_irq.h"

#define RECEIVE	 0
#define TRANSMIT 1

#define EMERG_WRITE_OFFSET 8
#define F_EMERG_WRITE	   (1ull << 2)

static struct virtio_dev dev;
static struct virtq receive, transmit;
static uint8_t rings[2][VIRTQ_MEMORY] __attribute__((aligned(4096)));

static void say(const char *text, uint32_t len)
{
	char copy[64];
	struct virtio_buf buf = {copy, len, false};

	check(len <= sizeof(copy));
	memcpy(copy, text, len);
	virtq_do(&transmit, &buf, 1);
}

static int drive(void)
{
	static char typed[32];
	struct virtio_buf buf = {typed, sizeof(typed), true};
	bool end = false;
	uint32_t token;

	virtio_begin(&dev, F_EMERG_WRITE | (option_number("packed", 0)
						    ? VIRTIO_F_RING_PACKED
						    : 0));
	if (dev.features & F_EMERG_WRITE)
		write32(dev.config + EMERG_WRITE_OFFSET, '!');
	virtq_setup(&receive, &dev, RECEIVE, 16, rings[0]);
	virtq_setup(&transmit, &dev, TRANSMIT, 16, rings[1]);
	virtio_irq_queue(&dev, RECEIVE);
	virtio_driver_ok(&dev);
	say("ready\r\n", 7);
	while (!end) {
		uint32_t len;

		check(virtq_add(&receive, &buf, 1, 0));
		virtq_kick(&receive);
		len = virtio_irq_wait(&receive, &token);
		check(len && len <= sizeof(typed));
		say(typed, len);
		end = typed[len - 1] == '.';
	}
	virtio_reset(&dev);
	return 0;
}

int guest_main(void)
{
	int interrupts;

	check(virtio_find(&dev, option_number("mmio", 0), VIRTIO_CONSOLE, 0));
	interrupts = virtio_irq_init(&dev);
	user_run(drive, interrupts);
}
