/*
 * Machines by name. The directory and what lies in it is the user's own, who
 * may have put anything there; nobody else can write to it, which is checked.
 * listen.c says how two machines do not share a name.
 */
#include "vmm/names.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_SUFFIX ".sock"
/* Room for a directory; a socket's path is far shorter in the end. */
#define NAMES_DIR_MAX 4096

int names_check(const char *name, struct error *err)
{
	static const char alnum[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char others[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len = strlen(name);

	if (len >= 1 && len <= NAMES_LEN_MAX && strchr(alnum, name[0]) &&
	    strspn(name, others) == len)
		return 0;
	return error_set(err, EINVAL,
			 "expected a name of 1 to %d letters, digits, '.', "
			 "'_' and '-' that begins with a letter or digit, "
			 "found \"%.80s\"",
			 NAMES_LEN_MAX, name);
}

/* The directory of the sockets, whether it is there or not. */
static int names_directory(char *out, size_t size, struct error *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int len;

	if (runtime && *runtime && *runtime != '/')
		return error_set(err, EINVAL,
				 "XDG_RUNTIME_DIR: expected an absolute path, "
				 "found \"%.200s\"; set it to a directory of "
				 "your own",
				 runtime);
	if (runtime && *runtime)
		len = snprintf(out, size, "%s/bantam", runtime);
	else if (geteuid() == 0)
		len = snprintf(out, size, "/run/bantam");
	else
		return error_set(err, ENOENT,
				 "no directory for a named machine's socket: "
				 "expected one in XDG_RUNTIME_DIR, which is "
				 "not set; set it to a directory of your own, "
				 "such as /run/user/%u",
				 (unsigned int)geteuid());
	if (len < 0 || (size_t)len >= size)
		return error_set(err, ENAMETOOLONG,
				 "XDG_RUNTIME_DIR: expected less than %zu "
				 "bytes, found %zu",
				 size, strlen(runtime ? runtime : ""));
	return 0;
}

/* dir: NULL for a path as it is. */
static int names_fill(struct sockaddr_un *address, const char *dir,
		      const char *name, struct error *err)
{
	int len;

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (dir)
		len = snprintf(address->sun_path, sizeof(address->sun_path),
			       "%s/%s" NAMES_SUFFIX, dir, name);
	else
		len = snprintf(address->sun_path, sizeof(address->sun_path),
			       "%s", name);
	if (len >= 0 && (size_t)len < sizeof(address->sun_path))
		return 0;
	return error_set(err, ENAMETOOLONG,
			 "%.80s: the path of its socket has %d bytes, expected "
			 "%zu at most; %s",
			 name, len, sizeof(address->sun_path) - 1,
			 dir ? "choose a shorter name or XDG_RUNTIME_DIR"
			     : "use a relative path");
}

int names_address(const char *name, struct sockaddr_un *address,
		  struct error *err)
{
	char dir[NAMES_DIR_MAX];
	int ret;

	if (strchr(name, '/'))
		return names_fill(address, NULL, name, err);
	ret = names_check(name, err);
	if (ret == 0)
		ret = names_directory(dir, sizeof(dir), err);
	return ret < 0 ? ret : names_fill(address, dir, name, err);
}

/* --- Listing -------------------------------------------------------------- */

/* The name that a file of the directory stands for, to be freed, or NULL. */
static char *names_of_file(const char *file)
{
	size_t len = strlen(file), suffix = strlen(NAMES_SUFFIX);
	char *name;

	if (len <= suffix || strcmp(file + len - suffix, NAMES_SUFFIX) != 0)
		return NULL;
	name = strndup(file, len - suffix);
	if (name && names_check(name, NULL) == 0)
		return name;
	free(name);
	return NULL;
}

int names_list(char ***names, size_t *count, struct error *err)
{
	struct dirent **entries = NULL;
	char dir[NAMES_DIR_MAX];
	int ret, n;

	*names = NULL;
	*count = 0;
	ret = names_directory(dir, sizeof(dir), err);
	if (ret < 0)
		return ret;
	n = scandir(dir, &entries, NULL, alphasort);
	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0)
		return error_set(err, errno, "%s: cannot list it: %s", dir,
				 strerror(errno));
	*names = calloc((size_t)n + 1, sizeof(**names));
	for (int i = 0; i < n; i++) {
		char *name = *names ? names_of_file(entries[i]->d_name) : NULL;

		if (name)
			(*names)[(*count)++] = name;
		free(entries[i]);
	}
	free(entries);
	return *names ? 0 : error_set(err, ENOMEM, "out of memory");
}

void names_list_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

int names_connect(const struct sockaddr_un *address, int *fd)
{
	return listen_connect(address, fd);
}

/* --- The directory -------------------------------------------------------- */

static int names_check_directory(int dir_fd, const char *dir, struct error *err)
{
	struct stat st;

	if (fstat(dir_fd, &st) < 0)
		return error_set(err, errno, "%s: %s", dir, strerror(errno));
	if (st.st_uid != geteuid())
		return error_set(err, EPERM,
				 "%s: expected a directory of user %u, found "
				 "one of user %u; set XDG_RUNTIME_DIR to a "
				 "directory of your own",
				 dir, (unsigned int)geteuid(),
				 (unsigned int)st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return error_set(err, EPERM,
				 "%s: expected a directory that nobody else "
				 "can write to, found mode %04o; run `chmod "
				 "700 %s`",
				 dir, (unsigned int)st.st_mode & 07777, dir);
	return 0;
}

/* Make it if need be, open and lock it. */
static int names_open_directory(int *dir_fd, const char *dir, struct error *err)
{
	int ret;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return error_set(err, errno,
				 "%s: cannot make the directory of named "
				 "machines: %s",
				 dir, strerror(errno));
	*dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*dir_fd < 0)
		return error_set(err, errno,
				 "%s: expected a directory of your own: %s",
				 dir, strerror(errno));
	ret = names_check_directory(*dir_fd, dir, err);
	if (ret < 0)
		goto err_close;
	ret = listen_lock(*dir_fd);
	if (ret < 0) {
		error_set(err, -ret,
			  "%s: cannot lock it: %s; does another bantam hang?",
			  dir, strerror(-ret));
		goto err_close;
	}
	return 0;

err_close:
	close(*dir_fd);
	return ret;
}

/* --- Claims --------------------------------------------------------------- */

/* What messages say of a name; see names_words_init(). */
struct names_words {
	struct listen_words words;
	char what[16 + NAMES_LEN_MAX];
	char advice[64 + NAMES_LEN_MAX];
};

static void names_words_init(struct names_words *words, const char *name)
{
	snprintf(words->what, sizeof(words->what), "--name %.*s", NAMES_LEN_MAX,
		 name);
	snprintf(words->advice, sizeof(words->advice),
		 "choose another name, or end it with `bantam stop %.*s`",
		 NAMES_LEN_MAX, name);
	words->words = (struct listen_words){
		.what = words->what,
		.in_use = "a machine of this name is running",
		.advice = words->advice,
		.other = "choose another name",
	};
}

int names_check_free(const char *name, struct error *err)
{
	struct sockaddr_un address;
	struct names_words words;
	struct stat st;
	int ret;

	ret = names_address(name, &address, err);
	/* There may be no directory yet. */
	if (ret < 0 || lstat(address.sun_path, &st) < 0)
		return ret;
	names_words_init(&words, name);
	return listen_check(&address, &words.words, err);
}

int names_claim(struct listen_claim **out, const char *name, struct error *err)
{
	struct sockaddr_un address;
	struct names_words words;
	char dir[NAMES_DIR_MAX];
	int dir_fd = -1;
	int ret;

	ret = names_check(name, err);
	if (ret < 0) {
		error_prefix(err, "--name: ");
		return ret;
	}
	ret = names_directory(dir, sizeof(dir), err);
	if (ret == 0)
		ret = names_fill(&address, dir, name, err);
	if (ret == 0)
		ret = names_open_directory(&dir_fd, dir, err);
	if (ret < 0)
		return ret;
	names_words_init(&words, name);
	ret = listen_claim_locked(out, &address, &words.words, err);
	/* And with it goes the lock. */
	close(dir_fd);
	return ret;
}
