/*
 * The vhost-user frontend's connection: requests with their answers, the
 * handshake, and what the backend says by itself.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtio/vhost_frontend_private.h"
#include "vmm/base/loop.h"

/* The backend's requests in one turn of the loop. */
#define FRONTEND_TURN 16

/* As many rings as a message can name, each a unit. */
#define FRONTEND_UNITS_MAX (VHOST_USER_VRING_INDEX_MASK + 1)

#define BLOCK_CONFIG_QUEUES 34 /* 5.2.4 */

#define FRONTEND_PROTOCOL                                                  \
	(VHOST_USER_PROTOCOL(MQ) | VHOST_USER_PROTOCOL(REPLY_ACK) |        \
	 VHOST_USER_PROTOCOL(BACKEND_REQ) | VHOST_USER_PROTOCOL(CONFIG) |  \
	 VHOST_USER_PROTOCOL(INFLIGHT_SHMFD) |                             \
	 VHOST_USER_PROTOCOL(RESET_DEVICE) | VHOST_USER_PROTOCOL(STATUS) | \
	 VHOST_USER_PROTOCOL(DEVICE_STATE))

#define FEATURE(bit) (UINT64_C(1) << (bit))

/* What nobody does for the frontend: logging, an IOMMU. */
#define FRONTEND_REFUSED                                                      \
	(FEATURE(VHOST_F_LOG_ALL) | FEATURE(VHOST_USER_F_PROTOCOL_FEATURES) | \
	 FEATURE(VIRTIO_F_ACCESS_PLATFORM) | FEATURE(24) | FEATURE(27))

void vhost_frontend_begin(struct vhost_frontend *frontend)
{
	frontend->deadline = loop_now() + VHOST_USER_DEADLINE;
}

/* --- Requests and answers -------------------------------------------------
 */

static int vhost_frontend_fail(struct vhost_frontend *frontend,
			       const struct vhost_user_row *row, int error,
			       const char *why)
{
	char text[128];

	if (!why)
		why = error == -ETIMEDOUT ? "no answer in time"
		      : error == -ECONNRESET || error == -EPIPE ? "it hung up"
		      : error == -EPROTO ? "an answer that is no message"
					 : strerror(-error);
	snprintf(text, sizeof(text), "%s: %s", row->name, why);
	vhost_frontend_lose(frontend, text);
	return -ENOLINK;
}

static int vhost_frontend_answer(struct vhost_frontend *frontend,
				 const struct vhost_user_row *row,
				 const struct vhost_user_message *request,
				 struct vhost_user_message *reply)
{
	const char *why = NULL;
	int ret;

	ret = vhost_user_receive(frontend->fd, frontend->deadline, reply);
	if (ret < 0) {
		reply->fd_count = 0;
		return vhost_frontend_fail(frontend, row, ret, NULL);
	}
	ret = vhost_user_check_reply(row, request, reply, &why);
	if (ret < 0) {
		vhost_user_message_fini(reply);
		return vhost_frontend_fail(frontend, row, ret, why);
	}
	if (row->reply.max == 0 && le64_get(reply->payload.u64))
		return -EREMOTEIO;
	return 0;
}

int vhost_frontend_ask(struct vhost_frontend *frontend,
		       const struct vhost_user_message *request,
		       struct vhost_user_message *reply)
{
	const struct vhost_user_row *row =
		vhost_user_row(VHOST_USER_FRONTEND, request->request);
	struct vhost_user_message sent = *request, own;
	const bool ack =
		row->reply.max == 0 &&
		vhost_frontend_has(frontend, VHOST_USER_PROTOCOL(REPLY_ACK));
	int ret;

	if (frontend->lost)
		return -ENOLINK;
	if (ack)
		sent.flags |= VHOST_USER_NEED_REPLY;
	ret = vhost_user_send(frontend->fd, frontend->deadline, &sent);
	if (ret < 0)
		return vhost_frontend_fail(frontend, row, ret, NULL);
	if (!ack && row->reply.max == 0)
		return 0;
	ret = vhost_frontend_answer(frontend, row, request,
				    reply ? reply : &own);
	if (!reply && ret == 0)
		vhost_user_message_fini(&own);
	return ret;
}

