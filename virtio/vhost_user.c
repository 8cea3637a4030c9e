#include "virtio/vhost_user.h"

#include <errno.h>
#include <string.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/fd_passing.h"
#include "vmm/base/loop.h"

#define HEADER sizeof(struct vhost_user_header)

static_assert(VHOST_USER_FDS_MAX <= FD_PASSING_MAX, "Descriptors");

/* --- Descriptors of a message ---------------------------------------------
 */

void vhost_user_message_fini(struct vhost_user_message *message)
{
	for (unsigned int i = 0; i < message->fd_count; i++) {
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	}
	message->fd_count = 0;
}

int vhost_user_message_take_fd(struct vhost_user_message *message,
			       unsigned int index)
{
	int fd;

	if (index >= message->fd_count)
		return -1;
	fd = message->fds[index];
	message->fds[index] = -1;
	return fd;
}

/* --- The table ------------------------------------------------------------
 */

#define EXACTLY(type)                                    \
	{                                                \
		.min = sizeof(type), .max = sizeof(type) \
	}
#define WITH_FDS(type, least, most)                                           \
	{                                                                     \
		.min = sizeof(type), .max = sizeof(type), .fds_min = (least), \
		.fds_max = (most)                                             \
	}

static const struct vhost_user_row vhost_user_frontend_rows[] = {
	[VHOST_USER_GET_FEATURES] =
		{
			.name = "GET_FEATURES",
			.reply = EXACTLY(le64),
		},
	[VHOST_USER_SET_FEATURES] =
		{
			.name = "SET_FEATURES",
			.request = EXACTLY(le64),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_SET_OWNER] =
		{
			.name = "SET_OWNER",

		},
	[VHOST_USER_RESET_OWNER] =
		{
			.name = "RESET_OWNER",
			/* Means nothing any more, says the specification. */
		},
	[VHOST_USER_SET_MEM_TABLE] =
		{
			.name = "SET_MEM_TABLE",
			.request =
				{
					.min = offsetof(
						struct vhost_user_mem_table,
						regions),
					.max = sizeof(
						struct vhost_user_mem_table),
					.fds_max = VHOST_USER_REGIONS_MAX,
				},
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_SET_LOG_BASE] =
		{
			.name = "SET_LOG_BASE",
			.request = WITH_FDS(struct vhost_user_log, 1, 1),
			.reply = EXACTLY(le64),
			.feature = VHOST_USER_PROTOCOL(LOG_SHMFD),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_SET_LOG_FD] =
		{
			.name = "SET_LOG_FD",
			.request = {.max = sizeof(le64), .fds_max = 1},
			.feature = VHOST_USER_PROTOCOL(LOG_SHMFD),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_SET_VRING_NUM] =
		{
			.name = "SET_VRING_NUM",
			.request = EXACTLY(struct vhost_user_vring_state),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_SET_VRING_ADDR] =
		{
			.name = "SET_VRING_ADDR",
			.request = EXACTLY(struct vhost_user_vring_addr),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_SET_VRING_BASE] =
		{
			.name = "SET_VRING_BASE",
			.request = EXACTLY(struct vhost_user_vring_state),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_GET_VRING_BASE] =
		{
			.name = "GET_VRING_BASE",
			.request = EXACTLY(struct vhost_user_vring_state),
			.reply = EXACTLY(struct vhost_user_vring_state),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_SET_VRING_KICK] =
		{
			.name = "SET_VRING_KICK",
			.request = WITH_FDS(le64, 0, 1),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_SET_VRING_CALL] =
		{
			.name = "SET_VRING_CALL",
			.request = WITH_FDS(le64, 0, 1),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_SET_VRING_ERR] =
		{
			.name = "SET_VRING_ERR",
			.request = WITH_FDS(le64, 0, 1),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_GET_PROTOCOL_FEATURES] =
		{
			.name = "GET_PROTOCOL_FEATURES",
			.reply = EXACTLY(le64),
		},
	[VHOST_USER_SET_PROTOCOL_FEATURES] =
		{
			.name = "SET_PROTOCOL_FEATURES",
			.request = EXACTLY(le64),
		},
	[VHOST_USER_GET_QUEUE_NUM] =
		{
			.name = "GET_QUEUE_NUM",
			.reply = EXACTLY(le64),
			.feature = VHOST_USER_PROTOCOL(MQ),
		},
	[VHOST_USER_SET_VRING_ENABLE] =
		{
			.name = "SET_VRING_ENABLE",
			.request = EXACTLY(struct vhost_user_vring_state),
			/* QEMU enables a network card's before it has sent
			 * features. */
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_SET_BACKEND_REQ_FD] =
		{
			.name = "SET_BACKEND_REQ_FD",
			.request = {.fds_min = 1, .fds_max = 1},
			.feature = VHOST_USER_PROTOCOL(BACKEND_REQ),
		},
	[VHOST_USER_GET_CONFIG] =
		{
			.name = "GET_CONFIG",
			.request =
				{
					.min = VHOST_USER_CONFIG_HEAD,
					.max = sizeof(struct vhost_user_config),
				},
			.reply = {.max = sizeof(struct vhost_user_config)},
			.feature = VHOST_USER_PROTOCOL(CONFIG),
		},
	[VHOST_USER_SET_CONFIG] =
		{
			.name = "SET_CONFIG",
			.request =
				{
					.min = VHOST_USER_CONFIG_HEAD + 1,
					.max = sizeof(struct vhost_user_config),
				},
			.feature = VHOST_USER_PROTOCOL(CONFIG),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_GET_INFLIGHT_FD] =
		{
			.name = "GET_INFLIGHT_FD",
			.request =
				{
					.min = VHOST_USER_INFLIGHT_SIZE,
					.max = sizeof(
						struct vhost_user_inflight),
				},
			.reply =
				{
					.min = VHOST_USER_INFLIGHT_SIZE,
					.max = sizeof(
						struct vhost_user_inflight),
					.fds_max = 1,
				},
			.feature = VHOST_USER_PROTOCOL(INFLIGHT_SHMFD),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_SET_INFLIGHT_FD] =
		{
			.name = "SET_INFLIGHT_FD",
			.request =
				{
					.min = VHOST_USER_INFLIGHT_SIZE,
					.max = sizeof(
						struct vhost_user_inflight),
					.fds_min = 1,
					.fds_max = 1,
				},
			.feature = VHOST_USER_PROTOCOL(INFLIGHT_SHMFD),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_RESET_DEVICE] =
		{
			.name = "RESET_DEVICE",
			.feature = VHOST_USER_PROTOCOL(RESET_DEVICE),
		},
	[VHOST_USER_GET_MAX_MEM_SLOTS] =
		{
			.name = "GET_MAX_MEM_SLOTS",
			.reply = EXACTLY(le64),
			.feature = VHOST_USER_PROTOCOL(CONFIGURE_MEM_SLOTS),
		},
	[VHOST_USER_ADD_MEM_REG] =
		{
			.name = "ADD_MEM_REG",
			.request = WITH_FDS(struct vhost_user_mem_region, 1, 1),
			.feature = VHOST_USER_PROTOCOL(CONFIGURE_MEM_SLOTS),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_REM_MEM_REG] =
		{
			.name = "REM_MEM_REG",
			/* Some send the region's descriptor, which means
			   nothing. */
			.request = WITH_FDS(struct vhost_user_mem_region, 0, 1),
			.feature = VHOST_USER_PROTOCOL(CONFIGURE_MEM_SLOTS),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_SET_STATUS] =
		{
			.name = "SET_STATUS",
			.request = EXACTLY(le64),
			.feature = VHOST_USER_PROTOCOL(STATUS),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_GET_STATUS] =
		{
			.name = "GET_STATUS",
			.reply = EXACTLY(le64),
			.feature = VHOST_USER_PROTOCOL(STATUS),
		},
	[VHOST_USER_SET_DEVICE_STATE_FD] =
		{
			.name = "SET_DEVICE_STATE_FD",
			.request = WITH_FDS(struct vhost_user_state_transfer, 1,
					    1),
			.reply = WITH_FDS(le64, 0, 1),
			.feature = VHOST_USER_PROTOCOL(DEVICE_STATE),
			.phase = VHOST_USER_PHASE_OWNED,
		},
	[VHOST_USER_CHECK_DEVICE_STATE] =
		{
			.name = "CHECK_DEVICE_STATE",
			.reply = EXACTLY(le64),
			.feature = VHOST_USER_PROTOCOL(DEVICE_STATE),
			.phase = VHOST_USER_PHASE_OWNED,
		},
};

