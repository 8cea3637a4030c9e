/*
 * --result FILE: what a script wants to know about a machine that has ended,
 * as one JSON object. docs/outcomes.md describes its members.
 *
 * A regular file appears under its name whole or not at all; a device or FIFO
 * is written to.
 */
#ifndef VMM_RESULT_H
#define VMM_RESULT_H

#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/image.h"
#include "vmm/outcome.h"

struct result;

/**
 * result_new() - See that FILE can be written, and note the time.
 * @out: for result_free()
 * @path: borrowed
 * @err: names --result and the file
 *
 * Before anything else of the machine. Main thread. Return: 0 or a negative
 * errno.
 */
int result_new(struct result **out, const char *path, struct error *err);

/* Only see whether result_new() could do it. Likewise. */
int result_check(const char *path, struct error *err);

/* NULL is nothing to do. Waits for result_hash(). */
void result_free(struct result *result);

/**
 * result_hash() - Begin to hash the images, while the machine starts.
 * @kernel, @initrd: open, borrowed until result_free(); @initrd may be NULL
 *
 * Main thread. Return: 0 or a negative errno, @err set.
 */
int result_hash(struct result *result, const struct image *kernel,
		const struct image *initrd, struct error *err);

/* The line that decided, if one did. */
struct result_match {
	const char *by;	     /* "--expect", "--fail-on", "panic" */
	const char *pattern; /* NULL for a panic */
	const char *device;  /* that printed it */
	uint64_t number;     /* of the line, from 1 */
	const char *line;    /* the guest's; any bytes */
};

struct result_report {
	const struct outcome *outcome;
	const char *error;		  /* OUTCOME_ERROR, else NULL */
	const struct result_match *match; /* NULL without */
	int64_t first_instruction;	  /* loop_now(); 0 if it never came */
	int64_t end;			  /* loop_now() */
	uint64_t dropped;		  /* bytes of guest output */
};

/**
 * result_write() - Write FILE.
 *
 * Waits for result_hash(). Main thread. Return: 0, or a negative errno with
 * @err naming --result and the file; FILE is then as it was.
 */
int result_write(struct result *result, const struct result_report *report,
		 struct error *err);

#endif
