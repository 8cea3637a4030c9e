/*
 * The commands of a network card's control queue (virtio 1.3, 5.1.6.5): taken
 * from it one by one, and answered. What they do is for the caller to say: the
 * device's model, or a vhost-user frontend, whose backend has no such queue.
 *
 * All with the device's lock held.
 */
#ifndef VIRTIO_NET_COMMANDS_H
#define VIRTIO_NET_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/queue.h"

#define NET_COMMAND_HEAD 2 /* class and command */
/* Of what net_command.data holds. */
#define NET_COMMAND_DATA 8

/* Each byte is the guest's. */
struct net_command {
	const struct virtqueue_chain *chain;
	uint8_t class, command;
	uint64_t len;			/* of the data, without the head */
	uint8_t data[NET_COMMAND_DATA]; /* its start */
};

/* data[0..1]: a number. */
uint16_t net_command_le16(const struct net_command *command);

/* Do it, all or nothing. Return: whether it is done. */
typedef bool net_command_fn(void *ctx, const struct net_command *command);

/**
 * net_commands_run() - Answer what waits in the queue, at most @budget.
 * @fn: must not free the queue
 * @why: set on failure: what the guest made
 *
 * Return: 0: nothing waits any more, and the next one kicks; 1: something may;
 * -errno: the guest broke it, and the queue is of no use until it is reset.
 */
int net_commands_run(struct virtqueue *queue, unsigned int budget,
		     net_command_fn *fn, void *ctx, const char **why);

#endif
