/*
 * What a user may say of each type of device: the records that the option
 * table fills in and that struct virtio_device_ops's open() reads.
 */
#ifndef VIRTIO_OPTIONS_H
#define VIRTIO_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum virtio_transport_kind {
	VIRTIO_TRANSPORT_PCI,
	VIRTIO_TRANSPORT_MMIO,
};

/* Where its model runs. */
enum virtio_sandbox {
	VIRTIO_SANDBOX_UNSAID, /* as the machine's devices are */
	VIRTIO_SANDBOX_ON,     /* in a jailed process of its own */
	VIRTIO_SANDBOX_OFF,    /* in main */
	VIRTIO_SANDBOX_LOG,    /* as ON, but reports what it would refuse */
};

/* First in each record: what every device has. */
struct virtio_common_options {
	unsigned int transport; /* enum virtio_transport_kind */
	uint64_t slot;		/* PCI, 1 to 31; 0: the first that is free */
	bool packed;		/* offer VIRTIO_F_RING_PACKED */
	unsigned int sandbox;	/* enum virtio_sandbox */
	bool restart;		/* a process of its own that died */
};

/* --disk FILE,... */
struct virtio_block_options {
	struct virtio_common_options common;
	char *file;
	bool ro, ephemeral, direct;
	char *serial;	    /* at most 20 bytes; NULL without */
	uint64_t queues;    /* 1 to 16 */
	uint64_t bootindex; /* 0 without */
};

/* What a string list is, as in vmm/options.h. */
struct virtio_text_list {
	char **items;
	size_t count;
};

enum virtio_net_kind {
	VIRTIO_NET_TAP,
	VIRTIO_NET_USER, /* through passt */
};

/* --net tap=NAME|user,... */
struct virtio_net_options {
	struct virtio_common_options common;
	unsigned int kind;	     /* enum virtio_net_kind */
	char *tap;		     /* VIRTIO_NET_TAP */
	char *mac;		     /* NULL: one is made up */
	uint64_t mtu;		     /* 0: not said */
	uint64_t queues;	     /* pairs, 1 to 8 */
	struct virtio_text_list fwd; /* [HOST:]PORT:PORT */
};

/* --rng [source=FILE] */
struct virtio_rng_options {
	struct virtio_common_options common;
	char *source; /* NULL: getrandom(2) */
};

/* --vhost-user TYPE,... */
struct virtio_vhost_options {
	struct virtio_common_options common;
	char *type;	 /* of vhost_type_find() */
	char *socket;	 /* where the backend listens */
	char *tag;	 /* fs: what the guest mounts; else NULL */
	char *mac;	 /* net: NULL: one is made up */
	uint64_t queues; /* of requests, or pairs of net's; 1 to 16 */
};

/*
 * --console, as main has put it together from the records of the option table:
 * one device with a port for each. What the guest prints on a port comes out
 * of its descriptor's other end, in main.
 */
#define VIRTIO_CONSOLE_PORTS_MAX 8

struct virtio_console_port {
	int fd;		  /* borrowed: a stream socket, non-blocking */
	const char *name; /* NULL: a console, hvc0 and so on */
};

struct virtio_console_options {
	struct virtio_common_options common;
	const struct virtio_console_port *ports;
	size_t port_count; /* 1 to VIRTIO_CONSOLE_PORTS_MAX */
};

#endif
