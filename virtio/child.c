/*
 * A device's process, as main sees it. Who controls its input: the process,
 * which may be in the hands of the guest.
 */
#include "virtio/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/jail.h"
#include "jail/spawner.h"
#include "virtio/child_private.h"
#include "vmm/base/side_channel.h"

/* --- What its sandbox would refuse -----------------------------------------
 */

static void *child_note_all(void *ctx)
{
	struct child *child = ctx;
	struct pollfd notice = {.fd = child->notices, .events = POLLIN};
	char call[CHILD_CALL_MAX];

	for (;;) {
		int n = poll(&notice, 1, -1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || !(notice.revents & POLLIN))
			return NULL;
		if (jail_notice(child->notices, call, sizeof(call)) == 0)
			log_limited(&child->notes, LOG_WARN,
				    "%s: its process made the system call %s, "
				    "which its sandbox would refuse",
				    child->label, call);
	}
}

int child_note(struct child *child, int notices)
{
	int ret;

	child->notices = notices;
	ret = -pthread_create(&child->noter, NULL, child_note_all, child);
	if (ret < 0) {
		close(notices);
		child->notices = -1;
	}
	return ret;
}

/* --- The end of a process --------------------------------------------------
 */

void child_kill(struct child *child)
{
	pthread_mutex_lock(&child->lock);
	if (child->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
	pthread_mutex_unlock(&child->lock);
}

void child_violated(struct child *child, int number)
{
	char call[CHILD_CALL_MAX];

	jail_call_name(number, call, sizeof(call));
	snprintf(child->said, sizeof(child->said),
		 "was killed for the system call %s, which its sandbox refuses",
		 call);
}

/* What became of it, behind "its process". */
static void child_explain(struct child *child, const siginfo_t *info)
{
	if (child->said[0])
		return;
	if (info->si_code == CLD_EXITED)
		snprintf(child->said, sizeof(child->said),
			 "ended with status %d", info->si_status);
	else
		snprintf(child->said, sizeof(child->said),
			 "was killed by signal %d (%s)", info->si_status,
			 strsignal(info->si_status));
}

static void child_close(struct child *child)
{
	loop_fd_remove(child->ended);
	loop_fd_remove(child->heard);
	child->ended = child->heard = NULL;
	pthread_mutex_lock(&child->lock);
	if (child->pidfd >= 0)
		close(child->pidfd);
	child->pidfd = -1;
	pthread_mutex_unlock(&child->lock);
	if (child->channel >= 0)
		close(child->channel);
	child->channel = -1;
	/* Ends with the process. */
	if (child->notices >= 0) {
		pthread_join(child->noter, NULL);
		close(child->notices);
	}
	child->notices = -1;
	child->phase = CHILD_GONE;
}

/* It has ended, or is about to. */
static void child_reap(struct child *child)
{
	siginfo_t info = {.si_code = 0};

	if (child->pidfd < 0)
		return;
	while (waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED) < 0 &&
	       errno == EINTR)
		;
	child_explain(child, &info);
	child_close(child);
}

static void child_ended(void *ctx, uint32_t events)
{
	struct child *child = ctx;
	const pid_t pid = child->pid;

	(void)events;
	child_drain(child);
	child_reap(child);
	log_limited(&child->deaths, LOG_ERROR, "%s: its process %d %s",
		    child->label, (int)pid, child->said);
	child_restart_died(child);
}

/* --- Starting --------------------------------------------------------------
 */

/* What the process makes its device from: virtio/device.h says of what, and
 * vmm/device_child.c reads it. */
static json_t *child_describe_creation(const struct child *child)
{
	const struct child_config *config = &child->config;

	return json_pack("{s:s, s:s, s:O, s:b, s:b}", "type", config->ops->type,
			 "label", child->label, "description",
			 config->resources->description, "packed",
			 config->packed, "log_only",
			 config->sandbox == VIRTIO_SANDBOX_LOG);
}

static int child_send_creation(const struct child *child, int socket, int life)
{
	const struct virtio_resources *resources = child->config.resources;
	int fds[SIDE_CHANNEL_FDS_MAX] = {socket, life};

	_Static_assert(VIRTIO_FDS_MAX + 2 <= SIDE_CHANNEL_FDS_MAX, "and two");
	memcpy(fds + 2, resources->fds,
	       resources->fd_count * sizeof(resources->fds[0]));
	return side_channel_send(child->channel, "create",
				 child_describe_creation(child), fds,
				 2 + resources->fd_count);
}

