/*
 * A virtio device: what a model implements (struct virtio_device_ops, one row
 * of virtio/table.c each), and the object around it that keeps its state, its
 * queues, its lock and its place in an event loop.
 *
 * Theory of operation. A model does not know where it runs or which transport
 * the driver sees. Its operations are never called two at once: the object's
 * lock is held around each of them, and around each callback of a descriptor
 * or timer. A register that the driver writes is handled on the vCPU's thread,
 * a kick on the loop's thread; in a device process both are the same. So a
 * model needs no lock and no thread of its own.
 *
 * The states are those of the table in virtio/device.c:
 *
 *   new --activate--> active --reset--> inactive --activate--> active
 *   new, active, inactive --sleep--> asleep(the same) --wake--> back
 *   asleep(new) --restore--> asleep(active or inactive)
 *   failed activation or lost backend --> failed --reset--> inactive
 *
 * Everything else is refused and changes nothing.
 */
#ifndef VIRTIO_DEVICE_H
#define VIRTIO_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "acpi/aml.h"
#include "virtio/queue.h"
#include "vmm/base/error.h"
#include "vmm/base/guest_mem.h"
#include "vmm/base/host.h"
#include "vmm/base/loop.h"
#include "vmm/base/syscall_list.h"

#define VIRTIO_QUEUES_MAX   64 /* of one device */
#define VIRTIO_FDS_MAX	    32 /* that open() may acquire */
#define VIRTIO_KEEP_FDS_MAX 256
#define VIRTIO_TIMERS_MAX   16
#define VIRTIO_LABEL_MAX    32

/* What virtio_device_keep_fds() may say. */
#define VIRTIO_DEVICE_FDS_MAX \
	(VIRTIO_KEEP_FDS_MAX + 2 * VIRTIO_QUEUES_MAX + VIRTIO_TIMERS_MAX)

struct virtio_device;
struct starter; /* vmm/base/starter.h */

/* What open() acquired: descriptors, and all else as JSON. */
struct virtio_resources {
	json_t *description;	 /* owned; an object */
	int fds[VIRTIO_FDS_MAX]; /* owned */
	unsigned int fd_count;
	/* Borrowed; 0: none. A pipe that has to stay open as long as anything
	 * of the process can write to guest memory: whoever hands work to the
	 * kernel that outlives the process hands it over, too. */
	int life_fd;
	/* Owned; NULL: none. In main, for reopen(): starts what open() did. */
	struct starter *starter;
};

/* Close and free. Safe on a zeroed one. */
void virtio_resources_fini(struct virtio_resources *resources);

/* There will be no reopen(): what only that wants is freed. */
void virtio_resources_settle(struct virtio_resources *resources);

/* What open() gets besides the device's own options. */
struct virtio_open {
	const char *option;  /* for messages: "--disk a.img" */
	const void *options; /* the type's struct, from virtio/TYPE.h */
	bool dry_run;	     /* check everything, change nothing */
};

/* PCI address of a device, for ACPI and boot order. */
struct virtio_pci_address {
	uint8_t slot, function;
};

/* A further BAR, a further capability, and one shared-memory region. */
struct virtio_bar {
	uint8_t index;
	uint64_t size;
	bool prefetchable;
	const struct bus_ops *ops;
	void *ctx;
};

struct virtio_cap {
	uint8_t cfg_type; /* of struct virtio_pci_cap */
	uint8_t bar, id;
	uint64_t offset, length;
};

struct virtio_shm_region {
	uint8_t id;
	uint64_t length;
};

enum virtio_shm_prepare {
	VIRTIO_SHM_DYNAMIC,  /* a mapping for each request */
	VIRTIO_SHM_PREPARED, /* one, made lazily, of one caching type */
};

/* Maps files into a device's shared-memory region. */
struct virtio_shm_mapper {
	int (*map)(void *ctx, int fd, uint64_t file_offset, uint64_t offset,
		   uint64_t len, bool writable);
	int (*unmap)(void *ctx, uint64_t offset, uint64_t len);
	void *ctx;
};

/* What changed of MSI-X, for a device with help in the kernel. */
struct virtio_msix_change {
	bool function; /* the mask of all; otherwise of one vector */
	unsigned int vector;
	bool masked;
};

/*
 * A type of device. NULL stands for the default that virtio/device.c gives,
 * unless "required". All with the device's lock held; open() alone has no
 * device yet. Returns of 0 or a negative errno.
 */
