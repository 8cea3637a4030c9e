#include "vmm/device_serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtio/vhost_backend.h"
#include "vmm/base/guest_fault.h"
#include "vmm/base/guest_mem.h"
#include "vmm/base/log.h"

struct device_serve {
	struct device_serve_config config;
	struct loop_fd *source;	  /* of listen_fd; waits while one is served */
	struct loop_wake *fault;  /* memory of a frontend's was cut off */
	struct loop_timer *sweep; /* after the end of a connection */
	struct log_limit log;

	/* Of the connection; NULL without. */
	struct guest_mem *mem;
	struct virtio_device *device;
	struct vhost_backend *backend;
};

/* In this order: none outlives what it uses. */
static void device_serve_drop(struct device_serve *serve)
{
	vhost_backend_free(serve->backend);
	virtio_device_free(serve->device);
	guest_mem_free(serve->mem);
	serve->backend = NULL;
	serve->device = NULL;
	serve->mem = NULL;
}

static void device_serve_sweep(void *ctx)
{
	struct device_serve *serve = ctx;

	device_serve_drop(serve);
	if (serve->source)
		loop_fd_set(serve->source, EPOLLIN);
	else
		serve->config.done(serve->config.ctx);
}

/* Not here: the backend has called. */
static void device_serve_ended(void *ctx, const char *why)
{
	struct device_serve *serve = ctx;

	if (*why)
		log_limited(&serve->log, LOG_WARN,
			    "%s: the frontend's connection is closed: %s",
			    serve->config.label, why);
	else
		log_info("%s: the frontend has gone", serve->config.label);
	loop_timer_set(serve->sweep, 0);
}

static void device_serve_fault(void *ctx)
{
	struct device_serve *serve = ctx;

	if (!guest_fault_take() || !serve->backend)
		return;
	vhost_backend_free(serve->backend);
	serve->backend = NULL;
	device_serve_ended(serve, "its memory was cut off under us");
}

static int device_serve_make(struct device_serve *serve, struct error *err)
{
	struct virtio_device_config config = {
		.ops = serve->config.ops,
		.label = serve->config.label,
		.loop = serve->config.loop,
		.resources = serve->config.resources,
		.packed = serve->config.packed,
	};
	int ret = guest_mem_new_empty(&serve->mem);

	if (ret < 0)
		return error_set(err, -ret, "out of memory");
	config.mem = serve->mem;
	ret = virtio_device_new(&serve->device, &config, err);
	if (ret == 0 && serve->config.made)
		ret = serve->config.made(serve->config.ctx, serve->device, err);
	if (ret < 0)
		return ret;
	virtio_device_lock(serve->device);
	ret = virtio_device_on_sandboxed_locked(serve->device);
	virtio_device_unlock(serve->device);
	return ret < 0 ? error_set(err, -ret, "cannot start it: %s",
				   strerror(-ret))
		       : 0;
}

/* fd is taken. */
static int device_serve_connect(struct device_serve *serve, int fd,
				struct error *err)
{
	struct vhost_backend_config config = {
		.loop = serve->config.loop,
		.fd = fd,
		.whole = serve->config.whole,
		.ended = device_serve_ended,
		.ctx = serve,
	};
	int ret = device_serve_make(serve, err);

	if (ret < 0) {
		close(fd);
		device_serve_drop(serve);
		return ret;
	}
	config.device = serve->device;
	config.mem = serve->mem;
	ret = vhost_backend_new(&serve->backend, &config, err);
	if (ret < 0)
		device_serve_drop(serve);
	return ret;
}

static void device_serve_accept(void *ctx, uint32_t events)
{
	struct device_serve *serve = ctx;
	struct error err = {""};
	int fd;

	(void)events;
	fd = accept4(serve->config.listen_fd, NULL, NULL,
		     SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (device_serve_connect(serve, fd, &err) < 0)
		log_limited(&serve->log, LOG_ERROR, "%s: %s",
			    serve->config.label, err.text);
	else
		/* The next one waits until this one has gone. */
		loop_fd_set(serve->source, EPOLLET);
}

static int device_serve_begin(struct device_serve *serve, struct error *err)
{
	struct loop *loop = serve->config.loop;
	int ret =
		loop_timer_add(loop, &serve->sweep, device_serve_sweep, serve);

	if (ret == 0)
		ret = loop_wake_add(loop, &serve->fault, device_serve_fault,
				    serve);
	if (ret == 0)
		ret = guest_fault_install(serve->fault);
	if (ret == 0 && serve->config.listen_fd >= 0)
		ret = loop_fd_add(loop, &serve->source, serve->config.listen_fd,
				  EPOLLIN, device_serve_accept, serve);
	if (ret < 0)
		return error_set(err, -ret, "%s: %s", serve->config.label,
				 strerror(-ret));
	return serve->source
		       ? 0
		       : device_serve_connect(serve, serve->config.fd, err);
}

int device_serve_new(struct device_serve **out,
		     const struct device_serve_config *config,
		     struct error *err)
{
	struct device_serve *serve = calloc(1, sizeof(*serve));
	int ret;

	if (!serve)
		return error_set(err, ENOMEM, "out of memory");
	serve->config = *config;
	ret = device_serve_begin(serve, err);
	if (ret < 0)
		device_serve_free(serve);
	else
		*out = serve;
	return ret;
}

int device_serve_command(struct device_serve *serve, const char *name,
			 const json_t *args, json_t **reply, struct error *err)
{
	int ret;

	if (!serve->device)
		return error_set(err, ENODEV, "there is no device");
	virtio_device_lock(serve->device);
	ret = virtio_device_command_locked(serve->device, name, args, reply,
					   err);
	virtio_device_unlock(serve->device);
	return ret;
}

void device_serve_free(struct device_serve *serve)
{
	if (!serve)
		return;
	device_serve_drop(serve);
	loop_fd_remove(serve->source);
	loop_timer_remove(serve->sweep);
	guest_fault_install(NULL);
	loop_wake_remove(serve->fault);
	free(serve);
}
