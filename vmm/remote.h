/*
 * A machine of another process, as its clients see it: a connection to its
 * control socket, requests and replies, and what it tells of its own accord.
 */
#ifndef VMM_REMOTE_H
#define VMM_REMOTE_H

#include <stdint.h>

#include <sys/types.h>

#include <jansson.h>

#include "vmm/base/error.h"

/* How long a reply may take, for those who have no reason to say otherwise. */
#define REMOTE_REPLY_NS INT64_C(10000000000)

struct remote;

/**
 * remote_open() - Connect to a machine.
 * @out: for remote_close()
 * @name: a name, or the path of a socket if it has a slash
 * @reply_ns: how long each reply may take
 * @err: names the machine
 *
 * Never waits. All functions here belong to one thread.
 * Return: 0, -ENOENT without a socket, -ECONNREFUSED if it is stale, -EAGAIN if
 * nobody accepts connections, or another negative errno.
 */
int remote_open(struct remote **out, const char *name, int64_t reply_ns,
		struct error *err);

/* NULL is nothing to do. */
void remote_close(struct remote *remote);

/* The process that listens; 0 where it cannot be seen. */
pid_t remote_pid(const struct remote *remote);

/* The connection, to be polled for input. Borrowed. */
int remote_fd(const struct remote *remote);

/**
 * remote_send() - Send a request and do not wait for its reply.
 * @params: taken over; NULL for none
 * @id: of the reply, or NULL
 *
 * Blocks for as long as a reply may take, if the machine reads nothing.
 * Return: 0 (also if the machine is gone: that is received), -ETIMEDOUT,
 * -ENOMEM, or what send(2) says.
 */
int remote_send(struct remote *remote, const char *method, json_t *params,
		json_int_t *id, struct error *err);

/**
 * remote_call() - Send a request and wait for its reply.
 * @params: taken over; NULL for none
 * @result: a new reference, or NULL for none wanted
 *
 * Messages that come before the reply are kept for remote_receive(). Return: 0,
 * -EREMOTEIO for an error reply (see remote_refusal()), -ETIMEDOUT, -ECONNRESET
 * if the machine is gone, or another negative errno.
 */
int remote_call(struct remote *remote, const char *method, json_t *params,
		json_t **result, struct error *err);

/* The "error" of the last error reply; borrowed until the next call. */
const json_t *remote_refusal(const struct remote *remote);

/**
 * remote_receive() - The next message, a reply or a notification.
 * @max_ns: wait that long; 0: only what is there already; negative: for ever
 * @message: a new reference to an object
 *
 * Return: 0, -ETIMEDOUT, -ECONNRESET if the machine is gone, -EPROTO for what
 * is not a message, or another negative errno.
 */
int remote_receive(struct remote *remote, int64_t max_ns, json_t **message,
		   struct error *err);

/**
 * remote_wait_exit() - Wait until the machine's process has ended.
 *
 * For a machine that has said that it stopped: it only takes itself down now.
 * Gives up after 10 s, and where the process cannot be seen.
 */
void remote_wait_exit(struct remote *remote);

#endif
