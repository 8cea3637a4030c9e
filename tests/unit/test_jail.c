/*
 * The jail, with each type's list: what it holds is looked at from outside, in
 * /proc, and tried from inside. The children are this program.
 */
#include "jail/jail.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <check.h>

#include "tests/unit/support/jail_child.h"
#include "virtio/device.h"
#include "virtio/net_tun.h"
#include "virtio/table.h"

static struct spawner *spawner;
/* Of the process that is running, for what a child does. */
static const struct virtio_device_ops *child_ops;

/* --- What is tried in it ---------------------------------------------------
 */

static long try_open(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static long try_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long try_execve(void)
{
	char *argv[] = {NULL};

	return execve("/bin/sh", argv, argv);
}

static long try_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long try_mount(void)
{
	return mount("none", "/", "tmpfs", 0, NULL);
}

static long try_kill(void)
{
	return kill(getppid(), SIGTERM);
}

static long try_kill_all(void)
{
	return kill(-1, SIGTERM);
}

static long try_signal(void)
{
	return syscall(SYS_tgkill, 1, 1, SIGTERM);
}

static long try_mmap_exec(void)
{
	void *map = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return map == MAP_FAILED ? -1 : 0;
}

static long try_mprotect_exec(void)
{
	void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(map, 4096, PROT_READ | PROT_EXEC);
}

static long try_fork(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static long try_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static long try_ioctl(void)
{
	return ioctl(0, TIOCSTI, "x");
}

static long try_tap(void)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP};

	return ioctl(3, TUNSETIFF, &ifr);
}

static long try_fcntl(void)
{
	return fcntl(3, F_SETOWN, 1);
}

static long try_prctl(void)
{
	return prctl(PR_SET_DUMPABLE, 1);
}

static long try_uring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL);
}

static long try_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0);
}

static long try_setuid(void)
{
	return syscall(SYS_setuid, 0);
}

static long try_connect(void)
{
	const struct sockaddr address = {.sa_family = AF_UNSPEC};

	return sendto(3, "", 1, 0, &address, sizeof(address));
}

static long try_futex_pi(void)
{
	int word = 0;

	return syscall(SYS_futex, &word, 6 /* FUTEX_LOCK_PI */, 0, NULL, NULL,
		       0);
}

static long try_handler(void)
{
	return signal(SIGSEGV, SIG_IGN) == SIG_ERR ? -1 : 0;
}

/* call: what is reported; on both architectures. */
static const struct
try {
	const char *name;
	const char *call;
	long (*run)(void);
}
tries[] = {
	{"open", "openat", try_open},
	{"socket", "socket", try_socket},
	{"execve", "execve", try_execve},
	{"ptrace", "ptrace", try_ptrace},
	{"mount", "mount", try_mount},
	{"kill", "getppid", try_kill},
	{"kill-all", "kill", try_kill_all},
	{"signal", "tgkill", try_signal},
	{"mmap-exec", "mmap", try_mmap_exec},
	{"mprotect-exec", "mprotect", try_mprotect_exec},
	{"fork", "clone", try_fork},
	{"namespace", "unshare", try_namespace},
	{"ioctl", "ioctl", try_ioctl},
	{"tap", "ioctl", try_tap},
	{"fcntl", "fcntl", try_fcntl},
	{"prctl", "prctl", try_prctl},
	{"uring", "io_uring_setup", try_uring},
	{"bpf", "bpf", try_bpf},
	{"setuid", "setuid", try_setuid},
	{"connect", "sendto", try_connect},
	{"futex-pi", "futex", try_futex_pi},
	{"handler", "rt_sigaction", try_handler},
};

#define TRIES ((int)(sizeof(tries) / sizeof(tries[0])))

/* --- What must work in it --------------------------------------------------
 */

static void child_check(bool good, const char *what)
{
	if (good)
		return;
	jail_child_say(SPAWNER_CHANNEL_FD, "failed: %s: %s", what,
		       strerror(errno));
	_exit(1);
}

/* Reads the end of /dev/null. */
static void *child_thread(void *ctx)
{
	struct iovec iov = {ctx, 1};

	child_check(preadv2(0, &iov, 1, 0, 0) == 0, "preadv2");
	free(malloc(1000));
	return ctx;
}

