/*
 * Panic detection and patterns on the guest's console. The text is the guest's
 * and may be anything: lines without end, NUL bytes, a byte at a time. Linux
 * prints "Kernel panic - not syncing: REASON" (kernel/panic.c), by default with
 * a time stamp before it, then a backtrace, then the "---[ end" line.
 *
 * Theory of operation. A line is looked at once, when it is complete, so that a
 * guest that prints byte by byte costs no more than one that does not. A prompt
 * is never complete. For its sake the first output after a newline calls open,
 * and watch_quiet() tries the line when it has been left alone for a while, or
 * says when to ask again: at most one call in WATCH_QUIET_NS, and none while
 * the guest prints nothing.
 *
 * What a guest can make this cost: regexec(3) on a line of WATCH_LINE_MAX bytes
 * that almost matches, some 35 ms for "a.*b" against nothing but a. It pays
 * with the time of the vCPU that prints, and of main ten times a second.
 */
#include "vmm/watch.h"

#include <errno.h>
#include <pthread.h>
#include <regex.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/loop.h"

struct watch_patterns {
	size_t count;
	regex_t items[];
};

struct watch {
	struct watch_config config;
	int64_t last; /* loop_now(), atomic */

	/* Two vCPUs may print at once. */
	pthread_mutex_t lock;
	/* Under lock. */
	uint64_t number; /* of the line so far */
	bool panicked;	 /* WATCH_PANIC was reported */
	bool matched;	 /* WATCH_FAIL_ON or WATCH_EXPECT was */
	bool opened;	 /* open was called, watch_quiet() has to come */
	size_t tried;	 /* the line's length when watch_quiet() tried it */
	size_t len;	 /* of the line so far, cut */
	char line[WATCH_LINE_MAX + 1]; /* room for a NUL */
};

/* --- Patterns ---------------------------------------------------------------
 */

int watch_patterns_new(struct watch_patterns **out, const char *option,
		       char *const *items, size_t count, struct error *err)
{
	struct watch_patterns *patterns;
	char what[128];
	int rc;

	patterns = calloc(1, sizeof(*patterns) +
				     count * sizeof(patterns->items[0]));
	if (!patterns)
		return error_set(err, ENOMEM, "%s: out of memory", option);
	for (size_t i = 0; i < count; i++) {
		regex_t *item = &patterns->items[i];

		rc = regcomp(item, items[i], REG_EXTENDED | REG_NOSUB);
		if (rc) {
			regerror(rc, item, what, sizeof(what));
			watch_patterns_free(patterns);
			return error_set(err,
					 rc == REG_ESPACE ? ENOMEM : EINVAL,
					 "%s %s: expected an extended regular "
					 "expression, found: %s",
					 option, items[i], what);
		}
		patterns->count++;
	}
	*out = patterns;
	return 0;
}

void watch_patterns_free(struct watch_patterns *patterns)
{
	if (!patterns)
		return;
	for (size_t i = 0; i < patterns->count; i++)
		regfree(&patterns->items[i]);
	free(patterns);
}

/* The first pattern that matches, or none: count. */
static size_t watch_patterns_find(const struct watch_patterns *patterns,
				  const char *line)
{
	size_t i = 0;

	while (i < patterns->count &&
	       regexec(&patterns->items[i], line, 0, NULL, 0))
		i++;
	return i;
}

/* --- Lines ------------------------------------------------------------------
 */

int watch_new(struct watch **out, const struct watch_config *config)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	pthread_mutex_init(&watch->lock, NULL);
	watch->config = *config;
	watch->number = 1;
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

static void watch_report_locked(struct watch *watch, enum watch_event event,
				size_t pattern)
{
	const struct watch_match match = {
		.event = event,
		.pattern = pattern,
		.number = watch->number,
		.line = watch->line,
	};

	watch->config.event(watch->config.ctx, &match);
}

static bool watch_try_locked(struct watch *watch,
			     const struct watch_patterns *patterns,
			     enum watch_event event)
{
	size_t found;

	if (!patterns)
		return false;
	found = watch_patterns_find(patterns, watch->line);
	if (found == patterns->count)
		return false;
	watch->matched = true;
	watch_report_locked(watch, event, found);
	return true;
}

/* What fails goes before what was hoped for. */
static void watch_try_patterns_locked(struct watch *watch)
{
	if (watch->panicked || watch->matched)
		return;
	if (!watch_try_locked(watch, watch->config.fail_on, WATCH_FAIL_ON))
		watch_try_locked(watch, watch->config.expect, WATCH_EXPECT);
}

/* Report what the line has and start the next one. */
static void watch_line_locked(struct watch *watch)
{
	size_t len = watch->len;

	if (len > 0 && watch->line[len - 1] == '\r')
		len--;
	watch->line[len] = '\0';
	if (!watch->matched &&
	    strstr(watch->line, "Kernel panic - not syncing")) {
		watch->panicked = true;
		watch_report_locked(watch, WATCH_PANIC, 0);
	}
	if (strstr(watch->line, "---[ end Kernel panic"))
		watch_report_locked(watch, WATCH_PANIC_END, 0);
	watch_try_patterns_locked(watch);
	watch->number++;
	watch->len = 0;
	watch->tried = 0;
}

static void watch_append_locked(struct watch *watch, const char *data,
				size_t len)
{
	size_t room = WATCH_LINE_MAX - watch->len;
	char *to = watch->line + watch->len;
	char *nul;

	if (len > room)
		len = room;
	memcpy(to, data, len);
	watch->len += len;
	while ((nul = memchr(to, '\0', len))) {
		*nul = ' ';
		len -= (size_t)(nul - to);
		to = nul;
	}
}

/* Is there a line that watch_quiet() has something to do with? */
static bool watch_is_open_locked(const struct watch *watch)
{
	return (watch->config.fail_on || watch->config.expect) &&
	       !watch->panicked && !watch->matched &&
	       watch->len != watch->tried;
}

void watch_write(struct watch *watch, const void *data, size_t len)
{
	const char *from = data;

	if (len == 0)
		return;
	__atomic_store_n(&watch->last, loop_now(), __ATOMIC_RELAXED);
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
	if (!watch->opened && watch_is_open_locked(watch)) {
		watch->opened = true;
		watch->config.open(watch->config.ctx);
	}
	pthread_mutex_unlock(&watch->lock);
}

void watch_end(struct watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	if (watch->len)
		watch_line_locked(watch);
	pthread_mutex_unlock(&watch->lock);
}

int64_t watch_quiet(struct watch *watch, int64_t now)
{
	int64_t left = watch_last(watch) + WATCH_QUIET_NS - now;

	pthread_mutex_lock(&watch->lock);
	if (!watch_is_open_locked(watch)) {
		left = -1;
	} else if (left <= 0) {
		watch->line[watch->len] = '\0';
		watch_try_patterns_locked(watch);
		watch->tried = watch->len;
		left = -1;
	}
	watch->opened = left > 0;
	pthread_mutex_unlock(&watch->lock);
	return left;
}

int64_t watch_last(struct watch *watch)
{
	return __atomic_load_n(&watch->last, __ATOMIC_RELAXED);
}
