/*
 * The vhost-user protocol's wire, for both of its ends: messages, the table of
 * what each has to look like, and sending and receiving them with descriptors
 * and deadlines. The specification is QEMU's docs/interop/vhost-user; names are
 * its own.
 *
 * The peer is another process and may be hostile. A message is read whole, then
 * checked against its row, and only then does anybody look at it; descriptors
 * that no row asks for are closed. Nothing here allocates.
 */
#ifndef VIRTIO_VHOST_USER_H
#define VIRTIO_VHOST_USER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/bytes.h"

/* All that one operation may take, in ns, however many messages it needs; and
 * that a message may take from its first byte to its last. */
#define VHOST_USER_DEADLINE INT64_C(1000000000)

#define VHOST_USER_FDS_MAX     8   /* with one message */
#define VHOST_USER_REGIONS_MAX 8   /* of SET_MEM_TABLE */
#define VHOST_USER_CONFIG_MAX  256 /* bytes of configuration in a message */

/* Bits of features that are the protocol's, not the device's. */
#define VHOST_F_LOG_ALL		       26
#define VHOST_USER_F_PROTOCOL_FEATURES 30

enum vhost_user_protocol_feature {
	VHOST_USER_PROTOCOL_F_MQ = 0,
	VHOST_USER_PROTOCOL_F_LOG_SHMFD = 1,
	VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
	VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5,
	VHOST_USER_PROTOCOL_F_CONFIG = 9,
	VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD = 12,
	VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13,
	VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VHOST_USER_PROTOCOL_F_STATUS = 16,
	VHOST_USER_PROTOCOL_F_DEVICE_STATE = 19,
};

#define VHOST_USER_PROTOCOL(name) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##name)

/* From the frontend. Those left out are of features that we do not have. */
enum vhost_user_request {
	VHOST_USER_NONE = 0,
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
	VHOST_USER_SET_DEVICE_STATE_FD = 42,
	VHOST_USER_CHECK_DEVICE_STATE = 43,
	VHOST_USER_REQUESTS,
};

/* From the backend, on a channel of its own. */
enum vhost_user_backend_request {
	VHOST_USER_BACKEND_NONE = 0,
	VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2,
	VHOST_USER_BACKEND_REQUESTS,
};

/* --- Payloads. The specification has them in the host's byte order, which is
 * little-endian on all that bantam runs on. --------------------------------
 */

struct vhost_user_header {
	le32 request;
	le32 flags;
	le32 size; /* of the payload */
};
static_assert(sizeof(struct vhost_user_header) == 12, "Header");

#define VHOST_USER_VERSION	1u
#define VHOST_USER_VERSION_MASK 3u
#define VHOST_USER_REPLY	4u
#define VHOST_USER_NEED_REPLY	8u

/* SET_VRING_KICK, _CALL, _ERR: the queue, and whether no descriptor comes. */
#define VHOST_USER_VRING_INDEX_MASK UINT64_C(0xff)
#define VHOST_USER_VRING_NOFD	    UINT64_C(0x100)
/* The answer to SET_DEVICE_STATE_FD: the same of it. */
#define VHOST_USER_STATE_ERROR_MASK UINT64_C(0xff)
#define VHOST_USER_STATE_NOFD	    UINT64_C(0x100)

struct vhost_user_vring_state {
	le32 index;
	le32 num;
};
static_assert(sizeof(struct vhost_user_vring_state) == 8, "vring state");

#define VHOST_VRING_F_LOG 1u /* of the flags below */

struct vhost_user_vring_addr {
	le32 index;
	le32 flags;
	le64 descriptor; /* these in the frontend's address space */
	le64 used;
	le64 available;
	le64 log; /* guest physical */
};
static_assert(sizeof(struct vhost_user_vring_addr) == 40, "vring address");

struct vhost_user_region {
	le64 guest_address;
	le64 size;
	le64 user_address;
	le64 mmap_offset;
};
static_assert(sizeof(struct vhost_user_region) == 32, "memory region");

struct vhost_user_mem_table {
	le32 count;
	le32 padding;
	struct vhost_user_region regions[VHOST_USER_REGIONS_MAX];
};
static_assert(offsetof(struct vhost_user_mem_table, regions) == 8,
	      "memory regions");

struct vhost_user_mem_region {
	le64 padding;
	struct vhost_user_region region;
};
static_assert(sizeof(struct vhost_user_mem_region) == 40,
	      "single memory region");

struct vhost_user_log {
	le64 size;
	le64 offset;
};
static_assert(sizeof(struct vhost_user_log) == 16, "log description");

#define VHOST_USER_CONFIG_HEAD 12

struct vhost_user_config {
	le32 offset;
	le32 size;
	le32 flags;
	uint8_t data[VHOST_USER_CONFIG_MAX];
};
static_assert(offsetof(struct vhost_user_config, data) ==
		      VHOST_USER_CONFIG_HEAD,
	      "virtio device config space");

