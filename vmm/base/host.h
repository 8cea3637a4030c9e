/*
 * What a device model asks of the machine around it: address ranges, interrupt
 * lines, and notices that decide about the whole machine. arch, pci, acpi and
 * virtio see only this struct of callbacks, so that unit tests run them
 * without KVM; vmm/ provides the real one.
 */
#ifndef VMM_BASE_HOST_H
#define VMM_BASE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bus_kind {
	BUS_PIO,  /* x86 I/O ports, 0 to 0xffff */
	BUS_MMIO, /* guest physical addresses that are not RAM */
	BUS_KINDS,
};

/*
 * The handlers of one address range. Offsets count from the range's start;
 * size is 1, 2, 4 or 8 and offset + size never passes the range's end; values
 * are zero-extended. The bus splits what is wider than max_size or not
 * naturally aligned into ascending pieces that are neither, and calls from any
 * vCPU thread at once: a device locks its own state. Addresses that belong to
 * no device read as all ones.
 */
struct bus_ops {
	uint64_t (*read)(void *ctx, uint64_t offset, unsigned int size);
	void (*write)(void *ctx, uint64_t offset, unsigned int size,
		      uint64_t value);
	unsigned int max_size; /* 1, 2, 4 or 8 */
};

/* What a device may say about the whole machine. */
enum host_notice {
	HOST_POWEROFF,	 /* the guest switched itself off */
	HOST_RESET,	 /* the guest asked for a reset */
	HOST_PANIC,	 /* the guest says that it panicked */
	HOST_DEBUG_EXIT, /* the guest handed over a status */
	HOST_NOTICES,
};

/* A message-signalled interrupt: what a write of it would be. */
struct host_msi {
	uint64_t address;
	uint32_t data;
	uint32_t device_id; /* PCI requester id; matters to a GIC's ITS */
};

/* Guest writes that become an eventfd's, without an exit to user space. */
struct host_doorbell {
	enum bus_kind bus;
	uint64_t addr;
	unsigned int size; /* of the write: 1, 2, 4, 8; 0: of any */
	bool match;	   /* only writes of value; not with size 0 */
	uint64_t value;
	int fd; /* borrowed, open until it is taken off */
};

struct host;

struct host_ops {
	/*
	 * Give [base, base + size) to a device. -EEXIST if it overlaps another
	 * range of that bus, -EINVAL if it is empty or wraps. ctx must live
	 * until the vCPUs have stopped: a handler may run once more while the
	 * range is being taken off. name is borrowed, for messages.
	 */
	int (*map)(struct host *host, enum bus_kind bus, uint64_t base,
		   uint64_t size, const struct bus_ops *ops, void *ctx,
		   const char *name);
	/* Take off the range that starts at base; -ENOENT if there is none. */
	int (*unmap)(struct host *host, enum bus_kind bus, uint64_t base);
	/*
	 * Set the level of a global system interrupt. Any thread. An edge is
	 * a true followed by a false.
	 */
	void (*irq_set)(struct host *host, unsigned int gsi, bool level);
	/*
	 * Tell the machine. Called on a vCPU thread inside a handler: that
	 * vCPU runs no further guest instruction until main has decided.
	 * value: the status of HOST_DEBUG_EXIT (0 to 255), else 0.
	 */
	void (*notice)(struct host *host, enum host_notice notice,
		       unsigned int value);

	/*
	 * Message-signalled interrupts. Each gets a global system interrupt
	 * of its own, above those of the interrupt controllers' pins, and
	 * goes where msi_route() said last; the former way if that failed.
	 * Any thread; may wait for vCPUs to leave the kernel's interrupt
	 * code. 0, -ENOSPC when there are no more, or what KVM says.
	 */
	int (*msi_alloc)(struct host *host, unsigned int *gsi);
	void (*msi_free)(struct host *host, unsigned int gsi);
	int (*msi_route)(struct host *host, unsigned int gsi,
			 const struct host_msi *msi);
	/*
	 * From now on a signal of the eventfd raises that interrupt; one that
	 * is pending in it does at once. An eventfd has at most one. fd is
	 * borrowed until irqfd_remove(), which returns when all signals from
	 * before have been delivered, and leaves the eventfd empty of them.
	 */
	int (*irqfd_add)(struct host *host, unsigned int gsi, int fd);
	void (*irqfd_remove)(struct host *host, unsigned int gsi, int fd);
	/*
	 * 0, -EEXIST, or what KVM says: it has room for 1000 or so on each
	 * bus, and says -ENOSPC beyond. Writes reach the range's handler then,
	 * as do those of a size that the doorbell is not for. The pair of
	 * add and remove has to be the same.
	 */
	int (*doorbell_add)(struct host *host,
			    const struct host_doorbell *doorbell);
	void (*doorbell_remove)(struct host *host,
				const struct host_doorbell *doorbell);
};

/* Embedded by whoever provides the services. */
struct host {
	const struct host_ops *ops;
};

/*
 * Where a serial port's or console's bytes go to and come from. The device
 * calls these with no lock of its own held.
 */
struct char_ops {
	/* Take len bytes of guest output. Never blocks; may drop. */
	void (*output)(void *ctx, const uint8_t *data, size_t len);
	/* The device's receive buffer has room again. */
	void (*input_room)(void *ctx);
};

struct char_backend {
	const struct char_ops *ops;
	void *ctx; /* borrowed */
};

#endif