static_assert(sizeof(vhost_user_frontend_rows) ==
		      VHOST_USER_REQUESTS * sizeof(vhost_user_frontend_rows[0]),
	      "a place for each request");

static const struct vhost_user_row vhost_user_backend_rows[] = {
	[VHOST_USER_BACKEND_CONFIG_CHANGE_MSG] =
		{
			.name = "CONFIG_CHANGE_MSG",
			.feature = VHOST_USER_PROTOCOL(CONFIG),
		},
};

static_assert(sizeof(vhost_user_backend_rows) ==
		      VHOST_USER_BACKEND_REQUESTS *
			      sizeof(vhost_user_backend_rows[0]),
	      "a place for each request");

static const struct vhost_user_bounds vhost_user_ack = EXACTLY(le64);

const struct vhost_user_row *vhost_user_row(enum vhost_user_side side,
					    uint32_t request)
{
	const bool front = side == VHOST_USER_FRONTEND;
	const struct vhost_user_row *rows =
		front ? vhost_user_frontend_rows : vhost_user_backend_rows;
	const uint32_t count =
		front ? VHOST_USER_REQUESTS : VHOST_USER_BACKEND_REQUESTS;

	return request < count && rows[request].name ? &rows[request] : NULL;
}

/* Return: what is wrong, or NULL. */
static const char *vhost_user_misfit(const struct vhost_user_bounds *bounds,
				     const struct vhost_user_message *message)
{
	if (message->size < bounds->min || message->size > bounds->max)
		return "a payload of the wrong size";
	if (message->fd_count < bounds->fds_min ||
	    message->fd_count > bounds->fds_max)
		return "a wrong number of descriptors";
	return NULL;
}

