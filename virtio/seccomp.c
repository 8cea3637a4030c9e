/*
 * What each type of device process may ask of the kernel once its jail is
 * closed, and what for. All else kills it. docs/HACKING.md says how to find out
 * which call is missing; a call goes in here with the most that can be said of
 * its arguments.
 *
 * The lists are for glibc and musl on both architectures: where one of them
 * makes another call for the same purpose, both are there.
 */
#include "virtio/seccomp.h"

#include <errno.h>
#include <signal.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include "virtio/net_tun.h"

#define SECCOMP_INT UINT32_MAX

#define SECCOMP_FUTEX \
	(SECCOMP_INT & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME))

static const struct syscall_rule seccomp_common[] = {
/* The loop. Architectures after x86_64 have the p variants alone. */
#ifdef SYS_epoll_wait
	SYSCALL_RULE(epoll_wait, "vmm/base/loop.c"),
#endif
	SYSCALL_RULE(epoll_pwait, "vmm/base/loop.c"),
	SYSCALL_RULE(epoll_ctl, "vmm/base/loop.c: what it waits for changes"),
#ifdef SYS_poll
	SYSCALL_RULE(poll, "deadlines of answers, a reader of the log"),
#endif
	SYSCALL_RULE(ppoll, "likewise"),
	SYSCALL_RULE(restart_syscall, "poll(2) after a stop and SIGCONT"),
	SYSCALL_RULE(timerfd_create,
		     "virtio/device_watch.c: timers of a model"),
	SYSCALL_RULE(timerfd_settime, "likewise"),
	SYSCALL_RULE(eventfd2, "a queue whose frontend gives none"),
	SYSCALL_RULE(clock_gettime, "a host clock that the vDSO cannot read"),
	SYSCALL_RULE(gettimeofday, "likewise"),

	/* Kicks, calls, timers, the log, device state through a pipe. */
	SYSCALL_RULE(read, "eventfds, timers, device state"),
	SYSCALL_RULE(write, "eventfds, device state"),
	SYSCALL_RULE(writev, "vmm/base/log.c"),
	SYSCALL_RULE_IF(ioctl, 1, SECCOMP_INT, TCGETS,
			"log.c: a terminal's mode"),

	/* The frontend's socket, and the side channel. */
	SYSCALL_RULE(recvmsg, "messages, with descriptors"),
	SYSCALL_RULE(sendmsg, "likewise"),
	SYSCALL_RULE(recvfrom, "recv(2)"),
	SYSCALL_RULE_IF(sendto, 4, UINT64_MAX, 0, "send(2): to nowhere else"),
	SYSCALL_RULE(close, "descriptors that a frontend gave"),
	SYSCALL_RULE_IF(fcntl, 1, SECCOMP_INT, F_GETFL,
			"the frontend's eventfds"),
	SYSCALL_RULE_IF(fcntl, 1, SECCOMP_INT, F_SETFL,
			"they do not block here"),
	SYSCALL_RULE_IF(fcntl, 1, SECCOMP_INT, F_GETFD, "whether there is one"),
	SYSCALL_RULE_IF(fcntl, 1, SECCOMP_INT, F_GET_SEALS,
			"memory that stays"),
	SYSCALL_RULE_IF(fcntl, 1, SECCOMP_INT, F_ADD_SEALS,
			"the in-flight region"),
	SYSCALL_RULE(memfd_create, "the in-flight region"),
	SYSCALL_RULE(ftruncate, "likewise"),
	SYSCALL_RULE(lseek, "whether a descriptor is memory, and how much"),
	SYSCALL_RULE(fstat, "likewise"),
	SYSCALL_RULE_IF(newfstatat, 3, SECCOMP_INT, AT_EMPTY_PATH, "fstat(3)"),
	SYSCALL_RULE(fstatfs, "huge pages"),

	/* Memory: never to be executed. */
	SYSCALL_RULE_IF(mmap, 2, PROT_EXEC, 0, "guest memory, malloc(3)"),
	SYSCALL_RULE_IF(mprotect, 2, PROT_EXEC, 0,
			"malloc(3) of a thread, stacks"),
	SYSCALL_RULE(munmap, "guest memory, malloc(3)"),
	SYSCALL_RULE(mremap, "realloc(3)"),
	SYSCALL_RULE(brk, "malloc(3)"),
	SYSCALL_RULE_IF(madvise, 2, SECCOMP_INT, MADV_DONTDUMP, "guest memory"),
	SYSCALL_RULE_IF(madvise, 2, SECCOMP_INT, MADV_DONTNEED, "free(3)"),
	SYSCALL_RULE_IF(madvise, 2, SECCOMP_INT, MADV_FREE, "free(3)"),
	SYSCALL_RULE(getrandom, "malloc(3) and hash tables of the C libraries"),

	/* Locks of a device. Not the futexes that know priorities. */
	SYSCALL_RULE_IF(futex, 1, SECCOMP_FUTEX, FUTEX_WAIT,
			"pthread_mutex_lock(3)"),
	SYSCALL_RULE_IF(futex, 1, SECCOMP_FUTEX, FUTEX_WAKE,
			"pthread_mutex_unlock(3)"),
	SYSCALL_RULE_IF(futex, 1, SECCOMP_FUTEX, FUTEX_WAIT_BITSET,
			"pthread_cond_wait(3), pthread_join(3)"),

	/* Signals: guest memory that is cut off (vmm/base/guest_fault.c), and
	 * abort(3), which sends one to itself. */
	SYSCALL_RULE(rt_sigreturn, "the end of a handler"),
	SYSCALL_RULE(rt_sigprocmask, "abort(3), threads"),
	SYSCALL_RULE_IF(rt_sigaction, 0, SECCOMP_INT, SIGBUS, "guest_fault.c"),
	SYSCALL_RULE_IF(rt_sigaction, 0, SECCOMP_INT, SIGABRT, "abort(3)"),
	SYSCALL_RULE(getpid, "abort(3)"),
	SYSCALL_RULE(gettid, "abort(3)"),
	SYSCALL_RULE_SELF(tgkill, 2, SECCOMP_INT, SIGABRT, "abort(3)"),
	SYSCALL_RULE(exit, "the end of a thread"),
	SYSCALL_RULE(exit_group, "the end"),
};

