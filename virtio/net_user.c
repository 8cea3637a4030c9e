/*
 * The stream to passt. The peer is another program, which reads what the whole
 * network sends it: a length that cannot be ends the connection, since what
 * follows it can no longer be told apart.
 *
 * Theory of operation. Frames are read many at a time into a buffer and copied
 * from there; a stream cannot be read into a guest's buffers without a second
 * call for each. Sending is one call a frame. When the socket takes only part
 * of it, the rest is kept here, goes out first, and nothing else is taken in
 * the meantime.
 */
#include "virtio/net_user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "virtio/net_private.h"

#define NET_USER_LENGTH	   4	 /* bytes before each frame */
#define NET_USER_FRAME_MAX 65535 /* passt's ETH_MAX_MTU */
#define NET_USER_BUFFER	   (2 * (NET_USER_LENGTH + NET_USER_FRAME_MAX))
#define NET_USER_LINE	   512

struct net_user {
	struct virtio_device *device; /* borrowed, as are these */
	int fds[NET_USER_FDS];
	struct virtio_watch *pid_watch, *log_watch;
	struct log_limit limit;

	uint8_t in[NET_USER_BUFFER];
	size_t in_start, in_end;
	uint8_t out[NET_USER_LENGTH + NET_USER_FRAME_MAX];
	size_t out_start, out_end;

	char line[NET_USER_LINE];
	size_t line_len;
};

/* --- Frames ----------------------------------------------------------------
 */

static int net_user_fd(void *end, unsigned int pair)
{
	struct net_user *user = end;

	(void)pair;
	return user->fds[NET_USER_STREAM];
}

/*
 * Length of the frame at in_start. Return: that; 0: it is not all there yet;
 * -EPROTO.
 */
static ssize_t net_user_next(const struct net_user *user)
{
	size_t have = user->in_end - user->in_start;
	uint32_t len;

	if (have < NET_USER_LENGTH)
		return 0;
	memcpy(&len, user->in + user->in_start, sizeof(len));
	len = ntohl(len);
	if (len < NET_ETH_SIZE || len > NET_USER_FRAME_MAX)
		return -EPROTO;
	return have - NET_USER_LENGTH < len ? 0 : (ssize_t)len;
}

/* Read what there is room for. Return: 0 or -errno. */
static int net_user_fill(struct net_user *user)
{
	size_t have = user->in_end - user->in_start;
	ssize_t len;

	memmove(user->in, user->in + user->in_start, have);
	user->in_start = 0;
	user->in_end = have;
	do {
		len = recv(user->fds[NET_USER_STREAM], user->in + have,
			   sizeof(user->in) - have, MSG_DONTWAIT);
	} while (len < 0 && errno == EINTR);
	if (len == 0)
		return -EPIPE;
	if (len < 0)
		return -errno;
	user->in_end += (size_t)len;
	return 0;
}

/* Copy into iov, which has room for it. */
static void net_user_scatter(const struct iovec *iov, unsigned int count,
			     const struct iovec *from, unsigned int parts)
{
	size_t offset = 0;

	for (unsigned int i = 0; i < parts; i++) {
		const uint8_t *data = from[i].iov_base;
		size_t left = from[i].iov_len;

		while (left && count) {
			size_t room = iov->iov_len - offset;
			size_t step = MIN(room, left);

			memcpy((uint8_t *)iov->iov_base + offset, data, step);
			data += step;
			left -= step;
			offset += step;
			if (offset < iov->iov_len)
				continue;
			iov++;
			count--;
			offset = 0;
		}
	}
}

static ssize_t net_user_receive(void *end, unsigned int pair,
				const struct iovec *iov, unsigned int count)
{
	struct net_user *user = end;
	struct net_header header = {0};
	ssize_t len = net_user_next(user);
	struct iovec parts[2] = {{&header, sizeof(header)}};

	(void)pair;
	if (len == 0) {
		int ret = net_user_fill(user);

		if (ret < 0)
			return ret;
		len = net_user_next(user);
	}
	if (len <= 0)
		return len < 0 ? len : -EAGAIN;
	parts[1].iov_base = user->in + user->in_start + NET_USER_LENGTH;
	parts[1].iov_len = (size_t)len;
	net_user_scatter(iov, count, parts, 2);
	user->in_start += NET_USER_LENGTH + (size_t)len;
	return (ssize_t)sizeof(header) + len;
}

static bool net_user_buffered(void *end)
{
	return net_user_next(end) != 0;
}

