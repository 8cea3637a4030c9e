/*
 * What processes that main forks off before it gives up its rights have in
 * common: they do for it what it may not do any more, at its request, and start
 * children of main's, not of their own. They end with it.
 */
#ifndef VMM_BASE_FORKED_H
#define VMM_BASE_FORKED_H

#include <stdbool.h>
#include <stdint.h>

#include <sys/types.h>

/**
 * forked_socket() - A SOCK_SEQPACKET pair for requests, close-on-exec.
 * @ends: [0] is main's, where a call waits 5 s at most and then fails with
 *        -EAGAIN; [1] the process's, above what forked_keep() gives away
 *
 * Return: 0 or a negative errno.
 */
int forked_socket(int ends[2]);

/* @fd, which it takes, above what forked_keep() gives away, close-on-exec; or
 * -1, errno set. -1 stays -1. */
int forked_lift(int fd);

/* A pidfd of this process, lifted, for forked_orphaned(); or -1, errno set. */
int forked_parent(void);

/**
 * forked_settle() - First thing in such a process: as a program that starts
 * anew, for what main has set up is of no use here.
 * @name: of 15 characters at most
 * @null: /dev/null, which becomes its 0 and 1
 */
void forked_settle(const char *name, int null);

/**
 * forked_keep() - Keep these behind 0 to @first - 1, and close all else.
 * @fds: lifted ones; where they come to lie, close-on-exec
 * @null: what @first - 1 down to 3 become, so that nothing that is received
 *        comes to lie where a child has its own
 */
void forked_keep(int *const fds[], unsigned int count, int first, int null);

/* In such a process, and in its children: die with main. @parent: its
 * forked_parent(). Return: whether it is dead already. */
bool forked_orphaned(int parent);

/**
 * forked_clone() - fork(2), of a child of main's.
 * @flags: of clone(2), besides
 * @pidfd: owned
 *
 * Return: 0 in the child; its number; or a negative errno.
 */
pid_t forked_clone(uint64_t flags, int *pidfd);

/* In main: end such a process, which has nothing to finish, and may hang. */
void forked_end(pid_t pid);

#endif
