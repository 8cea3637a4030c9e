/*
 * What `bantam doctor` looks at on x86_64: whether the CPU virtualises, and by
 * guests of a few instructions (micro_guests.h) whether KVM does what a Linux
 * guest takes for granted.
 *
 * Not every KVM that answers does. Without hardware virtualisation one may
 * run guest user code on the CPU and interpret guest kernel code, with an
 * emulator that was only made for a few instructions of it. Slowness alone is
 * no sign of that: a KVM nested in a software CPU is slow and complete. So
 * kernel code is compared with user code on the same KVM, and each instruction
 * is tried.
 *
 * Specifications: Documentation/virt/kvm/api.rst of Linux; AMD64 Architecture
 * Programmer's Manual ("APM") volumes 2 and 3.
 */
#include <cpuid.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "arch/x86_64/kvm_check.h"
#include "arch/x86_64/micro_guests.h"
#include "arch/x86_64/micro_vm.h"
#include "vmm/arch.h"
#include "vmm/base/check.h"
#include "vmm/base/error.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/*
 * ms that a guest may take to report. A check may see two guests hang, and is
 * to take a second at most.
 */
#define X86_CHECK_LIMIT 500

/* A round of counting, in ms; how many are wanted, how many are tried. */
#define X86_CHECK_ROUND	     10
#define X86_CHECK_ROUNDS     3
#define X86_CHECK_ROUNDS_MAX 40

/* What a guest does instead, in a clause. */
#define X86_CHECK_TEXT 96

/*
 * User code this many times faster than kernel code: that is interpreted. On
 * hardware both are as fast; an interpreter is slower by a factor of hundreds.
 */
#define X86_CHECK_RATIO 20

/* APM volume 3, appendix E; SDM volume 2A, "CPUID" */
#define LEAF_FEATURES	  0x1
#define LEAF_AMD_FEATURES 0x80000001
#define ECX1_VMX	  (1u << 5)
#define ECX1_HYPERVISOR	  (1u << 31)
#define ECX80000001_SVM	  (1u << 2)

/* What to do: */
#define X86_CHECK_HARDWARE "use a host whose CPU has VT-x or AMD-V (see CPU)"
#define X86_CHECK_KERNEL   "use a kernel of Linux 5.14 or later with KVM complete"

/* --- The host's CPU ------------------------------------------------------- */

static void x86_check_cpu(int kvm_fd, struct check_finding *finding)
{
	unsigned int eax, ebx, ecx = 0, ecx_amd = 0, edx;

	(void)kvm_fd;
	__get_cpuid(LEAF_FEATURES, &eax, &ebx, &ecx, &edx);
	__get_cpuid(LEAF_AMD_FEATURES, &eax, &ebx, &ecx_amd, &edx);
	if (ecx & ECX1_VMX || ecx_amd & ECX80000001_SVM) {
		check_found(finding, CHECK_OK, "it has %s",
			    ecx & ECX1_VMX ? "VT-x (vmx)" : "AMD-V (svm)");
		return;
	}
	check_found(finding, CHECK_WARN,
		    "it shows neither VT-x (vmx) nor AMD-V (svm)");
	if (ecx & ECX1_HYPERVISOR)
		check_fix(finding,
			  "this host is a virtual machine: let its hypervisor "
			  "allow nested virtualisation (for KVM, load "
			  "kvm_intel or kvm_amd there with nested=1, and give "
			  "this machine the host's CPU model)");
	else
		check_fix(finding, "switch virtualisation on in the firmware's "
				   "setup");
}

/* --- KVM's capabilities --------------------------------------------------- */

