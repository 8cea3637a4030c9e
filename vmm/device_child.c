/*
 * A device's process. Once it is in its jail, the guest may get hold of it by a
 * bug in the device's model; what main says is to be trusted.
 */
#include "vmm/device_child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "jail/jail.h"
#include "jail/spawner.h"
#include "virtio/table.h"
#include "vmm/base/log.h"
#include "vmm/base/loop.h"
#include "vmm/base/side_channel.h"
#include "vmm/device_serve.h"
#include "vmm/outcome.h"

/* ns until main has said what is to be made. */
#define DEVICE_CHILD_DEADLINE INT64_C(10000000000)
/* The loop's own and those of the channel and the connection. */
#define DEVICE_CHILD_OWN_FDS 16

/* Bits, as the side channel's table has them. */
enum device_child_phase {
	DEVICE_CHILD_NEW = 1,
	DEVICE_CHILD_MADE = 2,
};

struct device_child {
	const char *type;
	enum device_child_phase phase;
	struct loop *loop;     /* owned, as is what follows */
	struct loop_fd *heard; /* the channel */
	json_t *creation;      /* what main sent, from which labels borrow */
	struct virtio_resources resources;
	struct device_serve_config config;
	struct device_serve *serve;
	bool log_only; /* JAIL_LOG */
};

/* --- What is told to main --------------------------------------------------
 */

/* A line that main does not take is lost: the guest may cause them. */
static void device_child_log(void *ctx, enum log_level level, const char *text)
{
	const int saved_errno = errno;

	(void)ctx;
	(void)side_channel_send(SPAWNER_CHANNEL_FD, "log",
				json_pack("{s:i, s:s%}", "level", (int)level,
					  "text", text, strlen(text)),
				NULL, 0);
	errno = saved_errno;
}

static int device_child_answer(json_int_t id, int rc, json_t *value,
			       const struct error *err)
{
	json_t *answer =
		json_pack("{s:I, s:i, s:s, s:o?}", "id", id, "errno", -rc,
			  "error", rc ? err->text : "", "value", value);

	return side_channel_send(SPAWNER_CHANNEL_FD, "reply", answer, NULL, 0);
}

/* --- The jail --------------------------------------------------------------
 */

/* Everything that this process needs from now on. */
static unsigned int device_child_keep(struct device_child *child,
				      struct virtio_device *device, int *fds)
{
	unsigned int count =
		loop_own_fds(child->loop, fds, DEVICE_CHILD_OWN_FDS - 2);

	if (count > DEVICE_CHILD_OWN_FDS - 2)
		count = DEVICE_CHILD_OWN_FDS - 2;
	fds[count++] = SPAWNER_CHANNEL_FD;
	fds[count++] = child->config.fd;
	fds[count++] = child->resources.life_fd;
	return count + virtio_device_keep_fds(device, fds + count);
}

static int device_child_made(void *ctx, struct virtio_device *device,
			     struct error *err)
{
	int fds[DEVICE_CHILD_OWN_FDS + VIRTIO_DEVICE_FDS_MAX];
	struct device_child *child = ctx;
	const struct jail_config config = {
		.label = child->config.label,
		.calls = child->config.ops->seccomp,
		.keep_fds = fds,
		.keep_count = device_child_keep(child, device, fds),
		.report_fd = SPAWNER_CHANNEL_FD,
		.mode = child->log_only ? JAIL_LOG : JAIL_ON,
	};

	return jail_enter(&config, err);
}

/* --- What main says --------------------------------------------------------
 */

static void device_child_done(void *ctx)
{
	struct device_child *child = ctx;

	loop_stop(child->loop);
}

/* The first descriptor is the connection's, the second is there for as long as
 * this process is, the others are the device's. */
static void device_child_take_fds(struct device_child *child,
				  struct side_channel_packet *packet)
{
	struct virtio_resources *resources = &child->resources;

	child->config.fd = packet->fds[0];
	resources->life_fd = packet->fds[1];
	resources->fd_count = packet->fd_count - 2;
	memcpy(resources->fds, packet->fds + 2,
	       resources->fd_count * sizeof(resources->fds[0]));
	packet->fd_count = 0;
}

static int device_child_create(void *ctx, struct side_channel_packet *packet)
{
	struct device_child *child = ctx;
	const char *type;
	int packed, log_only;

	child->creation = json_incref(packet->body);
	if (json_unpack(packet->body, "{s:s, s:s, s:O, s:b, s:b !}", "type",
			&type, "label", &child->config.label, "description",
			&child->resources.description, "packed", &packed,
			"log_only", &log_only) < 0 ||
	    strcmp(type, child->type) != 0)
		return -EPROTO;
	device_child_take_fds(child, packet);
	child->config.packed = packed;
	child->log_only = log_only;
	child->phase = DEVICE_CHILD_MADE;
	return 0;
}

