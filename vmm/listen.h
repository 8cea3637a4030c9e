/*
 * Unix sockets that listen at a path for as long as their owner lives. That of
 * an owner that crashed is replaced, that of a live one never is.
 */
#ifndef VMM_LISTEN_H
#define VMM_LISTEN_H

#include <sys/un.h>

#include "vmm/base/error.h"

/* What messages say. All borrowed. */
struct listen_words {
	const char *what;   /* the option with its value */
	const char *in_use; /* "a machine of this name is running" */
	const char *advice; /* what to do about that */
	const char *other;  /* where else to go: "choose another path" */
};

/**
 * listen_address() - The address of a path.
 * @path: of 107 bytes at most, unix(7)
 *
 * Return: 0, -EINVAL or -ENAMETOOLONG, @err set.
 */
int listen_address(struct sockaddr_un *address, const char *path,
		   const struct listen_words *words, struct error *err);

/**
 * listen_connect() - Connect to who listens there without waiting for it.
 * @fd: a non-blocking stream socket, owned by the caller
 *
 * Return: 0, -ENOENT without a socket, -ECONNREFUSED if nobody listens,
 * -EAGAIN if too many connections wait to be accepted, or what connect(2) says.
 */
int listen_connect(const struct sockaddr_un *address, int *fd);

/**
 * listen_check() - Would listen_claim() succeed? Makes nothing.
 *
 * Return: 0, -EADDRINUSE, -EEXIST (another kind of file), or a negative errno.
 */
int listen_check(const struct sockaddr_un *address,
		 const struct listen_words *words, struct error *err);

struct listen_claim;

/**
 * listen_claim() - Listen there.
 * @out: for listen_release()
 *
 * The socket's mode is 0600. Waits up to 2 s for others that do the same in
 * that directory. Return: as listen_check().
 */
int listen_claim(struct listen_claim **out, const struct sockaddr_un *address,
		 const struct listen_words *words, struct error *err);

/* The same, with listen_lock() of the directory held by the caller. */
int listen_claim_locked(struct listen_claim **out,
			const struct sockaddr_un *address,
			const struct listen_words *words, struct error *err);

/* Lock a directory until it is closed. Return: 0, -ETIMEDOUT after 2 s, or a
 * negative errno. */
int listen_lock(int dir_fd);

/* The socket: non-blocking, borrowed. */
int listen_fd(const struct listen_claim *claim);

/* Remove the socket and close it. NULL is nothing to do. */
void listen_release(struct listen_claim *claim);

#endif
