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

/*
 * An argument, of which (value & mask) == expected. A mask of 0: no matter. The
 * kernel looks at 32 bits of what it declares as an int: so does the mask then.
 */
struct syscall_arg {
	unsigned int index; /* 0 to 5 */
	uint64_t mask;
	uint64_t expected;
	bool self; /* expected is the process's own id instead */
};

struct syscall_rule {
	int number; /* SYS_... of this architecture */
	/* What for: so that who reads the list can tell what may go. */
	const char *reason;
	struct syscall_arg args[SYSCALL_RULE_ARGS]; /* all of them hold */
	/* Not 0: the call is not made, and fails with this. Without args. */
	unsigned int errnum;
};

/* For tables of rules: of a call by its name, whatever its arguments. */
#define SYSCALL_RULE(call, why)                       \
	{                                             \
		.number = SYS_##call, .reason = (why) \
	}

/* With an argument that is `value` as far as `bits` goes. */
#define SYSCALL_RULE_IF(call, arg, bits, value, why)             \
	{                                                        \
		.number = SYS_##call, .reason = (why), .args = { \
			{.index = (arg),                         \
			 .mask = (bits),                         \
			 .expected = (uint64_t)(value)}          \
		}                                                \
	}

/* With a first argument that is the process itself, and one more. A mask of 0
 * for that: no matter. */
#define SYSCALL_RULE_SELF(call, arg, bits, value, why)           \
	{                                                        \
		.number = SYS_##call, .reason = (why), .args = { \
			{.mask = UINT32_MAX, .self = true},      \
			{.index = (arg),                         \
			 .mask = (bits),                         \
			 .expected = (uint64_t)(value)}          \
		}                                                \
	}

/* That is not made, and fails. */
#define SYSCALL_RULE_FAILS(call, error, why)                             \
	{                                                                \
		.number = SYS_##call, .reason = (why), .errnum = (error) \
	}

#define SYSCALL_RULES(rules) (sizeof(rules) / sizeof((rules)[0]))

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
