/*
 * The aarch64 machine: which parts it is made of, where its memory is, and how
 * it gets to its kernel's first instruction. Implements vmm/arch.h.
 */
#include "vmm/arch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "acpi/ged.h"
#include "arch/aarch64/acpi.h"
#include "arch/aarch64/efi.h"
#include "arch/aarch64/fdt.h"
#include "arch/aarch64/gic.h"
#include "arch/aarch64/its.h"
#include "arch/aarch64/kernel.h"
#include "arch/aarch64/kvm_check.h"
#include "arch/aarch64/layout.h"
#include "arch/aarch64/pl011.h"
#include "arch/aarch64/pl031.h"
#include "arch/aarch64/pl061.h"
#include "arch/aarch64/pvpanic.h"
#include "arch/aarch64/v2m.h"
#include "arch/aarch64/vcpu_boot.h"
#include "arch/aarch64/vcpu_dump.h"
#include "arch/aarch64/vcpu_regs.h"
#include "arch/aarch64/vcpu_state.h"
#include "pci/bus.h"
#include "vmm/base/cmdline.h"
#include "vmm/base/device.h"
#include "vmm/base/irq_pin.h"

#define ARCH_SERIAL "ttyAMA0"

/* Bits of a guest physical address: what is asked for, and what KVM has that
 * knows no other number (api.rst, KVM_CREATE_VM). */
#define ARCH_IPA_BITS 40

/* MPIDR_EL1: Aff3, and Aff2 to Aff0 */
#define ARCH_MPIDR_AFFINITY UINT64_C(0xff00ffffff)

struct arch {
	struct arch_config config; /* profile: dt or acpi */
	char *cmdline;		   /* owned; with the console */
	struct kernel *kernel;	   /* owned */

	int kvm_fd, vm_fd;     /* borrowed */
	struct guest_mem *mem; /* borrowed */
	unsigned int gic_version;
	unsigned int ipa_bits;
	struct kvm_vcpu_init model;
	int vcpu_fds[ARCH_CPUS_MAX]; /* borrowed */
	uint64_t mpidr[ARCH_CPUS_MAX];
	bool started; /* the interrupt controllers */
	bool booted;  /* not in the power-on state any more */
	bool loaded;  /* the kernel is, and not entered yet: */
	struct kernel_place place;

	struct device_set devices;
	/* Of devices: the ones that are spoken to. */
	struct gic *gic;
	struct its *its; /* with a GICv3 */
	struct pl011 *uart;
	struct pl061 *gpio; /* with a device tree */
	struct ged *ged;    /* with ACPI */
	struct pci_bus *pci;

	struct irq_pin virtio_pins[LAYOUT_VIRTIO_MMIO_MAX];
	bool has_pins;
	unsigned int virtio_mmio; /* devices over MMIO that were added */
};

const char *arch_profile_name(const struct arch *arch)
{
	return arch_profile_names[arch->config.profile];
}

/* --- Planning --------------------------------------------------------------
 */

static int arch_check_profile(enum arch_profile profile, struct error *err)
{
	if (profile == ARCH_PROFILE_AUTO || profile == ARCH_PROFILE_DT ||
	    profile == ARCH_PROFILE_ACPI)
		return 0;
	return error_set(err, EINVAL,
			 "--machine %s: that is for x86_64; on aarch64 there "
			 "is one machine, which is described by a device tree "
			 "(dt) or by ACPI tables (acpi)",
			 arch_profile_names[profile]);
}

/*
 * With ACPI there is a UEFI of tables alone (efi.h), and Linux is told not to
 * look for its services; what the user says of it stands behind and counts.
 */
static int arch_make_cmdline(struct arch *arch, const char *console,
			     struct error *err)
{
	char *text = cmdline_new(arch->config.cmdline, console);

	if (text && arch->config.profile == ARCH_PROFILE_ACPI) {
		char *plain = text;

		if (asprintf(&text, "efi=noruntime %s", plain) < 0)
			text = NULL;
		free(plain);
	}
	arch->cmdline = text;
	return text ? 0 : error_set(err, ENOMEM, "out of memory");
}

int arch_new(struct arch **out, const struct arch_config *config,
	     struct error *err)
{
	const char *console =
		config->console_on_serial ? ARCH_SERIAL : config->console;
	struct arch *arch;
	int rc;

