/*
 * What the jail's filter and those of threads have in common.
 */
#ifndef JAIL_FILTER_PRIVATE_H
#define JAIL_FILTER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <seccomp.h>

#include "vmm/base/syscall_list.h"

/* Where the last words go, and what is around the call: its name, or for a
 * parent on a socket, which can find that out at leisure, its number. */
struct filter_report {
	int fd;
	bool socket;
	const char *before, *after;
};

/* Catch SIGSYS in this process: say so, and die of it. 0 or -errno. */
int filter_handler_set(const struct filter_report *report);

/* An empty filter with what becomes of calls that are not in it; released by
 * seccomp_release(). Then the rules of a list. 0 or -errno. */
int filter_start(scmp_filter_ctx *out, uint32_t action);
int filter_add(scmp_filter_ctx filter, const struct syscall_list *list);

#endif
