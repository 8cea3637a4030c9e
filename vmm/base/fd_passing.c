#include "vmm/base/fd_passing.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <sys/socket.h>
#include <unistd.h>

/* Room for the descriptors of one message. */
union fd_passing_control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(FD_PASSING_MAX * sizeof(int))];
};

ssize_t fd_passing_send(int socket, struct iovec *parts, size_t part_count,
			const int *fds, unsigned int fd_count, int flags)
{
	union fd_passing_control control = {.bytes = {0}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = part_count};
	const size_t size = fd_count * sizeof(*fds);
	ssize_t n;

	if (fd_count > FD_PASSING_MAX)
		return -EMSGSIZE;
	if (fd_count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(size);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(&control.head), fds, size);
	}
	do {
		n = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	/* Told once, if the other end had not read all. */
	if (n < 0 && errno == ECONNRESET)
		return -EPIPE;
	return n < 0 ? -errno : n;
}

/* All of a message's. Return: how many. */
static unsigned int fd_passing_take(struct msghdr *message, int *fds)
{
	unsigned int count = 0;

	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head;
	     head = CMSG_NXTHDR(message, head)) {
		const size_t size = head->cmsg_len - CMSG_LEN(0);

		if (head->cmsg_level != SOL_SOCKET ||
		    head->cmsg_type != SCM_RIGHTS)
			continue;
		/* The kernel has cut it to the room that there is. */
		memcpy(fds + count, CMSG_DATA(head), size);
		count += (unsigned int)(size / sizeof(*fds));
	}
	return count;
}

ssize_t fd_passing_receive(int socket, void *data, size_t size, int *fds,
			   unsigned int *fd_count, int flags)
{
	const unsigned int room = *fd_count;
	union fd_passing_control control;
	struct iovec part = {.iov_base = data, .iov_len = size};
	/* By its length, not its space: padding is room for one more. With
	 * none at all the kernel lets none in. */
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = room ? control.bytes : NULL,
		.msg_controllen = room ? CMSG_LEN(room * sizeof(*fds)) : 0,
	};
	ssize_t n;

	assert(room <= FD_PASSING_MAX);
	*fd_count = 0;
	do {
		n = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	*fd_count = fd_passing_take(&message, fds);
	if (message.msg_flags & MSG_CTRUNC)
		n = -EMFILE;
	else if (message.msg_flags & MSG_TRUNC)
		n = -EMSGSIZE;
	if (n > 0)
		return n;
	/* An empty packet looks like the end, and is no better. */
	while (*fd_count)
		close(fds[--*fd_count]);
	return n;
}
