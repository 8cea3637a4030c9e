/*
 * What passt is called with: what the user said, checked, and what it is to
 * find out of this host.
 */
#include "virtio/net_passt_args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <unistd.h>

#include "virtio/net_route.h"
#include "vmm/base/log.h"

static int net_passt_refuse(const char *option, const char *text,
			    struct error *err)
{
	return error_set(err, EINVAL,
			 "%s: fwd=%s: expected [HOST:]PORT:PORT, a port of "
			 "this host and one of the guest, 1 to 65535, such as "
			 "8080:80, 0.0.0.0:8080:80 or [::1]:8080:80",
			 option, text);
}

/* Digits and nothing else. */
static int net_passt_port(const char *text, size_t len, uint16_t *out)
{
	unsigned int port = 0;

	if (len < 1 || len > 5)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		port = port * 10 + (unsigned int)(text[i] - '0');
	}
	if (port < 1 || port > UINT16_MAX)
		return -EINVAL;
	*out = (uint16_t)port;
	return 0;
}

static int net_passt_host(const char *text, size_t len, char *out, size_t size)
{
	uint8_t address[sizeof(struct in6_addr)];
	bool six = len > 2 && text[0] == '[' && text[len - 1] == ']';

	if (six) {
		text++;
		len -= 2;
	}
	if (len >= size)
		return -EINVAL;
	memcpy(out, text, len);
	out[len] = '\0';
	return inet_pton(six ? AF_INET6 : AF_INET, out, address) == 1 ? 0
								      : -EINVAL;
}

int net_passt_parse(const char *option, const char *text,
		    struct net_passt_forward *out, struct error *err)
{
	const char *to = strrchr(text, ':'), *from = to;

	if (!to)
		return net_passt_refuse(option, text, err);
	while (from > text && from[-1] != ':')
		from--;
	if (net_passt_port(to + 1, strlen(to + 1), &out->to) < 0 ||
	    net_passt_port(from, (size_t)(to - from), &out->from) < 0)
		return net_passt_refuse(option, text, err);
	if (from == text)
		strcpy(out->host, "127.0.0.1");
	else if (net_passt_host(text, (size_t)(from - text - 1), out->host,
				sizeof(out->host)) < 0)
		return net_passt_refuse(option, text, err);
	return 0;
}

/* passt knows a forwarded port by its number alone. */
static int net_passt_parse_all(const struct net_passt_options *options,
			       struct net_passt_forward *out, struct error *err)
{
	if (options->fwd->count > NET_PASST_FORWARDS_MAX)
		return error_set(err, EINVAL, "%s: at most %d fwd",
				 options->option, NET_PASST_FORWARDS_MAX);
	for (size_t i = 0; i < options->fwd->count; i++) {
		const char *text = options->fwd->items[i];
		int ret;

		out[i] = (struct net_passt_forward){.from = 0};
		ret = net_passt_parse(options->option, text, &out[i], err);
		if (ret < 0)
			return ret;
		for (size_t j = 0; j < i; j++) {
			if (out[j].from == out[i].from)
				return error_set(
					err, EINVAL,
					"%s: fwd=%s: port %u of this host is "
					"forwarded already",
					options->option, text, out[i].from);
		}
	}
	return 0;
}

static void net_passt_push(struct net_passt_args *args, char *word)
{
	args->argv[args->count++] = word;
	args->argv[args->count] = NULL;
}

/*
 * Without a default route passt finds no address for the guest, and does not
 * start. Then the guest gets one that is nobody's, and reaches this host, by
 * the gateway's address, and nothing else; ports are forwarded all the same.
 */
static void net_passt_push_alone(struct net_passt_args *args,
				 const char *option)
{
	static char interface[] = "--interface", lo[] = "lo",
		    address[] = "--address", guest[] = "10.0.2.15",
		    mask[] = "--netmask", bits[] = "24",
		    gateway[] = "--gateway", host[] = "10.0.2.2",
		    mac[] = "--mac-addr", host_mac[] = "52:55:0a:00:02:02";
	char *const words[] = {interface, lo,	   address, guest, mask,
			       bits,	  gateway, host,    mac,   host_mac};

	log_warn("%s: this host has no default route: the guest is %s, and "
		 "reaches nothing but this host, as %s",
		 option, guest, host);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		net_passt_push(args, words[i]);
}

void net_passt_fill(struct net_passt_args *args,
		    const struct net_passt_options *options)
{
	/* exec does not write to them. */
	static char foreground[] = "--foreground", quiet[] = "--quiet",
		    err[] = "--stderr", fd[] = "--fd", three[] = "3",
		    pid[] = "--pid", pid_file[] = "/proc/self/fd/1",
		    mtu[] = "--mtu", tcp[] = "--tcp-ports",
		    udp[] = "--udp-ports";
	char *const fixed[] = {args->path, foreground, quiet, err,
			       fd,	   three,      pid,   pid_file};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		net_passt_push(args, fixed[i]);
	if (!net_route_default(NET_ROUTE_PROC))
		net_passt_push_alone(args, options->option);
	if (options->mtu) {
		snprintf(args->mtu, sizeof(args->mtu), "%u", options->mtu);
		net_passt_push(args, mtu);
		net_passt_push(args, args->mtu);
	}
	for (size_t i = 0; i < options->fwd->count; i++) {
		const struct net_passt_forward *forward = &args->forwards[i];

		snprintf(args->texts[i], sizeof(args->texts[i]), "%.63s/%u:%u",
			 forward->host, forward->from, forward->to);
		net_passt_push(args, tcp);
		net_passt_push(args, args->texts[i]);
		net_passt_push(args, udp);
		net_passt_push(args, args->texts[i]);
	}
}

static int net_passt_find(const char *option, char path[PATH_MAX],
			  struct error *err)
{
	const char *at = getenv("PATH");

	if (!at)
		at = "/usr/local/bin:/usr/bin:/bin";
	while (*at) {
		size_t len = strcspn(at, ":");

		if (snprintf(path, PATH_MAX, "%.*s/passt", (int)len, at) <
			    PATH_MAX &&
		    len && access(path, X_OK) == 0)
			return 0;
		at += len + (at[len] == ':');
	}
	return error_set(err, ENOENT,
			 "%s: needs passt, which is not in PATH; as root, run: "
			 "apt-get install passt",
			 option);
}

int net_passt_check(const struct net_passt_options *options,
		    struct net_passt_args *out, struct error *err)
{
	int ret = net_passt_parse_all(options, out->forwards, err);

	return ret < 0 ? ret : net_passt_find(options->option, out->path, err);
}
