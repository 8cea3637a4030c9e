/*
 * The event loop: epoll for descriptors, its timeout for timers, an eventfd
 * for each wake-up from another thread.
 *
 * Theory of operation. One turn waits, calls what is ready, then calls the
 * timers that are due. epoll_wait(2) returns pointers to sources, and a
 * callback may remove a source whose turn is still to come in the same array;
 * so a removed source only loses its callback, and is freed at the start of
 * the next turn, when no array holds it. Timers stand in one list, sorted by
 * when they are due, those that are not armed at its end. A machine has a
 * handful of each, so that singly linked lists do.
 *
 * Before it waits, a turn looks at what can be seen in memory: for as long as
 * loop->spin if that pays. It pays where waits are short, so each wait that was
 * no longer than LOOP_SPIN_MAX doubles it, and one that was halves it; a loop
 * that has nothing to do for a while does not spin at all. What is found is
 * done at once, but for other sources' sake not for longer than
 * LOOP_SPIN_TURN in one turn.
 *
 * What loop_stop() leaves of an array is called when the loop runs again: an
 * edge (EPOLLET) is reported only once.
 */
#include "vmm/base/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOP_EVENTS 16
#define LOOP_NEVER  INT64_MAX
/* ns */
#define LOOP_SPIN_MIN  4000
#define LOOP_SPIN_TURN 200000

struct loop_fd {
	struct loop_fd *next;
	struct loop *loop; /* borrowed */
	int fd;		   /* borrowed */
	uint32_t events;
	loop_fd_fn *fn; /* NULL: removed */
	void *ctx;	/* borrowed */
};

struct loop_timer {
	struct loop_timer *next;
	struct loop *loop; /* borrowed */
	int64_t due;	   /* CLOCK_MONOTONIC, ns; LOOP_NEVER: not armed */
	loop_fn *fn;
	void *ctx; /* borrowed */
};

struct loop_wake {
	struct loop_wake *next;
	struct loop *loop;	/* borrowed */
	int fd;			/* owned, an eventfd */
	struct loop_fd *source; /* owned */
	loop_fn *fn;
	void *ctx; /* borrowed */
};

struct loop_look {
	struct loop_look *next;
	struct loop *loop; /* borrowed */
	loop_look_fn *fn;
	void *ctx; /* borrowed */
};

struct loop {
	int epoll_fd; /* owned */
	bool running;
	bool stop;
	bool removed; /* some of fds are */
	/* What epoll_wait(2) reported, and how far it has been called. */
	struct epoll_event events[LOOP_EVENTS];
	int count, at;
	struct loop_fd *fds;
	struct loop_wake *wakes;
	struct loop_timer *timers; /* ascending by due */
	struct loop_look *looks;
	int64_t spin, spin_max; /* ns */
};

int64_t loop_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int loop_wait_fd(int fd, short events, int64_t deadline)
{
	struct pollfd pollfd = {.fd = fd, .events = events};
	int64_t ms;
	int n;

	do {
		int64_t left = deadline - loop_now();

		ms = left / 1000000 + (left % 1000000 > 0);
		n = poll(&pollfd, 1,
			 ms > INT_MAX ? INT_MAX
			 : ms > 0     ? (int)ms
				      : 0);
	} while (n < 0 ? errno == EINTR : n == 0 && ms > INT_MAX);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

/* Who spins on the only CPU keeps what it waits for from running. */
static bool loop_has_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 &&
	       CPU_COUNT(&set) > 1;
}

int loop_new(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int ret = -errno;

		free(loop);
		return ret;
	}
	loop->spin_max = loop_has_cpus() ? LOOP_SPIN_MAX : 0;
	*out = loop;
	return 0;
}

/* Free the sources that were removed. */
static void loop_reap(struct loop *loop)
{
	struct loop_fd **link = &loop->fds;

	if (!loop->removed)
		return;
	loop->removed = false;
	while (*link) {
		struct loop_fd *source = *link;

		if (source->fn) {
			link = &source->next;
			continue;
		}
		*link = source->next;
		free(source);
	}
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	assert(!loop->running);
	for (struct loop_wake *wake = loop->wakes, *next; wake; wake = next) {
		next = wake->next;
		close(wake->fd);
		free(wake);
	}
	for (struct loop_fd *source = loop->fds, *next; source; source = next) {
		next = source->next;
		free(source);
	}
	for (struct loop_timer *timer = loop->timers, *next; timer;
	     timer = next) {
		next = timer->next;
		free(timer);
	}
	for (struct loop_look *look = loop->looks, *next; look; look = next) {
		next = look->next;
		free(look);
	}
	close(loop->epoll_fd);
	free(loop);
}