struct vhost_user_inflight {
	le64 mmap_size;
	le64 mmap_offset;
	le16 num_queues;
	le16 queue_size;
	uint8_t padding[4];
};
/* What is used of it; some peers send the padding that their compiler adds. */
#define VHOST_USER_INFLIGHT_SIZE 20
static_assert(offsetof(struct vhost_user_inflight, padding) ==
		      VHOST_USER_INFLIGHT_SIZE,
	      "inflight description");

enum vhost_user_transfer {
	VHOST_USER_TRANSFER_SAVE = 0,
	VHOST_USER_TRANSFER_LOAD = 1,
};

struct vhost_user_state_transfer {
	le32 direction; /* enum vhost_user_transfer */
	le32 phase;	/* 0: stopped */
};
static_assert(sizeof(struct vhost_user_state_transfer) == 8,
	      "device state transfer parameters");

union vhost_user_payload {
	le64 u64;
	struct vhost_user_vring_state state;
	struct vhost_user_vring_addr addr;
	struct vhost_user_mem_table table;
	struct vhost_user_mem_region region;
	struct vhost_user_log log;
	struct vhost_user_config config;
	struct vhost_user_inflight inflight;
	struct vhost_user_state_transfer transfer;
	uint8_t bytes[VHOST_USER_CONFIG_HEAD + VHOST_USER_CONFIG_MAX];
};

/* A message in memory. Descriptors are owned by whoever has the message. */
struct vhost_user_message {
	uint32_t request, flags;
	uint32_t size; /* bytes of the payload that count */
	union vhost_user_payload payload;
	int fds[VHOST_USER_FDS_MAX];
	unsigned int fd_count;
};

/* Close what is left of its descriptors. */
void vhost_user_message_fini(struct vhost_user_message *message);
/* Take a descriptor out of it, -1 if it has none of that number. */
int vhost_user_message_take_fd(struct vhost_user_message *message,
			       unsigned int index);

/* --- The table ------------------------------------------------------------
 */

/* Who sends. */
enum vhost_user_side {
	VHOST_USER_FRONTEND,
	VHOST_USER_BACKEND,
	VHOST_USER_SIDES,
};

/* What has to have come before. */
enum vhost_user_phase {
	VHOST_USER_PHASE_ANY,
	VHOST_USER_PHASE_OWNED, /* SET_OWNER */
	VHOST_USER_PHASE_READY, /* and SET_FEATURES */
};

/* Sizes in bytes; descriptors. */
struct vhost_user_bounds {
	uint16_t min, max;
	uint8_t fds_min, fds_max;
};

struct vhost_user_row {
	const char *name; /* NULL: there is no such request */
	struct vhost_user_bounds request;
	/* The answer that it always has; max 0: none, but an acknowledgement
	 * (a u64, 0 for success) where REPLY_ACK and its header want one. */
	struct vhost_user_bounds reply;
	uint64_t feature; /* VHOST_USER_PROTOCOL() that it needs, or 0 */
	enum vhost_user_phase phase;
};

/* The row of a request, or NULL. */
const struct vhost_user_row *vhost_user_row(enum vhost_user_side side,
					    uint32_t request);

/**
 * vhost_user_check() - May that request be looked at?
 * @features: protocol features that were agreed upon
 * @phase: how far the connection is
 * @why: what is wrong with it, in words
 *
 * Return: its row, or NULL.
 */
const struct vhost_user_row *
vhost_user_check(enum vhost_user_side side,
		 const struct vhost_user_message *message, uint64_t features,
		 enum vhost_user_phase phase, const char **why);

/* The same of an answer to that row's request. Return: 0 or -EPROTO. */
int vhost_user_check_reply(const struct vhost_user_row *row,
			   const struct vhost_user_message *request,
			   const struct vhost_user_message *reply,
			   const char **why);

/* --- Sending and receiving ------------------------------------------------
 */

/* A message that is coming in. Zero-initialised; vhost_user_reader_fini(). */
struct vhost_user_reader {
	size_t got;    /* bytes, header included */
	int64_t begun; /* loop_now() of the first */
	struct vhost_user_header header;
	struct vhost_user_message message;
};

void vhost_user_reader_fini(struct vhost_user_reader *reader);

/**
 * vhost_user_read() - Read as much of a message as there is.
 * @fd: a stream socket, of any mode
 * @out: the message, if it is whole; its descriptors are the caller's then
 *
 * Never waits. Return: 1 for a whole one; 0: more has to come; -ECONNRESET at
 * the end of the connection; -EPROTO for what is no message, -EMFILE for more
 * descriptors than any may have; or what recvmsg(2) says.
 */
int vhost_user_read(struct vhost_user_reader *reader, int fd,
		    struct vhost_user_message *out);

/* loop_wait_fd(), but with nothing at all after @deadline: a peer that drips
 * has its end, too. */
int vhost_user_wait(int fd, short events, int64_t deadline);

/* Read, waiting until loop_now() is @deadline. Return: 0, -ETIMEDOUT, or
 * as above. */
int vhost_user_receive(int fd, int64_t deadline,
		       struct vhost_user_message *out);

/* Send, waiting until then for room; the descriptors stay the caller's.
 * Return: 0, -ETIMEDOUT, or as fd_passing_send(). */
int vhost_user_send(int fd, int64_t deadline,
		    const struct vhost_user_message *message);

#endif
