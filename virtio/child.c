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

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/spawner.h"
#include "virtio/vhost_frontend.h"
#include "vmm/base/log.h"
#include "vmm/base/side_channel.h"

/* Packets that are taken in one turn of the loop, and in a second. */
#define CHILD_TURN	  16
#define CHILD_PACKETS_MAX 2000
#define CHILD_SECOND	  INT64_C(1000000000)
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

	/* Of the process. */
	enum child_phase phase;
	pid_t pid;
	int pidfd, channel; /* owned; -1 without */
	struct loop_fd *ended, *heard;
	char said[CHILD_TEXT_MAX + 64]; /* its last words; "" for none */

	/* Of the command under way. */
	json_int_t command; /* its id */
	json_t *reply;	    /* what came; NULL: not yet */

	int64_t window; /* loop_now() since when packets are counted */
	unsigned int packets;
	uint64_t restarts;
	struct log_limit log;
};

/* --- The end of a process --------------------------------------------------
 */

static void child_kill(const struct child *child)
{
	if (child->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
}

/* It breaks the rules, or is silent. */
static void child_lose(struct child *child, const char *why)
{
	if (!child->said[0])
		snprintf(child->said, sizeof(child->said),
			 "was ended, since it said %s", why);
	child_kill(child);
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
	if (child->pidfd >= 0)
		close(child->pidfd);
	if (child->channel >= 0)
		close(child->channel);
	child->pidfd = child->channel = -1;
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

/* --- What it says ----------------------------------------------------------
 */

static int child_hear_ready(void *ctx, struct side_channel_packet *packet)
{
	struct child *child = ctx;

	(void)packet;
	child->phase = CHILD_RUNNING;
	return 0;
}

static int child_hear_failed(void *ctx, struct side_channel_packet *packet)
{
	struct child *child = ctx;

	snprintf(child->said, sizeof(child->said), "cannot begin: %.*s",
		 CHILD_TEXT_MAX, json_string_value(packet->body));
	return 0;
}

static int child_hear_log(void *ctx, struct side_channel_packet *packet)
{
	struct child *child = ctx;
	const size_t len = strlen(child->label);
	const char *text;
	int level;

	if (json_unpack(packet->body, "{s:i, s:s !}", "level", &level, "text",
			&text) < 0 ||
	    level < LOG_ERROR || level > LOG_DEBUG)
		return -EPROTO;
	/* It speaks for nobody else. */
	if (strncmp(text, child->label, len) == 0 && text[len] == ':')
		log_limited(&child->log, (enum log_level)level, "%.*s",
			    CHILD_TEXT_MAX, text);
	else
		log_limited(&child->log, (enum log_level)level, "%s: %.*s",
			    child->label, CHILD_TEXT_MAX, text);
	return 0;
}

static int child_hear_violation(void *ctx, struct side_channel_packet *packet)
{
	struct child *child = ctx;
	const bool goes_on = child->config.sandbox == VIRTIO_SANDBOX_LOG;
	const char *call;

	if (json_unpack(packet->body, "{s:s !}", "call", &call) < 0 ||
	    strlen(call) > CHILD_CALL_MAX)
		return -EPROTO;
	if (goes_on)
		log_limited(&child->log, LOG_WARN,
			    "%s: its process made the system call %s, which "
			    "its sandbox would refuse",
			    child->label, call);
	else
		snprintf(child->said, sizeof(child->said),
			 "was killed for the system call %s, which its "
			 "sandbox refuses",
			 call);
	return 0;
}

static int child_hear_reply(void *ctx, struct side_channel_packet *packet)
{
	struct child *child = ctx;
	json_int_t id;

	if (json_unpack(packet->body, "{s:I}", "id", &id) < 0 ||
	    id != child->command || child->reply)
		return -EPROTO;
	child->reply = json_incref(packet->body);
	return 0;
}

static const struct side_channel_row child_rows[] = {
	{
		.name = "ready",
		.type = JSON_TRUE,
		.phases = CHILD_STARTING,
		.handle = child_hear_ready,
	},
	{
		.name = "failed",
		.type = JSON_STRING,
		.phases = CHILD_STARTING,
		.handle = child_hear_failed,
	},
	{
		.name = "log",
		.type = JSON_OBJECT,
		.phases = CHILD_STARTING | CHILD_RUNNING,
		.handle = child_hear_log,
	},
	{
		.name = "violation",
		.type = JSON_OBJECT,
		.phases = CHILD_STARTING | CHILD_RUNNING,
		.handle = child_hear_violation,
	},
	{
		.name = "reply",
		.type = JSON_OBJECT,
		.phases = CHILD_RUNNING,
		.handle = child_hear_reply,
	},
};

/* Return: whether it says no more than it may. */
static bool child_count_packet(struct child *child)
{
	const int64_t now = loop_now();

	if (now - child->window >= CHILD_SECOND) {
		child->window = now;
		child->packets = 0;
	}
	return ++child->packets <= CHILD_PACKETS_MAX;
}

/* Take a packet. Return: 1; 0: there is none; or a negative errno: there will
 * be none. */
static int child_take(struct child *child)
{
	struct side_channel_packet packet;
	const char *why = NULL;
	int ret = side_channel_receive(child->channel, 0, &packet);

	if (ret == -EPROTO)
		child_lose(child, "what is no packet");
	if (ret <= 0)
		return ret;
	if (child_count_packet(child))
		ret = side_channel_dispatch(
			child_rows, sizeof(child_rows) / sizeof(child_rows[0]),
			child->phase, &packet, child, &why);
	else
		why = "too much at once";
	side_channel_packet_fini(&packet);
	if (!why)
		return 1;
	child_lose(child, why);
	return ret < 0 ? ret : -EPROTO;
}

static void child_heard(void *ctx, uint32_t events)
{
	struct child *child = ctx;
	int ret = 1;

	(void)events;
	for (unsigned int i = 0; i < CHILD_TURN && ret > 0; i++)
		ret = child_take(child);
	/* Its end is told by the pidfd; a process that has closed its channel
	 * and goes on is none of ours. */
	if (ret < 0) {
		loop_fd_set(child->heard, EPOLLET);
		child_kill(child);
	}
}

/* What it said before it died, as far as one turn goes. */
static void child_drain(struct child *child)
{
	for (unsigned int i = 0; i < CHILD_TURN; i++) {
		if (child_take(child) <= 0)
			return;
	}
}

static void child_ended(void *ctx, uint32_t events)
{
	struct child *child = ctx;
	const pid_t pid = child->pid;

	(void)events;
	child_drain(child);
	child_reap(child);
	log_error("%s: its process %d %s", child->label, (int)pid, child->said);
}

/* --- Starting --------------------------------------------------------------
 */

/* What the process makes its device from: virtio/device.h says of what, and
 * vmm/device_child.c reads it. */
static json_t *child_describe_creation(const struct child *child)
{
	const struct child_config *config = &child->config;

	return json_pack("{s:s, s:s, s:O, s:b, s:b, s:i}", "type",
			 config->ops->type, "label", child->label,
			 "description", config->resources->description,
			 "packed", config->packed, "log_only",
			 config->sandbox == VIRTIO_SANDBOX_LOG, "level",
			 (int)log_get_level());
}

static int child_send_creation(const struct child *child, int socket)
{
	const struct virtio_resources *resources = child->config.resources;
	int fds[SIDE_CHANNEL_FDS_MAX] = {socket};

	_Static_assert(VIRTIO_FDS_MAX < SIDE_CHANNEL_FDS_MAX, "and a socket");
	memcpy(fds + 1, resources->fds,
	       resources->fd_count * sizeof(resources->fds[0]));
	return side_channel_send(child->channel, "create",
				 child_describe_creation(child), fds,
				 1 + resources->fd_count);
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
	child->pid = process.pid;
	child->pidfd = process.pidfd;
	child->phase = CHILD_STARTING;
	child->said[0] = '\0';
	return 0;
}

/* Start a process. socket: its end of the vhost-user connection. */
static int child_start(struct child *child, int socket, struct error *err)
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
	ret = child_send_creation(child, socket);
	if (ret == 0)
		ret = child_listen(child);
	return ret < 0 ? error_set(err, -ret, "cannot reach its process: %s",
				   strerror(-ret))
		       : 0;
}

static int child_begin(struct child *child, struct error *err)
{
	int ends[2], ret;

	child->frontend.description = vhost_frontend_describe(NULL, 0, true);
	if (!child->frontend.description)
		return error_set(err, ENOMEM, "out of memory");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		       ends) < 0)
		return error_set(err, errno, "%s", strerror(errno));
	child->frontend.fds[0] = ends[0];
	child->frontend.fd_count = 1;
	ret = child_start(child, ends[1], err);
	close(ends[1]);
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
	child->pidfd = child->channel = -1;
	child->phase = CHILD_GONE;
	snprintf(child->label, sizeof(child->label), "%s", config->label);
	ret = child_begin(child, err);
	if (ret < 0)
		child_free(child);
	else
		*out = child;
	return ret;
}

void child_free(struct child *child)
{
	if (!child)
		return;
	child_kill(child);
	child_reap(child);
	child_close(child);
	virtio_resources_fini(&child->frontend);
	free(child);
}

/* Return: 0: there is a packet or the end; or as side_channel_wait(). */
static int child_wait_packet(struct child *child, int64_t deadline)
{
	int ret = child_take(child);

	if (ret == 0)
		ret = side_channel_wait(child->channel, POLLIN, deadline);
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