static int child_listen(struct child *child)
{
	int ret = loop_fd_add(child->config.loop, &child->heard, child->channel,
			      EPOLLIN, child_heard, child);

	if (ret == 0)
		ret = loop_fd_add(child->config.loop, &child->ended,
				  child->pidfd, EPOLLIN, child_ended, child);
	return ret;
}

/* channel: the process's end. */
static int child_spawn(struct child *child, int channel, struct error *err)
{
	const struct spawner_request request = {
		.type = child->config.ops->type,
		.channel_fd = channel,
		.mode = child->config.sandbox == VIRTIO_SANDBOX_LOG ? JAIL_LOG
								    : JAIL_ON,
	};
	struct spawner_child process;
	int ret = spawner_start(child->config.spawner, &request, &process, err);

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&child->lock);
	child->pidfd = process.pidfd;
	pthread_mutex_unlock(&child->lock);
	child->pid = process.pid;
	child->phase = CHILD_STARTING;
	child->said[0] = '\0';
	return 0;
}

static int child_begin(struct child *child, int socket, int life,
		       struct error *err)
{
	int ends[2], ret;

	ret = side_channel_pair(ends);
	if (ret < 0)
		return error_set(err, -ret, "%s", strerror(-ret));
	child->channel = ends[0];
	ret = child_spawn(child, ends[1], err);
	close(ends[1]);
	if (ret < 0)
		return ret;
	ret = child_send_creation(child, socket, life);
	if (ret == 0)
		ret = child_listen(child);
	return ret < 0 ? error_set(err, -ret, "cannot reach its process: %s",
				   strerror(-ret))
		       : 0;
}

int child_start(struct child *child, int socket, struct error *err)
{
	int ends[2], ret;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return error_set(err, errno, "%s", strerror(errno));
	pthread_mutex_lock(&child->lock);
	if (child->life >= 0)
		close(child->life);
	child->life = ends[0];
	pthread_mutex_unlock(&child->lock);
	ret = child_begin(child, socket, ends[1], err);
	close(ends[1]);
	if (ret < 0 && child->pidfd >= 0) {
		child_kill(child);
		child_reap(child);
	}
	if (ret < 0)
		child_close(child);
	return ret;
}

int child_connect(struct child *child, int *ours, struct error *err)
{
	int ends[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		       ends) < 0)
		return error_set(err, errno, "%s", strerror(errno));
	ret = child_start(child, ends[1], err);
	close(ends[1]);
	if (ret < 0)
		close(ends[0]);
	else
		*ours = ends[0];
	return ret;
}

static int child_init(struct child *child, struct error *err)
{
	int ret = child_restart_init(child);

	if (ret == 0)
		ret = child_watch_helper(child);
	child->frontend.description = vhost_frontend_describe(NULL, 0, true);
	if (ret == 0 && !child->frontend.description)
		ret = -ENOMEM;
	if (ret < 0)
		return error_set(err, -ret, "%s", strerror(-ret));
	ret = child_connect(child, child->frontend.fds, err);
	child->frontend.fd_count = ret == 0;
	return ret;
}

int child_new(struct child **out, const struct child_config *config,
	      struct error *err)
{
	struct child *child = calloc(1, sizeof(*child));
	int ret;

	if (!child)
		return error_set(err, ENOMEM, "out of memory");
	child->config = *config;
	child->pidfd = child->channel = child->socket = -1;
	child->life = child->drain = child->notices = -1;
	child->phase = CHILD_GONE;
	pthread_mutex_init(&child->lock, NULL);
	snprintf(child->label, sizeof(child->label), "%s", config->label);
	ret = child_init(child, err);
	if (ret < 0)
		child_free(child);
	else
		*out = child;
	return ret;
}

/*
 * One that serves is told by the end of its connection, so that it takes its
 * io_uring down itself: what a killed one leaves of that, the kernel takes down
 * when it has waited for a grace period or two, 20 ms and more.
 */
