/*
 * A command is two bytes, class and command, and what it needs; the answer is
 * one byte. Whatever a command's data is, the answer is VIRTIO_NET_OK or
 * VIRTIO_NET_ERR.
 */
#include "virtio/net_commands.h"

#include <errno.h>
#include <string.h>

#include <linux/virtio_net.h>
#include <sys/param.h>

#include "vmm/base/bytes.h"

uint16_t net_command_le16(const struct net_command *command)
{
	le16 value;

	memcpy(&value, command->data, sizeof(value));
	return le16_get(value);
}

/* Return: the answer. */
static uint8_t net_commands_answer(const struct virtqueue_chain *chain,
				   net_command_fn *fn, void *ctx)
{
	struct net_command command = {.chain = chain};
	uint8_t head[NET_COMMAND_HEAD];

	if (virtqueue_chain_read(chain, 0, head, sizeof(head)) < sizeof(head))
		return VIRTIO_NET_ERR;
	command.class = head[0];
	command.command = head[1];
	command.len = chain->readable_len - sizeof(head);
	virtqueue_chain_read(chain, sizeof(head), command.data,
			     MIN(command.len, sizeof(command.data)));
	return fn(ctx, &command) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
}

/* One command. Return: 1; 0: no more at present; -errno: failed. */
static int net_commands_one(struct virtqueue *queue, net_command_fn *fn,
			    void *ctx, const char **why)
{
	struct virtqueue_chain *chain;
	int ret = virtqueue_pop(queue, &chain);
	uint8_t answer;

	if (ret == -ENOMEM)
		return 0;
	if (ret < 0) {
		*why = "a broken control queue";
		return ret;
	}
	if (ret == 0) {
		if (!virtqueue_set_kicks(queue, true))
			return 0;
		virtqueue_set_kicks(queue, false);
		return 1;
	}
	if (!chain->writable_len) {
		virtqueue_chain_free(chain);
		*why = "a command without room for the answer";
		return -EPROTO;
	}
	answer = net_commands_answer(chain, fn, ctx);
	virtqueue_chain_write(chain, 0, &answer, sizeof(answer));
	virtqueue_put(queue, chain, sizeof(answer));
	return 1;
}

int net_commands_run(struct virtqueue *queue, unsigned int budget,
		     net_command_fn *fn, void *ctx, const char **why)
{
	int ret = 1;

	virtqueue_set_kicks(queue, false);
	while (budget && ret > 0) {
		ret = net_commands_one(queue, fn, ctx, why);
		budget--;
	}
	if (ret >= 0)
		virtqueue_publish(queue);
	return ret;
}
