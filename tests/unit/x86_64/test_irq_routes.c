/*
 * Routes, irqfds and doorbells on a real KVM: what a vCPU's local APIC has been
 * sent, and what a guest's writes did.
 */
#include "vmm/irq_routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>
#include <linux/pci_regs.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "arch/x86_64/irqchip.h"
#include "pci/bus.h"
#include "pci/msix.h"
#include "tests/unit/support/kvm.h"

#define FIRST_GSI KVM_IOAPIC_NUM_PINS
#define ADDRESS	  UINT64_C(0xfee00000)

#define APIC_SVR 0xf0
#define APIC_IRR 0x200

/* Also a host for devices, of interrupts alone. */
struct vm {
	struct host host;
	struct kvm_test kvm;
	struct irqchip *irqchip;
	struct irq_routes *routes;
	int fd; /* an eventfd */
};

static struct vm vm;
static struct error err;

static void apic_enable(void)
{
	struct kvm_lapic_state apic;
	uint32_t svr = 0x1ff;

	ck_assert_int_eq(ioctl(vm.kvm.vcpu_fds[0], KVM_GET_LAPIC, &apic), 0);
	memcpy(&apic.regs[APIC_SVR], &svr, sizeof(svr));
	ck_assert_int_eq(ioctl(vm.kvm.vcpu_fds[0], KVM_SET_LAPIC, &apic), 0);
}

/* Whether vCPU 0 has been sent that vector since last asked. */
static bool got(unsigned int vector)
{
	struct kvm_lapic_state apic;
	char *irr = &apic.regs[APIC_IRR + vector / 32 * 16 + vector % 32 / 8];
	bool set;

	ck_assert_int_eq(ioctl(vm.kvm.vcpu_fds[0], KVM_GET_LAPIC, &apic), 0);
	set = *irr & 1 << vector % 8;
	*irr &= (char)~(1 << vector % 8);
	ck_assert_int_eq(ioctl(vm.kvm.vcpu_fds[0], KVM_SET_LAPIC, &apic), 0);
	return set;
}

static void setup(void)
{
	struct kvm_irq_routing_entry pins[IRQCHIP_ROUTES_MAX];
	struct irq_routes_config config = {
		.pins = pins,
		.pin_routes = irqchip_routes(false, pins),
		.first_gsi = FIRST_GSI,
	};

	kvm_test_init(&vm.kvm);
	ck_assert_int_eq(irqchip_new(&vm.irqchip, vm.kvm.vm_fd, false, &err),
			 0);
	kvm_test_add_vcpus(&vm.kvm);
	config.vm_fd = vm.kvm.vm_fd;
	ck_assert_msg(!irq_routes_new(&vm.routes, &config, &err), "%s",
		      err.text);
	vm.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	apic_enable();
}

static void teardown(void)
{
	close(vm.fd);
	irq_routes_free(vm.routes);
	irqchip_device_ops.free(vm.irqchip);
	kvm_test_fini(&vm.kvm);
}

static unsigned int alloc(void)
{
	unsigned int gsi;

	ck_assert_int_eq(irq_routes_msi_alloc(vm.routes, &gsi), 0);
	return gsi;
}

static int route(unsigned int gsi, uint32_t vector)
{
	const struct host_msi msi = {.address = ADDRESS, .data = vector};

	return irq_routes_msi_route(vm.routes, gsi, &msi);
}

static void signal_fd(void)
{
	ck_assert_int_eq(eventfd_write(vm.fd, 1), 0);
}

static uint64_t drained(void)
{
	eventfd_t count = 0;

	eventfd_read(vm.fd, &count);
	return count;
}

static void hear(unsigned int gsi)
{
	ck_assert_int_eq(irq_routes_irqfd_add(vm.routes, gsi, vm.fd), 0);
}

/* Also waits for what is under way. */
static void unhear(unsigned int gsi)
{
	irq_routes_irqfd_remove(vm.routes, gsi, vm.fd);
}

