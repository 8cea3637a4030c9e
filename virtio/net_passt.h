/*
 * Starting passt (https://passt.top), in main: user-mode networking without
 * privilege. It is a child that ends with its parent, but for one that changes
 * its user, as root's does; and when its stream's other end is closed.
 */
#ifndef VIRTIO_NET_PASST_H
#define VIRTIO_NET_PASST_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/net_user.h"
#include "virtio/options.h"
#include "vmm/base/error.h"

#define NET_PASST_FORWARDS_MAX 64

struct net_passt_options {
	const char *option;		    /* for messages: "--net user" */
	const struct virtio_text_list *fwd; /* [HOST:]PORT:PORT */
	uint16_t mtu;			    /* 0: not said */
	bool dry_run;
};

/* A port of the host's that leads to one of the guest's, TCP and UDP. */
struct net_passt_forward {
	char host[64]; /* a numeric address, IPv4 or IPv6 */
	uint16_t from, to;
};

/* Without HOST, 127.0.0.1. Return: 0 or -EINVAL, @err set. */
int net_passt_parse(const char *option, const char *text,
		    struct net_passt_forward *out, struct error *err);

struct starter; /* vmm/base/starter.h */

/**
 * net_passt_new() - Check what the user wants of it, and that it is here.
 * @starter: owned: what starts it with that; with dry_run as it was
 *
 * As starter_new(). Return: 0 or a negative errno, @err set, which says how to
 * install it.
 */
int net_passt_new(const struct net_passt_options *options,
		  struct starter **starter, struct error *err);

/**
 * net_passt_start() - Start it and wait until it is ready.
 * @option: for messages
 * @fds: by enum net_user_fd, owned by the caller
 *
 * May block for 10 s. Return: 0 or a negative errno, @err set: what passt said.
 */
int net_passt_start(const char *option, struct starter *starter,
		    int fds[NET_USER_FDS], struct error *err);

/* Its end, after which what it had of the host, such as ports, is free: its
 * stream is closed already, for a passt that has changed its user ends by that
 * alone. May block for 2 s. @pid_fd: of net_passt_start(); borrowed. */
void net_passt_end(int pid_fd);

#endif
