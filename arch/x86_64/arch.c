/*
 * The x86_64 machine: which parts it is made of, where its memory is, and how
 * it gets to its kernel's first instruction. Implements vmm/arch.h.
 */
#include "vmm/arch.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "acpi/ged.h"
#include "acpi/pm.h"
#include "arch/x86_64/acpi.h"
#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/debug_exit.h"
#include "arch/x86_64/i8042.h"
#include "arch/x86_64/irqchip.h"
#include "arch/x86_64/kernel.h"
#include "arch/x86_64/kvm_check.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/pvpanic.h"
#include "arch/x86_64/rtc.h"
#include "arch/x86_64/serial.h"
#include "arch/x86_64/vcpu_boot.h"
#include "arch/x86_64/vcpu_dump.h"
#include "arch/x86_64/vcpu_state.h"
#include "pci/bus.h"
#include "vmm/base/cmdline.h"
#include "vmm/base/device.h"
#include "vmm/base/irq_pin.h"
#include "vmm/base/json.h"
#include "vmm/base/loop.h"

#define ARCH_SERIAL	"ttyS0"
#define ARCH_MEMMAP_MAX 8

struct arch_vcpu {
	int fd;			     /* borrowed */
	struct vcpu_state *power_on; /* owned */
};

struct arch {
	struct arch_config config; /* profile: lean or legacy */
	char *cmdline;		   /* owned; with the console */
	struct kernel *kernel;	   /* owned */

	int kvm_fd, vm_fd;	  /* borrowed */
	struct guest_mem *mem;	  /* borrowed */
	struct cpuid *cpuid;	  /* owned */
	struct vcpu_shape *shape; /* owned */
	struct arch_vcpu vcpus[ARCH_CPUS_MAX];
	bool booted; /* not in the power-on state any more */
	bool loaded; /* the kernel is, and not entered yet: */
	struct boot_entry entry;

	struct device_set devices;
	/* Of devices: the ones that are spoken to. */
	struct serial *serial;
	struct pci_bus *pci;
	struct ged *ged; /* lean */
	struct pm *pm;	 /* legacy */

	struct irq_pin virtio_pins[GSI_VIRTIO_PINS];
	bool has_pins;
	unsigned int virtio_mmio; /* devices over MMIO that were added */
};

/* --- Planning --------------------------------------------------------------
 */

static int arch_make_cmdline(struct arch *arch)
{
	arch->cmdline = cmdline_new(arch->config.cmdline,
				    arch->config.console_on_serial
					    ? ARCH_SERIAL
					    : arch->config.console);
	return arch->cmdline ? 0 : -ENOMEM;
}

/* Linux by its 64-bit entry needs no PC around it; others look for one. */
static enum arch_profile arch_profile_for(enum kernel_protocol protocol)
{
	switch (protocol) {
	case KERNEL_LINUX64:
	case KERNEL_BZIMAGE64:
		return ARCH_PROFILE_LEAN;
	case KERNEL_LINUX32:
	case KERNEL_BZIMAGE32:
	case KERNEL_PVH:
	case KERNEL_MULTIBOOT:
	case KERNEL_PROTOCOLS:
		break;
	}
	return ARCH_PROFILE_LEGACY;
}

static int arch_check_profile(enum arch_profile profile, struct error *err)
{
	if (profile != ARCH_PROFILE_DT && profile != ARCH_PROFILE_ACPI)
		return 0;
	return error_set(err, EINVAL,
			 "--machine %s: that is for aarch64; an x86_64 machine "
			 "is lean or legacy, and has ACPI tables in any case",
			 arch_profile_names[profile]);
}

int arch_new(struct arch **out, const struct arch_config *config,
	     struct error *err)
{
	struct arch *arch;
	int rc;

	rc = arch_check_profile(config->profile, err);
	if (rc)
		return rc;
	arch = calloc(1, sizeof(*arch));
	if (!arch)
		return error_set(err, ENOMEM, "out of memory");
	arch->config = *config;
	rc = arch_make_cmdline(arch);
	if (rc) {
		error_set(err, ENOMEM, "out of memory");
		goto err_free;
	}
	rc = kernel_probe(&arch->kernel, config->kernel, config->entry,
			  config->initrd, arch->cmdline, err);
	if (rc)
		goto err_free;
	if (arch->config.profile == ARCH_PROFILE_AUTO)
		arch->config.profile =
			arch_profile_for(kernel_protocol(arch->kernel));
	*out = arch;
	return 0;

err_free:
	arch_free(arch);
	return rc;
}

