/*
 * Main's side of the spawner: the fork, and asking it for children.
 */
#include "jail/spawner.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/spawner_private.h"
#include "vmm/base/fd_passing.h"

#define SPAWNER_TIMEOUT 5 /* s */
/* Above what a child has. */
#define SPAWNER_FD_MIN 10

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

/* To where a child's own descriptors do not meet it. Takes fd. */
static int spawner_lift(int fd)
{
	int lifted = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, SPAWNER_FD_MIN);

	if (fd >= 0)
		close(fd);
	return lifted;
}

/* A spawner that hangs must not hang main. */
static int spawner_limit(int socket)
{
	const struct timeval limit = {.tv_sec = SPAWNER_TIMEOUT};

	if (setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) <
		    0 ||
	    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) <
		    0)
		return -errno;
	return 0;
}

static int spawner_open(struct spawner *spawner, struct spawner_fds *fds,
			struct error *err)
{
	int ends[2];

	fds->exe = spawner_lift(open("/proc/self/exe", O_PATH | O_CLOEXEC));
	if (fds->exe < 0)
		return error_set(err, errno,
				 "cannot start device processes: "
				 "/proc/self/exe: %s; is /proc mounted?",
				 strerror(errno));
	fds->null = spawner_lift(open("/dev/null", O_RDWR | O_CLOEXEC));
	if (fds->null < 0)
		return error_set(err, errno,
				 "cannot start device processes: /dev/null: %s",
				 strerror(errno));
	fds->parent = spawner_lift((int)syscall(SYS_pidfd_open, getpid(), 0));
	if (fds->parent < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set(err, errno,
				 "cannot start device processes: %s",
				 strerror(errno));
	spawner->socket = ends[0];
	fds->socket = spawner_lift(ends[1]);
	if (fds->socket < 0 || spawner_limit(ends[0]) < 0)
		return error_set(err, errno,
				 "cannot start device processes: %s",
				 strerror(errno));
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
	/* It has nothing to finish, and may hang. */
	kill(spawner->pid, SIGKILL);
	while (waitpid(spawner->pid, NULL, 0) < 0 && errno == EINTR)
		;
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