static int device_child_command(void *ctx, struct side_channel_packet *packet)
{
	struct device_child *child = ctx;
	struct error err = {.text = ""};
	json_t *args, *value = NULL;
	const char *name;
	json_int_t id;
	int rc;

	if (json_unpack(packet->body, "{s:I, s:s, s:o !}", "id", &id, "name",
			&name, "args", &args) < 0)
		return -EPROTO;
	rc = device_serve_command(child->serve, name,
				  json_is_null(args) ? NULL : args, &value,
				  &err);
	return device_child_answer(id, rc, value, &err);
}

static const struct side_channel_row device_child_rows[] = {
	{
		.name = "create",
		.type = JSON_OBJECT,
		.fds_min = 2,
		.fds_max = 2 + VIRTIO_FDS_MAX,
		.phases = DEVICE_CHILD_NEW,
		.handle = device_child_create,
	},
	{
		.name = "command",
		.type = JSON_OBJECT,
		.phases = DEVICE_CHILD_MADE,
		.handle = device_child_command,
	},
};

/* Return: 1; 0: there is nothing; or a negative errno. */
static int device_child_take(struct device_child *child)
{
	struct side_channel_packet packet;
	const char *why = NULL;
	int ret = side_channel_receive(SPAWNER_CHANNEL_FD, SIDE_CHANNEL_FDS_MAX,
				       &packet);

	if (ret <= 0)
		return ret;
	ret = side_channel_dispatch(device_child_rows,
				    sizeof(device_child_rows) /
					    sizeof(device_child_rows[0]),
				    child->phase, &packet, child, &why);
	side_channel_packet_fini(&packet);
	return ret < 0 ? ret : 1;
}

/* Without main there is no machine. */
static void device_child_heard(void *ctx, uint32_t events)
{
	struct device_child *child = ctx;

	(void)events;
	if (device_child_take(child) < 0)
		loop_stop(child->loop);
}

/* --- Life ------------------------------------------------------------------
 */

/* A terminal's keys, or whoever ends all of a session, mean main: it ends this
 * process when it needs no disk any more. */
static void device_child_signals(void)
{
	static const int ignored[] = {SIGINT,  SIGTERM, SIGHUP,
				      SIGQUIT, SIGPIPE, SIGXFSZ};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

static int device_child_make(struct device_child *child, struct error *err)
{
	const int64_t deadline = loop_now() + DEVICE_CHILD_DEADLINE;
	int ret = 0;

	while (ret == 0 && child->phase == DEVICE_CHILD_NEW) {
		ret = loop_wait_fd(SPAWNER_CHANNEL_FD, POLLIN, deadline);
		if (ret == 0)
			ret = device_child_take(child);
		ret = ret < 0 ? ret : 0;
	}
	if (ret == 0)
		ret = loop_fd_add(child->loop, &child->heard,
				  SPAWNER_CHANNEL_FD, EPOLLIN,
				  device_child_heard, child);
	if (ret < 0)
		return error_set(err, -ret, "the side channel: %s",
				 strerror(-ret));
	return device_serve_new(&child->serve, &child->config, err);
}

static int device_child_run(struct device_child *child)
{
	struct error err = {.text = ""};
	int ret = device_child_make(child, &err);

	if (ret == 0)
		ret = side_channel_send(SPAWNER_CHANNEL_FD, "ready",
					json_true(), NULL, 0);
	else
		(void)side_channel_send(SPAWNER_CHANNEL_FD, "failed",
					json_string(err.text), NULL, 0);
	if (ret == 0)
		ret = loop_run(child->loop);
	return ret;
}

int device_child(const char *type)
{
	struct device_child child = {
		.type = type,
		.phase = DEVICE_CHILD_NEW,
		.config = {.whole = true, .listen_fd = -1, .fd = -1},
	};
	int ret = jail_begin(SPAWNER_CHANNEL_FD);

	if (ret < 0) {
		log_error("device: --child is for bantam itself, which has a "
			  "socket for it");
		return OUTCOME_EXIT_ERROR;
	}
	device_child_signals();
	log_set_sink(device_child_log, NULL);
	/* Main knows what is wanted now. */
	log_set_level(LOG_DEBUG);
	child.config.ops = virtio_table_find(type);
	child.config.resources = &child.resources;
	child.config.made = device_child_made;
	child.config.done = device_child_done;
	child.config.ctx = &child;
	ret = child.config.ops ? loop_new(&child.loop) : -ENODEV;
	child.config.loop = child.loop;
	if (ret == 0)
		ret = device_child_run(&child);
	device_serve_free(child.serve);
	loop_free(child.loop);
	json_decref(child.resources.description);
	json_decref(child.creation);
	return ret < 0 ? OUTCOME_EXIT_ERROR : 0;
}