static void x86_check_capabilities(int kvm_fd, struct check_finding *finding)
{
	char list[CHECK_TEXT_MAX / 2];
	int cpus;

	if (x86_kvm_missing(kvm_fd, false, list, sizeof(list))) {
		check_found(finding, CHECK_FAIL, "KVM lacks %s", list);
	} else if (x86_kvm_missing(kvm_fd, true, list, sizeof(list))) {
		check_found(finding, CHECK_WARN, "KVM lacks %s", list);
	} else {
		cpus = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
		check_found(finding, CHECK_OK,
			    "KVM has all that bantam needs, and up to %d vCPUs "
			    "for a machine",
			    cpus);
		return;
	}
	check_fix(finding, X86_CHECK_KERNEL);
}

/* --- Running guests ------------------------------------------------------- */

/*
 * Whether the guest's next report is a write to @port. Otherwise text says
 * what it does instead.
 */
static bool x86_check_reports(struct micro_vm *vm, unsigned int port,
			      struct micro_exit *how, char *text, size_t size)
{
	struct error err;

	if (micro_vm_run(vm, X86_CHECK_LIMIT, how, &err)) {
		snprintf(text, size, "ends: %.80s", err.text);
		return false;
	}
	if (how->kind == MICRO_EXIT_PORT && how->port == port)
		return true;
	micro_exit_describe(how, text, size);
	return false;
}

/* A new machine whose vCPU stands at a guest. NULL: the finding says why. */
static struct micro_vm *x86_check_enter(int kvm_fd, const uint8_t *guest,
					unsigned int cpl,
					struct check_finding *finding)
{
	struct micro_vm *vm = NULL;
	struct error err;

	if (!micro_vm_new(&vm, kvm_fd, &err) &&
	    !micro_vm_enter(vm, guest, cpl, &err))
		return vm;
	micro_vm_free(vm);
	check_found(finding, CHECK_FAIL, "no guest can be run: %s", err.text);
	check_fix(finding, X86_CHECK_KERNEL);
	return NULL;
}

/* --- Speed ---------------------------------------------------------------- */

/* CPU time of this thread, in ns: others on the host do not count. */
static double x86_check_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* What came of a loop that counts. */
struct x86_check_speed {
	double best;	     /* instructions/s in the best round */
	unsigned int rounds; /* in which the loop had the CPU */
};

/* Let the loop count on for a while. Return: 0, or text says what happened. */
static int x86_check_count(struct micro_vm *vm, struct x86_check_speed *speed,
			   char *text, size_t size)
{
	uint64_t before = 0, after = 0;
	struct micro_exit how = {.kind = MICRO_EXIT_TIMEOUT};
	double started, took, rate;
	struct error err;
	int ret;

	ret = micro_vm_counter(vm, &before, &err);
	started = x86_check_clock();
	if (!ret)
		ret = micro_vm_run(vm, X86_CHECK_ROUND, &how, &err);
	took = x86_check_clock() - started;
	if (!ret)
		ret = micro_vm_counter(vm, &after, &err);
	if (ret) {
		snprintf(text, size, "ends: %.80s", err.text);
		return ret;
	}
	if (how.kind != MICRO_EXIT_TIMEOUT) {
		micro_exit_describe(&how, text, size);
		return -ENOTSUP;
	}
	if (took * 2 < X86_CHECK_ROUND * 1e6)
		return 0;
	speed->rounds++;
	rate = (double)(after - before) * MICRO_COUNT_INSTRUCTIONS * 1e9 / took;
	if (rate > speed->best)
		speed->best = rate;
	return 0;
}

/*
 * Instructions per second of guest code: the best of a few rounds, since
 * whatever disturbs one only makes it slower. Return: 0, or the finding says
 * what failed.
 */
static int x86_check_measure(int kvm_fd, unsigned int cpl, double *rate,
			     struct check_finding *finding)
{
	struct micro_vm *vm =
		x86_check_enter(kvm_fd, micro_count, cpl, finding);
	struct x86_check_speed speed = {.rounds = 0};
	char text[X86_CHECK_TEXT];
	int ret = 0;

