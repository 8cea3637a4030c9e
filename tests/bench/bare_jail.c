/*
 * The floor for the sandbox's bench: a process that starts others, each in a
 * jail as jail/ makes them, waits until all are ready, has them end, and ends.
 *
 *   bare_jail COUNT
 *
 * As there, each is cloned into namespaces of its own and of all of them,
 * executed anew, given an empty root, no rights and a filter. It does nothing
 * then. Of what can be done beforehand or cheaper (the filter is no list, no
 * library is linked), it does as little as it can.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define JAILS_MAX 16
#define CHANNEL	  3
/* Of a block device's filter, as libseccomp makes it: it is the longest. */
#define INSTRUCTIONS 140

static void must(int ret, const char *what)
{
	if (ret >= 0)
		return;
	perror(what);
	_exit(EXIT_FAILURE);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd, path);
	must((int)write(fd, text, strlen(text)), path);
	close(fd);
}

static void map_ids(uid_t user, gid_t group)
{
	char map[48];

	snprintf(map, sizeof(map), "0 %u 1", user);
	write_file("/proc/self/uid_map", map);
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", group);
	write_file("/proc/self/gid_map", map);
}

/* --- In the jail ---------------------------------------------------------- */

static void enter_root(void)
{
	must(mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL), "slave");
	must(mount("bare", "/proc", "tmpfs",
		   MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		   "mode=0555,size=4k,nr_inodes=1"),
	     "tmpfs");
	must(chdir("/proc"), "chdir");
	must((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "umount");
	must(chdir("/"), "chdir");
}

static void drop_rights(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	must(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED),
	     "secure bits");
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0),
	     "ambient");
	for (int i = 0; prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0; i++)
		;
	must((int)syscall(SYS_capset, &header, none), "capset");
}

/* As many comparisons as ours has, and all is allowed. */
static void load_filter(void)
{
	struct sock_filter code[INSTRUCTIONS];
	const struct sock_fprog program = {INSTRUCTIONS, code};

	code[0] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned int i = 1; i < INSTRUCTIONS - 1; i++)
		code[i] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, 1000 + i, 0, 0);
	code[INSTRUCTIONS - 1] = (struct sock_filter)BPF_STMT(
		BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	must((int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			  SECCOMP_FILTER_FLAG_TSYNC, &program),
	     "filter");
}

static int be_jailed(void)
{
	const struct rlimit none = {0, 0};
	char byte = 0;

	must(prctl(PR_SET_PDEATHSIG, SIGKILL), "death signal");
	close_range(CHANNEL + 1, UINT_MAX, 0);
	enter_root();
	drop_rights();
	must(setrlimit(RLIMIT_CORE, &none), "limit");
	load_filter();
	must((int)write(CHANNEL, &byte, 1), "channel");
	/* Until that hangs up. */
	return read(CHANNEL, &byte, 1) < 0;
}

/* --- Outside -------------------------------------------------------------- */

static pid_t start(char *program, int *channel)
{
	struct clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS,
		.exit_signal = SIGCHLD,
	};
	char *argv[] = {program, NULL}, *environment[] = {NULL};
	int ends[2];
	pid_t pid;

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends),
	     "socketpair");
	*channel = ends[0];
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	must(pid, "clone3");
	if (pid == 0) {
		map_ids(0, 0);
		must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
		must(dup2(ends[1], CHANNEL), "dup2");
		execve("/proc/self/exe", argv, environment);
		must(-1, "execve");
	}
	close(ends[1]);
	return pid;
}

int main(int argc, char **argv)
{
	int channels[JAILS_MAX], count = argc > 1 ? atoi(argv[1]) : -1, status;
	int failed = 0;
	char byte;

	if (count < 0)
		return be_jailed();
	if (count > JAILS_MAX)
		return EXIT_FAILURE;
	/* Taken, so that dup2() does something. */
	must(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
	if (count) {
		const uid_t user = geteuid();
		const gid_t group = getegid();

		must(unshare(CLONE_NEWUSER), "user namespace");
		map_ids(user, group);
		must(unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS),
		     "namespaces");
	}
	for (int i = 0; i < count; i++)
		start(argv[0], &channels[i]);
	for (int i = 0; i < count; i++)
		failed |= read(channels[i], &byte, 1) != 1;
	for (int i = 0; i < count; i++)
		close(channels[i]);
	for (int i = 0; i < count; i++)
		failed |= wait(&status) < 0 || status != 0;
	return failed;
}
