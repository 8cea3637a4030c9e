/*
 * The floor for the start-up bench: a process that makes a VM of 128 MiB with
 * one vCPU, runs one instruction that leaves the guest, and ends.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define MEMORY (128u << 20)

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(void)
{
	static const uint8_t out_f4[] = {0xe6, 0xf4}; /* out %al, $0xf4 */
	struct kvm_userspace_memory_region slot = {.memory_size = MEMORY};
	struct kvm_regs regs = {.rip = 0x1000, .rflags = 2};
	struct kvm_sregs sregs;
	int kvm, vm, vcpu, run_size;
	struct kvm_run *run;
	void *memory;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return fail("/dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0UL);
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (vm < 0 || memory == MAP_FAILED)
		return fail("VM");
	memcpy((char *)memory + regs.rip, out_f4, sizeof(out_f4));
	slot.userspace_addr = (uintptr_t)memory;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return fail("memory");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0UL);
	run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0UL);
	run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   vcpu, 0);
	if (vcpu < 0 || run == MAP_FAILED)
		return fail("vCPU");
	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return fail("KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 ||
	    ioctl(vcpu, KVM_SET_REGS, &regs) < 0)
		return fail("registers");
	if (ioctl(vcpu, KVM_RUN, 0UL) < 0)
		return fail("KVM_RUN");
	if (run->exit_reason != KVM_EXIT_IO)
		return fprintf(stderr, "exit %u\n", run->exit_reason), 1;
	return 0;
}
