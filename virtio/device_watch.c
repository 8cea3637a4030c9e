/*
 * How a virtio device hangs on its loop: kicks, the model's descriptors and
 * timers. Each callback takes the device's lock first, and then asks the state
 * table whether it may still come: the loop may have picked it up before the
 * device went to sleep.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "virtio/device_private.h"

struct virtio_watch {
	struct virtio_watch *next;
	struct virtio_device *device; /* borrowed */
	struct loop_fd *source;	      /* owned; NULL: no descriptor */
	uint32_t events;	      /* 0: nothing; guarded by the lock */
	virtio_watch_fn *fn;
	void *self; /* borrowed */
};

struct virtio_timer {
	struct virtio_timer *next;
	struct virtio_watch *watch; /* owned by the device */
	int fd;			    /* owned, a timerfd */
	virtio_timer_fn *fn;
	void *self; /* borrowed */
};

/*
 * Kicks are edges: each write to the eventfd makes one, so that nobody has to
 * read it. A frontend's descriptor may be something else, at its end or such
 * that it cannot be read; that, too, is reported only once.
 */
static void virtio_device_kicked(void *ctx, uint32_t events)
{
	struct virtio_device_queue *queue = ctx;
	struct virtio_device *device = queue->device;

	(void)events;
	virtio_device_lock(device);
	if (queue->enabled &&
	    virtio_device_step(device, VIRTIO_STEP_QUEUE_READY))
		device->ops->queue_ready(device->self, queue->index);
	virtio_device_unlock(device);
}

static int virtio_device_init_queue(struct virtio_device_queue *queue)
{
	queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->kick_fd < 0)
		return -errno;
	queue->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->call_fd < 0)
		return -errno;
	return queue->elsewhere ? 0 : virtio_device_watch_kick(queue);
}

int virtio_device_watch_kick(struct virtio_device_queue *queue)
{
	return loop_fd_add(queue->device->loop, &queue->source, queue->kick_fd,
			   EPOLLIN | EPOLLET, virtio_device_kicked, queue);
}

int virtio_device_init_fds(struct virtio_device *device)
{
	for (unsigned int i = 0; i < device->queue_count; i++) {
		int ret = virtio_device_init_queue(&device->queues[i]);

		if (ret < 0)
			return ret;
	}
	return 0;
}

void virtio_device_leave_loop(struct virtio_device *device)
{
	for (unsigned int i = 0; i < device->queue_count; i++)
		loop_fd_remove(device->queues[i].source);
	for (struct virtio_watch *w = device->watches; w; w = w->next)
		loop_fd_remove(w->source);
	loop_look_remove(device->look);
	device->look = NULL;
}

void virtio_device_fini_fds(struct virtio_device *device)
{
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		struct virtio_device_queue *queue = &device->queues[i];

		if (queue->kick_fd >= 0)
			close(queue->kick_fd);
		if (queue->call_fd >= 0)
			close(queue->call_fd);
	}
	for (struct virtio_watch *w = device->watches, *next; w; w = next) {
		next = w->next;
		free(w);
	}
	for (struct virtio_timer *t = device->timers, *next; t; t = next) {
		next = t->next;
		close(t->fd);
		free(t);
	}
}

/* Return: fds, with how many behind them, of eventfds and timers. */
static unsigned int virtio_device_own_fds(const struct virtio_device *device,
					  int *fds)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < device->queue_count; i++) {
		fds[count++] = device->queues[i].kick_fd;
		fds[count++] = device->queues[i].call_fd;
	}
	for (const struct virtio_timer *t = device->timers; t; t = t->next)
		fds[count++] = t->fd;
	return count;
}

unsigned int virtio_device_keep_fds(struct virtio_device *device, int *fds)
{
	unsigned int count = virtio_device_own_fds(device, fds);
	unsigned int more;

	virtio_device_lock(device);
	more = device->ops->keep_fds(device->self, fds + count);
	virtio_device_unlock(device);
	assert(more <= VIRTIO_KEEP_FDS_MAX);
	return count + more;
}

/* epoll(7) reports hang-ups with no events at all, again and again; but edges
 * of nothing only once. */
static uint32_t virtio_watch_mask(uint32_t events, bool quiet)
{
	return events && !quiet ? events : EPOLLET;
}

