#include "vmm/device_verb.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtio/table.h"
#include "vmm/base/log.h"
#include "vmm/base/loop.h"
#include "vmm/device_serve.h"
#include "vmm/listen.h"

/* The device's options and what messages call them. */
struct device_verb_args {
	const void *options;
	const struct virtio_common_options *common;
	char name[160];
};

static void device_verb_args(struct device_verb_args *args,
			     const struct options *options, const char *type)
{
	const char *file = "";

	snprintf(args->name, sizeof(args->name), "--%s", type);
	if (!strcmp(type, "block")) {
		args->options = options->disks.items;
		args->common = &options->disks.items->common;
		file = options->disks.items->file;
		snprintf(args->name, sizeof(args->name), "--disk %s", file);
	} else if (!strcmp(type, "net")) {
		args->options = options->nets.items;
		args->common = &options->nets.items->common;
	} else {
		args->options = &options->rng;
		args->common = &options->rng.common;
	}
}

static void device_verb_signalled(void *ctx, uint32_t events)
{
	(void)events;
	loop_stop(ctx);
}

static void device_verb_done(void *ctx)
{
	loop_stop(ctx);
}

/* Return: the descriptor, or -errno. */
static int device_verb_signals(struct loop *loop, struct loop_fd **source)
{
	sigset_t set;
	int fd, rc;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* A frontend that closes a pipe ends nobody. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	rc = loop_fd_add(loop, source, fd, EPOLLIN, device_verb_signalled,
			 loop);
	if (!rc)
		return fd;
	close(fd);
	return rc;
}

/* --fd: a copy, which is closed with the connection. */
static int device_verb_take_fd(const struct options *options, int *out,
			       struct error *err)
{
	const int fd = (int)options->device_fd;
	socklen_t len = sizeof(int);
	int type = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    type != SOCK_STREAM)
		return error_set(err, EINVAL,
				 "--fd %d: expected a stream socket that is "
				 "connected",
				 fd);
	*out = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return *out < 0 ? error_set(err, errno, "--fd: %s", strerror(errno))
			: 0;
}

static int device_verb_listen(const struct options *options,
			      struct listen_claim **out, struct error *err)
{
	const struct listen_words words = {
		.what = "--socket",
		.in_use = "another process listens there",
		.advice = "stop that one",
		.other = "choose another path",
	};
	struct sockaddr_un address;
	int rc = listen_address(&address, options->device_socket, &words, err);

	return rc ? rc : listen_claim(out, &address, &words, err);
}

static int device_verb_serve(const struct options *options,
			     struct device_serve_config *config,
			     struct error *err)
{
	struct listen_claim *claim = NULL;
	struct device_serve *serve = NULL;
	int rc;

	config->listen_fd = config->fd = -1;
	if (options->device_socket)
		rc = device_verb_listen(options, &claim, err);
	else
		rc = device_verb_take_fd(options, &config->fd, err);
	if (rc)
		return rc;
	if (claim)
		config->listen_fd = listen_fd(claim);
	rc = device_serve_new(&serve, config, err);
	if (!rc) {
		rc = loop_run(config->loop);
		if (rc)
			error_set(err, -rc, "epoll_wait: %s", strerror(-rc));
	}
	device_serve_free(serve);
	listen_release(claim);
	return rc;
}

static int device_verb_open(const struct options *options, const char *type,
			    struct device_serve_config *config,
			    struct virtio_resources *resources,
			    struct error *err)
{
	struct device_verb_args args = {.options = NULL};
	struct virtio_open open = {.option = args.name};
	int ret;

	device_verb_args(&args, options, type);
	if (args.common->sandbox)
		return error_set(err, EINVAL,
				 "%s: sandbox: expected none with the verb "
				 "device, which is a process of its own and "
				 "has no jail, found one",
				 args.name);
	open.options = args.options;
	config->ops = virtio_table_find(type);
	config->packed = args.common->packed;
	config->resources = resources;
	ret = config->ops->open(&open, resources, err);
	virtio_resources_settle(resources);
	return ret;
}

int device_verb(const struct options *options, const char *type,
		struct error *err)
{
	struct virtio_resources resources = {.description = NULL};
	struct device_serve_config config = {
		.label = type,
		.done = device_verb_done,
	};
	struct loop_fd *source = NULL;
	int signals, rc;

	rc = loop_new(&config.loop);
	if (rc)
		return error_set(err, -rc, "epoll: %s", strerror(-rc));
	config.ctx = config.loop;
	signals = rc = device_verb_signals(config.loop, &source);
	if (rc < 0) {
		error_set(err, -rc, "signalfd: %s", strerror(-rc));
		goto err_loop;
	}
	rc = device_verb_open(options, type, &config, &resources, err);
	if (!rc)
		rc = device_verb_serve(options, &config, err);
	virtio_resources_fini(&resources);
	loop_fd_remove(source);
	close(signals);
err_loop:
	loop_free(config.loop);
	return rc;
}
