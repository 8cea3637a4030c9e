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
#include <sys/socket.h>
#include <sys/syscall.h>

#include "virtio/seccomp.h"

#define IOCTL(request, why) SYSCALL_RULE_IF(ioctl, 1, UINT32_MAX, request, why)
/* Any of KVM's, by its type. */
#define IOCTL_KVM(why) SYSCALL_RULE_IF(ioctl, 1, 0xff00, KVMIO << 8, why)

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

	SYSCALL_RULE_SELF(tgkill, 0, 0, 0,
			  "vmm/vcpu.c: another vCPU is kicked"),
	SYSCALL_RULE_IF(pidfd_send_signal, 1, UINT32_MAX, SIGKILL,
			"a device process that is silent at a reset"),
	SYSCALL_RULE(shutdown, "a vhost-user backend that is"),
	SYSCALL_RULE_IF(prctl, 0, UINT32_MAX, PR_SET_NAME, "the thread's name"),
	SYSCALL_RULE(sched_yield, "locks"),
};

const struct syscall_list confine_vcpu_list = {
	.base = &virtio_seccomp_common,
	.rules = confine_vcpu_rules,
	.count = SYSCALL_RULES(confine_vcpu_rules),
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
	IOCTL(TIOCGPGRP, "vmm/terminal.c: whose it is"),
	IOCTL(TCSETS, "vmm/terminal.c"),
	IOCTL(TCSETSW, "vmm/terminal.c"),
	IOCTL(TCSETSF, "vmm/terminal.c"),
	IOCTL(TIOCGWINSZ, "vmm/console.c: the window's size"),
	IOCTL(TIOCGPTN, "vmm/reopen.c"),
	IOCTL(FIONREAD, "how much there is to read"),

	/* Files: the kernel at a reboot, outputs, --result, sockets' names. */
	SYSCALL_RULE(openat, "outputs that are opened anew, --result"),
	SYSCALL_RULE(newfstatat, "stat(2) of these"),
	SYSCALL_RULE(statx, "likewise"),
#ifdef SYS_stat
	SYSCALL_RULE(stat, "likewise"),
	SYSCALL_RULE(lstat, "likewise"),
	SYSCALL_RULE(readlink, "realpath(3)"),
	SYSCALL_RULE(rename, "--result"),
	SYSCALL_RULE(unlink, "names of sockets that end"),
	SYSCALL_RULE(access, "outputs"),
#endif
	SYSCALL_RULE(readlinkat, "realpath(3)"),
	SYSCALL_RULE(renameat, "--result"),
	SYSCALL_RULE(renameat2, "--result"),
	SYSCALL_RULE(unlinkat, "names of sockets that end"),
	SYSCALL_RULE(faccessat, "outputs"),
	SYSCALL_RULE(getcwd, "realpath(3)"),
	SYSCALL_RULE(umask, "--result"),
	SYSCALL_RULE(fchmod, "--result"),
	SYSCALL_RULE(flock, "vmm/listen.c"),
	SYSCALL_RULE(fsync, "--result"),
	SYSCALL_RULE(fdatasync, "disks"),
	SYSCALL_RULE(readv, "stdio"),
	SYSCALL_RULE(pread64, "the kernel, at a reboot"),
	SYSCALL_RULE(pwrite64, "files"),
	SYSCALL_RULE(fallocate, "guest memory is given back at a reboot"),
	SYSCALL_RULE(madvise, "likewise"),
	SYSCALL_RULE(fcntl, "outputs, duplicates for device processes"),
	SYSCALL_RULE(dup, "likewise"),
	SYSCALL_RULE(dup3, "likewise"),

	/* Clients, and device processes. */
	SYSCALL_RULE_IF(socket, 0, UINT32_MAX, AF_UNIX,
			"--vhost-user: a backend that comes back"),
	SYSCALL_RULE(connect, "likewise"),
	SYSCALL_RULE(accept4, "the control socket, consoles"),
	SYSCALL_RULE(accept, "likewise"),
	SYSCALL_RULE(getsockopt, "who a client is"),
	SYSCALL_RULE(setsockopt, "sockets of consoles"),
	SYSCALL_RULE(socketpair, "channels of a device process"),
	SYSCALL_RULE(pipe2, "likewise"),
	SYSCALL_RULE(shutdown, "the end of one"),
	SYSCALL_RULE(epoll_create1, "loops"),
	SYSCALL_RULE(signalfd4, "signals"),
	SYSCALL_RULE(rt_sigaction, "signals"),
	SYSCALL_RULE(rt_sigtimedwait, "signals"),
	SYSCALL_RULE(waitid, "how a process ended"),
	SYSCALL_RULE(wait4, "likewise"),
	SYSCALL_RULE(pidfd_open, "a process"),
	SYSCALL_RULE_IF(pidfd_send_signal, 1, UINT32_MAX, SIGKILL,
			"a device process, passt"),
	SYSCALL_RULE_IF(kill, 1, UINT32_MAX, SIGKILL, "the spawner"),
	SYSCALL_RULE_SELF(tgkill, 0, 0, 0,
			  "vCPUs are kicked, the terminal's signals"),
	SYSCALL_RULE_IF(prctl, 0, UINT32_MAX, PR_SET_NAME, "a thread's name"),

	/* Threads: glibc asks clone3 first, whose flags are out of a filter's
	 * sight. */
	SYSCALL_RULE_FAILS(clone3, ENOSYS, "pthread_create(3)"),
	SYSCALL_RULE_IF(clone, 0, UINT32_MAX, CONFINE_THREAD,
			"pthread_create(3)"),
	SYSCALL_RULE(set_robust_list, "a thread's start"),
	SYSCALL_RULE(rseq, "a thread's start"),

	/* What tells something and changes nothing. */
	SYSCALL_RULE(getpgid, "vmm/terminal.c"),
#ifdef SYS_getpgrp
	SYSCALL_RULE(getpgrp, "likewise"),
#endif
	SYSCALL_RULE(uname, "--result"),
	SYSCALL_RULE(sysinfo, "qsort(3)"),
	SYSCALL_RULE(getrusage, "status"),
	SYSCALL_RULE(sched_getaffinity, "malloc(3)"),
	SYSCALL_RULE(sched_yield, "locks"),
	SYSCALL_RULE(getuid, "who may connect"),
	SYSCALL_RULE(geteuid, "likewise"),
	SYSCALL_RULE(getgid, "likewise"),
	SYSCALL_RULE(getegid, "likewise"),
	SYSCALL_RULE(getppid, "likewise"),
	SYSCALL_RULE(clock_nanosleep, "nanosleep(3)"),
	SYSCALL_RULE(nanosleep, "likewise"),
};

const struct syscall_list confine_main_list = {
	.base = &virtio_seccomp_common,
	.rules = confine_main_rules,
	.count = SYSCALL_RULES(confine_main_rules),
	.threads = true,
};
