#include "tests/unit/support/vhost_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "virtio/vhost_frontend.h"

static void *server_run(void *ctx)
{
	struct vhost_server *server = ctx;

	loop_run(server->loop);
	return NULL;
}

static void server_halt(void *ctx)
{
	struct vhost_server *server = ctx;

	loop_stop(server->loop);
}

static struct sockaddr_un server_address(const struct vhost_server *server)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s",
		 server->path);
	return address;
}

void vhost_server_again(struct vhost_server *server,
			const struct virtio_device_ops *ops,
			const void *options, bool whole)
{
	const struct virtio_open args = {.option = "--device",
					 .options = options};
	struct device_serve_config config = {
		.ops = ops,
		.resources = &server->resources,
		.label = "served0",
		.packed = true,
		.whole = whole,
		.fd = -1,
	};
	struct sockaddr_un address;
	struct error err = {""};

	address = server_address(server);
	server->listen_fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(server->listen_fd, (struct sockaddr *)&address,
			      sizeof(address)),
			 0);
	ck_assert_int_eq(listen(server->listen_fd, 8), 0);
	ck_assert_msg(ops->open(&args, &server->resources, &err) == 0, "%s",
		      err.text);
	ck_assert_int_eq(loop_new(&server->loop), 0);
	ck_assert_int_eq(
		loop_wake_add(server->loop, &server->stop, server_halt, server),
		0);
	config.loop = server->loop;
	config.listen_fd = server->listen_fd;
	ck_assert_msg(device_serve_new(&server->serve, &config, &err) == 0,
		      "%s", err.text);
	ck_assert_int_eq(
		pthread_create(&server->thread, NULL, server_run, server), 0);
	server->running = true;
}

void vhost_server_start(struct vhost_server *server,
			const struct virtio_device_ops *ops,
			const void *options, bool whole)
{
	memset(server, 0, sizeof(*server));
	strcpy(server->dir, "/tmp/vhost.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(server->dir));
	snprintf(server->path, sizeof(server->path), "%s/sock", server->dir);
	vhost_server_again(server, ops, options, whole);
}

void vhost_server_halt(struct vhost_server *server)
{
	if (!server->running)
		return;
	server->running = false;
	loop_wake_send(server->stop);
	pthread_join(server->thread, NULL);
	device_serve_free(server->serve);
	loop_free(server->loop);
	virtio_resources_fini(&server->resources);
	close(server->listen_fd);
	unlink(server->path);
}

void vhost_server_stop(struct vhost_server *server)
{
	if (!server->dir[0])
		return;
	vhost_server_halt(server);
	rmdir(server->dir);
	server->dir[0] = '\0';
}

int vhost_server_connect(const struct vhost_server *server)
{
	const struct sockaddr_un address = server_address(server);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(
		connect(fd, (const struct sockaddr *)&address, sizeof(address)),
		0);
	return fd;
}

struct virtio_vhost_options
vhost_server_options(const struct vhost_server *server, const char *type)
{
	struct virtio_vhost_options options = {.queues = 1,
					       .common.restart = true};

	/* NOLINTBEGIN: the options' owner would free them; nobody does. */
	memcpy(&options.type, &type, sizeof(type));
	options.socket = (char *)(uintptr_t)server->path;
	/* NOLINTEND */
	return options;
}

static struct virtio_device_ops whole_ops;
static int (*whole_open)(const struct virtio_open *open,
			 struct virtio_resources *out, struct error *err);

static int server_open_whole(const struct virtio_open *open,
			     struct virtio_resources *out, struct error *err)
{
	int ret = whole_open(open, out, err);

	if (ret == 0) {
		json_decref(out->description);
		out->description = vhost_frontend_describe(NULL, 0, true);
	}
	return ret;
}

const struct virtio_device_ops *vhost_server_whole_ops(const char *type)
{
	whole_ops = *vhost_frontend_ops(type);
	whole_open = whole_ops.open;
	whole_ops.open = server_open_whole;
	return &whole_ops;
}
