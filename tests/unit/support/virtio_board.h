/*
 * A board with one virtio device (a struct mock_device) on it, seen by a
 * driver through either transport: the registers, by what they mean. All goes
 * through struct fake_host, as a guest's accesses would.
 *
 * A board is one of two at most, for tests that restore one from the other;
 * they can share the guest's memory.
 */
#ifndef TESTS_UNIT_SUPPORT_VIRTIO_BOARD_H
#define TESTS_UNIT_SUPPORT_VIRTIO_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "pci/bus.h"
#include "tests/unit/support/fake_host.h"
#include "tests/unit/support/mock_device.h"
#include "tests/unit/support/ring_driver.h"
#include "virtio/mmio.h"
#include "virtio/pci.h"

enum virtio_board_kind {
	VIRTIO_BOARD_PCI,
	VIRTIO_BOARD_MMIO,
	VIRTIO_BOARD_KINDS,
};

#define VIRTIO_BOARD_ECAM      UINT64_C(0xe0000000)
#define VIRTIO_BOARD_MMIO_BASE UINT64_C(0xfeb00000)
#define VIRTIO_BOARD_SLOT      3
#define VIRTIO_BOARD_PIN       2  /* GSI of the MMIO device */
#define VIRTIO_BOARD_INTX      16 /* GSI of INTA to INTD of slot 0 */

/* Regions of the PCI device's BAR 0. */
#define VIRTIO_BOARD_COMMON  0x0000
#define VIRTIO_BOARD_ISR     0x1000
#define VIRTIO_BOARD_CONFIG  0x2000
#define VIRTIO_BOARD_NOTIFY  0x3000
#define VIRTIO_BOARD_TABLE   0x4000
#define VIRTIO_BOARD_PENDING 0x5000

/* Guest memory with rings in it, which two boards can share. */
struct virtio_guest {
	struct guest_mem *mem;			       /* owned: 2 MiB */
	struct ring_driver *rings[MOCK_DEVICE_QUEUES]; /* owned */
};

void virtio_guest_init(struct virtio_guest *guest);
void virtio_guest_fini(struct virtio_guest *guest);
/* Rings of 16 entries, the same ones until they are freed. */
struct virtqueue_config virtio_guest_ring(struct virtio_guest *guest,
					  unsigned int index, bool packed);
void virtio_guest_free_ring(struct virtio_guest *guest, unsigned int index);
void virtio_guest_free_rings(struct virtio_guest *guest);
/* Make a buffer with that text available, to be sent back; and whether it
 * was. */
void virtio_guest_ask(struct virtio_guest *guest, unsigned int index,
		      const char *text);
bool virtio_guest_answered(struct virtio_guest *guest, unsigned int index,
			   const char *text);

struct virtio_board {
	enum virtio_board_kind kind;
	struct fake_host fake;
	struct loop *loop;
	struct virtio_guest *guest; /* borrowed */
	struct mock_device mock;
	struct virtio_resources resources;
	struct virtio_device *device; /* the transport's */
	const struct device_ops *ops; /* of the transport */
	void *self;		      /* likewise */

	struct pci_bus *bus;
	uint64_t bar; /* BAR 0, mapped by pci_bus_assign() */

	struct irq_pin pin;
};

/* Everything but the device, which the test may change in mock before
 * virtio_board_add(). */
void virtio_board_init(struct virtio_board *board, enum virtio_board_kind kind,
		       struct virtio_guest *guest);
void virtio_board_add(struct virtio_board *board);
void virtio_board_fini(struct virtio_board *board);

/* Guest, board and device, as they are by default; and all of it freed. */
void virtio_board_open(struct virtio_board *board, enum virtio_board_kind kind,
		       struct virtio_guest *guest);
void virtio_board_close(struct virtio_board *board);

/* What a transport says to it, without the device that it would have owned. */
int virtio_board_try(struct virtio_board *board, struct error *err);

/* Let the loop call all that is ready. */
void virtio_board_turn(struct virtio_board *board);

/* --- A driver's accesses ----------------------------------------------------
 */

/* Of the function's configuration space. */
uint32_t virtio_board_pci_get(struct virtio_board *board, unsigned int offset,
			      unsigned int size);
void virtio_board_pci_set(struct virtio_board *board, unsigned int offset,
			  unsigned int size, uint32_t value);
/* Offset of the capability of that cfg_type (virtio), or 0. */
unsigned int virtio_board_cap(struct virtio_board *board, uint8_t cfg_type);
/* Offset of the MSI-X capability. */
unsigned int virtio_board_msix_cap(struct virtio_board *board);

/* From the BAR's start, or that of the registers. */
uint64_t virtio_board_get(struct virtio_board *board, uint64_t offset,
			  unsigned int size);
void virtio_board_set(struct virtio_board *board, uint64_t offset,
		      unsigned int size, uint64_t value);

uint8_t virtio_board_status(struct virtio_board *board);
void virtio_board_set_status(struct virtio_board *board, uint8_t status);
uint32_t virtio_board_offered(struct virtio_board *board, uint32_t select);
void virtio_board_accept(struct virtio_board *board, uint32_t select,
			 uint32_t features);
void virtio_board_select(struct virtio_board *board, uint32_t queue);
/* Of the selected queue: the largest size before it is set; enabled or not. */
uint32_t virtio_board_max(struct virtio_board *board);
bool virtio_board_enabled(struct virtio_board *board);
void virtio_board_set_size(struct virtio_board *board, uint32_t size);
void virtio_board_set_rings(struct virtio_board *board,
			    const struct virtqueue_config *config);
void virtio_board_enable(struct virtio_board *board);
void virtio_board_reset_queue(struct virtio_board *board);
void virtio_board_notify(struct virtio_board *board, uint32_t queue);
uint32_t virtio_board_generation(struct virtio_board *board);
uint64_t virtio_board_config(struct virtio_board *board, uint64_t offset,
			     unsigned int size);
void virtio_board_set_config(struct virtio_board *board, uint64_t offset,
			     unsigned int size, uint64_t value);
/* What the interrupt was about; takes it back. */
uint8_t virtio_board_isr(struct virtio_board *board);
/* The level of the interrupt line. */
bool virtio_board_line(const struct virtio_board *board);

/* --- A driver ---------------------------------------------------------------
 */

/* ACKNOWLEDGE to FEATURES_OK. */
void virtio_board_negotiate(struct virtio_board *board, uint64_t features);
/* Set up a queue and enable it. */
void virtio_board_set_up(struct virtio_board *board, uint32_t queue,
			 const struct virtqueue_config *config);
void virtio_board_drive(struct virtio_board *board);
/* All of that, with queues 0 and 2 of the guest's. */
void virtio_board_start(struct virtio_board *board, uint64_t features);
/* With VERSION_1 alone; and the device agrees. */
void virtio_board_start_plain(struct virtio_board *board);
/* A request, its answer, and its interrupt by the line. */
void virtio_board_exchange(struct virtio_board *board, unsigned int index,
			   const char *text);
/* Whatever came before, with new rings it starts and works. */
void virtio_board_expect_works(struct virtio_board *board);

/* The device's: its configuration has changed. */
void virtio_board_change_config(struct virtio_board *board);
void virtio_board_sleep(struct virtio_board *board);
void virtio_board_wake(struct virtio_board *board);
/* Of the transport and all behind it; asleep. */
json_t *virtio_board_save(struct virtio_board *board);

#endif
