/*
 * What the user wants of a machine: the options of `bantam run`, from its words
 * and its config file. vmm/option_table.c has a row for each.
 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/arch.h"
#include "vmm/base/error.h"
#include "vmm/base/log.h"

/* Where a port on which the guest prints leads to: one record for each. */
enum options_to {
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

/* What a repeatable option collected, in the order given. */
struct options_list {
	char **items; /* owned, as is each text */
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

void options_fini(struct options *options);

#endif
