/*
 * What becomes of a device when its process dies: another one is started, and
 * when that is ready and nothing of the old one can write to guest memory any
 * more, the frontend goes on with it (virtio/vhost_frontend_again.c).
 *
 * Theory of operation. Three things have to come together, in any order: the
 * frontend waits (vhost_frontend_is_waiting()), the new process is ready, and
 * the old one's pipe has hung up (child->drain). The pipe's other end is a
 * descriptor of the process and a registered file of its io_uring: the kernel
 * lets go of that when the last request is done, which may be after the end of
 * the process.
 */
#include <errno.h>
#include <string.h>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "virtio/child_private.h"

/* --- The frontend's keeper, any thread -------------------------------------
 */

static bool child_restart_lost(void *ctx, const char *why)
{
	struct child *child = ctx;

	(void)why;
	/* It may be silent, and not dead. */
	child_kill(child);
	return child->config.restart && !atomic_load(&child->hopeless);
}

/* Return: a duplicate of the pipe that matters, -1 if there is none. */
static int child_restart_pipe(struct child *child)
{
	int fd;

	pthread_mutex_lock(&child->lock);
	fd = child->drain >= 0 ? child->drain : child->life;
	if (fd >= 0)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&child->lock);
	return fd;
}

static void child_restart_settle(void *ctx, int64_t deadline)
{
	const int fd = child_restart_pipe(ctx);

	if (fd < 0)
		return;
	(void)loop_wait_fd(fd, 0, deadline);
	close(fd);
}

void child_attach(struct child *child, struct virtio_device *device)
{
	const struct vhost_frontend_keeper keeper = {
		.lost = child_restart_lost,
		.settle = child_restart_settle,
		.ctx = child,
	};

	child->device = device;
	child->vhost = vhost_frontend_of(device);
	child->serves = true;
	child->since = loop_now();
	virtio_device_lock(device);
	vhost_frontend_keep(child->vhost, &keeper);
	virtio_device_unlock(device);
}

/* --- A process that open() started -----------------------------------------
 */

static int child_helper(const struct child *child)
{
	const struct child_config *config = &child->config;

	return config->ops->helper ? config->ops->helper(config->resources)
				   : -1;
}

/* Its parent alone can ask why. */
static void child_helper_ended(void *ctx, uint32_t events)
{
	struct child *child = ctx;
	siginfo_t info = {.si_code = 0};

	(void)events;
	loop_fd_remove(child->helper);
	child->helper = NULL;
	if (waitid(P_PIDFD, (id_t)child_helper(child), &info, WEXITED) < 0)
		return;
	log_limited(&child->deaths, LOG_WARN, "%s: %s %s %d", child->label,
		    child->config.ops->helper_name,
		    info.si_code == CLD_EXITED ? "ended with status"
					       : "was ended by signal",
		    info.si_status);
}

int child_watch_helper(struct child *child)
{
	const int fd = child_helper(child);

	if (fd < 0)
		return 0;
	return loop_fd_add(child->config.loop, &child->helper, fd, EPOLLIN,
			   child_helper_ended, child);
}

/* --- Main thread -----------------------------------------------------------
 */

static void child_restart_tell(const struct child *child,
			       enum child_event event, const char *why)
{
	if (child->config.event)
		child->config.event(child->config.ctx, event, why);
}

/* No other comes. */
static void child_restart_give_up(struct child *child, const char *why)
{
	atomic_store(&child->hopeless, true);
	loop_timer_cancel(child->timer);
	child_kill(child);
	virtio_device_lock(child->device);
	vhost_frontend_give_up(child->vhost, why);
	virtio_device_unlock(child->device);
	child_restart_tell(child, CHILD_FAILED, why);
}

/* The process that is ready takes the device up. */
static void child_restart_take(struct child *child)
{
	const int fd = child->socket;
	struct error err = {.text = ""};
	int ret;

	child->socket = -1;
	virtio_device_lock(child->device);
	ret = vhost_frontend_reconnect(child->vhost, fd, &err);
	virtio_device_unlock(child->device);
	if (ret == -ENOLINK) {
		child_kill(child);
	} else if (ret < 0) {
		child_restart_give_up(child, err.text);
	} else {
		child->serves = true;
		child->since = loop_now();
		child->restarts++;
		log_limited(&child->returns, LOG_WARN,
			    "%s: goes on in another process, %d", child->label,
			    (int)child->pid);
		child_restart_tell(child, CHILD_RESTARTED, NULL);
	}
}

