/*
 * What the user wants of a machine: the options of `bantam run`, from its words
 * and its config file. vmm/option_table.c has a row for each.
 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/options.h"
#include "vmm/arch.h"
#include "vmm/base/error.h"
#include "vmm/base/log.h"

/* Where a port on which the guest prints leads to: one record for each. */
enum options_to {
	OPTIONS_TO_UNSAID, /* while options are read */
	OPTIONS_TO_STDIO,
	OPTIONS_TO_FILE,
	OPTIONS_TO_SOCKET,
	OPTIONS_TO_NULL,
};

struct options_end {
	unsigned int to; /* enum options_to */
	char *file;	 /* OPTIONS_TO_FILE, else NULL */
	char *socket;	 /* OPTIONS_TO_SOCKET, else NULL */
};

/* --console: one port. The device that has them all is of the first. */
struct options_console {
	struct virtio_common_options common;
	struct options_end end;
	char *name; /* NULL: a console, hvc0 and so on */
};

/* Whether there is an rng. */
enum options_rng {
	OPTIONS_RNG_OFF,
	OPTIONS_RNG_ON,
};

/* What a repeatable option collected, in the order given. */
struct options_list {
	char **items; /* owned, as is each text */
	size_t count;
};

/* The same of devices; options_fini() frees what is in each. */
struct options_disks {
	struct virtio_block_options *items;
	size_t count;
};

struct options_nets {
	struct virtio_net_options *items;
	size_t count;
};

struct options_vhost_users {
	struct virtio_vhost_options *items;
	size_t count;
};

struct options_consoles {
	struct options_console *items;
	size_t count;
};

struct options {
	/* The machine. Text is owned. */
	char *kernel;
	unsigned int entry; /* enum arch_entry */
	char *initrd;	    /* NULL without */
	char *append;	    /* NULL without */
	uint64_t memory;    /* bytes */
	uint64_t hugepages; /* bytes of a page; 0 for ordinary ones */
	uint64_t cpus;
	unsigned int machine; /* enum arch_profile */
	struct options_end serial;
	char *name; /* NULL without; fit for a file's name */

	/* Its devices. */
	struct options_disks disks;
	struct options_nets nets;
	struct options_consoles consoles;
	unsigned int rng_use; /* enum options_rng */
	struct virtio_rng_options rng;
	struct options_vhost_users vhost_users;
	unsigned int sandbox; /* enum virtio_sandbox, for those that say none */

	/* Of `bantam device`: one of them. */
	char *device_socket; /* NULL without */
	uint64_t device_fd;  /* 0 without */

	/* Its end. */
	struct options_list expect;  /* extended regular expressions, checked */
	struct options_list fail_on; /* the same */
	uint64_t timeout;	     /* ns; 0 for none */
	uint64_t idle_timeout;	     /* the same */
	uint64_t grace;		     /* ns */
	bool no_reboot;
	char *result; /* a file; NULL without */

	/* The run itself. */
	bool dry_run;
	char *config; /* a file, already read; NULL without */
	bool print_config;
	unsigned int log; /* enum log_level */
	bool help;	  /* --help: nothing else was looked at */
};

/**
 * options_parse() - Read the words behind the verb, and the config file that
 * they name.
 * @options: filled in: defaults, above them the file, above that the words; for
 *           options_fini(), also after a failure
 * @argv: @argc words, not NULL-terminated necessarily
 * @err: names the option, the key and what would be accepted
 *
 * May block on the config file. Return: 0, -EINVAL, -ENOMEM, or the errno of
 * the file.
 */
int options_parse(struct options *options, int argc, char *const *argv,
		  struct error *err);

/**
 * options_parse_device() - The same for `bantam device TYPE`.
 * @argc, @argv: the words behind the type
 *
 * What there is of the type's own options is checked: exactly one --disk for
 * block and so on, and none of another type.
 * Return: 0, -EINVAL or -ENOMEM.
 */
int options_parse_device(struct options *options, const char *type, int argc,
			 char *const *argv, struct error *err);

void options_fini(struct options *options);

#endif
