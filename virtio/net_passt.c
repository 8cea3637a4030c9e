/*
 * Starting passt. What is relied on is in the passt of Debian 12 (2023-03-09)
 * and later: --fd, --foreground, and that the file of --pid is written once
 * everything has been set up. That file is a pipe here, so that nobody has to
 * guess when it is ready, or why it never will be.
 */
#include "virtio/net_passt.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "virtio/net_passt_args.h"
#include "vmm/base/loop.h"

#define NET_PASST_WAIT_NS (INT64_C(10) * 1000000000)
#define NET_PASST_TEXT	  4096 /* of its stderr, the last of it */
/* Its descriptors: /dev/null, pid file, log, and the stream. */
#define NET_PASST_STREAM 3
#define NET_PASST_FDS	 4
/* Above those, so that none is overwritten when they are put in place. */
#define NET_PASST_FD_MIN 10

/* --- The child -------------------------------------------------------------
 */

/*
 * After fork(): only what is safe in a signal handler. PR_SET_PDEATHSIG is
 * lost where passt changes its user, as it does for root; then it goes by its
 * stream.
 */
static _Noreturn void
net_passt_child(pid_t parent, const int fds[NET_PASST_FDS], char *const *argv)
{
	static const char failed[] = "cannot be executed\n";
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t none;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	/* A terminal's Ctrl-C is for bantam to understand. */
	setpgid(0, 0);
	for (int i = 0; i < NET_PASST_FDS; i++) {
		if (dup2(fds[i], i) < 0)
			_exit(1);
	}
	close_range(NET_PASST_FDS, UINT_MAX, 0);
	for (int i = 1; i < NSIG; i++)
		sigaction(i, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(argv[0], argv);
	if (write(STDERR_FILENO, failed, sizeof(failed) - 1) < 0)
		_exit(2);
	_exit(1);
}

struct net_passt {
	const char *option;
	int child[NET_PASST_FDS]; /* owned until it runs */
	int stream, ready, log;	  /* owned: our ends */
	int pid_fd;		  /* owned */
	pid_t pid;		  /* 0: none */
	char text[NET_PASST_TEXT];
	size_t text_len;
};

static void net_passt_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void net_passt_close_child(struct net_passt *passt)
{
	for (unsigned int i = 0; i < NET_PASST_FDS; i++)
		net_passt_close(&passt->child[i]);
}

/* Put the child's end where dup2() does not meet it. */
static int net_passt_lift(struct net_passt *passt, unsigned int index, int fd)
{
	int ret;

	passt->child[index] = fcntl(fd, F_DUPFD_CLOEXEC, NET_PASST_FD_MIN);
	ret = passt->child[index] < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* Ours does not block, the child's does. */
static int net_passt_pipe(struct net_passt *passt, unsigned int index,
			  int *ours)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*ours = ends[0];
	fcntl(*ours, F_SETFL, O_NONBLOCK);
	/* passt opens its pid file anew, as another user if we are root. */
	if (index == STDOUT_FILENO && fchmod(ends[1], 0622) < 0) {
		close(ends[1]);
		return -errno;
	}
	return net_passt_lift(passt, index, ends[1]);
}

/* passt enlarges what it makes itself, but not what it is given; the kernel
 * has the last word. A sender's buffer is what a Unix stream holds. */
static void net_passt_enlarge(int fd)
{
	int size = INT_MAX / 2;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static int net_passt_channels(struct net_passt *passt)
{
	int ends[2], null, ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	passt->stream = ends[0];
	net_passt_enlarge(ends[0]);
	net_passt_enlarge(ends[1]);
	fcntl(passt->stream, F_SETFL, O_RDWR | O_NONBLOCK);
	ret = net_passt_lift(passt, NET_PASST_STREAM, ends[1]);
	if (ret < 0)
		return ret;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	ret = net_passt_lift(passt, STDIN_FILENO, null);
	if (ret == 0)
		ret = net_passt_pipe(passt, STDOUT_FILENO, &passt->ready);
	if (ret == 0)
		ret = net_passt_pipe(passt, STDERR_FILENO, &passt->log);
	return ret;
}

static int net_passt_fork(struct net_passt *passt, char *const *argv)
{
	pid_t parent = getpid();

	passt->pid = fork();
	if (passt->pid < 0) {
		passt->pid = 0;
		return -errno;
	}
	if (passt->pid == 0)
		net_passt_child(parent, passt->child, argv);
	net_passt_close_child(passt);
	/* It has not been waited for, so the number is still its own. */
	passt->pid_fd = (int)syscall(SYS_pidfd_open, passt->pid, 0);
	return passt->pid_fd < 0 ? -errno : 0;
}

/* --- Until it is ready -----------------------------------------------------
 */

/* Read its log. Return: whether there may be more. */
static bool net_passt_hear(struct net_passt *passt)
{
	const size_t half = NET_PASST_TEXT / 2;
	ssize_t len;

	if (passt->text_len >= half) {
		memmove(passt->text, passt->text + passt->text_len - half / 2,
			half / 2);
		passt->text_len = half / 2;
	}
	len = read(passt->log, passt->text + passt->text_len, half - 1);
	if (len > 0)
		passt->text_len += (size_t)len;
	return len > 0 || (len < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Return: 1 if it is ready, 0 not yet, -EIO: it ended. */
static int net_passt_look(struct net_passt *passt)
{
	char pid[32];
	ssize_t len = read(passt->ready, pid, sizeof(pid));

	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -EIO;
	/* The number is written with one call. */
	return len > 0 ? 1 : -EIO;
}

/* Return: 0; -EIO: it ended; -ETIMEDOUT. */
static int net_passt_wait(struct net_passt *passt)
{
	const int64_t end = loop_now() + NET_PASST_WAIT_NS;
	struct pollfd polls[2] = {{.fd = passt->ready, .events = POLLIN},
				  {.fd = passt->log, .events = POLLIN}};

	for (;;) {
		int64_t ms = (end - loop_now()) / 1000000;
		int ret = ms > 0 ? poll(polls, 2, (int)ms) : 0;

		if (ret < 0 && errno != EINTR)
			return -errno;
		if (ret == 0)
			return -ETIMEDOUT;
		if (ret < 0)
			continue;
		if (polls[1].revents && !net_passt_hear(passt))
			polls[1].fd = -1;
		ret = polls[0].revents ? net_passt_look(passt) : 0;
		if (ret)
			return ret < 0 ? ret : 0;
	}
}

/* The last line of its log that says why. */
static const char *net_passt_reason(struct net_passt *passt)
{
	static const char *const noise[] = {"Failed to send ",
					    "Don't run as root"};
	const char *reason = "said nothing";
	char *save = NULL;

	passt->text[passt->text_len] = '\0';
	for (char *line = strtok_r(passt->text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, noise[0], strlen(noise[0])) != 0 &&
		    strncmp(line, noise[1], strlen(noise[1])) != 0)
			reason = line;
	}
	return reason;
}

static int net_passt_refuse_start(struct net_passt *passt, int errnum,
				  struct error *err)
{
	/* It has ended, or is going to: nobody else has this pipe. */
	kill(passt->pid, SIGKILL);
	waitpid(passt->pid, NULL, 0);
	passt->pid = 0;
	while (net_passt_hear(passt) && errno != EAGAIN)
		;
	if (errnum == ETIMEDOUT)
		return error_set(err, errnum,
				 "%s: passt was not ready in 10 s, and was "
				 "ended; it said: %s",
				 passt->option, net_passt_reason(passt));
	return error_set(err, errnum,
			 "%s: passt cannot start: %s; expected free ports for "
			 "fwd, and where ip route has a default, its interface "
			 "up and with an address",
			 passt->option, net_passt_reason(passt));
}

static int net_passt_run(struct net_passt *passt, char *const *argv,
			 struct error *err)
{
	int ret = net_passt_channels(passt);

	if (ret == 0)
		ret = net_passt_fork(passt, argv);
	if (ret < 0) {
		error_set(err, -ret, "%s: cannot start passt: %s",
			  passt->option, strerror(-ret));
		if (passt->pid) {
			kill(passt->pid, SIGKILL);
			waitpid(passt->pid, NULL, 0);
		}
		return ret;
	}
	ret = net_passt_wait(passt);
	return ret < 0 ? net_passt_refuse_start(passt, -ret, err) : 0;
}

int net_passt_start(const struct net_passt_options *options,
		    int fds[NET_USER_FDS], struct error *err)
{
	struct net_passt passt = {
		.option = options->option,
		.child = {-1, -1, -1, -1},
		.stream = -1,
		.ready = -1,
		.log = -1,
		.pid_fd = -1,
	};
	struct net_passt_args args = {0};
	int ret;

	for (unsigned int i = 0; i < NET_USER_FDS; i++)
		fds[i] = -1;
	ret = net_passt_check(options, &args, err);
	if (ret < 0 || options->dry_run)
		return ret;
	net_passt_fill(&args, options);
	ret = net_passt_run(&passt, args.argv, err);
	net_passt_close_child(&passt);
	net_passt_close(&passt.ready);
	if (ret < 0) {
		net_passt_close(&passt.stream);
		net_passt_close(&passt.log);
		net_passt_close(&passt.pid_fd);
		return ret;
	}
	fds[NET_USER_STREAM] = passt.stream;
	fds[NET_USER_PID] = passt.pid_fd;
	fds[NET_USER_LOG] = passt.log;
	return 0;
}