void arch_free(struct arch *arch)
{
	if (!arch)
		return;
	device_set_free(&arch->devices);
	for (unsigned int i = 0; arch->has_pins && i < GSI_VIRTIO_PINS; i++)
		irq_pin_fini(&arch->virtio_pins[i]);
	for (unsigned int i = 0; i < ARCH_CPUS_MAX; i++)
		vcpu_state_free(arch->vcpus[i].power_on);
	vcpu_shape_free(arch->shape);
	cpuid_free(arch->cpuid);
	kernel_free(arch->kernel);
	free(arch->cmdline);
	free(arch);
}

const char *arch_kvm_hint(void)
{
	return "load its module (modprobe kvm_intel or kvm_amd) and check that "
	       "the firmware, or the hypervisor above, allows virtualisation";
}

unsigned long arch_vm_type(int kvm_fd)
{
	(void)kvm_fd;
	return 0;
}

/* --- Memory ----------------------------------------------------------------
 */

static uint64_t arch_low_ram(const struct arch *arch)
{
	uint64_t size = arch->config.memory;

	return size < LAYOUT_LOW_RAM_MAX ? size : LAYOUT_LOW_RAM_MAX;
}

static uint64_t arch_high_ram(const struct arch *arch)
{
	return arch->config.memory - arch_low_ram(arch);
}

unsigned int arch_ram(const struct arch *arch, struct guest_mem_region *regions)
{
	regions[0] = (struct guest_mem_region){.size = arch_low_ram(arch)};
	if (!arch_high_ram(arch))
		return 1;
	regions[1] = (struct guest_mem_region){.base = LAYOUT_4G,
					       .size = arch_high_ram(arch)};
	return 2;
}

/* What the guest is told of its address space, ascending. */
static unsigned int arch_memmap(const struct arch *arch,
				struct memmap_entry *map)
{
	const struct memmap_entry all[ARCH_MEMMAP_MAX] = {
		{0, LAYOUT_EBDA, MEMMAP_RAM},
		{LAYOUT_EBDA, LAYOUT_VGA_HOLE - LAYOUT_EBDA, MEMMAP_RESERVED},
		{LAYOUT_ACPI, LAYOUT_HIGH_RAM - LAYOUT_ACPI, MEMMAP_RESERVED},
		{LAYOUT_HIGH_RAM, arch_low_ram(arch) - LAYOUT_HIGH_RAM,
		 MEMMAP_RAM},
		{LAYOUT_ECAM, LAYOUT_ECAM_SIZE, MEMMAP_RESERVED},
		{LAYOUT_GED, 0x1000, MEMMAP_RESERVED},
		{LAYOUT_IDENTITY_PAGE, 0x4000, MEMMAP_RESERVED},
		{LAYOUT_4G, arch_high_ram(arch), MEMMAP_RAM},
	};

	static_assert(LAYOUT_TSS == LAYOUT_IDENTITY_PAGE + 0x1000,
		      "the identity page and the TSS are one range");
	memcpy(map, all, sizeof(all));
	return arch_high_ram(arch) ? ARCH_MEMMAP_MAX : ARCH_MEMMAP_MAX - 1;
}

/* BARs above 4 GiB: behind RAM; none where the CPU cannot reach it. */
static struct pci_window arch_pci64(const struct arch *arch)
{
	uint64_t top = LAYOUT_4G + arch_high_ram(arch);
	uint64_t base =
		(top + LAYOUT_PCI64_ALIGN - 1) & ~(LAYOUT_PCI64_ALIGN - 1);
	uint64_t last = base + LAYOUT_PCI64_SIZE - 1;

	if (last >> cpuid_address_bits(arch->cpuid))
		return (struct pci_window){.size = 0};
	return (struct pci_window){.base = base, .size = LAYOUT_PCI64_SIZE};
}

/* --- Devices ---------------------------------------------------------------
 */

/* What a PC has and a guest of the lean profile does not look for. */
static int arch_add_legacy(struct arch *arch, struct host *host)
{
	int rc = pm_new(&arch->pm, host, PORT_PM1, GSI_SCI, loop_now);

	if (!rc)
		device_set_add(&arch->devices, "pm", &pm_device_ops, arch->pm);
	return rc;
}