START_TEST(irq_routes_msi_signal_arrives_as_routed)
{
	unsigned int gsi = alloc();

	ck_assert_int_eq(route(gsi, 0x41), 0);
	hear(gsi);
	signal_fd();
	unhear(gsi);
	ck_assert(got(0x41));
	ck_assert(!got(0x41));
	ck_assert_uint_eq(drained(), 0);
	/* Moved while it is heard. */
	hear(gsi);
	ck_assert_int_eq(route(gsi, 0x52), 0);
	signal_fd();
	unhear(gsi);
	ck_assert(!got(0x41));
	ck_assert(got(0x52));
	/* Nobody listens. */
	signal_fd();
	ck_assert(!got(0x52));
	ck_assert_uint_eq(drained(), 1);
}
END_TEST

START_TEST(irq_routes_irqfd_add_delivers_what_is_pending_once)
{
	unsigned int gsi = alloc();

	ck_assert_int_eq(route(gsi, 0x41), 0);
	signal_fd();
	signal_fd();
	hear(gsi);
	unhear(gsi);
	ck_assert(got(0x41));
	/* It is not there for the next time. */
	ck_assert_uint_eq(drained(), 0);
	hear(gsi);
	unhear(gsi);
	ck_assert(!got(0x41));
}
END_TEST

START_TEST(irq_routes_msi_route_tells_kvm_of_changes_only)
{
	unsigned int a = alloc(), b = alloc();
	unsigned int updates = irq_routes_updates(vm.routes);

	ck_assert_int_eq(route(a, 0x41), 0);
	ck_assert_int_eq(route(a, 0x41), 0);
	ck_assert_uint_eq(irq_routes_updates(vm.routes), updates + 1);
	ck_assert_int_eq(route(b, 0x42), 0);
	irq_routes_msi_free(vm.routes, a);
	ck_assert_uint_eq(irq_routes_updates(vm.routes), updates + 2);
	/* b has moved into its place, and still works. */
	ck_assert_int_eq(route(b, 0x43), 0);
	hear(b);
	signal_fd();
	unhear(b);
	ck_assert(got(0x43));
	ck_assert_int_eq(route(a, 0x41), -EINVAL);
	ck_assert_int_eq(route(FIRST_GSI - 1, 0x41), -EINVAL);
	ck_assert_int_eq(route(UINT32_MAX, 0x41), -EINVAL);
	ck_assert_uint_eq(alloc(), a);
}
END_TEST

START_TEST(irq_routes_msi_alloc_ends_at_the_limit_of_kvm)
{
	unsigned int limit = (unsigned int)ioctl(
		vm.kvm.vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING);
	unsigned int count = 0, gsi, last = 0;

	while (!irq_routes_msi_alloc(vm.routes, &gsi)) {
		last = gsi;
		count++;
	}
	ck_assert_uint_eq(count, limit - FIRST_GSI);
	/* KVM takes as many as it was said to. */
	for (gsi = FIRST_GSI; gsi <= last; gsi += 97)
		ck_assert_int_eq(route(gsi, 0x41), 0);
	ck_assert_int_eq(route(last, 0x77), 0);
	hear(last);
	signal_fd();
	unhear(last);
	ck_assert(got(0x77));
	irq_routes_msi_free(vm.routes, last - 5);
	ck_assert_uint_eq(alloc(), last - 5);
	ck_assert_int_eq(irq_routes_msi_alloc(vm.routes, &gsi), -ENOSPC);
}
END_TEST