/* Return: bytes sent, 0 for none at present, or -errno. */
static ssize_t net_user_write(struct net_user *user, struct iovec *iov,
			      unsigned int count)
{
	const struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
	ssize_t len;

	do {
		len = sendmsg(user->fds[NET_USER_STREAM], &message,
			      MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (len < 0 && errno == EINTR);
	if (len < 0)
		return errno == EAGAIN ? 0 : -errno;
	return len;
}

static int net_user_flush(void *end)
{
	struct net_user *user = end;
	struct iovec iov = {
		.iov_base = user->out + user->out_start,
		.iov_len = user->out_end - user->out_start,
	};
	ssize_t len;

	if (!iov.iov_len)
		return 0;
	len = net_user_write(user, &iov, 1);
	if (len < 0) /* receive says so, too */
		return (int)len;
	user->out_start += (size_t)len;
	return user->out_start < user->out_end ? -EAGAIN : 0;
}

/* Keep what follows the first @sent bytes. */
static void net_user_keep(struct net_user *user, const struct iovec *iov,
			  unsigned int count, size_t sent)
{
	user->out_start = 0;
	user->out_end = 0;
	for (unsigned int i = 0; i < count; i++) {
		size_t skip = MIN(sent, iov[i].iov_len);
		size_t len = iov[i].iov_len - skip;

		sent -= skip;
		memcpy(user->out + user->out_end,
		       (const uint8_t *)iov[i].iov_base + skip, len);
		user->out_end += len;
	}
}

static int net_user_send(void *end, unsigned int pair, const struct iovec *iov,
			 unsigned int count)
{
	struct net_user *user = end;
	struct iovec all[1 + NET_QUEUE_SIZE];
	uint32_t length;
	size_t total = 0;
	ssize_t sent;
	int ret = net_user_flush(user);

	(void)pair;
	if (ret < 0)
		return ret;
	/* iov[0] is the header, which says nothing without offloads. */
	for (unsigned int i = 1; i < count; i++) {
		all[i] = iov[i];
		total += iov[i].iov_len;
	}
	if (total > NET_USER_FRAME_MAX)
		return -EMSGSIZE;
	length = htonl((uint32_t)total);
	all[0] = (struct iovec){&length, sizeof(length)};
	sent = net_user_write(user, all, count);
	if (sent < 0)
		return (int)sent;
	if (sent == 0)
		return -EAGAIN;
	net_user_keep(user, all, count, (size_t)sent);
	return 0;
}

/* --- The process -----------------------------------------------------------
 */

/* Its log is not worth an alarm where it says that it has none. */
static void net_user_say(struct net_user *user)
{
	user->line[user->line_len] = '\0';
	user->line_len = 0;
	if (!user->line[0] || strncmp(user->line, "Failed to send ", 15) == 0)
		return;
	log_limited(&user->limit, LOG_WARN, "%s: passt: %s",
		    virtio_device_label(user->device), user->line);
}

static void net_user_log(void *self, uint32_t events)
{
	struct net_user *user = self;
	char text[NET_USER_LINE];
	ssize_t len = read(user->fds[NET_USER_LOG], text, sizeof(text));

	(void)events;
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	for (ssize_t i = 0; i < len; i++) {
		if (text[i] == '\n' || user->line_len == NET_USER_LINE - 1)
			net_user_say(user);
		if (text[i] != '\n')
			user->line[user->line_len++] = text[i];
	}
	if (len > 0)
		return;
	net_user_say(user);
	virtio_watch_set(user->log_watch, 0);
}

/* The device hears of it by the stream. Its parent alone can ask why. */
static void net_user_ended(void *self, uint32_t events)
{
	struct net_user *user = self;
	const char *label = virtio_device_label(user->device);
	siginfo_t info = {0};

	(void)events;
	virtio_watch_set(user->pid_watch, 0);
	if (waitid(P_PIDFD, (id_t)user->fds[NET_USER_PID], &info,
		   WEXITED | WNOHANG) < 0)
		log_warn("%s: passt ended", label);
	else if (info.si_code == CLD_EXITED)
		log_warn("%s: passt ended with status %d", label,
			 info.si_status);
	else
		log_warn("%s: passt was ended by signal %d", label,
			 info.si_status);
}

/* --- The end ---------------------------------------------------------------
 */

static unsigned int net_user_keep_fds(void *end, int *fds)
{
	struct net_user *user = end;

	memcpy(fds, user->fds, sizeof(user->fds));
	return NET_USER_FDS;
}

static void net_user_free(void *end)
{
	free(end);
}

static const struct net_end_ops net_user_ops = {
	.fd = net_user_fd,
	.receive = net_user_receive,
	.send = net_user_send,
	.flush = net_user_flush,
	.buffered = net_user_buffered,
	.keep_fds = net_user_keep_fds,
	.free = net_user_free,
};

int net_user_end(struct net_end *out, struct virtio_device *device,
		 const struct virtio_resources *resources, struct error *err)
{
	struct net_user *user;
	int ret;

	if (resources->fd_count != NET_USER_FDS)
		return error_set(err, EINVAL, "a bad description of passt");
	user = calloc(1, sizeof(*user));
	if (!user)
		return error_set(err, ENOMEM, "out of memory");
	user->device = device;
	memcpy(user->fds, resources->fds, sizeof(user->fds));
	ret = virtio_device_watch(device, &user->pid_watch,
				  user->fds[NET_USER_PID], EPOLLIN,
				  net_user_ended, user);
	if (ret == 0)
		ret = virtio_device_watch(device, &user->log_watch,
					  user->fds[NET_USER_LOG], EPOLLIN,
					  net_user_log, user);
	if (ret < 0) {
		free(user);
		return error_set(err, -ret, "%s: %s",
				 virtio_device_label(device), strerror(-ret));
	}
	*out = (struct net_end){
		.ops = &net_user_ops,
		.ctx = user,
		.pairs = 1,
	};
	return 0;
}
