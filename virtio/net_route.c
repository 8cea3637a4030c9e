/* The kernel's tables of routes, as text (proc_net(5)); the host is trusted,
 * but lines that are not understood are no routes. */
#include "virtio/net_route.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <linux/route.h>

#define NET_ROUTE_LINE 256

/* Interface, destination, gateway, flags, references, uses, metric, mask. */
static bool net_route_four(const char *line)
{
	unsigned int to, flags, mask;

	return sscanf(line, "%*s %8x %*8x %4x %*d %*u %*d %8x", &to, &flags,
		      &mask) == 3 &&
	       to == 0 && mask == 0 && (flags & RTF_UP) &&
	       !(flags & RTF_REJECT);
}

/* Destination, its length, source, its length, next hop, metric, references,
 * uses, flags, interface. Every host refuses what leads nowhere by lo. */
static bool net_route_six(const char *line)
{
	char to[33], name[16];
	unsigned int len, flags;

	return sscanf(line, "%32s %2x %*s %*x %*s %*x %*x %*x %8x %15s", to,
		      &len, &flags, name) == 4 &&
	       len == 0 && strspn(to, "0") == 32 && (flags & RTF_UP) &&
	       !(flags & RTF_REJECT) && strcmp(name, "lo") != 0;
}

/* Return: 1; 0: none; -1: no such table. */
static int net_route_find(const char *proc, const char *table,
			  bool (*is_default)(const char *line))
{
	char path[PATH_MAX], line[NET_ROUTE_LINE];
	int found = 0;
	FILE *file;

	if (snprintf(path, sizeof(path), "%s/%s", proc, table) >= PATH_MAX)
		return -1;
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (!found && fgets(line, sizeof(line), file))
		found = is_default(line);
	fclose(file);
	return found;
}

bool net_route_default(const char *proc)
{
	int four = net_route_find(proc, "route", net_route_four);
	int six = net_route_find(proc, "ipv6_route", net_route_six);

	/* A kernel may be without IPv6, and then has no table of it. */
	return four != 0 || six > 0;
}
