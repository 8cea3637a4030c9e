/*
 * A control client that does what it should not: hostile SOCKET DEED. When it
 * has done its worst it prints a line, and keeps its connections until its
 * stdin ends. DEED is one of
 *
 *   flood   requests, as fast as they are taken, and no reply read
 *   half    half a message
 *   bad     lines that are no requests: each must get an error
 *   long    a line without an end: the connection must be closed
 *   mute    subscribes and attaches to the console, and reads nothing
 *   deaf    the same, while another connection makes events: must be dropped
 *   crowd   more connections than there may be
 *
 * Exit status 0 if the machine did as it should, 1 if not.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HOSTILE_WAIT   10000 /* ms, for what has to come */
#define HOSTILE_CROWD  40
#define HOSTILE_EVENTS 100000

static const char *hostile_path;

static void __attribute__((noreturn)) hostile_fail(const char *what)
{
	printf("not as expected: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Return: a connection, or -1. */
static int hostile_try_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s",
		 hostile_path);
	if (fd >= 0 &&
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int hostile_connect(void)
{
	int fd = hostile_try_connect();

	if (fd < 0)
		hostile_fail("connect");
	return fd;
}

/* Return: whether all of it was taken. */
static bool hostile_send(int fd, const char *data, size_t len)
{
	return send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void hostile_say(int fd, const char *line)
{
	if (!hostile_send(fd, line, strlen(line)))
		hostile_fail("send");
}

/* A line, or "" at the end of the connection. */
static void hostile_read(int fd, char *line, size_t size)
{
	struct pollfd ready = {fd, POLLIN, 0};
	size_t len = 0;

	while (len + 1 < size) {
		ssize_t n;

		if (poll(&ready, 1, HOSTILE_WAIT) != 1)
			hostile_fail("no reply");
		n = recv(fd, line + len, 1, 0);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			break;
		if (n < 0)
			hostile_fail("recv");
		if (line[len] == '\n')
			break;
		len++;
	}
	line[len] = '\0';
}

#define REQUEST(method) \
	"{\"jsonrpc\":\"2.0\",\"method\":\"" method "\",\"id\":1}\n"

/* Until nothing has been taken for a while. */
static void hostile_flood(void)
{
	struct pollfd ready = {hostile_connect(), POLLOUT, 0};

	while (poll(&ready, 1, 200) == 1) {
		if (ready.revents & (POLLERR | POLLHUP))
			hostile_fail("the connection was closed");
		hostile_send(ready.fd, REQUEST("status"),
			     strlen(REQUEST("status")));
	}
}

static void hostile_half(void)
{
	hostile_say(hostile_connect(), "{\"jsonrpc\":\"2.0\",\"met");
}

static void hostile_bad(void)
{
	static const struct {
		const char *text;
		size_t len;
	} lines[] = {
#define LINE(text) {text "\n", sizeof(text "\n") - 1}
		LINE(""),
		LINE("\0\0\0"),
		LINE("\xff\xfe\xfd"),
		LINE("[[[[[[[[[[[[[[[["),
		LINE("[]"),
		LINE("1e99999"),
		LINE("123456789012345678901234567890"),
		LINE("{\"jsonrpc\":\"2.0\",\"method\":\"stop\",\"id\":{}}"),
		LINE("{\"jsonrpc\":\"2.0\",\"method\":[\"stop\"],\"id\":1}"),
		LINE("{\"jsonrpc\":2,\"method\":\"stop\",\"id\":1}"),
		LINE("{\"jsonrpc\":\"2.0\",\"method\":\"stop\",\"params\":"
		     "{\"now\":true},\"id\":1}"),
		LINE("{\"jsonrpc\":\"2.0\",\"method\":\"console.resize\","
		     "\"params\":{\"cols\":1e3,\"rows\":-1},\"id\":1}"),
		LINE("{\"jsonrpc\":\"2.0\",\"method\":\"console.input\","
		     "\"params\":{\"data\":\"\xc3\x28\"},\"id\":1}"),
		LINE("{\"jsonrpc\":\"2.0\",\"method\":\"console.input\","
		     "\"params\":{\"data\":7},\"id\":1}"),
		LINE("{\"jsonrpc\":\"2.0\",\"method\":\"subscribe\","
		     "\"params\":{\"events\":[[]]},\"id\":1}"),
#undef LINE
	};
	int fd = hostile_connect();
	char reply[4096];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (!hostile_send(fd, lines[i].text, lines[i].len))
			hostile_fail("send");
		hostile_read(fd, reply, sizeof(reply));
		if (!strstr(reply, "\"error\":{\"code\":-32"))
			hostile_fail(lines[i].text);
	}
}

static void hostile_long(void)
{
	static char block[4096];
	int fd = hostile_connect();
	struct pollfd ready = {fd, POLLOUT, 0};
	char reply[4096];

	memset(block, '[', sizeof(block));
	/* Far more than any buffer holds. */
	for (unsigned int i = 0; i < 4096; i++) {
		if (poll(&ready, 1, HOSTILE_WAIT) != 1)
			hostile_fail("it is not read to its end");
		if (send(fd, block, sizeof(block), MSG_NOSIGNAL) < 0 &&
		    errno != EAGAIN)
			break;
	}
	hostile_read(fd, reply, sizeof(reply));
	if (!strstr(reply, "-32600"))
		hostile_fail("no error for a long line");
	hostile_read(fd, reply, sizeof(reply));
	if (*reply)
		hostile_fail("the connection was not closed");
}

static int hostile_subscribe(void)
{
	int fd = hostile_connect();
	char reply[4096];

	hostile_say(fd, REQUEST("subscribe"));
	hostile_read(fd, reply, sizeof(reply));
	hostile_say(fd, REQUEST("console.attach"));
	hostile_read(fd, reply, sizeof(reply));
	if (!strstr(reply, "\"result\""))
		hostile_fail("console.attach");
	return fd;
}

static void hostile_deaf(void)
{
	int fd = hostile_subscribe(), other = hostile_connect();
	struct pollfd gone = {fd, 0, 0};
	char reply[4096];

	for (unsigned int i = 0; i < HOSTILE_EVENTS; i++) {
		hostile_say(other,
			    i % 2 ? REQUEST("resume") : REQUEST("pause"));
		hostile_read(other, reply, sizeof(reply));
		if (!strstr(reply, "\"result\""))
			hostile_fail("pause and resume");
		if (poll(&gone, 1, 0) == 1 && gone.revents & POLLHUP)
			return;
	}
	hostile_fail("a client that reads nothing was not dropped");
}

/* Those that are accepted stay; the others have to be told. */
static void hostile_crowd(void)
{
	unsigned int refused = 0;
	char reply[4096];

	for (unsigned int i = 0; i < HOSTILE_CROWD; i++) {
		int fd = hostile_connect();

		hostile_send(fd, REQUEST("status"), strlen(REQUEST("status")));
		hostile_read(fd, reply, sizeof(reply));
		refused += strstr(reply, "too many connections") != NULL;
	}
	if (refused == 0 || refused == HOSTILE_CROWD)
		hostile_fail("a number of connections was to be refused");
}

static void hostile_mute(void)
{
	hostile_subscribe();
}

static const struct {
	const char *name;
	void (*run)(void);
} hostile_deeds[] = {
	{"flood", hostile_flood}, {"half", hostile_half},
	{"bad", hostile_bad},	  {"long", hostile_long},
	{"mute", hostile_mute},	  {"deaf", hostile_deaf},
	{"crowd", hostile_crowd},
};

int main(int argc, char **argv)
{
	const size_t count = sizeof(hostile_deeds) / sizeof(hostile_deeds[0]);

	for (size_t i = 0; argc == 3 && i < count; i++) {
		char byte;

		if (strcmp(argv[2], hostile_deeds[i].name) != 0)
			continue;
		hostile_path = argv[1];
		hostile_deeds[i].run();
		puts("done");
		fflush(stdout);
		while (read(STDIN_FILENO, &byte, 1) > 0)
			;
		return 0;
	}
	fprintf(stderr, "usage: hostile SOCKET DEED\n");
	return 2;
}