int vhost_frontend_tell(struct vhost_frontend *frontend, uint32_t request,
			uint64_t value)
{
	const struct vhost_user_message message = {
		.request = request,
		.size = sizeof(le64),
		.payload.u64 = le64_of(value),
	};

	return vhost_frontend_ask(frontend, &message, NULL);
}

int vhost_frontend_get(struct vhost_frontend *frontend, uint32_t request,
		       uint64_t *value)
{
	const struct vhost_user_message message = {.request = request};
	struct vhost_user_message reply = {.size = 0};
	int ret = vhost_frontend_ask(frontend, &message, &reply);

	if (ret == 0)
		*value = le64_get(reply.payload.u64);
	return ret;
}

int vhost_frontend_tell_ring(struct vhost_frontend *frontend, uint32_t request,
			     unsigned int index, uint32_t num)
{
	const struct vhost_user_message message = {
		.request = request,
		.size = sizeof(struct vhost_user_vring_state),
		.payload.state = {le32_of(index), le32_of(num)},
	};

	return vhost_frontend_ask(frontend, &message, NULL);
}

/* --- Configuration --------------------------------------------------------
 */

/* The guest is told of the queues that it has here (5.2.4: num_queues). */
static void vhost_frontend_adapt_config(const struct vhost_frontend *frontend,
					struct vhost_user_config *config)
{
	const le16 queues = le16_of((uint16_t)frontend->queue_count);

	if (!frontend->whole && strcmp(frontend->type->name, "block") == 0)
		memcpy(config->data + BLOCK_CONFIG_QUEUES, &queues,
		       sizeof(queues));
}

int vhost_frontend_read_config(struct vhost_frontend *frontend)
{
	const uint32_t len = (uint32_t)frontend->type->config_size;
	const struct vhost_user_message message = {
		.request = VHOST_USER_GET_CONFIG,
		.size = VHOST_USER_CONFIG_HEAD + len,
		.payload.config.size = le32_of(len),
	};
	struct vhost_user_message reply = {.size = 0};
	struct vhost_user_config *config = &reply.payload.config;
	int ret;

	if (frontend->lost)
		return -ENOLINK;
	ret = vhost_frontend_ask(frontend, &message, &reply);
	if (ret < 0)
		return ret;
	if (reply.size == 0)
		return -EREMOTEIO;
	if (reply.size != message.size || le32_get(config->size) != len) {
		vhost_frontend_lose(frontend,
				    "GET_CONFIG: other bytes than were asked "
				    "for");
		return -ENOLINK;
	}
	vhost_frontend_adapt_config(frontend, config);
	ret = memcmp(frontend->config, config->data, len) != 0;
	memcpy(frontend->config, config->data, len);
	return ret;
}

int vhost_frontend_write_config(struct vhost_frontend *frontend, size_t offset,
				const void *data, size_t len)
{
	struct vhost_user_message message = {
		.request = VHOST_USER_SET_CONFIG,
		.size = (uint32_t)(VHOST_USER_CONFIG_HEAD + len),
		.payload.config =
			{
				.offset = le32_of((uint32_t)offset),
				.size = le32_of((uint32_t)len),
			},
	};

	memcpy(message.payload.config.data, data, len);
	return vhost_frontend_ask(frontend, &message, NULL);
}

/* --- The handshake --------------------------------------------------------
 */

static int vhost_frontend_lacks(const char *what, struct error *err)
{
	return error_set(err, EOPNOTSUPP,
			 "the vhost-user backend lacks %s, without which "
			 "there is no such device",
			 what);
}

/* Another backend may offer more than the one before, and no less. */
static int vhost_frontend_keep_promise(const struct vhost_frontend *frontend,
				       uint64_t features, uint64_t *protocol,
				       struct error *err)
{
	if (frontend->promised & ~features)
		return error_set(err, EINVAL,
				 "features: the driver was offered 0x%" PRIx64
				 ", this vhost-user backend has 0x%" PRIx64,
				 frontend->promised, features);
	if (frontend->agreed & ~*protocol)
		return error_set(err, EINVAL,
				 "protocol features: there were 0x%" PRIx64
				 ", this vhost-user backend has 0x%" PRIx64,
				 frontend->agreed, *protocol);
	*protocol = frontend->agreed;
	return 0;
}

