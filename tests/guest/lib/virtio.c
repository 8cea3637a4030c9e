#include "lib/virtio.h"

#include "lib/guest.h"
#include "lib/pci.h"

/* Where bantam maps devices without PCI: arch/x86_64/layout.h. */
#define MMIO_BASE  0xfeb00000ull
#define MMIO_SIZE  0x1000ull
#define MMIO_SLOTS 32

/* 4.2.2 */
#define MMIO_MAGIC	     0x000
#define MMIO_MAGIC_VALUE     0x74726976u
#define MMIO_VERSION	     0x004
#define MMIO_DEVICE_ID	     0x008
#define MMIO_DEVICE_FEATURES 0x010
#define MMIO_DEVICE_SEL	     0x014
#define MMIO_DRIVER_FEATURES 0x020
#define MMIO_DRIVER_SEL	     0x024
#define MMIO_QUEUE_SEL	     0x030
#define MMIO_QUEUE_NUM_MAX   0x034
#define MMIO_QUEUE_NUM	     0x038
#define MMIO_QUEUE_READY     0x044
#define MMIO_QUEUE_NOTIFY    0x050
#define MMIO_ISR	     0x060
#define MMIO_ISR_ACK	     0x064
#define MMIO_STATUS	     0x070
#define MMIO_QUEUE_DESC	     0x080
#define MMIO_QUEUE_DRIVER    0x090
#define MMIO_QUEUE_DEVICE    0x0a0
#define MMIO_CONFIG	     0x100

/* 4.1.4.3 */
#define COMMON_DEVICE_SEL      0x00
#define COMMON_DEVICE_FEATURES 0x04
#define COMMON_DRIVER_SEL      0x08
#define COMMON_DRIVER_FEATURES 0x0c
#define COMMON_CONFIG_VECTOR   0x10
#define COMMON_STATUS	       0x14
#define COMMON_QUEUE_SEL       0x16
#define COMMON_QUEUE_SIZE      0x18
#define COMMON_QUEUE_VECTOR    0x1a
#define COMMON_QUEUE_ENABLE    0x1c
#define COMMON_QUEUE_NOTIFY    0x1e
#define COMMON_QUEUE_DESC      0x20
#define COMMON_QUEUE_DRIVER    0x28
#define COMMON_QUEUE_DEVICE    0x30

/* 4.1.4: cfg_type */
#define CAP_COMMON 1
#define CAP_NOTIFY 2
#define CAP_ISR	   3
#define CAP_DEVICE 4

#define PCI_VENDOR_VIRTIO 0x1af4
#define PCI_MODERN_BASE	  0x1040
#define PCI_CAP_VENDOR	  0x09
#define PCI_CAP_MSIX	  0x11
#define PCI_BAR_64	  0x04

#define MSIX_ENABLE	 (1u << 15)
#define MSI_ADDRESS	 0xfee00000u
#define MSIX_ENTRY_SIZE	 16
#define MSIX_ENTRY_MASK	 1u
#define MSIX_VECTOR_CTRL 12

#define DESC_NEXT      (1u << 0)
#define DESC_WRITE     (1u << 1)
#define PACKED_AVAIL   (1u << 7)
#define PACKED_USED    (1u << 15)
#define AVAIL_NO_INT   1u
#define USED_NO_NOTIFY 1u
#define PACKED_DISABLE 1u

/* --- Finding ----------------------------------------------------------------
 */

static uint64_t pci_bar(uint16_t devfn, unsigned int bar)
{
	uint32_t low = pci_read32(devfn, 0x10 + 4 * bar);
	uint64_t address = low & ~0xfu;

	if (low & PCI_BAR_64)
		address |= (uint64_t)pci_read32(devfn, 0x14 + 4 * bar) << 32;
	return address;
}

static void virtio_pci_cap(struct virtio_dev *dev, unsigned int cap)
{
	uint64_t at = pci_bar(dev->devfn, pci_read8(dev->devfn, cap + 4)) +
		      pci_read32(dev->devfn, cap + 8);

	switch (pci_read8(dev->devfn, cap + 3)) {
	case CAP_COMMON:
		dev->common = at;
		break;
	case CAP_NOTIFY:
		dev->notify = at;
		dev->notify_multiplier = pci_read32(dev->devfn, cap + 16);
		break;
	case CAP_ISR:
		dev->isr = at;
		break;
	case CAP_DEVICE:
		dev->config = at;
		break;
	}
}

