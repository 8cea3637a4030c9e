/*
 * bantam's own messages, to stderr: "bantam: text". Guest output never goes
 * through here.
 */
#ifndef VMM_BASE_LOG_H
#define VMM_BASE_LOG_H

#include <stdint.h>

enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG,
};

/**
 * log_set_level() - Drop messages less urgent than @level (default LOG_WARN).
 *
 * Any thread.
 */
void log_set_level(enum log_level level);

/* Takes a line, without prefix and newline, that is wanted; as it was said.
 * Keeps errno. */
typedef void log_sink_fn(void *ctx, enum log_level level, const char *text);

/**
 * log_set_sink() - Give lines to @fn instead of stderr, as a device process
 * does, which has none. NULL: to stderr again.
 *
 * While there is one thread.
 */
void log_set_sink(log_sink_fn *fn, void *ctx);

/**
 * log_message() - Print one line, whole, if @level is wanted.
 * @level: how urgent it is
 * @fmt: the text without prefix and newline; control characters from a guest
 *       are not printed raw
 *
 * Any thread; one writev(2). A stderr that nobody reads holds the caller up for
 * 100 ms at most, then the line is lost; still, nothing that a guest can cause
 * at will may come here, see log_limited(). Keeps errno. In a raw terminal the
 * line ends with \r\n.
 */
void log_message(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_message(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_message(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_message(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_DEBUG, __VA_ARGS__)

/**
 * log_report() - Print @text as it is: a report of several lines.
 * @text: bantam's own words, with the newlines
 *
 * Any thread. A stderr that nobody reads holds the caller up as log_message()
 * does, and the rest of the report is lost.
 */
void log_report(const char *text);

/* Rate limit of one place that a guest can make log; zero-initialised. */
struct log_limit {
	_Atomic int64_t window_start; /* CLOCK_MONOTONIC, ns */
	_Atomic unsigned int printed; /* in this window */
	_Atomic unsigned int dropped; /* since the last printed line */
};

/**
 * log_limited() - log_message(), at most 5 lines in 10 s for each @limit.
 *
 * The next line that passes says how many were dropped. Any thread.
 */
void log_limited(struct log_limit *limit, enum log_level level, const char *fmt,
		 ...) __attribute__((format(printf, 3, 4)));

#endif