const struct syscall_list virtio_seccomp_common = {
	.rules = seccomp_common,
	.count = SYSCALL_RULES(seccomp_common),
	/* The largest in-flight region, and some. */
	.file_size = 64 << 20,
};

/* --- block -----------------------------------------------------------------
 */

/* What pthread_create(3) asks for. */
#define SECCOMP_THREAD                                                      \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | \
	 CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |               \
	 CLONE_CHILD_CLEARTID)

/* The two signals that C libraries keep for themselves: 32 and 33. */
#define SECCOMP_SIGCANCEL 32

static const struct syscall_rule seccomp_block[] = {
	/* The ring may do no more than block_uring.c has restricted it to. */
	SYSCALL_RULE(io_uring_enter,
		     "block_uring.c: all I/O, where there is one"),
	SYSCALL_RULE_IF(io_uring_register, 1, SECCOMP_INT,
			IORING_UNREGISTER_FILES, "the image is let go of"),

	/* Without io_uring, and for what a ring of this kernel lacks. */
	SYSCALL_RULE(preadv, "block_pool.c"),
	SYSCALL_RULE(preadv2, "block_pool.c"),
	SYSCALL_RULE(pwritev, "block_pool.c"),
	SYSCALL_RULE(pwritev2, "block_pool.c"),
	SYSCALL_RULE(fdatasync, "block_pool.c"),
	SYSCALL_RULE(fallocate, "block_pool.c: discard, write zeroes"),
	SYSCALL_RULE_IF(ioctl, 1, SECCOMP_INT, BLKDISCARD, "block_pool.c"),
	SYSCALL_RULE_IF(ioctl, 1, SECCOMP_INT, BLKGETSIZE64, "resize"),

	/* Threads of the pool: glibc asks clone3 first, whose flags are out of
	 * a filter's sight, and takes clone where there is none. */
	SYSCALL_RULE_FAILS(clone3, ENOSYS, "pthread_create(3)"),
	SYSCALL_RULE_IF(clone, 0, SECCOMP_INT, SECCOMP_THREAD,
			"pthread_create(3)"),
	SYSCALL_RULE_IF(
		rt_sigaction, 0, SECCOMP_INT & ~1U, SECCOMP_SIGCANCEL,
		"glibc's handlers for threads, SIGCANCEL and SIGSETXID"),
	SYSCALL_RULE(set_robust_list, "a thread's start"),
	SYSCALL_RULE(rseq, "a thread's start"),
	SYSCALL_RULE(set_tid_address, "a thread's start in musl"),
};

const struct syscall_list virtio_seccomp_block = {
	.base = &virtio_seccomp_common,
	.rules = seccomp_block,
	.count = SYSCALL_RULES(seccomp_block),
	.threads = true,
};

/* --- console ---------------------------------------------------------------
 */

/* Its ports are sockets, and common has these. */
const struct syscall_list virtio_seccomp_console = {
	.base = &virtio_seccomp_common,
	.file_size = 64 << 20,
};

/* --- net -------------------------------------------------------------------
 */

static const struct syscall_rule seccomp_net[] = {
	SYSCALL_RULE(readv, "net_tap.c: a frame from the tap"),
	SYSCALL_RULE_IF(ioctl, 1, SECCOMP_INT, TUNSETOFFLOAD,
			"net_tap.c: what the driver can take"),
	SYSCALL_RULE_IF(ioctl, 1, SECCOMP_INT, TUNSETQUEUE,
			"net_tap.c: how many pairs it uses"),
	SYSCALL_RULE_IF(ioctl, 1, SECCOMP_INT, TUNSETCARRIER,
			"net_tap.c: set-link"),
	SYSCALL_RULE_IF(waitid, 0, SECCOMP_INT, P_PIDFD,
			"net_user.c: how passt ended, where it is our child"),
};

const struct syscall_list virtio_seccomp_net = {
	.base = &virtio_seccomp_common,
	.rules = seccomp_net,
	.count = SYSCALL_RULES(seccomp_net),
	.file_size = 64 << 20,
};

/* --- rng -------------------------------------------------------------------
 */

/* Its source is read(2) or getrandom(2), and common has these. */
const struct syscall_list virtio_seccomp_rng = {
	.base = &virtio_seccomp_common,
	.file_size = 64 << 20,
};