static void child_use_threads(void)
{
	pthread_t threads[4];
	char bytes[4];
	void *result;

	for (int i = 0; i < 4; i++)
		child_check(!pthread_create(&threads[i], NULL, child_thread,
					    &bytes[i]),
			    "pthread_create");
	for (int i = 0; i < 4; i++)
		child_check(!pthread_join(threads[i], &result) &&
				    result == &bytes[i],
			    "pthread_join");
}

static void child_use_memory(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *big = malloc(8 << 20), *bigger;
	struct stat st;
	void *map;

	child_check(fd >= 0 && ftruncate(fd, 65536) == 0, "memfd_create");
	child_check(fstat(fd, &st) == 0 && st.st_size == 65536, "fstat");
	child_check(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0 &&
			    fcntl(fd, F_GET_SEALS) == F_SEAL_SHRINK,
		    "seals");
	map = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_NORESERVE, fd, 0);
	child_check(map != MAP_FAILED, "mmap");
	child_check(madvise(map, 65536, MADV_DONTDUMP) == 0, "madvise");
	child_check(munmap(map, 65536) == 0 && close(fd) == 0, "munmap");
	child_check(big != NULL, "malloc");
	memset(big, 1, 8 << 20);
	bigger = realloc(big, 32 << 20);
	child_check(bigger != NULL, "realloc");
	free(bigger);
}

/* It was made before. */
static void child_use_epoll(int epoll)
{
	struct pollfd channel = {.fd = SPAWNER_CHANNEL_FD, .events = POLLIN};
	struct epoll_event event = {.events = EPOLLIN};
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	child_check(fd >= 0 && eventfd_write(fd, 1) == 0, "eventfd");
	child_check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0,
		    "epoll_ctl");
	child_check(epoll_wait(epoll, &event, 1, 1000) == 1, "epoll_wait");
	close(fd);
	child_check(poll(&channel, 1, 0) == 0, "poll");
}

/* A tap's, of what is none. */
static void child_use_tap(void)
{
	int carrier = 1;

	child_check(ioctl(0, TUNSETCARRIER, &carrier) < 0 && errno == ENOTTY,
		    "TUNSETCARRIER");
	child_check(ioctl(0, TUNSETOFFLOAD, 0) < 0 && errno == ENOTTY,
		    "TUNSETOFFLOAD");
}

static void child_use(int epoll)
{
	uint8_t bytes[16];

	child_use_memory();
	child_use_epoll(epoll);
	child_check(getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) == 16,
		    "getrandom");
	if (child_ops->seccomp->threads)
		child_use_threads();
	if (!strcmp(child_ops->type, "net"))
		child_use_tap();
}

/* --- The child -------------------------------------------------------------
 */

static void child_enter(enum jail_mode mode, int extra)
{
	const int keep[] = {SPAWNER_CHANNEL_FD, extra};
	const struct jail_config config = {
		.label = child_ops->type,
		.calls = child_ops->seccomp,
		.keep_fds = keep,
		.keep_count = extra >= 0 ? 2 : 1,
		.report_fd = SPAWNER_CHANNEL_FD,
		.mode = mode,
	};
	struct error err = {""};

	/* What has to go. */
	open("/etc/passwd", O_RDONLY);
	dup2(0, 700);
	if (jail_begin(SPAWNER_CHANNEL_FD) || jail_enter(&config, &err)) {
		jail_child_say(SPAWNER_CHANNEL_FD, "failed: %s", err.text);
		_exit(1);
	}
	jail_child_say(SPAWNER_CHANNEL_FD, "entered");
}

static void child_try(const char *name)
{
	for (int i = 0; i < TRIES; i++) {
		long ret;

		if (strcmp(name, tries[i].name) != 0)
			continue;
		ret = tries[i].run();
		jail_child_say(SPAWNER_CHANNEL_FD, "%s: %ld %d", name, ret,
			       errno);
		_exit(0);
	}
	_exit(1);
}

/* The parent says what: the name of a try, "use", "wait", "abort". */
static int child_run(const char *type)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	char what[32] = "";
	struct pollfd channel = {.fd = SPAWNER_CHANNEL_FD, .events = POLLIN};
	bool log;

	child_ops = virtio_table_find(type);
	if (recv(SPAWNER_CHANNEL_FD, what, sizeof(what) - 1, 0) <= 0)
		return 1;
	log = what[0] == '?';
	child_enter(log ? JAIL_LOG : JAIL_ON, epoll);
	if (!strcmp(what, "use"))
		child_use(epoll);
	else if (!strcmp(what, "abort"))
		abort();
	else if (!strcmp(what, "wait"))
		poll(&channel, 1, -1);
	else
		child_try(what + log);
	jail_child_say(SPAWNER_CHANNEL_FD, "done");
	_exit(0);
}

