/*
 * What `bantam doctor` looks at on aarch64: by guests of a few instructions
 * (micro_guests.h), whether KVM does what a Linux guest takes for granted.
 * Specification: Documentation/virt/kvm/api.rst of Linux.
 */
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

#include "arch/aarch64/gic.h"
#include "arch/aarch64/kvm_check.h"
#include "arch/aarch64/layout.h"
#include "arch/aarch64/micro_guests.h"
#include "arch/aarch64/micro_vm.h"
#include "arch/aarch64/vgic_regs.h"
#include "vmm/arch.h"
#include "vmm/base/check.h"
#include "vmm/base/error.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ms that a guest may take to report; a check is to take a second at most. */
#define ARM_CHECK_LIMIT 500

/* A round of counting, in ms; how many are tried. */
#define ARM_CHECK_ROUND	 10
#define ARM_CHECK_ROUNDS 10

/* What a guest does instead, in a clause. */
#define ARM_CHECK_TEXT 96

#define PSCI_VERSION_0_2 2 /* major above bit 16 */

/* What to do: */
#define ARM_CHECK_KERNEL "use a kernel of Linux 5.10 or later with KVM complete"

/* --- KVM's capabilities --------------------------------------------------- */

static void arm_check_capabilities(int kvm_fd, struct check_finding *finding)
{
	char list[CHECK_TEXT_MAX / 2];
	int bits, cpus;

	if (arm_kvm_missing(kvm_fd, list, sizeof(list))) {
		check_found(finding, CHECK_FAIL, "KVM lacks %s", list);
		check_fix(finding, ARM_CHECK_KERNEL);
		return;
	}
	cpus = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	bits = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
	check_found(finding, CHECK_OK,
		    "KVM has all that bantam needs, up to %d vCPUs for a "
		    "machine, and addresses of %d bits",
		    cpus, bits > 0 ? bits : 40);
}

/* --- Interrupt controllers ------------------------------------------------ */

/* A VM that has nothing yet. Return: its descriptor, or -1: see finding. */
static int arm_check_new_vm(int kvm_fd, struct check_finding *finding)
{
	int vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, arch_vm_type(kvm_fd));

	if (vm_fd < 0) {
		check_found(finding, CHECK_FAIL, "KVM creates no machine: %s",
			    strerror(errno));
		check_fix(finding, ARM_CHECK_KERNEL);
	}
	return vm_fd;
}

static void arm_check_gic(int kvm_fd, struct check_finding *finding)
{
	int vm_fd = arm_check_new_vm(kvm_fd, finding);

	if (vm_fd < 0)
		return;
	switch (gic_probe(vm_fd)) {
	case 3:
		check_found(finding, CHECK_OK, "a machine gets a GICv3");
		break;
	case 2:
		check_found(finding, CHECK_WARN,
			    "a machine gets a GICv2, and at most %d vCPUs",
			    GIC_V2_CPUS_MAX);
		check_fix(finding, "use a host with a GICv3 for more");
		break;
	default:
		check_found(finding, CHECK_FAIL,
			    "KVM has neither a GICv3 nor a GICv2 for a "
			    "machine");
		check_fix(finding, "use a host whose interrupt controller can "
				   "be virtualised");
		break;
	}
	close(vm_fd);
}

/* --- Running guests ------------------------------------------------------- */

/*
 * Whether the guest's next report is @what. Otherwise text says what it does
 * instead.
 */
static bool arm_check_reports(struct micro_vm *vm, unsigned int what,
			      struct micro_exit *how, char *text, size_t size)
{
	struct error err;

	if (micro_vm_run(vm, ARM_CHECK_LIMIT, how, &err)) {
		snprintf(text, size, "ends: %.80s", err.text);
		return false;
	}
	if (how->kind == MICRO_EXIT_REPORT && how->what == what)
		return true;
	micro_exit_describe(how, text, size);
	return false;
}

/* A new machine whose vCPU stands at a guest. NULL: the finding says why. */
static struct micro_vm *arm_check_enter(int kvm_fd, const uint8_t *guest,
					struct check_finding *finding)
{
	struct micro_vm *vm = NULL;
	struct error err;

	if (!micro_vm_new(&vm, kvm_fd, &err) &&
	    !micro_vm_enter(vm, guest, &err))
		return vm;
	micro_vm_free(vm);
	check_found(finding, CHECK_FAIL, "no guest can be run: %s", err.text);
	check_fix(finding, ARM_CHECK_KERNEL);
	return NULL;
}

/* CPU time of this thread, in ns: others on the host do not count. */
static double arm_check_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* One round of a loop that counts. Return: instructions/s, 0 if the loop did
 * not have the CPU, or negative and text says what happened. */