struct virtio_device_ops {
	const char *type;    /* "block": the option's and the table's name */
	uint16_t device_id;  /* section 5 */
	uint32_t class_code; /* PCI, 24 bits */
	/* What a process of its own may ask of the kernel, from
	 * virtio/seccomp.c. NULL: it never has one. */
	const struct syscall_list *seccomp;

	/*
	 * In main: check the options and acquire what the device needs. May
	 * block. err names the option. required
	 */
	int (*open)(const struct virtio_open *open,
		    struct virtio_resources *out, struct error *err);
	/*
	 * In main, when the process that had it is dead, and a new one is to
	 * be: what cannot be used a second time is acquired anew, in place.
	 * May block. Default: all can be
	 */
	int (*reopen)(const struct virtio_open *open,
		      struct virtio_resources *resources, struct error *err);
	/* A pidfd in there of a process that open() started, -1 for none.
	 * Default: none */
	int (*helper)(const struct virtio_resources *resources);
	const char *helper_name; /* for messages */
	/*
	 * Where it will run, from exactly what open() gave (borrowed until
	 * destroy; may be created several times over). required
	 */
	int (*create)(void **self, struct virtio_device *device,
		      const struct virtio_resources *resources,
		      struct error *err);
	/* Not active. required */
	void (*destroy)(void *self);
	/* Every descriptor that self needs in its process, but for those of
	 * the object (eventfds, timers): into fds, at most
	 * VIRTIO_KEEP_FDS_MAX. Return: how many. required */
	unsigned int (*keep_fds)(void *self, int *fds);

	/* How many queues, and the largest size of each: a power of two.
	 * sizes: room for VIRTIO_QUEUES_MAX. Constant. required */
	unsigned int (*queue_max_sizes)(void *self, uint16_t *sizes);
	/* MSI-X vectors beside the one for configuration changes. Default:
	 * one a queue */
	unsigned int (*num_interrupts)(void *self);
	/* What is offered; VIRTIO_F_VERSION_1 and what virtio/queue.c can do
	 * are added, unless queues are elsewhere. Constant. Default: 0 */
	uint64_t (*features)(void *self);
	/*
	 * Whether another process has the queue's rings: then the object
	 * neither waits for its kicks nor makes a virtqueue, activate, wake
	 * and queue_enable find NULL and ask virtio_device_ring(), and sleep
	 * says virtio_device_set_ring_position(). A type that has this offers
	 * just what features() says. Constant. Default: none is
	 */
	bool (*queue_elsewhere)(void *self, unsigned int index);
	/* At FEATURES_OK; a subset of what was offered. */
	void (*ack_features)(void *self, uint64_t features);
	/* Device configuration (2.5). Inside config_size; the object has
	 * checked that. Default: nothing there. */
	size_t (*config_size)(void *self);
	void (*read_config)(void *self, size_t offset, void *data, size_t len);
	void (*write_config)(void *self, size_t offset, const void *data,
			     size_t len);

	/*
	 * queues: by index, NULL where the driver enabled none; count as
	 * queue_max_sizes said. Theirs until reset or sleep. On failure the
	 * object says DEVICE_NEEDS_RESET. required
	 */
	int (*activate)(void *self, struct virtqueue *const *queues);
	/* The device may look at this queue: a kick came, or it has just been
	 * activated or woken. required */
	void (*queue_ready)(void *self, unsigned int index);
	/*
	 * Drop every chain (virtqueue_chain_free), forget the queues. Nothing
	 * may touch guest memory after it returns. Called when active, failed
	 * (there may never have been an activate) or, before destroy,
	 * asleep(active). required
	 */
	void (*reset)(void *self);
	/* VIRTIO_F_RING_RESET: the same for one queue; and take it up again.
	 * Default: not offered. Both or none. */
	void (*queue_reset)(void *self, unsigned int index);
	int (*queue_enable)(void *self, unsigned int index,
			    struct virtqueue *queue);

	/*
	 * sleep: finish what is in flight and put it, touch nothing more; an
	 * active device forgets its queues, wake gives them again. May wait.
	 * Default: an active device with nothing in flight between two calls
	 * of its operations. In new and inactive, too.
	 * wake: queues is NULL unless it was active. A failure is one of
	 * activate. Default: activate(queues) if it was active.
	 */
	int (*sleep)(void *self);
	int (*wake)(void *self, struct virtqueue *const *queues);
	/* Asleep. State beyond features and queues; restore checks it and
	 * changes nothing when it refuses; it sees the features in
	 * virtio_device_acked(), and ack_features() follows it. required */
	int (*snapshot)(void *self, json_t **out);
	int (*restore)(void *self, const json_t *state, struct error *err);
	/*
	 * What the driver has set by commands and messages, in snapshot's
	 * format: for a process that takes the device up after this one was
	 * killed. Also while active. The model says
	 * virtio_device_state_changed() before the driver can know that it is
	 * another. Default: nothing
	 */
	int (*remember)(void *self, json_t **out);