static int child_block(int channel)
{
	(void)channel;
	return child_run("block");
}

static int child_console(int channel)
{
	(void)channel;
	return child_run("console");
}

static int child_net(int channel)
{
	(void)channel;
	return child_run("net");
}

static int child_rng(int channel)
{
	(void)channel;
	return child_run("rng");
}

static const struct jail_child_role roles[] = {
	{"block", child_block}, {"console", child_console},
	{"net", child_net},	{"rng", child_rng},
	{NULL, NULL},
};

#define TYPES 4

/* --- Cases -----------------------------------------------------------------
 */

static void setup(void)
{
	struct error err = {""};
	int ret = spawner_new(&spawner, &err);

	ck_assert_msg(ret == 0, "%s", err.text);
}

static void teardown(void)
{
	spawner_free(spawner);
}

/* A child that has closed its jail, and goes on with what. */
static void start(struct jail_child *child, const char *type, const char *what)
{
	char text[1100];

	jail_child_start(child, spawner, type, JAIL_ON);
	ck_assert_int_gt(send(child->channel, what, strlen(what), 0), 0);
	ck_assert(jail_child_hear(child, text, sizeof(text)));
	ck_assert_str_eq(text, "entered");
}

/* Each with each list. */
static void check_tries(const char *type)
{
	struct jail_child child;
	char text[256], call[64];
	int status, number, len;

	for (int i = 0; i < TRIES; i++) {
		start(&child, type, tries[i].name);
		ck_assert_msg(jail_child_hear(&child, text, sizeof(text)),
			      "%s: nothing reported", tries[i].name);
		ck_assert_msg(sscanf(text, "{\"violation\":{\"call\":%d}}%n",
				     &number, &len) == 1 &&
				      text[len] == '\0',
			      "%s", text);
		jail_call_name(number, call, sizeof(call));
		ck_assert_str_eq(call, tries[i].call);
		ck_assert(!jail_child_hear(&child, text, sizeof(text)));
		status = jail_child_end(&child);
		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
			      "%s: status 0x%x", tries[i].name, status);
	}
}

START_TEST(jail_enter_call_not_listed_kills_and_is_reported)
{
	check_tries(roles[_i].type);
}
END_TEST

START_TEST(jail_enter_what_a_type_needs_works)
{
	struct jail_child child;
	char text[256];

	start(&child, roles[_i].type, "use");
	ck_assert_msg(jail_child_hear(&child, text, sizeof(text)), "died");
	ck_assert_str_eq(text, "done");
	ck_assert_int_eq(jail_child_end(&child), 0);
}
END_TEST

START_TEST(jail_enter_abort_is_no_violation)
{
	struct jail_child child;
	char text[256];
	int status;

	start(&child, roles[_i].type, "abort");
	ck_assert(!jail_child_hear(&child, text, sizeof(text)));
	status = jail_child_end(&child);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) != SIGSYS,
		      "status 0x%x", status);
}
END_TEST

/* A line of /proc/PID/status, as a hexadecimal number. */
static unsigned long status_of(pid_t pid, const char *key)
{
	char path[64], line[256];
	unsigned long value = 0;
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)) != 0 ||
		    line[strlen(key)] != ':')
			continue;
		value = strtoul(line + strlen(key) + 1, NULL, 16);
		found = true;
	}
	fclose(file);
	ck_assert_msg(found, "%s: no %s", path, key);
	return value;
}

/* What is in a directory of /proc/PID: names in order, "." and ".." aside. */
static void list_of(pid_t pid, const char *name, char *out, size_t size)
{
	struct dirent **entries;
	char path[64];
	int count;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	count = scandir(path, &entries, NULL, versionsort);
	ck_assert_msg(count >= 0, "%s: %s", path, strerror(errno));
	*out = '\0';
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.')
			snprintf(out + strlen(out), size - strlen(out), "%s ",
				 entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

static void check_namespaces(pid_t pid)
{
	static const char *const all[] = {"user", "pid", "mnt",
					  "net",  "ipc", "uts"};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char path[64];
		struct stat ours, theirs;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", all[i]);
		ck_assert_int_eq(stat(path, &ours), 0);
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, all[i]);
		ck_assert_int_eq(stat(path, &theirs), 0);
		ck_assert_uint_ne(ours.st_ino, theirs.st_ino);
	}
}

