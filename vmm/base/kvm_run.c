/*
 * Theory of operation. A timer sends SIGRTMIN, whose handler sets
 * immediate_exit in the vCPU's kvm_run. If KVM_RUN is under way then, the
 * signal ends it; if the signal came just before, immediate_exit does (api.rst,
 * KVM_RUN). The handler gets the address from the timer, so nothing is global.
 */
#include "vmm/base/kvm_run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define KVM_RUN_SIGNAL SIGRTMIN

static void kvm_run_time_is_up(int signum, siginfo_t *info, void *context)
{
	struct kvm_run *run = info->si_value.sival_ptr;

	(void)signum;
	(void)context;
	__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_RELAXED);
}

/* Let the handler be called for this vCPU in @limit ms. */
static int kvm_run_start_timer(struct kvm_run *run, unsigned int limit,
			       timer_t *timer, struct error *err)
{
	struct sigaction action = {
		.sa_sigaction = kvm_run_time_is_up,
		.sa_flags = SA_SIGINFO, /* no SA_RESTART: KVM_RUN must end */
	};
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = KVM_RUN_SIGNAL,
		.sigev_value.sival_ptr = run,
	};
	struct itimerspec when = {
		.it_value = {.tv_sec = limit / 1000,
			     .tv_nsec = limit % 1000 * 1000000L},
	};
	sigset_t set;

	/* Whoever started us may have it blocked. */
	sigemptyset(&set);
	sigaddset(&set, KVM_RUN_SIGNAL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigaction(KVM_RUN_SIGNAL, &action, NULL);
	if (timer_create(CLOCK_MONOTONIC, &event, timer) < 0)
		return error_set(err, errno, "timer_create fails: %s",
				 strerror(errno));
	timer_settime(*timer, 0, &when, NULL);
	return 0;
}

int kvm_run_for(int vcpu_fd, struct kvm_run *run, unsigned int limit,
		bool *in_time, struct error *err)
{
	timer_t timer;
	int ret, errnum = 0;

	run->immediate_exit = 0;
	ret = kvm_run_start_timer(run, limit, &timer, err);
	if (ret)
		return ret;
	/* Other signals, such as that of a resized terminal, do not count. */
	do {
		ret = ioctl(vcpu_fd, KVM_RUN, 0UL);
		errnum = errno;
	} while (ret < 0 && (errnum == EINTR || errnum == EAGAIN) &&
		 !__atomic_load_n(&run->immediate_exit, __ATOMIC_RELAXED));
	timer_delete(timer);
	*in_time = ret == 0;
	if (ret == 0 || errnum == EINTR || errnum == EAGAIN)
		return 0;
	return error_set(err, errnum, "KVM_RUN fails: %s", strerror(errnum));
}
