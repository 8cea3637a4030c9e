/*
 * What the files of a device's process share: child.c starts and ends it,
 * child_channel.c is what it says, child_restart.c what becomes of its device
 * when it dies. Nobody else includes this.
 */
#ifndef VIRTIO_CHILD_PRIVATE_H
#define VIRTIO_CHILD_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <sys/types.h>

#include "virtio/child.h"
#include "virtio/vhost_frontend.h"
#include "vmm/base/log.h"

/* Bytes of text that it may say. */
#define CHILD_TEXT_MAX 2048
#define CHILD_CALL_MAX 64

/* Bits, as the side channel's table has them. */
enum child_phase {
	CHILD_STARTING = 1,
	CHILD_RUNNING = 2,
	CHILD_GONE = 4,
};

struct child {
	struct child_config config;
	char label[VIRTIO_LABEL_MAX];
	struct virtio_resources frontend; /* owned: of the frontend */

	/* Main thread. Of the process: */
	enum child_phase phase;
	pid_t pid;
	int channel; /* owned; -1 without */
	struct loop_fd *ended, *heard;
	char said[CHILD_TEXT_MAX + 64]; /* its last words; "" for none */
	int64_t end_by; /* loop_now() when it is killed; 0: no end is wanted */
	int64_t window; /* loop_now() since when packets are counted */
	unsigned int packets;
	struct log_limit log, deaths, returns, notes;
	/* Of the command under way: */
	json_int_t command; /* its id */
	json_t *reply;	    /* what came; NULL: not yet */
	/* Of VIRTIO_SANDBOX_LOG: what the thread waits for; -1: there is no
	 * thread. */
	int notices; /* owned */
	pthread_t noter;
	/* Of a process that open() started: */
	struct loop_fd *helper;

	/* Of its restart: */
	struct virtio_device *device; /* borrowed; NULL: none yet */
	struct vhost_frontend *vhost; /* of device */
	struct loop_timer *timer;     /* to start one, or until it is ready */
	struct loop_fd *quiet;	      /* of drain */
	int socket;		      /* owned: of the next; -1 without */
	bool serves;		      /* the frontend has it */
	int64_t since;		      /* loop_now() when that began */
	unsigned int soon;	      /* deaths in a row that came soon */
	uint64_t restarts;
	atomic_bool hopeless; /* any thread: none comes any more */

	/* Any thread, under the lock, which is taken last. Owned; -1 without.
	 * life and drain: pipes of which the process has the other end, and
	 * hang up when nothing of it can write to guest memory any more; life
	 * is of the process that is there, drain of one that was lost. */
	pthread_mutex_t lock;
	int pidfd, life, drain;
};

/* --- child.c ---------------------------------------------------------------
 */

/* Start a process, whose end of the connection is socket. */
int child_start(struct child *child, int socket, struct error *err);
/* Both ends of a connection: main's into *ours, a process started with the
 * other. */
int child_connect(struct child *child, int *ours, struct error *err);

/*
 * Report the calls that its sandbox would refuse, and let them go on: on a
 * thread of its own, since main waits for the process now and then. Takes
 * notices. Return: 0 or a negative errno.
 */
int child_note(struct child *child, int notices);

/* What its last words are, by the number of the call. */
void child_violated(struct child *child, int number);

/* Any thread. */
void child_kill(struct child *child);

/* --- child_channel.c -------------------------------------------------------
 */

/* It breaks the rules, or is silent. Main thread. */
void child_lose(struct child *child, const char *why);

/* Take a packet. Return: 1; 0: there is none; or a negative errno: there will
 * be none. */
int child_take(struct child *child);

/* A loop_fd_fn. */
void child_heard(void *ctx, uint32_t events);
/* What it said before it died. */
void child_drain(struct child *child);

/* --- child_restart.c -------------------------------------------------------
 */

int child_restart_init(struct child *child);
void child_restart_fini(struct child *child);

/* Have the process that open() started reaped when it ends, and its end told.
 * Return: 0 or a negative errno. */
int child_watch_helper(struct child *child);

/* It is ready: take it in the lost one's place. */
void child_restart_ready(struct child *child);
/* It has been reaped. */
void child_restart_died(struct child *child);

#endif