static void check_mounts(pid_t pid)
{
	char path[64], line[512];
	int count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/mounts", pid);
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file)) {
		ck_assert_int_eq(count++, 0);
		ck_assert_msg(!strncmp(line,
				       "bantam / tmpfs ro,nosuid,nodev,"
				       "noexec",
				       37),
			      "%s", line);
	}
	fclose(file);
	ck_assert_int_eq(count, 1);
}

static void check_proc(pid_t pid, const char *type)
{
	static const char *const sets[] = {"CapInh", "CapPrm", "CapEff",
					   "CapBnd", "CapAmb"};
	char text[512], path[64], name[32];
	ssize_t len;
	int fd;

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		ck_assert_msg(status_of(pid, sets[i]) == 0, "%s", sets[i]);
	ck_assert_uint_eq(status_of(pid, "NoNewPrivs"), 1);
	ck_assert_uint_eq(status_of(pid, "Seccomp"), jail_has_filter() ? 2 : 0);
	list_of(pid, "root", text, sizeof(text));
	ck_assert_str_eq(text, "");
	list_of(pid, "cwd", text, sizeof(text));
	ck_assert_str_eq(text, "");
	/* 4 is epoll's. */
	list_of(pid, "fd", text, sizeof(text));
	ck_assert_str_eq(text, "0 1 2 3 4 ");
	check_namespaces(pid);
	check_mounts(pid);
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY);
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	ck_assert_int_gt(len, 0);
	text[len - 1] = '\0';
	snprintf(name, sizeof(name), "bantam-%s", type);
	ck_assert_str_eq(text, name);
}

static void check_limits(pid_t pid)
{
	struct rlimit limit;

	ck_assert_int_eq(prlimit(pid, RLIMIT_CORE, NULL, &limit), 0);
	ck_assert_uint_eq(limit.rlim_max, 0);
	ck_assert_int_eq(prlimit(pid, RLIMIT_NOFILE, NULL, &limit), 0);
	ck_assert_uint_le(limit.rlim_max, 1024);
}

static void check_closed(const char *type)
{
	struct jail_child child;

	start(&child, type, "wait");
	check_proc(child.process.pid, type);
	check_limits(child.process.pid);
	shutdown(child.channel, SHUT_WR);
	ck_assert_int_eq(jail_child_end(&child), 0);
}

START_TEST(jail_enter_from_outside_nothing_is_left)
{
	check_closed(roles[_i].type);
}
END_TEST

/* As who may do nothing, when the test's user may do all. */
static int as_nobody(void)
{
	if (setresgid(65534, 65534, 65534) < 0 ||
	    setresuid(65534, 65534, 65534) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
		return -errno;
	return 0;
}

START_TEST(jail_enter_as_an_ordinary_user)
{
	if (geteuid() == 0)
		ck_assert_int_eq(as_nobody(), 0);
	setup();
	check_closed(roles[_i].type);
	if (jail_has_filter())
		check_tries(roles[_i].type);
	teardown();
}
END_TEST

/* --- JAIL_LOG --------------------------------------------------------------
 */

static int hear_notify(const struct jail_child *child)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char text[64] = "";
	struct iovec iov = {text, sizeof(text) - 1};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	int fd;

	ck_assert_int_gt(recvmsg(child->channel, &message, 0), 0);
	ck_assert_str_eq(text, "{\"notify\":true}");
	ck_assert_ptr_nonnull(CMSG_FIRSTHDR(&message));
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

START_TEST(jail_notice_call_goes_on_and_is_named)
{
	struct pollfd poll_notify = {.events = POLLIN};
	struct jail_child child;
	char text[256];

	jail_child_start(&child, spawner, roles[_i].type, JAIL_LOG);
	ck_assert_int_eq(send(child.channel, "?open", 5, 0), 5);
	poll_notify.fd = hear_notify(&child);
	ck_assert(jail_child_hear(&child, text, sizeof(text)));
	ck_assert_str_eq(text, "entered");
	ck_assert_int_eq(poll(&poll_notify, 1, 10000), 1);
	ck_assert_int_eq(poll_notify.revents, POLLIN);
	ck_assert_int_eq(jail_notice(poll_notify.fd, text, sizeof(text)), 0);
	ck_assert_str_eq(text, "openat");
	ck_assert(jail_child_hear(&child, text, sizeof(text)));
	/* ENOENT: its root is empty. */
	ck_assert_str_eq(text, "open: -1 2");
	ck_assert_int_eq(jail_child_end(&child), 0);
	ck_assert_int_eq(poll(&poll_notify, 1, 10000), 1);
	ck_assert(poll_notify.revents & POLLHUP);
	close(poll_notify.fd);
}
END_TEST

/* --- A host that refuses ---------------------------------------------------
 */

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	ck_assert_msg(fd >= 0 && write(fd, text, strlen(text)) > 0, "%s: %s",
		      path, strerror(errno));
	close(fd);
}