static int arch_add_lean(struct arch *arch, struct host *host)
{
	int rc = ged_new(&arch->ged, host, LAYOUT_GED, GSI_GED);

	if (!rc)
		device_set_add(&arch->devices, "ged", &ged_device_ops,
			       arch->ged);
	return rc;
}

static int arch_add_pci(struct arch *arch, struct host *host)
{
	const struct pci_bus_config config = {
		.ecam = LAYOUT_ECAM,
		.port = PORT_PCI_CONFIG,
		.io = {PORT_PCI_IO, PORT_PCI_IO_SIZE},
		.mem32 = {LAYOUT_PCI32, LAYOUT_PCI32_SIZE},
		.mem64 = arch_pci64(arch),
		.gsi = GSI_PCI,
	};
	int rc = pci_bus_new(&arch->pci, host, &config);

	if (!rc)
		device_set_add(&arch->devices, "pci", &pci_bus_device_ops,
			       arch->pci);
	return rc;
}

static int arch_add_common(struct arch *arch, struct host *host)
{
	struct debug_exit *debug_exit;
	struct pvpanic *pvpanic;
	struct i8042 *i8042;
	struct rtc *rtc;
	int rc;

	rc = serial_new(&arch->serial, host, PORT_COM1, GSI_COM1,
			&arch->config.serial);
	if (rc)
		return rc;
	device_set_add(&arch->devices, "serial0", &serial_device_ops,
		       arch->serial);
	rc = rtc_new(&rtc, host, NULL);
	if (rc)
		return rc;
	device_set_add(&arch->devices, "rtc", &rtc_device_ops, rtc);
	rc = i8042_new(&i8042, host);
	if (rc)
		return rc;
	device_set_add(&arch->devices, "i8042", &i8042_device_ops, i8042);
	rc = pvpanic_new(&pvpanic, host);
	if (rc)
		return rc;
	device_set_add(&arch->devices, "pvpanic", &pvpanic_device_ops, pvpanic);
	rc = debug_exit_new(&debug_exit, host);
	if (rc)
		return rc;
	device_set_add(&arch->devices, "debug-exit", &debug_exit_device_ops,
		       debug_exit);
	return arch_add_pci(arch, host);
}

static void arch_make_pins(struct arch *arch, struct host *host)
{
	for (unsigned int i = 0; i < GSI_VIRTIO_PINS; i++)
		irq_pin_init(&arch->virtio_pins[i], host, GSI_VIRTIO_MMIO + i);
	arch->has_pins = true;
}

int arch_vm_init(struct arch *arch, int kvm_fd, int vm_fd,
		 struct guest_mem *mem, struct host *host, struct error *err)
{
	bool legacy = arch->config.profile == ARCH_PROFILE_LEGACY;
	struct irqchip *irqchip;
	int rc;

	arch->kvm_fd = kvm_fd;
	arch->vm_fd = vm_fd;
	arch->mem = mem;
	rc = x86_kvm_check(kvm_fd, legacy, arch->config.cpus, err);
	if (!rc)
		rc = cpuid_new(&arch->cpuid, kvm_fd, arch->config.cpus, err);
	if (!rc)
		rc = irqchip_new(&irqchip, vm_fd, legacy, err);
	if (rc)
		return rc;
	device_set_add(&arch->devices, "irqchip", &irqchip_device_ops, irqchip);
	arch_make_pins(arch, host);
	rc = legacy ? arch_add_legacy(arch, host) : arch_add_lean(arch, host);
	if (!rc)
		rc = arch_add_common(arch, host);
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

	static_assert(LAYOUT_VIRTIO_MMIO_MAX / GSI_VIRTIO_PINS <=
			      IRQ_PIN_SOURCES,
		      "a source for each");
	if (index == LAYOUT_VIRTIO_MMIO_MAX)
		return -ENOSPC;
	arch->virtio_mmio++;
	*out = (struct arch_mmio){
		.base = layout_virtio_mmio(index),
		.pin = &arch->virtio_pins[layout_virtio_pin(index)],
		.source = index / GSI_VIRTIO_PINS,
	};
	return 0;
}