	rc = arch_check_profile(config->profile, err);
	if (rc)
		return rc;
	arch = calloc(1, sizeof(*arch));
	if (!arch)
		return error_set(err, ENOMEM, "out of memory");
	arch->config = *config;
	arch->config.profile = config->profile == ARCH_PROFILE_ACPI
				       ? ARCH_PROFILE_ACPI
				       : ARCH_PROFILE_DT;
	rc = arch_make_cmdline(arch, console, err);
	if (!rc)
		rc = kernel_probe(&arch->kernel, config->kernel, config->entry,
				  config->initrd, arch->cmdline, err);
	if (rc) {
		arch_free(arch);
		return rc;
	}
	*out = arch;
	return 0;
}

void arch_free(struct arch *arch)
{
	if (!arch)
		return;
	device_set_free(&arch->devices);
	for (unsigned int i = 0; arch->has_pins && i < LAYOUT_VIRTIO_MMIO_MAX;
	     i++)
		irq_pin_fini(&arch->virtio_pins[i]);
	kernel_free(arch->kernel);
	free(arch->cmdline);
	free(arch);
}

const char *arch_kvm_hint(void)
{
	return "boot the host at EL2 (its kernel's log says \"kvm\" and why "
	       "not), with a kernel that has CONFIG_KVM; in a virtual machine "
	       "nested virtualisation is needed";
}

/* --- Memory ----------------------------------------------------------------
 */

/* As many as are asked for, where KVM has so many; and if it has fewer than
 * its default, which it refuses then, all of them. */
static unsigned int arch_ipa_bits(int kvm_fd)
{
	int most = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	return most > 0 && most < ARCH_IPA_BITS ? (unsigned int)most
						: ARCH_IPA_BITS;
}

unsigned long arch_vm_type(int kvm_fd)
{
	unsigned int bits = arch_ipa_bits(kvm_fd);

	/* 0 is the default, which older KVMs know alone. */
	return bits == ARCH_IPA_BITS ? 0 : KVM_VM_TYPE_ARM_IPA_SIZE(bits);
}

unsigned int arch_ram(const struct arch *arch, struct guest_mem_region *regions)
{
	regions[0] = (struct guest_mem_region){
		.base = LAYOUT_RAM,
		.size = arch->config.memory,
	};
	return 1;
}

/* BARs above RAM; none where the CPU cannot reach them. */
static struct pci_window arch_pci64(const struct arch *arch)
{
	uint64_t top = LAYOUT_RAM + arch->config.memory;
	uint64_t base =
		(top + LAYOUT_PCI64_ALIGN - 1) & ~(LAYOUT_PCI64_ALIGN - 1);
	uint64_t last = base + LAYOUT_PCI64_SIZE - 1;

	if (last >> arch->ipa_bits)
		return (struct pci_window){.size = 0};
	return (struct pci_window){.base = base, .size = LAYOUT_PCI64_SIZE};
}

static int arch_check_memory(const struct arch *arch, struct error *err)
{
	uint64_t end = LAYOUT_RAM + arch->config.memory;

	if (!((end - 1) >> arch->ipa_bits))
		return 0;
	return error_set(err, EINVAL,
			 "--memory %lluM: this host's KVM gives a machine "
			 "addresses of %u bits: ask for at most %lluM",
			 (unsigned long long)(arch->config.memory >> 20),
			 arch->ipa_bits,
			 (unsigned long long)((UINT64_C(1) << arch->ipa_bits) -
					      LAYOUT_RAM) >>
				 20);
}

/* --- Devices ---------------------------------------------------------------
 */

/* The GIC, and behind it what takes messages. */
static int arch_add_gic(struct arch *arch, struct host *host, struct error *err)
{
	struct v2m *v2m;
	int rc;

	rc = gic_new(&arch->gic, arch->vm_fd, arch->gic_version,
		     arch->config.cpus, err);
	if (rc)
		return rc;
	device_set_add(&arch->devices, "gic", &gic_device_ops, arch->gic);
	if (arch->gic_version == 3) {
		rc = its_new(&arch->its, arch->vm_fd, err);
		if (!rc)
			device_set_add(&arch->devices, "its", &its_device_ops,
				       arch->its);
		return rc;
	}
	rc = v2m_new(&v2m, host);
	if (rc)
		return error_set(err, -rc, "cannot make the GICv2m: %s",
				 strerror(-rc));
	device_set_add(&arch->devices, "v2m", &v2m_device_ops, v2m);
	return 0;
}

