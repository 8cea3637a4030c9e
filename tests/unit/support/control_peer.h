/*
 * A client of a control socket whose server runs on the test's own loop: both
 * ends in one thread.
 */
#ifndef TESTS_UNIT_SUPPORT_CONTROL_PEER_H
#define TESTS_UNIT_SUPPORT_CONTROL_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "vmm/base/loop.h"

struct control_peer {
	struct loop *loop; /* borrowed */
	int fd;		   /* non-blocking; the test may use and close it */
	char *in;	   /* what was read and not yet looked at */
	size_t in_used;
};

/* All functions end the test that calls them if something unexpected happens.
 */
void control_peer_open(struct control_peer *peer, struct loop *loop,
		       const char *path);
void control_peer_close(struct control_peer *peer);

/* Send bytes as they are; what the socket does not take fails the test. */
void control_peer_send(struct control_peer *peer, const char *text, size_t len);

/* Send a request: params as JSON text, or NULL. */
void control_peer_request(struct control_peer *peer, const char *method,
			  const char *params, int id);

/**
 * control_peer_receive() - Run the loop until a message has come.
 *
 * Return: a new reference, or NULL if the connection was closed.
 */
json_t *control_peer_receive(struct control_peer *peer);

/* A request and the reply to it, the next message that comes. */
json_t *control_peer_call(struct control_peer *peer, const char *method,
			  const char *params);

/* The code of a reply's error, 0 if it has none. */
int control_peer_code(const json_t *reply);

#endif