void child_restart_ready(struct child *child)
{
	if (!child->vhost || child->socket < 0 || child->drain >= 0 ||
	    child->phase != CHILD_RUNNING)
		return;
	loop_timer_cancel(child->timer);
	child_restart_take(child);
}

static void child_restart_stop_draining(struct child *child)
{
	loop_fd_remove(child->quiet);
	child->quiet = NULL;
	pthread_mutex_lock(&child->lock);
	if (child->drain >= 0)
		close(child->drain);
	child->drain = -1;
	pthread_mutex_unlock(&child->lock);
}

/* Nothing of the lost process's can happen any more. */
static void child_restart_drained(void *ctx, uint32_t events)
{
	struct child *child = ctx;

	(void)events;
	child_restart_stop_draining(child);
	child_restart_ready(child);
}

/* The process that served has died: its pipe is waited for. */
static int child_restart_drain(struct child *child)
{
	pthread_mutex_lock(&child->lock);
	child->drain = child->life;
	child->life = -1;
	pthread_mutex_unlock(&child->lock);
	return loop_fd_add(child->config.loop, &child->quiet, child->drain, 0,
			   child_restart_drained, child);
}

/* Another process, some time from now. */
static void child_restart_schedule(struct child *child)
{
	int64_t wait = 0;

	if (child->soon > CHILD_TRIES) {
		child_restart_give_up(child,
				      "its process dies again and again");
		return;
	}
	if (child->soon > 1)
		wait = CHILD_BACK_OFF << (child->soon - 2);
	loop_timer_set(child->timer, wait);
}

static int child_restart_begin(struct child *child, struct error *err)
{
	const struct child_config *config = &child->config;
	int ret = 0;

	if (config->ops->reopen) {
		loop_fd_remove(child->helper);
		child->helper = NULL;
		ret = config->ops->reopen(config->open, config->resources, err);
		if (ret == 0)
			ret = child_watch_helper(child);
	}
	return ret < 0 ? ret : child_connect(child, &child->socket, err);
}

/* The timer: start one, or it was not ready in time. */
static void child_restart_due(void *ctx)
{
	struct child *child = ctx;
	struct error err = {.text = ""};

	if (child->phase == CHILD_STARTING) {
		child_lose(child, "nothing for too long");
		return;
	}
	if (child_restart_begin(child, &err) == 0) {
		loop_timer_set(child->timer, CHILD_START_DEADLINE);
		return;
	}
	log_limited(&child->deaths, LOG_ERROR,
		    "%s: cannot start another process: %s", child->label,
		    err.text);
	child->soon++;
	child_restart_schedule(child);
}

/* It served the device. */
static void child_restart_count(struct child *child)
{
	if (loop_now() - child->since >= CHILD_SOON)
		child->soon = 0;
	child->serves = false;
}

void child_restart_died(struct child *child)
{
	bool waiting;

	loop_timer_cancel(child->timer);
	if (child->socket >= 0)
		close(child->socket);
	child->socket = -1;
	/* child_wait() says it. */
	if (!child->vhost)
		return;
	child_restart_tell(child, CHILD_DIED, child->said);
	virtio_device_lock(child->device);
	vhost_frontend_lose(child->vhost, "its process has ended");
	waiting = vhost_frontend_is_waiting(child->vhost);
	virtio_device_unlock(child->device);
	if (child->serves) {
		child_restart_count(child);
		if (child_restart_drain(child) < 0)
			waiting = false;
	}
	child->soon++;
	if (waiting)
		child_restart_schedule(child);
	else if (!atomic_exchange(&child->hopeless, true))
		child_restart_give_up(child, child->said);
}

int child_restart_init(struct child *child)
{
	return loop_timer_add(child->config.loop, &child->timer,
			      child_restart_due, child);
}

void child_restart_fini(struct child *child)
{
	const int64_t deadline = loop_now() + CHILD_DEADLINE;

	loop_timer_remove(child->timer);
	loop_fd_remove(child->helper);
	/* The io_uring of a process may outlive it for a moment, and with that
	 * the lock of its image: of the one that was lost, and of the last. */
	child_restart_settle(child, deadline);
	child_restart_stop_draining(child);
	child_restart_settle(child, deadline);
	if (child->life >= 0)
		close(child->life);
	if (child->socket >= 0)
		close(child->socket);
}
