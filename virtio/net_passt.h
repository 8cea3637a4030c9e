/*
 * Starting passt (https://passt.top), in main: user-mode networking without
 * privilege. It is a child that ends with its parent, and when its stream's
 * other end is closed.
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

/**
 * net_passt_start() - Start it and wait until it is ready.
 * @fds: by enum net_user_fd, owned by the caller; with dry_run all -1
 *
 * From the thread that lives as long as it is to: PR_SET_PDEATHSIG goes by
 * threads. May block for 10 s. Return: 0 or a negative errno, @err set: what
 * passt said, or how to install it.
 */
int net_passt_start(const struct net_passt_options *options,
		    int fds[NET_USER_FDS], struct error *err);

#endif
