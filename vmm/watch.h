/*
 * Reads what the guest prints, line by line: knows a Linux kernel's last words,
 * and the patterns that the user looks for.
 */
#ifndef VMM_WATCH_H
#define VMM_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

/* Bytes of a line that are looked at; a longer line is cut. */
#define WATCH_LINE_MAX 4096

/* A line without its end, such as "login: ", is tried as it stands when nothing
 * has been added to it for so long. */
#define WATCH_QUIET_NS INT64_C(100000000)

/* In the order in which one line is asked. */
enum watch_event {
	WATCH_PANIC,	 /* the line has "Kernel panic - not syncing" */
	WATCH_PANIC_END, /* the line has "---[ end Kernel panic": Linux has
			    printed all that it will */
	WATCH_FAIL_ON,	 /* the line matches one of the fail_on patterns */
	WATCH_EXPECT,	 /* the line matches one of the expect patterns */
	WATCH_EVENTS,
};

/* --- Patterns --------------------------------------------------------------
 */

struct watch_patterns;

/**
 * watch_patterns_new() - Compile POSIX extended regular expressions.
 * @out: for watch_patterns_free()
 * @option: that they come from, for messages
 * @items: @count texts, borrowed only for the call
 * @err: names the option, the pattern and what is wrong with it
 *
 * Return: 0, -EINVAL or -ENOMEM.
 */
int watch_patterns_new(struct watch_patterns **out, const char *option,
		       char *const *items, size_t count, struct error *err);

/* NULL is nothing to do. */
void watch_patterns_free(struct watch_patterns *patterns);

/* --- A device's output -----------------------------------------------------
 */

/*
 * What was found where. line: without its end, at most WATCH_LINE_MAX bytes,
 * NUL bytes made spaces; otherwise as the guest printed it, control characters
 * and all. Valid during the call.
 */
struct watch_match {
	enum watch_event event;
	size_t pattern;	 /* WATCH_FAIL_ON, WATCH_EXPECT: which one */
	uint64_t number; /* of the line, from 1, as this device printed them */
	const char *line;
};

struct watch_config {
	/* On the thread that gave the output; must neither block nor use the
	 * watch. */
	void (*event)(void *ctx, const struct watch_match *match);
	/* A line has begun and may be a prompt: call watch_quiet() in
	 * WATCH_QUIET_NS. Likewise. */
	void (*open)(void *ctx);
	void *ctx; /* borrowed, for both */
	/* Borrowed, may be shared between watches; NULL for none. */
	struct watch_patterns *fail_on, *expect;
};

struct watch;

/**
 * watch_new() - Watch one device, so that the lines of two do not mix.
 * @out: for watch_free()
 *
 * The last line of a panic repeats the text of its first and so is both events,
 * WATCH_PANIC first. WATCH_FAIL_ON and WATCH_EXPECT come once, and only while
 * there was no panic; after one of them there is no WATCH_PANIC.
 * Return: 0 or -ENOMEM.
 */
int watch_new(struct watch **out, const struct watch_config *config);

void watch_free(struct watch *watch);

/**
 * watch_write() - Look at output, in pieces of any size.
 *
 * A line ends with \n or \r\n. Any thread; never blocks but for a short lock,
 * allocates nothing by itself (regexec(3) may).
 */
void watch_write(struct watch *watch, const void *data, size_t len);

/**
 * watch_end() - Take the line so far as complete: the guest has stopped or
 * starts anew.
 *
 * Any thread; the events come during the call.
 */
void watch_end(struct watch *watch);

/**
 * watch_quiet() - Try the line so far, if nothing was added to it lately.
 * @now: loop_now()
 *
 * Any thread; an event comes during the call. Return: ns until it is to be
 * called again, or -1 if not before the next watch_config.open.
 */
int64_t watch_quiet(struct watch *watch, int64_t now);

/* loop_now() of the last output; 0 before any. Any thread, without a lock. */
int64_t watch_last(struct watch *watch);

#endif
