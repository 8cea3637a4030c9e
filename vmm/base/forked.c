#include "vmm/base/forked.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKED_TIMEOUT 5 /* s */
#define FORKED_FD_MIN  16

/* --- In main ---------------------------------------------------------------
 */

int forked_lift(int fd)
{
	int lifted = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FORKED_FD_MIN);

	if (fd >= 0)
		close(fd);
	return lifted;
}

int forked_parent(void)
{
	return forked_lift((int)syscall(SYS_pidfd_open, getpid(), 0));
}

/* One that hangs must not hang main. */
static int forked_limit(int socket)
{
	const struct timeval limit = {.tv_sec = FORKED_TIMEOUT};

	if (setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) <
		    0 ||
	    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) <
		    0)
		return -errno;
	return 0;
}

int forked_socket(int ends[2])
{
	int ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	ret = forked_limit(ends[0]);
	if (ret == 0) {
		ends[1] = forked_lift(ends[1]);
		ret = ends[1] < 0 ? -errno : 0;
	}
	if (ret == 0)
		return 0;
	close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
	return ret;
}

void forked_end(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* --- In the process --------------------------------------------------------
 */

void forked_settle(const char *name, int null)
{
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t none;

	prctl(PR_SET_NAME, name);
	/* A terminal's Ctrl-C is for main to understand. */
	setpgid(0, 0);
	for (int i = 1; i < NSIG; i++)
		sigaction(i, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
}

void forked_keep(int *const fds[], unsigned int count, int first, int null)
{
	for (int i = STDERR_FILENO + 1; i < first; i++)
		dup3(null, i, O_CLOEXEC);
	/* None is overwritten: each is lifted. */
	for (unsigned int i = 0; i < count; i++) {
		dup3(*fds[i], first + (int)i, O_CLOEXEC);
		*fds[i] = first + (int)i;
	}
	close_range((unsigned int)first + count, UINT_MAX, 0);
}

bool forked_orphaned(int parent)
{
	struct pollfd poll_parent = {.fd = parent, .events = POLLIN};

	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	       poll(&poll_parent, 1, 0) != 0;
}

pid_t forked_clone(uint64_t flags, int *pidfd)
{
	struct clone_args args = {
		.flags = flags | CLONE_PARENT | CLONE_PIDFD,
		.pidfd = (uintptr_t)pidfd,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	return pid < 0 ? -errno : (pid_t)pid;
}
