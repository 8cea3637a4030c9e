/*
 * The jail around a device process. jail/spawner.c has put the process into
 * namespaces of its own and given it a channel; once it has made all that it
 * needs, it closes the door behind itself here, and from then on a compromised
 * process has its descriptors, its own memory, and the listed system calls.
 */
#ifndef JAIL_JAIL_H
#define JAIL_JAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/error.h"
#include "vmm/base/syscall_list.h"

enum jail_mode {
	JAIL_OFF, /* descriptors are closed, and nothing else */
	JAIL_LOG, /* all but that a call that is not listed goes on, reported */
	JAIL_ON,
};

struct jail_config {
	const char *label; /* such as "block0": the process's name */
	const struct syscall_list *calls;
	/* Descriptors that stay open; all others are closed. 0 to 2 become
	 * /dev/null unless they are among them, so that nothing else comes to
	 * lie there. */
	const int *keep_fds;
	unsigned int keep_count;
	/* A SOCK_SEQPACKET socket, among keep_fds: what jail_enter() reports
	 * goes there, and its other end is the parent's. */
	int report_fd;
	enum jail_mode mode;
};

/**
 * jail_begin() - First thing in a child of the spawner: die with the parent.
 * @channel_fd: whose other end the parent has
 *
 * Return: 0, or -ESRCH if there is no parent any more.
 */
int jail_begin(int channel_fd);

/**
 * jail_enter() - Close the door. For good, and for all threads.
 *
 * In a child that the spawner started with the same mode. Afterwards a call
 * that is not in the list kills the process, by SIGSYS, and report_fd has one
 * packet more: {"violation":{"call":257}}, for jail_call_name(). With JAIL_LOG
 * the call is made, and report_fd gets one packet now, {"notify":true}, with a
 * descriptor for jail_notice(). A sanitizer makes calls of its own: a build
 * with the address or thread sanitizer has no filter.
 *
 * Return: 0, or a negative errno and @err: then the process must end, for some
 * of it may have been done.
 */
int jail_enter(const struct jail_config *config, struct error *err);

/**
 * jail_rights_drop() - For a process in no jail: no capabilities, for this
 * thread and those that it starts.
 * @what: the step that failed
 *
 * Return: 0 or a negative errno.
 */
int jail_rights_drop(const char **what);

/* Whether this build has filters. */
bool jail_has_filter(void);

/* The name of a system call of this architecture, or its number, in size bytes.
 * In any process. */
void jail_call_name(int number, char *out, size_t size);

/**
 * jail_notice() - In the parent: one call that a child in JAIL_LOG has made.
 * @notify_fd: ready to be read; with a hang-up, the child has ended
 * @call: its name, of @size bytes
 *
 * Lets it go on. The child chooses when and how often: log_limited().
 * Return: 0; -ENOENT if the child was killed meanwhile; another negative errno.
 */
int jail_notice(int notify_fd, char *call, size_t size);

#endif
