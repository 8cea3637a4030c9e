/* The words of a call of passt; see net_passt.h. */
#ifndef VIRTIO_NET_PASST_ARGS_H
#define VIRTIO_NET_PASST_ARGS_H

#include <limits.h>

#include "virtio/net_passt.h"

/* What it is called with; too large for a small stack, 10 KiB. */
struct net_passt_args {
	char path[PATH_MAX];
	struct net_passt_forward forwards[NET_PASST_FORWARDS_MAX];
	char mtu[8];
	char texts[NET_PASST_FORWARDS_MAX][80];
	char *argv[32 + 4 * NET_PASST_FORWARDS_MAX]; /* into the above */
	unsigned int count;
};

/* Forwards as the user gave them, and where passt is. Return: 0 or a negative
 * errno, @err set. */
int net_passt_check(const struct net_passt_options *options,
		    struct net_passt_args *out, struct error *err);

/* argv, of what net_passt_check() found, which was zero before that. Warns of a
 * host that has no default route. */
void net_passt_fill(struct net_passt_args *args,
		    const struct net_passt_options *options);

#endif