/* Milliseconds until the first timer, rounded up; -1 without one. */
static int loop_timeout(const struct loop *loop)
{
	const struct loop_timer *first = loop->timers;
	int64_t ns, ms;

	if (!first || first->due == LOOP_NEVER)
		return -1;
	ns = first->due - loop_now();
	if (ns <= 0)
		return 0;
	/* Rounded down, the loop would spin for the last millisecond. */
	ms = ns / 1000000 + (ns % 1000000 != 0);
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

static void loop_run_timers(struct loop *loop)
{
	/* Taken once: a timer that sets itself to 0 waits for the next turn. */
	const int64_t now = loop_now();

	while (!loop->stop) {
		struct loop_timer *timer = loop->timers;

		if (!timer || timer->due > now)
			break;
		loop_timer_cancel(timer);
		timer->fn(timer->ctx);
	}
}

/* --- Looks -----------------------------------------------------------------
 */

static bool loop_look(struct loop *loop, bool sleeps)
{
	bool found = false;

	for (struct loop_look *look = loop->looks; look; look = look->next)
		found |= look->fn(look->ctx, sleeps);
	return found;
}

static void loop_spin(struct loop *loop)
{
	int64_t now = loop_now();
	const int64_t end = now + LOOP_SPIN_TURN;
	int64_t until = now + loop->spin;

	while (now < until && now < end && !loop->stop) {
		const bool found = loop_look(loop, false);

		now = loop_now();
		if (found)
			until = now + loop->spin;
	}
}

/* A wait was so long: would it have been worth spinning instead? */
static void loop_spin_learn(struct loop *loop, int64_t waited)
{
	if (waited > LOOP_SPIN_MAX)
		loop->spin =
			loop->spin / 2 < LOOP_SPIN_MIN ? 0 : loop->spin / 2;
	else if (loop->spin < LOOP_SPIN_MIN)
		loop->spin = LOOP_SPIN_MIN;
	else
		loop->spin *= 2;
	if (loop->spin > loop->spin_max)
		loop->spin = loop->spin_max;
}

/* Return: ms that there is to wait for, -1 for ever. */
static int loop_prepare(struct loop *loop)
{
	if (loop->spin)
		loop_spin(loop);
	if (loop_look(loop, true) || loop->stop)
		return 0;
	return loop_timeout(loop);
}

static int loop_wait(struct loop *loop)
{
	int count, timeout;
	int64_t began = 0;

	loop_reap(loop);
	timeout = loop_prepare(loop);
	if (loop->looks)
		began = loop_now();
	count = epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS, timeout);
	if (count < 0 && errno != EINTR)
		return -errno;
	if (loop->looks && timeout != 0)
		loop_spin_learn(loop, loop_now() - began);
	loop->count = count > 0 ? count : 0;
	loop->at = 0;
	return 0;
}

static int loop_turn(struct loop *loop)
{
	if (loop->at == loop->count) {
		int ret = loop_wait(loop);

		if (ret < 0)
			return ret;
	}
	while (loop->at < loop->count && !loop->stop) {
		const struct epoll_event *event = &loop->events[loop->at++];
		struct loop_fd *source = event->data.ptr;

		if (source->fn)
			source->fn(source->ctx, event->events);
	}
	loop_run_timers(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int ret = 0;

	assert(!loop->running);
	loop->running = true;
	while (!loop->stop && ret == 0)
		ret = loop_turn(loop);
	loop->running = false;
	loop->stop = false;
	return ret;
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}

int loop_fd_add(struct loop *loop, struct loop_fd **out, int fd,
		uint32_t events, loop_fd_fn *fn, void *ctx)
{
	struct loop_fd *source = calloc(1, sizeof(*source));
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (!source)
		return -ENOMEM;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		int ret = -errno;

		free(source);
		return ret;
	}
	source->loop = loop;
	source->fd = fd;
	source->events = events;
	source->fn = fn;
	source->ctx = ctx;
	source->next = loop->fds;
	loop->fds = source;
	*out = source;
	return 0;
}

int loop_fd_set(struct loop_fd *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (source->events == events)
		return 0;
	if (epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd,
		      &event) < 0)
		return -errno;
	source->events = events;
	return 0;
}

void loop_fd_remove(struct loop_fd *source)
{
	if (!source)
		return;
	epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->fn = NULL;
	source->loop->removed = true;
}

