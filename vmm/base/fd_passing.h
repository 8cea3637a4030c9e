/*
 * Bytes and descriptors over Unix sockets (SCM_RIGHTS, unix(7)). The other end
 * may be hostile: what it sends beyond what is wanted never stays in this
 * process.
 *
 * Any thread. Whether a call may wait is said by its flags and the socket.
 */
#ifndef VMM_BASE_FD_PASSING_H
#define VMM_BASE_FD_PASSING_H

#include <stddef.h>

#include <sys/types.h>
#include <sys/uio.h>

#define FD_PASSING_MAX 40 /* descriptors at once */

/**
 * fd_passing_send() - Send bytes, and descriptors with the first of them.
 * @fds: borrowed; the other end gets duplicates
 * @fd_count: 0 to FD_PASSING_MAX
 * @flags: of sendmsg(2): MSG_DONTWAIT or 0
 *
 * No SIGPIPE, and signals do not interrupt it.
 * Return: the bytes that went, and with at least one all descriptors have;
 * -EMSGSIZE; -EPIPE if there is no other end; or what sendmsg(2) says.
 */
ssize_t fd_passing_send(int socket, struct iovec *parts, size_t part_count,
			const int *fds, unsigned int fd_count, int flags);

/**
 * fd_passing_receive() - Receive bytes, and the descriptors that come with
 * them.
 * @fds: takes them: owned, close-on-exec
 * @fd_count: room in it, 0 to FD_PASSING_MAX; how many came
 * @flags: of recvmsg(2): MSG_DONTWAIT or 0
 *
 * Signals do not interrupt it. If it does not succeed, or nothing came, there
 * are no descriptors: any that did are closed.
 * Return: bytes; 0: the other end is closed; -EMFILE for more descriptors than
 * there is room for; -EMSGSIZE for a longer packet; or what recvmsg(2) says.
 */
ssize_t fd_passing_receive(int socket, void *data, size_t size, int *fds,
			   unsigned int *fd_count, int flags);

#endif