	if (!vm)
		return -ENOTSUP;
	for (unsigned int i = 0; i < X86_CHECK_ROUNDS_MAX && !ret; i++) {
		ret = x86_check_count(vm, &speed, text, sizeof(text));
		if (speed.rounds == X86_CHECK_ROUNDS)
			break;
	}
	micro_vm_free(vm);
	if (ret) {
		check_found(finding, CHECK_FAIL,
			    "a loop of guest code at CPL %u %s", cpl, text);
		check_fix(finding, X86_CHECK_HARDWARE);
	} else if (!speed.rounds) {
		ret = -EAGAIN;
		check_found(finding, CHECK_SKIP,
			    "the host is too busy to measure the speed of "
			    "guest code");
		check_fix(finding, "try again");
	}
	*rate = speed.best;
	return ret;
}

/* As "1.5 M". */
static void x86_check_format(double rate, char *text, size_t size)
{
	if (rate >= 1e9)
		snprintf(text, size, "%.1f G", rate / 1e9);
	else
		snprintf(text, size, "%.1f M", rate / 1e6);
}

static void x86_check_kernel_code(int kvm_fd, struct check_finding *finding)
{
	double kernel, user;
	char text[2][32];

	if (x86_check_measure(kvm_fd, 0, &kernel, finding) ||
	    x86_check_measure(kvm_fd, 3, &user, finding))
		return;
	x86_check_format(kernel, text[0], sizeof(text[0]));
	x86_check_format(user, text[1], sizeof(text[1]));
	if (user < kernel * X86_CHECK_RATIO) {
		check_found(finding, CHECK_OK,
			    "guest kernel code runs on the CPU itself, %s "
			    "instructions/s",
			    text[0]);
		return;
	}
	check_found(finding, CHECK_FAIL,
		    "KVM interprets guest kernel code, %s instructions/s, "
		    "where user code runs at %s",
		    text[0], text[1]);
	check_fix(finding, X86_CHECK_HARDWARE);
}

/* --- Instructions --------------------------------------------------------- */

/* Each is tried only where the guest's CPUID offers it. */
struct x86_check_instruction {
	const char *name;
	const uint8_t *guest;
};

static const struct x86_check_instruction x86_check_instructions[] = {
	{"int3", micro_int3},	  {"int n", micro_int_n},
	{"popcnt", micro_popcnt}, {"cmpxchg16b", micro_cmpxchg16b},
	{"clac", micro_clac},	  {"xsave", micro_xsave},
};

/* How the instructions went, as lists in words. */
struct x86_check_tally {
	char good[CHECK_TEXT_MAX / 4];
	char unknown[CHECK_TEXT_MAX / 4]; /* to KVM's emulator */
	char bad[CHECK_TEXT_MAX / 2];	  /* wrong in another way */
	bool hung; /* one did, and the next would only do the same */
};

static int x86_check_try(int kvm_fd,
			 const struct x86_check_instruction *instruction,
			 struct x86_check_tally *tally,
			 struct check_finding *finding)
{
	struct micro_vm *vm =
		x86_check_enter(kvm_fd, instruction->guest, 0, finding);
	struct micro_exit how = {.kind = MICRO_EXIT_OTHER};
	char text[X86_CHECK_TEXT];

	if (!vm)
		return -ENOTSUP;
	if (x86_check_reports(vm, MICRO_PORT_DONE, &how, text, sizeof(text)))
		check_list(tally->good, sizeof(tally->good), ", ", "%s",
			   instruction->name);
	else if (how.kind == MICRO_EXIT_PORT && how.port == MICRO_PORT_ABSENT)
		;
	else if (how.kind == MICRO_EXIT_EMULATION)
		check_list(tally->unknown, sizeof(tally->unknown), ", ", "%s",
			   instruction->name);
	else
		check_list(tally->bad, sizeof(tally->bad), ", ", "%s %s",
			   instruction->name, text);
	tally->hung = how.kind == MICRO_EXIT_TIMEOUT;
	micro_vm_free(vm);
	return 0;
}

