/*
 * The command line of `bantam run`. One table in options.c describes every
 * option and key; parsing and help come from it.
 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/arch.h"
#include "vmm/base/error.h"
#include "vmm/base/log.h"

/* Where a serial port leads to. */
enum options_serial {
	OPTIONS_SERIAL_STDIO,
	OPTIONS_SERIAL_FILE,
	OPTIONS_SERIAL_NULL,
};

struct options {
	/* Text is owned. */
	char *kernel;
	unsigned int entry; /* enum arch_entry */
	char *initrd;	    /* NULL without */
	char *append;	    /* NULL without */
	uint64_t memory;    /* bytes */
	uint64_t hugepages; /* bytes of a page; 0 for ordinary ones */
	uint64_t cpus;
	unsigned int machine; /* enum arch_profile */
	unsigned int serial;  /* enum options_serial */
	char *serial_file;    /* OPTIONS_SERIAL_FILE */
	uint64_t timeout;     /* ns; 0 for none */
	uint64_t grace;	      /* ns */
	bool no_reboot;
	unsigned int log; /* enum log_level */
};

/**
 * options_parse() - Read the words behind the verb.
 * @options: filled in, defaults where nothing was said; for options_fini(),
 *           also after a failure
 * @argv: @argc words, not NULL-terminated necessarily
 * @err: names the option, the key and what would be accepted
 *
 * Return: 0, -EINVAL, or -ENOMEM.
 */
int options_parse(struct options *options, int argc, char *const *argv,
		  struct error *err);

void options_fini(struct options *options);

/* Print every option with its keys, as `bantam help run` shows them. */
void options_help(FILE *out);

#endif