static int vhost_frontend_agree(struct vhost_frontend *frontend,
				struct error *err)
{
	uint64_t features = 0, protocol = 0;
	int ret;

	ret = vhost_frontend_get(frontend, VHOST_USER_GET_FEATURES, &features);
	if (ret < 0)
		return ret;
	if (!(features & FEATURE(VIRTIO_F_VERSION_1)))
		return vhost_frontend_lacks("VIRTIO_F_VERSION_1", err);
	if (!(features & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES)))
		return vhost_frontend_lacks("VHOST_USER_F_PROTOCOL_FEATURES",
					    err);
	features &= ~FRONTEND_REFUSED;
	if (!frontend->whole)
		features &= ~frontend->type->frontend_features;
	if (!frontend->whole && !frontend->has_control)
		features &= ~frontend->type->many;
	ret = vhost_frontend_get(frontend, VHOST_USER_GET_PROTOCOL_FEATURES,
				 &protocol);
	if (ret < 0)
		return ret;
	protocol &= FRONTEND_PROTOCOL;
	if (frontend->made) {
		ret = vhost_frontend_keep_promise(frontend, features, &protocol,
						  err);
		if (ret < 0)
			return ret;
	}
	if (vhost_frontend_config_is_there(frontend) &&
	    !(protocol & VHOST_USER_PROTOCOL(CONFIG)))
		return vhost_frontend_lacks("VHOST_USER_PROTOCOL_F_CONFIG",
					    err);
	if (!frontend->made)
		frontend->features = frontend->promised = features;
	ret = vhost_frontend_tell(frontend, VHOST_USER_SET_PROTOCOL_FEATURES,
				  protocol);
	frontend->protocol = frontend->agreed = protocol;
	return ret;
}

/* The queues that are wanted, and those that there are: in the protocol's
 * units. */
static int vhost_frontend_count(struct vhost_frontend *frontend,
				struct error *err)
{
	const unsigned int fixed = frontend->whole ? 0 : frontend->type->fixed;
	const unsigned int unit =
		frontend->whole ? 1 : frontend->type->per_unit;
	const bool many = vhost_frontend_has(frontend, VHOST_USER_PROTOCOL(MQ));
	unsigned int wanted = fixed + frontend->queue_count;
	uint64_t there = 1;
	int ret = 0;

	if (many)
		ret = vhost_frontend_get(frontend, VHOST_USER_GET_QUEUE_NUM,
					 &there);
	if (ret < 0)
		return ret;
	/* fs counts its fixed one, too. */
	if (!many)
		there += fixed;
	if (frontend->made)
		wanted = frontend->queue_count / unit;
	else if (frontend->whole)
		wanted = (unsigned int)there;
	if (there == 0 || there > FRONTEND_UNITS_MAX ||
	    wanted > VIRTIO_QUEUES_MAX || wanted > there)
		return error_set(err, EINVAL,
				 "queues: expected at least %u of the "
				 "vhost-user backend, found %" PRIu64
				 "; start it with more, or ask for fewer",
				 wanted, there);
	frontend->queue_count = wanted * unit;
	if (frontend->has_control &&
	    !(frontend->promised & frontend->type->many))
		return vhost_frontend_lacks("VIRTIO_NET_F_MQ", err);
	return 0;
}

static int vhost_frontend_open_requests(struct vhost_frontend *frontend)
{
	struct vhost_user_message message = {
		.request = VHOST_USER_SET_BACKEND_REQ_FD,
		.fd_count = 1,
	};
	int pair[2], ret;

	if (!vhost_frontend_has(frontend, VHOST_USER_PROTOCOL(BACKEND_REQ)))
		return 0;
	assert(frontend->request_fd < 0);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	frontend->request_fd = pair[0];
	message.fds[0] = pair[1];
	ret = vhost_frontend_ask(frontend, &message, NULL);
	close(pair[1]);
	return ret;
}