static double arm_check_count(struct micro_vm *vm, char *text, size_t size)
{
	struct micro_exit how = {.kind = MICRO_EXIT_TIMEOUT};
	uint64_t before = 0, after = 0;
	double started, took;
	struct error err;
	int ret;

	ret = micro_vm_counter(vm, &before, &err);
	started = arm_check_clock();
	if (!ret)
		ret = micro_vm_run(vm, ARM_CHECK_ROUND, &how, &err);
	took = arm_check_clock() - started;
	if (!ret)
		ret = micro_vm_counter(vm, &after, &err);
	if (ret) {
		snprintf(text, size, "ends: %.80s", err.text);
		return -1;
	}
	if (how.kind != MICRO_EXIT_TIMEOUT) {
		micro_exit_describe(&how, text, size);
		return -1;
	}
	if (took * 2 < ARM_CHECK_ROUND * 1e6)
		return 0;
	return (double)(after - before) * MICRO_COUNT_INSTRUCTIONS * 1e9 / took;
}

/* The best of a few rounds, since what disturbs one only makes it slower. */
static void arm_check_kernel_code(int kvm_fd, struct check_finding *finding)
{
	struct micro_vm *vm = arm_check_enter(kvm_fd, micro_count, finding);
	char text[ARM_CHECK_TEXT] = "does not get the CPU";
	double best = 0;

	if (!vm)
		return;
	for (unsigned int i = 0; i < ARM_CHECK_ROUNDS && best >= 0; i++) {
		double rate = arm_check_count(vm, text, sizeof(text));

		if (rate < 0 || rate > best)
			best = rate;
	}
	micro_vm_free(vm);
	if (best > 0) {
		check_found(finding, CHECK_OK,
			    "guest kernel code runs, %.1f M instructions/s",
			    best / 1e6);
	} else if (best < 0) {
		check_found(finding, CHECK_FAIL, "a loop of guest code %s",
			    text);
		check_fix(finding, ARM_CHECK_KERNEL);
	} else {
		check_found(finding, CHECK_SKIP,
			    "the host is too busy to measure the speed of "
			    "guest code");
		check_fix(finding, "try again");
	}
}

static void arm_check_system_calls(int kvm_fd, struct check_finding *finding)
{
	struct micro_vm *vm = arm_check_enter(kvm_fd, micro_svc, finding);
	char text[ARM_CHECK_TEXT];
	struct micro_exit how;

	if (!vm)
		return;
	if (!arm_check_reports(vm, MICRO_KERNEL, &how, text, sizeof(text)))
		check_found(finding, CHECK_FAIL, "SVC from EL0 %s", text);
	else if (how.value != MICRO_CLASS_SVC)
		check_found(finding, CHECK_FAIL,
			    "SVC from EL0 arrives as exception class 0x%x",
			    how.value);
	else if (!arm_check_reports(vm, MICRO_USER, &how, text, sizeof(text)))
		check_found(finding, CHECK_FAIL, "the return from SVC %s",
			    text);
	else
		check_found(finding, CHECK_OK,
			    "SVC goes from EL0 to EL1 and back");
	if (finding->status == CHECK_FAIL)
		check_fix(finding, ARM_CHECK_KERNEL);
	micro_vm_free(vm);
}

static void arm_check_psci(int kvm_fd, struct check_finding *finding)
{
	struct micro_vm *vm = arm_check_enter(kvm_fd, micro_psci, finding);
	char text[ARM_CHECK_TEXT];
	struct micro_exit how;

	if (!vm)
		return;
	if (!arm_check_reports(vm, MICRO_DONE, &how, text, sizeof(text)))
		check_found(finding, CHECK_FAIL,
			    "a guest that asks for PSCI's version %s", text);
	else if (how.value >> 31 || how.value < PSCI_VERSION_0_2)
		check_found(finding, CHECK_FAIL,
			    "a guest that asks for PSCI's version gets 0x%x",
			    how.value);
	else
		check_found(finding, CHECK_OK, "guests have PSCI %u.%u",
			    how.value >> 16, how.value & 0xffff);
	if (finding->status == CHECK_FAIL)
		check_fix(finding, ARM_CHECK_KERNEL);
	micro_vm_free(vm);
}

