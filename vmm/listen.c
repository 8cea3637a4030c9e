/*
 * Sockets that listen at a path. The user may have put anything there.
 *
 * Theory of operation. A path belongs to the process whose socket listens
 * there, and the kernel says whether one does: connect(2) to the socket of a
 * dead process is refused. To look and then to replace a stale socket is a
 * race between two starters; so both do it under flock(2) of the directory,
 * which leaves no file behind, and which the kernel drops when its holder
 * dies. Whoever crashes between bind(2) and listen(2) leaves a stale socket
 * like any other. An owner that ends listens until its socket is removed, so
 * that nobody takes it for stale.
 */
#include "vmm/listen.h"

#include <errno.h>
#include <libgen.h>
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

/* Connections that wait to be accepted. */
#define LISTEN_BACKLOG 16

#define LISTEN_LOCK_WAIT  INT64_C(2000000000) /* ns */
#define LISTEN_LOCK_RETRY 5000000	      /* ns */

struct listen_claim {
	int fd; /* owned */
	struct sockaddr_un address;
	dev_t dev; /* of the socket's file, to remove no other */
	ino_t ino;
};

int listen_address(struct sockaddr_un *address, const char *path,
		   const struct listen_words *words, struct error *err)
{
	size_t len = strlen(path);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (len == 0 || len >= sizeof(address->sun_path))
		return error_set(err, len ? ENAMETOOLONG : EINVAL,
				 "%s: the path of a socket has %zu bytes, "
				 "expected 1 to %zu; use a relative path",
				 words->what, len,
				 sizeof(address->sun_path) - 1);
	memcpy(address->sun_path, path, len);
	return 0;
}

static int listen_socket(int *fd)
{
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return *fd < 0 ? -errno : 0;
}

int listen_connect(const struct sockaddr_un *address, int *fd)
{
	int ret = listen_socket(fd);

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

/* A path that is taken; fd: a connection to who has it, or -1. */
static int listen_in_use(const struct listen_words *words, int fd,
			 struct error *err)
{
	struct ucred peer = {.pid = 0};
	socklen_t len = sizeof(peer);

	if (fd >= 0) {
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
		close(fd);
	}
	return error_set(err, EADDRINUSE, "%s: %s (process %d); %s",
			 words->what, words->in_use, (int)peer.pid,
			 words->advice);
}

/* Is it free, or stale, for which @stale is set? */
static int listen_look(const struct sockaddr_un *address,
		       const struct listen_words *words, bool *stale,
		       struct error *err)
{
	const char *path = address->sun_path;
	struct stat st;
	int fd = -1;
	int ret;

	*stale = false;
	if (lstat(path, &st) < 0)
		return errno == ENOENT
			       ? 0
			       : error_set(err, errno, "%s: %s: %s",
					   words->what, path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, EEXIST,
				 "%s: %s: expected a socket or nothing, "
				 "found another kind of file; remove it, or "
				 "%s",
				 words->what, path, words->other);
	ret = listen_connect(address, &fd);
	if (ret == 0 || ret == -EAGAIN)
		return listen_in_use(words, fd, err);
	if (ret != -ECONNREFUSED)
		return error_set(err, -ret,
				 "%s: %s: cannot tell whether it is in use: %s",
				 words->what, path, strerror(-ret));
	*stale = true;
	return 0;
}

static const char *listen_directory(const struct sockaddr_un *address,
				    char copy[sizeof(address->sun_path)])
{
	memcpy(copy, address->sun_path, sizeof(address->sun_path));
	return dirname(copy);
}

int listen_check(const struct sockaddr_un *address,
		 const struct listen_words *words, struct error *err)
{
	char copy[sizeof(address->sun_path)];
	const char *dir = listen_directory(address, copy);
	bool stale;
	int ret = listen_look(address, words, &stale, err);

	if (ret == 0 && faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) < 0)
		return error_set(err, errno,
				 "%s: no socket can be made in %s: %s",
				 words->what, dir, strerror(errno));
	return ret;
}

/* flock(2), with a deadline: its holder may be stopped in a debugger. */
int listen_lock(int dir_fd)
{
	const struct timespec pause = {.tv_nsec = LISTEN_LOCK_RETRY};
	const int64_t deadline = loop_now() + LISTEN_LOCK_WAIT;

	while (flock(dir_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (loop_now() > deadline)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Under the directory's lock. */
static int listen_bind(struct listen_claim *claim, struct error *err)
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
	if (lstat(path, &st) < 0 || listen(claim->fd, LISTEN_BACKLOG) < 0) {
		ret = error_set(err, errno, "%s: cannot listen on it: %s", path,
				strerror(errno));
		unlink(path);
		return ret;
	}
	claim->dev = st.st_dev;
	claim->ino = st.st_ino;
	return 0;
}

static int listen_replace(struct listen_claim *claim,
			  const struct listen_words *words, struct error *err)
{
	const char *path = claim->address.sun_path;
	bool stale;
	int ret = listen_look(&claim->address, words, &stale, err);

	if (ret < 0)
		return ret;
	if (stale && unlink(path) < 0 && errno != ENOENT)
		return error_set(err, errno,
				 "%s: %s: cannot remove what a machine left "
				 "there: %s",
				 words->what, path, strerror(errno));
	return listen_bind(claim, err);
}

int listen_claim_locked(struct listen_claim **out,
			const struct sockaddr_un *address,
			const struct listen_words *words, struct error *err)
{
	struct listen_claim *claim = calloc(1, sizeof(*claim));
	int ret;

	if (!claim)
		return error_set(err, ENOMEM, "out of memory");
	claim->address = *address;
	ret = listen_socket(&claim->fd);
	if (ret < 0) {
		error_set(err, -ret, "%s: cannot make a socket: %s",
			  words->what, strerror(-ret));
		goto err_free;
	}
	ret = listen_replace(claim, words, err);
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

int listen_claim(struct listen_claim **out, const struct sockaddr_un *address,
		 const struct listen_words *words, struct error *err)
{
	char copy[sizeof(address->sun_path)];
	const char *dir = listen_directory(address, copy);
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret;

	if (dir_fd < 0)
		return error_set(err, errno, "%s: %s: %s", words->what, dir,
				 strerror(errno));
	ret = listen_lock(dir_fd);
	if (ret < 0)
		error_set(err, -ret,
			  "%s: %s: cannot lock it: %s; does another bantam "
			  "hang?",
			  words->what, dir, strerror(-ret));
	else
		ret = listen_claim_locked(out, address, words, err);
	/* And with it goes the lock. */
	close(dir_fd);
	return ret;
}

int listen_fd(const struct listen_claim *claim)
{
	return claim->fd;
}

void listen_release(struct listen_claim *claim)
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
