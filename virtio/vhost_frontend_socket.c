/*
 * A vhost-user backend that listens at a socket: opening it, and going there
 * again when it is lost. The user says where it is; whoever listens there may
 * be hostile, and has so many tries.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "virtio/options.h"
#include "virtio/vhost_frontend_private.h"
#include "vmm/base/loop.h"

/* Between two looks for somebody who listens, in ns: doubled each time. */
#define SOCKET_WAIT	INT64_C(100000000)
#define SOCKET_WAIT_MAX INT64_C(2000000000)

/* Backends that may be lost within so many ns; one more, and it is enough. */
#define SOCKET_LOSSES	     5
#define SOCKET_LOSSES_WITHIN INT64_C(30000000000)

/* --- Opening --------------------------------------------------------------
 */

json_t *vhost_frontend_describe(const char *tag, unsigned int queues,
				bool whole)
{
	return json_pack("{s:s, s:i, s:b}", "tag", tag ? tag : "", "queues",
			 (int)queues, "whole", whole);
}

static int vhost_frontend_check_options(const struct virtio_open *open,
					struct error *err)
{
	const struct virtio_vhost_options *options = open->options;
	const bool fs = strcmp(options->type, "fs") == 0;
	const bool net = strcmp(options->type, "net") == 0;
	const bool many = fs || net || strcmp(options->type, "block") == 0;
	const size_t tag = options->tag ? strlen(options->tag) : 0;

	if (!options->socket)
		return error_set(err, EINVAL,
				 "%s: socket: expected the path of the "
				 "backend's socket, found none",
				 open->option);
	if (fs ? tag == 0 || tag > sizeof(((struct vhost_frontend *)0)->tag)
	       : tag != 0)
		return error_set(err, EINVAL,
				 fs ? "%s: tag: expected 1 to 36 bytes, by "
				      "which the guest mounts it"
				    : "%s: tag: only fs has one",
				 open->option);
	if (options->mac && !net)
		return error_set(err, EINVAL, "%s: mac: only net has one",
				 open->option);
	if (options->queues > (many ? VHOST_FRONTEND_QUEUES_MAX : 1))
		return error_set(
			err, EINVAL, "%s: queues: expected %s, found %" PRIu64,
			open->option, many ? "1 to 16" : "1", options->queues);
	return 0;
}

static int vhost_frontend_address(const struct virtio_open *open,
				  struct sockaddr_un *address,
				  struct error *err)
{
	const struct virtio_vhost_options *options = open->options;
	const size_t len = strlen(options->socket);
	struct stat st;

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (len >= sizeof(address->sun_path))
		return error_set(err, ENAMETOOLONG,
				 "%s: socket: expected at most %zu bytes",
				 open->option, sizeof(address->sun_path) - 1);
	memcpy(address->sun_path, options->socket, len);
	if (stat(options->socket, &st) < 0)
		return error_set(err, errno,
				 "%s: socket: %s; start the backend first",
				 open->option, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, ENOTSOCK, "%s: socket: is no socket",
				 open->option);
	return 0;
}

/* Return: a connected socket, or -errno. */
static int vhost_frontend_connect(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret;

	if (fd < 0)
		return -errno;
	/* A Unix socket is connected at once or not at all. */
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) ==
	    0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

/* As well; err set. */
static int vhost_frontend_dial(const struct virtio_open *open,
			       const struct sockaddr_un *address,
			       struct error *err)
{
	int ret = vhost_frontend_connect(address);

	if (ret >= 0)
		return ret;
	return error_set(err, -ret,
			 ret == -ECONNREFUSED
				 ? "%s: socket: nobody listens there; start "
				   "the backend first"
				 : "%s: socket: %s",
			 open->option, strerror(-ret));
}

/* What create() wants to know, besides. Return: 0 or -ENOMEM. */
static int
vhost_frontend_describe_more(json_t *description,
			     const struct virtio_vhost_options *options,
			     const uint8_t *mac)
{
	const char *socket = options->common.restart ? options->socket : "";
	char text[NET_MAC_TEXT];

	net_mac_print(mac, text);
	return json_object_set_new(description, "socket", json_string(socket)) <
				       0 ||
			       json_object_set_new(description, "mac",
						   json_string(text)) < 0
		       ? -ENOMEM
		       : 0;
}

