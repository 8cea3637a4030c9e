/*
 * Reads what the guest prints, line by line, and knows a Linux kernel's last
 * words.
 */
#ifndef VMM_WATCH_H
#define VMM_WATCH_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of a line that are looked at; a longer line is cut. */
#define WATCH_LINE_MAX 4096

enum watch_event {
	WATCH_PANIC,	 /* the line has "Kernel panic - not syncing" */
	WATCH_PANIC_END, /* the line has "---[ end Kernel panic": Linux has
			    printed all that it will */
	WATCH_EVENTS,
};

/*
 * line: the complete line without its end, at most WATCH_LINE_MAX bytes, NUL
 * bytes made spaces; otherwise as the guest printed it, control characters and
 * all. Valid during the call. Called on the thread that gave the output, and
 * must neither block nor use the watch. The last line of a panic repeats the
 * text of its first and so is both events, WATCH_PANIC first.
 */
typedef void watch_event_fn(void *ctx, enum watch_event event,
			    const char *line);

struct watch;

/**
 * watch_new() - Watch one device, so that the lines of two do not mix.
 * @out: for watch_free()
 *
 * Return: 0 or -ENOMEM.
 */
int watch_new(struct watch **out, watch_event_fn *event, void *ctx);

void watch_free(struct watch *watch);

/**
 * watch_write() - Look at output, in pieces of any size.
 *
 * A line ends with \n or \r\n. Any thread; never blocks but for a short lock,
 * allocates nothing.
 */
void watch_write(struct watch *watch, const void *data, size_t len);

/**
 * watch_end() - Take the line so far as complete: the guest has stopped or
 * starts anew.
 *
 * Any thread; the events come during the call.
 */
void watch_end(struct watch *watch);

#endif
