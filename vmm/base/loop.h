/*
 * The event loop of the main thread and of device processes: epoll, timers on
 * CLOCK_MONOTONIC, wake-ups from other threads, and looks at memory, which take
 * no system call. All functions but loop_wake_send() and loop_fd_set() belong
 * to the loop's thread. Callbacks may add, change and remove any source, their
 * own included; a look may not remove looks.
 */
#ifndef VMM_BASE_LOOP_H
#define VMM_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_fd;
struct loop_timer;
struct loop_wake;

/* Return: 0, -ENOMEM, or what epoll_create1(2) says. */
int loop_new(struct loop **out);

/* Free the loop and every source that is still in it; NULL is nothing to do. */
void loop_free(struct loop *loop);

/* Run callbacks until loop_stop(). Return: 0, or what epoll_wait(2) says. */
int loop_run(struct loop *loop);

/* Make loop_run() return once the callback in progress has. */
void loop_stop(struct loop *loop);

/* events: EPOLLIN and so on, what epoll_wait(2) reported. */
typedef void loop_fd_fn(void *ctx, uint32_t events);

/**
 * loop_fd_add() - Call @fn when @fd is ready.
 * @out: the source, for loop_fd_set() and loop_fd_remove()
 * @fd: borrowed; must stay open until the source is removed
 * @events: EPOLLIN, EPOLLOUT, both, or 0 for none at present (EPOLLERR and
 *          EPOLLHUP are reported with 0, too); level-triggered, or with
 *          EPOLLET once for each write
 *
 * Return: 0, -EPERM for a regular file or other fd that epoll(7) refuses,
 * -ENOMEM, or what epoll_ctl(2) says.
 */
int loop_fd_add(struct loop *loop, struct loop_fd **out, int fd,
		uint32_t events, loop_fd_fn *fn, void *ctx);

/* Change the events that are waited for. Any thread, as long as there are no
 * two at once for one source and it is not being removed; a callback that the
 * loop has begun to make may still come. EPOLLET alone is nothing, not even a
 * lasting hang-up. */
int loop_fd_set(struct loop_fd *source, uint32_t events);

/* Remove and free; NULL is nothing to do. No callback comes after it. */
void loop_fd_remove(struct loop_fd *source);

typedef void loop_fn(void *ctx);

/* Make a timer that is not armed. Return: 0 or -ENOMEM. */
int loop_timer_add(struct loop *loop, struct loop_timer **out, loop_fn *fn,
		   void *ctx);

/* Call once, ns from now (0: at the next turn); replaces an earlier setting. */
void loop_timer_set(struct loop_timer *timer, int64_t ns);

/* Nothing to do if not armed. */
void loop_timer_cancel(struct loop_timer *timer);

void loop_timer_remove(struct loop_timer *timer);

/*
 * A call into the loop from any thread or signal handler. Sends between two
 * calls of @fn are one call.
 */
int loop_wake_add(struct loop *loop, struct loop_wake **out, loop_fn *fn,
		  void *ctx);

/* Any thread, async-signal-safe, never blocks. */
void loop_wake_send(struct loop_wake *wake);

void loop_wake_remove(struct loop_wake *wake);

/**
 * typedef loop_look_fn - Look whether there is something to do, and do it.
 * @sleeps: the loop is about to wait: from now on what comes has to wake it by
 *          a descriptor
 *
 * Return: whether there was something.
 */
typedef bool loop_look_fn(void *ctx, bool sleeps);

/*
 * Call before the loop waits, with sleeps; and while what wakes it comes within
 * LOOP_SPIN_MAX, again and again without, for as long as is worth it. On a host
 * with one CPU only the former. Return: 0 or -ENOMEM.
 */
#define LOOP_SPIN_MAX 32000 /* ns */

struct loop_look;
int loop_look_add(struct loop *loop, struct loop_look **out, loop_look_fn *fn,
		  void *ctx);

/* Remove and free; NULL is nothing to do. No call comes after it. Not from a
 * look. */
void loop_look_remove(struct loop_look *look);

/* The descriptors that the loop itself has: fds, NULL or room for @size of
 * them. Return: how many there are. */
unsigned int loop_own_fds(const struct loop *loop, int *fds, unsigned int size);

/* CLOCK_MONOTONIC in ns. Any thread. */
int64_t loop_now(void);

/**
 * loop_wait_fd() - Wait for one descriptor, without a loop.
 * @events: poll(2)'s; 0: for a hang-up alone
 * @deadline: as loop_now(); one that has passed still takes a look; INT64_MAX
 *            for none
 *
 * Any thread.
 * Return: 0, also after a hang-up; -ETIMEDOUT; or what poll(2) says.
 */
int loop_wait_fd(int fd, short events, int64_t deadline);

#endif
