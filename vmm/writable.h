/*
 * Whether a file could be written later on, found out without touching it.
 */
#ifndef VMM_WRITABLE_H
#define VMM_WRITABLE_H

#include <stdbool.h>

#include "vmm/base/error.h"

/* What there is under a path. */
enum writable_kind {
	WRITABLE_NEW,	  /* nothing: it would be created */
	WRITABLE_REGULAR, /* a regular file, to be replaced */
	WRITABLE_OTHER,	  /* a device, FIFO or pipe, to be written to */
};

/**
 * writable_check() - May the file be written, or else created?
 * @option: that named it, for messages
 * @beside: a regular file is replaced by one that is made beside it, so its
 *	    folder must be writable, too
 * @kind: out; NULL if of no interest
 *
 * Asks for the permissions that the process has now. Nothing is opened, since
 * opening a FIFO has an effect on its reader.
 * Return: 0, or a negative errno, @err saying what is in the way.
 */
int writable_check(const char *option, const char *path, bool beside,
		   enum writable_kind *kind, struct error *err);

#endif