static void x86_check_kernel_instructions(int kvm_fd,
					  struct check_finding *finding)
{
	struct x86_check_tally tally = {.good = ""};

	for (size_t i = 0; i < COUNT_OF(x86_check_instructions); i++) {
		if (tally.hung)
			break;
		if (x86_check_try(kvm_fd, &x86_check_instructions[i], &tally,
				  finding))
			return;
	}
	if (!tally.unknown[0] && !tally.bad[0]) {
		check_found(finding, CHECK_OK, "%s work in guest kernel code",
			    tally.good);
		return;
	}
	if (tally.unknown[0])
		check_list(tally.bad, sizeof(tally.bad), ", ",
			   "KVM's emulator does not know %s", tally.unknown);
	check_found(finding, CHECK_FAIL, "in guest kernel code %s", tally.bad);
	check_fix(finding, X86_CHECK_HARDWARE);
}

/* --- System calls --------------------------------------------------------- */

/*
 * A call from CPL 3 has to arrive at CPL 0 and return. Otherwise @name and
 * what is wrong go to the list. Return: 0, or the finding says what failed.
 */
static int x86_check_call(int kvm_fd, const char *name, const uint8_t *guest,
			  char *list, size_t size,
			  struct check_finding *finding)
{
	struct micro_vm *vm = x86_check_enter(kvm_fd, guest, 3, finding);
	struct micro_exit how;
	char text[X86_CHECK_TEXT];

	if (!vm)
		return -ENOTSUP;
	if (!x86_check_reports(vm, MICRO_PORT_KERNEL, &how, text, sizeof(text)))
		check_list(list, size, ", ", "%s %s", name, text);
	else if (how.value != MICRO_KERNEL_CS)
		check_list(list, size, ", ", "%s arrives at CPL %u", name,
			   how.value & 3);
	else if (!x86_check_reports(vm, MICRO_PORT_USER, &how, text,
				    sizeof(text)))
		check_list(list, size, ", ", "the return from %s %s", name,
			   text);
	else if (how.value != MICRO_USER_CS)
		check_list(list, size, ", ", "%s returns to CPL %u", name,
			   how.value & 3);
	micro_vm_free(vm);
	return 0;
}

static void x86_check_system_calls(int kvm_fd, struct check_finding *finding)
{
	char list[CHECK_TEXT_MAX / 2] = "";

	if (x86_check_call(kvm_fd, "SYSCALL", micro_syscall, list, sizeof(list),
			   finding) ||
	    x86_check_call(kvm_fd, "INT n", micro_user_int, list, sizeof(list),
			   finding))
		return;
	if (!list[0]) {
		check_found(finding, CHECK_OK,
			    "SYSCALL and INT n go from CPL 3 to CPL 0 and "
			    "back");
		return;
	}
	check_found(finding, CHECK_FAIL,
		    "system calls of guest user code go wrong: %s (they have "
		    "to go from CPL 3 to CPL 0)",
		    list);
	check_fix(finding, X86_CHECK_HARDWARE);
}

/* --- Devices -------------------------------------------------------------- */

/* An interrupt by eventfd, to a guest that waits for it. */
static void x86_check_interrupt(int kvm_fd, unsigned int gsi, const char *way,
				struct check_finding *finding)
{
	struct micro_vm *vm = x86_check_enter(kvm_fd, micro_wait, 0, finding);
	struct kvm_irqfd irqfd = {.gsi = gsi};
	struct micro_exit how;
	char text[X86_CHECK_TEXT] = "waits";
	int fd;