static void virtio_pci_caps(struct virtio_dev *dev)
{
	unsigned int cap = pci_read8(dev->devfn, 0x34);

	while (cap) {
		uint8_t id = pci_read8(dev->devfn, cap);

		if (id == PCI_CAP_VENDOR) {
			virtio_pci_cap(dev, cap);
		} else if (id == PCI_CAP_MSIX) {
			uint32_t table = pci_read32(dev->devfn, cap + 4);

			dev->msix_cap = (uint16_t)cap;
			dev->msix_table =
				pci_bar(dev->devfn, table & 7) + (table & ~7u);
		}
		cap = pci_read8(dev->devfn, cap + 1);
	}
	check(dev->common && dev->notify && dev->isr);
	/* Such a small map as ours reaches the first 4 GiB. */
	check(dev->common < 1ull << 32);
}

static bool virtio_find_pci(struct virtio_dev *dev, uint16_t id,
			    unsigned int nth)
{
	for (uint16_t devfn = 0; devfn < 256; devfn++) {
		uint32_t ids = pci_read32(devfn, 0);

		if (ids != ((uint32_t)(PCI_MODERN_BASE + id) << 16 |
			    PCI_VENDOR_VIRTIO) ||
		    nth--)
			continue;
		*dev = (struct virtio_dev){.devfn = devfn};
		virtio_pci_caps(dev);
		return true;
	}
	return false;
}

static bool virtio_find_mmio(struct virtio_dev *dev, uint16_t id,
			     unsigned int nth)
{
	for (unsigned int i = 0; i < MMIO_SLOTS; i++) {
		uint64_t base = MMIO_BASE + i * MMIO_SIZE;

		if (read32(base + MMIO_MAGIC) != MMIO_MAGIC_VALUE ||
		    read32(base + MMIO_DEVICE_ID) != id || nth--)
			continue;
		check_eq(read32(base + MMIO_VERSION), 2);
		*dev = (struct virtio_dev){
			.mmio = true,
			.common = base,
			.config = base + MMIO_CONFIG,
		};
		return true;
	}
	return false;
}

bool virtio_find(struct virtio_dev *dev, bool mmio, uint16_t id,
		 unsigned int nth)
{
	return mmio ? virtio_find_mmio(dev, id, nth)
		    : virtio_find_pci(dev, id, nth);
}

/* --- Negotiation ------------------------------------------------------------
 */

uint8_t virtio_status(struct virtio_dev *dev)
{
	return dev->mmio ? (uint8_t)read32(dev->common + MMIO_STATUS)
			 : read8(dev->common + COMMON_STATUS);
}

void virtio_set_status(struct virtio_dev *dev, uint8_t status)
{
	if (dev->mmio)
		write32(dev->common + MMIO_STATUS, status);
	else
		write8(dev->common + COMMON_STATUS, status);
}

void virtio_reset(struct virtio_dev *dev)
{
	virtio_set_status(dev, 0);
	while (virtio_status(dev))
		;
}

static uint32_t virtio_offered_half(struct virtio_dev *dev, uint32_t half)
{
	if (dev->mmio) {
		write32(dev->common + MMIO_DEVICE_SEL, half);
		return read32(dev->common + MMIO_DEVICE_FEATURES);
	}
	write32(dev->common + COMMON_DEVICE_SEL, half);
	return read32(dev->common + COMMON_DEVICE_FEATURES);
}

static void virtio_accept_half(struct virtio_dev *dev, uint32_t half,
			       uint32_t features)
{
	if (dev->mmio) {
		write32(dev->common + MMIO_DRIVER_SEL, half);
		write32(dev->common + MMIO_DRIVER_FEATURES, features);
	} else {
		write32(dev->common + COMMON_DRIVER_SEL, half);
		write32(dev->common + COMMON_DRIVER_FEATURES, features);
	}
}

uint64_t virtio_offered(struct virtio_dev *dev)
{
	return virtio_offered_half(dev, 0) |
	       (uint64_t)virtio_offered_half(dev, 1) << 32;
}