const struct vhost_user_row *
vhost_user_check(enum vhost_user_side side,
		 const struct vhost_user_message *message, uint64_t features,
		 enum vhost_user_phase phase, const char **why)
{
	const struct vhost_user_row *row =
		vhost_user_row(side, message->request);

	if (!row)
		*why = "a request that there is not";
	else if (message->flags & VHOST_USER_REPLY)
		*why = "an answer that nobody asked for";
	else if (row->feature & ~features)
		*why = "a request of a protocol feature that was not agreed "
		       "upon";
	else if (row->phase > phase)
		*why = "a request that comes too early";
	else
		*why = vhost_user_misfit(&row->request, message);
	return *why ? NULL : row;
}

int vhost_user_check_reply(const struct vhost_user_row *row,
			   const struct vhost_user_message *request,
			   const struct vhost_user_message *reply,
			   const char **why)
{
	if (!(reply->flags & VHOST_USER_REPLY) ||
	    reply->request != request->request)
		*why = "an answer to something else";
	else
		*why = vhost_user_misfit(
			row->reply.max ? &row->reply : &vhost_user_ack, reply);
	return *why ? -EPROTO : 0;
}

/* --- Receiving ------------------------------------------------------------
 */

void vhost_user_reader_fini(struct vhost_user_reader *reader)
{
	vhost_user_message_fini(&reader->message);
	reader->got = 0;
}

/* Up to @len bytes, and what comes with them. Return: bytes, or -errno. */
static ssize_t vhost_user_read_some(struct vhost_user_reader *reader, int fd,
				    void *data, size_t len)
{
	struct vhost_user_message *message = &reader->message;
	unsigned int fd_count = VHOST_USER_FDS_MAX - message->fd_count;
	ssize_t n = fd_passing_receive(fd, data, len,
				       message->fds + message->fd_count,
				       &fd_count, MSG_DONTWAIT);

	if (n <= 0)
		return n ? n : -ECONNRESET;
	message->fd_count += fd_count;
	if (reader->got == 0)
		reader->begun = loop_now();
	reader->got += (size_t)n;
	return n;
}