START_TEST(irq_routes_msi_route_refused_leaves_the_former)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X2APIC_API,
		.args = {KVM_X2APIC_API_USE_32BIT_IDS},
	};
	/* Bits 7:0 of the upper half have to be 0 then. */
	const struct host_msi bad = {.address = ADDRESS | UINT64_C(1) << 32};
	unsigned int a = alloc(), b = alloc(), c = alloc();

	ck_assert_int_eq(ioctl(vm.kvm.vm_fd, KVM_ENABLE_CAP, &cap), 0);
	ck_assert_int_eq(route(a, 0x41), 0);
	ck_assert_int_eq(irq_routes_msi_route(vm.routes, a, &bad), -EINVAL);
	ck_assert_int_eq(irq_routes_msi_route(vm.routes, b, &bad), -EINVAL);
	ck_assert_int_eq(route(c, 0x43), 0);
	hear(a);
	signal_fd();
	unhear(a);
	ck_assert(got(0x41));
	hear(c);
	signal_fd();
	unhear(c);
	ck_assert(got(0x43));
	ck_assert_int_eq(route(b, 0x42), 0);
	hear(b);
	signal_fd();
	unhear(b);
	ck_assert(got(0x42));
}
END_TEST

/* --- Doorbells: a guest of a few instructions -------------------------------
 */

#define BELL UINT64_C(0xc0001000)
#define CODE 0x1000
#define PORT 0xf4 /* a write there ends the run */

/* Real mode, with DS at the doorbell: run it to its end and count the writes
 * that came to us instead. */
