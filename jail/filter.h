/*
 * A filter of system calls for threads of a process that is in no jail: made
 * once from lists, then loaded by each thread that is to have it.
 */
#ifndef JAIL_FILTER_H
#define JAIL_FILTER_H

#include "vmm/base/error.h"
#include "vmm/base/syscall_list.h"

struct jail_filter;

enum jail_filter_action {
	/* SIGSYS, whose handler says on stderr which call it was, and which
	 * ends the process. */
	JAIL_FILTER_KILL,
	/* The kernel writes it to its log, and the call is made. */
	JAIL_FILTER_LOG,
};

/**
 * jail_filter_new() - Make one.
 * @lists: @count of them; a call that any of them allows is allowed
 *
 * Return: 0, or a negative errno and @err.
 */
int jail_filter_new(struct jail_filter **out,
		    const struct syscall_list *const *lists, unsigned int count,
		    enum jail_filter_action action, struct error *err);

/* NULL is fine. What threads have loaded stays. */
void jail_filter_free(struct jail_filter *filter);

/**
 * jail_filter_apply() - For the calling thread, and those that it starts.
 *
 * For good; on top of what it has already. Sets no_new_privs. Nothing in a
 * build that has none, see jail_has_filter(). Return: 0 or a negative errno.
 */
int jail_filter_apply(const struct jail_filter *filter);

#endif
