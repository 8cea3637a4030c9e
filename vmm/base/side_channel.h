/*
 * The channel between main and a device process, beside vhost-user: what that
 * is to be made of, its log, commands and their answers.
 *
 * A packet of a SOCK_SEQPACKET socket is one JSON object with one member, whose
 * name says what it is, and descriptors. Either end may be in the hands of
 * somebody hostile: a packet is bounded, checked against a table of what may
 * come when, and only then handed on.
 *
 * Any thread, one at a time for each end. Nothing blocks but
 * loop_wait_fd().
 */
#ifndef VMM_BASE_SIDE_CHANNEL_H
#define VMM_BASE_SIDE_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "vmm/base/fd_passing.h"

#define SIDE_CHANNEL_PACKET_MAX 65536 /* bytes of JSON */
#define SIDE_CHANNEL_FDS_MAX	FD_PASSING_MAX

struct side_channel_packet {
	json_t *value;		       /* owned */
	const char *name;	       /* of its member; borrowed from value */
	json_t *body;		       /* the member; likewise */
	int fds[SIDE_CHANNEL_FDS_MAX]; /* owned, but for those set to -1 */
	unsigned int fd_count;
};

/* Free and close. Safe on a zeroed one. */
void side_channel_packet_fini(struct side_channel_packet *packet);

/* Both ends, close-on-exec, non-blocking. Return: 0 or a negative errno. */
int side_channel_pair(int ends[2]);

/**
 * side_channel_send() - Send a packet, or nothing.
 * @name: of its member
 * @body: that, taken; NULL is an error of its making
 * @fds: borrowed
 * @fd_count: at most SIDE_CHANNEL_FDS_MAX
 *
 * Return: 0; -EAGAIN if the other end does not read; -EMSGSIZE; -ENOMEM; -EPIPE
 * if there is no other end.
 */
int side_channel_send(int channel, const char *name, json_t *body,
		      const int *fds, unsigned int fd_count);

/**
 * side_channel_receive() - Take the next packet.
 * @fds_max: descriptors that may come with it; with 0 none enter this process
 * @out: for side_channel_packet_fini() if 1 is returned
 *
 * Return: 1; 0: none is there; -EPIPE: the other end is closed; -EPROTO: what
 * came is no packet; or what recvmsg(2) says.
 */
int side_channel_receive(int channel, unsigned int fds_max,
			 struct side_channel_packet *out);

/* What an end takes: a table of these. */
struct side_channel_row {
	const char *name;
	json_type type;		       /* of the body */
	unsigned int fds_min, fds_max; /* descriptors with it */
	unsigned int phases;	       /* a bit for each in which it may come */
	/* Return: 0, or a negative errno: then the peer is not to be trusted.
	 * Descriptors that it takes it sets to -1. */
	int (*handle)(void *ctx, struct side_channel_packet *packet);
};

/**
 * side_channel_dispatch() - Check a packet, and call its handler.
 * @phase: a bit
 * @why: set if it is refused: what is wrong with it
 *
 * Return: what the handler says, or -EPROTO.
 */
int side_channel_dispatch(const struct side_channel_row *rows, size_t count,
			  unsigned int phase,
			  struct side_channel_packet *packet, void *ctx,
			  const char **why);

#endif
