/*
 * What the threads of the machine's process may ask of the kernel while the
 * guest runs, and what for. Device models that run in it have their own lists
 * on top (virtio/seccomp.c). See docs/HACKING.md for what to do when a call is
 * missing.
 */
#include "vmm/confine_lists.h"

#include <errno.h>
#include <signal.h>

#include <asm/termbits.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "virtio/seccomp.h"

#define CONFINE_COUNT(rules) (sizeof(rules) / sizeof((rules)[0]))

#define CALL(call, why)                             \
	{                                           \
		.number = SYS_##call, .reason = why \
	}

#define CALL_IF(call, index_, mask_, value, why)               \
	{                                                      \
		.number = SYS_##call, .reason = why, .args = { \
			{.index = index_,                      \
			 .mask = mask_,                        \
			 .expected = (uint64_t)value}          \
		}                                              \
	}

#define CALL_SELF(call, why)                                   \
	{                                                      \
		.number = SYS_##call, .reason = why, .args = { \
			{.mask = UINT32_MAX, .self = true}     \
		}                                              \
	}

#define IOCTL(request, why) CALL_IF(ioctl, 1, UINT32_MAX, request, why)
/* Any of KVM's, by its type. */
#define IOCTL_KVM(why) CALL_IF(ioctl, 1, 0xff00, KVMIO << 8, why)

/* --- A vCPU's thread -------------------------------------------------------
 */

static const struct syscall_rule confine_vcpu_rules[] = {
	IOCTL(KVM_RUN, "the guest"),
	/* Interrupts and doorbells, as the guest sets them up. */
	IOCTL(KVM_IRQ_LINE, "an interrupt pin"),
	IOCTL(KVM_SIGNAL_MSI, "a message without a route"),
	IOCTL(KVM_IRQFD, "an MSI-X vector opens or closes"),
	IOCTL(KVM_IOEVENTFD, "a doorbell comes or goes"),
	IOCTL(KVM_SET_GSI_ROUTING, "an MSI-X vector changes"),
	/* What an exit handler asks of its own vCPU. */
	IOCTL(KVM_GET_ONE_REG, "arch/aarch64: an access without a syndrome"),

	CALL_SELF(tgkill, "vmm/vcpu.c: another vCPU is kicked"),
	CALL_IF(pidfd_send_signal, 1, UINT32_MAX, SIGKILL,
		"a device process that is silent at a reset"),
	CALL_IF(prctl, 0, UINT32_MAX, PR_SET_NAME, "the thread's name"),
	CALL(sched_yield, "locks"),
};

const struct syscall_list confine_vcpu_list = {
	.base = &virtio_seccomp_common,
	.rules = confine_vcpu_rules,
	.count = CONFINE_COUNT(confine_vcpu_rules),
};

/* --- Main ------------------------------------------------------------------
 */

#define CONFINE_THREAD                                                      \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | \
	 CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |               \
	 CLONE_CHILD_CLEARTID)

static const struct syscall_rule confine_main_rules[] = {
	IOCTL_KVM("reset, pause, state, interrupts"),

	/* The terminal, and outputs that are terminals. */
	IOCTL(TCSETS, "vmm/terminal.c"),
	IOCTL(TCSETSW, "vmm/terminal.c"),
	IOCTL(TCSETSF, "vmm/terminal.c"),
	IOCTL(TIOCGWINSZ, "vmm/console.c: the window's size"),
	IOCTL(TIOCGPTN, "vmm/reopen.c"),
	IOCTL(FIONREAD, "how much there is to read"),

	/* Files: the kernel at a reboot, outputs, --result, sockets' names. */
	CALL(openat, "outputs that are opened anew, --result"),
	CALL(newfstatat, "stat(2) of these"),
	CALL(statx, "likewise"),
#ifdef SYS_stat
	CALL(stat, "likewise"),
	CALL(lstat, "likewise"),
	CALL(readlink, "realpath(3)"),
	CALL(rename, "--result"),
	CALL(unlink, "names of sockets that end"),
	CALL(access, "outputs"),
#endif
	CALL(readlinkat, "realpath(3)"),
	CALL(renameat, "--result"),
	CALL(renameat2, "--result"),
	CALL(unlinkat, "names of sockets that end"),
	CALL(faccessat, "outputs"),
	CALL(getcwd, "realpath(3)"),
	CALL(umask, "--result"),
	CALL(fchmod, "--result"),
	CALL(flock, "vmm/listen.c"),
	CALL(fsync, "--result"),
	CALL(fdatasync, "disks"),
	CALL(readv, "stdio"),
	CALL(pread64, "the kernel, at a reboot"),
	CALL(pwrite64, "files"),
	CALL(fallocate, "guest memory is given back at a reboot"),
	CALL(madvise, "likewise"),
	CALL(fcntl, "outputs, duplicates for device processes"),
	CALL(dup, "likewise"),
	CALL(dup3, "likewise"),

	/* Clients, and device processes. */
	CALL(accept4, "the control socket, consoles"),
	CALL(accept, "likewise"),
	CALL(getsockopt, "who a client is"),
	CALL(setsockopt, "sockets of consoles"),
	CALL(socketpair, "channels of a device process"),
	CALL(pipe2, "likewise"),
	CALL(shutdown, "the end of one"),
	CALL(epoll_create1, "loops"),
	CALL(signalfd4, "signals"),
	CALL(rt_sigaction, "signals"),
	CALL(rt_sigtimedwait, "signals"),
	CALL(waitid, "how a process ended"),
	CALL(wait4, "likewise"),
	CALL(pidfd_open, "a process"),
	CALL_IF(pidfd_send_signal, 1, UINT32_MAX, SIGKILL,
		"a device process, passt"),
	CALL_IF(kill, 1, UINT32_MAX, SIGKILL, "the spawner"),
	CALL_SELF(tgkill, "vCPUs are kicked, the terminal's signals"),
	CALL_IF(prctl, 0, UINT32_MAX, PR_SET_NAME, "a thread's name"),

	/* Threads: glibc asks clone3 first, whose flags are out of a filter's
	 * sight. */
	{.number = SYS_clone3, .reason = "pthread_create(3)", .errnum = ENOSYS},
	CALL_IF(clone, 0, UINT32_MAX, CONFINE_THREAD, "pthread_create(3)"),
	CALL(set_robust_list, "a thread's start"),
	CALL(rseq, "a thread's start"),

	/* What tells something and changes nothing. */
	CALL(uname, "--result"),
	CALL(sysinfo, "qsort(3)"),
	CALL(getrusage, "status"),
	CALL(sched_getaffinity, "malloc(3)"),
	CALL(sched_yield, "locks"),
	CALL(getuid, "who may connect"),
	CALL(geteuid, "likewise"),
	CALL(getgid, "likewise"),
	CALL(getegid, "likewise"),
	CALL(getppid, "likewise"),
	CALL(clock_nanosleep, "nanosleep(3)"),
	CALL(nanosleep, "likewise"),
};

const struct syscall_list confine_main_list = {
	.base = &virtio_seccomp_common,
	.rules = confine_main_rules,
	.count = CONFINE_COUNT(confine_main_rules),
	.threads = true,
};
