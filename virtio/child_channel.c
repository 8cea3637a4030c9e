/*
 * What a device's process says on its side channel. Who controls the input: the
 * process, which may be in the hands of the guest.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sys/epoll.h>

#include "virtio/child_private.h"
#include "vmm/base/side_channel.h"

/* Packets that are taken in one turn of the loop, and in a second. */
#define CHILD_TURN	  16
#define CHILD_PACKETS_MAX 2000
#define CHILD_SECOND	  INT64_C(1000000000)

void child_lose(struct child *child, const char *why)
{
	if (!child->said[0])
		snprintf(child->said, sizeof(child->said),
			 "was ended, since it said %s", why);
	child_kill(child);
}

/* --- What it says ----------------------------------------------------------
 */

static int child_hear_ready(void *ctx, struct side_channel_packet *packet)
{
	struct child *child = ctx;

	(void)packet;
	child->phase = CHILD_RUNNING;
	child_restart_ready(child);
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
	int number;

	if (json_unpack(packet->body, "{s:i !}", "call", &number) < 0)
		return -EPROTO;
	child_violated(child, number);
	return 0;
}

static int child_hear_notify(void *ctx, struct side_channel_packet *packet)
{
	struct child *child = ctx;
	const int notices = packet->fds[0];

	if (child->notices >= 0)
		return -EPROTO;
	packet->fds[0] = -1;
	return child_note(child, notices);
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
		.name = "notify",
		.type = JSON_TRUE,
		.fds_min = 1,
		.fds_max = 1,
		.phases = CHILD_STARTING,
		.handle = child_hear_notify,
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

int child_take(struct child *child)
{
	struct side_channel_packet packet;
	const char *why = NULL;
	const bool log_only = child->config.sandbox == VIRTIO_SANDBOX_LOG;
	int ret = side_channel_receive(child->channel, log_only, &packet);

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

void child_heard(void *ctx, uint32_t events)
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

/* As far as one turn goes. */
void child_drain(struct child *child)
{
	for (unsigned int i = 0; i < CHILD_TURN; i++) {
		if (child_take(child) <= 0)
			return;
	}
}
