/*
 * What both transports have in common (virtio 1.3, chapter 2): device status,
 * feature negotiation, the queues' registers, interrupts without MSI-X, and
 * the state of all that. Embedded in the transport that it belongs to; the
 * driver writes what it likes to each register.
 *
 * All functions but init, fini and kick want the device's lock to be held,
 * which guards every member.
 */
#ifndef VIRTIO_TRANSPORT_H
#define VIRTIO_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <linux/virtio_config.h>

#include "virtio/device.h"
#include "vmm/base/error.h"
#include "vmm/base/host.h"
#include "vmm/base/log.h"
#include "vmm/base/loop.h"

/* ISR status (4.1.4.5) and InterruptStatus (4.2.2). */
#define VIRTIO_TRANSPORT_ISR_QUEUE  1u
#define VIRTIO_TRANSPORT_ISR_CONFIG 2u

/* The bits of the status that a driver sets; NEEDS_RESET is the device's. */
#define VIRTIO_TRANSPORT_DRIVER_STATUS                             \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |    \
	 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_FAILED)

/* VIRTIO_MSI_NO_VECTOR */
#define VIRTIO_TRANSPORT_NO_VECTOR 0xffff

struct virtio_transport;

/* What differs. With the device's lock held. */
struct virtio_transport_ops {
	/* Set the level of the interrupt line. */
	void (*set_line)(void *ctx, bool level);
	/* A configuration interrupt, when there is no line. NULL if there
	 * always is. */
	void (*config_interrupt)(void *ctx);
	/* The driver has reset the device: so much for vectors. Or NULL. */
	void (*reset)(void *ctx);
	/* The doorbell of a queue. Return: whether the guest can reach its
	 * register at present. */
	bool (*doorbell)(const void *ctx, unsigned int index,
			 struct host_doorbell *out);
};

struct virtio_transport_registers {
	uint32_t device_feature_select, driver_feature_select;
	uint64_t driver_features; /* accepted with FEATURES_OK */
	uint32_t queue_select;
	uint32_t config_generation;
	uint8_t status;
	uint8_t isr;
};

struct virtio_transport_queue {
	uint16_t size; /* as the driver wrote it */
	uint16_t vector;
	bool enabled;
	bool reset; /* by VIRTIO_F_RING_RESET: may be set up anew */
	uint64_t desc, driver, device;

	struct virtio_transport *transport; /* borrowed: for the callback */
	unsigned int index;
	struct loop_fd *source; /* owned: of the call eventfd */
};

struct virtio_transport {
	struct virtio_device *device; /* owned */
	struct host *host;	      /* borrowed */
	const struct virtio_transport_ops *ops;
	void *ctx;	    /* borrowed */
	bool lined;	    /* interrupts go by the line, not by MSI-X */
	uint64_t doorbells; /* a bit for each queue that has one */
	struct log_limit limit;
	struct virtio_transport_registers regs;
	struct virtio_transport_queue queues[VIRTIO_QUEUES_MAX];
};

/* The address registers of a queue. */
enum virtio_transport_area {
	VIRTIO_TRANSPORT_DESC,
	VIRTIO_TRANSPORT_DRIVER,
	VIRTIO_TRANSPORT_DEVICE,
};

/**
 * virtio_transport_init() - Listen to the device and its call eventfds.
 * @device: owned from success on
 * @host: borrowed, for doorbells
 * @loop: main's, borrowed
 *
 * Loop's thread. Interrupts go by the line at first. Return: 0 or a negative
 * errno.
 */
int virtio_transport_init(struct virtio_transport *transport,
			  struct virtio_device *device, struct host *host,
			  struct loop *loop,
			  const struct virtio_transport_ops *ops, void *ctx);
/* Free the device, too. Loop's thread, no vCPU running. */
void virtio_transport_fini(struct virtio_transport *transport);

/* A notification that no ioeventfd took. Any index; no lock. */
void virtio_transport_kick(const struct virtio_transport *transport,
			   uint64_t index);

/*
 * transport_doorbells.c. A queue has its doorbell from when the device looks at
 * it until reset, if its register can be reached: KVM waits for a grace period
 * whenever one comes or goes, and a guest without a driver shall not pay for
 * that. Where the register is may only change between the two calls.
 */
void virtio_transport_add_doorbells(struct virtio_transport *transport);
void virtio_transport_remove_doorbells(struct virtio_transport *transport);
void virtio_transport_remove_doorbell(struct virtio_transport *transport,
				      unsigned int index);

/* device_feature and driver_feature, by their selects; 0 out of range. */
uint32_t
virtio_transport_device_features(const struct virtio_transport *transport);
uint32_t
virtio_transport_driver_features(const struct virtio_transport *transport);
void virtio_transport_write_features(struct virtio_transport *transport,
				     uint32_t value);

/* 2.1, 3.1; returns from a reset only when it is complete. */
void virtio_transport_write_status(struct virtio_transport *transport,
				   uint8_t value);

/* What queue_select selects, or NULL. */
struct virtio_transport_queue *
virtio_transport_selected(struct virtio_transport *transport);
/* Registers of the selected queue. Nothing happens without one, nor from
 * DRIVER_OK on unless it has been reset. */
void virtio_transport_set_size(struct virtio_transport *transport,
			       uint32_t size);
void virtio_transport_set_address(struct virtio_transport *transport,
				  enum virtio_transport_area area, bool high,
				  uint32_t value);
void virtio_transport_enable_queue(struct virtio_transport *transport);
/* Not from DRIVER_OK on. */
void virtio_transport_disable_queue(struct virtio_transport *transport);
/* 2.6.1, once DRIVER_OK. Return: whether it was reset. */
bool virtio_transport_reset_queue(struct virtio_transport *transport);

/* Clear those bits of the ISR. Return: what it was. */
uint8_t virtio_transport_ack(struct virtio_transport *transport, uint8_t bits);
/* Interrupts that go by the line, and are on their way, are in the ISR then.
 * With MSI-X, they are the pending bits. */
void virtio_transport_settle(struct virtio_transport *transport);
/* Whether interrupts go by the line. */
void virtio_transport_set_lined(struct virtio_transport *transport, bool lined);

/* As a machine's reset has it: the driver's, and config_generation. Awake. */
void virtio_transport_power_on(struct virtio_transport *transport);

/* Asleep. Restoring: changes nothing if it refuses; then sets the line, but
 * leaves it to the caller to attach vectors. */
int virtio_transport_save(struct virtio_transport *transport, json_t **out);
int virtio_transport_restore(struct virtio_transport *transport,
			     const json_t *state, struct error *err);

#endif
