/*
 * Starts device processes: first ones and, later, those that take the place of
 * one that died. Main forks it off early, before there are threads or guest
 * memory, and may give up its own rights afterwards.
 *
 * Each child is this very program, run as `bantam device TYPE --child`: a child
 * of main's (not of the spawner's), in a user, pid and mount namespace of its
 * own, and in a net, ipc and uts namespace that the spawner's children share
 * and nobody else is in. It has its channel at SPAWNER_CHANNEL_FD, /dev/null at
 * 0 and 1, main's stderr at 2, and no other descriptor. It dies with main, and
 * the spawner too.
 */
#ifndef JAIL_SPAWNER_H
#define JAIL_SPAWNER_H

#include <sys/types.h>

#include "jail/jail.h"
#include "vmm/base/error.h"

#define SPAWNER_CHANNEL_FD 3
#define SPAWNER_TYPE_MAX   32 /* with its end */

struct spawner;

struct spawner_request {
	const char *type;    /* "block" */
	int channel_fd;	     /* the child's end of its channel; borrowed */
	enum jail_mode mode; /* JAIL_OFF: in no namespaces of its own */
};

struct spawner_child {
	pid_t pid; /* a child of the caller's, which waits for it: SIGCHLD */
	int pidfd; /* owned */
};

/**
 * spawner_new() - Fork the spawner.
 *
 * By main's thread, which has to outlive it and all children, while it is the
 * only one. Return: 0, or a negative errno and @err.
 */
int spawner_new(struct spawner **out, struct error *err);

/* It ends; children stay. NULL is fine. */
void spawner_free(struct spawner *spawner);

/* Its own process: somebody may want to look at it in /proc. */
pid_t spawner_pid(const struct spawner *spawner);

/**
 * spawner_start() - Start a device process.
 *
 * One thread at a time. Waits for the spawner, 5 s at most, not for the child.
 * A program that cannot be executed ends with status 127.
 *
 * Return: 0; or a negative errno, and @err names what this host refuses: -EPERM
 * or -ENOSPC for a namespace, -EPIPE if the spawner is gone, -ETIMEDOUT.
 */
int spawner_start(struct spawner *spawner,
		  const struct spawner_request *request,
		  struct spawner_child *out, struct error *err);

#endif