static int arch_add_pci(struct arch *arch, struct host *host)
{
	/* No windows of I/O ports, which an Arm CPU has not. */
	const struct pci_bus_config config = {
		.ecam = LAYOUT_ECAM,
		.mem32 = {LAYOUT_PCI32, LAYOUT_PCI32_SIZE},
		.mem64 = arch_pci64(arch),
		.gsi = SPI_PCI,
	};
	int rc = pci_bus_new(&arch->pci, host, &config);

	if (!rc)
		device_set_add(&arch->devices, "pci", &pci_bus_device_ops,
			       arch->pci);
	return rc;
}

/* What the power button is behind. */
static int arch_add_button(struct arch *arch, struct host *host)
{
	int rc;

	if (arch->config.profile == ARCH_PROFILE_ACPI) {
		rc = ged_new(&arch->ged, host, LAYOUT_GED, SPI_GED);
		if (!rc)
			device_set_add(&arch->devices, "ged", &ged_device_ops,
				       arch->ged);
		return rc;
	}
	rc = pl061_new(&arch->gpio, host, LAYOUT_GPIO, SPI_GPIO);
	if (!rc)
		device_set_add(&arch->devices, "gpio", &pl061_device_ops,
			       arch->gpio);
	return rc;
}

static int arch_add_devices(struct arch *arch, struct host *host)
{
	struct pvpanic *pvpanic;
	struct pl031 *rtc;
	int rc;

	rc = pl011_new(&arch->uart, host, LAYOUT_UART, SPI_UART,
		       &arch->config.serial);
	if (rc)
		return rc;
	device_set_add(&arch->devices, "serial0", &pl011_device_ops,
		       arch->uart);
	rc = pl031_new(&rtc, host, LAYOUT_RTC, SPI_RTC, NULL);
	if (rc)
		return rc;
	device_set_add(&arch->devices, "rtc", &pl031_device_ops, rtc);
	rc = arch_add_button(arch, host);
	if (rc)
		return rc;
	rc = pvpanic_new(&pvpanic, host, LAYOUT_PVPANIC);
	if (rc)
		return rc;
	device_set_add(&arch->devices, "pvpanic", &pvpanic_device_ops, pvpanic);
	return arch_add_pci(arch, host);
}

static void arch_make_pins(struct arch *arch, struct host *host)
{
	for (unsigned int i = 0; i < LAYOUT_VIRTIO_MMIO_MAX; i++)
		irq_pin_init(&arch->virtio_pins[i], host, SPI_VIRTIO_MMIO + i);
	arch->has_pins = true;
}

/* An access that KVM cannot make out ends the guest with its address, rather
 * than KVM_RUN with ENOSYS. Older KVMs do without. */
static void arch_enable_nisv(const struct arch *arch)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_ARM_NISV_TO_USER};

	ioctl(arch->vm_fd, KVM_ENABLE_CAP, &cap);
}

int arch_vm_init(struct arch *arch, int kvm_fd, int vm_fd,
		 struct guest_mem *mem, struct host *host, struct error *err)
{
	int rc;

	arch->kvm_fd = kvm_fd;
	arch->vm_fd = vm_fd;
	arch->mem = mem;
	arch->ipa_bits = arch_ipa_bits(kvm_fd);
	arch->gic_version = gic_probe(vm_fd);
	rc = arm_kvm_check(kvm_fd, arch->gic_version, arch->config.cpus, err);
	if (!rc)
		rc = arch_check_memory(arch, err);
	if (!rc)
		rc = vcpu_boot_model(vm_fd, &arch->model, err);
	if (!rc)
		rc = arch_add_gic(arch, host, err);
	if (rc)
		return rc;
	arch_enable_nisv(arch);
	arch_make_pins(arch, host);
	rc = arch_add_devices(arch, host);
	if (rc)
		error_set(err, -rc, "cannot make the devices: %s",
			  strerror(-rc));
	return rc;
}

struct pci_bus *arch_pci(struct arch *arch)
{
	return arch->pci;
}

int arch_mmio_add(struct arch *arch, struct arch_mmio *out)
{
	unsigned int index = arch->virtio_mmio;

	if (index == LAYOUT_VIRTIO_MMIO_MAX)
		return -ENOSPC;
	arch->virtio_mmio++;
	*out = (struct arch_mmio){
		.base = LAYOUT_VIRTIO_MMIO + index * LAYOUT_VIRTIO_MMIO_SIZE,
		.pin = &arch->virtio_pins[index],
	};
	return 0;
}

/* --- Interrupts ------------------------------------------------------------
 * A global system interrupt is a shared peripheral interrupt, counted as in
 * layout.h: from 0.
 */