	/* From the control socket: resize, link, ... Default: none known.
	 * reply: a new reference, or left NULL */
	int (*command)(void *self, const char *name, const json_t *args,
		       json_t **reply, struct error *err);
	/* In its process, once the jail is closed; in main right after
	 * create(). The only place where threads may start. Default: nothing */
	int (*on_sandboxed)(void *self);

	unsigned int (*pci_bars)(void *self, struct virtio_bar *bars);
	unsigned int (*pci_caps)(void *self, struct virtio_cap *caps);
	void (*control_notify)(void *self,
			       const struct virtio_msix_change *change);
	void (*generate_acpi)(void *self, struct aml *aml,
			      const struct virtio_pci_address *address);
	/* A wish; true if there is one. */
	bool (*pci_address)(void *self, struct virtio_pci_address *out);
	bool (*shm_region)(void *self, struct virtio_shm_region *out);
	bool (*shm_with_viommu)(void *self);
	void (*set_shm_mapper)(void *self,
			       const struct virtio_shm_mapper *mapper);
	void (*set_shm_address)(void *self, uint64_t address);
	enum virtio_shm_prepare (*shm_prepare)(void *self);
	/* The device's line in fw_cfg's bootorder; false: none. */
	bool (*boot_order)(void *self, unsigned int slot, char *line,
			   size_t size);
};

enum virtio_device_state {
	VIRTIO_DEVICE_NEW,
	VIRTIO_DEVICE_ACTIVE,
	VIRTIO_DEVICE_INACTIVE,
	VIRTIO_DEVICE_FAILED,
	VIRTIO_DEVICE_ASLEEP_NEW,
	VIRTIO_DEVICE_ASLEEP_ACTIVE,
	VIRTIO_DEVICE_ASLEEP_INACTIVE,
	VIRTIO_DEVICE_STATES,
};

/* What a transport wants to hear. With the device's lock held. */
struct virtio_device_events {
	/* The configuration changed: config_generation, and an interrupt. */
	void (*config_changed)(void *ctx);
	/* DEVICE_NEEDS_RESET, and a configuration interrupt. */
	void (*needs_reset)(void *ctx);
	/* What remember() gives is another; NULL: nobody wants it. */
	void (*state_changed)(void *ctx);
};

struct virtio_device_config {
	const struct virtio_device_ops *ops;
	const char *label;			  /* such as "block0"; copied */
	struct loop *loop;			  /* borrowed: where it runs */
	struct guest_mem *mem;			  /* borrowed */
	const struct virtio_resources *resources; /* borrowed */
	bool packed; /* offer VIRTIO_F_RING_PACKED */
};

/**
 * virtio_device_new() - Make the object and the model in it; state: new.
 * @out: for virtio_device_free()
 *
 * Makes a kick and a call eventfd for each queue. Loop's thread.
 * Return: 0 or a negative errno, @err set.
 */
int virtio_device_new(struct virtio_device **out,
		      const struct virtio_device_config *config,
		      struct error *err);

/* Reset it if need be, and free. Loop's thread, nobody else uses it. */
void virtio_device_free(struct virtio_device *device);

/* The one lock of a device and its transport. Recursion is not allowed. */
void virtio_device_lock(struct virtio_device *device);
void virtio_device_unlock(struct virtio_device *device);

/* --- Constant after virtio_device_new(); no lock needed --------------------
 */

const char *virtio_device_label(const struct virtio_device *device);
const struct virtio_device_ops *
virtio_device_ops(const struct virtio_device *device);
/* The model, for who knows its type. */
void *virtio_device_model(const struct virtio_device *device);
unsigned int virtio_device_queues(const struct virtio_device *device);
uint16_t virtio_device_queue_max(const struct virtio_device *device,
				 unsigned int index);
unsigned int virtio_device_interrupts(const struct virtio_device *device);
uint64_t virtio_device_features(const struct virtio_device *device);
size_t virtio_device_config_size(const struct virtio_device *device);
/* Eventfds, borrowed; live as long as the device. Non-blocking. */
int virtio_device_kick_fd(const struct virtio_device *device,
			  unsigned int index);
int virtio_device_call_fd(const struct virtio_device *device,
			  unsigned int index);
