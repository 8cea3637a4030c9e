#include "tests/unit/support/jail_child.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#define JAIL_CHILD_WAIT 10000 /* ms */

void jail_child_run(int argc, char **argv, const struct jail_child_role *roles)
{
	if (argc != 4 || strcmp(argv[3], "--child") != 0)
		return;
	for (; roles->type; roles++)
		if (!strcmp(argv[2], roles->type))
			_exit(roles->run(SPAWNER_CHANNEL_FD));
	_exit(126);
}

void jail_child_start(struct jail_child *child, struct spawner *spawner,
		      const char *type, enum jail_mode mode)
{
	struct spawner_request request = {.type = type, .mode = mode};
	struct error err = {""};
	int ends[2];
	int ret;

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	request.channel_fd = ends[1];
	ret = spawner_start(spawner, &request, &child->process, &err);
	ck_assert_msg(ret == 0, "%s", err.text);
	close(ends[1]);
	child->channel = ends[0];
}

bool jail_child_hear(const struct jail_child *child, char *text, size_t size)
{
	struct pollfd channel = {.fd = child->channel, .events = POLLIN};
	ssize_t len;

	ck_assert_int_eq(poll(&channel, 1, JAIL_CHILD_WAIT), 1);
	len = recv(child->channel, text, size - 1, 0);
	if (len <= 0)
		return false;
	text[len] = '\0';
	return true;
}

int jail_child_end(struct jail_child *child)
{
	struct pollfd end = {.fd = child->process.pidfd, .events = POLLIN};
	int status = 0;

	ck_assert_int_eq(poll(&end, 1, JAIL_CHILD_WAIT), 1);
	ck_assert_int_eq(waitpid(child->process.pid, &status, 0),
			 child->process.pid);
	close(child->process.pidfd);
	close(child->channel);
	return status;
}

void jail_child_say(int channel, const char *format, ...)
{
	char text[4096];
	va_list ap;
	int len;

	va_start(ap, format);
	len = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (len < 0 || send(channel, text, (size_t)len, MSG_NOSIGNAL) < 0)
		_exit(125);
}

bool jail_child_possible(const char *test)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ? errno : 0);
	waitpid(pid, &status, 0);
	if (status == 0)
		return true;
	printf("skip: %s: no user namespace here (%s)\n", test,
	       strerror(WEXITSTATUS(status)));
	return false;
}