/* Those of the GICv2m are routed when a device uses them. */
unsigned int arch_irq_routes(const struct arch *arch,
			     struct kvm_irq_routing_entry *routes)
{
	static_assert(SPI_V2M <= ARCH_IRQ_ROUTES_MAX, "room");
	(void)arch;
	for (unsigned int i = 0; i < SPI_V2M; i++)
		routes[i] = (struct kvm_irq_routing_entry){
			.gsi = i,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip.pin = i,
		};
	return SPI_V2M;
}

unsigned int arch_irq_count(const struct arch *arch)
{
	(void)arch;
	return SPI_COUNT;
}

uint32_t arch_irq_line(unsigned int gsi)
{
	return (uint32_t)KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT |
	       (gsi + INTID_SPI);
}

int arch_msi_route(const struct arch *arch, const struct host_msi *msi,
		   struct kvm_irq_routing_entry *entry)
{
	return arch->gic_version == 3 ? 0 : v2m_route(msi, entry);
}

/* --- vCPUs -----------------------------------------------------------------
 */

/* All vCPUs and devices are there: the interrupt controllers may begin. */
static int arch_start_gic(struct arch *arch, struct error *err)
{
	unsigned int spis = arch->gic_version == 3
				    ? SPI_VIRTIO_MMIO + arch->virtio_mmio
				    : SPI_COUNT;
	int rc;

	if (arch->started)
		return 0;
	arch->started = true;
	rc = gic_start(arch->gic, arch->mpidr, spis, err);
	return !rc && arch->its ? its_start(arch->its, err) : rc;
}

static int arch_check_kernel(struct arch *arch, struct error *err)
{
	uint64_t mmfr0;
	int rc;

	rc = vcpu_reg_get(arch->vcpu_fds[0], VCPU_ID_AA64MMFR0_EL1, &mmfr0,
			  err);
	return rc ? rc : kernel_check_cpu(arch->kernel, mmfr0, err);
}

int arch_vcpu_init(struct arch *arch, unsigned int index, int vcpu_fd,
		   struct error *err)
{
	int rc;

	arch->vcpu_fds[index] = vcpu_fd;
	rc = vcpu_boot_init(vcpu_fd, &arch->model, index > 0, err);
	if (!rc)
		rc = vcpu_reg_get(vcpu_fd, VCPU_MPIDR_EL1, &arch->mpidr[index],
				  err);
	if (!rc && index == 0)
		rc = arch_check_kernel(arch, err);
	if (rc)
		error_prefix(err, "vCPU %u: ", index);
	return rc;
}

void arch_vcpu_dump(struct arch *arch, unsigned int index, FILE *out)
{
	vcpu_dump(arch->vcpu_fds[index], index, arch->mem, out);
}

/* --- Booting ---------------------------------------------------------------
 */

/* Everything as it was before the first instruction. */
static int arch_reset(struct arch *arch, struct error *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < arch->config.cpus && !rc; i++)
		rc = vcpu_boot_reset(arch->vcpu_fds[i], &arch->model, i > 0,
				     err);
	if (!rc)
		device_set_reset(&arch->devices);
	return rc;
}

/* ACPI tables, and what Linux finds them by. */
static int arch_build_acpi(struct arch *arch, const struct kernel_place *place,
			   const uint64_t *mpidr, struct efi_handoff *efi,
			   struct error *err)
{
	struct pci_window pci64 = arch_pci64(arch);
	const struct arm_acpi_config config = {
		.cpus = arch->config.cpus,
		.mpidr = mpidr,
		.gic_version = arch->gic_version,
		.has_its = arch->its,
		.virtio_mmio = arch->virtio_mmio,
		.pci64_base = pci64.base,
		.pci64_size = pci64.size,
	};
	uint64_t rsdp;
	int rc;

	pl011_enable(arch->uart);
	rc = arm_acpi_build(arch->mem, &config, place->tables + EFI_SIZE,
			    place->tables_size - EFI_SIZE, &rsdp, err);
	return rc ? rc
		  : efi_build(arch->mem, place->tables, place->tables_size,
			      rsdp, efi, err);
}

static int arch_build_tables(struct arch *arch,
			     const struct kernel_place *place,
			     struct error *err)
{
	struct pci_window pci64 = arch_pci64(arch);
	uint64_t mpidr[ARCH_CPUS_MAX];
	struct efi_handoff efi;
	struct fdt_config config = {
		.cpus = arch->config.cpus,
		.mpidr = mpidr,
		.gic_version = arch->gic_version,
		.has_its = arch->its,
		.virtio_mmio = arch->virtio_mmio,
		.pci64_base = pci64.base,
		.pci64_size = pci64.size,
		.cmdline = arch->cmdline,
		.initrd = place->initrd,
		.initrd_size = place->initrd_size,
	};
	int rc = 0;

