/*
 * Which system calls a process may make once it is in its jail: a type of
 * device says so in virtio/seccomp.c, jail/filter.c makes a filter of it. A
 * call may have several rules, and is allowed if one of them holds.
 */
#ifndef VMM_BASE_SYSCALL_LIST_H
#define VMM_BASE_SYSCALL_LIST_H

#include <stdbool.h>
#include <stdint.h>

#define SYSCALL_RULE_ARGS 2

/* An argument, of which (value & mask) == expected. A mask of 0: no matter. */
struct syscall_arg {
	unsigned int index; /* 0 to 5 */
	uint64_t mask;
	uint64_t expected;
};

struct syscall_rule {
	int number; /* SYS_... of this architecture */
	/* Why it is needed: for who reads the list, and for messages. */
	const char *reason;
	struct syscall_arg args[SYSCALL_RULE_ARGS]; /* all of them hold */
};

struct syscall_list {
	const struct syscall_list *base; /* its rules are part of it, or NULL */
	const struct syscall_rule *rules;
	unsigned int count;
	/* What goes with it. Bytes up to which the process may make a file
	 * grow, 0: any; and whether it starts threads. */
	uint64_t file_size;
	bool threads;
};

#endif
