/*
 * A client of a console's socket: talk PATH copies stdin there and what comes
 * to stdout, until the other side closes. The end of stdin is passed on.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/un.h>

static int talk_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	return fd;
}

/* Return: false at the end. */
static bool talk_copy(int from, int to)
{
	char data[4096];
	ssize_t len = read(from, data, sizeof(data));

	for (ssize_t done = 0, n; done < len; done += n) {
		n = write(to, data + done, (size_t)(len - done));
		if (n <= 0)
			return false;
	}
	return len > 0;
}

int main(int argc, char **argv)
{
	struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};

	if (argc != 2) {
		fprintf(stderr, "usage: talk PATH\n");
		return 2;
	}
	fds[1].fd = talk_connect(argv[1]);
	if (fds[1].fd < 0) {
		fprintf(stderr, "talk: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	fds[0].fd = STDIN_FILENO;
	while (poll(fds, 2, -1) > 0) {
		if (fds[1].revents && !talk_copy(fds[1].fd, STDOUT_FILENO))
			return 0;
		if (fds[0].revents && !talk_copy(STDIN_FILENO, fds[1].fd)) {
			shutdown(fds[1].fd, SHUT_WR);
			fds[0].fd = -1;
		}
	}
	return 1;
}
