/*
 * What main and the spawner say to each other: one packet each way for a child,
 * over a SOCK_SEQPACKET socket. Both are this program, and the spawner takes no
 * input from anybody else.
 */
#ifndef JAIL_SPAWNER_PRIVATE_H
#define JAIL_SPAWNER_PRIVATE_H

#include <stdint.h>

#include "jail/spawner.h"

/* Main's: with the child's channel as a descriptor. */
struct spawner_ask {
	uint32_t mode; /* enum jail_mode */
	char type[SPAWNER_TYPE_MAX];
};

/* The spawner's: with the pidfd as a descriptor if errnum is 0. */
struct spawner_answer {
	int32_t errnum;
	int32_t pid;
	char text[ERROR_TEXT_MAX];
};

/* What the spawner is forked with; all above 2. */
struct spawner_fds {
	int socket;
	int exe;    /* this program */
	int parent; /* pidfd of main */
	int null;   /* /dev/null */
};

/* Send size bytes and a descriptor, or -1 for none. 0 or a negative errno. */
int spawner_send(int socket, const void *data, size_t size, int fd);
/*
 * Receive just size bytes, and at most one descriptor, *fd: owned, or -1.
 * Return: 0; -EPIPE at the end; -ETIMEDOUT; -EPROTO for any other packet.
 */
int spawner_receive(int socket, void *data, size_t size, int *fd);

/* The spawner's process, until main hangs up. */
_Noreturn void spawner_process(const struct spawner_fds *fds);

#endif
