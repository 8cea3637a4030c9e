/*
 * Starts one program, again and again, for a main that gives up the right to
 * start any: a process that is forked off with the program's words and then
 * takes nothing from main but descriptors.
 *
 * It keeps the rights that its user has, for the program may want them: root's,
 * too.
 */
#ifndef VMM_BASE_STARTER_H
#define VMM_BASE_STARTER_H

#include <sys/types.h>

#define STARTER_FDS_MAX 8

struct starter;

/**
 * starter_new() - Fork it.
 * @argv: copied; [0] is the program's path
 * @fd_count: descriptors that the program gets, 1 to STARTER_FDS_MAX
 *
 * By main's thread, which has to outlive it and the programs: they die with
 * it, but for one that changes its user. Return: 0 or a negative errno.
 */
int starter_new(struct starter **out, char *const *argv, unsigned int fd_count);

/* It ends; the program stays. NULL is fine. */
void starter_free(struct starter *starter);

/**
 * starter_start() - Start the program.
 * @fds: borrowed, fd_count of them: they become its 0, 1, ...; it has no other
 * @pidfd: owned; of a child of the caller's, which waits for it: SIGCHLD
 *
 * One thread at a time. A program that cannot be executed says so on its stderr
 * and ends with status 1.
 * Return: 0; -EPIPE if the starter is gone; -ETIMEDOUT after 5 s; or another
 * negative errno.
 */
int starter_start(struct starter *starter, const int *fds, int *pidfd);

#endif