/* Put a timer where due says; behind others that are due at the same time. */
static void loop_timer_link(struct loop_timer *timer, int64_t due)
{
	struct loop_timer **link = &timer->loop->timers;

	while (*link && (*link)->due <= due)
		link = &(*link)->next;
	timer->due = due;
	timer->next = *link;
	*link = timer;
}

static void loop_timer_unlink(struct loop_timer *timer)
{
	struct loop_timer **link = &timer->loop->timers;

	while (*link != timer)
		link = &(*link)->next;
	*link = timer->next;
}

int loop_timer_add(struct loop *loop, struct loop_timer **out, loop_fn *fn,
		   void *ctx)
{
	struct loop_timer *timer = calloc(1, sizeof(*timer));

	if (!timer)
		return -ENOMEM;
	timer->loop = loop;
	timer->fn = fn;
	timer->ctx = ctx;
	loop_timer_link(timer, LOOP_NEVER);
	*out = timer;
	return 0;
}

void loop_timer_set(struct loop_timer *timer, int64_t ns)
{
	int64_t due;

	if (__builtin_add_overflow(loop_now(), ns > 0 ? ns : 0, &due))
		due = LOOP_NEVER;
	loop_timer_unlink(timer);
	loop_timer_link(timer, due);
}

void loop_timer_cancel(struct loop_timer *timer)
{
	if (timer->due == LOOP_NEVER)
		return;
	loop_timer_unlink(timer);
	loop_timer_link(timer, LOOP_NEVER);
}

void loop_timer_remove(struct loop_timer *timer)
{
	if (!timer)
		return;
	loop_timer_unlink(timer);
	free(timer);
}

static void loop_wake_ready(void *ctx, uint32_t events)
{
	struct loop_wake *wake = ctx;
	uint64_t sends;

	(void)events;
	/* Before the call, so that a send during it makes another. */
	if (read(wake->fd, &sends, sizeof(sends)) < 0)
		return;
	/* Last: it may remove wake. */
	wake->fn(wake->ctx);
}

int loop_wake_add(struct loop *loop, struct loop_wake **out, loop_fn *fn,
		  void *ctx)
{
	struct loop_wake *wake = calloc(1, sizeof(*wake));
	int ret;

	if (!wake)
		return -ENOMEM;
	wake->loop = loop;
	wake->fn = fn;
	wake->ctx = ctx;
	wake->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake->fd < 0) {
		ret = -errno;
		goto err_free;
	}
	ret = loop_fd_add(loop, &wake->source, wake->fd, EPOLLIN,
			  loop_wake_ready, wake);
	if (ret < 0)
		goto err_close;
	wake->next = loop->wakes;
	loop->wakes = wake;
	*out = wake;
	return 0;

err_close:
	close(wake->fd);
err_free:
	free(wake);
	return ret;
}

void loop_wake_send(struct loop_wake *wake)
{
	const uint64_t one = 1;
	int saved_errno = errno;
	ssize_t n;

	/* Fails only when 2^64 - 2 sends wait, and then the loop is called. */
	n = write(wake->fd, &one, sizeof(one));
	(void)n;
	errno = saved_errno;
}

void loop_wake_remove(struct loop_wake *wake)
{
	struct loop_wake **link;

	if (!wake)
		return;
	link = &wake->loop->wakes;
	while (*link != wake)
		link = &(*link)->next;
	*link = wake->next;
	loop_fd_remove(wake->source);
	close(wake->fd);
	free(wake);
}

int loop_look_add(struct loop *loop, struct loop_look **out, loop_look_fn *fn,
		  void *ctx)
{
	struct loop_look *look = malloc(sizeof(*look));

	if (!look)
		return -ENOMEM;
	*look = (struct loop_look){
		.next = loop->looks,
		.loop = loop,
		.fn = fn,
		.ctx = ctx,
	};
	loop->looks = look;
	*out = look;
	return 0;
}

void loop_look_remove(struct loop_look *look)
{
	struct loop_look **link;

	if (!look)
		return;
	link = &look->loop->looks;
	while (*link != look)
		link = &(*link)->next;
	*link = look->next;
	free(look);
}

unsigned int loop_own_fds(const struct loop *loop, int *fds, unsigned int size)
{
	unsigned int count = 0;

	if (size > count)
		fds[count] = loop->epoll_fd;
	count++;
	for (const struct loop_wake *wake = loop->wakes; wake;
	     wake = wake->next, count++) {
		if (size > count)
			fds[count] = wake->fd;
	}
	return count;
}
