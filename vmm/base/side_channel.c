/*
 * Packets between main and a device process. What comes is the other end's,
 * and that may be hostile.
 */
#include "vmm/base/side_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Room for the descriptors of one packet. */
union side_channel_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(SIDE_CHANNEL_FDS_MAX * sizeof(int))];
};

void side_channel_packet_fini(struct side_channel_packet *packet)
{
	for (unsigned int i = 0; i < packet->fd_count; i++) {
		if (packet->fds[i] >= 0)
			close(packet->fds[i]);
	}
	json_decref(packet->value);
	packet->value = NULL;
	packet->fd_count = 0;
}

int side_channel_pair(int ends[2])
{
	return socketpair(AF_UNIX,
			  SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
			  ends) < 0
		       ? -errno
		       : 0;
}

/* --- Sending ---------------------------------------------------------------
 */

static int side_channel_send_text(int channel, char *text, size_t len,
				  const int *fds, unsigned int fd_count)
{
	union side_channel_control control = {.bytes = {0}};
	struct iovec part = {.iov_base = text, .iov_len = len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	if (fd_count) {
		struct cmsghdr *head;

		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(head), fds, fd_count * sizeof(int));
	}
	do {
		n = sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	/* Told once, if it had not read all. */
	if (n < 0 && errno == ECONNRESET)
		return -EPIPE;
	return n < 0 ? -errno : 0;
}

int side_channel_send(int channel, const char *name, json_t *body,
		      const int *fds, unsigned int fd_count)
{
	json_t *value = json_pack("{s:o}", name, body);
	char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;
	int ret = -ENOMEM;

	if (fd_count > SIDE_CHANNEL_FDS_MAX || len > SIDE_CHANNEL_PACKET_MAX)
		ret = -EMSGSIZE;
	else if (text)
		ret = side_channel_send_text(channel, text, len, fds, fd_count);
	free(text);
	json_decref(value);
	return ret;
}

/* --- Receiving -------------------------------------------------------------
 */

/* All that came, even if that is more than is wanted: somebody has to close
 * it. */
static void side_channel_take_fds(struct msghdr *message,
				  struct side_channel_packet *out)
{
	struct cmsghdr *head;

	for (head = CMSG_FIRSTHDR(message); head;
	     head = CMSG_NXTHDR(message, head)) {
		size_t size = head->cmsg_len - CMSG_LEN(0);

		if (head->cmsg_level != SOL_SOCKET ||
		    head->cmsg_type != SCM_RIGHTS)
			continue;
		/* The kernel has cut it to the room that there is. */
		memcpy(out->fds + out->fd_count, CMSG_DATA(head), size);
		out->fd_count += (unsigned int)(size / sizeof(int));
	}
}

/* Return: 0 or -EPROTO. */
static int side_channel_parse(const char *text, size_t len,
			      struct side_channel_packet *out)
{
	out->value = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(out->value) || json_object_size(out->value) != 1)
		return -EPROTO;
	out->name = json_object_iter_key(json_object_iter(out->value));
	out->body = json_object_get(out->value, out->name);
	return 0;
}

/* Return: bytes, or as side_channel_receive(). */
static ssize_t side_channel_read(int channel, char *text, size_t size,
				 unsigned int fds_max,
				 struct side_channel_packet *out)
{
	union side_channel_control control;
	struct iovec part = {.iov_base = text, .iov_len = size};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = fds_max ? control.bytes : NULL,
		.msg_controllen =
			fds_max ? CMSG_SPACE(fds_max * sizeof(int)) : 0,
	};
	ssize_t n;

	do {
		n = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == ECONNRESET)
		return -EPIPE;
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	side_channel_take_fds(&message, out);
	if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EPROTO;
	/* An empty packet looks the same, and is no better. */
	return n == 0 ? -EPIPE : n;
}

int side_channel_receive(int channel, unsigned int fds_max,
			 struct side_channel_packet *out)
{
	char *text = malloc(SIDE_CHANNEL_PACKET_MAX);
	ssize_t n = -ENOMEM;

	*out = (struct side_channel_packet){.fd_count = 0};
	if (text)
		n = side_channel_read(channel, text, SIDE_CHANNEL_PACKET_MAX,
				      fds_max, out);
	if (n > 0)
		n = side_channel_parse(text, (size_t)n, out) < 0 ? -EPROTO : 1;
	free(text);
	if (n < 0)
		side_channel_packet_fini(out);
	return (int)n;
}

/* --- The table -------------------------------------------------------------
 */

static const char *side_channel_check(const struct side_channel_row *row,
				      unsigned int phase,
				      const struct side_channel_packet *packet)
{
	if (!row)
		return "a packet of no kind that there is";
	if (!(row->phases & phase))
		return "a packet out of its time";
	if (json_typeof(packet->body) != row->type)
		return "a packet of the wrong type";
	if (packet->fd_count < row->fds_min || packet->fd_count > row->fds_max)
		return "a packet with too many or too few descriptors";
	return NULL;
}

int side_channel_dispatch(const struct side_channel_row *rows, size_t count,
			  unsigned int phase,
			  struct side_channel_packet *packet, void *ctx,
			  const char **why)
{
	const struct side_channel_row *row = NULL;
	int ret;

	for (size_t i = 0; i < count && !row; i++) {
		if (strcmp(rows[i].name, packet->name) == 0)
			row = &rows[i];
	}
	*why = side_channel_check(row, phase, packet);
	if (*why || !row)
		return -EPROTO;
	ret = row->handle(ctx, packet);
	if (ret < 0)
		*why = "a packet with a bad content";
	return ret;
}
