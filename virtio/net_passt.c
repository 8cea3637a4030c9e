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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "virtio/net_passt_args.h"
#include "vmm/base/loop.h"
#include "vmm/base/starter.h"

#define NET_PASST_WAIT_NS (INT64_C(10) * 1000000000)
#define NET_PASST_END_NS  (INT64_C(2) * 1000000000)
#define NET_PASST_TEXT	  4096 /* of its stderr, the last of it */
/* Its descriptors: /dev/null, pid file, log, and the stream. */
#define NET_PASST_STREAM 3
#define NET_PASST_FDS	 4

struct net_passt {
	const char *option;
	int child[NET_PASST_FDS]; /* owned until it runs */
	int stream, ready, log;	  /* owned: our ends */
	int pid_fd;		  /* owned */
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

/* Ours does not block, the child's does. */
static int net_passt_pipe(struct net_passt *passt, unsigned int index,
			  int *ours)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*ours = ends[0];
	passt->child[index] = ends[1];
	fcntl(*ours, F_SETFL, O_NONBLOCK);
	/* passt opens its pid file anew, as another user if we are root. */
	if (index == STDOUT_FILENO && fchmod(ends[1], 0622) < 0)
		return -errno;
	return 0;
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
	int ends[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	passt->stream = ends[0];
	passt->child[NET_PASST_STREAM] = ends[1];
	net_passt_enlarge(ends[0]);
	net_passt_enlarge(ends[1]);
	fcntl(passt->stream, F_SETFL, O_RDWR | O_NONBLOCK);
	passt->child[STDIN_FILENO] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (passt->child[STDIN_FILENO] < 0)
		return -errno;
	ret = net_passt_pipe(passt, STDOUT_FILENO, &passt->ready);
	if (ret == 0)
		ret = net_passt_pipe(passt, STDERR_FILENO, &passt->log);
	return ret;
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
	/* It has ended, or is going to: nobody else has these. */
	net_passt_close(&passt->stream);
	net_passt_end(passt->pid_fd);
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

static int net_passt_run(struct net_passt *passt, struct starter *starter,
			 struct error *err)
{
	int ret = net_passt_channels(passt);

	if (ret == 0)
		ret = starter_start(starter, passt->child, &passt->pid_fd);
	net_passt_close_child(passt);
	if (ret < 0)
		return error_set(err, -ret, "%s: cannot start passt: %s",
				 passt->option, strerror(-ret));
	ret = net_passt_wait(passt);
	return ret < 0 ? net_passt_refuse_start(passt, -ret, err) : 0;
}

/* --- For others ------------------------------------------------------------
 */

void net_passt_end(int pid_fd)
{
	siginfo_t info;

	/* Another user's cannot be killed without a right that is gone. */
	syscall(SYS_pidfd_send_signal, pid_fd, SIGKILL, NULL, 0);
	loop_wait_fd(pid_fd, POLLIN, loop_now() + NET_PASST_END_NS);
	waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED | WNOHANG);
}

int net_passt_new(const struct net_passt_options *options,
		  struct starter **starter, struct error *err)
{
	struct net_passt_args args = {0};
	int ret = net_passt_check(options, &args, err);

	if (ret < 0 || options->dry_run)
		return ret;
	net_passt_fill(&args, options);
	ret = starter_new(starter, args.argv, NET_PASST_FDS);
	return ret < 0 ? error_set(err, -ret, "%s: cannot start passt: %s",
				   options->option, strerror(-ret))
		       : 0;
}

int net_passt_start(const char *option, struct starter *starter,
		    int fds[NET_USER_FDS], struct error *err)
{
	struct net_passt passt = {
		.option = option,
		.child = {-1, -1, -1, -1},
		.stream = -1,
		.ready = -1,
		.log = -1,
		.pid_fd = -1,
	};
	int ret = net_passt_run(&passt, starter, err);

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
