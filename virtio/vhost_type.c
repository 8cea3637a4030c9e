#include "virtio/vhost_type.h"

#include <string.h>

#include <linux/virtio_net.h>

#define NET(name) (UINT64_C(1) << VIRTIO_NET_F_##name)

static const struct vhost_type vhost_types[] = {
	{
		.name = "block",
		.queue_size = 256,
		.config_size = 60,
		.per_unit = 1,
		.own = 32, /* 5.2.4: writeback */
		.own_size = 1,
	},
	{
		.name = "console",
		.queue_size = 128,
		.config_size = 12,
		.per_unit = 1,
	},
	{
		/* 5.11.4: tag and number of request queues. */
		.name = "fs",
		.queue_size = 256,
		.frontend_config = true,
		.config_size = 40,
		.per_unit = 1,
		.fixed = 1, /* hiprio */
		.session = true,
	},
	{
		.name = "net",
		.queue_size = 256,
		.frontend_config = true,
		.config_size = 12,
		.per_unit = 2,
		.in_order = true,
		.frontend_features = NET(MAC) | NET(STATUS) | NET(MTU) |
				     NET(CTRL_VQ) | NET(CTRL_RX) |
				     NET(CTRL_RX_EXTRA) | NET(CTRL_VLAN) |
				     NET(CTRL_MAC_ADDR) | NET(GUEST_ANNOUNCE) |
				     NET(CTRL_GUEST_OFFLOADS),
		.many = NET(MQ),
	},
	{
		.name = "rng",
		.queue_size = 64,
		.per_unit = 1,
	},
	{.name = NULL},
};

const struct vhost_type *vhost_type_find(const char *name)
{
	for (const struct vhost_type *type = vhost_types; type->name; type++) {
		if (strcmp(type->name, name) == 0)
			return type;
	}
	return NULL;
}
