/*
 * --result FILE. The line that is quoted is the guest's, names and arguments
 * are the user's: what is not UTF-8 or is a control character is escaped, so
 * that the file is JSON whatever they hold, and harmless on a terminal.
 */
#include "vmm/result.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <jansson.h>

#include "vmm/base/log.h"
#include "vmm/base/loop.h"
#include "vmm/digest.h"
#include "vmm/writable.h"

struct result_image {
	const struct image *image; /* borrowed; NULL without */
	char sha256[DIGEST_TEXT_SIZE];
};

struct result {
	const char *path; /* borrowed */
	char *target;	  /* owned: the regular file's name; NULL for others */
	int fd;		  /* owned: of a file that is no regular one, or -1 */

	struct timespec wall;  /* CLOCK_REALTIME at the start */
	int64_t start;	       /* loop_now() */
	struct digest *digest; /* owned */

	/* hasher's until it was joined. */
	struct result_image kernel, initrd;
	pthread_t hasher;
	bool hashing; /* hasher is to be joined */
};

/* --- The file ---------------------------------------------------------------
 */

static int result_fail(const struct result *result, int errnum,
		       struct error *err)
{
	return error_set(err, errnum, "--result %s: cannot be written: %s",
			 result->path, strerror(errnum));
}

/* The file that a symbolic link leads to is replaced, not the link. */
static int result_find_target(struct result *result, enum writable_kind kind)
{
	result->target = kind == WRITABLE_REGULAR ? realpath(result->path, NULL)
						  : strdup(result->path);
	return result->target ? 0 : -errno;
}

static int result_open(struct result *result, struct error *err)
{
	enum writable_kind kind;
	int rc;

	rc = writable_check("--result", result->path, true, &kind, err);
	if (rc)
		return rc;
	if (kind != WRITABLE_OTHER) {
		rc = result_find_target(result, kind);
		return rc ? result_fail(result, -rc, err) : 0;
	}
	/* A FIFO that nobody reads is an error, not a wait. */
	result->fd = open(result->path,
			  O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return result->fd < 0 ? result_fail(result, errno, err) : 0;
}

static int result_write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* mkostemp(3) makes it private; a result is like any other output. */
static int result_share(int fd)
{
	mode_t mask = umask(0);

	umask(mask);
	return fchmod(fd, 0666 & ~mask) ? -errno : 0;
}

static int result_replace(const char *target, const char *text, size_t len)
{
	char *name;
	int fd, rc;

	if (asprintf(&name, "%s.XXXXXX", target) < 0)
		return -ENOMEM;
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		goto out;
	}
	rc = result_share(fd);
	if (!rc)
		rc = result_write_all(fd, text, len);
	/* Some file systems report a full disk only here. */
	if (close(fd) && !rc)
		rc = -errno;
	if (!rc && rename(name, target))
		rc = -errno;
	if (rc)
		unlink(name);
out:
	free(name);
	return rc;
}

/* --- Its members ------------------------------------------------------------
 */

/* Bytes of the UTF-8 character at text that may be shown; 0: escape a byte. */
static size_t result_character(const unsigned char *text)
{
	size_t len = text[0] < 0x80   ? 1
		     : text[0] < 0xe0 ? 2
		     : text[0] < 0xf0 ? 3
				      : 4;
	json_t *value;

	if (len == 1)
		return text[0] >= 0x20 && text[0] != 0x7f;
	/* C1 controls. */
	if (text[0] == 0xc2 && text[1] < 0xa0)
		return 0;
	if (strnlen((const char *)text, len) < len)
		return 0;
	value = json_stringn((const char *)text, len);
	json_decref(value);
	return value ? len : 0;
}

/* Return: a new reference, or NULL without memory. */
static json_t *result_text(const char *text)
{
	const unsigned char *from = (const unsigned char *)text;
	char *safe, *to;
	json_t *value;

	safe = to = malloc(4 * strlen(text) + 1);
	if (!safe)
		return NULL;
	while (*from) {
		size_t len = result_character(from);

		if (len)
			to = mempcpy(to, from, len);
		else
			to += sprintf(to, "\\x%02x", *from);
		from += len ? len : 1;
	}
	value = json_stringn(safe, (size_t)(to - safe));
	free(safe);
	return value;
}

static json_t *result_optional(const char *text)
{
	return text ? result_text(text) : json_null();
}

static json_t *result_match(const struct result_match *match)
{
	if (!match)
		return json_null();
	return json_pack("{s:s, s:o, s:s, s:I, s:o}", "by", match->by,
			 "pattern", result_optional(match->pattern), "device",
			 match->device, "line", (json_int_t)match->number,
			 "text", result_text(match->line));
}

/* RFC 3339, UTC, milliseconds. */
static json_t *result_wall(const struct timespec *wall)
{
	char text[40];
	struct tm tm;
	size_t len;

	gmtime_r(&wall->tv_sec, &tm);
	len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, sizeof(text) - len, ".%03ldZ",
		 wall->tv_nsec / 1000000);
	return json_string(text);
}