static const struct {
	const char *limit, *what;
} refusals[] = {
	{"user", "a user namespace"},
	{"net", "a network namespace"},
	{"ipc", "an IPC namespace"},
	{"uts", "a UTS namespace"},
	{"pid", "a user, PID and mount namespace"},
	{"mnt", "a user, PID and mount namespace"},
};

/* In a user namespace whose own limit is 0. */
START_TEST(spawner_start_refused_namespace_is_named)
{
	struct spawner_request request = {.type = "rng", .mode = JAIL_ON};
	struct spawner_child child;
	struct error err = {""};
	char path[64], users[32], groups[32];
	int ends[2];

	snprintf(users, sizeof(users), "0 %u 1", geteuid());
	snprintf(groups, sizeof(groups), "0 %u 1", getegid());
	ck_assert_int_eq(unshare(CLONE_NEWUSER), 0);
	write_file("/proc/self/uid_map", users);
	write_file("/proc/self/setgroups", "deny");
	write_file("/proc/self/gid_map", groups);
	snprintf(path, sizeof(path), "/proc/sys/user/max_%s_namespaces",
		 refusals[_i].limit);
	write_file(path, "0");
	setup();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	request.channel_fd = ends[0];
	ck_assert_int_eq(spawner_start(spawner, &request, &child, &err),
			 -ENOSPC);
	ck_assert_msg(strstr(err.text, refusals[_i].what), "%s", err.text);
	ck_assert_msg(strstr(err.text, "max_*_namespaces"), "%s", err.text);
	ck_assert_msg(strstr(err.text, "--sandbox off"), "%s", err.text);
	/* That one works. */
	request.mode = JAIL_OFF;
	ck_assert_int_eq(spawner_start(spawner, &request, &child, &err), 0);
	kill(child.pid, SIGKILL);
	ck_assert_int_eq(waitpid(child.pid, NULL, 0), child.pid);
	teardown();
}
END_TEST

static TCase *refused_case(void)
{
	TCase *tc = tcase_create("refused");

	tcase_add_loop_test(tc, spawner_start_refused_namespace_is_named, 0,
			    sizeof(refusals) / sizeof(refusals[0]));
	return tc;
}

static TCase *jail_case(void)
{
	TCase *tc = tcase_create("jail");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, jail_enter_what_a_type_needs_works, 0, TYPES);
	tcase_add_loop_test(tc, jail_enter_from_outside_nothing_is_left, 0,
			    TYPES);
	if (!jail_has_filter()) {
		printf("skip: test_jail: filters: this sanitizer makes system "
		       "calls of its own\n");
		return tc;
	}
	tcase_add_loop_test(
		tc, jail_enter_call_not_listed_kills_and_is_reported, 0, TYPES);
	/* A sanitizer has an idea of its own of abort(3), too. */
	tcase_add_loop_test(tc, jail_enter_abort_is_no_violation, 0, TYPES);
	tcase_add_loop_test(tc, jail_notice_call_goes_on_and_is_named, 0,
			    TYPES);
	return tc;
}

static TCase *user_case(void)
{
	TCase *tc = tcase_create("user");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, jail_enter_as_an_ordinary_user, 0, TYPES);
	return tc;
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("jail");
	SRunner *runner;
	int failed;

	jail_child_run(argc, argv, roles);
	runner = srunner_create(suite);
	if (jail_child_possible("test_jail")) {
		suite_add_tcase(suite, jail_case());
		suite_add_tcase(suite, user_case());
		suite_add_tcase(suite, refused_case());
	}
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
