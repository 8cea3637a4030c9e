#include "vmm/base/starter.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vmm/base/fd_passing.h"
#include "vmm/base/forked.h"

struct starter {
	int socket; /* owned */
	pid_t pid;
	unsigned int fd_count;
};

/* What it is forked with. */
struct starter_process {
	char *const *argv;
	unsigned int fd_count;
	int socket, parent;
};

/* --- The process -----------------------------------------------------------
 */

static _Noreturn void starter_program(const struct starter_process *self,
				      const int *fds)
{
	static const char failed[] = "cannot be executed\n";

	if (forked_orphaned(self->parent))
		_exit(1);
	/* Received ones lie above those that a program has. */
	for (unsigned int i = 0; i < self->fd_count; i++)
		if (dup2(fds[i], (int)i) < 0)
			_exit(1);
	close_range(self->fd_count, UINT_MAX, 0);
	execv(self->argv[0], self->argv);
	if (write(STDERR_FILENO, failed, sizeof(failed) - 1) < 0)
		_exit(2);
	_exit(1);
}

/* Return: 0; another number at the end. */
static int starter_serve(const struct starter_process *self)
{
	int fds[STARTER_FDS_MAX], pidfd = -1;
	unsigned int count = self->fd_count;
	int32_t answer;
	struct iovec part = {&answer, sizeof(answer)};
	char word;

	if (fd_passing_receive(self->socket, &word, 1, fds, &count, 0) != 1 ||
	    count != self->fd_count)
		return -EPROTO;
	answer = forked_clone(0, &pidfd);
	if (answer == 0)
		starter_program(self, fds);
	for (unsigned int i = 0; i < count; i++)
		close(fds[i]);
	fd_passing_send(self->socket, &part, 1, &pidfd, pidfd >= 0, 0);
	if (pidfd >= 0)
		close(pidfd);
	return 0;
}

static _Noreturn void starter_process(struct starter_process *self)
{
	int *const keep[] = {&self->socket, &self->parent};
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		_exit(1);
	forked_settle("bantam-starter", null);
	forked_keep(keep, 2, STARTER_FDS_MAX, null);
	if (forked_orphaned(self->parent))
		_exit(0);
	while (starter_serve(self) == 0)
		;
	_exit(0);
}

/* --- Main's side -----------------------------------------------------------
 */

static int starter_fork(struct starter *starter, char *const *argv)
{
	struct starter_process process = {
		.argv = argv,
		.fd_count = starter->fd_count,
	};
	int ends[2], ret = forked_socket(ends);

	if (ret < 0)
		return ret;
	starter->socket = ends[0];
	process.socket = ends[1];
	process.parent = forked_parent();
	starter->pid = process.parent < 0 ? -1 : fork();
	if (starter->pid == 0)
		starter_process(&process);
	ret = starter->pid < 0 ? -errno : 0;
	close(ends[1]);
	if (process.parent >= 0)
		close(process.parent);
	if (ret < 0)
		close(starter->socket);
	return ret;
}

int starter_new(struct starter **out, char *const *argv, unsigned int fd_count)
{
	struct starter *starter = calloc(1, sizeof(*starter));
	int ret;

	if (!starter)
		return -ENOMEM;
	starter->fd_count = fd_count;
	ret = starter_fork(starter, argv);
	if (ret < 0)
		free(starter);
	else
		*out = starter;
	return ret;
}

void starter_free(struct starter *starter)
{
	if (!starter)
		return;
	close(starter->socket);
	forked_end(starter->pid);
	free(starter);
}

int starter_start(struct starter *starter, const int *fds, int *pidfd)
{
	char word = 's';
	struct iovec part = {&word, 1};
	unsigned int count = 1;
	int32_t answer;
	ssize_t n = fd_passing_send(starter->socket, &part, 1, fds,
				    starter->fd_count, 0);

	if (n > 0)
		n = fd_passing_receive(starter->socket, &answer, sizeof(answer),
				       pidfd, &count, 0);
	if (n < 0)
		return n == -EAGAIN ? -ETIMEDOUT : (int)n;
	if (n == 0)
		return -EPIPE;
	if (n != sizeof(answer) || (answer > 0 && count == 0))
		return -EPROTO;
	return answer < 0 ? answer : 0;
}