static void arm_check_timer(int kvm_fd, struct check_finding *finding)
{
	struct micro_vm *vm = arm_check_enter(kvm_fd, micro_timer, finding);
	char text[ARM_CHECK_TEXT];
	struct micro_exit how;

	if (!vm)
		return;
	if (!arm_check_reports(vm, MICRO_READY, &how, text, sizeof(text)))
		check_found(finding, CHECK_FAIL,
			    "a guest that sets its timer %s", text);
	else if (!arm_check_reports(vm, MICRO_IRQ, &how, text, sizeof(text)))
		check_found(finding, CHECK_FAIL,
			    "the virtual timer's interrupt does not reach the "
			    "guest, which %s",
			    text);
	else
		check_found(finding, CHECK_OK,
			    "the virtual timer interrupts the guest");
	if (finding->status == CHECK_FAIL)
		check_fix(finding, ARM_CHECK_KERNEL);
	micro_vm_free(vm);
}

/* --- Devices -------------------------------------------------------------- */

static void arm_check_irqfd(int kvm_fd, struct check_finding *finding)
{
	struct micro_vm *vm = arm_check_enter(kvm_fd, micro_wait, finding);
	struct kvm_irqfd irqfd = {.gsi = MICRO_GSI};
	char text[ARM_CHECK_TEXT];
	struct micro_exit how;
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
	else if (!arm_check_reports(vm, MICRO_READY, &how, text, sizeof(text)))
		check_found(finding, CHECK_FAIL,
			    "a guest that waits for an interrupt %s", text);
	else if (eventfd_write(fd, 1) ||
		 !arm_check_reports(vm, MICRO_IRQ, &how, text, sizeof(text)))
		check_found(finding, CHECK_FAIL,
			    "an interrupt by eventfd does not reach the guest, "
			    "which %s",
			    text);
	else
		check_found(finding, CHECK_OK,
			    "an interrupt by eventfd reaches the guest");
	if (finding->status == CHECK_FAIL)
		check_fix(finding, ARM_CHECK_KERNEL);
	if (fd >= 0)
		close(fd);
	micro_vm_free(vm);
}

static void arm_check_ioeventfd(int kvm_fd, struct check_finding *finding)
{
	struct micro_vm *vm = arm_check_enter(kvm_fd, micro_notify, finding);
	struct kvm_ioeventfd ioeventfd = {.addr = MICRO_NOTIFY, .len = 2};
	char text[ARM_CHECK_TEXT];
	struct micro_exit how;
	eventfd_t writes;

	if (!vm)
		return;
	ioeventfd.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ioeventfd.fd < 0 ||
	    ioctl(micro_vm_fd(vm), KVM_IOEVENTFD, &ioeventfd) < 0)
		check_found(finding, CHECK_FAIL,
			    "KVM takes no eventfd for a write of the guest "
			    "(KVM_IOEVENTFD: %s)",
			    strerror(errno));
	else if (!arm_check_reports(vm, MICRO_DONE, &how, text, sizeof(text)))
		check_found(finding, CHECK_FAIL,
			    "a guest that notifies a device %s", text);
	else if (eventfd_read(ioeventfd.fd, &writes))
		check_found(finding, CHECK_FAIL,
			    "a guest's write does not signal its eventfd");
	else
		check_found(finding, CHECK_OK,
			    "a guest's write signals its eventfd");
	if (finding->status == CHECK_FAIL)
		check_fix(finding, ARM_CHECK_KERNEL);
	if (ioeventfd.fd >= 0)
		close(ioeventfd.fd);
	micro_vm_free(vm);
}

static void arm_check_msi(int kvm_fd, struct check_finding *finding)
{
	int vm_fd = arm_check_new_vm(kvm_fd, finding);

	if (vm_fd < 0)
		return;
	if (gic_probe(vm_fd) != 3)
		check_found(finding, CHECK_OK,
			    "messages become interrupts by a GICv2m: %d of "
			    "them",
			    SPI_V2M_COUNT);
	else if (vgic_device_there(vm_fd, KVM_DEV_TYPE_ARM_VGIC_ITS))
		check_found(finding, CHECK_OK,
			    "messages become interrupts by an ITS");
	else
		check_found(finding, CHECK_FAIL,
			    "KVM has no ITS for the GICv3 of a machine");
	if (finding->status == CHECK_FAIL)
		check_fix(finding, ARM_CHECK_KERNEL);
	close(vm_fd);
}

static const struct check arm_checks[] = {
	{"capabilities", true, arm_check_capabilities},
	{"interrupt controller", true, arm_check_gic},
	{"kernel code", true, arm_check_kernel_code},
	{"system calls", true, arm_check_system_calls},
	{"PSCI", true, arm_check_psci},
	{"timer", true, arm_check_timer},
	{"irqfd", true, arm_check_irqfd},
	{"ioeventfd", true, arm_check_ioeventfd},
	{"MSI", true, arm_check_msi},
};

const struct check *arch_checks(size_t *count)
{
	*count = COUNT_OF(arm_checks);
	return arm_checks;
}
