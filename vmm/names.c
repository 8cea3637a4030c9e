/*
 * Machines by name. The directory and what lies in it is the user's own, who
 * may have put anything there; nobody else can write to it, which is checked.
 *
 * Theory of operation. A name belongs to the process whose socket listens
 * there, and the kernel says whether one does: connect(2) to the socket of a
 * dead process is refused. To look and then to replace a stale socket is a
 * race between two starters; so both do it under flock(2) of the directory,
 * which leaves no file behind, and which the kernel drops when its holder
 * dies. Whoever crashes between bind(2) and listen(2) leaves a stale socket
 * like any other. An owner that ends listens until its socket is removed, so
 * that nobody takes it for stale.
 */
#include "vmm/names.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/loop.h"

#define NAMES_SUFFIX ".sock"
/* Room for a directory; a socket's path is far shorter in the end. */
#define NAMES_DIR_MAX 4096

/* Connections that wait to be accepted. */
#define NAMES_BACKLOG 16

#define NAMES_LOCK_WAIT	 INT64_C(2000000000) /* ns */
#define NAMES_LOCK_RETRY 5000000	     /* ns */

struct names_claim {
	int fd; /* owned */
	struct sockaddr_un address;
	dev_t dev; /* of the socket's file, to remove no other */
	ino_t ino;
};

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

/* --- Sockets -------------------------------------------------------------- */

static int names_socket(int *fd)
{
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return *fd < 0 ? -errno : 0;
}

int names_connect(const struct sockaddr_un *address, int *fd)
{
	int ret = names_socket(fd);

	if (ret < 0)
		return ret;
	if (connect(*fd, (const struct sockaddr *)address, sizeof(*address)) ==
	    0)
		return 0;
	ret = -errno;
	close(*fd);
	*fd = -1;
	return ret;
}

/* A name that is taken; fd: a connection to who has it, or -1. */
static int names_in_use(const char *name, int fd, struct error *err)
{
	struct ucred peer = {.pid = 0};
	socklen_t len = sizeof(peer);

	if (fd >= 0) {
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
		close(fd);
	}
	return error_set(err, EADDRINUSE,
			 "--name %s: a machine of this name is running "
			 "(process %d); choose another name, or end it with "
			 "`bantam stop %s`",
			 name, (int)peer.pid, name);
}

/* Remove a socket that nobody listens on. Under the directory's lock. */
static int names_remove_stale(const struct sockaddr_un *address,
			      const char *name, struct error *err)
{
	const char *path = address->sun_path;
	struct stat st;
	int fd = -1;
	int ret;

	if (lstat(path, &st) < 0)
		return errno == ENOENT
			       ? 0
			       : error_set(err, errno, "--name %s: %s: %s",
					   name, path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, EEXIST,
				 "--name %s: %s: expected a socket or nothing, "
				 "found another kind of file; remove it, or "
				 "choose another name",
				 name, path);
	ret = names_connect(address, &fd);
	if (ret == 0 || ret == -EAGAIN)
		return names_in_use(name, fd, err);
	if (ret != -ECONNREFUSED)
		return error_set(err, -ret,
				 "--name %s: %s: cannot tell whether it is in "
				 "use: %s",
				 name, path, strerror(-ret));
	if (unlink(path) < 0 && errno != ENOENT)
		return error_set(err, errno,
				 "--name %s: %s: cannot remove what a machine "
				 "left there: %s",
				 name, path, strerror(errno));
	return 0;
}

/* --- The directory -------------------------------------------------------- */

/* flock(2), with a deadline: its holder may be stopped in a debugger. */
static int names_lock(int dir_fd)
{
	const struct timespec pause = {.tv_nsec = NAMES_LOCK_RETRY};
	const int64_t deadline = loop_now() + NAMES_LOCK_WAIT;

	while (flock(dir_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (loop_now() > deadline)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	return 0;
}

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
	ret = names_lock(*dir_fd);
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

/* Under the directory's lock. */
static int names_listen(struct names_claim *claim, struct error *err)
{
	const char *path = claim->address.sun_path;
	struct stat st;
	int ret;

	/* Before bind(2): the file has its mode from the first moment on. */
	if (fchmod(claim->fd, 0600) < 0 ||
	    bind(claim->fd, (const struct sockaddr *)&claim->address,
		 sizeof(claim->address)) < 0)
		return error_set(err, errno, "%s: cannot make the socket: %s",
				 path, strerror(errno));
	if (lstat(path, &st) < 0 || listen(claim->fd, NAMES_BACKLOG) < 0) {
		ret = error_set(err, errno, "%s: cannot listen on it: %s", path,
				strerror(errno));
		unlink(path);
		return ret;
	}
	claim->dev = st.st_dev;
	claim->ino = st.st_ino;
	return 0;
}

static int names_claim_in(struct names_claim *claim, const char *dir,
			  const char *name, struct error *err)
{
	int dir_fd = -1;
	int ret;

	ret = names_open_directory(&dir_fd, dir, err);
	if (ret < 0)
		return ret;
	ret = names_remove_stale(&claim->address, name, err);
	if (ret == 0)
		ret = names_listen(claim, err);
	/* And with it goes the lock. */
	close(dir_fd);
	return ret;
}

int names_claim(struct names_claim **out, const char *name, struct error *err)
{
	struct names_claim *claim = calloc(1, sizeof(*claim));
	char dir[NAMES_DIR_MAX];
	int ret;

	if (!claim)
		return error_set(err, ENOMEM, "out of memory");
	claim->fd = -1;
	ret = names_check(name, err);
	if (ret < 0) {
		error_prefix(err, "--name: ");
		goto err_free;
	}
	ret = names_directory(dir, sizeof(dir), err);
	if (ret < 0)
		goto err_free;
	ret = names_fill(&claim->address, dir, name, err);
	if (ret < 0)
		goto err_free;
	ret = names_socket(&claim->fd);
	if (ret < 0) {
		error_set(err, -ret, "--name %s: cannot make a socket: %s",
			  name, strerror(-ret));
		goto err_free;
	}
	ret = names_claim_in(claim, dir, name, err);
	if (ret < 0)
		goto err_close;
	*out = claim;
	return 0;

err_close:
	close(claim->fd);
err_free:
	free(claim);
	return ret;
}

int names_claim_fd(const struct names_claim *claim)
{
	return claim->fd;
}

void names_release(struct names_claim *claim)
{
	struct stat st;

	if (!claim)
		return;
	/*
	 * Its inode cannot be given to another file while the socket is open:
	 * what is there now is ours, or somebody put it there by hand.
	 */
	if (lstat(claim->address.sun_path, &st) == 0 &&
	    st.st_dev == claim->dev && st.st_ino == claim->ino)
		unlink(claim->address.sun_path);
	close(claim->fd);
	free(claim);
}