void child_end(struct child *child)
{
	if (!child || child->end_by)
		return;
	child->end_by = loop_now();
	if (child->serves && child->phase == CHILD_RUNNING) {
		/* A later connection was the frontend's, and is closed. */
		shutdown(child->frontend.fds[0], SHUT_RDWR);
		child->end_by += CHILD_DEADLINE;
	} else {
		child_kill(child);
	}
}

void child_free(struct child *child)
{
	if (!child)
		return;
	child_end(child);
	if (child->pidfd >= 0 &&
	    loop_wait_fd(child->pidfd, POLLIN, child->end_by) < 0)
		child_kill(child);
	child_reap(child);
	child_close(child);
	child_restart_fini(child);
	virtio_resources_fini(&child->frontend);
	pthread_mutex_destroy(&child->lock);
	free(child);
}

/* Return: 0: there is a packet or the end; or as loop_wait_fd(). */
static int child_wait_packet(struct child *child, int64_t deadline)
{
	int ret = child_take(child);

	if (ret == 0)
		ret = loop_wait_fd(child->channel, POLLIN, deadline);
	return ret < 0 ? ret : 0;
}

int child_wait(struct child *child, struct error *err)
{
	const int64_t deadline = loop_now() + CHILD_START_DEADLINE;
	int ret = 0;

	while (ret == 0 && child->phase == CHILD_STARTING)
		ret = child_wait_packet(child, deadline);
	if (child->phase == CHILD_RUNNING)
		return 0;
	if (ret == -ETIMEDOUT)
		child_lose(child, "nothing for too long");
	child_kill(child);
	child_reap(child);
	return error_set(err, ret < 0 ? -ret : ECHILD, "its process %s",
			 child->said);
}

const struct virtio_resources *child_resources(const struct child *child)
{
	return &child->frontend;
}

/* --- Commands --------------------------------------------------------------
 */

static int child_ask(struct child *child, const char *name, const json_t *args)
{
	json_t *copy = args ? json_deep_copy(args) : json_null();

	return side_channel_send(child->channel, "command",
				 json_pack("{s:I, s:s, s:o}", "id",
					   ++child->command, "name", name,
					   "args", copy),
				 NULL, 0);
}

/* What came is the model's own answer. Takes child->reply. */
static int child_read_reply(struct child *child, json_t **reply,
			    struct error *err)
{
	json_t *answer = child->reply, *value = NULL;
	const char *text = "";
	int errnum = 0;

	child->reply = NULL;
	if (json_unpack(answer, "{s:I, s:i, s?o, s?s !}", "id", &child->command,
			"errno", &errnum, "value", &value, "error",
			&text) < 0 ||
	    errnum < 0 || errnum > 4095) {
		child_lose(child, "an answer that is none");
		error_set(err, EREMOTEIO, "its process said what is no answer");
		errnum = EREMOTEIO;
	} else if (errnum) {
		error_set(err, errnum, "%.*s", CHILD_TEXT_MAX, text);
	} else if (value && !json_is_null(value)) {
		*reply = json_incref(value);
	}
	json_decref(answer);
	return -errnum;
}

int child_command(struct child *child, const char *name, const json_t *args,
		  json_t **reply, struct error *err)
{
	const int64_t deadline = loop_now() + CHILD_DEADLINE;
	int ret;

	if (child->phase != CHILD_RUNNING)
		return error_set(err, ENODEV, "its process is gone");
	ret = child_ask(child, name, args);
	while (ret == 0 && !child->reply)
		ret = child_wait_packet(child, deadline);
	if (child->reply)
		return child_read_reply(child, reply, err);
	if (ret == -ETIMEDOUT || ret == -EAGAIN)
		child_lose(child, "nothing to a command in time");
	return error_set(err, -ret, "its process does not answer: %s",
			 strerror(-ret));
}

/* --- Status ----------------------------------------------------------------
 */

int child_describe(const struct child *child, json_t *object)
{
	json_t *pid = child->pidfd < 0 ? json_null()
				       : json_integer((json_int_t)child->pid);
	const bool goes_on = child->config.sandbox == VIRTIO_SANDBOX_LOG;

	if (json_object_set_new(object, "pid", pid) < 0 ||
	    json_object_set_new(object, "sandbox",
				json_string(goes_on ? "log" : "on")) < 0 ||
	    json_object_set_new(object, "restarts",
				json_integer((json_int_t)child->restarts)) < 0)
		return -ENOMEM;
	return 0;
}