	for (unsigned int i = 0; i < arch->config.cpus; i++)
		mpidr[i] = arch->mpidr[i] & ARCH_MPIDR_AFFINITY;
	if (arch->config.profile == ARCH_PROFILE_ACPI) {
		rc = arch_build_acpi(arch, place, mpidr, &efi, err);
		config.efi = &efi;
	}
	return rc ? rc
		  : fdt_build(&config, arch->mem, place->fdt, place->fdt_size,
			      err);
}

int arch_load(struct arch *arch, struct error *err)
{
	int rc = kernel_load(arch->kernel, arch->mem, &arch->place, err);

	arch->loaded = !rc;
	return rc;
}

int arch_boot(struct arch *arch, struct error *err)
{
	int rc = arch_start_gic(arch, err);

	if (!rc && arch->booted)
		rc = arch_reset(arch, err);
	arch->booted = true;
	if (!rc)
		rc = pci_bus_assign(arch->pci, err);
	if (!rc && !arch->loaded)
		rc = arch_load(arch, err);
	arch->loaded = false;
	if (!rc)
		rc = arch_build_tables(arch, &arch->place, err);
	return rc ? rc
		  : vcpu_boot_enter(arch->vcpu_fds[0], arch->place.entry,
				    arch->place.fdt, err);
}

/* --- While it runs ---------------------------------------------------------
 */

void arch_power_button(struct arch *arch)
{
	if (arch->ged)
		ged_power_button(arch->ged);
	else
		pl061_press(arch->gpio);
}

/* KVM has no way to tell an Arm guest; its counter went on. */
void arch_resumed(struct arch *arch)
{
	(void)arch;
}

size_t arch_serial_room(struct arch *arch)
{
	return pl011_room(arch->uart);
}

void arch_serial_input(struct arch *arch, const uint8_t *data, size_t len)
{
	pl011_input(arch->uart, data, len);
}

/* --- Save and restore ------------------------------------------------------
 */

static int arch_save_vcpus(struct arch *arch, json_t *vcpus, struct error *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < arch->config.cpus && !rc; i++) {
		json_t *value = NULL;

		rc = vcpu_state_save(arch->vcpu_fds[i], &value, err);
		if (!rc && json_array_append_new(vcpus, value))
			rc = -ENOMEM;
	}
	return rc;
}

int arch_save(struct arch *arch, json_t **out, struct error *err)
{
	json_t *devices = NULL, *vcpus = json_array();
	int rc;

	error_set(err, ENOMEM, "out of memory");
	rc = device_set_save(&arch->devices, &devices, err);
	if (!rc)
		rc = arch_save_vcpus(arch, vcpus, err);
	*out = arch_state_new(&arch->config, devices, vcpus);
	if (!rc &&
	    json_object_set_new(*out, "gic",
				json_integer((json_int_t)arch->gic_version)))
		rc = -ENOMEM;
	if (rc) {
		error_prefix(err, "save: ");
		json_decref(*out);
		*out = NULL;
	}
	return rc;
}

/* Is it a state of a machine like this one? */
static int arch_check_state(struct arch *arch, const json_t *state,
			    struct error *err)
{
	json_int_t gic = json_integer_value(json_object_get(state, "gic"));
	int rc = arch_state_check(&arch->config, state, err);

	if (rc || gic == arch->gic_version)
		return rc;
	return error_set(err, EINVAL,
			 "gic: this host has version %u, the state is of "
			 "version %lld",
			 arch->gic_version, (long long)gic);
}

/*
 * The vCPUs first: what a device's line does to the GIC meets vCPUs as they
 * were. The GIC, then its ITS, then devices.
 */
int arch_restore(struct arch *arch, const json_t *state, struct error *err)
{
	const json_t *vcpus = json_object_get(state, "vcpus");
	int rc = arch_start_gic(arch, err);

	if (!rc)
		rc = arch_check_state(arch, state, err);
	for (unsigned int i = 0; i < arch->config.cpus && !rc; i++) {
		rc = vcpu_state_restore(arch->vcpu_fds[i],
					json_array_get(vcpus, i), err);
		if (rc)
			error_prefix(err, "vcpu %u: ", i);
	}
	if (!rc)
		rc = device_set_restore(&arch->devices,
					json_object_get(state, "devices"), err);
	arch->booted = true;
	return rc;
}