static unsigned int run(const uint8_t *code, size_t len)
{
	int size = ioctl(vm.kvm.kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	int vcpu = vm.kvm.vcpu_fds[0];
	struct kvm_run *state = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
				     MAP_SHARED, vcpu, 0);
	struct kvm_regs regs = {.rip = CODE, .rflags = 2};
	struct kvm_sregs sregs;
	unsigned int exits = 0;

	ck_assert_ptr_ne(state, MAP_FAILED);
	ck_assert_int_eq(guest_mem_write(vm.kvm.mem, CODE, code, len), 0);
	ck_assert_int_eq(ioctl(vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	sregs.ds.base = BELL;
	ck_assert_int_eq(ioctl(vcpu, KVM_SET_SREGS, &sregs), 0);
	ck_assert_int_eq(ioctl(vcpu, KVM_SET_REGS, &regs), 0);
	for (;;) {
		ck_assert_int_eq(ioctl(vcpu, KVM_RUN, 0), 0);
		if (state->exit_reason == KVM_EXIT_IO && state->io.port == PORT)
			break;
		ck_assert(state->exit_reason == KVM_EXIT_MMIO ||
			  state->exit_reason == KVM_EXIT_IO);
		exits++;
	}
	munmap(state, (size_t)size);
	return exits;
}

/* mov [0], al; mov [0], ax; mov [0], eax; out PORT, al */
static const uint8_t writes[] = {0xa2, 0,    0, 0xa3, 0,    0,
				 0x66, 0xa3, 0, 0,    0xe6, PORT};

START_TEST(irq_routes_doorbell_add_of_any_size_takes_all)
{
	const struct host_doorbell bell = {
		.bus = BUS_MMIO,
		.addr = BELL,
		.fd = vm.fd,
	};
	bool all = ioctl(vm.kvm.vm_fd, KVM_CHECK_EXTENSION,
			 KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0;

	ck_assert_int_eq(irq_routes_doorbell_add(vm.routes, &bell), 0);
	ck_assert_int_eq(irq_routes_doorbell_add(vm.routes, &bell), -EEXIST);
	ck_assert_uint_eq(run(writes, sizeof(writes)), all ? 0 : 1);
	ck_assert_uint_eq(drained(), all ? 3 : 2);
	irq_routes_doorbell_remove(vm.routes, &bell);
	ck_assert_uint_eq(run(writes, sizeof(writes)), 3);
	ck_assert_uint_eq(drained(), 0);
}
END_TEST

START_TEST(irq_routes_doorbell_add_of_one_size_takes_that)
{
	const struct host_doorbell bell = {
		.bus = BUS_MMIO,
		.addr = BELL,
		.size = 2,
		.fd = vm.fd,
	};

	ck_assert_int_eq(irq_routes_doorbell_add(vm.routes, &bell), 0);
	ck_assert_uint_eq(run(writes, sizeof(writes)), 2);
	ck_assert_uint_eq(drained(), 1);
	irq_routes_doorbell_remove(vm.routes, &bell);
}
END_TEST

START_TEST(irq_routes_doorbell_add_of_values_takes_its_own)
{
	/* mov eax, 3; mov [0], eax; mov eax, 4; mov [0], eax; out PORT, al */
	static const uint8_t code[] = {0x66, 0xb8, 3, 0, 0, 0, 0x66, 0xa3, 0, 0,
				       0x66, 0xb8, 4, 0, 0, 0, 0x66, 0xa3, 0, 0,
				       0xe6, PORT};
	struct host_doorbell three = {
		.bus = BUS_MMIO,
		.addr = BELL,
		.size = 4,
		.match = true,
		.value = 3,
		.fd = vm.fd,
	};
	struct host_doorbell four = three;

	four.value = 4;
	four.fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(irq_routes_doorbell_add(vm.routes, &three), 0);
	ck_assert_uint_eq(run(code, sizeof(code)), 1);
	ck_assert_uint_eq(drained(), 1);
	ck_assert_int_eq(irq_routes_doorbell_add(vm.routes, &four), 0);
	ck_assert_uint_eq(run(code, sizeof(code)), 0);
	irq_routes_doorbell_remove(vm.routes, &three);
	ck_assert_uint_eq(run(code, sizeof(code)), 1);
	irq_routes_doorbell_remove(vm.routes, &four);
	close(four.fd);
}
END_TEST

START_TEST(irq_routes_doorbell_add_at_a_port)
{
	/* mov dx, 0xd00; out dx, ax; out PORT, al */
	static const uint8_t code[] = {0xba, 0x00, 0x0d, 0xef, 0xe6, PORT};
	const struct host_doorbell bell = {
		.bus = BUS_PIO,
		.addr = 0xd00,
		.size = 2,
		.fd = vm.fd,
	};

	ck_assert_int_eq(irq_routes_doorbell_add(vm.routes, &bell), 0);
	ck_assert_uint_eq(run(code, sizeof(code)), 0);
	ck_assert_uint_eq(drained(), 1);
	irq_routes_doorbell_remove(vm.routes, &bell);
	ck_assert_uint_eq(run(code, sizeof(code)), 1);
}
END_TEST

/* --- MSI-X on it ------------------------------------------------------------
 */

static int vm_msi_alloc(struct host *host, unsigned int *gsi)
{
	return irq_routes_msi_alloc(((struct vm *)host)->routes, gsi);
}

static void vm_msi_free(struct host *host, unsigned int gsi)
{
	irq_routes_msi_free(((struct vm *)host)->routes, gsi);
}

static int vm_msi_route(struct host *host, unsigned int gsi,
			const struct host_msi *msi)
{
	return irq_routes_msi_route(((struct vm *)host)->routes, gsi, msi);
}

static int vm_irqfd_add(struct host *host, unsigned int gsi, int fd)
{
	return irq_routes_irqfd_add(((struct vm *)host)->routes, gsi, fd);
}

static void vm_irqfd_remove(struct host *host, unsigned int gsi, int fd)
{
	irq_routes_irqfd_remove(((struct vm *)host)->routes, gsi, fd);
}

static const struct host_ops vm_ops = {
	.msi_alloc = vm_msi_alloc,
	.msi_free = vm_msi_free,
	.msi_route = vm_msi_route,
	.irqfd_add = vm_irqfd_add,
	.irqfd_remove = vm_irqfd_remove,
};

static void msix_enable(struct pci_device *device, struct pci_msix *msix)
{
	pci_device_write(device, pci_msix_cap(msix) + 2, 2,
			 PCI_MSIX_FLAGS_ENABLE);
	pci_msix_config_written(msix);
}

static struct pci_msix *msix_make(struct pci_device *device)
{
	const struct pci_identity identity = {.vendor_id = 0x1af4};
	const struct pci_msix_config config = {
		.vectors = 2,
		.table = 0x1000,
		.pba = 0x2000,
	};
	struct pci_msix *msix;

	vm.host.ops = &vm_ops;
	pci_device_init(device, &identity);
	ck_assert_int_eq(pci_msix_new(&msix, &vm.host, device, &config), 0);
	return msix;
}

START_TEST(msix_masked_and_unmasked_delivers_once)
{
	struct pci_device device;
	struct pci_msix *msix = msix_make(&device);

	msix_enable(&device, msix);
	pci_msix_table_write(msix, 0, 8, ADDRESS);
	pci_msix_table_write(msix, 8, 4, 0x41);
	ck_assert_int_eq(pci_msix_attach(msix, vm.fd, 0), 0);
	for (unsigned int i = 0; i < 20; i++) {
		signal_fd();
		ck_assert(!got(0x41));
		ck_assert_uint_eq(pci_msix_pba_read(msix, 0, 8), 1);
		pci_msix_table_write(msix, 12, 4, 0);
		/* Masking waits for what is under way. */
		pci_msix_table_write(msix, 12, 4, 1);
		ck_assert(got(0x41));
		ck_assert_uint_eq(pci_msix_pba_read(msix, 0, 8), 0);
		pci_msix_table_write(msix, 12, 4, 0);
		pci_msix_table_write(msix, 12, 4, 1);
		ck_assert(!got(0x41));
	}
	pci_msix_free(msix);
}
END_TEST

START_TEST(msix_restored_pending_is_delivered_once)
{
	struct pci_device device;
	struct pci_msix *msix = msix_make(&device);
	json_t *state;

	pci_msix_table_write(msix, 0, 8, ADDRESS);
	pci_msix_table_write(msix, 8, 4, 0x41);
	ck_assert_int_eq(pci_msix_attach(msix, vm.fd, 0), 0);
	signal_fd();
	ck_assert_int_eq(pci_msix_save(msix, &state), 0);
	pci_msix_free(msix);
	drained();
	msix = msix_make(&device);
	ck_assert_int_eq(pci_msix_restore(msix, state, &err), 0);
	ck_assert_int_eq(pci_msix_attach(msix, vm.fd, 0), 0);
	msix_enable(&device, msix);
	ck_assert(!got(0x41));
	pci_msix_table_write(msix, 12, 4, 0);
	ck_assert(got(0x41));
	pci_msix_table_write(msix, 12, 4, 1);
	pci_msix_table_write(msix, 12, 4, 0);
	pci_msix_table_write(msix, 12, 4, 1);
	ck_assert(!got(0x41));
	json_decref(state);
	pci_msix_free(msix);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("irq_routes");
	TCase *tc = tcase_create("irq_routes");
	SRunner *runner;
	int failed;

	if (!kvm_test_available("test_irq_routes"))
		return EXIT_SUCCESS;
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, irq_routes_msi_signal_arrives_as_routed);
	tcase_add_test(tc, irq_routes_irqfd_add_delivers_what_is_pending_once);
	tcase_add_test(tc, irq_routes_msi_route_tells_kvm_of_changes_only);
	tcase_add_test(tc, irq_routes_msi_alloc_ends_at_the_limit_of_kvm);
	tcase_add_test(tc, irq_routes_msi_route_refused_leaves_the_former);
	tcase_add_test(tc, irq_routes_doorbell_add_of_any_size_takes_all);
	tcase_add_test(tc, irq_routes_doorbell_add_of_one_size_takes_that);
	tcase_add_test(tc, irq_routes_doorbell_add_of_values_takes_its_own);
	tcase_add_test(tc, irq_routes_doorbell_add_at_a_port);
	tcase_add_test(tc, msix_masked_and_unmasked_delivers_once);
	tcase_add_test(tc, msix_restored_pending_is_delivered_once);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