unsigned int arch_irq_routes(const struct arch *arch,
			     struct kvm_irq_routing_entry *routes)
{
	static_assert(IRQCHIP_ROUTES_MAX <= ARCH_IRQ_ROUTES_MAX, "room");
	return irqchip_routes(arch->config.profile == ARCH_PROFILE_LEGACY,
			      routes);
}

unsigned int arch_irq_count(const struct arch *arch)
{
	(void)arch;
	return IOAPIC_PINS;
}

uint32_t arch_irq_line(unsigned int gsi)
{
	return gsi;
}

int arch_msi_route(const struct arch *arch, const struct host_msi *msi,
		   struct kvm_irq_routing_entry *entry)
{
	(void)arch;
	(void)msi;
	(void)entry;
	return 0;
}

/* --- vCPUs -----------------------------------------------------------------
 */

int arch_vcpu_init(struct arch *arch, unsigned int index, int vcpu_fd,
		   struct error *err)
{
	struct arch_vcpu *vcpu = &arch->vcpus[index];
	int rc;

	vcpu->fd = vcpu_fd;
	rc = cpuid_set(arch->cpuid, vcpu_fd, index, err);
	if (!rc)
		rc = vcpu_boot_msrs(vcpu_fd, err);
	if (!rc && !arch->shape)
		rc = vcpu_shape_new(&arch->shape, arch->kvm_fd, arch->vm_fd,
				    vcpu_fd, err);
	if (rc)
		return rc;
	if (vcpu_state_new(&vcpu->power_on, arch->shape))
		return error_set(err, ENOMEM, "--cpus: out of memory");
	return vcpu_state_read(vcpu->power_on, vcpu_fd, err);
}

void arch_vcpu_dump(struct arch *arch, unsigned int index, FILE *out)
{
	vcpu_dump(arch->vcpus[index].fd, index, arch->mem, out);
}

/* --- Booting ---------------------------------------------------------------
 */

/* Everything as it was before the first instruction. */
static int arch_reset(struct arch *arch, struct error *err)
{
	int rc = 0;

	device_set_reset(&arch->devices);
	for (unsigned int i = 0; i < arch->config.cpus && !rc; i++)
		rc = vcpu_state_write(arch->vcpus[i].power_on,
				      arch->vcpus[i].fd, VCPU_STATE_RESET, err);
	return rc;
}

static int arch_build_tables(struct arch *arch, uint64_t *rsdp,
			     struct error *err)
{
	struct pci_window pci64 = arch_pci64(arch);
	struct x86_acpi_config config = {
		.profile = arch->config.profile,
		.cpus = arch->config.cpus,
		.has_serial = true,
		.virtio_mmio = arch->virtio_mmio,
		.pci64_base = pci64.base,
		.pci64_size = pci64.size,
	};

	return x86_acpi_build(arch->mem, &config, rsdp, err);
}

/*
 * There is no BIOS, but jumping to its reset vector is how Linux reboots a
 * hardware-reduced machine without EFI (arch/x86/kernel/reboot.c, BOOT_EFI,
 * then BOOT_BIOS).
 */
static int arch_write_reset_vector(struct arch *arch, struct error *err)
{
	/* mov $6, %al; mov $PORT_RESET, %dx; out %al, %dx; 1: hlt; jmp 1b */
	static const uint8_t code[] = {0xb0,
				       PCI_BUS_RESET_CONTROL_VALUE,
				       0xba,
				       PORT_RESET & 0xff,
				       PORT_RESET >> 8,
				       0xee,
				       0xf4,
				       0xeb,
				       0xfd};

	if (guest_mem_write(arch->mem, LAYOUT_RESET_VECTOR, code, sizeof(code)))
		return error_set(err, EFAULT,
				 "--memory: no RAM at the reset vector");
	return 0;
}

/* The tables' root is in front of them (acpi_tables_place()). */
int arch_load(struct arch *arch, struct error *err)
{
	struct memmap_entry map[ARCH_MEMMAP_MAX];
	unsigned int count = arch_memmap(arch, map);
	int rc = kernel_load(arch->kernel, arch->mem, map, count, LAYOUT_ACPI,
			     &arch->entry, err);

	arch->loaded = !rc;
	return rc;
}

