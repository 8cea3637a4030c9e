/*
 * The driver's side of virtio (virtio 1.3): finding devices on PCI and among
 * the memory-mapped ones, negotiation, split and packed rings, interrupts by
 * MSI-X or by a line. As simple as a driver can be that still does all that.
 *
 * Everything but the set-up of interrupts works at CPL 3 (see user.h).
 */
#ifndef TESTS_GUEST_LIB_VIRTIO_H
#define TESTS_GUEST_LIB_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

/* Device ids (section 5). */
#define VIRTIO_NET     1
#define VIRTIO_BLOCK   2
#define VIRTIO_CONSOLE 3
#define VIRTIO_RNG     4

/* Feature bits (section 6). */
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX     (1ull << 29)
#define VIRTIO_F_VERSION_1     (1ull << 32)
#define VIRTIO_F_RING_PACKED   (1ull << 34)
#define VIRTIO_F_RING_RESET    (1ull << 40)

/* Device status (2.1). */
#define VIRTIO_ACKNOWLEDGE 1
#define VIRTIO_DRIVER	   2
#define VIRTIO_DRIVER_OK   4
#define VIRTIO_FEATURES_OK 8
#define VIRTIO_NEEDS_RESET 64
#define VIRTIO_FAILED	   128

#define VIRTIO_NO_VECTOR 0xffff

struct virtio_dev {
	bool mmio;
	uint16_t devfn;	 /* PCI */
	uint64_t common; /* PCI: structures; MMIO: the registers */
	uint64_t notify, isr, config;
	uint32_t notify_multiplier;
	uint64_t msix_table;
	uint16_t msix_cap; /* 0: none */
	uint64_t features; /* as accepted */
};

/* A buffer or a part of one. */
struct virtio_buf {
	void *data;
	uint32_t len;
	bool in; /* the device writes it */
};

#define VIRTQ_SIZE_MAX 256

/* At most VIRTQ_SIZE_MAX entries; free ones are found by a bitmap's scan. */
struct virtq {
	struct virtio_dev *dev;
	uint16_t index, size;
	bool packed;
	uint64_t doorbell;
	uint16_t next_avail, last_used; /* split: free-running */
	bool avail_wrap, used_wrap;	/* packed */
	uint16_t in_use;		/* descriptors */
	uint16_t chain[VIRTQ_SIZE_MAX]; /* descriptors of a buffer, by id */
	uint32_t token[VIRTQ_SIZE_MAX];
	bool busy[VIRTQ_SIZE_MAX];	 /* split: descriptors; packed: ids */
	uint8_t *ring, *driver, *device; /* the three areas */
};

/* The @nth device of that id, from 0: on PCI, or memory-mapped. */
bool virtio_find(struct virtio_dev *dev, bool mmio, uint16_t id,
		 unsigned int nth);

uint8_t virtio_status(struct virtio_dev *dev);
void virtio_set_status(struct virtio_dev *dev, uint8_t status);
/* Write 0 and wait until it reads so. */
void virtio_reset(struct virtio_dev *dev);
uint64_t virtio_offered(struct virtio_dev *dev);

/* Reset, ACKNOWLEDGE, DRIVER, and of @wanted what is offered; fails the guest
 * if VERSION_1 is not or FEATURES_OK does not stick. */
void virtio_begin(struct virtio_dev *dev, uint64_t wanted);
void virtio_driver_ok(struct virtio_dev *dev);

/* A queue of @size entries, at most what the device has. @memory: 16 KiB,
 * aligned to 4096, zeroed. */
void virtq_setup(struct virtq *vq, struct virtio_dev *dev, uint16_t index,
		 uint16_t size, void *memory);
#define VIRTQ_MEMORY 16384

/* The last step of virtq_setup(): tell the device where the areas are. */
void virtq_enable(struct virtq *vq);

/* One buffer of @count parts, those that the device reads first. False: the
 * ring is full. */
bool virtq_add(struct virtq *vq, const struct virtio_buf *bufs,
	       unsigned int count, uint32_t token);
void virtq_kick(struct virtq *vq);
/* A buffer that came back. */
bool virtq_get(struct virtq *vq, uint32_t *token, uint32_t *len);
/* Wait for the next one. */
uint32_t virtq_wait(struct virtq *vq, uint32_t *token);
/* Add, kick, wait: what the device wrote. */
uint32_t virtq_do(struct virtq *vq, const struct virtio_buf *bufs,
		  unsigned int count);
/* Does the device want to hear of buffers? As its flags say. */
bool virtq_wants_kick(struct virtq *vq);

/* Configuration space, from @offset on. */
uint8_t virtio_config8(struct virtio_dev *dev, unsigned int offset);
uint16_t virtio_config16(struct virtio_dev *dev, unsigned int offset);
uint32_t virtio_config32(struct virtio_dev *dev, unsigned int offset);
uint64_t virtio_config64(struct virtio_dev *dev, unsigned int offset);

/* MSI-X table entry @slot raises @vector on the CPU with id 0; MSI-X
 * is enabled. Lead queues to entries with virtio_queue_vector(). */
void virtio_msix(struct virtio_dev *dev, unsigned int slot, uint8_t vector);
void virtio_msix_mask(struct virtio_dev *dev, unsigned int slot, bool mask);
/* Queue @index, or configuration changes if -1. Reads back what it is now. */
uint16_t virtio_queue_vector(struct virtio_dev *dev, int index, uint16_t entry);
/* Read and clear: bit 0 a queue, bit 1 the configuration. */
uint8_t virtio_isr(struct virtio_dev *dev);

#endif
