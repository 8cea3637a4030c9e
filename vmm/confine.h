/*
 * What the machine's process gives up before the first guest instruction:
 * capabilities, and most system calls, of which a vCPU's thread keeps the
 * fewest. Device processes are virtio/child.c's.
 */
#ifndef VMM_CONFINE_H
#define VMM_CONFINE_H

#include <stdbool.h>

#include "vmm/base/error.h"
#include "vmm/options.h"

struct confine;

/**
 * confine_new() - Note what is wanted; nothing is given up yet.
 * @options: borrowed
 *
 * Return: 0, or a negative errno and @err.
 */
int confine_new(struct confine **out, const struct options *options,
		struct error *err);
/* NULL is fine; no vCPU is left. */
void confine_free(struct confine *confine);

/**
 * confine_rights() - No capabilities from now on, for this thread and those
 * that it starts.
 *
 * Once all files and taps are open. Return: likewise.
 */
int confine_rights(struct error *err);

/* This thread is a vCPU's from now on. The first one makes the filter, beside
 * main. Return: 0 or -errno. */
int confine_vcpu(struct confine *confine);

/* This one is main's, once the guest runs: making the filter takes a
 * millisecond. Return: as confine_new(). */
int confine_main(const struct confine *confine, struct error *err);

#endif