	if (!vm)
		return;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	irqfd.fd = (uint32_t)fd;
	if (fd < 0 || ioctl(micro_vm_fd(vm), KVM_IRQFD, &irqfd) < 0)
		check_found(finding, CHECK_FAIL,
			    "KVM takes no eventfd for an interrupt (KVM_IRQFD: "
			    "%s)",
			    strerror(errno));
	else if (!x86_check_reports(vm, MICRO_PORT_READY, &how, text,
				    sizeof(text)))
		check_found(finding, CHECK_FAIL,
			    "a guest that waits for an interrupt %s", text);
	else if (eventfd_write(fd, 1) ||
		 !x86_check_reports(vm, MICRO_PORT_IRQ, &how, text,
				    sizeof(text)))
		check_found(finding, CHECK_FAIL,
			    "an interrupt by eventfd and %s does not reach the "
			    "guest, which %s",
			    way, text);
	else
		check_found(finding, CHECK_OK,
			    "an interrupt by eventfd and %s reaches the guest",
			    way);
	if (finding->status == CHECK_FAIL)
		check_fix(finding, X86_CHECK_KERNEL);
	if (fd >= 0)
		close(fd);
	micro_vm_free(vm);
}

static void x86_check_irqfd(int kvm_fd, struct check_finding *finding)
{
	x86_check_interrupt(kvm_fd, MICRO_GSI_IOAPIC, "IOAPIC", finding);
}

static void x86_check_msi(int kvm_fd, struct check_finding *finding)
{
	x86_check_interrupt(kvm_fd, MICRO_GSI_MSI, "MSI", finding);
}

/* An eventfd for writes to the address, or -errno. */
static int x86_check_assign(const struct micro_vm *vm, uint64_t address,
			    uint32_t flags)
{
	struct kvm_ioeventfd ioeventfd = {
		.addr = address,
		.len = 2,
		.flags = flags,
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	int ret;

	if (ioeventfd.fd < 0)
		return -errno;
	if (ioctl(micro_vm_fd(vm), KVM_IOEVENTFD, &ioeventfd) == 0)
		return ioeventfd.fd;
	ret = -errno;
	close(ioeventfd.fd);
	return ret;
}

static void x86_check_ioeventfd(int kvm_fd, struct check_finding *finding)
{
	struct micro_vm *vm = x86_check_enter(kvm_fd, micro_notify, 0, finding);
	struct micro_exit how;
	eventfd_t writes;
	char text[X86_CHECK_TEXT];
	int mmio, pio;

	if (!vm)
		return;
	mmio = x86_check_assign(vm, MICRO_MMIO, 0);
	pio = x86_check_assign(vm, MICRO_PORT_NOTIFY, KVM_IOEVENTFD_FLAG_PIO);
	if (mmio < 0 || pio < 0)
		check_found(finding, CHECK_FAIL,
			    "KVM takes no eventfd for a write of the guest "
			    "(KVM_IOEVENTFD: %s)",
			    strerror(mmio < 0 ? -mmio : -pio));
	else if (!x86_check_reports(vm, MICRO_PORT_DONE, &how, text,
				    sizeof(text)))
		check_found(finding, CHECK_FAIL,
			    "a guest that notifies a device %s", text);
	else if (eventfd_read(mmio, &writes) || eventfd_read(pio, &writes))
		check_found(finding, CHECK_FAIL,
			    "a guest's write does not signal its eventfd");
	else
		check_found(finding, CHECK_OK,
			    "a guest's writes to memory and port signal their "
			    "eventfds");
	if (finding->status == CHECK_FAIL)
		check_fix(finding, X86_CHECK_KERNEL);
	if (mmio >= 0)
		close(mmio);
	if (pio >= 0)
		close(pio);
	micro_vm_free(vm);
}

static const struct check x86_checks[] = {
	{"CPU", false, x86_check_cpu},
	{"capabilities", true, x86_check_capabilities},
	{"kernel code", true, x86_check_kernel_code},
	{"instructions", true, x86_check_kernel_instructions},
	{"system calls", true, x86_check_system_calls},
	{"irqfd", true, x86_check_irqfd},
	{"ioeventfd", true, x86_check_ioeventfd},
	{"MSI", true, x86_check_msi},
};

const struct check *arch_checks(size_t *count)
{
	*count = COUNT_OF(x86_checks);
	return x86_checks;
}