/* All of them, timers and the model's: what a process that runs it keeps.
 * fds: room for VIRTIO_DEVICE_FDS_MAX. */
unsigned int virtio_device_keep_fds(struct virtio_device *device, int *fds);

/* --- For transports, with the lock held (the _locked suffix of all) --------
 */

void virtio_device_set_events_locked(struct virtio_device *device,
				     const struct virtio_device_events *events,
				     void *ctx);
enum virtio_device_state
virtio_device_state_locked(const struct virtio_device *device);
/* In any awake state but active: the driver's features. Subset checked by the
 * caller. */
void virtio_device_ack_features_locked(struct virtio_device *device,
				       uint64_t features);
/* Any offset and length: what is past the end reads as 0 and is not written. */
void virtio_device_read_config_locked(struct virtio_device *device,
				      uint64_t offset, void *data, size_t len);
void virtio_device_write_config_locked(struct virtio_device *device,
				       uint64_t offset, const void *data,
				       size_t len);
/**
 * virtio_device_activate_locked() - DRIVER_OK.
 * @queues: @count configs of the queues that the driver enabled; what is of
 *	    the features and the eventfds is filled in here
 *
 * Return: 0; -EBUSY in a state that does not allow it; or what went wrong, and
 * the device has failed and said needs_reset.
 */
int virtio_device_activate_locked(struct virtio_device *device,
				  const struct virtqueue_config *queues,
				  unsigned int count);
/* Any awake state. Return: 0 or -EBUSY. */
int virtio_device_reset_locked(struct virtio_device *device);
/**
 * virtio_device_queue_reset_locked() - VIRTIO_F_RING_RESET of one queue.
 *
 * Return: 0, also if it is not enabled; -EBUSY unless active; -EINVAL for a
 * queue that there is not; -ENOTSUP if the model cannot.
 */
int virtio_device_queue_reset_locked(struct virtio_device *device,
				     unsigned int index);
/* Take a queue up again after that. Return: likewise; -EBUSY, too, if it is
 * enabled; a bad config, or a model that fails: as activate. */
int virtio_device_queue_enable_locked(struct virtio_device *device,
				      const struct virtqueue_config *queue);
/* Return: 0; -EBUSY in a state that does not allow it; or what the model
 * says, and it is as awake as before. */
int virtio_device_sleep_locked(struct virtio_device *device);
/* Return: 0; -EBUSY likewise; or what went wrong: it is awake, but has failed
 * and said needs_reset, so that the guest may reset it. */
int virtio_device_wake_locked(struct virtio_device *device);
/*
 * For a backend, whose frontend sets the queues up. Activation, of queues that
 * begin at these positions; a queue of a device that is asleep, as its driver
 * set it up by now (NULL: not enabled), and where it stands. Loop's thread;
 * activate, sleep and wake say what else.
 */
int virtio_device_activate_at_locked(struct virtio_device *device,
				     const struct virtqueue_config *queues,
				     const struct virtqueue_position *positions,
				     unsigned int count);
/* Return: 0; -EBUSY unless asleep and active; -EINVAL for no such queue. */
int virtio_device_set_queue_locked(struct virtio_device *device,
				   unsigned int index,
				   const struct virtqueue_config *queue,
				   const struct virtqueue_position *position);
/* Of an active or failed device, without what is in flight; of one that is
 * asleep. virtqueue_start if it is not enabled. */
struct virtqueue_position
virtio_device_position_locked(const struct virtio_device *device,
			      unsigned int index);
/*
 * Take eventfds of the frontend's in place of the queue's own: owned, -1 for
 * none. Any state, and a kick that came before is not lost.
 * Return: 0, or what epoll_ctl(2) says.
 */
int virtio_device_set_kick_locked(struct virtio_device *device,
				  unsigned int index, int fd);
void virtio_device_set_call_locked(struct virtio_device *device,
				   unsigned int index, int fd);
/* Asleep: state, features, queues with their positions, the model's own. */
int virtio_device_snapshot_locked(struct virtio_device *device, json_t **out);
int virtio_device_restore_locked(struct virtio_device *device,
				 const json_t *state, struct error *err);
/* Any state. Return: -EOPNOTSUPP if the model has nothing to remember. */
int virtio_device_remember_locked(struct virtio_device *device, json_t **out);
int virtio_device_command_locked(struct virtio_device *device, const char *name,
				 const json_t *args, json_t **reply,
				 struct error *err);

/* The model's operation of the same name, or its default. With the lock held,
 * too; but _on_sandboxed on the loop's thread, once, before any other. */