static int vhost_frontend_greet_all(struct vhost_frontend *frontend,
				    struct error *err)
{
	const struct vhost_user_message owner = {
		.request = VHOST_USER_SET_OWNER,
	};
	int ret = vhost_frontend_agree(frontend, err);

	if (ret == 0)
		ret = vhost_frontend_count(frontend, err);
	if (ret == 0)
		ret = vhost_frontend_ask(frontend, &owner, NULL);
	if (ret == 0)
		ret = vhost_frontend_open_requests(frontend);
	if (ret == 0 && vhost_frontend_config_is_there(frontend))
		ret = vhost_frontend_read_config(frontend);
	return ret < 0 ? ret : 0;
}

int vhost_frontend_greet(struct vhost_frontend *frontend, struct error *err)
{
	int ret;

	err->text[0] = '\0';
	vhost_frontend_begin(frontend);
	ret = vhost_frontend_greet_all(frontend, err);
	if (ret < 0 && !err->text[0])
		error_set(err, -ret,
			  "the vhost-user backend %s; expected one that "
			  "serves a %s device",
			  ret == -EREMOTEIO ? "refused" : "was lost",
			  frontend->type->name);
	return ret;
}

/* --- What the backend says by itself --------------------------------------
 */

void vhost_frontend_heard(void *self, uint32_t events)
{
	struct vhost_frontend *frontend = self;
	uint8_t byte;
	ssize_t n;

	(void)events;
	n = recv(frontend->fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);
	/* What an operation was told has been read since. */
	if (n < 0 && errno == EAGAIN)
		return;
	vhost_frontend_lose(frontend, n > 0 ? "it says what nobody asked for"
					    : "it hung up");
}

/* Return: 0, or -ENOLINK. */
static int vhost_frontend_look(struct vhost_frontend *frontend)
{
	uint64_t status = 0;
	int ret = 0;

	if (vhost_frontend_has(frontend, VHOST_USER_PROTOCOL(STATUS)))
		ret = vhost_frontend_get(frontend, VHOST_USER_GET_STATUS,
					 &status);
	if (ret == 0 && status & VIRTIO_CONFIG_S_NEEDS_RESET)
		virtio_device_needs_reset(frontend->device);
	if (ret == 0 && vhost_frontend_config_is_there(frontend))
		ret = vhost_frontend_read_config(frontend);
	if (ret > 0)
		virtio_device_config_changed(frontend->device);
	return ret == -ENOLINK ? ret : 0;
}

static int vhost_frontend_take_request(struct vhost_frontend *frontend,
				       struct vhost_user_message *message,
				       const char **why)
{
	struct vhost_user_message ack = {
		.request = message->request,
		.flags = VHOST_USER_REPLY,
		.size = sizeof(le64),
	};

	if (!vhost_user_check(VHOST_USER_BACKEND, message, frontend->protocol,
			      VHOST_USER_PHASE_READY, why))
		return -EPROTO;
	/* There is but one. */
	if (vhost_frontend_look(frontend) < 0)
		return -ENOLINK;
	if (!(message->flags & VHOST_USER_NEED_REPLY))
		return 0;
	return vhost_user_send(frontend->request_fd, frontend->deadline, &ack);
}

void vhost_frontend_requested(void *self, uint32_t events)
{
	struct vhost_frontend *frontend = self;
	struct vhost_user_message message;
	const char *why = NULL;
	int ret = 1;

	(void)events;
	/* One operation, however many it asks for: the device is locked. */
	vhost_frontend_begin(frontend);
	for (unsigned int i = 0; i < FRONTEND_TURN && ret > 0; i++) {
		ret = vhost_user_read(&frontend->reader, frontend->request_fd,
				      &message);
		if (ret <= 0)
			break;
		ret = vhost_frontend_take_request(frontend, &message, &why);
		vhost_user_message_fini(&message);
		ret = ret < 0 ? ret : 1;
	}
	if (ret >= 0)
		return;
	/* It may do without; if it is gone, the other connection says so. */
	if (ret == -ECONNRESET)
		virtio_watch_set(frontend->request_watch, 0);
	else
		vhost_frontend_lose(frontend, why ? why : strerror(-ret));
}
