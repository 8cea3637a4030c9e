/*
 * Main's side of the spawner: the fork, and asking it for children.
 */
#include "jail/spawner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include "jail/spawner_private.h"
#include "vmm/base/fd_passing.h"
#include "vmm/base/forked.h"

struct spawner {
	int socket; /* owned */
	pid_t pid;
};

int spawner_send(int socket, const void *data, size_t size, int fd)
{
	struct iovec part = {.iov_len = size};
	ssize_t n;

	memcpy(&part.iov_base, &data, sizeof(data)); /* not written to */
	n = fd_passing_send(socket, &part, 1, &fd, fd >= 0, 0);
	if (n >= 0)
		return 0;
	return n == -EAGAIN ? -ETIMEDOUT : (int)n;
}

int spawner_receive(int socket, void *data, size_t size, int *fd)
{
	unsigned int count = 1;
	ssize_t n = fd_passing_receive(socket, data, size, fd, &count, 0);

	if (count == 0)
		*fd = -1;
	if (n == (ssize_t)size)
		return 0;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	if (n == 0)
		return -EPIPE;
	if (n == -EAGAIN)
		return -ETIMEDOUT;
	return n > 0 || n == -EMFILE || n == -EMSGSIZE ? -EPROTO : (int)n;
}

/* --- The fork --------------------------------------------------------------
 */

static void spawner_close(const struct spawner_fds *fds)
{
	const int all[] = {fds->socket, fds->exe, fds->parent, fds->null};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] >= 0)
			close(all[i]);
}

static int spawner_open(struct spawner *spawner, struct spawner_fds *fds,
			struct error *err)
{
	int ends[2] = {-1, -1}, ret;

	fds->exe = forked_lift(open("/proc/self/exe", O_PATH | O_CLOEXEC));
	if (fds->exe < 0)
		return error_set(err, errno,
				 "cannot start device processes: "
				 "/proc/self/exe: %s; is /proc mounted?",
				 strerror(errno));
	fds->null = forked_lift(open("/dev/null", O_RDWR | O_CLOEXEC));
	if (fds->null < 0)
		return error_set(err, errno,
				 "cannot start device processes: /dev/null: %s",
				 strerror(errno));
	fds->parent = forked_parent();
	ret = fds->parent < 0 ? -errno : forked_socket(ends);
	if (ret < 0)
		return error_set(err, -ret, "cannot start device processes: %s",
				 strerror(-ret));
	spawner->socket = ends[0];
	fds->socket = ends[1];
	return 0;
}

int spawner_new(struct spawner **out, struct error *err)
{
	struct spawner_fds fds = {-1, -1, -1, -1};
	struct spawner *spawner = calloc(1, sizeof(*spawner));
	int ret;

	if (!spawner)
		return error_set(err, ENOMEM, "out of memory");
	spawner->socket = -1;
	ret = spawner_open(spawner, &fds, err);
	if (ret < 0)
		goto err_close;
	spawner->pid = fork();
	if (spawner->pid == 0)
		spawner_process(&fds);
	if (spawner->pid < 0) {
		ret = error_set(err, errno,
				"cannot start device processes: fork: %s",
				strerror(errno));
		goto err_close;
	}
	spawner_close(&fds);
	*out = spawner;
	return 0;

err_close:
	spawner_close(&fds);
	if (spawner->socket >= 0)
		close(spawner->socket);
	free(spawner);
	return ret;
}

void spawner_free(struct spawner *spawner)
{
	if (!spawner)
		return;
	close(spawner->socket);
	forked_end(spawner->pid);
	free(spawner);
}

pid_t spawner_pid(const struct spawner *spawner)
{
	return spawner->pid;
}

/* --- A child ---------------------------------------------------------------
 */

static int spawner_lost(int errnum, struct error *err)
{
	return error_set(err, errnum,
			 "cannot start a device process: the spawner %s",
			 errnum == ETIMEDOUT ? "does not answer" : "has died");
}

int spawner_start(struct spawner *spawner,
		  const struct spawner_request *request,
		  struct spawner_child *out, struct error *err)
{
	struct spawner_ask ask = {.mode = (uint32_t)request->mode};
	struct spawner_answer answer = {.errnum = 0};
	int ret, fd = -1;

	if (strlen(request->type) >= sizeof(ask.type))
		return error_set(err, EINVAL, "no such device: %s",
				 request->type);
	memcpy(ask.type, request->type, strlen(request->type));
	ret = spawner_send(spawner->socket, &ask, sizeof(ask),
			   request->channel_fd);
	if (ret == 0)
		ret = spawner_receive(spawner->socket, &answer, sizeof(answer),
				      &fd);
	if (ret < 0)
		return spawner_lost(-ret, err);
	if (answer.errnum) {
		answer.text[sizeof(answer.text) - 1] = '\0';
		return error_set(err, answer.errnum, "%s", answer.text);
	}
	if (fd < 0)
		return spawner_lost(EPROTO, err);
	out->pid = answer.pid;
	out->pidfd = fd;
	return 0;
}
