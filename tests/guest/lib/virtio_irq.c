#include "lib/virtio_irq.h"

#include "lib/guest.h"
#include "lib/irq.h"
#include "lib/pci.h"
#include "lib/user.h"

#define VECTOR_QUEUE  0x50
#define VECTOR_CONFIG 0x51
#define VECTOR_LINE   0x52

/* What the DSDT says: INTx of slot s is 16 + s % 4 (pin A); memory-mapped
 * devices share 20 to 23. */
#define GSI_INTX 16
#define GSI_MMIO 20

enum irq_kind {
	IRQ_POLL,
	IRQ_MSIX,
	IRQ_LINE
};

static enum irq_kind kind;
static struct virtio_dev *line_dev;
static volatile unsigned int queue_count, config_count;

static void __attribute__((interrupt)) on_queue(struct interrupt_frame *frame)
{
	(void)frame;
	queue_count++;
	wrmsr(X2APIC_EOI, 0);
}

static void __attribute__((interrupt)) on_config(struct interrupt_frame *frame)
{
	(void)frame;
	config_count++;
	wrmsr(X2APIC_EOI, 0);
}

/* Reading the ISR is what lowers the line. */
static void __attribute__((interrupt)) on_line(struct interrupt_frame *frame)
{
	uint8_t isr = virtio_isr(line_dev);

	(void)frame;
	queue_count += isr & 1;
	config_count += isr >> 1 & 1;
	wrmsr(X2APIC_EOI, 0);
}

int virtio_irq_init(struct virtio_dev *dev)
{
	kind = option_is("irq", "msix")	  ? IRQ_MSIX
	       : option_is("irq", "line") ? IRQ_LINE
					  : IRQ_POLL;
	if (kind == IRQ_POLL)
		return 0;
	irq_init();
	irq_set(VECTOR_QUEUE, on_queue);
	irq_set(VECTOR_CONFIG, on_config);
	irq_set(VECTOR_LINE, on_line);
	line_dev = dev;
	if (kind == IRQ_LINE && dev->mmio)
		for (unsigned int gsi = 0; gsi < 4; gsi++)
			ioapic_route(GSI_MMIO + gsi, VECTOR_LINE, true);
	else if (kind == IRQ_LINE)
		ioapic_route(GSI_INTX + (dev->devfn >> 3) % 4, VECTOR_LINE,
			     true);
	return 1;
}

void virtio_irq_queue(struct virtio_dev *dev, uint16_t index)
{
	if (kind != IRQ_MSIX)
		return;
	virtio_msix(dev, 0, VECTOR_QUEUE);
	virtio_msix(dev, 1, VECTOR_CONFIG);
	check_eq(virtio_queue_vector(dev, index, 0), 0);
	check_eq(virtio_queue_vector(dev, -1, 1), 1);
	/* One that there is not. */
	check_eq(virtio_queue_vector(dev, -1, 2000), VIRTIO_NO_VECTOR);
	check_eq(virtio_queue_vector(dev, -1, 1), 1);
}

uint32_t virtio_irq_wait(struct virtq *vq, uint32_t *token)
{
	uint32_t len;

	while (!virtq_get(vq, token, &len)) {
		unsigned int seen = queue_count;

		if (kind == IRQ_POLL)
			asm volatile("pause");
		/* The buffer may have come before the count was read. */
		else if (virtq_get(vq, token, &len))
			break;
		else
			user_wait(&queue_count, seen);
	}
	return len;
}

unsigned int virtio_irq_count(void)
{
	return queue_count;
}

unsigned int virtio_irq_config_count(void)
{
	return config_count;
}
