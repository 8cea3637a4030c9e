/*
 * Packets between main and a device process. What comes is the other end's,
 * and that may be hostile.
 */
#include "vmm/base/side_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <unistd.h>

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

int side_channel_send(int channel, const char *name, json_t *body,
		      const int *fds, unsigned int fd_count)
{
	json_t *value = json_pack("{s:o}", name, body);
	char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
	struct iovec part = {.iov_base = text};
	ssize_t n = -ENOMEM;

	if (text)
		part.iov_len = strlen(text);
	if (part.iov_len > SIDE_CHANNEL_PACKET_MAX)
		n = -EMSGSIZE;
	else if (text)
		n = fd_passing_send(channel, &part, 1, fds, fd_count,
				    MSG_DONTWAIT);
	free(text);
	json_decref(value);
	return n < 0 ? (int)n : 0;
}

/* --- Receiving -------------------------------------------------------------
 */

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
	ssize_t n;

	out->fd_count = fds_max;
	n = fd_passing_receive(channel, text, size, out->fds, &out->fd_count,
			       MSG_DONTWAIT);
	if (n == 0)
		return -EPIPE;
	if (n == -EAGAIN)
		return 0;
	return n == -EMFILE || n == -EMSGSIZE ? -EPROTO : n;
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