int vhost_frontend_open(const struct virtio_open *open,
			struct virtio_resources *out, struct error *err)
{
	const struct virtio_vhost_options *options = open->options;
	uint8_t mac[NET_MAC_SIZE] = {0};
	struct sockaddr_un address;
	int ret = vhost_frontend_check_options(open, err);

	if (ret == 0 && strcmp(options->type, "net") == 0)
		ret = net_mac_choose(open->option, options->mac, mac, err);
	if (ret == 0)
		ret = vhost_frontend_address(open, &address, err);
	/* A connection would take the backend from another frontend. */
	if (ret == 0 && !open->dry_run)
		ret = vhost_frontend_dial(open, &address, err);
	if (ret < 0)
		return ret;
	if (!open->dry_run)
		out->fds[out->fd_count++] = ret;
	out->description = vhost_frontend_describe(
		options->tag, (unsigned int)options->queues, false);
	if (vhost_frontend_describe_more(out->description, options, mac) == 0)
		return 0;
	virtio_resources_fini(out);
	return error_set(err, ENOMEM, "%s: no memory", open->option);
}

/* --- Going there again ----------------------------------------------------
 */

/* Return: whether it may have another try. */
static bool vhost_frontend_count_loss(struct vhost_frontend_socket *to)
{
	const int64_t now = loop_now();

	if (now - to->since > SOCKET_LOSSES_WITHIN) {
		to->since = now;
		to->losses = 0;
	}
	return ++to->losses <= SOCKET_LOSSES;
}

static void vhost_frontend_look_later(struct vhost_frontend_socket *to)
{
	virtio_timer_set(to->timer, (uint64_t)to->wait);
	to->wait *= 2;
	if (to->wait > SOCKET_WAIT_MAX)
		to->wait = SOCKET_WAIT_MAX;
}

static bool vhost_frontend_socket_lost(void *ctx, const char *why)
{
	struct vhost_frontend *frontend = ctx;

	(void)why;
	if (!vhost_frontend_count_loss(&frontend->socket))
		return false;
	frontend->socket.wait = SOCKET_WAIT;
	vhost_frontend_look_later(&frontend->socket);
	return true;
}

/* Somebody listens there. */
static void vhost_frontend_try(struct vhost_frontend *frontend, int fd)
{
	struct error err = {""};
	int ret = vhost_frontend_reconnect(frontend, fd, &err);

	if (ret == 0) {
		log_limited(&frontend->log, LOG_WARN,
			    "%s: a vhost-user backend is there again",
			    virtio_device_label(frontend->device));
		return;
	}
	if (ret == -ENOLINK && vhost_frontend_count_loss(&frontend->socket))
		vhost_frontend_look_later(&frontend->socket);
	else
		vhost_frontend_give_up(frontend, err.text);
}

static void vhost_frontend_look_again(void *self)
{
	struct vhost_frontend *frontend = self;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (!vhost_frontend_is_waiting(frontend))
		return;
	memcpy(address.sun_path, frontend->socket.path,
	       sizeof(frontend->socket.path));
	fd = vhost_frontend_connect(&address);
	if (fd >= 0)
		vhost_frontend_try(frontend, fd);
	else
		vhost_frontend_look_later(&frontend->socket);
}

int vhost_frontend_keep_socket(struct vhost_frontend *frontend)
{
	const struct vhost_frontend_keeper keeper = {
		.lost = vhost_frontend_socket_lost,
		.ctx = frontend,
	};
	int ret;

	if (!frontend->socket.path[0])
		return 0;
	ret = virtio_device_timer(frontend->device, &frontend->socket.timer,
				  vhost_frontend_look_again, frontend);
	if (ret == 0)
		vhost_frontend_keep(frontend, &keeper);
	return ret;
}