/* The header is there: is it one? */
static int vhost_user_take_header(struct vhost_user_reader *reader)
{
	struct vhost_user_message *message = &reader->message;

	message->request = le32_get(reader->header.request);
	message->flags = le32_get(reader->header.flags);
	message->size = le32_get(reader->header.size);
	if ((message->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
	    message->size > sizeof(message->payload))
		return -EPROTO;
	return 0;
}

int vhost_user_read(struct vhost_user_reader *reader, int fd,
		    struct vhost_user_message *out)
{
	struct vhost_user_message *message = &reader->message;
	ssize_t n;

	while (reader->got < HEADER) {
		n = vhost_user_read_some(
			reader, fd, (uint8_t *)&reader->header + reader->got,
			HEADER - reader->got);
		if (n < 0)
			return n == -EAGAIN ? 0 : (int)n;
		if (reader->got == HEADER) {
			int ret = vhost_user_take_header(reader);

			if (ret < 0)
				return ret;
		}
	}
	while (reader->got < HEADER + message->size) {
		size_t at = reader->got - HEADER;

		n = vhost_user_read_some(reader, fd,
					 message->payload.bytes + at,
					 message->size - at);
		if (n < 0)
			return n == -EAGAIN ? 0 : (int)n;
	}
	*out = *message;
	/* What it does not fill is nobody's. */
	memset(out->payload.bytes + out->size, 0,
	       sizeof(out->payload) - out->size);
	*reader = (struct vhost_user_reader){.got = 0};
	return 1;
}

int vhost_user_wait(int fd, short events, int64_t deadline)
{
	if (loop_now() >= deadline)
		return -ETIMEDOUT;
	return loop_wait_fd(fd, events, deadline);
}

int vhost_user_receive(int fd, int64_t deadline, struct vhost_user_message *out)
{
	struct vhost_user_reader reader = {.got = 0};
	int ret = 0;

	while (ret == 0) {
		ret = vhost_user_read(&reader, fd, out);
		if (ret == 0)
			ret = vhost_user_wait(fd, POLLIN, deadline);
	}
	if (ret < 0)
		vhost_user_reader_fini(&reader);
	return ret < 0 ? ret : 0;
}

/* --- Sending --------------------------------------------------------------
 */

static void vhost_user_skip(struct iovec iov[2], size_t n)
{
	for (unsigned int i = 0; i < 2; i++) {
		size_t piece = n < iov[i].iov_len ? n : iov[i].iov_len;

		iov[i].iov_base = (uint8_t *)iov[i].iov_base + piece;
		iov[i].iov_len -= piece;
		n -= piece;
	}
}

int vhost_user_send(int fd, int64_t deadline,
		    const struct vhost_user_message *message)
{
	struct vhost_user_header header = {
		.request = le32_of(message->request),
		.flags = le32_of(message->flags | VHOST_USER_VERSION),
		.size = le32_of(message->size),
	};
	union vhost_user_payload payload = message->payload;
	struct iovec iov[2] = {
		{&header, sizeof(header)},
		{&payload, message->size},
	};
	unsigned int fd_count = message->fd_count;

	assert(message->size <= sizeof(payload));
	while (iov[0].iov_len + iov[1].iov_len) {
		ssize_t n = fd_passing_send(fd, iov, 2, message->fds, fd_count,
					    MSG_DONTWAIT);
		int ret;

		if (n > 0) {
			fd_count = 0; /* they went with the first byte */
			vhost_user_skip(iov, (size_t)n);
			continue;
		}
		if (n != -EAGAIN)
			return (int)n;
		ret = vhost_user_wait(fd, POLLOUT, deadline);
		if (ret < 0)
			return ret;
	}
	return 0;
}
