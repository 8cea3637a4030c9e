/*
 * The SIGBUS handler. It runs on whichever thread touched the memory, and
 * calls what is async-signal-safe, and mmap(2), which is a mere system call.
 */
#include "vmm/base/guest_fault.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

#include <sys/mman.h>

struct guest_fault_range {
	_Atomic uintptr_t start; /* 0: free */
	_Atomic size_t len;
};

/* A signal's handler has nothing else to reach it by. */
static struct guest_fault_range guest_fault_ranges[GUEST_FAULT_RANGES_MAX];
static struct loop_wake *_Atomic guest_fault_wake;
static _Atomic bool guest_fault_installed, guest_fault_seen;

static struct guest_fault_range *guest_fault_find(uintptr_t address)
{
	for (size_t i = 0; i < GUEST_FAULT_RANGES_MAX; i++) {
		struct guest_fault_range *range = &guest_fault_ranges[i];
		const uintptr_t start = range->start;

		if (start && address >= start && address - start < range->len)
			return range;
	}
	return NULL;
}

/* The whole range: pieces of one of huge pages cannot be replaced. */
static bool guest_fault_patch(const struct guest_fault_range *range)
{
	uintptr_t start = range->start;

	/* NOLINTNEXTLINE(performance-no-int-to-ptr): kept in an atomic */
	return mmap((void *)start, range->len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
		    0) != MAP_FAILED;
}

static void guest_fault_handle(int number, siginfo_t *info, void *context)
{
	const int saved = errno;
	const struct guest_fault_range *range;
	struct loop_wake *wake = guest_fault_wake;

	(void)context;
	range = info->si_code == BUS_ADRERR
			? guest_fault_find((uintptr_t)info->si_addr)
			: NULL;
	if (!range || !guest_fault_patch(range)) {
		/* A bug, or bad memory: the access is made again, and ends
		 * the process as it would have. */
		signal(number, SIG_DFL);
		return;
	}
	guest_fault_seen = true;
	if (wake)
		loop_wake_send(wake);
	errno = saved;
}

int guest_fault_install(struct loop_wake *wake)
{
	struct sigaction action = {
		.sa_sigaction = guest_fault_handle,
		.sa_flags = SA_SIGINFO,
	};

	guest_fault_wake = wake;
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, &action, NULL) < 0)
		return -errno;
	guest_fault_installed = true;
	return 0;
}

int guest_fault_add(void *start, size_t len)
{
	if (!guest_fault_installed)
		return -EPERM;
	for (size_t i = 0; i < GUEST_FAULT_RANGES_MAX; i++) {
		struct guest_fault_range *range = &guest_fault_ranges[i];

		if (range->start)
			continue;
		range->len = len;
		range->start = (uintptr_t)start;
		return 0;
	}
	return -ENOSPC;
}

void guest_fault_remove(void *start)
{
	struct guest_fault_range *range = guest_fault_find((uintptr_t)start);

	if (range && range->start == (uintptr_t)start)
		range->start = 0;
}

bool guest_fault_take(void)
{
	return atomic_exchange(&guest_fault_seen, false);
}
