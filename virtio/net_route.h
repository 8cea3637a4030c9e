/* Whether this host leads anywhere: passt takes its guest's address from the
 * interface of the default route. */
#ifndef VIRTIO_NET_ROUTE_H
#define VIRTIO_NET_ROUTE_H

#include <stdbool.h>

#define NET_ROUTE_PROC "/proc/net"

/**
 * net_route_default() - Has this host a default route, IPv4 or IPv6?
 * @proc: the folder of the kernel's tables, NET_ROUTE_PROC
 *
 * True also where the tables cannot be read: then passt has to find out.
 */
bool net_route_default(const char *proc);

#endif