int virtio_device_on_sandboxed_locked(struct virtio_device *device);
unsigned int virtio_device_pci_bars_locked(struct virtio_device *device,
					   struct virtio_bar *bars);
unsigned int virtio_device_pci_caps_locked(struct virtio_device *device,
					   struct virtio_cap *caps);
void virtio_device_control_notify_locked(
	struct virtio_device *device, const struct virtio_msix_change *change);
void virtio_device_generate_acpi_locked(
	struct virtio_device *device, struct aml *aml,
	const struct virtio_pci_address *address);
bool virtio_device_pci_address_locked(struct virtio_device *device,
				      struct virtio_pci_address *out);
bool virtio_device_shm_region_locked(struct virtio_device *device,
				     struct virtio_shm_region *out);
bool virtio_device_shm_with_viommu_locked(struct virtio_device *device);
void virtio_device_set_shm_mapper_locked(
	struct virtio_device *device, const struct virtio_shm_mapper *mapper);
void virtio_device_set_shm_address_locked(struct virtio_device *device,
					  uint64_t address);
enum virtio_shm_prepare
virtio_device_shm_prepare_locked(struct virtio_device *device);
bool virtio_device_boot_order_locked(struct virtio_device *device,
				     unsigned int slot, char *line,
				     size_t size);

/* --- For models, from within their operations and callbacks ----------------
 */

struct guest_mem *virtio_device_mem(struct virtio_device *device);
/* What the driver accepted; 0 before. */
uint64_t virtio_device_acked(const struct virtio_device *device);
/* A queue that is elsewhere, as its driver set it up, with the eventfds that
 * are to be used, and where it begins; NULL if it is not enabled. */
const struct virtqueue_config *
virtio_device_ring(const struct virtio_device *device, unsigned int index,
		   struct virtqueue_position *position);
/* From sleep(): where it stands. */
void virtio_device_set_ring_position(struct virtio_device *device,
				     unsigned int index,
				     const struct virtqueue_position *position);
/* The content of the configuration space is another now. */
void virtio_device_config_changed(struct virtio_device *device);
/* What remember() gives is another now. */
void virtio_device_state_changed(struct virtio_device *device);
/* The guest broke it, or the backend is lost: failed until it is reset. No
 * more queue_ready comes. Nothing happens while it sleeps. */
void virtio_device_needs_reset(struct virtio_device *device);

/* A descriptor of the model in the device's loop. */
struct virtio_watch;
typedef void virtio_watch_fn(void *self, uint32_t events);
/**
 * virtio_device_watch() - Call @fn with the lock held when @fd is ready.
 * @fd: as loop_fd_add()
 * @events: EPOLLIN, EPOLLOUT, both; EPOLLERR and EPOLLHUP come with them, or
 *	    may stand alone. 0: nothing at all is reported, no hang-up either
 *
 * From create() only. Freed with the device, after destroy(). No call comes
 * while the device sleeps; what is due then comes after it has woken.
 */
int virtio_device_watch(struct virtio_device *device, struct virtio_watch **out,
			int fd, uint32_t events, virtio_watch_fn *fn,
			void *self);
/* Any operation or callback, whatever thread that is on. */
int virtio_watch_set(struct virtio_watch *watch, uint32_t events);
/*
 * Watch another descriptor from now on; -1: none, until it is moved again. The
 * one before is still open. Loop's thread. Return: 0, or what loop_fd_add()
 * says, and it watches none.
 */
int virtio_watch_move(struct virtio_watch *watch, int fd, uint32_t events);

/**
 * virtio_device_look() - Call @fn, with the lock held, before the device's loop
 * waits: see loop_look_fn of vmm/base/loop.h.
 *
 * A model that has one leaves its kicks off (virtqueue_set_kicks()) until the
 * loop sleeps. At most one, from create() only. No call comes while the device
 * sleeps. Return: 0 or -ENOMEM.
 */
typedef bool virtio_look_fn(void *self, bool sleeps);
int virtio_device_look(struct virtio_device *device, virtio_look_fn *fn);

/* A timer, likewise: a timerfd, so that any operation may set it. */
struct virtio_timer;
typedef void virtio_timer_fn(void *self);
int virtio_device_timer(struct virtio_device *device, struct virtio_timer **out,
			virtio_timer_fn *fn, void *self);
/* Once, ns from now; 0: never. Any operation or callback. Goes on while the
 * device sleeps, but calls only after it has woken. */
void virtio_timer_set(struct virtio_timer *timer, uint64_t ns);

#endif
