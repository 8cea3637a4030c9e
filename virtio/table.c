#include "virtio/table.h"

#include <assert.h>
#include <string.h>

#include "virtio/block.h"
#include "virtio/console.h"
#include "virtio/net.h"
#include "virtio/rng.h"

/* Its only other reader is virtio_table_find(); one row a type, and NULL at
 * the end. */
const struct virtio_device_ops *const virtio_table[] = {
	&virtio_block_ops,
	&virtio_console_ops,
	&virtio_net_ops,
	&virtio_rng_ops,
	NULL,
};

const size_t virtio_table_count =
	sizeof(virtio_table) / sizeof(virtio_table[0]) - 1;

static_assert(sizeof(virtio_table) / sizeof(virtio_table[0]) > 0,
	      "the end stands, even without a device");

const struct virtio_device_ops *virtio_table_find(const char *type)
{
	for (size_t i = 0; i < virtio_table_count; i++) {
		if (strcmp(virtio_table[i]->type, type) == 0)
			return virtio_table[i];
	}
	return NULL;
}
