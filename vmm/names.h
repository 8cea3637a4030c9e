/*
 * Machines by name: NAME is the socket $XDG_RUNTIME_DIR/bantam/NAME.sock, or
 * /run/bantam/NAME.sock for root without that variable. A claim holds the name
 * while its socket listens; the socket of an owner that crashed is replaced.
 */
#ifndef VMM_NAMES_H
#define VMM_NAMES_H

#include <stddef.h>

#include <sys/un.h>

#include "vmm/base/error.h"
#include "vmm/listen.h"

/* Bytes of a name. */
#define NAMES_LEN_MAX 64

/**
 * names_check() - Whether a name can be one.
 * @err: says what a name may hold
 *
 * 1 to NAMES_LEN_MAX letters, digits, '.', '_' and '-', the first one a letter
 * or digit. Any thread. Return: 0 or -EINVAL.
 */
int names_check(const char *name, struct error *err);

/**
 * names_address() - Where a machine listens.
 * @name: a name; or, if it has a slash, the path of its socket
 * @err: names the environment variable, the name or the path
 *
 * Return: 0, -EINVAL, -ENOENT (no runtime directory), or -ENAMETOOLONG: the
 * path of a socket has 107 bytes at most, unix(7).
 */
int names_address(const char *name, struct sockaddr_un *address,
		  struct error *err);

/**
 * names_list() - The names that have a socket, sorted.
 * @names: @count texts, for names_list_free(); stale ones are among them
 *
 * Return: 0 (none, without a directory), or a negative errno.
 */
int names_list(char ***names, size_t *count, struct error *err);

void names_list_free(char **names, size_t count);

/**
 * names_connect() - Connect to a machine without waiting for it.
 * @fd: a non-blocking stream socket, owned by the caller
 *
 * Return: 0, -ENOENT without a socket, -ECONNREFUSED if nobody listens,
 * -EAGAIN if too many connections wait to be accepted, or what connect(2) says.
 */
int names_connect(const struct sockaddr_un *address, int *fd);

/**
 * names_check_free() - Would names_claim() succeed? Makes nothing.
 *
 * Return: as names_claim().
 */
int names_check_free(const char *name, struct error *err);

/**
 * names_claim() - Make a name ours and listen on its socket.
 * @out: for listen_release()
 * @name: as names_check() wants it
 * @err: names --name and what is in the way
 *
 * Makes the directory with mode 0700 if it is missing, and the socket with
 * 0600. Waits up to 2 s for others that claim a name at the same time.
 * Return: 0, -EADDRINUSE if a process listens there, or a negative errno.
 */
int names_claim(struct listen_claim **out, const char *name, struct error *err);

#endif
