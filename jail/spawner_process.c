/*
 * The spawner's process, and the way of a child from the clone to the exec.
 *
 * The spawner makes a user namespace for itself first, in which it is root and
 * outside of which it can do nothing that its user cannot; and in that, the
 * net, ipc and uts namespaces that all children share. They belong to the
 * spawner's user namespace, so that a child, which is root of another one
 * further down until its jail is closed, has no power over them.
 */
#include "jail/spawner_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/forked.h"

#define SPAWNER_SHARED (CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
#define SPAWNER_OWN    (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS)
/* What becomes of a child that cannot be executed. */
#define SPAWNER_STATUS_EXEC 127

/* --- Namespaces ------------------------------------------------------------
 */

static int spawner_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/*
 * In a new user namespace, be its root: who exec's as anybody else loses the
 * capabilities that it takes to build the jail. user and group are the ids
 * outside.
 */
static int spawner_map_ids(uid_t user, gid_t group)
{
	char map[48];
	int ret;

	snprintf(map, sizeof(map), "0 %u 1", user);
	ret = spawner_write_file("/proc/self/uid_map", map);
	if (ret < 0)
		return ret;
	/* Without it the kernel takes no map of a user without privileges. */
	ret = spawner_write_file("/proc/self/setgroups", "deny");
	if (ret < 0)
		return ret;
	snprintf(map, sizeof(map), "0 %u 1", group);
	return spawner_write_file("/proc/self/gid_map", map);
}

/* Why the kernel refused, and what to do. */
static const char *spawner_reason(int errnum)
{
	switch (errnum) {
	case ENOSPC:
		return "the limit of /proc/sys/user/max_*_namespaces is "
		       "reached";
	case EPERM:
		return "not permitted: a container, a chroot, AppArmor or the "
		       "sysctl kernel.unprivileged_userns_clone forbids it";
	case EINVAL:
		return "the kernel was built without it";
	default:
		return strerror(errnum);
	}
}

static int spawner_refuse(struct spawner_answer *answer, const char *what,
			  int errnum)
{
	answer->errnum = errnum;
	snprintf(answer->text, sizeof(answer->text),
		 "the sandbox needs %s, which this host refuses (%s); "
		 "--sandbox off runs devices without: then nothing stands "
		 "between a device model that its guest has broken and "
		 "bantam's own rights",
		 what, spawner_reason(errnum));
	return -errnum;
}

/* One after the other, to know which one is refused. */
static int spawner_unshare(struct spawner_answer *answer)
{
	static const struct {
		int flag;
		const char *name;
	} shared[] = {
		{CLONE_NEWNET, "a network namespace"},
		{CLONE_NEWIPC, "an IPC namespace"},
		{CLONE_NEWUTS, "a UTS namespace"},
	};
	const uid_t user = geteuid();
	const gid_t group = getegid();
	int ret;

	/* Root alone may, and nobody else has any that matter more than its
	 * user does. */
	if (user == 0)
		setgroups(0, NULL);
	if (unshare(CLONE_NEWUSER) < 0)
		return spawner_refuse(answer, "a user namespace", errno);
	ret = spawner_map_ids(user, group);
	if (ret < 0)
		return spawner_refuse(answer, "ids in a user namespace", -ret);
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
		if (unshare(shared[i].flag) < 0)
			return spawner_refuse(answer, shared[i].name, errno);
	return 0;
}

/* --- The child -------------------------------------------------------------
 */

/* What tests and sanitizers need; all else may tell a secret. */
static void spawner_environment(char **out, size_t room)
{
	static const char *const names[] = {"LD_LIBRARY_PATH=", "ASAN_OPTIONS=",
					    "UBSAN_OPTIONS=", "TSAN_OPTIONS="};
	size_t count = 0;

	for (char **entry = environ; *entry; entry++)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!strncmp(*entry, names[i], strlen(names[i])) &&
			    count + 1 < room)
				out[count++] = *entry;
	out[count] = NULL;
}

static void spawner_exec(const struct spawner_fds *fds, char *type)
{
	static char name[] = "bantam", verb[] = "device", option[] = "--child";
	char *argv[] = {name, verb, type, option, NULL};
	char *environment[8];

	spawner_environment(environment, 8);
	syscall(SYS_execveat, fds->exe, "", argv, environment, AT_EMPTY_PATH);
}

static _Noreturn void spawner_child(const struct spawner_fds *fds,
				    struct spawner_ask *ask, int channel)
{
	if (forked_orphaned(fds->parent) ||
	    (ask->mode != JAIL_OFF && spawner_map_ids(0, 0) < 0) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    dup2(channel, SPAWNER_CHANNEL_FD) < 0)
		_exit(SPAWNER_STATUS_EXEC);
	/* The program itself is closed by the exec, as all of these are; but
	 * nothing that was missed goes along. */
	close_range(SPAWNER_CHANNEL_FD + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
	spawner_exec(fds, ask->type);
	_exit(SPAWNER_STATUS_EXEC);
}

/* --- The spawner -----------------------------------------------------------
 */

static int spawner_clone(const struct spawner_fds *fds, struct spawner_ask *ask,
			 int channel, int *pidfd)
{
	pid_t pid =
		forked_clone(ask->mode != JAIL_OFF ? SPAWNER_OWN : 0, pidfd);

	if (pid == 0)
		spawner_child(fds, ask, channel);
	return pid;
}

static void spawner_serve(const struct spawner_fds *fds,
			  const struct spawner_answer *refused,
			  struct spawner_ask *ask, int channel)
{
	struct spawner_answer answer = {.errnum = 0};
	int pidfd = -1, pid;

	ask->type[sizeof(ask->type) - 1] = '\0';
	if (ask->mode != JAIL_OFF && refused->errnum) {
		spawner_send(fds->socket, refused, sizeof(*refused), -1);
		return;
	}
	pid = spawner_clone(fds, ask, channel, &pidfd);
	if (pid >= 0)
		answer.pid = pid;
	else if (ask->mode != JAIL_OFF)
		spawner_refuse(&answer, "a user, PID and mount namespace",
			       -pid);
	else
		answer.errnum = -pid;
	if (pid < 0 && !*answer.text)
		snprintf(answer.text, sizeof(answer.text),
			 "cannot start a device process: %s", strerror(-pid));
	spawner_send(fds->socket, &answer, sizeof(answer), pidfd);
	if (pidfd >= 0)
		close(pidfd);
}

_Noreturn void spawner_process(const struct spawner_fds *given)
{
	struct spawner_answer refused = {.errnum = 0};
	struct spawner_fds fds = *given;
	int *const keep[] = {&fds.socket, &fds.exe, &fds.parent, &fds.null};
	struct spawner_ask ask;
	int channel;

	forked_settle("bantam-spawner", fds.null);
	forked_keep(keep, 4, SPAWNER_CHANNEL_FD + 1, fds.null);
	spawner_unshare(&refused);
	/* After the change of credentials, which forgets it. */
	if (forked_orphaned(fds.parent))
		_exit(0);
	while (spawner_receive(fds.socket, &ask, sizeof(ask), &channel) == 0) {
		spawner_serve(&fds, &refused, &ask, channel);
		if (channel >= 0)
			close(channel);
	}
	_exit(0);
}
