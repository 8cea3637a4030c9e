/*
 * Panic detection on the guest's console. The text is the guest's and may be
 * anything: lines without end, NUL bytes, a byte at a time. Linux prints
 * "Kernel panic - not syncing: REASON" (kernel/panic.c), by default with a
 * time stamp before it, then a backtrace, then the "---[ end" line.
 */
#include "vmm/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const char *const watch_texts[WATCH_EVENTS] = {
	[WATCH_PANIC] = "Kernel panic - not syncing",
	[WATCH_PANIC_END] = "---[ end Kernel panic",
};

struct watch {
	watch_event_fn *event;
	void *ctx; /* borrowed */

	/* Two vCPUs may print at once. */
	pthread_mutex_t lock;
	/* Under lock. */
	size_t len;		       /* of the line so far, cut */
	char line[WATCH_LINE_MAX + 1]; /* room for a NUL */
};

int watch_new(struct watch **out, watch_event_fn *event, void *ctx)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	pthread_mutex_init(&watch->lock, NULL);
	watch->event = event;
	watch->ctx = ctx;
	*out = watch;
	return 0;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

/* Report what the line has and start the next one. */
static void watch_line_locked(struct watch *watch)
{
	char *line = watch->line;
	size_t len = watch->len;

	watch->len = 0;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	for (size_t i = 0; i < len; i++) {
		if (line[i] == '\0')
			line[i] = ' ';
	}
	line[len] = '\0';
	for (unsigned int i = 0; i < WATCH_EVENTS; i++) {
		if (strstr(line, watch_texts[i]))
			watch->event(watch->ctx, (enum watch_event)i, line);
	}
}

static void watch_append_locked(struct watch *watch, const char *data,
				size_t len)
{
	size_t room = WATCH_LINE_MAX - watch->len;

	if (len > room)
		len = room;
	memcpy(watch->line + watch->len, data, len);
	watch->len += len;
}

void watch_write(struct watch *watch, const void *data, size_t len)
{
	const char *from = data;

	pthread_mutex_lock(&watch->lock);
	while (len) {
		const char *newline = memchr(from, '\n', len);
		size_t run = newline ? (size_t)(newline - from) : len;

		watch_append_locked(watch, from, run);
		if (newline) {
			watch_line_locked(watch);
			run++;
		}
		from += run;
		len -= run;
	}
	pthread_mutex_unlock(&watch->lock);
}

void watch_end(struct watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	watch_line_locked(watch);
	pthread_mutex_unlock(&watch->lock);
}