static json_t *result_timings(const struct result *result,
			      const struct result_report *report)
{
	int64_t first = report->first_instruction;

	return json_pack("{s:o, s:I, s:o, s:I}", "start",
			 result_wall(&result->wall), "start_monotonic_ns",
			 (json_int_t)result->start, "first_instruction_ns",
			 first ? json_integer(first - result->start)
			       : json_null(),
			 "end_ns", (json_int_t)(report->end - result->start));
}

static json_t *result_image(const struct result_image *image)
{
	if (!image->image)
		return json_null();
	return json_pack(
		"{s:o, s:o}", "path", result_text(image->image->path), "sha256",
		result_optional(image->sha256[0] ? image->sha256 : NULL));
}

static json_t *result_versions(void)
{
	struct utsname host;

	uname(&host);
	return json_pack("{s:s, s:s}", "bantam", BANTAM_VERSION, "host_kernel",
			 host.release);
}

/* As the process was started: /proc knows it, quoted by nobody. */
static json_t *result_command_line(void)
{
	FILE *file = fopen("/proc/self/cmdline", "re");
	json_t *words = json_array();
	char *word = NULL;
	size_t size = 0;

	while (file && getdelim(&word, &size, '\0', file) > 0)
		json_array_append_new(words, result_text(word));
	free(word);
	if (file)
		fclose(file);
	return words;
}

static json_t *result_make(const struct result *result,
			   const struct result_report *report)
{
	const struct outcome *outcome = report->outcome;
	bool status = outcome->kind == OUTCOME_GUEST_STATUS;

	return json_pack(
		"{s:s, s:i, s:b, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o}",
		"reason", outcome_word(outcome->kind), "status",
		outcome_status(outcome), "expect_missed",
		outcome->expect_missed, "guest_status",
		status ? json_integer(outcome->guest_status) : json_null(),
		"error", result_optional(report->error), "match",
		result_match(report->match), "timings",
		result_timings(result, report), "dropped_output",
		(json_int_t)report->dropped, "kernel",
		result_image(&result->kernel), "initrd",
		result_image(&result->initrd), "versions", result_versions(),
		"command_line", result_command_line());
}

/* --- Life -------------------------------------------------------------------
 */

static int result_load_digest(const char *path, struct digest **out,
			      struct error *err)
{
	int rc = digest_new(out, err);

	if (rc)
		error_prefix(err, "--result %s: ", path);
	return rc;
}

int result_new(struct result **out, const char *path, struct error *err)
{
	struct result *result = calloc(1, sizeof(*result));
	int rc;

	if (!result)
		return error_set(err, ENOMEM, "--result: out of memory");
	result->path = path;
	result->fd = -1;
	clock_gettime(CLOCK_REALTIME, &result->wall);
	result->start = loop_now();
	rc = result_open(result, err);
	if (!rc)
		rc = result_load_digest(path, &result->digest, err);
	if (rc) {
		result_free(result);
		return rc;
	}
	*out = result;
	return 0;
}

int result_check(const char *path, struct error *err)
{
	struct digest *digest;
	int rc;

	rc = writable_check("--result", path, true, NULL, err);
	if (!rc)
		rc = result_load_digest(path, &digest, err);
	if (!rc)
		digest_free(digest);
	return rc;
}

static void result_join(struct result *result)
{
	if (result->hashing)
		pthread_join(result->hasher, NULL);
	result->hashing = false;
}

void result_free(struct result *result)
{
	if (!result)
		return;
	result_join(result);
	digest_free(result->digest);
	if (result->fd >= 0)
		close(result->fd);
	free(result->target);
	free(result);
}

static void result_hash_image(const struct result *result,
			      struct result_image *image)
{
	struct error err;

	if (image->image &&
	    digest_image(result->digest, image->image, image->sha256, &err))
		log_warn("--result %s: no SHA-256: %s", result->path, err.text);
}

static void *result_hash_images(void *arg)
{
	struct result *result = arg;

	pthread_setname_np(pthread_self(), "sha256");
	result_hash_image(result, &result->kernel);
	result_hash_image(result, &result->initrd);
	return NULL;
}

int result_hash(struct result *result, const struct image *kernel,
		const struct image *initrd, struct error *err)
{
	int rc;

	result->kernel.image = kernel;
	result->initrd.image = initrd;
	rc = pthread_create(&result->hasher, NULL, result_hash_images, result);
	if (rc)
		return error_set(err, rc,
				 "--result %s: cannot start a thread: %s",
				 result->path, strerror(rc));
	result->hashing = true;
	return 0;
}

int result_write(struct result *result, const struct result_report *report,
		 struct error *err)
{
	char *text = NULL;
	json_t *value;
	size_t len;
	int rc;

	result_join(result);
	value = result_make(result, report);
	if (value)
		text = json_dumps(value, JSON_INDENT(2));
	json_decref(value);
	if (!text)
		return result_fail(result, ENOMEM, err);
	len = strlen(text);
	text[len] = '\n';
	if (result->target)
		rc = result_replace(result->target, text, len + 1);
	else
		rc = result_write_all(result->fd, text, len + 1);
	free(text);
	return rc ? result_fail(result, -rc, err) : 0;
}
