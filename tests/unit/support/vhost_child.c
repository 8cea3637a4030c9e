#include "tests/unit/support/vhost_child.h"

#include <signal.h>
#include <stdlib.h>

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "vmm/device_serve.h"

static void child_done(void *ctx)
{
	loop_stop(ctx);
}

static void child_run(const struct virtio_device_ops *ops,
		      const struct virtio_resources *resources, int fd)
{
	struct device_serve_config config = {
		.ops = ops,
		.resources = resources,
		.label = "child0",
		.packed = true,
		.whole = true,
		.listen_fd = -1,
		.fd = fd,
		.done = child_done,
	};
	struct device_serve *serve;
	struct error err = {""};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (loop_new(&config.loop) < 0)
		return;
	config.ctx = config.loop;
	if (device_serve_new(&serve, &config, &err) < 0)
		return;
	loop_run(config.loop);
}

void vhost_child_start(struct vhost_child *child,
		       const struct virtio_device_ops *ops,
		       const struct virtio_resources *resources)
{
	int pair[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	child->pid = fork();
	ck_assert_int_ge(child->pid, 0);
	if (child->pid == 0) {
		close(pair[0]);
		child_run(ops, resources, pair[1]);
		_exit(0);
	}
	close(pair[1]);
	child->fd = pair[0];
}

void vhost_child_kill(struct vhost_child *child)
{
	if (child->pid <= 0)
		return;
	kill(child->pid, SIGKILL);
	ck_assert_int_eq(waitpid(child->pid, NULL, 0), child->pid);
	child->pid = 0;
}

static struct virtio_device_ops child_ops;
static const struct virtio_device_ops *child_frontend_ops;
static struct vhost_child *child_of_ops;
static void *child_frontend;

static int child_open(const struct virtio_open *open,
		      struct virtio_resources *out, struct error *err)
{
	(void)open;
	(void)err;
	out->fds[out->fd_count++] = child_of_ops->fd;
	out->description = vhost_frontend_describe(NULL, 0, true);
	return 0;
}

static int child_create(void **self, struct virtio_device *device,
			const struct virtio_resources *resources,
			struct error *err)
{
	int ret = child_frontend_ops->create(self, device, resources, err);

	child_frontend = ret == 0 ? *self : NULL;
	return ret;
}

const struct virtio_device_ops *vhost_child_ops(const char *type,
						struct vhost_child *child)
{
	child_frontend_ops = vhost_frontend_ops(type);
	child_ops = *child_frontend_ops;
	child_ops.open = child_open;
	child_ops.create = child_create;
	child_of_ops = child;
	return &child_ops;
}

struct vhost_frontend *vhost_child_frontend(void)
{
	return child_frontend;
}