void virtio_begin(struct virtio_dev *dev, uint64_t wanted)
{
	uint64_t offered;

	virtio_reset(dev);
	virtio_set_status(dev, VIRTIO_ACKNOWLEDGE);
	virtio_set_status(dev, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	offered = virtio_offered(dev);
	check(offered & VIRTIO_F_VERSION_1);
	dev->features = offered & (wanted | VIRTIO_F_VERSION_1);
	virtio_accept_half(dev, 0, (uint32_t)dev->features);
	virtio_accept_half(dev, 1, (uint32_t)(dev->features >> 32));
	virtio_set_status(dev, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER |
				       VIRTIO_FEATURES_OK);
	check(virtio_status(dev) & VIRTIO_FEATURES_OK);
}

void virtio_driver_ok(struct virtio_dev *dev)
{
	virtio_set_status(dev, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER |
				       VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
	check_eq(virtio_status(dev) & (VIRTIO_NEEDS_RESET | VIRTIO_DRIVER_OK),
		 VIRTIO_DRIVER_OK);
}

uint8_t virtio_config8(struct virtio_dev *dev, unsigned int offset)
{
	return read8(dev->config + offset);
}

uint16_t virtio_config16(struct virtio_dev *dev, unsigned int offset)
{
	return read16(dev->config + offset);
}

uint32_t virtio_config32(struct virtio_dev *dev, unsigned int offset)
{
	return read32(dev->config + offset);
}

uint64_t virtio_config64(struct virtio_dev *dev, unsigned int offset)
{
	return virtio_config32(dev, offset) |
	       (uint64_t)virtio_config32(dev, offset + 4) << 32;
}

/* --- Interrupts -------------------------------------------------------------
 */

void virtio_msix(struct virtio_dev *dev, unsigned int slot, uint8_t vector)
{
	uint64_t at = dev->msix_table + MSIX_ENTRY_SIZE * (uint64_t)slot;

	check(dev->msix_cap);
	write32(at, MSI_ADDRESS);
	write32(at + 4, 0);
	write32(at + 8, vector);
	write32(at + MSIX_VECTOR_CTRL, 0);
	/* Message Control is the upper half. */
	pci_write32(dev->devfn, dev->msix_cap,
		    pci_read32(dev->devfn, dev->msix_cap) | MSIX_ENABLE << 16);
}

void virtio_msix_mask(struct virtio_dev *dev, unsigned int slot, bool mask)
{
	write32(dev->msix_table + MSIX_ENTRY_SIZE * (uint64_t)slot +
			MSIX_VECTOR_CTRL,
		mask ? MSIX_ENTRY_MASK : 0);
}

uint16_t virtio_queue_vector(struct virtio_dev *dev, int index, uint16_t vector)
{
	if (index < 0) {
		write16(dev->common + COMMON_CONFIG_VECTOR, vector);
		return read16(dev->common + COMMON_CONFIG_VECTOR);
	}
	write16(dev->common + COMMON_QUEUE_SEL, (uint16_t)index);
	write16(dev->common + COMMON_QUEUE_VECTOR, vector);
	return read16(dev->common + COMMON_QUEUE_VECTOR);
}

uint8_t virtio_isr(struct virtio_dev *dev)
{
	uint32_t isr;

	if (!dev->mmio)
		return read8(dev->isr);
	isr = read32(dev->common + MMIO_ISR);
	write32(dev->common + MMIO_ISR_ACK, isr);
	return (uint8_t)isr;
}

/* --- Queues -----------------------------------------------------------------
 */

static void write_pair(uint64_t at, uint64_t value)
{
	write32(at, (uint32_t)value);
	write32(at + 4, (uint32_t)(value >> 32));
}

static void virtq_enable_mmio(struct virtq *vq)
{
	uint64_t at = vq->dev->common;

	write32(at + MMIO_QUEUE_SEL, vq->index);
	if (vq->size > read32(at + MMIO_QUEUE_NUM_MAX))
		vq->size = (uint16_t)read32(at + MMIO_QUEUE_NUM_MAX);
	check(vq->size);
	write32(at + MMIO_QUEUE_NUM, vq->size);
	write_pair(at + MMIO_QUEUE_DESC, (uint64_t)vq->ring);
	write_pair(at + MMIO_QUEUE_DRIVER, (uint64_t)vq->driver);
	write_pair(at + MMIO_QUEUE_DEVICE, (uint64_t)vq->device);
	write32(at + MMIO_QUEUE_READY, 1);
	check_eq(read32(at + MMIO_QUEUE_READY), 1);
	vq->doorbell = at + MMIO_QUEUE_NOTIFY;
}

static void virtq_enable_pci(struct virtq *vq)
{
	uint64_t at = vq->dev->common;

	write16(at + COMMON_QUEUE_SEL, vq->index);
	if (vq->size > read16(at + COMMON_QUEUE_SIZE))
		vq->size = read16(at + COMMON_QUEUE_SIZE);
	check(vq->size);
	write16(at + COMMON_QUEUE_SIZE, vq->size);
	write_pair(at + COMMON_QUEUE_DESC, (uint64_t)vq->ring);
	write_pair(at + COMMON_QUEUE_DRIVER, (uint64_t)vq->driver);
	write_pair(at + COMMON_QUEUE_DEVICE, (uint64_t)vq->device);
	write16(at + COMMON_QUEUE_ENABLE, 1);
	check_eq(read16(at + COMMON_QUEUE_ENABLE), 1);
	vq->doorbell =
		vq->dev->notify + (uint64_t)read16(at + COMMON_QUEUE_NOTIFY) *
					  vq->dev->notify_multiplier;
}

void virtq_enable(struct virtq *vq)
{
	if (vq->dev->mmio)
		virtq_enable_mmio(vq);
	else
		virtq_enable_pci(vq);
}

void virtq_setup(struct virtq *vq, struct virtio_dev *dev, uint16_t index,
		 uint16_t size, void *memory)
{
	check(size <= VIRTQ_SIZE_MAX);
	*vq = (struct virtq){
		.dev = dev,
		.index = index,
		.size = size,
		.packed = dev->features & VIRTIO_F_RING_PACKED,
		.avail_wrap = true,
		.used_wrap = true,
		.ring = memory,
		.driver = (uint8_t *)memory + 4096,
		.device = (uint8_t *)memory + 8192,
	};
	memset(memory, 0, VIRTQ_MEMORY);
	virtq_enable(vq);
}

void virtq_kick(struct virtq *vq)
{
	/* The ring before the doorbell. */
	asm volatile("mfence" ::: "memory");
	if (vq->dev->mmio)
		write32(vq->doorbell, vq->index);
	else
		write16(vq->doorbell, vq->index);
}

/* x86 keeps stores in order, and loads; what is left is the compiler. */
#define ring_barrier() asm volatile("" ::: "memory")

static uint16_t virtq_free_entry(struct virtq *vq)
{
	for (uint16_t i = 0; i < vq->size; i++) {
		if (!vq->busy[i]) {
			vq->busy[i] = true;
			return i;
		}
	}
	guest_fail(__FILE__, __LINE__, "a free entry");
}

struct split_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static void virtq_add_split(struct virtq *vq, const struct virtio_buf *bufs,
			    unsigned int count, uint32_t token)
{
	struct split_desc *table = (struct split_desc *)vq->ring;
	uint16_t *avail = (uint16_t *)vq->driver;
	uint16_t head = virtq_free_entry(vq), at = head;

	for (unsigned int i = 0; i < count; i++) {
		bool more = i + 1 < count;
		uint16_t next = more ? virtq_free_entry(vq) : 0;

		table[at] = (struct split_desc){
			.addr = (uint64_t)bufs[i].data,
			.len = bufs[i].len,
			.flags = (bufs[i].in ? DESC_WRITE : 0) |
				 (more ? DESC_NEXT : 0),
			.next = next,
		};
		at = next;
	}
	vq->chain[head] = (uint16_t)count;
	vq->token[head] = token;
	avail[2 + vq->next_avail % vq->size] = head;
	ring_barrier();
	((volatile uint16_t *)avail)[1] = ++vq->next_avail;
}

struct packed_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id, flags;
};

/* 2.8.1: available, in this round of the ring. */
static uint16_t virtq_packed_flags(bool wrap)
{
	return wrap ? PACKED_AVAIL : PACKED_USED;
}

static void virtq_add_packed(struct virtq *vq, const struct virtio_buf *bufs,
			     unsigned int count, uint32_t token)
{
	volatile struct packed_desc *ring =
		(volatile struct packed_desc *)vq->ring;
	uint16_t id = virtq_free_entry(vq), first = vq->next_avail;
	uint16_t first_flags = 0;

	for (unsigned int i = 0; i < count; i++) {
		uint16_t at = vq->next_avail;
		uint16_t flags = virtq_packed_flags(vq->avail_wrap);

		flags |= bufs[i].in ? DESC_WRITE : 0;
		flags |= i + 1 < count ? DESC_NEXT : 0;
		ring[at].addr = (uint64_t)bufs[i].data;
		ring[at].len = bufs[i].len;
		ring[at].id = id;
		/* The first becomes available last. */
		if (i == 0)
			first_flags = flags;
		else
			ring[at].flags = flags;
		if (++vq->next_avail == vq->size) {
			vq->next_avail = 0;
			vq->avail_wrap = !vq->avail_wrap;
		}
	}
	vq->chain[id] = (uint16_t)count;
	vq->token[id] = token;
	ring_barrier();
	ring[first].flags = first_flags;
}

bool virtq_add(struct virtq *vq, const struct virtio_buf *bufs,
	       unsigned int count, uint32_t token)
{
	if (vq->in_use + count > vq->size)
		return false;
	vq->in_use = (uint16_t)(vq->in_use + count);
	if (vq->packed)
		virtq_add_packed(vq, bufs, count, token);
	else
		virtq_add_split(vq, bufs, count, token);
	return true;
}

static bool virtq_get_split(struct virtq *vq, uint16_t *id, uint32_t *len)
{
	volatile uint16_t *used = (volatile uint16_t *)vq->device;
	volatile uint32_t *element;
	struct split_desc *table = (struct split_desc *)vq->ring;
	uint16_t at;

	if (used[1] == vq->last_used)
		return false;
	ring_barrier();
	element = (volatile uint32_t *)(vq->device + 4) +
		  2 * (vq->last_used++ % vq->size);
	check(element[0] < vq->size);
	*id = at = (uint16_t)element[0];
	*len = element[1];
	for (unsigned int i = 0; i < vq->chain[*id]; i++) {
		check(vq->busy[at]);
		vq->busy[at] = false;
		at = table[at].next;
	}
	return true;
}

static bool virtq_get_packed(struct virtq *vq, uint16_t *id, uint32_t *len)
{
	volatile struct packed_desc *desc =
		(volatile struct packed_desc *)vq->ring + vq->last_used;
	uint16_t flags = desc->flags;
	bool avail = flags & PACKED_AVAIL, used = flags & PACKED_USED;
	unsigned int next;

	if (avail != used || used != vq->used_wrap)
		return false;
	ring_barrier();
	*id = desc->id;
	*len = desc->len;
	check(*id < vq->size && vq->busy[*id]);
	vq->busy[*id] = false;
	next = vq->last_used + vq->chain[*id];
	if (next >= vq->size) {
		next -= vq->size;
		vq->used_wrap = !vq->used_wrap;
	}
	vq->last_used = (uint16_t)next;
	return true;
}

bool virtq_get(struct virtq *vq, uint32_t *token, uint32_t *len)
{
	uint16_t id = 0;

	if (!(vq->packed ? virtq_get_packed(vq, &id, len)
			 : virtq_get_split(vq, &id, len)))
		return false;
	vq->in_use = (uint16_t)(vq->in_use - vq->chain[id]);
	*token = vq->token[id];
	return true;
}

uint32_t virtq_wait(struct virtq *vq, uint32_t *token)
{
	uint32_t len;

	while (!virtq_get(vq, token, &len))
		asm volatile("pause");
	return len;
}

uint32_t virtq_do(struct virtq *vq, const struct virtio_buf *bufs,
		  unsigned int count)
{
	uint32_t token;

	check(virtq_add(vq, bufs, count, 0));
	virtq_kick(vq);
	return virtq_wait(vq, &token);
}

bool virtq_wants_kick(struct virtq *vq)
{
	volatile uint16_t *device = (volatile uint16_t *)vq->device;

	asm volatile("mfence" ::: "memory");
	if (vq->packed)
		return device[1] != PACKED_DISABLE;
	return !(device[0] & USED_NO_NOTIFY);
}
