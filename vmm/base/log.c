/*
 * bantam's own messages. A message may quote what a guest or a file made up,
 * so control characters are escaped: no terminal takes them as commands, and
 * no line looks like two.
 */
#include "vmm/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <poll.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/error.h"

#define LOG_PREFIX "bantam: "
/* An error's text and something around it. */
#define LOG_TEXT_MAX (ERROR_TEXT_MAX + 256)
/* With all around it below PIPE_BUF: a pipe takes a line whole or not. */
#define LOG_LINE_MAX 2048
/* " (and 4294967295 more like it before)" */
#define LOG_COUNT_MAX 48

#define LOG_LIMIT_LINES	 5
#define LOG_LIMIT_WINDOW INT64_C(10000000000) /* ns */

#define LOG_WRITABLE_WAIT 100 /* ms */

/* The globals of this file: a message is printed from anywhere. */
static _Atomic int log_level = LOG_WARN;
static struct {
	log_sink_fn *fn;
	void *ctx;
} log_sink;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

void log_set_sink(log_sink_fn *fn, void *ctx)
{
	log_sink.fn = fn;
	log_sink.ctx = ctx;
}

static bool log_wanted(enum log_level level)
{
	return (int)level <=
	       atomic_load_explicit(&log_level, memory_order_relaxed);
}

/*
 * C0 and DEL, and C1 as UTF-8 spells it: 0xc2 and 0x80 to 0x9f. Other bytes
 * above 0x7f pass, since file names have them.
 */
static bool log_is_control(unsigned char before, unsigned char c)
{
	return c < 0x20 || c == 0x7f ||
	       (before == 0xc2 && c >= 0x80 && c <= 0x9f);
}

/* Escape text into at most room bytes. Return: how many. */
static size_t log_escape(char *out, size_t room, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char before = 0;
	size_t len = 0;

	for (; *text && len + 4 <= room; text++) {
		unsigned char c = (unsigned char)*text;

		if (log_is_control(before, c)) {
			out[len++] = '\\';
			out[len++] = 'x';
			out[len++] = digits[c >> 4];
			out[len++] = digits[c & 15];
		} else {
			out[len++] = *text;
		}
		before = c;
	}
	return len;
}

/* In a terminal in raw mode a newline alone does not go back to column 0. */
static bool log_is_raw(void)
{
	struct termios mode;

	return tcgetattr(STDERR_FILENO, &mode) == 0 && !(mode.c_oflag & OPOST);
}

/*
 * Write at most LOG_LINE_MAX bytes and something around them. Where stderr is
 * a pipe or terminal that nobody reads, they are lost: no thread of a machine
 * may wait for that reader. Return: as writev(2), 0 if they are lost.
 */
static ssize_t log_write(const struct iovec *parts, int count)
{
	struct pollfd poll_stderr = {.fd = STDERR_FILENO, .events = POLLOUT};
	ssize_t n;

	do
		n = poll(&poll_stderr, 1, LOG_WRITABLE_WAIT);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	do
		n = writev(STDERR_FILENO, parts, count);
	while (n < 0 && errno == EINTR);
	return n;
}

static void log_line(enum log_level level, const char *text)
{
	char prefix[] = LOG_PREFIX;
	char newline[] = "\r\n";
	char *end = log_is_raw() ? newline : newline + 1;
	char line[LOG_LINE_MAX];
	struct iovec parts[] = {
		{prefix, strlen(prefix)},
		{line, log_escape(line, sizeof(line), text)},
		{end, strlen(end)},
	};

	if (log_sink.fn)
		log_sink.fn(log_sink.ctx, level, text);
	else
		log_write(parts, 3);
}

void log_report(const char *text)
{
	int saved_errno = errno;
	char piece[LOG_LINE_MAX];
	struct iovec part = {.iov_base = piece};
	ssize_t n = 1;

	for (; *text && n > 0; text += n) {
		part.iov_len = strnlen(text, sizeof(piece));
		memcpy(piece, text, part.iov_len);
		n = log_write(&part, 1);
	}
	errno = saved_errno;
}

void log_message(enum log_level level, const char *fmt, ...)
{
	int saved_errno = errno;
	char text[LOG_TEXT_MAX];
	va_list ap;

	if (!log_wanted(level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_line(level, text);
	errno = saved_errno;
}

/*
 * Whether one more line may pass. Two threads at the turn of a window may let
 * a few lines more through, which does no harm.
 */
static bool log_limit_pass(struct log_limit *limit)
{
	int64_t start = atomic_load(&limit->window_start);
	struct timespec ts;
	int64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	if (now - start >= LOG_LIMIT_WINDOW &&
	    atomic_compare_exchange_strong(&limit->window_start, &start, now))
		atomic_store(&limit->printed, 0);
	if (atomic_load(&limit->printed) < LOG_LIMIT_LINES &&
	    atomic_fetch_add(&limit->printed, 1) < LOG_LIMIT_LINES)
		return true;
	atomic_fetch_add(&limit->dropped, 1);
	return false;
}

void log_limited(struct log_limit *limit, enum log_level level, const char *fmt,
		 ...)
{
	int saved_errno = errno;
	char text[LOG_TEXT_MAX];
	unsigned int dropped;
	va_list ap;

	if (!log_wanted(level) || !log_limit_pass(limit))
		return;
	va_start(ap, fmt);
	/* Room for the count is left free. */
	vsnprintf(text, sizeof(text) - LOG_COUNT_MAX, fmt, ap);
	va_end(ap);
	dropped = atomic_exchange(&limit->dropped, 0);
	if (dropped) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len,
			 " (and %u more like it before)", dropped);
	}
	log_line(level, text);
	errno = saved_errno;
}