int arch_boot(struct arch *arch, struct error *err)
{
	uint64_t rsdp;
	int rc = 0;

	if (arch->booted)
		rc = arch_reset(arch, err);
	arch->booted = true;
	if (!rc)
		rc = pci_bus_assign(arch->pci, err);
	if (!rc)
		rc = arch_build_tables(arch, &rsdp, err);
	if (!rc)
		rc = arch_write_reset_vector(arch, err);
	if (!rc && !arch->loaded)
		rc = arch_load(arch, err);
	arch->loaded = false;
	if (rc)
		return rc;
	assert(rsdp == LAYOUT_ACPI);
	return vcpu_boot(arch->vcpus[0].fd, arch->mem, &arch->entry, err);
}

/* --- While it runs ---------------------------------------------------------
 */

void arch_power_button(struct arch *arch)
{
	if (arch->ged)
		ged_power_button(arch->ged);
	else
		pm_power_button(arch->pm);
}

/*
 * Sets PVCLOCK_GUEST_STOPPED, by which Linux's soft-lockup watchdog forgives a
 * pause (api.rst, KVM_KVMCLOCK_CTRL). EINVAL from a vCPU whose guest has no
 * kvmclock, which has nobody to tell.
 */
void arch_resumed(struct arch *arch)
{
	for (unsigned int i = 0; i < arch->config.cpus; i++)
		ioctl(arch->vcpus[i].fd, KVM_KVMCLOCK_CTRL, 0UL);
}

size_t arch_serial_room(struct arch *arch)
{
	return serial_room(arch->serial);
}

void arch_serial_input(struct arch *arch, const uint8_t *data, size_t len)
{
	serial_input(arch->serial, data, len);
}

/* --- Save and restore ------------------------------------------------------
 */

const char *arch_profile_name(const struct arch *arch)
{
	return arch_profile_names[arch->config.profile];
}

static int arch_save_vcpu(struct arch *arch, unsigned int index, json_t *vcpus,
			  struct error *err)
{
	struct vcpu_state *state;
	json_t *value = NULL;
	int rc;

	rc = vcpu_state_new(&state, arch->shape);
	if (rc)
		return rc;
	rc = vcpu_state_read(state, arch->vcpus[index].fd, err);
	if (!rc)
		rc = vcpu_state_save(state, &value);
	if (!rc && json_array_append_new(vcpus, value))
		rc = -ENOMEM;
	vcpu_state_free(state);
	return rc;
}

int arch_save(struct arch *arch, json_t **out, struct error *err)
{
	json_t *devices = NULL, *vcpus = json_array();
	int rc;

	error_set(err, ENOMEM, "out of memory");
	rc = device_set_save(&arch->devices, &devices, err);
	for (unsigned int i = 0; i < arch->config.cpus && !rc; i++)
		rc = arch_save_vcpu(arch, i, vcpus, err);
	*out = arch_state_new(&arch->config, devices, vcpus);
	if (!rc && !*out)
		rc = -ENOMEM;
	if (rc) {
		error_prefix(err, "save: ");
		json_decref(*out);
		*out = NULL;
	}
	return rc;
}

static int arch_restore_vcpu(struct arch *arch, unsigned int index,
			     const json_t *value, struct error *err)
{
	struct vcpu_state *state;
	int rc;

	rc = vcpu_state_new(&state, arch->shape);
	if (rc)
		return error_set(err, ENOMEM, "out of memory");
	rc = vcpu_state_load(state, value, err);
	if (!rc)
		rc = vcpu_state_write(state, arch->vcpus[index].fd,
				      VCPU_STATE_RESTORE, err);
	if (rc)
		error_prefix(err, "vcpu %u: ", index);
	vcpu_state_free(state);
	return rc;
}

/*
 * Interrupt controllers, then devices, which drive their lines, then the vCPUs
 * with their local APICs: what a line did in between is overwritten there.
 */
int arch_restore(struct arch *arch, const json_t *state, struct error *err)
{
	const json_t *vcpus = json_object_get(state, "vcpus");
	int rc = arch_state_check(&arch->config, state, err);

	if (!rc)
		rc = device_set_restore(&arch->devices,
					json_object_get(state, "devices"), err);
	for (unsigned int i = 0; i < arch->config.cpus && !rc; i++)
		rc = arch_restore_vcpu(arch, i, json_array_get(vcpus, i), err);
	arch->booted = true;
	return rc;
}