static void virtio_watch_ready(void *ctx, uint32_t events)
{
	struct virtio_watch *watch = ctx;
	struct virtio_device *device = watch->device;

	virtio_device_lock(device);
	events &= watch->events | EPOLLERR | EPOLLHUP;
	if (watch->events && events &&
	    virtio_device_may(device, VIRTIO_STEP_CALLBACK))
		watch->fn(watch->self, events);
	virtio_device_unlock(device);
}

int virtio_device_watch(struct virtio_device *device, struct virtio_watch **out,
			int fd, uint32_t events, virtio_watch_fn *fn,
			void *self)
{
	struct virtio_watch *watch = calloc(1, sizeof(*watch));
	int ret;

	if (!watch)
		return -ENOMEM;
	watch->device = device;
	watch->events = events;
	watch->fn = fn;
	watch->self = self;
	ret = loop_fd_add(device->loop, &watch->source, fd,
			  virtio_watch_mask(events, false), virtio_watch_ready,
			  watch);
	if (ret < 0) {
		free(watch);
		return ret;
	}
	watch->next = device->watches;
	device->watches = watch;
	*out = watch;
	return 0;
}

int virtio_watch_set(struct virtio_watch *watch, uint32_t events)
{
	bool quiet = !virtio_device_may(watch->device, VIRTIO_STEP_CALLBACK);
	int ret = watch->source ? loop_fd_set(watch->source,
					      virtio_watch_mask(events, quiet))
				: 0;

	if (ret == 0)
		watch->events = events;
	return ret;
}

int virtio_watch_move(struct virtio_watch *watch, int fd, uint32_t events)
{
	bool quiet = !virtio_device_may(watch->device, VIRTIO_STEP_CALLBACK);
	int ret;

	loop_fd_remove(watch->source);
	watch->source = NULL;
	watch->events = events;
	if (fd < 0)
		return 0;
	ret = loop_fd_add(watch->device->loop, &watch->source, fd,
			  virtio_watch_mask(events, quiet), virtio_watch_ready,
			  watch);
	if (ret < 0)
		watch->source = NULL;
	return ret;
}

void virtio_device_quiet(struct virtio_device *device, bool quiet)
{
	for (struct virtio_watch *w = device->watches; w; w = w->next) {
		if (w->source)
			loop_fd_set(w->source,
				    virtio_watch_mask(w->events, quiet));
	}
}

static bool virtio_device_looked(void *ctx, bool sleeps)
{
	struct virtio_device *device = ctx;
	bool found = false;

	virtio_device_lock(device);
	if (virtio_device_may(device, VIRTIO_STEP_CALLBACK))
		found = device->look_fn(device->self, sleeps);
	virtio_device_unlock(device);
	return found;
}

int virtio_device_look(struct virtio_device *device, virtio_look_fn *fn)
{
	assert(!device->look);
	device->look_fn = fn;
	return loop_look_add(device->loop, &device->look, virtio_device_looked,
			     device);
}

static void virtio_timer_due(void *self, uint32_t events)
{
	struct virtio_timer *timer = self;
	uint64_t times;

	(void)events;
	/* None if it was set anew since the loop saw it. */
	if (read(timer->fd, &times, sizeof(times)) == sizeof(times))
		timer->fn(timer->self);
}

int virtio_device_timer(struct virtio_device *device, struct virtio_timer **out,
			virtio_timer_fn *fn, void *self)
{
	struct virtio_timer *timer = calloc(1, sizeof(*timer));
	int ret;

	if (!timer)
		return -ENOMEM;
	timer->fn = fn;
	timer->self = self;
	timer->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timer->fd < 0) {
		ret = -errno;
		goto err_free;
	}
	assert(device->timer_count < VIRTIO_TIMERS_MAX);
	ret = virtio_device_watch(device, &timer->watch, timer->fd, EPOLLIN,
				  virtio_timer_due, timer);
	if (ret < 0)
		goto err_close;
	device->timer_count++;
	timer->next = device->timers;
	device->timers = timer;
	*out = timer;
	return 0;

err_close:
	close(timer->fd);
err_free:
	free(timer);
	return ret;
}

void virtio_timer_set(struct virtio_timer *timer, uint64_t ns)
{
	const struct itimerspec spec = {
		.it_value.tv_sec = (time_t)(ns / 1000000000),
		.it_value.tv_nsec = (long)(ns % 1000000000),
	};

	/* Fails only for what is not a timerfd or a time. */
	timerfd_settime(timer->fd, 0, &spec, NULL);
}
